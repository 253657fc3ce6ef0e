//! The secret that signs SDK tokens, shared: the first relay's own goes in,
//! all sign with what is there, so a token of one is good at all.

use std::time::Duration;

use redis::Cmd;
use tokio_util::sync::CancellationToken;

use super::keys::{go, own};
use super::link::{Failure, Link};
use crate::config::Secret;

/// Looked at this often: another relay may have added one, or Redis lost it.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Earlier secrets that are taken from Redis.
const MOST: usize = 100;

/// What all relays go by.
#[derive(Clone, Debug)]
pub struct Agreed {
    pub signing: Secret,
    /// These verify, too.
    pub earlier: Vec<Secret>,
}

impl Agreed {
    fn same(&self, other: &Agreed) -> bool {
        let texts = |it: &Agreed| {
            let mut texts: Vec<String> = it.earlier.iter().map(|secret| secret.expose().to_owned()).collect();
            texts.sort_unstable();
            texts
        };
        self.signing.expose() == other.signing.expose() && texts(self) == texts(other)
    }
}

/// Puts `ours` in, if nothing is there, and gives what is. `given`: an
/// operator gave every relay this one, so nothing is put. `used`: tokens may
/// have been signed with ours, so that it has to verify everywhere.
///
/// # Errors
/// Redis does not say.
pub async fn agree(link: &Link, ours: &Secret, given: bool, used: bool) -> Result<Agreed, Failure> {
    if !given {
        let mut command = Cmd::new();
        command.arg("SET").arg(own::AUTH_SECRET).arg(ours.expose()).arg("NX");
        let _: Option<String> = link.call(&command).await?;
    }
    let mut command = Cmd::new();
    command.arg("GET").arg(own::AUTH_SECRET);
    let signing: Option<String> = link.call(&command).await?;
    let signing = signing.filter(|text| !text.is_empty()).map_or_else(|| ours.clone(), Secret::new);
    if used && !given && signing.expose() != ours.expose() {
        let mut command = Cmd::new();
        command.arg("SADD").arg(own::AUTH_SECRETS).arg(ours.expose());
        let _: i64 = link.call(&command).await?;
    }
    let mut command = Cmd::new();
    command.arg("SMEMBERS").arg(own::AUTH_SECRETS);
    let earlier: Vec<String> = link.call(&command).await?;
    Ok(Agreed { signing, earlier: earlier.into_iter().take(MOST).map(Secret::new).collect() })
}

/// Earlier secrets that this relay knows are good at all.
async fn put_back(link: &Link, earlier: &[Secret]) -> Result<(), Failure> {
    if earlier.is_empty() || exists(link, own::AUTH_SECRETS).await? {
        return Ok(());
    }
    let mut command = Cmd::new();
    command.arg("SADD").arg(own::AUTH_SECRETS);
    earlier.iter().for_each(|secret| {
        command.arg(secret.expose());
    });
    let _: i64 = link.call(&command).await?;
    Ok(())
}

/// True where a Go proxy has been and none of ours: it signs with a secret
/// of its own, which nobody gave this relay.
///
/// # Errors
/// Redis does not say.
pub async fn is_go_only(link: &Link) -> Result<bool, Failure> {
    for key in [own::AUTH_SECRET, own::ENVIRONMENTS] {
        if exists(link, key).await? {
            return Ok(false);
        }
    }
    for key in [go::STREAM_HEALTH, go::EVENTS, go::CONTROL] {
        if exists(link, key).await? {
            return Ok(true);
        }
    }
    // v1 leaves no other trace.
    Ok(!link.scan(&format!("{}*", go::AUTH_KEY_PREFIX), 1).await?.is_empty())
}

async fn exists(link: &Link, key: &str) -> Result<bool, Failure> {
    let mut command = Cmd::new();
    command.arg("EXISTS").arg(key);
    Ok(link.call::<i64>(&command).await? > 0)
}

/// Keeps agreeing. `now` is what this relay goes by; `take` is told of every
/// change.
pub struct SecretKeeper {
    pub link: Link,
    /// What this relay signs with where nothing is there.
    pub ours: Secret,
    /// See [`agree`].
    pub given: bool,
    /// `None`: Redis was away at the start, and tokens are signed with ours.
    pub agreed: Option<Agreed>,
    pub take: Box<dyn Fn(&Agreed) + Send>,
    pub stop: CancellationToken,
}

impl SecretKeeper {
    /// Until told to stop.
    pub async fn run(mut self) {
        let mut warned = false;
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY.mul_f64(0.5 + rand::random::<f64>())) => {}
                () = self.stop.cancelled() => return,
            }
            if self.agreed.is_none()
                && !self.given
                && !std::mem::replace(&mut warned, true)
                && is_go_only(&self.link).await == Ok(true)
            {
                tracing::error!(
                    "Redis was filled by a Go proxy, which signs SDK tokens with its own AUTH_SECRET, and no auth-secret is \
                     given here: SDKs that move between the two are refused; give both the same one"
                );
            }
            // Who speaks of a Redis that is away is the member.
            let ours = self.agreed.as_ref().map_or(&self.ours, |agreed| &agreed.signing);
            if let Some(known) = &self.agreed {
                // Redis may have lost them.
                let _ = put_back(&self.link, &known.earlier).await;
            }
            if let Ok(agreed) = agree(&self.link, ours, self.given, true).await
                && !self.agreed.as_ref().is_some_and(|known| known.same(&agreed))
            {
                if self.given && agreed.signing.expose() != self.ours.expose() {
                    tracing::warn!(
                        "auth-secret is given here, and other relays on this Redis sign SDK tokens with another secret: \
                         tokens of this relay are refused there; give all of them the same auth-secret"
                    );
                }
                (self.take)(&agreed);
                self.agreed = Some(agreed);
            }
        }
    }
}
