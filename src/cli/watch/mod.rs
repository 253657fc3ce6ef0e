//! `ff-relay watch`: changes as they happen. It follows the relay as another
//! relay would, keeps what it has seen, and prints the difference.

mod payload;
mod print;
mod state;

use std::time::Duration;

use clap::Parser;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use super::Output;
use super::connect::{Relay, Session, wait};
use super::failure::Failure;
use crate::proto::snapshot::v1 as proto;
use crate::proto::snapshot::v1::sync_snapshots_request::Message as Say;
use crate::proto::snapshot::v1::sync_snapshots_response::Message as Heard;
use crate::transfer::sealing::Counter;
use payload::Payload;
use print::Printer;
use state::World;

/// A relay gives a sign of life every 15 s or so.
const SILENCE: Duration = Duration::from_secs(60);

/// Between two attempts after a lost stream.
const PAUSE: Duration = Duration::from_secs(1);

/// Print changes of flags, segments, targets and keys as they happen, a line
/// each, until interrupted. A lost relay is tried again, and nothing is
/// missed. Needs the role sync; the relay counts it as a follower.
#[derive(Debug, Parser)]
#[command(name = "watch", disable_version_flag = true, after_help = EXAMPLES)]
pub struct Arguments {
    /// Only this environment; may be repeated.
    #[arg(long, value_name = "ID")]
    environment: Vec<String>,
    /// End after so many changes.
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    #[command(flatten)]
    relay: Relay,
    /// How to print; JSON is one value a line.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

const EXAMPLES: &str = "\
Examples:
  ff-relay watch
  ff-relay watch --environment 11111111-1111-4111-8111-111111111111 --output json | jq -r .identifier
  ff-relay watch --limit 1 && echo changed

Exit codes: 0 --limit was reached; 1 failed; 2 unreachable at the start; 3 refused; 64 wrong command line.";

/// # Errors
/// The relay cannot be reached at the start, or refuses.
pub fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    wait(async {
        let follower_id = format!("watch-{:016x}", rand::random::<u64>());
        let mut world = World::default();
        let mut printer = Printer::new(arguments.output, arguments.limit);
        let mut session = Some(arguments.relay.connect().await?);
        loop {
            if let Some(open) = session.take() {
                let ended = follow(&open, &arguments.environment, &follower_id, &mut world, &mut printer).await;
                match ended {
                    Ok(()) => return Ok(true),
                    Err(failure @ (Failure::Refused(_) | Failure::Usage(_))) => return Err(failure.into()),
                    Err(Failure::Failed { reason, message }) if reason != "DRAINING" => {
                        return Err(Failure::Failed { reason, message }.into());
                    }
                    Err(lost) => eprintln!("ff-relay watch: {lost}; trying again"),
                }
            }
            tokio::time::sleep(PAUSE).await;
            session = arguments.relay.connect().await.ok();
        }
    })
}

/// Follows until the printer has had enough (`Ok`) or the stream is lost.
async fn follow(
    session: &Session,
    environments: &[String],
    follower_id: &str,
    world: &mut World,
    printer: &mut Printer,
) -> Result<(), Failure> {
    let failed = |status: &tonic::Status| Failure::of(status, &session.address);
    let (say, said) = mpsc::channel(16);
    let subscribe = proto::Subscribe {
        follower_id: follower_id.to_owned(),
        follower_name: "ff-relay watch".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        environment_ids: environments.to_vec(),
        known: world.known(),
    };
    let (mut counted, mut opened) = (Counter::default(), Counter::default());
    speak(&say, &mut counted, Say::Subscribe(subscribe)).await;
    let mut snapshots = session.snapshots().max_decoding_message_size(4 * 1024 * 1024);
    let opening = snapshots.sync_snapshots(session.request(ReceiverStream::new(said)));
    let mut heard: Streaming<proto::SyncSnapshotsResponse> = session.answer(opening).await?;
    let mut payload: Option<Payload> = None;
    loop {
        let lost = |why: &str| Failure::unreachable(&session.address, why);
        let next = tokio::time::timeout(SILENCE, heard.message()).await.map_err(|_| lost("it has fallen silent"))?;
        let mut response = next.map_err(|status| failed(&status))?.ok_or_else(|| lost("it has ended the stream"))?;
        opened.open(&mut response).map_err(|error| lost(&error.to_string()))?;
        match response.message {
            Some(Heard::Environments(set)) => printer.print(&world.environments(&set)),
            Some(Heard::Header(header)) => payload = Some(Payload::new(header)),
            Some(Heard::Chunk(chunk)) => payload.iter_mut().for_each(|payload| payload.push(&chunk.data)),
            Some(Heard::Trailer(trailer)) => {
                let Some(whole) = payload.take() else { continue };
                let (environment_id, update) = (whole.environment_id.clone(), whole.update);
                let applied = whole.finish(&trailer).and_then(|change| world.apply(&environment_id, change));
                let answer = match applied {
                    Ok(events) => {
                        printer.print(&events);
                        Say::Ack(proto::Ack { environment_id, update, raised: Vec::new() })
                    }
                    Err(reason) => Say::Nack(proto::Nack { environment_id, update, reason }),
                };
                speak(&say, &mut counted, answer).await;
            }
            Some(Heard::Progress(progress)) => printer.print(&world.progress(&progress)),
            Some(Heard::LearntTarget(_) | Heard::KeysRead(_)) | None => {}
        }
        if printer.is_done() {
            return Ok(());
        }
    }
}

async fn speak(say: &mpsc::Sender<proto::SyncSnapshotsRequest>, counted: &mut Counter, message: Say) {
    // Nobody listens any more only if the stream has ended, which is heard.
    let request = proto::SyncSnapshotsRequest { message: Some(message), ..Default::default() };
    let _ = say.send(counted.seal(request)).await;
}
