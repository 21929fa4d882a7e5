use super::{ANN, CONTACT, ann, update};
use crate::domain::contact::{CircleName, Circles, CreateContact, Note, RelatedChanges, Subscribe, UpdateContact};
use crate::domain::fixture::{
    contact, created, field_added, given, input, links, role, text, uid, updated, welcome, welcome_requested,
};
use crate::domain::named;
use crate::domain::schema::{FieldType, UntypedValue};
use crate::domain::{Entity, EventType, Field, FieldOwner, NewEvent, Patch, Role, Value};

fn named_circle(name: &str) -> CircleName {
    CircleName::Name { name: name.to_owned(), create_as: uid(name) }
}

fn circle(name: &str) -> NewEvent {
    created(Entity::Circle, name).with(Field::Name, text(name))
}

fn circles(add: Vec<CircleName>, remove: Vec<CircleName>) -> RelatedChanges {
    RelatedChanges { circles: Circles { add, remove }, ..RelatedChanges::default() }
}

fn change(related: RelatedChanges) -> UpdateContact {
    UpdateContact { related, ..update(ANN, []) }
}

fn in_circles<const N: usize>(names: [&str; N]) -> NewEvent {
    updated(CONTACT, ANN).with(Field::Circles, links(names))
}

#[test]
fn a_circle_is_joined_by_name_or_id_and_made_where_it_is_new() {
    given([contact(ANN), circle("VIP")])
        .when(change(circles(vec![named_circle("vip"), named_circle("New")], Vec::new())))
        .then_events([circle("New"), in_circles(["VIP", "New"])])
        .when(change(circles(vec![CircleName::Uid(uid("VIP"))], Vec::new())))
        .then_nothing()
        .when(change(circles(Vec::new(), vec![named_circle("new"), CircleName::Uid(uid("VIP"))])))
        .then_events([updated(CONTACT, ANN).with(Field::Circles, None)])
        .when(change(circles(vec![CircleName::Uid(uid("New"))], vec![named_circle("none such")])))
        .then_events([in_circles(["New"])])
        .when(change(circles(vec![CircleName::Uid(uid("none such"))], Vec::new())))
        .then_invalid(["#/circles/add/0"]);
}

#[test]
fn a_new_contact_comes_with_its_circles_before_it_and_its_notes_after_it() {
    let note = Note { uid: uid("N"), patch: Patch::from([(Field::Note, text("Met in Rome")), (Field::Date, None)]) };
    let related = RelatedChanges { notes: vec![note], welcome: true, ..circles(vec![named_circle("VIP")], Vec::new()) };
    let noted = created(Entity::Note, "N")
        .with(Field::Note, text("Met in Rome"))
        .with(Field::Contact, text(&uid(ANN).to_string()));
    let welcome = NewEvent { event_type: EventType::WelcomeRequested, ..created(CONTACT, ANN) };
    given([])
        .when(CreateContact::new(uid(ANN), ann(), None, related).expect("a whole contact"))
        .about(CONTACT, ANN)
        .then_events([circle("VIP"), contact(ANN).with(Field::Circles, links(["VIP"])), noted, welcome]);
}

fn subscribe(email: &str, audiences: &[i64]) -> Subscribe {
    let patch = Patch::from([(Field::Email, text(email)), (Field::FirstName, text("Ann"))]);
    Subscribe::new(uid(email), patch, audiences.to_vec(), Vec::new()).expect("an email")
}

/// A subscription without audiences, with values of custom fields by the fields' names.
fn subscribe_with<const N: usize>(email: &str, values: [(&str, UntypedValue); N]) -> Subscribe {
    let custom = values.map(|(name, value)| input(Field::CustomFields, name, value)).to_vec();
    let patch = Patch::from([(Field::Email, text(email)), (Field::FirstName, text("Ann"))]);
    Subscribe::new(uid(email), patch, Vec::new(), custom).expect("an email")
}

fn audience(id: u32) -> named::CreateNamed {
    named::CreateNamed::audience(uid(&id.to_string()), id, "News").expect("a name and a number")
}

fn subscribed(audiences: &[i64]) -> NewEvent {
    NewEvent { event_type: EventType::Subscribed, ..updated(CONTACT, ANN) }
        .with(Field::Audiences, Some(Value::Audiences(audiences.to_vec())))
}

#[test]
fn subscribing_makes_a_lead_where_no_contact_has_the_email() {
    let lead = created(CONTACT, ANN)
        .with(Field::Role, role(Role::Lead))
        .with(Field::Email, text(ANN))
        .with(Field::FirstName, text("Ann"))
        .with(Field::LastName, text(""));
    given([])
        .when(audience(3))
        .apply()
        .when(audience(1))
        .apply()
        .when(subscribe(ANN, &[3]))
        .about(CONTACT, ANN)
        .then_events([lead, subscribed(&[3])])
        .when(subscribe("ANN@X.org", &[1, 3, 1]))
        .about(CONTACT, ANN)
        .then_events([subscribed(&[1, 3])])
        .when(subscribe(ANN, &[3]))
        .then_nothing()
        .when(subscribe("new@x.org", &[3, 9]))
        .then_invalid(["#/audiences"]);
    assert!(Subscribe::new(uid(ANN), Patch::new(), Vec::new(), Vec::new()).is_err(), "a subscription needs an email");
}

#[test]
fn a_subscription_sets_values_of_a_new_and_of_an_existing_contact() {
    let field = |name, kind| field_added(name, FieldOwner::Contact, kind);
    let values = |values: &[(&str, Value)]| {
        Some(Value::Custom(values.iter().map(|(name, value)| (uid(name), value.clone())).collect()))
    };
    let sent = |text: &str| UntypedValue::Text(text.to_owned());
    let shown = |text: &str| Value::Text(text.to_owned());
    let lead = created(CONTACT, ANN)
        .with(Field::Role, role(Role::Lead))
        .with(Field::Email, text(ANN))
        .with(Field::FirstName, text("Ann"))
        .with(Field::LastName, text(""));
    let also = updated(CONTACT, ANN);
    given([field("Source", FieldType::Text), field("City", FieldType::Text), field("Size", FieldType::Number)])
        .when(subscribe_with(ANN, [("Source", sent("Fair")), ("City", sent(""))]))
        .then_events([lead.with(Field::CustomFields, values(&[("Source", shown("Fair"))]))])
        .when(subscribe_with(ANN, [("City", sent("Rome"))]))
        .then_events([also.clone().with(
            Field::CustomFields,
            values(&[("Source", shown("Fair")), ("City", shown("Rome"))]),
        )])
        // A text that was left blank, or null, clears nothing.
        .when(subscribe_with(ANN, [("City", sent(" ")), ("Source", UntypedValue::Null)]))
        .then_nothing()
        .when(subscribe_with(ANN, [("City", sent("")), ("Source", sent("Web"))]))
        .then_events([also.with(Field::CustomFields, values(&[("Source", shown("Web")), ("City", shown("Rome"))]))])
        .when(subscribe_with(ANN, [("Size", sent("large")), ("none such", UntypedValue::Null)]))
        .then_invalid([
            &format!("#/custom_fields/{}", uid("Size")),
            &format!("#/custom_fields/{}", uid("none such")),
        ]);
}

#[test]
fn a_refused_subscription_lists_its_first_errors() {
    let names: Vec<String> = (0..50).map(|number| format!("none {number}")).collect();
    let custom = names.iter().map(|name| input(Field::CustomFields, name, UntypedValue::Null)).collect();
    let patch = Patch::from([(Field::Email, text(ANN))]);
    let mut pointers: Vec<String> =
        names.iter().take(20).map(|name| format!("#/custom_fields/{}", uid(name))).collect();
    pointers.push("#".to_owned());
    let pointers: [&str; 21] = std::array::from_fn(|index| pointers[index].as_str());
    given([]).when(Subscribe::new(uid(ANN), patch, Vec::new(), custom).expect("an email")).then_invalid(pointers);
}

#[test]
fn an_audience_has_a_number_and_a_world_a_name_of_its_own() {
    let world = |name: &str| named::CreateNamed::world(uid(name), name).expect("a name");
    given([])
        .when(audience(3))
        .apply()
        .when(named::CreateNamed::audience(uid("other"), 3, "Other").expect("a name and a number"))
        .then_invalid(["#/id"])
        .when(world("Europe"))
        .then_events([created(Entity::World, "Europe").with(Field::Name, text("Europe"))])
        .when(world("EUROPE"))
        .then_invalid(["#/name"]);
    assert!(named::CreateNamed::audience(uid("0"), 0, "News").is_err());
    assert!(named::CreateNamed::world(uid(""), " ").is_err());
}

#[test]
fn a_welcome_is_an_event_of_its_own() {
    given([])
        .when(CreateContact::new(uid(ANN), ann(), None, welcome()).expect("a whole contact"))
        .then_events([contact(ANN), welcome_requested(ANN)])
        .when(UpdateContact { related: welcome(), ..update(ANN, [(Field::Title, text("Dr"))]) })
        .then_events([updated(CONTACT, ANN).with(Field::Title, text("Dr")), welcome_requested(ANN)])
        .when(UpdateContact { related: welcome(), ..update(ANN, [(Field::Title, text("Dr"))]) })
        .then_events([welcome_requested(ANN)]);
}
