use serde_json::{Value as Json, json};

use super::input::{create, invalid, numbered, patch, read, refused, update};
use crate::contract::input::{InputKind, subscriptions};
use crate::domain::contact::{CircleName, Note, Subscribe};
use crate::domain::fixture::{text, words};
use crate::domain::schema::{FieldGroup, Input, UntypedValue};
use crate::domain::{Command, Field, Money, Number, Refusal, Uid, Value};

const FIELD: &str = "0193b1de-0000-7000-8000-000000000001";

fn number(number: f64) -> Number {
    Number::new(number).expect("finite")
}

fn uid(text: &str) -> Uid {
    crate::contract::record::parse_uid(text).expect("a uid")
}

#[test]
fn circles_are_named_or_numbered_and_a_read_contact_can_be_sent_back() {
    let name = |name: &str, create_as| CircleName::Name { name: name.to_owned(), create_as };
    let mut drawn = numbered(2);
    let expected = vec![name("VIP", drawn()), CircleName::Uid(uid(FIELD)), name("7", drawn())];
    let sent = json!({"circles": {"add": [" VIP ", FIELD, 7, "vip"], "remove": null}});
    assert_eq!(read(sent).related.circles.add, expected);
    let sent_back = json!({"circles": [{"id": FIELD, "name": "VIP"}]});
    assert_eq!(read(sent_back).related.circles.add, [CircleName::Uid(uid(FIELD))]);
    let alone = vec![name("VIP", numbered(2)())];
    for added in [json!(" VIP "), json!(["VIP"]), json!({"3": "VIP"}), json!({"add": "VIP"}), json!(["", null, "VIP"])]
    {
        assert_eq!(read(json!({"circles": added})).related.circles.add, alone);
    }
    for none in [json!(null), json!({}), json!([]), json!(""), json!({"add": [""], "remove": ""})] {
        let related = read(json!({"circles": none})).related;
        assert_eq!((related.circles.add, related.circles.remove), (vec![], vec![]));
    }
    assert_eq!(refused(json!({"circles": true})), ["#/circles"]);
    assert_eq!(
        refused(json!({"circles": {"add": {"name": "VIP"}, "remove": [true, {"color": "red"}]}})),
        ["#/circles/add", "#/circles/remove/0", "#/circles/remove/1"]
    );
}

#[test]
fn notes_are_objects_or_plain_strings() {
    let uid = numbered(2)();
    let note = |fields| vec![Note { uid, patch: patch(fields) }];
    let expected = note([(Field::Note, text("Met in Rome"))]);
    for sent in [json!(["Met in Rome"]), json!("Met in Rome"), json!([{"note": "Met in Rome"}])] {
        assert_eq!(read(json!({ "notes": sent })).related.notes, expected);
    }
    let whole = json!([{"title": "Call", "note": null, "date": "2026-11-24"}]);
    let fields = [(Field::Title, text("Call")), (Field::Note, None), (Field::Date, text("2026-11-24"))];
    assert_eq!(read(json!({ "notes": whole })).related.notes, vec![Note { uid, patch: patch(fields) }]);
    let same = json!({"title": "Call", "note": null, "date": "2026-11-24"});
    assert_eq!(read(json!({ "notes": same })).related.notes, read(json!({ "notes": [same] })).related.notes);
    for none in [json!(null), json!(""), json!([]), json!({}), json!([""]), json!([[]]), json!([{"title": ""}])] {
        assert_eq!(read(json!({ "notes": none })).related.notes, []);
    }
    assert_eq!(refused(json!({"notes": true})), ["#/notes"]);
    assert_eq!(refused(json!({"notes": [true, {"date": "24.11.2026"}]})), ["#/notes/0", "#/notes/1/date"]);
}

#[test]
fn a_custom_value_waits_for_its_fields_type() {
    let of = |value| vec![Input { field: Field::CustomFields, key: "custom_fields", uid: uid(FIELD), value }];
    for (sent, expected) in [
        (json!(null), UntypedValue::Null),
        (json!(true), UntypedValue::Flag(true)),
        (json!(1.5), UntypedValue::Number(number(1.5))),
        (json!("a"), UntypedValue::Text("a".to_owned())),
        (json!(["a", 1]), UntypedValue::Words(vec!["a".to_owned(), "1".to_owned()])),
        (json!({"amount": "9.5", "currency": "EUR"}), UntypedValue::Money(number(9.5), "EUR".to_owned())),
        (json!({"amount": 1}), UntypedValue::Other),
        (json!([null]), UntypedValue::Other),
    ] {
        assert_eq!(read(json!({"custom_fields": {FIELD: sent}})).related.custom, of(expected));
    }
    for none in [json!(null), json!({}), json!([])] {
        assert_eq!(read(json!({"custom_fields": none})).related.custom, [], "PHP's empty object is a list");
    }
    assert_eq!(
        refused(json!({"custom_fields": {"a/b": 1}, "target_custom_fields": 7})),
        ["#/custom_fields/a~1b", "#/target_custom_fields"]
    );
}

#[test]
fn a_companys_values_are_read_under_four_keys_and_null_clears_a_group() {
    let company = |sent: Json| match update(InputKind::Company, sent) {
        Ok(Command::UpdateCompany(update)) => update,
        other => panic!("not an update of a company: {other:#?}"),
    };
    for key in ["custom_fields", "public_custom_fields", "private_custom_fields", "target_custom_fields"] {
        let value = UntypedValue::Text("a".to_owned());
        let expected = vec![Input { field: Field::CompanyCustomFields, key, uid: uid(FIELD), value }];
        assert_eq!(company(json!({key: {FIELD: "a"}})).custom, expected);
        for none in [json!({}), json!([])] {
            let nothing = company(json!({ key: none }));
            assert_eq!((nothing.custom, nothing.cleared, nothing.patch), (Vec::new(), Vec::new(), patch([])));
        }
        assert_eq!(invalid(update(InputKind::Company, json!({key: {"a/b": 1}}))), [format!("#/{key}/a~1b")]);
        assert_eq!(invalid(update(InputKind::Company, json!({ key: 7 }))), [format!("#/{key}")]);
    }
    assert_eq!(company(json!({"private_custom_fields": null})).cleared, [FieldGroup::Private]);
    assert_eq!(company(json!({"custom_fields": null})).patch, patch([(Field::CompanyCustomFields, None)]));
    let many: serde_json::Map<String, Json> =
        (0..400_u128).map(|number| (uuid::Uuid::from_u128(number).to_string(), json!("a"))).collect();
    let thrice = json!({"custom_fields": many, "public_custom_fields": many, "private_custom_fields": many});
    assert_eq!(invalid(update(InputKind::Company, thrice)), ["#/custom_fields"]);
}

#[test]
fn values_under_another_records_key_are_refused() {
    assert_eq!(refused(json!({"public_custom_fields": {FIELD: 1}})), ["#/public_custom_fields"]);
    assert_eq!(read(json!({"public_custom_fields": null, "project_custom_fields": []})).related.custom, []);
    let project = json!({"custom_fields": {FIELD: 1}});
    assert_eq!(invalid(update(InputKind::Project, project)), ["#/custom_fields"]);
    let company = json!({"company_custom_fields": {FIELD: 1}});
    assert_eq!(invalid(update(InputKind::Company, company)), ["#/company_custom_fields"]);
}

#[test]
fn a_definition_is_public_where_it_has_no_visibility() {
    let visibility = |sent: Json| match update(InputKind::CustomField, json!({ "visibility": sent })) {
        Ok(Command::ChangeField(mut change)) => change.patch.remove(&Field::Visibility),
        other => panic!("not a change of a custom field: {other:#?}"),
    };
    assert_eq!(visibility(json!("Private")), Some(text("private")));
    for public in [json!("public"), json!(null), json!("")] {
        assert_eq!(visibility(public), Some(None));
    }
    assert_eq!(invalid(update(InputKind::CustomField, json!({"visibility": "secret"}))), ["#/visibility"]);
}

#[test]
fn a_category_is_its_name_and_money_an_amount_and_a_currency() {
    let category = |sent: Json| match update(InputKind::Company, json!({ "category": sent })) {
        Ok(Command::UpdateCompany(mut update)) => update.patch.remove(&Field::Category),
        other => panic!("not an update of a company: {other:#?}"),
    };
    assert_eq!(category(json!({"name": "Wholesale", "color": 7})), Some(text("Wholesale")));
    assert_eq!(category(json!({"name": " "})), Some(None));
    for none in [json!(null), json!([]), json!({}), json!("")] {
        assert_eq!(category(none), Some(None));
    }
    assert_eq!(category(json!({"name": 7})), Some(text("7")));
    assert_eq!(category(json!("Wholesale")), Some(text("Wholesale")));
    assert_eq!(invalid(update(InputKind::Company, json!({"category": {"name": true}}))), ["#/category"]);

    let project = |sent: Json| match update(InputKind::Project, sent) {
        Ok(Command::UpdateProject(update)) => update.patch,
        other => panic!("not an update of a project: {other:#?}"),
    };
    let money = Some(Value::Money(Money { amount: number(12_000.5), currency: "EUR".to_owned() }));
    let sent =
        json!({"estimated_value": {"amount": 12_000.5, "currency": "eur"}, "team": "Ann, Bob", "due_time": "17:30"});
    let expected =
        [(Field::EstimatedValue, money), (Field::Team, words(["Ann", "Bob"])), (Field::DueTime, text("17:30"))];
    assert_eq!(project(sent), patch(expected));
    let wrong = json!({"estimated_value": {"amount": "much", "currency": "EUR"}, "start_date": "soon", "due_time": "25:00",
        "client": "Acme", "team": [true]});
    assert_eq!(
        invalid(update(InputKind::Project, wrong)),
        ["#/start_date", "#/due_time", "#/estimated_value", "#/client", "#/team"]
    );
    assert_eq!(
        invalid(create(InputKind::CustomField, json!({"entity": "planet", "type": "colour"}))),
        ["#/entity", "#/type", "#/name"]
    );
}

#[test]
fn an_estimated_value_may_be_a_number_with_its_currency_beside_it() {
    let project = |sent: Json| match update(InputKind::Project, sent) {
        Ok(Command::UpdateProject(update)) => Ok(update.patch),
        other => Err(invalid(other)),
    };
    let beside =
        |value: Json, currency: Json| project(json!({"estimated_value": value, "estimated_value_currency": currency}));
    let money = Money { amount: number(12.5), currency: "EUR".to_owned() };
    let money = Ok(patch([(Field::EstimatedValue, Some(Value::Money(money)))]));
    for value in [json!(12.5), json!(" 12.50 "), json!({"amount": "12.5"}), json!({"amount": 12.5, "currency": "Eur"})]
    {
        assert_eq!(beside(value, json!("eur")), money);
    }
    let none = Ok(patch([(Field::EstimatedValue, None)]));
    for blank in [json!(null), json!(""), json!([]), json!({"amount": ""})] {
        assert_eq!(beside(blank, json!("EUR")), none);
    }
    for (value, currency) in
        [(json!(1), json!(null)), (json!("1"), json!("")), (json!({"amount": 1, "currency": "USD"}), json!("EUR"))]
    {
        assert_eq!(beside(value, currency), Err(vec!["#/estimated_value_currency".to_owned()]));
    }
    for (value, currency) in
        [(json!("much"), json!("EUR")), (json!(1), json!("euro")), (json!(1), json!(7)), (json!(true), json!("EUR"))]
    {
        assert_eq!(beside(value, currency), Err(vec!["#/estimated_value".to_owned()]));
    }
    assert_eq!(project(json!({"estimated_value_currency": "EUR"})), Err(vec!["#/estimated_value_currency".to_owned()]));
    assert_eq!(project(json!({"estimated_value_currency": ""})), Ok(patch([])));
}

#[test]
fn a_contacts_company_takes_no_custom_fields() {
    for key in ["custom_fields", "public_custom_fields", "private_custom_fields", "target_custom_fields"] {
        let with =
            |values: Json| json!({"company": {"name": "Acme", "create_company_if_not_exists": true, key: values}});
        assert_eq!(refused(with(json!({FIELD: "a"}))), [format!("#/company/{key}")]);
        for nothing in [json!(null), json!({}), json!([])] {
            assert!(read(with(nothing)).company.is_some());
        }
        assert!(refused(json!({"company": {"name": "", key: {FIELD: "a"}}})).contains(&format!("#/company/{key}")));
    }
}

#[test]
fn every_item_of_a_subscription_stands_for_itself() {
    let read = |body| subscriptions(body, &mut numbered(1));
    let sent = json!([
        {"email": "ANN@x.org", "first_name": "Ann", "last_name": null, "audiences": [1, "2"]},
        {"email": "nobody", "audiences": ["x"]},
        {"first_name": "Bob"},
        7,
        {"email": "bob@x.org"},
        {"email": "bob@x.org", "custom_fields": {"size": 1}, "company_custom_fields": {FIELD: 1}},
    ]);
    let items = read(sent).expect("a list");
    let fields = patch([(Field::Email, text("ann@x.org")), (Field::FirstName, text("Ann"))]);
    let expected = Subscribe::new(numbered(1)(), fields, vec![1, 2], Vec::new()).expect("an email");
    assert_eq!(items.first(), Some(&Ok(Command::Subscribe(expected))));
    let pointers = |item: &Result<Command, Refusal>| match item {
        Err(Refusal::Invalid(invalid)) => invalid.iter().map(|invalid| invalid.pointer.clone()).collect(),
        _ => Vec::new(),
    };
    let refused: Vec<Vec<String>> = items.iter().map(pointers).collect();
    let keys: &[&str] = &["#/custom_fields/size", "#/company_custom_fields"];
    let expected: [&[&str]; 6] = [&[], &["#/email", "#/audiences"], &["#/email"], &["#"], &[], keys];
    assert_eq!(refused, expected);
    for none in [json!({}), json!([]), json!(null), Json::Array(vec![json!({}); 101])] {
        assert!(matches!(read(none), Err(Refusal::Invalid(_))));
    }
}
