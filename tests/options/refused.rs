//! What is refused, and what the operator reads then.

use ff_relay::config::{self, Fixed, Role};

use super::{offline, parse, refusal, variables};

#[test]
fn all_errors_at_once() {
    let surroundings = variables(&[("MAX_TARGETS", "many"), ("CLIENT_SERVICE", "nowhere"), ("OFFLINE", "yes")]);
    let errors = parse(
        &["-prot", "7", "-port=70000", "-header-timeout=1d", "-grpc-client-roles=x", "-api-keys-file=f", "-ofline"],
        &surroundings,
    )
    .unwrap_err();
    assert_eq!((errors.exit_code(), errors.problems().len()), (64, 10), "{errors}");
    let text = errors.to_string();
    for part in [
        "unknown flag -prot; the nearest known one is -port",
        "unknown flag -ofline; the nearest known one is -offline",
        "to read -api-keys from a file, set the variable API_KEYS_FILE",
        r#"port: "70000" (flag -port) is not valid; expected a port from 0 to 65535"#,
        r#"header-timeout: "1d" (flag -header-timeout) is not valid"#,
        "a role is inspect, sync or admin",
        r#"max-targets: "many" (environment MAX_TARGETS) is not valid; expected a whole number"#,
        r#"client-service: "nowhere""#,
        r#"offline: "yes" (environment OFFLINE) is not valid; expected 1, t, T, true"#,
        "--help shows every option",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
}

#[test]
fn nothing_named_shows_every_option() {
    let errors = parse(&[], &Fixed::default()).unwrap_err();
    assert_eq!((errors.problems(), errors.exit_code()), (&[config::Problem::NoSource][..], 64));
    let text = errors.to_string();
    for spec in config::table::all() {
        assert!(
            text.contains(&format!("  -{} ", spec.flag)) || text.contains(&format!("  -{}\n", spec.flag)),
            "{}",
            spec.flag
        );
        assert!(spec.variable_name().is_none_or(|name| text.contains(&name)), "{}", spec.flag);
    }
    assert!(text.lines().last().unwrap().starts_with("nothing names a source"));
    let ambient = variables(&[("HTTPS_PROXY", "http://proxy:3128"), ("no_proxy", "localhost")]);
    assert_eq!(parse(&[], &ambient).unwrap_err().problems().len(), 1);
    let with_another = refusal(&["-port=x"], &Fixed::default());
    assert!(with_another.contains("nothing names a source") && with_another.lines().count() < 5);
    assert!(refusal(&["-offline=false"], &Fixed::default()).contains("nothing names a source"));
}

#[test]
fn a_follower_of_another_relay_has_no_redis() {
    let text = refusal(&["-peer-address=a:1", "-redis-address=r:1"], &Fixed::default());
    assert!(text.contains("drop one of them"), "{text}");
    assert!(offline(&["-offline-redis=false"]).warnings.is_empty());
}

#[test]
fn listeners_that_are_refused() {
    for (args, sentence) in [
        (&["-tls-enabled"][..], "tls-enabled needs tls-cert and tls-key"),
        (&["-tls-enabled", "-tls-cert=c"], "tls-enabled needs"),
        (&["-grpc-tls-cert=c"], "grpc-tls-cert and grpc-tls-key belong together"),
        (&["-grpc-client-ca=c"], "grpc-client-ca needs TLS"),
        (&["-grpc-client-roles=a=sync"], "add grpc-client-ca"),
        (&["-grpc-address=0.0.0.0:7001"], "grpc-address can be reached"),
        (&["-grpc-address=[::]:7001"], "grpc-address can be reached"),
        (&["-grpc-address=127.0.0.1:7000"], "give it another"),
    ] {
        let text = refusal(&[&["-offline"], args].concat(), &Fixed::default());
        assert!(text.contains(sentence), "{args:?}: {text}");
    }
    let open = offline(&["-grpc-address=0.0.0.0:7001", "-grpc-sync-tokens=t"]);
    assert!(open.warnings.iter().any(|line| line.contains("without TLS")));
    let mutual = offline(&[
        "-grpc-address=0.0.0.0:7001",
        "-grpc-tls-cert=c",
        "-grpc-tls-key=k",
        "-grpc-client-ca=a",
        "-grpc-client-roles=spiffe://x?a=b=Admin, host=sync",
    ]);
    assert_eq!(mutual.grpc.client_roles, [("spiffe://x?a=b".to_owned(), Role::Admin), ("host".to_owned(), Role::Sync)]);
    assert!(mutual.warnings.is_empty() && mutual.grpc.tls.is_some());
    assert!(offline(&["-tls-enabled", "-tls-cert=c", "-tls-key=k"]).http.tls.is_some());
}

#[cfg(unix)]
#[test]
fn a_variable_that_is_not_unicode_is_named() {
    use std::os::unix::ffi::OsStringExt;
    let bytes = std::ffi::OsString::from_vec(vec![0x66, 0xff]);
    let text = refusal(&["-offline"], &Fixed::default().with_variable("DATA_DIR", bytes));
    assert!(text.contains("data-dir: the variable DATA_DIR is not UTF-8"), "{text}");
}
