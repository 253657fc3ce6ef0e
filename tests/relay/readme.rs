//! README's option table is the code's.

use ff_relay::config::option_table_markdown;

const BEGIN: &str = "<!-- options -->\n";
const END: &str = "<!-- /options -->";

#[test]
fn the_option_table_is_the_codes() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = readme.split_once(BEGIN).expect("README has lost its option table");
    let (table, after) = rest.split_once(END).unwrap();
    let made = format!("\n{}\n", option_table_markdown().trim());
    if std::env::var_os("UPDATE_README").is_some() {
        std::fs::write(&path, format!("{before}{BEGIN}{made}\n{END}{after}")).unwrap();
        return;
    }
    assert_eq!(table.trim(), made.trim(), "run the tests once with UPDATE_README=1");
}

#[test]
fn the_sample_in_the_readme_is_good() {
    let sample = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/offline");
    let report = ff_relay::cli::verify::report(&ff_relay::source::file::Location::of(&sample)).unwrap();
    assert!(report.errors.is_empty() && report.warnings.is_empty(), "{report:?}");
    assert_eq!(report.environments.len(), 2);
}

#[test]
fn every_row_of_the_recovery_table_has_its_tests() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("docs/operations.md")).unwrap();
    let (_, table) = text.split_once("### What happens when").unwrap();
    let rows: Vec<&str> =
        table.lines().filter(|line| line.starts_with("| ")).skip(1).take_while(|l| !l.is_empty()).collect();
    let rows: Vec<&&str> =
        rows.iter().filter(|row| row.matches('|').count() == 6 && !row.starts_with("| fault |")).collect();
    assert!(rows.len() > 15, "{}", rows.len());
    for row in rows {
        let tests: Vec<(&str, &str)> = row.split('`').filter_map(|word| word.split_once("::")).collect();
        assert!(!tests.is_empty(), "{row}");
        for (file, name) in tests {
            let read = |crate_: &str| std::fs::read_to_string(root.join(format!("tests/{crate_}/{file}.rs"))).ok();
            let source = read("online").or_else(|| read("transfer")).unwrap_or_else(|| panic!("there is no {file}.rs"));
            assert!(name == "*" || source.contains(&format!("fn {name}(")), "{file} has no test {name}");
        }
    }
}
