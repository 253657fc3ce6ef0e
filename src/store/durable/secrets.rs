//! The signing secret that was made here once, so that SDK tokens survive a
//! restart without `auth-secret`.

use super::record::RecordFile;
use super::{DataDir, DurableError};
use crate::config::Secret;

const FILE: &str = "secret";

/// Secrets that were derived from keys: what they signed stays good when the
/// keys change.
const DERIVED_FILE: &str = "derived-secrets";

/// Derived secrets kept; older ones go.
const MAX_DERIVED: usize = 16;

impl DataDir {
    /// The secret made here; made now if there is none.
    ///
    /// # Errors
    /// It cannot be read or written. A damaged one is never replaced in
    /// silence: running SDKs would be refused.
    pub fn signing_secret(&self) -> Result<Secret, DurableError> {
        if let Some(secret) = self.earlier_secret()? {
            return Ok(secret);
        }
        let secret = random_secret();
        let mut file = RecordFile::new(FILE);
        file.push(&format!("\"{}\"", secret.expose()));
        self.write(FILE, file)?;
        Ok(secret)
    }

    /// The secret that was made here before, if one was: tokens signed with
    /// it stay good when `auth-secret` is given later.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn earlier_secret(&self) -> Result<Option<Secret>, DurableError> {
        let lines = self.read(FILE)?;
        let damaged = self.path().join(FILE).with_extension("damaged");
        if lines.is_none() && damaged.exists() {
            let what = "the signing secret was damaged; restore it, or delete this file to have a new one made, \
                        which refuses every running SDK";
            return Err(DurableError::Corrupt { path: damaged.display().to_string(), what: what.to_owned() });
        }
        let first = lines.as_ref().and_then(|lines| lines.first());
        Ok(first.and_then(|line| serde_json::from_str::<String>(line).ok()).map(Secret::new))
    }
}

impl DataDir {
    /// Secrets that were derived from keys before, newest last.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn derived_secrets(&self) -> Result<Vec<Secret>, DurableError> {
        let lines = self.read(DERIVED_FILE)?;
        let damaged = self.path().join(DERIVED_FILE).with_extension("damaged");
        if lines.is_none() && damaged.exists() {
            let what = "the secrets that were derived from earlier keys were damaged; restore them, or delete this file, \
                        which refuses SDKs that hold tokens signed with them";
            return Err(DurableError::Corrupt { path: damaged.display().to_string(), what: what.to_owned() });
        }
        let lines = lines.unwrap_or_default();
        Ok(lines.iter().filter_map(|line| serde_json::from_str::<String>(line).ok()).map(Secret::new).collect())
    }

    /// Remembers a derived secret.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn remember_derived(&self, secret: &Secret) -> Result<(), DurableError> {
        let mut known = self.derived_secrets()?;
        if known.last().is_some_and(|last| last.expose() == secret.expose()) {
            return Ok(());
        }
        known.retain(|old| old.expose() != secret.expose());
        known.push(secret.clone());
        let mut file = RecordFile::new(DERIVED_FILE);
        let oldest = known.len().saturating_sub(MAX_DERIVED);
        known.iter().skip(oldest).for_each(|secret| file.push(&format!("\"{}\"", secret.expose())));
        self.write(DERIVED_FILE, file)
    }
}

/// 256 random bits, in hexadecimal.
#[must_use]
pub fn random_secret() -> Secret {
    Secret::new(crate::snapshot::item::Digest(rand::random()).to_string())
}
