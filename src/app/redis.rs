//! Redis put together: the link, the shared secret, the member of the fleet.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::StartError;
use super::secret::OwnSecret;
use crate::config::{Config, Mode, Secret};
use crate::http::token::TokenKeys;
use crate::lifecycle::supervisor::Supervisor;
use crate::source::intake_queue::IntakeQueue;
use crate::source::redis::lease::Lease;
use crate::source::redis::link::Link;
use crate::source::redis::member::{Member, MemberParts};
use crate::source::redis::own_source::Policy;
use crate::source::redis::probe::probe;
use crate::source::redis::secrets::{Agreed, SecretKeeper, agree, is_go_only};
use crate::source::redis::usage::carrier::FleetCarrier;
use crate::source::redis::usage::receiver::Receiver;
use crate::store::Store;
use crate::store::redis_state::RedisRole;
use crate::store::source_status::SourceStatus;
use crate::usage::{Carrier, Usage};

/// A start does not wait longer for Redis: what else there is is served.
const START_WITHIN: Duration = Duration::from_secs(3);

/// The relay's side of Redis.
pub struct RedisSide {
    pub link: Link,
    pub lease: Lease,
    pub role: watch::Sender<RedisRole>,
}

impl RedisSide {
    /// Opens the link, if there is an address, and looks whether it can work.
    ///
    /// # Errors
    /// What cannot work, and why.
    pub async fn open(config: &Config) -> Result<Option<Self>, StartError> {
        let Some(redis) = &config.redis else { return Ok(None) };
        let link = Link::new(redis, config.upstream.ca_bundle.as_deref(), config.upstream.connect_timeout)?;
        match tokio::time::timeout(START_WITHIN, probe(&link, !matches!(config.mode, Mode::Replica))).await {
            Ok(Ok(true)) => tracing::info!(redis = link.name(), "Redis can be used"),
            Ok(Ok(false)) | Err(_) => {
                tracing::warn!(
                    redis = link.name(),
                    "Redis does not answer yet; what else there is is served meanwhile"
                );
            }
            Ok(Err(reason)) => return Err(StartError::Redis(reason)),
        }
        let id = format!("{:016x}", rand::random::<u64>());
        let lease = Lease { link: link.clone(), id, lasts: redis.lease };
        Ok(Some(RedisSide { link, lease, role: watch::Sender::new(RedisRole::Undecided) }))
    }

    /// The secrets of SDK tokens, shared with the other relays, and the task
    /// that keeps them so.
    ///
    /// # Errors
    /// A Go proxy signs with a secret that nobody gave this relay.
    pub async fn tokens(
        &self,
        own: OwnSecret,
        background: &mut Supervisor,
        stop: &CancellationToken,
    ) -> Result<Arc<ArcSwap<TokenKeys>>, StartError> {
        let tokens = Arc::new(ArcSwap::from_pointee(own.keys(None)));
        let agreed = match tokio::time::timeout(START_WITHIN, self.first_agreement(&own)).await {
            Ok(Ok(agreed)) => Some(agreed),
            Ok(Err(AgreeError::Go)) => return Err(StartError::Redis(GO_SECRET.to_owned())),
            Ok(Err(AgreeError::Away)) | Err(_) => None,
        };
        if let Some(agreed) = &agreed {
            tokens.store(Arc::new(own.keys(Some(agreed))));
        }
        let (told, ours) = (Arc::clone(&tokens), own.signing.clone());
        let keeper = SecretKeeper {
            link: self.link.clone(),
            ours,
            given: own.given,
            agreed,
            take: Box::new(move |agreed| told.store(Arc::new(own.keys(Some(agreed))))),
            stop: stop.clone(),
        };
        background.own("shared secret", keeper.run());
        Ok(tokens)
    }

    async fn first_agreement(&self, own: &OwnSecret) -> Result<Agreed, AgreeError> {
        let away = |_| AgreeError::Away;
        if !own.given && is_go_only(&self.link).await.map_err(away)? {
            return Err(AgreeError::Go);
        }
        agree(&self.link, &own.signing, own.given, own.lasts).await.map_err(away)
    }

    /// The way of SDK usage: `upstream`'s while the own source runs.
    #[must_use]
    pub fn carrier(&self, config: &Config, upstream: Option<Arc<dyn Carrier>>) -> Arc<dyn Carrier> {
        let most = config.redis.as_ref().map_or(1, |redis| redis.metrics_stream_max_len);
        Arc::new(FleetCarrier { link: self.link.clone(), upstream, role: self.role.subscribe(), most })
    }

    /// What takes the usage of other relays while this one leads.
    #[must_use]
    pub fn receiver(
        &self,
        config: &Config,
        usage: &Arc<Usage>,
        upstream: Option<Arc<dyn Carrier>>,
    ) -> Option<Receiver> {
        let (upstream, redis) = (upstream?, config.redis.as_ref()?);
        let (usage, at_once) = (Arc::clone(usage), redis.metrics_stream_read_concurrency);
        let (link, most) = (self.link.clone(), redis.metrics_stream_max_len);
        Some(Receiver { link, usage, upstream, at_once, most, taken: Arc::default() })
    }

    /// Hands the member over to its task.
    pub fn own_task(
        self,
        config: &Config,
        (policy, receiver): (Policy, Option<Receiver>),
        (queue, store, status): (IntakeQueue, Store, SourceStatus),
        background: &mut Supervisor,
        stop: &CancellationToken,
    ) {
        let parts = MemberParts {
            link: self.link,
            lease: self.lease,
            policy,
            queue,
            store,
            status,
            role: self.role,
            name: name(config),
            receiver,
        };
        background.own("Redis", Member::new(parts).run(stop.clone()));
    }
}

enum AgreeError {
    Away,
    Go,
}

const GO_SECRET: &str = "Redis was filled by a Go proxy, which signs SDK tokens with its own AUTH_SECRET, and no \
                         auth-secret is given here: running SDKs would be refused. Give this relay the same auth-secret";

/// How operators and other relays call this one.
fn name(config: &Config) -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    format!("{host}:{}", config.http.port)
}

/// Every secret that verifies, and the one that signs.
impl OwnSecret {
    /// With what the relays agreed on; `None`: alone.
    #[must_use]
    pub fn keys(&self, agreed: Option<&Agreed>) -> TokenKeys {
        let mut also: Vec<Secret> = self.also.clone();
        let signing = match agreed {
            Some(agreed) => {
                also.extend(agreed.earlier.iter().cloned());
                also.push(self.signing.clone());
                if self.given {
                    also.push(agreed.signing.clone());
                }
                if self.given { &self.signing } else { &agreed.signing }
            }
            None => &self.signing,
        };
        TokenKeys::new(signing, &also, self.legacy_tokens)
    }
}
