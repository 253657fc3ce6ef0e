//! Fetches what a proxy key gives: everything page by page, or environments
//! that were added.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::answers::ConfigEnvironment;
use super::assembly::Began;
use super::backoff::Backoff;
use super::call_error::CallError;
use super::engine::Engine;
use super::session::Session;
use crate::snapshot::content::EnvironmentId;

/// More pages than this are no configuration.
const MAX_PAGES: usize = 100_000;

/// An added environment is asked for so often before everything is fetched.
const ADDED_TRIES: u32 = 6;

/// What the source's main task hears.
#[derive(Debug)]
pub enum Heard {
    StreamUp,
    StreamDown(String),
    Message(super::message::Message),
    /// A page, and when its fetch began.
    Page(Began, Vec<(EnvironmentId, Result<ConfigEnvironment, CallError>)>),
    /// Everything was fetched, from this beginning, or could not be.
    All(Began, Result<BTreeSet<EnvironmentId>, CallError>),
    /// An added environment was fetched (true), or could not be.
    Added(EnvironmentId, bool),
}

/// Fetches all pages.
pub async fn fetch_all(engine: Arc<Engine>, session: Arc<Session>, heard: mpsc::Sender<Heard>) {
    let began = engine.begin();
    let result = pages(&engine, &session, &heard).await;
    let _ = heard.send(Heard::All(began, result)).await;
}

async fn pages(
    engine: &Engine,
    session: &Session,
    heard: &mpsc::Sender<Heard>,
) -> Result<BTreeSet<EnvironmentId>, CallError> {
    let mut found = BTreeSet::new();
    for number in 0..MAX_PAGES {
        let began = engine.begin();
        let page = session
            .call(|token| async move {
                let _place = engine.place().await;
                engine.calls.config_page(&session.key, &token, number, None).await
            })
            .await?;
        let last = page.environments.is_empty() || page.page_count.is_some_and(|count| number + 1 >= count);
        found.extend(page.environments.iter().map(|(id, _)| id.clone()));
        let _ = heard.send(Heard::Page(began, page.environments)).await;
        if last {
            return Ok(found);
        }
    }
    Err(CallError::Unusable("the configuration has no end".to_owned()))
}

/// Fetches one environment that was added. The token before does not cover
/// it.
pub async fn fetch_added(
    engine: Arc<Engine>,
    session: Arc<Session>,
    id: EnvironmentId,
    known_token: u64,
    heard: mpsc::Sender<Heard>,
) {
    let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(10));
    drop(session.newer_than(known_token).await);
    for _ in 0..ADDED_TRIES {
        let began = engine.begin();
        let (engine, session, wanted) = (&engine, &session, &id);
        let page = session
            .call(|token| async move {
                let _place = engine.place().await;
                engine.calls.config_page(&session.key, &token, 0, Some(wanted)).await
            })
            .await;
        let asked = match page {
            Ok(page) if page.environments.iter().any(|(found, environment)| *found == id && environment.is_ok()) => {
                let mine = page.environments.into_iter().filter(|(found, _)| *found == id).collect();
                let _ = heard.send(Heard::Page(began, mine)).await;
                let _ = heard.send(Heard::Added(id, true)).await;
                return;
            }
            Ok(_) => None,
            Err(error) => error.retry_after(),
        };
        tokio::time::sleep(backoff.failed(rand::random(), asked)).await;
    }
    let _ = heard.send(Heard::Added(id, false)).await;
}
