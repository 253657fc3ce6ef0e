//! The admin and snapshot API: its own listener, its own credentials, the
//! error table shared with HTTP (`grpc.md`).

pub mod access;
pub mod inspect;
pub mod page;
pub mod server;
pub mod status;

/// The generated contract.
pub mod proto {
    /// `ffrelay.inspect.v1`
    #[allow(clippy::pedantic, clippy::all, reason = "generated")]
    pub mod inspect {
        tonic::include_proto!("ffrelay.inspect.v1");
    }

    /// Every proto file with its comments left out, for reflection.
    pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/ffrelay.bin"));
}
