//! Who may read an environment's data.

use std::sync::{Arc, Mutex};

use http::HeaderMap;
use http::header::{AUTHORIZATION, HeaderValue};

use super::answer::Refusal;
use super::api::Api;
use super::hold::Look;
use super::token::Claims;
use crate::fault::Fault;
use crate::snapshot::Snapshot;
use crate::store::Index;
use crate::store::environment::Environment;
use crate::telemetry::clock::unix_now_s;

/// The token that a connection used last, so that an SDK which keeps its
/// connection has its token verified once.
#[derive(Debug, Default)]
pub struct TokenMemo(Mutex<Option<(HeaderValue, Arc<Claims>)>>);

/// An environment somebody may read, with its current snapshot.
#[derive(Debug)]
pub struct Access {
    pub environment: Arc<Environment>,
    pub snapshot: Arc<Snapshot>,
    /// With `bypass-auth` only what happens to be good.
    pub claims: Option<Arc<Claims>>,
}

impl Api {
    /// The verified claims of a request's token.
    ///
    /// # Errors
    /// No token, or one that is not good here.
    pub fn claims(&self, headers: &HeaderMap, memo: &TokenMemo) -> Result<Arc<Claims>, Refusal> {
        let missing =
            || Refusal::new(Fault::CredentialsMissing, "no token: send the header Authorization: Bearer <token>");
        let header = headers.get(AUTHORIZATION).ok_or_else(missing)?;
        let invalid = |error: super::token::TokenError| Refusal::new(Fault::CredentialsInvalid, error.to_string());
        // Never waited for: HTTP/2 requests of one connection may meet here.
        if let Ok(known) = memo.0.try_lock()
            && let Some((token, claims)) = known.as_ref()
            && token == header
        {
            claims.check_time(unix_now_s()).map_err(invalid)?;
            return Ok(Arc::clone(claims));
        }
        let text = header.to_str().map_err(|_| missing())?.trim();
        let token = match text.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
            _ => return Err(missing()),
        };
        let claims = Arc::new(self.tokens.load().verify(token, unix_now_s()).map_err(invalid)?);
        if let Ok(mut known) = memo.0.try_lock() {
            *known = Some((header.clone(), Arc::clone(&claims)));
        }
        Ok(claims)
    }

    /// Lets a request read the environment that its path names.
    ///
    /// # Errors
    /// No or a bad token, another environment's token, a revoked key; or the
    /// environment is not known yet.
    pub async fn access(&self, headers: &HeaderMap, memo: &TokenMemo, environment: &str) -> Result<Access, Refusal> {
        if self.settings.bypass_auth {
            let mut access = self.open(environment, None).await?;
            // Not asked for, but its target is worth having.
            access.claims = self.claims(headers, memo).ok().filter(|claims| claims.environment == environment);
            return Ok(access);
        }
        let claims = self.claims(headers, memo)?;
        if claims.environment != environment {
            let message = "the token belongs to another environment than the path names";
            return Err(Refusal::new(Fault::CredentialsInvalid, message));
        }
        self.open(environment, Some(claims)).await
    }

    /// The environment, once it is there and the token's key is known in it.
    async fn open(&self, environment: &str, claims: Option<Arc<Claims>>) -> Result<Access, Refusal> {
        let look = |index: &Index, certain: bool| look(index, certain, environment, claims.as_deref());
        let key = claims.as_deref().and_then(|claims| claims.key_hash);
        match self.hold.until(&self.store, key.as_ref(), look).await {
            Some(Ok((environment, snapshot))) => Ok(Access { environment, snapshot, claims }),
            Some(Err(_)) if claims.is_some() => Err(Refusal::new(
                Fault::CredentialsInvalid,
                "the token's key or environment is not known here (any more)",
            )),
            Some(Err(_)) => Err(Refusal::new(Fault::EnvironmentNotFound, "this environment is not known here")),
            None => Err(not_synced()),
        }
    }
}

/// One look at whether an environment can answer who holds these claims.
#[must_use]
pub fn look(
    index: &Index,
    certain: bool,
    environment: &str,
    claims: Option<&Claims>,
) -> Look<(Arc<Environment>, Arc<Snapshot>)> {
    let absent = || if certain { Look::Absent } else { Look::Unknown };
    let Some(environment) = index.environment(environment) else {
        return absent();
    };
    let Some(snapshot) = environment.snapshot().clone() else {
        return Look::Unknown;
    };
    match claims.and_then(|claims| claims.key_hash) {
        Some(hash) if !snapshot.has_key(&hash) => absent(),
        _ => Look::Found((Arc::clone(environment), snapshot)),
    }
}

/// The answer when holding did not help.
#[must_use]
pub fn not_synced() -> Refusal {
    Refusal::new(Fault::NeverSynced, "the configuration has not been loaded yet; try again")
}
