//! Who may call what: role tokens, and mTLS by the names in certificates.
//! The service is the permission boundary.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use http::HeaderMap;
use http::header::{AUTHORIZATION, HOST, ORIGIN};
use tokio_util::sync::CancellationToken;

use super::peer::Peer;
use super::status::Refused;
use crate::config::{GrpcConfig, Role, RoleTokens, split_secrets};
use crate::fault::Fault;
use crate::snapshot::item::Digest;

/// How often token files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// The credentials that are good now.
#[derive(Debug)]
pub struct Access {
    tokens: ArcSwap<Vec<(Digest, Role)>>,
    given: Vec<(Role, RoleTokens)>,
    certificate_roles: HashMap<String, Role>,
    /// Neither tokens nor a client CA: loopback callers may look.
    open_to_loopback: bool,
}

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    pub role: Role,
    /// How the caller is named in the audit log: never a token.
    pub name: String,
}

impl Caller {
    /// Who made a request, for the audit log.
    #[must_use]
    pub fn name_of(extensions: &http::Extensions) -> &str {
        extensions.get::<Caller>().map_or("unknown", |caller| &caller.name)
    }
}

impl Access {
    #[must_use]
    pub fn new(config: &GrpcConfig) -> Arc<Self> {
        let given = vec![
            (Role::Inspect, config.inspect_tokens.clone()),
            (Role::Sync, config.sync_tokens.clone()),
            (Role::Admin, config.admin_tokens.clone()),
        ];
        let none = given.iter().all(|(_, tokens)| tokens.tokens.is_empty() && tokens.file.is_none());
        let access = Access {
            tokens: ArcSwap::default(),
            certificate_roles: config.client_roles.iter().cloned().collect(),
            open_to_loopback: none && config.client_ca.is_none(),
            given,
        };
        let hashes = access.given.iter().flat_map(|(role, tokens)| {
            tokens.tokens.iter().map(|token| (Digest::of(token.expose().as_bytes()), *role))
        });
        access.tokens.store(Arc::new(hashes.collect()));
        Arc::new(access)
    }

    /// True if nobody was given a credential.
    #[must_use]
    pub fn is_open_to_loopback(&self) -> bool {
        self.open_to_loopback
    }

    /// Reads token files again when they change, until told to stop.
    pub async fn watch(self: Arc<Self>, stop: CancellationToken) {
        // What changed since the start was read is not missed.
        let mut seen = Vec::new();
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = stop.cancelled() => return,
            }
            let stamps = self.stamps();
            if stamps != seen && self.read_files() {
                seen = stamps;
            }
        }
    }

    fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.given.iter().filter_map(|(_, tokens)| tokens.file.as_ref())
    }

    fn stamps(&self) -> Vec<Option<SystemTime>> {
        self.files().map(|file| std::fs::metadata(file).and_then(|metadata| metadata.modified()).ok()).collect()
    }

    /// False if a file could not be read: the tokens of its role stay good,
    /// and it is tried again.
    fn read_files(&self) -> bool {
        let mut hashes = Vec::new();
        let mut whole = true;
        for (role, tokens) in &self.given {
            let Some(file) = &tokens.file else {
                hashes.extend(tokens.tokens.iter().map(|token| (Digest::of(token.expose().as_bytes()), *role)));
                continue;
            };
            match std::fs::read_to_string(file) {
                Ok(text) => {
                    let read = split_secrets(&text);
                    hashes.extend(read.iter().map(|token| (Digest::of(token.expose().as_bytes()), *role)));
                }
                Err(error) => {
                    tracing::error!(file = %file.display(), %error, "a token file cannot be read; its tokens of before stay good");
                    whole = false;
                    hashes.extend(self.tokens.load().iter().filter(|(_, known)| known == role));
                }
            }
        }
        if **self.tokens.load() != hashes {
            tracing::info!(tokens = hashes.len(), "token files were read again");
            self.tokens.store(Arc::new(hashes));
        }
        whole
    }

    /// Decides who calls.
    ///
    /// # Errors
    /// No credential, or one that is not good.
    pub fn caller(&self, headers: &HeaderMap, authority: Option<&str>, peer: Option<&Peer>) -> Result<Caller, Refused> {
        if let Some(sent) = headers.get(AUTHORIZATION) {
            let text = sent.to_str().unwrap_or_default().trim();
            let token = match text.split_once(' ') {
                Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
                _ => text,
            };
            let hash = Digest::of(token.as_bytes());
            // Hashes are compared, all of them, whatever the first bytes say.
            let best = self.tokens.load().iter().filter(|(known, _)| same(known, &hash)).map(|(_, role)| *role).max();
            return best
                .map(|role| Caller { role, name: format!("token:{role}") })
                .ok_or_else(|| Refused::new(Fault::CredentialsInvalid, "this token is not known here"));
        }
        let names = peer.map(|peer| &*peer.names).unwrap_or_default();
        let known = names.iter().filter_map(|name| Some((*self.certificate_roles.get(name)?, name)));
        if let Some((role, name)) = known.max_by_key(|(role, _)| *role) {
            return Ok(Caller { role, name: format!("certificate:{name}") });
        }
        if !names.is_empty() {
            let message = "no name in this certificate has a role here; grpc-client-roles gives names their roles";
            return Err(Refused::new(Fault::CredentialsInvalid, message));
        }
        let from_here = peer.is_some_and(|peer| peer.address.ip().to_canonical().is_loopback());
        if self.open_to_loopback && from_here && !is_of_a_web_page(headers, authority) {
            return Ok(Caller { role: Role::Inspect, name: "loopback".to_owned() });
        }
        let message = "no credential: send the header authorization: Bearer <token>";
        Err(Refused::new(Fault::CredentialsMissing, message))
    }

    /// Lets a caller through to a service that needs `needed`.
    ///
    /// # Errors
    /// The role is too low.
    pub fn permit(caller: &Caller, needed: Role) -> Result<(), Refused> {
        if caller.role >= needed {
            return Ok(());
        }
        let message = format!("this needs the role {needed}, and the credential has {}", caller.role);
        Err(Refused::new(Fault::RoleForbidden, message))
    }
}

/// A browser on this machine lets any page ask, under a name that the page's
/// owner points here.
fn is_of_a_web_page(headers: &HeaderMap, authority: Option<&str>) -> bool {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).or(authority).unwrap_or("localhost");
    let host =
        host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit())).map_or(host, |it| it.0);
    let host = host.trim_matches(['[', ']']);
    let is_loopback = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback());
    headers.contains_key(ORIGIN) || !is_loopback
}

/// In constant time.
fn same(a: &Digest, b: &Digest) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(&a.0, &b.0).is_ok()
}
