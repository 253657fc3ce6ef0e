//! A token of Harness, and what it is good for.

use reqwest::RequestBuilder;
use reqwest::header::AUTHORIZATION;

use super::calls::secret_header;
use super::claims::{EnvironmentClaims, ProxyClaims};
use crate::config::Secret;
use crate::snapshot::content::EnvironmentId;

/// An environment as upstream's routes name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    pub environment: EnvironmentId,
    /// What the admin service calls it; "" where only a proxy key is known.
    pub environment_identifier: String,
    pub project_identifier: String,
}

impl Scope {
    /// An environment of which only the id is known.
    #[must_use]
    pub fn of(environment: &EnvironmentId) -> Self {
        Scope {
            environment: environment.clone(),
            environment_identifier: String::new(),
            project_identifier: String::new(),
        }
    }

    #[must_use]
    pub fn of_claims(claims: &EnvironmentClaims) -> Self {
        Scope {
            environment: claims.environment.clone(),
            environment_identifier: claims.environment_identifier.clone(),
            project_identifier: claims.project_identifier.clone(),
        }
    }
}

/// What a token says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claims {
    Environment(EnvironmentClaims),
    Proxy(ProxyClaims),
}

/// A token with its claims.
#[derive(Clone, Debug)]
pub struct Token {
    bearer: Secret,
    pub claims: Claims,
    /// Which authentication of this process made it.
    pub number: u64,
}

impl Token {
    #[must_use]
    pub fn new(text: &str, claims: Claims, number: u64) -> Self {
        Token { bearer: Secret::new(format!("Bearer {text}")), claims, number }
    }

    #[must_use]
    pub fn cluster(&self) -> &str {
        match &self.claims {
            Claims::Environment(claims) => &claims.cluster,
            Claims::Proxy(claims) => &claims.cluster,
        }
    }

    /// "" where it is not named.
    #[must_use]
    pub fn account(&self) -> &str {
        match &self.claims {
            Claims::Environment(claims) => &claims.account_id,
            Claims::Proxy(claims) => &claims.account_id,
        }
    }

    /// Adds the token and what upstream wants to know of who asks.
    pub fn sign(&self, mut request: RequestBuilder, scope: Option<&Scope>) -> RequestBuilder {
        if let Ok(bearer) = secret_header(self.bearer.expose()) {
            request = request.header(AUTHORIZATION, bearer);
        }
        if let Some(scope) = scope
            && let Ok(id) = http::HeaderValue::from_str(scope.environment.as_str())
        {
            request = request.header("Harness-EnvironmentID", id);
        }
        if let Ok(account) = http::HeaderValue::from_str(self.account())
            && !account.is_empty()
        {
            request = request.header("Harness-AccountID", account);
        }
        request
    }
}
