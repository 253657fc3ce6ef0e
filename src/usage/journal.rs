//! The journal on disk (`data-dir`): told of every sum within half a second,
//! and of every batch before it is sent. Without a directory it is mute.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::aggregate::Rows;
use super::batch::{Batch, BatchId};
use super::entry::{self, Entry};
use super::replay::{Replay, Restored};
use crate::snapshot::content::EnvironmentId;
use crate::store::durable::log::{AppendLog, Ending};
use crate::store::durable::record::append_line;
use crate::store::durable::{DataDir, DurableError};

const FILE: &str = "usage/journal";
const KIND: &str = "usage";

/// The file is left alone up to this size.
const REWRITE_FROM_BYTES: u64 = 16 * 1024 * 1024;
/// After a failure to write.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// What the journal should hold of one environment.
#[derive(Debug)]
pub struct Image {
    pub environment: EnvironmentId,
    pub active_ms: i64,
    pub rows: Vec<Rows>,
    pub batches: Vec<(Batch, bool)>,
}

impl Image {
    fn records(self) -> impl Iterator<Item = String> {
        let Image { environment, active_ms, rows, batches } = self;
        let id = environment.clone();
        let alive = entry::added(id.as_str(), active_ms, &Rows::default());
        let batches = batches.into_iter().map(move |(batch, sent)| entry::waiting(id.as_str(), &batch, sent));
        let rows = rows.into_iter().flat_map(move |rows| {
            // One line's worth at a time: the iterator owns what it reads.
            let environment = environment.clone();
            let lines: Vec<String> = entry::added_lines(environment.as_str(), active_ms, &rows).collect();
            lines
        });
        std::iter::once(alive).chain(batches).chain(rows)
    }
}

/// The journal's writing end, and what waits to be written.
#[derive(Debug)]
pub struct Journal {
    // Away while a thread writes.
    log: Option<AppendLog>,
    // Nobody else may write there meanwhile.
    _lock: Option<Arc<DataDir>>,
    mute: bool,
    lines: String,
    /// Lines were lost, or there is no good file yet: only the whole state
    /// helps.
    broken: bool,
    failing: Arc<AtomicBool>,
    not_before: Option<Instant>,
}

/// What an earlier process left.
#[derive(Debug, Default)]
pub struct Past {
    pub environments: Vec<(EnvironmentId, Restored)>,
    /// Batches of other relays that it took.
    pub seen: Vec<(BatchId, i64)>,
}

impl Journal {
    /// No journal.
    #[must_use]
    pub fn mute() -> Self {
        Journal {
            log: None,
            _lock: None,
            mute: true,
            lines: String::new(),
            broken: false,
            failing: Arc::default(),
            not_before: None,
        }
    }

    /// Opens the directory's journal and reads what an earlier process left.
    /// Damage is said and costs what is damaged; it never stops the start.
    #[must_use]
    pub fn open(directory: &Arc<DataDir>) -> (Self, Past) {
        let mut replay = Replay::default();
        let mut unread = 0_usize;
        let opened = AppendLog::open(directory, FILE, KIND, |record| match Entry::parse(record) {
            Ok(entry) => replay.apply(entry),
            Err(_) => unread += 1,
        });
        let mut journal = Journal { mute: false, broken: true, _lock: Some(Arc::clone(directory)), ..Journal::mute() };
        match opened {
            Ok((log, ending)) => {
                if let Ending::Damaged { aside, what } = ending {
                    tracing::error!(set_aside = %aside.display(), what, "unsent SDK metrics on disk are damaged; what could be read is sent");
                }
                journal.log = Some(log);
            }
            Err(error) => {
                tracing::error!(%error, "unsent SDK metrics on disk cannot be read; new ones are kept in memory only");
                journal.fall_silent();
            }
        }
        if unread > 0 {
            tracing::error!(lines = unread, "lines of unsent SDK metrics are not understood and are left out");
        }
        let (environments, seen) = replay.finish();
        let environments = environments.into_iter().map(|(id, restored)| (EnvironmentId::new(&id), restored));
        (journal, Past { environments: environments.collect(), seen })
    }

    /// There is no journal.
    #[must_use]
    pub fn is_mute(&self) -> bool {
        self.mute
    }

    /// What was pushed before the last flush or rewrite outlives the process,
    /// or there is no journal.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.mute || !self.broken
    }

    /// True while the journal cannot be written.
    #[must_use]
    pub fn failing(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.failing)
    }

    /// Adds a record to what is written next.
    pub fn push(&mut self, record: &str) {
        if !self.mute && !self.broken {
            append_line(&mut self.lines, record);
        }
    }

    /// Writes what waits. After this, and only then, it outlives the
    /// process. A failure is said once and healed by the next
    /// [`rewrite`](Journal::rewrite).
    pub async fn flush(&mut self) {
        if self.lines.is_empty() {
            return;
        }
        let lines = std::mem::take(&mut self.lines);
        self.on_thread(move |log| log.append(&lines)).await;
    }

    /// The file should be written anew: it has grown to twice the memory of
    /// what is worth keeping (`live_bytes`), or is broken.
    #[must_use]
    pub fn wants_rewrite(&self, live_bytes: usize, now: Instant) -> bool {
        let Some(log) = &self.log else {
            return false;
        };
        let due = self.not_before.is_none_or(|time| time <= now);
        due && (self.broken || log.length() > REWRITE_FROM_BYTES.max(2 * live_bytes as u64))
    }

    /// Replaces the file by the whole state.
    pub async fn rewrite(&mut self, images: Vec<Image>, seen: Vec<(BatchId, i64)>) {
        // The state has what the lines would say.
        self.lines.clear();
        self.on_thread(move |log| {
            let seen = seen.chunks(entry::ROWS_A_LINE).map(entry::seen);
            log.rewrite(images.into_iter().flat_map(Image::records).chain(seen))
        })
        .await;
    }

    async fn on_thread(&mut self, write: impl FnOnce(&mut AppendLog) -> Result<(), DurableError> + Send + 'static) {
        let Some(mut log) = self.log.take() else {
            return;
        };
        let written = tokio::task::spawn_blocking(move || {
            let result = write(&mut log);
            (log, result)
        });
        match written.await {
            Ok((log, result)) => {
                self.log = Some(log);
                self.note(result);
            }
            Err(error) => {
                tracing::error!(%error, "writing SDK metrics to disk failed; they are kept in memory only");
                self.fall_silent();
            }
        }
    }

    fn fall_silent(&mut self) {
        self.mute = true;
        self.failing.store(true, Ordering::Relaxed);
    }

    fn note(&mut self, result: Result<(), DurableError>) {
        let was_failing = self.failing.swap(result.is_err(), Ordering::Relaxed);
        self.broken = result.is_err();
        match result {
            Err(error) => {
                self.not_before = Some(Instant::now() + RETRY_AFTER);
                if !was_failing {
                    tracing::error!(%error, "SDK metrics cannot be written to disk; they are kept in memory only");
                }
            }
            Ok(()) if was_failing => tracing::info!("SDK metrics can be written to disk again"),
            Ok(()) => {}
        }
    }
}

/// Opens the journal of a directory, if there is one.
#[must_use]
pub fn open(directory: Option<&Arc<DataDir>>) -> (Journal, Past) {
    directory.map_or_else(|| (Journal::mute(), Past::default()), Journal::open)
}
