//! The option table of the README.

use std::fmt::Write;

use super::help::meaning;
use super::option_spec::{Group, OptionSpec};
use super::table;

/// One Markdown table per group, with a row for every option.
#[must_use]
pub fn option_table_markdown() -> String {
    let mut text = String::new();
    for group in Group::ALL {
        let separator = if text.is_empty() { "" } else { "\n" };
        let _ = writeln!(text, "{separator}### {}\n", group.title());
        text.push_str("| flag | variable | default | meaning |\n|---|---|---|---|\n");
        for spec in table::all().filter(|spec| spec.group == group) {
            let _ = writeln!(
                text,
                "| `{}` | {} | {} | {} |",
                spec.flag,
                variables(spec),
                escape(spec.fallback_text()),
                escape(&meaning(spec)),
            );
        }
    }
    text
}

fn variables(spec: &OptionSpec) -> String {
    let names = spec.variable_name().into_iter().chain(spec.file_variable_name());
    names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// What Markdown would take for a column, a tag or emphasis.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        if matches!(letter, '|' | '<' | '*' | '_') {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    escaped
}
