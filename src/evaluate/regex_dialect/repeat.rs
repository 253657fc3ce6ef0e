//! Repetition operators.

use super::cursor::Cursor;
use super::error::SyntaxError;

/// Go's limit, also for the product of nested counts.
pub(super) const MOST: u32 = 1000;

/// How often: at least `min` times, at most `max` if there is a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Repeat {
    pub(super) min: u32,
    pub(super) max: Option<u32>,
    /// Written with braces: counts towards the limit.
    pub(super) counted: bool,
}

/// Reads a repetition operator, if one comes next. Braces that are no count mean themselves.
pub(super) fn operator(cursor: &mut Cursor<'_>) -> Result<Option<Repeat>, SyntaxError> {
    let repeat = match cursor.peek() {
        Some('*') => Repeat { min: 0, max: None, counted: false },
        Some('+') => Repeat { min: 1, max: None, counted: false },
        Some('?') => Repeat { min: 0, max: Some(1), counted: false },
        Some('{') => {
            let mut ahead = *cursor;
            let Some(repeat) = count(&mut ahead) else {
                return Ok(None);
            };
            *cursor = ahead;
            if repeat.min > MOST || repeat.max.is_some_and(|max| max > MOST || max < repeat.min) {
                return Err(SyntaxError::RepeatCount);
            }
            cursor.eat("?");
            return Ok(Some(repeat));
        }
        _ => return Ok(None),
    };
    cursor.next();
    cursor.eat("?");
    Ok(Some(repeat))
}

/// `{n}`, `{n,}` or `{n,m}`.
fn count(cursor: &mut Cursor<'_>) -> Option<Repeat> {
    cursor.next();
    let min = number(cursor)?;
    let max =
        if cursor.eat(",") { if cursor.peek() == Some('}') { None } else { Some(number(cursor)?) } } else { Some(min) };
    cursor.eat("}").then_some(Repeat { min, max, counted: true })
}

/// Digits, without leading zeros.
fn number(cursor: &mut Cursor<'_>) -> Option<u32> {
    let length = cursor.rest.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, rest) = cursor.rest.split_at_checked(length)?;
    if digits.is_empty() || (digits.len() > 1 && digits.starts_with('0')) {
        return None;
    }
    cursor.rest = rest;
    // Whatever does not fit is above the limit as well.
    Some(digits.parse().unwrap_or(u32::MAX))
}
