//! How far a long transfer is, for somebody who watches a terminal.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

/// Not more often than eyes follow.
const REDRAW: Duration = Duration::from_millis(200);

/// A line on standard error that is written over and over; nothing where
/// that is no terminal.
#[derive(Debug)]
pub struct Progress {
    shown: bool,
    what: &'static str,
    started: Instant,
    drawn: Option<Instant>,
    /// Where this transfer began, for the rate.
    from: Option<u64>,
}

impl Progress {
    #[must_use]
    pub fn new(what: &'static str) -> Self {
        Progress { shown: io::stderr().is_terminal(), what, started: Instant::now(), drawn: None, from: None }
    }

    /// So many bytes of all are there.
    pub fn at(&mut self, done: u64, total: u64) {
        let from = *self.from.get_or_insert(done);
        let due = self.drawn.is_none_or(|drawn| drawn.elapsed() >= REDRAW) || done == total;
        if self.shown && due {
            let line = line(self.what, done, total, done.saturating_sub(from), self.started.elapsed());
            let _ = write!(io::stderr(), "\r{line}\x1b[K");
            self.drawn = Some(Instant::now());
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.drawn.is_some() {
            let _ = writeln!(io::stderr());
        }
    }
}

fn line(what: &str, done: u64, total: u64, moved: u64, elapsed: Duration) -> String {
    let percent = (done * 100).checked_div(total).unwrap_or(100);
    let milliseconds = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX).max(1);
    let rate = moved.saturating_mul(1000) / milliseconds;
    format!("{what} {} of {}, {percent} %, {}/s", size(done), size(total), size(rate))
}

/// Bytes as people say them.
#[must_use]
pub fn size(bytes: u64) -> String {
    let tenths = |unit: u64| format!("{}.{}", bytes / unit, bytes % unit * 10 / unit);
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{} KiB", tenths(1024)),
        1_048_576..1_073_741_824 => format!("{} MiB", tenths(1_048_576)),
        _ => format!("{} GiB", tenths(1_073_741_824)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_percent_and_rate() {
        let text = line("exporting", 1_572_864, 3_145_728, 1_048_576, Duration::from_millis(500));
        assert_eq!(text, "exporting 1.5 MiB of 3.0 MiB, 50 %, 2.0 MiB/s");
        assert_eq!(line("x", 0, 0, 0, Duration::ZERO), "x 0 B of 0 B, 100 %, 0 B/s");
    }
}
