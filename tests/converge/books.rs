//! Two address books that two bridges keep equal to one account, while users edit both, and everything is killed.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::process::Command;

use crate::connector::Values;
use crate::connector::tests::{Random, Service as _};
use crate::fleet::{Account, Fleet};
use crate::radicale::{Folder, Radicale};
use crate::support::LONG;
use crate::support::program::Dir;
use crate::vcard::contact;

/// Rounds within which everything must be at rest.
const MAX_ROUNDS: usize = 30;

/// One end: an address book, perhaps with a folder behind it, and its bridge.
struct End {
    number: usize,
    directory: PathBuf,
    server: Radicale,
    folder: Option<Folder>,
    origin: usize,
}

/// The figures of a run.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    pub(crate) edits: u64,
    pub(crate) events: usize,
    pub(crate) kills: u64,
    pub(crate) rounds: usize,
    pub(crate) cards: usize,
}

/// Edits both ends at random, lets them come to rest, and compares them with the account. Panics where they differ.
pub(crate) async fn run(fleet: &Arc<Fleet>, edits: u64, seed: u64, has_folders: bool) -> Figures {
    let account = fleet.account(1).await;
    let scratch = Dir::new(if has_folders { "folders" } else { "books" });
    let mut ends = Vec::new();
    for number in 0..2 {
        ends.push(End::start(&account, scratch.path(), number, has_folders).await);
    }
    let mut random = Random::new(seed);
    let mut figures = Figures::default();
    while figures.edits < edits {
        for _ in 0..=random.below(8) {
            let end = random.below(2);
            ends[end].edit(&mut random, figures.edits).await;
            figures.edits += 1;
        }
        let end = random.below(2);
        if let Some(folder) = &ends[end].folder {
            folder.sync().await;
        }
        // A bridge that is killed at any point continues where it was.
        let limit = Duration::from_millis(u64::try_from(10 + random.below(600)).unwrap());
        figures.kills += u64::from(!ends[end].bridge(&account, Some(limit)).await);
        if random.chance(20) {
            ends[end].server.restart().await;
            figures.kills += 1;
        }
        if random.chance(15) {
            figures.kills += account.disturb(&mut random).await;
        }
    }
    figures.rounds = come_to_rest(&account, &ends).await;
    compare(&account, &ends, &mut figures).await;
    figures
}

/// Full rounds until one adds no event and changes no card, and one more.
async fn come_to_rest(account: &Account, ends: &[End]) -> usize {
    let state = async || -> (usize, Vec<_>) {
        (account.log().await.len(), ends.iter().map(|end| (end.server.cards(), end.shown())).collect())
    };
    let mut before = state().await;
    for round in 1..=MAX_ROUNDS {
        for end in ends {
            end.sync(account).await;
        }
        let after = state().await;
        if before == after {
            for end in ends {
                end.sync(account).await;
            }
            assert!(state().await == after, "one more round changed something");
            return round;
        }
        before = after;
    }
    panic!("no rest after {MAX_ROUNDS} rounds");
}

async fn compare(account: &Account, ends: &[End], figures: &mut Figures) {
    let mut live = Vec::new();
    let mut after = None;
    loop {
        let (page, next) = account.list(0, after).await;
        live.extend(page.records.iter().map(tracked));
        after = next;
        if page.is_last {
            break;
        }
    }
    live.sort_by_key(|values| json!(values).to_string());
    for end in ends {
        assert_eq!(end.shown(), live, "book {} differs from the account", end.number);
    }
    let log = account.log().await;
    figures.events = log.len();
    figures.cards = live.len();
    for (seq, event) in (1_u64..).zip(&log) {
        assert_eq!(event["data"]["seq"], seq, "the log has a gap");
    }
}

fn tracked(record: &Value) -> Values {
    contact::FIELDS.iter().map(|field| ((*field).to_owned(), record[*field].clone())).collect()
}

impl End {
    async fn start(account: &Account, scratch: &Path, number: usize, has_folder: bool) -> Self {
        let directory = scratch.join(number.to_string());
        let server = Radicale::start(&directory.join("radicale")).await;
        let folder = if has_folder { Some(Folder::new(&directory.join("vdir"), &server.url()).await) } else { None };
        let end = Self { number, directory, server, folder, origin: number };
        end.configure(account);
        end
    }

    /// A replica that was killed has another address now.
    fn configure(&self, account: &Account) {
        let client = account.client(self.origin);
        let quoted = |text: &str| json!(text).to_string();
        let config = format!(
            "state = {}\n[service]\nurl = {}\npublic_id = {}\nsecret_key = {}\norigin = \"partner-{}\"\n[book]\nurl = {}\n\
             user = \"ann\"\npassword = \"\"\n",
            quoted(&self.directory.join("state.json").display().to_string()),
            quoted(&client.base),
            quoted(&client.account.to_string()),
            quoted(&client.secret),
            self.origin,
            quoted(&self.server.url()),
        );
        std::fs::write(self.directory.join("bridge.toml"), config).unwrap();
    }

    /// Runs one round of the bridge. Returns false where it was killed at the limit, or failed because of another fault.
    async fn bridge(&self, account: &Account, limit: Option<Duration>) -> bool {
        self.configure(account);
        let log = std::fs::File::options().create(true).append(true).open(self.directory.join("bridge.log")).unwrap();
        let mut child = Command::new(crate::bridge())
            .arg("--config")
            .arg(self.directory.join("bridge.toml"))
            .arg("--once")
            .stdin(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        if let Ok(status) = tokio::time::timeout(limit.unwrap_or(LONG), child.wait()).await {
            return status.unwrap().success();
        }
        child.kill().await.unwrap();
        false
    }

    /// A full round without faults.
    async fn sync(&self, account: &Account) {
        if let Some(folder) = &self.folder {
            folder.sync().await;
        }
        let is_done = self.bridge(account, None).await;
        let log = || std::fs::read_to_string(self.directory.join("bridge.log")).unwrap_or_default();
        assert!(is_done, "the bridge failed: {}", log().lines().rev().take(8).collect::<Vec<_>>().join("\n"));
        if let Some(folder) = &self.folder {
            folder.sync().await;
        }
    }

    fn cards(&self) -> std::collections::BTreeMap<String, String> {
        self.folder.as_ref().map_or_else(|| self.server.cards(), Folder::cards)
    }

    /// The attributes of all cards, in an order that does not depend on file names.
    fn shown(&self) -> Vec<Values> {
        let mut shown: Vec<Values> = self.cards().values().map(|text| contact::read(text).unwrap()).collect();
        shown.sort_by_key(|values| json!(values).to_string());
        shown
    }

    /// A user creates, changes or deletes a card.
    async fn edit(&self, random: &mut Random, number: u64) {
        let cards = self.cards();
        let names: Vec<String> = cards.keys().cloned().collect();
        let Some(name) = random.pick(&names).filter(|_| !random.clone().chance(25)) else {
            return self.create(number).await;
        };
        if random.chance(12) {
            match &self.folder {
                Some(folder) => folder.delete(name),
                None => self.server.delete(name).await,
            }
            return;
        }
        let mut values = contact::read(&cards[name]).unwrap();
        let fields = ["first_name", "last_name", "title", "background_info", "home_email", "website", "name_prefix"];
        let field = *random.pick(&fields).unwrap();
        let value = match field {
            "home_email" => json!(format!("home{number}@example.org")),
            "website" => json!(format!("https://example.org/{number}")),
            "title" | "background_info" if random.chance(20) => Value::Null,
            _ => json!(format!("{field}, {number}; of \"{}\"", self.number)),
        };
        values.insert(field.to_owned(), value);
        self.put(name, &contact::write(Some(&cards[name]), "", &values).unwrap()).await;
    }

    async fn create(&self, number: u64) {
        let name = format!("card-{}-{number}", self.number);
        let text = format!(
            "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:{name}\r\nFN:Ann {name}\r\nN:{name};Ann;;;\r\nEMAIL:{name}@example.org\r\n\
             X-UNKNOWN;X-P=1:kept\r\nEND:VCARD\r\n"
        );
        self.put(&format!("{name}.vcf"), &text).await;
    }

    async fn put(&self, name: &str, text: &str) {
        match &self.folder {
            Some(folder) => folder.put(name, text),
            None => self.server.put(name, text).await,
        }
    }
}
