//! A copy of an offline directory that a test may change while a relay reads it: every change is a whole new file, renamed over
//! the old one, with the item's version raised.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

pub struct ConfigCopy {
    directory: TempDir,
}

impl ConfigCopy {
    pub fn of(source: &Path) -> Self {
        let directory = TempDir::new().unwrap();
        for environment in subdirectories(source) {
            let copy = directory.path().join(environment.file_name().unwrap());
            fs::create_dir(&copy).unwrap();
            for file in fs::read_dir(&environment).unwrap() {
                let file = file.unwrap();
                fs::copy(file.path(), copy.join(file.file_name())).unwrap();
            }
        }
        Self { directory }
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    pub fn change_flag(&self, environment: &str, flag: &str, change: impl FnOnce(&mut Value)) {
        self.change_item(environment, "feature_config.json", "feature", flag, change);
    }

    pub fn change_segment(&self, environment: &str, segment: &str, change: impl FnOnce(&mut Value)) {
        self.change_item(environment, "segments.json", "identifier", segment, change);
    }

    pub fn add_flag(&self, environment: &str, flag: Value) {
        self.rewrite(environment, "feature_config.json", |flags| flags.push(flag));
    }

    fn change_item(&self, environment: &str, file: &str, key: &str, name: &str, change: impl FnOnce(&mut Value)) {
        self.rewrite(environment, file, |items| {
            let found = items.iter_mut().find(|item| item[key] == name);
            let item = found.unwrap_or_else(|| panic!("{file} has no {name}"));
            change(item);
            item["version"] = Value::from(item["version"].as_u64().unwrap() + 1);
        });
    }

    fn rewrite(&self, environment: &str, file: &str, change: impl FnOnce(&mut Vec<Value>)) {
        let directory = self.path().join(format!("env-{environment}"));
        let path = directory.join(file);
        let mut items = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        change(&mut items);
        let beside = directory.join(format!(".{file}.new"));
        fs::write(&beside, serde_json::to_vec_pretty(&items).unwrap()).unwrap();
        fs::rename(&beside, &path).unwrap();
    }
}

fn subdirectories(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.is_dir()).collect()
}
