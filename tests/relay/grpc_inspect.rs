//! The inspect service: what a relay serves, page by page.

use ff_relay::proto::inspect::v1 as proto;
use ff_relay::proto::inspect::v1::explain_evaluation_request::Subject;
use ff_relay::proto::inspect::v1::inspect_service_client::InspectServiceClient;
use ff_relay::proto::inspect::v1::{Reason, SegmentOutcome, SyncState, TargetOrigin};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tonic::Code;
use tonic::transport::Channel;
use tonic_types::StatusExt as _;

use crate::support::client::{bearer, post};
use crate::support::configuration::{Configuration, ENVIRONMENT, KEY, OTHER, boolean, golden, key_hash};
use crate::support::events::Events;
use crate::support::grpc::{channel, fault, runtime};
use crate::support::relay::TestRelay;
use crate::support::wait_for;

type Client = InspectServiceClient<Channel>;

async fn client(relay: &TestRelay) -> Client {
    InspectServiceClient::new(channel(relay).await)
}

fn environment_id() -> String {
    ENVIRONMENT.to_owned()
}

/// Every page of a list, and how many there were.
macro_rules! pages {
    ($client:expr, $method:ident, $list:ident, $request:expr) => {{
        let (mut seen, mut pages, mut page_token) = (Vec::new(), 0, String::new());
        loop {
            let mut request = Clone::clone(&$request);
            request.page_token = page_token;
            let page = $client.$method(request).await.unwrap().into_inner();
            pages += 1;
            seen.extend(page.$list);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break (seen, pages);
            }
        }
    }};
}

#[test]
fn the_relay_says_what_it_is_and_serves() {
    let relay = TestRelay::offline(&golden(), &[]);
    runtime().block_on(async {
        let mut client = client(&relay).await;
        let info = client.get_server_info(proto::GetServerInfoRequest {}).await.unwrap().into_inner();
        assert_eq!((info.mode.as_str(), info.environment_count, info.ready), ("offline", 2, true));
        assert!(info.source_name.contains("config") && info.source_error.is_none() && info.started_at.is_some());
        let (environments, _) =
            pages!(client, list_environments, environments, proto::ListEnvironmentsRequest::default());
        let mut whole = Sha256::new();
        for environment in &environments {
            whole.update(&environment.id);
            whole.update([0]);
            whole.update(&environment.revision.as_ref().unwrap().digest);
        }
        assert_eq!(info.content_digest, whole.finalize().to_vec());
        let request = proto::GetEnvironmentRequest { environment_id: environment_id() };
        let environment = client.get_environment(request).await.unwrap().into_inner().environment.unwrap();
        assert_eq!((environment.sync_state(), environment.source()), (SyncState::Synced, proto::Source::File));
        assert_eq!((environment.name.as_str(), environment.error), ("golden", None));
        assert!(environment.last_synced_at.is_some() && environment.last_changed_at.is_some());
        assert!(environment.paused_source.is_none());
        let counts = environment.counts.unwrap();
        assert_eq!((counts.flags, counts.segments, counts.streams), (11, 3, 0));
        assert_eq!(environment.revision.unwrap().digest.len(), 32);
    });
}

#[test]
fn a_restart_is_no_change() {
    let data = tempfile::tempdir().unwrap();
    let data = format!("--data-dir={}", data.path().display());
    let changed = || {
        let relay = TestRelay::offline(&golden(), &[&data]);
        runtime().block_on(async {
            let request = proto::GetEnvironmentRequest { environment_id: environment_id() };
            let answer = client(&relay).await.get_environment(request).await.unwrap().into_inner();
            answer.environment.unwrap().last_changed_at.unwrap().seconds
        })
    };
    let first = changed();
    let now = || std::time::UNIX_EPOCH.elapsed().unwrap().as_secs().cast_signed();
    wait_for("a later second", || (now() > first).then_some(()));
    assert_eq!(changed(), first);
}

#[test]
fn what_is_not_there_is_named() {
    let relay = TestRelay::offline(&golden(), &[]);
    runtime().block_on(async {
        let mut client = client(&relay).await;
        let get = |id: &str| proto::GetEnvironmentRequest { environment_id: id.into() };
        let missing = client.get_environment(get("x")).await.unwrap_err();
        let details = missing.get_error_details();
        let resource = details.resource_info().unwrap();
        assert_eq!((resource.resource_type.as_str(), resource.resource_name.as_str()), ("environment", "x"));
        assert_eq!(details.error_info().unwrap().domain, "ffrelay");
        assert_eq!(fault(Err::<(), _>(missing)), (Code::NotFound, "ENVIRONMENT_NOT_FOUND".into()));
        let empty = fault(client.get_environment(get("")).await);
        assert_eq!(empty, (Code::InvalidArgument, "INVALID_FIELD".into()));
        let flag = proto::GetFlagRequest { environment_id: environment_id(), identifier: "none".into() };
        assert_eq!(fault(client.get_flag(flag).await), (Code::NotFound, "FLAG_NOT_FOUND".into()));
        let segment = proto::GetSegmentRequest { environment_id: environment_id(), identifier: "none".into() };
        assert_eq!(fault(client.get_segment(segment).await), (Code::NotFound, "SEGMENT_NOT_FOUND".into()));
        let list = proto::ListFlagsRequest { environment_id: "x".into(), ..Default::default() };
        assert_eq!(fault(client.list_flags(list).await), (Code::NotFound, "ENVIRONMENT_NOT_FOUND".into()));
        let streams = proto::ListStreamsRequest { environment_id: "x".into(), ..Default::default() };
        assert_eq!(fault(client.list_streams(streams).await), (Code::NotFound, "ENVIRONMENT_NOT_FOUND".into()));
        let bad = proto::ListEnvironmentsRequest { page_token: "zz".into(), ..Default::default() };
        assert_eq!(fault(client.list_environments(bad).await), (Code::InvalidArgument, "INVALID_PAGE_TOKEN".into()));
        let negative = proto::ListPeersRequest { page_size: -1, ..Default::default() };
        assert_eq!(fault(client.list_peers(negative).await), (Code::InvalidArgument, "INVALID_FIELD".into()));
    });
}

#[test]
fn lists_come_in_pages() {
    let configuration = Configuration::empty();
    for i in 0..120 {
        configuration.write(&format!("e{i:03}"), "auth_config.json", &json!([key_hash(&i.to_string())]));
    }
    let flags: Vec<Value> = (0..120).map(|i| boolean(&format!("f{i:03}"), true, i)).collect();
    configuration.write(ENVIRONMENT, "auth_config.json", &json!([key_hash(KEY)]));
    configuration.write(ENVIRONMENT, "feature_config.json", &json!(flags));
    let segments: Vec<Value> =
        (0..120).map(|i| json!({"identifier": format!("s{i:03}"), "name": "S", "version": 1})).collect();
    configuration.write(ENVIRONMENT, "segments.json", &json!(segments));
    let targets: Vec<Value> = (0..120).map(|i| json!({"identifier": format!("t{i:03}"), "name": "T"})).collect();
    configuration.write(ENVIRONMENT, "targets.json", &json!(targets));
    let relay = TestRelay::offline(configuration.path(), &[]);
    for i in [7, 500] {
        let body = json!({"apiKey": KEY, "target": {"identifier": format!("t{i:03}"), "name": "learnt"}});
        assert_eq!(post(relay.sdk, "/client/auth", &[], &body.to_string()).status, 200);
    }
    runtime().block_on(async {
        let mut client = client(&relay).await;
        let (seen, pages) = pages!(client, list_environments, environments, proto::ListEnvironmentsRequest::default());
        let ids: Vec<String> = seen.into_iter().map(|environment| environment.id).collect();
        assert_eq!((pages, ids.len(), ids.is_sorted()), (3, 121, true));

        let request = || proto::ListFlagsRequest { environment_id: environment_id(), ..Default::default() };
        let (seen, pages) = pages!(client, list_flags, flags, request());
        let versions: Vec<i64> = seen.iter().map(|flag| flag.served_version).collect();
        assert_eq!((pages, seen.len(), versions.is_sorted()), (3, 120, true));
        assert!(seen.iter().all(|flag| flag.digest.len() == 32 && flag.changed_at.is_some()));

        let request =
            || proto::ListSegmentsRequest { environment_id: environment_id(), page_size: 7, ..Default::default() };
        let (seen, pages) = pages!(client, list_segments, segments, request());
        assert_eq!((pages, seen.len()), (18, 120));

        let request =
            || proto::ListTargetsRequest { environment_id: environment_id(), page_size: 8, ..Default::default() };
        let (seen, pages) = pages!(client, list_targets, targets, request());
        let names: Vec<&str> = seen.iter().map(|target| target.identifier.as_str()).collect();
        assert_eq!((pages, names.len(), names.is_sorted(), names.last()), (16, 122, true, Some(&"t500")));
        let twice: Vec<TargetOrigin> =
            seen.iter().filter(|target| target.identifier == "t007").map(proto::Target::origin).collect();
        assert_eq!(twice, [TargetOrigin::Configured, TargetOrigin::Learnt], "a page ends between the two");

        let (seen, pages) = pages!(client, list_peers, peers, proto::ListPeersRequest::default());
        assert_eq!((pages, seen.len()), (1, 0));
    });
}

#[test]
fn a_page_of_large_targets_ends_early() {
    let configuration = Configuration::golden();
    let targets: Vec<Value> = (0..40)
        .map(|i| json!({"identifier": format!("t{i:02}"), "name": "T", "attributes": {"x": "y".repeat(250_000)}}))
        .collect();
    configuration.write(ENVIRONMENT, "targets.json", &json!(targets));
    let relay = TestRelay::offline(configuration.path(), &[]);
    runtime().block_on(async {
        // Its limit for messages is the usual one: 4 MiB.
        let mut client = client(&relay).await;
        let request =
            || proto::ListTargetsRequest { environment_id: environment_id(), page_size: 1000, ..Default::default() };
        let (seen, pages) = pages!(client, list_targets, targets, request());
        let names: Vec<String> = seen.into_iter().map(|target| target.identifier).collect();
        assert_eq!((names.len(), names.is_sorted(), pages > 2), (40, true, true));
    });
}

#[test]
fn a_flag_and_a_segment_are_shown_whole() {
    let configuration = Configuration::golden();
    configuration.edit_flag("text", |flag| flag["nobodyModelled"] = json!({"a": 1}));
    let relay = TestRelay::offline(configuration.path(), &[]);
    runtime().block_on(async {
        let mut client = client(&relay).await;
        let request = proto::GetFlagRequest { environment_id: environment_id(), identifier: "text".into() };
        let answer = client.get_flag(request).await.unwrap().into_inner();
        let flag = answer.flag.unwrap();
        assert_eq!((flag.kind.as_str(), flag.on, flag.version), ("string", true, Some(1)));
        let source: Value = serde_json::from_slice(&answer.json).unwrap();
        assert_eq!(source["nobodyModelled"]["a"], 1);
        let served: Value = serde_json::from_slice(&answer.served_json).unwrap();
        assert_eq!((&served["version"], &served["feature"]), (&json!(1), &json!("text")));
        let request = proto::GetFlagRequest { environment_id: environment_id(), identifier: "bool-off".into() };
        assert!(!client.get_flag(request).await.unwrap().into_inner().flag.unwrap().on);
        let request = proto::GetSegmentRequest { environment_id: environment_id(), identifier: "beta".into() };
        let answer = client.get_segment(request).await.unwrap().into_inner();
        let segment = answer.segment.unwrap();
        assert_eq!((segment.name.as_str(), segment.included, segment.excluded, segment.rules), ("Beta", 1, 1, 1));
        assert_eq!((segment.version, segment.served_version), (Some(2), 2));
        assert!(!answer.json.is_empty() && !answer.served_json.is_empty());
    });
}

fn ask(flag: &str, subject: Subject) -> proto::ExplainEvaluationRequest {
    proto::ExplainEvaluationRequest { environment_id: environment_id(), flag: flag.into(), subject: Some(subject) }
}

#[test]
fn an_evaluation_is_explained_step_by_step() {
    let configuration = Configuration::golden();
    configuration.write(
        ENVIRONMENT,
        "targets.json",
        &json!([{"identifier": "fred", "name": "Fred", "attributes": {"email": "fred@example.com"}}]),
    );
    let relay = TestRelay::offline(configuration.path(), &[]);
    let learnt =
        json!({"apiKey": KEY, "target": {"identifier": "gina", "name": "G", "attributes": {"email": "g@other.org"}}});
    assert_eq!(post(relay.sdk, "/client/auth", &[], &learnt.to_string()).status, 200);
    let named = |name: &str| Subject::TargetIdentifier(name.into());
    let sent = |target: &Value| Subject::TargetJson(target.to_string().into_bytes());
    runtime().block_on(async {
        let mut client = client(&relay).await;
        let explain = async |client: &mut Client, flag: &str, subject| {
            client.explain_evaluation(ask(flag, subject)).await.unwrap().into_inner()
        };

        let alice = explain(&mut client, "bool-prereq", named("alice")).await;
        assert_eq!((alice.reason(), alice.variation.as_deref()), (Reason::DefaultVariation, Some("true")));
        let step = &alice.prerequisites[0];
        assert_eq!((step.flag.as_str(), step.served.as_deref()), ("bool-targeted", Some("true")));
        assert_eq!((step.wanted.clone(), step.outcome()), (vec!["true".into()], proto::PrerequisiteOutcome::Met));
        assert_eq!((alice.target_origin(), alice.served_version), (TargetOrigin::Unspecified, 2));
        let unmet = explain(&mut client, "bool-prereq", named("somebody")).await;
        assert_eq!((unmet.reason(), unmet.variation.as_deref()), (Reason::PrerequisiteNotMet, Some("false")));

        let fred = explain(&mut client, "bool-rule", named("fred")).await;
        assert_eq!((fred.reason(), fred.target_origin()), (Reason::Rule, TargetOrigin::Configured));
        let clause = &fred.rules[0].clauses[0];
        assert_eq!((clause.attribute.as_str(), clause.op.as_str(), clause.held), ("email", "ends_with", true));
        assert_eq!((clause.text.as_str(), clause.values[0].as_str()), ("fred@example.com", "@example.com"));
        let gina = explain(&mut client, "bool-rule", named("gina")).await;
        assert_eq!((gina.reason(), gina.target_origin()), (Reason::DefaultVariation, TargetOrigin::Learnt));
        assert!(!gina.rules[0].clauses[0].held && String::from_utf8(gina.target_json).unwrap().contains("other.org"));

        let bucket = explain(&mut client, "percent", named("somebody")).await;
        assert_eq!(bucket.reason(), Reason::DefaultDistribution);
        let step = &bucket.distributions[0];
        assert_eq!(step.shares.iter().map(|share| share.weight).collect::<Vec<_>>(), [50, 50]);
        assert_eq!((step.bucket_by.as_str(), Some(step.variation.clone())), ("identifier", bucket.variation.clone()));
        let expected = if step.bucket.unwrap() <= 50 { "red" } else { "blue" };
        assert_eq!(bucket.value.as_deref(), Some(expected));

        let paid = json!({"identifier": "p", "attributes": {"country": "DE", "age": 20}});
        let gold = explain(&mut client, "bool-group-rule", sent(&paid)).await;
        assert_eq!((gold.reason(), gold.segments[0].segment.as_str()), (Reason::Rule, "gold"));
        assert_eq!(gold.segments[0].outcome(), SegmentOutcome::Rule);
        assert_eq!(gold.segments[0].rules[0].clauses.len(), 2);
        let carol = explain(&mut client, "bool-group", named("carol")).await;
        assert_eq!(carol.target_map[0].segments[0].outcome(), SegmentOutcome::Excluded);
        let off = explain(&mut client, "bool-off", named("carol")).await;
        assert_eq!((off.reason(), off.on, off.value.as_deref()), (Reason::Off, false, Some("false")));

        let unknown = client.explain_evaluation(ask("none", named("x"))).await;
        assert_eq!(fault(unknown), (Code::NotFound, "FLAG_NOT_FOUND".into()));
        for bad in ["[]", "{", "{\"name\":\"x\"}", "\u{feff}"] {
            let answer = client.explain_evaluation(ask("text", Subject::TargetJson(bad.as_bytes().to_vec()))).await;
            assert_eq!(fault(answer), (Code::InvalidArgument, "INVALID_FIELD".into()), "{bad}");
        }
        let nobody = proto::ExplainEvaluationRequest { subject: None, ..ask("text", named("x")) };
        assert_eq!(fault(client.explain_evaluation(nobody).await).1, "INVALID_FIELD");
    });
}

#[test]
fn open_streams_are_listed_with_what_they_were_sent() {
    let configuration = Configuration::golden();
    let options = ["--config-reload=true", "--config-reload-interval=100ms"];
    let relay = TestRelay::offline(configuration.path(), &options);
    let bearer = bearer(relay.sdk, KEY);
    let name = format!("Go 1.2.3 {}", "x".repeat(300));
    let mut first = Events::open(relay.sdk, KEY, &bearer, &[("Harness-SDK-Info", &name)]);
    let second = Events::open(relay.sdk, KEY, &bearer, &[("Harness-SDK-Info", "Javascript 1.0 Client")]);
    let runtime = runtime();
    runtime.block_on(async {
        let mut client = client(&relay).await;
        let all = || proto::ListStreamsRequest { page_size: 1, ..Default::default() };
        let (streams, pages) = pages!(client, list_streams, streams, all());
        assert_eq!((streams.len(), pages), (2, 2));
        let [server, browser] = &streams[..] else { panic!("{streams:?}") };
        assert_eq!((server.environment_id.as_str(), server.sdk.len()), (ENVIRONMENT, 100));
        assert_eq!((server.client_side, browser.client_side), (false, true));
        assert_eq!((server.events_sent, server.changes_behind, &server.last_event), (0, 0, &None));
        assert_eq!(server.address, first.connection.stream.get_ref().local_addr().unwrap().to_string());
        assert!(server.opened_at.is_some());

        configuration.edit_flag("text", |flag| flag["version"] = json!(7));
        assert_eq!(first.next_short(), "patch flag text");
        let (streams, _) = pages!(client, list_streams, streams, all());
        let event = streams[0].last_event.as_ref().unwrap();
        assert_eq!((event.domain.as_str(), event.identifier.as_str(), event.version), ("flag", "text", 7));
        assert_eq!((streams[0].events_sent, streams[0].changes_behind), (1, 0));

        let other = proto::ListStreamsRequest { environment_id: OTHER.into(), ..Default::default() };
        assert!(client.list_streams(other).await.unwrap().into_inner().streams.is_empty());
        assert!(!format!("{streams:?}").contains(KEY));
        let token = proto::ListStreamsRequest { page_token: "MTpmbGFn".into(), ..Default::default() };
        assert_eq!(fault(client.list_streams(token).await).1, "INVALID_PAGE_TOKEN");
    });
    drop(second);
    wait_for("the end of a stream", || {
        runtime.block_on(async {
            let mut client = client(&relay).await;
            let (streams, _) = pages!(client, list_streams, streams, proto::ListStreamsRequest::default());
            (streams.len() == 1).then_some(())
        })
    });
}
