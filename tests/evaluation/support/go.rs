//! Go's own packages, asked through a small program.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "for tests"
)]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

/// The program, built once per test binary; none, with a message, where there is no Go.
///
/// Where `CI` is set, Go must be there.
pub fn reference(test: &str) -> Option<PathBuf> {
    let there = Command::new("go").arg("version").output().is_ok_and(|output| output.status.success());
    if !there {
        assert!(std::env::var_os("CI").is_none(), "{test} needs go, which CI must have");
        eprintln!("NOT RUN: {test} needs go on the PATH");
        return None;
    }
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("reference-{test}"));
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/evaluation/go/regexp");
    let built = Command::new("go")
        .args(["build", "-o"])
        .arg(&program)
        .arg(".")
        .current_dir(source)
        .env("GOFLAGS", "-mod=mod")
        .env("GOWORK", "off")
        .env("GOTOOLCHAIN", "local")
        .output()
        .expect("go build starts");
    assert!(built.status.success(), "go build: {}", String::from_utf8_lossy(&built.stderr));
    Some(program)
}

/// Runs the program on `input` and returns the lines of its answer.
pub fn ask(program: &Path, question: &str, input: String) -> Vec<String> {
    let mut child = Command::new(program)
        .arg(question)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the reference starts");
    let mut stdin = child.stdin.take().expect("it has an input");
    // The program answers while it reads.
    let writer = thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().expect("it ends");
    writer.join().expect("writing ends").expect("it reads everything");
    assert!(output.status.success());
    String::from_utf8(output.stdout).expect("it writes text").lines().map(ToOwned::to_owned).collect()
}

/// A small generator of numbers, the same on every run.
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, sides: usize) -> usize {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        usize::try_from(mixed % u64::try_from(sides).unwrap()).unwrap()
    }

    pub fn pick<'c>(&mut self, choices: &[&'c str]) -> &'c str {
        choices[self.roll(choices.len())]
    }
}
