//! `ff-relay status`: how a relay is doing.

use clap::Parser;
use serde_json::json;

use super::connect::{Relay, wait};
use super::inspect::{environment_table, environments};
use super::print::{Paint, Tone, clean, count, say};
use super::{Output, print, view};
use crate::proto::inspect::v1::{Environment, GetServerInfoRequest, GetServerInfoResponse};

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
        "environments": all.iter().map(view::environment).collect::<Vec<_>>(),
    }));
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
