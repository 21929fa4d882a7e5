//! Linux's figures about processes: CPU time, memory, and whether the machine is busy. On other systems all of them are
//! unknown.

use std::fs::{read_dir, read_to_string};
use std::time::Duration;

use tokio::time::{Instant, sleep};

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
    let stat = read_to_string("/proc/stat").ok()?;
    // user nice system idle iowait irq softirq steal; the later fields are contained in the first two.
    let fields: Vec<f64> = stat.lines().next()?.split_whitespace().skip(1).take(8).flat_map(str::parse).collect();
    Some(fields.iter().sum::<f64>() - fields.get(3)? - fields.get(4)?)
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
