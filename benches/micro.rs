//! `make bench`: the cost of the pure parts of one write, without a socket or a disk.

#![expect(clippy::expect_used, reason = "the measured operations are known to succeed; a failure gives no figure")]

use std::hint::black_box;
use std::sync::{Arc, LazyLock};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use serde_json::{Value as Json, json};
use time::macros::datetime;
use unificus::contract::input::{self, InputKind};
use unificus::contract::{EncodedEvent, event};
use unificus::domain::reference::Ref;
use unificus::domain::{
    AccountId, Command, Entity, Event, Record, Refusal, Seq, SyncPolicy, Target, Timestamp, Uid, View, decide,
};
use unificus::push::signature::{SigningSecret, sign};
use uuid::Uuid;

const AT: Timestamp = datetime!(2026-11-24 03:00:00.123456 UTC);
const ACCOUNT: AccountId = AccountId(Uuid::from_u128(0x0193_3b5e_7a1c_7d3e_8f00_0000_0000_00aa));

const fn uid(number: u128) -> Uid {
    Uid(Uuid::from_u128(0x0193_3b5e_7a1c_7d3e_8f00_0000_0000_0000 | number))
}

/// An account that holds no contact, or one.
struct Known(Option<Record>);

impl View for Known {
    fn by_uid(&self, _: Entity, uid: Uid) -> Option<&Record> {
        self.0.as_ref().filter(|record| record.uid == uid)
    }

    fn by_key(&self, entity: Entity, key: &str) -> Option<&Record> {
        self.0.as_ref().filter(|record| record.entity == entity && record.key().as_deref() == Some(key))
    }

    fn by_ref(&self, _: Entity, reference: &Ref) -> Option<&Record> {
        self.0.as_ref().filter(|record| record.refs.contains(reference))
    }

    fn needed(&self, entity: Entity, uid: Uid) -> Option<&Record> {
        self.by_uid(entity, uid)
    }

    fn needed_key(&self, entity: Entity, key: &str) -> Option<&Record> {
        self.by_key(entity, key)
    }

    fn policy(&self) -> &SyncPolicy {
        static POLICY: LazyLock<SyncPolicy> = LazyLock::new(SyncPolicy::default);
        &POLICY
    }
}

/// A contact of about 500 bytes and ten fields, the same as `make load` creates.
fn body() -> Json {
    json!({
        "role": "Lead", "first_name": "Wilhelmina", "last_name": "Vandenberg", "email": "w.vandenberg@load.example",
        "title": "Head of procurement", "phone": "+31 20 555 01 23", "work_phone": "+31 20 555 01 24",
        "website": "https://www.example.com/people/vandenberg",
        "background_info": "Met at the fair in Utrecht, asked for the new catalogue.",
        "tags": ["newsletter", "north", "trade fair"],
        "address": {"address_line_1": "Keizersgracht 123", "city": "Amsterdam", "country": "Netherlands", "zip": "1015 CJ"}
    })
}

fn create(uid: Uid) -> Command {
    input::create(InputKind::Contact, body(), &mut || uid).expect("a valid body")
}

fn update() -> Command {
    let body = json!({"phone": "+31 6 555 01 99", "title": "Director"});
    input::update(InputKind::Contact, Target::Uid(uid(1)), None, body, &mut || uid(2)).expect("a valid body")
}

/// The result of the create, with its event.
fn created() -> Event {
    let decision = decide(create(uid(1)), &Known(None)).expect("the create is valid");
    let event = decision.new_events.into_iter().next().expect("a create makes an event");
    let event_type = event.event_type;
    let origin: Arc<str> = "load".into();
    let (record, changed) = Record::evolve(None, event, Seq(1), AT, &origin);
    Event {
        epoch: 1,
        seq: Seq(1),
        at: AT,
        event_type,
        previous_version: None,
        changed,
        record,
        origin,
        traceparent: None,
        causation: None,
        correlation: None,
    }
}

fn decisions(c: &mut Criterion) {
    let mut group = c.benchmark_group("decide");
    let empty = Known(None);
    let known = Known(Some(created().record));
    let one = |command, view: &Known| decide(command, view);
    group.bench_function("create a contact", |b| {
        b.iter_batched(|| create(uid(1)), |command| one(command, &empty), BatchSize::SmallInput);
    });
    group.bench_function("update two of its fields", |b| {
        b.iter_batched(update, |command| one(command, &known), BatchSize::SmallInput);
    });
    let again = uid(3);
    assert!(matches!(decide(create(again), &known), Err(Refusal::Invalid(_))), "its email is taken");
    group.bench_function("refuse a duplicate", |b| {
        b.iter_batched(|| create(again), |command| one(command, &known), BatchSize::SmallInput);
    });
    let event = decide(create(uid(1)), &empty).expect("the create is valid").new_events.remove(0);
    let origin: Arc<str> = "load".into();
    group.bench_function("evolve a new contact", |b| {
        b.iter_batched(
            || event.clone(),
            |event| Record::evolve(None, event, Seq(1), AT, &origin),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

fn codec(c: &mut Criterion) {
    let mut group = c.benchmark_group("codec");
    let bytes = body().to_string().into_bytes();
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    group.bench_function("parse a body", |b| {
        b.iter(|| serde_json::from_slice::<Json>(black_box(&bytes)));
    });
    group.bench_function("input::create of parsed JSON", |b| {
        b.iter_batched(body, |body| input::create(InputKind::Contact, body, &mut || uid(1)), BatchSize::SmallInput);
    });

    let event = created();
    let (encoded, _) = EncodedEvent::encode(ACCOUNT, &event).expect("an event has JSON");
    assert_eq!(encoded.decode().expect("an encoded event decodes"), event);
    group.throughput(Throughput::Bytes(encoded.body.len() as u64));
    group.bench_function("EncodedEvent::encode", |b| b.iter(|| EncodedEvent::encode(ACCOUNT, black_box(&event))));
    group.bench_function("event::decode", |b| b.iter(|| event::decode(black_box(encoded.text()))));
    group.finish();
}

fn signature(c: &mut Criterion) {
    let mut group = c.benchmark_group("signature");
    let body = vec![b'x'; 1_024];
    let id = format!("{ACCOUNT}:42");
    let (now, before) = (SigningSecret::generate([7; 32]), SigningSecret::generate([9; 32]));
    group.throughput(Throughput::Bytes(body.len() as u64));
    group.bench_function("sign 1 KiB", |b| {
        b.iter(|| sign(std::slice::from_ref(&now), &id, 1_764_000_000, black_box(&body)));
    });
    let both = [now.clone(), before];
    group.bench_function("sign 1 KiB with two secrets", |b| {
        b.iter(|| sign(&both, &id, 1_764_000_000, black_box(&body)));
    });
    group.finish();
}

criterion_group!(benches, decisions, codec, signature);
criterion_main!(benches);
