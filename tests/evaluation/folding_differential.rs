//! Case folding against Go's `unicode` and `strings`, character by character.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

use std::collections::HashMap;
use std::fmt::Write;

use crate::go::{Dice, ask, reference};
use ff_relay::evaluate::{equals_folded, fold, fold_text};

#[test]
fn every_character_folds_as_in_go() {
    let Some(program) = reference("folding_differential_characters") else {
        return;
    };
    let lines = ask(&program, "folding", String::new());
    let parse = |line: &String| {
        let (character, smallest) = line.split_once(' ').unwrap();
        (character.parse::<u32>().unwrap(), smallest.parse::<u32>().unwrap())
    };
    let smallest: HashMap<u32, u32> = lines.iter().map(parse).collect();
    assert!(smallest.len() > 2800);
    for character in '\0'..=char::MAX {
        let code = u32::from(character);
        let expected = smallest.get(&code).copied().unwrap_or(code);
        assert_eq!(u32::from(fold(character)), expected, "U+{code:04X}");
    }
}

#[test]
fn texts_are_equal_when_go_says_so() {
    const PIECES: &[&str] = &[
        "a", "A", "k", "K", "\u{212a}", "s", "S", "ſ", "ß", "ẞ", "σ", "ς", "Σ", "é", "É", "e\u{301}", "İ", "i", "I",
        "ı", "ǆ", "ǅ", "Ǆ", "µ", "μ", "Ω", "Ω", "𐐀", "𐐨", "1", " ", "ΐ", "\u{1fd3}",
    ];
    let Some(program) = reference("folding_differential_texts") else {
        return;
    };
    let mut dice = Dice(7);
    let mut pairs = Vec::new();
    for _ in 0..20_000 {
        let text = |dice: &mut Dice| (0..dice.roll(4)).map(|_| dice.pick(PIECES)).collect::<String>();
        let pair = (text(&mut dice), text(&mut dice));
        pairs.push(pair);
    }
    let mut input = String::new();
    for pair in &pairs {
        writeln!(input, "{}", serde_json::to_string(pair).unwrap()).unwrap();
    }
    let answers = ask(&program, "equal", input);
    assert_eq!(answers.len(), pairs.len());
    assert!(answers.iter().filter(|answer| *answer == "true").count() > 500);
    for ((a, b), answer) in pairs.iter().zip(&answers) {
        assert_eq!(equals_folded(a, &fold_text(b)), answer == "true", "{a:?} {b:?}");
    }
}
