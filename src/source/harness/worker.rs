//! Fetches what one environment needs, one thing at a time.

use std::sync::Arc;
use std::time::Instant;

use super::call_error::CallError;
use super::calls::Fetched;
use super::engine::Engine;
use super::feed::{Feed, Task};
use super::schedule::{Step, Want};
use super::session::Session;
use super::token::Token;
use crate::snapshot::item::{Item, ItemKey, ItemKind};
use crate::telemetry::clock::unix_now_ms;

/// Validators of the lists that were taken last.
#[derive(Debug, Default)]
struct Validators {
    /// [`Feed::deletions`] when they were made.
    deletions: u64,
    flags: Option<String>,
    segments: Option<String>,
}

/// Works for as long as it is polled.
pub async fn run(engine: Arc<Engine>, session: Arc<Session>, feed: Arc<Feed>) {
    let mut validators = Validators::default();
    loop {
        let task = feed.next(Instant::now());
        match &task.step {
            Step::Wait(None) => feed.woken().await,
            Step::Wait(Some(until)) => {
                tokio::select! {
                    () = feed.woken() => {}
                    () = tokio::time::sleep_until((*until).into()) => {}
                }
            }
            Step::Item(key) => {
                if let Some(want) = &task.want {
                    fetch_item(&engine, &session, &feed, key, want).await;
                }
                // What was fetched alone is not in the lists of these validators.
                validators = Validators::default();
            }
            Step::Lists => fetch_lists(&engine, &session, &feed, &task, &mut validators).await,
        }
    }
}

async fn fetch_item(engine: &Arc<Engine>, session: &Session, feed: &Arc<Feed>, key: &ItemKey, want: &Want) {
    let began = engine.begin();
    let scope = feed.scope();
    let calls = &engine.calls;
    let fetched = session
        .call(|token| {
            let scope = scope.clone();
            async move {
                let _place = engine.place().await;
                calls.item(key, &scope, &token).await
            }
        })
        .await;
    let found: Option<Arc<Item>> = match fetched {
        Ok(item) => Some(item),
        Err(error) if error.status() == Some(404) => None,
        Err(error) => {
            feed.item_failed(key, want, &error, unix_now_ms());
            return;
        }
    };
    if feed.item(key, want, found, began, Instant::now()) {
        engine.apply(feed).await;
    }
}

async fn fetch_lists(
    engine: &Arc<Engine>,
    session: &Session,
    feed: &Arc<Feed>,
    task: &Task,
    validators: &mut Validators,
) {
    let deletions = feed.deletions();
    if validators.deletions != deletions {
        *validators = Validators { deletions, ..Validators::default() };
    }
    let began = engine.begin();
    let (flags, segments) = tokio::join!(
        list(engine, session, feed, ItemKind::Flag, validators.flags.clone()),
        list(engine, session, feed, ItemKind::Segment, validators.segments.clone())
    );
    let mut lists = Vec::new();
    let mut failure = None;
    for (kind, fetched) in [(ItemKind::Flag, flags), (ItemKind::Segment, segments)] {
        match fetched {
            Ok(Fetched::Unchanged) => {}
            Ok(Fetched::List { items, validator }) => {
                let known = if kind == ItemKind::Flag { &mut validators.flags } else { &mut validators.segments };
                *known = validator;
                lists.push((kind, items));
            }
            Err(error) => failure = Some(error),
        }
    }
    let now = Instant::now();
    let taken = feed.lists(lists, began, now);
    if !taken.believed {
        // The same list again must be seen, not be left out as unchanged.
        *validators = Validators::default();
    }
    match failure {
        None => feed.lists_done(task.mark, now, unix_now_ms()),
        Some(error) => {
            *validators = Validators::default();
            feed.lists_failed(&error, unix_now_ms());
        }
    }
    if taken.changed {
        engine.apply(feed).await;
    }
}

async fn list(
    engine: &Engine,
    session: &Session,
    feed: &Feed,
    kind: ItemKind,
    validator: Option<String>,
) -> Result<Fetched, CallError> {
    let scope = feed.scope();
    let calls = &engine.calls;
    let fetch = |token: Arc<Token>| {
        let (scope, validator) = (scope.clone(), validator.clone());
        async move {
            // Taken only once there is a token: who waits for one holds up
            // nobody.
            let _place = engine.place().await;
            calls.list(kind, &scope, &token, validator.as_deref()).await
        }
    };
    session.call(fetch).await
}
