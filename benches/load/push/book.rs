//! The record of everything that a sink received.

use std::collections::HashMap;

use serde_json::value::RawValue;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use crate::tally::Latencies;

/// The attributes of an event that are evaluated.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Event {
    pub(crate) seq: u64,
    uid: Uuid,
    /// The time of its decision, just before its commit, in microseconds since 1970.
    decided: i64,
}

/// An event's first arrival at an endpoint, in microseconds since 1970.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival {
    pub(crate) decided: i64,
    pub(crate) at: i64,
}

/// The arrivals over all endpoints.
#[derive(Default)]
pub(crate) struct Book {
    endpoints: Vec<EndpointBook>,
    arrivals: Vec<Arrival>,
    /// Events that were accepted more than once.
    pub(crate) duplicates: u64,
    /// First arrivals that came after a later event of their record.
    pub(crate) order_violations: u64,
    /// The number of requests so far.
    requests: u64,
}

/// The arrivals at one endpoint.
#[derive(Default, Clone)]
struct EndpointBook {
    /// At index seq − 1: whether the event has arrived.
    seen: Vec<bool>,
    latest: HashMap<Uuid, u64>,
}

impl Event {
    /// The event of a delivery, or the events of a batch.
    pub(crate) fn of(body: &[u8]) -> Vec<Self> {
        let text = std::str::from_utf8(body).unwrap_or_default();
        if !text.starts_with('[') {
            return Self::parse(text).into_iter().collect();
        }
        let events: Vec<&RawValue> = serde_json::from_str(text).unwrap_or_default();
        events.iter().filter_map(|event| Self::parse(event.get())).collect()
    }

    /// An event's own attributes stand before its data, so the first match of each name is the attribute.
    fn parse(text: &str) -> Option<Self> {
        let attribute = |key: &str| {
            let rest = text.get(text.find(key)? + key.len()..)?;
            rest.get(..rest.find('"')?)
        };
        let at = OffsetDateTime::parse(attribute("\"time\":\"")?, &Rfc3339).ok()?;
        Some(Self {
            seq: attribute("\"id\":\"")?.rsplit(':').next()?.parse().ok()?,
            uid: Uuid::try_parse(attribute("\"subject\":\"")?).ok()?,
            decided: i64::try_from(at.unix_timestamp_nanos() / 1_000).ok()?,
        })
    }
}

impl Book {
    pub(crate) fn new(endpoints: usize) -> Self {
        Self { endpoints: vec![EndpointBook::default(); endpoints], ..Self::default() }
    }

    /// The number of first arrivals.
    pub(crate) fn arrived(&self) -> usize {
        self.arrivals.len()
    }

    /// Counts a request; returns its number.
    pub(crate) fn count_request(&mut self) -> u64 {
        self.requests += 1;
        self.requests
    }

    /// Records the accepted events.
    pub(crate) fn take(&mut self, endpoint: usize, at: i64, events: &[Event]) {
        let Some(endpoint_book) = self.endpoints.get_mut(endpoint) else { return };
        for event in events {
            let index = event.seq.saturating_sub(1) as usize;
            if endpoint_book.seen.len() <= index {
                endpoint_book.seen.resize(index + 1, false);
            }
            let Some(seen) = endpoint_book.seen.get_mut(index) else { continue };
            if std::mem::replace(seen, true) {
                self.duplicates += 1;
                continue;
            }
            let latest = endpoint_book.latest.entry(event.uid).or_default();
            if *latest > event.seq {
                self.order_violations += 1;
            }
            *latest = event.seq.max(*latest);
            self.arrivals.push(Arrival { decided: event.decided, at });
        }
    }

    /// The number of an account's first `head` events that never arrived at an endpoint.
    pub(crate) fn missing(&self, endpoint: usize, head: u64) -> u64 {
        let seen = self.endpoints.get(endpoint).map(|endpoint_book| endpoint_book.seen.as_slice()).unwrap_or_default();
        let here = seen.iter().take(head as usize).filter(|seen| **seen).count();
        head.saturating_sub(here as u64)
    }

    pub(crate) fn arrivals(&self) -> &[Arrival] {
        &self.arrivals
    }

    /// First arrivals per second, from the first to the last.
    pub(crate) fn per_second(&self) -> Option<f64> {
        let (first, last) =
            (self.arrivals.iter().map(|one| one.at).min()?, self.arrivals.iter().map(|one| one.at).max()?);
        (last > first).then(|| self.arrivals.len() as f64 / ((last - first) as f64 / 1e6))
    }

    /// The latencies from decision to first arrival.
    pub(crate) fn latencies(&self) -> Latencies {
        let mut latencies = Latencies::default();
        self.arrivals.iter().for_each(|one| latencies.add(one.at - one.decided));
        latencies
    }
}
