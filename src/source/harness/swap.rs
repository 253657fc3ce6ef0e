//! How environments of Harness reach the store: each job takes the newest
//! content of its feed when its turn comes, so that the store never goes
//! back.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::feed::Feed;
use crate::snapshot::content::Content;
use crate::source::intake::{Delivery, Intake};
use crate::store::source_status::SourceKind;
use crate::store::writer::Offered;
use crate::telemetry::clock::unix_now_ms;

/// Serves a feed's newest content.
pub fn apply(intake: &mut Intake, feed: &Feed) {
    feed.unqueue();
    let Some(content) = feed.content() else { return };
    if is_served(intake, feed, &content) {
        return;
    }
    let offered = Offered { content, credential: Arc::clone(&feed.credential), ..Offered::default() };
    let delivery = Delivery::of(SourceKind::Upstream, BTreeMap::from([(feed.id.clone(), offered)]));
    if let Err(error) = intake.swap_in(delivery, unix_now_ms() / 1000) {
        feed.trouble(&format!("upstream's configuration cannot be served: {error}"), unix_now_ms());
    }
}

/// True if other relays that share a Redis have written the same: their
/// revision stays until something changes.
fn is_served(intake: &Intake, feed: &Feed, content: &Content) -> bool {
    let index = intake.store().index();
    let Some(environment) = index.environment(feed.id.as_str()) else { return false };
    if **environment.source.load() != SourceKind::Redis || intake.is_paused(&feed.id) {
        return false;
    }
    let same = environment.snapshot().as_ref().is_some_and(|snapshot| snapshot.revision.digest == content.digest());
    if same {
        environment.source.store(Arc::new(SourceKind::Upstream));
    }
    same
}

/// Serves nothing of these any more.
pub fn withdraw(intake: &mut Intake, feeds: &[Arc<Feed>]) {
    let removed = feeds.iter().map(|feed| feed.id.clone()).collect();
    let delivery = Delivery { kind: SourceKind::Upstream, offered: BTreeMap::new(), removed };
    // Taking away cannot fail: nothing is built.
    if let Err(error) = intake.swap_in(delivery, unix_now_ms() / 1000) {
        tracing::error!(%error, "environments could not be withdrawn");
    }
}
