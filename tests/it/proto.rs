//! Events as protobuf: what the feed serves, and the committed code.
//!
//! The code is committed so that a build needs no generator. To update it, run this test and then the command that its
//! failure prints.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use hyper::Method;
use prost::Message as _;
use serde_json::json;
use unificus::contract::generated;
use unificus::contract::proto::{CONTENT_TYPE, from_proto};

use crate::support::Service;

#[tokio::test]
async fn a_protobuf_page_holds_the_events_of_the_json_page() {
    let service = Service::start().await;
    let client = &service.client;
    client.contact("ann@example.org").await.expect(201);
    client.post("/company", json!({"name": "Acme", "tags": ["a", "b"]})).await.expect(201);
    client.put("/contact/ann@example.org", json!({"title": "Dr", "company": {"name": "Acme"}})).await.expect(200);
    client
        .post("/project", json!({"name": "House", "estimated_value": {"amount": 12.5, "currency": "EUR"}}))
        .await
        .expect(201);
    client.delete("/contact/ann@example.org").await.expect(200);

    let page = client.send(Method::GET, "/changes?limit=500", &[("accept", CONTENT_TYPE)], "").await;
    assert_eq!((page.status, page.header("content-type")), (200, CONTENT_TYPE));
    let mut rest = page.body;
    let mut read = Vec::new();
    while !rest.is_empty() {
        read.push(from_proto(generated::Event::decode_length_delimited(&mut rest).unwrap()).unwrap());
    }

    let events = client.changes().await;
    assert_eq!(read.len(), events.len());
    for ((account, event), json) in read.into_iter().zip(events) {
        assert_eq!(account, client.account);
        assert_eq!(event, unificus::contract::event::decode(&json.to_string()).unwrap());
    }
}

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
