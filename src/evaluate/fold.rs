//! Equality but for case, by Unicode simple folding: what Go's `strings.EqualFold` does.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::fold_table::RUNS;

/// The smallest of the characters that are equal to `character` but for case.
#[must_use]
pub fn fold(character: char) -> char {
    if character.is_ascii() {
        return character.to_ascii_uppercase();
    }
    let code = u32::from(character);
    let after = RUNS.partition_point(|&(first, ..)| first <= code);
    let run = after.checked_sub(1).and_then(|at| RUNS.get(at));
    match run {
        Some(&(first, last, step, distance)) if code <= last && (code - first) % step == 0 => {
            code.checked_add_signed(distance).and_then(char::from_u32).unwrap_or(character)
        }
        _ => character,
    }
}

/// `text` with every character folded.
#[must_use]
pub fn fold_text(text: &str) -> Box<str> {
    text.chars().map(fold).collect::<String>().into_boxed_str()
}

/// Whether `text`, folded, is `folded`. Neither allocates nor looks further than the first
/// difference.
#[must_use]
pub fn equals_folded(text: &str, folded: &str) -> bool {
    if text.is_ascii() {
        // Letters fold to letters of ASCII, wherever they are equal to others.
        return text.len() == folded.len() && text.bytes().map(|byte| byte.to_ascii_uppercase()).eq(folded.bytes());
    }
    text.chars().map(fold).eq(folded.chars())
}

/// Every set of two or more characters that are equal but for case.
pub(super) fn orbits() -> &'static [Vec<char>] {
    static ORBITS: LazyLock<Vec<Vec<char>>> = LazyLock::new(|| {
        let mut by_smallest: HashMap<char, Vec<char>> = HashMap::new();
        for &(first, last, step, _) in RUNS {
            let members = (first..=last).filter(|code| (code - first) % step == 0);
            for member in members.filter_map(char::from_u32) {
                let smallest = fold(member);
                by_smallest.entry(smallest).or_insert_with(|| vec![smallest]).push(member);
            }
        }
        let mut orbits: Vec<_> = by_smallest.into_values().collect();
        orbits.sort_unstable();
        orbits
    });
    &ORBITS
}

/// The characters that are equal to `character` but for case, if there are others.
pub(super) fn orbit(character: char) -> Option<&'static [char]> {
    let smallest = fold(character);
    let orbits = orbits();
    let at = orbits.binary_search_by_key(&Some(smallest), |orbit| orbit.first().copied()).ok()?;
    orbits.get(at).map(Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kelvin_sign_and_the_long_s_are_equal_to_their_letters() {
        for (text, other, equal) in [
            ("Kelvin", "\u{212a}ELVIN", true),
            ("\u{17f}et", "SET", true),
            ("Σίσυφος", "ΣΊΣΥΦΟΣ", true),
            ("ß", "ẞ", true),
            ("ß", "ss", false),
            ("İ", "i", false),
            ("ab", "abc", false),
            ("", "", true),
        ] {
            assert_eq!(equals_folded(text, &fold_text(other)), equal, "{text} {other}");
        }
    }

    #[test]
    fn an_orbit_has_every_member() {
        assert_eq!(orbit('k'), Some(&['K', 'k', '\u{212a}'][..]));
        assert_eq!(orbit('σ'), Some(&['Σ', 'ς', 'σ'][..]));
        assert_eq!(orbit('1'), None);
        assert_eq!(orbits().iter().map(Vec::len).sum::<usize>(), 2878);
    }
}
