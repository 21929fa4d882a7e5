//! Writes whose records have several events each: contacts that are made and then changed.

use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::accounts::Account;
use crate::connection::Connection;
use crate::contact::Target;
use crate::receipts;

const PATIENCE: Duration = Duration::from_secs(10);
/// After an answer that refused, or none.
const PAUSE: Duration = Duration::from_millis(100);
/// Changes of a contact after it was made.
const CHANGES: usize = 4;

/// One account's writes, one after the other; those that fail are counted and not repeated.
pub(crate) struct Writer {
    /// The replicas; after a failure it goes on at the next.
    targets: Vec<Target>,
    account: Account,
    name: String,
    at: usize,
    connection: Option<Connection>,
    /// Events that were answered.
    pub(crate) answered: u64,
    /// Writes without a good answer: what became of them is unknown.
    pub(crate) unanswered: u64,
}

impl Writer {
    /// `name` sets its emails apart from other writers'.
    pub(crate) fn new(targets: Vec<Target>, account: Account, name: String) -> Self {
        Self { targets, account, name, at: 0, connection: None, answered: 0, unanswered: 0 }
    }

    /// Writes so many events per second until then.
    pub(crate) async fn run(mut self, rate: f64, until: Instant) -> Self {
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
            // After an outage it goes on at its pace, and does not catch up.
            due = due.max(Instant::now());
            if due >= until {
                break;
            }
        }
        self
    }

    /// The record's uid, where it was written.
    async fn write(&mut self, method: &str, path: &str, body: &str) -> Option<String> {
        let target = self.targets.get(self.at % self.targets.len())?.clone();
        let request = target.request(method, path, &self.account, body);
        let exchanged = timeout(PATIENCE, async {
            let mut connection = match self.connection.take() {
                Some(connection) => connection,
                None => Connection::open(target.address).await?,
            };
            let answer = connection.exchange(&request).await?;
            let good = matches!(answer.status, 200 | 201);
            let uid = good.then(|| receipts::uid(answer.body).map(str::to_owned));
            let keep = !answer.closes;
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
