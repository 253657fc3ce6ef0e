//! `Range: bytes=…` with one range (RFC 9110, 14.2).

use std::ops::Range;

use http::HeaderValue;

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Everything: also what is not understood, and several ranges at once.
    All,
    Part(Range<u64>),
    /// It begins behind the end.
    Nothing,
}

/// Reads the header for something of `size` bytes.
#[must_use]
pub fn asked(header: &HeaderValue, size: u64) -> Asked {
    header.to_str().ok().and_then(|text| parse(text, size)).unwrap_or(Asked::All)
}

/// `None` for what is not understood.
fn parse(text: &str, size: u64) -> Option<Asked> {
    let (unit, range) = text.split_once('=')?;
    let (first, last) = range.trim().split_once('-')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let number =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u64>().ok()).flatten();
    let part = match (first, last) {
        ("", last) => size.saturating_sub(number(last)?)..size,
        (first, "") => number(first)?..size,
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            if last < first {
                return None;
            }
            first..size.min(last.saturating_add(1))
        }
    };
    Some(if part.start < part.end { Asked::Part(part) } else { Asked::Nothing })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_or_everything() {
        for (text, expected) in [
            ("bytes=0-0", Asked::Part(0..1)),
            ("bytes=5-", Asked::Part(5..10)),
            ("Bytes=-3", Asked::Part(7..10)),
            ("bytes=-30", Asked::Part(0..10)),
            ("bytes=2-99999999999999", Asked::Part(2..10)),
            ("bytes=10-", Asked::Nothing),
            ("bytes=-0", Asked::Nothing),
            ("bytes=3-2", Asked::All),
            ("bytes=0-1,3-4", Asked::All),
            ("bytes=+1-2", Asked::All),
            ("bytes=-", Asked::All),
            ("lines=0-1", Asked::All),
            ("bytes", Asked::All),
        ] {
            assert_eq!(asked(&HeaderValue::from_static(text), 10), expected, "{text}");
        }
    }
}
