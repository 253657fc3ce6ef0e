//! Which secret signs SDK tokens. The default survives restarts, because no
//! SDK authenticates again after a 401.

use aws_lc_rs::hmac;

use crate::config::{Config, Mode, Secret};
use crate::snapshot::item::Digest;
use crate::store::durable::secrets::random_secret;
use crate::store::durable::{DataDir, DurableError};

/// What is signed with the keys to make a secret of them.
const LABEL: &[u8] = b"ff-relay SDK token secret 1";

/// What this relay signs with when nobody else has a say.
#[derive(Clone, Debug)]
pub struct OwnSecret {
    pub signing: Secret,
    /// These verify, too.
    pub also: Vec<Secret>,
    /// An operator gave it.
    pub given: bool,
    /// Tokens of an earlier life may be signed with it.
    pub lasts: bool,
    pub legacy_tokens: bool,
}

/// Finds the secret of SDK tokens. `shared`: relays will agree on one.
///
/// # Errors
/// The secrets in `data-dir` cannot be read or written.
pub fn own_secret(config: &Config, data_dir: Option<&DataDir>, shared: bool) -> Result<OwnSecret, DurableError> {
    let mut lasts = true;
    let mut also: Vec<Secret> = config.http.auth_secret_previous.clone();
    if let Some(directory) = data_dir {
        also.extend(directory.derived_secrets()?);
    }
    let signing = match (&config.http.auth_secret, derived(&config.mode), data_dir) {
        (Some(given), _, directory) => {
            also.extend(directory.map(DataDir::earlier_secret).transpose()?.flatten());
            given.clone()
        }
        (None, Some(derived), directory) => {
            if let Some(directory) = directory {
                also.extend(directory.earlier_secret()?);
                directory.remember_derived(&derived)?;
            }
            derived
        }
        (None, None, Some(directory)) => directory.signing_secret()?,
        (None, None, None) if shared => {
            lasts = false;
            random_secret()
        }
        (None, None, None) => {
            tracing::warn!(
                "no auth-secret and no data-dir: SDK tokens are signed with a secret that lasts as long as this process, \
                 so running SDKs will be refused after a restart; give one of the two"
            );
            random_secret()
        }
    };
    let (given, legacy_tokens) = (config.http.auth_secret.is_some(), config.http.legacy_tokens);
    Ok(OwnSecret { signing, also, given, lasts, legacy_tokens })
}

/// The same keys give the same secret, on every replica and after every
/// restart.
fn derived(mode: &Mode) -> Option<Secret> {
    let mut keys: Vec<&str> = match mode {
        Mode::ProxyKey(key) => vec![key.expose()],
        Mode::ApiKeys(mode) => mode.keys.iter().map(Secret::expose).collect(),
        _ => return None,
    };
    keys.sort_unstable();
    let key = hmac::Key::new(hmac::HMAC_SHA256, keys.join("\n").as_bytes());
    let tag = hmac::sign(&key, LABEL);
    let bytes: [u8; 32] = tag.as_ref().try_into().ok()?;
    Some(Secret::new(Digest(bytes).to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ApiKeys;

    fn of(keys: &[&str]) -> String {
        let keys = keys.iter().map(|key| Secret::new(*key)).collect();
        let mode = ApiKeys { keys, admin_service_token: None, account_identifier: None, org_identifier: None };
        derived(&Mode::ApiKeys(mode)).unwrap().expose().to_owned()
    }

    #[test]
    fn the_order_of_keys_does_not_matter() {
        assert_eq!(of(&["a", "b"]), of(&["b", "a"]));
        assert_ne!(of(&["a", "b"]), of(&["a"]));
        assert_eq!(of(&["a"]).len(), 64);
    }
}
