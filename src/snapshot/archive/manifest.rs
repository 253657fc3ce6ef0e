//! `manifest.json` and `ledger.json`.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::super::content::{Content, EnvironmentId};
use super::super::item::{ItemKey, ItemKind};
use super::super::ledger::{MAX_VERSION, ServedVersions};

pub const MANIFEST_FILE: &str = "manifest.json";
pub const LEDGER_FILE: &str = "ledger.json";

/// The archive format that this program writes, and the only one it reads.
pub const FORMAT_VERSION: u32 = 1;

/// What an archive says of itself. Nothing in it differs between two makings
/// of the same content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    pub format_version: u32,
    /// Words of [`super::super::tree::Part`].
    pub parts: Vec<String>,
    pub environments: Vec<ManifestEnvironment>,
    pub files: Vec<ManifestFile>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ManifestEnvironment {
    pub id: String,
    /// Hexadecimal content digest.
    pub digest: String,
    pub flags: usize,
    pub segments: usize,
    pub key_hashes: usize,
    pub targets: usize,
}

impl ManifestEnvironment {
    #[must_use]
    pub fn of(id: &EnvironmentId, content: &Content) -> Self {
        ManifestEnvironment {
            id: id.to_string(),
            digest: content.digest().to_string(),
            flags: content.flags.len(),
            segments: content.segments.len(),
            key_hashes: content.key_hashes.len(),
            targets: content.targets.len(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ManifestFile {
    pub path: String,
    pub size: u64,
    /// Hexadecimal SHA-256.
    pub sha256: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct LedgerFile {
    format_version: u32,
    environments: BTreeMap<String, LedgerEnvironment>,
}

#[derive(Serialize, Deserialize)]
struct LedgerEnvironment {
    #[serde(default)]
    floor: i64,
    #[serde(default)]
    items: Vec<LedgerItem>,
}

#[derive(Serialize, Deserialize)]
struct LedgerItem {
    kind: String,
    identifier: String,
    version: i64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    deleted: bool,
}

/// The text of `ledger.json`; `None` where there is nothing to say.
///
/// # Errors
/// Never in practice: the types always serialise.
pub fn ledger_to_json(served: &BTreeMap<EnvironmentId, ServedVersions>) -> serde_json::Result<Option<String>> {
    let row = |(key, &(version, deleted)): (&ItemKey, &(i64, bool))| LedgerItem {
        kind: key.kind.to_string(),
        identifier: key.identifier.to_string(),
        version,
        deleted,
    };
    let environments: BTreeMap<String, LedgerEnvironment> = served
        .iter()
        .filter(|(_, served)| !served.is_empty())
        .map(|(id, served)| {
            (id.to_string(), LedgerEnvironment { floor: served.floor, items: served.items.iter().map(row).collect() })
        })
        .collect();
    if environments.is_empty() {
        return Ok(None);
    }
    let file = LedgerFile { format_version: FORMAT_VERSION, environments };
    Ok(Some(serde_json::to_string(&file)? + "\n"))
}

/// Reads `ledger.json`.
///
/// # Errors
/// What is wrong with it, with line and column where serde knows them.
pub fn ledger_from_json(bytes: &[u8]) -> Result<BTreeMap<EnvironmentId, ServedVersions>, String> {
    let file: LedgerFile = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if file.format_version != FORMAT_VERSION {
        return Err(format!("format version {} is not known here", file.format_version));
    }
    let mut served = BTreeMap::new();
    for (id, environment) in file.environments {
        let mut items = BTreeMap::new();
        for item in environment.items {
            let kind = match item.kind.as_str() {
                "flag" => ItemKind::Flag,
                "segment" => ItemKind::Segment,
                other => return Err(format!("kind '{other}' is neither flag nor segment")),
            };
            if !(0..=MAX_VERSION).contains(&item.version) {
                return Err(format!("version {} of '{}' is none that SDKs can be told", item.version, item.identifier));
            }
            let key = ItemKey { kind, identifier: Arc::from(item.identifier) };
            items.insert(key, (item.version, item.deleted));
        }
        served.insert(EnvironmentId::new(&id), ServedVersions { floor: environment.floor, items });
    }
    Ok(served)
}
