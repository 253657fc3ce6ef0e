//! Compiles the gRPC contract; no `protoc` is needed.

use std::path::PathBuf;
use std::{env, fs};

const PROTOS: &[&str] = &[
    "ffrelay/inspect/v1/inspect.proto",
    "ffrelay/snapshot/v1/snapshot.proto",
    "ffrelay/usage/v1/usage.proto",
    "ffrelay/admin/v1/admin.proto",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto/ffrelay");
    let descriptors = protox::compile(PROTOS, ["proto"])?;
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    fs::write(out.join("ffrelay.bin"), prost::Message::encode_to_vec(&descriptors))?;
    tonic_prost_build::configure().build_client(true).compile_fds(descriptors)?;
    Ok(())
}
