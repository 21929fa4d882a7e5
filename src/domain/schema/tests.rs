use std::collections::BTreeMap;

use super::{Add, ChangeField, FieldType, UntypedValue};
use crate::domain::contact::{RelatedChanges, UpdateContact};
use crate::domain::fixture::{Account, contact, delete, field_added, given, input, key, text, uid, updated, words};
use crate::domain::{
    Delete, Entity, EventType, Field, FieldOwner, Invalid, Money, NewEvent, Number, Patch, Refusal, Seq, Target, Value,
    company,
};

const ANN: &str = "ann@x.org";
const FIELD: Entity = Entity::CustomField;

fn by_uid(name: &str) -> Target {
    Target::Uid(uid(name))
}

fn definition<const N: usize>(changes: [(Field, Option<Value>); N]) -> Patch {
    [(Field::Owner, text("contact")), (Field::Type, text("number")), (Field::Name, text("Budget"))]
        .into_iter()
        .chain(changes)
        .collect()
}

fn add(name: &str, patch: Patch) -> Add {
    Add::new(uid(name), patch).expect("a whole definition")
}

fn change<const N: usize>(name: &str, changes: [(Field, Option<Value>); N]) -> ChangeField {
    ChangeField { target: by_uid(name), if_match: None, patch: Patch::from(changes) }
}

/// A write of one value to a field of Ann's.
fn write(name: &str, value: UntypedValue) -> UpdateContact {
    let custom = vec![input(Field::CustomFields, name, value)];
    UpdateContact {
        target: key(ANN),
        if_match: None,
        patch: Patch::new(),
        address: None,
        company: None,
        related: RelatedChanges { custom, ..RelatedChanges::default() },
    }
}

/// Ann, and a field of contacts.
fn with_field(kind: FieldType) -> Account {
    let added = field_added("F", FieldOwner::Contact, kind);
    let added =
        if kind.is_choice() { added.with(Field::AllowedValues, words(["Red", "Green", "red wine"])) } else { added };
    given([contact(ANN), added])
}

fn then_value(kind: FieldType, sent: UntypedValue, kept: Value) {
    let values = BTreeMap::from([(uid("F"), kept)]);
    let expected = updated(Entity::Contact, ANN).with(Field::CustomFields, Some(Value::Custom(values)));
    with_field(kind).when(write("F", sent)).then_events([expected]);
}

fn number(number: f64) -> Number {
    Number::new(number).expect("finite")
}

#[test]
fn every_type_takes_its_values() {
    let of = |text: &str| UntypedValue::Text(text.to_owned());
    let kept = |text: &str| Value::Text(text.to_owned());
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let euros = |amount| Money { amount: number(amount), currency: "EUR".to_owned() };
    for (kind, sent, expected) in [
        (FieldType::Text, of(" a "), kept("a")),
        (FieldType::Text, UntypedValue::Number(number(17.0)), kept("17")),
        (FieldType::LongText, of("a\nb"), kept("a\nb")),
        (FieldType::Number, UntypedValue::Number(number(1.5)), Value::Number(number(1.5))),
        (FieldType::Number, of(" -3 "), Value::Number(number(-3.0))),
        (FieldType::Currency, UntypedValue::Money(number(9.9), "eur".to_owned()), Value::Money(euros(9.9))),
        (FieldType::Date, of("2026-02-28"), kept("2026-02-28")),
        (FieldType::DateTime, of("2026-11-24T03:00:00+02:00"), kept("2026-11-24T01:00:00+00:00")),
        (FieldType::Checkbox, UntypedValue::Flag(true), Value::Flag(true)),
        (FieldType::Checkbox, of("No"), Value::Flag(false)),
        (FieldType::Checkbox, of(" "), Value::Flag(false)),
        (FieldType::Checkbox, of("ON"), Value::Flag(true)),
        (FieldType::Checkbox, UntypedValue::Number(number(1.0)), Value::Flag(true)),
        (FieldType::Phone, UntypedValue::Number(number(112.0)), kept("112")),
        (FieldType::Dropdown, of("green"), kept("Green")),
        (
            FieldType::MultiSelect,
            UntypedValue::Words(words(&["red wine", "RED", "red wine"])),
            Value::Words(words(&["Red", "red wine"])),
        ),
        (FieldType::MultiSelect, of("Green, Red"), Value::Words(words(&["Red", "Green"]))),
        (FieldType::Url, of("https://x.org/a"), kept("https://x.org/a")),
        (FieldType::Email, of("A@X.org"), kept("a@x.org")),
        (FieldType::Phone, of("+31 6"), kept("+31 6")),
        (FieldType::File, of("https://x.org/a.pdf"), kept("https://x.org/a.pdf")),
    ] {
        then_value(kind, sent, expected);
    }
}

#[test]
fn a_value_that_does_not_fit_is_refused_by_the_fields_label_and_uid() {
    let of = |text: &str| UntypedValue::Text(text.to_owned());
    for (kind, sent, detail) in [
        (FieldType::Text, UntypedValue::Flag(true), "must be a string."),
        (FieldType::Number, of("many"), "must be a number."),
        (FieldType::Number, UntypedValue::Flag(true), "must be a number."),
        (FieldType::Currency, UntypedValue::Number(number(1.0)), "must be an object with amount and currency."),
        (
            FieldType::Currency,
            UntypedValue::Money(number(1.0), "euro".to_owned()),
            "currency must be a code of three letters (ISO 4217), such as EUR.",
        ),
        (FieldType::Date, of("2026-02-30"), "must be a date of the form yyyy-mm-dd."),
        (
            FieldType::DateTime,
            of("2026-11-24T03:00:00"),
            "must be an RFC 3339 date-time with an offset, such as 2026-11-24T03:00:00+00:00.",
        ),
        (FieldType::Checkbox, of("perhaps"), "must be true or false."),
        (FieldType::Dropdown, of("Blue"), "must be one of Red, Green, red wine."),
        (FieldType::MultiSelect, of("Red,Blue"), "must be one of Red, Green, red wine."),
        (FieldType::MultiSelect, UntypedValue::Other, "must be a list of strings."),
        (FieldType::Url, of("x.org"), "must be a URL that begins with https:// or http://."),
        (FieldType::Email, of("nobody"), "must be an email address."),
        (FieldType::File, UntypedValue::Flag(true), "must be a string."),
        (FieldType::Checkbox, UntypedValue::Number(number(2.0)), "must be true or false."),
    ] {
        let uid = uid("F");
        let refusal = Invalid::new(&format!("custom_fields/{uid}"), format!("The custom field \"F\" ({uid}) {detail}"));
        with_field(kind).when(write("F", sent)).then_refused(Refusal::Invalid(vec![refusal]));
    }
}

#[test]
fn a_null_or_an_empty_text_clears_one_value_and_leaves_the_others() {
    let values = |names: &[&str]| {
        Some(Value::Custom(names.iter().map(|name| (uid(name), Value::Text((*name).to_owned()))).collect()))
    };
    let two = || {
        given([
            contact(ANN).with(Field::CustomFields, values(&["F", "G"])),
            field_added("F", FieldOwner::Contact, FieldType::Text),
            field_added("G", FieldOwner::Contact, FieldType::Text),
        ])
    };
    for none in [UntypedValue::Null, UntypedValue::Text(" ".to_owned())] {
        two()
            .when(write("F", none.clone()))
            .then_events([updated(Entity::Contact, ANN).with(Field::CustomFields, values(&["G"]))])
            .when(write("F", none.clone()))
            .then_nothing()
            .when(write("G", none))
            .then_events([updated(Entity::Contact, ANN).with(Field::CustomFields, None)]);
    }
    two().when(write("F", UntypedValue::Text("F".to_owned()))).then_nothing();
}

#[test]
fn a_field_of_another_owner_is_none() {
    let unknown = format!("#/custom_fields/{}", uid("F"));
    let of_companies = || given([contact(ANN), field_added("F", FieldOwner::Company, FieldType::Text)]);
    of_companies().when(write("F", UntypedValue::Null)).then_invalid([&*unknown]);
    given([contact(ANN)]).when(write("F", UntypedValue::Null)).then_invalid([&*unknown]);

    let custom = vec![input(Field::CompanyCustomFields, "F", UntypedValue::Text("a".to_owned()))];
    let acme = Patch::from([(Field::Name, text("Acme"))]);
    let new_events = of_companies().when(company::CreateCompany::new(uid("Acme"), acme, custom, None).expect("whole"));
    let account = new_events.apply();
    let expected = Value::Custom(BTreeMap::from([(uid("F"), Value::Text("a".to_owned()))]));
    assert_eq!(account.record(Entity::Company, "Acme").fields.get(&Field::CompanyCustomFields), Some(&expected));
}

#[test]
fn a_definition_has_an_owner_a_type_and_a_label_that_is_its_owners_alone() {
    let lacks = |patch| {
        let invalid = Add::new(uid("F"), patch).expect_err("not whole").into_list();
        invalid.into_iter().map(|invalid| invalid.pointer).collect::<Vec<_>>()
    };
    assert_eq!(lacks(Patch::new()), ["#/entity", "#/type", "#/name"]);
    assert_eq!(lacks(definition([(Field::AllowedValues, words(["a"]))])), ["#/allowed_values"]);
    assert_eq!(lacks(definition([(Field::Type, text("dropdown"))])), ["#/allowed_values"]);

    let renamed = |name: &str| (Field::Name, text(name));
    given([])
        .when(add("Budget", definition([])))
        .about(FIELD, "Budget")
        .then_events([field_added("Budget", FieldOwner::Contact, FieldType::Number)])
        .when(add("again", definition([renamed("BUDGET")])))
        .then_invalid(["#/name"])
        .when(add("of companies", definition([(Field::Owner, text("company"))])))
        .apply()
        .when(add("Other", definition([renamed("Other")])))
        .apply()
        .when(change("Other", [renamed("budget")]))
        .then_invalid(["#/name"])
        .when(change("Budget", [renamed("budget")]))
        .then_events([NewEvent {
            event_type: EventType::FieldChanged,
            ..updated(FIELD, "Budget").with(Field::Name, text("budget"))
        }]);
}

#[test]
fn a_definition_has_a_bounded_size() {
    let of = |length: usize| Value::Words((0..100).map(|number| format!("{number:0>length$}")).collect());
    let sized = |length| definition([(Field::Type, text("dropdown")), (Field::AllowedValues, Some(of(length)))]);
    assert!(Add::new(uid("F"), sized(163)).is_ok());
    let invalid = Add::new(uid("F"), sized(164)).expect_err("more than 16 KiB").into_list();
    assert_eq!(invalid, [Invalid::new("allowed_values", "Must have at most 16 KiB in all.")]);

    let large = || {
        given([field_added("F", FieldOwner::Contact, FieldType::Dropdown).with(Field::AllowedValues, Some(of(200)))])
    };
    large().when(change("F", [(Field::AllowedValues, Some(of(201)))])).then_invalid(["#/allowed_values"]);
    large().when(change("F", [(Field::AllowedValues, Some(of(200)))])).then_nothing();
}

#[test]
fn an_owner_and_a_type_never_change() {
    let color =
        || field_added("Color", FieldOwner::Contact, FieldType::Dropdown).with(Field::AllowedValues, words(["Red"]));
    given([color()])
        .when(change("Color", [(Field::Owner, text("company")), (Field::Type, text("text"))]))
        .then_invalid(["#/entity", "#/type"])
        .when(change("Color", [(Field::Owner, text("contact")), (Field::Type, text("dropdown"))]))
        .then_nothing()
        .when(change("Color", [(Field::AllowedValues, None)]))
        .then_invalid(["#/allowed_values"])
        .when(ChangeField { if_match: Some(vec![Seq(7)]), ..change("Color", []) })
        .then_refused(Refusal::Stale { version: Seq(1) });
}

#[test]
fn an_archived_field_keeps_its_values_and_takes_no_more() {
    let archive = || Delete { target: by_uid("F"), ..delete(FIELD, by_uid("F")) };
    let account = with_field(FieldType::Text)
        .when(write("F", UntypedValue::Text("a".to_owned())))
        .apply()
        .when(archive())
        .then_events([NewEvent { event_type: EventType::FieldArchived, ..updated(FIELD, "F") }])
        .when(write("F", UntypedValue::Text("b".to_owned())))
        .then_invalid([&*format!("#/custom_fields/{}", uid("F"))])
        .when(archive())
        .then_refused(Refusal::Gone { entity: FIELD, deleted_seq: Seq(4), merged_into: None })
        .when(add("new", definition([(Field::Name, text("F"))])))
        .apply();
    let kept = account.record(Entity::Contact, ANN).fields.get(&Field::CustomFields);
    assert_eq!(kept, Some(&Value::Custom(BTreeMap::from([(uid("F"), Value::Text("a".to_owned()))]))));
}

#[test]
fn every_type_is_read_back_whatever_stands_between_its_words() {
    for kind in FieldType::ALL {
        assert_eq!(FieldType::parse(kind.name()), Some(kind));
    }
    assert_eq!(FieldType::parse(" Multi-Select "), Some(FieldType::MultiSelect));
    assert_eq!(FieldType::parse("Long text"), Some(FieldType::LongText));
    assert_eq!(FieldType::parse("colour"), None);
}
