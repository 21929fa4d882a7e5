use proptest::prelude::*;

use super::{CreateCompany, Primary, UpdateCompany};
use crate::domain::contact::{self, CompanyLink, RelatedChanges};
use crate::domain::fixture::{
    arbitrary, city, company, contact, created, delete, deleted, field_added, given, input, key, links, person, role,
    tags, text, uid, updated, welcome, welcome_requested,
};
use crate::domain::schema::{FieldGroup, FieldType, Input, UntypedValue};
use crate::domain::{Entity, Field, FieldOwner, NewEvent, Patch, Person, Refusal, Role, Seq, Target, Value};

const CONTACT: Entity = Entity::Contact;
const COMPANY: Entity = Entity::Company;
const ANN: &str = "ann@x.org";
const BOB: &str = "bob@x.org";

fn acme<const N: usize>(more: [(Field, Option<Value>); N]) -> Patch {
    [(Field::Name, text("Acme"))].into_iter().chain(more).collect()
}

fn create(patch: Patch, primary: Option<Primary>) -> CreateCompany {
    CreateCompany::new(uid("Acme"), patch, Vec::new(), primary).expect("a whole company")
}

fn update<const N: usize>(name: &str, changes: [(Field, Option<Value>); N]) -> UpdateCompany {
    UpdateCompany {
        target: key(name),
        if_match: None,
        patch: Patch::from(changes),
        address: None,
        custom: Vec::new(),
        cleared: Vec::new(),
    }
}

/// A first contact with these fields, to be created as `name` where none has the email.
fn primary<const N: usize>(name: &str, fields: [(Field, Option<Value>); N]) -> Primary {
    Primary { patch: Patch::from(fields), create_as: Some(uid(name)), related: RelatedChanges::default() }
}

/// The fields by which [`person`] is called Ann Lee.
fn ann_lee() -> [(Field, Option<Value>); 3] {
    [(Field::FirstName, text("Ann")), (Field::LastName, text("Lee")), (Field::Email, text(ANN))]
}

fn lacks(patch: Patch, primary: Option<Primary>) -> Vec<String> {
    let invalid = CreateCompany::new(uid("Acme"), patch, Vec::new(), primary).expect_err("not whole").into_list();
    invalid.into_iter().map(|invalid| invalid.pointer).collect()
}

#[test]
fn a_company_needs_nothing_but_a_name() {
    given([]).when(create(acme([(Field::Phone, None)]), None)).about(COMPANY, "Acme").then_events([company("Acme")]);
    assert_eq!(lacks(Patch::new(), None), ["#/name"]);
    assert_eq!(lacks(Patch::from([(Field::Name, text(""))]), None), ["#/name"]);
}

#[test]
fn a_name_belongs_to_one_live_company_whatever_its_case() {
    let shouted = || Patch::from([(Field::Name, text("ACME"))]);
    given([company("Acme"), company("Beta")])
        .when(CreateCompany::new(uid("other"), shouted(), Vec::new(), None).expect("a whole company"))
        .then_invalid(["#/name"])
        .when(update("beta", [(Field::Name, text("aCME"))]))
        .then_invalid(["#/name"])
        .when(delete(COMPANY, key("acme")))
        .about(COMPANY, "Acme")
        .then_events([deleted(COMPANY, "Acme")])
        .when(update("beta", [(Field::Name, text("aCME"))]))
        .then_events([updated(COMPANY, "Beta").with(Field::Name, text("aCME"))]);
}

#[test]
fn a_company_may_change_its_own_names_case() {
    given([company("Acme")])
        .when(update("acme", [(Field::Name, text("ACME"))]))
        .then_events([updated(COMPANY, "Acme").with(Field::Name, text("ACME"))]);
}

#[test]
fn an_unchanged_write_is_no_event_whatever_the_kind() {
    let full = company("Acme")
        .with(Field::Role, role(Role::Client))
        .with(Field::Phone, text("+31 20 123"))
        .with(Field::Website, text("https://x.org"))
        .with(Field::BackgroundInfo, text("Met in Rome."))
        .with(Field::Tags, tags(["a", "b"]))
        .with(Field::Address, city("Rome"))
        .with(Field::PrimaryContact, person(ANN));
    for (field, value) in full.changes.clone() {
        given([full.clone()]).when(update("Acme", [(field, value)])).about(COMPANY, "Acme").then_nothing();
    }
    given([full]).when(update("Acme", [(Field::HomePhone, None)])).then_nothing();
}

#[test]
fn a_renamed_company_is_no_change_of_its_links() {
    let linked = contact(ANN).with(Field::Companies, links(["Acme"]));
    let account = given([company("Acme"), linked])
        .when(update("Acme", [(Field::Name, text("Acme & Co"))]))
        .then_events([updated(COMPANY, "Acme").with(Field::Name, text("Acme & Co"))]);
    assert_eq!(account.record(CONTACT, ANN).version, Seq(2));

    let link = CompanyLink { name: "acme & co".to_owned(), create_as: None };
    let update = contact::UpdateContact {
        target: key(ANN),
        if_match: None,
        patch: Patch::new(),
        address: None,
        company: Some(link),
        related: RelatedChanges::default(),
    };
    account.when(update).then_nothing();
}

#[test]
fn a_first_contact_is_found_by_its_email() {
    given([company("Beta"), contact(ANN).with(Field::Companies, links(["Beta"]))])
        .when(create(
            acme([]),
            Some(Primary { related: welcome(), ..primary("unused", [(Field::Email, text("ANN@x.org"))]) }),
        ))
        .about(COMPANY, "Acme")
        .then_events([
            company("Acme").with(Field::PrimaryContact, person(ANN)),
            updated(CONTACT, ANN).with(Field::Companies, links(["Beta", "Acme"])),
            welcome_requested(ANN),
        ]);
}

#[test]
fn values_of_a_first_contact_that_exists_are_checked_and_change_nothing() {
    let fields = [
        field_added("Size", FieldOwner::Contact, FieldType::Number),
        field_added("Turnover", FieldOwner::Company, FieldType::Number),
        contact(ANN),
    ];
    let with_value = |name: &str, value: &str| {
        let custom = vec![input(Field::CustomFields, name, UntypedValue::Text(value.to_owned()))];
        let related = RelatedChanges { custom, ..RelatedChanges::default() };
        create(acme([]), Some(Primary { related, ..primary("unused", [(Field::Email, text(ANN))]) }))
    };
    let pointer = |name: &str| format!("#/primaryContact/custom_fields/{}", uid(name));
    given(fields)
        .when(with_value("none such", "7"))
        .then_invalid([&pointer("none such")])
        .when(with_value("Turnover", "7"))
        .then_invalid([&pointer("Turnover")])
        .when(with_value("Size", "large"))
        .then_invalid([&pointer("Size")])
        .when(with_value("Size", "7"))
        .about(COMPANY, "Acme")
        .then_events([
            company("Acme").with(Field::PrimaryContact, person(ANN)),
            updated(CONTACT, ANN).with(Field::Companies, links(["Acme"])),
        ]);
}

#[test]
fn a_first_contact_is_created_in_the_companys_role_or_its_own() {
    let acme_client = company("Acme").with(Field::Role, role(Role::Client));
    let ann = contact(ANN).with(Field::Companies, links(["Acme"]));
    let client = || acme([(Field::Role, role(Role::Client))]);
    given([])
        .when(create(client(), Some(Primary { related: welcome(), ..primary(ANN, ann_lee()) })))
        .about(COMPANY, "Acme")
        .then_events([
            acme_client.clone().with(Field::PrimaryContact, person(ANN)),
            ann.clone(),
            welcome_requested(ANN),
        ]);

    let Some(Value::Person(client_person)) = person(ANN) else { panic!("a person") };
    let prospect_person = Value::from(Person { role: Some(Role::Prospect), ..*client_person });
    let mut prospect = primary(ANN, ann_lee());
    prospect.patch.insert(Field::Role, role(Role::Prospect));
    let changes = ann.changes.iter().filter(|(field, _)| *field != Field::Role).cloned().collect();
    given([]).when(create(client(), Some(prospect))).then_events([
        acme_client.with(Field::PrimaryContact, Some(prospect_person)),
        NewEvent { changes, ..ann }.with(Field::Role, role(Role::Prospect)),
    ]);
}

#[test]
fn a_first_contact_that_is_missing_is_refused_where_it_shall_not_be_created() {
    let found_only = Primary { create_as: None, ..primary(ANN, [(Field::Email, text(ANN))]) };
    given([contact(BOB)])
        .when(create(acme([]), Some(found_only.clone())))
        .then_invalid(["#/primaryContact/email"])
        .and(contact(ANN))
        .when(delete(CONTACT, key(ANN)))
        .then_events([deleted(CONTACT, ANN)])
        .when(create(acme([]), Some(found_only)))
        .then_invalid(["#/primaryContact/email"]);
}

#[test]
fn a_leads_first_contact_needs_no_field() {
    let nameless = Person {
        uid: uid("L"),
        first_name: String::new(),
        last_name: String::new(),
        name_prefix: None,
        email: None,
        role: Some(Role::Lead),
    };
    let lead_company = company("Acme").with(Field::Role, role(Role::Lead));
    let lead_contact = created(CONTACT, "L")
        .with(Field::Role, role(Role::Lead))
        .with(Field::FirstName, text(""))
        .with(Field::LastName, text(""))
        .with(Field::Companies, links(["Acme"]));
    given([])
        .when(create(acme([(Field::Role, role(Role::Lead))]), Some(primary("L", []))))
        .then_events([lead_company.with(Field::PrimaryContact, Some(nameless.into())), lead_contact]);
}

#[test]
fn any_other_first_contact_needs_an_email() {
    let email = ["#/primaryContact/email"];
    let of = |company| acme([(Field::Role, role(company))]);
    assert_eq!(lacks(acme([]), Some(primary("L", []))), email);
    assert_eq!(lacks(of(Role::Prospect), Some(primary("L", []))), email);
    assert_eq!(lacks(of(Role::Lead), Some(Primary { create_as: None, ..primary("L", []) })), email);
    let client = primary("C", [(Field::Role, role(Role::Client))]);
    assert_eq!(lacks(of(Role::Lead), Some(client)), email, "the contact is no Lead, so that it needs an email");
    assert_eq!(lacks(Patch::new(), Some(primary("L", []))), ["#/name", "#/primaryContact/email"]);
}

/// The values of a company's custom fields, each under the uid of the field with this name.
fn values<const N: usize>(values: [(&str, &str); N]) -> Value {
    let values = values.map(|(name, value)| (uid(name), Value::Text(value.to_owned())));
    Value::Custom(values.into())
}

#[test]
fn a_cleared_group_keeps_the_values_of_the_others() {
    let field = |name, owner| field_added(name, owner, FieldType::Text);
    let hidden = field("Hidden", FieldOwner::Company).with(Field::Visibility, text("private"));
    let all = Some(values([("Open", "a"), ("Hidden", "b"), ("Aim", "c")]));
    let account = || {
        let acme = company("Acme").with(Field::CompanyCustomFields, all.clone());
        given([field("Open", FieldOwner::Company), hidden.clone(), field("Aim", FieldOwner::Target), acme])
    };
    for (group, left) in [
        (FieldGroup::Public, values([("Hidden", "b"), ("Aim", "c")])),
        (FieldGroup::Private, values([("Open", "a"), ("Aim", "c")])),
        (FieldGroup::Target, values([("Open", "a"), ("Hidden", "b")])),
    ] {
        account()
            .when(UpdateCompany { cleared: vec![group], ..update("Acme", []) })
            .then_events([updated(COMPANY, "Acme").with(Field::CompanyCustomFields, Some(left))]);
    }
    account()
        .when(UpdateCompany { cleared: FieldGroup::ALL.to_vec(), ..update("Acme", []) })
        .then_events([updated(COMPANY, "Acme").with(Field::CompanyCustomFields, None)]);
    // Cleared first, then merged.
    let open = input(Field::CompanyCustomFields, "Open", UntypedValue::Text("z".to_owned()));
    account()
        .when(UpdateCompany { custom: vec![open], ..update("Acme", [(Field::CompanyCustomFields, None)]) })
        .then_events([updated(COMPANY, "Acme").with(Field::CompanyCustomFields, Some(values([("Open", "z")])))]);
}

#[test]
fn a_field_that_is_named_twice_has_one_value() {
    let twice = |first: &str, second: &str| {
        let value = |text: &str| input(Field::CompanyCustomFields, "Open", UntypedValue::Text(text.to_owned()));
        let second = Input { key: "public_custom_fields", ..value(second) };
        UpdateCompany { custom: vec![value(first), second], ..update("Acme", []) }
    };
    let pointer = format!("#/public_custom_fields/{}", uid("Open"));
    given([field_added("Open", FieldOwner::Company, FieldType::Text), company("Acme")])
        .when(twice("a", ""))
        .then_invalid([&pointer])
        .when(twice("a", "b"))
        .then_invalid([&pointer])
        .when(twice("a", " a "))
        .then_events([updated(COMPANY, "Acme").with(Field::CompanyCustomFields, Some(values([("Open", "a")])))]);
}

#[test]
fn a_deleted_company_is_gone_by_its_uid_and_unknown_by_its_name() {
    given([company("Acme")])
        .and(deleted(COMPANY, "Acme"))
        .when(UpdateCompany { target: Target::Uid(uid("Acme")), ..update("Acme", []) })
        .then_refused(Refusal::Gone { entity: COMPANY, deleted_seq: Seq(2), merged_into: None })
        .when(update("Acme", []))
        .then_refused(Refusal::NotFound(COMPANY));
}

#[test]
fn a_stale_version_is_refused() {
    let renamed = || update("Acme", [(Field::Name, text("Acme & Co"))]);
    given([company("Acme")])
        .when(UpdateCompany { if_match: Some(vec![Seq(2)]), ..renamed() })
        .then_refused(Refusal::Stale { version: Seq(1) })
        .when(UpdateCompany { if_match: Some(vec![Seq(1)]), ..renamed() })
        .then_events([updated(COMPANY, "Acme").with(Field::Name, text("Acme & Co"))]);
}

proptest! {
    #[test]
    fn a_patch_that_was_applied_changes_nothing_the_second_time(patch in arbitrary::patch(COMPANY)) {
        let update = UpdateCompany { target: Target::Uid(uid("Acme")), patch, ..update("Acme", []) };
        given([company("Acme")]).when(update.clone()).apply().when(update).then_nothing();
    }
}
