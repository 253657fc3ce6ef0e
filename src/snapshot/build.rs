//! From content to snapshot: what changed, new versions, compiled flags and
//! bodies, each taken over from the snapshot before where it can be.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::body::CompressError;
use super::content::{Content, EnvironmentId};
use super::difference::{Row, difference};
use super::digests::Digests;
use super::follow::LeaderState;
use super::item::{Digest, Item, ItemKey, ItemKind};
use super::ledger::{Change, ChangeKind, Ledger, Moment, Origin, ServedVersions};
use super::lists::{self, Lists};
use super::log::{ChangeLog, FIRST_PLACE, LogPosition, LogRow, entries};
use super::served::ServedItem;
use super::target_changes::TargetChanges;
use super::{Epoch, Names, Revision, Snapshot, Targets};
use crate::evaluate::{CompileError, CompileOptions, CompiledEnvironment, Source, Warning};
use crate::model::json::JsonError;

/// What a snapshot is made of.
#[derive(Debug)]
pub struct Input<'a> {
    pub environment: EnvironmentId,
    pub content: Content,
    /// Served versions that came beside the content.
    pub served: Option<&'a ServedVersions>,
    /// Set where another relay wrote the content.
    pub leader: Option<&'a LeaderState>,
    /// See [`Snapshot::credential`].
    pub credential: Arc<str>,
    pub base: Base<'a>,
    /// Taken where this relay begins to write what another wrote before.
    pub new_epoch: Epoch,
    /// Unix seconds.
    pub now_unix_s: i64,
    pub options: &'a CompileOptions,
}

/// What came before.
#[derive(Debug)]
pub enum Base<'a> {
    /// The snapshot that is served now.
    Snapshot(&'a Snapshot),
    /// Nothing in memory: the epoch, last sequence and ledger that outlived
    /// the process before; an empty ledger if nothing did.
    Ledger { epoch: Epoch, sequence: u64, ledger: Ledger, followed: bool },
}

/// A new snapshot with what to say about it.
#[derive(Debug)]
pub struct Built {
    pub snapshot: Snapshot,
    pub changes: Vec<Change>,
    /// The same allocation as before where they are the same.
    pub warnings: Arc<[Warning]>,
    /// Segments that SDKs without `rules=v2` see with fewer rules.
    pub narrowed: Vec<Arc<str>>,
}

/// Content that cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error(transparent)]
    Compile(#[from] CompileError),
    #[error("target '{identifier}': {reason}")]
    Target { identifier: String, reason: String },
    #[error("{identifier}: {source}")]
    Item { identifier: String, source: JsonError },
    #[error(transparent)]
    Compress(#[from] CompressError),
    /// A fault of this program, met by this content.
    #[error("the content could not be built; this is a fault of ff-relay, please report it")]
    Broken,
    /// The content is not what the leader has.
    #[error("the content has the digest {found} and should have {expected}")]
    Digest { found: Digest, expected: Digest },
}

/// Makes the next snapshot of an environment; `None` if nothing changed.
///
/// # Errors
/// [`BuildError`] for content of a wrong shape; nothing is changed then.
pub fn build(mut input: Input<'_>) -> Result<Option<Built>, BuildError> {
    let previous = match input.base {
        Base::Snapshot(snapshot) => Some(snapshot),
        Base::Ledger { .. } => None,
    };
    if let Some(previous) = previous {
        input.content.share_with(&previous.content);
    }
    let digests = match previous {
        Some(previous) => previous.digests.after(&previous.content, &input.content),
        None => Digests::of(&input.content),
    };
    let digest = digests.whole;
    if let Some(expected) = input.leader.map(|leader| leader.revision.digest).filter(|expected| *expected != digest) {
        return Err(BuildError::Digest { found: digest, expected });
    }
    let (base, mut ledger, followed) = match input.base {
        Base::Snapshot(s) => ((s.revision.epoch, s.revision.sequence), s.ledger.clone(), s.followed),
        Base::Ledger { epoch, sequence, ledger, followed } => ((epoch, sequence), ledger, followed),
    };
    let (epoch, sequence) = match input.leader {
        Some(leader) => (leader.revision.epoch, leader.revision.sequence),
        None if followed => (input.new_epoch, base.1 + 1),
        None => (base.0, base.1 + 1),
    };
    let now = Moment { unix_s: input.now_unix_s, sequence };
    let unknown_past = previous.is_none() && ledger == Ledger::default();
    let risen = input.served.map(|served| ledger.merge(served, now)).unwrap_or_default();
    let mut changes = match input.leader {
        Some(leader) => ledger.follow(&input.content, leader, input.now_unix_s),
        None => {
            if let Some(previous) = previous
                && previous.revision.digest == digest
                && previous.ledger == ledger
                && previous.credential == input.credential
            {
                return Ok(None);
            }
            match previous.filter(|_| input.served.is_none()) {
                Some(previous) => ledger.apply_difference(&previous.content, &input.content, now),
                None => ledger.apply(&input.content, now),
            }
        }
    };
    add_risen(&mut changes, risen, &ledger);
    if epoch != base.0 {
        // Sequences of the epoch before cannot be compared.
        (ledger.origin, ledger.forgotten_sequence) = (None, 0);
        if !unknown_past {
            ledger.switched_at = now.unix_s;
        }
        ledger.entries.values_mut().for_each(|entry| entry.sequence = entry.sequence.min(sequence));
    }
    if unknown_past {
        ledger.origin = Some(Origin { sequence, digest });
    }
    let target_changes = note_parts(&mut ledger, previous, &input.content, (sequence, epoch == base.0));
    if let (Some(previous), Some(leader)) = (previous, input.leader)
        && previous.revision == leader.revision
        && previous.ledger == ledger
        && previous.credential == input.credential
    {
        return Ok(None);
    }
    let compiled = compile(&input.content, previous, input.options)?;
    let warnings = Arc::clone(compiled.warnings());
    // Elsewhere versions rise without a change of the item.
    let by_difference = previous.filter(|_| input.leader.is_none() && input.served.is_none());
    let lists = lists::serve(&input.content, &ledger, (previous, by_difference), input.options.and_rules)?;
    let Lists { flags, segments, flags_body, segments_body, legacy_segments_body } = lists;
    // Tombstones are dropped where others come.
    let forgets = by_difference.is_none() || changes.iter().any(|change| change.kind == ChangeKind::Delete);
    let place = previous.map_or(FIRST_PLACE, |previous| previous.place + 1);
    let same_epoch = epoch == base.0;
    let (log, client_log) =
        logs(&input.environment, previous, &changes, &ledger, &compiled, &flags, (now, place, same_epoch, forgets));
    // A restart with the same content is no change.
    let before = if changes.is_empty() { previous.map(|s| s.changed_at).or_else(|| ledger.changed_at()) } else { None };
    let snapshot = Snapshot {
        names: names(&input.content, previous),
        revision: Revision { epoch, sequence, digest },
        flags_body,
        segments_body,
        legacy_segments_body,
        targets: targets(&input.content.targets, previous)?,
        compiled: Arc::new(compiled),
        environment: input.environment,
        content: input.content,
        digests,
        ledger,
        flags,
        segments,
        log,
        client_log,
        place,
        followed: input.leader.is_some(),
        target_changes,
        credential: input.credential,
        changed_at: before.unwrap_or(now.unix_s),
    };
    let narrowed = snapshot.segments.iter().filter(|segment| segment.loses_rules);
    let narrowed = narrowed.map(|segment| Arc::clone(&segment.item.key.identifier)).collect();
    Ok(Some(Built { snapshot, changes, warnings, narrowed }))
}

/// Notes when key hashes and configured targets changed last, for followers.
fn note_parts(
    ledger: &mut Ledger,
    previous: Option<&Snapshot>,
    content: &Content,
    (sequence, same_epoch): (u64, bool),
) -> TargetChanges {
    let Some(previous) = previous.filter(|_| same_epoch) else {
        (ledger.keys_sequence, ledger.targets_sequence) = (sequence, sequence);
        return TargetChanges::beginning_at(sequence);
    };
    if previous.content.key_hashes != content.key_hashes {
        ledger.keys_sequence = sequence;
    }
    match previous.target_changes.with(&previous.content, content, sequence) {
        Some(changed) => {
            ledger.targets_sequence = sequence;
            changed
        }
        None => previous.target_changes.clone(),
    }
}

/// Versions that only a merge raised are changes too.
fn add_risen(changes: &mut Vec<Change>, risen: Vec<ItemKey>, ledger: &Ledger) {
    let known: HashSet<ItemKey> = changes.iter().map(|change| change.key.clone()).collect();
    for key in risen {
        if !known.contains(&key)
            && let Some(entry) = ledger.entries.get(&key)
        {
            changes.push(Change { kind: ChangeKind::Patch, version: entry.served, raised: false, key });
        }
    }
}

fn compile(
    content: &Content,
    previous: Option<&Snapshot>,
    options: &CompileOptions,
) -> Result<CompiledEnvironment, CompileError> {
    if let Some(previous) = previous
        && difference(&previous.content.segments, &content.segments).next().is_none()
    {
        let changed: Vec<Row<'_>> = difference(&previous.content.flags, &content.flags).collect();
        let known = changed.iter().all(|row| row.before.is_some() && row.now.is_some());
        let changed = sources(changed.iter().filter_map(|row| row.now));
        if known && let Some(compiled) = previous.compiled.with_flags(&changed, options)? {
            return Ok(compiled);
        }
    }
    let (flags, segments) = (sources(content.flags.iter()), sources(content.segments.iter()));
    let (compiled, _) =
        CompiledEnvironment::compile(&flags, &segments, previous.map(|snapshot| &*snapshot.compiled), options)?;
    Ok(compiled)
}

fn sources<'a>(items: impl Iterator<Item = &'a Arc<Item>>) -> Vec<Source<'a>> {
    items.map(|item| Source { identifier: item.identifier(), digest: item.digest.0, json: &item.text }).collect()
}

fn targets(items: &[Arc<Item>], previous: Option<&Snapshot>) -> Result<Arc<Targets>, BuildError> {
    if let Some(previous) = previous
        && difference(&previous.content.targets, items).next().is_none()
    {
        return Ok(Arc::clone(&previous.targets));
    }
    let one = |item: &Arc<Item>| {
        let unchanged = previous.filter(|s| {
            super::content::find(&s.content.targets, item.identifier()).is_some_and(|old| Arc::ptr_eq(old, item))
        });
        let target = match unchanged.and_then(|s| s.targets.get(item.identifier())) {
            Some(target) => Arc::clone(target),
            None => Arc::new(serde_json::from_str(&item.text).map_err(|error| BuildError::Target {
                identifier: item.identifier().to_owned(),
                reason: error.to_string(),
            })?),
        };
        Ok((Arc::clone(&item.key.identifier), target))
    };
    items.iter().map(one).collect::<Result<_, _>>().map(Arc::new)
}

/// The flags themselves say what their environment and project are called.
fn names(content: &Content, previous: Option<&Snapshot>) -> Names {
    let of = |item: &Arc<Item>| {
        let json = crate::model::json::Json::parse(&item.text).ok()?;
        let text = |field: &str| Some(json.get(field)?.as_str()?.to_owned());
        Some(Names {
            environment: text("environment")?,
            project: text("project").unwrap_or_default(),
            account: String::new(),
        })
    };
    let known = previous.map(|snapshot| snapshot.names.clone()).filter(|names| !names.environment.is_empty());
    known.or_else(|| content.flags.first().or(content.segments.first()).and_then(of)).unwrap_or_default()
}

fn logs(
    environment: &EnvironmentId,
    previous: Option<&Snapshot>,
    changes: &[Change],
    ledger: &Ledger,
    compiled: &CompiledEnvironment,
    flags: &[Arc<ServedItem>],
    (now, place, same_epoch, forgets): (Moment, u64, bool, bool),
) -> (ChangeLog, ChangeLog) {
    let Some(previous) = previous else {
        let log = history(environment, ledger, changes);
        return (log.clone(), log);
    };
    let sequence = |key: &ItemKey| ledger.entries.get(key).map_or(now.sequence, |entry| entry.sequence);
    let told = changes.iter().map(|change| (change.key.clone(), change.kind, change.version, sequence(&change.key)));
    let direct = entries(environment, place, now.unix_s, told.clone());
    let dependents = dependents(changes, compiled).into_iter().filter_map(|identifier| {
        super::find(flags, &identifier)
            .map(|served| (served.item.key.clone(), ChangeKind::Patch, served.version, now.sequence))
    });
    let for_clients = entries(environment, place, now.unix_s, told.chain(dependents));
    let remembered = |key: &ItemKey| !forgets || ledger.entries.contains_key(key);
    let (log, client_log) = (previous.log.with(direct, remembered), previous.client_log.with(for_clients, remembered));
    if same_epoch { (log, client_log) } else { (log.renumbered(sequence), client_log.renumbered(sequence)) }
}

/// Flags other than the changed ones whose answers may have changed. Whoever
/// refers to something else than before has changed itself, so the references
/// of now are enough.
fn dependents(changes: &[Change], compiled: &CompiledEnvironment) -> Vec<Arc<str>> {
    let of = |kind: ItemKind| -> Vec<&str> {
        changes.iter().filter(|change| change.key.kind == kind).map(|change| &*change.key.identifier).collect()
    };
    let (flags, segments) = (of(ItemKind::Flag), of(ItemKind::Segment));
    let mut affected = compiled.affected_flags(&flags, &segments);
    let direct: HashSet<&str> = flags.into_iter().collect();
    affected.retain(|identifier| !direct.contains(&**identifier));
    affected
}

/// The log of a first snapshot: everything its ledger knows.
fn history(environment: &EnvironmentId, ledger: &Ledger, changes: &[Change]) -> ChangeLog {
    let kinds: HashMap<&ItemKey, ChangeKind> = changes.iter().map(|change| (&change.key, change.kind)).collect();
    let mut oldest_first: Vec<_> = ledger.entries.iter().collect();
    oldest_first.sort_by_key(|(_, entry)| entry.sequence);
    let entry = |(ordinal, (key, entry)): (u32, (&ItemKey, &super::ledger::Entry))| {
        let otherwise = if entry.deleted { ChangeKind::Delete } else { ChangeKind::Patch };
        let kind = kinds.get(key).copied().unwrap_or(otherwise);
        let (key, version) = (key.clone(), entry.served);
        LogRow { key, kind, version, sequence: entry.sequence, changed_at: entry.changed_at }
            .entry(environment, LogPosition { place: FIRST_PLACE, ordinal })
    };
    ChangeLog::new((0..).zip(oldest_first).map(entry).collect())
}

#[cfg(test)]
#[path = "build_tests.rs"]
mod tests;
