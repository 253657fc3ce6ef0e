//! What may follow `(?`.

use super::cursor::Cursor;
use super::error::SyntaxError;

/// How letters and line ends are read from here on.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Flags {
    /// `i`: ignore case.
    pub(super) fold: bool,
    /// `m`: `^` and `$` match at lines.
    pub(super) lines: bool,
    /// `s`: `.` matches a line feed.
    pub(super) dot_all: bool,
}

/// A group's beginning.
pub(super) enum Opening {
    /// `(?P<name>` or `(?<name>`.
    Named,
    /// `(?i:`.
    Flags(Flags),
    /// `(?i)`: no group, the flags hold to the end of the enclosing one.
    Setting(Flags),
}

/// Reads a group's beginning; `(?` was read already.
pub(super) fn opening(cursor: &mut Cursor<'_>, flags: Flags) -> Result<Opening, SyntaxError> {
    if cursor.eat("P<") || cursor.eat("<") {
        let name = cursor.until(">").ok_or(SyntaxError::GroupName)?;
        let valid = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        // Go does not mind a name that was used before.
        return if !name.is_empty() && name.bytes().all(valid) {
            Ok(Opening::Named)
        } else {
            Err(SyntaxError::GroupName)
        };
    }
    let mut flags = flags;
    let mut value = true;
    // A minus must be followed by a flag.
    let mut complete = true;
    loop {
        match cursor.next().ok_or(SyntaxError::MissingParen)? {
            'i' => flags.fold = value,
            'm' => flags.lines = value,
            's' => flags.dot_all = value,
            // Which match is found does not matter here, only whether there is one.
            'U' => {}
            '-' if value => {
                value = false;
                complete = false;
                continue;
            }
            ':' if complete => return Ok(Opening::Flags(flags)),
            ')' if complete => return Ok(Opening::Setting(flags)),
            _ => return Err(SyntaxError::Group),
        }
        complete = true;
    }
}
