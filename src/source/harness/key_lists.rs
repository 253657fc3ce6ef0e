//! The key lists of the admin service: read when an environment is new, at an
//! interval, and when an SDK brings a key that is not known. All readings go
//! by one limit (`http-api.md`, "Authentication").

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;

use super::assembly::SECOND_LOOK;
use super::call_error::CallError;
use super::calls::{AdminAccess, Calls};
use super::engine::{Engine, Route};
use super::roster::Roster;
use super::token::Scope;
use crate::snapshot::content::KeyHash;

/// One reading of all lists per this time and [`ENVIRONMENTS`].
const LEAST_INTERVAL: Duration = Duration::from_secs(5);
const ENVIRONMENTS: usize = 50;

/// How often it is looked whether the readings of the start are over.
const FIRST_READINGS_LOOK: Duration = Duration::from_millis(20);

/// Lists read at the same time.
const AT_ONCE: usize = 16;

/// Pages per list: more is no list of keys.
const MAX_PAGES: usize = 1_000;

/// Reads all pages of an environment's key hashes.
///
/// # Errors
/// See [`CallError`].
pub async fn pages_of_keys(calls: &Calls, admin: &AdminAccess, scope: &Scope) -> Result<Vec<KeyHash>, CallError> {
    let mut hashes = Vec::new();
    for page in 0..MAX_PAGES {
        let read = calls.key_page(admin, scope, page).await?;
        hashes.extend(read.hashes);
        if read.rows == 0 || read.page_count.is_some_and(|count| page + 1 >= count) {
            return Ok(hashes);
        }
    }
    Err(CallError::Unusable("the key list has no end".to_owned()))
}

/// Reads one environment's list and takes it. Returns whether it could be
/// read, and whether all of it is believed.
pub async fn refresh(engine: &Engine, admin: &AdminAccess, route: &Route, roster: &Roster) -> Result<bool, CallError> {
    if let Some(error) = roster.is_throttled(&route.feed.id, Instant::now()) {
        return Err(error);
    }
    let began = engine.begin();
    let read = pages_of_keys(&engine.calls, admin, &route.feed.scope()).await;
    let error = read.as_ref().err().cloned();
    let taken = read.map(|hashes| route.feed.keys(&hashes, began, Instant::now()));
    if taken.as_ref().is_ok_and(|taken| taken.changed) {
        // Who waits for the reading must find the keys of it.
        engine.apply(&route.feed).await;
        engine.reach().await;
    }
    roster.keys_read(&route.feed.id, error, Instant::now());
    taken.map(|taken| taken.believed)
}

/// How far apart readings of all lists are at least.
#[must_use]
pub fn least_interval(environments: usize) -> Duration {
    LEAST_INTERVAL * u32::try_from(environments.div_ceil(ENVIRONMENTS).max(1)).unwrap_or(u32::MAX)
}

/// Reads all lists from time to time and on request, for as long as it is
/// polled.
pub async fn run(engine: Arc<Engine>, admin: AdminAccess, roster: Arc<Roster>) {
    let certainty = engine.store.certainty();
    let mut last = Instant::now();
    let mut look_again: Option<Instant> = None;
    loop {
        let least = least_interval(roster.len());
        let regular = last + engine.settings.key_refresh_interval.max(least);
        let next = look_again.map_or(regular, |at| at.min(regular));
        let asked = tokio::select! {
            () = certainty.asked() => true,
            () = tokio::time::sleep_until(next.into()) => false,
        };
        // The first question may be asked at once, but not beside the
        // readings that every start makes.
        if roster.has_asked() {
            tokio::time::sleep_until((last + least).into()).await;
        }
        while roster.is_reading_first() {
            tokio::time::sleep(FIRST_READINGS_LOOK).await;
        }
        if asked && !certainty.is_waited_for() {
            continue;
        }
        roster.note_asked();
        last = Instant::now();
        let number = certainty.begin_reading();
        let (complete, believed) = read_all(&engine, &admin, &roster).await;
        look_again = (!believed).then(|| Instant::now() + SECOND_LOOK);
        certainty.set(roster.is_certain());
        certainty.end_reading(number, complete);
    }
}

async fn read_all(engine: &Engine, admin: &AdminAccess, roster: &Roster) -> (bool, bool) {
    // An environment whose key is not accepted cannot be asked about: it is
    // not known what the admin service calls it.
    let routes: Vec<Route> = roster.accepted().iter().filter_map(|id| engine.route(id)).collect();
    let readings = routes.into_iter().map(|route| async move { refresh(engine, admin, &route, roster).await });
    let results: Vec<Result<bool, CallError>> =
        futures_util::stream::iter(readings).buffer_unordered(AT_ONCE).collect().await;
    let complete = results.iter().all(Result::is_ok) && roster.all_decided();
    let believed = results.iter().all(|result| !matches!(result, Ok(false)));
    (complete, believed)
}
