//! Reads: one contact by its uid, alternating with pgbench on the same rows; the first page of a hundred thousand; and
//! the attributes of an account with two hundred custom fields.
//!
//! Uses its own service, so that its tables hold these contacts alone. The contacts are inserted by SQL; their records
//! are copies of one that the service made.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::time::sleep;

use crate::accounts::{self, Account};
use crate::args::{Args, Part};
use crate::connection::Connection;
use crate::contact::{Creates, Target};
use crate::figures::{Figures, say};
use crate::generator::{self, Generator, Load, Requests};
use crate::machine::{CpuMicros, CpuSeconds, Processes};
use crate::pgbench::{CLIENTS, Pgbench};
use crate::service::Service;
use crate::tally::{Tally, median};
use crate::{Bench, arrivals, database, machine};

const ACCOUNTS: usize = 500;
const CONTACTS: u32 = 100_000;
const CONNECTIONS: usize = 64;
const LIST_CONNECTIONS: usize = 8;
/// Pages per second.
const LIST_RATE: f64 = 200.0;
const CUSTOM_FIELDS: i32 = 200;
const SETTLE: Duration = Duration::from_secs(15);

/// Contacts of the accounts in turn; the last account alone has as many as all others together.
const FILL: &str = "INSERT INTO contact (account_id, uid, version, key, role, deleted, created_at, updated_at, record)
    SELECT ($1::text[])[1 + n % cardinality($1)]::uuid, lpad(n::text, 32, '0')::uuid, 1, 'w.' || n || '@load.example',
        'Lead', false, now(), now(), $3 FROM generate_series(1, $2::int) AS n";
const COUNT: &str = "UPDATE head h SET live = json_build_object('contact',
    (SELECT count(*) FROM contact c WHERE c.account_id = h.account_id AND NOT c.deleted))";

const FIELDS: &str = "INSERT INTO custom_field (account_id, uid, version, key, deleted, created_at, updated_at, record)
    SELECT $1::text::uuid, lpad(n::text, 32, '0')::uuid, 1, 'contact/field ' || n, false, now(), now(),
        json_build_object('uid', lpad(n::text, 32, '0')::uuid, 'entity', 'contact', 'type', 'dropdown',
            'name', 'Field ' || n, 'description', 'What this field of the account is for, in a sentence.',
            'allowed_values', array['Red', 'Green', 'Blue'], 'active', true, 'created', '2026-11-24T03:00:00+00:00',
            'updated', '2026-11-24T03:00:00+00:00', 'version', 1, 'deleted', false, 'refs', '{}'::text[],
            'field_seq', '{}'::json)::text
    FROM generate_series(1, $2::int) AS n";

/// A service with contacts to read.
struct FilledService {
    target: Target,
    accounts: Vec<Account>,
    pgbench: Pgbench,
    pid: Option<u32>,
    processes: Option<Processes>,
}

pub(crate) async fn measure(bench: &mut Bench) -> Result<()> {
    if !bench.args.runs(Part::Reads) {
        return Ok(());
    }
    let own = match &bench.args.env_file {
        Some(_) => None,
        None => Some(Service::start("reads").await?),
    };
    let measured = measure_on(own.as_ref().unwrap_or(&bench.service), &bench.args, &mut bench.figures).await;
    if let Some(own) = own {
        own.stop().await?;
    }
    measured
}

async fn measure_on(service: &Service, args: &Args, figures: &mut Figures) -> Result<()> {
    let filled = FilledService::fill(service).await?;
    let reads = filled.reads();
    let (mut limits, mut rates, mut costs) = (Vec::new(), Vec::new(), Vec::new());
    for number in 1..=args.rounds() {
        filled.settle().await;
        let accounts = u32::try_from(ACCOUNTS).context("accounts")?;
        let limit = filled.pgbench.selects_per_second(accounts, CONTACTS, args.length()).await?;
        say(&format!("round {number}: pgbench select-only, {CLIENTS} clients: {limit:.0}/s"));
        filled.settle().await;
        let load = Load::new(CONNECTIONS, 0..CONTACTS as usize, args.length());
        let before = filled.cpu();
        let mut tally = generator::run(&reads, &Load { warm_up: args.warm_up(), ..load }).await?;
        let cpu = before.zip(filled.cpu()).map(|(before, now)| now.micros_per(&before, tally.created()));
        let rate = tally.per_second();
        say(&format!(
            "         service, {CONNECTIONS} connections: {rate:.0}/s ({:.2}), {}; {}",
            rate / limit,
            shown(&mut tally),
            cpu.map_or_else(|| "CPU unknown".to_owned(), |cpu| cpu.to_string())
        ));
        costs.extend(cpu);
        limits.push(limit);
        rates.push(rate);
    }
    let listed = p99_of(&filled, args, "/contacts", &format!("page 1 of {CONTACTS} contacts")).await;
    let meta = p99_of(&filled, args, "/contact/meta", &format!("/contact/meta of {CUSTOM_FIELDS} custom fields")).await;
    filled.pgbench.finish().await?;
    figures.pgbench_selects = median(limits);
    figures.reads = median(rates);
    figures.cpu_of_read = CpuMicros::medians(costs);
    figures.list_p99_ms = listed?;
    figures.meta_p99_ms = meta?;
    Ok(())
}

/// The p99 of the responses to the account with many contacts, at a fixed rate.
async fn p99_of(filled: &FilledService, args: &Args, path: &str, label: &str) -> Result<Option<f64>> {
    filled.settle().await;
    let account = filled.accounts.last().context("no account")?;
    let page = filled.generator(vec![filled.target.request("GET", path, account, "")]);
    let load = Load { rate: Some(LIST_RATE), ..Load::new(LIST_CONNECTIONS, 0..1, args.length()) };
    let mut tally = generator::run(&page, &Load { warm_up: args.warm_up(), ..load }).await?;
    say(&format!("{label}, {LIST_RATE}/s offered: {}", shown(&mut tally)));
    Ok(tally.latencies.at(&[0.99]).first().copied().flatten())
}

fn shown(tally: &mut Tally) -> String {
    let shares = tally.latencies.at(&[0.5, 0.99]);
    let [p50, p99] = [0, 1].map(|at| shares.get(at).copied().flatten().unwrap_or_default());
    format!("p50 {p50:.2} ms, p99 {p99:.2} ms{tally}")
}

impl FilledService {
    async fn fill(service: &Service) -> Result<Self> {
        let url = &service.urls.database;
        let run = format!("{:x}", arrivals::wall_clock_micros());
        let accounts = accounts::make(&format!("reads-{run}"), ACCOUNTS + 1, url).await?;
        let target = Target::parse(&service.urls.base)?;
        let record = record(&target, &accounts, run).await?;
        let client = database::connect(url).await?;
        let ids: Vec<String> = accounts.iter().map(|account| account.public_id.clone()).collect();
        let (last, others) = ids.split_last().context("no account")?;
        let contacts = i32::try_from(CONTACTS)?;
        for ids in [others, std::slice::from_ref(last)] {
            client.execute(FILL, &[&ids, &contacts, &record]).await.context("filling contacts")?;
        }
        client.execute(FIELDS, &[last, &CUSTOM_FIELDS]).await.context("filling custom fields")?;
        client.batch_execute(COUNT).await.context("counting contacts")?;
        client.batch_execute("VACUUM ANALYZE").await.context("vacuuming the service's database")?;
        let pgbench = Pgbench::new(url).await?;
        pgbench.fill(u32::try_from(ACCOUNTS)?, CONTACTS, &record).await?;
        say(&format!(
            "reads: {CONTACTS} contacts in {ACCOUNTS} accounts, and as many in one; {} bytes each",
            record.len()
        ));
        let processes = Processes::of(service).await?;
        Ok(Self { target, accounts, pgbench, pid: service.pid, processes })
    }

    /// Reads every contact, in a scattered order.
    fn reads(&self) -> Arc<Generator> {
        // A prime that does not divide their number, so that every contact comes once.
        let numbers = (1..=u64::from(CONTACTS)).map(|turn| turn * 7_919 % u64::from(CONTACTS) + 1);
        let request = |number: u64| {
            let account = self.accounts.get(number as usize % ACCOUNTS)?;
            let digits = format!("{number:032}");
            let uid = [0..8, 8..12, 12..16, 16..20, 20..32].map(|part| digits.get(part).unwrap_or_default()).join("-");
            Some(self.target.request("GET", &format!("/contact/{uid}"), account, ""))
        };
        self.generator(numbers.filter_map(request).collect())
    }

    fn generator(&self, requests: Vec<Vec<u8>>) -> Arc<Generator> {
        Arc::new(Generator { target: self.target.clone(), requests: Requests::Reads(requests), receipts: None })
    }

    fn cpu(&self) -> Option<CpuSeconds> {
        CpuSeconds::read(self.processes?)
    }

    async fn settle(&self) {
        if machine::settle(self.pid, SETTLE).await.is_none() {
            sleep(Duration::from_secs(1)).await;
        }
    }
}

/// A contact's record as the service makes it.
async fn record(target: &Target, accounts: &[Account], run: String) -> Result<String> {
    let mut request = Vec::new();
    Creates::new(target, accounts, run).write(0, &mut request);
    let mut connection = Connection::open(target.address).await.context("connecting to the service")?;
    let response = connection.exchange(&request).await.context("creating a contact")?;
    ensure!(response.status == 201, "creating a contact returned {}", response.status);
    let body = String::from_utf8_lossy(response.body);
    // The record stands in the response as it is stored.
    let (_, data) = body.split_once(r#""data":"#).context("a response without data")?;
    let (data, _) = data.rsplit_once(r#","meta":"#).context("a response without meta")?;
    Ok(data.to_owned())
}
