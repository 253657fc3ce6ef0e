//! Which place wins, what files give, and how `--print-config` tells.

use std::path::Path;
use std::time::Duration;

use ff_relay::config::{self, Fixed, Request};

use super::{parse, refusal, run, variables};

#[test]
fn flag_then_environment_then_env_file() {
    let surroundings = variables(&[("OFFLINE", "true"), ("PORT", "2"), ("MAX_TARGETS", "  ")])
        .with_file(".env", "PORT=3\nMAX_TARGETS=30  \nMAX_STREAMS=31\nSHUTDOWN_GRACE=3")
        .with_file("late.env", "MAX_STREAMS=41");
    let files = ["-env-file", ".env", "--env-file=late.env"];
    let config = run(&[&["-port=1"], &files[..]].concat(), &surroundings);
    assert_eq!(config.http.port, 1);
    assert_eq!(config.http.max_targets, 30, "an empty variable is unset, values are trimmed");
    assert_eq!(config.http.max_streams, Some(41), "the later file wins");
    assert_eq!(config.shutdown_grace, Duration::from_secs(3));
    assert_eq!(run(&files, &surroundings).http.port, 2);
    let unset = run(&["-data-dir="], &variables(&[("OFFLINE", "1"), ("DATA_DIR", "/data")]));
    assert_eq!(unset.data_dir, None, "an empty flag unsets the variable");
}

#[test]
fn env_file_of_the_harness_docs() {
    let docs =
        "# proxy\n// these are examples\nACCOUNT_IDENTIFIER=acc   \nAPI_KEYS=k1,k2  \nOFFLINE=true \nPORT=\"7\"\n";
    let surroundings = Fixed::default().with_file(".env", docs);
    let text = refusal(&["-env-file=.env"], &surroundings);
    assert!(text.contains(r#"port: "\"7\"" (env-file .env, PORT) is not valid"#), "{text}");
    let config = run(&["-env-file=.env", "-port=7"], &surroundings);
    assert!(config.warnings.iter().any(|line| line.contains("quotes") && line.contains("PORT")));
    let missing = refusal(&["-offline", "-env-file=none"], &surroundings);
    assert!(missing.contains("env-file none: "), "{missing}");
}

#[test]
fn secrets_from_files() {
    let surroundings = variables(&[
        ("OFFLINE", "true"),
        ("AUTH_SECRET_FILE", "/s/auth"),
        ("AUTH_SECRET_PREVIOUS", "a,b\nc"),
        ("GRPC_ADMIN_TOKENS_FILE", "/s/admin"),
        ("GRPC_SYNC_TOKENS", "x,y"),
    ])
    .with_file("/s/auth", "  top\n")
    .with_file("/s/admin", "one, two\nthree\n\n");
    let config = run(&[], &surroundings);
    assert_eq!(config.http.auth_secret.as_ref().unwrap().expose(), "top");
    let texts = |all: &[config::Secret]| all.iter().map(|s| s.expose().to_owned()).collect::<Vec<_>>();
    assert_eq!(texts(&config.http.auth_secret_previous), ["a,b", "c"]);
    assert_eq!(texts(&config.grpc.admin_tokens.tokens), ["one", "two", "three"]);
    assert_eq!(config.grpc.admin_tokens.file.as_deref(), Some(Path::new("/s/admin")));
    assert_eq!(texts(&config.grpc.sync_tokens.tokens), ["x", "y"]);
    assert_eq!(config.grpc.sync_tokens.file, None);
    let flag = run(&["-auth-secret=flag"], &surroundings);
    assert_eq!(flag.http.auth_secret.unwrap().expose(), "flag");

    let both = surroundings.clone().with_variable("AUTH_SECRET", "x");
    assert!(refusal(&[], &both).contains("both AUTH_SECRET and AUTH_SECRET_FILE are set; drop one"));
    let missing = variables(&[("OFFLINE", "1"), ("AUTH_SECRET_FILE", "/none"), ("PROXY_KEY_FILE", "/empty")])
        .with_file("/empty", " \n");
    let text = refusal(&[], &missing);
    assert!(text.contains("auth-secret: the file /none (AUTH_SECRET_FILE) cannot be read"), "{text}");
    assert!(text.contains("proxy-key: the file /empty (PROXY_KEY_FILE) is empty"), "{text}");
}

#[test]
fn print_config_says_where_values_came_from() {
    let surroundings = variables(&[("OFFLINE", "true"), ("AUTH_SECRET_FILE", "/s"), ("API_KEYS", "a,b,c")])
        .with_file("/s", "hidden-value")
        .with_file("e", "MAX_TARGETS=5");
    let Ok(Request::PrintConfig(text)) = parse(&["-print-config", "-port=1", "-env-file=e", "-debug"], &surroundings)
    else {
        panic!("no text")
    };
    for (value, origin) in [
        ("port = 1", "# flag -port"),
        ("prometheus-port = 1", "# derived: port"),
        ("offline = true", "# environment OFFLINE"),
        ("auth-secret = ***", "# file /s, AUTH_SECRET_FILE"),
        ("api-keys = ***", "# environment API_KEYS, not used offline"),
        ("max-targets = 5", "# env-file e, MAX_TARGETS"),
        ("config-dir = /config", "# default"),
        ("log-level = DEBUG", "# derived: debug"),
        ("proxy-key = none", "# default"),
    ] {
        let found = text.lines().find(|line| line.trim_start().starts_with(&format!("{value} ")));
        assert!(found.is_some_and(|line| line.ends_with(origin)), "{value} {origin}: {found:?}");
    }
}

#[test]
fn help_and_version_come_first() {
    for args in [&["-help"][..], &["--help"], &["-h"], &["-offline", "-port=x", "-nonsense", "-help"]] {
        match parse(args, &Fixed::default()).unwrap() {
            Request::Help(text) => assert!(text.contains("ff-relay verify")),
            other => panic!("{other:?}"),
        }
    }
    assert!(matches!(parse(&["-version"], &Fixed::default()), Ok(Request::Version)));
    assert!(matches!(parse(&["-offline", "-check"], &Fixed::default()), Ok(Request::Check(_))));
}
