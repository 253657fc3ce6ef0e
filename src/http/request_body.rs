//! Request bodies, bounded, decompressed and with a limit on silence.

use std::io::Read as _;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::CONTENT_ENCODING;
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};

use super::answer::Refusal;
use super::patience::within;
use crate::fault::Fault;

/// Bodies of all routes but `POST /metrics`.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;

/// A client may be silent this long inside a body.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Plain,
    Gzip,
    Deflate,
}

impl Encoding {
    /// Reads `Content-Encoding`.
    ///
    /// # Errors
    /// An encoding that is not known here.
    pub fn of(headers: &HeaderMap) -> Result<Self, Refusal> {
        let value = headers.get(CONTENT_ENCODING).map(|value| value.to_str().unwrap_or("?").to_ascii_lowercase());
        match value.as_deref().map(str::trim) {
            None | Some("" | "identity") => Ok(Encoding::Plain),
            Some("gzip" | "x-gzip") => Ok(Encoding::Gzip),
            Some("deflate") => Ok(Encoding::Deflate),
            Some(_) => Err(Refusal::new(Fault::InvalidField, "this Content-Encoding is not known; send gzip or none")),
        }
    }

    /// A reader of the plain text behind `packed`.
    #[must_use]
    pub fn reader<'a>(self, packed: impl std::io::Read + Send + 'a) -> Box<dyn std::io::Read + Send + 'a> {
        match self {
            Encoding::Plain => Box::new(packed),
            Encoding::Gzip => Box::new(flate2::read::MultiGzDecoder::new(packed)),
            Encoding::Deflate => Box::new(flate2::read::ZlibDecoder::new(packed)),
        }
    }
}

/// The next piece of a body; `None` at its end.
///
/// # Errors
/// The client was silent too long, or went away.
pub async fn next_piece(body: &mut Incoming) -> Result<Option<Bytes>, Refusal> {
    loop {
        let frame = within(BODY_TIMEOUT, body.frame()).await.ok_or_else(too_late)?;
        match frame {
            None => return Ok(None),
            Some(Err(_)) => return Err(Refusal::new(Fault::InvalidField, "the request body was cut short")),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
        }
    }
}

fn too_late() -> Refusal {
    Refusal::new(Fault::RequestTimeout, "the request body did not come in time")
}

/// Reads a whole body of at most [`MAX_BODY_BYTES`], counted as sent and as
/// inflated, within [`BODY_TIMEOUT`].
///
/// # Errors
/// It is too large, cut short, slow, or not what its encoding says.
pub async fn read(headers: &HeaderMap, body: &mut Incoming) -> Result<Bytes, Refusal> {
    within(BODY_TIMEOUT, read_all(headers, body)).await.ok_or_else(too_late)?
}

async fn read_all(headers: &HeaderMap, body: &mut Incoming) -> Result<Bytes, Refusal> {
    let too_large =
        || Refusal::new(Fault::LimitExceeded, format!("the request body is larger than {MAX_BODY_BYTES} bytes"));
    let encoding = Encoding::of(headers)?;
    if body.size_hint().lower() > MAX_BODY_BYTES as u64 {
        return Err(too_large());
    }
    let first = next_piece(body).await?.unwrap_or_default();
    if encoding == Encoding::Plain && body.is_end_stream() && first.len() <= MAX_BODY_BYTES {
        // Nearly always it comes in one piece.
        return Ok(first);
    }
    let mut whole = BytesMut::from(&*first);
    if whole.len() > MAX_BODY_BYTES {
        return Err(too_large());
    }
    while let Some(piece) = next_piece(body).await? {
        if whole.len() + piece.len() > MAX_BODY_BYTES {
            return Err(too_large());
        }
        whole.extend_from_slice(&piece);
    }
    if encoding == Encoding::Plain {
        return Ok(whole.freeze());
    }
    let mut inflated = Vec::new();
    let mut reader = encoding.reader(&*whole).take(MAX_BODY_BYTES as u64 + 1);
    reader
        .read_to_end(&mut inflated)
        .map_err(|_| Refusal::new(Fault::InvalidField, "the request body is not what its Content-Encoding says"))?;
    if inflated.len() > MAX_BODY_BYTES { Err(too_large()) } else { Ok(inflated.into()) }
}
