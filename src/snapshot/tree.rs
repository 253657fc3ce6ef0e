//! The offline layout, wherever it lies: files by environment, read into
//! content (`offline-config.md`, "The directory").

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::content::{Content, EnvironmentId, KeyHash};
use super::item::{Digest, Item, ItemKey, ItemKind};
use super::report::{Problem, Problems};
use super::reread::{Known, Reading};
use crate::model::json::{Json, JsonError, Position};
use crate::model::json_parser::{Element, Parser, Read, ReadElement};

/// Directories that begin so are environments.
pub const ENVIRONMENT_PREFIX: &str = "env-";

/// The file of targets that SDKs brought, which only an archive holds.
pub const LEARNT_FILE: &str = "learnt_targets.json";

/// The word for them in manifests.
pub const LEARNT_WORD: &str = "learntTargets";

/// The files of an environment that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    KeyHashes,
    Flags,
    Segments,
    Targets,
}

impl Part {
    pub const ALL: [Part; 4] = [Part::KeyHashes, Part::Flags, Part::Segments, Part::Targets];

    #[must_use]
    pub fn file_name(self) -> &'static str {
        match self {
            Part::KeyHashes => "auth_config.json",
            Part::Flags => "feature_config.json",
            Part::Segments => "segments.json",
            Part::Targets => "targets.json",
        }
    }

    /// The word for it in manifests.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Part::KeyHashes => "keyHashes",
            Part::Flags => "flags",
            Part::Segments => "segments",
            Part::Targets => "targets",
        }
    }

    /// The part that a word in a manifest stands for.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Part::ALL.into_iter().find(|part| part.word() == word)
    }

    fn item_kind(self) -> Option<ItemKind> {
        match self {
            Part::KeyHashes => None,
            Part::Flags => Some(ItemKind::Flag),
            Part::Segments => Some(ItemKind::Segment),
            Part::Targets => Some(ItemKind::Target),
        }
    }
}

/// The environment id that a directory name stands for, if it does.
#[must_use]
pub fn environment_of(directory: &str) -> Option<EnvironmentId> {
    let id = directory.strip_prefix(ENVIRONMENT_PREFIX)?;
    let skipped = id.is_empty() || directory.to_ascii_lowercase().ends_with(".tmp");
    (!skipped).then(|| EnvironmentId::new(id))
}

/// The text of one file and the name it is reported by.
#[derive(Clone, Debug)]
pub struct SourceFile {
    pub name: String,
    pub bytes: Vec<u8>,
}

/// The files of one environment; a missing one means none of its kind.
pub type SourceFiles = BTreeMap<Part, SourceFile>;

/// Reads the files of one environment.
///
/// # Errors
/// Every problem of every file.
pub fn read_environment(files: &SourceFiles) -> Result<Content, Problems> {
    read_environment_again(files, &mut Reading::default())
}

/// As [`read_environment`], with what the reading before knew.
///
/// # Errors
/// Every problem of every file.
pub fn read_environment_again(files: &SourceFiles, reading: &mut Reading<'_>) -> Result<Content, Problems> {
    let mut problems = Vec::new();
    let mut items = Vec::new();
    let mut hashes = Vec::new();
    for (part, file) in files {
        if let Err(problem) = read_part(*part, file, reading, (&mut items, &mut hashes), &mut problems) {
            problems.push(problem);
        }
    }
    if !problems.is_empty() {
        return Err(Problems(problems));
    }
    Content::new(items, hashes).map_err(|duplicate| {
        // read_items has looked for duplicates, so this is out of reach.
        Problem::new("configuration", duplicate.to_string(), "keep one of them").into()
    })
}

/// Reads targets that SDKs brought, sorted by identifier.
///
/// # Errors
/// Every problem of the file.
pub fn read_learnt_targets(file: &SourceFile) -> Result<Vec<Arc<Item>>, Problems> {
    let (mut items, mut problems) = (Vec::new(), Vec::new());
    read_part(Part::Targets, file, &mut Reading::default(), (&mut items, &mut Vec::new()), &mut problems)?;
    items.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    if problems.is_empty() { Ok(items) } else { Err(Problems(problems)) }
}

fn read_part(
    part: Part,
    file: &SourceFile,
    reading: &mut Reading<'_>,
    (items, hashes): (&mut Vec<Arc<Item>>, &mut Vec<KeyHash>),
    problems: &mut Vec<Problem>,
) -> Result<(), Problem> {
    let text = text_of(file)?;
    let faulty = |error: JsonError| {
        let advice = "mend the JSON, or copy the file again if it is half copied";
        Problem::new(&file.name, error.what, advice).at(error.position)
    };
    match part.item_kind() {
        None => {
            let elements = Parser::new(text).list().map_err(faulty)?;
            read_hashes(file, text, &elements, hashes, problems);
        }
        Some(kind) => {
            let known = reading.knows_any().then_some(|raw| reading.known(kind, raw));
            let elements = Parser::new(text).list_with(known).map_err(faulty)?;
            let read = read_items(kind, file, text, elements, problems);
            items.extend(read.iter().map(|known| Arc::clone(&known.item)));
            reading.remember(read);
        }
    }
    Ok(())
}

/// Where an item stands, for errors that are found later than on reading.
#[must_use]
pub fn locate(files: &SourceFiles, key: &ItemKey) -> Option<(String, Position)> {
    let (_, file) = files.iter().find(|(part, _)| part.item_kind() == Some(key.kind))?;
    let text = text_of(file).ok()?;
    let elements = Parser::new(text).list().ok()?;
    let field = key.kind.identifier_field();
    let (offset, raw, _) =
        elements.iter().find(|(_, _, json)| json.get(field).and_then(Json::as_str) == Some(&key.identifier))?;
    let inner = inner_offset(key.kind, raw).unwrap_or(0);
    Some((file.name.clone(), Position::of(text, offset + inner)))
}

/// The byte offset in an item's text where it departs from its shape.
fn inner_offset(kind: ItemKind, raw: &str) -> Option<usize> {
    let error = match kind {
        ItemKind::Flag => serde_json::from_str::<crate::model::FeatureConfig>(raw).err(),
        ItemKind::Segment => serde_json::from_str::<crate::model::Segment>(raw).err(),
        ItemKind::Target => serde_json::from_str::<crate::model::Target>(raw).err(),
    }?;
    let before: usize = raw.split_inclusive('\n').take(error.line().checked_sub(1)?).map(str::len).sum();
    Some(before + error.column().saturating_sub(1))
}

fn text_of(file: &SourceFile) -> Result<&str, Problem> {
    std::str::from_utf8(&file.bytes).map_err(|error| {
        let good = file.bytes.get(..error.valid_up_to()).unwrap_or_default();
        let good = std::str::from_utf8(good).unwrap_or_default();
        Problem::new(&file.name, "the file is not UTF-8", "save it as UTF-8").at(Position::of(good, good.len()))
    })
}

fn read_hashes(
    file: &SourceFile,
    text: &str,
    elements: &[Element<'_>],
    hashes: &mut Vec<KeyHash>,
    problems: &mut Vec<Problem>,
) {
    for (offset, _, json) in elements {
        match json.as_str().and_then(Digest::from_hex) {
            Some(hash) => hashes.push(hash),
            // What stands there may be an SDK key: it is not repeated.
            None => problems.push(
                Problem::new(
                    &file.name,
                    "an entry is not a key hash",
                    "write the SHA-256 of the SDK key as 64 hexadecimal digits, never the key itself",
                )
                .at(Position::of(text, *offset)),
            ),
        }
    }
}

fn read_items(
    kind: ItemKind,
    file: &SourceFile,
    text: &str,
    elements: Vec<ReadElement<'_, Known>>,
    problems: &mut Vec<Problem>,
) -> Vec<Known> {
    let count = elements.len();
    let mut items = Vec::with_capacity(count);
    let mut seen: HashMap<Arc<str>, usize> = HashMap::with_capacity(elements.len());
    for (offset, raw, read) in elements {
        let item = match read {
            Read::Known(known) => Ok(known),
            Read::Parsed(json) => Item::from_json(kind, &json).map(|item| Known::new(Arc::new(item), raw, count)),
        };
        match item {
            Ok(known) => {
                if let Some(first) = seen.insert(Arc::clone(&known.item.key.identifier), offset) {
                    let first = Position::of(text, first).line;
                    let what = format!("{kind} '{}' stands twice (first on line {first})", known.item.identifier());
                    problems.push(Problem::new(&file.name, what, "keep one of them").at(Position::of(text, offset)));
                } else {
                    items.push(known);
                }
            }
            Err(what) => {
                problems.push(Problem::new(&file.name, what, "mend it, or remove it").at(Position::of(text, offset)))
            }
        }
    }
    items
}

/// A key hash that two environments claim, with both: an SDK's key must
/// name one environment.
#[must_use]
pub fn shared_key_hash<'a>(
    environments: impl Iterator<Item = (&'a EnvironmentId, &'a Content)>,
) -> Option<(KeyHash, EnvironmentId, EnvironmentId)> {
    let mut owners: HashMap<KeyHash, &EnvironmentId> = HashMap::new();
    for (environment, content) in environments {
        for hash in &content.key_hashes {
            if let Some(first) = owners.insert(*hash, environment)
                && first != environment
            {
                return Some((*hash, first.clone(), environment.clone()));
            }
        }
    }
    None
}

/// Writes an environment's parts as files: lists sorted by identifier, one
/// item a line, in canonical JSON.
#[must_use]
pub fn write_environment(content: &Content) -> Vec<(Part, String)> {
    Part::ALL.into_iter().map(|part| (part, write_part(content, part))).collect()
}

/// Writes one part as a file, see [`write_environment`].
#[must_use]
pub fn write_part(content: &Content, part: Part) -> String {
    let texts = |items: &[Arc<Item>]| list(items.iter().map(|item| canonical_with_legacy_rules(item)));
    match part {
        Part::KeyHashes => list(content.key_hashes.iter().map(|hash| format!("\"{hash}\""))),
        Part::Flags => texts(&content.flags),
        Part::Segments => texts(&content.segments),
        Part::Targets => texts(&content.targets),
    }
}

/// Writes targets that SDKs brought, given as JSON sorted by identifier.
#[must_use]
pub fn write_learnt_targets<'a>(targets: impl Iterator<Item = &'a str>) -> String {
    list(targets.map(|text| Json::parse(text).map_or_else(|_| text.to_owned(), |json| json.canonical())))
}

fn list(lines: impl Iterator<Item = String>) -> String {
    let mut text = String::new();
    for line in lines {
        text.push_str(if text.is_empty() { "[\n" } else { ",\n" });
        text.push_str(&line);
    }
    text.push_str(if text.is_empty() { "[]\n" } else { "\n]\n" });
    text
}

/// One canonical form, so that equal content gives equal bytes whoever wrote
/// it first. The Go proxy v1 knows only `rules`, so a segment's are filled
/// where nothing is lost by it; such `rules` are no part of the digest.
fn canonical_with_legacy_rules(item: &Item) -> String {
    let Ok(json) = Json::parse(&item.text) else {
        return item.text.to_string();
    };
    let mut json = super::item::content_form(item.key.kind, &json).into_owned();
    if item.key.kind == ItemKind::Segment && json.get("rules").is_none() {
        let serving = json.get("servingRules").and_then(Json::as_array).unwrap_or_default();
        let clauses: Option<Vec<Json<'_>>> =
            serving.iter().map(|rule| super::item::only_clause(rule).cloned()).collect();
        if let Some(clauses) = clauses.filter(|clauses| !clauses.is_empty()) {
            json.set("rules", Json::Array(clauses));
        }
    }
    json.canonical()
}
