//! Writes several events per record: contacts that are created and then changed.

use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::accounts::Account;
use crate::connection::Connection;
use crate::contact::Target;
use crate::receipts;

const TIMEOUT: Duration = Duration::from_secs(10);
/// The delay after a refusal or a missing response.
const PAUSE: Duration = Duration::from_millis(100);
/// The number of changes of a contact after its creation.
const CHANGES: usize = 4;

/// Writes to one account, one after the other; failed writes are counted and not repeated.
pub(crate) struct Writer {
    /// The replicas; after a failure it continues with the next one.
    targets: Vec<Target>,
    account: Account,
    name: String,
    at: usize,
    connection: Option<Connection>,
    /// Events whose write was answered.
    pub(crate) answered: u64,
    /// Writes without a success response: their outcome is unknown.
    pub(crate) unanswered: u64,
}

impl Writer {
    /// `name` distinguishes its emails from other writers'.
    pub(crate) fn new(targets: Vec<Target>, account: Account, name: String) -> Self {
        Self { targets, account, name, at: 0, connection: None, answered: 0, unanswered: 0 }
    }

    /// Writes this many events per second until `end`.
    pub(crate) async fn run(mut self, rate: f64, end: Instant) -> Self {
        let (mut due, step) = (Instant::now(), Duration::from_secs_f64(1.0 / rate));
        for number in 0_u64.. {
            let email = format!("{}.{number}@load.example", self.name);
            let body = format!(r#"{{"role":"Lead","first_name":"Ann","last_name":"Lee","email":"{email}"}}"#);
            sleep_until(due).await;
            due += step;
            let made = self.write("POST", "/contact", &body).await;
            if let Some(uid) = made {
                for change in 0..CHANGES {
                    sleep_until(due).await;
                    due += step;
                    self.write("PUT", &format!("/contact/{uid}"), &format!(r#"{{"title":"change {change}"}}"#)).await;
                }
            }
            // After an outage it continues at its rate, without catching up.
            due = due.max(Instant::now());
            if due >= end {
                break;
            }
        }
        self
    }

    /// The record's uid, if it was written.
    async fn write(&mut self, method: &str, path: &str, body: &str) -> Option<String> {
        let target = self.targets.get(self.at % self.targets.len())?.clone();
        let request = target.request(method, path, &self.account, body);
        let exchanged = timeout(TIMEOUT, async {
            let mut connection = match self.connection.take() {
                Some(connection) => connection,
                None => Connection::open(target.address).await?,
            };
            let response = connection.exchange(&request).await?;
            let good = matches!(response.status, 200 | 201);
            let uid = good.then(|| receipts::uid(response.body).map(str::to_owned));
            let keep = !response.closes;
            Ok::<_, std::io::Error>((uid, keep.then_some(connection)))
        });
        if let Ok(Ok((Some(uid), connection))) = exchanged.await {
            self.connection = connection;
            self.answered += 1;
            return uid;
        }
        self.unanswered += 1;
        self.at += 1;
        sleep(PAUSE).await;
        None
    }
}
