//! Partners, their users and an automation, interleaved step by step from a seed.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::super::{Event, ListPage, Lookup, Op, OpResult, Page, Values};
use super::invariants::Failure;
use super::partner::{Faults, Mutation, Partner};
use super::random::Random;

/// How a request gets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
    Normal,
    LostRequest,
    /// It is executed, and its response does not arrive.
    LostResponse,
}

/// The service as partners call it. `origin` is the partner's number.
pub(crate) trait Service {
    /// `POST /sync/batch`; `None` where no response arrives.
    async fn batch(&self, origin: usize, ops: &[Op], delivery: Delivery) -> Option<Vec<OpResult>>;
    /// `GET /changes`.
    async fn changes(&self, origin: usize, after: Option<&str>, limit: usize) -> Page;
    /// A page of `GET /contacts`, and where the next one begins.
    async fn list(&self, origin: usize, after: Option<String>) -> (ListPage, Option<String>);
    /// `GET /contact/{uid}`.
    async fn lookup(&self, origin: usize, uid: &str) -> Lookup;
    /// All events of the account.
    async fn log(&self) -> Vec<Value>;
    /// The number of the account's events, and the newest of them.
    async fn newest(&self, count: usize) -> (usize, Vec<Value>);
    /// Restarts a part of the service, or does nothing. Returns the number of faults.
    async fn disturb(&self, _random: &mut Random) -> u64 {
        0
    }
}

/// A run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) steps: usize,
    pub(crate) mutation: Option<Mutation>,
}

/// The figures of a run.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Outcome {
    pub(crate) events: usize,
    pub(crate) faults: u64,
}

/// The number of partners that follow the recipe. The automation calls with the next number.
pub(crate) const PARTNERS: usize = 3;

/// Full rounds within which a run must come to rest.
const MAX_ROUNDS: usize = 40;

/// A value that a user wrote, and the one that the user saw before.
pub(super) type Edits = BTreeMap<String, Value>;

pub(crate) struct World<S> {
    pub(crate) service: S,
    pub(crate) partners: Vec<Partner>,
    /// Values that a user wrote, with the values that they replace in the user's eyes.
    pub(super) edits: Edits,
    /// Values that a user deleted knowingly.
    pub(super) deleted: BTreeSet<String>,
    random: Random,
    plan: Plan,
    echo_after: Option<String>,
    next_value: u64,
    graveyard: Vec<(usize, String, Value)>,
    faults: u64,
}

impl<S: Service> World<S> {
    pub(crate) fn new(service: S, plan: Plan) -> Self {
        // One partner breaks the rule: the others must not have to suffer from it unnoticed.
        let partner =
            |number: usize| Partner::new(number, &format!("partner-{number}"), plan.mutation.filter(|_| number < 2));
        Self {
            service,
            partners: (0..PARTNERS).map(partner).collect(),
            edits: Edits::new(),
            deleted: BTreeSet::new(),
            random: Random::new(plan.seed),
            plan,
            echo_after: None,
            next_value: 0,
            graveyard: Vec::new(),
            faults: 0,
        }
    }

    /// Executes the steps of the plan, with their faults.
    pub(crate) async fn run(&mut self) {
        for _ in 0..self.plan.steps {
            self.step().await;
        }
    }

    /// Lets the partners come to rest without faults, and checks every invariant.
    pub(crate) async fn finish(&mut self) -> Result<Outcome, Failure> {
        self.come_to_rest().await?;
        let log = self.service.log().await;
        self.check(&log).await?;
        Ok(Outcome { events: log.len(), faults: self.faults })
    }

    async fn step(&mut self) {
        match self.random.below(100) {
            0..40 => self.use_a_partner(),
            40..90 => {
                let number = self.random.below(self.partners.len());
                self.step_of(number, true).await;
            }
            90..98 => drop(self.echo().await),
            _ => self.faults += self.service.disturb(&mut self.random).await,
        }
    }

    async fn step_of(&mut self, number: usize, are_on: bool) {
        let hints = if are_on && self.random.chance(20) { self.hints().await } else { Vec::new() };
        let mut faults = Faults { random: &mut self.random, are_on, count: 0 };
        let partner = &mut self.partners[number];
        partner.step(&self.service, &hints, &mut faults).await;
        self.faults += faults.count;
    }

    /// Events as webhooks may deliver them: any of the newest, in any order, some twice.
    async fn hints(&mut self) -> Vec<Event> {
        let (_, newest) = self.service.newest(8).await;
        let count = self.random.below(4);
        let picked: Vec<Value> = (0..count).filter_map(|_| self.random.pick(&newest).cloned()).collect();
        serde_json::from_value(json!(picked)).unwrap()
    }

    /// An automation that writes every record back as it is, as integrations without a rule against it do.
    async fn echo(&mut self) -> usize {
        let number = PARTNERS;
        let page = self.service.changes(number, self.echo_after.as_deref(), 3).await;
        let mut written = 0;
        for event in &page.events {
            let writes_back = self.plan.mutation == Some(Mutation::WriteBack);
            let is_foreign = writes_back || event.origin.as_deref() != Some(&format!("partner-{number}"));
            let uid = event.data.record["uid"].as_str().unwrap_or_default();
            if !is_foreign || !event.event_type.starts_with("crm.contact.") {
                continue;
            }
            if let Lookup::Live(record) = self.service.lookup(number, uid).await {
                let fields = super::partner::kind().fields;
                let set = fields.into_iter().map(|name| (name.clone(), record[name].clone()));
                let mut set: Values = set.filter(|(_, value)| !value.is_null()).collect();
                self.next_value += 1;
                if writes_back {
                    set.insert("background_info".to_owned(), json!(format!("written back {}", self.next_value)));
                }
                let op_id = format!("echo-{}", self.next_value);
                let base = record["version"].as_u64();
                let uid = Some(uid.to_owned());
                let entity = super::partner::ENTITY.to_owned();
                let op = Op { op_id, op: "update".into(), entity, uid, base, set, ..Op::default() };
                let _result = self.service.batch(number, &[op], Delivery::Normal).await;
                written += 1;
            }
        }
        self.echo_after = Some(page.meta.cursor);
        written
    }

    /// Full rounds without faults, until one adds no event and changes nothing; and one more.
    async fn come_to_rest(&mut self) -> Result<(), Failure> {
        for _ in 0..MAX_ROUNDS {
            let before = self.events().await;
            self.partners.iter_mut().for_each(|partner| partner.has_changed = false);
            self.round().await;
            let is_quiet = self.partners.iter().all(|partner| !partner.has_changed);
            if is_quiet && self.events().await == before {
                self.round().await;
                let added = self.events().await - before;
                return if added == 0 {
                    Ok(())
                } else {
                    Err(Failure::new("quiescence", format!("{added} events more")))
                };
            }
        }
        Err(Failure::new("quiescence", format!("no rest after {MAX_ROUNDS} rounds")))
    }

    async fn events(&self) -> usize {
        self.service.newest(0).await.0
    }

    async fn round(&mut self) {
        for number in 0..self.partners.len() {
            self.step_of(number, false).await;
            // A page is short: the rest of a round has as many steps as the log has events, at the limit.
            let limit = 2 * self.events().await + 10;
            for _ in 0..limit {
                if self.partners[number].is_at_beginning() {
                    break;
                }
                self.step_of(number, false).await;
            }
        }
        // An automation that responds to itself would go on for ever.
        let pages = if self.plan.mutation == Some(Mutation::WriteBack) { 1 } else { 10 };
        for _ in 0..pages {
            if self.echo().await == 0 {
                break;
            }
        }
    }

    /// A user of another system changes something there.
    fn use_a_partner(&mut self) {
        let number = self.random.below(self.partners.len());
        let keys: Vec<String> = self.partners[number].store.keys().cloned().collect();
        let Some(key) = self.random.pick(&keys).cloned() else { return self.create(number) };
        match self.random.below(100) {
            0..18 => self.create(number),
            18..26 => self.delete(number, &key),
            26..30 => self.merge(number, &key, &keys),
            30..36 => self.create_again(number),
            36..44 => self.clear(number, &key),
            _ => self.edit(number, &key),
        }
    }

    fn fresh(&mut self, number: usize) -> String {
        self.next_value += 1;
        format!("{number}-{}", self.next_value)
    }

    fn phone(&mut self) -> Value {
        self.next_value += 1;
        json!(format!("+316{:08}", 10_000_000 + self.next_value))
    }

    fn create(&mut self, number: usize) {
        let fresh = self.fresh(number);
        let shared = format!("shared{}@example.org", self.random.below(4));
        let mut emails = self.partners[number].store.values().filter_map(|values| values["email"].as_str());
        let is_free = !emails.any(|email| email == shared);
        let email = if is_free && self.random.chance(25) { shared } else { format!("k{fresh}@example.org") };
        self.insert(number, &format!("key-{fresh}"), &json!(email));
    }

    fn insert(&mut self, number: usize, key: &str, email: &Value) {
        let mut values: Values = super::partner::kind().fields.into_iter().map(|name| (name, Value::Null)).collect();
        for name in ["first_name", "last_name", "title"] {
            let value = json!(format!("{name} {}", self.fresh(number)));
            self.edits.insert(value.as_str().unwrap().to_owned(), Value::Null);
            values.insert(name.to_owned(), value);
        }
        values.insert("email".to_owned(), email.clone());
        self.partners[number].store.insert(key.to_owned(), values);
    }

    fn edit(&mut self, number: usize, key: &str) {
        let fields = ["first_name", "last_name", "title", "background_info", "home_phone", "shop_phone"];
        let field = *self.random.pick(&fields).unwrap();
        let value =
            if field.ends_with("phone") { self.phone() } else { json!(format!("{field} {}", self.fresh(number))) };
        let record = self.partners[number].store.get_mut(key).unwrap();
        let before = record.insert(field.to_owned(), value.clone()).unwrap_or(Value::Null);
        self.edits.insert(value.as_str().unwrap().to_owned(), before);
    }

    fn clear(&mut self, number: usize, key: &str) {
        let field = *self.random.pick(&["title", "background_info", "home_phone"]).unwrap();
        let record = self.partners[number].store.get_mut(key).unwrap();
        let before = record.insert(field.to_owned(), Value::Null).unwrap_or(Value::Null);
        self.deleted.extend(before.as_str().map(str::to_owned));
    }

    fn delete(&mut self, number: usize, key: &str) {
        let Some(values) = self.partners[number].store.remove(key) else { return };
        self.graveyard.push((number, key.to_owned(), values["email"].clone()));
        self.deleted.extend(values.values().filter_map(Value::as_str).map(str::to_owned));
    }

    /// The user takes a deleted record out of the bin. A shared address may be another record's by now.
    fn create_again(&mut self, number: usize) {
        let own = |(at, (owner, key, email)): (usize, &(usize, String, Value))| {
            let is_own = *owner == number && !self.partners[number].store.contains_key(key);
            (is_own && !email.as_str().is_some_and(|email| email.starts_with("shared"))).then_some(at)
        };
        let Some(at) = self.graveyard.iter().enumerate().rev().find_map(own) else { return };
        let (_, key, email) = self.graveyard.remove(at);
        self.partners[number].merged.remove(&key);
        self.insert(number, &key, &email);
    }

    fn merge(&mut self, number: usize, key: &str, keys: &[String]) {
        let Some(into) = self.random.pick(keys).filter(|into| *into != key).cloned() else { return };
        let Some(values) = self.partners[number].store.remove(key) else { return };
        self.partners[number].merged.insert(key.to_owned(), into);
        self.deleted.extend(values.values().filter_map(Value::as_str).map(str::to_owned));
    }
}
