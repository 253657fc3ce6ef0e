//! The directory itself: lock, modes, atomic writes.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::DurableError;
use super::record::{RecordFile, read_whole};
use crate::snapshot::content::EnvironmentId;
use crate::snapshot::item::Digest;

/// An open `data-dir`. The lock is held for as long as this lives.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    /// The process before ended in order, so that nothing it gave out is
    /// unknown here.
    pub ended_in_order: bool,
    writing: Mutex<()>,
    _lock: File,
}

impl DataDir {
    /// Opens or makes the directory and locks it.
    ///
    /// # Errors
    /// It cannot be written, or another process has it.
    pub fn open(path: &Path) -> Result<Self, DurableError> {
        make_directory(path)?;
        let lock_path = path.join("lock");
        let lock =
            owner_only().create(true).truncate(false).write(true).open(&lock_path).map_err(io_error(&lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(DurableError::Locked { path: path.display().to_string() }),
            Err(TryLockError::Error(error)) => return Err(io_error(&lock_path)(error)),
        }
        let mut directory =
            DataDir { path: path.to_owned(), ended_in_order: false, writing: Mutex::new(()), _lock: lock };
        directory.ended_in_order = match directory.read("life") {
            Ok(lines) => lines.is_some_and(|lines| lines == ["{\"ended\":true}"]),
            // The worst is assumed then.
            Err(DurableError::Corrupt { .. }) => false,
            Err(error) => return Err(error),
        };
        directory.finish_staged()?;
        directory.write_life(false)?;
        Ok(directory)
    }

    /// Notes that everything given out is written.
    ///
    /// # Errors
    /// The note could not be written; the next start then assumes the worst.
    pub fn end_in_order(&self) -> Result<(), DurableError> {
        self.write_life(true)
    }

    fn write_life(&self, ended: bool) -> Result<(), DurableError> {
        let mut file = RecordFile::new("life");
        file.push(&format!("{{\"ended\":{ended}}}"));
        self.write("life", file)
    }

    /// Keeps others from writing snapshots for as long as the guard lives.
    pub fn alone(&self) -> MutexGuard<'_, ()> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads a whole file's records; `None` if it is not there. A damaged
    /// file is set aside, so that it is never in the way again.
    ///
    /// # Errors
    /// It is damaged, or cannot be read.
    pub fn read(&self, name: &str) -> Result<Option<Vec<String>>, DurableError> {
        let path = self.path.join(name);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io_error(&path)(error)),
        };
        match read_whole(kind_of(name), &bytes) {
            Ok(records) => Ok(Some(records.into_iter().map(str::to_owned).collect())),
            Err(what) => {
                let aside = path.with_extension("damaged");
                fs::rename(&path, &aside).map_err(io_error(&path))?;
                let what = format!("{what}; it was set aside as {}", aside.display());
                Err(DurableError::Corrupt { path: path.display().to_string(), what })
            }
        }
    }

    /// Writes a whole file: it is either the old or the new one, always.
    ///
    /// # Errors
    /// The disk is full, or the like; the old file is still there then.
    pub fn write(&self, name: &str, file: RecordFile) -> Result<(), DurableError> {
        let path = self.path.join(name);
        let parent = path.parent().unwrap_or(&self.path);
        make_directory(parent)?;
        let temporary = path.with_extension("new");
        let result = (|| {
            let mut out = owner_only().create(true).truncate(true).write(true).open(&temporary)?;
            out.write_all(&file.finish())?;
            out.sync_all()?;
            fs::rename(&temporary, &path)?;
            File::open(parent)?.sync_all()
        })();
        result.map_err(|error| {
            // A half-written file would only take room.
            let _ = fs::remove_file(&temporary);
            io_error(&path)(error)
        })
    }

    /// The folder of an environment, relative to the directory.
    #[must_use]
    pub fn folder_of(environment: &EnvironmentId) -> String {
        let id = environment.as_str();
        let plain = id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
        let name = if plain && !id.starts_with(['.', '_']) && id.len() <= 100 {
            id.to_owned()
        } else {
            format!("_{}", Digest::of(id.as_bytes()))
        };
        format!("environments/{name}")
    }
}

/// A file's kind is its name without what tells it from others of its kind.
fn kind_of(name: &str) -> &str {
    let file = name.rsplit('/').next().unwrap_or(name);
    file.split('@').next().unwrap_or(file)
}

pub(super) fn owner_only() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}

pub(super) fn make_directory(path: &Path) -> Result<(), DurableError> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(io_error(path))
}

pub(super) fn io_error(path: &Path) -> impl Fn(io::Error) -> DurableError {
    let path = path.display().to_string();
    move |source| DurableError::Io { path: path.clone(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_at_a_time_and_nothing_is_half_written() {
        let place = tempfile::tempdir().unwrap();
        let open = DataDir::open(place.path()).unwrap();
        assert!(!open.ended_in_order);
        assert!(matches!(DataDir::open(place.path()), Err(DurableError::Locked { .. })));
        let mut file = RecordFile::new("thing");
        file.push("1");
        open.write("a/thing@x", file).unwrap();
        assert_eq!(open.read("a/thing@x").unwrap().unwrap(), ["1"]);
        open.end_in_order().unwrap();
        drop(open);
        let again = DataDir::open(place.path()).unwrap();
        assert!(again.ended_in_order);
        drop(again);
        assert!(!DataDir::open(place.path()).unwrap().ended_in_order);
        fs::write(place.path().join("a/thing@x"), b"rubbish").unwrap();
        let open = DataDir::open(place.path()).unwrap();
        assert!(open.read("a/thing@x").unwrap_err().to_string().contains("set aside"));
        assert!(open.read("a/thing@x").unwrap().is_none());
    }

    #[test]
    fn folders_are_safe_names() {
        let folder = |id: &str| DataDir::folder_of(&EnvironmentId::new(id));
        assert_eq!(folder("11111111-1111"), "environments/11111111-1111");
        for id in ["../x", "a/b", ".", "_x", "é", &"x".repeat(200)] {
            assert!(folder(id).starts_with("environments/_"), "{id}");
        }
    }
}
