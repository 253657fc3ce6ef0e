//! SDK tokens.

use divan::Bencher;
use ff_relay::config::Secret;
use ff_relay::http::token::TokenKeys;
use ff_relay::snapshot::item::Digest;

use super::{data, snapshots};

const NOW: i64 = 1_750_000_000;

fn token(keys: &TokenKeys, target: Option<&str>) -> String {
    let snapshot = snapshots::first(snapshots::content(10));
    keys.issue(&snapshot, None, &Digest::of(b"key"), target, NOW)
}

fn keys() -> TokenKeys {
    TokenKeys::new(&Secret::new("a-secret-for-benchmarks-only-0123456789"), &[], true)
}

#[divan::bench(args = [false, true])]
fn sign(bencher: Bencher<'_, '_>, with_target: bool) {
    let (keys, snapshot) = (keys(), snapshots::first(snapshots::content(10)));
    let (key, target) = (Digest::of(b"key"), data::target().to_string());
    let target = with_target.then_some(target.as_str());
    bencher.bench(|| keys.issue(&snapshot, None, &key, target, NOW));
}

#[divan::bench(args = [false, true])]
fn verify(bencher: Bencher<'_, '_>, with_target: bool) {
    let keys = keys();
    let target = data::target().to_string();
    let token = token(&keys, with_target.then_some(target.as_str()));
    bencher.bench(|| keys.verify(&token, NOW).unwrap());
}
