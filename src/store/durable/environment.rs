//! One environment on disk: `ledger` (epoch, sequence, served versions) goes
//! by the environment alone; `snapshot@<credential>` by the credential that
//! it came from too.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::record::RecordFile;
use super::{DataDir, DurableError};
use crate::model::json::Json;
use crate::snapshot::content::{Content, EnvironmentId};
use crate::snapshot::item::{Digest, Item, ItemKey, ItemKind};
use crate::snapshot::ledger::{Entry, Ledger, Origin};
use crate::snapshot::{Epoch, Snapshot};
use crate::store::writer::Past;

/// Sequences that a crashed process may have given out without writing them.
const CRASH_GAP: u64 = 1 << 20;

/// The rest of such a file's name is its credential.
const SNAPSHOT_PREFIX: &str = "snapshot@";

/// A stored ledger.
#[derive(Debug)]
pub struct StoredPast {
    pub past: Past,
    /// Of the content that was served with it.
    pub digest: Option<Digest>,
}

/// A stored snapshot's content, and which credential it came from.
#[derive(Debug)]
pub struct StoredContent {
    pub environment: EnvironmentId,
    pub content: Content,
    pub credential: Arc<str>,
}

#[derive(Serialize, Deserialize)]
struct Head {
    environment: String,
    epoch: String,
    sequence: u64,
    floor: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    origin: Option<(u64, String)>,
    /// Of the content that was served with it.
    #[serde(default)]
    digest: String,
    #[serde(default)]
    followed: bool,
    #[serde(default)]
    keys_sequence: u64,
    #[serde(default)]
    targets_sequence: u64,
    #[serde(default)]
    forgotten_sequence: u64,
    #[serde(default)]
    switched_at: i64,
}

#[derive(Serialize, Deserialize)]
struct Row {
    kind: String,
    id: String,
    served: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    sequence: u64,
    changed_at: i64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    deleted: bool,
}

impl DataDir {
    /// Writes an environment's ledger.
    ///
    /// # Errors
    /// See [`DataDir::write`].
    pub fn write_ledger(&self, snapshot: &Snapshot) -> Result<(), DurableError> {
        let (name, file) = ledger_file(snapshot)?;
        self.write(&name, file)
    }

    /// Reads what the process before knew of an environment.
    ///
    /// # Errors
    /// See [`DataDir::read`].
    pub fn read_past(&self, environment: &EnvironmentId) -> Result<Option<StoredPast>, DurableError> {
        let name = format!("{}/ledger", DataDir::folder_of(environment));
        let Some(lines) = self.read(&name)? else {
            return Ok(None);
        };
        let corrupt = |what: String| DurableError::Corrupt { path: name.clone(), what };
        let mut lines = lines.iter();
        let head: Head = parse(lines.next().map_or("", String::as_str)).map_err(corrupt)?;
        let mut ledger = Ledger {
            floor: head.floor,
            keys_sequence: head.keys_sequence,
            targets_sequence: head.targets_sequence,
            forgotten_sequence: head.forgotten_sequence,
            switched_at: head.switched_at,
            ..Ledger::default()
        };
        ledger.origin =
            head.origin.and_then(|(sequence, digest)| Some(Origin { sequence, digest: Digest::from_hex(&digest)? }));
        for line in lines {
            let row: Row = parse(line).map_err(corrupt)?;
            let kind = kind_of(&row.kind).ok_or_else(|| corrupt(format!("unknown kind '{}'", row.kind)))?;
            let entry = Entry {
                served: row.served,
                digest: row.digest.as_deref().and_then(Digest::from_hex),
                sequence: row.sequence,
                changed_at: row.changed_at,
                deleted: row.deleted,
            };
            ledger.entries.insert(ItemKey { kind, identifier: Arc::from(row.id) }, entry);
        }
        let epoch = Epoch::parse(&head.epoch).ok_or_else(|| corrupt("its epoch cannot be read".to_owned()))?;
        // The sequences of another writer are not given out here.
        let gap = if self.ended_in_order || head.followed { 0 } else { CRASH_GAP };
        let (sequence, followed) = (head.sequence + gap, head.followed);
        let digest = Digest::from_hex(&head.digest);
        Ok(Some(StoredPast { past: Past { epoch, sequence, ledger, followed }, digest }))
    }

    /// Writes an environment's content under its credential.
    ///
    /// # Errors
    /// See [`DataDir::write`].
    pub fn write_snapshot(&self, snapshot: &Snapshot) -> Result<(), DurableError> {
        let (name, file) = snapshot_file(snapshot)?;
        self.write(&name, file)
    }

    /// Removes an environment's content, if it is there.
    ///
    /// # Errors
    /// The file cannot be removed.
    pub fn remove_snapshot(&self, environment: &EnvironmentId, credential: &str) -> Result<(), DurableError> {
        let path = self.path().join(snapshot_name(&DataDir::folder_of(environment), credential));
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(super::directory::io_error(&path)(error)),
            _ => Ok(()),
        }
    }

    /// Reads every stored snapshot of these credentials; those of others are
    /// left alone. Damaged ones are set aside and named in the second list;
    /// they never stop the start.
    ///
    /// # Errors
    /// The directory cannot be listed.
    pub fn read_snapshots(
        &self,
        credentials: &BTreeSet<Arc<str>>,
    ) -> Result<(Vec<StoredContent>, Vec<DurableError>), DurableError> {
        let root = self.path().join("environments");
        let (mut found, mut damaged) = (Vec::new(), Vec::new());
        let folders = match std::fs::read_dir(&root) {
            Ok(folders) => folders,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok((found, damaged)),
            Err(error) => return Err(super::directory::io_error(&root)(error)),
        };
        for folder in folders {
            let path = folder.map_err(super::directory::io_error(&root))?.path();
            let Ok(files) = std::fs::read_dir(&path) else { continue };
            for file in files.filter_map(|file| file.ok()?.file_name().into_string().ok()) {
                let Some(credential) = file.strip_prefix(SNAPSHOT_PREFIX).and_then(|it| credentials.get(it)) else {
                    continue;
                };
                let folder = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                let name = format!("environments/{folder}/{file}");
                match self.read(&name) {
                    Ok(None) => {}
                    Ok(Some(lines)) => match content_of(&lines) {
                        Ok((environment, content)) => {
                            found.push(StoredContent { environment, content, credential: Arc::clone(credential) });
                        }
                        Err(what) => damaged.push(DurableError::Corrupt { path: name, what }),
                    },
                    Err(error) => damaged.push(error),
                }
            }
        }
        found.sort_by(|a, b| a.environment.cmp(&b.environment));
        Ok((found, damaged))
    }
}

/// The file of a ledger, and its name.
///
/// # Errors
/// Never in practice: the types always serialise.
pub(super) fn ledger_file(snapshot: &Snapshot) -> Result<(String, RecordFile), DurableError> {
    let ledger = &snapshot.ledger;
    let mut file = RecordFile::new("ledger");
    let origin = ledger.origin.map(|origin| (origin.sequence, origin.digest.to_string()));
    let head = Head {
        environment: snapshot.environment.to_string(),
        epoch: snapshot.revision.epoch.to_string(),
        sequence: snapshot.revision.sequence,
        floor: ledger.floor,
        origin,
        digest: snapshot.revision.digest.to_string(),
        followed: snapshot.followed,
        keys_sequence: ledger.keys_sequence,
        targets_sequence: ledger.targets_sequence,
        forgotten_sequence: ledger.forgotten_sequence,
        switched_at: ledger.switched_at,
    };
    push(&mut file, &head)?;
    for (key, entry) in &ledger.entries {
        let row = Row {
            kind: key.kind.to_string(),
            id: key.identifier.to_string(),
            served: entry.served,
            digest: entry.digest.map(|digest| digest.to_string()),
            sequence: entry.sequence,
            changed_at: entry.changed_at,
            deleted: entry.deleted,
        };
        push(&mut file, &row)?;
    }
    Ok((format!("{}/ledger", DataDir::folder_of(&snapshot.environment)), file))
}

/// The file of a snapshot's content, and its name.
///
/// # Errors
/// Never in practice: the types always serialise.
pub(super) fn snapshot_file(snapshot: &Snapshot) -> Result<(String, RecordFile), DurableError> {
    let mut file = RecordFile::new("snapshot");
    push(&mut file, &snapshot.environment.as_str())?;
    push(&mut file, &snapshot.content.key_hashes.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    for item in snapshot.content.items().chain(&snapshot.content.targets) {
        file.push(&format!("[\"{}\",{}]", item.key.kind, item.text));
    }
    Ok((snapshot_name(&DataDir::folder_of(&snapshot.environment), &snapshot.credential), file))
}

pub(super) fn snapshot_name(folder: &str, credential: &str) -> String {
    format!("{folder}/{SNAPSHOT_PREFIX}{credential}")
}

fn content_of(lines: &[String]) -> Result<(EnvironmentId, Content), String> {
    let [environment, hashes, rows @ ..] = lines else {
        return Err("the file ends too early".to_owned());
    };
    let environment: String = parse(environment)?;
    let hashes: Vec<String> = parse(hashes)?;
    let hashes: Option<Vec<Digest>> = hashes.iter().map(|hash| Digest::from_hex(hash)).collect();
    let mut items = Vec::with_capacity(rows.len());
    for row in rows {
        let json = Json::parse(row).map_err(|error| error.to_string())?;
        let [kind, item] = json.as_array().unwrap_or_default() else {
            return Err("a row is no pair".to_owned());
        };
        let kind = kind.as_str().and_then(kind_of).ok_or("a row is of an unknown kind")?;
        items.push(Arc::new(Item::from_json(kind, item)?));
    }
    let content = Content::new(items, hashes.ok_or("a key hash cannot be read")?).map_err(|error| error.to_string())?;
    Ok((EnvironmentId::new(&environment), content))
}

fn kind_of(word: &str) -> Option<ItemKind> {
    [ItemKind::Flag, ItemKind::Segment, ItemKind::Target].into_iter().find(|kind| kind.to_string() == word)
}

fn push(file: &mut RecordFile, value: &impl Serialize) -> Result<(), DurableError> {
    let json = serde_json::to_string(value)
        .map_err(|error| DurableError::Corrupt { path: "a record".to_owned(), what: error.to_string() })?;
    file.push(&json);
    Ok(())
}

fn parse<'a, T: Deserialize<'a>>(line: &'a str) -> Result<T, String> {
    serde_json::from_str(line).map_err(|error| error.to_string())
}
