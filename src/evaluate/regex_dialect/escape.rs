//! Escapes that stand for one character, in and outside of classes.

use super::cursor::Cursor;
use super::error::SyntaxError;

/// Reads `\n`, `\x{10FFFF}`, `\101`, `\.` …: a code point. The backslash comes next.
pub(super) fn escaped(cursor: &mut Cursor<'_>) -> Result<u32, SyntaxError> {
    cursor.next();
    let character = cursor.next().ok_or(SyntaxError::TrailingBackslash)?;
    Ok(match character {
        // A single digit would be a back-reference.
        '1'..='7' if !matches!(cursor.peek(), Some('0'..='7')) => return Err(SyntaxError::Escape),
        '0'..='7' => octal(cursor, character),
        'x' => return hexadecimal(cursor),
        'a' => 0x07,
        'f' => 0x0C,
        'n' => 0x0A,
        'r' => 0x0D,
        't' => 0x09,
        'v' => 0x0B,
        _ if character.is_ascii() && !character.is_ascii_alphanumeric() => character.into(),
        _ => return Err(SyntaxError::Escape),
    })
}

/// Up to two more octal digits.
fn octal(cursor: &mut Cursor<'_>, first: char) -> u32 {
    let mut code = first.to_digit(8).unwrap_or_default();
    for _ in 0..2 {
        let Some(digit) = cursor.peek().and_then(|character| character.to_digit(8)) else {
            break;
        };
        cursor.next();
        code = code * 8 + digit;
    }
    code
}

/// Two digits, or any number of them in braces.
fn hexadecimal(cursor: &mut Cursor<'_>) -> Result<u32, SyntaxError> {
    let digit =
        |character: Option<char>| character.and_then(|character| character.to_digit(16)).ok_or(SyntaxError::Escape);
    if !cursor.eat("{") {
        let high = digit(cursor.next())?;
        return Ok(high * 16 + digit(cursor.next())?);
    }
    let mut code = digit(cursor.next())?;
    while !cursor.eat("}") {
        code = code * 16 + digit(cursor.next())?;
        if code > u32::from(char::MAX) {
            return Err(SyntaxError::Escape);
        }
    }
    Ok(code)
}
