//! `ff-relay pack` and `unpack`: directory to archive and back.

use std::fs;
use std::io::{BufReader, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Parser;
use serde_json::json;

use super::print::say;
use super::{Output, print};
use crate::snapshot::archive::{self, Compression, Limits, Tree, ledger_to_json};
use crate::snapshot::item::Digest;
use crate::snapshot::tree::{ENVIRONMENT_PREFIX, LEARNT_FILE};
use crate::source::file::Location;
use crate::source::file::load::read_once;
use crate::source::file::write::write_archive;

/// Make an archive of an offline directory (or of another archive). The same
/// content gives the same bytes.
#[derive(Debug, Parser)]
#[command(name = "pack", disable_version_flag = true, after_help = PACK_EXAMPLES)]
pub struct PackArguments {
    /// The directory.
    dir: PathBuf,
    /// The archive to write; its name ends in .tar.gz or .tar.zst.
    archive: PathBuf,
    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// Make an offline directory of an archive.
#[derive(Debug, Parser)]
#[command(name = "unpack", disable_version_flag = true, after_help = UNPACK_EXAMPLES)]
pub struct UnpackArguments {
    /// The archive.
    archive: PathBuf,
    /// The directory to write; it must not exist, or be empty.
    dir: PathBuf,
    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

const PACK_EXAMPLES: &str = "\
Examples:
  ff-relay pack ./config flags.tar.gz
  ff-relay pack flags.tar.gz flags.tar.zst

Exit codes: 0 written; 1 the directory is not usable, or failed; 64 wrong command line.";

const UNPACK_EXAMPLES: &str = "\
Examples:
  ff-relay unpack flags.tar.gz ./config

Exit codes: 0 written; 1 the archive is not usable, or failed; 64 wrong command line.";

/// # Errors
/// The directory is not usable, or the archive cannot be written.
pub fn pack(arguments: &PackArguments) -> anyhow::Result<bool> {
    let Some(compression) = Compression::of(&arguments.archive) else {
        bail!("{}: an archive's name ends in .tar.gz or .tar.zst", arguments.archive.display());
    };
    let report = super::verify::report(&Location::of(&arguments.dir))?;
    if let Some(first) = report.errors.first() {
        bail!("{first}");
    }
    let loaded = read_once(&Location::of(&arguments.dir))?;
    let tree =
        Tree { environments: loaded.environments, served: loaded.served, parts: loaded.parts, learnt: loaded.learnt };
    write_archive(&arguments.archive, compression, &tree)?;
    let bytes = fs::read(&arguments.archive)?;
    let (name, digest) = (arguments.archive.display().to_string(), Digest::of(&bytes));
    match arguments.output {
        Output::Json => {
            let ids: Vec<&str> = report.environments.iter().map(|environment| environment.id.as_str()).collect();
            print::json(
                &json!({"archive": name, "bytes": bytes.len(), "sha256": digest.to_string(), "environments": ids}),
            );
        }
        Output::Text => {
            say!("{name}: {} environments, {} bytes, SHA-256 {digest}", report.environments.len(), bytes.len());
        }
    }
    Ok(true)
}

/// # Errors
/// The archive is not usable, or the directory cannot be written.
pub fn unpack(arguments: &UnpackArguments) -> anyhow::Result<bool> {
    let name = arguments.archive.display().to_string();
    let Some(compression) = Compression::of(&arguments.archive) else {
        bail!("{name}: an archive's name ends in .tar.gz or .tar.zst");
    };
    if fs::read_dir(&arguments.dir).is_ok_and(|mut children| children.next().is_some()) {
        bail!("{} is not empty; unpack into a new directory", arguments.dir.display());
    }
    let file = fs::File::open(&arguments.archive).with_context(|| name.clone())?;
    let size = file.metadata()?.len();
    let tree = archive::read(&name, size, BufReader::new(file), compression, &Limits::default())?;
    for (id, files) in &tree.environments {
        if id.as_str().contains('/') {
            bail!("{name}: environment id {id:?} cannot be a directory's name");
        }
        let directory = arguments.dir.join(format!("{ENVIRONMENT_PREFIX}{id}"));
        fs::create_dir_all(&directory).with_context(|| format!("{}", directory.display()))?;
        for (part, source) in files {
            write(&directory.join(part.file_name()), &source.bytes)?;
        }
        if let Some(source) = tree.learnt.as_ref().and_then(|learnt| learnt.get(id)) {
            write(&directory.join(LEARNT_FILE), &source.bytes)?;
        }
    }
    // Served versions travel with the content, so that they go on rising.
    if let Some(ledger) = ledger_to_json(&tree.served)? {
        write(&arguments.dir.join(archive::LEDGER_FILE), ledger.as_bytes())?;
    }
    let shown = arguments.dir.display().to_string();
    match arguments.output {
        Output::Json => {
            let ids: Vec<String> = tree.environments.keys().map(ToString::to_string).collect();
            print::json(&json!({"directory": shown, "environments": ids, "vouched": tree.manifest.is_some()}));
        }
        Output::Text => say!("{shown}: {} environments", tree.environments.len()),
    }
    Ok(true)
}

fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let mut file = fs::File::create(path).with_context(|| format!("{}", path.display()))?;
    file.write_all(bytes)?;
    file.sync_all()?;
    Ok(())
}
