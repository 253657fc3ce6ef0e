//! An archive on its way out is written down first: its size and digest are
//! told before its bytes, and slow receivers must not hold it in memory.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use crate::snapshot::item::Digest;

/// Smaller archives stay in memory.
const MEMORY_BYTES: usize = 8 * 1024 * 1024;

/// What was written, to be read by position.
#[derive(Debug)]
pub struct Spool {
    held: Held,
    pub size: u64,
    pub sha256: Digest,
}

#[derive(Debug)]
enum Held {
    Memory(Bytes),
    /// Has no name any more, so it is gone with the process.
    File(File),
}

impl Spool {
    /// At most `length` bytes from `offset` on. Reads a file: call it where
    /// blocking is allowed, unless [`Spool::is_in_memory`].
    ///
    /// # Errors
    /// What the disk says.
    pub fn read(&self, offset: u64, length: usize) -> io::Result<Bytes> {
        let left = usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let length = length.min(left);
        match &self.held {
            Held::Memory(bytes) => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
                Ok(bytes.slice(start..start + length))
            }
            Held::File(file) => {
                let mut buffer = vec![0; length];
                file.read_exact_at(&mut buffer, offset)?;
                Ok(buffer.into())
            }
        }
    }

    #[must_use]
    pub fn is_in_memory(&self) -> bool {
        matches!(self.held, Held::Memory(_))
    }
}

/// Takes the bytes of an archive and goes over to a file when they are many.
#[derive(Debug)]
pub struct Spooling<'a> {
    /// Where the file lies.
    place: &'a Path,
    memory: Vec<u8>,
    file: Option<File>,
    hash: Sha256,
    size: u64,
}

impl<'a> Spooling<'a> {
    #[must_use]
    pub fn new(place: &'a Path) -> Self {
        Spooling { place, memory: Vec::new(), file: None, hash: Sha256::new(), size: 0 }
    }

    /// Everything was written.
    #[must_use]
    pub fn finish(self) -> Spool {
        let held = match self.file {
            Some(file) => Held::File(file),
            None => Held::Memory(self.memory.into()),
        };
        Spool { held, size: self.size, sha256: Digest(self.hash.finalize().into()) }
    }
}

impl Write for Spooling<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.file.is_none() && self.memory.len() + bytes.len() > MEMORY_BYTES {
            let mut file = tempfile::tempfile_in(self.place)?;
            file.write_all(&self.memory)?;
            (self.memory, self.file) = (Vec::new(), Some(file));
        }
        match &mut self.file {
            Some(file) => file.write_all(bytes)?,
            None => self.memory.extend_from_slice(bytes),
        }
        self.hash.update(bytes);
        self.size += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_ones_stay_in_memory_and_large_ones_read_the_same() {
        let place = tempfile::tempdir().unwrap();
        for size in [0, 100_000, MEMORY_BYTES, MEMORY_BYTES + 1, 3 * MEMORY_BYTES] {
            let bytes: Vec<u8> = (0..size).map(|i| u8::try_from(i % 251).unwrap()).collect();
            let mut spooling = Spooling::new(place.path());
            bytes.chunks(100_000).for_each(|chunk| spooling.write_all(chunk).unwrap());
            let spool = spooling.finish();
            assert_eq!((spool.size, spool.is_in_memory()), (size as u64, size <= MEMORY_BYTES));
            assert_eq!(spool.sha256, Digest::of(&bytes));
            for offset in [0, size / 2, size] {
                let end = (offset + 1000).min(size);
                assert_eq!(spool.read(offset as u64, 1000).unwrap(), bytes[offset..end], "{size} {offset}");
            }
        }
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0, "the files have no names");
    }

    #[test]
    fn a_place_that_cannot_be_written_fails() {
        let mut spooling = Spooling::new(Path::new("/nonexistent/place"));
        spooling.write_all(&vec![0; MEMORY_BYTES]).unwrap();
        assert!(spooling.write_all(&[0]).is_err());
    }
}
