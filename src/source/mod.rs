//! Where configuration comes from. A source only ever hands content to the
//! store's writing half.

pub mod administration;
pub mod file;
pub mod harness;
pub mod intake;
pub mod intake_queue;
pub mod pause;
pub mod peer;
pub mod redis;
