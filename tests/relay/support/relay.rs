//! Starts the library as `main` does, with ports chosen by the system.

use std::net::SocketAddr;
use std::path::Path;
use std::thread::JoinHandle;

use ff_relay::app::{Outcome, Relay, StartError};
use ff_relay::config::{self, Request};
use tokio::sync::oneshot;

/// A relay on a thread of its own; dropping it drains it.
pub struct TestRelay {
    pub sdk: SocketAddr,
    pub grpc: Option<SocketAddr>,
    pub prometheus: Option<SocketAddr>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Outcome>>,
}

impl TestRelay {
    /// Serves a directory or archive with further options.
    pub fn offline(path: &Path, options: &[&str]) -> TestRelay {
        Self::try_offline(path, options).unwrap_or_else(|error| panic!("the relay did not start: {error}"))
    }

    pub fn try_offline(path: &Path, options: &[&str]) -> Result<TestRelay, StartError> {
        let path = format!("--config-dir={}", path.display());
        let mut arguments = vec!["--offline", &path];
        arguments.extend(options);
        Self::start(&arguments)
    }

    pub fn start(options: &[&str]) -> Result<TestRelay, StartError> {
        let mut arguments: Vec<String> = ["--port=0", "--listen-address=127.0.0.1", "--grpc-address=127.0.0.1:0"]
            .iter()
            .filter(|default| !options.iter().any(|given| given.starts_with(default.split('=').next().unwrap())))
            .chain(options)
            .map(ToString::to_string)
            .collect();
        if !options.iter().any(|option| option.starts_with("--shutdown-grace")) {
            arguments.push("--shutdown-grace=1s".into());
        }
        let request = config::parse(&arguments, &config::Process).unwrap_or_else(|errors| panic!("{errors}"));
        let Request::Run(config) = request else { panic!("not a run") };
        let (started, addresses) = std::sync::mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            let outcome = runtime.block_on(async {
                match Relay::start(&config).await {
                    Ok(relay) => {
                        let addresses = (relay.sdk_address(), relay.grpc_address(), relay.prometheus_address());
                        started.send(Ok(addresses)).unwrap();
                        relay.run(async { drop(stopped.await) }).await
                    }
                    Err(error) => {
                        started.send(Err(error)).unwrap();
                        Outcome::Failed
                    }
                }
            });
            runtime.shutdown_timeout(std::time::Duration::from_secs(1));
            outcome
        });
        let (sdk, grpc, prometheus) = addresses.recv().expect("the relay's thread has died")?;
        Ok(TestRelay { sdk, grpc, prometheus, stop: Some(stop), thread: Some(thread) })
    }

    /// Stops it and says how it ended.
    pub fn stop(mut self) -> Outcome {
        self.end().unwrap()
    }

    /// Waits until it has ended by itself.
    pub fn ended(mut self) -> Outcome {
        let outcome = self.thread.take().map(|thread| thread.join().expect("the relay has panicked"));
        outcome.unwrap()
    }

    /// Tells it to stop without waiting.
    pub fn begin_stop(&mut self) {
        drop(self.stop.take());
    }

    fn end(&mut self) -> Option<Outcome> {
        drop(self.stop.take());
        self.thread.take().map(|thread| thread.join().expect("the relay has panicked"))
    }
}

impl Drop for TestRelay {
    fn drop(&mut self) {
        self.end();
    }
}
