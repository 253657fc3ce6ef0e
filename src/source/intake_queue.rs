//! The task that holds the store's writing half: whoever wants to write
//! sends it a job, and jobs run one after another.

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::intake::Intake;

/// Jobs that wait.
const WAITING: usize = 1024;

/// Jobs that are taken together.
const TOGETHER: usize = 64;

type Job = Box<dyn FnOnce(&mut Intake) + Send>;

/// The near end of the queue.
#[derive(Clone, Debug)]
pub struct IntakeQueue {
    jobs: mpsc::Sender<Job>,
}

/// The far end of the queue.
pub struct IntakeJobs {
    jobs: mpsc::Receiver<Job>,
}

/// Makes the queue.
#[must_use]
pub fn intake_queue() -> (IntakeQueue, IntakeJobs) {
    let (near, far) = mpsc::channel(WAITING);
    (IntakeQueue { jobs: near }, IntakeJobs { jobs: far })
}

impl IntakeQueue {
    /// Has a job done and gives its answer; `None` if the process ends.
    pub async fn run<T: Send + 'static>(&self, job: impl FnOnce(&mut Intake) -> T + Send + 'static) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        let job = move |intake: &mut Intake| {
            // Who asked may have ended.
            let _ = answer.send(job(intake));
        };
        self.jobs.send(Box::new(job)).await.ok()?;
        answered.await.ok()
    }

    /// Has a job done, some time.
    pub async fn send(&self, job: impl FnOnce(&mut Intake) + Send + 'static) {
        // It is closed only when the process ends.
        let _ = self.jobs.send(Box::new(job)).await;
    }
}

impl IntakeJobs {
    /// Does jobs until told to stop.
    pub async fn run(mut self, mut intake: Intake, stop: CancellationToken) {
        let mut waiting: Vec<Job> = Vec::with_capacity(TOGETHER);
        loop {
            tokio::select! {
                count = self.jobs.recv_many(&mut waiting, TOGETHER) => if count == 0 {
                    // Nobody writes any more: a directory that was read once, and no admin port.
                    return stop.cancelled().await;
                },
                () = stop.cancelled() => return,
            }
            let batch = std::mem::take(&mut waiting);
            // Building snapshots takes CPU.
            let done = tokio::task::spawn_blocking(move || {
                batch.into_iter().for_each(|job| job(&mut intake));
                intake
            });
            match done.await {
                Ok(back) => intake = back,
                // The supervisor ends the process: better than never changing again.
                Err(error) => {
                    tracing::error!(%error, "swapping configuration in failed");
                    return;
                }
            }
        }
    }
}
