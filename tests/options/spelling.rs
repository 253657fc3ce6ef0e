//! How options are written, and what their values become.

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use ff_relay::config::{Fixed, LogFormat, LogLevel};

use super::{offline, refusal, run, source};

#[test]
fn goes_spellings() {
    for args in [&["-port", "7070"][..], &["-port=7070"], &["--port", "7070"], &["--port=7070"], &["-port", " 7070 "]] {
        assert_eq!(offline(args).http.port, 7070, "{args:?}");
    }
    for args in [&["-offline"][..], &["--offline"], &["-offline=true"], &["--offline=1"], &["-offline=T"]] {
        assert_eq!(run(args, &Fixed::default()).mode.name(), "offline");
    }
    for text in ["1", "t", "T", "true", "TRUE", "True"] {
        assert!(offline(&[&format!("-bypass-auth={text}")]).http.bypass_auth);
    }
    for text in ["0", "f", "F", "false", "FALSE", "False"] {
        assert!(!offline(&[&format!("-legacy-tokens={text}")]).http.legacy_tokens);
    }
    assert_eq!(offline(&["-port=1", "-port=2"]).http.port, 2, "the last one counts");
    let origins = offline(&["-cors-allowed-origins=a, b", "-cors-allowed-origins", "c"]);
    assert_eq!(origins.http.cors_allowed_origins, ["a", "b", "c"]);
    assert_eq!(offline(&["-port=7070", "--"]).http.port, 7070);
}

#[test]
fn a_boolean_takes_no_next_word() {
    let text = refusal(&["-offline", "false", "-port", "7070"], &Fixed::default());
    assert!(text.contains("argument 2 (after -offline)") && text.contains("-offline=false"), "{text}");
    let config = run(&["-offline", "true", "-port", "7070"], &Fixed::default());
    assert_eq!(config.http.port, 7070);
    assert!(config.warnings.iter().any(|line| line.contains("write -offline=true")));
    assert!(refusal(&["-offline", "--", "-port=1"], &Fixed::default()).contains("argument 3"));
}

#[test]
fn other_flags_take_the_next_word_whatever_it_is() {
    let secret = offline(&["-auth-secret", "-odd"]).http.auth_secret.unwrap();
    assert_eq!(secret.expose(), "-odd");
    let text = refusal(&["-offline", "-port"], &Fixed::default());
    assert!(text.contains("-port: a value is missing; expected a port"), "{text}");
    assert!(refusal(&["-offline", "---port=1"], &Fixed::default()).contains("argument 2 is not written"));
}

#[test]
fn defaults_are_those_of_the_contract() {
    let config = offline(&[]);
    let http = &config.http;
    assert_eq!((http.port, http.prometheus_port, http.listen_address), (7000, None, None));
    assert_eq!(http.header_timeout, Duration::from_secs(15));
    assert_eq!(http.idle_timeout, Duration::from_mins(2));
    assert_eq!(http.write_timeout, Duration::from_secs(30));
    assert_eq!((http.max_connections, http.max_streams, http.max_streams_per_environment), (None, None, None));
    assert_eq!((http.max_stream_age, http.event_repeat), (None, None));
    assert_eq!(http.max_targets, 100_000);
    assert_eq!(http.cors_allowed_origins, ["*"]);
    assert!(http.target_validation && http.legacy_tokens && !http.bypass_auth);
    assert!(http.tls.is_none() && http.auth_secret.is_none());
    assert!(config.and_rules);
    assert_eq!(config.grpc.address, Some((Ipv4Addr::LOCALHOST, 7001).into()));
    assert_eq!((config.log.level, config.log.format), (LogLevel::Info, LogFormat::Auto));
    assert_eq!(config.shutdown_grace, Duration::from_secs(10));
    assert_eq!(config.data_dir, None);
    assert!(config.redis.is_none() && !config.generate_offline_config);
    assert_eq!(config.usage.metric_post_duration, Some(Duration::from_mins(1)));
    assert_eq!(config.ready_max_staleness, None);
    let source = source(&config);
    assert_eq!(source.path, Path::new("/config"));
    assert!(!source.path_given && !source.reload && !source.must_be_archive);
    assert_eq!(source.reload_interval, Duration::from_secs(1));
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
}

#[test]
fn values_of_every_kind() {
    let config = offline(&[
        "-port=0",
        "-prometheus-port=9090",
        "-listen-address=::1",
        "-max-streams=5",
        "-max-stream-age=1h",
        "-event-repeat=45",
        "-target-validation=off",
        "-log-level=warn",
        "-log-format=text",
        "-grpc-address=off",
        "-config-reload",
        "-config-reload-interval=500ms",
        "-shutdown-grace=0",
        "-data-dir=/data",
        "-config-dir=./c.tar.gz",
        "-and-rules=false",
    ]);
    assert_eq!((config.http.port, config.http.prometheus_port), (0, Some(9090)));
    assert_eq!(config.http.listen_address, Some("::1".parse().unwrap()));
    assert_eq!(config.http.max_streams, Some(5));
    assert_eq!(config.http.max_stream_age, Some(Duration::from_hours(1)));
    assert_eq!(config.http.event_repeat, Some(Duration::from_secs(45)));
    assert!(!config.http.target_validation && !config.and_rules);
    assert_eq!((config.log.level, config.log.format), (LogLevel::Warn, LogFormat::Text));
    assert_eq!(config.grpc.address, None);
    assert_eq!(config.data_dir.as_deref(), Some(Path::new("/data")));
    let source = source(&config);
    assert!(source.reload && source.path_given);
    assert_eq!(source.reload_interval, Duration::from_millis(500));
    assert_eq!(offline(&["-port=9", "-prometheus-port=9"]).http.prometheus_port, None);
    assert_eq!(offline(&["-log-level=ERROR", "-debug"]).log.level, LogLevel::Debug);
}
