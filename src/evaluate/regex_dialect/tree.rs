//! The syntax tree, with the measures by which Go limits it.

use std::sync::Arc;

use super::charset::CharSet;
use super::error::SyntaxError;
use super::repeat::{MOST, Repeat};

/// A node's place in its tree. Nodes live in a list, so that no operation needs recursion.
pub(super) type Id = usize;

#[derive(Debug)]
pub(super) enum Node {
    Empty,
    /// A code point, and whether its case is ignored.
    Literal(u32, bool),
    Set(Arc<CharSet>),
    Assertion(Assertion),
    /// `(…)`; adds to the height, means nothing else.
    Capture(Id),
    Repeat(Id, Repeat),
    Concat(Vec<Id>),
    Alternate(Vec<Id>),
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Assertion {
    TextStart,
    TextEnd,
    LineStart,
    LineEnd,
    WordBoundary,
    NoWordBoundary,
}

/// Go's limits: levels and instructions. Its limit on the numbers in classes is higher; this many
/// cannot be built within any limit used here.
const HIGHEST: u32 = 1000;
const LARGEST: u64 = (128 << 20) / 40;
const MOST_CLASS_NUMBERS: usize = 4 << 20;

#[derive(Debug, Clone, Copy)]
struct Measure {
    height: u32,
    /// Instructions.
    size: u64,
    /// The largest product of nested counts.
    copies: u32,
}

#[derive(Debug, Default)]
pub(super) struct Tree {
    nodes: Vec<(Node, Measure)>,
    class_numbers: usize,
}

const LEAF: Measure = Measure { height: 1, size: 1, copies: 1 };

impl Tree {
    pub(super) fn node(&self, id: Id) -> &Node {
        self.nodes.get(id).map_or(&Node::Empty, |(node, _)| node)
    }

    pub(super) fn height(&self, id: Id) -> u32 {
        self.measure(id).height
    }

    fn measure(&self, id: Id) -> Measure {
        self.nodes.get(id).map_or(LEAF, |(_, measure)| *measure)
    }

    /// Adds a node.
    pub(super) fn add(&mut self, node: Node) -> Result<Id, SyntaxError> {
        if let Node::Set(set) = &node {
            self.class_numbers += 2 * set.ranges().len();
        }
        let measure = self.measured(&node);
        if measure.height > HIGHEST {
            return Err(SyntaxError::TooDeep);
        }
        if measure.size > LARGEST || self.class_numbers > MOST_CLASS_NUMBERS {
            return Err(SyntaxError::TooLarge);
        }
        if measure.copies > MOST && matches!(&node, Node::Repeat(_, repeat) if repeat.counts()) {
            return Err(SyntaxError::RepeatCount);
        }
        self.nodes.push((node, measure));
        Ok(self.nodes.len() - 1)
    }

    fn measured(&self, node: &Node) -> Measure {
        match node {
            Node::Empty | Node::Literal(..) | Node::Set(_) | Node::Assertion(_) => LEAF,
            Node::Capture(of) => {
                let of = self.measure(*of);
                Measure { height: of.height + 1, size: of.size.saturating_add(2), copies: of.copies }
            }
            Node::Repeat(of, repeat) => {
                let of = self.measure(*of);
                Measure { height: of.height + 1, size: repeat.size_of(of.size), copies: repeat.copies_of(of.copies) }
            }
            Node::Concat(parts) => {
                // Go keeps neighbouring letters as one string.
                let one_string = parts.windows(2).all(|pair| match pair {
                    [a, b] => match (self.node(*a), self.node(*b)) {
                        (Node::Literal(_, a), Node::Literal(_, b)) => a == b,
                        _ => false,
                    },
                    _ => false,
                });
                let mut all = self.together(parts, |node| matches!(node, Node::Concat(_)));
                if one_string {
                    all.height = 1;
                }
                all
            }
            Node::Alternate(parts) => {
                let mut all = self.together(parts, |node| matches!(node, Node::Alternate(_)));
                all.size = all.size.saturating_add(parts.len().try_into().unwrap_or(u64::MAX)) - 1;
                all
            }
        }
    }

    /// A list's measure. One of the same kind inside does not add to the height: Go dissolves it.
    fn together(&self, parts: &[Id], dissolved: impl Fn(&Node) -> bool) -> Measure {
        let mut all = Measure { height: 1, size: 0, copies: 1 };
        for &part in parts {
            let Measure { height, size, copies } = self.measure(part);
            let above = u32::from(!dissolved(self.node(part)));
            all.height = all.height.max(height.saturating_add(above));
            all.size = all.size.saturating_add(size);
            all.copies = all.copies.max(copies);
        }
        all
    }
}

impl Repeat {
    /// Whether Go checks the count of copies at all.
    fn counts(self) -> bool {
        self.counted && (self.min >= 2 || self.max.is_some_and(|max| max >= 2))
    }

    fn copies_of(self, copies: u32) -> u32 {
        match self.max {
            _ if !self.counted => copies,
            Some(0) => 1,
            max => max.unwrap_or(self.min).max(1).saturating_mul(copies),
        }
    }

    fn size_of(self, size: u64) -> u64 {
        let (min, max) = (u64::from(self.min), self.max.map(u64::from));
        let size = match max {
            None if min == 0 => size.saturating_add(2),
            None => size.saturating_mul(min).saturating_add(1),
            Some(max) => size.saturating_mul(max).saturating_add(max - min.min(max)),
        };
        size.max(1)
    }
}
