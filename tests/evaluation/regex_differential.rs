//! The regular expression dialect against Go's own `regexp`, on generated expressions.
//!
//! `FF_REGEX_CASES` and `FF_REGEX_SEED` change how many there are, and which.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test")]

use std::fmt::Write;

use crate::go::{Dice, ask, reference};
use ff_relay::evaluate::regex_dialect::{BuildError, translate};
use serde::{Deserialize, Serialize};

#[derive(Serialize)]
struct Question {
    pattern: String,
    texts: Vec<String>,
}

#[derive(Deserialize)]
struct Answer {
    ok: bool,
    matches: Vec<bool>,
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

/// The first difference, if there is one. Whether it was compared at all: an expression may be
/// fine and yet too large.
fn difference(question: &Question, answer: &Answer) -> Result<bool, String> {
    let translated = match (translate(&question.pattern), answer.ok) {
        (Ok(translated), true) => translated,
        (Err(_), false) => return Ok(true),
        (Ok(_), false) => return Err("accepted, Go refuses it".to_owned()),
        (Err(error), true) => return Err(format!("{error}, Go accepts it")),
    };
    let regex = match translated.build(64 << 20) {
        Ok(regex) => regex,
        Err(BuildError::TooLarge) => return Ok(false),
        Err(error) => return Err(format!("cannot be built: {error}: {:?}", translated.text())),
    };
    for (text, expected) in question.texts.iter().zip(&answer.matches) {
        if regex.is_match(text) != *expected {
            return Err(format!("on {text:?} Go says {expected}, as {:?}", translated.text()));
        }
    }
    Ok(true)
}

fn compare(test: &str, questions: &[Question]) {
    let Some(program) = reference(test) else {
        return;
    };
    let mut input = String::new();
    for question in questions {
        writeln!(input, "{}", serde_json::to_string(question).unwrap()).unwrap();
    }
    let answers = ask(&program, "match", input);
    assert_eq!(answers.len(), questions.len());
    let (mut accepted, mut matched, mut too_large) = (0, 0, 0);
    let mut faults = Vec::new();
    for (question, answer) in questions.iter().zip(&answers) {
        let answer: Answer = serde_json::from_str(answer).unwrap();
        accepted += usize::from(answer.ok);
        matched += answer.matches.iter().filter(|matched| **matched).count();
        match difference(question, &answer) {
            Ok(compared) => too_large += usize::from(!compared),
            Err(fault) => faults.push(format!("{:?}: {fault}", question.pattern)),
        }
    }
    eprintln!(
        "{test}: {} expressions, {accepted} of them accepted, {matched} matches, {too_large} too large",
        questions.len()
    );
    faults.truncate(50);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(too_large * 100 <= questions.len(), "{too_large} were not compared");
}

#[test]
fn generated_expressions_mean_what_they_mean_in_go() {
    let mut dice = Dice(number("FF_REGEX_SEED", 1));
    let cases = number("FF_REGEX_CASES", 20_000);
    let questions: Vec<_> = (0..cases)
        .map(|_| {
            let pattern = crate::patterns::pattern(&mut dice);
            let texts = crate::patterns::texts(&mut dice, &pattern);
            Question { pattern, texts }
        })
        .collect();
    compare("regex_differential_generated", &questions);
}

/// Every property, with and without regard to case, on all characters; those that Go does not
/// have in its tables were added to Unicode later.
#[test]
fn properties_have_the_characters_they_have_in_go() {
    let questions: Vec<_> = crate::properties::properties()
        .into_iter()
        .map(|pattern| Question { pattern, texts: crate::properties::every_character() })
        .collect();
    compare("regex_differential_properties", &questions);
}

/// Every escape of one character, in and outside of a class.
#[test]
fn escapes_are_read_as_in_go() {
    let mut questions = Vec::new();
    for character in (0..=0x7F_u8).map(char::from).chain(['é', '\u{2028}', '𐐀']) {
        let same = character.to_string();
        let texts = ["a", "1", " ", "\n", "\u{b}", "é", "", "_", same.as_str(), "a b"].map(str::to_owned).to_vec();
        for pattern in
            [format!("\\{character}"), format!("[\\{character}]"), format!("^(?i)[^\\{character}]$"), same.clone()]
        {
            questions.push(Question { pattern, texts: texts.clone() });
        }
    }
    compare("regex_differential_escapes", &questions);
}
