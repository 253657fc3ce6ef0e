//! Puts updates together from the frames of a stream, bounded and checked.

use sha2::{Digest as _, Sha256};

use crate::proto::snapshot::v1 as proto;
use crate::snapshot::content::EnvironmentId;
use crate::transfer::MAX_UPDATE_BYTES;

/// An update that is complete and whose checksum is right.
#[derive(Debug)]
pub struct Payload {
    pub environment: EnvironmentId,
    pub update: u64,
    pub bytes: Vec<u8>,
}

/// The update that is coming in.
#[derive(Debug)]
struct Open {
    environment: EnvironmentId,
    update: u64,
    size: u64,
    bytes: Vec<u8>,
    hash: Sha256,
}

/// Frames so far.
#[derive(Debug, Default)]
pub struct Assembly {
    open: Option<Open>,
}

/// Why the stream cannot go on, or an update cannot be used.
#[derive(Debug)]
pub enum FrameError {
    /// Frames that make no sense: the stream ends.
    Framing(String),
    /// The bytes are not those that were sent: a nack.
    Corrupt { environment: EnvironmentId, update: u64, reason: String },
}

impl Assembly {
    /// An update begins.
    ///
    /// # Errors
    /// Another one has not ended, or it is too large.
    pub fn header(&mut self, header: proto::UpdateHeader) -> Result<(), FrameError> {
        if let Some(open) = &self.open {
            let what =
                format!("an update of {} begins before that of {} ends", header.environment_id, open.environment);
            return Err(FrameError::Framing(what));
        }
        if header.size > MAX_UPDATE_BYTES {
            let what = format!("an update of {} has {} bytes, more than are taken", header.environment_id, header.size);
            return Err(FrameError::Framing(what));
        }
        let environment = EnvironmentId::new(&header.environment_id);
        let (update, size) = (header.update, header.size);
        // Room is made as bytes come: the size is the leader's word only.
        self.open = Some(Open { environment, update, size, bytes: Vec::new(), hash: Sha256::new() });
        Ok(())
    }

    /// A piece of it.
    ///
    /// # Errors
    /// There is no update, or more comes than was said.
    pub fn chunk(&mut self, chunk: &proto::UpdateChunk) -> Result<(), FrameError> {
        let open = self.open.as_mut().ok_or_else(|| FrameError::Framing("a chunk belongs to no update".to_owned()))?;
        if open.bytes.len() as u64 + chunk.data.len() as u64 > open.size {
            let what = format!("more came of an update of {} than was said", open.environment);
            return Err(FrameError::Framing(what));
        }
        open.hash.update(&chunk.data);
        open.bytes.extend_from_slice(&chunk.data);
        Ok(())
    }

    /// It is complete.
    ///
    /// # Errors
    /// There is no update, or it is not the one that was sent.
    pub fn trailer(&mut self, trailer: &proto::UpdateTrailer) -> Result<Payload, FrameError> {
        let open = self.open.take().ok_or_else(|| FrameError::Framing("a trailer belongs to no update".to_owned()))?;
        let Open { environment, update, size, bytes, hash } = open;
        let corrupt = |reason: String| FrameError::Corrupt { environment: environment.clone(), update, reason };
        if bytes.len() as u64 != size {
            return Err(corrupt(format!("{} of {size} bytes came", bytes.len())));
        }
        if hash.finalize().as_slice() != trailer.sha256 {
            return Err(corrupt("its checksum is not the one that was sent".to_owned()));
        }
        Ok(Payload { environment, update, bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::item::Digest;

    fn header(size: u64) -> proto::UpdateHeader {
        proto::UpdateHeader { environment_id: "e".into(), update: 7, size }
    }

    fn trailer(bytes: &[u8]) -> proto::UpdateTrailer {
        proto::UpdateTrailer { sha256: Digest::of(bytes).0.to_vec() }
    }

    fn chunk(bytes: &[u8]) -> proto::UpdateChunk {
        proto::UpdateChunk { data: bytes.to_vec() }
    }

    #[test]
    fn frames_make_a_payload_or_an_error() {
        let mut assembly = Assembly::default();
        assembly.header(header(4)).unwrap();
        assembly.chunk(&chunk(b"ab")).unwrap();
        assembly.chunk(&chunk(b"cd")).unwrap();
        assert_eq!(assembly.trailer(&trailer(b"abcd")).unwrap().bytes, b"abcd");
        assert!(matches!(assembly.chunk(&chunk(b"x")), Err(FrameError::Framing(_))));
        assert!(matches!(assembly.trailer(&trailer(b"")), Err(FrameError::Framing(_))));
        assembly.header(header(4)).unwrap();
        assert!(matches!(assembly.header(header(4)), Err(FrameError::Framing(_))));
        assert!(matches!(assembly.chunk(&chunk(b"abcde")), Err(FrameError::Framing(_))));
        assembly.chunk(&chunk(b"abcd")).unwrap();
        assert!(matches!(assembly.trailer(&trailer(b"abce")), Err(FrameError::Corrupt { update: 7, .. })));
        assembly.header(header(4)).unwrap();
        assert!(matches!(assembly.trailer(&trailer(b"")), Err(FrameError::Corrupt { .. })), "cut short");
        assert!(matches!(assembly.header(header(u64::MAX)), Err(FrameError::Framing(_))));
    }
}
