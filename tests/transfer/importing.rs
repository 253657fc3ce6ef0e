//! `ImportSnapshot`: what is served afterwards, over restarts too, and what
//! is refused.

use ff_relay::proto::admin::v1::{EnvironmentOutcome, ImportMode, ImportOptions};
use ff_relay::proto::inspect::v1::{Source, SyncState};
use ff_relay::proto::snapshot::v1::ExportSnapshotRequest;
use serde_json::json;
use tonic::Code;

use crate::archives::{of, packed, tree};
use crate::sending::{ADMIN, environments, export, import, resync, server_info};
use crate::support::client::{bearer, get, post};
use crate::support::configuration::{Configuration, ENVIRONMENT, KEY, OTHER, OTHER_KEY, boolean, golden};
use crate::support::events::Events;
use crate::support::grpc::fault;
use crate::support::relay::TestRelay;
use crate::support::wait_for;

/// A relay that is fed by imports alone.
fn unfed(data_dir: &std::path::Path, options: &[&str]) -> TestRelay {
    let data_dir = format!("--data-dir={}", data_dir.display());
    let mut all = vec!["--offline", ADMIN, &data_dir];
    all.extend(options);
    TestRelay::start(&all).unwrap()
}

fn flag(relay: &TestRelay, key: &str, environment: &str, flag: &str) -> serde_json::Value {
    let token = bearer(relay.sdk, key);
    let path = format!("/client/env/{environment}/feature-configs/{flag}");
    get(relay.sdk, &path, &[("Authorization", &token)]).ok()
}

#[test]
fn an_import_into_a_relay_without_state_is_served_over_restarts_and_exported_alike() {
    let place = tempfile::tempdir().unwrap();
    let archive = packed(&golden());
    let relay = unfed(place.path(), &[]);
    assert_eq!(get(relay.sdk, "/readyz", &[]).status, 503);
    let answer = import(&relay, ImportOptions::default(), &archive).unwrap();
    let outcomes: Vec<_> = answer.environments.iter().map(|it| (it.environment_id.as_str(), it.outcome())).collect();
    assert_eq!(outcomes, [(ENVIRONMENT, EnvironmentOutcome::Added), (OTHER, EnvironmentOutcome::Added)]);
    assert!(answer.environments.iter().all(|it| it.before.is_none() && it.after.is_some() && !it.source_paused));
    assert_eq!(get(relay.sdk, "/readyz", &[]).status, 200);
    let reference = TestRelay::offline(&golden(), &[ADMIN]);
    for key in [KEY, OTHER_KEY] {
        let lists = |relay: &TestRelay| {
            let environment = if key == KEY { ENVIRONMENT } else { OTHER };
            let token = bearer(relay.sdk, key);
            get(relay.sdk, &format!("/client/env/{environment}/feature-configs"), &[("Authorization", &token)]).ok()
        };
        assert_eq!(lists(&relay), lists(&reference));
    }
    assert!(export(&relay, ExportSnapshotRequest::default()).unwrap() == archive, "other bytes");
    let before = environments(&relay);
    assert!(before.iter().all(|it| it.source() == Source::Import && it.sync_state() == SyncState::Synced));
    relay.stop();
    let again = unfed(place.path(), &[]);
    assert!(export(&again, ExportSnapshotRequest::default()).unwrap() == archive, "other bytes");
    assert_eq!(environments(&again)[0].revision.as_ref().unwrap().epoch, before[0].revision.as_ref().unwrap().epoch);
    // A token that is certainly unknown is refused, not held.
    assert_eq!(post(again.sdk, "/client/auth", &[], "{\"apiKey\":\"nobody\"}").status, 401);
}

#[test]
fn connected_sdks_are_told_what_an_import_changed() {
    let place = tempfile::tempdir().unwrap();
    let configuration = Configuration::with_flags(&[boolean("a", true, 1), boolean("b", true, 1)]);
    let relay = unfed(place.path(), &[]);
    import(&relay, ImportOptions::default(), &packed(configuration.path())).unwrap();
    let token = bearer(relay.sdk, KEY);
    let mut events = Events::open(relay.sdk, KEY, &token, &[]);
    configuration.write(ENVIRONMENT, "feature_config.json", &json!([boolean("a", false, 2), boolean("c", true, 1)]));
    let archive = packed(configuration.path());
    let dry = ImportOptions { validate_only: true, ..Default::default() };
    let report = import(&relay, dry, &archive).unwrap();
    assert!(report.validated_only);
    let told = |report: &ff_relay::proto::admin::v1::ImportSnapshotResponse| {
        let it = &report.environments[0];
        (it.outcome(), it.added, it.changed, it.removed, it.key_hashes_added, it.items.len())
    };
    assert_eq!(told(&report), (EnvironmentOutcome::Changed, 1, 1, 1, 0, 3));
    assert_eq!(flag(&relay, KEY, ENVIRONMENT, "a")["version"], 1, "a dry run changes nothing");
    let report = import(&relay, ImportOptions::default(), &archive).unwrap();
    assert_eq!(told(&report), (EnvironmentOutcome::Changed, 1, 1, 1, 0, 3));
    let seen = events.take_sorted(3);
    assert_eq!(seen, ["create flag c", "delete flag b", "patch flag a"]);
    assert_eq!(flag(&relay, KEY, ENVIRONMENT, "a")["defaultServe"]["variation"], "false");
}

#[test]
fn the_same_request_changes_nothing_the_second_time() {
    let place = tempfile::tempdir().unwrap();
    let (first, second) =
        (Configuration::with_flags(&[boolean("a", true, 1)]), Configuration::with_flags(&[boolean("a", false, 2)]));
    let relay = unfed(place.path(), &[]);
    let named = |id: &str| ImportOptions { request_id: id.into(), ..Default::default() };
    let answer = import(&relay, named("one"), &packed(first.path())).unwrap();
    assert!(!answer.repeated);
    import(&relay, named("two"), &packed(second.path())).unwrap();
    let again = import(&relay, named("one"), &packed(first.path())).unwrap();
    assert!(again.repeated);
    assert_eq!((again.environments, again.request_id), (answer.environments, answer.request_id));
    assert_eq!(flag(&relay, KEY, ENVIRONMENT, "a")["defaultServe"]["variation"], "false", "it was not done again");
    let other = import(&relay, named("one"), &packed(second.path()));
    assert_eq!(fault(other), (Code::InvalidArgument, "INVALID_FIELD".into()));
    relay.stop();
    let relay = unfed(place.path(), &[]);
    assert!(import(&relay, named("one"), &packed(first.path())).unwrap().repeated);
    assert_eq!(flag(&relay, KEY, ENVIRONMENT, "a")["defaultServe"]["variation"], "false");
}

#[test]
fn only_what_was_looked_at_is_replaced() {
    let place = tempfile::tempdir().unwrap();
    let relay = unfed(place.path(), &[]);
    import(&relay, ImportOptions::default(), &packed(&golden())).unwrap();
    let digest = server_info(&relay).content_digest;
    let expecting = |digest: &[u8]| ImportOptions { expected_digest: Some(digest.to_vec()), ..Default::default() };
    let configuration = Configuration::with_flags(&[boolean("a", true, 1)]);
    let archive = packed(configuration.path());
    let wrong = import(&relay, expecting(&[0; 32]), &archive);
    assert_eq!(fault(wrong), (Code::Aborted, "DIGEST_MISMATCH".into()));
    let short = import(&relay, expecting(&[0; 31]), &archive);
    assert_eq!(fault(short), (Code::InvalidArgument, "INVALID_FIELD".into()));
    assert_eq!(server_info(&relay).content_digest, digest);
    import(&relay, expecting(&digest), &archive).unwrap();
    assert_ne!(server_info(&relay).content_digest, digest);
}

#[test]
fn environments_and_parts_that_an_archive_leaves_out_stay_unless_asked() {
    let place = tempfile::tempdir().unwrap();
    let relay = unfed(place.path(), &[]);
    import(&relay, ImportOptions::default(), &packed(&golden())).unwrap();
    let mut flags_only = tree(&golden());
    flags_only.parts = [ff_relay::snapshot::tree::Part::Flags].into();
    flags_only.environments.retain(|id, _| id.as_str() == ENVIRONMENT);
    let content = flags_only.environments.values_mut().next().unwrap();
    content.flags.truncate(1);
    (content.segments, content.targets, content.key_hashes) = Default::default();
    let before = environments(&relay);
    let answer = import(&relay, ImportOptions::default(), &of(&flags_only)).unwrap();
    assert_eq!((answer.environments.len(), answer.environments[0].removed), (1, 10));
    let after = environments(&relay);
    let counts = |environments: &[ff_relay::proto::inspect::v1::Environment], index: usize| {
        let counts = environments[index].counts.unwrap();
        (counts.segments, counts.configured_targets, counts.key_hashes)
    };
    assert_eq!(after[0].counts.unwrap().flags, 1);
    assert_eq!(counts(&after, 0), counts(&before, 0));
    assert_eq!(after[1].revision, before[1].revision);
    let all = ImportOptions { mode: ImportMode::ReplaceAll.into(), ..Default::default() };
    let answer = import(&relay, all, &of(&flags_only)).unwrap();
    assert_eq!(answer.environments[1].outcome(), EnvironmentOutcome::Removed);
    assert_eq!(environments(&relay).len(), 1);
    assert_eq!(post(relay.sdk, "/client/auth", &[], &format!("{{\"apiKey\":\"{OTHER_KEY}\"}}")).status, 401);
}

#[test]
fn a_source_is_only_overridden_on_request_and_until_it_is_given_back() {
    let place = tempfile::tempdir().unwrap();
    let data_dir = format!("--data-dir={}", place.path().display());
    let configuration = Configuration::with_flags(&[boolean("a", true, 1)]);
    let options = [ADMIN, "--config-reload=true", "--config-reload-interval=100ms", &data_dir];
    let relay = TestRelay::offline(configuration.path(), &options);
    let other = Configuration::with_flags(&[boolean("a", false, 1)]);
    let archive = packed(other.path());
    let refused = import(&relay, ImportOptions::default(), &archive);
    assert_eq!(fault(refused), (Code::FailedPrecondition, "UPSTREAM_OWNS_STATE".into()));
    let over = || ImportOptions { override_upstream: true, ..Default::default() };
    let answer = import(&relay, over(), &archive).unwrap();
    assert!(answer.environments[0].source_paused);
    let serves = |relay: &TestRelay| flag(relay, KEY, ENVIRONMENT, "a")["defaultServe"]["variation"].clone();
    assert_eq!(serves(&relay), "false");
    let paused = environments(&relay)[0].paused_source.clone().unwrap();
    assert_eq!((paused.request_id, server_info(&relay).paused_environment_count), (answer.request_id, 1));
    assert!(get(relay.sdk, "/health", &[]).ok()["environments"][0]["paused"]["requestId"].is_string());
    relay.stop();
    let relay = TestRelay::offline(configuration.path(), &options);
    assert_eq!(serves(&relay), "false", "over a restart");
    assert!(resync(&relay, ENVIRONMENT).unwrap());
    assert_eq!(serves(&relay), "true");
    assert!(!resync(&relay, ENVIRONMENT).unwrap());
    assert_eq!(fault(resync(&relay, "nowhere")), (Code::NotFound, "ENVIRONMENT_NOT_FOUND".into()));
    relay.stop();
    let relay = TestRelay::offline(configuration.path(), &options);
    assert_eq!(serves(&relay), "true");
    // A directory is served again when it holds something else.
    import(&relay, over(), &archive).unwrap();
    assert_eq!(serves(&relay), "false");
    configuration.edit_flag("a", |flag| flag["version"] = json!(7));
    wait_for("the directory to be served again", || (serves(&relay) == "true").then_some(()));
    assert!(environments(&relay)[0].paused_source.is_none());
}
