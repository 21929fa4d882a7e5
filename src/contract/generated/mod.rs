//! The messages of `proto/unificus/v1/event.proto`, made from it by prost-build and committed, so that a build needs no
//! generator. No hand writes here: `tests/it/proto.rs` holds the code to the contract and says how to make it anew.

#![expect(clippy::pedantic, reason = "prost-build chooses the form of what it writes")]

include!("unificus.v1.rs");
