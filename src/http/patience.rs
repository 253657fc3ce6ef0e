//! Waiting with a limit, at the cost of a timer only where there is a wait.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// What `future` gives within `limit`; `None` when the time is up.
///
/// Hyper hands a body over once somebody waits for it, so the first look finds
/// nothing even if all of it is there. The timer therefore is set at the
/// second look that finds nothing.
pub async fn within<T>(limit: Duration, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut timer: Option<Pin<Box<Sleep>>> = None;
    let mut first_look: Option<Instant> = None;
    std::future::poll_fn(|cx| {
        if let Poll::Ready(value) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(value));
        }
        let Some(since) = first_look else {
            first_look = Some(Instant::now());
            cx.waker().wake_by_ref();
            return Poll::Pending;
        };
        let timer = timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(since + limit)));
        timer.as_mut().poll(cx).map(|()| None)
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_waits_as_long_as_it_may() {
        let (long, short) = (Duration::from_secs(3600), Duration::from_millis(10));
        let after = |looks: u32| async move {
            for _ in 0..looks {
                tokio::task::yield_now().await;
            }
            looks
        };
        for looks in 0..4 {
            assert_eq!(within(long, after(looks)).await, Some(looks));
        }
        let begun = Instant::now();
        assert_eq!(within(short, std::future::pending::<u64>()).await, None);
        assert!(begun.elapsed() >= short);
    }
}
