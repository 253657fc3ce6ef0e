//! Compressing the pieces of list bodies.

use std::cell::RefCell;
use std::sync::OnceLock;

use bytes::Bytes;
use flate2::{Compress, Compression, FlushCompress, Status};

/// The deflate library failed on memory we gave it: never seen.
#[derive(Debug, thiserror::Error)]
#[error("a list body could not be compressed")]
pub struct CompressError;

thread_local! {
    /// Its state takes some 300 KB: made for each block anew, it would cost
    /// more than the block, and leave holes in the heap.
    static DEFLATER: RefCell<Deflater> =
        RefCell::new(Deflater { compress: Compress::new(Compression::new(6), false), out: Vec::new() });
}

struct Deflater {
    compress: Compress,
    /// A piece before it is kept.
    out: Vec<u8>,
}

/// The end of every list.
pub(super) fn deflated_tail(tail: &'static [u8]) -> Result<&'static [u8], CompressError> {
    static CLOSED: OnceLock<Bytes> = OnceLock::new();
    static EMPTY: OnceLock<Bytes> = OnceLock::new();
    let kept = if tail == b"]" { &CLOSED } else { &EMPTY };
    let made = match kept.get() {
        Some(made) => return Ok(made),
        None => deflate(tail, FlushCompress::Finish)?,
    };
    Ok(kept.get_or_init(|| made))
}

pub(super) fn deflate(text: &[u8], flush: FlushCompress) -> Result<Bytes, CompressError> {
    DEFLATER.with_borrow_mut(|Deflater { compress, out }| {
        compress.reset();
        out.clear();
        deflate_with(compress, text, flush, out)?;
        Ok(Bytes::copy_from_slice(out))
    })
}

fn deflate_with(
    compress: &mut Compress,
    text: &[u8],
    flush: FlushCompress,
    out: &mut Vec<u8>,
) -> Result<(), CompressError> {
    loop {
        let done = usize::try_from(compress.total_in()).unwrap_or(usize::MAX);
        out.reserve(1024);
        let before = out.len();
        let status = compress.compress_vec(text.get(done..).unwrap_or_default(), out, flush);
        let status = status.map_err(|_| CompressError)?;
        let all_in = compress.total_in() == text.len() as u64;
        // Room was left, so everything is out.
        if status == Status::StreamEnd || (all_in && out.len() < out.capacity()) {
            return Ok(());
        }
        if out.len() == before && status == Status::BufError && out.capacity() > out.len() {
            return Err(CompressError);
        }
    }
}
