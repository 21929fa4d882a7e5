use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::fixture::{Account, arbitrary, delete, given, key, role, text, timestamp, uid};
use super::record::normalize_key;
use super::*;

proptest! {
    #[test]
    fn evolve_is_total_and_returns_the_values_before(
        new_events in vec(arbitrary::new_event(), 1..6),
        at in arbitrary::micros(),
    ) {
        let mut before: Option<Record> = None;
        for (new_event, seq) in new_events.into_iter().zip((1..).map(Seq)) {
            let fields_before = before.as_ref().map(|record| record.fields.clone()).unwrap_or_default();
            let (record, changed) = Record::evolve(before, new_event.clone(), seq, at, &"test".into());
            prop_assert_eq!(record.version, seq);
            prop_assert_eq!(record.updated_at.nanosecond(), 0);
            prop_assert_eq!(changed.len(), new_event.changes.len());
            for (change, (field, to)) in changed.into_iter().zip(new_event.changes) {
                prop_assert_eq!((change.field, &change.to), (field, &to));
                prop_assert_eq!(change.from.as_ref(), fields_before.get(&field));
                prop_assert_eq!(record.fields.get(&field), to.as_ref());
                prop_assert_eq!(record.field_seq.get(&field), Some(&seq));
            }
            before = Some(record);
        }
    }

    #[test]
    fn every_guarantee_holds_after_any_commands(commands in vec(command(), 1..24)) {
        let account = commands.into_iter().fold(given([]), |account, command| account.when(command).apply());
        every_key_belongs_to_one(&account)?;
        for record in account.records().filter(|record| !record.deleted) {
            whole(record)?;
        }
    }

    #[test]
    fn a_canonical_text_is_read_as_itself((field, value) in any_value()) {
        if let Some(text) = value.as_text() {
            prop_assert_eq!(Value::parse(field.kind(), text), Ok(value.clone()));
            prop_assert_eq!(Value::parse(field.kind(), &format!(" {text}\t\n")), Ok(value));
        }
    }

    #[test]
    fn a_normalized_key_is_its_own_key(text in "(?s).{0,24}") {
        prop_assert_eq!(normalize_key(&normalize_key(&text)), normalize_key(&text));
    }
}

#[test]
fn a_deletion_changes_nothing_but_that() {
    let account = given([fixture::contact("ann@x.org")]);
    let before = account.record(Entity::Contact, "ann@x.org").clone();
    let account = account.and(fixture::deleted(Entity::Contact, "ann@x.org"));
    let updated_at = timestamp(Seq(2)).replace_nanosecond(0).expect("zero is a nanosecond");
    let after = Record { deleted: true, version: Seq(2), updated_at, ..before };
    assert_eq!(account.record(Entity::Contact, "ann@x.org"), &after);
}

#[test]
fn every_name_is_read_back() {
    for entity in Entity::ALL {
        assert_eq!(Entity::from_name(entity.name()), Some(entity));
        for field in entity.fields() {
            assert_eq!(entity.field(field.name()), Some(*field));
        }
    }
    for event_type in EventType::ALL {
        assert_eq!(EventType::from_name(event_type.name()), Some(event_type));
    }
    for setting in account::OnMissing::ALL {
        assert_eq!(account::OnMissing::from_name(setting.name()), Some(setting));
    }
    for role in Role::ALL {
        assert_eq!((Role::from_name(role.name()), Role::parse(&role.name().to_uppercase())), (Some(role), Some(role)));
    }
    for owner in FieldOwner::ALL {
        assert_eq!(FieldOwner::from_name(owner.name()), Some(owner));
        assert_eq!(FieldOwner::parse(&format!(" {} ", owner.name().to_uppercase())), Some(owner));
    }
    assert_eq!(Entity::Company.field("email"), None);
}

fn any_value() -> impl Strategy<Value = (Field, Value)> {
    let field = select(&Entity::ALL[..]).prop_flat_map(|entity| select(entity.fields()));
    field.prop_flat_map(|field| arbitrary::value(field).prop_map(move |value| (field, value)))
}

fn every_key_belongs_to_one(account: &Account) -> Result<(), TestCaseError> {
    let mut seen = BTreeSet::new();
    for record in account.records() {
        if let Some(key) = record.key() {
            prop_assert!(seen.insert((record.entity, key)), "twice: {record:#?}");
        }
    }
    Ok(())
}

/// A live record has every field that its kind requires.
fn whole(record: &Record) -> Result<(), TestCaseError> {
    let has = |field| record.fields.contains_key(&field);
    match record.entity {
        Entity::Contact => {
            prop_assert!([Field::Role, Field::FirstName, Field::LastName].into_iter().all(has), "{record:#?}");
            let lead = record.fields.get(&Field::Role) == role(Role::Lead).as_ref();
            prop_assert!(lead || has(Field::Email), "only a Lead has no email: {record:#?}");
        }
        Entity::Company | Entity::Project | Entity::Circle | Entity::World => {
            prop_assert!(has(Field::Name), "{record:#?}");
        }
        Entity::CustomField => prop_assert!(schema::Definition::of(record).is_some(), "{record:#?}"),
        Entity::Audience => prop_assert!(has(Field::Id) && has(Field::Name), "{record:#?}"),
        Entity::Note => prop_assert!(has(Field::Contact), "{record:#?}"),
        Entity::Push | Entity::Conflict => prop_assert!(has(Field::Status), "{record:#?}"),
    }
    Ok(())
}

/// Commands on few records, so that they affect each other.
fn command() -> BoxedStrategy<Command> {
    let contact = (fresh(), contact_patch(), option::of(link()), any::<bool>());
    let company = (fresh(), company_patch(), option::of((contact_patch(), option::of(fresh()), any::<bool>())));
    let related = |welcome| contact::RelatedChanges { welcome, ..contact::RelatedChanges::default() };
    let primary = move |(patch, create_as, welcome)| company::Primary { patch, create_as, related: related(welcome) };
    prop_oneof![
        contact.prop_filter_map("not whole", move |(uid, patch, link, welcome)| {
            contact::CreateContact::new(uid, patch, link, related(welcome)).ok().map(Command::from)
        }),
        company.prop_filter_map("not whole", move |(uid, patch, first)| {
            company::CreateCompany::new(uid, patch, Vec::new(), first.map(primary)).ok().map(Command::from)
        }),
        (email(), update_patch(contact_patch()), option::of(link())).prop_map(|(email, patch, company)| {
            contact::UpdateContact {
                target: key(email),
                if_match: None,
                patch,
                address: None,
                company,
                related: contact::RelatedChanges::default(),
            }
            .into()
        }),
        (name(), update_patch(company_patch())).prop_map(|(name, patch)| company::UpdateCompany {
            target: key(name),
            if_match: None,
            patch,
            address: None,
            custom: Vec::new(),
            cleared: Vec::new(),
        }
        .into()),
        email().prop_map(|email| delete(Entity::Contact, key(email)).into()),
        name().prop_map(|name| delete(Entity::Company, key(name)).into()),
    ]
    .boxed()
}

fn contact_patch() -> impl Strategy<Value = Patch> {
    let role = select(vec![Role::Lead, Role::Client]).prop_map(role);
    let names = Just([(Field::FirstName, text("")), (Field::LastName, text("Lee"))]);
    (option::of(role), option::of(option::of(email())), option::of(names)).prop_map(|(role, email, names)| {
        let role = role.map(|role| (Field::Role, role));
        let email = email.map(|email| (Field::Email, email.and_then(text)));
        role.into_iter().chain(email).chain(names.into_iter().flatten()).collect()
    })
}

fn company_patch() -> impl Strategy<Value = Patch> {
    (option::of(select(vec![Role::Lead, Role::Client])), option::of(name())).prop_map(|(of, name)| {
        let role = of.map(|of| (Field::Role, role(of)));
        role.into_iter().chain(name.map(|name| (Field::Name, text(name)))).collect()
    })
}

/// An update has no role, because a role never changes.
fn update_patch(patch: impl Strategy<Value = Patch>) -> impl Strategy<Value = Patch> {
    patch.prop_map(|mut patch| {
        patch.remove(&Field::Role);
        patch
    })
}

fn link() -> impl Strategy<Value = contact::CompanyLink> {
    let link = |(name, create_as): (&str, _)| contact::CompanyLink { name: name.to_owned(), create_as };
    (name(), option::of(fresh())).prop_map(link)
}

fn email() -> impl Strategy<Value = &'static str> {
    select(vec!["ann@x.org", "bob@x.org", "eve@x.org"])
}

fn name() -> impl Strategy<Value = &'static str> {
    select(vec!["Acme", "ACME", "Beta"])
}

fn fresh() -> impl Strategy<Value = Uid> {
    any::<u64>().prop_map(|number| uid(&number.to_string()))
}
