//! What became of a scenario with each SDK. An SDK mostly waits (a stream must prove itself for longer than the SDK's read
//! timeout), and libtest runs no more tests at once than there are cores. So all SDKs run beside each other, and every test then
//! tells its own outcome.

use std::any::Any;
use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use crate::sdk_process::Sdk;

/// Times worth telling, one line each.
pub type Report = Vec<String>;

pub struct Outcomes(Vec<(Sdk, Outcome)>);

enum Outcome {
    NotAsked,
    Missing(String),
    Passed(Report),
    Failed(String),
}

impl Outcomes {
    /// Runs the SDKs that `SDKS` names, or all of them.
    pub fn of(scenario: fn(Sdk) -> Report) -> Self {
        let asked = &env::var("SDKS").unwrap_or_default();
        thread::scope(|scope| {
            let runs = Sdk::ALL.map(|sdk| (sdk, scope.spawn(move || outcome(scenario, sdk, asked))));
            Self(runs.into_iter().map(|(sdk, run)| (sdk, run.join().unwrap())).collect())
        })
    }

    /// A missing runtime is named, and is a failure where `CI` is set.
    pub fn tell(&self, sdk: Sdk) {
        let (_, outcome) = self.0.iter().find(|(each, _)| *each == sdk).unwrap();
        let name = sdk.name();
        match outcome {
            Outcome::NotAsked => println!("{name}: not asked for by SDKS"),
            Outcome::Missing(what) if env::var_os("CI").is_some() => panic!("{name}: {what}"),
            Outcome::Missing(what) => println!("{name}: NOT TESTED: {what}"),
            Outcome::Passed(report) => println!("{name}:\n  {}", report.join("\n  ")),
            Outcome::Failed(why) => {
                panic!("{name}: {why} (logs: in the output of the first test of this file)")
            }
        }
    }
}

fn outcome(scenario: fn(Sdk) -> Report, sdk: Sdk, asked: &str) -> Outcome {
    if !asked.is_empty() && !asked.split(',').any(|name| name == sdk.name()) {
        return Outcome::NotAsked;
    }
    if let Some(missing) = sdk.missing() {
        return Outcome::Missing(missing);
    }
    match catch_unwind(AssertUnwindSafe(|| scenario(sdk))) {
        Ok(report) => Outcome::Passed(report),
        Err(panic) => Outcome::Failed(text(panic.as_ref())),
    }
}

fn text(panic: &(dyn Any + Send)) -> String {
    let owned = panic.downcast_ref::<String>().cloned();
    owned.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_else(|| "no text".to_owned())
}
