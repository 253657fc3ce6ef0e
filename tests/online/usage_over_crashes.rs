//! SDK metrics when the relay ends: told to, or without a word.

use std::ffi::{OsStr, OsString};
use std::time::Duration;

use crate::fake_harness::{FakeHarness, Fault, Route};
use crate::relay_process::RelayProcess;
use crate::setup::{Sdk, one_environment};
use crate::support::configuration::{ENVIRONMENT, KEY};
use crate::support::wait_for;
use crate::usage::{SOON, arrives};

/// The relay as a process, with these options beside.
fn process(fake: &FakeHarness, more: &[String]) -> RelayProcess {
    let fixed = ["--listen-address=127.0.0.1", "--grpc-address=off", "--shutdown-grace=5s"].map(str::to_owned);
    let all = fake.api_key_options(&[KEY]).into_iter().chain(fixed).chain(more.iter().cloned());
    let arguments: Vec<OsString> = all.map(OsString::from).collect();
    RelayProcess::start(OsStr::new(env!("CARGO_BIN_EXE_ff-relay")), &arguments)
}

fn sdk_of(process: &RelayProcess) -> Sdk {
    Sdk::connect(process.address(), KEY, ENVIRONMENT)
}

#[test]
fn sigterm_flushes() {
    let fake = one_environment();
    let process = process(&fake, &["--metric-post-duration=3600".to_owned()]);
    let sdk = sdk_of(&process);
    sdk.used("a", 5);
    sdk.used("a", 6);
    assert!(process.stop().success());
    assert_eq!(fake.counted(ENVIRONMENT, "a"), 11);
}

#[test]
fn what_could_not_be_flushed_waits_in_the_data_directory() {
    let fake = one_environment();
    let data = tempfile::tempdir().unwrap();
    let options = [format!("--data-dir={}", data.path().display()), SOON.to_owned()];
    let first = process(&fake, &options);
    let sdk = sdk_of(&first);
    fake.stop();
    sdk.used("a", 5);
    first.stop();
    fake.restart();
    let _second = process(&fake, &options);
    arrives(&fake, "a", 5);
}

#[test]
fn a_crash_loses_no_more_than_the_last_second() {
    let fake = one_environment();
    let data = tempfile::tempdir().unwrap();
    let option = format!("--data-dir={}", data.path().display());
    let first = process(&fake, &[option.clone(), "--metric-post-duration=3600".to_owned()]);
    let sdk = sdk_of(&first);
    sdk.used("a", 5);
    // The stated second, and one for a busy machine.
    std::thread::sleep(Duration::from_secs(2));
    // Dropped without being told: killed.
    drop(first);
    assert_eq!(fake.counted(ENVIRONMENT, "a"), 0);
    let _second = process(&fake, &[option, SOON.to_owned()]);
    arrives(&fake, "a", 5);
}

#[test]
fn a_crash_during_an_outage_keeps_the_frozen_batch() {
    let fake = one_environment();
    let data = tempfile::tempdir().unwrap();
    let options = [format!("--data-dir={}", data.path().display()), SOON.to_owned()];
    let first = process(&fake, &options);
    let sdk = sdk_of(&first);
    let planted = fake.fail(Route::Metrics).with(Fault::status(503));
    sdk.used("a", 5);
    wait_for("an attempt", || (planted.hits() >= 1).then_some(()));
    let frozen = fake.requests(Route::Metrics)[0].body.clone();
    std::thread::sleep(Duration::from_secs(2));
    drop(first);
    fake.clear(&planted);
    let _second = process(&fake, &options);
    arrives(&fake, "a", 5);
    assert_eq!(fake.metrics(ENVIRONMENT)[0].body, frozen, "the same batch, byte for byte");
}
