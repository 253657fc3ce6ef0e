//! From inflated bytes to files, by a reader that takes nothing on trust:
//! entries are read raw, so that no header makes the reader hold, skip or
//! make up more than it was going to.

use std::collections::BTreeMap;
use std::io::{self, Read};

use super::read::Limits;
use crate::snapshot::report::{Problem, ProblemKind, Problems};

/// A header that only names the next entry is this large at most.
const MAX_EXTENSION_BYTES: u64 = 64 * 1024;

const TOO_LARGE: &str = "it inflates to more than the limit; it may be made to exhaust memory";

/// Counts what was inflated and stops at the limit.
struct Metered<'a, R> {
    inner: &'a mut R,
    left: u64,
    exceeded: &'a std::cell::Cell<bool>,
}

impl<R: Read> Read for Metered<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        let Some(left) = self.left.checked_sub(count as u64) else {
            self.exceeded.set(true);
            return Err(io::Error::other(TOO_LARGE));
        };
        self.left = left;
        Ok(count)
    }
}

/// Reads the tar of an archive of `size` packed bytes to its end.
pub(super) fn unpack(
    name: &str,
    size: u64,
    inflated: &mut impl Read,
    limits: &Limits,
) -> Result<BTreeMap<String, Vec<u8>>, Problems> {
    let cap = limits.inflated_bytes.min(limits.ratio_from_bytes.max(size.saturating_mul(limits.ratio)));
    let exceeded = std::cell::Cell::new(false);
    let mut metered = Metered { inner: inflated, left: cap, exceeded: &exceeded };
    let failed = |error: &io::Error| if exceeded.get() { too_large(name) } else { corrupt(name, error) };
    let mut files = Files { name, by_path: BTreeMap::new(), next_name: None };
    let mut archive = tar::Archive::new(&mut metered);
    let entries = archive.entries().map_err(|error| failed(&error))?;
    for (index, entry) in entries.raw(true).enumerate() {
        let mut entry = entry.map_err(|error| failed(&error))?;
        if index >= limits.entries {
            let what = format!("it has more than {} entries", limits.entries);
            return Err(Problem::new(name, what, "split it by environment").of_kind(ProblemKind::Limit).into());
        }
        // Before a byte of it is read.
        if entry.size() > cap {
            return Err(too_large(name));
        }
        files.take(&mut entry, &failed)?;
    }
    if files.next_name.is_some() {
        return Err(refused(name, "its last entry names another one that is not there", "make the archive anew"));
    }
    let files = files.by_path;
    // To the end, so that the checksum behind the last block is looked at.
    io::copy(&mut metered, &mut io::sink()).map_err(|error| failed(&error))?;
    Ok(files)
}

struct Files<'a> {
    name: &'a str,
    by_path: BTreeMap<String, Vec<u8>>,
    /// A long name that came ahead of its entry.
    next_name: Option<Vec<u8>>,
}

impl Files<'_> {
    fn take(
        &mut self,
        entry: &mut tar::Entry<'_, impl Read>,
        failed: &dyn Fn(&io::Error) -> Problems,
    ) -> Result<(), Problems> {
        let kind = entry.header().entry_type();
        if kind.is_pax_global_extensions() {
            return Ok(());
        }
        if kind.is_gnu_longname() || kind.is_pax_local_extensions() {
            if entry.size() > MAX_EXTENSION_BYTES {
                return Err(too_large(self.name));
            }
            let bytes = read_whole(self.name, "a header", entry, failed)?;
            let long = if kind.is_gnu_longname() { Some(without_nul(bytes)) } else { self.pax_path(&bytes)? };
            if self.next_name.is_some() && long.is_some() {
                return Err(refused(self.name, "an entry has two names", "do not use it"));
            }
            self.next_name = long.or_else(|| self.next_name.take());
            return Ok(());
        }
        let path = self.next_name.take().unwrap_or_else(|| entry.path_bytes().into_owned());
        let path = String::from_utf8(path)
            .map_err(|_| refused(self.name, "an entry's name is not UTF-8", "make the archive with `ff-relay pack`"))?;
        let path = safe_path(self.name, &path)?;
        if kind.is_dir() {
            return Ok(());
        }
        if !kind.is_file() {
            let what = format!("the entry '{path}' is a link or device");
            return Err(refused(self.name, &what, "pack plain files only, as `ff-relay pack` does"));
        }
        let bytes = read_whole(self.name, &format!("the entry '{path}'"), entry, failed)?;
        if self.by_path.insert(path.clone(), bytes).is_some() {
            return Err(refused(self.name, &format!("the entry '{path}' stands twice"), "make the archive anew"));
        }
        Ok(())
    }

    /// The path that a pax header gives. Times and owners are of no interest;
    /// what would make another file of the entry is refused.
    fn pax_path(&self, bytes: &[u8]) -> Result<Option<Vec<u8>>, Problems> {
        let mut path = None;
        for record in tar::PaxExtensions::new(bytes) {
            let record = record.map_err(|error| corrupt(self.name, &error))?;
            match record.key_bytes() {
                b"path" => path = Some(record.value_bytes().to_owned()),
                key if key == b"size" || key.starts_with(b"GNU.sparse") => {
                    let what = "an entry has another size than its header says";
                    return Err(refused(self.name, what, "pack plain files only, as `ff-relay pack` does"));
                }
                _ => {}
            }
        }
        Ok(path)
    }
}

fn read_whole(
    name: &str,
    what: &str,
    entry: &mut tar::Entry<'_, impl Read>,
    failed: &dyn Fn(&io::Error) -> Problems,
) -> Result<Vec<u8>, Problems> {
    let mut bytes = Vec::new();
    entry.read_to_end(&mut bytes).map_err(|error| failed(&error))?;
    if bytes.len() as u64 != entry.size() {
        let problem = Problem::new(name, format!("{what} is cut short"), "copy it again");
        return Err(problem.of_kind(ProblemKind::Corrupt).into());
    }
    Ok(bytes)
}

fn without_nul(mut bytes: Vec<u8>) -> Vec<u8> {
    if bytes.last() == Some(&0) {
        bytes.pop();
    }
    bytes
}

/// The path without `./`; refused if it could leave the tree.
fn safe_path(name: &str, path: &str) -> Result<String, Problems> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if path.starts_with('/') || path.contains(['\\', '\0']) || parts.contains(&"..") {
        return Err(refused(name, &format!("the entry {path:?} points outside the archive"), "do not use it"));
    }
    Ok(parts.join("/"))
}

pub(super) fn corrupt(name: &str, error: &io::Error) -> Problems {
    let advice = "copy it again if it is half copied";
    Problem::new(name, format!("the archive cannot be read: {error}"), advice).of_kind(ProblemKind::Corrupt).into()
}

fn too_large(name: &str) -> Problems {
    let what = format!("the archive cannot be read: {TOO_LARGE}");
    Problem::new(name, what, "split it by environment").of_kind(ProblemKind::Limit).into()
}

fn refused(name: &str, what: &str, advice: &str) -> Problems {
    Problem::new(name, what, advice).into()
}
