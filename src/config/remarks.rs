//! What is accepted but worth a line at start: options without effect, and risky ones.

use super::contradictions::has_tokens;
use super::option_spec::{Scope, Status};
use super::settings::{Setting, Settings};

/// Whether the mode leaves an option unused.
pub(super) fn is_unused(settings: &Settings, setting: &Setting) -> bool {
    settings.flag("offline")
        && match setting.spec.scope {
            Scope::Always => false,
            Scope::Online => true,
            Scope::OnlineOrRedis => !settings.flag("offline-redis"),
        }
}

/// One line that names what was given and is not used offline, and what else is good to know.
pub(super) fn notices(settings: &Settings) -> Vec<String> {
    let mut notices = Vec::new();
    let unused = names(settings, |setting| setting.is_given() && is_unused(settings, setting));
    if !unused.is_empty() {
        notices.push(format!("offline: given but not used: {}", unused.join(", ")));
    }
    if settings.flag("legacy-tokens") && !settings.flag("bypass-auth") {
        notices.push(
            "tokens of the Go proxy v1 are accepted while their environment exists, and cannot be \
             revoked; legacy-tokens=false refuses them"
                .to_owned(),
        );
    }
    if settings.flag("read-replica") && !settings.flag("offline") {
        let keys =
            names(settings, |setting| setting.is_given() && matches!(setting.spec.flag, "api-keys" | "proxy-key"));
        if !keys.is_empty() {
            notices.push(format!("read-replica: given but not used: {}", keys.join(", ")));
        }
    }
    notices
}

/// Everything that an operator should look at.
pub(super) fn warnings(settings: &Settings) -> Vec<String> {
    let mut warnings = Vec::new();
    let ignored =
        names(settings, |setting| setting.is_asked_for() && matches!(setting.spec.status, Status::NoEffect(_)));
    if !ignored.is_empty() {
        warnings.push(format!("accepted, but without effect in this relay: {}", ignored.join(", ")));
    }
    if settings.secret("auth-secret").is_some_and(|secret| secret.expose() == PUBLISHED_SECRET) {
        warnings.push("auth-secret is the Go proxy's published default: anybody can forge tokens".to_owned());
    }
    if settings.flag("bypass-auth") {
        warnings.push("bypass-auth is on: data routes answer without a token".to_owned());
    }
    for (option, needed) in LONELY {
        if settings.is_given(option) && !settings.is_asked_for(needed) {
            warnings.push(format!("{option} has no effect without {needed}"));
        }
    }
    if settings.is_given("redis-pool-size") && settings.limit("redis-pool-size").is_some_and(|size| size < CONNECTIONS)
    {
        warnings.push(format!("redis-pool-size is less than the {CONNECTIONS} connections that a relay may need; it opens them all the same"));
    }
    grpc(settings, &mut warnings);
    if settings.is_given("api-keys")
        && !settings.flag("offline")
        && !(settings.is_given("admin-service-token") && settings.is_given("account-identifier"))
    {
        warnings.push(
            "api-keys without admin-service-token and account-identifier: only the listed server \
             keys are known; other SDK keys wait and get 500"
                .to_owned(),
        );
    }
    warnings
}

/// The word that the Go proxy signs with when it is given none.
const PUBLISHED_SECRET: &str = "secret";

/// Options that do something only beside another one.
/// Connections to Redis that a primary opens: one for all commands, the others wait for streams.
const CONNECTIONS: usize = 6;

const LONELY: [(&str, &str); 3] = [
    ("file-data-source-monitoring-interval", "file-data-source"),
    ("tls-cert", "tls-enabled"),
    ("tls-key", "tls-enabled"),
];

fn grpc(settings: &Settings, warnings: &mut Vec<String>) {
    let Some(address) = settings.listen("grpc-address") else {
        return;
    };
    let exposed = !address.ip().to_canonical().is_loopback();
    if exposed && has_tokens(settings) && !settings.is_given("grpc-tls-cert") {
        warnings.push("grpc-address can be reached from other machines without TLS: tokens travel readable".to_owned());
    }
    if settings.is_given("grpc-client-ca") && !settings.is_given("grpc-client-roles") {
        warnings.push("grpc-client-ca without grpc-client-roles: client certificates have no role".to_owned());
    }
}

fn names(settings: &Settings, wanted: impl Fn(&Setting) -> bool) -> Vec<&'static str> {
    settings.0.iter().filter(|setting| wanted(setting)).map(|setting| setting.spec.flag).collect()
}
