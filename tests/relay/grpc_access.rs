//! Who may call what.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tonic::Code;
use tonic_types::StatusExt as _;

use crate::support::client::get;
use crate::support::configuration::golden;
use crate::support::grpc::{TOKENS, call, channel, methods, reason, runtime};
use crate::support::relay::TestRelay;

/// The lowest role of each method; `open` for everybody.
const NEEDED: &[(&str, &str)] = &[
    ("/ffrelay.admin.v1.AdminService/Drain", "admin"),
    ("/ffrelay.admin.v1.AdminService/ImportSnapshot", "admin"),
    ("/ffrelay.admin.v1.AdminService/ResyncEnvironment", "admin"),
    ("/ffrelay.admin.v1.AdminService/SetLogLevel", "admin"),
    ("/ffrelay.inspect.v1.InspectService/ExplainEvaluation", "inspect"),
    ("/ffrelay.inspect.v1.InspectService/GetEnvironment", "inspect"),
    ("/ffrelay.inspect.v1.InspectService/GetFlag", "inspect"),
    ("/ffrelay.inspect.v1.InspectService/GetSegment", "inspect"),
    ("/ffrelay.inspect.v1.InspectService/GetServerInfo", "inspect"),
    ("/ffrelay.inspect.v1.InspectService/ListEnvironments", "inspect"),
    ("/ffrelay.inspect.v1.InspectService/ListFlags", "inspect"),
    ("/ffrelay.inspect.v1.InspectService/ListPeers", "inspect"),
    ("/ffrelay.inspect.v1.InspectService/ListSegments", "inspect"),
    ("/ffrelay.inspect.v1.InspectService/ListStreams", "inspect"),
    ("/ffrelay.inspect.v1.InspectService/ListTargets", "inspect"),
    ("/ffrelay.snapshot.v1.SnapshotService/ExportSnapshot", "sync"),
    ("/ffrelay.snapshot.v1.SnapshotService/SyncSnapshots", "sync"),
    ("/ffrelay.usage.v1.UsageService/ReportUsage", "sync"),
    ("/grpc.health.v1.Health/Check", "open"),
    ("/grpc.health.v1.Health/Watch", "open"),
    ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", "inspect"),
    ("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", "inspect"),
];

const ROLES: [&str; 4] = ["open", "inspect", "sync", "admin"];

fn rank(role: &str) -> usize {
    ROLES.iter().position(|known| *known == role).unwrap()
}

#[test]
fn every_method_needs_its_role() {
    let known: Vec<String> = methods().into_keys().collect();
    let listed: Vec<&str> = NEEDED.iter().map(|(method, _)| *method).collect();
    let missing: Vec<&String> = known.iter().filter(|method| !listed.contains(&method.as_str())).collect();
    assert!(missing.is_empty(), "say which role these need: {missing:?}");
    let relay = TestRelay::offline(&golden(), &TOKENS);
    runtime().block_on(async {
        let channel = channel(&relay).await;
        for role in ROLES {
            let token = if role == "open" { String::new() } else { format!("{role}-token") };
            // Draining comes last: nothing is answered afterwards.
            for (method, needed) in NEEDED.iter().filter(|(method, _)| known.contains(&(*method).to_owned())) {
                if method.ends_with("/Drain") && role == "admin" {
                    continue;
                }
                let answer = call(&channel, method, &token).await;
                let (code, why) = match &answer {
                    Ok(()) => (Code::Ok, String::new()),
                    Err(status) => (status.code(), reason(status)),
                };
                assert_ne!(code, Code::Unknown, "{method} as {role}");
                let refused = matches!(code, Code::Unauthenticated | Code::PermissionDenied);
                assert_eq!(refused, rank(role) < rank(needed), "{method} as {role}: {code:?} {why}");
                if refused {
                    let expected = if role == "open" { "CREDENTIALS_MISSING" } else { "ROLE_FORBIDDEN" };
                    assert_eq!(why, expected, "{method} as {role}");
                }
            }
        }
        assert!(call(&channel, "/ffrelay.admin.v1.AdminService/Drain", "admin-token").await.is_ok());
    });
}

#[test]
fn permission_comes_before_existence() {
    let relay = TestRelay::offline(&golden(), &TOKENS);
    runtime().block_on(async {
        let channel = channel(&relay).await;
        for path in ["/ffrelay.admin.v1.AdminService/NoSuch", "/no.such.v1.Service/Method"] {
            let refused = call(&channel, path, "sync-token").await.unwrap_err();
            assert_eq!((refused.code(), reason(&refused).as_str()), (Code::PermissionDenied, "ROLE_FORBIDDEN"));
            let unknown = call(&channel, path, "admin-token").await.unwrap_err();
            assert_eq!((unknown.code(), reason(&unknown).as_str()), (Code::Unimplemented, "ROUTE_NOT_FOUND"), "{path}");
        }
    });
}

#[test]
fn nobody_with_a_credential_configured_means_loopback_may_inspect() {
    let relay = TestRelay::offline(&golden(), &[]);
    runtime().block_on(async {
        let channel = channel(&relay).await;
        assert!(call(&channel, "/ffrelay.inspect.v1.InspectService/GetServerInfo", "").await.is_ok());
        let refused = call(&channel, "/ffrelay.snapshot.v1.SnapshotService/ExportSnapshot", "").await.unwrap_err();
        assert_eq!(reason(&refused), "ROLE_FORBIDDEN");
        let guessed = call(&channel, "/ffrelay.inspect.v1.InspectService/GetServerInfo", "guess").await.unwrap_err();
        assert_eq!(reason(&guessed), "CREDENTIALS_INVALID");
    });
}

#[test]
fn tokens_are_exchanged_while_the_relay_runs() {
    let place = tempfile::tempdir().unwrap();
    let (tokens, environment) = (place.path().join("tokens"), place.path().join("env"));
    std::fs::write(&tokens, "old-token, other-token\n").unwrap();
    std::fs::write(&environment, format!("GRPC_INSPECT_TOKENS_FILE={}\n", tokens.display())).unwrap();
    let option = format!("--env-file={}", environment.display());
    let relay = TestRelay::offline(&golden(), &[&option, "--grpc-admin-tokens=admin-token"]);
    let method = "/ffrelay.inspect.v1.InspectService/GetServerInfo";
    runtime().block_on(async {
        let channel = channel(&relay).await;
        for good in ["old-token", "other-token", "admin-token"] {
            call(&channel, method, good).await.unwrap();
        }
        let before = call(&channel, method, "new-token").await.unwrap_err();
        std::fs::write(&tokens, "new-token").unwrap();
        let limit = tokio::time::Instant::now() + Duration::from_secs(60);
        while call(&channel, method, "new-token").await.is_err() {
            assert!(tokio::time::Instant::now() < limit, "the new token is not taken");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let after = call(&channel, method, "old-token").await.unwrap_err();
        assert_eq!((after.code(), reason(&after).as_str()), (Code::Unauthenticated, "CREDENTIALS_INVALID"));
        assert_eq!(after.message(), before.message(), "a token of before is as unknown as any");
        call(&channel, method, "admin-token").await.unwrap();
        std::fs::remove_file(&tokens).unwrap();
        tokio::time::sleep(Duration::from_secs(6)).await;
        call(&channel, method, "new-token").await.unwrap();
    });
}

#[test]
fn plain_http_is_refused_in_plain_http() {
    let relay = TestRelay::offline(&golden(), &TOKENS);
    let address = relay.grpc.unwrap();
    let missing = get(address, "/relay/latest-all", &[]);
    assert_eq!((missing.status, missing.header("www-authenticate")), (401, Some("Bearer")));
    assert_eq!((&missing.json()["code"], missing.json()["error"].is_string()), (&"401".into(), true));
    let low = get(address, "/relay/latest-all", &[("Authorization", "Bearer inspect-token")]);
    assert_eq!(low.status, 403);
    for path in ["/", "/readyz", "/ffrelay.inspect.v1.InspectService/GetServerInfo"] {
        let foreign = get(address, path, &[]);
        assert_eq!((foreign.status, foreign.text().contains("this port speaks gRPC")), (404, true), "{path}");
    }
    for token in ["sync-token", "Bearer sync-token", "bearer admin-token"] {
        let unknown = get(address, "/relay/no-such", &[("Authorization", token)]);
        assert_eq!((unknown.status, &unknown.json()["code"]), (404, &"404".into()), "{token}");
    }
}

#[test]
fn other_machines_need_a_credential_to_be_configured() {
    let start = |more: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_ff-relay"))
            .args(["--offline", "--port=0", "--grpc-address=0.0.0.0:7001", "--check"])
            .arg(format!("--config-dir={}", golden().display()))
            .args(more)
            .output()
            .unwrap()
    };
    let refused = start(&[]);
    assert_eq!(refused.status.code(), Some(64));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("grpc-address can be reached from other machines"));
    assert_eq!(start(&["--grpc-inspect-tokens=x-token"]).status.code(), Some(0));
}

#[test]
fn docs_name_every_method_with_its_role_and_every_reason() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/grpc.md");
    let text = std::fs::read_to_string(path).unwrap();
    for (method, role) in NEEDED {
        let (service, method) = method.trim_start_matches('/').split_once('/').unwrap();
        let row = text.lines().find(|line| line.contains(&format!("`{service}`")));
        let row = row.unwrap_or_else(|| panic!("docs/grpc.md has no row of {service}"));
        assert!(row.contains(&format!("| {role} |")), "{service}: {role}");
        assert!(!service.starts_with("ffrelay") || row.contains(&format!("`{method}`")), "{service}/{method}");
    }
    for fault in ff_relay::fault::Fault::ALL {
        let row = fault.row();
        let code: String = format!("{:?}", row.code)
            .chars()
            .flat_map(|c| if c.is_uppercase() { vec!['_', c] } else { vec![c.to_ascii_uppercase()] })
            .collect();
        let (reason, code) = (format!("`{}`", row.reason), code.trim_start_matches('_').to_owned());
        let said = text.lines().any(|line| {
            line.contains(&reason)
                && line.contains(&format!("| {code} |"))
                && line.contains(&format!("| {} |", row.status.as_str()))
        });
        assert!(said, "docs/grpc.md has no row {reason} | {code} | {}", row.status.as_str());
    }
}

mod reflection {
    use super::*;
    use crate::support::grpc::with_token;
    use tonic::transport::Channel;
    use tonic_reflection::pb::v1::ServerReflectionRequest;
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

    async fn ask(channel: &Channel, token: &str, question: MessageRequest) -> Result<MessageResponse, tonic::Status> {
        let mut client = ServerReflectionClient::new(channel.clone());
        let request = ServerReflectionRequest { host: String::new(), message_request: Some(question) };
        let mut answers =
            client.server_reflection_info(with_token(tokio_stream::iter([request]), token)).await?.into_inner();
        Ok(answers.message().await?.unwrap().message_response.unwrap())
    }

    #[test]
    fn lists_what_the_caller_may_call() {
        let relay = TestRelay::offline(&golden(), &TOKENS);
        runtime().block_on(async {
            let channel = channel(&relay).await;
            for role in ["inspect", "sync", "admin"] {
                let token = format!("{role}-token");
                let answer = ask(&channel, &token, MessageRequest::ListServices(String::new())).await.unwrap();
                let MessageResponse::ListServicesResponse(list) = answer else { panic!("{answer:?}") };
                let mut names: Vec<String> = list.service.into_iter().map(|service| service.name).collect();
                names.sort();
                let mut expected: Vec<&str> = NEEDED
                    .iter()
                    .filter(|(_, needed)| rank(needed) <= rank(role))
                    .map(|(method, _)| method.trim_start_matches('/').split_once('/').unwrap().0)
                    .collect();
                expected.dedup();
                assert_eq!(names, expected, "{role}");
                for (service, needed) in [
                    ("ffrelay.inspect.v1.InspectService", "inspect"),
                    ("ffrelay.snapshot.v1.SnapshotService.ExportSnapshot", "sync"),
                    ("ffrelay.admin.v1.AdminService", "admin"),
                    ("ffrelay.admin.v1.ImportOptions", "admin"),
                ] {
                    let symbol = MessageRequest::FileContainingSymbol(service.into());
                    let answer = ask(&channel, &token, symbol).await;
                    match answer {
                        Ok(_) => assert!(rank(role) >= rank(needed), "{role} sees {service}"),
                        Err(status) => {
                            assert_eq!(status.code(), Code::NotFound);
                            assert!(rank(role) < rank(needed), "{role} does not see {service}");
                        }
                    }
                }
                let file = MessageRequest::FileByFilename("ffrelay/admin/v1/admin.proto".into());
                assert_eq!(ask(&channel, &token, file).await.is_ok(), role == "admin");
                let import = MessageRequest::FileByFilename("google/protobuf/timestamp.proto".into());
                assert!(ask(&channel, &token, import).await.is_ok(), "imports are given, too");
            }
            let refused = ask(&channel, "", MessageRequest::ListServices(String::new())).await.unwrap_err();
            assert_eq!(refused.get_error_details().error_info().unwrap().reason, "CREDENTIALS_MISSING");
        });
    }
}
