//! Partners on the connector recipe against running replicas, which are killed, cut from their database and from NATS.
//!
//! Then two address books, on two servers, with a bridge each: once edited directly, once behind vdirsyncer.
//!
//! Seeds run in groups: those of one group at once on the same replicas.
//!
//! `cargo test --test converge` is the short run; `make converge SEEDS=1000` and `make carddav EDITS=500` are long ones. The
//! last line is a JSON object; of the partners it has `seeds`, `events`, `faults`, `failures`. `--only mutations` breaks the
//! rules of the recipe one by one instead, and fails where an invariant does not break.
#![cfg(test)]

mod books;
mod channels;
mod fleet;
mod group;
mod races;
mod radicale;

#[expect(dead_code, unreachable_pub, unused_imports, reason = "its rules and its simulation are tested in tests/it")]
#[path = "../../examples/connector/mod.rs"]
mod connector;
#[expect(dead_code, unused_imports, reason = "the parts that tests/it shares")]
#[path = "../it/support/mod.rs"]
mod support;
#[expect(dead_code, unused_imports, reason = "its rules are tested in tests/it")]
#[path = "../../examples/carddav/vcard/mod.rs"]
mod vcard;

use std::collections::BTreeMap;
use std::ops::Range;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use connector::tests::{MUTATIONS, Mutation};
use fleet::Fleet;
use group::Group;
use serde_json::json;
use support::instant;

/// Synchronises partners with running replicas until they have come to rest, and checks the invariants.
#[derive(Debug, Parser)]
struct Arguments {
    /// Runs, each with an account of its own.
    #[arg(long, default_value_t = 3)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Runs at once, which share the replicas and their faults.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..))]
    group: u64,
    /// Steps of a run.
    #[arg(long, default_value_t = 150)]
    steps: usize,
    /// Edits of address books.
    #[arg(long, default_value_t = 40)]
    edits: u64,
    /// Rounds of races.
    #[arg(long, default_value_t = 20)]
    rounds: u64,
    /// Run only this part.
    #[arg(long)]
    only: Option<Part>,
    /// For test runners: a filter of names.
    filter: Option<String>,
}

/// A part of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Two address books and two bridges.
    Carddav,
    /// The same, behind folders that vdirsyncer synchronises.
    Vdirsyncer,
    /// Upserts of one reference, by HTTP and by NATS.
    Races,
    /// Partners on the recipe.
    Partners,
    /// Partners that break its rules one by one, each within `--seeds` runs. Runs only when it is asked for.
    Mutations,
}

fn main() -> ExitCode {
    let given: Vec<String> = std::env::args().collect();
    let has = |flag: &str| given.iter().any(|argument| argument == flag);
    if has("--list") {
        // Test runners list a program's tests before they run them.
        println!("{}", if has("--ignored") { "" } else { "partners_converge: test" });
        return ExitCode::SUCCESS;
    }
    let of_runners = ["--exact", "--nocapture", "--quiet", "-q"];
    let own = given.into_iter().filter(|argument| !of_runners.contains(&argument.as_str()));
    let arguments = Arguments::parse_from(own);
    if arguments.filter.as_ref().is_some_and(|filter| !"partners_converge".contains(filter.as_str())) {
        return ExitCode::SUCCESS;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let failures = runtime.block_on(async {
        let fleet = Fleet::start().await;
        let is_on = |part| arguments.only.is_none_or(|only| only == part);
        let mut failures = 0;
        for (part, has_folders) in [(Part::Carddav, false), (Part::Vdirsyncer, true)] {
            if is_on(part) {
                let figures = books::run(&fleet, arguments.edits, arguments.from, has_folders).await;
                let books::Figures { edits, events, kills, rounds, cards } = figures;
                let figures =
                    json!({"edits": edits, "events": events, "kills": kills, "rounds": rounds, "cards": cards});
                println!("{part:?}: {figures}");
            }
        }
        if is_on(Part::Races) {
            let races::Figures { rounds, records, created_by_http, created_by_nats } =
                races::run(&fleet, arguments.rounds).await;
            let created = json!({"http": created_by_http, "nats": created_by_nats});
            println!("{}", json!({"rounds": rounds, "records": records, "created_by": created}));
        }
        if arguments.only == Some(Part::Mutations) {
            failures += mutate(&fleet, &arguments).await;
        } else if is_on(Part::Partners) {
            failures += run(&fleet, &arguments).await;
        }
        fleet.stop().await;
        failures
    });
    if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn run(fleet: &Arc<Fleet>, arguments: &Arguments) -> u64 {
    let (mut events, mut faults, mut failures) = (0, 0, 0);
    for seeds in arguments.groups() {
        let (done, began) = (seeds.end - arguments.from, instant());
        let group = Group { seeds, steps: arguments.steps, mutation: None };
        let tally = group.run(fleet).await;
        (events, faults) = (events + tally.events, faults + tally.faults);
        for (seed, failure) in tally.failures {
            failures += 1;
            println!("seed {seed} breaks {:?}: {}", failure.invariant, failure.detail);
            println!("to run its group again: cargo test --test converge -- {}", group.arguments());
        }
        let seconds = began.elapsed().as_secs();
        eprintln!(
            "{done} seeds, {events} events, {faults} faults, {failures} failures; {seconds} s for the last group"
        );
    }
    println!("{}", json!({"seeds": arguments.seeds, "events": events, "faults": faults, "failures": failures}));
    failures
}

/// Runs each mutation until its invariant breaks.
async fn mutate(fleet: &Arc<Fleet>, arguments: &Arguments) -> u64 {
    let mut failures = 0;
    for (mutation, invariant) in MUTATIONS {
        match breaks(fleet, arguments, mutation, invariant).await {
            Ok(seed) => println!("{mutation:?} breaks {invariant:?} with seed {seed}"),
            Err(others) => {
                failures += 1;
                println!("{mutation:?} does not break {invariant:?}, but {others:?}");
            }
        }
    }
    println!("{}", json!({"mutations": MUTATIONS.len(), "unnoticed": failures}));
    failures
}

/// The first seed that breaks the invariant, or the invariants that were broken instead, by seed.
async fn breaks(
    fleet: &Arc<Fleet>,
    arguments: &Arguments,
    mutation: Mutation,
    invariant: &str,
) -> Result<u64, BTreeMap<u64, &'static str>> {
    let mut others = BTreeMap::new();
    for seeds in arguments.groups() {
        let group = Group { seeds, steps: arguments.steps, mutation: Some(mutation) };
        let failures = group.run(fleet).await.failures;
        if let Some((seed, _)) = failures.iter().find(|(_, failure)| failure.invariant == invariant) {
            return Ok(*seed);
        }
        others.extend(failures.into_iter().map(|(seed, failure)| (seed, failure.invariant)));
    }
    Err(others)
}

impl Arguments {
    fn groups(&self) -> impl Iterator<Item = Range<u64>> {
        let end = self.from + self.seeds;
        let size = usize::try_from(self.group).expect("a group fits into memory");
        (self.from..end).step_by(size).map(move |start| start..end.min(start + self.group))
    }
}

/// The example `carddav`, made anew where it is older than its sources.
fn bridge() -> &'static std::path::Path {
    static BRIDGE: std::sync::OnceLock<std::path::PathBuf> = std::sync::OnceLock::new();
    BRIDGE.get_or_init(|| {
        // deps/converge-… lies beside examples/carddav.
        let own = std::env::current_exe().unwrap();
        let profile = own.parent().and_then(std::path::Path::parent).unwrap();
        let mut build = std::process::Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--locked", "--example", "carddav", "--target-dir"]);
        build.arg(profile.parent().unwrap());
        if profile.ends_with("release") {
            build.arg("--release");
        }
        let status = build.current_dir(env!("CARGO_MANIFEST_DIR")).status().unwrap();
        assert!(status.success(), "the example carddav cannot be built");
        profile.join("examples/carddav")
    })
}
