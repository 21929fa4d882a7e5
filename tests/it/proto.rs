//! The protobuf code in the tree is what `proto/` says.
//!
//! It is committed, so that a build needs no generator. To make it anew, run this test and then the command with which it
//! fails.

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
        "the code is not what proto/ says; this makes it so:\n\n    cp '{}' '{}'\n",
        fresh.display(),
        committed.display(),
    );
    Ok(())
}

/// Writes the code of the contract and says where.
fn generate(proto: &Path, tmp: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let out = tmp.join("generated");
    fs::create_dir_all(&out)?;
    let contract = protox::compile(["unificus/v1/event.proto"], [proto])?;
    // With ordered maps the same event is the same bytes, whoever encodes it.
    prost_build::Config::new().btree_map(["."]).out_dir(&out).compile_fds(contract)?;
    Ok(out.join("unificus.v1.rs"))
}
