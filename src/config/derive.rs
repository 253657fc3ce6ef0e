//! Values that follow from other options.

use std::net::SocketAddr;
use std::time::Duration;

use super::areas::LogLevel;
use super::settings::Settings;
use super::value::Value;

/// Fills in what nobody gave; what somebody gave stays, save where an option stands for another
/// (`file-data-source`, `debug`).
pub(super) fn derive(settings: &mut Settings, warnings: &mut Vec<String>) {
    file_data_source(settings);
    if settings.flag("generate-offline-config") && settings.flag("offline") {
        // The Go proxy's rule: together they mean to generate.
        settings.derive("offline", &Value::Bool(false), "false", "generate-offline-config");
    }
    urls(settings);
    if settings.flag("debug") {
        settings.derive("log-level", &Value::Level(LogLevel::Debug), "DEBUG", "debug");
    }
    if !settings.is_given("forward-targets") {
        let proxy_key = settings.is_given("proxy-key");
        let (on, shown) = if proxy_key { (false, "false") } else { (true, "true") };
        let why = if proxy_key { "proxy-key" } else { "no proxy-key" };
        settings.derive("forward-targets", &Value::Bool(on), shown, why);
    }
    event_repeat(settings);
    prometheus_port(settings);
    grpc_address(settings, warnings);
}

fn file_data_source(settings: &mut Settings) {
    const WHY: &str = "file-data-source";
    const INTERVAL: &str = "file-data-source-monitoring-interval";
    let Some(path) = settings.path(WHY).filter(|_| settings.is_given(WHY)) else {
        return;
    };
    // What contradicts it was given, stays, and is refused among the contradictions.
    if !settings.is_given("offline") {
        settings.derive("offline", &Value::Bool(true), "true", WHY);
    }
    if !settings.is_given("config-reload") {
        settings.derive("config-reload", &Value::Bool(true), "true", WHY);
    }
    if !settings.is_given("config-dir") {
        let shown = path.display().to_string();
        settings.derive("config-dir", &Value::Path(path), &shown, WHY);
    }
    if !settings.is_given("config-reload-interval") {
        let shown = settings.get(INTERVAL).map(|setting| setting.shown.clone());
        let interval = Value::Duration(settings.optional_duration(INTERVAL));
        settings.derive("config-reload-interval", &interval, &shown.unwrap_or_default(), INTERVAL);
    }
}

fn urls(settings: &mut Settings) {
    for (flag, other) in [("sdk-base-url", "client-service"), ("metric-service", "sdk-events-url")] {
        if settings.is_given(flag) {
            continue;
        }
        if let Some(url) = settings.text(other) {
            settings.derive(flag, &Value::Text(url.clone()), &url, other);
        }
    }
}

/// Several relays may answer one SDK only where there is something that joins them.
fn event_repeat(settings: &mut Settings) {
    if settings.is_given("event-repeat") {
        return;
    }
    let offline = settings.flag("offline");
    let redis = settings.is_given("redis-address") && (!offline || settings.flag("offline-redis"));
    let peers = settings.is_given("peer-address") && !offline;
    let (time, shown, why) = if redis {
        (Some(Duration::from_secs(30)), "30s", "redis-address")
    } else if peers {
        (Some(Duration::from_secs(30)), "30s", "peer-address")
    } else {
        (None, "off", "no Redis, no peers")
    };
    settings.derive("event-repeat", &Value::Duration(time), shown, why);
}

fn prometheus_port(settings: &mut Settings) {
    if settings.is_given("prometheus-port") {
        return;
    }
    if let Some(port) = settings.port("port") {
        let value = Value::Number(Some(u64::from(port)));
        settings.derive("prometheus-port", &value, &port.to_string(), "port");
    }
}

/// The gRPC listener is ours: a deployment of the Go proxy that uses its default port for SDKs or
/// metrics must still start.
fn grpc_address(settings: &mut Settings, warnings: &mut Vec<String>) {
    if settings.is_given("grpc-address") {
        return;
    }
    let Some(flag) = grpc_conflict(settings, settings.listen("grpc-address")) else {
        return;
    };
    settings.derive("grpc-address", &Value::Listen(None), "off", "its default port is taken");
    warnings
        .push(format!("the gRPC listener is off, because -{flag} takes its default port; give -grpc-address another"));
}

/// The option whose listener would be in the way of gRPC at that address.
pub(super) fn grpc_conflict(settings: &Settings, at: Option<SocketAddr>) -> Option<&'static str> {
    let at = at.filter(|at| at.port() != 0)?;
    let overlaps = |ip: std::net::IpAddr| ip.is_unspecified() || at.ip().is_unspecified() || ip == at.ip();
    let same_interface = settings.ip("listen-address").is_none_or(overlaps);
    ["port", "prometheus-port"].into_iter().find(|flag| same_interface && settings.port(flag) == Some(at.port()))
}
