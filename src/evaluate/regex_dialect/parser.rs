//! Go's grammar, read with an explicit stack: groups may nest as deep as they like.

use std::sync::Arc;

use super::charset::CharSet;
use super::class::{bracketed, perl_class};
use super::cursor::Cursor;
use super::error::SyntaxError;
use super::escape::escaped;
use super::group::{Flags, Opening, opening};
use super::property::property;
use super::repeat;
use super::tree::{Assertion, Id, Node, Tree};

/// Reads an expression: its tree and the tree's root.
pub(super) fn parse(expression: &str) -> Result<(Tree, Id), SyntaxError> {
    let mut parser = Parser {
        cursor: Cursor { rest: expression },
        flags: Flags::default(),
        tree: Tree::default(),
        level: Level::default(),
        enclosing: Vec::new(),
        after_repeat: false,
    };
    while !parser.cursor.rest.is_empty() {
        parser.step()?;
    }
    if !parser.enclosing.is_empty() {
        return Err(SyntaxError::MissingParen);
    }
    let root = parser.finished_level()?;
    Ok((parser.tree, root))
}

struct Parser<'t> {
    cursor: Cursor<'t>,
    flags: Flags,
    tree: Tree,
    level: Level,
    enclosing: Vec<Level>,
    /// The last thing read was a repetition.
    after_repeat: bool,
}

/// One group being read, or the whole expression.
#[derive(Default)]
struct Level {
    captures: bool,
    /// The flags around it.
    outer_flags: Flags,
    alternatives: Vec<Id>,
    parts: Vec<Id>,
}

impl Parser<'_> {
    fn step(&mut self) -> Result<(), SyntaxError> {
        if let Some(repeat) = repeat::operator(&mut self.cursor)? {
            if std::mem::replace(&mut self.after_repeat, true) {
                return Err(SyntaxError::RepeatedRepeat);
            }
            let part = self.level.parts.pop().ok_or(SyntaxError::NothingToRepeat)?;
            return self.push(Node::Repeat(part, repeat));
        }
        self.after_repeat = false;
        match self.cursor.peek() {
            Some('\\') => self.escape(),
            Some('[') => {
                self.cursor.next();
                let set = bracketed(&mut self.cursor, self.flags.fold)?;
                self.push(Node::Set(Arc::new(set)))
            }
            Some(character) => {
                self.cursor.next();
                self.character(character)
            }
            None => Ok(()),
        }
    }

    fn character(&mut self, character: char) -> Result<(), SyntaxError> {
        let Flags { fold, lines, dot_all } = self.flags;
        match character {
            '(' => self.open(),
            ')' => self.close(),
            '|' => {
                let alternative = self.finished_alternative()?;
                self.level.alternatives.push(alternative);
                Ok(())
            }
            '^' => self.assertion(if lines { Assertion::LineStart } else { Assertion::TextStart }),
            '$' => self.assertion(if lines { Assertion::LineEnd } else { Assertion::TextEnd }),
            '.' if dot_all => self.push(Node::Set(Arc::new(CharSet::all()))),
            '.' => self.push(Node::Set(Arc::new(CharSet::of([(0x0A, 0x0A)]).negated()))),
            _ => self.push(Node::Literal(character.into(), fold)),
        }
    }

    fn escape(&mut self) -> Result<(), SyntaxError> {
        let fold = self.flags.fold;
        let assertion = match self.cursor.rest.as_bytes().get(1) {
            Some(b'A') => Assertion::TextStart,
            Some(b'z') => Assertion::TextEnd,
            Some(b'b') => Assertion::WordBoundary,
            Some(b'B') => Assertion::NoWordBoundary,
            Some(b'Q') => return self.quoted(),
            _ => {
                if let Some(set) = property(&mut self.cursor, fold)? {
                    return self.push(Node::Set(set));
                }
                if let Some(set) = perl_class(&mut self.cursor, fold) {
                    return self.push(Node::Set(Arc::new(set)));
                }
                let code = escaped(&mut self.cursor)?;
                return self.push(Node::Literal(code, fold));
            }
        };
        self.cursor.next();
        self.cursor.next();
        self.assertion(assertion)
    }

    /// `\Q…\E`, or to the end.
    fn quoted(&mut self) -> Result<(), SyntaxError> {
        self.cursor.eat("\\Q");
        let text = match self.cursor.until("\\E") {
            Some(text) => text,
            None => std::mem::take(&mut self.cursor.rest),
        };
        text.chars().try_for_each(|character| self.push(Node::Literal(character.into(), self.flags.fold)))
    }

    fn open(&mut self) -> Result<(), SyntaxError> {
        let outer_flags = self.flags;
        let captures = if self.cursor.eat("?") {
            match opening(&mut self.cursor, self.flags)? {
                Opening::Named => true,
                Opening::Flags(flags) => {
                    self.flags = flags;
                    false
                }
                Opening::Setting(flags) => {
                    self.flags = flags;
                    return Ok(());
                }
            }
        } else {
            true
        };
        let level = Level { captures, outer_flags, ..Level::default() };
        self.enclosing.push(std::mem::replace(&mut self.level, level));
        Ok(())
    }

    fn close(&mut self) -> Result<(), SyntaxError> {
        let enclosing = self.enclosing.pop().ok_or(SyntaxError::UnexpectedParen)?;
        let inner = self.finished_level()?;
        let Level { captures, outer_flags, .. } = std::mem::replace(&mut self.level, enclosing);
        self.flags = outer_flags;
        if captures {
            return self.push(Node::Capture(inner));
        }
        self.level.parts.push(inner);
        Ok(())
    }

    fn finished_alternative(&mut self) -> Result<Id, SyntaxError> {
        let mut parts = std::mem::take(&mut self.level.parts);
        match (parts.pop(), parts.is_empty()) {
            (None, _) => self.tree.add(Node::Empty),
            (Some(only), true) => Ok(only),
            (Some(last), false) => {
                parts.push(last);
                self.tree.add(Node::Concat(parts))
            }
        }
    }

    fn finished_level(&mut self) -> Result<Id, SyntaxError> {
        let last = self.finished_alternative()?;
        let mut alternatives = std::mem::take(&mut self.level.alternatives);
        if alternatives.is_empty() {
            return Ok(last);
        }
        alternatives.push(last);
        self.tree.add(Node::Alternate(alternatives))
    }

    fn assertion(&mut self, assertion: Assertion) -> Result<(), SyntaxError> {
        self.push(Node::Assertion(assertion))
    }

    fn push(&mut self, node: Node) -> Result<(), SyntaxError> {
        let id = self.tree.add(node)?;
        self.level.parts.push(id);
        Ok(())
    }
}
