//! The running relay: parts put together, tasks with an owner, a drain with
//! a deadline.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::admin_port::{self, Parts};
use super::announce::{Addresses, announce};
use super::facts::facts;
use super::generate::{GenerateError, generate};
use super::origin::Origin;
use super::redis::RedisSide;
use super::{StartError, limits, secret};
use crate::config::{Config, HttpConfig, Mode};
use crate::evaluate::CompileOptions;
use crate::http::api::{Api, ApiCounts, ApiSettings};
use crate::http::connection::{Site, Timeouts};
use crate::http::cors::Cors;
use crate::http::hold::Hold;
use crate::http::listener::{self, Listener, bind};
use crate::http::stream::cursor::EventRepeat;
use crate::http::stream::registry::{StreamRegistry, StreamSettings};
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
use crate::tls::Certificate;
use crate::usage::{Carrier, Usage, UsageSettings, UsageTask};

/// All expressions of one environment together.
const REGEX_BYTES_PER_ENVIRONMENT: usize = 512 * 1024 * 1024;
const REGEX_BYTES_PER_EXPRESSION: usize = 64 * 1024 * 1024;

/// A relay that listens.
pub struct Relay {
    addresses: Addresses,
    readiness: Arc<Readiness>,
    streams: Arc<StreamRegistry>,
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
        let durable = match &config.data_dir {
            Some(path) => Some(Durable { directory: Arc::new(DataDir::open(path)?), pending: Arc::default() }),
            None => None,
        };
        let (stop_listening, stop_background) = (CancellationToken::new(), CancellationToken::new());
        let [mut listening, mut background] = [&stop_listening, &stop_background].map(|stop| Supervisor::new(stop.clone()));
        let redis = RedisSide::open(config).await?;
        let own = secret::own_secret(config, durable.as_ref().map(|durable| &*durable.directory), redis.is_some())?;
        let tokens = match &redis {
            Some(redis) => redis.tokens(own, &mut background, &stop_background).await?,
            None => Arc::new(ArcSwap::from_pointee(own.keys(None))),
        };
        let (store, writer) = Store::new(store_settings(config));
        let mut intake = Intake::new(store.clone(), writer, durable.clone());
        intake.restore_imports(unix_now_s())?;
        let (queue, jobs) = intake_queue();
        let status = SourceStatus::default();
        let upstream = Arc::new(UpstreamCounts::default());
        let origin = Origin::load(config, (&mut intake, &queue), durable.as_ref(), &status, &upstream)?;
        let (usage, usage_task) = usage(config, &origin, redis.as_ref(), durable.as_ref());
        let receiver = redis.as_ref().and_then(|redis| redis.receiver(config, &usage, origin.carrier()));
        let readiness = Arc::new(Readiness::new(facts(config, &store, &origin, &status, redis.as_ref().map(|redis| redis.role.subscribe()))));
        let streams = StreamRegistry::new(stream_settings(&config.http));
        let api = Arc::new(Api {
            store: store.clone(),
            tokens,
            settings: ApiSettings {
                bypass_auth: config.http.bypass_auth,
                target_validation: config.http.target_validation,
                mode: config.mode.name(),
            },
            cors: Cors::new(&config.http.cors_allowed_origins),
            hold: Hold::default(),
            streams: Arc::clone(&streams),
            readiness: Arc::clone(&readiness),
            source: status.clone(),
            upstream: Arc::clone(&upstream),
            pending: durable.as_ref().map(|durable| Arc::clone(&durable.pending)),
            counts: ApiCounts::default(),
            usage: Arc::clone(&usage),
            metrics_readers: tokio::sync::Semaphore::new(crate::http::metrics::MAX_READERS),
        });

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
            administrator: administrator(&origin, &queue, durable.as_ref()),
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
        let policy = origin.own_tasks(queue.clone(), &mut background, status.clone(), &stop_background, redis.is_some());
        if let Some(redis) = redis {
            redis.own_task(config, (policy, receiver), (queue, store, status), &mut background, &stop_background);
        }
        if let Some((task, carrier)) = usage_task {
            background.own("SDK usage", task.run(carrier, stop_background.clone()));
        }
        let grace = config.shutdown_grace;
        Ok(Relay {
            addresses,
            readiness,
            streams,
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

fn store_settings(config: &Config) -> StoreSettings {
    StoreSettings { compile: compile_options(config), max_targets: config.http.max_targets }
}

fn stream_settings(http: &HttpConfig) -> StreamSettings {
    StreamSettings {
        max_streams: http.max_streams.unwrap_or(usize::MAX),
        max_streams_per_environment: http.max_streams_per_environment.unwrap_or(usize::MAX),
        max_stream_age: http.max_stream_age,
        event_repeat: match http.event_repeat {
            Some(after) => Some(EventRepeat { after, always: true }),
            None => http.event_repeat_with_followers.map(|after| EventRepeat { after, always: false }),
        },
        write_timeout: http.write_timeout,
    }
}

fn timeouts(http: &HttpConfig) -> Timeouts {
    Timeouts { headers: http.header_timeout, idle: http.idle_timeout, write: http.write_timeout }
}

fn sdk_listener(
    config: &Config,
    max_connections: usize,
    background: &mut Supervisor,
    stop: &CancellationToken,
) -> Result<(Listener, SocketAddr), StartError> {
    let tcp = bind_port(config.http.listen_address, config.http.port)?;
    let address = local(&tcp, config.http.port)?;
    let tls = match &config.http.tls {
        None => None,
        Some(files) => {
            let certificate = Certificate::load(files)?;
            let acceptor = certificate.acceptor(&[b"h2", b"http/1.1"])?;
            background.own("TLS certificate watch", certificate.watch(stop.clone()));
            Some(acceptor)
        }
    };
    Ok((Listener { tcp, tls, timeouts: timeouts(&config.http), max_connections }, address))
}

/// The metrics port and its address, if it has one of its own.
fn metrics_listener(http: &HttpConfig) -> Result<Option<(Listener, SocketAddr)>, StartError> {
    let Some(port) = http.prometheus_port else {
        return Ok(None);
    };
    let tcp = bind_port(http.listen_address, port)?;
    let address = local(&tcp, port)?;
    Ok(Some((Listener { tcp, tls: None, timeouts: timeouts(http), max_connections: 256 }, address)))
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

fn administrator(origin: &Origin, queue: &IntakeQueue, durable: Option<&Durable>) -> Arc<dyn Administrator> {
    let directory = durable.map(|durable| &*durable.directory);
    Arc::new(Administration::new(queue.clone(), origin.owner(), origin.ask_anew(), directory))
}

fn bind_port(address: Option<IpAddr>, port: u16) -> Result<TcpListener, StartError> {
    let failed = |source| StartError::Listen { port, source };
    match address {
        Some(address) => bind(SocketAddr::new(address, port)).map_err(failed),
        // Machines without IPv6 have only the other one.
        None => bind(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port))
            .or_else(|_| bind(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port)))
            .map_err(failed),
    }
}

pub(super) fn local(tcp: &TcpListener, port: u16) -> Result<SocketAddr, StartError> {
    tcp.local_addr().map_err(|source| StartError::Listen { port, source })
}
