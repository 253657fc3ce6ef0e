//! Expressions in Go's grammar, damaged ones, and texts to match them against.

#![allow(clippy::indexing_slicing, reason = "for tests")]

use super::go::Dice;

const LITERALS: &[&str] = &[
    "a", "b", "c", "k", "K", "s", "ſ", "\u{212a}", "é", "É", "σ", "ς", "1", "0", "_", "-", " ", ",", "&", "&&", "~",
    "~~", "--", "<", ">", "#", "{", "}", "]", ":", "=", "!", "ǆ", "ß", "ẞ", "İ", "\n", "{,5}", "{a}", "a{", "{01}",
    "P", "{1,a}",
];
const ESCAPES: &[&str] = &[
    "\\d",
    "\\D",
    "\\s",
    "\\S",
    "\\w",
    "\\W",
    "\\b",
    "\\B",
    "\\A",
    "\\z",
    "\\.",
    "\\-",
    "\\_",
    "\\\\",
    "\\[",
    "\\]",
    "\\n",
    "\\t",
    "\\v",
    "\\f",
    "\\r",
    "\\a",
    "\\101",
    "\\60",
    "\\0",
    "\\07",
    "\\x41",
    "\\x{41}",
    "\\x{212A}",
    "\\x{D800}",
    "\\x{10FFFF}",
    "\\Qa.b\\E",
    "\\Q\\E",
    "\\Q*\\E",
    "\\pL",
    "\\PL",
    "\\pN",
    "\\p{Lu}",
    "\\P{Lu}",
    "\\p{^Lu}",
    "\\p{Greek}",
    "\\P{^Greek}",
    "\\p{Ll}",
    "\\p{Nd}",
    "\\p{Any}",
    "\\p{Lt}",
    "\\pZ",
    "\\p{letter}",
    "\\<",
    "\\>",
    "\\&",
    "\\b{start}",
];
const BAD: &[&str] = &[
    "\\C",
    "\\Z",
    "\\E",
    "\\1",
    "\\8",
    "\\u0041",
    "\\y",
    "\\x",
    "\\x{",
    "\\x{110000}",
    "\\p{gc=L}",
    "\\p{Alphabetic}",
    "\\p",
    "\\p{",
    "(?x)",
    "(?u)",
    "(?=a)",
    "(?P<",
    "(?P<a",
    "(?#",
    "**",
    "*+",
    "{2}{3}",
    "{1001}",
    "{2,1}",
    "[",
    "(",
    ")",
    "\\",
    "(?",
    "[[:no:]]",
    "[a--b]",
    "[z-a]",
    "(?i-)",
    "(?-)",
];
const CLASS_ITEMS: &[&str] = &[
    "a",
    "b",
    "k",
    "K",
    "s",
    "é",
    "σ",
    "1",
    "_",
    "-",
    "&",
    "&&",
    "~~",
    "--",
    "[",
    "^",
    ".",
    "*",
    "a-z",
    "A-Z",
    "0-9",
    "a-k",
    "Z-a",
    "é-ü",
    "+--",
    "\\d",
    "\\D",
    "\\w",
    "\\W",
    "\\s",
    "\\S",
    "\\pL",
    "\\PL",
    "\\p{Lu}",
    "\\P{Greek}",
    "[:alpha:]",
    "[:^alpha:]",
    "[:upper:]",
    "[:^lower:]",
    "[:space:]",
    "[:word:]",
    "[:punct:]",
    "[:^ascii:]",
    "[:",
    ":]",
    "\\]",
    "\\-",
    "\\\\",
    "\\n",
    "\\x{17F}",
    "\\101",
    "\\x41-\\x5a",
    "\\x{0}-\\x{10FFFF}",
    "\\x{D800}-\\x{DFFF}",
    "\n",
    " ",
    "\\^",
    "#",
];
const REPEATS: &[&str] = &[
    "*", "+", "?", "*?", "+?", "??", "{2}", "{0}", "{1,2}", "{0,1}", "{2,}", "{0,}", "{1}?", "{3,4}?", "{0,0}", "{10}",
];
const OPENINGS: &[&str] = &[
    "(", "(", "(?:", "(?:", "(?i)", "(?i:", "(?s:", "(?m:", "(?U:", "(?-i:", "(?is-m:", "(?i-s:", "(?m)", "(?s)",
    "(?-s)", "(?-i)", "(?P<n>", "(?<n>", "(?)", "(?ims)", "(?U)",
];

/// An expression; about one in four is damaged.
pub fn pattern(dice: &mut Dice) -> String {
    let mut pattern = String::new();
    let depth = 1 + dice.roll(4);
    alternation(dice, depth, &mut pattern);
    if dice.roll(4) == 0 {
        for _ in 0..=dice.roll(2) {
            pattern = damaged(dice, &pattern);
        }
    }
    pattern
}

fn alternation(dice: &mut Dice, depth: usize, out: &mut String) {
    let alternatives = [1, 1, 1, 2, 3][dice.roll(5)];
    for at in 0..alternatives {
        if at > 0 {
            out.push('|');
        }
        for _ in 0..[0, 1, 1, 2, 2, 3, 4][dice.roll(7)] {
            piece(dice, depth, out);
        }
    }
}

fn piece(dice: &mut Dice, depth: usize, out: &mut String) {
    match dice.roll(if depth > 0 { 12 } else { 9 }) {
        0..=3 => out.push_str(dice.pick(LITERALS)),
        4..=5 => out.push_str(dice.pick(ESCAPES)),
        6 => out.push_str(dice.pick(&[".", "^", "$", "^", "$", "."])),
        7..=8 => class(dice, out),
        _ => {
            let opening = dice.pick(OPENINGS);
            out.push_str(opening);
            if !opening.ends_with(')') {
                alternation(dice, depth - 1, out);
                out.push(')');
            }
        }
    }
    if dice.roll(4) == 0 {
        out.push_str(dice.pick(REPEATS));
    }
}

fn class(dice: &mut Dice, out: &mut String) {
    out.push_str(dice.pick(&["[", "[", "[^", "[]", "[^]", "[-"]));
    for _ in 0..=dice.roll(3) {
        out.push_str(dice.pick(CLASS_ITEMS));
    }
    out.push_str(dice.pick(&["]", "]", "]", "-]"]));
}

fn damaged(dice: &mut Dice, pattern: &str) -> String {
    let characters: Vec<char> = pattern.chars().collect();
    let at = dice.roll(characters.len() + 1);
    let (before, after) = characters.split_at(at);
    let insertion = match dice.roll(4) {
        0 => "",
        1 => dice.pick(BAD),
        2 => dice.pick(&[
            "*", "+", "?", "{", "}", "[", "]", "(", ")", "|", "\\", "^", "-", ":", "{3}", "(?", "1000", "E", "Q",
        ]),
        _ => dice.pick(REPEATS),
    };
    let skipped = dice.roll(3).min(after.len());
    before.iter().copied().chain(insertion.chars()).chain(after[skipped..].iter().copied()).collect()
}

/// Texts of the characters that expressions are about, and pieces of the expression itself.
pub fn texts(dice: &mut Dice, pattern: &str) -> Vec<String> {
    const CHARACTERS: &[&str] = &[
        "a", "b", "c", "A", "B", "k", "K", "\u{212a}", "s", "S", "ſ", "é", "É", "σ", "ς", "Σ", "1", "0", "٣", "_", "-",
        " ", "\n", "\u{b}", "&", "~", "[", "]", "^", ".", "*", "{", "}", ",", "5", "<", "ǆ", "ǅ", "Ǆ", "ß", "ẞ", "İ",
        "i", "𐐀", "\u{fffd}", "\u{2028}", "#", ":", "P", "\0", "\t", "\r",
    ];
    let own: Vec<char> = pattern.chars().collect();
    let mut texts = vec![String::new(), "a\nb".to_owned()];
    for _ in 0..8 {
        texts.push((0..=dice.roll(5)).map(|_| dice.pick(CHARACTERS)).collect());
    }
    for _ in 0..4 {
        let text = |dice: &mut Dice| {
            if own.is_empty() { 'a' } else { own[dice.roll(own.len())] }
        };
        texts.push((0..=dice.roll(4)).map(|_| text(dice)).collect());
    }
    texts
}
