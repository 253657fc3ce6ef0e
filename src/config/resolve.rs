//! Which of the places that may give an option's value does.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::command_line::CommandLine;
use super::env_file;
use super::error::Problem;
use super::option_spec::{Fallback, OptionSpec};
use super::settings::{Origin, Setting, Settings, shown};
use super::surroundings::Surroundings;

/// Variables from one place; earlier layers win over later ones.
pub(super) enum Layer<'a> {
    Process(&'a dyn Surroundings),
    EnvFile { path: PathBuf, variables: BTreeMap<String, String> },
}

impl Layer<'_> {
    fn variable(&self, name: &str) -> Option<OsString> {
        match self {
            Self::Process(surroundings) => surroundings.variable(name),
            Self::EnvFile { variables, .. } => variables.get(name).map(OsString::from),
        }
    }

    fn origin(&self, variable: String) -> Origin {
        match self {
            Self::Process(_) => Origin::Environment(variable),
            Self::EnvFile { path, .. } => Origin::EnvFile { path: path.clone(), variable },
        }
    }
}

/// The process environment, then the files of `--env-file`, the last one first: as with Docker, a
/// later file wins over an earlier one. The process wins over all of them, so that one value can be
/// changed for a run without editing the file.
pub(super) fn layers<'a>(
    line: &CommandLine,
    surroundings: &'a dyn Surroundings,
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<String>,
) -> Vec<Layer<'a>> {
    let mut layers = Vec::new();
    for text in line.texts("env-file").map(str::trim).filter(|text| !text.is_empty()) {
        let path = PathBuf::from(text);
        match read_env_file(&path, surroundings) {
            Ok(file) => {
                if !file.quoted.is_empty() {
                    warnings.push(format!(
                        "env-file {}: quotes belong to the value, as with Docker: {}",
                        path.display(),
                        file.quoted.join(", ")
                    ));
                }
                layers.push(Layer::EnvFile { path, variables: file.variables });
            }
            Err(faults) => {
                problems.extend(faults.into_iter().map(|what| Problem::EnvFile { path: path.clone(), what }))
            }
        }
    }
    layers.push(Layer::Process(surroundings));
    layers.reverse();
    layers
}

fn read_env_file(path: &Path, surroundings: &dyn Surroundings) -> Result<env_file::EnvFile, Vec<String>> {
    let text = surroundings.read_file(path).map_err(|error| vec![error.to_string()])?;
    env_file::parse(&text)
}

/// A text and where it was found; the text is trimmed, and empty where a flag unset the option.
struct Found {
    text: String,
    origin: Origin,
}

/// Gives every option of the table its value: flag, else the first layer that has it, else the
/// default. Everything that is wrong is added to `problems`.
pub(super) fn resolve(
    specs: impl Iterator<Item = &'static OptionSpec>,
    line: &CommandLine,
    layers: &[Layer<'_>],
    surroundings: &dyn Surroundings,
    problems: &mut Vec<Problem>,
) -> Settings {
    let setting = |spec: &'static OptionSpec| match find(spec, line, layers, surroundings) {
        Ok(Some(found)) if !found.text.is_empty() || !spec.kind.may_be_empty() => {
            read(spec, &found).unwrap_or_else(|problem| {
                problems.push(problem);
                refused(spec)
            })
        }
        Ok(_) => default(spec),
        Err(problem) => {
            problems.push(problem);
            refused(spec)
        }
    };
    Settings(specs.map(setting).collect())
}

fn find(
    spec: &'static OptionSpec,
    line: &CommandLine,
    layers: &[Layer<'_>],
    surroundings: &dyn Surroundings,
) -> Result<Option<Found>, Problem> {
    let texts: Vec<&str> = line.texts(spec.flag).map(str::trim).collect();
    if let Some(last) = texts.last() {
        let text = if spec.kind.is_list() { texts.join("\n") } else { (*last).to_owned() };
        let text = text.trim().to_owned();
        return Ok(Some(Found { text, origin: Origin::Flag(spec.flag) }));
    }
    for layer in layers {
        if let Some(found) = find_in_layer(spec, layer, surroundings)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

fn find_in_layer(
    spec: &'static OptionSpec,
    layer: &Layer<'_>,
    surroundings: &dyn Surroundings,
) -> Result<Option<Found>, Problem> {
    let mut value = None;
    for variable in spec.variable_names() {
        if value.is_none() {
            value = text(spec, layer, &variable)?.map(|text| (variable, text));
        }
    }
    let file = match spec.file_variable_name() {
        Some(variable) => text(spec, layer, &variable)?.map(|path| (variable, path)),
        None => None,
    };
    match (value, file) {
        (None, None) => Ok(None),
        (Some((variable, _)), Some(_)) => Err(Problem::ValueAndFile { option: spec.flag, variable }),
        (Some((variable, text)), None) => Ok(Some(Found { text, origin: layer.origin(variable) })),
        (None, Some((variable, path))) => read_secret_file(spec, variable, path, surroundings),
    }
}

/// The variable's trimmed text; an empty one counts as unset.
fn text(spec: &OptionSpec, layer: &Layer<'_>, variable: &str) -> Result<Option<String>, Problem> {
    let Some(text) = layer.variable(variable) else {
        return Ok(None);
    };
    match text.to_str().map(str::trim) {
        Some(text) => Ok((!text.is_empty()).then(|| text.to_owned())),
        None => Err(Problem::NotUnicode { option: spec.flag, variable: variable.to_owned() }),
    }
}

fn read_secret_file(
    spec: &OptionSpec,
    variable: String,
    path: String,
    surroundings: &dyn Surroundings,
) -> Result<Option<Found>, Problem> {
    let path = PathBuf::from(path);
    let text = match surroundings.read_file(&path) {
        Ok(text) if text.trim().is_empty() => Err("is empty".to_owned()),
        Ok(text) => Ok(text.trim().to_owned()),
        Err(error) => Err(format!("cannot be read: {error}")),
    };
    match text {
        Ok(text) => Ok(Some(Found { text, origin: Origin::File { path, variable } })),
        Err(what) => Err(Problem::SecretFile { option: spec.flag, variable, path, what }),
    }
}

fn read(spec: &'static OptionSpec, found: &Found) -> Result<Setting, Problem> {
    let shown = shown(spec, &found.text);
    match spec.kind.parse(&found.text) {
        Some(value) => Ok(Setting { spec, value: Some(value), shown, origin: found.origin.clone() }),
        None => Err(Problem::InvalidValue {
            option: spec.flag,
            // Quoted and escaped, so that line ends and control characters stay visible.
            value: if spec.kind.is_secret() { shown } else { format!("{shown:?}") },
            origin: found.origin.to_string(),
            expected: spec.kind.expected(),
        }),
    }
}

fn default(spec: &'static OptionSpec) -> Setting {
    let value = match spec.fallback {
        Fallback::Text(text) => spec.kind.parse(text),
        Fallback::Derived(_) | Fallback::None => None,
    };
    Setting { value, ..unset(spec) }
}

fn refused(spec: &'static OptionSpec) -> Setting {
    Setting { origin: Origin::Refused, ..unset(spec) }
}

fn unset(spec: &'static OptionSpec) -> Setting {
    let shown = spec.fallback_text().to_owned();
    Setting { spec, value: None, shown, origin: Origin::Default }
}
