//! `ff-relay export`: an archive of what a relay serves.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use serde_json::json;

use super::connect::{Relay, wait};
use super::failure::Failure;
use super::fetch::fetch;
use super::print::{clean, count, say};
use super::progress::size;
use super::{Output, print, view};
use crate::proto::snapshot::v1 as proto;
use crate::snapshot::archive;

/// Write what a relay serves into an archive, which offline mode starts from.
/// A transfer that was cut goes on where it ended, also in a later run: what
/// came is in FILE.partial until it is whole. Needs the role sync.
#[derive(Debug, Parser)]
#[command(name = "export", disable_version_flag = true, after_help = EXAMPLES)]
pub struct Arguments {
    /// The archive to write; its name ends in .tar.gz or .tar.zst.
    file: PathBuf,
    /// Only this environment; may be repeated.
    #[arg(long, value_name = "ID")]
    environment: Vec<String>,
    /// Only this part; may be repeated.
    #[arg(long, value_name = "PART", value_enum)]
    part: Vec<Part>,
    /// How to compress, if the file's name does not say.
    #[arg(long, value_enum)]
    compression: Option<Compression>,
    /// Also the targets that SDKs brought: personal data.
    #[arg(long)]
    include_learnt_targets: bool,
    #[command(flatten)]
    relay: Relay,
    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

const EXAMPLES: &str = "\
Examples:
  ff-relay export flags.tar.gz
  ff-relay export --environment 11111111-1111-4111-8111-111111111111 --part flags --part segments flags.tar.zst
  ff-relay export flags.tar.gz && ff-relay verify flags.tar.gz

Exit codes: 0 written; 1 failed; 2 unreachable; 3 refused; 64 wrong command line.";

/// What an archive may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    Flags,
    Segments,
    /// Hashes of SDK keys.
    KeyHashes,
    /// Targets that came with the configuration.
    Targets,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Compression {
    Gzip,
    Zstd,
}

impl Arguments {
    fn request(&self) -> Result<proto::ExportSnapshotRequest, Failure> {
        let by_name = archive::Compression::of(&self.file);
        let compression =
            match (self.compression, by_name) {
                (Some(Compression::Gzip), None)
                | (None | Some(Compression::Gzip), Some(archive::Compression::Gzip)) => proto::Compression::Gzip,
                (Some(Compression::Zstd), None)
                | (None | Some(Compression::Zstd), Some(archive::Compression::Zstd)) => proto::Compression::Zstd,
                (Some(_), Some(_)) => {
                    let what = format!("{}: the name says another compression than --compression", self.file.display());
                    return Err(Failure::Usage(what));
                }
                (None, None) => {
                    let what = format!("{}: an archive's name ends in .tar.gz or .tar.zst", self.file.display());
                    return Err(Failure::Usage(what));
                }
            };
        let chosen = self.part.iter().map(|part| match part {
            Part::Flags => proto::Part::Flags,
            Part::Segments => proto::Part::Segments,
            Part::KeyHashes => proto::Part::KeyHashes,
            Part::Targets => proto::Part::ConfiguredTargets,
        });
        let mut parts: Vec<i32> = chosen.map(i32::from).collect();
        if self.include_learnt_targets {
            if parts.is_empty() {
                parts.extend(CONFIGURATION.map(i32::from));
            }
            parts.push(proto::Part::LearntTargets.into());
        }
        Ok(proto::ExportSnapshotRequest {
            environment_ids: self.environment.clone(),
            parts,
            compression: compression.into(),
            ..proto::ExportSnapshotRequest::default()
        })
    }
}

const CONFIGURATION: [proto::Part; 4] =
    [proto::Part::Flags, proto::Part::Segments, proto::Part::KeyHashes, proto::Part::ConfiguredTargets];

/// # Errors
/// The relay cannot be reached, refuses, or the file cannot be written.
pub fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    let request = arguments.request()?;
    wait(async {
        let session = arguments.relay.connect().await?;
        let private = arguments.include_learnt_targets;
        let fetched = fetch(&arguments.relay, session, &request, &arguments.file, private).await?;
        let (header, name) = (fetched.header, arguments.file.display().to_string());
        match arguments.output {
            Output::Json => {
                let environments = header.environments.iter();
                let environments = environments
                    .map(|it| json!({"id": it.environment_id, "revision": view::revision(it.revision.as_ref())}));
                let parts = header.parts().map(|part| view::word(part.as_str_name(), "PART_"));
                print::json(&json!({
                    "archive": name,
                    "bytes": header.total_size,
                    "sha256": view::hex(&header.sha256),
                    "environments": environments.collect::<Vec<_>>(),
                    "parts": parts.collect::<Vec<_>>(),
                    "createdAt": view::time_json(header.created_at.as_ref()),
                    "producer": header.producer,
                    "resumedFrom": fetched.resumed_from,
                }));
            }
            Output::Text => {
                let environments = count(header.environments.len() as u64, "environment");
                say!("{name}: {environments}, {} bytes, SHA-256 {}", header.total_size, view::hex(&header.sha256));
                say!("made {} by {}", view::time(header.created_at.as_ref()), clean(&header.producer));
                if fetched.resumed_from > 0 {
                    say!("{} were there already", size(fetched.resumed_from));
                }
            }
        }
        Ok(true)
    })
}
