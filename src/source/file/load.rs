//! From files to content, and from content to the store: all of it, or
//! nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::BufReader;
use std::sync::Arc;

use super::Location;
use super::scan::{Found, Scan, name, scan, unreadable};
use crate::evaluate::Subject;
use crate::model::Target;
use crate::snapshot::abreast;
use crate::snapshot::archive::{self, Limits, RawTree, Tree, ledger_from_json};
use crate::snapshot::build::BuildError;
use crate::snapshot::content::{Content, EnvironmentId};
use crate::snapshot::item::{Item, ItemKey, ItemKind};
use crate::snapshot::ledger::ServedVersions;
use crate::snapshot::report::{Problem, Problems};
use crate::snapshot::reread::{Reading, Remembered};
use crate::snapshot::tree::{Part, SourceFile, SourceFiles, locate, read_environment_again, shared_key_hash};
use crate::source::intake::{Delivery, Intake};
use crate::store::environment::Environment;
use crate::store::source_status::SourceKind;
use crate::store::targets::{MAX_TARGET_BYTES, StoredTarget};
use crate::store::writer::{Offered, PrepareError};

/// The credential under which offline snapshots are stored: they came by
/// none.
pub const CREDENTIAL: &str = "none";

/// One state of the configuration, read and checked.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    pub scan: Scan,
    pub environments: BTreeMap<EnvironmentId, Content>,
    /// From which bytes their items were read.
    remembered: BTreeMap<EnvironmentId, Remembered>,
    pub served: BTreeMap<EnvironmentId, ServedVersions>,
    /// What the configuration speaks of; a directory of all.
    pub parts: BTreeSet<Part>,
    /// Targets that SDKs brought elsewhere; only an archive may hold them.
    pub learnt: Option<BTreeMap<EnvironmentId, Vec<Arc<Item>>>>,
    /// True if a manifest vouched for every file.
    pub vouched: bool,
}

/// Reads what a scan found. An environment whose files have the stamps they
/// had in `previous` is taken over from it unread.
///
/// # Errors
/// Every problem that was found, or the first that stopped the reading.
pub fn load(location: &Location, scan: Scan, previous: Option<&Loaded>) -> Result<Loaded, Problems> {
    if let (Some(found), Some(compression)) = (&scan.archive, location.archive) {
        let tree = read_archive(found, compression)?;
        return load_archive(location, scan, &tree);
    }
    let mut loaded = Loaded { parts: Part::ALL.into(), ..Loaded::default() };
    let mut changed = Vec::new();
    for (id, parts) in &scan.environments {
        let unchanged = previous.filter(|previous| previous.scan.environments.get(id) == Some(parts));
        match unchanged.and_then(|previous| previous.environments.get(id)) {
            Some(content) => {
                loaded.environments.insert(id.clone(), content.clone());
                let remembered = unchanged.and_then(|previous| previous.remembered.get(id));
                loaded.remembered.extend(remembered.map(|remembered| (id.clone(), remembered.clone())));
            }
            None => changed.push((id.clone(), parts)),
        }
    }
    let read = |(id, parts)| {
        let mut reading = Reading::after(previous.and_then(|previous| previous.remembered.get(&id)));
        let content = read_files(parts).and_then(|files| read_environment_again(&files, &mut reading));
        (id, content.map(|content| (content, reading.end())))
    };
    let mut problems = Vec::new();
    for (id, content) in abreast::each(changed, read) {
        match content {
            Ok((content, remembered)) => {
                loaded.environments.insert(id.clone(), content);
                loaded.remembered.extend((!remembered.is_empty()).then_some((id, remembered)));
            }
            Err(more) => problems.extend(more.0),
        }
    }
    if !problems.is_empty() {
        return Err(Problems(problems));
    }
    if let Some((path, _)) = &scan.ledger {
        let bytes = fs::read(path).map_err(|error| unreadable(path, &error))?;
        loaded.served = ledger_from_json(&bytes)
            .map_err(|what| Problem::new(&name(path), what, "remove it, or unpack the archive again"))?;
    }
    loaded.scan = scan;
    check(location, loaded)
}

fn read_archive(found: &Found, compression: archive::Compression) -> Result<RawTree, Problems> {
    let (path, _) = found;
    let file = fs::File::open(path).map_err(|error| unreadable(path, &error))?;
    let size = file.metadata().map_err(|error| unreadable(path, &error))?.len();
    archive::read(&name(path), size, BufReader::new(file), compression, &Limits::default())
}

fn load_archive(location: &Location, scan: Scan, tree: &RawTree) -> Result<Loaded, Problems> {
    let vouched = tree.manifest.is_some();
    let Tree { environments, served, parts, learnt } = tree.parse(&location.name())?;
    check(location, Loaded { scan, environments, served, parts, learnt, vouched, ..Loaded::default() })
}

fn check(location: &Location, loaded: Loaded) -> Result<Loaded, Problems> {
    if loaded.environments.is_empty() {
        let advice = "put directories named env-<environment id> there";
        return Err(Problem::new(&location.name(), "it holds no environment", advice).into());
    }
    if let Some((hash, first, second)) = shared_key_hash(loaded.environments.iter()) {
        let what = format!("the key hash {hash} stands in environments {first} and {second}");
        return Err(Problem::new(
            &location.name(),
            what,
            "an SDK key belongs to one environment: remove it from the other",
        )
        .into());
    }
    Ok(loaded)
}

fn read_files(parts: &BTreeMap<Part, Found>) -> Result<SourceFiles, Problems> {
    let mut files = SourceFiles::new();
    for (part, (path, _)) in parts {
        let bytes = fs::read(path).map_err(|error| unreadable(path, &error))?;
        files.insert(*part, SourceFile { name: name(path), bytes });
    }
    Ok(files)
}

/// Looks and reads, making sure that nothing was changed meanwhile.
///
/// # Errors
/// What was found wrong.
pub fn read_once(location: &Location) -> Result<Loaded, Problems> {
    let before = scan(location)?;
    load(location, before, None)
}

/// Swaps a loaded state in. `removed` are environments that are believed to
/// be gone.
///
/// # Errors
/// Content that cannot be served, with its place; nothing changed then.
pub fn apply(
    intake: &mut Intake,
    location: &Location,
    loaded: &Loaded,
    removed: BTreeSet<EnvironmentId>,
    now_unix_s: i64,
) -> Result<(), Problems> {
    let offer = |(id, content): (&EnvironmentId, &Content)| {
        let served = loaded.served.get(id).cloned();
        (id.clone(), Offered { content: content.clone(), served, credential: Arc::from(CREDENTIAL), leader: None })
    };
    let offered = loaded.environments.iter().map(offer).collect();
    let delivery = Delivery { kind: SourceKind::File, offered, removed };
    intake.swap_in(delivery, now_unix_s).map_err(|error| place(location, loaded, &error))?;
    for (id, targets) in loaded.learnt.iter().flatten() {
        if let Some(environment) = intake.store().index().environment(id.as_str()) {
            take_learnt(environment, targets);
        }
    }
    Ok(())
}

/// What an SDK said to this relay itself stays: the archive is older than a
/// target that is here now.
pub fn take_learnt(environment: &Environment, targets: &[Arc<Item>]) {
    for item in targets.iter().filter(|item| item.text.len() <= MAX_TARGET_BYTES) {
        if environment.targets.get(item.identifier()).is_some() {
            continue;
        }
        match serde_json::from_str::<Target>(&item.text) {
            Ok(target) => drop(environment.targets.put(StoredTarget { target, json: item.text.clone() })),
            Err(error) => {
                tracing::warn!(environment = %environment.id, %error, "a learnt target of the archive has another shape and is left out");
            }
        }
    }
}

/// The file, line and column of content that cannot be served.
#[must_use]
pub fn place(location: &Location, loaded: &Loaded, error: &PrepareError) -> Problems {
    let key = match &error.error {
        BuildError::Compile(error) => Some(key_of(&error.subject)),
        BuildError::Target { identifier, .. } => {
            Some(ItemKey { kind: ItemKind::Target, identifier: identifier.as_str().into() })
        }
        BuildError::Item { .. } | BuildError::Compress(_) | BuildError::Digest { .. } | BuildError::Broken => None,
    };
    let files = files_of(location, loaded, &error.environment);
    let found = key.and_then(|key| locate(&files?, &key));
    let what = error.error.to_string();
    let advice = "mend it, or remove it";
    match found {
        Some((file, position)) => Problem::new(&file, what, advice).at(position).into(),
        None => Problem::new(&location.name(), format!("environment {}: {what}", error.environment), advice).into(),
    }
}

fn key_of(subject: &Subject) -> ItemKey {
    match subject {
        Subject::Flag(identifier) => ItemKey { kind: ItemKind::Flag, identifier: identifier.clone() },
        Subject::Segment(identifier) => ItemKey { kind: ItemKind::Segment, identifier: identifier.clone() },
    }
}

fn files_of(location: &Location, loaded: &Loaded, environment: &EnvironmentId) -> Option<SourceFiles> {
    match (&loaded.scan.archive, location.archive) {
        (Some(found), Some(compression)) => read_archive(found, compression).ok()?.environments.remove(environment),
        _ => read_files(loaded.scan.environments.get(environment)?).ok(),
    }
}
