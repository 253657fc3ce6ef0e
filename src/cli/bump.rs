//! `ff-relay bump OLD NEW`: raises the versions in NEW of what differs from
//! OLD, so that SDKs that hold the old content take the new one.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Parser;
use serde_json::json;

use super::print::say;
use super::{Output, print};
use crate::model::json::Json;
use crate::model::json_parser::Parser as JsonParser;
use crate::snapshot::content::find;
use crate::snapshot::item::{Item, ItemKind};
use crate::snapshot::ledger::ServedVersions;
use crate::snapshot::tree::{ENVIRONMENT_PREFIX, Part};
use crate::source::file::Location;
use crate::source::file::load::read_once;

/// Raise `version` of every flag and segment in NEW whose content differs
/// from OLD and whose version is not higher. Only version numbers are
/// written; everything else in the files stays as it is.
#[derive(Debug, Parser)]
#[command(name = "bump", disable_version_flag = true, after_help = EXAMPLES)]
pub struct Arguments {
    /// What SDKs have now: directory or archive.
    old: PathBuf,
    /// What they shall get: a directory, changed in place.
    new: PathBuf,
    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

const EXAMPLES: &str = "\
Examples:
  ff-relay bump yesterday.tar.gz ./config
  ff-relay bump ./before ./after --output json | jq '.raised[].identifier'

Exit codes: 0 done; 1 OLD or NEW is not usable; 64 wrong command line.";

/// One raised version.
struct Raised {
    environment: String,
    kind: ItemKind,
    identifier: String,
    from: Option<i64>,
    to: i64,
}

/// # Errors
/// OLD or NEW is not usable, or NEW cannot be written.
pub fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    let new = Location::of(&arguments.new);
    if new.archive.is_some() {
        bail!("{} is an archive; unpack it, bump the directory, pack it again", new.name());
    }
    let old = read_once(&Location::of(&arguments.old))?;
    let loaded = read_once(&new)?;
    let mut all = Vec::new();
    for (id, content) in &loaded.environments {
        let Some(before) = old.environments.get(id) else { continue };
        let served = old.served.get(id).cloned().unwrap_or_default();
        let directory = arguments.new.join(format!("{ENVIRONMENT_PREFIX}{id}"));
        for (part, kind, items, old_items) in [
            (Part::Flags, ItemKind::Flag, &content.flags, &before.flags),
            (Part::Segments, ItemKind::Segment, &content.segments, &before.segments),
        ] {
            let raised: Vec<Raised> = items
                .iter()
                .filter_map(|item| raise(id.as_str(), item, find(old_items, item.identifier())?, &served))
                .collect();
            if !raised.is_empty() {
                rewrite(&directory.join(part.file_name()), kind, &raised)?;
            }
            all.extend(raised);
        }
    }
    show(arguments.output, &all);
    Ok(true)
}

fn raise(environment: &str, item: &Item, old: &Item, served: &ServedVersions) -> Option<Raised> {
    let without_version = |item: &Item| {
        let mut json = Json::parse(&item.text).ok()?;
        json.remove("version");
        Some(crate::snapshot::item::content_form(item.key.kind, &json).canonical())
    };
    if without_version(item) == without_version(old) {
        return None;
    }
    let had = served.items.get(&item.key).map_or(0, |(version, _)| *version).max(old.version.unwrap_or(1));
    (item.version.unwrap_or(1) <= had).then(|| Raised {
        environment: environment.to_owned(),
        kind: item.key.kind,
        identifier: item.identifier().to_owned(),
        from: item.version,
        to: had.saturating_add(1),
    })
}

/// Writes the new numbers into the file's own text.
fn rewrite(path: &Path, kind: ItemKind, raised: &[Raised]) -> anyhow::Result<()> {
    let text = fs::read_to_string(path).with_context(|| format!("{}", path.display()))?;
    let mut out = String::with_capacity(text.len() + 64);
    let mut done = 0;
    for (offset, raw, json) in JsonParser::new(&text).list()? {
        let identifier = json.get(kind.identifier_field()).and_then(Json::as_str);
        let Some(raised) = raised.iter().find(|raised| Some(raised.identifier.as_str()) == identifier) else {
            continue;
        };
        let (start, end, replacement) = match JsonParser::member_span(raw, "version") {
            Some((start, end)) => (start, end, raised.to.to_string()),
            // Behind the opening brace; there is at least the identifier.
            None => (1, 1, format!("\"version\": {}, ", raised.to)),
        };
        out.push_str(text.get(done..offset + start).unwrap_or_default());
        out.push_str(&replacement);
        done = offset + end;
    }
    out.push_str(text.get(done..).unwrap_or_default());
    let parent = path.parent().unwrap_or(Path::new("."));
    let temporary = tempfile::NamedTempFile::new_in(parent)?;
    fs::write(temporary.path(), out)?;
    fs::set_permissions(temporary.path(), fs::metadata(path)?.permissions())?;
    temporary.as_file().sync_all()?;
    temporary.persist(path).with_context(|| format!("{}", path.display()))?;
    Ok(())
}

fn show(output: Output, raised: &[Raised]) {
    if output == Output::Json {
        let rows: Vec<_> = raised
            .iter()
            .map(|r| json!({"environment": r.environment, "kind": r.kind.to_string(), "identifier": r.identifier, "from": r.from, "to": r.to}))
            .collect();
        print::json(&json!({ "raised": rows }));
        return;
    }
    for Raised { environment, kind, identifier, from, to } in raised {
        let from = from.map_or_else(|| "none".to_owned(), |version| version.to_string());
        say!("env-{environment}: {kind} '{identifier}': version {from} → {to}");
    }
    say!("{} versions raised", raised.len());
}
