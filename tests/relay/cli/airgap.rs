//! docs/airgap.md, followed literally: an edge relay, a carrier, and two relays inside.

use std::path::Path;

use serde_json::json;

use super::Shell;
use super::docs::run_examples;
use crate::support::client::{bearer, get};
use crate::support::configuration::{Configuration, ENVIRONMENT, KEY};
use crate::support::events::Events;
use crate::support::relay::TestRelay;

/// The section under a heading.
fn section(heading: &str) -> String {
    let document = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/airgap.md")).unwrap();
    let mut sections = document.split("\n## ").map(str::to_owned);
    sections.find(|section| section.starts_with(heading)).unwrap_or_else(|| panic!("no section {heading}"))
}

fn run(heading: &str, shell: &Shell) {
    assert!(!run_examples(&section(heading), shell).is_empty(), "{heading} runs nothing");
}

fn relay(shell: &Shell, variables: &[(&str, String)], options: &[&str]) -> TestRelay {
    let file = shell.path("env");
    let lines: Vec<String> = variables.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
    std::fs::write(&file, lines.concat()).unwrap();
    let file = format!("--env-file={}", file.display());
    let options: Vec<&str> = options.iter().copied().chain([file.as_str()]).collect();
    TestRelay::start(&options).unwrap_or_else(|error| panic!("the relay did not start: {error}"))
}

fn state(relay: &TestRelay) -> String {
    let token = bearer(relay.sdk, KEY);
    let path = format!("/client/env/{ENVIRONMENT}/feature-configs/bool-on");
    get(relay.sdk, &path, &[("Authorization", &token)]).ok()["state"].as_str().unwrap().to_owned()
}

#[test]
fn a_configuration_is_carried_as_the_document_says() {
    let mut shell = Shell::at("127.0.0.1:1".parse().unwrap(), "");
    ["carrier", "config"].iter().for_each(|name| std::fs::create_dir(shell.path(name)).unwrap());
    shell.set("FF_RELAY_TOKEN_FILE", "sync-token");
    let path = |name: &str| shell.path(name).display().to_string();
    let (config, inside_data, other_data) = (path("config/flags.tar.gz"), path("inside"), path("importing"));
    let (sync_token, admin_token) = (path("sync-token"), path("admin-token"));

    run("1. ", &shell);
    let configuration = Configuration::golden();
    let directory = format!("--config-dir={}", configuration.path().display());
    let watched = ["--offline", &directory, "--config-reload=true", "--config-reload-interval=100ms"];
    let edge = relay(&shell, &[("GRPC_SYNC_TOKENS_FILE", sync_token)], &watched);
    shell.address = edge.grpc.unwrap().to_string();
    run("2. ", &shell);
    run("3. ", &shell);

    run("4. ", &shell);
    let variables = |data: String| [("GRPC_ADMIN_TOKENS_FILE", admin_token.clone()), ("DATA_DIR", data)];
    let inside = [("FILE_DATA_SOURCE", config)].into_iter().chain(variables(inside_data)).collect::<Vec<_>>();
    let inside = relay(&shell, &inside, &[]);
    shell.set("INSIDE", &inside.grpc.unwrap().to_string());
    assert_eq!(state(&inside), "on");
    let mut events = Events::open(inside.sdk, KEY, &bearer(inside.sdk, KEY), &[]);

    let mut outside = Events::open(edge.sdk, KEY, &bearer(edge.sdk, KEY), &[]);
    configuration.edit_flag("bool-on", |flag| {
        flag["state"] = json!("off");
        flag["version"] = json!(77);
    });
    assert_eq!(outside.next_short(), "patch flag bool-on");
    run("2. ", &shell);
    run("3. ", &shell);
    run("5. ", &shell);
    assert_eq!(events.next_short(), "patch flag bool-on");
    assert_eq!(state(&inside), "off");

    let importing = relay(&shell, &variables(other_data), &["--offline"]);
    shell.set("IMPORTING", &importing.grpc.unwrap().to_string());
    run("Or by import", &shell);
    assert_eq!(state(&importing), "off");
    run("Other tokens", &shell);
}
