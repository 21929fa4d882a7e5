//! The committed protobuf code is up to date with `proto/`.
//!
//! The code is committed so that a build needs no generator. To update it, run this test and then the command that its
//! failure prints.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn the_generated_code_is_fresh() -> Result<(), Box<dyn Error>> {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let committed = package.join("src/contract/generated/unificus.v1.rs");
    let fresh = generate(&package.join("proto"), Path::new(env!("CARGO_TARGET_TMPDIR")))?;
    assert!(
        fs::read(&committed).unwrap_or_default() == fs::read(&fresh)?,
        "the generated code differs from proto/; to update it:\n\n    cp '{}' '{}'\n",
        fresh.display(),
        committed.display(),
    );
    Ok(())
}

/// Generates the code of the contract; returns its path.
fn generate(proto: &Path, tmp: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let out = tmp.join("generated");
    fs::create_dir_all(&out)?;
    let contract = protox::compile(["unificus/v1/event.proto"], [proto])?;
    // With ordered maps every encoder gives the same bytes for the same event.
    prost_build::Config::new().btree_map(["."]).out_dir(&out).compile_fds(contract)?;
    Ok(out.join("unificus.v1.rs"))
}
