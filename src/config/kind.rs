//! The kinds of values, and how each is read.

use std::path::PathBuf;
use std::time::Duration;

use super::address::{parse_base_url, parse_endpoint};
use super::areas::{LogFormat, LogLevel, Role};
use super::duration::{parse_duration, show_duration};
use super::redis_address::RedisAddress;
use super::secret::{Secret, split_secret_lines, split_secrets};
use super::value::Value;

/// What a value of an option looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A boolean as Go reads it.
    Bool,
    /// As `Bool`, and `on` or `off` too.
    Switch,
    /// Any text.
    Text,
    /// A file or directory.
    Path,
    /// The base of an HTTP API.
    Url,
    /// A time of at least `min`.
    Duration {
        /// Smallest value that makes sense.
        min: Duration,
    },
    /// A time of at least `min`, or none (`0`, `off`).
    OptionalDuration {
        /// Smallest value that makes sense, save none.
        min: Duration,
    },
    /// A TCP port; 0 lets the system choose.
    Port,
    /// A whole number from `min` to `max`.
    Count {
        /// Smallest value.
        min: u64,
        /// Largest value.
        max: u64,
    },
    /// A whole number, or none (`0`, `off`, `none`).
    Limit,
    /// An IP address to listen on.
    Ip,
    /// `address:port` to listen on, or `off`.
    Listen,
    /// A list of texts.
    List,
    /// A list of `host:port` or URLs.
    Endpoints,
    /// Redis addresses.
    Redis,
    /// A log level.
    Level,
    /// A log format.
    Format,
    /// A list of `<SAN>=<role>`.
    Roles,
    /// One secret.
    Secret,
    /// Secrets separated by commas or lines.
    Secrets,
    /// Secrets separated by lines only, as each may hold commas.
    SecretLines,
}

/// Numbers that fit every integer a row is stored in, on every platform.
pub(super) const LARGEST: u64 = 2_147_483_647;

impl Kind {
    /// Whether a value must never be shown.
    #[must_use]
    pub const fn is_secret(self) -> bool {
        matches!(self, Self::Secret | Self::Secrets | Self::SecretLines)
    }

    /// Whether the bare flag means `true`.
    #[must_use]
    pub const fn is_boolean(self) -> bool {
        matches!(self, Self::Bool | Self::Switch)
    }

    /// Whether a repeated flag adds to the value instead of replacing it.
    #[must_use]
    pub const fn is_list(self) -> bool {
        matches!(self, Self::List | Self::Endpoints | Self::Redis | Self::Roles | Self::Secrets | Self::SecretLines)
    }

    /// Whether an empty flag value (`-redis-address=`) means "unset" instead of being an error.
    #[must_use]
    pub const fn may_be_empty(self) -> bool {
        self.is_list() || matches!(self, Self::Text | Self::Path | Self::Url | Self::Secret)
    }

    /// The placeholder that help shows for a value.
    #[must_use]
    pub const fn placeholder(self) -> &'static str {
        match self {
            Self::Bool | Self::Switch => "",
            Self::Text => "<text>",
            Self::Path => "<path>",
            Self::Url => "<url>",
            Self::Duration { .. } | Self::OptionalDuration { .. } => "<time>",
            Self::Port => "<port>",
            Self::Count { .. } | Self::Limit => "<number>",
            Self::Ip => "<ip>",
            Self::Listen => "<ip:port>",
            Self::List => "<list>",
            Self::Endpoints | Self::Redis => "<addresses>",
            Self::Level => "<level>",
            Self::Format => "<format>",
            Self::Roles => "<san=role,…>",
            Self::Secret => "<secret>",
            Self::Secrets | Self::SecretLines => "<secrets>",
        }
    }

    /// What would be valid, for error texts.
    #[must_use]
    pub fn expected(self) -> String {
        match self {
            Self::Bool => "1, t, T, true, TRUE, True or 0, f, F, false, FALSE, False".to_owned(),
            Self::Switch => "true or false as Go reads them, on or off".to_owned(),
            Self::Text => "a text".to_owned(),
            Self::Path => "a path".to_owned(),
            Self::Url => {
                "http:// or https:// with a host and perhaps a path, without credentials, query or fragment".to_owned()
            }
            Self::Duration { min } => format!("{TIME}, at least {}", show_duration(min)),
            Self::OptionalDuration { min } => {
                format!("{TIME}, at least {}; 0 or off for none", show_duration(min))
            }
            Self::Port => "a port from 0 to 65535".to_owned(),
            Self::Count { min, max } => format!("a whole number from {min} to {max}"),
            Self::Limit => format!("a whole number up to {LARGEST}; 0, off or none for the default"),
            Self::Ip => "an IP address such as 127.0.0.1 or ::1".to_owned(),
            Self::Listen => "ip:port such as 127.0.0.1:7001 or [::1]:7001, or off".to_owned(),
            Self::List => "a comma-separated list".to_owned(),
            Self::Endpoints => {
                "host:port, http://host:port or https://host:port, several separated by commas".to_owned()
            }
            Self::Redis => "host:port, redis://host:port or rediss://host:port, several separated by commas".to_owned(),
            Self::Level => "DEBUG, INFO, WARN or ERROR".to_owned(),
            Self::Format => "json, text or auto".to_owned(),
            Self::Roles => "<SAN>=<role>, several separated by commas; a role is inspect, sync or admin".to_owned(),
            Self::Secret | Self::Secrets | Self::SecretLines => "a secret that is not empty".to_owned(),
        }
    }

    /// Reads a trimmed, non-empty text; `None` if it is not valid, see [`Kind::expected`].
    #[must_use]
    pub fn parse(self, text: &str) -> Option<Value> {
        Some(match self {
            Self::Bool => Value::Bool(parse_bool(text)?),
            Self::Switch => Value::Bool(match text {
                "on" => true,
                "off" => false,
                other => parse_bool(other)?,
            }),
            Self::Text => Value::Text(text.to_owned()),
            Self::Path => Value::Path(PathBuf::from(text)),
            Self::Url => Value::Text(parse_base_url(text)?),
            Self::Duration { min } => Value::Duration(Some(parse_duration(text).filter(|time| *time >= min)?)),
            Self::OptionalDuration { min } => parse_optional_duration(text, min)?,
            Self::Port => Value::Number(Some(u64::from(text.parse::<u16>().ok()?))),
            Self::Count { min, max } => Value::Number(Some(text.parse().ok().filter(|n| (min..=max).contains(n))?)),
            Self::Limit => parse_limit(text)?,
            Self::Ip => Value::Ip(text.parse().ok()?),
            Self::Listen if text.eq_ignore_ascii_case("off") => Value::Listen(None),
            Self::Listen => Value::Listen(Some(text.parse().ok()?)),
            Self::List => Value::List(items(text, |item| Some(item.to_owned()))?),
            Self::Endpoints => Value::List(items(text, parse_endpoint)?),
            Self::Redis => Value::Redis(items(text, RedisAddress::parse)?),
            Self::Level => Value::Level(LogLevel::parse(text)?),
            Self::Format => Value::Format(LogFormat::parse(text)?),
            Self::Roles => Value::Roles(items(text, parse_role)?),
            Self::Secret => Value::Secrets(vec![Secret::new(text)]),
            Self::Secrets => Value::Secrets(some_secrets(split_secrets(text))?),
            Self::SecretLines => Value::Secrets(some_secrets(split_secret_lines(text))?),
        })
    }
}

const TIME: &str = "a number of seconds (60) or a time with its unit (60s, 1m, 500ms)";

/// Go's `strconv.ParseBool`.
pub(super) fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

fn parse_optional_duration(text: &str, min: Duration) -> Option<Value> {
    let time = if text.eq_ignore_ascii_case("off") { Duration::ZERO } else { parse_duration(text)? };
    let time = (!time.is_zero()).then_some(time);
    time.is_none_or(|time| time >= min).then_some(Value::Duration(time))
}

fn parse_limit(text: &str) -> Option<Value> {
    if text.eq_ignore_ascii_case("off") || text.eq_ignore_ascii_case("none") {
        return Some(Value::Number(None));
    }
    let number: u64 = text.parse().ok().filter(|number| *number <= LARGEST)?;
    Some(Value::Number((number > 0).then_some(number)))
}

fn parse_role(item: &str) -> Option<(String, Role)> {
    // From the right: a SAN may be a SPIFFE URI, which may hold an equals sign, a role never does.
    let (name, role) = item.rsplit_once('=')?;
    let name = name.trim();
    (!name.is_empty()).then_some((name.to_owned(), Role::parse(role.trim())?))
}

/// Reads each item of a list; `None` if one is not valid or there is none.
fn items<T>(text: &str, read: impl Fn(&str) -> Option<T>) -> Option<Vec<T>> {
    let items = text.split([',', '\n']).map(str::trim).filter(|item| !item.is_empty());
    let items: Vec<T> = items.map(read).collect::<Option<_>>()?;
    (!items.is_empty()).then_some(items)
}

fn some_secrets(secrets: Vec<Secret>) -> Option<Vec<Secret>> {
    (!secrets.is_empty()).then_some(secrets)
}
