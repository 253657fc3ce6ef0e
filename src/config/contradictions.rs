//! Options that exclude each other, or that lack another.

use super::derive::grpc_conflict;
use super::error::Problem;
use super::settings::Settings;

/// Adds one sentence for each contradiction; each says which option to drop or to add.
pub(super) fn find(settings: &Settings, problems: &mut Vec<Problem>) {
    let mut sentences = Vec::new();
    offline_source(settings, &mut sentences);
    if !settings.flag("offline") {
        online_sources(settings, &mut sentences);
    }
    redis(settings, &mut sentences);
    listeners(settings, &mut sentences);
    problems.extend(sentences.into_iter().map(|text| Problem::Contradiction(text.to_owned())));
}

fn offline_source(settings: &Settings, sentences: &mut Vec<&str>) {
    if settings.is_given("file-data-source") {
        if settings.is_given("offline") && !settings.flag("offline") {
            sentences.push(
                "file-data-source means offline, but offline is false: drop offline, or \
                 file-data-source",
            );
        }
        if settings.is_given("config-reload") && !settings.flag("config-reload") {
            sentences.push(
                "file-data-source watches its archive, but config-reload is false: drop \
                 config-reload, or name the archive by config-dir instead of file-data-source",
            );
        }
        if settings.path("config-dir") != settings.path("file-data-source") {
            sentences.push(
                "file-data-source and config-dir name different places: drop config-dir, or \
                 file-data-source",
            );
        }
        let interval = "file-data-source-monitoring-interval";
        if settings.is_given(interval) && settings.duration(interval) != settings.duration("config-reload-interval") {
            sentences.push(
                "file-data-source-monitoring-interval and config-reload-interval differ: drop \
                 config-reload-interval",
            );
        }
    }
    if settings.flag("offline-redis") {
        if !settings.flag("offline") {
            sentences.push("offline-redis belongs to offline: drop offline-redis, or add offline");
        }
        if !settings.is_given("redis-address") {
            sentences.push("offline-redis needs Redis: add redis-address, or drop offline-redis");
        }
    }
    if settings.flag("generate-offline-config") && !is_online(settings) {
        sentences.push(
            "generate-offline-config needs an online source: add api-keys, proxy-key, \
             peer-address or read-replica",
        );
    }
}

fn is_online(settings: &Settings) -> bool {
    ["api-keys", "proxy-key", "peer-address", "read-replica"].iter().any(|flag| settings.is_asked_for(flag))
}

fn online_sources(settings: &Settings, sentences: &mut Vec<&str>) {
    let given = |flag| settings.is_asked_for(flag);
    if given("api-keys") && given("proxy-key") {
        sentences.push("api-keys and proxy-key are two sources: drop one of them");
    }
    if given("peer-address") && given("api-keys") {
        sentences.push("peer-address and api-keys are two sources: drop one of them");
    }
    if given("peer-address") && given("proxy-key") {
        sentences.push("peer-address and proxy-key are two sources: drop one of them");
    }
    if given("peer-address") && given("read-replica") {
        sentences.push("peer-address and read-replica are two sources: drop one of them");
    }
    if given("peer-address") && given("redis-address") {
        sentences.push("peer-address and redis-address both join relays: drop one of them");
    }
    if given("read-replica") && !given("redis-address") {
        sentences.push("read-replica reads from Redis: add redis-address, or drop read-replica");
    }
    if given("peer-tls-cert") != given("peer-tls-key") {
        sentences.push("peer-tls-cert and peer-tls-key belong together: add the other one");
    }
}

fn redis(settings: &Settings, sentences: &mut Vec<&str>) {
    if settings.flag("offline") && !settings.flag("offline-redis") {
        return;
    }
    let addresses = settings.redis("redis-address");
    let sentinel = settings.is_given("redis-sentinel-master");
    if sentinel && addresses.is_empty() {
        sentences.push(
            "redis-sentinel-master needs sentinels: add redis-address, or drop \
             redis-sentinel-master",
        );
    }
    if addresses.iter().any(|it| it.tls) && !addresses.iter().all(|it| it.tls) {
        sentences.push(
            "redis-address mixes servers with and without TLS: write rediss:// before all of them, \
             or before none",
        );
    }
    let database = settings.is_given("redis-db") && settings.count("redis-db") != 0
        || addresses.iter().any(|it| it.database.is_some_and(|database| database != 0));
    if addresses.len() > 1 && !sentinel && database {
        sentences.push(
            "several addresses mean a Redis Cluster, which has no databases: drop redis-db, or \
             all addresses but one",
        );
    }
}

fn listeners(settings: &Settings, sentences: &mut Vec<&str>) {
    let given = |flag| settings.is_given(flag);
    if settings.flag("tls-enabled") && !(given("tls-cert") && given("tls-key")) {
        sentences.push("tls-enabled needs tls-cert and tls-key: add them, or drop tls-enabled");
    }
    let Some(address) = settings.listen("grpc-address") else {
        return;
    };
    if given("grpc-tls-cert") != given("grpc-tls-key") {
        sentences.push("grpc-tls-cert and grpc-tls-key belong together: add the other one");
    }
    if given("grpc-client-ca") && !given("grpc-tls-cert") {
        sentences.push("grpc-client-ca needs TLS: add grpc-tls-cert and grpc-tls-key, or drop grpc-client-ca");
    }
    if given("grpc-client-roles") && !given("grpc-client-ca") {
        sentences.push("grpc-client-roles names certificates: add grpc-client-ca, or drop grpc-client-roles");
    }
    if !address.ip().to_canonical().is_loopback() && !has_tokens(settings) && !given("grpc-client-ca") {
        sentences.push(
            "grpc-address can be reached from other machines: add grpc-inspect-tokens, \
             grpc-sync-tokens, grpc-admin-tokens or grpc-client-ca, or keep to 127.0.0.1",
        );
    }
    if grpc_conflict(settings, Some(address)).is_some() {
        sentences.push("grpc-address takes the port of port or prometheus-port: give it another");
    }
}

/// Whether any role has a token.
pub(super) fn has_tokens(settings: &Settings) -> bool {
    ["grpc-inspect-tokens", "grpc-sync-tokens", "grpc-admin-tokens"].iter().any(|flag| settings.is_given(flag))
}
