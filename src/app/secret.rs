//! Which secret signs SDK tokens. The default survives restarts, because no
//! SDK authenticates again after a 401.

use crate::config::{HttpConfig, Secret};
use crate::http::token::TokenKeys;
use crate::store::durable::secrets::random_secret;
use crate::store::durable::{DataDir, DurableError};

/// Finds the keys of SDK tokens.
///
/// # Errors
/// The secret in `data-dir` cannot be read or written.
pub fn token_keys(config: &HttpConfig, data_dir: Option<&DataDir>) -> Result<TokenKeys, DurableError> {
    let mut also: Vec<Secret> = config.auth_secret_previous.clone();
    let signing = match (&config.auth_secret, data_dir) {
        (Some(given), directory) => {
            also.extend(directory.map(DataDir::earlier_secret).transpose()?.flatten());
            given.clone()
        }
        (None, Some(directory)) => directory.signing_secret()?,
        (None, None) => {
            tracing::warn!(
                "no auth-secret and no data-dir: SDK tokens are signed with a secret that lasts as long as this process, \
                 so running SDKs will be refused after a restart; give one of the two"
            );
            random_secret()
        }
    };
    Ok(TokenKeys::new(&signing, &also, config.legacy_tokens))
}
