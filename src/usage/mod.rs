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
//! # Bounds
//! * open and closed sums: `metrics-max-keys` keys and 64 MiB; as much again
//!   for rows of `targetData`. A key that has no room counts for the global
//!   target where that has a row of the same flag, else it is dropped.
//! * bodies being read: 128 MiB together. Texts of a row: 1 KiB (a value
//!   8 KiB), longer ones are cut; a target above 64 KiB loses its attributes.
//! * frozen batches: 64 MiB, 1,000 rows and 1 MiB each (one row alone may be
//!   larger), one under way per environment, 16 in all.
//! * the journal: 16 MiB, or twice the memory above, and a copy of that
//!   while it is written anew. Damaged ones are set aside, the last is kept.
//! * targets to register: 10,000 and 16 MiB; 4 under way, 20 a second, 3
//!   attempts; 100,000 remembered for an hour.
//! * what nobody takes: an environment that sends nothing and takes nothing
//!   for a day loses what it has.
//!
//! What a bound drops is counted by reason (`ff_relay_metrics_dropped_total`).
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
pub mod seen;
pub mod service;
pub mod settings;
pub mod text;

#[cfg(test)]
mod forward_tests;
#[cfg(test)]
mod properties;

pub use carrier::{Carrier, Delivery};
pub use service::{Usage, UsageTask};
pub use settings::UsageSettings;
