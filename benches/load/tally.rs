//! The results of a load: responses by status, failures by kind, latencies.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// Latencies in microseconds. A run has a million of them at most, so all are kept and sorted at the end.
#[derive(Default, Clone)]
pub(crate) struct Latencies(Vec<u32>);

impl Latencies {
    pub(crate) fn add(&mut self, micros: i64) {
        // A clock that was set back gives a negative latency, which counts as zero.
        self.0.push(u32::try_from(micros.max(0)).unwrap_or(u32::MAX));
    }

    pub(crate) fn merge(&mut self, other: &mut Self) {
        self.0.append(&mut other.0);
    }

    /// The latencies at these shares (0.5 is the median), in milliseconds, by nearest rank.
    pub(crate) fn at(&mut self, shares: &[f64]) -> Vec<Option<f64>> {
        self.0.sort_unstable();
        let rank = |share: f64| ((self.0.len() as f64 * share).ceil() as usize).saturating_sub(1);
        shares.iter().map(|share| self.0.get(rank(*share)).map(|micros| f64::from(*micros) / 1_000.0)).collect()
    }
}

/// The sum of one load.
#[derive(Default)]
pub(crate) struct Tally {
    /// The expected status of the responses.
    pub(crate) expected: u16,
    /// Every response of the load by its status, including the warm-up.
    pub(crate) statuses: BTreeMap<u16, u64>,
    /// Requests whose connection broke before the response.
    pub(crate) cut: u64,
    /// Requests without a response before the timeout.
    pub(crate) timed_out: u64,
    /// Attempts to connect that failed.
    pub(crate) unreachable: u64,
    /// Arrivals that were given up because nothing could be sent for seconds.
    pub(crate) shed: u64,
    /// Requests with the expected response between the end of the warm-up and the end of the load.
    pub(crate) measured: u64,
    pub(crate) length: Duration,
    /// From the intended start of each measured request to its response.
    pub(crate) latencies: Latencies,
}

impl Tally {
    pub(crate) fn merge(&mut self, mut other: Self) {
        for (status, count) in other.statuses {
            *self.statuses.entry(status).or_default() += count;
        }
        self.cut += other.cut;
        self.timed_out += other.timed_out;
        self.unreachable += other.unreachable;
        self.shed += other.shed;
        self.measured += other.measured;
        self.latencies.merge(&mut other.latencies);
    }

    /// All requests with the expected response: of creates, the contacts created.
    pub(crate) fn created(&self) -> u64 {
        self.statuses.get(&self.expected).copied().unwrap_or_default()
    }

    pub(crate) fn per_second(&self) -> f64 {
        self.measured as f64 / self.length.as_secs_f64()
    }
}

/// All results other than the expected response, as one remark: empty when there are none.
impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (status, count) in self.statuses.iter().filter(|(status, _)| **status != self.expected) {
            write!(f, ", {count} × status {status}")?;
        }
        let failures = [
            (self.cut, "cut"),
            (self.timed_out, "timed out"),
            (self.unreachable, "could not connect"),
            (self.shed, "not sent"),
        ];
        for (count, label) in failures.iter().filter(|(count, _)| *count > 0) {
            write!(f, ", {count} × {label}")?;
        }
        Ok(())
    }
}

/// The middle one; of an even number the lower of the two in the middle.
pub(crate) fn median(figures: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut figures: Vec<f64> = figures.into_iter().collect();
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len().saturating_sub(1) / 2).copied()
}
