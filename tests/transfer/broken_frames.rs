//! Transfers that go wrong on their way: nothing of them is used.

use std::time::{Duration, Instant};

use ff_relay::proto::admin::v1::admin_service_client::AdminServiceClient;
use ff_relay::proto::admin::v1::import_snapshot_request::Frame;
use ff_relay::proto::admin::v1::{ImportHeader, ImportOptions, ImportSnapshotRequest, ImportSnapshotResponse};
use ff_relay::proto::snapshot::v1::{SnapshotHeader, SnapshotTrailer};
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};

use crate::archives::packed;
use crate::sending::{chunk, frames_of, header, import, send, trailer};
use crate::support::configuration::golden;
use crate::support::grpc::{channel, fault, runtime, with_token};
use crate::support::wait_for;
use crate::unchanged::Fed;

const FRAMING: (Code, &str) = (Code::InvalidArgument, "SNAPSHOT_FRAMING");
const CORRUPT: (Code, &str) = (Code::DataLoss, "SNAPSHOT_CORRUPT");
const LIMIT: (Code, &str) = (Code::ResourceExhausted, "LIMIT_EXCEEDED");

/// A small archive in many frames.
fn small_frames() -> Vec<Frame> {
    frames_of(ImportOptions::default(), &packed(&golden()), 200)
}

fn claiming(snapshot: SnapshotHeader) -> Frame {
    Frame::Header(ImportHeader { options: None, snapshot: Some(snapshot) })
}

#[test]
fn a_transfer_that_ends_behind_any_frame_but_the_last_is_refused() {
    for fed in [Fed::empty(), Fed::golden()] {
        let whole = small_frames();
        assert!(whole.len() > 8, "{}", whole.len());
        fed.refuses("no frame", Vec::new(), FRAMING);
        for count in 1..whole.len() {
            fed.refuses(&format!("{count} frames"), whole[..count].to_vec(), CORRUPT);
        }
        fed.is_unchanged_and_takes_a_good_one();
    }
}

#[test]
fn frames_out_of_order_and_gaps_are_refused() {
    let fed = Fed::golden();
    let whole = small_frames();
    let edited = |edit: &dyn Fn(&mut Vec<Frame>)| {
        let mut frames = whole.clone();
        edit(&mut frames);
        frames
    };
    let last = whole.len() - 1;
    for (what, frames) in [
        ("no header", edited(&|frames| drop(frames.remove(0)))),
        ("the header second", edited(&|frames| frames.swap(0, 1))),
        ("two headers", edited(&|frames| frames.insert(1, whole[0].clone()))),
        ("a header among the chunks", edited(&|frames| frames.insert(4, whole[0].clone()))),
        ("two chunks exchanged", edited(&|frames| frames.swap(2, 3))),
        ("a chunk twice", edited(&|frames| frames.insert(3, whole[2].clone()))),
        ("the first chunk missing", edited(&|frames| drop(frames.remove(1)))),
        ("a chunk missing", edited(&|frames| drop(frames.remove(3)))),
        ("an offset beyond", edited(&|frames| frames[2] = chunk(201, &[0; 200]))),
        ("an offset of all bits", edited(&|frames| frames[2] = chunk(usize::MAX, &[0; 200]))),
        ("a chunk behind the trailer", edited(&|frames| frames.push(whole[last - 1].clone()))),
        ("a second trailer", edited(&|frames| frames.push(whole[last].clone()))),
    ] {
        fed.refuses(what, frames, FRAMING);
    }
    // Early is like cut off: less came than the trailer speaks of.
    fed.refuses("the trailer at once", vec![whole[0].clone(), whole[last].clone()], CORRUPT);
    fed.refuses("the trailer early", edited(&|frames| drop(frames.drain(5..last))), CORRUPT);
    fed.is_unchanged_and_takes_a_good_one();
}

#[test]
fn a_frame_without_content_is_refused() {
    let fed = Fed::golden();
    let answer: Result<ImportSnapshotResponse, Status> = runtime().block_on(async {
        let mut client = AdminServiceClient::new(channel(&fed.relay).await);
        let requests = [Some(header(ImportOptions::default())), None].map(|frame| ImportSnapshotRequest { frame });
        client
            .import_snapshot(with_token(tokio_stream::iter(requests), "admin-token"))
            .await
            .map(tonic::Response::into_inner)
    });
    assert_eq!(fault(answer), (FRAMING.0, FRAMING.1.to_owned()));
    fed.is_unchanged_and_takes_a_good_one();
}

#[test]
fn wrong_sizes_and_checksums_are_refused() {
    let fed = Fed::golden();
    let bytes = packed(&golden());
    let (size, sha256) = (bytes.len() as u64, Sha256::digest(&bytes).to_vec());
    let plain = || header(ImportOptions::default());
    let sized = |total_size| claiming(SnapshotHeader { total_size, ..SnapshotHeader::default() });
    let hashed = |sha256: &[u8]| claiming(SnapshotHeader { sha256: sha256.to_vec(), ..SnapshotHeader::default() });
    let ends = |total_size, sha256: &[u8]| Frame::Trailer(SnapshotTrailer { total_size, sha256: sha256.to_vec() });
    let mut flipped = sha256.clone();
    flipped[31] ^= 1;
    for (what, first, last) in [
        ("another SHA-256 in the trailer", plain(), ends(size, &flipped)),
        ("half a SHA-256 in the trailer", plain(), ends(size, &sha256[..16])),
        ("no SHA-256 in the trailer", plain(), ends(size, &[])),
        ("another SHA-256 in the header", hashed(&flipped), trailer(&bytes)),
        ("another size in the trailer", plain(), ends(size + 1, &sha256)),
        ("no size in the trailer", plain(), ends(0, &sha256)),
        ("another size in the header", sized(size - 1), trailer(&bytes)),
    ] {
        fed.refuses(what, vec![first, chunk(0, &bytes), last], CORRUPT);
    }
    fed.is_unchanged_and_takes_a_good_one();
    let whole = claiming(SnapshotHeader { total_size: size, sha256, ..SnapshotHeader::default() });
    send(&fed.relay, vec![whole, chunk(0, &bytes), trailer(&bytes)]).unwrap();
}

#[test]
fn what_is_too_large_is_refused_before_it_has_come() {
    let fed = Fed::golden();
    let huge = SnapshotHeader { total_size: 256 * 1024 * 1024 + 1, ..SnapshotHeader::default() };
    fed.refuses("an archive", vec![claiming(huge)], LIMIT);
    let message = vec![header(ImportOptions::default()), chunk(0, &vec![0; 1024 * 1024 + 1])];
    fed.refuses("a message", message, LIMIT);
    fed.is_unchanged_and_takes_a_good_one();
}

/// An import whose frames come when the test says so.
struct Slow {
    runtime: tokio::runtime::Runtime,
    frames: mpsc::Sender<ImportSnapshotRequest>,
    answer: tokio::task::JoinHandle<Result<ImportSnapshotResponse, Status>>,
}

impl Slow {
    fn begin(fed: &Fed, first: Vec<Frame>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (frames, coming) = mpsc::channel(1000);
        let address = fed.relay.grpc.unwrap();
        let answer = runtime.spawn(async move {
            let mut client = AdminServiceClient::new(crate::support::grpc::channel_to(address).await);
            let request = with_token(ReceiverStream::new(coming), "admin-token");
            client.import_snapshot(request).await.map(tonic::Response::into_inner)
        });
        let slow = Slow { runtime, frames, answer };
        slow.goes_on(first);
        slow
    }

    fn goes_on(&self, frames: Vec<Frame>) {
        for frame in frames {
            self.frames.try_send(ImportSnapshotRequest { frame: Some(frame) }).unwrap();
        }
    }

    fn ends(self) -> Result<ImportSnapshotResponse, Status> {
        let Slow { runtime, frames, answer } = self;
        drop(frames);
        runtime.block_on(answer).unwrap()
    }
}

/// Begins an import and returns once the relay refuses another one because
/// of it. Asking is an import too: where it came first, it begins anew.
fn begin_slowly(fed: &Fed, first: &[Frame]) -> Slow {
    let mut slow = Slow::begin(fed, first.to_vec());
    wait_for("the import to be under way", || {
        let other = send(&fed.relay, Vec::new());
        if slow.answer.is_finished() {
            slow = Slow::begin(fed, first.to_vec());
            return None;
        }
        (fault(other) == (Code::Aborted, "IMPORT_IN_PROGRESS".into())).then_some(())
    });
    slow
}

#[test]
fn one_import_at_a_time_and_the_first_is_not_disturbed() {
    let fed = Fed::empty();
    let mut first = small_frames();
    let rest = first.split_off(4);
    let slow = begin_slowly(&fed, &first);
    fed.refuses("a whole one", small_frames(), (Code::Aborted, "IMPORT_IN_PROGRESS"));
    fed.is_unchanged();
    slow.goes_on(rest);
    assert_eq!(slow.ends().unwrap().environments.len(), 2);
}

#[test]
fn a_client_that_goes_mid_way_leaves_nothing_behind() {
    let fed = Fed::golden();
    for count in [1, 2, 5] {
        let slow = begin_slowly(&fed, &small_frames()[..count]);
        let since = Instant::now();
        // Its runtime goes with it, and so does the connection.
        drop(slow);
        wait_for("the place of the one that left", || {
            let other = send(&fed.relay, Vec::new());
            (fault(other) == (FRAMING.0, FRAMING.1.into())).then_some(())
        });
        assert!(since.elapsed() < Duration::from_secs(20), "{:?}", since.elapsed());
    }
    fed.is_unchanged_and_takes_a_good_one();
}

#[test]
fn a_client_that_falls_silent_is_given_up_after_30_seconds() {
    let fed = Fed::golden();
    let slow = Slow::begin(&fed, small_frames()[..3].to_vec());
    let since = Instant::now();
    let (code, reason) = fault(slow.runtime.block_on(slow.answer).unwrap());
    assert_eq!((code, reason.as_str()), (Code::DeadlineExceeded, "CHUNK_TIMEOUT"));
    assert!(since.elapsed() > Duration::from_secs(29), "{:?}", since.elapsed());
    drop(slow.frames);
    fed.is_unchanged_and_takes_a_good_one();
    import(&fed.relay, ImportOptions::default(), &packed(&golden())).unwrap();
}
