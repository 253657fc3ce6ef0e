//! docs/command-line.md: every command is in it, and its examples run.

use std::path::Path;

use ff_relay::config::COMMANDS;

use super::{Shell, TOKENS};
use crate::support::configuration::{copy, golden};
use crate::support::relay::TestRelay;

fn document() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/command-line.md")).unwrap()
}

#[test]
fn every_command_is_documented() {
    let text = document();
    for (name, ..) in COMMANDS.iter().filter(|(name, ..)| *name != "serve") {
        assert!(text.contains(&format!("### {name}\n")), "{name} has no section");
    }
}

/// Runs the lines of a text's blocks that begin with ```console: `$ ` is a
/// command, `# exit N` after it its exit code. Gives each with what it said.
pub fn run_examples(text: &str, shell: &Shell) -> Vec<(String, String)> {
    let program = Path::new(env!("CARGO_BIN_EXE_ff-relay")).parent().unwrap().display().to_string();
    let path = format!("{program}:{}", std::env::var("PATH").unwrap());
    let mut ran = Vec::new();
    for block in text.split("```console\n").skip(1) {
        let block = block.split("```").next().unwrap();
        for line in block.lines().filter_map(|line| line.strip_prefix("$ ")) {
            if line.contains("jq") && shell.command("jq").arg("--version").output().is_err() {
                continue;
            }
            let (line, code) = line.split_once("  # exit ").unwrap_or((line, "0"));
            // Some lines wait for something.
            let output = shell.command("timeout").env("PATH", &path).args(["60", "sh", "-c", line]).output().unwrap();
            assert_eq!(output.status.code().unwrap().to_string(), code, "{line}: {output:?}");
            ran.push((line.to_owned(), String::from_utf8(output.stdout).unwrap()));
        }
    }
    ran
}

#[test]
fn the_examples_of_the_reference_run() {
    let relay = TestRelay::offline(&golden(), &TOKENS);
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/grpc.md")).unwrap();
    let ran = run_examples(&text, &Shell::of(&relay));
    assert!(ran.len() >= 12, "{}", ran.len());
}

#[test]
fn the_examples_run() {
    let relay = TestRelay::offline(&golden(), &TOKENS);
    let shell = Shell::of(&relay);
    copy(&golden(), &shell.path("config"));
    let ran = run_examples(&document(), &shell);
    for (line, said) in ran.iter().filter(|(line, _)| line.contains("--target-json")) {
        assert!(document().contains(&format!("It reads:\n\n```\n{said}```\n")), "{line}: {said}");
    }
    assert!(ran.len() > 35, "{}", ran.len());
}
