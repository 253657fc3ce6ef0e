//! Tests of clauses, shared: what one rule asks, a thousand others ask too.
//!
//! Flags of any environment hold the same copy of a test, so that an expression is compiled once
//! and an evaluation can tell that it has asked this before.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};

use sha2::{Digest as _, Sha256};

use crate::evaluate::compiled::TextTest;

/// What a test is known by: a digest of all that it is made from.
pub(super) type Key = [u8; 32];

/// Tests in use by any environment of this process.
#[derive(Debug, Default)]
pub(super) struct SharedTests {
    known: HashMap<Key, Weak<TextTest>>,
    /// Tests that nobody uses any more are let go when there are so many.
    full: usize,
}

/// The fewest tests at which unused ones are looked for.
const SMALLEST: usize = 1024;

/// What tells one test from others; `limit` is what its expression may take, in bytes.
pub(super) fn key(op: &str, values: &[String], limit: usize) -> Key {
    let mut digest = Sha256::new();
    digest.update(limit.to_le_bytes());
    for text in std::iter::once(op).chain(values.iter().map(String::as_str)) {
        digest.update(text.len().to_le_bytes());
        digest.update(text);
    }
    digest.finalize().into()
}

/// The test that goes by this key, if somebody uses it.
pub(super) fn find(key: &Key) -> Option<Arc<TextTest>> {
    with(|tests| tests.known.get(key)?.upgrade())
}

/// Shares a test: the one that somebody else made meanwhile, or this one.
pub(super) fn share(key: Key, test: TextTest) -> Arc<TextTest> {
    with(|tests| tests.share(key, test))
}

fn with<T>(use_them: impl FnOnce(&mut SharedTests) -> T) -> T {
    static TESTS: LazyLock<Mutex<SharedTests>> = LazyLock::new(Mutex::default);
    use_them(&mut TESTS.lock().unwrap_or_else(PoisonError::into_inner))
}

impl SharedTests {
    fn share(&mut self, key: Key, test: TextTest) -> Arc<TextTest> {
        if let Some(known) = self.known.get(&key).and_then(Weak::upgrade) {
            return known;
        }
        if self.known.len() >= self.full.max(SMALLEST) {
            self.known.retain(|_, test| test.strong_count() > 0);
            self.full = 2 * self.known.len();
        }
        let test = Arc::new(test);
        self.known.insert(key, Arc::downgrade(&test));
        test
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::compiled::{Comparison, Shown};

    fn test() -> TextTest {
        TextTest { op: "".into(), shown: Shown { first: Box::default(), total: 0 }, comparison: Comparison::Never }
    }

    #[test]
    fn a_test_is_shared_while_somebody_uses_it() {
        let mut tests = SharedTests::default();
        let key = key("equal", &["a".to_owned()], 1);
        let first = tests.share(key, test());
        assert!(Arc::ptr_eq(&first, &tests.share(key, test())));
        drop(first);
        assert!(tests.known.get(&key).unwrap().upgrade().is_none());
    }

    #[test]
    fn tests_that_nobody_uses_are_let_go() {
        let mut tests = SharedTests::default();
        let keys = || (0..10 * SMALLEST).map(|at| key("equal", &[at.to_string()], 1));
        for key in keys() {
            tests.share(key, test());
        }
        assert!(tests.known.len() <= SMALLEST, "{}", tests.known.len());
        let held: Vec<_> = keys().map(|key| tests.share(key, test())).collect();
        assert_eq!(tests.known.values().filter(|test| test.strong_count() > 0).count(), held.len());
    }

    #[test]
    fn everything_that_a_test_is_made_from_tells_it_from_others() {
        let of = |op: &str, values: &[&str], limit| {
            key(op, &values.iter().map(ToString::to_string).collect::<Vec<_>>(), limit)
        };
        let all = [
            of("in", &["a", "b"], 1),
            of("in", &["ab"], 1),
            of("in", &["a", "b"], 2),
            of("equal", &["a", "b"], 1),
            of("in", &["b", "a"], 1),
            of("in", &[], 1),
            of("ina", &["b"], 1),
        ];
        let distinct: std::collections::HashSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
    }
}
