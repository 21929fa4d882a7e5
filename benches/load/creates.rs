//! Only creates, for crash tests: an operator kills parts of the service meanwhile, and verifies the receipts
//! afterwards.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;

use crate::Bench;
use crate::args::Part;
use crate::arrivals::Arrivals;
use crate::figures::say;
use crate::generator::{self, Load};
use crate::receiver::{self, Endpoints};

/// The longest pause between deliveries: a retry after an outage comes within seconds.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

pub(crate) async fn run(bench: &Bench) -> Result<()> {
    if !bench.args.runs(Part::Creates) {
        return Ok(());
    }
    let Some(path) = &bench.args.hooks else {
        return load(bench).await.map(drop);
    };
    let accounts = bench.accounts.get(bench.many_accounts()).unwrap_or_default();
    let (receiver, address) = receiver::start(Arc::new(Arrivals::copied_to(path)?)).await?;
    let endpoints = Endpoints::make(&bench.generator.target, accounts, address).await?;
    let created = load(bench).await?;
    receiver.arrivals.wait_for(created, IDLE_TIMEOUT).await;
    say(&format!("webhooks: {} different events received", receiver.arrivals.events()));
    endpoints.delete().await?;
    receiver.stop()
}

/// Returns the number of creates that were answered 201.
async fn load(bench: &Bench) -> Result<u64> {
    let load =
        Load { rate: bench.args.rate, ..Load::new(bench.args.connections, bench.many_accounts(), bench.args.length()) };
    let tally = generator::run(&bench.generator, &load).await?;
    say(&format!("creates: {} answered 201, {:.0}/s{tally}", tally.created(), tally.per_second()));
    Ok(tally.created())
}
