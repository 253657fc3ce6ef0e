//! What a relay serves and keeps, to be held against what it did before
//! something was refused.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ff_relay::proto::admin::v1::ImportOptions;
use ff_relay::proto::admin::v1::import_snapshot_request::Frame;
use tonic::Code;

use crate::archives::packed;
use crate::following::data_dir;
use crate::sending::{ADMIN, environments_at, import, send, send_to};
use crate::support::client::{bearer, get};
use crate::support::configuration::{Configuration, ENVIRONMENT, KEY, OTHER, OTHER_KEY, boolean, golden};
use crate::support::grpc::fault;
use crate::support::relay::TestRelay;

/// The persister has written by then.
const WRITTEN_WITHIN: Duration = Duration::from_secs(15);

/// Everything that nothing refused may change.
#[derive(Debug, PartialEq)]
pub struct State {
    /// Environment, epoch, sequence, digest.
    revisions: Vec<(String, String, u64, Vec<u8>)>,
    /// Status and body of what SDKs are answered.
    answers: Vec<(u16, String)>,
    files: BTreeMap<PathBuf, Vec<u8>>,
}

impl State {
    pub fn of(sdk: SocketAddr, grpc: SocketAddr, data: &Path) -> Self {
        let revisions = environments_at(grpc).into_iter().map(|it| {
            let revision = it.revision.unwrap();
            (it.id, revision.epoch, revision.sequence, revision.digest)
        });
        let revisions: Vec<_> = revisions.collect();
        let mut answers = vec![get(sdk, "/readyz", &[])];
        for (environment, key) in [(ENVIRONMENT, KEY), (OTHER, OTHER_KEY)] {
            if revisions.iter().any(|(id, ..)| id == environment) {
                let token = bearer(sdk, key);
                for list in ["feature-configs", "target-segments?rules=v2"] {
                    let path = format!("/client/env/{environment}/{list}");
                    answers.push(get(sdk, &path, &[("Authorization", &token)]));
                }
            }
        }
        let answers = answers.into_iter().map(|reply| (reply.status, reply.text())).collect();
        // Files that are only on their way are not what is kept.
        let mut files = files(data);
        files.retain(|path, _| path.extension().is_none_or(|extension| extension != "new"));
        State { revisions, answers, files }
    }

    /// Asserts that a relay serves and keeps exactly this, apart from the
    /// file of this name. The persister may be writing the same once more.
    pub fn is_again(&self, sdk: SocketAddr, grpc: SocketAddr, data: &Path, but_for: &str) {
        let now = State::of(sdk, grpc, data);
        assert_eq!((&now.revisions, &now.answers), (&self.revisions, &self.answers));
        let mut differing = Vec::new();
        let since = Instant::now();
        loop {
            let now = files(data);
            let all = now.keys().chain(self.files.keys());
            differing.clear();
            differing.extend(
                all.filter(|path| now.get(*path) != self.files.get(*path) && !path.ends_with(but_for)).cloned(),
            );
            if differing.is_empty() {
                return;
            }
            assert!(since.elapsed() < WRITTEN_WITHIN, "other files than before: {differing:?}");
            // The pause only spares the processor; the condition decides.
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }
}

/// Every file below a directory. One that is put in place at this moment may
/// be missing.
fn files(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            // An empty directory counts too.
            found.insert(path.clone(), Vec::new());
            found.extend(files(&path));
        } else if let Ok(bytes) = std::fs::read(&path) {
            found.insert(path, bytes);
        }
    }
    found
}

/// A relay that is fed by imports alone, and what it was before.
pub struct Fed {
    pub relay: TestRelay,
    pub data: tempfile::TempDir,
    before: State,
}

impl Fed {
    /// Nothing was imported yet.
    pub fn empty() -> Self {
        Self::of(|_| ())
    }

    pub fn golden() -> Self {
        Self::of(|relay| drop(import(relay, ImportOptions::default(), &packed(&golden())).unwrap()))
    }

    fn of(feed: impl FnOnce(&TestRelay)) -> Self {
        let data = tempfile::tempdir().unwrap();
        let relay = TestRelay::start(&["--offline", ADMIN, &data_dir(data.path())]).unwrap();
        feed(&relay);
        let before = State::of(relay.sdk, relay.grpc.unwrap(), data.path());
        Fed { relay, data, before }
    }

    /// Sends it; it is refused with this code and reason.
    pub fn refuses(&self, what: &str, frames: Vec<Frame>, expected: (Code, &str)) {
        let (code, reason) = fault(send(&self.relay, frames));
        assert_eq!((code, reason.as_str()), expected, "{what}");
    }

    pub fn is_unchanged(&self) {
        self.is_unchanged_but_for("nothing");
    }

    /// The file of this name may be another one.
    pub fn is_unchanged_but_for(&self, name: &str) {
        self.before.is_again(self.relay.sdk, self.relay.grpc.unwrap(), self.data.path(), name);
    }

    /// Answers, revisions and disk are as before, and a good import is taken.
    pub fn is_unchanged_and_takes_a_good_one(&self) {
        self.is_unchanged();
        takes_a_good_one(self.relay.sdk, self.relay.grpc.unwrap());
    }
}

pub fn takes_a_good_one(sdk: SocketAddr, grpc: SocketAddr) {
    let configuration = Configuration::with_flags(&[boolean("good", true, 1)]);
    let frames = crate::sending::frames(ImportOptions::default(), &packed(configuration.path()));
    send_to(grpc, frames).unwrap();
    let token = bearer(sdk, KEY);
    let path = format!("/client/env/{ENVIRONMENT}/feature-configs/good");
    assert_eq!(get(sdk, &path, &[("Authorization", &token)]).status, 200);
}
