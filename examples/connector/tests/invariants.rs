//! The invariants of synchronisation, each checked by its name.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::super::{Presence, Values};
use super::partner::{Partner, kind};
use super::world::{Service, World};

/// A broken invariant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) invariant: &'static str,
    pub(crate) detail: String,
}

impl Failure {
    pub(crate) fn new(invariant: &'static str, detail: String) -> Self {
        Self { invariant, detail }
    }
}

type Live = BTreeMap<String, Value>;

impl<S: Service> World<S> {
    pub(super) async fn check(&mut self, log: &[Value]) -> Result<(), Failure> {
        positions_are_contiguous(log)?;
        let live = replayed(log);
        equals_the_lists(&self.service, &live).await?;
        no_duplicates(&live)?;
        for partner in &mut self.partners {
            nothing_is_stuck(partner)?;
            equals_the_service(partner, &live, log)?;
        }
        edits_have_one_effect(log, &self.edits.keys().cloned().collect())?;
        conflicts_are_real(log)?;
        self.nothing_is_lost_silently(log, &live)
    }

    /// Every value that a user wrote is the current one, was replaced by a user who saw it, or is in the conflict log.
    fn nothing_is_lost_silently(&self, log: &[Value], live: &Live) -> Result<(), Failure> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let mut known: Vec<String> =
            live.values().filter_map(Value::as_object).flat_map(|record| record.values()).filter_map(text).collect();
        for event in log {
            let record = &event["data"]["record"];
            if is_conflict(event) {
                let values = ["kept", "lost"].iter().filter_map(|name| record[*name].as_object());
                known.extend(values.flat_map(|value| value.values()).filter_map(text));
            }
            // A merge is the decision of somebody who had both records.
            if event["type"] == "crm.contact.merged" {
                known.extend(record.as_object().into_iter().flat_map(|record| record.values()).filter_map(text));
            }
        }
        known.extend(self.deleted.iter().cloned());
        let own = replaced_by_the_same_origin(log);
        known.extend(own.get("").into_iter().flatten().cloned());
        let mut covered = BTreeSet::new();
        while let Some(value) = known.pop() {
            known.extend(own.get(&value).filter(|_| !covered.contains(&value)).into_iter().flatten().cloned());
            if let Some(Value::String(seen)) = self.edits.get(&value).filter(|_| !covered.contains(&value)) {
                known.push(seen.clone());
            }
            covered.insert(value);
        }
        match self.edits.keys().find(|value| !covered.contains(*value)) {
            Some(value) => Err(Failure::new("no silent loss", format!("{value:?} is nowhere"))),
            None => Ok(()),
        }
    }
}

/// Values, by the later value of the same origin; those that it cleared are under "". An origin is one user to the service, which therefore sees no conflict
/// where a user changes two copies of a record before they are joined.
fn replaced_by_the_same_origin(log: &[Value]) -> BTreeMap<String, Vec<String>> {
    let (mut writers, mut replaced_values) = (BTreeMap::new(), BTreeMap::<_, Vec<String>>::new());
    for event in log.iter().filter(|event| is_contact(event)) {
        for (name, change) in event["data"]["changed"].as_object().into_iter().flatten() {
            let field = (event["data"]["record"]["uid"].to_string(), name.clone());
            let is_same = writers.insert(field, &event["origin"]) == Some(&event["origin"]);
            if let (true, Some(from)) = (is_same, change["from"].as_str()) {
                let to = change["to"].as_str().unwrap_or_default();
                replaced_values.entry(to.to_owned()).or_default().push(from.to_owned());
            }
        }
    }
    replaced_values
}

fn is_conflict(event: &Value) -> bool {
    event["type"].as_str().is_some_and(|name| name.starts_with("crm.conflict."))
}

fn is_contact(event: &Value) -> bool {
    event["type"].as_str().is_some_and(|name| name.starts_with("crm.contact."))
}

fn positions_are_contiguous(log: &[Value]) -> Result<(), Failure> {
    let wrong = (1..).zip(log).find(|(seq, event): &(u64, _)| event["data"]["seq"] != *seq);
    match wrong {
        Some((seq, event)) => Err(Failure::new("contiguous", format!("{} at {seq}", event["data"]["seq"]))),
        None => Ok(()),
    }
}

/// The live records that the events make.
fn replayed(log: &[Value]) -> Live {
    let mut live = Live::new();
    for event in log.iter().filter(|event| is_contact(event)) {
        let record = &event["data"]["record"];
        let uid = record["uid"].as_str().unwrap().to_owned();
        if record["deleted"] == json!(true) {
            live.remove(&uid);
        } else {
            live.insert(uid, record.clone());
        }
    }
    live
}

fn tracked(record: &Value) -> Values {
    kind().fields.into_iter().map(|name| (name.clone(), record[&name].clone())).collect()
}

async fn equals_the_lists(service: &impl Service, live: &Live) -> Result<(), Failure> {
    let (mut listed, mut after) = (Live::new(), None);
    loop {
        let (page, next) = service.list(0, after).await;
        listed.extend(page.records.into_iter().map(|record| (record["uid"].as_str().unwrap().to_owned(), record)));
        after = next;
        if page.is_last {
            break;
        }
    }
    let of = |live: &Live| -> BTreeMap<String, Values> {
        live.iter().map(|(uid, record)| (uid.clone(), tracked(record))).collect()
    };
    if of(&listed) == of(live) {
        Ok(())
    } else {
        Err(Failure::new("replay equals lists", format!("{:?}\n{:?}", of(&listed), of(live))))
    }
}

fn no_duplicates(live: &Live) -> Result<(), Failure> {
    let mut seen = BTreeSet::new();
    for (uid, record) in live {
        let references = record["refs"].as_array().into_iter().flatten().map(Value::to_string);
        let email = record["email"].as_str().map(str::to_owned);
        for identity in references.chain(email) {
            if !seen.insert(identity.clone()) {
                return Err(Failure::new("no duplicates", format!("{identity} is also of {uid}")));
            }
        }
    }
    Ok(())
}

fn nothing_is_stuck(partner: &mut Partner) -> Result<(), Failure> {
    let machine = partner.machine();
    let is_stuck = |(_, record): &(&String, &super::super::Record)| {
        let is_sent = record.in_flight.is_some() || record.refused.is_some();
        is_sent
            || record.uid.is_none()
            || record.presence != Presence::Both
            || record.fields.values().any(super::super::Field::is_dirty)
    };
    match machine.records.iter().find(is_stuck) {
        Some((key, record)) => Err(Failure::new("nothing is stuck", format!("{key}: {record:?}"))),
        None => Ok(()),
    }
}

fn equals_the_service(partner: &mut Partner, live: &Live, log: &[Value]) -> Result<(), Failure> {
    let store = partner.store.clone();
    let machine = partner.machine();
    let uid = |key: &String| machine.records.get(key).and_then(|record| record.uid.clone()).unwrap_or_default();
    let here: BTreeMap<String, Values> = store.iter().map(|(key, values)| (uid(key), values.clone())).collect();
    let there: BTreeMap<String, Values> = live.iter().map(|(uid, record)| (uid.clone(), tracked(record))).collect();
    let differing = here.keys().chain(there.keys()).find(|uid| here.get(*uid) != there.get(*uid));
    match differing {
        _ if store.len() != here.len() => {
            let uids: Vec<_> = store.keys().map(|key| (key, uid(key))).collect();
            Err(Failure::new(
                "partners equal the service",
                format!("{}: two records of one uid: {uids:?}", machine.origin),
            ))
        }
        Some(uid) => {
            let known: Vec<_> = machine.records.iter().filter(|(_, record)| record.uid.as_ref() == Some(uid)).collect();
            let detail = format!(
                "{}: {uid}: {:?} is {:?}; known as {known:?}; {}",
                machine.origin,
                here.get(uid),
                there.get(uid),
                history(log, &json!(uid), "email"),
            );
            Err(Failure::new("partners equal the service", detail))
        }
        None => Ok(()),
    }
}

/// A value that a user wrote once enters a field of a record once, however often the operation was sent.
fn edits_have_one_effect(log: &[Value], edits: &BTreeSet<String>) -> Result<(), Failure> {
    let mut seen = BTreeSet::new();
    for event in log.iter().filter(|event| is_contact(event)) {
        for (name, change) in event["data"]["changed"].as_object().into_iter().flatten() {
            let Some(value) = change["to"].as_str().filter(|value| edits.contains(*value)) else { continue };
            let uid = &event["data"]["record"]["uid"];
            if !seen.insert((uid.to_string(), name.clone(), value.to_owned())) {
                let detail = format!("{value:?} was written twice; {}", history(log, uid, name));
                return Err(Failure::new("one effect", detail));
            }
        }
    }
    Ok(())
}

/// The events of a record, with a field's changes, to see what happened to a value.
fn history(log: &[Value], uid: &Value, field: &str) -> String {
    let is_of_record = |event: &&Value| event["data"]["record"]["uid"] == *uid;
    let line = |event: &Value| {
        let data = &event["data"];
        format!(
            "{} {} by {} {}: {}",
            data["seq"], event["type"], event["origin"], event["causationid"], data["changed"][field]
        )
    };
    log.iter().filter(is_of_record).map(line).collect::<Vec<_>>().join("; ")
}

/// A conflict names two origins, and the log has a change of its field after its base.
fn conflicts_are_real(log: &[Value]) -> Result<(), Failure> {
    for conflict in log.iter().filter(|event| event["type"] == "crm.conflict.opened") {
        let record = &conflict["data"]["record"];
        if record["reason"] == "deleted" {
            continue;
        }
        let (writer, position) = (&conflict["origin"], conflict["data"]["seq"].as_u64());
        let base = record["base"].as_u64().unwrap_or(0);
        let is_cause = |event: &&Value| {
            let changes = event["data"]["changed"].get(record["field"].as_str().unwrap_or_default());
            let seq = event["data"]["seq"].as_u64();
            let is_of_record = event["data"]["record"]["uid"] == record["record"];
            is_of_record && changes.is_some() && event["origin"] != *writer && seq > Some(base) && seq < position
        };
        if !log.iter().any(|event| is_cause(&event)) {
            return Err(Failure::new("conflicts are real", record.to_string()));
        }
    }
    Ok(())
}
