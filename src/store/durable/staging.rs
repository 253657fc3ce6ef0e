//! Several files that change together or not at all: written beside, then
//! put in place by one record that the next start finishes or forgets.

use std::fs::{self, File};
use std::io::{self, Write as _};

use serde::{Deserialize, Serialize};

use super::directory::{io_error, owner_only};
use super::environment::{ledger_file, snapshot_file, snapshot_name};
use super::record::RecordFile;
use super::{DataDir, DurableError};
use crate::snapshot::Snapshot;
use crate::snapshot::content::EnvironmentId;

const FOLDER: &str = "staged";
const COMMIT: &str = "staged/commit";

/// What one commit does, in order.
#[derive(Debug, Serialize, Deserialize)]
enum Step {
    /// Puts a staged file in its place.
    Place { staged: String, name: String },
    /// Removes a file.
    Remove { name: String },
}

/// Files that wait for their commit. Dropping it changes nothing and gives
/// their room back.
#[derive(Debug)]
pub struct Staging<'a> {
    directory: &'a DataDir,
    steps: Vec<Step>,
    /// The next start may need them.
    committed: bool,
}

impl Drop for Staging<'_> {
    fn drop(&mut self) {
        if !self.committed
            && let Err(error) = self.directory.forget_staged()
        {
            tracing::warn!(%error, "files of an import that was not kept take room until the next one");
        }
    }
}

impl DataDir {
    /// Begins to stage; what an earlier staging left is forgotten.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub fn stage(&self) -> Result<Staging<'_>, DurableError> {
        self.finish_staged()?;
        Ok(Staging { directory: self, steps: Vec::new(), committed: false })
    }

    /// Finishes a commit that the process before did not, and forgets what it
    /// did not commit.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub(in crate::store) fn finish_staged(&self) -> Result<(), DurableError> {
        match self.read(COMMIT) {
            Ok(Some(lines)) => {
                let steps: Vec<Step> = lines.iter().filter_map(|line| serde_json::from_str(line).ok()).collect();
                self.perform(&steps)?;
            }
            // A record that was not written whole commits nothing.
            Ok(None) | Err(DurableError::Corrupt { .. }) => {}
            Err(error) => return Err(error),
        }
        self.forget_staged()
    }

    fn perform(&self, steps: &[Step]) -> Result<(), DurableError> {
        for step in steps {
            match step {
                Step::Place { staged, name } => {
                    let (from, to) = (self.path().join(staged), self.path().join(name));
                    let parent = to.parent().unwrap_or(self.path());
                    super::directory::make_directory(parent)?;
                    match fs::rename(&from, &to) {
                        // It was put there before.
                        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                        renamed => renamed.map_err(io_error(&to))?,
                    }
                }
                Step::Remove { name } => {
                    let path = self.path().join(name);
                    match fs::remove_file(&path) {
                        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io_error(&path)(error)),
                        _ => {}
                    }
                }
            }
        }
        // Thousands of files, one by one, take a disk seconds.
        self.sync_all()
    }

    /// Everything that was written to this file system is on disk afterwards.
    fn sync_all(&self) -> Result<(), DurableError> {
        let synced = File::open(self.path()).and_then(|directory| Ok(rustix::fs::syncfs(directory)?));
        synced.map_err(io_error(self.path()))
    }

    fn forget_staged(&self) -> Result<(), DurableError> {
        let path = self.path().join(FOLDER);
        match fs::remove_dir_all(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error(&path)(error)),
            _ => Ok(()),
        }
    }
}

impl Staging<'_> {
    /// Adds a file.
    ///
    /// # Errors
    /// The disk is full, or the like.
    pub fn add(&mut self, name: &str, file: RecordFile) -> Result<(), DurableError> {
        let staged = format!("{FOLDER}/{}", self.steps.len());
        let path = self.directory.path().join(&staged);
        super::directory::make_directory(path.parent().unwrap_or(self.directory.path()))?;
        // All of them are synced at once, before the commit.
        let mut out = owner_only().create_new(true).write(true).open(&path).map_err(io_error(&path))?;
        out.write_all(&file.finish()).map_err(io_error(&path))?;
        self.steps.push(Step::Place { staged, name: name.to_owned() });
        Ok(())
    }

    /// Adds an environment's ledger and content.
    ///
    /// # Errors
    /// The disk is full, or the like.
    pub fn add_snapshot(&mut self, snapshot: &Snapshot) -> Result<(), DurableError> {
        let (name, file) = ledger_file(snapshot)?;
        self.add(&name, file)?;
        let (name, file) = snapshot_file(snapshot)?;
        self.add(&name, file)
    }

    /// Has an environment's content removed, if it is there.
    pub fn remove_snapshot(&mut self, environment: &EnvironmentId, credential: &str) {
        let name = snapshot_name(&DataDir::folder_of(environment), credential);
        self.steps.push(Step::Remove { name });
    }

    /// Does it all. After an error nothing is done, now or later.
    ///
    /// # Errors
    /// The commit could not be written.
    pub fn commit(mut self) -> Result<(), DurableError> {
        let mut file = RecordFile::new("commit");
        for step in &self.steps {
            let line = serde_json::to_string(step)
                .map_err(|error| DurableError::Corrupt { path: COMMIT.to_owned(), what: error.to_string() })?;
            file.push(&line);
        }
        self.directory.sync_all()?;
        self.directory.write(COMMIT, file)?;
        self.committed = true;
        // From here on it counts: what is left undone is done at the next start.
        if let Err(error) = self.directory.perform(&self.steps).and_then(|()| self.directory.forget_staged()) {
            tracing::error!(%error, "an import is kept, and part of it is put in place by the next start");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> RecordFile {
        let mut file = RecordFile::new("thing");
        file.push(&format!("\"{text}\""));
        file
    }

    fn read(directory: &DataDir, name: &str) -> Option<Vec<String>> {
        directory.read(name).unwrap()
    }

    #[test]
    fn all_or_nothing_over_a_crash_at_any_step() {
        let place = tempfile::tempdir().unwrap();
        let directory = DataDir::open(place.path()).unwrap();
        directory.write("a/thing@1", file("old")).unwrap();
        let mut staging = directory.stage().unwrap();
        staging.add("a/thing@1", file("new")).unwrap();
        staging.add("b/thing@2", file("new")).unwrap();
        // A process that ends drops nothing.
        std::mem::forget(staging);
        drop(directory);
        let directory = DataDir::open(place.path()).unwrap();
        assert_eq!(read(&directory, "a/thing@1").unwrap(), ["\"old\""]);
        assert!(read(&directory, "b/thing@2").is_none() && !place.path().join(FOLDER).exists());
        let mut staging = directory.stage().unwrap();
        staging.add("a/thing@1", file("new")).unwrap();
        staging.add("b/thing@2", file("new")).unwrap();
        // The process ends between the record and the renames, one of which was done.
        let mut record = RecordFile::new("commit");
        staging.steps.iter().for_each(|step| record.push(&serde_json::to_string(step).unwrap()));
        directory.write(COMMIT, record).unwrap();
        fs::rename(place.path().join("staged/0"), place.path().join("a/thing@1")).unwrap();
        std::mem::forget(staging);
        drop(directory);
        let directory = DataDir::open(place.path()).unwrap();
        for name in ["a/thing@1", "b/thing@2"] {
            assert_eq!(read(&directory, name).unwrap(), ["\"new\""]);
        }
        directory.stage().unwrap().commit().unwrap();
        assert!(!place.path().join(FOLDER).exists());
        // One that is given up leaves nothing behind.
        let mut staging = directory.stage().unwrap();
        staging.add("a/thing@1", file("newer")).unwrap();
        drop(staging);
        assert!(!place.path().join(FOLDER).exists());
        assert_eq!(read(&directory, "a/thing@1").unwrap(), ["\"new\""]);
    }
}
