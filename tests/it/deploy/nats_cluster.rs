//! Three NATS servers with the configuration of `deploy/nats`, and a replica of the service on them.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Stdio;

use async_nats::ConnectOptions;
use async_nats::jetstream::consumer::pull;
use async_nats::jetstream::{self, stream};
use futures_util::StreamExt as _;
use tokio::process::{Child, Command};
use unificus::domain::AccountId;
use uuid::Uuid;

use super::partner::consumer_from_the_start;
use super::{repository, run, succeeded};
use crate::support::program::{Dir, lines, unificus};
use crate::support::servers::{Servers, binaries};
use crate::support::service::account;
use crate::support::{Client, LONG, Replica, Service, until};

const SERVERS: usize = 3;
const SERVICE_PASSWORD: &str = "pservice123";
const SYSTEM_PASSWORD: &str = "psystem123";

/// The names of variables in a configuration of NATS: `$NATS_` and what follows.
fn nats_variables(configuration: &str) -> BTreeSet<&str> {
    let is_part = |character: char| character.is_ascii_uppercase() || character.is_ascii_digit() || character == '_';
    let words = configuration.split(|character: char| !is_part(character) && character != '$');
    words.filter_map(|word| word.strip_prefix('$')).filter(|name| name.starts_with("NATS_")).collect()
}

struct Cluster {
    dir: Dir,
    /// For each server the ports of clients, of its monitor and of the other servers.
    ports: Vec<[u16; 3]>,
    issuer: (String, String),
    servers: Vec<Option<Child>>,
}

/// Ports that nobody listens on. They are below those that the system gives to outgoing connections (on Linux from 32,768),
/// so that a server which was killed gets its own again.
fn free_ports() -> Vec<[u16; 3]> {
    let listener = || loop {
        if let Ok(listener) = TcpListener::bind(("127.0.0.1", rand::random_range(20_000..32_000))) {
            return listener;
        }
    };
    // All at once, because a port that is given back may be given out again.
    let listeners: Vec<_> = (0..SERVERS).map(|_| [listener(), listener(), listener()]).collect();
    listeners.iter().map(|three| three.each_ref().map(|listener| listener.local_addr().unwrap().port())).collect()
}

impl Cluster {
    async fn start(name: &str) -> Self {
        let dir = Dir::new(name);
        let names = ["nats-1,127.0.0.1", "nats-2,127.0.0.1", "nats-3,127.0.0.1"];
        let mut certificates = Command::new(repository("deploy/nats/certificates.sh"));
        succeeded(&run(certificates.arg(dir.path().join("tls")).args(names)).await);
        let drawn = lines(&unificus("nats-issuer --json", &[]).await).remove(0);
        let issuer = ["seed", "public_key"].map(|key| drawn[key].as_str().unwrap().to_owned());
        let mut cluster = Self { dir, ports: free_ports(), issuer: issuer.into(), servers: Vec::new() };
        for number in 0..SERVERS {
            let server = cluster.spawn(number);
            cluster.servers.push(Some(server));
        }
        cluster.until_healthy().await;
        cluster
    }

    fn tls(&self, file: &str) -> PathBuf {
        self.dir.path().join("tls").join(file)
    }

    /// Starts a server with every variable that `deploy/nats/nats.conf` names.
    fn spawn(&self, number: usize) -> Child {
        let configuration = std::fs::read_to_string(repository("deploy/nats/nats.conf")).unwrap();
        let names = nats_variables(&configuration);
        let name = format!("nats-{}", number + 1);
        let [clients, monitor, routes] = self.ports[number];
        let of = |variable: &str| match variable {
            "NATS_NAME" => name.clone(),
            "NATS_LISTEN" => format!("127.0.0.1:{clients}"),
            "NATS_MONITOR" => format!("127.0.0.1:{monitor}"),
            "NATS_CLUSTER_LISTEN" => format!("127.0.0.1:{routes}"),
            "NATS_STORE" => self.dir.path().join(&name).display().to_string(),
            "NATS_MAX_FILE_STORE" => "1GB".to_owned(),
            "NATS_CERT" => self.tls(&format!("{name}.crt")).display().to_string(),
            "NATS_KEY" => self.tls(&format!("{name}.key")).display().to_string(),
            "NATS_CA" => self.tls("ca.crt").display().to_string(),
            "NATS_SERVICE_PASSWORD" => SERVICE_PASSWORD.to_owned(),
            "NATS_SYSTEM_PASSWORD" => SYSTEM_PASSWORD.to_owned(),
            "NATS_ISSUER" => self.issuer.1.clone(),
            route => {
                let other: usize = route.strip_prefix("NATS_ROUTE_").unwrap().parse().unwrap();
                format!("nats://127.0.0.1:{}", self.ports[other - 1][2])
            }
        };
        let variables = names.iter().map(|variable| (variable, of(variable)));
        let log = self.dir.path().join(format!("{name}.log"));
        let log = std::fs::File::options().create(true).append(true).open(log).unwrap();
        let mut command = Command::new(binaries().nats);
        command.arg("-c").arg(repository("deploy/nats/nats.conf")).envs(variables).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap()
    }

    async fn kill(&mut self, number: usize) {
        let mut server = self.servers[number].take().unwrap();
        server.kill().await.unwrap();
    }

    /// Waits until every running server has caught up with its streams, by the page that probes ask for.
    async fn until_healthy(&self) {
        for (ports, server) in self.ports.iter().zip(&self.servers) {
            if server.is_some() {
                let monitor = Client::new(&format!("http://127.0.0.1:{}", ports[1]), AccountId(Uuid::nil()), "");
                until("the server is healthy", async || {
                    let health = monitor.try_send(hyper::Method::GET, "/healthz", &[], "").await;
                    health.is_ok_and(|health| health.status == 200)
                })
                .await;
            }
        }
    }

    /// The URLs for the service's configuration.
    fn urls(&self, user: &str, password: &str) -> String {
        let url = |ports: &[u16; 3]| format!("tls://{user}:{password}@127.0.0.1:{}", ports[0]);
        self.ports.iter().map(url).collect::<Vec<_>>().join(",")
    }

    /// A connection as a program outside has it.
    async fn connect(&self, options: ConnectOptions, number: usize) -> Result<async_nats::Client, String> {
        let options = options.add_root_certificates(self.tls("ca.crt"));
        let client = options.connect(format!("nats://127.0.0.1:{}", self.ports[number][0])).await;
        client.map_err(|error| error.to_string())
    }

    /// A connection of a client with its key. A server asks again where the service's subscription has not reached it yet.
    async fn log_in(&self, token: &str, number: usize) -> async_nats::Client {
        let (id, _) = token.split_once(':').unwrap();
        let search = async {
            loop {
                let options = ConnectOptions::with_token(token.to_owned()).custom_inbox_prefix(format!("_INBOX_{id}"));
                if let Ok(client) = self.connect(options.ignore_discovered_servers(), number).await {
                    return client;
                }
            }
        };
        tokio::time::timeout(LONG, search).await.expect("the client is let in")
    }

    async fn service_client(&self, number: usize) -> async_nats::Client {
        let options = ConnectOptions::with_user_and_password("unificus".into(), SERVICE_PASSWORD.into());
        self.connect(options, number).await.unwrap()
    }
}

/// The stream as a server shows it, once it has a leader.
async fn stream_info(client: &async_nats::Client) -> stream::Info {
    let context = jetstream::new(client.clone());
    let search = async {
        loop {
            if let Ok(stream) = context.get_stream("EVENTS").await {
                return stream.cached_info().clone();
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, search).await.expect("the stream is there")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_of_three_keeps_every_event_three_times_and_goes_on_without_one_server() {
    let mut cluster = Cluster::start("nats-cluster").await;
    let mut env = Servers::get().env().await;
    (env.stream, env.subject_root) = ("EVENTS".to_owned(), "crm.v1".to_owned());
    env.nats = cluster.urls("unificus", SERVICE_PASSWORD);
    let (system_url, ca_file) = (cluster.urls("unificus-system", SYSTEM_PASSWORD), cluster.tls("ca.crt"));
    let settings = [
        ("UNIFICUS_NATS__CA_FILE", ca_file.to_str().unwrap()),
        ("UNIFICUS_NATS__REPLICAS", "3"),
        ("UNIFICUS_NATS__ISSUER_SEED", &cluster.issuer.0),
        ("UNIFICUS_NATS__SYSTEM_URL", &system_url),
    ];
    let replica = Replica::start(&env, &settings).await;
    let (id, secret) = account(&Service::store_of(&env)).await;
    let api = replica.client(id, &secret);
    until("the gateway is on", async || {
        let metrics = replica.metrics().await;
        ["unificus_nats_gateway_on 1", "unificus_nats_clients_followed 1"].iter().all(|line| metrics.contains(line))
    })
    .await;

    // A client logs in with its key at each server, and reads its own events.
    let token = format!("{id}:{secret}");
    let durable = consumer_from_the_start(&api, "erp").await;
    api.contact("ann@example.org").await.expect(201);
    for number in 0..SERVERS {
        cluster.log_in(&token, number).await;
    }
    until("the consumer is on the stream", async || {
        api.get("/sync/consumers/erp").await.expect(200)["state"] == "ready"
    })
    .await;
    let outside = jetstream::new(cluster.log_in(&token, 2).await);
    let event = first_message(&outside, &durable).await;
    assert_eq!(event.headers.as_ref().unwrap().get("Nats-Msg-Id").unwrap().as_str(), format!("{id}:1"));
    event.ack().await.unwrap();

    let refused = cluster.connect(ConnectOptions::new(), 0).await.map(drop).expect_err("without a login");
    assert!(refused.contains("authorization"), "{refused}");
    let without_tls = tokio::net::TcpStream::connect(("127.0.0.1", cluster.ports[0][0])).await.unwrap();
    assert!(first_line(without_tls).await.contains("\"tls_required\":true"));

    let info = stream_info(&cluster.service_client(2).await).await;
    assert_eq!((info.config.num_replicas, info.cluster.as_ref().unwrap().replicas.len()), (3, 2));
    let leader = info.cluster.unwrap().leader.unwrap();
    let lost: usize = leader.strip_prefix("nats-").unwrap().parse::<usize>().unwrap() - 1;
    let left = (lost + 1) % SERVERS;
    let client = cluster.service_client(left).await;
    cluster.kill(lost).await;
    for number in 0..10 {
        api.contact(&format!("p{number}@example.org")).await.expect(201);
    }
    until("events are published by two servers", async || stream_info(&client).await.state.messages == 11).await;
    let server = cluster.spawn(lost);
    cluster.servers[lost] = Some(server);
    cluster.until_healthy().await;
    until("the server that was away catches up", async || {
        let followers = stream_info(&client).await.cluster.map(|cluster| cluster.replicas).unwrap_or_default();
        followers.len() == 2 && followers.iter().all(|follower| follower.current && !follower.offline)
    })
    .await;
    cluster.log_in(&token, lost).await;
}

/// The first message of a consumer. Right after the consumer was made, a server may not know yet which other one leads it.
async fn first_message(context: &jetstream::Context, durable: &str) -> jetstream::Message {
    let search = async {
        loop {
            let Ok(consumer) = context.get_consumer_from_stream::<pull::Config, _, _>(durable, "EVENTS").await else {
                continue;
            };
            if let Some(Ok(message)) = consumer.messages().await.unwrap().next().await {
                return message;
            }
        }
    };
    tokio::time::timeout(LONG, search).await.expect("the event arrives")
}

/// The line that a server sends before it was sent anything.
async fn first_line(stream: tokio::net::TcpStream) -> String {
    use tokio::io::{AsyncBufReadExt as _, BufReader};
    let mut line = String::new();
    let read = tokio::time::timeout(LONG, BufReader::new(stream).read_line(&mut line)).await;
    read.expect("the server says something").unwrap();
    line
}
