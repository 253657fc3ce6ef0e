//! SDK usage: what SDKs say they evaluated, and for whom, summed and carried
//! upstream.
//!
//! ```text
//! http ── BodyTally ──▶ Intake (open sums) ──▶ Lane (closed, batches) ──▶ Carrier
//!                           └── every ½ s ──▶ Journal ◀── every step ──┘
//! http ── authenticated targets ──▶ Registrar ──▶ Carrier
//! ```
//!
//! A request's rows are summed to the side and added to the open sums of its
//! environment once the body was read whole; then it is answered. Every
//! `metric-post-duration` open sums are closed; closed rows are frozen into
//! one batch after another, each repeated byte for byte until upstream
//! answers for it. While an environment has closed rows its open sums go on
//! growing, so an outage costs memory for new keys only, and nothing is
//! dropped but by the bounds of [`room`].
//!
//! # Wiring
//! The composition root makes both halves, gives the first to the SDK port
//! and runs the second under supervision:
//!
//! ```text
//! let (usage, task) = Usage::active(UsageSettings::new(&config.usage, forward_targets), data_dir);
//! background.own("usage", task.run(carrier, stop_background.clone()));
//! // SIGTERM: SDK connections are drained, then
//! usage.flush(rest_of_the_grace).await;
//! // and only then is the background stopped.
//! ```
//!
//! [`Usage::dropped`] is for modes with nowhere to send to.
//!
//! # Promise
//! With `data-dir` every sum is on disk within a second, every batch before
//! it is sent, and what became of it right after. Without, a crash loses
//! what was not sent. Either way a batch whose attempt ended in the dark is
//! sent again, and its evaluations are counted as uncertain.

pub mod aggregate;
pub mod backoff;
pub mod batch;
pub mod body;
pub mod carrier;
pub mod counters;
pub mod entry;
pub mod forward;
pub mod intake;
pub mod journal;
mod keeping;
pub mod key;
pub mod lane;
pub mod parse;
pub mod register;
pub mod registrar;
pub mod replay;
pub mod room;
pub mod service;
pub mod settings;

#[cfg(test)]
mod forward_tests;
#[cfg(test)]
mod properties;

pub use carrier::{Carrier, Delivery};
pub use service::{Usage, UsageTask};
pub use settings::UsageSettings;
