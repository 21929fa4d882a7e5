//! `/contact/meta` and `/company/meta` against the answers of the vendor's API, key by key and in order.
//!
//! `tests/it/observed/` has these answers, with neutral definitions of custom fields. Everything in them must be in ours, with
//! the same value and in the same order. Attributes that only this service has come after them.
//!
//! No answer to `/project/meta` was observed. `project-meta.json` is our own, and equal to what is served: clients rely on it.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Value, json};

use crate::support::{Client, Service};

const CONTACT: &str = include_str!("observed/contact-meta.json");
const COMPANY: &str = include_str!("observed/company-meta.json");
const PROJECT: &str = include_str!("project-meta.json");
/// The uid of the custom field in the attributes of projects.
const PROJECT_FIELD: &str = "350f36de-0000-4000-8000-000000000001";
/// The attributes that the contract names for projects.
const OF_PROJECTS: [&str; 14] = [
    "uid",
    "name",
    "status",
    "start_date",
    "end_date",
    "due_time",
    "info_description",
    "info_title_client",
    "info_description_client",
    "business_sector",
    "estimated_value",
    "project_custom_fields",
    "client",
    "team",
];

/// Deliberate differences: the path of the observed value, and the reason. There are none.
const DIFFERENCES: &[(&str, &str)] = &[];

/// JSON whose objects keep the order of their keys.
#[derive(Debug, Clone, PartialEq)]
enum Ordered {
    Object(Vec<(String, Ordered)>),
    List(Vec<Ordered>),
    Plain(Value),
}

impl<'de> Deserialize<'de> for Ordered {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Ordered;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Ordered, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Ordered::Object(members))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Ordered, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = list.next_element()? {
                    items.push(item);
                }
                Ok(Ordered::List(items))
            }

            fn visit_str<E>(self, text: &str) -> Result<Ordered, E> {
                Ok(Ordered::Plain(json!(text)))
            }

            fn visit_bool<E>(self, flag: bool) -> Result<Ordered, E> {
                Ok(Ordered::Plain(json!(flag)))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Ordered, E> {
                Ok(Ordered::Plain(json!(number)))
            }

            fn visit_unit<E>(self) -> Result<Ordered, E> {
                Ok(Ordered::Plain(Value::Null))
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

impl Ordered {
    fn read(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    fn members(&self) -> &[(String, Self)] {
        match self {
            Self::Object(members) => members,
            Self::List(_) | Self::Plain(_) => panic!("no object: {self:?}"),
        }
    }

    fn get(&self, key: &str) -> Option<&Self> {
        self.members().iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }
}

/// Adds each difference: a key that we lack, another value, another order, or a key of ours before an observed one.
fn compare(at: &str, observed: &Ordered, ours: &Ordered, differences: &mut Vec<String>) {
    let (Ordered::Object(expected), Ordered::Object(shown)) = (observed, ours) else {
        if observed != ours {
            differences.push(format!("{at}: {ours:?} in place of {observed:?}"));
        }
        return;
    };
    for (key, value) in expected {
        match ours.get(key) {
            Some(own) => compare(&format!("{at}/{key}"), value, own, differences),
            None => differences.push(format!("{at}/{key}: is missing")),
        }
    }
    let known = |key: &&String| observed.get(key).is_some();
    let expected: Vec<&String> = expected.iter().map(|(key, _)| key).filter(|key| ours.get(key).is_some()).collect();
    let first: Vec<&String> = shown.iter().map(|(key, _)| key).take(expected.len()).collect();
    if first != expected {
        differences.push(format!("{at}: its keys begin with {first:?} in place of {expected:?}"));
    }
    assert_eq!(shown.iter().map(|(key, _)| key).filter(known).count(), expected.len(), "{at} has a key twice");
}

/// Compares one answer. Differences in the table are no failure, and an entry of the table that excuses nothing is one.
#[track_caller]
fn assert_observed(name: &str, observed: &Ordered, ours: &Ordered, also: &[&str]) {
    let mut differences = Vec::new();
    compare(name, observed, ours, &mut differences);
    let excuses = |path: &str, difference: &String| difference.starts_with(&format!("{path}:"));
    let of_this = DIFFERENCES.iter().map(|(path, _)| *path).filter(|path| path.starts_with(name));
    let excused: Vec<&str> = of_this.chain(also.iter().copied()).collect();
    for path in &excused {
        assert!(differences.iter().any(|difference| excuses(path, difference)), "{path} excuses nothing");
    }
    differences.retain(|difference| !excused.iter().any(|path| excuses(path, difference)));
    assert!(differences.is_empty(), "{differences:#?}");
}

/// An account's attributes, in order, without an envelope.
async fn meta(api: &Client, path: &str) -> Ordered {
    let response = api.get(path).await;
    assert_eq!((response.status, response.header("content-type")), (200, "application/json"), "{}", response.text);
    Ordered::read(&response.text)
}

/// Defines the custom fields of the observed answer in an account. Returns the answer with the uids of this account's fields
/// in place of the observed ones.
async fn defined_as_observed(api: &Client) -> Ordered {
    let mut text = CONTACT.to_owned();
    let observed = Ordered::read(CONTACT);
    let fields = observed.get("custom_fields").and_then(|fields| fields.get("properties")).unwrap();
    let kinds = ["text", "dropdown", "url", "file", "number"];
    assert_eq!(fields.members().len(), kinds.len());
    let values: Value = serde_json::from_str(CONTACT).unwrap();
    for ((uid, _), kind) in fields.members().iter().zip(kinds) {
        let field = &values["custom_fields"]["properties"][uid];
        let body = json!({"entity": "contact", "type": kind, "name": field["field_name"],
            "allowed_values": field["allowed_values"]});
        let added = api.post("/fields", body).await;
        added.expect(201);
        text = text.replace(uid, &added.uid());
    }
    Ordered::read(&text)
}

#[tokio::test]
async fn a_fresh_account_has_the_observed_attributes_of_contacts_and_companies() {
    let service = Service::start().await;
    let api = &service.client;
    // An account without custom fields has no definitions; the observed account had some.
    let without = ["/contact/meta/custom_fields/properties"];
    assert_observed("/contact/meta", &Ordered::read(CONTACT), &meta(api, "/contact/meta").await, &without);
    assert_observed("/company/meta", &Ordered::read(COMPANY), &meta(api, "/company/meta").await, &[]);
}

#[tokio::test]
async fn an_account_with_custom_fields_has_the_observed_attributes() {
    let service = Service::start().await;
    let api = &service.client;
    let observed = defined_as_observed(api).await;
    for (entity, visibility) in
        [("company", "public"), ("company", "private"), ("target", "public"), ("project", "public")]
    {
        let body = json!({"entity": entity, "type": "text", "name": visibility, "visibility": visibility});
        api.post("/fields", body).await.expect(201);
    }
    assert_observed("/contact/meta", &observed, &meta(api, "/contact/meta").await, &[]);
    assert_observed("/company/meta", &Ordered::read(COMPANY), &meta(api, "/company/meta").await, &[]);
}

#[tokio::test]
async fn attributes_beside_records_are_in_the_observed_order_too() {
    let service = Service::start().await;
    let api = &service.client;
    let observed = defined_as_observed(api).await;
    let uid = api.contact("ann@example.org").await.uid();
    for path in [format!("/contact/{uid}?meta=1"), "/contacts?meta=1".to_owned()] {
        let response = meta(api, &path).await;
        let attributes = response.get("meta").and_then(|meta| meta.get("attributes")).unwrap();
        assert_observed("/contact/meta", &observed, attributes, &[]);
    }
}

#[tokio::test]
async fn samples_have_the_observed_shape() {
    let service = Service::start().await;
    let sample = service.client.as_caller(unificus::domain::AccountId(uuid::Uuid::nil()), "DummySecretKey");
    // A sample's custom fields are random.
    let without = ["/contact/meta/custom_fields/properties"];
    let mut contact = meta(&sample, "/contact/meta").await;
    let Ordered::Object(attributes) = &mut contact else { panic!("no object") };
    for (_, attribute) in attributes.iter_mut().filter(|(name, _)| name == "custom_fields") {
        let Ordered::Object(members) = attribute else { panic!("no object") };
        assert_eq!(members.pop().map(|(key, _)| key).as_deref(), Some("properties"));
    }
    assert_observed("/contact/meta", &Ordered::read(CONTACT), &contact, &without);
    assert_observed("/company/meta", &Ordered::read(COMPANY), &meta(&sample, "/company/meta").await, &[]);
    let company = sample.get("/company/Acme").await;
    for key in ["public_custom_fields", "private_custom_fields", "target_custom_fields", "custom_fields"] {
        assert!(company.expect(200)[key].is_object(), "{key}: {}", company.text);
    }
}

#[tokio::test]
async fn the_attributes_of_projects_are_those_that_are_documented() {
    let service = Service::start().await;
    let api = &service.client;
    let body = json!({"entity": "project", "type": "dropdown", "name": "Phase", "description": "Where it stands",
        "allowed_values": ["Plan", "Build"]});
    let added = api.post("/fields", body).await;
    added.expect(201);
    let documented = Ordered::read(&PROJECT.replace(PROJECT_FIELD, &added.uid()));
    let (mut shown, mut differences) = (vec![meta(api, "/project/meta").await], Vec::new());
    api.post("/project", json!({"name": "Roof"})).await.expect(201);
    for path in ["/project/name/Roof?meta=1", "/projects?meta=1"] {
        let response = meta(api, path).await;
        shown.push(response.get("meta").and_then(|meta| meta.get("attributes")).unwrap().clone());
    }
    for shown in shown {
        compare("/project/meta", &documented, &shown, &mut differences);
        assert!(differences.is_empty(), "{differences:#?}");
        assert_eq!(shown, documented, "nothing comes beside the documented attributes");
    }
    let first: BTreeSet<&str> =
        documented.members().iter().map(|(name, _)| name.as_str()).take(OF_PROJECTS.len()).collect();
    assert_eq!(first, BTreeSet::from(OF_PROJECTS), "those of the contract come first");
    let amount = documented.get("estimated_value").and_then(|value| value.get("properties")).unwrap();
    assert!(amount.get("amount").is_some() && amount.get("currency").is_some());
}

/// The rule by which a form plugin shows fields: it reads `field_name`, and hides a field unless `required` is false.
#[tokio::test]
async fn a_form_plugin_shows_all_six_lines_of_an_address() {
    let service = Service::start().await;
    let meta = service.client.get("/contact/meta").await.json;
    let lines = meta["address"]["properties"].as_object().unwrap();
    let is_shown = |line: &Value| line["field_name"].is_string() && line["required"] == json!(false);
    assert_eq!(lines.len(), 6);
    assert!(lines.values().all(is_shown), "{lines:?}");
}

#[tokio::test]
async fn a_definition_has_its_visibility_in_the_attributes_of_its_group() {
    let service = Service::start().await;
    let api = &service.client;
    let add = async |entity: &str, name: &str, visibility: &str| {
        let body = json!({"entity": entity, "type": "text", "name": name, "visibility": visibility});
        let added = api.post("/fields", body).await;
        added.expect(201);
        added.uid()
    };
    let (open, hidden) = (add("company", "Open", "public").await, add("company", "Hidden", "PRIVATE").await);
    let aim = add("target", "Aim", "public").await;
    let groups = async || {
        let meta = api.get("/company/meta").await.json;
        ["public_custom_fields", "private_custom_fields", "target_custom_fields", "custom_fields"].map(|group| {
            let properties = meta[group]["properties"].as_object().cloned().unwrap_or_default();
            let mut uids: Vec<String> = properties.keys().cloned().collect();
            uids.sort();
            uids
        })
    };
    let sorted = |mut uids: Vec<String>| {
        uids.sort();
        uids
    };
    let all = sorted(vec![open.clone(), hidden.clone(), aim.clone()]);
    assert_eq!(groups().await, [vec![open.clone()], vec![hidden.clone()], vec![aim.clone()], all.clone()]);
    let listed = api.get("/contact/meta").await.json["company_custom_fields"]["properties"].clone();
    assert_eq!((&listed[&open]["visibility"], &listed[&hidden]["visibility"]), (&json!("public"), &json!("private")));

    api.put(&format!("/fields/{open}"), json!({"visibility": "private"})).await.expect(200);
    let hidden_now = sorted(vec![open.clone(), hidden.clone()]);
    assert_eq!(groups().await, [Vec::new(), hidden_now, vec![aim], all]);
}
