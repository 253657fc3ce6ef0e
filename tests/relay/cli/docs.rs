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

/// Blocks that begin with ```console are run line by line: `$ ` is a command,
/// `# exit N` after it its exit code; in other blocks nothing runs.
#[test]
fn the_examples_run() {
    let relay = TestRelay::offline(&golden(), &TOKENS);
    let shell = Shell::of(&relay);
    copy(&golden(), &shell.path("config"));
    let program = Path::new(env!("CARGO_BIN_EXE_ff-relay")).parent().unwrap().display().to_string();
    let path = format!("{program}:{}", std::env::var("PATH").unwrap());
    let mut ran = 0;
    for block in document().split("```console\n").skip(1) {
        let block = block.split("```").next().unwrap();
        for line in block.lines().filter_map(|line| line.strip_prefix("$ ")) {
            if line.contains("jq") && shell.command("jq").arg("--version").output().is_err() {
                continue;
            }
            let (line, code) = line.split_once("  # exit ").unwrap_or((line, "0"));
            let output = shell.command("sh").env("PATH", &path).args(["-c", line]).output().unwrap();
            assert_eq!(output.status.code().unwrap().to_string(), code, "{line}: {output:?}");
            if line.contains("--target-json") {
                let said = String::from_utf8(output.stdout).unwrap();
                assert!(document().contains(&format!("It reads:\n\n```\n{said}```\n")), "{said}");
            }
            ran += 1;
        }
    }
    assert!(ran > 35, "{ran}");
}
