//! Linux's figures about processes: CPU time, memory, and whether the machine is busy. On other systems all of them are
//! unknown.

use std::fs::{read_dir, read_to_string};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::time::{Instant, sleep};

use crate::database;
use crate::service::Service;
use crate::tally::median;

/// The unit of times in `/proc`, which is 1/100 s on every Linux (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;
const INTERVAL: Duration = Duration::from_millis(500);
/// The measured processes are quiet when they use less than this share of a core.
const QUIET: f64 = 0.1;

/// The final state that [`settle`] saw, in cores.
pub(crate) struct Use {
    /// Whether the measured processes became quiet.
    pub(crate) quiet: bool,
    /// The usage of all other processes meanwhile.
    pub(crate) others: f64,
}

/// Waits until the work after the last load (relay, vacuum, checkpoint) is done, at most `limit`. `root` is the
/// service; its Postgres and its NATS are its children. Without a `root` the whole machine counts.
pub(crate) async fn settle(root: Option<u32>, limit: Duration) -> Option<Use> {
    let until = Instant::now() + limit;
    loop {
        let (all_before, ours_before) = (busy_ticks()?, family_ticks(root));
        sleep(INTERVAL).await;
        let per_core = INTERVAL.as_secs_f64() * TICKS_PER_SECOND;
        let all = (busy_ticks()? - all_before) / per_core;
        let ours = ours_before.zip(family_ticks(root)).map(|(before, after)| (after - before) / per_core);
        let quiet = ours.unwrap_or(all) < QUIET;
        if quiet || Instant::now() > until {
            return Some(Use { quiet, others: (all - ours.unwrap_or_default()).max(0.0) });
        }
    }
}

/// The busy ticks of all cores.
fn busy_ticks() -> Option<f64> {
    let fields = cpu_fields()?;
    Some(fields.iter().sum::<f64>() - fields.get(3)? - fields.get(4)?)
}

/// The ticks of all cores: user nice system idle iowait irq softirq steal. The later fields are contained in the first
/// two.
fn cpu_fields() -> Option<Vec<f64>> {
    let stat = read_to_string("/proc/stat").ok()?;
    Some(stat.lines().next()?.split_whitespace().skip(1).take(8).flat_map(str::parse).collect())
}

/// The ticks of a process and of all its descendants.
fn family_ticks(root: Option<u32>) -> Option<f64> {
    let mut ticks = Stat::of(root?)?.with_ended_children();
    let mut parents = vec![root?];
    let mut rest = Stat::of_all();
    while !parents.is_empty() {
        let (children, others): (Vec<_>, Vec<_>) = rest.into_iter().partition(|stat| parents.contains(&stat.parent));
        ticks += children.iter().map(Stat::with_ended_children).sum::<f64>();
        parents = children.iter().map(|stat| stat.pid).collect();
        rest = others;
    }
    Some(ticks)
}

/// Resident memory of a process in MB (10⁶ bytes).
pub(crate) fn resident_mb(pid: u32) -> Option<f64> {
    let status = read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: f64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1.024 / 1_000.0)
}

/// The processes whose CPU time a load is charged with. The service's Postgres and NATS are its children.
#[derive(Clone, Copy)]
pub(crate) struct Processes {
    pub(crate) service: u32,
    pub(crate) postmaster: u32,
}

impl Processes {
    /// `None` where the service's pid is unknown, or its Postgres does not run on this machine.
    pub(crate) async fn of(service: &Service) -> Result<Option<Self>> {
        let postmaster = postmaster(&service.urls.database).await?;
        Ok(service.pid.zip(postmaster).map(|(service, postmaster)| Self { service, postmaster }))
    }
}

/// The pid of a server's postmaster, if it runs on this machine.
async fn postmaster(url: &str) -> Result<Option<u32>> {
    let row = database::connect(url).await?.query_one("SELECT pg_backend_pid()", &[]).await;
    let backend: i32 = row.and_then(|row| row.try_get(0)).context("reading a backend's pid")?;
    Ok(u32::try_from(backend).ok().and_then(parent))
}

/// CPU seconds since each process started.
#[derive(Clone, Copy)]
pub(crate) struct CpuSeconds {
    pub(crate) service: f64,
    pub(crate) postgres: f64,
    /// All other children of the service.
    pub(crate) nats: f64,
    /// This process.
    pub(crate) generator: f64,
}

impl CpuSeconds {
    pub(crate) fn read(processes: Processes) -> Option<Self> {
        let service = cpu_seconds(processes.service)?;
        let postgres = cpu_seconds_of_family(processes.postmaster)?;
        let all = cpu_seconds_of_family(processes.service)?;
        let nats = (all - service - postgres).max(0.0);
        Some(Self { service, postgres, nats, generator: cpu_seconds(std::process::id())? })
    }

    /// The microseconds per operation since an earlier reading.
    pub(crate) fn micros_per(&self, before: &Self, operations: u64) -> CpuMicros {
        let per = |now: f64, then: f64| (now - then) * 1e6 / operations.max(1) as f64;
        CpuMicros {
            service: per(self.service, before.service),
            postgres: per(self.postgres, before.postgres),
            nats: per(self.nats, before.nats),
            generator: per(self.generator, before.generator),
        }
    }
}

/// CPU microseconds per operation.
#[derive(Clone, Copy)]
pub(crate) struct CpuMicros {
    pub(crate) service: f64,
    pub(crate) postgres: f64,
    pub(crate) nats: f64,
    pub(crate) generator: f64,
}

impl CpuMicros {
    /// The median of each process; `None` without a measurement.
    pub(crate) fn medians(measured: impl IntoIterator<Item = Self>) -> Option<Self> {
        let measured: Vec<Self> = measured.into_iter().collect();
        let of = |process: fn(&Self) -> f64| median(measured.iter().map(process));
        Some(Self {
            service: of(|cpu| cpu.service)?,
            postgres: of(|cpu| cpu.postgres)?,
            nats: of(|cpu| cpu.nats)?,
            generator: of(|cpu| cpu.generator)?,
        })
    }
}

impl std::fmt::Display for CpuMicros {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { service, postgres, nats, generator } = self;
        write!(f, "CPU µs: service {service:.0}, Postgres {postgres:.0}, NATS {nats:.0}, generator {generator:.0}")
    }
}

/// The ticks of all cores since the machine started.
#[derive(Clone, Copy)]
pub(crate) struct MachineTicks {
    idle: f64,
    all: f64,
}

impl MachineTicks {
    pub(crate) fn read() -> Option<Self> {
        let fields = cpu_fields()?;
        Some(Self { idle: fields.get(3)? + fields.get(4)?, all: fields.iter().sum() })
    }

    /// The share of the cores' time that was idle since an earlier reading.
    pub(crate) fn idle_share(&self, before: &Self) -> f64 {
        (self.idle - before.idle) / (self.all - before.all).max(1.0)
    }
}

/// CPU seconds of a process in all its threads.
pub(crate) fn cpu_seconds(pid: u32) -> Option<f64> {
    Stat::of(pid).map(|stat| stat.own / TICKS_PER_SECOND)
}

/// CPU seconds of a Postgres server: the postmaster, its children, and those of its children that have ended.
pub(crate) fn cpu_seconds_of_family(postmaster: u32) -> Option<f64> {
    family_ticks(Some(postmaster)).map(|ticks| ticks / TICKS_PER_SECOND)
}

/// The parent of a process.
pub(crate) fn parent(pid: u32) -> Option<u32> {
    Stat::of(pid).map(|stat| stat.parent)
}

/// The used fields of `/proc/PID/stat`; see proc(5).
struct Stat {
    pid: u32,
    parent: u32,
    own: f64,
    ended_children: f64,
}

impl Stat {
    fn of(pid: u32) -> Option<Self> {
        let stat = read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name stands in parentheses and may contain any character, so the fields are counted from the closing one.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
        let parent = fields.get(1)?.parse().ok()?;
        Some(Self { pid, parent, own: ticks(11)? + ticks(12)?, ended_children: ticks(13)? + ticks(14)? })
    }

    fn of_all() -> Vec<Self> {
        let entries = read_dir("/proc").into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter_map(Self::of).collect()
    }

    fn with_ended_children(&self) -> f64 {
        self.own + self.ended_children
    }
}
