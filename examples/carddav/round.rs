//! One round of synchronisation, in the order of the recipe: scan, pull, save, apply, save, push, save, apply.

use anyhow::Context as _;

use crate::connector::{Apply, Change, Connector, Kind, OpResult, Values};
use crate::dav::{Book, Seal, Write};
use crate::service::{Feed, MAX_OPS, Service};
use crate::state::{State, StateFile};
use crate::vcard::contact;

/// The file name's ending, which is no part of a record's key.
const ENDING: &str = ".vcf";

/// The figures of a round.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Figures {
    /// Cards that were new, changed or deleted.
    pub(crate) scanned: usize,
    /// Cards that were written or deleted.
    pub(crate) applied: usize,
    /// Operations that were sent.
    pub(crate) pushed: usize,
    /// Records that the service refuses as they are.
    pub(crate) refused: usize,
}

pub(crate) struct Bridge {
    pub(crate) service: Service,
    pub(crate) book: Book,
    pub(crate) file: StateFile,
    pub(crate) state: State,
}

/// The contacts of an account, as address books have them.
pub(crate) fn kind() -> Kind {
    Kind {
        entity: "contact".to_owned(),
        fields: contact::FIELDS.map(str::to_owned).to_vec(),
        match_on: ["email", "home_email", "work_email"].map(str::to_owned).to_vec(),
        defaults: Values::from([("role".to_owned(), "Lead".into())]),
    }
}

impl Bridge {
    /// Runs a round. After an error the next one continues with the saved state.
    pub(crate) async fn round(&mut self, wait: u64) -> anyhow::Result<Figures> {
        let mut figures = Figures { scanned: self.scan().await?, ..Figures::default() };
        self.pull(wait).await?;
        self.save()?;
        figures.applied += self.apply().await?;
        loop {
            let ops = self.connector().push(MAX_OPS);
            if ops.is_empty() {
                break;
            }
            // An operation is saved before it is sent.
            self.save()?;
            let mut results: Vec<OpResult> = self.service.batch(&ops).await?;
            for (result, op) in results.iter_mut().zip(&ops) {
                result.op_id = Some(op.op_id.clone());
            }
            let is_later = |result: &OpResult| matches!(result.status, 424 | 429 | 500..);
            self.connector().results(&results);
            self.save()?;
            figures.pushed += ops.len();
            figures.applied += self.apply().await?;
            if results.iter().any(is_later) {
                break;
            }
        }
        self.save()?;
        figures.refused = self.state.connector.records.values().filter(|record| record.refused.is_some()).count();
        Ok(figures)
    }

    fn connector(&mut self) -> &mut Connector {
        &mut self.state.connector
    }

    fn save(&self) -> anyhow::Result<()> {
        self.file.save(&self.state)
    }

    /// Hands the changes of the address book on. A card that cannot be read is left alone, as if it were not there.
    async fn scan(&mut self) -> anyhow::Result<usize> {
        let changes = self.book.changes(&self.state.seen).await.context("the address book cannot be read")?;
        for (name, card) in &changes.changed {
            let key = name.strip_suffix(ENDING).unwrap_or(name);
            match contact::read(&card.text) {
                Ok(values) => self.state.connector.edited(key, &values),
                Err(error) => tracing::warn!(card = %name, %error, "reading a card failed"),
            }
        }
        for name in &changes.deleted {
            self.state.connector.deleted(name.strip_suffix(ENDING).unwrap_or(name));
        }
        let count = changes.changed.len() + changes.deleted.len();
        self.state.seen.take(changes);
        Ok(count)
    }

    /// Reads the feed to its end. `wait` seconds are waited for an event where there is none.
    async fn pull(&mut self, mut wait: u64) -> anyhow::Result<()> {
        loop {
            if self.state.connector.is_listing() {
                self.list().await?;
            }
            let after = self.state.connector.cursor.after.clone();
            match self.service.changes(after.as_deref(), wait).await? {
                Feed::ResyncRequired => self.connector().resync(),
                Feed::Page(page) => {
                    self.connector().pull(&page).map_err(|gap| anyhow::anyhow!("the feed has a gap: {gap:?}"))?;
                    if !page.meta.has_more {
                        return Ok(());
                    }
                }
            }
            wait = 0;
        }
    }

    /// Reads all contacts: at the first start, and after the log was restored.
    async fn list(&mut self) -> anyhow::Result<()> {
        self.connector().resync();
        let mut next = None;
        loop {
            let (page, following) = self.service.contacts(next.as_deref()).await?;
            self.connector().list(&page);
            if page.is_last {
                break;
            }
            next = following;
        }
        for uid in self.state.connector.unlisted() {
            let lookup = self.service.contact(&uid).await?;
            self.connector().looked_up(&uid, &lookup);
        }
        Ok(())
    }

    /// Changes the address book. A change that it refuses, because the card was edited meanwhile, stays for the next round.
    async fn apply(&mut self) -> anyhow::Result<usize> {
        let changes = self.state.connector.changes();
        let mut count = 0;
        for change in &changes {
            if self.execute(change).await? == Write::Done {
                self.connector().applied(change);
                count += 1;
            }
        }
        Ok(count)
    }

    async fn execute(&mut self, change: &Apply) -> anyhow::Result<Write> {
        match change {
            Apply::Create { key, values } => self.write(key, None, values).await,
            Apply::Update { key, changes } => {
                let Some(card) = self.state.seen.cards.get(&self.name_of(key)).cloned() else {
                    return Ok(Write::Refused);
                };
                let mut values = contact::read(&card.text)?;
                let change = |(name, Change { to, .. }): (&String, &Change)| (name.clone(), to.clone());
                values.extend(changes.iter().map(change));
                self.write(key, Some(card), &values).await
            }
            Apply::Delete { key, .. } => {
                let name = self.name_of(key);
                let Some(card) = self.state.seen.cards.get(&name).cloned() else { return Ok(Write::Done) };
                let write = self.book.delete(&name, &card).await?;
                if write == Write::Done {
                    self.state.seen.cards.remove(&name);
                }
                Ok(write)
            }
        }
    }

    /// The card of a record. One that another program stored under a name without the ending keeps its name.
    fn name_of(&self, key: &str) -> String {
        if self.state.seen.cards.contains_key(key) { key.to_owned() } else { format!("{key}{ENDING}") }
    }

    async fn write(&mut self, key: &str, card: Option<Seal>, values: &Values) -> anyhow::Result<Write> {
        let name = self.name_of(key);
        let text = contact::write(card.as_ref().map(|card| card.text.as_str()), key, values)?;
        let (write, written) = self.book.put(&name, card.as_ref(), &text).await?;
        match written {
            Some(card) => drop(self.state.seen.cards.insert(name, card)),
            None if write == Write::Done => drop(self.state.seen.cards.remove(&name)),
            None => {}
        }
        Ok(write)
    }
}
