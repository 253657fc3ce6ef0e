//! A configuration directory that a test may edit.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

pub const ENVIRONMENT: &str = "11111111-1111-4111-8111-111111111111";
pub const OTHER: &str = "22222222-2222-4222-8222-222222222222";
pub const KEY: &str = "golden-server-key";
pub const OTHER_KEY: &str = "golden-other-key";

/// The recorded data set, as it lies in the repository.
pub fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/http/config")
}

/// A directory of its own, removed with the test.
pub struct Configuration {
    place: tempfile::TempDir,
}

impl Configuration {
    pub fn empty() -> Self {
        Configuration { place: tempfile::tempdir().unwrap() }
    }

    pub fn golden() -> Self {
        let configuration = Self::empty();
        copy(&golden(), configuration.path());
        configuration
    }

    /// One environment with one key and these flags.
    pub fn with_flags(flags: &[Value]) -> Self {
        let configuration = Self::empty();
        configuration.write(ENVIRONMENT, "auth_config.json", &json!([key_hash(KEY)]));
        configuration.write(ENVIRONMENT, "feature_config.json", &json!(flags));
        configuration
    }

    /// Flags that do not compress, so that an archive has several chunks.
    pub fn large() -> Self {
        let flag = |i: usize| {
            let noise: String = (0..160).map(|j| key_hash(&format!("{i} {j}"))).collect();
            let mut flag = boolean(&format!("flag{i:03}"), true, 1);
            flag["noise"] = noise.into();
            flag
        };
        Self::with_flags(&(0..200).map(flag).collect::<Vec<_>>())
    }

    pub fn path(&self) -> &Path {
        self.place.path()
    }

    pub fn file(&self, environment: &str, file: &str) -> PathBuf {
        self.path().join(format!("env-{environment}/{file}"))
    }

    /// Writes beside and renames over, as editors and deployments do.
    pub fn write(&self, environment: &str, file: &str, value: &Value) {
        self.write_text(environment, file, &serde_json::to_string_pretty(value).unwrap());
    }

    pub fn write_text(&self, environment: &str, file: &str, text: &str) {
        let path = self.file(environment, file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let new = path.with_extension("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, path).unwrap();
    }

    pub fn read(&self, environment: &str, file: &str) -> Value {
        serde_json::from_slice(&std::fs::read(self.file(environment, file)).unwrap()).unwrap()
    }

    /// Changes one flag in place of what was there.
    pub fn edit_flag(&self, flag: &str, edit: impl FnOnce(&mut Value)) {
        self.edit("feature_config.json", "feature", flag, edit);
    }

    pub fn edit_segment(&self, segment: &str, edit: impl FnOnce(&mut Value)) {
        self.edit("segments.json", "identifier", segment, edit);
    }

    fn edit(&self, file: &str, field: &str, name: &str, edit: impl FnOnce(&mut Value)) {
        let mut all = self.read(ENVIRONMENT, file);
        edit(all.as_array_mut().unwrap().iter_mut().find(|item| item[field] == name).unwrap());
        self.write(ENVIRONMENT, file, &all);
    }
}

pub fn key_hash(key: &str) -> String {
    Sha256::digest(key).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A boolean flag that is on and serves `true` or `false`.
pub fn boolean(name: &str, serves: bool, version: i64) -> Value {
    json!({
        "feature": name, "kind": "boolean", "project": "p", "environment": "e", "state": "on",
        "defaultServe": {"variation": serves.to_string()}, "offVariation": "false", "prerequisites": [],
        "rules": [], "variationToTargetMap": [], "version": version,
        "variations": [{"identifier": "true", "value": "true"}, {"identifier": "false", "value": "false"}],
    })
}

pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::write(target, std::fs::read(entry.path()).unwrap()).unwrap();
        }
    }
}
