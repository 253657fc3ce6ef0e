//! The owner of the long-lived tasks: one that ends or panics before it was
//! told to is noticed, named, and ends the process in order.

use std::future::Future;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Owns tasks by name.
#[derive(Debug)]
pub struct Supervisor {
    tasks: JoinSet<&'static str>,
    stop: CancellationToken,
}

impl Supervisor {
    /// `stop` tells tasks that they may end.
    #[must_use]
    pub fn new(stop: CancellationToken) -> Self {
        Supervisor { tasks: JoinSet::new(), stop }
    }

    /// Takes a task over.
    pub fn own(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(async move {
            task.await;
            name
        });
    }

    /// Ends when a task has ended that was not told to; says which.
    pub async fn failed(&mut self) -> String {
        loop {
            match self.tasks.join_next().await {
                Some(Ok(name)) if self.stop.is_cancelled() => tracing::debug!(task = name, "task ended"),
                Some(Ok(name)) => return format!("the task '{name}' ended by itself"),
                Some(Err(error)) => return format!("a task failed: {error}"),
                None => std::future::pending().await,
            }
        }
    }

    /// Waits until every task has ended.
    pub async fn finish(&mut self) {
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a task failed while ending");
            }
        }
    }
}
