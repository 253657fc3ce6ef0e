//! The one writer of archives.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use super::manifest::{
    FORMAT_VERSION, LEDGER_FILE, MANIFEST_FILE, Manifest, ManifestEnvironment, ManifestFile, ledger_to_json,
};
use super::{Compression, Tree};
use crate::snapshot::content::{Content, EnvironmentId};
use crate::snapshot::item::{Digest, ItemKind};
use crate::snapshot::ledger::ServedVersions;
use crate::snapshot::tree::{ENVIRONMENT_PREFIX, LEARNT_FILE, LEARNT_WORD, Part, write_learnt_targets, write_part};

/// What an archive is made of, borrowed from whoever holds it.
#[derive(Clone, Debug, Default)]
pub struct Contents<'a> {
    pub environments: BTreeMap<&'a EnvironmentId, &'a Content>,
    /// Of whole content; what is of parts that are left out is left out too.
    pub served: BTreeMap<EnvironmentId, ServedVersions>,
    /// What of `environments` goes into the archive.
    pub parts: BTreeSet<Part>,
    /// JSON of targets that SDKs brought, each list sorted by identifier;
    /// `None` for an archive that does not speak of them.
    pub learnt: Option<BTreeMap<&'a EnvironmentId, Vec<&'a str>>>,
}

impl<'a> From<&'a Tree> for Contents<'a> {
    fn from(tree: &'a Tree) -> Self {
        let texts = |learnt: &'a BTreeMap<EnvironmentId, _>| {
            let texts = |items: &'a Vec<std::sync::Arc<crate::snapshot::item::Item>>| {
                items.iter().map(|item| &*item.text).collect()
            };
            learnt.iter().map(|(id, items)| (id, texts(items))).collect()
        };
        Contents {
            environments: tree.environments.iter().collect(),
            served: tree.served.clone(),
            parts: tree.parts.clone(),
            learnt: tree.learnt.as_ref().map(texts),
        }
    }
}

/// Writes an archive: equal contents give equal bytes. Holds one file at a
/// time, and makes each twice: its hash comes before all files.
///
/// # Errors
/// What `out` says.
pub fn write(contents: &Contents<'_>, compression: Compression, out: impl Write) -> io::Result<()> {
    match compression {
        Compression::Gzip => {
            let mut encoder =
                flate2::GzBuilder::new().mtime(0).operating_system(255).write(out, flate2::Compression::new(6));
            write_tar(contents, &mut encoder)?;
            encoder.finish()?.flush()
        }
        Compression::Zstd => {
            let mut encoder = zstd::Encoder::new(out, 9)?;
            encoder.include_checksum(true)?;
            write_tar(contents, &mut encoder)?;
            encoder.finish()?.flush()
        }
    }
}

fn write_tar(contents: &Contents<'_>, out: &mut impl Write) -> io::Result<()> {
    let mut files = Vec::new();
    each_file(contents, &mut |path, text| {
        let sha256 = Digest::of(text.as_bytes()).to_string();
        files.push(ManifestFile { path: path.to_owned(), size: text.len() as u64, sha256 });
        Ok(())
    })?;
    let words = contents.parts.iter().map(|part| part.word());
    let manifest = Manifest {
        format_version: FORMAT_VERSION,
        parts: words.chain(contents.learnt.as_ref().map(|_| LEARNT_WORD)).map(str::to_owned).collect(),
        environments: contents
            .environments
            .iter()
            .map(|(id, content)| ManifestEnvironment::of(id, &only(&contents.parts, content)))
            .collect(),
        files,
    };
    let mut builder = tar::Builder::new(out);
    // First, so that a reader knows from the start what must come.
    append(&mut builder, MANIFEST_FILE, &(serde_json::to_string_pretty(&manifest).map_err(io::Error::other)? + "\n"))?;
    each_file(contents, &mut |path, text| append(&mut builder, path, text))?;
    builder.finish()
}

/// Content with nothing in the parts that are left out.
fn only<'a>(parts: &BTreeSet<Part>, content: &'a Content) -> Cow<'a, Content> {
    if Part::ALL.iter().all(|part| parts.contains(part)) {
        return Cow::Borrowed(content);
    }
    let mut kept = content.clone();
    for part in Part::ALL.into_iter().filter(|part| !parts.contains(part)) {
        match part {
            Part::KeyHashes => kept.key_hashes.clear(),
            Part::Flags => kept.flags.clear(),
            Part::Segments => kept.segments.clear(),
            Part::Targets => kept.targets.clear(),
        }
    }
    Cow::Owned(kept)
}

/// Makes one file after the other, in the order of their paths.
fn each_file(contents: &Contents<'_>, take: &mut dyn FnMut(&str, &str) -> io::Result<()>) -> io::Result<()> {
    let mut paths: BTreeMap<String, Option<(&EnvironmentId, Option<Part>)>> = BTreeMap::new();
    for id in contents.environments.keys() {
        for part in &contents.parts {
            paths.insert(format!("{ENVIRONMENT_PREFIX}{id}/{}", part.file_name()), Some((id, Some(*part))));
        }
    }
    for id in contents.learnt.iter().flat_map(BTreeMap::keys) {
        paths.insert(format!("{ENVIRONMENT_PREFIX}{id}/{LEARNT_FILE}"), Some((id, None)));
    }
    let ledger = ledger_to_json(&served(contents)).map_err(io::Error::other)?;
    if ledger.is_some() {
        paths.insert(LEDGER_FILE.to_owned(), None);
    }
    for (path, what) in &paths {
        let text = match what {
            None => ledger.clone(),
            Some((id, Some(part))) => contents.environments.get(id).map(|content| write_part(content, *part)),
            Some((id, None)) => {
                let targets = contents.learnt.as_ref().and_then(|learnt| learnt.get(id));
                targets.map(|targets| write_learnt_targets(targets.iter().copied()))
            }
        };
        take(path, &text.unwrap_or_default())?;
    }
    Ok(())
}

/// Served versions of the kinds that go into the archive.
fn served(contents: &Contents<'_>) -> BTreeMap<EnvironmentId, ServedVersions> {
    let part = |kind| match kind {
        ItemKind::Flag => Part::Flags,
        ItemKind::Segment => Part::Segments,
        ItemKind::Target => Part::Targets,
    };
    let mut served = contents.served.clone();
    if !contents.parts.contains(&Part::Flags) && !contents.parts.contains(&Part::Segments) {
        served.clear();
    }
    for versions in served.values_mut() {
        versions.items.retain(|key, _| contents.parts.contains(&part(key.kind)));
    }
    served
}

fn append(builder: &mut tar::Builder<impl Write>, path: &str, text: &str) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(text.len() as u64);
    header.set_mode(0o644);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header.set_entry_type(tar::EntryType::Regular);
    builder.append_data(&mut header, path, text.as_bytes())
}
