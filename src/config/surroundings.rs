//! What the options are read from besides the command line.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// The environment and the files, as seen by option parsing; a value in tests.
pub trait Surroundings {
    /// The variable, if it is set.
    fn variable(&self, name: &str) -> Option<OsString>;

    /// The whole text of a file.
    ///
    /// # Errors
    /// Where it cannot be read, is not UTF-8, or is absurdly large.
    fn read_file(&self, path: &Path) -> io::Result<String>;
}

/// The real ones: the only place where the process environment is read.
#[derive(Debug, Clone, Copy)]
pub struct Process;

/// Files of variables and secrets are small; more is a mistake such as `/dev/zero`.
const LARGEST_FILE: u64 = 1 << 20;

impl Surroundings for Process {
    fn variable(&self, name: &str) -> Option<OsString> {
        std::env::var_os(name)
    }

    fn read_file(&self, path: &Path) -> io::Result<String> {
        let mut text = String::new();
        File::open(path)?.take(LARGEST_FILE + 1).read_to_string(&mut text)?;
        if text.len() as u64 > LARGEST_FILE {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than 1 MiB"));
        }
        Ok(text)
    }
}

/// Made-up ones.
#[derive(Debug, Clone, Default)]
pub struct Fixed {
    variables: BTreeMap<String, OsString>,
    files: BTreeMap<PathBuf, String>,
}

impl Fixed {
    /// Sets a variable.
    #[must_use]
    pub fn with_variable(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.variables.insert(name.to_owned(), value.into());
        self
    }

    /// Puts a file in place.
    #[must_use]
    pub fn with_file(mut self, path: impl Into<PathBuf>, text: &str) -> Self {
        self.files.insert(path.into(), text.to_owned());
        self
    }
}

impl Surroundings for Fixed {
    fn variable(&self, name: &str) -> Option<OsString> {
        self.variables.get(name).cloned()
    }

    fn read_file(&self, path: &Path) -> io::Result<String> {
        self.files.get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn real_files_are_bounded() {
        let endless = Process.read_file(Path::new("/dev/zero")).unwrap_err();
        assert_eq!(endless.kind(), io::ErrorKind::FileTooLarge);
        assert!(Process.read_file(Path::new("/none/such")).is_err());
        assert!(Process.read_file(Path::new("Cargo.toml")).is_ok());
    }
}
