//! The relay through real sockets, in this process: one module per
//! behaviour.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail")]

#[allow(dead_code, reason = "this crate uses a part of it")]
#[path = "../support/relay_process.rs"]
mod relay_process;
mod support;

mod archives;
mod authentication;
mod cli;
mod configuration;
mod drain;
mod durability;
mod evaluations;
mod event_evaluations;
mod grpc_access;
mod grpc_contract;
mod grpc_export;
mod grpc_inspect;
mod grpc_lifecycle;
mod grpc_python;
mod grpc_tls;
mod hostile;
mod imports;
mod latest_all;
mod limits;
mod operations;
mod readme;
mod reload;
mod replay;
mod streams;
mod tls;
mod transcripts;
mod usage;
