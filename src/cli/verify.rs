//! `ff-relay verify PATH`: what the relay would say to a directory or
//! archive.

use std::collections::{BTreeMap, BTreeSet};

use clap::Parser;
use serde::Serialize;

use super::connect::Relay;
use super::place::Place;
use super::print::{clean, say};
use super::{Output, print};
use crate::evaluate::CompileOptions;
use crate::source::file::Location;
use crate::source::file::load::{Loaded, place, read_once};
use crate::store::writer::Offered;
use crate::store::{Store, StoreSettings};

/// Check an offline directory or archive, or what a relay serves: errors are
/// what the relay would refuse to serve, warnings are what it serves and
/// somebody should look at.
#[derive(Debug, Parser)]
#[command(name = "verify", disable_version_flag = true, after_help = EXAMPLES)]
pub struct Arguments {
    /// Directory, archive (.tar.gz, .tar.zst), or the address of a relay,
    /// which is exported (role sync).
    path: String,
    /// Count warnings as errors.
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    relay: Relay,
    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

const EXAMPLES: &str = "\
Examples:
  ff-relay verify ./config
  ff-relay verify flags.tar.gz --strict
  ff-relay verify 127.0.0.1:7001 --token-file sync-token

Exit codes: 0 good; 1 errors (with --strict: or warnings); 2 unreachable; 3 refused; 64 wrong command line.";

/// Everything that was found.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    pub path: String,
    pub environments: Vec<EnvironmentReport>,
    pub errors: Vec<String>,
    pub warnings: Vec<String>,
    /// Whether a manifest vouched for the files.
    pub vouched: bool,
}

/// One environment that can be served.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentReport {
    pub id: String,
    pub digest: String,
    pub flags: usize,
    pub segments: usize,
    pub targets: usize,
    pub key_hashes: usize,
}

impl Report {
    /// How much there is, in one line.
    #[must_use]
    pub fn summary(&self) -> String {
        let flags: usize = self.environments.iter().map(|environment| environment.flags).sum();
        format!(
            "{}: {} environments, {flags} flags, {} errors, {} warnings",
            self.path,
            self.environments.len(),
            self.errors.len(),
            self.warnings.len()
        )
    }
}

/// # Errors
/// The report cannot be printed.
pub fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    let place = Place::find(&arguments.path, &arguments.relay)?;
    let report = Report { path: place.name.clone(), ..report(&place.location)? };
    let good = report.errors.is_empty() && (!arguments.strict || report.warnings.is_empty());
    match arguments.output {
        Output::Json => print::json(&report),
        Output::Text => show(&report),
    }
    Ok(good)
}

fn show(report: &Report) {
    for environment in &report.environments {
        say!(
            "env-{}: {} flags, {} segments, {} targets, {} keys, digest {:.12}",
            environment.id,
            environment.flags,
            environment.segments,
            environment.targets,
            environment.key_hashes,
            environment.digest
        );
    }
    report.warnings.iter().for_each(|warning| say!("warning: {}", clean(warning)));
    report.errors.iter().for_each(|error| say!("error: {}", clean(error)));
    say!("{}", report.summary());
}

/// Reads and builds everything as the relay would.
///
/// # Errors
/// Never in practice: what is wrong stands in the report.
pub fn report(location: &Location) -> anyhow::Result<Report> {
    let mut report = Report { path: location.name(), ..Report::default() };
    let loaded = match read_once(location) {
        Ok(loaded) => loaded,
        Err(problems) => {
            report.errors = problems.0.iter().map(ToString::to_string).collect();
            return Ok(report);
        }
    };
    report.vouched = loaded.vouched;
    for (id, content) in &loaded.environments {
        if content.key_hashes.is_empty() {
            report.warnings.push(format!("environment {id}: no key hash, so no SDK can authenticate to it"));
        }
        report.environments.push(EnvironmentReport {
            id: id.to_string(),
            digest: content.digest().to_string(),
            flags: content.flags.len(),
            segments: content.segments.len(),
            targets: content.targets.len(),
            key_hashes: content.key_hashes.len(),
        });
    }
    build(location, &loaded, &mut report);
    Ok(report)
}

fn build(location: &Location, loaded: &Loaded, report: &mut Report) {
    let compile = CompileOptions {
        and_rules: true,
        regex_bytes_per_expression: 64 * 1024 * 1024,
        regex_bytes_per_environment: 512 * 1024 * 1024,
    };
    // One environment at a time, so that each one's first error is told.
    for (id, content) in &loaded.environments {
        let (_, mut writer) = Store::new(StoreSettings { compile, max_targets: 1 });
        let offered = BTreeMap::from([(id.clone(), Offered { content: content.clone(), ..Offered::default() })]);
        match writer.prepare(offered, BTreeSet::new(), 0) {
            Ok(prepared) => {
                for applied in writer.commit(prepared) {
                    let lines = applied.warnings.iter().map(|warning| format!("environment {id}: {warning}"));
                    report.warnings.extend(lines);
                }
            }
            Err(error) => report.errors.extend(place(location, loaded, &error).0.iter().map(ToString::to_string)),
        }
    }
}
