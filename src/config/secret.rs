//! Text that must never be shown.

use std::fmt;

/// A key, token or password. It prints as `***` whatever its length, and has no way to be
/// serialised; [`Secret::expose`] is the one place where the text comes out.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text; the caller has trimmed it.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for signing, comparing or sending; never for logs or errors.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

/// What stands in the place of a secret: the same for every secret, set of secrets and length.
pub(super) const MASK: &str = "***";

/// Reads a list of secrets, separated by commas or line ends, blanks around each dropped,
/// repeated ones kept once. The rule for list options and for their `<NAME>_FILE` files, public so
/// that a file that changed can be read again by the same rule.
#[must_use]
pub fn split_secrets(text: &str) -> Vec<Secret> {
    unique(text.split([',', '\n']))
}

/// Reads one secret per line: for secrets that may hold commas themselves.
#[must_use]
pub fn split_secret_lines(text: &str) -> Vec<Secret> {
    unique(text.split('\n'))
}

fn unique<'a>(items: impl Iterator<Item = &'a str>) -> Vec<Secret> {
    let mut secrets: Vec<Secret> = Vec::new();
    for item in items.map(str::trim).filter(|item| !item.is_empty()) {
        if !secrets.iter().any(|known| known.0 == item) {
            secrets.push(Secret::new(item));
        }
    }
    secrets
}

/// Shows an address without the credentials that may stand in it (`redis://user:password@host`).
/// Everything before the last `@` of the whole text goes, because a password may itself hold any
/// character that would otherwise mark its end.
#[must_use]
pub fn without_credentials(text: &str) -> String {
    match text.rsplit_once('@') {
        Some((_, rest)) => format!("{MASK}@{rest}"),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_nothing_of_the_text() {
        let secret = Secret::new("s3cr3t");
        assert_eq!(format!("{secret} {secret:?} {:?}", Some(&secret)), "*** *** Some(***)");
        assert_eq!(secret.expose(), "s3cr3t");
    }

    #[test]
    fn lists_split_at_commas_and_lines() {
        let texts: Vec<String> = split_secrets(" a, b\nc\n\n,a").iter().map(|s| s.expose().to_owned()).collect();
        assert_eq!(texts, ["a", "b", "c"]);
        assert_eq!(split_secret_lines("a,b\nc").len(), 2);
    }

    #[test]
    fn credentials_in_addresses_are_masked() {
        assert_eq!(without_credentials("redis://u:p,w@a:1,redis://u:q@b:2"), "***@b:2");
        assert_eq!(without_credentials("redis:6379"), "redis:6379");
    }
}
