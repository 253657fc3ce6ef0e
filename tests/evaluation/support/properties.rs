//! Unicode properties as expressions, and the characters to try them on.

/// `\p{…}` for categories, also negated and without regard to case, and for some scripts.
pub fn properties() -> Vec<String> {
    const CATEGORIES: &[&str] = &[
        "L",
        "Lu",
        "Ll",
        "Lt",
        "LC",
        "Lm",
        "Lo",
        "M",
        "Mn",
        "Mc",
        "Me",
        "N",
        "Nd",
        "Nl",
        "No",
        "P",
        "Pc",
        "Pd",
        "Ps",
        "Pe",
        "Pi",
        "Pf",
        "Po",
        "S",
        "Sm",
        "Sc",
        "Sk",
        "So",
        "Z",
        "Zs",
        "Zl",
        "Zp",
        "C",
        "Cc",
        "Cf",
        "Cs",
        "Co",
        "Cn",
        "Any",
        "ASCII",
        "Assigned",
        "letter",
        "Uppercase_Letter",
        "punct",
        "Cased_Letter",
        "Nope",
        "Grek",
    ];
    const SCRIPTS: &[&str] = &[
        "Greek",
        "Latin",
        "Cyrillic",
        "Han",
        "Common",
        "Inherited",
        "Arabic",
        "Hiragana",
        "Cherokee",
        "Georgian",
        "Coptic",
        "Kawi",
        "Devanagari",
        "SCRIPT",
    ];
    let forms = |name: &str| [format!("\\p{{{name}}}"), format!("(?i)[^\\P{{{name}}}]")];
    let scripts = SCRIPTS.iter().map(|name| format!("\\p{{{name}}}"));
    CATEGORIES.iter().flat_map(|name| forms(name)).chain(scripts).collect()
}

/// Every character alone, but for the wide planes of ideographs, of which every hundredth.
pub fn every_character() -> Vec<String> {
    ('\0'..=char::MAX)
        .filter(|&character| {
            let code = u32::from(character);
            code < 0x3400
                || (0xA000..0xAC00).contains(&code)
                || (0xF900..0x1_2000).contains(&code)
                || (0x1_6000..0x2_0000).contains(&code)
                || code % 101 == 0
        })
        .map(String::from)
        .collect()
}
