//! The known name nearest to one that was mistyped.

/// The candidate with the fewest edits from `word`, the first of equals; letter case, and `_` for
/// `-`, count as no edit. `None` only without candidates.
pub(super) fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let word: Vec<char> = word.to_ascii_lowercase().replace('_', "-").chars().collect();
    candidates.min_by_key(|candidate| distance(&word, candidate))
}

/// Edits between two words: a letter added, dropped or replaced, or two neighbours swapped
/// (`-prot`), each counted once; the optimal string alignment distance, row by row.
fn distance(left: &[char], right: &str) -> usize {
    let cell = |row: &[usize], column: usize| row.get(column).copied().unwrap_or(usize::MAX / 2);
    let mut last_but_one: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=left.len()).collect();
    let mut letter_before = None;
    for (row, letter) in right.chars().enumerate() {
        let mut current = vec![row + 1];
        let mut other_before = None;
        for (column, other) in left.iter().enumerate() {
            let replaced = cell(&last, column) + usize::from(*other != letter);
            let added = cell(&last, column + 1) + 1;
            let dropped = cell(&current, column) + 1;
            let is_swap = other_before == Some(letter) && letter_before == Some(*other);
            let swapped = if is_swap { cell(&last_but_one, column.saturating_sub(1)) + 1 } else { added };
            current.push(replaced.min(added).min(dropped).min(swapped));
            other_before = Some(*other);
        }
        letter_before = Some(letter);
        last_but_one = std::mem::replace(&mut last, current);
    }
    last.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        let count = |a: &str, b| distance(&a.chars().collect::<Vec<_>>(), b);
        assert_eq!(count("kitten", "sitting"), 3);
        assert_eq!(count("", "abc"), 3);
        assert_eq!(count("abc", ""), 3);
        assert_eq!(count("same", "same"), 0);
        assert_eq!(count("prot", "port"), 1);
        assert_eq!(count("ca", "abc"), 3);
    }

    #[test]
    fn picks_the_nearest() {
        let names = ["port", "offline", "api-keys"];
        for (word, expected) in [("prot", "port"), ("ofline", "offline"), ("API_KEYS", "api-keys")] {
            assert_eq!(nearest(word, names.into_iter()), Some(expected));
        }
    }
}
