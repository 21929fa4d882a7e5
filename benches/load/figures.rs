//! The results, as a table for people and as one line of JSON for programs.

use serde_json::json;

use crate::machine::CpuMicros;
pub(crate) use crate::table::say;
use crate::table::{self, rate, rounded, row, shown, unit};

/// Fields that were not measured are `None`.
#[derive(Default)]
pub(crate) struct Figures {
    pub(crate) creates_100: Option<f64>,
    pub(crate) creates_1: Option<f64>,
    pub(crate) creates_256: Option<f64>,
    pub(crate) pgbench: Option<f64>,
    pub(crate) jetstream: Option<f64>,
    pub(crate) cpu_of_create: Option<CpuMicros>,
    /// Idle time of all cores ÷ their whole time, at 256 connections.
    pub(crate) idle_share_256: Option<f64>,
    pub(crate) http_p99_ms: Option<f64>,
    /// The same while each account has a webhook.
    pub(crate) http_p99_push_ms: Option<f64>,
    pub(crate) nats_p99_ms: Option<f64>,
    pub(crate) push_p99_ms: Option<f64>,
    pub(crate) growth: Option<Growth>,
    pub(crate) reads: Option<f64>,
    pub(crate) cpu_of_read: Option<CpuMicros>,
    pub(crate) pgbench_selects: Option<f64>,
    pub(crate) list_p99_ms: Option<f64>,
    pub(crate) meta_p99_ms: Option<f64>,
    pub(crate) rss_mb: Option<f64>,
    /// The number of events in the log at which the memory was read.
    pub(crate) rss_at: &'static str,
}

/// The cost of a create with a small and with a large log.
pub(crate) struct Growth {
    pub(crate) cpu_micros_small: Option<f64>,
    pub(crate) cpu_micros_large: Option<f64>,
    pub(crate) rate_small: f64,
    pub(crate) rate_large: f64,
    /// Events in the log when the first measurement began and when the last one did.
    pub(crate) events_small: u64,
    pub(crate) events_large: u64,
}

impl Growth {
    fn cpu_ratio(&self) -> Option<f64> {
        Some(self.cpu_micros_large? / self.cpu_micros_small?)
    }

    fn time_ratio(&self) -> f64 {
        self.rate_small / self.rate_large
    }
}

impl Figures {
    fn ratio(&self, ours: Option<f64>) -> Option<f64> {
        Some(ours? / self.pgbench?)
    }

    fn read_ratio(&self) -> Option<f64> {
        Some(self.reads? / self.pgbench_selects?)
    }

    /// Prints the table, then the JSON.
    pub(crate) fn print(&self) {
        table::print(&self.rows());
        say(&self.json().to_string());
    }

    fn rows(&self) -> Vec<[String; 6]> {
        let creates = |label: &str, ours: Option<f64>, target: &str, aim: &str| {
            row([label, &rate(ours), &rate(self.pgbench), &shown(self.ratio(ours), 2), target, aim])
        };
        let latency = |label: &str, ours: Option<f64>, target: &str, aim: &str| {
            row([label, &unit(ours, 1, "ms"), "", "", target, aim])
        };
        let micros = |label: &str, ours: Option<f64>, target: &str, aim: &str| {
            row([label, &unit(ours, 0, "µs"), "", "", target, aim])
        };
        let mut rows = vec![
            creates("creates/s, 64 connections, 100 accounts ÷ pgbench, 64 clients", self.creates_100, "≥ 0.75", "1.0"),
            creates("creates/s, 64 connections, 1 account ÷ the same", self.creates_1, "≥ 0.75", "1.0"),
            creates("creates/s, 256 connections, 100 accounts ÷ the same", self.creates_256, "≥ 1.0", "1.5"),
            micros(
                "CPU per create, 64 connections: the service",
                self.cpu_of_create.map(|cpu| cpu.service),
                "≤ 50 µs",
                "35 µs",
            ),
            micros("the same: Postgres", self.cpu_of_create.map(|cpu| cpu.postgres), "≤ 55 µs", "40 µs"),
            micros("the same: NATS", self.cpu_of_create.map(|cpu| cpu.nats), "", ""),
            micros("the same: the generator", self.cpu_of_create.map(|cpu| cpu.generator), "", ""),
            row([
                "idle share of the machine, 256 connections",
                &unit(self.idle_share_256.map(|share| share * 100.0), 0, "%"),
                "",
                "",
                "≤ 8 %",
                "3 %",
            ]),
            row(["bare JetStream publish/s (for reference)", "", &rate(self.jetstream), "", "", ""]),
            latency("intended start → 201, p99 at half of the maximum", self.http_p99_ms, "≤ 15 ms", "8 ms"),
            latency("the same with a webhook of every account", self.http_p99_push_ms, "≤ 30 ms", "12 ms"),
            latency(
                "decide + commit → NATS subscriber, p99 at half of the maximum",
                self.nats_p99_ms,
                "≤ 10 ms",
                "5 ms",
            ),
            latency("decide + commit → webhook receiver, p99 likewise", self.push_p99_ms, "≤ 40 ms", "10 ms"),
        ];
        rows.extend(self.growth.iter().flat_map(Growth::rows));
        if let (Some(reads), Some(limit)) = (self.reads, self.pgbench_selects) {
            let label = "GET /contact/{uid} per s, 64 connections, quota enforced ÷ pgbench select-only";
            let ratio = shown(self.read_ratio(), 2);
            rows.push(row([label, &rate(Some(reads)), &rate(Some(limit)), &ratio, "≥ 0.4", "0.6"]));
            rows.push(micros("CPU per GET: the service", self.cpu_of_read.map(|cpu| cpu.service), "", ""));
            rows.push(micros("the same: Postgres", self.cpu_of_read.map(|cpu| cpu.postgres), "", ""));
        }
        if self.list_p99_ms.is_some() {
            rows.push(latency("page 1 of 100 k contacts, 200/s, p99", self.list_p99_ms, "≤ 10 ms", "3 ms"));
        }
        if self.meta_p99_ms.is_some() {
            rows.push(latency("/contact/meta, 200 custom fields, 200/s, p99", self.meta_p99_ms, "≤ 5 ms", "1 ms"));
        }
        let rss = format!("resident memory of the service {}", self.rss_at);
        rows.push(row([&rss, &unit(self.rss_mb, 0, "MB"), "", "", "≤ 90 MB", "60 MB"]));
        rows
    }

    fn json(&self) -> serde_json::Value {
        let whole = |figure: Option<f64>| figure.map(|figure| figure.round() as i64);
        let mut json = json!({
            "creates_per_s_100": whole(self.creates_100),
            "creates_per_s_1": whole(self.creates_1),
            "creates_per_s_256": whole(self.creates_256),
            "pgbench_tps_64": whole(self.pgbench),
            "ratio_100": rounded(self.ratio(self.creates_100), 3),
            "ratio_1": rounded(self.ratio(self.creates_1), 3),
            "ratio_256": rounded(self.ratio(self.creates_256), 3),
            "jetstream_per_s": whole(self.jetstream),
            "cpu_us_service": rounded(self.cpu_of_create.map(|cpu| cpu.service), 1),
            "cpu_us_postgres": rounded(self.cpu_of_create.map(|cpu| cpu.postgres), 1),
            "cpu_us_nats": rounded(self.cpu_of_create.map(|cpu| cpu.nats), 1),
            "cpu_us_generator": rounded(self.cpu_of_create.map(|cpu| cpu.generator), 1),
            "idle_share_256": rounded(self.idle_share_256, 3),
            "http_p99_ms": rounded(self.http_p99_ms, 2),
            "http_p99_push_ms": rounded(self.http_p99_push_ms, 2),
            "nats_p99_ms": rounded(self.nats_p99_ms, 2),
            "push_p99_ms": rounded(self.push_p99_ms, 2),
            "reads_per_s_64": whole(self.reads),
            "cpu_us_read_service": rounded(self.cpu_of_read.map(|cpu| cpu.service), 1),
            "cpu_us_read_postgres": rounded(self.cpu_of_read.map(|cpu| cpu.postgres), 1),
            "pgbench_select_tps_64": whole(self.pgbench_selects),
            "ratio_reads": rounded(self.read_ratio(), 3),
            "list_p99_ms": rounded(self.list_p99_ms, 2),
            "meta_p99_ms": rounded(self.meta_p99_ms, 2),
            "rss_mb": rounded(self.rss_mb, 1),
        });
        if let (Some(growth), Some(json)) = (&self.growth, json.as_object_mut()) {
            json.insert("cost_ratio_1m".to_owned(), json!(rounded(growth.cpu_ratio(), 3)));
            json.insert("time_ratio_1m".to_owned(), json!(rounded(Some(growth.time_ratio()), 3)));
            json.insert("events_1m".to_owned(), json!(growth.events_large));
        }
        json
    }
}

impl Growth {
    fn rows(&self) -> [[String; 6]; 2] {
        let (small, large) = (self.events_small, self.events_large);
        let cpu = format!("CPU of service and Postgres per create at {large} events ÷ at {small}");
        let time = format!("1 ÷ creates/s, 64 connections, at {large} events ÷ at {small}");
        [
            row([
                &cpu,
                &unit(self.cpu_micros_large, 0, "µs"),
                &unit(self.cpu_micros_small, 0, "µs"),
                &shown(self.cpu_ratio(), 2),
                "≤ 1.3",
                "1.05",
            ]),
            row([
                &time,
                &rate(Some(self.rate_large)),
                &rate(Some(self.rate_small)),
                &shown(Some(self.time_ratio()), 2),
                "≤ 1.3",
                "1.05",
            ]),
        ]
    }
}
