//! Reading archives that somebody else may have made: bounded, and refused
//! whole if anything is wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead, Read};

use super::manifest::{FORMAT_VERSION, LEDGER_FILE, MANIFEST_FILE, Manifest, ledger_from_json};
use super::{Compression, RawTree};
use crate::snapshot::item::Digest;
use crate::snapshot::report::{Problem, Problems};
use crate::snapshot::tree::{Part, SourceFile, environment_of};

/// What an archive may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub archive_bytes: u64,
    pub inflated_bytes: u64,
    /// Inflated to packed; looked at above `ratio_from_bytes`, because many
    /// equal environments compress well.
    pub ratio: u64,
    pub ratio_from_bytes: u64,
    pub entries: usize,
}

impl Default for Limits {
    fn default() -> Self {
        const MIB: u64 = 1024 * 1024;
        Limits {
            archive_bytes: 256 * MIB,
            inflated_bytes: 1024 * MIB,
            ratio: 200,
            ratio_from_bytes: 256 * MIB,
            entries: 100_000,
        }
    }
}

/// Reads an archive of `size` bytes. `name` is what problems call it.
///
/// # Errors
/// The first thing that is wrong; nothing of the archive is used then.
pub fn read(
    name: &str,
    size: u64,
    packed: impl BufRead,
    compression: Compression,
    limits: &Limits,
) -> Result<RawTree, Problems> {
    if size > limits.archive_bytes {
        let what = format!("the archive has {size} bytes, more than the limit of {}", limits.archive_bytes);
        return Err(Problem::new(name, what, "split it by environment").into());
    }
    let files = match compression {
        Compression::Gzip => {
            let mut decoder = flate2::bufread::GzDecoder::new(packed);
            let files = unpack(name, size, &mut decoder, limits)?;
            nothing_follows(name, decoder.into_inner())?;
            files
        }
        Compression::Zstd => {
            let mut decoder = zstd::Decoder::with_buffer(packed).map_err(|error| corrupt(name, &error))?.single_frame();
            decoder.window_log_max(27).map_err(|error| corrupt(name, &error))?;
            let files = unpack(name, size, &mut decoder, limits)?;
            nothing_follows(name, decoder.finish())?;
            files
        }
    };
    sort_out(name, files)
}

fn nothing_follows(name: &str, mut rest: impl BufRead) -> Result<(), Problems> {
    let follows = rest.fill_buf().map_err(|error| corrupt(name, &error))?;
    if follows.is_empty() {
        return Ok(());
    }
    Err(Problem::new(name, "something follows the end of the archive", "copy it again").into())
}

/// Counts what was inflated and stops at the limits.
struct Metered<'a, R> {
    inner: &'a mut R,
    left: u64,
}

impl<R: Read> Read for Metered<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.left = self
            .left
            .checked_sub(count as u64)
            .ok_or_else(|| io::Error::other("it inflates to more than the limit; it may be made to exhaust memory"))?;
        Ok(count)
    }
}

fn unpack(
    name: &str,
    size: u64,
    inflated: &mut impl Read,
    limits: &Limits,
) -> Result<BTreeMap<String, Vec<u8>>, Problems> {
    let cap = limits.inflated_bytes.min(limits.ratio_from_bytes.max(size.saturating_mul(limits.ratio)));
    let mut metered = Metered { inner: inflated, left: cap };
    let mut files = BTreeMap::new();
    let mut archive = tar::Archive::new(&mut metered);
    let entries = archive.entries().map_err(|error| corrupt(name, &error))?;
    for (index, entry) in entries.enumerate() {
        let mut entry = entry.map_err(|error| corrupt(name, &error))?;
        if index >= limits.entries {
            return Err(Problem::new(
                name,
                format!("it has more than {} entries", limits.entries),
                "split it by environment",
            )
            .into());
        }
        let path = String::from_utf8(entry.path_bytes().into_owned())
            .map_err(|_| Problem::new(name, "an entry's name is not UTF-8", "make the archive with `ff-relay pack`"))?;
        let kind = entry.header().entry_type();
        let path = safe_path(name, &path)?;
        if kind.is_dir() || matches!(kind, tar::EntryType::XGlobalHeader) {
            continue;
        }
        if !kind.is_file() {
            let what = format!("the entry '{path}' is a link or device");
            return Err(Problem::new(name, what, "pack plain files only, as `ff-relay pack` does").into());
        }
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).map_err(|error| corrupt(name, &error))?;
        if bytes.len() as u64 != entry.size() {
            return Err(Problem::new(name, format!("the entry '{path}' is cut short"), "copy it again").into());
        }
        if files.insert(path.clone(), bytes).is_some() {
            return Err(Problem::new(name, format!("the entry '{path}' stands twice"), "make the archive anew").into());
        }
    }
    // To the end, so that the checksum behind the last block is looked at.
    io::copy(&mut metered, &mut io::sink()).map_err(|error| corrupt(name, &error))?;
    Ok(files)
}

/// The path without `./`; refused if it could leave the tree.
fn safe_path(name: &str, path: &str) -> Result<String, Problems> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if path.starts_with('/') || path.contains(['\\', '\0']) || parts.contains(&"..") {
        return Err(
            Problem::new(name, format!("the entry {path:?} points outside the archive"), "do not use it").into()
        );
    }
    Ok(parts.join("/"))
}

fn corrupt(name: &str, error: &io::Error) -> Problems {
    Problem::new(name, format!("the archive cannot be read: {error}"), "copy it again if it is half copied").into()
}

fn sort_out(name: &str, mut files: BTreeMap<String, Vec<u8>>) -> Result<RawTree, Problems> {
    let mut tree = RawTree::default();
    if let Some(bytes) = files.get(MANIFEST_FILE) {
        let manifest = parse_manifest(name, bytes)?;
        vouch(name, &manifest, &files)?;
        tree.manifest = Some(manifest);
    } else {
        files = without_leading_directory(name, files)?;
    }
    if let Some(bytes) = files.get(LEDGER_FILE) {
        let file = format!("{name}/{LEDGER_FILE}");
        tree.served = ledger_from_json(bytes).map_err(|what| Problem::new(&file, what, "make the archive anew"))?;
    }
    for (path, bytes) in files {
        let mut parts = path.split('/');
        let (Some(directory), Some(file), None) = (parts.next(), parts.next(), parts.next()) else {
            continue;
        };
        let Some(environment) = environment_of(directory) else {
            continue;
        };
        let known = tree.environments.entry(environment).or_default();
        if let Some(part) = Part::ALL.into_iter().find(|part| part.file_name() == file) {
            known.insert(part, SourceFile { name: format!("{name}/{path}"), bytes });
        }
    }
    Ok(tree)
}

fn parse_manifest(name: &str, bytes: &[u8]) -> Result<Manifest, Problems> {
    let file = format!("{name}/{MANIFEST_FILE}");
    // The version first: another one may have another shape.
    let value: serde_json::Value = serde_json::from_slice(bytes)
        .map_err(|error| Problem::new(&file, error.to_string(), "make the archive anew"))?;
    match value.get("formatVersion").and_then(serde_json::Value::as_u64) {
        Some(version) if version == u64::from(FORMAT_VERSION) => {}
        Some(version) => {
            let what = format!("archive format version {version} is not known here; version {FORMAT_VERSION} is");
            return Err(Problem::new(&file, what, "use a newer ff-relay, or make the archive anew").into());
        }
        None => return Err(Problem::new(&file, "it names no formatVersion", "make the archive anew").into()),
    }
    serde_json::from_value(value)
        .map_err(|error| Problem::new(&file, error.to_string(), "make the archive anew").into())
}

/// Every file must be listed and match, and every listed one be there.
fn vouch(name: &str, manifest: &Manifest, files: &BTreeMap<String, Vec<u8>>) -> Result<(), Problems> {
    let advice = "copy the archive again, or make it anew";
    let problem = |path: &str, what: &str| Problems::from(Problem::new(&format!("{name}/{path}"), what, advice));
    let listed: BTreeMap<&str, (&str, u64)> =
        manifest.files.iter().map(|file| (file.path.as_str(), (file.sha256.as_str(), file.size))).collect();
    for (path, bytes) in files.iter().filter(|(path, _)| *path != MANIFEST_FILE) {
        match listed.get(path.as_str()) {
            None => return Err(problem(path, "the manifest does not list this file")),
            Some((sha256, size)) if Digest::of(bytes).to_string() != *sha256 || bytes.len() as u64 != *size => {
                return Err(problem(path, "its checksum is not the one in the manifest"));
            }
            Some(_) => {}
        }
    }
    match listed.keys().find(|path| !files.contains_key(**path)) {
        Some(path) => Err(problem(path, "the manifest lists this file, and it is not there")),
        None => Ok(()),
    }
}

/// A plain `tar czf` of a directory puts the directory's name in front.
fn without_leading_directory(
    name: &str,
    files: BTreeMap<String, Vec<u8>>,
) -> Result<BTreeMap<String, Vec<u8>>, Problems> {
    let is_environment = |part: Option<&str>| part.and_then(environment_of).is_some();
    if files.keys().any(|path| is_environment(path.split('/').next())) {
        return Ok(files);
    }
    let leading: BTreeSet<&str> = files
        .keys()
        .filter(|path| is_environment(path.split('/').nth(1)))
        .filter_map(|path| path.split('/').next())
        .collect();
    if leading.len() > 1 {
        let what =
            format!("environments lie in several directories ({})", leading.into_iter().collect::<Vec<_>>().join(", "));
        return Err(Problem::new(name, what, "pack one directory").into());
    }
    let leading = leading.into_iter().next().map(|directory| format!("{directory}/")).unwrap_or_default();
    Ok(files.into_iter().filter_map(|(path, bytes)| Some((path.strip_prefix(&leading)?.to_owned(), bytes))).collect())
}
