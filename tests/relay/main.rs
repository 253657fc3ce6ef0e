//! The relay through real sockets, in this process: one module per
//! behaviour.

mod support;

mod archives;
mod authentication;
mod configuration;
mod drain;
mod durability;
mod evaluations;
mod grpc_inspect;
mod hostile;
mod imports;
mod limits;
mod operations;
mod readme;
mod reload;
mod replay;
mod streams;
mod tls;
mod transcripts;
mod usage;
