//! `set-log-level`, `resync`, `drain`.

use ff_relay::proto::admin::v1::LogLevel;
use serde_json::json;

use super::Shell;
use super::fake::{ENVIRONMENT, Fake, Script};

#[test]
fn orders_are_given_and_answers_told() {
    let fake = Fake::start(Script::default());
    let shell = Shell::at(fake.address, "t");
    assert_eq!(shell.run(&["set-log-level", "debug", "--for", "10m"]).good(), "log level DEBUG, before INFO\n");
    let level = fake.asked.lock().unwrap().level.unwrap();
    assert_eq!((level.level(), level.duration.unwrap().seconds), (LogLevel::Debug, 600));
    let value = shell.run(&["set-log-level", "warn", "--output", "json"]).json();
    assert_eq!(value, json!({"level": "WARN", "previous": "INFO"}));
    assert!(fake.asked.lock().unwrap().level.unwrap().duration.is_none());
    assert_eq!(shell.run(&["set-log-level", "loud"]).code, 64);
    assert_eq!(shell.run(&["set-log-level", "info", "--for", "ever"]).code, 64);
    assert_eq!(shell.run(&["resync", ENVIRONMENT]).good(), "e-1: its own source feeds it again\n");
    assert_eq!(
        shell.run(&["resync", "e-2", "--output", "json"]).json(),
        json!({"environment": "e-2", "wasPaused": false})
    );
    assert!(shell.run(&["drain"]).good().ends_with(" is ending\n"));
    assert!(fake.asked.lock().unwrap().drained);
}
