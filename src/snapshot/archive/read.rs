//! Reading archives that somebody else may have made: bounded, and refused
//! whole if anything is wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::io::BufRead;

use super::manifest::{FORMAT_VERSION, LEDGER_FILE, MANIFEST_FILE, Manifest, ledger_from_json};
use super::unpack::{corrupt, unpack};
use super::{Compression, RawTree};
use crate::snapshot::item::Digest;
use crate::snapshot::report::{Problem, ProblemKind, Problems};
use crate::snapshot::tree::{LEARNT_FILE, LEARNT_WORD, Part, SourceFile, environment_of};

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
        return Err(Problem::new(name, what, "split it by environment").of_kind(ProblemKind::Limit).into());
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
    let problem = Problem::new(name, "something follows the end of the archive", "copy it again");
    Err(problem.of_kind(ProblemKind::Corrupt).into())
}

fn sort_out(name: &str, mut files: BTreeMap<String, Vec<u8>>) -> Result<RawTree, Problems> {
    let mut tree = RawTree { parts: Part::ALL.into(), ..RawTree::default() };
    if let Some(bytes) = files.get(MANIFEST_FILE) {
        let manifest = parse_manifest(name, bytes)?;
        vouch(name, &manifest, &files)?;
        (tree.parts, tree.learnt) = parts(name, &manifest)?;
        tree.manifest = Some(manifest);
    } else {
        files = without_leading_directory(name, files)?;
    }
    if let Some(bytes) = files.get(LEDGER_FILE) {
        let file = format!("{name}/{LEDGER_FILE}");
        tree.served = ledger_from_json(bytes).map_err(|what| Problem::new(&file, what, "make the archive anew"))?;
    }
    for (path, bytes) in files {
        let mut segments = path.split('/');
        let (Some(directory), Some(file), None) = (segments.next(), segments.next(), segments.next()) else {
            continue;
        };
        let Some(environment) = environment_of(directory) else {
            continue;
        };
        let listed = |manifest: &Manifest| manifest.environments.iter().any(|it| it.id == environment.as_str());
        let source = SourceFile { name: format!("{name}/{path}"), bytes };
        let part = Part::ALL.into_iter().find(|part| part.file_name() == file);
        let held = part.is_none_or(|part| tree.parts.contains(&part)) && (file != LEARNT_FILE || tree.learnt.is_some());
        if tree.manifest.as_ref().is_some_and(|manifest| !held || !listed(manifest)) {
            let what = "the manifest lists this file, and neither its part nor its environment";
            return Err(Problem::new(&source.name, what, "make the archive anew").into());
        }
        let known = tree.environments.entry(environment.clone()).or_default();
        match (part, &mut tree.learnt) {
            (Some(part), _) => drop(known.insert(part, source)),
            (None, Some(learnt)) if file == LEARNT_FILE => drop(learnt.insert(environment, source)),
            // Nothing vouches for it, so it is one of the unknown files.
            _ => {}
        }
    }
    Ok(tree)
}

type Learnt = Option<BTreeMap<crate::snapshot::content::EnvironmentId, SourceFile>>;

/// What the archive speaks of, by its manifest.
fn parts(name: &str, manifest: &Manifest) -> Result<(BTreeSet<Part>, Learnt), Problems> {
    let (mut parts, mut learnt) = (BTreeSet::new(), None);
    for word in &manifest.parts {
        match Part::of_word(word) {
            Some(part) => drop(parts.insert(part)),
            None if word == LEARNT_WORD => learnt = Some(BTreeMap::new()),
            None => {
                let what = format!("the manifest names a part '{word}' that is not known here");
                let file = format!("{name}/{MANIFEST_FILE}");
                return Err(Problem::new(&file, what, "use a newer ff-relay, or make the archive anew").into());
            }
        }
    }
    Ok((parts, learnt))
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
            let problem = Problem::new(&file, what, "use a newer ff-relay, or make the archive anew");
            return Err(problem.of_kind(ProblemKind::FormatUnsupported).into());
        }
        None => return Err(Problem::new(&file, "it names no formatVersion", "make the archive anew").into()),
    }
    serde_json::from_value(value)
        .map_err(|error| Problem::new(&file, error.to_string(), "make the archive anew").into())
}

/// Every file must be listed and match, and every listed one be there.
fn vouch(name: &str, manifest: &Manifest, files: &BTreeMap<String, Vec<u8>>) -> Result<(), Problems> {
    let advice = "copy the archive again, or make it anew";
    let problem = |path: &str, what: &str| Problem::new(&format!("{name}/{path}"), what, advice);
    let corrupted = |path: &str, what: &str| problem(path, what).of_kind(ProblemKind::Corrupt).into();
    let listed: BTreeMap<&str, (&str, u64)> =
        manifest.files.iter().map(|file| (file.path.as_str(), (file.sha256.as_str(), file.size))).collect();
    for (path, bytes) in files.iter().filter(|(path, _)| *path != MANIFEST_FILE) {
        match listed.get(path.as_str()) {
            None => return Err(problem(path, "the manifest does not list this file").into()),
            Some((sha256, size)) if Digest::of(bytes).to_string() != *sha256 || bytes.len() as u64 != *size => {
                return Err(corrupted(path, "its checksum is not the one in the manifest"));
            }
            Some(_) => {}
        }
    }
    match listed.keys().find(|path| !files.contains_key(**path)) {
        Some(path) => Err(corrupted(path, "the manifest lists this file, and it is not there")),
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
