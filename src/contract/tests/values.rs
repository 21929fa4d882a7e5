use serde_json::json;

use super::input::{create, invalid, patch, read, refused, update};
use crate::contract::input::InputKind;
use crate::domain::fixture::{tags, text};
use crate::domain::{Address, Entity, Field, FieldKind};

#[test]
fn tags_are_a_list_or_one_text_and_a_set() {
    for tags_as_sent in [json!(["b", " a ", "", "b"]), json!("b, a ,,b"), json!("a,b")] {
        assert_eq!(read(json!({"tags": tags_as_sent})).patch, patch([(Field::Tags, tags(["a", "b"]))]));
    }
    for none in [json!([]), json!(""), json!(" , "), json!([" "]), json!(null)] {
        assert_eq!(read(json!({"tags": none})).patch, patch([(Field::Tags, None)]));
    }
    let numbered = json!({"10": "10", "2": null, "3": 1.5, "0": "a"});
    for mixed in [json!(["a", 1.5, null, 10]), numbered, json!("a,1.5,10")] {
        assert_eq!(read(json!({"tags": mixed})).patch, patch([(Field::Tags, tags(["1.5", "10", "a"]))]));
    }
    for wrong in [json!([true]), json!(["a", {}]), json!(1), json!({}), json!({"0": "a", "b": "c"})] {
        assert_eq!(refused(json!({"tags": wrong})), ["#/tags"]);
    }
}

#[test]
fn an_update_of_an_address_leaves_the_lines_that_it_does_not_name() {
    let current = Address { city: Some("Ulm".to_owned()), zip: Some("1".to_owned()), ..Address::default() };
    let after = |body| read(body).address.map(|change| change.apply(Some(&current)));
    let expected = |city: Option<&str>, zip: Option<&str>| {
        let own = |text: Option<&str>| text.map(str::to_owned);
        Some(
            Some(Address { city: own(city), zip: own(zip), ..Address::default() })
                .filter(|address| !address.is_empty()),
        )
    };
    assert_eq!(after(json!({"address": {"city": " Rome "}})), expected(Some("Rome"), Some("1")));
    assert_eq!(after(json!({"address": {"city": null, "zip": ""}})), expected(None, None));
    assert_eq!(after(json!({"address": {"zip": null}})), expected(Some("Ulm"), None));
    assert_eq!(after(json!({"address": null})), Some(None));
    assert_eq!(after(json!({})), None);
    assert_eq!(after(json!({"address": {"zip": 1011}})), expected(Some("Ulm"), Some("1011")));
    for empty in [json!([]), json!({}), json!("")] {
        assert_eq!(after(json!({"address": empty})), expected(Some("Ulm"), Some("1")));
    }
    for wrong in [
        json!({"address": "Main St 1"}),
        json!({"address": ["Main St 1"]}),
        json!({"address": {"zip": true}}),
        json!({"address": {"city": "x".repeat(256)}}),
    ] {
        assert_eq!(refused(wrong), ["#/address"]);
    }
}

#[test]
fn full_address_is_read_where_address_is_absent() {
    let current = Address { city: Some("Ulm".to_owned()), zip: Some("1".to_owned()), ..Address::default() };
    let after = |body| read(body).address.map(|change| change.apply(Some(&current)));
    let line = Address { address_line_1: Some("Main St 1, Rome".to_owned()), ..Address::default() };
    assert_eq!(after(json!({"full_address": "Main St 1, Rome"})), Some(Some(line)));
    assert_eq!(after(json!({"full_address": current.full()})), Some(Some(current.clone())), "as it was read");
    let both = json!({"full_address": "Main St 1", "address": {"city": "Rome"}});
    assert_eq!(after(both).flatten().and_then(|address| address.city).as_deref(), Some("Rome"));
    assert_eq!(after(json!({"full_address": "Main St 1", "address": null})), Some(None));
    for none in [json!({"full_address": null}), json!({"full_address": " "})] {
        assert_eq!(after(none), Some(None));
    }
    assert_eq!(refused(json!({"full_address": "x".repeat(256)})), ["#/full_address"]);
    assert_eq!(refused(json!({"full_address": true})), ["#/full_address"]);
}

#[test]
fn null_and_the_empty_text_clear_a_nullable_field() {
    let nullable =
        Entity::Contact.fields().iter().copied().filter(|field| field.nullable() && has_value_of_its_own(*field));
    for field in nullable.filter(|field| *field != Field::Address) {
        for none in [json!(null), json!(""), json!(" \t\n")] {
            assert_eq!(read(json!({field.name(): none})).patch, patch([(field, None)]), "{field:?}");
        }
    }
    assert_eq!(
        read(json!({"first_name": " ", "last_name": ""})).patch,
        patch([(Field::FirstName, text("")), (Field::LastName, text(""))])
    );
    assert_eq!(refused(json!({"first_name": null, "last_name": null})), ["#/first_name", "#/last_name"]);
    for none in [json!(null), json!(""), json!(" ")] {
        assert_eq!(invalid(update(InputKind::Company, json!({"name": none}))), ["#/name"]);
    }
}

/// True when it is written by its value under its name.
fn has_value_of_its_own(field: Field) -> bool {
    !matches!(field.kind(), FieldKind::Links | FieldKind::Circles | FieldKind::Audiences | FieldKind::Custom(_))
}

#[test]
fn text_is_trimmed_and_an_email_is_in_lower_case() {
    let body =
        json!({"first_name": "  Ann\u{a0}", "phone": " 1 2 ", "email": " Ann@X.ORG ", "website": " HTTPS://X.org/A "});
    let expected = patch([
        (Field::FirstName, text("Ann")),
        (Field::Phone, text("1 2")),
        (Field::Email, text("ann@x.org")),
        (Field::Website, text("HTTPS://X.org/A")),
    ]);
    assert_eq!(read(body).patch, expected);
}

#[test]
fn a_website_has_a_scheme_and_a_host() {
    for good in ["http://x", "https://x.org", "hTTps://x.org/a?b=c#d", "https://münchen.example"] {
        assert_eq!(read(json!({"website": good})).patch, patch([(Field::Website, text(good))]));
    }
    for bad in [
        "x.org",
        "www.x.org",
        "//x.org",
        "ftp://x.org",
        "https:x.org",
        "https://",
        "https:///x",
        "https://x y",
        "javascript:alert(1)",
    ] {
        assert_eq!(refused(json!({"website": bad})), ["#/website"], "{bad}");
    }
}

#[test]
fn an_email_is_local_at_domain() {
    for good in ["a@x", "a.b+c@x.co.uk", "ü@x.org"] {
        assert_eq!(read(json!({"email": good})).patch, patch([(Field::Email, text(good))]));
    }
    for bad in ["a", "@x", "a@", "a@x@y", "a b@x", "a@x..org", "a@.x", "a@x.", "a@x\u{1}"] {
        assert_eq!(refused(json!({"email": bad})), ["#/email"], "{bad}");
    }
}

/// PostgreSQL cannot store the NUL character.
#[test]
fn nul_is_refused_wherever_text_is_taken() {
    let nul = "a\0b";
    let texts = [
        (nul, [Field::Title, Field::BackgroundInfo, Field::Phone, Field::FirstName]),
        ("a\0@x.org", [Field::Email, Field::HomeEmail, Field::WorkEmail, Field::Email]),
        ("https://x.org/\0", [Field::Website; 4]),
    ];
    for (sent, field) in texts.into_iter().flat_map(|(sent, fields)| fields.map(|field| (sent, field))) {
        assert_eq!(refused(json!({field.name(): sent})), [format!("#/{}", field.name())]);
    }
    assert_eq!(refused(json!({"tags": ["a", nul]})), ["#/tags"]);
    assert_eq!(refused(json!({"address": {"zip": nul}})), ["#/address"]);
    assert_eq!(refused(json!({"full_address": nul})), ["#/full_address"]);
    assert_eq!(refused(json!({"company": {"name": nul}})), ["#/company/name"]);
    assert_eq!(invalid(create(InputKind::Company, json!({"name": nul}))), ["#/name"]);
    let first = json!({"email": "a@x.org", "title": nul});
    assert_eq!(
        invalid(create(InputKind::Company, json!({"name": "Acme", "primaryContact": first}))),
        ["#/primaryContact/title"]
    );
}

#[test]
fn a_limit_is_reached_and_not_passed() {
    let limits = [("title", 255), ("background_info", 16_384), ("phone", 64)];
    for (name, limit) in limits {
        assert_eq!(read(json!({name: "ü".repeat(limit)})).patch.len(), 1, "characters are counted, not bytes");
        assert_eq!(refused(json!({name: "u".repeat(limit + 1)})), [format!("#/{name}")]);
    }
    let email = |length: usize| json!({"email": format!("{}@x.org", "a".repeat(length - 6))});
    assert_eq!(read(email(254)).patch.len(), 1);
    assert_eq!(refused(email(255)), ["#/email"]);
    let website = |length: usize| json!({"website": format!("https://{}", "a".repeat(length - 8))});
    assert_eq!(read(website(2_048)).patch.len(), 1);
    assert_eq!(refused(website(2_049)), ["#/website"]);
    let tags = |count: usize| json!({"tags": (0..count).map(|number| number.to_string()).collect::<Vec<_>>()});
    assert_eq!(read(tags(200)).patch.len(), 1);
    assert_eq!(refused(tags(201)), ["#/tags"]);
    assert_eq!(refused(json!({"tags": ["a".repeat(256)]})), ["#/tags"]);
}
