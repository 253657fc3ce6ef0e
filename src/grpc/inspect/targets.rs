//! Targets: those that came with the configuration, and those that SDKs
//! brought.

use std::sync::Arc;

use crate::grpc::page::Page;
use crate::proto::inspect::v1 as proto;
use crate::snapshot::Snapshot;
use crate::snapshot::item::Item;
use crate::store::environment::Environment;
use crate::store::targets::StoredTarget;

enum Known<'a> {
    Configured(&'a Item),
    Learnt(Arc<StoredTarget>),
}

pub(super) fn list(environment: &Environment, snapshot: &Snapshot, page: &Page) -> proto::ListTargetsResponse {
    let configured = snapshot.content.targets.iter().map(|item| {
        let name = name(item.identifier(), proto::TargetOrigin::Configured);
        (name, Known::Configured(item))
    });
    let learnt = environment.targets.all().into_iter().map(|stored| {
        let name = name(&stored.target.identifier, proto::TargetOrigin::Learnt);
        (name, Known::Learnt(stored))
    });
    let mut all: Vec<(String, Known<'_>)> = configured.chain(learnt).collect();
    all.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    let (targets, next_page_token) = page.fill(&all, |(name, _)| name, |(_, known)| describe(known));
    proto::ListTargetsResponse { targets, next_page_token }
}

/// Sorts by identifier; one identifier may stand twice.
fn name(identifier: &str, origin: proto::TargetOrigin) -> String {
    format!("{identifier}\0{}", origin as i32)
}

fn describe(known: &Known<'_>) -> proto::Target {
    let (identifier, origin, json) = match known {
        Known::Configured(item) => (item.identifier(), proto::TargetOrigin::Configured, &*item.text),
        Known::Learnt(stored) => (stored.target.identifier.as_str(), proto::TargetOrigin::Learnt, &*stored.json),
    };
    proto::Target { identifier: identifier.to_owned(), origin: origin.into(), json: json.as_bytes().to_vec() }
}
