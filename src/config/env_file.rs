//! Files of variables, as `docker run --env-file` reads them.

use std::collections::BTreeMap;

/// The variables of one file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct EnvFile {
    pub(super) variables: BTreeMap<String, String>,
    /// Names whose value stands in quotes, which stay part of it: worth a warning.
    pub(super) quoted: Vec<String>,
}

/// Reads `NAME=value` lines by the rules of docker/cli's `kvfile`: blanks before the name are
/// dropped, the value is kept as it is (quotes too), empty lines and `#` lines are skipped, a line
/// with a name only takes the variable of the process (which wins anyway, so it is skipped here).
/// Beyond Docker, `//` lines are skipped: the Harness docs show such a file.
///
/// # Errors
/// One text per bad line, with its number; never the line itself, which may hold a secret.
pub(super) fn parse(text: &str) -> Result<EnvFile, Vec<String>> {
    let mut variables = BTreeMap::new();
    let mut faults = Vec::new();
    for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') || line.starts_with("//") {
            continue;
        }
        let (name, value) = match line.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (line.trim_end(), None),
        };
        if name.is_empty() {
            faults.push(format!("line {} has no name before =", index + 1));
        } else if name.contains(char::is_whitespace) {
            faults.push(format!("line {} has a blank in the name before =", index + 1));
        } else if let Some(value) = value {
            variables.insert(name.to_owned(), value.to_owned());
        }
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let quoted = variables.iter().filter(|(_, value)| is_quoted(value.trim())).map(|(name, _)| name.clone()).collect();
    Ok(EnvFile { variables, quoted })
}

fn is_quoted(value: &str) -> bool {
    ['"', '\''].iter().any(|quote| value.len() >= 2 && value.starts_with(*quote) && value.ends_with(*quote))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn as_docker_reads_it() {
        let file = parse("\u{feff}# a comment\n// another\n\nA=1  \r\n  B=x=y#z\nC=\nD\nE=\"q\"\nA=2\n");
        let file = file.unwrap();
        let pairs: Vec<(&str, &str)> = file.variables.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(pairs, [("A", "2"), ("B", "x=y#z"), ("C", ""), ("E", "\"q\"")]);
        assert_eq!(file.quoted, ["E"]);
    }

    #[test]
    fn faults_name_lines_only() {
        let faults = parse("=marker\nA B=marker\nOK=1\nmarker marker").unwrap_err();
        assert_eq!(faults.len(), 3);
        assert!(faults.iter().all(|fault| !fault.contains("marker")), "{faults:?}");
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "(?s).{0,200}") {
            let _ = parse(&text);
        }
    }
}
