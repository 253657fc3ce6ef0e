//! `\pN`, `\p{Greek}`, `\P{^Lu}`: classes by Unicode property.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use regex_syntax::hir::{Class, HirKind};

use super::charset::CharSet;
use super::cursor::Cursor;
use super::error::SyntaxError;
use super::property_names::{CATEGORIES, SCRIPTS};

/// Reads a class by property, if one comes next: `\p` or `\P` and a name.
pub(super) fn property(cursor: &mut Cursor<'_>, fold: bool) -> Result<Option<Arc<CharSet>>, SyntaxError> {
    let mut negated = match cursor.rest.get(..2) {
        Some("\\p") => false,
        Some("\\P") => true,
        _ => return Ok(None),
    };
    cursor.next();
    cursor.next();
    let mut letter = [0; 4];
    let name: &str = match cursor.next() {
        Some('{') => cursor.until("}").ok_or(SyntaxError::Class)?,
        Some(character) => character.encode_utf8(&mut letter),
        None => return Err(SyntaxError::Class),
    };
    let name = match name.strip_prefix('^') {
        Some(name) => {
            negated = !negated;
            name
        }
        None => name,
    };
    remembered(name, fold, negated).map(Some).ok_or(SyntaxError::Class)
}

/// A name, whether case is ignored, whether the class is negated.
type Key = (String, bool, bool);

/// The class of a name, worked out once per process: there are few names, and an expression may
/// use one thousands of times.
fn remembered(name: &str, fold: bool, negated: bool) -> Option<Arc<CharSet>> {
    static KNOWN: LazyLock<Mutex<HashMap<Key, Arc<CharSet>>>> = LazyLock::new(Mutex::default);
    let is_letter = |character: &char| !matches!(character, '_' | '-' | ' ');
    let name: String = name.chars().filter(is_letter).map(|character| character.to_ascii_lowercase()).collect();
    let key = (name, fold, negated);
    let known = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(set) = known().get(&key) {
        return Some(Arc::clone(set));
    }
    let set = named(&key.0)?;
    // Go's tables for ignoring case lack this category.
    let fold = fold && !matches!(key.0.as_str(), "lc" | "casedletter");
    let set = if fold { set.folded() } else { set };
    let set = Arc::new(if negated { set.negated() } else { set });
    known().insert(key, Arc::clone(&set));
    Some(set)
}

/// The characters of a name in lower case, without spaces, hyphens and underscores, none of which
/// matter.
fn named(name: &str) -> Option<CharSet> {
    match name {
        "any" => return Some(CharSet::all()),
        "ascii" => return Some(CharSet::of([(0, 0x7F)])),
        "assigned" => return table("gc=Cn", true).map(CharSet::negated),
        _ => {}
    }
    if let Ok(at) = CATEGORIES.binary_search_by_key(&name, |&(known, _)| known) {
        let &(_, category) = CATEGORIES.get(at)?;
        if category == "Cs" {
            // The library has no class for what is not a character.
            return Some(CharSet::of([(0xD800, 0xDFFF)]));
        }
        return table(&format!("gc={category}"), matches!(category, "C" | "Cn"));
    }
    SCRIPTS.binary_search(&name).ok()?;
    table(&format!("sc={name}"), false)
}

/// The library's own table, which is newer, cut back to the characters of Unicode 15.0.
fn table(query: &str, with_unassigned: bool) -> Option<CharSet> {
    let class = if with_unassigned {
        format!(r"[\p{{{query}}}\P{{age=15.0}}]")
    } else {
        format!(r"[\p{{{query}}}&&\p{{age=15.0}}]")
    };
    let mut set = parsed(&class)?;
    for &(character, was, is) in MOVED {
        if query == format!("gc={was}") {
            set.push(character, character);
        } else if query == format!("gc={is}") {
            set = set.without(character);
        }
    }
    set.tidy();
    Some(set)
}

/// Characters that changed their category after Unicode 15.0: what it was and what it is.
const MOVED: &[(u32, &str, &str)] = &[(0x1171E, "Mn", "Mc")];

fn parsed(class: &str) -> Option<CharSet> {
    let hir = regex_syntax::parse(class).ok()?;
    match hir.kind() {
        HirKind::Class(Class::Unicode(class)) => {
            Some(CharSet::of(class.iter().map(|range| (range.start().into(), range.end().into()))))
        }
        // A single character, or nothing.
        HirKind::Literal(literal) => {
            let text = std::str::from_utf8(&literal.0).ok()?;
            Some(CharSet::of(text.chars().map(|character| (character.into(), character.into()))))
        }
        HirKind::Class(Class::Bytes(class)) => {
            Some(CharSet::of(class.iter().map(|range| (range.start().into(), range.end().into()))))
        }
        _ => Some(CharSet::default()),
    }
}
