//! `ff-relay import`: an archive or a directory into a relay.

use std::fs::File;
use std::io::{BufReader, Read as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Parser;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::connect::{Relay, wait};
use super::failure::Failure;
use super::print::{Paint, Tone, clean, count, say};
use super::progress::Progress;
use super::{Output, print, view};
use crate::proto::admin::v1 as proto;
use crate::proto::admin::v1::import_snapshot_request::Frame;
use crate::proto::snapshot::v1::{self as snapshot, SnapshotChunk, SnapshotHeader, SnapshotTrailer};
use crate::snapshot::archive::{Compression, FORMAT_VERSION, Tree};
use crate::snapshot::item::Digest;
use crate::source::file::Location;
use crate::source::file::load::read_once;
use crate::source::file::write::write_archive;

/// Bytes of a chunk.
const CHUNK_BYTES: u64 = 256 * 1024;

/// Put an archive or an offline directory in place of what a relay serves. It
/// is checked whole, kept on disk, then served at once; any failure before
/// changes nothing. Needs the role admin.
#[derive(Debug, Parser)]
#[command(name = "import", disable_version_flag = true, after_help = EXAMPLES)]
pub struct Arguments {
    /// Archive or directory; a directory is packed first.
    file: PathBuf,
    /// Check everything and say what would change, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Environments that FILE does not hold go; without it they stay.
    #[arg(long)]
    replace_all: bool,
    /// Only if this is what is served now: the content digest that
    /// `ff-relay status` shows.
    #[arg(long, value_name = "HEX")]
    expected_digest: Option<String>,
    /// Names this import: the same again within 24 hours changes nothing and
    /// gets the same answer.
    #[arg(long, value_name = "ID")]
    request_id: Option<String>,
    /// Also where the configuration comes from Harness, another relay, Redis
    /// or a directory: that source is paused until `ff-relay resync`.
    #[arg(long)]
    override_upstream: bool,
    #[command(flatten)]
    relay: Relay,
    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

const EXAMPLES: &str = "\
Examples:
  ff-relay diff 127.0.0.1:7001 flags.tar.gz
  ff-relay import --dry-run flags.tar.gz
  ff-relay import flags.tar.gz
  ff-relay import --replace-all --expected-digest \"$(ff-relay status --output json | jq -r .contentDigest)\" ./config

Exit codes: 0 imported (or could be, with --dry-run); 1 refused as it is, or failed; 2 unreachable;
3 refused for the credential; 64 wrong command line.";

impl Arguments {
    fn options(&self) -> Result<proto::ImportOptions, Failure> {
        let expected = self.expected_digest.as_deref().map(|text| {
            Digest::from_hex(text.trim()).map(|digest| digest.0.to_vec()).ok_or_else(|| {
                Failure::Usage("--expected-digest is 64 hexadecimal digits, as `ff-relay status` shows them".to_owned())
            })
        });
        let mode =
            if self.replace_all { proto::ImportMode::ReplaceAll } else { proto::ImportMode::ReplaceEnvironments };
        // With an id of its own an import may be repeated without harm.
        let id = self.request_id.clone().unwrap_or_else(|| format!("cli-{:016x}", rand::random::<u64>()));
        Ok(proto::ImportOptions {
            validate_only: self.dry_run,
            mode: mode.into(),
            expected_digest: expected.transpose()?,
            request_id: id,
            override_upstream: self.override_upstream,
        })
    }
}

/// # Errors
/// The file cannot be used; the relay cannot be reached, or refuses.
pub fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    let options = arguments.options()?;
    let request_id = options.request_id.clone();
    let packed = Packed::of(&arguments.file)?;
    wait(async {
        let session = arguments.relay.connect().await?;
        let frames = packed.frames(options)?;
        let mut admin = session.admin();
        let answered = admin.import_snapshot(session.request(tokio_stream::iter(frames))).await;
        let answer = answered.map_err(|status| match Failure::of(&status, &session.address) {
            Failure::Unreachable(what) => Failure::Unreachable(format!(
                "{what}; whether the import was done is not known: repeat it with --request-id {request_id}"
            )),
            other => other,
        })?;
        match arguments.output {
            Output::Json => print::json(&as_json(answer.get_ref())),
            Output::Text => as_text(answer.get_ref()),
        }
        Ok(true)
    })
}

/// The archive that is sent.
struct Packed {
    path: PathBuf,
    compression: Compression,
    size: u64,
    sha256: Vec<u8>,
    _directory: Option<tempfile::TempDir>,
}

impl Packed {
    fn of(file: &Path) -> anyhow::Result<Self> {
        let location = Location::of(file);
        let (path, compression, directory) = match location.archive {
            Some(compression) => (file.to_owned(), compression, None),
            None => {
                let loaded = read_once(&location)?;
                let directory = tempfile::tempdir()?;
                let path = directory.path().join("import.tar.gz");
                write_archive(&path, Compression::Gzip, &Tree::whole(loaded.environments, loaded.served))?;
                (path, Compression::Gzip, Some(directory))
            }
        };
        let mut hash = Sha256::new();
        let mut open = File::open(&path).with_context(|| path.display().to_string())?;
        let size = std::io::copy(&mut open, &mut hash).with_context(|| path.display().to_string())?;
        Ok(Packed { path, compression, size, sha256: hash.finalize().to_vec(), _directory: directory })
    }

    fn frames(
        &self,
        options: proto::ImportOptions,
    ) -> anyhow::Result<impl Iterator<Item = proto::ImportSnapshotRequest> + Send + 'static> {
        let compression = match self.compression {
            Compression::Gzip => snapshot::Compression::Gzip,
            Compression::Zstd => snapshot::Compression::Zstd,
        };
        let header = SnapshotHeader {
            format_version: FORMAT_VERSION,
            producer: concat!("ff-relay ", env!("CARGO_PKG_VERSION")).to_owned(),
            total_size: self.size,
            sha256: self.sha256.clone(),
            compression: compression.into(),
            ..SnapshotHeader::default()
        };
        let header = Frame::Header(proto::ImportHeader { options: Some(options), snapshot: Some(header) });
        let trailer = Frame::Trailer(SnapshotTrailer { total_size: self.size, sha256: self.sha256.clone() });
        let mut file = BufReader::new(File::open(&self.path)?);
        let (mut offset, total) = (0, self.size);
        let mut progress = Progress::new("importing");
        let chunks = std::iter::from_fn(move || {
            let mut data = Vec::new();
            // A file that cannot be read any more makes the archive too
            // short, and the relay says so.
            file.by_ref().take(CHUNK_BYTES).read_to_end(&mut data).ok().filter(|count| *count > 0)?;
            let chunk = SnapshotChunk { offset, data };
            offset += chunk.data.len() as u64;
            progress.at(offset, total);
            Some(Frame::Chunk(chunk))
        });
        let frames = std::iter::once(header).chain(chunks).chain(std::iter::once(trailer));
        Ok(frames.map(|frame| proto::ImportSnapshotRequest { frame: Some(frame) }))
    }
}

fn as_json(answer: &proto::ImportSnapshotResponse) -> Value {
    let item = |it: &proto::ItemChange| {
        let key = it.key.clone().unwrap_or_default();
        json!({
            "kind": view::word(key.kind().as_str_name(), "ITEM_KIND_"),
            "identifier": key.identifier,
            "outcome": view::word(it.outcome().as_str_name(), "ITEM_OUTCOME_"),
        })
    };
    let environment = |it: &proto::EnvironmentChange| {
        json!({
            "id": it.environment_id,
            "outcome": view::word(it.outcome().as_str_name(), "ENVIRONMENT_OUTCOME_"),
            "before": view::revision(it.before.as_ref()),
            "after": view::revision(it.after.as_ref()),
            "items": it.items.iter().map(item).collect::<Vec<_>>(),
            "added": it.added,
            "changed": it.changed,
            "removed": it.removed,
            "keyHashesAdded": it.key_hashes_added,
            "keyHashesRemoved": it.key_hashes_removed,
            "sourcePaused": it.source_paused,
        })
    };
    json!({
        "requestId": answer.request_id,
        "sha256": view::hex(&answer.sha256),
        "validatedOnly": answer.validated_only,
        "repeated": answer.repeated,
        "environments": answer.environments.iter().map(environment).collect::<Vec<_>>(),
        "warnings": answer.warnings,
        "warningCount": answer.warning_count,
    })
}

fn as_text(answer: &proto::ImportSnapshotResponse) {
    let paint = Paint::of_surroundings();
    for it in &answer.environments {
        let outcome = view::spoken(it.outcome().as_str_name(), "ENVIRONMENT_OUTCOME_");
        let keys = match (it.key_hashes_added, it.key_hashes_removed) {
            (0, 0) => String::new(),
            (added, removed) => format!("; keys: {added} added, {removed} removed"),
        };
        let paused = if it.source_paused { "; its own source is paused" } else { "" };
        let (added, changed, removed) = (it.added, it.changed, it.removed);
        let counts = format!("{added} added, {changed} changed, {removed} removed{keys}{paused}");
        say!("env-{}: {outcome}: {counts}", clean(&it.environment_id));
        for item in &it.items {
            let key = item.key.clone().unwrap_or_default();
            let (tone, sign) = match item.outcome() {
                proto::ItemOutcome::Added => (Tone::Good, "+"),
                proto::ItemOutcome::Removed => (Tone::Bad, "-"),
                _ => (Tone::Changed, "~"),
            };
            let kind = view::spoken(key.kind().as_str_name(), "ITEM_KIND_");
            say!("  {}", paint.text(tone, &format!("{sign} {kind} {}", clean(&key.identifier))));
        }
        let more = (added + changed + removed).saturating_sub(it.items.len() as u64);
        if more > 0 {
            say!("  and {more} more");
        }
    }
    answer.warnings.iter().for_each(|warning| say!("warning: {}", clean(warning)));
    let more = answer.warning_count.saturating_sub(answer.warnings.len() as u64);
    if more > 0 {
        say!("and {}", count(more, "more warning"));
    }
    let what = match (answer.validated_only, answer.repeated) {
        (true, _) => "checked; nothing was changed",
        (false, true) => "imported before; nothing was changed now",
        (false, false) => "imported",
    };
    say!("{what} (request {}, SHA-256 {})", clean(&answer.request_id), view::hex(&answer.sha256));
}
