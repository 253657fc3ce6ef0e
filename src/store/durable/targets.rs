//! Stored targets on disk: a file that is appended to, and written anew when
//! it has grown to several times what it holds.

use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::Arc;

use super::directory::{io_error, make_directory, owner_only};
use super::record::{append_line, header, read_appended};
use super::{DataDir, DurableError};
use crate::snapshot::content::EnvironmentId;
use crate::store::environment::Environment;
use crate::store::targets::{StoredTarget, StoredTargets};

const KIND: &str = "targets";

/// A file is left alone up to this size.
const COMPACT_FROM_BYTES: u64 = 8 * 1024 * 1024;

impl DataDir {
    fn targets_path(&self, environment: &EnvironmentId) -> PathBuf {
        self.path().join(DataDir::folder_of(environment)).join(KIND)
    }

    /// Puts the stored targets of an environment back into memory, oldest
    /// first. Returns how many lines there were.
    ///
    /// # Errors
    /// The file cannot be read, or is another kind of file.
    pub fn restore_targets(&self, environment: &EnvironmentId, into: &StoredTargets) -> Result<usize, DurableError> {
        let path = self.targets_path(environment);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            Err(error) => return Err(io_error(&path)(error)),
        };
        let (records, good) = read_appended(KIND, &bytes)
            .map_err(|what| DurableError::Corrupt { path: path.display().to_string(), what })?;
        if good < bytes.len() {
            // Later lines must not follow a torn one: they would be lost.
            let file = owner_only().write(true).open(&path).map_err(io_error(&path))?;
            file.set_len(good as u64).map_err(io_error(&path))?;
        }
        for json in &records {
            if let Ok(target) = serde_json::from_str(json) {
                into.restore(StoredTarget { target, json: Box::from(*json) });
            }
        }
        Ok(records.len())
    }

    /// Appends targets that are news.
    ///
    /// # Errors
    /// The disk is full, or the like.
    pub fn append_targets(&self, environment: &Environment, news: &[Arc<StoredTarget>]) -> Result<(), DurableError> {
        let path = self.targets_path(&environment.id);
        if let Some(parent) = path.parent() {
            make_directory(parent)?;
        }
        let length = fs::metadata(&path).map(|metadata| metadata.len()).unwrap_or(0);
        let all = environment.targets.all();
        let live: usize = all.iter().map(|stored| stored.json.len() + 10).sum();
        if length > COMPACT_FROM_BYTES.max(3 * live as u64) {
            return self.write_targets(&path, &all);
        }
        let mut text = if length == 0 { header(KIND) } else { String::new() };
        news.iter().for_each(|stored| append_line(&mut text, &stored.json));
        let result = (|| {
            let mut file = owner_only().create(true).append(true).open(&path)?;
            file.write_all(text.as_bytes())?;
            file.sync_data()
        })();
        result.map_err(|error| {
            // What was half written would hide what comes later.
            if let Ok(file) = owner_only().write(true).open(&path) {
                let _ = file.set_len(length);
            }
            io_error(&path)(error)
        })
    }

    fn write_targets(&self, path: &std::path::Path, all: &[Arc<StoredTarget>]) -> Result<(), DurableError> {
        let mut text = header(KIND);
        all.iter().for_each(|stored| append_line(&mut text, &stored.json));
        let temporary = path.with_extension("new");
        let result = (|| {
            let mut file = owner_only().create(true).truncate(true).write(true).open(&temporary)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&temporary, path)
        })();
        result.map_err(io_error(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_come_back_and_a_torn_end_is_cut_off() {
        let place = tempfile::tempdir().unwrap();
        let directory = DataDir::open(place.path()).unwrap();
        let environment = Environment::new(EnvironmentId::new("e"), 10);
        let put = |name: &str| {
            let json = format!("{{\"identifier\":\"{name}\"}}");
            environment.targets.put(StoredTarget { target: serde_json::from_str(&json).unwrap(), json: json.into() });
            directory.append_targets(&environment, &environment.targets.take_unwritten()).unwrap();
        };
        put("a");
        let path = directory.targets_path(&environment.id);
        let mut bytes = fs::read(&path).unwrap();
        bytes.extend_from_slice(b"0000 torn");
        fs::write(&path, bytes).unwrap();
        let back = StoredTargets::new(10);
        assert_eq!(directory.restore_targets(&environment.id, &back).unwrap(), 1);
        put("b");
        let back = StoredTargets::new(10);
        assert_eq!(directory.restore_targets(&environment.id, &back).unwrap(), 2);
        assert!(back.get("a").is_some() && back.get("b").is_some());
    }
}
