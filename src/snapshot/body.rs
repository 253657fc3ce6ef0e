//! Ready list bodies: rows of shared blocks of about 64 KiB, plain and
//! deflated, so that one changed item costs one block and a request costs
//! no work that grows with the list.
//!
//! The gzip form is one member (Python's httpx silently stops after the
//! first) put together from raw deflate pieces that end in a sync flush.

use std::ops::Range;
use std::sync::Arc;

use bytes::{BufMut as _, Bytes, BytesMut};
use flate2::FlushCompress;
use sha2::{Digest as _, Sha256};

pub use super::deflate::CompressError;
use super::deflate::{deflate, deflated_tail};
use super::item::Digest;

/// The mean size of a block's text. Half of it costs a tenth more bytes
/// compressed.
const BLOCK_BYTES: u64 = 64 * 1024;

/// Compressed frames have about this size.
const FRAME_BYTES: usize = 64 * 1024;

/// One element of a list.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// See [`cut_of`].
    pub cut: u16,
    pub json: &'a Bytes,
}

/// Some neighbouring rows of a list, each preceded by `[` or `,`.
#[derive(Debug)]
pub struct Block {
    /// The rows, and `]` for where they are a list's last ones.
    closed: Bytes,
    deflated: Bytes,
    /// Both of the rows alone.
    digest: Digest,
    crc: crc32fast::Hasher,
}

/// The two representations of one list answer.
#[derive(Clone, Debug)]
pub struct Body {
    blocks: Vec<Arc<Block>>,
    pub plain: Representation,
    pub gzip: Representation,
}

/// What goes on the wire: frames, their total length, a strong `ETag`.
#[derive(Clone, Debug)]
pub struct Representation {
    pub frames: Arc<[Bytes]>,
    pub length: u64,
    pub etag: http::HeaderValue,
    /// The text of `etag`.
    pub etag_text: String,
}

/// A block that was made now, and which of the list's rows it holds.
#[derive(Clone, Debug)]
pub struct Fresh {
    pub rows: Range<usize>,
    block: Arc<Block>,
}

impl Body {
    /// Makes the body of a list, taking over each block of `previous` whose
    /// rows are the same bytes. Also gives the blocks that are new, so that
    /// rows can be held by them alone.
    ///
    /// # Errors
    /// [`CompressError`], for completeness.
    pub fn build(rows: &[Row<'_>], previous: Option<&Body>) -> Result<(Body, Vec<Fresh>), CompressError> {
        let (mut blocks, mut fresh) = (Vec::new(), Vec::new());
        let mut old = previous.map(|body| body.blocks.as_slice()).unwrap_or_default();
        let mut start = 0;
        for chunk in chunks(rows) {
            if let Some(found) = old.iter().position(|block| block.holds(chunk, start == 0)) {
                blocks.extend(old.get(found).cloned());
                old = old.get(found + 1..).unwrap_or_default();
            } else {
                let block = Arc::new(Block::new(chunk, start == 0)?);
                fresh.push(Fresh { rows: start..start + chunk.len(), block: Arc::clone(&block) });
                blocks.push(block);
            }
            start += chunk.len();
        }
        Ok((Body::assemble(blocks)?, fresh))
    }

    fn assemble(blocks: Vec<Arc<Block>>) -> Result<Body, CompressError> {
        let tail: &'static [u8] = if blocks.is_empty() { b"[]" } else { b"]" };
        let (mut crc, mut digests) = (crc32fast::Hasher::new(), Sha256::new());
        let mut plain = Vec::with_capacity(blocks.len() + 1);
        let mut gzip = Vec::with_capacity(blocks.len() + 2);
        gzip.push(Bytes::from_static(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff]));
        for block in &blocks {
            crc.combine(&block.crc);
            digests.update(block.digest.0);
            plain.push(block.rows());
            gzip.push(block.deflated.clone());
        }
        crc.update(tail);
        match (plain.last_mut(), blocks.last()) {
            (Some(last), Some(block)) => *last = block.closed.clone(),
            _ => plain.push(Bytes::from_static(tail)),
        }
        let length: usize = plain.iter().map(Bytes::len).sum();
        let mut end = BytesMut::from(deflated_tail(tail)?);
        end.put_u32_le(crc.finalize());
        // The gzip trailer holds the length modulo 2^32.
        end.put_u32_le(u32::try_from(length & 0xffff_ffff).unwrap_or(u32::MAX));
        gzip.push(end.freeze());
        let digest = Digest(digests.finalize().into());
        Ok(Body {
            plain: Representation::new(merge_small(plain), digest, ""),
            gzip: Representation::new(merge(gzip), digest, "-gzip"),
            blocks,
        })
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
    /// Where a list is cut its own rows say, so equal bytes are equal blocks,
    /// and their digests are the list's.
    fn new(frames: Vec<Bytes>, digest: Digest, suffix: &str) -> Self {
        let digest = digest.to_string();
        let etag_text = format!("\"{}{suffix}\"", digest.get(..32).unwrap_or(&digest));
        Representation {
            length: frames.iter().map(|frame| frame.len() as u64).sum(),
            frames: frames.into(),
            etag: http::HeaderValue::from_str(&etag_text).unwrap_or(http::HeaderValue::from_static("\"\"")),
            etag_text,
        }
    }
}

/// Small answers leave in one frame, and so in one write.
fn merge_small(frames: Vec<Bytes>) -> Vec<Bytes> {
    let total: usize = frames.iter().map(Bytes::len).sum();
    if frames.len() == 1 || total > 16 * 1024 {
        return frames;
    }
    vec![joined(&frames)]
}

/// Compressed pieces are small, and each would be a write of its own: larger
/// frames are copied from them.
fn merge(pieces: Vec<Bytes>) -> Vec<Bytes> {
    let mut frames = Vec::new();
    let mut rest = pieces.as_slice();
    while !rest.is_empty() {
        let mut length = 0;
        let fits = |piece: &&Bytes| {
            length += piece.len();
            length <= FRAME_BYTES
        };
        let (these, behind) = rest.split_at(rest.iter().take_while(fits).count().max(1));
        frames.push(joined(these));
        rest = behind;
    }
    frames
}

fn joined(frames: &[Bytes]) -> Bytes {
    if let [only] = frames {
        return only.clone();
    }
    let mut all = BytesMut::with_capacity(frames.iter().map(Bytes::len).sum());
    frames.iter().for_each(|frame| all.extend_from_slice(frame));
    all.freeze()
}

impl Block {
    fn new(rows: &[Row<'_>], first: bool) -> Result<Self, CompressError> {
        let length: usize = rows.iter().map(|row| row.json.len() + 1).sum();
        let mut closed = BytesMut::with_capacity(length + 1);
        for (index, row) in rows.iter().enumerate() {
            closed.put_u8(if first && index == 0 { b'[' } else { b',' });
            closed.extend_from_slice(row.json);
        }
        let mut crc = crc32fast::Hasher::new();
        crc.update(&closed);
        let digest = Digest::of(&closed);
        let deflated = deflate(&closed, FlushCompress::Sync)?;
        closed.put_u8(b']');
        Ok(Block { closed: closed.freeze(), deflated, digest, crc })
    }

    fn rows(&self) -> Bytes {
        self.closed.slice(..self.closed.len().saturating_sub(1))
    }

    /// True if these rows give this block.
    fn holds(&self, rows: &[Row<'_>], first: bool) -> bool {
        let mut rest = &*self.closed;
        for (index, row) in rows.iter().enumerate() {
            let before = if first && index == 0 { b'[' } else { b',' };
            let Some((json, behind)) =
                rest.strip_prefix(&[before]).and_then(|from| from.split_at_checked(row.json.len()))
            else {
                return false;
            };
            // What was taken from this very block need not be compared.
            if json.as_ptr() != row.json.as_ptr() && json != row.json {
                return false;
            }
            rest = behind;
        }
        rest == b"]"
    }
}

impl Fresh {
    /// The text of a row as it stands in the block, and where the next one
    /// begins; the first begins at 1.
    #[must_use]
    pub fn text(&self, start: usize, length: usize) -> (Bytes, usize) {
        let end = start + length;
        let text = if end < self.block.closed.len() { self.block.closed.slice(start..end) } else { Bytes::new() };
        (text, end + 1)
    }
}

/// Cuts the list where an item's own identifier and size say so, so that an
/// item that comes or goes moves no other cut.
fn chunks<'r, 'a>(rows: &'r [Row<'a>]) -> Vec<&'r [Row<'a>]> {
    let mut chunks = Vec::new();
    let mut start = 0;
    for (index, row) in rows.iter().enumerate() {
        if index > start && u64::from(row.cut) < row.json.len() as u64 {
            chunks.extend(rows.get(start..index));
            start = index;
        }
    }
    chunks.extend(rows.get(start..).filter(|rest| !rest.is_empty()));
    chunks
}

/// A list may be cut before an item that is longer than this: of each 64 KiB
/// of text about one is.
#[must_use]
pub fn cut_of(identifier: &str) -> u16 {
    // The remainder is below 64 Ki.
    u16::try_from(fnv1a(identifier) % BLOCK_BYTES).unwrap_or(u16::MAX)
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

    type Texts = Vec<(String, Bytes)>;

    fn texts(count: usize, size: usize) -> Texts {
        let text = |i| Bytes::from(format!("{{\"n\":{i},\"x\":\"{}\"}}", "y".repeat(size)));
        (0..count).map(|i| (format!("flag-{i}"), text(i))).collect()
    }

    fn build(texts: &Texts, previous: Option<&Body>) -> (Body, Vec<Fresh>) {
        let rows: Vec<_> = texts.iter().map(|(name, json)| Row { cut: cut_of(name), json }).collect();
        Body::build(&rows, previous).unwrap()
    }

    fn joined(representation: &Representation) -> Vec<u8> {
        let all: Vec<u8> = representation.frames.iter().flat_map(|frame| frame.to_vec()).collect();
        assert_eq!(all.len() as u64, representation.length);
        all
    }

    #[test]
    fn both_representations_say_the_same_in_one_gzip_member() {
        for count in [0, 1, 3, 1000] {
            let (body, _) = build(&texts(count, 500), None);
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
        let mut texts = texts(5000, 500);
        let (before, _) = build(&texts, None);
        assert!(before.block_count() > 10, "{}", before.block_count());
        texts[2500].1 = Bytes::from_static(b"{}");
        texts.remove(100);
        let (after, made) = build(&texts, Some(&before));
        let (fresh, _) = build(&texts, None);
        assert_eq!(after.shared_blocks(&before) + made.len(), after.block_count());
        assert!(after.shared_blocks(&before) >= before.block_count() - 4);
        assert_eq!(joined(&after.plain), joined(&fresh.plain));
        assert_eq!(joined(&after.gzip), joined(&fresh.gzip));
        assert_eq!(after.plain.etag_text, fresh.plain.etag_text);
        assert_ne!(after.plain.etag_text, before.plain.etag_text);
    }

    #[test]
    fn a_new_block_gives_its_rows_back() {
        let texts = texts(300, 500);
        let (_, made) = build(&texts, None);
        let mut rows = Vec::new();
        for one in &made {
            let mut at = 1;
            for (_, json) in &texts[one.rows.clone()] {
                let (text, next) = one.text(at, json.len());
                rows.push(text);
                at = next;
            }
        }
        assert!(rows.iter().eq(texts.iter().map(|(_, json)| json)));
        let parts: Texts = texts.iter().zip(rows).map(|((name, _), json)| (name.clone(), json)).collect();
        let (body, _) = build(&texts, None);
        assert!(build(&parts, Some(&body)).1.is_empty());
    }
}
