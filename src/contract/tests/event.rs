use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::{ACCOUNT, phone_changed, second, shown};
use crate::contract::event::{decode, id_of, kind, parse_kind};
use crate::contract::outcome::{CommandOutcome, Disposition, Done};
use crate::contract::record::{self, Corrupt, RecordJson};
use crate::contract::{EncodedEvent, timestamp};
use crate::domain::fixture::{arbitrary, uid};
use crate::domain::{Entity, Event, Invalid, Refusal, Seq};

fn json(event: &Event) -> Json {
    serde_json::from_str(EncodedEvent::encode(ACCOUNT, event).expect("an event has JSON").0.text())
        .expect("an event is JSON")
}

#[test]
fn an_event_is_a_cloud_event() {
    let record = json!({
        "uid": uid("ann@x.org").to_string(),
        "role": "Client",
        "name_prefix": null, "first_name": "Ann", "last_name": "", "title": null,
        "email": "ann@x.org", "home_email": null, "work_email": null,
        "phone": "+3106", "home_phone": null, "work_phone": null, "shop_phone": null,
        "website": null, "background_info": null,
        "tags": ["a", "b"],
        "address": {
            "address_line_1": null, "address_line_2": null, "city": "Rome", "state": null, "country": null,
            "zip": null,
        },
        "full_address": "Rome",
        "companies": [{"uid": uid("Acme").to_string(), "name": "Acme"}],
        "circles": [], "audiences": [], "custom_fields": {}, "target_custom_fields": {},
        "active": true,
        "created": "2024-10-04T00:00:18+00:00",
        "updated": "2024-10-04T00:01:03+00:00",
        "version": 42,
        "deleted": false,
        "refs": [{"source": "tryton", "id": "17"}],
        "field_seq": {"first_name": 12, "phone": 42},
        "origins": {"erp": ["first_name"], "tryton": ["phone"]},
    });
    let expected = json!({
        "specversion": "1.0",
        "id": "6f1c33a4-0d3c-4f5e-9d6b-3f0d9b1f2c11:42",
        "source": "/accounts/6f1c33a4-0d3c-4f5e-9d6b-3f0d9b1f2c11",
        "type": "crm.contact.updated",
        "subject": uid("ann@x.org").to_string(),
        "time": "2024-10-04T00:01:03.123456Z",
        "sequence": "00000000000000000042",
        "partitionkey": uid("ann@x.org").to_string(),
        "origin": "tryton",
        "causationid": "op-9",
        "correlationid": "batch-3",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "datacontenttype": "application/json",
        "data": {
            "seq": 42,
            "previous_version": 37,
            "changed": {"phone": {"from": "+3120", "to": "+3106"}},
            "record": record,
        },
    });
    assert_eq!(json(&phone_changed()), expected);
}

#[test]
fn missing_parts_of_an_event_are_null_or_absent() {
    let event = Event { traceparent: None, previous_version: None, changed: Vec::new(), ..phone_changed() };
    let json = json(&event);
    assert_eq!(json.get("traceparent"), None, "an extension attribute of CloudEvents is not null");
    assert_eq!(json["data"]["previous_version"], Json::Null);
    assert_eq!(json["data"]["changed"], json!({}));
}

#[test]
fn additions_of_a_later_version_are_ignored() {
    let event = phone_changed();
    let mut json = json(&event);
    json["planet"] = json!("Mars");
    json["data"]["later"] = json!({"a": []});
    json["data"]["record"]["planets"] = json!({"x": 1});
    json["data"]["record"]["field_seq"]["planets"] = json!(7);
    assert_eq!(shown(&decode(&json.to_string()).expect("an event")), shown(&event));
}

#[test]
fn an_invalid_event_is_refused_by_the_key_at_fault() {
    let refusal = |change: fn(&mut Json)| {
        let mut json = json(&phone_changed());
        change(&mut json);
        match decode(&json.to_string()) {
            Err(Corrupt::Key(key)) => key,
            other => panic!("not refused for a key: {other:#?}"),
        }
    };
    assert_eq!(refusal(|json| json["type"] = json!("contact.updated")), "type");
    assert_eq!(refusal(|json| json["type"] = json!("crm.contact.renamed")), "type");
    assert_eq!(refusal(|json| json["time"] = json!("2024-10-04 00:01:03")), "time");
    assert_eq!(refusal(|json| json["origin"] = Json::Null), "origin");
    assert_eq!(refusal(|json| json["data"] = json!([])), "data");
    assert_eq!(refusal(|json| json["traceparent"] = json!(7)), "traceparent");
    assert_eq!(refusal(|json| json["data"]["seq"] = json!("42")), "seq");
    assert_eq!(refusal(|json| json["data"]["previous_version"] = json!("37")), "previous_version");
    assert_eq!(refusal(|json| json["data"]["changed"] = json!({"nickname": {}})), "changed");
    assert_eq!(refusal(|json| json["data"]["changed"]["phone"] = json!("+3106")), "changed");
    assert_eq!(refusal(|json| json["data"]["changed"]["phone"]["to"] = json!(3106)), "phone");
    assert_eq!(refusal(|json| json["data"]["record"]["uid"] = json!("17")), "uid");
    assert_eq!(refusal(|json| json["data"]["record"]["role"] = json!("Boss")), "role");
    assert_eq!(refusal(|json| json["data"]["record"]["tags"] = json!("a")), "tags");
    assert_eq!(refusal(|json| json["data"]["record"]["created"] = json!("2024-10-04T00:00:18Z")), "created");
    assert!(matches!(decode("{"), Err(Corrupt::NotJson(_))));
}

/// RFC 3339 has no years before 0, so that such a time stands for any value that has no JSON.
#[test]
fn an_event_without_json_is_refused_and_not_cut_short() {
    let before_year_0 = second(42).replace_year(-1).expect("a year");
    let of_event = Event { at: before_year_0, ..phone_changed() };
    let mut of_record = phone_changed();
    of_record.record.created_at = before_year_0;
    for event in [of_event, of_record] {
        let error = EncodedEvent::encode(ACCOUNT, &event).expect_err("it has no JSON");
        assert_eq!(error.to_string(), format!("encoding event 42 of account {ACCOUNT} failed"));
    }
}

#[test]
fn a_body_without_an_id_is_no_event() {
    let (encoded, _) = EncodedEvent::encode(ACCOUNT, &phone_changed()).expect("an event has JSON");
    let cut_short = encoded.text().get(..60).expect("ASCII");
    for wrong in ["", "{", r#"{"specversion":"1.0","id":"42"}"#, &"é".repeat(100), cut_short] {
        assert_eq!(id_of(wrong), None, "{wrong}");
    }
    let unreadable = EncodedEvent { body: "{}".into(), ..encoded };
    assert!(matches!(unreadable.changed_fields(), Err(Corrupt::NotJson(_))));
}

#[test]
fn a_kind_is_read_back() {
    for (entity, event_type) in Entity::ALL
        .into_iter()
        .flat_map(|entity| entity.event_types().iter().map(move |event_type| (entity, *event_type)))
    {
        assert_eq!(parse_kind(&kind(entity, event_type)), Some((entity, event_type)));
    }
    for unknown in ["contact", "contact.", ".created", "planet.created", "contact.created.twice", "Contact.created"] {
        assert_eq!(parse_kind(unknown), None, "{unknown}");
    }
}

#[test]
fn a_timestamp_needs_its_offset() {
    let at = timestamp::parse("2024-10-04T02:01:03.5+02:00").expect("a timestamp");
    assert_eq!(timestamp::micros(at), "2024-10-04T00:01:03.500000Z");
    assert_eq!(timestamp::parse("2024-10-04T02:01:03"), None);
    assert_eq!(timestamp::parse("2024-10-04"), None);
}

/// Outcomes are stored for a day, so that a new version reads the outcomes of the old one.
#[test]
fn a_stored_outcome_has_always_the_same_text() {
    let uid = uid("ann@x.org");
    let done = CommandOutcome::Done(Done {
        entity: Entity::Contact,
        uid,
        version: Seq(42),
        disposition: Disposition::Unchanged,
    });
    let refused = CommandOutcome::Refused(Refusal::Invalid(vec![Invalid::new("email", "Is required.")]));
    for (outcome, text) in [
        (done, format!(r#"{{"done":{{"entity":"contact","uid":"{uid}","version":42,"what":"unchanged"}}}}"#)),
        (refused, r##"{"refused":{"invalid":[{"pointer":"#/email","detail":"Is required."}]}}"##.to_owned()),
        (
            CommandOutcome::Refused(Refusal::Gone { entity: Entity::Company, deleted_seq: Seq(7), merged_into: None }),
            r#"{"refused":{"gone":{"entity":"company","deleted_seq":7}}}"#.to_owned(),
        ),
        (CommandOutcome::Refused(Refusal::KeyReused), r#"{"refused":"key_reused"}"#.to_owned()),
    ] {
        assert_eq!(serde_json::to_string(&outcome).expect("JSON"), text);
        assert_eq!(serde_json::from_str::<CommandOutcome>(&text).expect("an outcome"), outcome);
    }
}

proptest! {
    #[test]
    fn any_event_reads_as_itself((account, event) in arbitrary::event()) {
        let (encoded, _) = EncodedEvent::encode(account, &event).expect("an event has JSON");
        let again = encoded.decode().expect("what we wrote we read");
        prop_assert_eq!(shown(&again), shown(&event));
        prop_assert_eq!(EncodedEvent::encode(account, &again).expect("an event has JSON").0, encoded);
    }

    #[test]
    fn the_body_ends_with_the_text_of_the_record((account, event) in arbitrary::event()) {
        let (encoded, text) = EncodedEvent::encode(account, &event).expect("an event has JSON");
        prop_assert!(encoded.text().ends_with(&[r#","record":"#, &text, "}}"].concat()), "{}", encoded.text());
        prop_assert_eq!(&text, &serde_json::to_string(&RecordJson(&event.record)).expect("JSON"));
        let record = record::decode(event.record.entity, &text).expect("what we wrote we read");
        prop_assert_eq!(shown(&record), shown(&event.record));
    }

    #[test]
    fn the_attributes_of_an_encoded_event_are_those_of_its_body((account, event) in arbitrary::event()) {
        let (encoded, _) = EncodedEvent::encode(account, &event).expect("an event has JSON");
        let json: Json = serde_json::from_str(encoded.text()).expect("JSON");
        let attribute = |key: &str| json.get(key).and_then(Json::as_str);
        prop_assert_eq!(attribute("id"), Some(&*encoded.id()));
        prop_assert_eq!(attribute("type"), Some(&*["crm.", &encoded.kind()].concat()));
        prop_assert_eq!(attribute("subject"), Some(&*encoded.uid.to_string()));
        prop_assert_eq!(attribute("time"), Some(&*timestamp::micros(encoded.at)));
        prop_assert_eq!(attribute("sequence"), Some(&*format!("{:020}", encoded.seq.0)));
        prop_assert_eq!(attribute("origin"), Some(&*encoded.origin));
        prop_assert_eq!(id_of(encoded.text()), encoded.id().parse().ok());
        let changed: std::collections::BTreeSet<String> =
            event.changed.iter().map(|change| change.field.name().to_owned()).collect();
        prop_assert_eq!(encoded.changed_fields().expect("fields"), changed.into_iter().collect::<Vec<_>>());
        prop_assert_eq!(encoded.traceparent(), event.traceparent.as_deref());
    }

    /// CloudEvents 1.0: attribute names are lower-case letters and digits; an extension is a string here, never null.
    #[test]
    fn any_event_has_the_attributes_of_a_cloud_event((account, event) in arbitrary::event()) {
        let (encoded, _) = EncodedEvent::encode(account, &event).expect("an event has JSON");
        let json: Json = serde_json::from_str(encoded.text()).expect("JSON");
        for (name, value) in json.as_object().expect("an object") {
            prop_assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()), "{}", name);
            prop_assert!(name == "data" || value.is_string(), "{}: {}", name, value);
        }
    }
}
