//! The lease: who of several primaries writes and asks upstream. Held for as
//! long as it is renewed; every holder has a higher token than the one
//! before, by which late writes of a former holder are refused.

use std::sync::LazyLock;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::keys::own;
use super::link::{Failure, Link, Script};

// PEXPIRE and DEL come first: they need no memory, and what follows them in
// a script may not fail for want of it. So a full Redis takes no lease away.
const TAKE: &str = r"
local lease, counter = KEYS[1], KEYS[2]
local holder = redis.call('HGET', lease, 'holder')
if holder and holder ~= ARGV[1] then return {'other'} end
if holder then
  redis.call('PEXPIRE', lease, ARGV[2])
  redis.call('HSET', lease, 'says', ARGV[4])
  local held = redis.call('HGET', lease, 'token')
  if tonumber(ARGV[3]) <= tonumber(held) then return {'held', held} end
  -- The counter was lost: environments have a higher one.
  held = string.format('%.0f', tonumber(ARGV[3]) + 1)
  redis.call('SET', counter, held)
  redis.call('HSET', lease, 'token', held)
  return {'held', held}
end
redis.call('DEL', lease)
local token = tonumber(redis.call('GET', counter) or '0')
if tonumber(ARGV[3]) > token then token = tonumber(ARGV[3]) end
token = string.format('%.0f', token + 1)
redis.call('SET', counter, token)
redis.call('HSET', lease, 'holder', ARGV[1], 'token', token, 'since', ARGV[5], 'says', ARGV[4])
redis.call('PEXPIRE', lease, ARGV[2])
return {'held', token}
";

const GIVE_BACK: &str = r"
if redis.call('HGET', KEYS[1], 'holder') == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
";

static TAKE_SCRIPT: LazyLock<Script> = LazyLock::new(|| Script::new(TAKE));
static GIVE_BACK_SCRIPT: LazyLock<Script> = LazyLock::new(|| Script::new(GIVE_BACK));

/// What the holder says of itself to the other relays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Says {
    /// For operators: host and port.
    pub name: String,
    /// How many it serves: who has fewer does not have all of what there is,
    /// whatever Redis has.
    pub environments: usize,
    /// Every key list is known and fresh.
    pub certain: bool,
    /// Key lists can be asked for.
    pub asks: bool,
    /// Environments whose source is away, and why.
    pub behind: Vec<(String, String)>,
    /// Only the Go proxies' layout is written, by one of them.
    pub yields: bool,
}

/// Who holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    pub id: String,
    pub token: u64,
    /// Unix milliseconds.
    pub since_ms: i64,
    pub says: Says,
}

/// The lease as one relay deals with it.
#[derive(Clone, Debug)]
pub struct Lease {
    pub link: Link,
    /// Random, of this process.
    pub id: String,
    pub lasts: Duration,
}

impl Lease {
    /// Takes or renews it; `None` if another relay has it. `seen` is the
    /// highest token ever seen: the counter may have been lost in a failover,
    /// and then a lease that is held gets a higher one.
    ///
    /// # Errors
    /// Redis does not say.
    pub async fn take(&self, seen: u64, says: &Says, now_ms: i64) -> Result<Option<u64>, Failure> {
        let says = serde_json::to_vec(says).unwrap_or_default();
        let lasts = self.lasts.as_millis().to_string().into_bytes();
        let arguments =
            [self.id.clone().into_bytes(), lasts, seen.to_string().into_bytes(), says, now_ms.to_string().into_bytes()];
        let keys = [own::LEASE, own::LEASE_TOKEN];
        let answer: Vec<String> = self.link.script(&TAKE_SCRIPT, &keys, &arguments).await?;
        match answer.first().map(String::as_str) {
            Some("held") => {
                let token = answer.get(1).and_then(|token| token.parse().ok());
                token.map(Some).ok_or_else(|| Failure::Wrong("the lease in Redis has no token".to_owned()))
            }
            _ => Ok(None),
        }
    }

    /// Gives it back, if it is held.
    ///
    /// # Errors
    /// Redis does not say.
    pub async fn give_back(&self) -> Result<(), Failure> {
        let _: i64 = self.link.script(&GIVE_BACK_SCRIPT, &[own::LEASE], &[self.id.clone().into_bytes()]).await?;
        Ok(())
    }

    /// Who has it; `None`: nobody.
    ///
    /// # Errors
    /// Redis does not say.
    pub async fn holder(&self) -> Result<Option<Holder>, Failure> {
        let mut command = redis::Cmd::new();
        command.arg("HMGET").arg(own::LEASE).arg(&["holder", "token", "since", "says"]);
        let (id, token, since, says): (Option<String>, Option<u64>, Option<i64>, Option<String>) =
            self.link.call(&command).await?;
        Ok(id.map(|id| Holder {
            id,
            token: token.unwrap_or_default(),
            since_ms: since.unwrap_or_default(),
            says: says.and_then(|says| serde_json::from_str(&says).ok()).unwrap_or_default(),
        }))
    }
}
