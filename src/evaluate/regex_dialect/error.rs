/// Why Go refuses an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SyntaxError {
    /// `[[:no:]]`, `[z-a]`, `\p{No}`.
    #[error("invalid character class")]
    Class,
    /// `\y`, `\1`, `\x{110000}`.
    #[error("invalid escape sequence")]
    Escape,
    /// `(?P<`, `(?P<a b>x)`.
    #[error("invalid group name")]
    GroupName,
    /// `(?=a)`, `(?x)`.
    #[error("invalid or unsupported group syntax")]
    Group,
    /// `[a`.
    #[error("missing closing ]")]
    MissingBracket,
    /// `(a`.
    #[error("missing closing )")]
    MissingParen,
    /// `a)`.
    #[error("unexpected )")]
    UnexpectedParen,
    /// `*a`.
    #[error("nothing to repeat")]
    NothingToRepeat,
    /// `a**`.
    #[error("repetition of a repetition")]
    RepeatedRepeat,
    /// `a{1001}`, `a{2,1}`, `(a{100}){100}`.
    #[error("invalid repeat count")]
    RepeatCount,
    /// `\` at the end.
    #[error("trailing backslash")]
    TrailingBackslash,
    /// More than 1000 levels.
    #[error("expression nests too deeply")]
    TooDeep,
    /// More than Go would compile.
    #[error("expression too large")]
    TooLarge,
}
