//! Whether connections are told to end, at no cost while they are not.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// Waits for a token that all connections share. Polling the token takes
/// locks that they share too, so it is polled once, and then only after it
/// has woken this connection.
#[derive(Debug)]
pub struct Stopping {
    cancelled: Pin<Box<WaitForCancellationFutureOwned>>,
    bell: Option<Arc<Bell>>,
    told: bool,
}

#[derive(Debug)]
struct Bell {
    rang: AtomicBool,
    connection: Waker,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.rang.store(true, Ordering::Release);
        self.connection.wake_by_ref();
    }
}

impl Stopping {
    #[must_use]
    pub fn new(token: CancellationToken) -> Self {
        Stopping { cancelled: Box::pin(token.cancelled_owned()), bell: None, told: false }
    }

    /// True once: when the time has come to end.
    pub fn begins(&mut self, cx: &mut Context<'_>) -> bool {
        if self.told {
            return false;
        }
        let bell = match self.bell.take().filter(|bell| bell.connection.will_wake(cx.waker())) {
            Some(bell) if !bell.rang.swap(false, Ordering::Acquire) => {
                self.bell = Some(bell);
                return false;
            }
            Some(bell) => bell,
            None => Arc::new(Bell { rang: AtomicBool::new(false), connection: cx.waker().clone() }),
        };
        let waker = Waker::from(Arc::clone(&bell));
        self.bell = Some(bell);
        self.told = self.cancelled.as_mut().poll(&mut Context::from_waker(&waker)) == Poll::Ready(());
        self.told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn says_so_once_and_wakes_who_asked() {
        let token = CancellationToken::new();
        let mut stopping = Stopping::new(token.clone());
        let asked = std::future::poll_fn(|cx| Poll::Ready([stopping.begins(cx), stopping.begins(cx)])).await;
        assert_eq!(asked, [false, false]);
        let wait = std::future::poll_fn(|cx| if stopping.begins(cx) { Poll::Ready(()) } else { Poll::Pending });
        let cancel = async {
            tokio::task::yield_now().await;
            token.cancel();
        };
        tokio::time::timeout(std::time::Duration::from_secs(10), async { tokio::join!(wait, cancel) }).await.unwrap();
        let after = std::future::poll_fn(|cx| Poll::Ready(stopping.begins(cx))).await;
        assert!(!after);
    }
}
