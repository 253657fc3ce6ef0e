//! Archives of ten environments of a hundred flags.

use divan::Bencher;
use ff_relay::snapshot::archive::{Compression, Contents, Limits, Tree, read, write};
use ff_relay::snapshot::content::EnvironmentId;

use super::{data, snapshots};

const ENVIRONMENTS: usize = 10;
const FLAGS: usize = 100;

const KINDS: [&str; 2] = ["tar.gz", "tar.zst"];

fn tree() -> Tree {
    let environment = |at| (EnvironmentId::new(&data::environment(at)), snapshots::content(FLAGS));
    Tree::whole((0..ENVIRONMENTS).map(environment).collect(), std::collections::BTreeMap::new())
}

fn packed(tree: &Tree, kind: &str) -> Vec<u8> {
    let mut out = Vec::new();
    write(&Contents::from(tree), compression(kind), &mut out).unwrap();
    out
}

fn compression(kind: &str) -> Compression {
    Compression::of(format!("flags.{kind}").as_ref()).unwrap()
}

#[divan::bench(args = KINDS, sample_count = 10)]
fn pack(bencher: Bencher<'_, '_>, kind: &str) {
    let tree = tree();
    bencher.bench(|| packed(&tree, kind));
}

/// Unpacked, checked against its manifest, and parsed.
#[divan::bench(args = KINDS, sample_count = 10)]
fn unpack(bencher: Bencher<'_, '_>, kind: &str) {
    let archive = packed(&tree(), kind);
    bencher.bench(|| {
        let limits = Limits::default();
        let raw = read("flags", archive.len() as u64, archive.as_slice(), compression(kind), &limits).unwrap();
        raw.parse("flags").unwrap().environments.len()
    });
}
