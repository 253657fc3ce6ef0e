//! The routes of Harness, each a method: what is asked, how, and what of the
//! answer counts (`upstream.md`).

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use reqwest::header::{ACCEPT, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH};
use reqwest::{RequestBuilder, Response, Url};

use super::answers::{self, ConfigPage, KeyPage, TargetPage};
use super::call_error::{CallError, retry_after};
use super::client::{ClientError, Clients};
use super::token::{Scope, Token};
use crate::config::{Secret, UpstreamConfig};
use crate::snapshot::content::EnvironmentId;
use crate::snapshot::item::{Item, ItemKey, ItemKind};
use crate::telemetry::upstream::{UpstreamCounts, UpstreamRoute};

/// No answer of Harness is larger.
const MAX_ANSWER_BYTES: usize = 256 * 1024 * 1024;

/// Of an answer that is read for its status only.
const MAX_SMALL_ANSWER_BYTES: usize = 1024 * 1024;

/// A whole answer may take so many times as long as one read of it.
const READS_PER_ANSWER: u32 = 10;

/// Rows per page of the admin service.
const ADMIN_PAGE: usize = 100;

/// Environments per page of `/proxy/config`.
const CONFIG_PAGE: usize = 10;

/// A list as it was fetched.
#[derive(Clone, Debug)]
pub enum Fetched {
    /// The same as the one with the validator that was sent.
    Unchanged,
    List {
        items: Vec<Arc<Item>>,
        validator: Option<String>,
    },
}

/// Who asks the admin service.
#[derive(Clone, Debug)]
pub struct AdminAccess {
    pub token: Secret,
    pub account: String,
    pub organization: String,
}

/// Everything that can be asked of Harness.
#[derive(Debug)]
pub struct Calls {
    clients: Clients,
    client_service: Url,
    sdk_base: Url,
    admin_service: Url,
    metric_service: Url,
    request_timeout: Duration,
    pub counts: Arc<UpstreamCounts>,
}

impl Calls {
    /// # Errors
    /// The clients cannot be made, or a base URL is none.
    pub fn new(config: &UpstreamConfig, counts: Arc<UpstreamCounts>) -> Result<Self, ClientError> {
        let url = |text: &str| {
            Url::parse(text)
                .ok()
                .filter(|url| !url.cannot_be_a_base())
                .ok_or_else(|| ClientError::Build("a base URL of Harness cannot be read".to_owned()))
        };
        Ok(Calls {
            clients: Clients::new(config)?,
            client_service: url(&config.client_service)?,
            sdk_base: url(&config.sdk_base_url)?,
            admin_service: url(&config.admin_service)?,
            metric_service: url(&config.metric_service)?,
            request_timeout: config.request_timeout,
            counts,
        })
    }

    /// `POST /client/auth`: the token of an SDK key.
    ///
    /// # Errors
    /// See [`CallError`]; a refusal means that the key is wrong.
    pub async fn authenticate(&self, key: &Secret) -> Result<String, CallError> {
        let body = serde_json::json!({ "apiKey": key.expose() });
        self.token(UpstreamRoute::Authenticate, &["client", "auth"], &body).await
    }

    /// `POST /proxy/auth`: the token of a proxy key.
    ///
    /// # Errors
    /// See [`CallError`]; a refusal means that the key is wrong.
    pub async fn authenticate_proxy(&self, key: &Secret) -> Result<String, CallError> {
        let body = serde_json::json!({ "proxyKey": key.expose() });
        self.token(UpstreamRoute::ProxyAuth, &["proxy", "auth"], &body).await
    }

    async fn token(&self, route: UpstreamRoute, path: &[&str], body: &serde_json::Value) -> Result<String, CallError> {
        let request = self.clients.calls.post(at(&self.client_service, path));
        let request = request.header(CONTENT_TYPE, "application/json").body(body.to_string());
        let response = self.send(route, request).await?;
        answers::token(&read(response, MAX_SMALL_ANSWER_BYTES).await?)
    }

    /// Registers a target with an SDK's own key.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn register_target(&self, key: &Secret, target_json: &str) -> Result<(), CallError> {
        let key = serde_json::Value::from(key.expose());
        let body = format!("{{\"apiKey\":{key},\"target\":{target_json}}}");
        let request = self.clients.calls.post(at(&self.client_service, &["client", "auth"]));
        let request = request.header(CONTENT_TYPE, "application/json").body(body);
        let response = self.send(UpstreamRoute::RegisterTarget, request).await?;
        read(response, MAX_SMALL_ANSWER_BYTES).await.map(drop)
    }

    /// All flags or all segments of an environment.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn list(
        &self,
        kind: ItemKind,
        scope: &Scope,
        token: &Token,
        validator: Option<&str>,
    ) -> Result<Fetched, CallError> {
        let (route, mut url) = self.items(kind, scope, token, None);
        url.query_pairs_mut().append_pair("cluster", token.cluster());
        rules_v2(kind, &mut url);
        let mut request = token.sign(self.clients.calls.get(url), Some(scope));
        if let Some(validator) = validator {
            request = request.header(IF_NONE_MATCH, validator);
        }
        let response = match self.send(route, request).await {
            Err(CallError::Status { status: 304, .. }) if validator.is_some() => return Ok(Fetched::Unchanged),
            other => other?,
        };
        let validator = header(response.headers(), ETAG.as_str());
        let body = read(response, MAX_ANSWER_BYTES).await?;
        let items = on_big_body(body, move |body| answers::items(kind, body)).await?;
        Ok(Fetched::List { items, validator })
    }

    /// One flag or segment.
    ///
    /// # Errors
    /// See [`CallError`]; status 404 if it does not exist.
    pub async fn item(&self, key: &ItemKey, scope: &Scope, token: &Token) -> Result<Arc<Item>, CallError> {
        let (route, mut url) = self.items(key.kind, scope, token, Some(&key.identifier));
        url.query_pairs_mut().append_pair("cluster", token.cluster());
        rules_v2(key.kind, &mut url);
        let response = self.send(route, token.sign(self.clients.calls.get(url), Some(scope))).await?;
        let body = read(response, MAX_ANSWER_BYTES).await?;
        answers::item(key, &body)
    }

    fn items(&self, kind: ItemKind, scope: &Scope, _token: &Token, identifier: Option<&str>) -> (UpstreamRoute, Url) {
        let (list, one, path) = match kind {
            ItemKind::Segment => (UpstreamRoute::Segments, UpstreamRoute::Segment, "target-segments"),
            _ => (UpstreamRoute::Flags, UpstreamRoute::Flag, "feature-configs"),
        };
        let mut parts = vec!["client", "env", scope.environment.as_str(), path];
        parts.extend(identifier);
        (if identifier.is_some() { one } else { list }, at(&self.sdk_base, &parts))
    }

    /// One page of an environment's key hashes.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn key_page(&self, admin: &AdminAccess, scope: &Scope, page: usize) -> Result<KeyPage, CallError> {
        let body = self.admin_page(UpstreamRoute::ApiKeys, "apikey", admin, scope, page).await?;
        answers::key_page(&body)
    }

    /// One page of an environment's targets.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn target_page(&self, admin: &AdminAccess, scope: &Scope, page: usize) -> Result<TargetPage, CallError> {
        let body = self.admin_page(UpstreamRoute::Targets, "targets", admin, scope, page).await?;
        on_big_body(body, answers::target_page).await
    }

    async fn admin_page(
        &self,
        route: UpstreamRoute,
        what: &str,
        admin: &AdminAccess,
        scope: &Scope,
        page: usize,
    ) -> Result<Bytes, CallError> {
        if scope.project_identifier.is_empty() || scope.environment_identifier.is_empty() {
            return Err(CallError::Unreachable("what the admin service calls the environment is not known".to_owned()));
        }
        let mut url = at(&self.admin_service, &["admin", what]);
        url.query_pairs_mut()
            .append_pair("accountIdentifier", &admin.account)
            .append_pair("orgIdentifier", &admin.organization)
            .append_pair("projectIdentifier", &scope.project_identifier)
            .append_pair("environmentIdentifier", &scope.environment_identifier)
            .append_pair("pageNumber", &page.to_string())
            .append_pair("pageSize", &ADMIN_PAGE.to_string());
        let request = self.clients.calls.get(url).header("x-api-key", secret_header(admin.token.expose())?);
        read(self.send(route, request).await?, MAX_ANSWER_BYTES).await
    }

    /// One page of what a proxy key gives, or one environment of it.
    ///
    /// # Errors
    /// See [`CallError`]. The key stands in the URL, because upstream wants
    /// it so; no error names the URL.
    pub async fn config_page(
        &self,
        key: &Secret,
        token: &Token,
        page: usize,
        environment: Option<&EnvironmentId>,
    ) -> Result<ConfigPage, CallError> {
        let mut url = at(&self.client_service, &["proxy", "config"]);
        url.query_pairs_mut()
            .append_pair("cluster", token.cluster())
            .append_pair("key", key.expose())
            .append_pair("pageNumber", &page.to_string())
            .append_pair("pageSize", &CONFIG_PAGE.to_string());
        if let Some(environment) = environment {
            url.query_pairs_mut().append_pair("environment", environment.as_str());
        }
        let response = self.send(UpstreamRoute::ProxyConfig, token.sign(self.clients.calls.get(url), None)).await?;
        let body = read(response, MAX_ANSWER_BYTES).await?;
        on_big_body(body, answers::config_page).await
    }

    /// Opens the stream of a key.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn stream(
        &self,
        base: StreamBase,
        key: &Secret,
        scope: Option<&Scope>,
        token: &Token,
    ) -> Result<Response, CallError> {
        let base = match base {
            StreamBase::Sdk => &self.sdk_base,
            StreamBase::Client => &self.client_service,
        };
        let mut url = at(base, &["stream"]);
        url.query_pairs_mut().append_pair("cluster", token.cluster());
        let request = token
            .sign(self.clients.streams.get(url), scope)
            .header("API-Key", secret_header(key.expose())?)
            .header(ACCEPT, "text/event-stream")
            .header(http::header::CACHE_CONTROL, "no-cache");
        // The first byte may take long, the headers not.
        let opening = tokio::time::timeout(self.request_timeout, self.send_open(UpstreamRoute::Stream, request));
        opening.await.map_err(|_| CallError::Broken("no answer in time".to_owned()))?
    }

    /// Sends SDK metrics as they are.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn metrics(&self, scope: &Scope, token: &Token, body: Bytes) -> Result<(), CallError> {
        let mut url = at(&self.metric_service, &["metrics", scope.environment.as_str()]);
        url.query_pairs_mut().append_pair("cluster", token.cluster());
        let request = token.sign(self.clients.metrics.post(url), Some(scope));
        let request = request.header(CONTENT_TYPE, "application/json").body(body);
        let response = self.send(UpstreamRoute::Metrics, request).await?;
        // It is taken; a connection that was read to its end can be used again.
        let _ = read(response, MAX_SMALL_ANSWER_BYTES).await;
        Ok(())
    }

    /// Sends a request whose whole answer is wanted.
    async fn send(&self, route: UpstreamRoute, request: RequestBuilder) -> Result<Response, CallError> {
        self.send_open(route, request.timeout(self.request_timeout.saturating_mul(READS_PER_ANSWER))).await
    }

    async fn send_open(&self, route: UpstreamRoute, request: RequestBuilder) -> Result<Response, CallError> {
        let started = Instant::now();
        let answered = request.send().await.map_err(CallError::of);
        let status = answered.as_ref().map_or(0, |response| response.status().as_u16());
        self.counts.answered(route, status, started.elapsed());
        let response = answered?;
        if response.status().is_success() {
            return Ok(response);
        }
        let retry_after = retry_after(response.headers(), SystemTime::now());
        Err(CallError::Status { status, retry_after })
    }
}

/// Which service's `/stream` is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamBase {
    Sdk,
    Client,
}

/// Segments are asked for with their serving rules.
fn rules_v2(kind: ItemKind, url: &mut Url) {
    if kind == ItemKind::Segment {
        url.query_pairs_mut().append_pair("rules", "v2");
    }
}

/// A base with further path segments, escaped where they need it.
fn at(base: &Url, parts: &[&str]) -> Url {
    let mut url = base.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(parts);
    }
    url
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

pub(super) fn secret_header(text: &str) -> Result<HeaderValue, CallError> {
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| CallError::Unreachable("a key or token holds characters that no header may have".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

/// Reads a body whole, up to a limit, which counts what it inflates to.
async fn read(mut response: Response, limit: usize) -> Result<Bytes, CallError> {
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(CallError::of)? {
        if body.len() + piece.len() > limit {
            return Err(CallError::Unusable(format!("it is larger than {limit} bytes")));
        }
        body.extend_from_slice(&piece);
    }
    Ok(Bytes::from(body))
}

/// Bodies that take long to parse are parsed off the threads that serve.
async fn on_big_body<T: Send + 'static>(
    body: Bytes,
    parse: impl FnOnce(&[u8]) -> Result<T, CallError> + Send + 'static,
) -> Result<T, CallError> {
    const BIG: usize = 64 * 1024;
    if body.len() < BIG {
        return parse(&body);
    }
    let parsed = tokio::task::spawn_blocking(move || parse(&body)).await;
    parsed.unwrap_or_else(|_| Err(CallError::Unusable("reading it failed".to_owned())))
}
