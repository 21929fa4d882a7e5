//! Latency from the decision of a write to its arrival at a subscriber and at a webhook receiver, at half of the
//! maximum rate.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;

use crate::Bench;
use crate::args::Part;
use crate::arrivals::Arrivals;
use crate::figures::say;
use crate::generator::{self, Load};
use crate::receiver::{self, Endpoints};
use crate::rounds::settle;
use crate::subscriber;
use crate::tally::Latencies;

/// An event counts as missing when none has arrived for this long.
const IDLE_TIMEOUT: Duration = Duration::from_secs(5);

pub(crate) async fn measure(bench: &mut Bench) -> Result<()> {
    if !bench.args.runs(Part::Latency) {
        return Ok(());
    }
    let rate = half_of_maximum(bench).await?;
    let accounts = bench.accounts.get(bench.many_accounts()).unwrap_or_default().to_vec();

    settle(bench).await;
    let subscriber = subscriber::start(&bench.service.urls.nats, &accounts).await?;
    let (http, nats) = observe(bench, rate, &subscriber.arrivals, "NATS subscriber").await?;
    subscriber.stop()?;
    bench.figures.http_p99_ms = http;
    bench.figures.nats_p99_ms = nats;

    let (receiver, address) = receiver::start(Arc::default()).await?;
    let endpoints = Endpoints::make(&bench.generator.target, &accounts, address).await?;
    settle(bench).await;
    let observed = observe(bench, rate, &receiver.arrivals, "webhook receiver").await;
    endpoints.delete().await?;
    receiver.stop()?;
    let (http, push) = observed?;
    bench.figures.http_p99_push_ms = http;
    bench.figures.push_p99_ms = push;
    Ok(())
}

async fn half_of_maximum(bench: &Bench) -> Result<f64> {
    if let Some(rate) = bench.args.rate {
        return Ok(rate);
    }
    if let Some(maximum) = bench.figures.creates_100 {
        return Ok(maximum / 2.0);
    }
    let load = Load { warm_up: bench.args.warm_up(), ..Load::new(64, bench.many_accounts(), bench.args.length()) };
    let maximum = generator::run(&bench.generator, &load).await?.per_second();
    say(&format!("the maximum, 64 connections: {maximum:.0}/s"));
    Ok(maximum / 2.0)
}

/// Loads at a fixed rate with a reader. Returns the p99 of the responses and of the arrivals.
async fn observe(bench: &Bench, rate: f64, arrivals: &Arrivals, who: &str) -> Result<(Option<f64>, Option<f64>)> {
    let load = Load { rate: Some(rate), ..Load::new(64, bench.many_accounts(), bench.args.length()) };
    let mut tally = generator::run(&bench.generator, &load).await?;
    arrivals.wait_for(tally.created(), IDLE_TIMEOUT).await;
    let (created, received) = (tally.created(), arrivals.events());
    say(&format!("{rate:.0} creates/s offered, intended start → 201: {}{tally}", percentiles(&mut tally.latencies)));
    let mut latencies = arrivals.latencies();
    say(&format!(
        "         decide + commit → {who}: {}; {received} of {created} events received",
        percentiles(&mut latencies)
    ));
    if arrivals.unreadable() > 0 {
        say(&format!("         {} arrivals were not CloudEvents", arrivals.unreadable()));
    }
    let p99 = |latencies: &mut Latencies| latencies.at(&[0.99]).first().copied().flatten();
    // A percentile over the arrived events is meaningless when events are missing.
    let arrived = if received >= created { p99(&mut latencies) } else { None };
    Ok((p99(&mut tally.latencies), arrived))
}

fn percentiles(latencies: &mut Latencies) -> String {
    let shown = latencies.at(&[0.5, 0.9, 0.99, 0.999, 1.0]);
    let names = ["p50", "p90", "p99", "p99.9", "max"];
    let parts = names.iter().zip(shown).map(|(name, ms)| format!("{name} {:.1} ms", ms.unwrap_or_default()));
    parts.collect::<Vec<_>>().join(", ")
}
