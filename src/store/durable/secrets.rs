//! The signing secret that was made here once, so that SDK tokens survive a
//! restart without `auth-secret`.

use super::record::RecordFile;
use super::{DataDir, DurableError};
use crate::config::Secret;

const FILE: &str = "secret";

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

/// 256 random bits, in hexadecimal.
#[must_use]
pub fn random_secret() -> Secret {
    Secret::new(crate::snapshot::item::Digest(rand::random()).to_string())
}
