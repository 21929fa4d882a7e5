//! `tests/golden/`: events as they were sent, `<kind>.json` or `<kind>.<which>.json`, each with the protobuf message of
//! the same event in a `.pb` beside it. A folder is a shape: `v2` added circles, audiences, custom fields and categories,
//! and the kinds of records that came with them; later the health of push endpoints, as kinds of its own. `v3` added the
//! visibility of custom fields, and the prefix and role of a company's first contact. `v4` added the origins of fields, the
//! ids of operations, merged and erased records, and conflicts.
//!
//! They are never rewritten, because logs and streams hold such events. The current version still writes events of the last
//! shape; a new attribute makes a new shape.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use prost::Message as _;

use super::shown;
use crate::contract::event::{decode, kind};
use crate::contract::proto::{from_proto, to_proto};
use crate::contract::record::parse_uid;
use crate::contract::{EncodedEvent, generated};
use crate::domain::{AccountId, Entity, Uid};

const SHAPES: [&str; 4] = ["v1", "v2", "v3", "v4"];
const TODAY: &str = "v4";

#[test]
fn there_is_one_of_every_kind() {
    let files: BTreeSet<String> = goldens(TODAY).iter().map(Golden::kind).collect();
    let kinds = Entity::ALL
        .into_iter()
        .flat_map(|entity| entity.event_types().iter().map(move |event_type| kind(entity, *event_type)));
    assert_eq!(files, kinds.collect());
}

#[test]
fn each_of_today_is_read_and_written_again_to_the_same_bytes() {
    for golden in goldens(TODAY) {
        let event = decode(&golden.json).unwrap_or_else(|error| panic!("{golden:?} {error}"));
        let (encoded, _) = EncodedEvent::encode(golden.account(), &event).expect("an event has JSON");
        assert_eq!(encoded.text(), golden.json, "{golden:?}");
        assert_eq!(encoded.kind(), golden.kind(), "{golden:?}");
    }
}

#[test]
fn each_message_is_the_same_event_and_is_written_again_to_the_same_bytes() {
    for golden in SHAPES.into_iter().flat_map(goldens) {
        let message = generated::Event::decode(golden.message.as_slice()).expect("a message");
        let (account, event) = from_proto(message).unwrap_or_else(|error| panic!("{golden:?} {error}"));
        assert_eq!(account, golden.account(), "{golden:?}");
        assert_eq!(shown(&event), shown(&decode(&golden.json).expect("an event")), "{golden:?}");
        assert_eq!(to_proto(account, &event).encode_to_vec(), golden.message, "{golden:?}");
    }
}

struct Golden {
    path: PathBuf,
    json: String,
    message: Vec<u8>,
}

impl std::fmt::Debug for Golden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:", self.path.display())
    }
}

impl Golden {
    /// The file's name up to its second dot.
    fn kind(&self) -> String {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.split('.').take(2).collect::<Vec<_>>().join(".")
    }

    fn account(&self) -> AccountId {
        let json: serde_json::Value = serde_json::from_str(&self.json).expect("JSON");
        let source = json.get("source").and_then(serde_json::Value::as_str);
        let Some(Uid(account)) = source.and_then(|source| source.strip_prefix("/accounts/")).and_then(parse_uid) else {
            panic!("{self:?} has no account")
        };
        AccountId(account)
    }
}

fn goldens(shape: &str) -> Vec<Golden> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(shape);
    let files = fs::read_dir(folder).expect("the folder").map(|file| file.expect("a file").path());
    let events = files.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    let read = |path: PathBuf| {
        let json = fs::read_to_string(&path).expect("text");
        let message = fs::read(path.with_extension("pb")).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        // A text file ends with a line feed; an event does not.
        Golden { json: json.trim_end_matches('\n').to_owned(), message, path }
    };
    events.map(read).collect()
}
