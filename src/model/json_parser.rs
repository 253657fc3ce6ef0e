//! The parser behind [`super::json::Json`].

use std::borrow::Cow;
use std::collections::HashMap;

use super::json::{Json, MAX_DEPTH};

/// A place in a text: 1-based line, 1-based column in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    pub line: usize,
    pub column: usize,
}

impl Position {
    /// The place of a byte offset.
    #[must_use]
    pub fn of(text: &str, offset: usize) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |i| i + 1);
        Position {
            line: before.matches('\n').count() + 1,
            column: before.get(line_start..).unwrap_or("").chars().count() + 1,
        }
    }
}

/// What is wrong with a text that is no JSON, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {}, column {}: {what}", position.line, position.column)]
pub struct JsonError {
    pub position: Position,
    pub what: String,
}

/// An element of a top-level list with the place where it starts.
pub type Element<'a> = (usize, &'a str, Json<'a>);

/// An element of which the whole text was known, or that was parsed.
#[derive(Debug)]
pub enum Read<'a, T> {
    Known(T),
    Parsed(Json<'a>),
}

/// An [`Element`] that may have been known.
pub type ReadElement<'a, T> = (usize, &'a str, Read<'a, T>);

pub struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parser<'a> {
    #[must_use]
    pub fn new(text: &'a str) -> Self {
        // A byte order mark is what editors on Windows put there.
        let at = if text.starts_with('\u{feff}') { 3 } else { 0 };
        Parser { text, at }
    }

    /// One value with nothing behind it.
    pub fn document(mut self) -> Result<Json<'a>, JsonError> {
        let value = self.value(0)?;
        self.end()?;
        Ok(value)
    }

    /// A list, or `null` (Go's way to write an empty one), with the byte
    /// offset and the text of each element.
    pub fn list(self) -> Result<Vec<Element<'a>>, JsonError> {
        let elements = self.list_with(None::<fn(&str) -> Option<Json<'a>>>)?;
        let json = |read| match read {
            Read::Known(json) | Read::Parsed(json) => json,
        };
        Ok(elements.into_iter().map(|(offset, raw, read)| (offset, raw, json(read))).collect())
    }

    /// As [`Parser::list`], but an object whose text is `known` is not parsed: it
    /// was once, so it ends where its braces do.
    pub fn list_with<T>(
        mut self,
        known: Option<impl Fn(&'a str) -> Option<T>>,
    ) -> Result<Vec<ReadElement<'a, T>>, JsonError> {
        self.blanks();
        let mut elements = Vec::new();
        match self.peek() {
            Some(b'n') => {
                self.word("null", Json::Null)?;
            }
            Some(b'[') => {
                self.at += 1;
                self.sequence(b']', |parser| {
                    let start = parser.at;
                    let ahead = known.as_ref().and_then(|known| {
                        let raw = parser.object_ahead()?;
                        Some((known(raw)?, raw))
                    });
                    let read = match ahead {
                        Some((found, raw)) => {
                            parser.at += raw.len();
                            Read::Known(found)
                        }
                        None => Read::Parsed(parser.value(1)?),
                    };
                    let raw = parser.text.get(start..parser.at).unwrap_or("");
                    elements.push((start, raw, read));
                    Ok(())
                })?;
            }
            Some(_) => return Err(self.fault("a list ([…]) is expected here")),
            None => return Err(self.fault("the file is empty; an empty list is written []")),
        }
        self.end()?;
        Ok(elements)
    }

    /// Where the value of a member stands in the text of an object: byte
    /// offsets of its start and end. Of duplicates the last one, which counts.
    #[must_use]
    pub fn member_span(object: &'a str, member: &str) -> Option<(usize, usize)> {
        let mut parser = Parser { text: object, at: 0 };
        parser.blanks();
        if parser.peek() != Some(b'{') {
            return None;
        }
        parser.at += 1;
        let mut found = None;
        let walked = parser.sequence(b'}', |parser| {
            let key = parser.string()?;
            parser.blanks();
            parser.at += 1;
            parser.blanks();
            let start = parser.at;
            parser.value(1)?;
            if key == member {
                found = Some((start, parser.at));
            }
            Ok(())
        });
        walked.ok().and(found)
    }

    fn end(&mut self) -> Result<(), JsonError> {
        self.blanks();
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.fault("something follows the end of the JSON value")),
        }
    }

    fn value(&mut self, depth: usize) -> Result<Json<'a>, JsonError> {
        self.blanks();
        match self.peek() {
            Some(b'{' | b'[') if depth >= MAX_DEPTH => Err(self.fault("nested too deeply")),
            Some(b'{') => self.object(depth),
            Some(b'[') => {
                self.at += 1;
                let mut elements = Vec::new();
                self.sequence(b']', |parser| {
                    elements.push(parser.value(depth + 1)?);
                    Ok(())
                })?;
                Ok(Json::Array(elements))
            }
            Some(b'"') => self.string().map(Json::String),
            Some(b't') => self.word("true", Json::Bool(true)),
            Some(b'f') => self.word("false", Json::Bool(false)),
            Some(b'n') => self.word("null", Json::Null),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(_) => Err(self.fault("a JSON value is expected here")),
            None => Err(self.fault("the text ends where a JSON value is expected")),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Json<'a>, JsonError> {
        self.at += 1;
        let mut members: Vec<(Cow<'a, str>, Json<'a>)> = Vec::new();
        self.sequence(b'}', |parser| {
            if parser.peek() != Some(b'"') {
                return Err(parser.fault("a member name in double quotes is expected here"));
            }
            let key = parser.string()?;
            parser.blanks();
            if parser.peek() != Some(b':') {
                return Err(parser.fault("a colon is expected here"));
            }
            parser.at += 1;
            let value = parser.value(depth + 1)?;
            members.push((key, value));
            Ok(())
        })?;
        Ok(Json::Object(last_of_duplicates(members)))
    }

    /// The text up to the brace that closes the one here, whatever is between.
    fn object_ahead(&self) -> Option<&'a str> {
        let rest = self.rest();
        let mut depth = 0_usize;
        let mut bytes = rest.bytes().enumerate();
        while let Some((at, byte)) = bytes.next() {
            match byte {
                b'"' => {
                    while let Some((_, byte)) = bytes.next().filter(|(_, byte)| *byte != b'"') {
                        if byte == b'\\' {
                            bytes.next();
                        }
                    }
                }
                b'{' => depth += 1,
                b'}' if depth <= 1 => return rest.get(..=at).filter(|_| depth == 1),
                b'}' => depth -= 1,
                _ if depth == 0 => return None,
                _ => {}
            }
        }
        None
    }

    /// The inside of a list or object up to `close`, commas between.
    fn sequence(
        &mut self,
        close: u8,
        mut each: impl FnMut(&mut Self) -> Result<(), JsonError>,
    ) -> Result<(), JsonError> {
        self.blanks();
        if self.peek() == Some(close) {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.blanks();
            each(self)?;
            self.blanks();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(c) if c == close => {
                    self.at += 1;
                    return Ok(());
                }
                Some(_) => {
                    return Err(self.fault(&format!("a comma or '{}' is expected here", char::from(close))));
                }
                None => return Err(self.fault("the text ends too early")),
            }
        }
    }

    fn word(&mut self, word: &str, value: Json<'a>) -> Result<Json<'a>, JsonError> {
        if self.rest().starts_with(word) {
            self.at += word.len();
            Ok(value)
        } else {
            Err(self.fault(&format!("'{word}' is expected here")))
        }
    }

    fn number(&mut self) -> Result<Json<'a>, JsonError> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
            if matches!(self.peek(), Some(b'0'..=b'9')) {
                return Err(self.fault("a number may not begin with 0"));
            }
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(Json::Number(Cow::Borrowed(self.text.get(start..self.at).unwrap_or(""))))
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        if !matches!(self.peek(), Some(b'0'..=b'9')) {
            return Err(self.fault("a digit is expected here"));
        }
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        Ok(())
    }

    fn string(&mut self) -> Result<Cow<'a, str>, JsonError> {
        self.at += 1;
        let mut owned = String::new();
        let mut start = self.at;
        loop {
            match self.peek() {
                Some(b'"') => {
                    let part = self.text.get(start..self.at).unwrap_or("");
                    self.at += 1;
                    if owned.is_empty() {
                        return Ok(Cow::Borrowed(part));
                    }
                    owned.push_str(part);
                    return Ok(Cow::Owned(owned));
                }
                Some(b'\\') => {
                    owned.push_str(self.text.get(start..self.at).unwrap_or(""));
                    self.at += 1;
                    let c = self.escape()?;
                    owned.push(c);
                    start = self.at;
                }
                Some(c) if c < 0x20 => {
                    return Err(self.fault("a control character stands in a string; write it as an escape"));
                }
                Some(_) => self.at += 1,
                None => return Err(self.fault("the text ends inside a string")),
            }
        }
    }

    fn escape(&mut self) -> Result<char, JsonError> {
        let c = match self.peek() {
            Some(c @ (b'"' | b'\\' | b'/')) => char::from(c),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.at += 1;
                let first = self.hex4()?;
                return Ok(self.surrogate(first));
            }
            _ => return Err(self.fault("an unknown escape stands in a string")),
        };
        self.at += 1;
        Ok(c)
    }

    /// The character of a `\u` escape and, for a leading surrogate, of the
    /// trailing one behind it; U+FFFD for one that stands alone.
    fn surrogate(&mut self, first: u32) -> char {
        if let Some(c) = char::from_u32(first) {
            return c;
        }
        if first < 0xdc00 && self.rest().starts_with("\\u") {
            let mark = self.at;
            self.at += 2;
            if let Ok(second @ 0xdc00..=0xdfff) = self.hex4() {
                let joined = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                return char::from_u32(joined).unwrap_or(char::REPLACEMENT_CHARACTER);
            }
            self.at = mark;
        }
        char::REPLACEMENT_CHARACTER
    }

    fn hex4(&mut self) -> Result<u32, JsonError> {
        let digits = self.text.get(self.at..self.at + 4).filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
        match digits.and_then(|d| u32::from_str_radix(d, 16).ok()) {
            Some(value) => {
                self.at += 4;
                Ok(value)
            }
            None => Err(self.fault("four hexadecimal digits are expected here")),
        }
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn fault(&self, what: &str) -> JsonError {
        JsonError { position: Position::of(self.text, self.at), what: what.to_owned() }
    }
}

/// Objects of more members are looked through with a map.
const FEW_MEMBERS: usize = 24;

/// Of members with one name the last value counts, in the first one's place.
fn last_of_duplicates<'a>(members: Vec<(Cow<'a, str>, Json<'a>)>) -> Vec<(Cow<'a, str>, Json<'a>)> {
    let few = members.len() <= FEW_MEMBERS;
    let stands_before = |(at, (key, _)): (usize, &(Cow<'_, str>, _))| members.iter().take(at).any(|(k, _)| k == key);
    if few && !members.iter().enumerate().any(stands_before) {
        return members;
    }
    let mut places: HashMap<Cow<'a, str>, usize> = HashMap::with_capacity(members.len());
    let mut kept: Vec<(Cow<'a, str>, Json<'a>)> = Vec::with_capacity(members.len());
    for (key, value) in members {
        match places.get(&key).and_then(|&index| kept.get_mut(index)) {
            Some(slot) => slot.1 = value,
            None => {
                places.insert(key.clone(), kept.len());
                kept.push((key, value));
            }
        }
    }
    kept
}
