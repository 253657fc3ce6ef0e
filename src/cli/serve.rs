//! `ff-relay` and `ff-relay serve`: run the relay.

use std::process::ExitCode;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use crate::app::{self, GenerateError, Outcome, Relay, StartError};
use crate::config::{self, Config, Mode, Request};
use crate::source::file::Location;
use crate::telemetry::logging;

/// From arguments to exit code.
#[must_use]
pub fn run(arguments: &[String]) -> ExitCode {
    match config::from_process(arguments) {
        Ok(Request::Run(config)) => serve(&config),
        Ok(Request::Check(config)) => check(&config),
        Ok(Request::PrintConfig(text) | Request::Help(text)) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Ok(Request::Version) => {
            println!("ff-relay {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
        Err(errors) => {
            eprintln!("{errors}");
            ExitCode::from(errors.exit_code())
        }
    }
}

fn serve(config: &Config) -> ExitCode {
    logging::start(config.log);
    config.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    config.notices.iter().for_each(|notice| tracing::info!("{notice}"));
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "the runtime cannot be started");
            return ExitCode::FAILURE;
        }
    };
    survive_file_size_limit(&runtime);
    if config.generate_offline_config {
        return match runtime.block_on(app::generate_offline_config(config)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                tracing::error!("{error}");
                match error {
                    GenerateError::Start(error) => ExitCode::from(error.exit_code()),
                    _ => ExitCode::FAILURE,
                }
            }
        };
    }
    let ended = runtime.block_on(async {
        let relay = Relay::start(config).await?;
        Ok::<Outcome, StartError>(relay.run(signalled()).await)
    });
    // What did not end in time is cut here.
    runtime.shutdown_timeout(Duration::from_millis(200));
    match ended {
        Ok(Outcome::Failed) => ExitCode::FAILURE,
        Ok(Outcome::Drained | Outcome::Cut) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::from(error.exit_code())
        }
    }
}

/// A write beyond the limit of file sizes fails then, as on a full disk;
/// without a handler the signal would end the process.
fn survive_file_size_limit(runtime: &tokio::runtime::Runtime) {
    const SIGXFSZ: i32 = 25;
    let _runtime = runtime.enter();
    // The handler stays when the listener is gone.
    if let Err(error) = signal(SignalKind::from_raw(SIGXFSZ)) {
        tracing::warn!(%error, "a write beyond the limit of file sizes would end the process");
    }
}

async fn signalled() {
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        tracing::error!("signals cannot be waited for; kill the process to end it");
        return std::future::pending().await;
    };
    let name = tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    };
    tracing::info!(signal = name, "told to stop");
}

fn check(config: &Config) -> ExitCode {
    let Mode::Offline(offline) = &config.mode else {
        println!("the options are good");
        return ExitCode::SUCCESS;
    };
    match super::verify::report(&Location::of(&offline.path)) {
        Ok(report) if report.errors.is_empty() => {
            println!("the options are good; {}", report.summary());
            ExitCode::SUCCESS
        }
        Ok(report) => {
            report.errors.iter().for_each(|error| eprintln!("{error}"));
            ExitCode::from(config::EXIT_USAGE)
        }
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
