//! The gRPC contract as generated from `proto/`: spoken by the admin port, by
//! the command line, and between relays.

pub mod admin {
    /// `ffrelay.admin.v1`
    #[allow(clippy::pedantic, clippy::all, reason = "generated")]
    pub mod v1 {
        tonic::include_proto!("ffrelay.admin.v1");
    }
}

pub mod inspect {
    /// `ffrelay.inspect.v1`
    #[allow(clippy::pedantic, clippy::all, reason = "generated")]
    pub mod v1 {
        tonic::include_proto!("ffrelay.inspect.v1");
    }
}

pub mod snapshot {
    /// `ffrelay.snapshot.v1`
    #[allow(clippy::pedantic, clippy::all, reason = "generated")]
    pub mod v1 {
        tonic::include_proto!("ffrelay.snapshot.v1");
    }
}

pub mod usage {
    /// `ffrelay.usage.v1`
    #[allow(clippy::pedantic, clippy::all, reason = "generated")]
    pub mod v1 {
        tonic::include_proto!("ffrelay.usage.v1");
    }
}

/// Every proto file, for reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/ffrelay.bin"));
