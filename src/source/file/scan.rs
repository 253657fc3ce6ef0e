//! What lies there, without reading it: names and stamps, by which a change
//! is noticed also where there are no notifications (network file systems).

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::Location;
use crate::snapshot::archive::LEDGER_FILE;
use crate::snapshot::content::EnvironmentId;
use crate::snapshot::report::Problem;
use crate::snapshot::tree::{Part, environment_of};

/// By what two states of a file differ, links followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    size: u64,
    modified_ns: i128,
    changed_ns: i128,
    inode: (u64, u64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        let nanoseconds = |s: i64, ns: i64| i128::from(s) * 1_000_000_000 + i128::from(ns);
        Stamp {
            size: metadata.len(),
            modified_ns: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
            changed_ns: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
            inode: (metadata.dev(), metadata.ino()),
        }
    }
}

/// A file that will be read.
pub type Found = (PathBuf, Stamp);

/// One look at the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    pub environments: BTreeMap<EnvironmentId, BTreeMap<Part, Found>>,
    pub ledger: Option<Found>,
    /// Set where the configuration is an archive.
    pub archive: Option<Found>,
}

/// Looks at a directory or archive.
///
/// # Errors
/// It is not there, or something in it cannot be looked at.
pub fn scan(location: &Location) -> Result<Scan, Problem> {
    if location.archive.is_some() {
        let found = look(&location.path)?.ok_or_else(|| missing(&location.path, "there is no archive"))?;
        return Ok(Scan { archive: Some(found), ..Scan::default() });
    }
    let mut result = Scan { ledger: look(&location.path.join(LEDGER_FILE))?, ..Scan::default() };
    let children = match fs::read_dir(&location.path) {
        Ok(children) => children,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(missing(&location.path, "the configuration directory is not there"));
        }
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            let advice = "name a directory, or an archive that ends in .tar.gz or .tar.zst";
            return Err(Problem::new(&name(&location.path), "this is neither a directory nor an archive", advice));
        }
        Err(error) => return Err(unreadable(&location.path, &error)),
    };
    for child in children {
        let child = child.map_err(|error| unreadable(&location.path, &error))?;
        let Some(environment) = child.file_name().to_str().and_then(environment_of) else {
            continue;
        };
        let path = child.path();
        let metadata = fs::metadata(&path).map_err(|error| unreadable(&path, &error))?;
        if metadata.is_dir() {
            result.environments.insert(environment, parts(&path)?);
        }
    }
    Ok(result)
}

fn parts(directory: &Path) -> Result<BTreeMap<Part, Found>, Problem> {
    let mut parts = BTreeMap::new();
    for part in Part::ALL {
        if let Some(found) = look(&directory.join(part.file_name()))? {
            parts.insert(part, found);
        }
    }
    Ok(parts)
}

fn look(path: &Path) -> Result<Option<Found>, Problem> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(Some((path.to_owned(), Stamp::of(&metadata)))),
        // A link that leads nowhere is no missing file.
        Err(error) if error.kind() == io::ErrorKind::NotFound && fs::symlink_metadata(path).is_err() => Ok(None),
        Err(error) => Err(unreadable(path, &error)),
    }
}

pub(super) fn name(path: &Path) -> String {
    path.display().to_string()
}

fn missing(path: &Path, what: &str) -> Problem {
    Problem::new(&name(path), what, "put it there, or set config-dir to where it is")
}

pub(super) fn unreadable(path: &Path, error: &io::Error) -> Problem {
    Problem::new(
        &name(path),
        format!("it cannot be read: {error}"),
        "check that it is there and that this user may read it",
    )
}
