//! What one row of the option table says.

use super::kind::Kind;

/// One option: the row from which command line, environment, help, README and `--print-config`
/// are all made, so that they cannot disagree.
#[derive(Debug, Clone, Copy)]
pub struct OptionSpec {
    /// Name on the command line, without dashes.
    pub flag: &'static str,
    /// Name in the environment.
    pub variable: Variable,
    /// What a value looks like.
    pub kind: Kind,
    /// What holds when nobody gives a value.
    pub fallback: Fallback,
    /// Heading under which help shows it.
    pub group: Group,
    /// Where it matters.
    pub scope: Scope,
    /// Whether what it asks for exists.
    pub status: Status,
    /// What it does, in a sentence or two.
    pub help: &'static str,
}

/// The environment variable of an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variable {
    /// The flag in capitals with `_`.
    FromFlag,
    /// A name that does not follow from the flag.
    Named(&'static str),
    /// The flag in capitals, or else in small letters, as other tools read `HTTPS_PROXY`.
    EitherCase,
    /// None: the option says what to do now, which a variable must not.
    None,
}

/// The value of an option that nobody gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fallback {
    /// This text, read like any other value.
    Text(&'static str),
    /// Worked out from other options or at start-up, as the words say.
    Derived(&'static str),
    /// Nothing.
    None,
}

/// Where an option matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// In every mode.
    Always,
    /// Not when offline: accepted and left unused there.
    Online,
    /// As `Online`, but used offline too when `offline-redis` is on.
    OnlineOrRedis,
}

/// Whether what an option asks for exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It works.
    Active,
    /// Taken for the Go proxy's sake, with one warning; the words say why it does nothing.
    NoEffect(&'static str),
}

/// Headings of the help text, in its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// Where flags come from, offline.
    Offline,
    /// The port SDKs talk to.
    Listener,
    /// Who may ask, and what is stored about them.
    Access,
    /// Streams to SDKs.
    Streams,
    /// Evaluation of flags.
    Evaluation,
    /// The gRPC and snapshot listener.
    Grpc,
    /// Logs, metrics, readiness, shutdown.
    Operation,
    /// The connection to Harness.
    Harness,
    /// Another relay as source.
    Peers,
    /// Redis.
    Redis,
    /// What to do instead of running.
    Action,
    /// Options of the Go proxy that do nothing here.
    Ignored,
}

impl Group {
    /// Every group, in the order in which help shows them.
    pub const ALL: [Self; 12] = [
        Self::Offline,
        Self::Listener,
        Self::Access,
        Self::Streams,
        Self::Evaluation,
        Self::Grpc,
        Self::Operation,
        Self::Harness,
        Self::Peers,
        Self::Redis,
        Self::Action,
        Self::Ignored,
    ];

    /// The heading.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Offline => "Offline source and stored state",
            Self::Listener => "SDK port",
            Self::Access => "Access and targets",
            Self::Streams => "Streams to SDKs",
            Self::Evaluation => "Evaluation",
            Self::Grpc => "gRPC admin and snapshot API",
            Self::Operation => "Logs, metrics, shutdown",
            Self::Harness => "Harness as source",
            Self::Peers => "Another relay as source",
            Self::Redis => "Redis",
            Self::Action => "Instead of running",
            Self::Ignored => "Accepted for the Go proxy's sake, without effect",
        }
    }
}

impl OptionSpec {
    /// A row that matters everywhere, works, and has the usual variable.
    #[must_use]
    pub const fn new(group: Group, flag: &'static str, kind: Kind, fallback: Fallback, help: &'static str) -> Self {
        Self {
            flag,
            variable: Variable::FromFlag,
            kind,
            fallback,
            group,
            scope: Scope::Always,
            status: Status::Active,
            help,
        }
    }

    /// The same row for another scope.
    #[must_use]
    pub const fn scope(mut self, scope: Scope) -> Self {
        self.scope = scope;
        self
    }

    /// The same row with another status.
    #[must_use]
    pub const fn status(mut self, status: Status) -> Self {
        self.status = status;
        self
    }

    /// The same row with another variable.
    #[must_use]
    pub const fn variable(mut self, variable: Variable) -> Self {
        self.variable = variable;
        self
    }

    /// The environment variable's name; `None` for what only the command line can ask.
    #[must_use]
    pub fn variable_name(&self) -> Option<String> {
        match self.variable {
            Variable::FromFlag | Variable::EitherCase => Some(self.flag.to_ascii_uppercase().replace('-', "_")),
            Variable::Named(name) => Some(name.to_owned()),
            Variable::None => None,
        }
    }

    /// Every variable that gives the value, the preferred one first.
    pub(super) fn variable_names(&self) -> impl Iterator<Item = String> {
        let name = self.variable_name();
        let small = matches!(self.variable, Variable::EitherCase)
            .then(|| name.as_ref().map(|name| name.to_ascii_lowercase()))
            .flatten();
        name.into_iter().chain(small)
    }

    /// The variable that names a file holding the value; secrets only.
    #[must_use]
    pub fn file_variable_name(&self) -> Option<String> {
        let name = self.variable_name().filter(|_| self.kind.is_secret())?;
        Some(format!("{name}_FILE"))
    }

    /// The default as help and README show it.
    #[must_use]
    pub const fn fallback_text(&self) -> &'static str {
        match self.fallback {
            Fallback::Text(text) | Fallback::Derived(text) => text,
            Fallback::None => "none",
        }
    }
}
