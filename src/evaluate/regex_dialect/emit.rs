//! Writes a tree in the syntax of the `regex` crate.

use std::fmt::Write;

use super::repeat::Repeat;
use super::tree::{Assertion, Id, Node, Tree};
use crate::evaluate::fold::orbit;

/// What surrounds a node, and so which nodes need parentheses.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Around {
    Alternation,
    Sequence,
    Repetition,
}

enum Task {
    Node(Id, Around),
    Text(&'static str),
    Repeat(Repeat),
}

/// The text of an expression; none if it is longer than `longest` bytes.
pub(super) fn emit(tree: &Tree, root: Id, longest: usize) -> Option<String> {
    let mut out = String::new();
    let mut tasks = vec![Task::Node(root, Around::Alternation)];
    while let Some(task) = tasks.pop() {
        match task {
            Task::Text(text) => out.push_str(text),
            Task::Repeat(repeat) => out.push_str(&suffix(repeat)),
            Task::Node(id, around) => node(tree, id, around, &mut tasks, &mut out),
        }
        if out.len() > longest {
            return None;
        }
    }
    Some(out)
}

fn node(tree: &Tree, id: Id, around: Around, tasks: &mut Vec<Task>, out: &mut String) {
    match tree.node(id) {
        Node::Empty => out.push_str("(?:)"),
        Node::Literal(code, fold) => literal(*code, *fold, out),
        Node::Set(set) => class(set.characters(), out),
        Node::Assertion(assertion) => out.push_str(match assertion {
            Assertion::TextStart => r"(?:\A)",
            Assertion::TextEnd => r"(?:\z)",
            Assertion::LineStart => "(?m:^)",
            Assertion::LineEnd => "(?m:$)",
            Assertion::WordBoundary => r"(?-u:\b)",
            Assertion::NoWordBoundary => r"(?-u:\B)",
        }),
        Node::Capture(of) => tasks.push(Task::Node(*of, around)),
        // Tasks are done last first.
        Node::Repeat(of, repeat) => {
            let open = around == Around::Repetition;
            if open {
                tasks.push(Task::Text(")"));
            }
            tasks.push(Task::Repeat(*repeat));
            tasks.push(Task::Node(*of, Around::Repetition));
            if open {
                tasks.push(Task::Text("(?:"));
            }
        }
        Node::Concat(parts) => list(parts, "", Around::Sequence, around > Around::Sequence, tasks),
        Node::Alternate(parts) => list(parts, "|", Around::Alternation, around > Around::Alternation, tasks),
    }
}

fn list(parts: &[Id], between: &'static str, around: Around, open: bool, tasks: &mut Vec<Task>) {
    if open {
        tasks.push(Task::Text(")"));
    }
    for (at, &part) in parts.iter().enumerate().rev() {
        tasks.push(Task::Node(part, around));
        if at > 0 {
            tasks.push(Task::Text(between));
        }
    }
    if open {
        tasks.push(Task::Text("(?:"));
    }
}

fn suffix(repeat: Repeat) -> String {
    match (repeat.min, repeat.max) {
        (0, None) => "*".to_owned(),
        (1, None) => "+".to_owned(),
        (0, Some(1)) => "?".to_owned(),
        (min, None) => format!("{{{min},}}"),
        (min, Some(max)) => format!("{{{min},{max}}}"),
    }
}

fn literal(code: u32, fold: bool, out: &mut String) {
    match char::from_u32(code) {
        // A surrogate: no text has one.
        None => class(std::iter::empty(), out),
        Some(code) => match orbit(code).filter(|_| fold) {
            Some(orbit) => class(orbit.iter().map(|&member| (member, member)), out),
            None => character(code, out),
        },
    }
}

fn class(ranges: impl Iterator<Item = (char, char)>, out: &mut String) {
    let mut ranges = ranges.peekable();
    if ranges.peek().is_none() {
        out.push_str(r"[^\x00-\x{10FFFF}]");
        return;
    }
    out.push('[');
    for (first, last) in ranges {
        character(first, out);
        if first < last {
            out.push('-');
            character(last, out);
        }
    }
    out.push(']');
}

/// A character that means itself, in a class or not.
fn character(character: char, out: &mut String) {
    if character.is_ascii_alphanumeric() || !character.is_ascii() {
        out.push(character);
    } else {
        // Writing to a string does not fail.
        let _ = write!(out, "\\x{:02X}", u32::from(character));
    }
}
