//! The OpenAPI document that a service serves, and a check of responses against it.

use hyper::Method;
use serde_json::{Map, Value};

use super::client::{Client, Reply};

/// The document, as served without keys.
pub(crate) struct Document(pub(crate) Value);

/// One operation of it.
pub(crate) struct Operation<'a> {
    /// `PUT /contact/{id}`
    pub(crate) name: String,
    pub(crate) described: &'a Value,
}

impl Document {
    pub(crate) async fn of(client: &Client) -> Self {
        let response = client.try_send_bare(Method::GET, "/swagger/json-file", &[], "").await.unwrap();
        assert_eq!((response.status, response.header("content-type")), (200, "application/json"), "{}", response.text);
        Self(response.json)
    }

    pub(crate) fn operations(&self) -> Vec<Operation<'_>> {
        let mut operations = Vec::new();
        for (path, methods) in self.0["paths"].as_object().unwrap() {
            for (method, described) in methods.as_object().unwrap() {
                operations.push(Operation { name: format!("{} {path}", method.to_uppercase()), described });
            }
        }
        operations
    }

    /// Panics if the response's status, content type or body differs from the documentation of the operation.
    #[track_caller]
    pub(crate) fn assert_documented(&self, operation: &Operation<'_>, response: &Reply) {
        let (name, status) = (&operation.name, response.status.to_string());
        let documented = self.resolve(&operation.described["responses"][&status]);
        assert!(documented.is_object(), "{name} answers {status}, which is not documented: {}", response.text);
        let Some(content) = documented["content"].as_object() else {
            assert_eq!(response.text, "", "{name} answers {status} with a body that is not documented");
            return;
        };
        let schema = &content.get(response.header("content-type")).unwrap_or(&Value::Null)["schema"];
        assert!(schema.is_object(), "{name} answers {status} as {}", response.header("content-type"));
        let mut wrong = Vec::new();
        self.check(schema, &response.json, "#", &mut wrong);
        assert!(wrong.is_empty(), "{name} answers {status}, and {wrong:#?} of {}", response.text);
    }

    /// The schema and the example of the body that an operation takes.
    pub(crate) fn body<'a>(&'a self, operation: &Operation<'a>) -> Option<(&'a Value, &'a Value)> {
        let content = &operation.described.get("requestBody")?["content"]["application/json"];
        Some((self.resolve(&content["schema"]), &content["example"]))
    }

    fn resolve<'a>(&'a self, value: &'a Value) -> &'a Value {
        match value["$ref"].as_str() {
            Some(reference) => self.0.pointer(reference.trim_start_matches('#')).unwrap_or(&Value::Null),
            None => value,
        }
    }

    /// The part of JSON Schema that the document uses, with one stricter rule: an object whose schema names properties
    /// may have no other keys.
    fn check(&self, schema: &Value, value: &Value, at: &str, wrong: &mut Vec<String>) {
        let schema = self.resolve(schema);
        if let Some(constant) = schema.get("const").filter(|constant| *constant != value) {
            wrong.push(format!("{at} is not {constant}"));
        }
        if schema["enum"].as_array().is_some_and(|values| !values.contains(value)) {
            wrong.push(format!("{at} is none of {}", schema["enum"]));
        }
        if !has_type(&schema["type"], value) {
            wrong.push(format!("{at} is no {}", schema["type"]));
        }
        for choices in [&schema["anyOf"], &schema["oneOf"]].into_iter().filter_map(Value::as_array) {
            let fits = |choice: &Value| {
                let mut wrong = Vec::new();
                self.check(choice, value, at, &mut wrong);
                wrong.is_empty()
            };
            if !choices.iter().any(fits) {
                wrong.push(format!("{at} fits none of its schemas"));
            }
        }
        if let Some(items) = schema.get("items") {
            for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                self.check(items, item, &format!("{at}/{index}"), wrong);
            }
        }
        if let Some(object) = value.as_object() {
            self.check_object(schema, object, at, wrong);
        }
    }

    fn check_object(&self, schema: &Value, object: &Map<String, Value>, at: &str, wrong: &mut Vec<String>) {
        let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
        wrong.extend(required.filter(|key| !object.contains_key(*key)).map(|key| format!("{at} has no {key}")));
        for (key, member) in object {
            let at = format!("{at}/{key}");
            match (schema["properties"].get(key), schema.get("additionalProperties")) {
                (Some(schema), _) | (None, Some(schema)) => self.check(schema, member, &at, wrong),
                (None, None) if schema["properties"].is_object() => wrong.push(format!("{at} is not documented")),
                (None, None) => {}
            }
        }
    }
}

impl Operation<'_> {
    pub(crate) fn method(&self) -> Method {
        self.name.split(' ').next().unwrap().parse().unwrap()
    }

    /// The status of a successful response.
    pub(crate) fn success(&self) -> u16 {
        let statuses = self.described["responses"].as_object().unwrap().keys().map(|key| key.parse().unwrap());
        statuses.into_iter().find(|status| (200..300).contains(status)).unwrap()
    }

    pub(crate) fn documents_status(&self, status: u16) -> bool {
        self.described["responses"].get(status.to_string()).is_some()
    }

    pub(crate) fn is_stream(&self) -> bool {
        self.described["responses"]["200"]["content"].get("text/event-stream").is_some()
    }

    pub(crate) fn accepts_test_credentials(&self) -> bool {
        self.described["description"].as_str().unwrap().contains("* dummy request allowed")
    }
}

fn has_type(types: &Value, value: &Value) -> bool {
    let is = |name: &str| match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("the document has a type {other}"),
    };
    match types.as_array() {
        Some(names) => names.iter().any(|name| is(name.as_str().unwrap())),
        None => types.is_null() || is(types.as_str().unwrap()),
    }
}
