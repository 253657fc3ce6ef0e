//! Events that carry their answers: every flag whose answer the change can
//! alter, evaluated for the stream's target, or none at all
//! (`http-api.md`, "The stream"). The browser, Android and iOS SDKs then need
//! no request.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::HeaderMap;
use tokio::sync::Semaphore;

use super::target::StreamTarget;
use crate::http::evaluations::{TARGET_HEADER, header_json};
use crate::http::token::Claims;
use crate::model::Target;
use crate::snapshot::Snapshot;
use crate::snapshot::item::ItemKind;
use crate::snapshot::ledger::ChangeKind;
use crate::snapshot::log::{LogEntry, Message};
use crate::store::environment::Environment;

/// Events above this size carry no answers.
const MAX_EVENT_BYTES: usize = 48 * 1024;

/// No answer is shorter: its names of fields alone take so much.
const SHORTEST_ANSWER_BYTES: usize = 45;

/// An event waits this long for its answers, then goes without.
const TURN_LIMIT: Duration = Duration::from_secs(2);

/// SDKs that take answers from events, as their names begin. Others ask after
/// each event, whatever it carries.
const USERS: [&str; 3] = ["javascript", "android", "ios"];

/// Who may evaluate for events now, and how often it was done.
#[derive(Debug)]
pub struct Answering {
    turns: Semaphore,
    evaluated_total: AtomicU64,
    answered_total: AtomicU64,
    unanswered_total: AtomicU64,
}

impl Default for Answering {
    fn default() -> Self {
        // As many at once as there are cores: what is waiting to be written
        // comes between two of them.
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Answering {
            turns: Semaphore::new(cores),
            evaluated_total: AtomicU64::new(0),
            answered_total: AtomicU64::new(0),
            unanswered_total: AtomicU64::new(0),
        }
    }
}

impl Answering {
    /// The event of a change with its answers, or as it is for everybody.
    pub async fn event(&self, environment: &Environment, target: &Arc<StreamTarget>, entry: &LogEntry) -> Message {
        let plain = || {
            self.unanswered_total.fetch_add(1, Ordering::Relaxed);
            entry.message().clone()
        };
        if entry.key.kind == ItemKind::Flag && entry.kind == ChangeKind::Delete {
            // It has no answer.
            return plain();
        }
        let Ok(Ok(_turn)) = tokio::time::timeout(TURN_LIMIT, self.turns.acquire()).await else {
            return plain();
        };
        let Some(snapshot) = environment.snapshot().clone() else {
            return plain();
        };
        let read = || serde_json::from_str::<Target>(&target.json).ok();
        let of_token = if target.from_token { read() } else { None };
        let differs = |sent: &Target| {
            // Whoever else came by this name since is whom a request would get.
            environment.targets.get(&sent.identifier).is_some_and(|stored| stored.target != *sent)
        };
        if of_token.as_ref().is_some_and(differs) {
            return plain();
        }
        let make = || {
            self.evaluated_total.fetch_add(1, Ordering::Relaxed);
            let answered = of_token.or_else(read).and_then(|target| answered(&snapshot, &target, entry));
            answered.unwrap_or_else(|| entry.message().clone())
        };
        let message = target.shared((entry.position, snapshot.place, snapshot.revision), make);
        let answered = message.chunk().len() > entry.message().chunk().len();
        let count = if answered { &self.answered_total } else { &self.unanswered_total };
        count.fetch_add(1, Ordering::Relaxed);
        message
    }

    /// Events for which answers were computed, those that carried some, and
    /// those that went without to a stream that could have used them.
    #[must_use]
    pub fn totals(&self) -> [u64; 3] {
        [&self.evaluated_total, &self.answered_total, &self.unanswered_total].map(|total| total.load(Ordering::Relaxed))
    }
}

/// The event with the answers of all flags that the change can alter; `None`
/// if not all of them can be given.
fn answered(snapshot: &Snapshot, target: &Target, entry: &LogEntry) -> Option<Message> {
    let affected = entry.affected_flags(&snapshot.compiled);
    if affected.len() > MAX_EVENT_BYTES / SHORTEST_ANSWER_BYTES {
        return None;
    }
    let mut evaluator = snapshot.compiled.evaluator(target);
    let event = entry.message().event();
    let (head, tail) = event.split_at_checked(event.len().checked_sub(END.len())?)?;
    if tail != END {
        return None;
    }
    let mut text = String::with_capacity(event.len() + 128 * affected.len().min(64));
    text.push_str(std::str::from_utf8(head).ok()?);
    text.push_str(",\"evaluations\":[");
    let mut any = false;
    for identifier in affected {
        // One that went meanwhile has an event of its own.
        let Some(answer) = evaluator.flag(identifier) else { continue };
        let variation = answer.variation?;
        let fields = [answer.identifier, &*variation.identifier, answer.kind, &*variation.value];
        if fields.iter().any(|field| field.is_empty()) {
            return None;
        }
        if any {
            text.push(',');
        }
        any = true;
        text.push_str(&variation.evaluation_json);
        if text.len() > MAX_EVENT_BYTES {
            return None;
        }
    }
    text.push_str("]}\n\n");
    (any && text.len() <= MAX_EVENT_BYTES).then(|| Message::from_text(&text))
}

/// How every event ends.
const END: &[u8] = b"}\n\n";

/// The target of a stream whose SDK takes answers from events, as JSON, and
/// whether it is the token's: the header's, else the token's.
#[must_use]
pub fn target_of(headers: &HeaderMap, sdk: &str, claims: Option<&Claims>) -> Option<(String, bool)> {
    let header = header_json(headers);
    let name = sdk.split_whitespace().next().unwrap_or_default();
    // Browsers before 1.20 do not name themselves, and only they send it.
    let takes_answers =
        USERS.iter().any(|user| name.eq_ignore_ascii_case(user)) || (name.is_empty() && header.is_some());
    if !takes_answers {
        return None;
    }
    let sent = headers.get_all(TARGET_HEADER).iter().any(|value| {
        let value = value.as_bytes().trim_ascii();
        !value.is_empty() && value != b"undefined"
    });
    match header {
        Some(json) => Some((json, false)),
        // It cannot be read: nobody knows whom it names.
        None if sent => None,
        None => claims.and_then(|claims| claims.target.clone()).map(|json| (json, true)),
    }
    .filter(|(json, _)| names_somebody(json))
}

fn names_somebody(json: &str) -> bool {
    serde_json::from_str::<Target>(json).is_ok_and(|target| !target.identifier.is_empty())
}

#[cfg(test)]
#[path = "answers_tests.rs"]
mod tests;
