use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::contract::input::{self, InputKind};
use crate::domain::contact::CompanyLink;
use crate::domain::fixture::{role, tags, text, welcome};
use crate::domain::{Command, Field, Patch, Refusal, Role, Target, Uid, Value, company, contact};

const OWN: Uid = Uid(Uuid::from_u128(1));
const BESIDE: Uid = Uid(Uuid::from_u128(2));

pub(super) fn create(kind: InputKind, body: Json) -> Result<Command, Refusal> {
    input::create(kind, body, &mut numbered(1))
}

pub(super) fn update(kind: InputKind, body: Json) -> Result<Command, Refusal> {
    input::update(kind, Target::Uid(OWN), None, body, &mut numbered(2))
}

/// Makes consecutive uids.
pub(super) fn numbered(first: u128) -> impl FnMut() -> Uid {
    let mut numbers = first..;
    move || Uid(Uuid::from_u128(numbers.next().unwrap_or_default()))
}

/// The command that an update of a contact is read into.
pub(super) fn read(body: Json) -> contact::UpdateContact {
    match update(InputKind::Contact, body) {
        Ok(Command::UpdateContact(update)) => update,
        other => panic!("not an update of a contact: {other:#?}"),
    }
}

pub(super) fn patch<const N: usize>(fields: [(Field, Option<Value>); N]) -> Patch {
    Patch::from(fields)
}

/// The pointers of a refusal, in its order.
pub(super) fn invalid(read: Result<Command, Refusal>) -> Vec<String> {
    match read {
        Err(Refusal::Invalid(invalid)) => invalid.into_iter().map(|invalid| invalid.pointer).collect(),
        other => panic!("not refused for a field: {other:#?}"),
    }
}

pub(super) fn refused(body: Json) -> Vec<String> {
    invalid(update(InputKind::Contact, body))
}

#[test]
fn the_smallest_create_of_the_contract_is_accepted() {
    let body = json!({"role": "Lead", "first_name": "John", "last_name": "Doe", "email": "john.doe@email.com", "send_welcome_email": true});
    let fields = patch([
        (Field::Role, role(Role::Lead)),
        (Field::FirstName, text("John")),
        (Field::LastName, text("Doe")),
        (Field::Email, text("john.doe@email.com")),
    ]);
    let expected = contact::CreateContact::new(OWN, fields, None, welcome()).expect("a whole contact");
    assert_eq!(create(InputKind::Contact, body), Ok(Command::CreateContact(expected)));

    let expected = company::CreateCompany::new(OWN, patch([(Field::Name, text("Acme"))]), Vec::new(), None)
        .expect("a whole company");
    assert_eq!(create(InputKind::Company, json!({"name": "Acme"})), Ok(Command::CreateCompany(expected)));
}

#[test]
fn keys_that_an_action_does_not_use_are_ignored() {
    let body = json!({
        "uid": "17", "role": "Boss", "active": "no", "created": 1, "companies": [{"uid": 17}], "name": "Acme", "version": {},
        "primaryContact": 17, "audiences": 17, "title": "Dr",
    });
    assert_eq!(read(body).patch, patch([(Field::Title, text("Dr"))]));
    let update = update(InputKind::Company, json!({"role": 17, "primaryContact": 17, "email": 17, "company": 17}));
    let expected = company::UpdateCompany {
        target: Target::Uid(OWN),
        if_match: None,
        patch: Patch::new(),
        address: None,
        custom: Vec::new(),
        cleared: Vec::new(),
    };
    assert_eq!(update, Ok(Command::UpdateCompany(expected)));
}

#[test]
fn a_role_is_read_in_any_case() {
    for (sent, meant) in [("lead", Role::Lead), (" PROSPECT ", Role::Prospect), ("Client", Role::Client)] {
        let fields = patch([(Field::Role, role(meant)), (Field::Name, text("Acme"))]);
        let expected = company::CreateCompany::new(OWN, fields, Vec::new(), None).expect("a whole company");
        let body = json!({"role": sent, "name": "Acme"});
        assert_eq!(create(InputKind::Company, body), Ok(Command::CreateCompany(expected)));
    }
    for wrong in [json!("Boss"), json!(true), json!(1)] {
        assert_eq!(invalid(create(InputKind::Company, json!({"role": wrong, "name": "Acme"}))), ["#/role"]);
    }
    for absent in [json!(null), json!("")] {
        let created = create(InputKind::Company, json!({"role": absent, "name": "Acme"}));
        assert_eq!(created, create(InputKind::Company, json!({"name": "Acme"})));
    }
}

#[test]
fn every_invalid_field_is_listed_once() {
    let body = json!({
        "role": "Boss", "first_name": true, "email": "nobody", "phone": {}, "website": "x.org", "tags": 1, "address": "1",
        "send_welcome_email": "perhaps", "company": {"create_company_if_not_exists": 2},
    });
    let expected = [
        "#/role",
        "#/first_name",
        "#/email",
        "#/phone",
        "#/website",
        "#/tags",
        "#/address",
        "#/company/create_company_if_not_exists",
        "#/company/name",
        "#/send_welcome_email",
        "#/last_name",
    ];
    assert_eq!(invalid(create(InputKind::Contact, body)), expected);

    let first = json!({"email": "nobody", "website": "x.org", "send_welcome_email": 2, "create_primary_contact_if_not_exists": {}});
    let expected = [
        "#/primaryContact/email",
        "#/primaryContact/website",
        "#/primaryContact/create_primary_contact_if_not_exists",
        "#/primaryContact/send_welcome_email",
        "#/name",
    ];
    assert_eq!(invalid(create(InputKind::Company, json!({"primaryContact": first}))), expected);
    assert_eq!(
        invalid(create(InputKind::Company, json!({"name": "Acme", "primaryContact": "Ann"}))),
        ["#/primaryContact"]
    );
}

#[test]
fn a_body_that_is_no_object_is_refused_whole() {
    for body in [json!(null), json!([{}]), json!("a"), json!(""), json!(1)] {
        assert_eq!(invalid(create(InputKind::Contact, body.clone())), ["#"]);
        assert_eq!(invalid(update(InputKind::Company, body)), ["#"]);
    }
    assert_eq!(create(InputKind::Contact, json!([])), create(InputKind::Contact, json!({})), "PHP's empty object");
    assert_eq!(update(InputKind::Contact, json!([])), update(InputKind::Contact, json!({})), "PHP's empty object");
}

#[test]
fn the_required_fields_of_a_contact_depend_on_its_role() {
    let lacks = |body| invalid(create(InputKind::Contact, body));
    assert_eq!(lacks(json!({})), ["#/role", "#/first_name", "#/last_name", "#/email"]);
    assert_eq!(lacks(json!({"role": "Lead", "first_name": "", "email": null})), ["#/last_name"]);
    for other in ["Prospect", "Client"] {
        assert_eq!(lacks(json!({"role": other, "first_name": "", "last_name": "", "email": ""})), ["#/email"]);
    }
    let lead = create(InputKind::Contact, json!({"role": "Lead", "first_name": "", "last_name": ""}));
    assert!(matches!(lead, Ok(Command::CreateContact(_))), "{lead:#?}");
}

#[test]
fn a_company_is_linked_by_name_and_unlinked_by_null() {
    let link = |create_as| Some(CompanyLink { name: "Acme".to_owned(), create_as });
    assert_eq!(read(json!({"company": {"name": " Acme "}})).company, link(None));
    assert_eq!(
        read(json!({"company": {"name": "Acme", "create_company_if_not_exists": true}})).company,
        link(Some(BESIDE))
    );
    assert_eq!(read(json!({"company": {"name": "Acme", "create_company_if_not_exists": null}})).company, link(None));

    let unlinked = read(json!({"company": null}));
    assert_eq!((unlinked.patch, unlinked.company), (patch([(Field::Companies, None)]), None));
    let untouched = read(json!({}));
    assert_eq!((untouched.patch, untouched.company), (Patch::new(), None));

    assert_eq!(read(json!({"company": "Acme"})).company, link(None));
    let blank = json!({"name": "", "create_company_if_not_exists": "0"});
    for absent in [json!({}), json!([]), json!(""), json!({"name": null}), blank] {
        assert_eq!(read(json!({"company": absent})), read(json!({})));
    }
    let flag_alone = json!({"name": "", "create_company_if_not_exists": "1"});
    for no_name in [flag_alone, json!({"name": true}), json!({"uid": "17"})] {
        assert_eq!(refused(json!({"company": no_name})), ["#/company/name"]);
    }
    assert_eq!(refused(json!({"company": true})), ["#/company"]);
}

#[test]
fn a_first_contact_is_read_with_any_contact_field() {
    let body = json!({
        "name": "Acme", "primaryContact": {
            "first_name": "Ann", "email": "ANN@x.org", "tags": "a", "send_welcome_email": true,
            "create_primary_contact_if_not_exists": true, "prevent_individual_mode": true,
        },
    });
    let fields =
        patch([(Field::FirstName, text("Ann")), (Field::Email, text("ann@x.org")), (Field::Tags, tags(["a"]))]);
    let primary = company::Primary { patch: fields, create_as: Some(BESIDE), related: welcome() };
    let expected = company::CreateCompany::new(OWN, patch([(Field::Name, text("Acme"))]), Vec::new(), Some(primary))
        .expect("whole");
    assert_eq!(create(InputKind::Company, body), Ok(Command::CreateCompany(expected)));

    let expected =
        company::CreateCompany::new(OWN, patch([(Field::Name, text("Acme"))]), Vec::new(), None).expect("whole");
    let expected = Ok(Command::CreateCompany(expected));
    let flags = json!({"create_primary_contact_if_not_exists": false, "send_welcome_email": "0", "prevent_individual_mode": "Off"});
    let form =
        json!({"first_name": "", "last_name": "", "email": "", "address": {"city": ""}, "send_welcome_email": 0});
    for absent in [json!(null), json!({}), json!([]), json!(""), flags, form] {
        assert_eq!(create(InputKind::Company, json!({"name": "Acme", "primaryContact": absent})), expected);
    }
}

#[test]
fn a_leads_first_contact_may_be_the_flag_alone() {
    let first = json!({"create_primary_contact_if_not_exists": true});
    let company = |role: &str| json!({"name": "Acme", "role": role, "primaryContact": first});
    let lead = create(InputKind::Company, company("lead"));
    assert!(matches!(lead, Ok(Command::CreateCompany(_))), "{lead:#?}");
    assert_eq!(invalid(create(InputKind::Company, company("client"))), ["#/primaryContact/email"]);
}
