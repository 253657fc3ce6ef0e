//! The one file format: a first line that names kind and version, then one
//! checksummed JSON record a line. A file that is written whole ends with a
//! line that covers everything before it; one that is appended to does not,
//! and may lose its last, half-written line.

use std::fmt::Write as _;

use crate::snapshot::item::Digest;

/// Collects the lines of one file.
#[derive(Debug)]
pub struct RecordFile {
    text: String,
}

impl RecordFile {
    #[must_use]
    pub fn new(kind: &str) -> Self {
        RecordFile { text: header(kind) }
    }

    /// Adds one record, which must be JSON without line breaks.
    pub fn push(&mut self, json: &str) {
        append_line(&mut self.text, json);
    }

    /// The whole file, closed.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        let digest = Digest::of(self.text.as_bytes());
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "end {digest}");
        self.text.into_bytes()
    }
}

/// The first line of a file.
#[must_use]
pub fn header(kind: &str) -> String {
    format!("ff-relay {kind} 1\n")
}

/// Appends the line of one record.
pub fn append_line(text: &mut String, json: &str) {
    let _ = writeln!(text, "{:08x} {json}", crc32fast::hash(json.as_bytes()));
}

/// The line of one record.
#[must_use]
pub fn line(json: &str) -> String {
    let mut text = String::with_capacity(json.len() + 10);
    append_line(&mut text, json);
    text
}

/// The record of a line without its end; `None` if the line is damaged.
#[must_use]
pub fn record_of(line: &str) -> Option<&str> {
    let (crc, json) = line.split_once(' ')?;
    let good = crc.len() == 8 && u32::from_str_radix(crc, 16).ok() == Some(crc32fast::hash(json.as_bytes()));
    good.then_some(json)
}

/// Reads a file that was written whole: its records.
///
/// # Errors
/// What is wrong with it.
pub fn read_whole<'a>(kind: &str, bytes: &'a [u8]) -> Result<Vec<&'a str>, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "the file is damaged (not text)".to_owned())?;
    let body = text.strip_suffix('\n').and_then(|t| t.rfind('\n')).map_or(0, |i| i + 1);
    let (body, end) = text.split_at_checked(body).unwrap_or((text, ""));
    let expected = format!("end {}\n", Digest::of(body.as_bytes()));
    if end != expected {
        return Err("the file is damaged (its checksum does not match)".to_owned());
    }
    let (records, good) = read_appended(kind, body.as_bytes())?;
    if good == body.len() { Ok(records) } else { Err("the file is damaged".to_owned()) }
}

/// Reads a file that is appended to: the records up to the first damaged
/// line, and how many bytes they take.
///
/// # Errors
/// The file is of another kind or version.
pub fn read_appended<'a>(kind: &str, bytes: &'a [u8]) -> Result<(Vec<&'a str>, usize), String> {
    let valid = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(bytes.get(..error.valid_up_to()).unwrap_or_default()).unwrap_or_default(),
    };
    let expected = header(kind);
    let Some(mut rest) = valid.strip_prefix(&expected) else {
        let first = valid.lines().next().unwrap_or_default();
        return Err(format!("the file does not begin with {:?} but with {first:?}", expected.trim_end()));
    };
    let mut records = Vec::new();
    let mut good = expected.len();
    while let Some((line, after)) = rest.split_once('\n') {
        let Some(json) = record_of(line) else { break };
        records.push(json);
        good += line.len() + 1;
        rest = after;
    }
    Ok((records, good))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_files_are_all_or_nothing() {
        let mut file = RecordFile::new("test");
        file.push("{\"a\":1}");
        file.push("[2]");
        let bytes = file.finish();
        assert_eq!(read_whole("test", &bytes).unwrap(), ["{\"a\":1}", "[2]"]);
        assert!(read_whole("other", &bytes).is_err());
        for cut in 0..bytes.len() {
            assert!(read_whole("test", &bytes[..cut]).is_err(), "cut at {cut}");
            let mut flipped = bytes.clone();
            flipped[cut] ^= 4;
            assert!(read_whole("test", &flipped).is_err(), "flipped at {cut}");
        }
        assert!(read_whole("test", &RecordFile::new("test").finish()).unwrap().is_empty());
    }

    #[test]
    fn appended_files_lose_only_their_torn_end() {
        let mut text = header("log");
        append_line(&mut text, "1");
        let good = text.len();
        append_line(&mut text, "2");
        let (records, length) = read_appended("log", &text.as_bytes()[..text.len() - 1]).unwrap();
        assert_eq!((records, length), (vec!["1"], good));
    }
}
