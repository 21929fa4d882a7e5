//! The real binary, stopped gracefully and killed.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use hyper::Method;
use nix::sys::signal::Signal;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use unificus::domain::AccountId;
use uuid::Uuid;

use crate::console::support::Web;
use crate::support::client::lead;
use crate::support::process::{Environment, Process, kill};
use crate::support::program::{Dir, failure_text, lines, serve, stop, unificus};
use crate::support::servers::{Servers, TestEnv};
use crate::support::{Client, LONG, Receiver, Service, stream};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_under_load_stops_it_gracefully_and_no_answered_write_is_lost() {
    let dir = Dir::new("sigterm");
    let (mut process, environment) = Process::start(dir.path()).await;
    let load = Load::start(16, &environment.client);
    load.makes(300).await;

    process.signal(Signal::SIGTERM);
    let ended = process.ended().await;
    let made = load.stop_at_refused_connection().await;

    assert_eq!(ended.code(), Some(0));
    let (process, environment) = Process::start(dir.path()).await;
    check_log(&environment, &made).await;
    stop(process).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_in_turn_under_load_nats_postgres_and_service_lose_nothing() {
    let (dir, receiver) = (Dir::new("killed-in-turn"), Receiver::start().await);
    let (mut process, environment) = Process::start(dir.path()).await;
    let endpoint = json!({"url": receiver.url(), "from": "start"});
    environment.client.post("/push/endpoints", endpoint).await.expect(201);
    let load = Load::start(8, &environment.client);
    load.makes(100).await;

    let nats = child(process.pid(), "nats-server").unwrap();
    kill(nats, Signal::SIGKILL);
    until("another NATS", || child(process.pid(), "nats-server").is_some_and(|pid| pid != nats)).await;
    load.makes(100).await;

    kill(postmaster(dir.path()), Signal::SIGKILL);
    load.makes(100).await;

    process.signal(Signal::SIGKILL);
    process.ended().await;
    let (process, environment) = Process::start(dir.path()).await;
    load.set_service(&environment.client);
    load.makes(100).await;
    let made = load.ends().await;

    let ids = check_log(&environment, &made).await;
    let mut arrived = receiver.received().len();
    while ids.iter().any(|id| !receiver.counts().contains_key(id)) {
        arrived = receiver.wait_for(arrived + 1, LONG).await.len();
    }
    assert_eq!(receiver.counts().len(), ids.len(), "and nothing that is not in the log");
    stop(process).await;
}

#[tokio::test]
async fn a_killed_service_comes_back_with_its_account_and_records() {
    let dir = Dir::new("comes-back");
    let file = dir.path().join("service.env");
    let (mut process, before) = Process::start(dir.path()).await;
    let uid = before.client.contact("kept@example.org").await.uid();
    let log = before.client.changes().await;
    process.signal(Signal::SIGKILL);
    process.ended().await;

    let (process, after) = Process::start(dir.path()).await;
    assert_eq!((after.client.account, &after.client.secret), (before.client.account, &before.client.secret));
    assert_eq!((&after.database, &after.nats), (&before.database, &before.nats), "its servers stay where they were");
    assert_eq!(after.client.changes().await, log);
    after.client.get(&format!("/contact/{uid}")).await.expect(200);
    stop(process).await;
    assert!(!file.exists(), "it would name a stopped service");
}

#[tokio::test]
async fn the_environment_file_is_private_and_names_what_a_script_needs() {
    let dir = Dir::new("environment");
    let (process, environment) = Process::start(dir.path()).await;
    let file = dir.path().join("service.env");

    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let text = std::fs::read_to_string(&file).unwrap();
    let lines: Vec<(&str, &str)> = text.lines().map(|line| line.split_once('=').unwrap()).collect();
    let names = [
        "BASE_URL",
        "PUBLIC_ID",
        "SECRET_KEY",
        "CONSOLE_URL",
        "CONSOLE_EMAIL",
        "CONSOLE_PASSWORD",
        "METRICS_URL",
        "NATS_URL",
        "NATS_CLIENT_URL",
        "DATABASE_URL",
    ];
    assert_eq!(lines.iter().map(|(name, _)| *name).collect::<Vec<_>>(), names.map(|name| format!("UNIFICUS_{name}")));
    let of = |wanted: &str| lines.iter().find(|(name, _)| *name == wanted).unwrap().1;
    let web = Web::at(of("UNIFICUS_BASE_URL").trim_end_matches("/secure-api"));
    web.get("/console/sign-in").await.expect(200);
    let login = [("email", of("UNIFICUS_CONSOLE_EMAIL")), ("password", of("UNIFICUS_CONSOLE_PASSWORD"))];
    web.post("/console/sign-in", &login).await.expect(303);
    web.get("/console/team").await.expect(200);
    assert!(of("UNIFICUS_CONSOLE_URL").starts_with("http://localhost:"));
    for (name, value) in &lines {
        let plain = |character: char| character.is_ascii_alphanumeric() || "-_:/.@".contains(character);
        assert!(!value.is_empty() && value.chars().all(plain), "{name} needs no quotes in a shell: {value}");
    }
    assert!(environment.client.base.ends_with("/secure-api"));
    let printed = std::fs::read_to_string(dir.path().join("service.out")).unwrap();
    let logged = std::fs::read_to_string(dir.path().join("service.log")).unwrap();
    for url in [&environment.database, &environment.nats] {
        let (user, password) = url.split_once("://").unwrap().1.split_once('@').unwrap().0.split_once(':').unwrap();
        assert!(!printed.contains(password) && !logged.contains(password), "it is in the file alone");
        assert!(printed.contains(&format!("{user}:***@")), "{printed}");
    }
    assert!(printed.contains(file.to_str().unwrap()), "{printed}");
    let metrics = Client::new(&environment.metrics, environment.client.account, "").get("").await;
    assert!(metrics.text.contains("unificus_shards_owned 64"), "{}", metrics.text);
    assert_eq!(environment.client.get("/contacts").await.json["meta"]["pagination"]["totalItems"], 48);
    stop(process).await;
}

#[tokio::test]
async fn accounts_and_keys_are_made_from_the_command_line() {
    let service = Service::start().await;
    let settings = [("UNIFICUS_DATABASE__URL", service.env.database.as_str())];
    let run = async |arguments: &str| lines(&unificus(arguments, &settings).await);

    let made = run("account create Acme --tier free-trial --json").await.remove(0);
    assert_eq!((&made["name"], &made["tier"]), (&json!("Acme"), &json!("free-trial")));
    let id = made["public_id"].as_str().unwrap();
    let added = run(&format!("key add {id} partner --json")).await.remove(0);
    assert_eq!((&added["public_id"], &added["name"]), (&made["public_id"], &json!("partner")));
    let moved = run(&format!("account tier {id} thrive --json")).await;
    assert_eq!(moved, [json!({"public_id": id, "tier": "thrive"})]);
    let many = run("account create Many --count 2 --json").await;
    assert_eq!(many.iter().map(|made| &made["name"]).collect::<Vec<_>>(), [&json!("Many 1"), &json!("Many 2")]);

    let account = AccountId(Uuid::try_parse(id).unwrap());
    for (secret, origin) in [(&made["secret_key"], "default"), (&added["secret_key"], "partner")] {
        let client = service.client.as_caller(account, secret.as_str().unwrap());
        client.contact(&format!("{origin}@example.org")).await.expect(201);
        assert_eq!(client.changes().await.last().unwrap()["origin"], origin);
    }
    let listed = run("account list --json").await;
    let acme = listed.iter().find(|listed| listed["public_id"] == id).unwrap();
    assert_eq!((&acme["name"], &acme["tier"], &acme["events"]), (&json!("Acme"), &json!("thrive"), &json!(2)));
    assert_eq!(listed.len(), 4);

    let unknown = format!("account tier {} thrive --json", Uuid::nil());
    assert!(failure_text(&unificus(&unknown, &settings).await).contains("there is no account"));
}

#[tokio::test]
async fn a_database_is_served_once_it_is_migrated() {
    let empty = Servers::get().env().await.create_empty("empty").await;
    let settings = [("UNIFICUS_DATABASE__URL", empty.database.as_str()), ("UNIFICUS_NATS__URL", &empty.nats)];

    let refused = failure_text(&unificus("serve", &settings).await);
    assert!(refused.contains("lacks migrations") && refused.contains("unificus migrate"), "{refused}");

    let known = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations")).unwrap().count();
    assert_eq!(lines(&unificus("migrate --json", &settings).await), [json!({"applied": known})]);
    assert_eq!(lines(&unificus("migrate --json", &settings).await), [json!({"applied": 0})]);
    check_serving(&empty).await;
}

#[tokio::test]
async fn a_setting_that_cannot_be_used_is_named_before_a_port_is_bound() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let env = Servers::get().env().await;
    let base = [
        ("UNIFICUS_HTTP__LISTEN", taken.as_str()),
        ("UNIFICUS_DATABASE__URL", &env.database),
        ("UNIFICUS_NATS__URL", &env.nats),
    ];
    for (name, value, named) in [
        ("UNIFICUS_COMMANDS__LANES", "65", "commands.lanes"),
        ("UNIFICUS_HTTP__LISSTEN", "127.0.0.1:1", "UNIFICUS_HTTP__LISSTEN"),
        ("UNIFICUS_DATABASE__POOL", "many", "UNIFICUS_DATABASE__POOL"),
        ("UNIFICUS_METRICS__LISTEN", "nowhere", "listen"),
        // Every other setting is valid.
        ("UNIFICUS_METRICS__LISTEN", "127.0.0.1:0", "cannot listen on http.listen"),
    ] {
        let settings = [base.as_slice(), &[(name, value)]].concat();
        let error_text = failure_text(&unificus("serve", &settings).await);
        assert!(error_text.contains(named), "{name}={value}: {error_text}");
        assert_eq!(
            error_text.contains("cannot listen"),
            named.contains("cannot listen"),
            "{name}={value}: {error_text}"
        );
    }
}

/// Writers that create contacts one after the other, and retry each under its idempotency key until it is created.
struct Load {
    service: watch::Sender<Client>,
    /// The uids of the contacts that were answered 201.
    made: watch::Sender<Vec<String>>,
    writers: JoinSet<()>,
    enough: CancellationToken,
    gone: CancellationToken,
}

/// The shared state of the writers.
#[derive(Clone)]
struct Writer {
    service: watch::Receiver<Client>,
    made: watch::Sender<Vec<String>>,
    /// Once cancelled, a writer begins no other contact.
    enough: CancellationToken,
    /// Once cancelled, a writer stops at a refused connection instead of retrying.
    gone: CancellationToken,
}

impl Load {
    fn start(writers: usize, client: &Client) -> Self {
        let (service, made) = (watch::Sender::new(client.clone()), watch::Sender::default());
        let (enough, gone) = (CancellationToken::new(), CancellationToken::new());
        let writer =
            Writer { service: service.subscribe(), made: made.clone(), enough: enough.clone(), gone: gone.clone() };
        let writers = (0..writers).map(|number| writer.clone().run(number)).collect();
        Self { service, made, writers, enough, gone }
    }

    /// Waits until this many more contacts are created.
    async fn makes(&self, more: usize) {
        let mut made = self.made.subscribe();
        let enough = made.borrow().len() + more;
        let reached = tokio::time::timeout(LONG, made.wait_for(|made| made.len() >= enough)).await.map(drop);
        assert!(reached.is_ok(), "{} instead of {enough} contacts are created", self.made.borrow().len());
    }

    /// Sets the address at which the service listens now.
    fn set_service(&self, client: &Client) {
        self.service.send_replace(client.clone());
    }

    /// Lets each writer finish its current contact. Returns the created contacts.
    async fn ends(self) -> Vec<String> {
        self.enough.cancel();
        self.joined().await
    }

    /// Lets each writer go on until its connection is refused. Returns the created contacts.
    async fn stop_at_refused_connection(self) -> Vec<String> {
        self.gone.cancel();
        self.joined().await
    }

    async fn joined(self) -> Vec<String> {
        let joined = tokio::time::timeout(LONG, self.writers.join_all()).await;
        assert!(joined.is_ok(), "a writer does not end");
        self.made.borrow().clone()
    }
}

impl Writer {
    async fn run(self, number: usize) {
        for contact in 0.. {
            if self.enough.is_cancelled() {
                return;
            }
            let Some(uid) = self.make(&format!("w{number}-{contact}@example.org")).await else { return };
            self.made.send_modify(|made| made.push(uid));
        }
    }

    /// Returns the new contact's uid; none when nobody listens any more.
    async fn make(&self, email: &str) -> Option<String> {
        let mut pause = tokio::time::interval(Duration::from_millis(10));
        loop {
            pause.tick().await;
            let client = self.service.borrow().clone();
            let key = [("idempotency-key", email)];
            match client.try_send(Method::POST, "/contact", &key, &lead(email).to_string()).await {
                Ok(response) if response.status == 503 => {}
                Ok(response) => {
                    response.expect(201);
                    return Some(response.uid());
                }
                Err(error) if error.contains("ConnectionRefused") && self.gone.is_cancelled() => return None,
                Err(_) => {}
            }
        }
    }
}

/// Checks that every created contact is in the log once, that the log has no gap, and that JetStream has all of it in
/// order. Returns the ids of its events.
async fn check_log(environment: &Environment, made: &[String]) -> Vec<String> {
    let events = environment.client.changes().await;
    let seqs: Vec<i64> = events.iter().map(|event| event["data"]["seq"].as_i64().unwrap()).collect();
    assert_eq!(seqs, (1..).take(seqs.len()).collect::<Vec<i64>>());

    let created = events.iter().filter(|event| event["type"] == "crm.contact.created");
    let mut created: Vec<&str> = created.map(|event| event["subject"].as_str().unwrap()).collect();
    created.sort_unstable();
    assert!(created.is_sorted_by(|one, other| one < other), "a contact is in the log twice");
    let lost: Vec<&String> = made.iter().filter(|uid| created.binary_search(&uid.as_str()).is_err()).collect();
    assert!(lost.is_empty(), "{} of {} contacts are lost: {lost:?}", lost.len(), made.len());

    let env = TestEnv {
        least: environment.database.clone(),
        database: environment.database.clone(),
        superuser: String::new(),
        nats: environment.nats.clone(),
        stream: "EVENTS".to_owned(),
        subject_root: "crm.v1".to_owned(),
    };
    let account = environment.client.account;
    let ids = stream::ids(&env, account, seqs.len()).await;
    assert_eq!(ids, stream::unbroken(account, seqs.len()));
    ids
}

/// The child process that runs this program.
fn child(parent: u32, program: &str) -> Option<u32> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).find(|pid| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let is = |name: &str, value: &str| {
            status.lines().any(|line| line.strip_prefix(name).is_some_and(|rest| rest.trim() == value))
        };
        is("Name:", program) && is("PPid:", &parent.to_string())
    })
}

/// The process that runs the cluster of a data directory.
fn postmaster(directory: &Path) -> u32 {
    let file = directory.join("data/postgres/postmaster.pid");
    std::fs::read_to_string(file).unwrap().lines().next().unwrap().parse().unwrap()
}

async fn until(label: &str, mut holds: impl FnMut() -> bool) {
    let mut pause = tokio::time::interval(Duration::from_millis(5));
    let waited = async {
        while !holds() {
            pause.tick().await;
        }
    };
    assert!(tokio::time::timeout(LONG, waited).await.is_ok(), "{label}: not within the timeout");
}

/// Checks that `unificus serve` starts here, authenticates callers, and exits with 0 on SIGTERM.
async fn check_serving(env: &TestEnv) {
    let (mut child, base) = serve(env, &[]).await;
    let nobody = Client::new(&base, AccountId(Uuid::nil()), "");
    nobody.get("/contacts").await.expect(401);

    kill(child.id().unwrap(), Signal::SIGTERM);
    let ended = tokio::time::timeout(LONG, child.wait()).await.expect("the program does not end").unwrap();
    assert_eq!(ended.code(), Some(0));
}
