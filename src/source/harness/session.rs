//! One credential and its current token. Tokens expire: a 401 on any route
//! means to authenticate again and repeat once (`upstream.md`).

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};

use super::backoff::Backoff;
use super::call_error::CallError;
use super::calls::Calls;
use super::claims::{EnvironmentClaims, ProxyClaims};
use super::token::{Claims, Token};
use crate::config::Secret;

/// A refused key is tried again after up to this long, later ones less often.
const REFUSED_BASE: Duration = Duration::from_secs(10);
const REFUSED_CAP: Duration = Duration::from_secs(300);

/// Upstream that cannot be reached is tried again after up to this long.
const FAILED_BASE: Duration = Duration::from_secs(1);
const FAILED_CAP: Duration = Duration::from_secs(30);

/// What kind of key it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// Of one environment.
    Sdk,
    Proxy,
}

/// What upstream thinks of the key.
#[derive(Clone, Debug, Default)]
pub enum Standing {
    #[default]
    Untried,
    Accepted(Arc<Token>),
    /// Upstream says that the key is wrong; the token before, if any.
    Refused {
        reason: String,
    },
    /// It could not be asked.
    Failed {
        reason: String,
    },
}

/// A key, who uses it, and its token.
#[derive(Debug)]
pub struct Session {
    calls: Arc<Calls>,
    pub key: Secret,
    kind: KeyKind,
    standing: watch::Sender<Standing>,
    made: AtomicU64,
    /// One authentication at a time.
    authenticating: Semaphore,
}

impl Session {
    #[must_use]
    pub fn new(calls: Arc<Calls>, key: Secret, kind: KeyKind) -> Self {
        Session {
            calls,
            key,
            kind,
            standing: watch::Sender::new(Standing::Untried),
            made: AtomicU64::new(0),
            authenticating: Semaphore::new(1),
        }
    }

    /// What upstream thinks of the key, and every change of it.
    #[must_use]
    pub fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.subscribe()
    }

    /// The key, if it is an SDK's.
    #[must_use]
    pub fn sdk_key(&self) -> Option<&Secret> {
        matches!(self.kind, KeyKind::Sdk).then_some(&self.key)
    }

    /// The current token, if there is one.
    #[must_use]
    pub fn current(&self) -> Option<Arc<Token>> {
        match &*self.standing.borrow() {
            Standing::Accepted(token) => Some(Arc::clone(token)),
            _ => None,
        }
    }

    /// The token is good for nothing any more; whoever needs one waits until
    /// upstream gives another.
    pub fn forget(&self) {
        self.standing.send_replace(Standing::Untried);
    }

    /// Authenticates once.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn authenticate(&self) -> Result<Arc<Token>, CallError> {
        let (text, claims) = match self.kind {
            KeyKind::Sdk => {
                let text = self.calls.authenticate(&self.key).await?;
                let claims = EnvironmentClaims::read(&text).map(Claims::Environment);
                (text, claims)
            }
            KeyKind::Proxy => {
                let text = self.calls.authenticate_proxy(&self.key).await?;
                let claims = ProxyClaims::read(&text).map(Claims::Proxy);
                (text, claims)
            }
        };
        let number = self.made.fetch_add(1, Ordering::Relaxed) + 1;
        let token = Arc::new(Token::new(&text, claims.map_err(CallError::Unusable)?, number));
        self.standing.send_replace(Standing::Accepted(Arc::clone(&token)));
        Ok(token)
    }

    /// The token; waits for as long as there is none.
    pub async fn token(&self) -> Arc<Token> {
        self.newer_than(0).await
    }

    /// A token that was made after this one; waits for as long as it takes.
    pub async fn newer_than(&self, number: u64) -> Arc<Token> {
        let fresh = || self.current().filter(|token| token.number > number);
        if let Some(token) = fresh() {
            return token;
        }
        // It is never closed.
        let _place = self.authenticating.acquire().await;
        let mut refused = Backoff::new(REFUSED_BASE, REFUSED_CAP);
        let mut failed = Backoff::new(FAILED_BASE, FAILED_CAP);
        loop {
            if let Some(token) = fresh() {
                return token;
            }
            let error = match self.authenticate().await {
                Ok(token) => return token,
                Err(error) => error,
            };
            let reason = error.to_string();
            let wait = if error.is_refusal() {
                self.standing.send_replace(Standing::Refused { reason });
                refused.failed(0.5 + rand::random::<f64>() / 2.0, error.retry_after())
            } else {
                self.standing.send_replace(Standing::Failed { reason });
                failed.failed(rand::random(), error.retry_after())
            };
            tokio::time::sleep(wait).await;
        }
    }

    /// Makes a call with the token, and once more with a new one if upstream
    /// says that the token is not good.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn call<T, F>(&self, call: impl Fn(Arc<Token>) -> F) -> Result<T, CallError>
    where
        F: Future<Output = Result<T, CallError>>,
    {
        let token = self.token().await;
        let number = token.number;
        match call(token).await {
            Err(error) if error.is_unauthorized() => call(self.newer_than(number).await).await,
            other => other,
        }
    }
}
