//! Classes of characters: `\d`, `[[:alpha:]]`, `[^a-z]`.

use super::charset::CharSet;
use super::cursor::Cursor;
use super::error::SyntaxError;
use super::escape::escaped;
use super::property::property;

const DIGIT: &[(u8, u8)] = &[(b'0', b'9')];
/// Without `\v`, unlike POSIX's.
const SPACE: &[(u8, u8)] = &[(b'\t', b'\n'), (0x0C, b'\r'), (b' ', b' ')];
const WORD: &[(u8, u8)] = &[(b'0', b'9'), (b'A', b'Z'), (b'_', b'_'), (b'a', b'z')];

fn ascii(ranges: &[(u8, u8)], fold: bool, negated: bool) -> CharSet {
    let mut set = CharSet::of(ranges.iter().map(|&(first, last)| (first.into(), last.into())));
    if fold {
        set = set.folded();
    }
    if negated { set.negated() } else { set }
}

/// Reads `\d`, `\s`, `\w` or one of their opposites, if one comes next.
pub(super) fn perl_class(cursor: &mut Cursor<'_>, fold: bool) -> Option<CharSet> {
    let (ranges, negated) = match cursor.rest.get(..2)? {
        "\\d" => (DIGIT, false),
        "\\D" => (DIGIT, true),
        "\\s" => (SPACE, false),
        "\\S" => (SPACE, true),
        "\\w" => (WORD, false),
        "\\W" => (WORD, true),
        _ => return None,
    };
    cursor.next();
    cursor.next();
    Some(ascii(ranges, fold, negated))
}

/// Reads `[:alpha:]` or `[:^alpha:]`, if one comes next. `[:` without `:]` is no such class.
fn posix_class(cursor: &mut Cursor<'_>, fold: bool) -> Result<Option<CharSet>, SyntaxError> {
    let mut ahead = *cursor;
    if !ahead.eat("[:") {
        return Ok(None);
    }
    let Some(name) = ahead.until(":]") else {
        return Ok(None);
    };
    let (name, negated) = name.strip_prefix('^').map_or((name, false), |name| (name, true));
    let ranges: &[(u8, u8)] = match name {
        "alnum" => &[(b'0', b'9'), (b'A', b'Z'), (b'a', b'z')],
        "alpha" => &[(b'A', b'Z'), (b'a', b'z')],
        "ascii" => &[(0, 0x7F)],
        "blank" => &[(b'\t', b'\t'), (b' ', b' ')],
        "cntrl" => &[(0, 0x1F), (0x7F, 0x7F)],
        "digit" => DIGIT,
        "graph" => &[(b'!', b'~')],
        "lower" => &[(b'a', b'z')],
        "print" => &[(b' ', b'~')],
        "punct" => &[(b'!', b'/'), (b':', b'@'), (b'[', b'`'), (b'{', b'~')],
        "space" => &[(b'\t', b'\r'), (b' ', b' ')],
        "upper" => &[(b'A', b'Z')],
        "word" => WORD,
        "xdigit" => &[(b'0', b'9'), (b'A', b'F'), (b'a', b'f')],
        _ => return Err(SyntaxError::Class),
    };
    *cursor = ahead;
    Ok(Some(ascii(ranges, fold, negated)))
}

/// Reads a class in brackets; the opening one was read already.
pub(super) fn bracketed(cursor: &mut Cursor<'_>, fold: bool) -> Result<CharSet, SyntaxError> {
    let negated = cursor.eat("^");
    let mut set = CharSet::default();
    let mut singles = CharSet::default();
    // The first may be a closing bracket and mean itself.
    let mut first = true;
    while first || cursor.peek() != Some(']') {
        first = false;
        if let Some(class) = posix_class(cursor, fold)? {
            set.extend(&class);
            continue;
        }
        if let Some(class) = property(cursor, fold)? {
            set.extend(&class);
            continue;
        }
        if let Some(class) = perl_class(cursor, fold) {
            set.extend(&class);
            continue;
        }
        let low = member(cursor)?;
        let mut high = low;
        if cursor.rest.starts_with('-') && cursor.rest.len() > 1 && !cursor.rest.starts_with("-]") {
            cursor.next();
            high = member(cursor)?;
            if high < low {
                return Err(SyntaxError::Class);
            }
        }
        singles.push(low, high);
    }
    cursor.next();
    set.extend(&if fold { singles.folded() } else { singles });
    set.tidy();
    Ok(if negated { set.negated() } else { set })
}

/// One character of a class, escaped or not.
fn member(cursor: &mut Cursor<'_>) -> Result<u32, SyntaxError> {
    match cursor.peek() {
        None => Err(SyntaxError::MissingBracket),
        Some('\\') => escaped(cursor),
        Some(character) => {
            cursor.next();
            Ok(character.into())
        }
    }
}
