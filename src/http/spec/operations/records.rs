//! Companies and contacts.

use serde_json::json;

use super::history;
use super::operation::{BodySpec, Operation, Shape, Success, Tag, delete, get, post, put};
use super::parameter::{
    Parameter, belonging, flag, idempotency_key, if_match, if_none_match, kind_of, listing, meta, record_at, search,
};
use crate::contract::input::InputKind as Described;
use crate::domain::Entity;
use crate::http::resources::erase;
use crate::http::resources::lists::list;
use crate::http::resources::meta as attributes;
use crate::http::resources::records::{self, create, read, update};
use crate::http::resources::resource::{Company, Contact};
use crate::http::spec::openapi::Schema;
use crate::http::spec::samples;

pub(super) const CREATE: &[u16] = &[400, 413, 422];
pub(super) const LIST: &[u16] = &[410, 422];
pub(super) const READ: &[u16] = &[400, 404, 410, 422];
pub(super) const UPDATE: &[u16] = &[400, 404, 410, 412, 413, 422];

/// The description of the operations that read attributes.
pub(super) const META: &str = "An object without the envelope: a key for each attribute, including the account's own \
    fields, in a fixed order. Every value is an object.";

pub(super) fn operations() -> Vec<Operation> {
    let companies = companies().into_iter().chain([history::of::<Company>(Tag::Company, company_id())]);
    let contacts = contacts().into_iter().chain([history::of::<Contact>(Tag::Contact, contact_id())]);
    companies.chain(changing_companies()).chain(contacts).chain(changing_contacts()).chain(erasing()).collect()
}

fn erasing() -> [Operation; 2] {
    let stages = "`stage` says what is erased from next: `begun`, `log` (events and records), `memory` (of all running \
        processes), `responses` (of webhook receivers), `stream` (NATS), `done`.";
    [
        Operation {
            route: post(erase::erase),
            path: "/contact/{id}/erase",
            aliases: &["/contacts/{id}/erase"],
            tag: Tag::Contact,
            id: "eraseContact",
            summary: "Erase a contact for ever",
            description: "Takes everything that says something about the person from the log, the records, webhook \
                receivers' responses, stored responses and NATS, also where other records show it. Contacts that were merged \
                into this one are erased with it. What stays is that there was a contact with this uid, and hashes of its \
                references, so that no partner creates it again. An event `contact.erased` tells everyone. The response is \
                200 once all is done, and after 8 s 202: `GET` of the same path says how far it is, and the work goes on. \
                A deleted contact is erased by its uid. A repetition changes nothing.",
            parameters: vec![contact_id(), idempotency_key()],
            body: None,
            success: Success { status: 200, shape: Shape::Progress(Schema::Erasure) },
            refusals: &[400, 404, 410, 413, 422],
        },
        Operation {
            route: get(erase::progress, samples::erasure),
            path: "/contact/{id}/erase",
            aliases: &["/contacts/{id}/erase"],
            tag: Tag::Contact,
            id: "readErasure",
            summary: "Read how far the erasure of a contact is",
            description: stages,
            parameters: vec![Parameter::path("id", "The contact's uid.", "0193a5b0-7c1e-7000-8000-000000000001")],
            body: None,
            success: Success { status: 200, shape: Shape::Progress(Schema::Erasure) },
            refusals: &[400, 404],
        },
    ]
}

fn companies() -> [Operation; 3] {
    let record = Schema::Record(Entity::Company);
    [
        Operation {
            route: get(attributes::read::<Company>, samples::meta::<Company>),
            path: "/company/meta",
            aliases: &[],
            tag: Tag::Company,
            id: "readCompanyMeta",
            summary: "Read the attributes of companies",
            description: META,
            parameters: Vec::new(),
            body: None,
            success: Success { status: 200, shape: Shape::Bare(Schema::Attributes) },
            refusals: &[],
        },
        Operation {
            route: get(list::<Company>, samples::list::<Company>),
            path: "/companies",
            aliases: &[],
            tag: Tag::Company,
            id: "listCompanies",
            summary: "List companies",
            description: "Companies in the order of their creation. A company without contacts is not listed.",
            parameters: listing()
                .into_iter()
                .chain(kind_of())
                .chain([search("A part of the name."), flag("idle", "Lists companies without contacts too.")])
                .collect(),
            body: None,
            success: Success { status: 200, shape: Shape::Page(record) },
            refusals: LIST,
        },
        Operation {
            route: get(read::<Company>, samples::read::<Company>),
            path: "/company/{id}",
            aliases: &["/companies/{id}"],
            tag: Tag::Company,
            id: "readCompany",
            summary: "Read a company",
            description: "By its uid or its name. A deleted company is 410 by its uid and 404 by its name.",
            parameters: vec![company_id(), meta(), record_at(), if_none_match()],
            body: None,
            success: Success { status: 200, shape: Shape::RecordOrNull(record) },
            refusals: READ,
        },
    ]
}

fn changing_companies() -> [Operation; 3] {
    let record = Schema::Record(Entity::Company);
    [
        Operation {
            route: post(create::<Company>),
            path: "/company",
            aliases: &["/companies"],
            tag: Tag::Company,
            id: "createCompany",
            summary: "Create a company",
            description: "The name must be new to the account, ignoring case. `primaryContact` links the \
                company to a contact, or creates one if `create_primary_contact_if_not_exists` is true. Values of custom \
                fields may be sent under each key of custom fields; their definitions decide where they are read.",
            parameters: vec![idempotency_key()],
            body: Some(BodySpec { schema: Schema::Create(Described::Company), example: json!({"name": "Acme & Co"}) }),
            success: Success { status: 201, shape: Shape::Record(record) },
            refusals: CREATE,
        },
        Operation {
            route: put(update::<Company>),
            path: "/company/{id}",
            aliases: &["/companies/{id}"],
            tag: Tag::Company,
            id: "updateCompany",
            summary: "Change a company",
            description: "Absent fields stay unchanged, `null` clears a field, `tags` replaces the list. `role` and \
                `primaryContact` are set on creation only and ignored here.",
            parameters: vec![company_id(), idempotency_key(), if_match()],
            body: Some(BodySpec {
                schema: Schema::Update(Described::Company),
                example: json!({"phone": "+31 20 555 0100"}),
            }),
            success: Success { status: 200, shape: Shape::RecordOrNull(record) },
            refusals: UPDATE,
        },
        Operation {
            route: delete(records::delete::<Company>),
            path: "/company/{id}",
            aliases: &[],
            tag: Tag::Company,
            id: "deleteCompany",
            summary: "Delete a company",
            description: "It stays in the account's history, and its name can be used again.",
            parameters: vec![company_id(), idempotency_key(), if_match()],
            body: None,
            success: Success { status: 200, shape: Shape::RecordOrNull(record) },
            refusals: UPDATE,
        },
    ]
}

fn contacts() -> [Operation; 3] {
    let record = Schema::Record(Entity::Contact);
    [
        Operation {
            route: get(attributes::read::<Contact>, samples::meta::<Contact>),
            path: "/contact/meta",
            aliases: &[],
            tag: Tag::Contact,
            id: "readContactMeta",
            summary: "Read the attributes of contacts",
            description: META,
            parameters: Vec::new(),
            body: None,
            success: Success { status: 200, shape: Shape::Bare(Schema::Attributes) },
            refusals: &[],
        },
        Operation {
            route: get(list::<Contact>, samples::list::<Contact>),
            path: "/contacts",
            aliases: &[],
            tag: Tag::Contact,
            id: "listContacts",
            summary: "List contacts",
            description: "Contacts in the order of their creation.",
            parameters: listing()
                .into_iter()
                .chain(kind_of())
                .chain(belonging())
                .chain([search("A part of a name, an email address or a telephone number.")])
                .collect(),
            body: None,
            success: Success { status: 200, shape: Shape::Page(record) },
            refusals: LIST,
        },
        Operation {
            route: get(read::<Contact>, samples::read::<Contact>),
            path: "/contact/{id}",
            aliases: &["/contacts/{id}"],
            tag: Tag::Contact,
            id: "readContact",
            summary: "Read a contact",
            description: "By its uid or its email address. A deleted contact is 410 by its uid and 404 by its email address.",
            parameters: vec![contact_id(), meta(), record_at(), if_none_match()],
            body: None,
            success: Success { status: 200, shape: Shape::RecordOrNull(record) },
            refusals: READ,
        },
    ]
}

fn changing_contacts() -> [Operation; 3] {
    let record = Schema::Record(Entity::Contact);
    let smallest = json!({
        "role": "Lead",
        "first_name": "John",
        "last_name": "Doe",
        "email": "john.doe@email.com",
        "send_welcome_email": true,
    });
    [
        Operation {
            route: post(create::<Contact>),
            path: "/contact",
            aliases: &["/contacts"],
            tag: Tag::Contact,
            id: "createContact",
            summary: "Create a contact",
            description: "An email address is required of all but Leads, and must be new to the account. \
                `company` links the contact to a company by its name, or creates one if \
                `create_company_if_not_exists` is true.",
            parameters: vec![idempotency_key()],
            body: Some(BodySpec { schema: Schema::Create(Described::Contact), example: smallest }),
            success: Success { status: 201, shape: Shape::Record(record) },
            refusals: CREATE,
        },
        Operation {
            route: put(update::<Contact>),
            path: "/contact/{id}",
            aliases: &["/contacts/{id}"],
            tag: Tag::Contact,
            id: "updateContact",
            summary: "Change a contact",
            description: "Absent fields stay unchanged, `null` clears a field, `tags` replaces the list. `role` is set on \
                creation only and ignored here.",
            parameters: vec![contact_id(), idempotency_key(), if_match()],
            body: Some(BodySpec { schema: Schema::Update(Described::Contact), example: json!({"title": "Dr"}) }),
            success: Success { status: 200, shape: Shape::RecordOrNull(record) },
            refusals: UPDATE,
        },
        Operation {
            route: delete(records::delete::<Contact>),
            path: "/contact/{id}",
            aliases: &[],
            tag: Tag::Contact,
            id: "deleteContact",
            summary: "Delete a contact",
            description: "It stays in the account's history, and its email address can be used again.",
            parameters: vec![contact_id(), idempotency_key(), if_match()],
            body: None,
            success: Success { status: 200, shape: Shape::RecordOrNull(record) },
            refusals: UPDATE,
        },
    ]
}

fn company_id() -> Parameter {
    Parameter::path("id", "The company's uid or its name.", "Acme & Co")
}

fn contact_id() -> Parameter {
    Parameter::path("id", "The contact's uid or its email address.", "john.doe@email.com")
}
