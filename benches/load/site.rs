//! A relay with configuration of one size, and what it is asked.

use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use crate::workload::data;
use crate::workload::process::Pinned;
use crate::workload::requests::{bearer, get, post};

pub struct Site {
    pub relay: Pinned,
    /// The value of `Authorization`.
    pub bearer: String,
    directory: TempDir,
}

impl Site {
    pub fn start(environments: usize, flags: usize, options: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        data::write_directory(directory.path(), environments, flags, data::SEGMENTS);
        Self::of(Pinned::offline(directory.path(), options), directory)
    }

    /// A relay that serves this directory already.
    pub fn of(relay: Pinned, directory: TempDir) -> Self {
        let bearer = bearer(relay.address, &data::sdk_key(0), Some(&data::target()));
        Site { relay, bearer, directory }
    }

    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// A GET as a server-side SDK sends it.
    pub fn get(&self, path: &str, headers: &str) -> Vec<u8> {
        get(&self.bearer, path, headers)
    }

    /// A GET below its environment.
    pub fn data(&self, path: &str, headers: &str) -> Vec<u8> {
        self.get(&format!("/client/env/{}/{path}", data::environment(0)), headers)
    }

    pub fn post(&self, path: &str, body: &Value) -> Vec<u8> {
        post(&format!("Authorization: {}\r\n", self.bearer), path, body)
    }
}
