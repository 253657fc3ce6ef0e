//! A relay in this process, a plain client, and configuration to edit.

pub mod client;
pub mod configuration;
pub mod events;
pub mod grpc;
pub mod relay;
pub mod tar_by_hand;

use std::time::{Duration, Instant};

/// Waits for a condition, with a limit that no healthy machine reaches.
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited too long for {what}");
        // The pause only spares the processor; the condition decides.
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// Runs the program and gives what it printed.
pub fn run(arguments: &[&str]) -> String {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_ff-relay")).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
