//! Messages of a stream between relays are counted and carry a checksum, so
//! that one that was lost or damaged on the way is noticed at once. A
//! damaged list of environments would otherwise withdraw what is served, and
//! a lost update would be waited for.

use crate::proto::snapshot::v1::{SyncSnapshotsRequest, SyncSnapshotsResponse};

/// A message with a number and a checksum.
pub trait Sealed: prost::Message {
    fn number(&mut self) -> &mut u64;
    fn check(&mut self) -> &mut Option<u32>;
}

impl Sealed for SyncSnapshotsRequest {
    fn number(&mut self) -> &mut u64 {
        &mut self.number
    }

    fn check(&mut self) -> &mut Option<u32> {
        &mut self.check
    }
}

impl Sealed for SyncSnapshotsResponse {
    fn number(&mut self) -> &mut u64 {
        &mut self.number
    }

    fn check(&mut self) -> &mut Option<u32> {
        &mut self.check
    }
}

/// What went wrong on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    #[error("a message was damaged on the way")]
    Damaged,
    #[error("message {expected} was lost on the way; {found} came")]
    Lost { expected: u64, found: u64 },
}

/// Counts the messages of one direction of one stream, on one of its sides.
#[derive(Clone, Debug, Default)]
pub struct Counter {
    last: u64,
}

impl Counter {
    /// Gives a message the next number, and its checksum.
    pub fn seal<M: Sealed>(&mut self, mut message: M) -> M {
        self.last += 1;
        *message.number() = self.last;
        *message.check() = None;
        let check = crc32fast::hash(&message.encode_to_vec());
        *message.check() = Some(check);
        message
    }

    /// Looks whether a message is the next one, and whole. Those of a sender
    /// that does not count or sum up are taken as they are.
    ///
    /// # Errors
    /// See [`SealError`].
    pub fn open<M: Sealed>(&mut self, message: &mut M) -> Result<(), SealError> {
        if let Some(check) = message.check().take()
            && crc32fast::hash(&message.encode_to_vec()) != check
        {
            return Err(SealError::Damaged);
        }
        let found = *message.number();
        let expected = self.last + 1;
        if found != 0 && found != expected {
            return Err(SealError::Lost { expected, found });
        }
        self.last = expected;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::snapshot::v1::sync_snapshots_response::Message;
    use crate::proto::snapshot::v1::{EnvironmentSet, UpdateChunk, UpdateHeader};
    use prost::Message as _;

    fn messages() -> Vec<SyncSnapshotsResponse> {
        let environment_ids = vec!["e".to_owned(), "f".to_owned()];
        [
            Message::Environments(EnvironmentSet { environment_ids, complete: true }),
            Message::Header(UpdateHeader { environment_id: "e".into(), update: 1, size: 3 }),
            Message::Chunk(UpdateChunk { data: b"abc".to_vec() }),
        ]
        .map(|message| SyncSnapshotsResponse { message: Some(message), ..Default::default() })
        .into()
    }

    #[test]
    fn what_is_sent_is_taken() {
        let (mut sender, mut receiver) = (Counter::default(), Counter::default());
        for message in messages() {
            let sent = sender.seal(message).encode_to_vec();
            let mut heard = SyncSnapshotsResponse::decode(&*sent).unwrap();
            assert_eq!(receiver.open(&mut heard), Ok(()));
        }
        for mut message in messages() {
            assert_eq!(Counter::default().open(&mut message), Ok(()), "of a sender that does not count");
        }
    }

    /// No bit may change what is understood; one that takes the checksum
    /// away leaves the rest as it was.
    #[test]
    fn one_flipped_bit_is_noticed_or_harmless() {
        for message in messages() {
            let sent = Counter::default().seal(message.clone()).encode_to_vec();
            for bit in 0..sent.len() * 8 {
                let mut damaged = sent.clone();
                damaged[bit / 8] ^= 1 << (bit % 8);
                let Ok(mut heard) = SyncSnapshotsResponse::decode(&*damaged) else { continue };
                if Counter::default().open(&mut heard).is_ok() {
                    assert_eq!(heard.message, message.message, "bit {bit}");
                }
            }
        }
    }

    #[test]
    fn what_is_lost_or_comes_twice_is_noticed() {
        let (mut sender, mut receiver) = (Counter::default(), Counter::default());
        let mut sent: Vec<_> = messages().into_iter().map(|message| sender.seal(message)).collect();
        receiver.open(&mut sent[0].clone()).unwrap();
        assert_eq!(receiver.clone().open(&mut sent[2]), Err(SealError::Lost { expected: 2, found: 3 }));
        assert_eq!(receiver.open(&mut sent[0]), Err(SealError::Lost { expected: 2, found: 1 }));
    }
}
