//! The rules of contacts as given, when, then.

mod related;

use proptest::prelude::*;

use super::{CompanyLink, CreateContact, RelatedChanges, UpdateContact};
use crate::domain::fixture::{
    arbitrary, city, company, contact, created, delete, deleted, given, key, lead, links, role, tags, text, uid,
    updated,
};
use crate::domain::record::normalize_key;
use crate::domain::{Delete, Entity, Field, NewEvent, Patch, Refusal, Role, Seq, Target, Value};

const CONTACT: Entity = Entity::Contact;
const COMPANY: Entity = Entity::Company;
const ANN: &str = "ann@x.org";
const BOB: &str = "bob@x.org";

/// A Client called Ann Lee, as [`contact`] is one that exists.
fn ann() -> Patch {
    contact(ANN).changes.into_iter().collect()
}

fn create(name: &str, patch: Patch) -> CreateContact {
    CreateContact::new(uid(name), patch, None, RelatedChanges::default()).expect("a whole contact")
}

fn update<const N: usize>(email: &str, changes: [(Field, Option<Value>); N]) -> UpdateContact {
    UpdateContact {
        target: key(email),
        if_match: None,
        patch: Patch::from(changes),
        address: None,
        company: None,
        related: RelatedChanges::default(),
    }
}

fn existing(name: &str) -> CompanyLink {
    CompanyLink { name: name.to_owned(), create_as: None }
}

fn existing_or_new(name: &str) -> CompanyLink {
    CompanyLink { name: name.to_owned(), create_as: Some(uid(name)) }
}

/// A contact with a value of every kind.
fn full(email: &str) -> NewEvent {
    contact(email)
        .with(Field::HomeEmail, text("home@x.org"))
        .with(Field::Phone, text("+31 20 123"))
        .with(Field::Website, text("https://x.org"))
        .with(Field::BackgroundInfo, text("Met in Rome."))
        .with(Field::Tags, tags(["a", "b"]))
        .with(Field::Address, city("Rome"))
        .with(Field::Companies, links(["Acme"]))
}

#[test]
fn a_contact_is_created_with_what_was_given() {
    let patch = Patch::from([(Field::Title, text("Dr")), (Field::Phone, None)]);
    let account = given([])
        .when(create(ANN, ann().into_iter().chain(patch).collect()))
        .about(CONTACT, ANN)
        .then_events([contact(ANN).with(Field::Title, text("Dr"))]);
    let record = account.record(CONTACT, ANN);
    assert_eq!((record.version, record.key().as_deref()), (Seq(1), Some(ANN)));
}

#[test]
fn a_lead_needs_names_and_a_role_and_the_names_may_be_empty() {
    let smallest = [(Field::Role, role(Role::Lead)), (Field::FirstName, text("")), (Field::LastName, text(""))];
    let new_events =
        smallest.iter().cloned().fold(created(CONTACT, "L"), |new_event, (field, value)| new_event.with(field, value));
    given([]).when(create("L", Patch::from(smallest))).then_events([new_events]);
}

#[test]
fn everything_that_a_contact_lacks_is_listed() {
    let lacks = |patch| {
        let invalid =
            CreateContact::new(uid(ANN), patch, None, RelatedChanges::default()).expect_err("not whole").into_list();
        invalid.into_iter().map(|invalid| invalid.pointer).collect::<Vec<_>>()
    };
    assert_eq!(lacks(Patch::new()), ["#/role", "#/first_name", "#/last_name", "#/email"]);
    assert_eq!(lacks(Patch::from([(Field::Role, role(Role::Lead))])), ["#/first_name", "#/last_name"]);
    assert_eq!(lacks(ann().into_iter().filter(|(field, _)| *field != Field::Email).collect()), ["#/email"]);
}

#[test]
fn an_email_belongs_to_one_live_contact() {
    let shouted = Patch::from([(Field::Email, text("ANN@X.ORG"))]);
    given([contact(ANN), contact(BOB)])
        .when(create("other", ann().into_iter().chain(shouted).collect()))
        .then_invalid(["#/email"])
        .when(update(BOB, [(Field::Email, text(ANN))]))
        .then_invalid(["#/email"])
        .when(update(ANN, [(Field::Email, text(ANN)), (Field::Title, text("Dr"))]))
        .then_events([updated(CONTACT, ANN).with(Field::Title, text("Dr"))]);
}

#[test]
fn an_email_is_free_after_its_contact_was_deleted() {
    given([contact(ANN)])
        .when(delete(CONTACT, key(ANN)))
        .about(CONTACT, ANN)
        .then_events([deleted(CONTACT, ANN)])
        .when(create("second", ann()))
        .then_events([NewEvent { uid: uid("second"), ..contact(ANN) }]);
}

#[test]
fn an_unchanged_write_is_no_event_whatever_the_kind() {
    let NewEvent { changes, .. } = full(ANN);
    for (field, value) in changes {
        given([company("Acme"), full(ANN)]).when(update(ANN, [(field, value)])).about(CONTACT, ANN).then_nothing();
    }
    let untouched = [Field::Title, Field::WorkEmail, Field::ShopPhone].map(|field| (field, None));
    given([full(ANN)]).when(update(ANN, untouched)).then_nothing();
}

#[test]
fn only_what_differs_is_a_change_in_the_order_of_the_fields() {
    given([full(ANN)])
        .when(update(ANN, [(Field::Tags, tags(["c"])), (Field::Phone, text("+31 20 123")), (Field::Address, None)]))
        .then_events([updated(CONTACT, ANN).with(Field::Tags, tags(["c"])).with(Field::Address, None)]);
}

#[test]
fn a_company_is_linked_by_its_name_in_any_case() {
    given([company("Acme"), contact(ANN)])
        .when(UpdateContact { company: Some(existing("aCME")), ..update(ANN, []) })
        .about(CONTACT, ANN)
        .then_events([updated(CONTACT, ANN).with(Field::Companies, links(["Acme"]))])
        .when(UpdateContact { company: Some(existing_or_new("ACME")), ..update(ANN, []) })
        .then_nothing();
}

#[test]
fn a_second_company_is_linked_beside_the_first() {
    given([company("Acme"), company("Beta"), full(ANN)])
        .when(UpdateContact { company: Some(existing("Beta")), ..update(ANN, []) })
        .then_events([updated(CONTACT, ANN).with(Field::Companies, links(["Acme", "Beta"]))]);
}

#[test]
fn a_company_that_is_missing_is_created_on_request() {
    let acme = created(COMPANY, "Acme").with(Field::Role, role(Role::Client)).with(Field::Name, text("Acme"));
    let linked = contact(ANN).with(Field::Companies, links(["Acme"]));
    given([])
        .when(
            CreateContact::new(uid(ANN), ann(), Some(existing_or_new("Acme")), RelatedChanges::default())
                .expect("a whole contact"),
        )
        .about(CONTACT, ANN)
        .then_events([acme.clone(), linked]);
    given([contact(ANN)])
        .when(UpdateContact { company: Some(existing_or_new("Acme")), ..update(ANN, []) })
        .then_events([acme, updated(CONTACT, ANN).with(Field::Companies, links(["Acme"]))]);
}

#[test]
fn a_company_that_is_missing_is_refused_otherwise() {
    given([contact(ANN), company("Gone")])
        .when(delete(COMPANY, key("Gone")))
        .then_events([deleted(COMPANY, "Gone")])
        .when(UpdateContact { company: Some(existing("Gone")), ..update(ANN, []) })
        .then_invalid(["#/company/name"])
        .when(
            CreateContact::new(
                uid("L"),
                lead("L").changes.into_iter().collect(),
                Some(existing("Acme")),
                RelatedChanges::default(),
            )
            .expect("a Lead"),
        )
        .then_invalid(["#/company/name"]);
}

#[test]
fn null_takes_every_company_away() {
    given([full(ANN)])
        .when(update(ANN, [(Field::Companies, None)]))
        .then_events([updated(CONTACT, ANN).with(Field::Companies, None)])
        .when(update(ANN, [(Field::Companies, None)]))
        .then_nothing();
}

#[test]
fn only_a_lead_may_lose_its_email() {
    given([contact(ANN), lead("L").with(Field::Email, text(BOB))])
        .when(update(ANN, [(Field::Email, None)]))
        .then_invalid(["#/email"])
        .when(update(BOB, [(Field::Email, None)]))
        .then_events([updated(CONTACT, "L").with(Field::Email, None)]);
}

#[test]
fn one_of_the_versions_of_if_match_must_be_the_present_one() {
    let at = |versions: &[i64]| Some(versions.iter().copied().map(Seq).collect());
    let title = || [(Field::Title, text("Dr"))];
    given([company("Acme"), contact(ANN)])
        .when(UpdateContact { if_match: at(&[1, 3]), ..update(ANN, title()) })
        .then_refused(Refusal::Stale { version: Seq(2) })
        .when(UpdateContact { if_match: at(&[]), ..update(ANN, title()) })
        .then_refused(Refusal::Stale { version: Seq(2) })
        .when(Delete { if_match: at(&[1]), ..delete(CONTACT, key(ANN)) })
        .then_refused(Refusal::Stale { version: Seq(2) })
        .when(UpdateContact { if_match: at(&[1, 2]), ..update(ANN, title()) })
        .then_events([updated(CONTACT, ANN).with(Field::Title, text("Dr"))])
        .when(Delete { if_match: at(&[3]), ..delete(CONTACT, key(ANN)) })
        .then_events([deleted(CONTACT, ANN)]);
}

#[test]
fn a_deleted_contact_is_gone_by_its_uid_and_unknown_by_its_email() {
    let gone = Refusal::Gone { entity: CONTACT, deleted_seq: Seq(2), merged_into: None };
    let account = given([contact(ANN)]).and(deleted(CONTACT, ANN));
    assert_eq!(account.record(CONTACT, ANN).text(Field::Email), Some(ANN), "a tombstone keeps its fields");
    account
        .when(UpdateContact { target: Target::Uid(uid(ANN)), ..update(ANN, []) })
        .then_refused(gone.clone())
        .when(delete(CONTACT, Target::Uid(uid(ANN))))
        .then_refused(gone)
        .when(delete(CONTACT, key(ANN)))
        .then_refused(Refusal::NotFound(CONTACT))
        .when(update("nobody@x.org", []))
        .then_refused(Refusal::NotFound(CONTACT));
}

#[test]
fn the_first_key_that_a_live_contact_has_is_the_target() {
    let target = Target::Key(["a+b@x.org", BOB, ANN].map(normalize_key).to_vec());
    given([contact(ANN), contact(BOB)]).when(delete(CONTACT, target)).then_events([deleted(CONTACT, BOB)]);
}

proptest! {
    #[test]
    fn a_patch_that_was_applied_changes_nothing_the_second_time(
        patch in arbitrary::patch(CONTACT),
        link in prop_oneof![Just(None), Just(Some(existing("acme"))), Just(Some(existing_or_new("Beta")))],
    ) {
        let update = UpdateContact { target: Target::Uid(uid(ANN)), if_match: None, patch, address: None, company: link, related: RelatedChanges::default() };
        given([company("Acme"), lead(ANN)]).when(update.clone()).apply().when(update).then_nothing();
    }
}
