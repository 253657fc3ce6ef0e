//! A file of the data directory that is appended to, line by line, and
//! written anew when it has grown to several times what it is worth.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, BufWriter, Write as _};
use std::path::PathBuf;

use super::directory::{io_error, make_directory, owner_only};
use super::record::{header, line, record_of};
use super::{DataDir, DurableError};

/// An open file. One writer.
#[derive(Debug)]
pub struct AppendLog {
    path: PathBuf,
    kind: &'static str,
    file: Option<File>,
    length: u64,
}

/// How reading an earlier file ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Every line was good, or there was no file.
    Whole,
    /// The last line was cut short by a crash.
    Torn,
    /// Something else is wrong, and what was read may not be all. The file
    /// was set aside under this path.
    Damaged { aside: PathBuf, what: String },
}

impl AppendLog {
    /// Hands each record of an earlier file to `each`, in order, up to the
    /// first damaged one. Nothing may be appended before a
    /// [`rewrite`](AppendLog::rewrite).
    ///
    /// # Errors
    /// The file cannot be read or set aside.
    pub fn open(
        directory: &DataDir,
        name: &str,
        kind: &'static str,
        mut each: impl FnMut(&str),
    ) -> Result<(Self, Ending), DurableError> {
        let path = directory.path().join(name);
        if let Some(parent) = path.parent() {
            make_directory(parent)?;
        }
        let ending = match File::open(&path) {
            Ok(file) => replay(file, kind, &mut each).map_err(io_error(&path))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Ending::Whole),
            Err(error) => return Err(io_error(&path)(error)),
        };
        let ending = match ending {
            Ok(ending) => ending,
            Err(what) => {
                let aside = path.with_extension("damaged");
                fs::rename(&path, &aside).map_err(io_error(&path))?;
                Ending::Damaged { aside, what }
            }
        };
        Ok((AppendLog { path, kind, file: None, length: 0 }, ending))
    }

    /// Bytes on disk.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Appends records that are lines already ([`append_line`]) and syncs
    /// them.
    ///
    /// # Errors
    /// The disk is full, or the like. Then the file must be written anew
    /// before anything else is appended.
    ///
    /// [`append_line`]: super::record::append_line
    pub fn append(&mut self, lines: &str) -> Result<(), DurableError> {
        let fault = io_error(&self.path);
        let Some(file) = &mut self.file else {
            return Err(fault(io::Error::other("the file has to be written anew first")));
        };
        let written = file.write_all(lines.as_bytes()).and_then(|()| file.sync_data());
        if let Err(error) = written {
            // What was half written would hide what comes later.
            let _ = file.set_len(self.length);
            self.file = None;
            return Err(fault(error));
        }
        self.length += lines.len() as u64;
        Ok(())
    }

    /// Replaces the file by these records, atomically, and opens it for
    /// appending.
    ///
    /// # Errors
    /// The disk is full, or the like; the old file is still there then.
    pub fn rewrite(&mut self, records: impl Iterator<Item = String>) -> Result<(), DurableError> {
        let temporary = self.path.with_extension("new");
        let written = (|| {
            let mut out = BufWriter::new(owner_only().create(true).truncate(true).write(true).open(&temporary)?);
            let mut length = 0;
            let head = header(self.kind);
            for text in std::iter::once(head).chain(records.map(|record| line(&record))) {
                out.write_all(text.as_bytes())?;
                length += text.len() as u64;
            }
            let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
            file.sync_all()?;
            fs::rename(&temporary, &self.path)?;
            if let Some(parent) = self.path.parent() {
                File::open(parent)?.sync_all()?;
            }
            Ok((file, length))
        })();
        match written {
            Ok((file, length)) => {
                (self.file, self.length) = (Some(file), length);
                Ok(())
            }
            Err(error) => {
                // A half-written file would only take room.
                let _ = fs::remove_file(&temporary);
                self.file = None;
                Err(io_error(&self.path)(error))
            }
        }
    }
}

/// Reads line by line, so that memory does not grow with the file.
fn replay(file: File, kind: &str, each: &mut impl FnMut(&str)) -> io::Result<Result<Ending, String>> {
    let mut reader = BufReader::new(file);
    let mut bytes = Vec::new();
    let mut first = true;
    loop {
        bytes.clear();
        if reader.read_until(b'\n', &mut bytes)? == 0 {
            return Ok(Ok(Ending::Whole));
        }
        let text = std::str::from_utf8(&bytes).ok();
        if first {
            first = false;
            if text != Some(&header(kind)) {
                return Ok(Err(format!("the file does not begin with {:?}", header(kind).trim_end())));
            }
            continue;
        }
        match text.and_then(|text| text.strip_suffix('\n')).and_then(record_of) {
            Some(record) => each(record),
            None if reader.fill_buf()?.is_empty() => return Ok(Ok(Ending::Torn)),
            None => return Ok(Err("a line in the middle is damaged".to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::super::record::append_line;
    use super::*;

    fn open(directory: &DataDir) -> (AppendLog, Ending, Vec<String>) {
        let mut records = Vec::new();
        let (log, ending) =
            AppendLog::open(directory, "a/log", "log", |record| records.push(record.to_owned())).unwrap();
        (log, ending, records)
    }

    #[test]
    fn records_come_back_up_to_a_torn_end() {
        let place = tempfile::tempdir().unwrap();
        let directory = DataDir::open(place.path()).unwrap();
        let (mut log, ending, records) = open(&directory);
        assert_eq!((ending, records.len()), (Ending::Whole, 0));
        assert!(log.append("x").is_err());
        log.rewrite(["1".to_owned(), "2".to_owned()].into_iter()).unwrap();
        let mut lines = String::new();
        append_line(&mut lines, "3");
        log.append(&lines).unwrap();
        let path = place.path().join("a/log");
        assert_eq!(log.length(), fs::metadata(&path).unwrap().len());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(open(&directory).2, ["1", "2", "3"]);
        let good = fs::read(&path).unwrap();
        for cut in 1..8 {
            fs::write(&path, &good[..good.len() - cut]).unwrap();
            let (_, ending, records) = open(&directory);
            assert_eq!((ending, records.len()), (Ending::Torn, 2), "{cut}");
        }
    }

    #[test]
    fn damaged_files_are_set_aside() {
        let place = tempfile::tempdir().unwrap();
        let directory = DataDir::open(place.path()).unwrap();
        let (mut log, ..) = open(&directory);
        log.rewrite((0..9).map(|i| i.to_string())).unwrap();
        let path = place.path().join("a/log");
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&path, &bytes).unwrap();
        let (_, ending, records) = open(&directory);
        assert!(matches!(ending, Ending::Damaged { .. }));
        assert!(!records.is_empty() && records.len() < 9);
        assert!(!path.exists() && path.with_extension("damaged").exists());
        for other in [&b"rubbish"[..], b"ff-relay log 2\n", b"\xff\n", b""] {
            fs::write(&path, other).unwrap();
            let (_, ending, records) = open(&directory);
            assert_eq!(matches!(ending, Ending::Damaged { .. }), !other.is_empty());
            assert!(records.is_empty());
        }
    }
}
