//! Clients that others generate from the OpenAPI document: in Python with openapi-python-client, in TypeScript with
//! openapi-typescript.

use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::{Value, json};
use tokio::process::Command;
use unificus::config::program_path;

use crate::support::servers::directory;
use crate::support::{Client, Service};

/// A program that deploy/setup.sh installs. The programs beside it are on its PATH.
fn program(directory: &str, name: &str) -> Command {
    let (path, data_home) = program_path();
    let directory = data_home.join("unificus").join(directory);
    let program = directory.join(name);
    assert!(program.exists(), "{name} is missing: run deploy/setup.sh tests");
    let mut command = Command::new(program);
    command.env("PATH", format!("{}:{path}", directory.display())).kill_on_drop(true);
    command
}

fn python(name: &str) -> Command {
    program("python/bin", name)
}

fn node(name: &str) -> Command {
    program("node/node_modules/.bin", name)
}

/// A temporary directory, removed at the end of the test.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.0);
    }
}

impl Scratch {
    fn new(name: &str) -> Self {
        let path = directory(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// The document that this client is served, as a file.
    async fn document(&self, client: &Client) -> PathBuf {
        let path = self.0.join("openapi.json");
        std::fs::write(&path, client.get("/swagger/json-file").await.text).unwrap();
        path
    }
}

/// Defines a custom field of every type for every kind of record, so that the account's document has all that one can have.
async fn with_fields(client: &Client) {
    for entity in ["contact", "company", "project", "target"] {
        for kind in
            ["text", "long_text", "number", "currency", "date", "datetime", "checkbox", "dropdown", "multi_select"]
        {
            let mut body = json!({"entity": entity, "type": kind, "name": format!("Own {kind}")});
            if ["dropdown", "multi_select"].contains(&kind) {
                body["allowed_values"] = json!(["Red", "dark red", "1"]);
            }
            client.post("/fields", body).await.expect(201);
        }
    }
}

/// The text that a program printed, if it succeeded.
#[track_caller]
fn printed(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    text
}

/// Generates the package `secure_api` in a directory.
async fn generate_python(document: &Path, scratch: &Path) -> PathBuf {
    let generated = python("openapi-python-client")
        .current_dir(scratch)
        .args(["generate", "--meta", "none", "--overwrite", "--fail-on-warning", "--path"])
        .arg(document)
        .args(["--output-path", "secure_api"])
        .output()
        .await
        .unwrap();
    assert_eq!(printed(&generated).trim(), "Generating secure_api", "neither a warning nor anything else");
    scratch.join("secure_api")
}

/// The classes of a generated package.
fn models(package: &Path) -> Vec<String> {
    let exports = std::fs::read_to_string(package.join("models/__init__.py")).unwrap();
    let (_, listed) = exports.split_once("__all__ = (").unwrap();
    listed.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_python_client_is_generated_without_a_warning_and_creates_reads_and_lists() {
    let (service, scratch) = (Service::start().await, Scratch::new("generated-python"));
    let package = generate_python(&scratch.document(&service.client).await, &scratch.0).await;
    for model in models(&package) {
        // Such a name is made of a place in the document, because the schema there has none.
        let is_made_up = ["Type0", "Type1", "Type2", "Item", "AdditionalProperty", "Response2"];
        assert!(!is_made_up.iter().any(|part| model.contains(part)), "{model}");
    }

    let client = &service.client;
    let used = python("python")
        .env("PYTHONPATH", &scratch.0)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/generated_client.py"))
        .args([&*client.base, &client.account.to_string(), &*client.secret])
        .output()
        .await
        .unwrap();
    let uids: Value = serde_json::from_str(&printed(&used)).unwrap();

    for kind in ["contact", "company", "project"] {
        let path = format!("/{kind}/{}", uids[kind].as_str().unwrap());
        client.get(&path).await.expect(200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_python_client_is_generated_from_an_accounts_own_document() {
    let (service, scratch) = (Service::start().await, Scratch::new("generated-own"));
    with_fields(&service.client).await;
    let package = generate_python(&scratch.document(&service.client).await, &scratch.0).await;
    let compiled = python("python").args(["-m", "compileall", "-q"]).arg(&package).output().await.unwrap();
    assert_eq!(printed(&compiled), "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn typescript_types_are_generated_without_a_warning_and_compile() {
    let (service, scratch) = (Service::start().await, Scratch::new("generated-typescript"));
    let bare = service.client.as_caller(service.client.account, "");
    with_fields(&service.client).await;
    for client in [&bare, &service.client] {
        let (document, types) = (scratch.document(client).await, scratch.0.join("api.ts"));
        let generated = node("openapi-typescript").arg(&document).arg("-o").arg(&types).output().await.unwrap();
        let text = printed(&generated).to_lowercase();
        assert!(
            text.contains("openapi.json") && !["warn", "error", "⚠"].iter().any(|word| text.contains(word)),
            "{text}"
        );
        std::fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/generated_client.ts"), scratch.0.join("use.ts"))
            .unwrap();
        let compiled = node("tsc")
            .current_dir(&scratch.0)
            .args(["--noEmit", "--strict", "--target", "es2022", "--module", "nodenext", "api.ts", "use.ts"])
            .output()
            .await
            .unwrap();
        assert_eq!(printed(&compiled), "");
    }
}
