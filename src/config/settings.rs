//! The value of every option, and where it came from.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::option_spec::OptionSpec;
use super::redis_address::RedisAddress;
use super::secret::{MASK, Secret, without_credentials};
use super::value::Value;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    Flag(&'static str),
    Environment(String),
    EnvFile {
        path: PathBuf,
        variable: String,
    },
    File {
        path: PathBuf,
        variable: String,
    },
    Default,
    Derived(String),
    /// Somebody gave a value that could not be used, which has been reported.
    Refused,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => write!(f, "flag -{flag}"),
            Self::Environment(variable) => write!(f, "environment {variable}"),
            Self::EnvFile { path, variable } => {
                write!(f, "env-file {}, {variable}", path.display())
            }
            Self::File { path, variable } => write!(f, "file {}, {variable}", path.display()),
            Self::Default => f.write_str("default"),
            Self::Refused => f.write_str("refused"),
            Self::Derived(why) => write!(f, "derived: {why}"),
        }
    }
}

/// One option's value; `None` where there is none.
#[derive(Debug)]
pub(super) struct Setting {
    pub(super) spec: &'static OptionSpec,
    pub(super) value: Option<Value>,
    /// The value as text, already fit to be shown.
    pub(super) shown: String,
    pub(super) origin: Origin,
}

impl Setting {
    /// Whether somebody gave the value, rather than a default or another option. A value that was
    /// refused counts, so that its mistake is not reported again as something that is missing.
    pub(super) const fn is_given(&self) -> bool {
        !matches!(self.origin, Origin::Default | Origin::Derived(_))
    }

    /// Whether the option asks for something: given, and not a boolean that is off.
    pub(super) const fn is_asked_for(&self) -> bool {
        self.is_given() && !matches!(self.value, Some(Value::Bool(false)))
    }
}

/// A value's text as it may be shown: secrets and credentials masked.
pub(super) fn shown(spec: &OptionSpec, text: &str) -> String {
    if spec.kind.is_secret() {
        return MASK.to_owned();
    }
    let text = text.split('\n').map(str::trim).collect::<Vec<_>>().join(",");
    without_credentials(&text)
}

/// Every option's setting, in the order of the table. The getters give `None` or an empty value
/// for an option without value: one whose value was invalid has been reported by then.
#[derive(Debug)]
pub(super) struct Settings(pub(super) Vec<Setting>);

impl Settings {
    pub(super) fn get(&self, flag: &str) -> Option<&Setting> {
        let setting = self.0.iter().find(|setting| setting.spec.flag == flag);
        debug_assert!(setting.is_some(), "no option is called {flag}");
        setting
    }

    pub(super) fn is_given(&self, flag: &str) -> bool {
        self.get(flag).is_some_and(Setting::is_given)
    }

    pub(super) fn is_asked_for(&self, flag: &str) -> bool {
        self.get(flag).is_some_and(Setting::is_asked_for)
    }

    /// Sets what follows from other options.
    pub(super) fn derive(&mut self, flag: &str, value: &Value, shown: &str, why: &str) {
        debug_assert!(self.get(flag).is_some(), "no option is called {flag}");
        for setting in self.0.iter_mut().filter(|setting| setting.spec.flag == flag) {
            setting.value = Some(value.clone());
            shown.clone_into(&mut setting.shown);
            setting.origin = Origin::Derived(why.to_owned());
        }
    }

    pub(super) fn flag(&self, flag: &str) -> bool {
        self.pick(flag, |value| if let Value::Bool(on) = value { Some(*on) } else { None }).unwrap_or_default()
    }

    pub(super) fn text(&self, flag: &str) -> Option<String> {
        self.pick(flag, |value| if let Value::Text(text) = value { Some(text.clone()) } else { None })
    }

    pub(super) fn path(&self, flag: &str) -> Option<PathBuf> {
        self.pick(flag, |value| if let Value::Path(path) = value { Some(path.clone()) } else { None })
    }

    /// A time that may be off.
    pub(super) fn optional_duration(&self, flag: &str) -> Option<Duration> {
        self.pick(flag, |value| if let Value::Duration(time) = value { Some(*time) } else { None }).flatten()
    }

    pub(super) fn duration(&self, flag: &str) -> Duration {
        self.optional_duration(flag).unwrap_or_default()
    }

    /// A number that may be off.
    pub(super) fn limit(&self, flag: &str) -> Option<usize> {
        self.pick(flag, |value| if let Value::Number(number) = value { Some(*number) } else { None })
            .flatten()
            .and_then(|number| usize::try_from(number).ok())
    }

    pub(super) fn count(&self, flag: &str) -> usize {
        self.limit(flag).unwrap_or_default()
    }

    pub(super) fn port(&self, flag: &str) -> Option<u16> {
        self.limit(flag).and_then(|number| u16::try_from(number).ok())
    }

    pub(super) fn ip(&self, flag: &str) -> Option<IpAddr> {
        self.pick(flag, |value| if let Value::Ip(ip) = value { Some(*ip) } else { None })
    }

    pub(super) fn listen(&self, flag: &str) -> Option<SocketAddr> {
        self.pick(flag, |value| if let Value::Listen(at) = value { Some(*at) } else { None }).flatten()
    }

    pub(super) fn list(&self, flag: &str) -> Vec<String> {
        self.pick(flag, |value| if let Value::List(list) = value { Some(list.clone()) } else { None })
            .unwrap_or_default()
    }

    pub(super) fn redis(&self, flag: &str) -> Vec<RedisAddress> {
        self.pick(flag, |value| if let Value::Redis(list) = value { Some(list.clone()) } else { None })
            .unwrap_or_default()
    }

    pub(super) fn secrets(&self, flag: &str) -> Vec<Secret> {
        self.pick(flag, |value| if let Value::Secrets(all) = value { Some(all.clone()) } else { None })
            .unwrap_or_default()
    }

    pub(super) fn secret(&self, flag: &str) -> Option<Secret> {
        self.secrets(flag).into_iter().next()
    }

    /// The file a secret was read from.
    pub(super) fn file(&self, flag: &str) -> Option<&Path> {
        match self.get(flag).map(|setting| &setting.origin) {
            Some(Origin::File { path, .. }) => Some(path),
            _ => None,
        }
    }

    /// The value as `pick` takes it apart; every call names the variant that its kind makes.
    pub(super) fn pick<T>(&self, flag: &str, pick: impl FnOnce(&Value) -> Option<T>) -> Option<T> {
        let value = self.get(flag)?.value.as_ref()?;
        let picked = pick(value);
        debug_assert!(picked.is_some(), "-{flag} is of another kind");
        picked
    }
}
