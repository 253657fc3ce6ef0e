//! What benchmarks measure with: configuration made of nothing but a seed, a
//! relay as a pinned process, its figures.

pub mod data;
pub mod figures;
pub mod online;
pub mod process;
pub mod requests;
pub mod tls;
