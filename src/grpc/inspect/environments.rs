//! The relay as a whole, and its environments.

use super::{Inspect, small, timestamp_of_ms, timestamp_of_s};
use crate::grpc::page::Page;
use crate::proto::inspect::v1 as proto;
use crate::snapshot::Revision;
use crate::store::environment::Environment;
use crate::store::source_status::{SourceKind, SourceState};

impl Inspect {
    pub(super) fn server_info(&self) -> proto::GetServerInfoResponse {
        let index = self.store.index();
        let reasons = self.readiness.reasons();
        let source = self.source.state();
        let environments = index.environments.values();
        proto::GetServerInfoResponse {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            mode: self.mode.to_owned(),
            started_at: Some(self.started_at.into()),
            environment_count: small(index.environments.len()),
            stream_count: environments.clone().map(|environment| environment.stream_count() as u64).sum(),
            ready: reasons.is_empty(),
            not_ready_reasons: reasons,
            source_name: source.name.clone(),
            source_error: source.error.clone(),
            content_digest: index.content_digest().0.to_vec(),
            follower_count: small(self.store.peers().followers()),
            paused_environment_count: small(
                environments.filter(|environment| environment.paused.load().is_some()).count(),
            ),
            redis: self.store.redis().as_deref().map(super::redis::describe),
        }
    }

    pub(super) fn environments(&self, page: &Page) -> proto::ListEnvironmentsResponse {
        let index = self.store.index();
        let source = self.source.state();
        let (environments, next_page_token) = page.fill(
            &index.sorted(),
            |environment| environment.id.as_str(),
            |environment| describe(environment, &source),
        );
        proto::ListEnvironmentsResponse { environments, next_page_token }
    }
}

pub(super) fn describe(environment: &Environment, source: &SourceState) -> proto::Environment {
    let snapshot = environment.snapshot();
    let snapshot = snapshot.as_deref();
    let count = |n: Option<usize>| n.unwrap_or(0) as u64;
    let sync = environment.sync.load_full();
    // Where one source gives all environments, its trouble is everyone's.
    let (stale, error) = match &sync {
        Some(sync) => (sync.is_stale(), sync.error.clone()),
        None => (source.error.is_some(), source.error.clone()),
    };
    let state = match (snapshot, stale) {
        (None, _) => proto::SyncState::NeverSynced,
        (Some(_), true) => proto::SyncState::Stale,
        (Some(_), false) => proto::SyncState::Synced,
    };
    let synced_at = sync.as_ref().map_or(source.loaded_at_unix_ms, |sync| sync.synced_at_ms);
    let paused = environment.paused.load_full();
    let named = environment.names.load_full().map(|names| names.environment.clone());
    let name = named.or_else(|| snapshot.map(|snapshot| snapshot.names.environment.clone()));
    proto::Environment {
        id: environment.id.to_string(),
        revision: snapshot.map(|snapshot| revision(&snapshot.revision)),
        counts: Some(proto::Counts {
            flags: count(snapshot.map(|snapshot| snapshot.flags.len())),
            segments: count(snapshot.map(|snapshot| snapshot.segments.len())),
            configured_targets: count(snapshot.map(|snapshot| snapshot.content.targets.len())),
            stored_targets: environment.targets.count(),
            key_hashes: count(snapshot.map(|snapshot| snapshot.content.key_hashes.len())),
            streams: environment.stream_count() as u64,
        }),
        sync_state: state.into(),
        last_synced_at: synced_at.map(timestamp_of_ms),
        last_changed_at: snapshot.map(|snapshot| timestamp_of_s(snapshot.changed_at)),
        source: origin(**environment.source.load()).into(),
        paused_source: paused.map(|paused| proto::PausedSource {
            since: Some(timestamp_of_ms(paused.since_ms)),
            request_id: paused.request_id.clone(),
        }),
        name: name.unwrap_or_default(),
        error: error.filter(|_| stale || snapshot.is_none()),
    }
}

pub(super) fn revision(revision: &Revision) -> proto::Revision {
    proto::Revision {
        epoch: revision.epoch.to_string(),
        sequence: revision.sequence,
        digest: revision.digest.0.to_vec(),
    }
}

fn origin(kind: SourceKind) -> proto::Source {
    match kind {
        SourceKind::Upstream => proto::Source::Upstream,
        SourceKind::Peer => proto::Source::Peer,
        SourceKind::Redis => proto::Source::Redis,
        SourceKind::File => proto::Source::File,
        SourceKind::Import => proto::Source::Import,
    }
}
