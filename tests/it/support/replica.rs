//! One replica as its own process: `unificus serve` in the environment of a test.

use std::process::Stdio;

use nix::sys::signal::Signal;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use unificus::domain::AccountId;

use super::process::kill;
use super::servers::{MASTER, TestEnv};
use super::{Client, LONG};

/// A running replica, killed when it is dropped.
pub(crate) struct Replica {
    child: Child,
    address: String,
    metrics: String,
}

impl Replica {
    /// Starts it and waits until it serves. Webhooks may go to loopback, and calls have no limit.
    pub(crate) async fn start(env: &TestEnv, more: &[(&str, &str)]) -> Self {
        let masters = format!("{:?}", [String::from(MASTER)]);
        let settings = [
            ("UNIFICUS_QUOTA__ENFORCED", "false"),
            ("UNIFICUS_SECRETS__MASTER_KEYS", &masters),
            ("UNIFICUS_PUSH__ALLOW_HTTP", "true"),
            ("UNIFICUS_PUSH__ALLOW_NETWORKS", "[\"127.0.0.0/8\"]"),
        ];
        let mut child = Command::new(env!("CARGO_BIN_EXE_unificus"))
            .arg("serve")
            .envs(env.settings().into_iter().chain(settings).chain(more.iter().copied()))
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let serving = async {
            loop {
                let line = log.next_line().await.unwrap().expect("the replica ended before it served");
                let entry: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("the replica ended: {line}"));
                if entry["fields"]["message"] == "serving" {
                    return ["address", "metrics_address"]
                        .map(|name| entry["fields"][name].as_str().unwrap().to_owned());
                }
            }
        };
        let [address, metrics] = tokio::time::timeout(LONG, serving).await.expect("the replica does not start");
        // Its output is read, because a full pipe would block it.
        tokio::spawn(async move { while let Ok(Some(_)) = log.next_line().await {} });
        Self { child, address, metrics }
    }

    pub(crate) fn address(&self) -> std::net::SocketAddr {
        self.address.parse().unwrap()
    }

    /// The address of `/metrics`.
    pub(crate) fn metrics_address(&self) -> &str {
        &self.metrics
    }

    /// A line of the kernel's memory figures, such as `RssAnon`, in bytes.
    pub(crate) fn memory(&self, line: &str) -> u64 {
        let pid = self.child.id().expect("the replica runs");
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let value = status.lines().find_map(|text| text.strip_prefix(line)?.strip_prefix(':')).unwrap();
        value.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1_024
    }

    pub(crate) fn client(&self, account: AccountId, secret: &str) -> Client {
        Client::new(&format!("http://{}/secure-api", self.address), account, secret)
    }

    /// The text of its `/metrics`.
    pub(crate) async fn metrics(&self) -> String {
        let nobody = AccountId(uuid::Uuid::nil());
        Client::new(&format!("http://{}", self.metrics), nobody, "").get("/metrics").await.text
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.child.id().expect("the replica runs"), signal);
    }

    /// Stops it by SIGTERM, and checks that it exits with 0.
    pub(crate) async fn stop(&mut self) {
        self.signal(Signal::SIGTERM);
        let ended = tokio::time::timeout(LONG, self.child.wait()).await.expect("the replica does not end");
        assert_eq!(ended.unwrap().code(), Some(0));
    }

    /// Sends `kill -9`, and waits for its end.
    pub(crate) async fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
        tokio::time::timeout(LONG, self.child.wait()).await.expect("the replica does not end").unwrap();
    }
}
