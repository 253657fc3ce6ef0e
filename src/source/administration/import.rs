//! An import, from a file that was received to one swap.

use std::collections::{BTreeMap, BTreeSet};
use std::io::BufReader;
use std::sync::{Arc, Mutex};

use super::answers::Answers;
use super::report::{self, Before};
use super::{error, lock};
use crate::model::Target;
use crate::snapshot::archive::{self, Limits, Tree};
use crate::snapshot::content::{Content, EnvironmentId};
use crate::snapshot::item::Digest;
use crate::snapshot::report::{ProblemKind, Problems};
use crate::snapshot::tree::{Part, shared_key_hash};
use crate::source::file::load::{CREDENTIAL, take_learnt};
use crate::source::intake::{Intake, Ready};
use crate::source::pause::{IMPORT_CREDENTIAL, Pause, Withheld};
use crate::store::administration::{
    AdministrationError, ImportFault, ImportMode, ImportOptions, ImportReport, ReceivedArchive,
};
use crate::store::durable::DurableError;
use crate::store::durable::paused::{Paused, paused_file, paused_name};
use crate::store::source_status::{PausedSource, SourceKind};
use crate::store::writer::Offered;
use crate::telemetry::clock::unix_now_ms;

/// What problems call the archive.
const NAME: &str = "archive";

/// An archive that was read and parsed.
pub struct ReadArchive {
    tree: Tree,
    vouched: bool,
    sha256: Digest,
}

/// Reads and parses, without looking at what is served.
///
/// # Errors
/// What is wrong with it.
pub fn read(archive: ReceivedArchive) -> Result<ReadArchive, AdministrationError> {
    let ReceivedArchive { file, size, sha256, compression } = archive;
    let raw = archive::read(NAME, size, BufReader::new(file), compression, &Limits::default()).map_err(refused)?;
    let tree = raw.parse(NAME).map_err(refused)?;
    if tree.environments.is_empty() {
        return Err(error(ImportFault::Invalid, "the archive holds no environment"));
    }
    Ok(ReadArchive { tree, vouched: raw.manifest.is_some(), sha256 })
}

fn refused(problems: Problems) -> AdministrationError {
    const TOLD: usize = 20;
    let fault = match problems.kind() {
        ProblemKind::Corrupt => ImportFault::Corrupt,
        ProblemKind::FormatUnsupported => ImportFault::Unsupported,
        ProblemKind::Limit => ImportFault::TooLarge,
        ProblemKind::Invalid => ImportFault::Invalid,
    };
    let lines: Vec<String> = problems.0.iter().take(TOLD).map(ToString::to_string).collect();
    let more = problems.0.len().saturating_sub(TOLD);
    let more = if more > 0 { format!("\nand {more} more") } else { String::new() };
    error(fault, format!("{}{more}", lines.join("\n")))
}

/// Builds, keeps and swaps, or only says what that would do.
///
/// # Errors
/// Nothing was changed.
pub fn import(
    intake: &mut Intake,
    archive: ReadArchive,
    options: &ImportOptions,
    owned: bool,
    answers: &Mutex<Answers>,
) -> Result<ImportReport, AdministrationError> {
    let ReadArchive { tree, vouched, sha256 } = archive;
    let now_ms = unix_now_ms();
    let before = Before::of(intake.store());
    if let Some(expected) = options.expected_digest
        && expected != before.digest
    {
        let message = format!(
            "what is served has the content digest {} and not {expected}; look at the difference again",
            before.digest
        );
        return Err(error(ImportFault::DigestMismatch, message));
    }
    let removed: BTreeSet<EnvironmentId> = match options.mode {
        ImportMode::ReplaceEnvironments => BTreeSet::new(),
        ImportMode::ReplaceAll => {
            before.contents.keys().filter(|id| !tree.environments.contains_key(*id)).cloned().collect()
        }
    };
    let after = merged(&tree, &before, &removed)?;
    let credential: Arc<str> = Arc::from(if owned { IMPORT_CREDENTIAL } else { CREDENTIAL });
    let offer = |id: &EnvironmentId| {
        let served = tree.served.get(id).cloned();
        let content = after.get(id).cloned().unwrap_or_default();
        (id.clone(), Offered { content, served, credential: Arc::clone(&credential), leader: None })
    };
    let offered = tree.environments.keys().map(offer).collect();
    let ready = intake
        .prepare(offered, removed.clone(), now_ms / 1000)
        .map_err(|failed| error(ImportFault::Invalid, failed.to_string()))?;
    dry_run(&ready);
    let mut report = report::of(&before, &after, &ready, &tree, &removed);
    (report.request_id, report.sha256) = (options.request_id.clone(), sha256);
    if !vouched {
        report.warnings.push("the archive has no manifest, so nothing vouches for it".to_owned());
    }
    if options.validate_only {
        if owned {
            let what = "its configuration comes from another source: without override_upstream it is refused";
            report.warnings.push(what.to_owned());
        }
        report.validated_only = true;
        return Ok(report);
    }
    let pauses = if owned { pauses(intake, &tree, &removed, options, now_ms) } else { BTreeMap::new() };
    if !pauses.is_empty() && intake.durable.is_none() {
        report.warnings.push("there is no data-dir: after a restart its own source is served again".to_owned());
    }
    report.environments.iter_mut().for_each(|it| it.source_paused = pauses.contains_key(&it.id));
    let next = lock(answers).with(&report, now_ms);
    keep(intake, &ready, &pauses, &next).map_err(|failed| {
        error(ImportFault::Persist, format!("nothing was imported, because it cannot be kept: {failed}"))
    })?;
    intake.commit(ready, SourceKind::Import, true);
    intake.paused.extend(pauses);
    intake.show_paused();
    report::add_revisions(&mut report, intake.store());
    let answered = lock(answers).with(&report, now_ms);
    *lock(answers) = answered;
    for (id, targets) in tree.learnt.iter().flatten() {
        if let Some(environment) = intake.store().index().environment(id.as_str()) {
            take_learnt(environment, targets);
        }
    }
    if !owned {
        intake.writer().set_certain(true);
    }
    Ok(report)
}

/// What is served afterwards: parts that the archive does not speak of stay
/// as they are.
fn merged(
    tree: &Tree,
    before: &Before,
    removed: &BTreeSet<EnvironmentId>,
) -> Result<BTreeMap<EnvironmentId, Content>, AdministrationError> {
    let mut after: BTreeMap<EnvironmentId, Content> = before
        .contents
        .iter()
        .filter(|(id, _)| !removed.contains(*id))
        .map(|(id, it)| (id.clone(), it.clone()))
        .collect();
    for (id, new) in &tree.environments {
        let content = after.entry(id.clone()).or_default();
        for part in &tree.parts {
            match part {
                Part::KeyHashes => content.key_hashes.clone_from(&new.key_hashes),
                Part::Flags => content.flags.clone_from(&new.flags),
                Part::Segments => content.segments.clone_from(&new.segments),
                Part::Targets => content.targets.clone_from(&new.targets),
            }
        }
    }
    if let Some((hash, first, second)) = shared_key_hash(after.iter()) {
        let message = format!(
            "the key hash {hash} would stand in environments {first} and {second}; an SDK key belongs to one environment"
        );
        return Err(error(ImportFault::Invalid, message));
    }
    Ok(after)
}

/// Every flag is evaluated once before any SDK asks.
fn dry_run(ready: &Ready) {
    let target = Target::default();
    for (_, built) in ready.prepared.built() {
        built.snapshot.compiled.evaluator(&target).all(|answer| {
            std::hint::black_box(answer);
        });
    }
}

fn pauses(
    intake: &Intake,
    tree: &Tree,
    removed: &BTreeSet<EnvironmentId>,
    options: &ImportOptions,
    now_ms: i64,
) -> BTreeMap<EnvironmentId, Pause> {
    let index = intake.store().index().clone();
    let pause = |id: &EnvironmentId| {
        let source = PausedSource { since_ms: now_ms, request_id: options.request_id.clone() };
        let is_removed = removed.contains(id);
        if let Some(paused) = intake.paused.get(id) {
            // What its source has is what counts, not the import before.
            let record = Paused { source, removed: is_removed, ..paused.record.clone() };
            return (id.clone(), Pause { record, withheld: paused.withheld.clone() });
        }
        let environment = index.environment(id.as_str());
        let kind = environment.map_or(SourceKind::Import, |environment| **environment.source.load());
        let snapshot = environment.and_then(|environment| environment.snapshot().clone());
        let directory = snapshot.as_ref().filter(|_| kind == SourceKind::File).map(|it| it.revision.digest);
        let withheld = match snapshot.filter(|_| kind != SourceKind::Peer) {
            Some(snapshot) => {
                let (content, credential) = (snapshot.content.clone(), Arc::clone(&snapshot.credential));
                Withheld::Content(kind, Box::new(Offered { content, credential, ..Offered::default() }))
            }
            None if environment.is_none() => Withheld::Gone,
            None => Withheld::Nothing,
        };
        (id.clone(), Pause { record: Paused { source, directory, removed: is_removed }, withheld })
    };
    tree.environments.keys().chain(removed).map(pause).collect()
}

/// Writes everything that must outlive the process, all of it or nothing.
fn keep(
    intake: &Intake,
    ready: &Ready,
    pauses: &BTreeMap<EnvironmentId, Pause>,
    answers: &Answers,
) -> Result<(), DurableError> {
    let Some(durable) = &intake.durable else { return Ok(()) };
    let mut staging = durable.directory.stage()?;
    for (_, built) in ready.prepared.built() {
        staging.add_snapshot(&built.snapshot)?;
    }
    for (id, credential) in ready.gone.iter().filter(|(id, _)| !pauses.contains_key(id)) {
        staging.remove_snapshot(id, credential);
    }
    if !pauses.is_empty() {
        let all: BTreeMap<_, _> = intake.paused.iter().chain(pauses).map(|(id, pause)| (id, &pause.record)).collect();
        staging.add(paused_name(), paused_file(all.into_iter())?)?;
    }
    staging.add(Answers::NAME, answers.file()?)?;
    staging.commit()
}
