//! SDK usage: what SDKs say they evaluated, and for whom.

pub mod parse;
