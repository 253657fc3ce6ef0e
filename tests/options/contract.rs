//! What holds for every option: it is documented, and no secret gets out.

use std::fmt::Write;

use ff_relay::config::{self, Errors, Fixed, Kind, Request, option_table_markdown, table};
use proptest::prelude::*;

/// The names of the contract's table, `docs/spec/options.md`.
const CONTRACT: &str = "port offline config-dir file-data-source \
    file-data-source-monitoring-interval generate-offline-config api-keys admin-service-token \
    account-identifier org-identifier admin-service client-service sdk-base-url metric-service \
    sdk-events-url proxy-key auth-secret auth-secret-previous legacy-tokens bypass-auth \
    target-poll-duration metric-post-duration flag-poll-interval flag-stream-enabled \
    forward-targets and-rules redis-address redis-username redis-password redis-db \
    redis-pool-size read-replica metrics-stream-max-len metrics-stream-read-concurrency \
    tls-enabled tls-cert tls-key prometheus-port log-level debug pprof gcp-profiler-enabled \
    heartbeat-interval config-reload config-reload-interval data-dir resync-interval \
    key-refresh-interval connect-timeout request-timeout peer-address peer-token \
    peer-environments peer-tls-cert peer-tls-key offline-redis redis-sentinel-master redis-lease \
    grpc-address grpc-inspect-tokens grpc-sync-tokens grpc-admin-tokens grpc-tls-cert \
    grpc-tls-key grpc-client-ca grpc-client-roles log-format cors-allowed-origins \
    target-validation max-targets max-connections header-timeout idle-timeout write-timeout \
    event-repeat metrics-max-keys max-streams max-streams-per-environment max-stream-age \
    ready-max-staleness shutdown-grace ca-bundle listen-address env-file print-config check";

#[test]
fn every_option_of_the_contract_is_in_table_and_readme() {
    let readme = option_table_markdown();
    for name in CONTRACT.split_whitespace() {
        assert!(table::find(name).is_some(), "{name}");
        assert_eq!(readme.matches(&format!("| `{name}` |")).count(), 1, "{name}");
    }
    let rows = readme.lines().filter(|line| line.starts_with("| `"));
    assert!(rows.clone().all(|row| row.replace("\\|", "").matches('|').count() == 5));
    assert_eq!(rows.count(), table::all().count());
}

#[test]
fn variables_follow_from_flags_save_one() {
    let name = |flag| table::find(flag).and_then(config::OptionSpec::variable_name);
    assert_eq!(name("api-keys").as_deref(), Some("API_KEYS"));
    let odd = name("metrics-stream-read-concurrency");
    assert_eq!(odd.as_deref(), Some("METRIC_STREAM_READ_CONCURRENCY"));
    assert_eq!(name("env-file"), None);
}

const MARKER: &str = "mArKeR";

/// Everything that a run of these arguments could show.
fn everything_shown(args: &[String], surroundings: &Fixed) -> String {
    let show = |result: Result<Request, Errors>| match result {
        Ok(Request::Run(config) | Request::Check(config)) => format!("{config:?}"),
        Ok(Request::PrintConfig(text) | Request::Help(text)) => text,
        Ok(Request::Version) => String::new(),
        Err(errors) => format!("{errors} {errors:?}"),
    };
    ["-check=false", "-print-config", "-help"]
        .iter()
        .map(|more| show(config::parse(&[args, &[(*more).to_owned()]].concat(), surroundings)))
        .collect()
}

fn secret_options() -> impl Iterator<Item = &'static config::OptionSpec> {
    table::all().filter(|spec| spec.kind.is_secret())
}

#[test]
fn secrets_are_never_shown() {
    let mut variables = Fixed::default().with_variable("OFFLINE", "true");
    let mut files = Fixed::default().with_file("/secret", MARKER);
    let mut lines = String::from("OFFLINE=true\n");
    let mut flags = vec!["-offline".to_owned()];
    for spec in secret_options() {
        let name = spec.variable_name().unwrap();
        variables = variables.with_variable(&name, format!("{MARKER}1,{MARKER}2"));
        files = files.with_variable(&spec.file_variable_name().unwrap(), "/secret");
        writeln!(lines, "{name}=\"{MARKER}\"").unwrap();
        flags.push(format!("--{}={MARKER}", spec.flag));
    }
    assert!(secret_options().count() >= 10);
    let env_file = Fixed::default().with_file("e", &lines);
    let offline = vec!["-offline".to_owned()];
    for (args, surroundings) in [
        (&flags, &Fixed::default()),
        (&offline, &variables),
        (&vec![], &files),
        (&offline, &files),
        (&flags[1..].to_vec(), &Fixed::default()),
        (&vec!["-env-file=e".to_owned()], &env_file),
    ] {
        let shown = everything_shown(args, surroundings);
        assert!(!shown.contains(MARKER), "{shown}");
    }
}

#[test]
fn credentials_inside_addresses_are_never_shown() {
    for address in [
        format!("redis://u:{MARKER}@r:1"),
        format!("redis://u:{MARKER}@r:1,rediss://x:{MARKER}@"),
        format!("http://:{MARKER}@r"),
        format!("redis://:{MARKER},{MARKER}/{MARKER}@r"),
    ] {
        for flag in ["redis-address", "client-service", "peer-address", "https-proxy"] {
            let args = vec!["-offline".to_owned(), format!("-{flag}={address}")];
            let shown = everything_shown(&args, &Fixed::default());
            assert!(!shown.contains(MARKER), "{flag} {address}: {shown}");
        }
    }
}

#[test]
fn misplaced_parts_of_a_secret_are_never_shown() {
    let marker = MARKER.to_owned();
    for words in [
        vec!["-api-keys".to_owned(), "a,".to_owned(), marker.clone()],
        vec![format!("-apikeys={marker}")],
        vec!["-apikeys".to_owned(), marker.clone()],
        vec!["-api-keys=a".to_owned(), "--".to_owned(), marker.clone()],
        vec![format!("-{marker}/+x")],
        vec!["-offline".to_owned(), marker],
    ] {
        let shown = everything_shown(&words, &Fixed::default());
        assert!(!shown.contains(MARKER), "{words:?}: {shown}");
    }
    assert!(!config::unknown_command(MARKER).to_string().contains(MARKER));
}

proptest! {
    #[test]
    fn any_command_line_is_read_without_panic(
        args in prop::collection::vec(prop_oneof![
            ".{0,12}",
            "-{0,3}(port|offline|api-keys|redis-address|debug|x)(=.{0,8})?",
        ], 0..6)
    ) {
        let _ = config::parse(&args, &Fixed::default()).map_err(|errors| errors.to_string());
    }

    #[test]
    fn any_value_of_any_option_is_read_without_panic(
        index in any::<prop::sample::Index>(),
        value in "[ -~]{0,20}|[0-9a-z:/@.,=\\[\\]%-]{0,30}",
    ) {
        let specs: Vec<_> = table::all().filter(|spec| spec.flag != "env-file").collect();
        let spec = index.get(&specs);
        let args = ["-offline".to_owned(), format!("-{}={value}", spec.flag)];
        let _ = config::parse(&args, &Fixed::default()).map_err(|errors| errors.to_string());
    }

    #[test]
    fn numbers_within_bounds_are_taken(number in 0_u64..70_000) {
        prop_assert_eq!(Kind::Port.parse(&number.to_string()).is_some(), number <= 65_535);
        prop_assert_eq!(Kind::Count { min: 5, max: 9 }.parse(&number.to_string()).is_some(), (5..=9).contains(&number));
    }
}
