//! Frames that wait to be taken: short messages, and one update whose payload
//! is cut as it goes.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::proto::snapshot::v1 as proto;
use crate::proto::snapshot::v1::sync_snapshots_response::Message;
use crate::snapshot::item::Digest;
use crate::transfer::CHUNK_BYTES;
use crate::transfer::sealing::Counter;

/// What goes out next.
#[derive(Debug, Default)]
pub struct Outgoing {
    messages: VecDeque<Message>,
    payload: Option<Payload>,
    counter: Counter,
}

#[derive(Debug)]
struct Payload {
    left: Bytes,
    sha256: Digest,
}

impl Outgoing {
    /// A message of its own.
    pub fn push(&mut self, message: Message) {
        self.messages.push_back(message);
    }

    /// An update; the one before must have gone.
    pub fn update(&mut self, environment_id: String, update: u64, payload: Bytes) {
        let size = payload.len() as u64;
        self.messages.push_back(Message::Header(proto::UpdateHeader { environment_id, update, size }));
        self.payload = Some(Payload { sha256: Digest::of(&payload), left: payload });
    }

    /// The next frame.
    pub fn next(&mut self) -> Option<proto::SyncSnapshotsResponse> {
        let message = match self.messages.pop_front() {
            Some(message) => message,
            None => self.payload_frame()?,
        };
        let response = proto::SyncSnapshotsResponse { message: Some(message), ..Default::default() };
        Some(self.counter.seal(response))
    }

    fn payload_frame(&mut self) -> Option<Message> {
        let payload = self.payload.as_mut()?;
        if payload.left.is_empty() {
            let sha256 = payload.sha256.0.to_vec();
            self.payload = None;
            return Some(Message::Trailer(proto::UpdateTrailer { sha256 }));
        }
        let data = payload.left.split_to(payload.left.len().min(CHUNK_BYTES));
        Some(Message::Chunk(proto::UpdateChunk { data: data.to_vec() }))
    }
}
