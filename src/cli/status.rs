//! `ff-relay status`: how a relay is doing.

use clap::Parser;
use serde_json::json;

use super::connect::{Relay, wait};
use super::inspect::{environment_table, environments};
use super::print::{Paint, Tone, clean, count, say};
use super::{Output, print, view};
use crate::proto::inspect::v1::{Environment, GetServerInfoRequest, GetServerInfoResponse, Redis};

/// Environments shown to people; `inspect environments` shows all.
const SHOWN: usize = 20;

/// Say how a relay is doing: ready or why not, its source, its environments.
/// Exit code 0 if it is ready, 1 if not. Needs the role inspect.
#[derive(Debug, Parser)]
#[command(name = "status", disable_version_flag = true, after_help = EXAMPLES)]
pub struct Arguments {
    #[command(flatten)]
    relay: Relay,
    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

const EXAMPLES: &str = "\
Examples:
  ff-relay status
  ff-relay status --address https://relay.example.org:7001 --token-file token
  until ff-relay status > /dev/null; do sleep 1; done

`ff-relay healthcheck` asks the SDK port instead and needs no credential.

Exit codes: 0 ready; 1 not ready, or failed; 2 unreachable; 3 refused; 64 wrong command line.";

/// # Errors
/// The relay cannot be reached, or refuses.
pub fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    wait(async {
        let session = arguments.relay.connect().await?;
        let request = session.request(GetServerInfoRequest {});
        let info = session.answer(session.inspect().get_server_info(request)).await?;
        let all = environments(&session, None).await?;
        let serving = session.is_serving().await;
        match arguments.output {
            Output::Json => print_json(&info, serving, &all),
            Output::Text => print_text(&session.address, &info, serving, &all),
        }
        Ok(info.ready && serving != Some(false))
    })
}

fn print_json(info: &GetServerInfoResponse, serving: Option<bool>, all: &[Environment]) {
    print::json(&json!({
        "ready": info.ready,
        "serving": serving,
        "notReadyReasons": info.not_ready_reasons,
        "version": info.version,
        "mode": info.mode,
        "startedAt": view::time_json(info.started_at.as_ref()),
        "source": {"name": info.source_name, "error": info.source_error},
        "contentDigest": view::hex(&info.content_digest),
        "environmentCount": info.environment_count,
        "pausedEnvironmentCount": info.paused_environment_count,
        "streamCount": info.stream_count,
        "followerCount": info.follower_count,
        "redis": info.redis.as_ref().map(redis_json),
        "environments": all.iter().map(view::environment).collect::<Vec<_>>(),
    }));
}

fn redis_json(redis: &Redis) -> serde_json::Value {
    let holder = redis.lease_holder.as_ref();
    json!({
        "name": redis.name,
        "role": redis_role(redis),
        "error": redis.error,
        "since": view::time_json(redis.since.as_ref()),
        "leaseHolder": holder.map(|it| json!({"name": it.name, "token": it.token, "since": view::time_json(it.since.as_ref())})),
        "lastComparedAt": view::time_json(redis.last_compared_at.as_ref()),
        "environmentsBehind": redis.environments_behind,
        "relays": redis.relays,
    })
}

/// As `/health` names it.
fn redis_role(redis: &Redis) -> &str {
    redis.role().as_str_name().trim_start_matches("REDIS_ROLE_")
}

fn print_redis(redis: &Redis) {
    let holder = redis.lease_holder.as_ref();
    let leader = holder.map_or_else(|| "nobody leads".to_owned(), |holder| format!("{} leads", clean(&holder.name)));
    say!("  Redis {}: {}; {leader}", clean(&redis.name), redis_role(redis));
    if let Some(error) = &redis.error {
        say!("  {}: {}", Paint::of_surroundings().text(Tone::Bad, "Redis error"), clean(error));
    }
}

fn print_text(address: &str, info: &GetServerInfoResponse, serving: Option<bool>, all: &[Environment]) {
    let paint = Paint::of_surroundings();
    let state = if info.ready { paint.text(Tone::Good, "ready") } else { paint.text(Tone::Bad, "not ready") };
    say!("{address}: {state}");
    info.not_ready_reasons.iter().for_each(|reason| say!("  {}", clean(reason)));
    if serving == Some(false) {
        say!("  {}", paint.text(Tone::Bad, "its gRPC port is closing"));
    }
    say!("  ff-relay {}, {}, since {}", clean(&info.version), clean(&info.mode), view::time(info.started_at.as_ref()));
    say!("  source: {}", clean(&info.source_name));
    if let Some(error) = &info.source_error {
        say!("  {}: {}", paint.text(Tone::Bad, "source error"), clean(error));
    }
    if info.paused_environment_count > 0 {
        let paused = count(info.paused_environment_count.into(), "environment");
        say!("  {}: {paused}; `ff-relay resync` ends it", paint.text(Tone::Changed, "source paused by an import"));
    }
    say!("  {}, {}", count(info.stream_count, "SDK stream"), count(info.follower_count.into(), "follower"));
    if let Some(redis) = &info.redis {
        print_redis(redis);
    }
    if !info.content_digest.is_empty() {
        say!("  content {}", view::hex(&info.content_digest));
    }
    say!();
    let shown: Vec<Environment> = all.iter().take(SHOWN).cloned().collect();
    environment_table(&shown).print("no environments");
    if all.len() > shown.len() {
        say!("and {} more; `ff-relay inspect environments` shows all", all.len() - shown.len());
    }
}
