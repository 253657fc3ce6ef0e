//! How sure the relay is that a key it does not know does not exist.
//!
//! 401 stops most SDKs for good, so it is given only when certain; until
//! then a request waits here.

use tokio::sync::watch;

/// True once the key list of every environment was read from its source and
/// the source has not been lost since.
#[derive(Debug)]
pub struct KeyCertainty {
    certain: watch::Sender<bool>,
    /// Counts index changes, so that who waits looks again.
    changes: watch::Sender<u64>,
}

impl Default for KeyCertainty {
    fn default() -> Self {
        KeyCertainty { certain: watch::Sender::new(false), changes: watch::Sender::new(0) }
    }
}

impl KeyCertainty {
    #[must_use]
    pub fn is_certain(&self) -> bool {
        *self.certain.borrow()
    }

    pub(super) fn set(&self, certain: bool) {
        self.certain.send_replace(certain);
    }

    pub(super) fn index_changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    /// Ends when certainty or the index has changed since `seen` was made.
    pub async fn changed(&self, seen: &mut Seen) {
        tokio::select! {
            _ = seen.certain.changed() => {}
            _ = seen.changes.changed() => {}
        }
    }

    /// A mark from which [`Self::changed`] counts.
    #[must_use]
    pub fn mark(&self) -> Seen {
        Seen { certain: self.certain.subscribe(), changes: self.changes.subscribe() }
    }
}

/// What a waiting request has already looked at.
#[derive(Debug)]
pub struct Seen {
    certain: watch::Receiver<bool>,
    changes: watch::Receiver<u64>,
}
