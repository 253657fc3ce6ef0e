//! What is taken although it does nothing, or means something else.

use std::path::Path;
use std::time::Duration;

use ff_relay::config::Fixed;

use super::{offline, refusal, run, source, variables};

#[test]
fn offline_beside_the_usual_configuration() {
    let config = offline(&[
        "-api-keys=k",
        "-proxy-key=k",
        "-admin-service-token=t",
        "-account-identifier=a",
        "-read-replica",
        "-redis-address=r:1",
        "-peer-address=p:1",
        "-client-service=http://c",
        "-ready-max-staleness=1h",
    ]);
    assert!(config.redis.is_none() && config.ready_max_staleness.is_none());
    let lines: Vec<&String> =
        config.notices.iter().filter(|line| line.starts_with("offline: given but not used")).collect();
    assert_eq!(lines.len(), 1);
    for name in [
        "api-keys",
        "proxy-key",
        "admin-service-token",
        "account-identifier",
        "redis-address",
        "peer-address",
        "client-service",
        "read-replica",
    ] {
        assert!(lines[0].contains(name), "{name}: {}", lines[0]);
    }
}

#[test]
fn file_data_source() {
    let config =
        run(&[], &variables(&[("FILE_DATA_SOURCE", "/f.tar.gz"), ("FILE_DATA_SOURCE_MONITORING_INTERVAL", "2s")]));
    let offline = source(&config);
    assert_eq!(offline.path, Path::new("/f.tar.gz"));
    assert!(offline.reload && offline.path_given && offline.must_be_archive);
    assert_eq!(offline.reload_interval, Duration::from_secs(2));
    let same = run(&["-file-data-source=/f", "-config-dir=/f", "-config-reload-interval=3s"], &Fixed::default());
    assert_eq!(source(&same).reload_interval, Duration::from_secs(3));
    for (args, sentence) in [
        ("-config-dir=/other", "drop config-dir"),
        ("-offline=false", "drop offline"),
        ("-config-reload=false", "drop config-reload"),
        ("-file-data-source-monitoring-interval=99ms", "at least 100ms"),
    ] {
        let text = refusal(&["-file-data-source=/f", args], &Fixed::default());
        assert!(text.contains(sentence) && !text.contains("nothing names"), "{args}: {text}");
    }
}

#[test]
fn an_old_deployment_on_our_grpc_port_still_starts() {
    let config = offline(&["-port=7001"]);
    assert_eq!((config.http.port, config.grpc.address), (7001, None));
    assert!(config.warnings.iter().any(|line| line.contains("gRPC listener is off")));
}

#[test]
fn options_without_effect_get_one_warning() {
    let config = offline(&["-pprof", "-gcp-profiler-enabled=true", "-heartbeat-interval=60"]);
    assert_eq!(
        config.warnings,
        ["accepted, but without effect in this relay: pprof, gcp-profiler-enabled, heartbeat-interval"]
    );
    assert!(offline(&["-pprof=false"]).warnings.is_empty());
    let risky = offline(&["-auth-secret=secret", "-bypass-auth"]).warnings;
    assert!(risky[0].contains("published default") && risky[1].contains("bypass-auth"));
}
