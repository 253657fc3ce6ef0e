//! Ready list bodies: rows of shared blocks of about 64 KiB, plain and
//! deflated, so that one changed item costs one block and a request costs
//! no work that grows with the list.
//!
//! The gzip form is one member (Python's httpx silently stops after the
//! first) put together from raw deflate pieces that end in a sync flush.

use std::cell::RefCell;
use std::sync::Arc;

use bytes::{BufMut as _, Bytes, BytesMut};
use flate2::{Compress, Compression, FlushCompress, Status};

use super::item::Digest;

/// The mean size of a block's text.
const BLOCK_BYTES: u64 = 64 * 1024;

/// One element of a list: its identifier and its JSON.
pub type Row = (Arc<str>, Bytes);

/// Some neighbouring rows of a list, each preceded by `[` or `,`.
#[derive(Debug)]
struct Block {
    first: bool,
    rows: Vec<Bytes>,
    plain: Bytes,
    deflated: Bytes,
    crc: crc32fast::Hasher,
}

/// The two representations of one list answer.
#[derive(Debug)]
pub struct Body {
    blocks: Vec<Arc<Block>>,
    pub plain: Representation,
    pub gzip: Representation,
}

/// What goes on the wire: frames, their total length, a strong `ETag`.
#[derive(Debug)]
pub struct Representation {
    pub frames: Arc<[Bytes]>,
    pub length: u64,
    pub etag: http::HeaderValue,
    /// The text of `etag`.
    pub etag_text: String,
}

/// The deflate library failed on memory we gave it: never seen.
#[derive(Debug, thiserror::Error)]
#[error("a list body could not be compressed")]
pub struct CompressError;

impl Body {
    /// Makes the body of a list, taking over each block of `previous` whose
    /// rows are the same bytes.
    ///
    /// # Errors
    /// [`CompressError`], for completeness.
    pub fn build(rows: &[Row], previous: Option<&Body>) -> Result<Body, CompressError> {
        let mut blocks = Vec::new();
        let mut old = previous.map(|body| body.blocks.as_slice()).unwrap_or_default();
        for (index, chunk) in chunks(rows).into_iter().enumerate() {
            let texts = || chunk.iter().map(|(_, json)| json);
            let same = |block: &Arc<Block>| {
                block.first == (index == 0)
                    && block.rows.len() == chunk.len()
                    && block.rows.iter().zip(texts()).all(|(a, b)| a.as_ptr() == b.as_ptr() || a == b)
            };
            if let Some(found) = old.iter().position(same) {
                blocks.extend(old.get(found).cloned());
                old = old.get(found + 1..).unwrap_or_default();
            } else {
                blocks.push(Arc::new(Block::new(index == 0, texts().cloned().collect())?));
            }
        }
        Body::assemble(blocks)
    }

    fn assemble(blocks: Vec<Arc<Block>>) -> Result<Body, CompressError> {
        let tail: &[u8] = if blocks.is_empty() { b"[]" } else { b"]" };
        let mut crc = crc32fast::Hasher::new();
        let mut plain = Vec::with_capacity(blocks.len() + 1);
        let mut gzip = Vec::with_capacity(blocks.len() + 2);
        gzip.push(Bytes::from_static(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff]));
        for block in &blocks {
            crc.combine(&block.crc);
            plain.push(block.plain.clone());
            gzip.push(block.deflated.clone());
        }
        crc.update(tail);
        plain.push(Bytes::from_static(tail));
        let length: usize = plain.iter().map(Bytes::len).sum();
        let mut end = BytesMut::from(deflate(&[tail], FlushCompress::Finish)?.as_slice());
        end.put_u32_le(crc.finalize());
        // The gzip trailer holds the length modulo 2^32.
        end.put_u32_le(u32::try_from(length & 0xffff_ffff).unwrap_or(u32::MAX));
        gzip.push(end.freeze());
        Ok(Body { plain: Representation::new(plain, ""), gzip: Representation::new(gzip, "-gzip"), blocks })
    }

    /// How many blocks this body shares with another: for tests and benches.
    #[must_use]
    pub fn shared_blocks(&self, other: &Body) -> usize {
        self.blocks.iter().filter(|block| other.blocks.iter().any(|b| Arc::ptr_eq(block, b))).count()
    }

    /// The number of blocks.
    #[must_use]
    pub fn block_count(&self) -> usize {
        self.blocks.len()
    }
}

impl Representation {
    fn new(frames: Vec<Bytes>, suffix: &str) -> Self {
        use sha2::{Digest as _, Sha256};
        let mut hash = Sha256::new();
        frames.iter().for_each(|frame| hash.update(frame));
        let digest = Digest(hash.finalize().into()).to_string();
        let etag_text = format!("\"{}{suffix}\"", digest.get(..32).unwrap_or(&digest));
        Representation {
            length: frames.iter().map(|frame| frame.len() as u64).sum(),
            frames: merge_small(frames).into(),
            etag: http::HeaderValue::from_str(&etag_text).unwrap_or(http::HeaderValue::from_static("\"\"")),
            etag_text,
        }
    }
}

/// Small answers leave in one frame, and so in one write.
fn merge_small(frames: Vec<Bytes>) -> Vec<Bytes> {
    let total: usize = frames.iter().map(Bytes::len).sum();
    if total > 16 * 1024 {
        return frames;
    }
    let mut all = BytesMut::with_capacity(total);
    frames.iter().for_each(|frame| all.extend_from_slice(frame));
    vec![all.freeze()]
}

impl Block {
    fn new(first: bool, rows: Vec<Bytes>) -> Result<Self, CompressError> {
        let mut plain = BytesMut::with_capacity(rows.iter().map(|row| row.len() + 1).sum());
        for (index, row) in rows.iter().enumerate() {
            plain.put_u8(if first && index == 0 { b'[' } else { b',' });
            plain.extend_from_slice(row);
        }
        let plain = plain.freeze();
        let mut crc = crc32fast::Hasher::new();
        crc.update(&plain);
        let deflated = Bytes::from(deflate(&[&plain], FlushCompress::Sync)?);
        Ok(Block { first, rows, plain, deflated, crc })
    }
}

thread_local! {
    /// Its state takes some 300 KB: made for each block anew, it would cost
    /// more than the block, and leave holes in the heap.
    static COMPRESS: RefCell<Compress> = RefCell::new(Compress::new(Compression::new(6), false));
}

fn deflate(parts: &[&[u8]], flush: FlushCompress) -> Result<Vec<u8>, CompressError> {
    COMPRESS.with_borrow_mut(|compress| {
        compress.reset();
        deflate_with(compress, parts, flush)
    })
}

fn deflate_with(compress: &mut Compress, parts: &[&[u8]], flush: FlushCompress) -> Result<Vec<u8>, CompressError> {
    let mut out = Vec::with_capacity(parts.iter().map(|part| part.len()).sum::<usize>() / 4 + 64);
    for part in parts {
        let start = compress.total_in();
        loop {
            let done = usize::try_from(compress.total_in() - start).unwrap_or(usize::MAX);
            out.reserve(1024);
            let before = out.len();
            let status = compress.compress_vec(part.get(done..).unwrap_or_default(), &mut out, flush);
            let status = status.map_err(|_| CompressError)?;
            let all_in = compress.total_in() - start == part.len() as u64;
            // Room was left, so everything is out.
            if status == Status::StreamEnd || (all_in && out.len() < out.capacity()) {
                break;
            }
            if out.len() == before && status == Status::BufError && out.capacity() > out.len() {
                return Err(CompressError);
            }
        }
    }
    Ok(out)
}

/// Cuts the list where an item's own identifier and size say so, so that an
/// item that comes or goes moves no other cut.
fn chunks(rows: &[Row]) -> Vec<&[Row]> {
    let mut chunks = Vec::new();
    let mut start = 0;
    for (index, (identifier, json)) in rows.iter().enumerate() {
        if index > start && fnv1a(identifier) % BLOCK_BYTES < json.len() as u64 {
            chunks.extend(rows.get(start..index));
            start = index;
        }
    }
    chunks.extend(rows.get(start..).filter(|rest| !rest.is_empty()));
    chunks
}

/// A hash that is the same on every relay and in every run; its low bits
/// are mixed once more, because similar names give similar ones.
fn fnv1a(text: &str) -> u64 {
    let hash = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd) >> 20
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    fn rows(count: usize, size: usize) -> Vec<Row> {
        (0..count)
            .map(|i| {
                (Arc::from(format!("flag-{i}")), Bytes::from(format!("{{\"n\":{i},\"x\":\"{}\"}}", "y".repeat(size))))
            })
            .collect()
    }

    fn joined(representation: &Representation) -> Vec<u8> {
        let all: Vec<u8> = representation.frames.iter().flat_map(|frame| frame.to_vec()).collect();
        assert_eq!(all.len() as u64, representation.length);
        all
    }

    #[test]
    fn both_representations_say_the_same_in_one_gzip_member() {
        for count in [0, 1, 3, 1000] {
            let body = Body::build(&rows(count, 500), None).unwrap();
            let plain = joined(&body.plain);
            let parsed: Vec<serde_json::Value> = serde_json::from_slice(&plain).unwrap();
            assert_eq!(parsed.len(), count);
            let gzip = joined(&body.gzip);
            let mut inflated = Vec::new();
            let mut decoder = flate2::bufread::GzDecoder::new(gzip.as_slice());
            decoder.read_to_end(&mut inflated).unwrap();
            assert_eq!(inflated, plain);
            assert!(decoder.into_inner().is_empty());
            assert_ne!(body.plain.etag_text, body.gzip.etag_text);
        }
    }

    #[test]
    fn one_changed_row_costs_one_block() {
        let mut rows = rows(5000, 500);
        let before = Body::build(&rows, None).unwrap();
        assert!(before.block_count() > 10, "{}", before.block_count());
        rows[2500].1 = Bytes::from_static(b"{}");
        rows.remove(100);
        let after = Body::build(&rows, Some(&before)).unwrap();
        let fresh = Body::build(&rows, None).unwrap();
        assert!(after.shared_blocks(&before) >= before.block_count() - 4);
        assert_eq!(joined(&after.plain), joined(&fresh.plain));
        assert_eq!(joined(&after.gzip), joined(&fresh.gzip));
    }
}
