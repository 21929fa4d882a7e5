//! The OpenAPI 3.1 document, made from the list of operations and the tables of the domain.
//!
//! Guarantees: the same account, host and brand get the same bytes; the document has no path or method that the router
//! does not have.

mod answer;
mod components;
mod consumer;
mod endpoint;
mod record;
mod schema;
mod shape;
mod sync;
#[cfg(test)]
mod tests;
mod usage;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use hyper::{HeaderMap, Method};
use moka::future::Cache;
use serde_json::{Map, Value as Json, json};
use sha2::{Digest as _, Sha256};

pub(in crate::http::spec) use self::components::{hoist, named};
pub(in crate::http) use self::schema::{Schema, reference};
use super::BASE;
use super::brand::Brands;
use super::docs::{Template, serving};
use super::operations::parameter::{Parameter, ParameterLocation};
use super::operations::{self, BodySpec, Operation, Tag};
use crate::domain::brand::Brand;
use crate::http::request::authenticator::{self, Authenticator};
use crate::http::request::service_url::ServiceUrl;
use crate::store::Store;
use crate::store::schema::AccountSchema;

/// The two headers as security schemes.
const SCHEMES: [(&str, &str, &str); 2] = [
    ("publicId", "X-Public-ID", "The account's public id, a UUID."),
    ("secretKey", "X-Secret-Key", "One of the account's secret keys."),
];

/// The total size of the cached documents with accounts' own fields, in bytes. The least used are dropped beyond it.
const KEPT: u64 = 32 << 20;

const MEDIA_TYPE: &str = "application/json";

/// The state of the OpenAPI document's route.
pub(in crate::http) struct Documents {
    brands: Arc<Brands>,
    authenticator: Authenticator,
    store: Store,
    /// Documents with accounts' own fields, by [`revision`].
    own: Cache<[u8; 32], Arc<Template>>,
}

impl Documents {
    pub(in crate::http) fn new(brands: Arc<Brands>, authenticator: Authenticator, store: Store) -> Self {
        let own = Cache::builder().max_capacity(KEPT).weigher(|_, template: &Arc<Template>| template.size()).build();
        Self { brands, authenticator, store, own }
    }

    /// The definitions of the account whose keys the request has; `None` where the keys are nobody's, or the database
    /// cannot be reached: the document is public, and is then served without them.
    async fn own_fields(&self, headers: &HeaderMap) -> Option<AccountSchema> {
        let claim = authenticator::claim(&self.authenticator, headers).ok()?;
        let caller = self.authenticator.caller(&claim).await.ok()?;
        self.store.schema(caller.account).await.ok()
    }
}

/// `GET /swagger/json-file`: public. With an account's keys it includes the account's own fields. A document is made
/// once, for each brand and each revision of an account's fields.
pub(in crate::http) async fn serve(
    State(documents): State<Arc<Documents>>,
    service_url: ServiceUrl,
    headers: HeaderMap,
) -> Response {
    let own = documents.own_fields(&headers).await;
    let branded = documents.brands.shown_at(&service_url).await;
    let brand = &branded.brand;
    let make = |own| Template::new(MEDIA_TYPE, |service_url| document(brand, service_url, own).to_string());
    match own {
        Some(own) if !(own.custom_fields.is_empty() && own.audiences.is_empty()) => {
            let made = async { Arc::new(make(Some(&own))) };
            let template = documents.own.get_with(revision(brand, &own), made).await;
            serving::data(&template, &service_url, &headers)
        }
        Some(_) | None => serving::data(branded.openapi.get_or_init(|| make(None)), &service_url, &headers),
    }
}

/// Identifies a document with an account's own fields: by the brand's name, and each definition with its version.
fn revision(brand: &Brand, own: &AccountSchema) -> [u8; 32] {
    let mut hash = Sha256::new().chain_update(&brand.name).chain_update([0]);
    for definition in own.custom_fields.iter().chain(&own.audiences) {
        hash.update(definition.uid.0.as_bytes());
        hash.update(definition.version.0.to_be_bytes());
    }
    hash.finalize().into()
}

/// The document for a client at `service_url`, with the fields that the account added to records.
fn document(brand: &Brand, service_url: &ServiceUrl, own: Option<&AccountSchema>) -> Json {
    let operations = operations::all();
    let schemas: Map<_, _> = Schema::all().map(|schema| (schema.name(), schema.json(own))).collect();
    let schemes: Map<_, _> = SCHEMES
        .into_iter()
        .map(|(scheme, header, description)| {
            (scheme.to_owned(), json!({"type": "apiKey", "in": "header", "name": header, "description": description}))
        })
        .collect();
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": format!("{} Secure API", brand.name),
            "version": env!("CARGO_PKG_VERSION"),
            "description": DESCRIPTION,
        },
        "servers": [{"url": format!("{}{BASE}", service_url.0)}],
        "tags": tags(&operations),
        "paths": paths(&operations),
        "components": {
            "schemas": schemas,
            "headers": answer::headers(),
            "responses": answer::refusals(),
            "securitySchemes": schemes,
        },
    });
    hoist(&mut document);
    document
}

const DESCRIPTION: &str = "\
Every request needs both headers: `X-Public-ID` and `X-Secret-Key`.

`X-Public-ID: 00000000-0000-0000-0000-000000000000` with `X-Secret-Key: DummySecretKey` are test credentials. \
Operations that say `* dummy request allowed` answer them with random sample data; they touch no account and count \
against no limit.

Every response is `{\"success\", \"message\", \"data\", \"meta\"}`, every refusal a problem (RFC 9457) that has \
`success: false` and a `message` too.";

/// The tags that have operations.
fn tags(operations: &[Operation]) -> Json {
    let used = Tag::ALL.into_iter().filter(|tag| operations.iter().any(|operation| operation.tag == *tag));
    used.map(|tag| json!({"name": tag.name(), "description": tag.description()})).collect()
}

fn paths(operations: &[Operation]) -> Json {
    let mut paths: BTreeMap<&str, Map<String, Json>> = BTreeMap::new();
    for operation in operations {
        let method = operation.route.method.as_str().to_lowercase();
        for path in operation.paths() {
            paths.entry(path).or_default().insert(method.clone(), described(operation, path));
        }
    }
    json!(paths)
}

fn described(operation: &Operation, path: &str) -> Json {
    let Operation { route, aliases: _, tag, id, summary, description, parameters, body, success, refusals, .. } =
        operation;
    let alias = path != operation.path;
    let mut paragraphs = vec![(*description).to_owned()];
    if alias {
        paragraphs.push(format!("The same as `{} {}`.", route.method, operation.path));
    }
    if route.sampled {
        // A paragraph of Markdown that begins with a star would be a list.
        paragraphs.push("\\* dummy request allowed".to_owned());
    }
    let has_place = |parameter: &&Parameter| {
        parameter.location != ParameterLocation::Path || path.contains(&format!("{{{}}}", parameter.name))
    };
    let conditional = parameters.iter().any(|parameter| parameter.name == "If-None-Match");
    // A read-only key is refused with 403.
    let scope: &[u16] = if route.method == Method::GET { &[] } else { &[403] };
    let security: Map<_, _> = SCHEMES.into_iter().map(|(scheme, ..)| (scheme.to_owned(), json!([]))).collect();
    let mut described = json!({
        "operationId": if alias { alias_id(id, path) } else { (*id).to_owned() },
        "tags": [tag.name()],
        "summary": summary,
        "description": paragraphs.join("\n\n"),
        "parameters": parameters.iter().filter(has_place).map(parameter).collect::<Vec<_>>(),
        "security": [security],
        "responses": answer::responses(success, &[refusals, scope].concat(), conditional),
    });
    if let Json::Object(members) = &mut described {
        members.extend(alias.then(|| ("deprecated".to_owned(), json!(true))));
        members.extend(body.as_ref().map(|body| ("requestBody".to_owned(), request_body(body))));
    }
    described
}

/// `createContact` at `/contacts` is `createContactAtContacts`: every operation of a document has its own id.
fn alias_id(id: &str, path: &str) -> String {
    let words = path.split('/').filter(|segment| !segment.is_empty() && !segment.starts_with('{'));
    let capital = |word: &str| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect::<String>()
    };
    [id.to_owned(), "At".to_owned()].into_iter().chain(words.map(capital)).collect()
}

fn parameter(parameter: &Parameter) -> Json {
    let Parameter { name, location, description, schema, example } = parameter;
    let mut shown = json!({"name": name, "in": location.name(), "description": description, "schema": schema});
    if let Json::Object(members) = &mut shown {
        members.extend((*location == ParameterLocation::Path).then(|| ("required".to_owned(), json!(true))));
        members.extend(example.clone().map(|example| ("example".to_owned(), example)));
    }
    shown
}

fn request_body(body: &BodySpec) -> Json {
    json!({
        "required": true,
        "content": {"application/json": {"schema": reference(body.schema), "example": body.example}},
    })
}
