//! The NATS gateway, tried by an independent client: logins by key, durable consumers, commands, and the end of connections.

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use unificus::app::App;
use unificus::clock::Clock;
use unificus::config::{Config, program_path};
use unificus::dev::services::Services;
use unificus::domain::AccountId;
use unificus::keys::{self, SecretKey, Terms};
use unificus::secrets::MasterKeys;
use unificus::store::audit::By;
use unificus::store::keys::Added;
use uuid::Uuid;

use crate::support::servers::{Servers, TestEnv, binaries, directory};
use crate::support::service::{account, base};
use crate::support::{Client, LONG, Service, instant, until};

/// A NATS server that asks the service about logins, and replicas of the service.
struct Gateway {
    services: Services,
    env: TestEnv,
    service: Service,
}

impl Gateway {
    async fn start(name: &str) -> Self {
        Self::configured(name, |_| {}).await
    }

    async fn configured(name: &str, change: impl Fn(&mut Config)) -> Self {
        let services = Services::start(&directory(name), &binaries()).await.unwrap();
        let mut env = Servers::of(&services).await.env().await;
        // The names in the server's configuration.
        (env.stream, env.subject_root) = ("EVENTS".to_owned(), "crm.v1".to_owned());
        let service = Service::in_env(env.clone(), Clock::system(), |config| {
            with_gateway(&services, config);
            change(config);
        });
        let service = service.await;
        let gateway = Self { services, env, service };
        gateway.until_on(&gateway.service.app).await;
        gateway
    }

    /// One more replica.
    async fn replica(&self) -> (App, Client) {
        let (app, client) = self.service.replica_configured(|config| with_gateway(&self.services, config)).await;
        self.until_on(&app).await;
        (app, client)
    }

    async fn until_on(&self, app: &App) {
        let ops = Client::new(&format!("http://{}", app.metrics_address()), AccountId(Uuid::nil()), "");
        until("the gateway is on and follows connections", async || {
            let is_on = ops.get("/readyz").await.text == "ready\nNATS gateway on\n";
            is_on && ops.get("/metrics").await.text.contains("unificus_nats_clients_followed 1")
        })
        .await;
    }

    fn url(&self) -> String {
        self.services.nats.client_url()
    }

    /// Runs the client to its end; returns the JSON that it prints.
    async fn run(&self, arguments: &[&str]) -> Value {
        let output = python(arguments).output().await.unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{error}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    async fn logins(&self, tokens: &[String]) -> Vec<bool> {
        let let_in = self.run(&["login", &self.url(), &json!(tokens).to_string()]).await;
        serde_json::from_value(let_in).unwrap()
    }

    /// Adds a key to the client's account.
    async fn add_key(&self, terms: Terms) -> (Uuid, String) {
        let (account, secret) = (self.service.client.account, SecretKey::make("unificus"));
        let key = keys::prepare(account, &secret, terms, &MasterKeys::new(&[]));
        assert_eq!(self.service.store.add_key(account, &key, by()).await.unwrap(), Added::Done);
        (key.key_id, secret.text().to_owned())
    }

    /// A client that is logged in with a key.
    async fn hold(&self, secret: &str) -> Held {
        let account = self.service.client.account.to_string();
        let mut child = python(&["hold", &self.url(), &account, secret]).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = tokio::time::timeout(LONG, lines.next_line()).await.unwrap().unwrap();
        assert_eq!(line.as_deref(), Some("in"));
        Held { lines, _child: child }
    }
}

struct Held {
    lines: Lines<BufReader<ChildStdout>>,
    _child: Child,
}

impl Held {
    /// Waits until the server ends the connection.
    async fn until_out(&mut self) {
        let line = tokio::time::timeout(LONG, self.lines.next_line()).await.expect("the connection goes on").unwrap();
        assert_eq!(line.as_deref(), Some("out"));
    }
}

fn with_gateway(services: &Services, config: &mut Config) {
    config.nats.issuer_seed = services.nats.issuer_seed().clone();
    config.nats.system_url = services.nats.system_url();
}

fn by() -> By<'static> {
    By::new("test", Clock::system().now())
}

fn python(arguments: &[&str]) -> Command {
    let (_, data_home) = program_path();
    let program = data_home.join("unificus/python/bin/python");
    assert!(program.exists(), "Python is missing: run deploy/setup.sh tests");
    let mut command = Command::new(program);
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/nats_client.py")).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

async fn until_ready(client: &Client, name: &str) -> Value {
    let path = format!("/sync/consumers/{name}");
    until("the consumer is on the stream", async || client.get(&path).await.expect(200)["state"] == "ready").await;
    client.get(&path).await.expect(200).clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_reads_its_own_account_and_nothing_else() {
    let gateway = Gateway::start("gateway-tour").await;
    let client = &gateway.service.client;
    let (other_account, other_secret) = account(&gateway.service.store).await;
    let other = client.as_caller(other_account, &other_secret);
    for client in [client, &other] {
        let body = json!({"name": "erp", "entity": "contact", "from": "start"});
        let made = client.post("/sync/consumers", body).await;
        assert_eq!(made.expect(201)["durable"], format!("{}_erp", client.account));
        until_ready(client, "erp").await;
        client.contact("a@example.org").await.expect(201);
        client.contact("b@example.org").await.expect(201);
        client.post("/company", json!({"name": "Acme", "role": "Client"})).await.expect(201);
    }
    // Another replica answers half of the logins and commands.
    let (_second, _) = gateway.replica().await;
    until("all events are on the stream", async || {
        let lists = [client.get("/sync/consumers").await, other.get("/sync/consumers").await];
        lists.iter().all(|list| list.expect(200)[0]["pending"] == 2)
    })
    .await;

    let (id, other_id) = (client.account.to_string(), other.account.to_string());
    let tour = gateway.run(&["tour", &gateway.url(), &id, &client.secret, &other_id, &other.secret]).await;

    assert_eq!(tour["read"], json!([format!("{id}:1"), format!("{id}:2")]), "contacts alone, in order");
    assert_eq!((&tour["pending"], &tour["ack_pending"]), (&json!(0), &json!(0)), "both are acknowledged");
    assert_eq!(tour["permitted"], json!([]), "of {} subjects that are not its own", tour["tried"]);
    assert_eq!(tour["strange"], Value::Null);
    let [first, again] = [0, 1].map(|index| &tour["replies"][index]);
    assert_eq!((&first["op_id"], &first["status"], &first["seq"]), (&json!("one"), &json!(201), &json!(4)), "{first}");
    assert_eq!((&again["replayed"], &again["uid"]), (&json!(true), &first["uid"]), "{again}");
    let log = client.changes().await;
    assert_eq!((log.len(), &log[3]["origin"], &log[3]["causationid"]), (4, &json!("test"), &json!("one")));
    let stream = async_nats::jetstream::new(gateway.env.nats().await);
    let count = async || stream.get_stream("EVENTS").await.unwrap().cached_info().state.messages;
    until("the command's event is published", async || count().await >= 7).await;
    let messages = count().await;
    assert_eq!(messages, 7, "what a server sends to a foreign reply subject is not stored");
    let erp = client.get("/sync/consumers/erp").await.expect(200).clone();
    assert_eq!(erp["acknowledged_seq"], 2);
    let other_erp = other.get("/sync/consumers/erp").await.expect(200).clone();
    assert_eq!((&other_erp["pending"], &other_erp["delivered_seq"]), (&json!(2), &json!(0)), "nobody read it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_working_key_of_the_account_logs_in() {
    let gateway = Gateway::start("gateway-logins").await;
    let client = &gateway.service.client;
    let (other_account, other_secret) = account(&gateway.service.store).await;
    let (id, secret) = (client.account.to_string(), client.secret.to_string());
    let (_, expired) =
        gateway.add_key(Terms { expires_at: Some(Clock::system().now()), ..Terms::named("expired") }).await;
    let (deleted_id, deleted) = gateway.add_key(Terms::named("deleted")).await;
    assert_eq!(gateway.logins(&[format!("{id}:{secret}"), format!("{id}:{deleted}")]).await, [true, true]);
    gateway.service.store.delete_key(client.account, deleted_id, by()).await.unwrap();
    let refused = [
        String::new(),
        "x".to_owned(),
        ":".to_owned(),
        id.clone(),
        format!("{id}:"),
        format!("{id}:{secret}x"),
        format!("{id}:{}", secret.to_uppercase()),
        format!("{}:{secret}", id.to_uppercase()),
        format!("{}:{secret}", id.replace('-', "")),
        format!("{other_account}:{secret}"),
        format!("{id}:{other_secret}"),
        format!("{}:{secret}", Uuid::nil()),
        "00000000-0000-0000-0000-000000000000:DummySecretKey".to_owned(),
        format!("{id}:{secret}\0"),
        format!("\0{id}:{secret}"),
        format!("{id}:{}", "x".repeat(3_000)),
        format!("{id}:{}", "x".repeat(100_000)),
        format!("*:{secret}"),
        format!("{id}.>:{secret}"),
        format!("{id}:{expired}"),
        format!("{id}:{deleted}"),
    ];
    assert_eq!(gateway.logins(&refused).await, vec![false; refused.len()]);
    assert_eq!(gateway.logins(&[format!("{id}:{secret}")]).await, [true], "the service goes on");
    assert!(!gateway.service.app.lifecycle().failed.is_cancelled());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_connections_of_a_deleted_key_are_ended_within_two_seconds() {
    let gateway = Gateway::start("gateway-cut").await;
    let (second, _) = gateway.replica().await;
    let account = gateway.service.client.account;
    let mut stays = gateway.hold(&gateway.service.client.secret).await;
    let (key_id, secret) = gateway.add_key(Terms::named("leaving")).await;
    let mut first = gateway.hold(&secret).await;
    let mut other = gateway.hold(&secret).await;

    let deleted_at = instant();
    gateway.service.store.delete_key(account, key_id, by()).await.unwrap();
    first.until_out().await;
    other.until_out().await;
    let elapsed = deleted_at.elapsed();
    println!("two connections of a deleted key were ended {} ms after it", elapsed.as_millis());
    assert!(elapsed < Duration::from_secs(2), "{elapsed:?}");
    let still = tokio::time::timeout(Duration::from_millis(100), stays.until_out()).await;
    assert!(still.is_err(), "other keys stay connected");

    // The replica that is left ends connections whose logins the other one answered.
    let (key_id, secret) = gateway.add_key(Terms::named("leaving later")).await;
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(gateway.hold(&secret).await);
    }
    let Gateway { service, services, .. } = gateway;
    let Service { app, store, .. } = service;
    app.stop().await.unwrap();
    let deleted_at = instant();
    store.delete_key(account, key_id, by()).await.unwrap();
    for held in &mut held {
        held.until_out().await;
    }
    let elapsed = deleted_at.elapsed();
    println!("four connections were ended {} ms after it by the other replica", elapsed.as_millis());
    assert!(elapsed < Duration::from_secs(2), "{elapsed:?}");
    drop((second, services));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_ends_when_its_key_expires() {
    let gateway = Gateway::start("gateway-expiry").await;
    let expires_at = Clock::system().now() + Duration::from_secs(3);
    let (_, secret) = gateway.add_key(Terms { expires_at: Some(expires_at), ..Terms::named("brief") }).await;
    let mut held = gateway.hold(&secret).await;
    held.until_out().await;
    let late = Clock::system().now() - expires_at;
    assert!((-1.5..2.0).contains(&late.as_seconds_f64()), "{late}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_that_jetstream_lost_begins_again_where_it_had_acknowledged() {
    let gateway = Gateway::start("gateway-lost").await;
    let client = &gateway.service.client;
    client.post("/sync/consumers", json!({"name": "erp", "from": "start"})).await.expect(201);
    until_ready(client, "erp").await;
    for number in 0..5 {
        client.contact(&format!("p{number}@example.org")).await.expect(201);
    }
    let jetstream = async_nats::jetstream::new(gateway.env.nats().await);
    let stream = jetstream.get_stream("EVENTS").await.unwrap();
    let durable = format!("{}_erp", client.account);
    let read = async |limit: usize| {
        use futures_util::StreamExt as _;
        let consumer: async_nats::jetstream::consumer::PullConsumer = stream.get_consumer(&durable).await.unwrap();
        let mut batch = consumer.batch().max_messages(limit).expires(LONG).messages().await.unwrap();
        let mut ids = Vec::new();
        while let Some(message) = batch.next().await {
            let message = message.unwrap();
            let event: Value = serde_json::from_slice(&message.payload).unwrap();
            ids.push(event["data"]["seq"].as_i64().unwrap());
            message.double_ack().await.unwrap();
        }
        ids
    };
    assert_eq!(read(3).await, [1, 2, 3]);
    let sql = gateway.env.sql().await;
    until("its progress is written", async || {
        let row = sql.query_one("select acked_seq from sync_consumer", &[]).await.unwrap();
        row.get::<_, i64>(0) == 3
    })
    .await;
    stream.delete_consumer(&durable).await.unwrap();
    until("the consumer is made again", async || stream.consumer_info(&durable).await.is_ok()).await;
    assert_eq!(read(2).await, [4, 5]);

    // One that the table does not have is removed.
    sql.batch_execute("delete from sync_consumer").await.unwrap();
    until("the consumer is removed", async || stream.consumer_info(&durable).await.is_err()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn consumers_are_named_bounded_and_idempotent() {
    let service = Service::start().await;
    let client = &service.client;
    for (body, pointer) in [
        (json!({}), "#/name"),
        (json!({"name": "A"}), "#/name"),
        (json!({"name": "a.b"}), "#/name"),
        (json!({"name": "a*"}), "#/name"),
        (json!({"name": 1}), "#/name"),
        (json!({"name": "a", "entity": "people"}), "#/entity"),
        (json!({"name": "a", "from": "yesterday"}), "#/from"),
        (json!({"name": "a", "from": 3}), "#/from"),
    ] {
        let refused = client.post("/sync/consumers", body.clone()).await;
        assert_eq!(refused.status, 422, "{body}: {}", refused.text);
        assert_eq!(refused.json["errors"][0]["pointer"], pointer, "{body}");
    }
    client.contact("a@example.org").await.expect(201);
    until("NATS is connected", async || client.get("/sync/consumers").await.status == 200).await;
    let headers = [("idempotency-key", "one"), ("content-type", "application/json")];
    let body = json!({"name": "erp", "from": "start"}).to_string();
    let send = async || client.send(hyper::Method::POST, "/sync/consumers", &headers, &body).await;
    let (made, again) = (send().await, send().await);
    assert_eq!((made.status, again.status), (201, 201), "{}", again.text);
    assert_eq!((made.text, again.header("idempotent-replayed")), (again.text.clone(), "true"));
    let twice = client.post("/sync/consumers", json!({"name": "erp"})).await;
    assert_eq!((twice.status, &twice.json["errors"][0]["pointer"]), (422, &json!("#/name")));
    let cursor = client.get("/changes").await.json["meta"]["cursor"].as_str().unwrap().to_owned();
    for number in 1..16 {
        let body = json!({"name": format!("n{number}"), "entity": "company", "from": cursor});
        assert_eq!(client.post("/sync/consumers", body).await.expect(201)["after_seq"], 1);
    }
    assert_eq!(client.post("/sync/consumers", json!({"name": "one-more"})).await.status, 422);
    let other = service.other_client().await;
    assert_eq!(other.get("/sync/consumers").await.expect(200), &json!([]));
    for path in ["/sync/consumers/erp", "/sync/consumers/%2A", "/sync/consumers/A"] {
        assert_eq!(other.get(path).await.status, 404, "{path}");
        assert_eq!(other.delete(path).await.status, 404, "{path}");
    }
    // A cursor of an epoch that the log never had.
    let resync = other.post("/sync/consumers", json!({"name": "x", "from": "AAAACQAAAAAAAAAA"})).await;
    assert_eq!(resync.status, 410, "{}", resync.text);
    client.delete("/sync/consumers/erp").await.expect(200);
    assert_eq!(client.get("/sync/consumers/erp").await.status, 404);
    let made = client.post("/sync/consumers", json!({"name": "erp"})).await;
    assert_eq!(made.expect(201)["after_seq"], 1, "by default it begins now");
    let audit = service.env.sql().await;
    let rows = audit
        .query("select action from audit where account_id = $1 and action like 'consumer.%'", &[&client.account.0])
        .await
        .unwrap();
    assert_eq!(rows.len(), 18, "16 + 1 created and 1 deleted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_whose_start_the_stream_does_not_retain_says_so() {
    let service = Service::start().await;
    let client = &service.client;
    for number in 0..4 {
        client.contact(&format!("p{number}@example.org")).await.expect(201);
    }
    let jetstream = async_nats::jetstream::new(service.env.nats().await);
    let mut stream = None;
    until("all events are on the stream", async || {
        stream = jetstream.get_stream(&service.env.stream).await.ok();
        stream.as_ref().is_some_and(|stream| stream.cached_info().state.messages == 4)
    })
    .await;
    let made = client.post("/sync/consumers", json!({"name": "all", "from": "start"})).await;
    assert_eq!(made.expect(201)["missing"], Value::Null);
    // As the retention does it: the oldest messages go.
    stream.unwrap().purge().sequence(3).await.unwrap();
    let made = client.post("/sync/consumers", json!({"name": "old", "from": "start"})).await;
    assert_eq!(made.expect(201)["missing"], json!({"after_seq": 0, "through_seq": 2}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_nats_consumers_are_503_and_the_gateway_says_that_it_is_off() {
    let service = Service::configured(|config| config.nats.url = "nats://127.0.0.1:9".to_owned()).await;
    for reply in [
        service.client.get("/sync/consumers").await,
        service.client.get("/sync/consumers/erp").await,
        service.client.post("/sync/consumers", json!({"name": "erp"})).await,
        service.client.delete("/sync/consumers/erp").await,
    ] {
        assert_eq!(reply.status, 503, "{}", reply.text);
    }
    let ops = Client::new(&format!("http://{}", service.app.metrics_address()), service.client.account, "");
    let ready = ops.get("/readyz").await;
    let expected = "ready, without NATS\nNATS gateway off because nats.issuer_seed is not set\n";
    assert_eq!((ready.status, ready.text.as_str()), (200, expected));
    assert!(service.gauge("unificus_nats_gateway_on").await.abs() < f64::EPSILON);
    assert_eq!(base(&service.app), &*service.client.base);
}
