use super::*;

fn accepted(expression: &str) -> bool {
    translate(expression).is_ok()
}

fn matches(expression: &str, text: &str) -> bool {
    translate(expression).unwrap().build(64 << 20).unwrap().is_match(text)
}

#[test]
fn what_go_accepts() {
    for expression in [
        "",
        "a|",
        "|",
        "()",
        "(?:)*",
        "(a|)*",
        "^*",
        "\\b+",
        "a*?",
        "a{2}?",
        "a{,5}",
        "a{",
        "a{1",
        "a{1,",
        "{",
        "}",
        "]",
        "a{01}",
        "\\Qa**",
        "\\Q\\E",
        "\\Q[a]\\E+",
        "[\\w-z]",
        "[Z-\\]]",
        "[]a]",
        "[^]a]",
        "[a-]",
        "[-a]",
        "[--a]",
        "[[:alpha:]]",
        "[[:^alpha:]]",
        "[[:a]",
        "[[]",
        "[&&]",
        "\\p{^Greek}",
        "\\P{^Lu}",
        "\\pN",
        "\\p{Old_Italic}",
        "\\p{letter}",
        "(?P<a>x)(?P<a>y)",
        "(?<a>x)",
        "\\101",
        "\\0",
        "\\00",
        "\\12",
        "\\x41",
        "\\x{10FFFF}",
        "\\x{D800}",
        "\\_",
        "\\-",
        "\\ ",
        "\\\n",
        "(?i)a",
        "(?)",
        "(?i-s:a)",
        "(?U)a*",
        "a*(?i)*",
        "a*(?:)*",
        "(?:a*)*",
        "x{1000}",
        "(x{10}){100}",
        "(x{0}){1000}",
        "x{0,}",
    ] {
        assert!(accepted(expression), "{expression:?}: {:?}", translate(expression).err());
    }
}

#[test]
fn what_go_refuses() {
    for expression in [
        "(",
        ")",
        "a)",
        "[",
        "[]",
        "[^]",
        "[a",
        "*",
        "+a",
        "(*)",
        "|*",
        "(?i)*",
        "a**",
        "a*+",
        "a{2}{3}",
        "a?{2}",
        "a+*?",
        "x{1001}",
        "x{2,1}",
        "x{0,1001}",
        "x{99999999999}",
        "(x{100}){11}",
        "((x{10}){10}){11}",
        "\\",
        "\\1",
        "\\8",
        "\\C",
        "\\Z",
        "\\E",
        "\\u0041",
        "\\x4",
        "\\x{}",
        "\\x{110000}",
        "\\y",
        "\\é",
        "[\\b]",
        "[\\Q]",
        "[z-a]",
        "[a--b]",
        "[a-\\d]",
        "[[:no:]]",
        "\\p",
        "\\p{",
        "\\p{Nope}",
        "\\p{gc=L}",
        "\\p{Alphabetic}",
        "\\p{Grek}",
        "\\pé",
        "(?x)",
        "(?u)",
        "(?-)",
        "(?i-)",
        "(?i--s)",
        "(?",
        "(?i",
        "(?=a)",
        "(?!a)",
        "(?<=a)",
        "(?P=a)",
        "(?P<>a)",
        "(?P<a b>c)",
        "(?#c)",
    ] {
        assert!(!accepted(expression), "{expression:?}");
    }
}

#[test]
fn what_they_match() {
    for (expression, text, expected) in [
        ("^\\d$", "٣", false),
        ("^\\w$", "é", false),
        ("^\\s$", "\u{b}", false),
        ("^[[:space:]]$", "\u{b}", true),
        ("\\bé", "é", false),
        ("\\Bé", "é", true),
        ("(?i)^k$", "\u{212a}", true),
        ("(?i)^\\w$", "\u{212a}", true),
        ("(?i)^\\W$", "\u{212a}", false),
        ("(?i)^[^k]$", "K", false),
        ("(?i)^\\p{Lu}$", "a", true),
        ("(?i)^\\P{Lu}$", "a", false),
        ("[a&&b]", "&", true),
        ("[a~~b]", "~", true),
        ("[[a]", "[", true),
        ("\\<a", "<a", true),
        ("\\b{start}", "a{start}", true),
        ("a$", "a\n", false),
        ("(?m)a$", "a\nb", true),
        ("a.b", "a\nb", false),
        ("(?s)a.b", "a\nb", true),
        ("\\x{D800}", "\u{fffd}", false),
        ("\\101\\60", "A0", true),
        ("^\\Q.\\E+$", "...", true),
        ("^(?i)a(?-i)b$", "Ab", true),
        ("^(?i:a)b$", "AB", false),
        ("^(?:a|b)c$", "ac", true),
        ("^a|bc$", "ac", true),
        ("^(?:ab){2}$", "abab", true),
    ] {
        assert_eq!(matches(expression, text), expected, "{expression:?} on {text:?}");
    }
}

#[test]
fn deep_nesting_neither_overflows_nor_passes_gos_limit() {
    let nested = |open: &str, levels: usize| format!("{}a{}", open.repeat(levels), ")".repeat(levels));
    assert!(matches(&nested("(", 999), "a"));
    assert_eq!(translate(&nested("(", 1000)).err(), Some(SyntaxError::TooDeep));
    assert!(matches(&nested("(?:", 100_000), "a"));
    assert_eq!(translate(&"(".repeat(1_000_000)).err(), Some(SyntaxError::MissingParen));
    let stars = format!("{}a{}", "(?:b|".repeat(300), ")*c".repeat(300));
    assert!(matches(&stars, &"c".repeat(300)));
}

#[test]
fn large_expressions_are_refused_in_time() {
    let many = r"\pL".repeat(5_000);
    assert!(translate(&many).is_err() || translate(&many).unwrap().build(64 << 20).is_err());
    let repeated = "(?:a{1000}){1}".repeat(5_000);
    assert!(translate(&repeated).is_err());
    assert!(matches!(translate(r"\pL{900}").unwrap().build(1 << 20), Err(BuildError::TooLarge)));
}
