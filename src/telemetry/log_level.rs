//! The log level while the process runs.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::logging::set_level;
use crate::config::LogLevel;

/// A level that was set for good, and perhaps another one for a while. The
/// newest while counts; what comes back is what was set for good last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Levels {
    lasting: LogLevel,
    passing: Option<(LogLevel, Instant)>,
}

impl Levels {
    fn current(&self) -> LogLevel {
        self.passing.map_or(self.lasting, |(level, _)| level)
    }

    fn set(&mut self, level: LogLevel, until: Option<Instant>) {
        *self = match until {
            None => Levels { lasting: level, passing: None },
            Some(until) => Levels { lasting: self.lasting, passing: Some((level, until)) },
        }
    }

    /// Ends a while that is over; says whether one was.
    fn pass(&mut self, now: Instant) -> bool {
        let over = self.passing.is_some_and(|(_, until)| until <= now);
        if over {
            self.passing = None;
        }
        over
    }
}

/// Changes the log level, for good or for a while.
#[derive(Debug)]
pub struct LogControl {
    levels: Mutex<Levels>,
    changed: Notify,
}

impl LogControl {
    /// `level` is what logging was started with.
    #[must_use]
    pub fn new(level: LogLevel) -> Arc<Self> {
        Arc::new(LogControl { levels: Mutex::new(Levels { lasting: level, passing: None }), changed: Notify::new() })
    }

    /// Sets a level; gives the one before.
    pub fn set(&self, level: LogLevel, duration: Option<Duration>) -> LogLevel {
        let mut levels = self.lock();
        let before = levels.current();
        levels.set(level, duration.map(|duration| Instant::now() + duration));
        set_level(level);
        drop(levels);
        self.changed.notify_one();
        before
    }

    /// Ends levels that were set for a while, until told to stop.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        loop {
            let until = self.lock().passing.map(|(_, until)| until);
            let over = async {
                match until {
                    Some(until) => tokio::time::sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = over => self.end_passing(),
                () = self.changed.notified() => {}
                () = stop.cancelled() => return,
            }
        }
    }

    fn end_passing(&self) {
        let mut levels = self.lock();
        // It may have been prolonged meanwhile.
        if levels.pass(Instant::now()) {
            set_level(levels.lasting);
            tracing::info!(level = ?levels.lasting, "the log level is what it was before");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Levels> {
        self.levels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passing_level_passes() {
        let start = Instant::now();
        let at = |minutes: u64| start + Duration::from_secs(60 * minutes);
        let mut levels = Levels { lasting: LogLevel::Info, passing: None };
        levels.set(LogLevel::Debug, Some(at(1)));
        levels.set(LogLevel::Error, Some(at(3)));
        assert!(!levels.pass(at(2)));
        assert_eq!(levels.current(), LogLevel::Error);
        assert!(levels.pass(at(3)) && !levels.pass(at(3)));
        assert_eq!(levels.current(), LogLevel::Info);
        levels.set(LogLevel::Debug, Some(at(5)));
        levels.set(LogLevel::Warn, None);
        assert!(!levels.pass(at(6)));
        assert_eq!(levels.current(), LogLevel::Warn);
    }
}
