//! Archives to send: whole ones, parts, and such as nobody should take.

use std::path::Path;

use ff_relay::snapshot::archive::{Compression, Contents, Tree, write};
use ff_relay::source::file::Location;
use ff_relay::source::file::load::read_once;

/// What a directory holds.
pub fn tree(directory: &Path) -> Tree {
    let loaded = read_once(&Location::of(directory)).unwrap();
    Tree::whole(loaded.environments, loaded.served)
}

/// A directory as an archive.
pub fn packed(directory: &Path) -> Vec<u8> {
    of(&tree(directory))
}

/// A tree as an archive.
pub fn of(tree: &Tree) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(&Contents::from(tree), Compression::Gzip, &mut bytes).unwrap();
    bytes
}
