//! The running relay: parts put together, tasks with an owner, a drain with
//! a deadline.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::admin_port::{self, Parts};
use super::announce::{Addresses, announce};
use super::facts::facts;
use super::generate::{GenerateError, generate};
use super::origin::Origin;
use super::ports::{metrics_listener, sdk_listener, stream_settings};
use super::redis::RedisSide;
use super::{StartError, limits, secret};
use crate::config::{Config, Mode};
use crate::evaluate::CompileOptions;
use crate::http::api::{Api, ApiCounts, ApiSettings};
use crate::http::connection::Site;
use crate::http::cors::Cors;
use crate::http::hold::Hold;
use crate::http::listener::{self};
use crate::http::stream::registry::StreamRegistry;
use crate::http::token::TokenKeys;
use crate::http::unshared::UnsharedAnswers;
use crate::lifecycle::readiness::Readiness;
use crate::lifecycle::supervisor::Supervisor;
use crate::source::administration::Administration;
use crate::source::intake::{Durable, Intake};
use crate::source::intake_queue::{IntakeQueue, intake_queue};
use crate::store::administration::Administrator;
use crate::store::durable::DataDir;
use crate::store::durable::persister;
use crate::store::source_status::SourceStatus;
use crate::store::{Store, StoreSettings};
use crate::telemetry::clock::unix_now_s;
use crate::telemetry::log_level::LogControl;
use crate::telemetry::logging::millis;
use crate::telemetry::upstream::UpstreamCounts;
use crate::usage::{Carrier, Usage, UsageSettings, UsageTask};

/// All expressions of one environment together.
const REGEX_BYTES_PER_ENVIRONMENT: usize = 512 * 1024 * 1024;
const REGEX_BYTES_PER_EXPRESSION: usize = 64 * 1024 * 1024;

/// A relay that listens.
pub struct Relay {
    addresses: Addresses,
    readiness: Arc<Readiness>,
    streams: Arc<StreamRegistry>,
    store: Store,
    connections: TaskTracker,
    listening: Supervisor,
    stop_listening: CancellationToken,
    background: Supervisor,
    stop_background: CancellationToken,
    usage: Arc<Usage>,
    /// Cancelled when an operator ends the process.
    drain_asked: CancellationToken,
    grace: Duration,
}

/// How the relay ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Everything was finished in time.
    Drained,
    /// The grace period was over first.
    Cut,
    /// A part failed.
    Failed,
}

impl Relay {
    /// Loads the configuration and listens.
    ///
    /// # Errors
    /// Why it cannot.
    pub async fn start(config: &Config) -> Result<Self, StartError> {
        let max_connections = limits::connections(config.http.max_connections);
        let durable = open_data_dir(config)?;
        let (stop_listening, stop_background) = (CancellationToken::new(), CancellationToken::new());
        let [mut listening, mut background] =
            [&stop_listening, &stop_background].map(|stop| Supervisor::new(stop.clone()));
        let redis = RedisSide::open(config).await?;
        let tokens = tokens(config, redis.as_ref(), durable.as_ref(), (&mut background, &stop_background)).await?;
        let (store, writer) = Store::new(store_settings(config));
        let mut intake = Intake::new(store.clone(), writer, durable.clone());
        intake.restore_imports(unix_now_s())?;
        let (queue, jobs) = intake_queue();
        let status = SourceStatus::default();
        let upstream = Arc::new(UpstreamCounts::default());
        let origin = Origin::load(config, (&mut intake, &queue), durable.as_ref(), &status, &upstream)?;
        let (usage, usage_task) = usage(config, &origin, redis.as_ref(), durable.as_ref());
        let receiver = redis.as_ref().and_then(|redis| redis.receiver(config, &usage, origin.carrier()));
        let role = redis.as_ref().map(|redis| redis.role.subscribe());
        let readiness = Arc::new(Readiness::new(facts(config, &store, &origin, &status, role)));
        let streams = StreamRegistry::new(stream_settings(&config.http));
        let api = Api {
            store: store.clone(),
            tokens,
            settings: api_settings(config),
            cors: Cors::new(&config.http.cors_allowed_origins),
            hold: Hold::default(),
            streams: Arc::clone(&streams),
            readiness: Arc::clone(&readiness),
            source: status.clone(),
            upstream: Arc::clone(&upstream),
            pending: durable.as_ref().map(|durable| Arc::clone(&durable.pending)),
            counts: ApiCounts::default(),
            usage: Arc::clone(&usage),
            unshared: UnsharedAnswers::default(),
            health: ArcSwapOption::empty(),
            metrics_readers: tokio::sync::Semaphore::new(crate::http::metrics::MAX_READERS),
        };
        let api = Arc::new(api);
        let connections = TaskTracker::new();
        let (sdk_listener, sdk) = sdk_listener(config, max_connections, &mut background, &stop_background)?;
        let sdk_site = Site { api: Arc::clone(&api), operations_only: false };
        listening.own("SDK port", listener::run(sdk_listener, sdk_site, connections.clone(), stop_listening.clone()));
        let prometheus = match metrics_listener(&config.http)? {
            Some((listener, address)) => {
                let site = Site { api, operations_only: true };
                listening
                    .own("metrics port", listener::run(listener, site, connections.clone(), stop_listening.clone()));
                Some(address)
            }
            None => None,
        };
        let (log, drain_asked) = (LogControl::new(config.log.level), CancellationToken::new());
        let parts = Parts {
            store: store.clone(),
            readiness: Arc::clone(&readiness),
            status: status.clone(),
            usage: Arc::clone(&usage),
            administrator: administrator(&origin, &queue, &store, durable.as_ref()),
            log: Arc::clone(&log),
            drain: drain_asked.clone(),
        };
        background.own("log level", log.run(stop_background.clone()));
        let grpc = admin_port::listen(config, parts, &mut listening, &stop_listening).await?;
        if let Some(durable) = durable {
            let Durable { directory, pending } = durable;
            let writing = persister::run(directory, store.clone(), pending, stop_background.clone());
            background.own("data directory", writing);
        }
        let addresses = Addresses { sdk, prometheus, grpc };
        announce(config, &store, &origin.name(), &addresses, max_connections);
        background.own("follower gates", Arc::clone(store.gates()).run(stop_background.clone()));
        background.own("configuration intake", jobs.run(intake, stop_background.clone()));
        let policy =
            origin.own_tasks(queue.clone(), &mut background, status.clone(), &stop_background, redis.is_some());
        if let Some(redis) = redis {
            let core = (queue, store.clone(), status);
            redis.own_task(config, (policy, receiver), core, &mut background, &stop_background);
        }
        if let Some((task, carrier)) = usage_task {
            background.own("SDK usage", task.run(carrier, stop_background.clone()));
        }
        let grace = config.shutdown_grace;
        Ok(Relay {
            addresses,
            readiness,
            streams,
            store,
            connections,
            listening,
            stop_listening,
            background,
            stop_background,
            usage,
            drain_asked,
            grace,
        })
    }

    /// The SDK port.
    #[must_use]
    pub fn sdk_address(&self) -> SocketAddr {
        self.addresses.sdk
    }

    /// The gRPC port, if it is on.
    #[must_use]
    pub fn grpc_address(&self) -> Option<SocketAddr> {
        self.addresses.grpc
    }

    /// The metrics port, if it has one of its own.
    #[must_use]
    pub fn prometheus_address(&self) -> Option<SocketAddr> {
        self.addresses.prometheus
    }

    /// Serves until `shutdown` ends or a part fails, then drains.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) -> Outcome {
        let failed = tokio::select! {
            () = shutdown => false,
            () = self.drain_asked.cancelled() => {
                tracing::info!("told to stop by the admin API");
                false
            }
            what = self.listening.failed() => says_failed(&what),
            what = self.background.failed() => says_failed(&what),
        };
        let drained = self.drain().await;
        match (failed, drained) {
            (true, _) => Outcome::Failed,
            (false, true) => Outcome::Drained,
            (false, false) => Outcome::Cut,
        }
    }

    async fn drain(mut self) -> bool {
        let started = Instant::now();
        tracing::info!(
            grace_ms = millis(self.grace),
            streams = self.streams.open_count(),
            "draining: no new connections, streams are closed"
        );
        self.readiness.begin_draining();
        self.stop_listening.cancel();
        self.streams.drain(self.grace / 2);
        self.store.index().environments.values().for_each(|environment| environment.wake_streams());
        self.connections.close();
        let connections = async {
            self.listening.finish().await;
            self.connections.wait().await;
        };
        let mut connections = std::pin::pin!(connections);
        // What SDKs reported goes upstream once they have ended, and in any
        // case while there is time.
        let ended = tokio::time::timeout(self.grace.mul_f64(0.75), &mut connections).await.is_ok();
        let rest = self.grace.saturating_sub(started.elapsed());
        let (in_time, _) = tokio::join!(
            async { ended || tokio::time::timeout(rest, connections).await.is_ok() },
            self.usage.flush(rest)
        );
        // What is accepted is written in any case.
        self.stop_background.cancel();
        let written =
            tokio::time::timeout(self.grace.max(Duration::from_secs(5)), self.background.finish()).await.is_ok();
        tracing::info!(
            duration_ms = millis(started.elapsed()),
            in_time = in_time && written,
            connections_cut = self.connections.len(),
            "stopped"
        );
        in_time && written
    }
}

fn says_failed(what: &str) -> bool {
    tracing::error!(what, "a part of the relay failed; the process ends");
    true
}

/// Writes `config-dir` from the online source, instead of serving.
///
/// # Errors
/// See [`GenerateError`].
pub async fn generate_offline_config(config: &Config) -> Result<(), GenerateError> {
    generate(config, compile_options(config)).await
}

fn compile_options(config: &Config) -> CompileOptions {
    CompileOptions {
        and_rules: config.and_rules,
        regex_bytes_per_expression: REGEX_BYTES_PER_EXPRESSION,
        regex_bytes_per_environment: REGEX_BYTES_PER_ENVIRONMENT,
    }
}

fn open_data_dir(config: &Config) -> Result<Option<Durable>, StartError> {
    let Some(path) = &config.data_dir else { return Ok(None) };
    Ok(Some(Durable { directory: Arc::new(DataDir::open(path)?), pending: Arc::default() }))
}

fn api_settings(config: &Config) -> ApiSettings {
    ApiSettings {
        bypass_auth: config.http.bypass_auth,
        target_validation: config.http.target_validation,
        mode: config.mode.name(),
    }
}

fn store_settings(config: &Config) -> StoreSettings {
    StoreSettings { compile: compile_options(config), max_targets: config.http.max_targets }
}

/// What signs and verifies SDK tokens, agreed on with the relays that share
/// a Redis.
async fn tokens(
    config: &Config,
    redis: Option<&RedisSide>,
    durable: Option<&Durable>,
    (background, stop): (&mut Supervisor, &CancellationToken),
) -> Result<Arc<ArcSwap<TokenKeys>>, StartError> {
    let own = secret::own_secret(config, durable.map(|durable| &*durable.directory), redis.is_some())?;
    match redis {
        Some(redis) => redis.tokens(own, background, stop).await,
        None => Ok(Arc::new(ArcSwap::from_pointee(own.keys(None)))),
    }
}

type Carried = (UsageTask, Arc<dyn Carrier>);

/// Where SDK usage goes, and the task that carries it, if it goes anywhere.
fn usage(
    config: &Config,
    origin: &Origin,
    redis: Option<&RedisSide>,
    durable: Option<&Durable>,
) -> (Arc<Usage>, Option<Carried>) {
    let carrier = match redis {
        Some(redis) if !matches!(config.mode, Mode::Offline(_)) => Some(redis.carrier(config, origin.carrier())),
        _ => origin.carrier(),
    };
    let Some(carrier) = carrier else { return (Usage::dropped(), None) };
    // A leader wants to know every target, whatever it does with them; a Go
    // primary, too.
    let register = config.upstream.forward_targets || matches!(config.mode, Mode::Peer(_) | Mode::Replica);
    let settings = UsageSettings::new(&config.usage, register);
    let (usage, task) = Usage::active(settings, durable.map(|durable| Arc::clone(&durable.directory)));
    (usage, Some((task, carrier)))
}

fn administrator(
    origin: &Origin,
    queue: &IntakeQueue,
    store: &Store,
    durable: Option<&Durable>,
) -> Arc<dyn Administrator> {
    let directory = durable.map(|durable| &*durable.directory);
    Arc::new(Administration::new(queue.clone(), store.clone(), origin.owner(), origin.ask_anew(), directory))
}
