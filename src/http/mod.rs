//! The SDK port: the Harness-compatible HTTP and SSE API (`http-api.md`).

pub mod answer;
pub mod api;
pub mod authenticate;
pub mod authorize;
pub mod configuration;
pub mod connection;
pub mod cors;
pub mod evaluations;
pub mod health;
pub mod hold;
pub mod io;
pub mod listener;
pub mod metrics;
pub mod operations;
pub mod patience;
mod redis_health;
pub mod request_body;
pub mod route;
pub mod service;
pub mod stopping;
pub mod stream;
pub mod token;
pub mod unshared;
