//! Compiles the protocol with `protox`, so that no `protoc` is needed.

use std::path::PathBuf;
use std::{env, error, fs};

use prost::Message as _;

const FILES: [&str; 13] = [
    "fedsx/admin/v1/entry.proto",
    "fedsx/admin/v1/actors.proto",
    "fedsx/admin/v1/follows.proto",
    "fedsx/admin/v1/groups.proto",
    "fedsx/admin/v1/backfills.proto",
    "fedsx/admin/v1/activities.proto",
    "fedsx/admin/v1/definitions.proto",
    "fedsx/admin/v1/deliveries.proto",
    "fedsx/admin/v1/quarantine.proto",
    "fedsx/admin/v1/instance.proto",
    "fedsx/admin/v1/projections.proto",
    "fedsx/admin/v1/peers.proto",
    "fedsx/admin/v1/logs.proto",
];

fn main() -> Result<(), Box<dyn error::Error>> {
    println!("cargo::rerun-if-changed=proto");
    let descriptors = protox::compile(FILES, ["proto"])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    // Served by reflection.
    fs::write(out.join("fedsx_admin_v1.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure().compile_fds(descriptors)?;
    Ok(())
}
