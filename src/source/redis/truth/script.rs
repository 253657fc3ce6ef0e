//! The one script that writes an environment: refused for a lease token
//! below the stored one, and done whole or not at all. On a server that is
//! no cluster it writes mirror and bus in the same step; on a cluster those
//! lie in other slots and are written by whoever calls.

use std::sync::LazyLock;

use super::plan::TruthPlan;
use crate::snapshot::Revision;
use crate::snapshot::content::EnvironmentId;
use crate::source::redis::bus::Word;
use crate::source::redis::keys::{go, own};
use crate::source::redis::link::{Failure, Link, Script};
use crate::source::redis::mirror::{Plan as MirrorPlan, Write};

/// Entries of the bus, and of the Go proxies' stream of events.
pub const STREAM_ENTRIES: &str = "10000";

// HSET comes first: without memory nothing is done. What follows may not
// fail for want of it once something was written.
const WRITE: &str = r"
local truth, at = KEYS[1], 0
local function take() at = at + 1; return ARGV[at] end
local token, base, revision = take(), take(), take()
local kind = redis.call('TYPE', truth)['ok']
if kind ~= 'hash' and kind ~= 'none' then redis.call('DEL', truth) end
local stored = redis.call('HGET', truth, 'token')
if stored and tonumber(stored) > tonumber(token) then return {'fenced', stored} end
local there = redis.call('HGET', truth, 'rev')
-- The same again is done again: nobody knows whether the first was done.
if base ~= '*' and base ~= there and there ~= revision then return {'moved', there or ''} end
redis.call('HSET', truth, 'token', token)
if base == '*' then
  redis.call('DEL', truth)
  redis.call('HSET', truth, 'token', token)
end
for _ = 1, tonumber(take()) do redis.call('HDEL', truth, take()) end
for _ = 1, tonumber(take()) do local field = take(); redis.call('HSET', truth, field, take()) end
if revision == '' then redis.call('HDEL', truth, 'rev') else redis.call('HSET', truth, 'rev', revision) end
local id = take()
for _ = 1, tonumber(take()) do
  local key = take()
  -- An SDK key may lead to another environment by now.
  if string.sub(key, 1, 9) ~= 'auth-key-' or redis.call('GET', key) == id then redis.call('DEL', key) end
end
for _ = 1, tonumber(take()) do local key = take(); redis.call('SET', key, take()) end
local registry = take()
if registry ~= '' then local environment = take(); redis.call('HSET', registry, environment, take()) end
local last = ''
for _ = 1, tonumber(take()) do
  local stream, entries, field = take(), take(), take()
  if field == 'm' then
    last = redis.call('XADD', stream, 'MAXLEN', '~', entries, '*', field, take())
  else
    redis.call('XADD', stream, 'MAXLEN', '~', entries, '*', field, take(), 'ffrelay', '1')
  end
end
return {'done', last}
";

static SCRIPT: LazyLock<Script> = LazyLock::new(|| Script::new(WRITE));

/// What became of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is there. `bus`: the entry that tells of it, where one script could
    /// write it.
    Done { bus: Option<String> },
    /// A later lease wrote: this relay does not lead any more.
    Fenced { token: u64 },
    /// Another state is there than the one this was to be put on.
    Moved,
}

/// One environment's write with what belongs to it.
#[derive(Debug)]
pub struct EnvironmentWrite<'a> {
    pub id: &'a EnvironmentId,
    pub token: u64,
    /// `None`: the environment went.
    pub revision: Option<Revision>,
    pub truth: TruthPlan,
    pub mirror: Option<MirrorPlan>,
    /// What relays are told; `None`: nothing has to be told.
    pub word: Option<Word>,
}

/// Writes.
///
/// # Errors
/// Redis does not, or nobody knows whether it did.
pub async fn write(link: &Link, it: &EnvironmentWrite<'_>) -> Result<Outcome, Failure> {
    let alone = link.is_cluster();
    let truth = own::truth(it.id);
    let mut arguments: Vec<Vec<u8>> = Vec::new();
    let mut push = |bytes: &[u8]| arguments.push(bytes.to_vec());
    push(it.token.to_string().as_bytes());
    push(it.truth.base.map_or_else(|| "*".to_owned(), |base| base.to_string()).as_bytes());
    push(it.revision.map(|revision| revision.to_string()).unwrap_or_default().as_bytes());
    push(it.truth.delete.len().to_string().as_bytes());
    it.truth.delete.iter().for_each(|field| push(field.as_bytes()));
    push(it.truth.set.len().to_string().as_bytes());
    for (field, value) in &it.truth.set {
        push(field.as_bytes());
        push(value);
    }
    let none = MirrorPlan::default();
    let mirror = it.mirror.as_ref().filter(|_| !alone).unwrap_or(&none);
    let deletes: Vec<&String> =
        mirror.writes.iter().filter_map(|it| if let Write::Delete { key } = it { Some(key) } else { None }).collect();
    // A text always is JSON.
    push(&serde_json::to_vec(it.id.as_str()).unwrap_or_default());
    push(deletes.len().to_string().as_bytes());
    deletes.iter().for_each(|key| push(key.as_bytes()));
    push((mirror.writes.len() - deletes.len()).to_string().as_bytes());
    for write in &mirror.writes {
        if let Write::Set { key, value } = write {
            push(key.as_bytes());
            push(value);
        }
    }
    if alone {
        push(b"");
    } else {
        push(own::ENVIRONMENTS.as_bytes());
        push(it.id.as_str().as_bytes());
        push(registered(it.revision.is_some()));
    }
    let word = it.word.as_ref().filter(|_| !alone).map(Word::write);
    push((mirror.events.len() + usize::from(word.is_some())).to_string().as_bytes());
    let mut tell = |stream: &str, field: &str, text: &[u8]| {
        for part in [stream.as_bytes(), STREAM_ENTRIES.as_bytes(), field.as_bytes(), text] {
            push(part);
        }
    };
    word.iter().for_each(|word| tell(own::BUS, crate::source::redis::bus::FIELD, word));
    mirror.events.iter().for_each(|event| tell(go::EVENTS, go::FIELD, event.as_bytes()));
    let (word, detail): (String, String) = link.script(&SCRIPT, &[&truth], &arguments).await?;
    match word.as_str() {
        "done" => Ok(Outcome::Done { bus: Some(detail).filter(|id| !id.is_empty()) }),
        "fenced" => Ok(Outcome::Fenced { token: detail.parse().unwrap_or(u64::MAX) }),
        "moved" => Ok(Outcome::Moved),
        other => Err(Failure::Wrong(format!("Redis answers a write with '{other}'"))),
    }
}

/// What the list of environments says.
#[must_use]
pub fn registered(is_there: bool) -> &'static [u8] {
    if is_there { b"live" } else { b"gone" }
}
