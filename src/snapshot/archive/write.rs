//! The one writer of archives.

use std::collections::BTreeMap;
use std::io::{self, Write};

use super::manifest::{
    FORMAT_VERSION, LEDGER_FILE, MANIFEST_FILE, Manifest, ManifestEnvironment, ManifestFile, ledger_to_json,
};
use super::{Compression, Tree};
use crate::snapshot::item::Digest;
use crate::snapshot::tree::{ENVIRONMENT_PREFIX, Part, write_environment};

/// Writes a tree as an archive: the same tree gives the same bytes.
///
/// # Errors
/// What the writer says.
pub fn write(tree: &Tree, compression: Compression, out: impl Write) -> io::Result<()> {
    match compression {
        Compression::Gzip => {
            let mut encoder =
                flate2::GzBuilder::new().mtime(0).operating_system(255).write(out, flate2::Compression::new(6));
            write_tar(tree, &mut encoder)?;
            encoder.finish()?.flush()
        }
        Compression::Zstd => {
            let mut encoder = zstd::Encoder::new(out, 9)?;
            encoder.include_checksum(true)?;
            write_tar(tree, &mut encoder)?;
            encoder.finish()?.flush()
        }
    }
}

fn write_tar(tree: &Tree, out: &mut impl Write) -> io::Result<()> {
    let files = files(tree).map_err(io::Error::other)?;
    let manifest = Manifest {
        format_version: FORMAT_VERSION,
        parts: Part::ALL.iter().map(|part| part.word().to_owned()).collect(),
        environments: tree.environments.iter().map(|(id, content)| ManifestEnvironment::of(id, content)).collect(),
        files: files
            .iter()
            .map(|(path, text)| ManifestFile {
                path: path.clone(),
                size: text.len() as u64,
                sha256: Digest::of(text.as_bytes()).to_string(),
            })
            .collect(),
    };
    let mut builder = tar::Builder::new(out);
    // First, so that a reader knows from the start what must come.
    append(&mut builder, MANIFEST_FILE, &(serde_json::to_string_pretty(&manifest).map_err(io::Error::other)? + "\n"))?;
    for (path, text) in &files {
        append(&mut builder, path, text)?;
    }
    builder.finish()
}

fn files(tree: &Tree) -> serde_json::Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    for (id, content) in &tree.environments {
        for (part, text) in write_environment(content) {
            files.insert(format!("{ENVIRONMENT_PREFIX}{id}/{}", part.file_name()), text);
        }
    }
    if let Some(text) = ledger_to_json(&tree.served)? {
        files.insert(LEDGER_FILE.to_owned(), text);
    }
    Ok(files)
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
