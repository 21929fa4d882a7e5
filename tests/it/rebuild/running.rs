//! Runs beside the service, runs that are killed, and runs that cannot begin.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio_postgres::Client as Sql;
use unificus::domain::AccountId;

use super::{TABLES, WithoutStdout as _, dump, equal, history, is_left, rebuilt, run};
use crate::support::client::lead;
use crate::support::program::{failure_text, unificus};
use crate::support::servers::{TestEnv, directory};
use crate::support::{LONG, Service};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_write_while_all_is_verified_and_rebuilt() {
    let service = Service::start().await;
    let (_other, replica) = service.replica().await;
    let (env, sql) = (&service.env, service.env.sql().await);
    history(&service, &service.client).await;
    let (stopped, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let writers: Vec<_> = (0..8)
        .map(|writer| {
            let client = if writer % 2 == 0 { service.client.clone() } else { replica.clone() };
            let (stopped, written) = (Arc::clone(&stopped), Arc::clone(&written));
            tokio::spawn(async move {
                for number in 0_u64.. {
                    if stopped.load(Ordering::SeqCst) {
                        break;
                    }
                    let email = format!("w{writer}-{number}@example.org");
                    let mut body = lead(&email);
                    body["company"] =
                        json!({"name": format!("C {}", number % 7), "create_company_if_not_exists": true});
                    client.post("/contact", body).await.expect(201);
                    client.get(&format!("/contact/{email}")).await.expect(200);
                    if number % 3 == 0 {
                        client.delete(&format!("/contact/{email}")).await.expect(200);
                    }
                    written.fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .collect();

    for _ in 0..2 {
        equal(env, "under writes").await;
        let before = written.load(Ordering::SeqCst);
        rebuilt(env, "").await;
        assert!(written.load(Ordering::SeqCst) > before, "the replicas write meanwhile");
        equal(env, "after a rebuild under writes").await;
        rebuilt(env, &format!(" --account {}", service.client.account)).await;
        equal(env, "after a rebuild of the account under writes").await;
    }
    stopped.store(true, Ordering::SeqCst);
    for writer in writers {
        writer.await.unwrap();
    }

    equal(env, "in the end").await;
    let total = written.load(Ordering::SeqCst) / 2;
    for client in [&service.client, &replica] {
        let listed = client.get("/contacts?q=ann&limit=1").await;
        let items = listed.expect(200).as_array().unwrap().len();
        assert_eq!(items, 1, "lists and searches read the new tables");
        assert!(listed.json["meta"]["pagination"]["totalItems"].as_u64().unwrap() > total as u64 / 2);
    }
    assert!(!is_left(&sql).await);
}

/// A rebuild as a process that a test ends.
struct Started {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Started {
    fn new(env: &TestEnv) -> Self {
        Self::of_program(env!("CARGO_BIN_EXE_unificus").as_ref(), env, "rebuild")
    }

    fn of_program(program: &Path, env: &TestEnv, command: &str) -> Self {
        let mut child = Command::new(program)
            .args([command, "--json"])
            .env("UNIFICUS_DATABASE__URL", &env.database)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    fn signal(&self, signal: Signal) {
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok()).unwrap();
        kill(Pid::from_raw(pid), signal).unwrap();
    }

    /// Waits until it reports this phase, and ends it there.
    async fn killed_in(mut self, phase: &str) {
        self.reports(phase).await;
        self.child.kill().await.unwrap();
    }

    /// Waits until it ends, and expects success.
    async fn succeeds(self) {
        assert!(self.ends().await.success());
    }

    /// Waits until it ends.
    async fn ends(mut self) -> ExitStatus {
        let ended = async {
            while self.lines.next_line().await.unwrap().is_some() {}
            self.child.wait().await.unwrap()
        };
        tokio::time::timeout(LONG, ended).await.unwrap()
    }

    /// Waits until it reports this phase.
    async fn reports(&mut self, phase: &str) {
        let reported = async {
            while let Some(line) = self.lines.next_line().await.unwrap() {
                if serde_json::from_str::<Value>(&line).unwrap()["phase"] == phase {
                    return;
                }
            }
            panic!("it ended before the phase {phase}");
        };
        tokio::time::timeout(LONG, reported).await.unwrap();
    }
}

/// Waits until a session of this database that executes a statement of this name satisfies a condition.
async fn until_session(sql: &Sql, statement: &str, condition: &str) {
    let exists = format!(
        "select exists (select from pg_stat_activity where starts_with(query, $1) and {condition} \
         and datname = current_database())"
    );
    let mut pause = tokio::time::interval(std::time::Duration::from_millis(20));
    let fulfilled = async {
        while !sql.query_one(&exists, &[&statement]).await.unwrap().get::<_, bool>(0) {
            pause.tick().await;
        }
    };
    tokio::time::timeout(LONG, fulfilled).await.unwrap_or_else(|_| panic!("{statement}: never {condition}"));
}

/// Waits until a statement of this name waits for a lock.
async fn until_waiting(sql: &Sql, statement: &str) {
    until_session(sql, statement, "wait_event_type = 'Lock'").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebuild_that_is_killed_changes_nothing_and_is_continued() {
    let service = Service::start().await;
    let (env, mut sql, other) = (&service.env, service.env.sql().await, service.env.sql().await);
    history(&service, &service.client).await;
    let before = dump(&sql).await;

    // It waits for the log before it has loaded anything.
    let transaction = sql.transaction().await.unwrap();
    transaction.batch_execute("lock table event in access exclusive mode").await.unwrap();
    Started::new(env).killed_in("load").await;
    drop(transaction);
    assert!(is_left(&other).await, "the tables of the killed run");
    assert_eq!(dump(&other).await, before);
    equal(env, "after the first kill").await;

    // It waits for a reader of the contacts when all is loaded.
    let transaction = sql.transaction().await.unwrap();
    transaction.batch_execute("lock table contact in access share mode").await.unwrap();
    Started::new(env).killed_in("swap").await;
    service.client.contact("meanwhile@example.org").await.expect(201);
    drop(transaction);
    equal(env, "after the second kill").await;
    let before = dump(&other).await;

    other.batch_execute("update contact set role = 'Client'").await.unwrap();
    let result = rebuilt(env, "").await;
    assert_eq!(result["continued"], true, "{result}");
    assert_eq!(dump(&other).await, before);
    equal(env, "after the continued run").await;
    assert!(!is_left(&other).await);
    service.client.contact("afterwards@example.org").await.expect(201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lookup_keys_that_change_hands_during_a_rebuild_are_caught_up() {
    let service = Service::start().await;
    let (env, mut sql) = (&service.env, service.env.sql().await);
    for email in ["ann@example.org", "bob@example.org", "cid@example.org"] {
        service.client.contact(email).await.expect(201);
    }
    // It waits for a reader of the contacts when all is loaded.
    let transaction = sql.transaction().await.unwrap();
    transaction.batch_execute("lock table contact in access share mode").await.unwrap();
    let mut rebuild = Started::new(env);
    rebuild.reports("swap").await;
    service.client.delete("/contact/bob@example.org").await.expect(200);
    for (from, to) in [("ann", "bob"), ("cid", "ann")] {
        let changed = json!({"email": format!("{to}@example.org")});
        service.client.put(&format!("/contact/{from}@example.org"), changed).await.expect(200);
    }
    drop(transaction);
    rebuild.succeeds().await;

    equal(env, "after the rebuild").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_swap_waits_for_a_vacuum_and_delays_no_writer_meanwhile() {
    let service = Service::start().await;
    let (env, mut sql, other) = (&service.env, service.env.sql().await, service.env.sql().await);
    service.client.contact("ann@example.org").await.expect(201);
    // The lock of a vacuum.
    let transaction = sql.transaction().await.unwrap();
    transaction.batch_execute("lock table contact in share update exclusive mode").await.unwrap();
    let mut rebuild = Started::new(env);
    rebuild.reports("swap").await;
    until_waiting(&other, "-- rebuild.lock_out_vacuum").await;
    service.client.contact("bob@example.org").await.expect(201);
    drop(transaction);
    rebuild.succeeds().await;

    equal(env, "after the rebuild").await;
    let options = "select count(*) from pg_class where relkind = 'r' and array_to_string(reloptions, ' ') like '%autovacuum_enabled%'";
    let switched: i64 = other.query_one(options, &[]).await.unwrap().get(0);
    assert_eq!(switched, 0, "autovacuum is on again");
}

/// The tables of a rebuild have the columns of its beginning. A migration meanwhile would be undone by the swap.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_migration_waits_for_a_rebuild() {
    let service = Service::start().await;
    let (env, mut sql, other) = (&service.env, service.env.sql().await, service.env.sql().await);
    service.client.contact("ann@example.org").await.expect(201);
    let transaction = sql.transaction().await.unwrap();
    transaction.batch_execute("lock table event in access exclusive mode").await.unwrap();
    let mut rebuild = Started::new(env);
    rebuild.reports("load").await;
    let migration = Started::of_program(env!("CARGO_BIN_EXE_unificus").as_ref(), env, "migrate");
    until_waiting(&other, "-- schema.lock").await;
    drop(transaction);
    rebuild.succeeds().await;
    migration.succeeds().await;

    equal(env, "after the rebuild").await;
}

/// Ends a rebuild while it waits for the log.
async fn kill_in_load(env: &TestEnv, program: &Path, sql: &mut Sql) {
    let transaction = sql.transaction().await.unwrap();
    transaction.batch_execute("lock table event in access exclusive mode").await.unwrap();
    Started::of_program(program, env, "rebuild").killed_in("load").await;
}

/// Other rows or columns may follow from the same log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_of_another_program_file_and_of_another_schema_are_not_continued() {
    let service = Service::start().await;
    let (env, mut sql) = (&service.env, service.env.sql().await);
    service.client.contact("ann@example.org").await.expect(201);
    let program = Path::new(env!("CARGO_BIN_EXE_unificus"));
    let own = directory("another-program");
    std::fs::create_dir(&own).unwrap();
    let another = own.join("unificus");
    std::fs::copy(program, &another).unwrap();

    kill_in_load(env, program, &mut sql).await;
    assert_eq!(rebuilt(env, "").await["continued"], true, "the same file");
    kill_in_load(env, &another, &mut sql).await;
    assert!(is_left(&sql).await);
    assert_eq!(rebuilt(env, "").await["continued"], false, "another file");
    kill_in_load(env, program, &mut sql).await;
    let schema = "update unificus_rebuild.run set build = replace(build, 'schema ' || (
        select max(version) from refinery_schema_history) || ',', 'schema 1,') where build like '%schema %'";
    let before = "select build from unificus_rebuild.run";
    let build: String = sql.query_one(before, &[]).await.unwrap().get(0);
    sql.execute(schema, &[]).await.unwrap();
    assert_ne!(sql.query_one(before, &[]).await.unwrap().get::<_, String>(0), build, "{build} names the schema");
    assert_eq!(rebuilt(env, "").await["continued"], false, "another schema");

    equal(env, "after the rebuilds").await;
    std::fs::remove_dir_all(own).unwrap();
}

/// A rebuild is paused while it holds the locks of its swap. The server ends its session before writers are refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebuild_that_is_paused_in_its_swap_delays_writers_for_seconds_and_changes_nothing() {
    let service = Service::start().await;
    let (env, mut sql, other) = (&service.env, service.env.sql().await, service.env.sql().await);
    history(&service, &service.client).await;
    let rebuild = Started::new(env);
    loop {
        // The last table that the swap locks: it holds all others, and the heads, while it waits for this one.
        let transaction = sql.transaction().await.unwrap();
        transaction.batch_execute("lock table search_cursor in access share mode").await.unwrap();
        until_waiting(&other, "-- rebuild.lock_tables").await;
        rebuild.signal(Signal::SIGSTOP);
        drop(transaction);
        until_session(&other, "-- rebuild.lock_tables", "state like 'idle in transaction%'").await;
        let held = "select state from pg_stat_activity where query like '-- rebuild.lock_tables%' \
                    and datname = current_database()";
        if other.query_one(held, &[]).await.unwrap().get::<_, &str>(0) == "idle in transaction" {
            break;
        }
        // It had waited for half a second, and has given its locks up. It tries again.
        rebuild.signal(Signal::SIGCONT);
    }
    service.client.contact("meanwhile@example.org").await.expect(201);
    rebuild.signal(Signal::SIGCONT);
    assert!(!rebuild.ends().await.success(), "its session was ended");
    equal(env, "after the pause").await;
    rebuilt(env, "").await;
    equal(env, "after the next run").await;
}

/// A snapshot from before a swap would find the new tables without the rows that the swap's transaction wrote.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_verification_that_waits_for_a_swap_sees_its_rows() {
    let service = Service::start().await;
    let (env, mut sql, other) = (&service.env, service.env.sql().await, service.env.sql().await);
    history(&service, &service.client).await;
    // The steps of a swap for one table, in one transaction.
    let transaction = sql.transaction().await.unwrap();
    // The cursor first, because the writer of texts holds it while it reads contacts.
    transaction.batch_execute("lock table search_cursor, contact in access exclusive mode").await.unwrap();
    let verification = Started::of_program(env!("CARGO_BIN_EXE_unificus").as_ref(), env, "verify");
    until_waiting(&other, "-- verify.begin_snapshot").await;
    let swap = "create table swapped (like contact including all); insert into swapped select * from contact;
        drop table contact; alter table swapped rename to contact";
    transaction.batch_execute(swap).await.unwrap();
    transaction.commit().await.unwrap();

    verification.succeeds().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_read_models_come_back_from_the_log() {
    let service = Service::start().await;
    let (env, sql) = (&service.env, service.env.sql().await);
    history(&service, &service.client).await;
    let before = dump(&sql).await;
    for (table, _) in TABLES.iter().filter(|(table, _)| *table != "head") {
        sql.batch_execute(&format!("truncate {table}")).await.unwrap();
    }
    sql.batch_execute("update head set live = '{}', listed_companies = 0").await.unwrap();

    rebuilt(env, "").await;

    assert_eq!(dump(&sql).await, before, "a company that the operator keeps is kept by the audit");
    equal(env, "after the rebuild").await;
    service.client.get("/contact/z@example.org").await.expect(200);
    assert_eq!(service.client.get("/contacts?q=zed").await.expect(200).as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn rebuilt_tables_have_the_indexes_options_and_rights_of_the_old_ones() {
    let service = Service::start().await;
    let (env, sql) = (&service.env, service.env.sql().await);
    history(&service, &service.client).await;
    let names: Vec<&str> = TABLES.iter().map(|(table, _)| *table).collect();
    sql.batch_execute("grant select on contact to public").await.unwrap();
    // An operator's settings, with and without the one that the rebuild sets for itself.
    sql.batch_execute(
        "alter table contact set (fillfactor = 71, autovacuum_enabled = false, autovacuum_vacuum_scale_factor = 0.03);
         alter table company set (autovacuum_enabled = true); alter table note set (fillfactor = 72)",
    )
    .await
    .unwrap();
    let describe = "select c.relname::text, c.relowner::text, c.relacl::text, (
            select array_agg(option order by option) from unnest(c.reloptions) as option) as options, (
            select array_agg(pg_get_indexdef(i.indexrelid) || i.indisprimary order by i.indexrelid::regclass::text)
            from pg_index i where i.indrelid = c.oid) as indexes, (
            select array_agg(format('%s %s %s %s %s', attname, atttypid, attnotnull, attcompression, attnum) order by attnum)
            from pg_attribute where attrelid = c.oid and attnum > 0) as columns
        from pg_class c where c.relnamespace = 'public'::regnamespace and c.relname = any($1) order by 1";
    let described = async || {
        let rows = sql.query(&format!("select t::text from ({describe}) t"), &[&names]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect::<Vec<String>>()
    };
    let before = described().await;

    rebuilt(env, "").await;

    assert_eq!(described().await, before);
}

#[tokio::test]
async fn every_column_that_is_derived_from_a_log_is_compared() {
    let sql = Service::start().await.env.sql().await;
    let of_records = ["account_id", "uid", "version", "key", "role", "deleted", "created_at", "updated_at", "record"];
    for (table, _) in TABLES {
        let columns = "select column_name::text from information_schema.columns where table_name = $1 and table_schema = 'public'";
        let columns: BTreeSet<String> =
            sql.query(columns, &[table]).await.unwrap().iter().map(|row| row.get(0)).collect();
        let compared: Vec<&str> = match *table {
            "company" => [&of_records[..], &["listed", "kept"]].concat(),
            "contact_company" => vec!["account_id", "company_uid", "contact_uid"],
            "record_ref" => vec!["account_id", "entity", "source", "id", "uid"],
            "head" => vec!["account_id", "seq", "epoch", "live", "listed_companies"],
            _ => of_records.to_vec(),
        };
        assert_eq!(columns, compared.into_iter().map(str::to_owned).collect(), "{table}: teach `verify` a new column");
    }
}

#[tokio::test]
async fn arguments_that_name_nothing_and_a_database_that_is_not_there_are_no_result() {
    let service = Service::start().await;
    let env = &service.env;
    let nobody = AccountId(uuid::Uuid::from_u128(7));
    let output = run(env, &format!("verify --account {nobody}")).await;
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("do not exist"), "{output:?}");
    let text = failure_text(&run(env, &format!("rebuild --account {nobody}")).await.without_stdout());
    assert!(text.contains(&format!("there is no account {nobody}")), "{text}");
    for arguments in [
        "verify --account 7",
        "verify --connections 0",
        "rebuild --account x",
        "rebuild --connections 65",
        "verify all",
    ] {
        assert_eq!(run(env, arguments).await.status.code(), Some(2), "{arguments}");
    }
    let empty = env.create_empty("empty").await;
    assert_eq!(run(&empty, "verify").await.status.code(), Some(2), "a database without a schema");
    let text = failure_text(&run(&empty, "rebuild").await);
    assert!(text.contains("lacks migrations"), "{text}");
    let nowhere = [("UNIFICUS_DATABASE__URL", "postgresql://nobody@127.0.0.1:1/none")];
    assert_eq!(unificus("verify", &nowhere).await.status.code(), Some(2));
    assert_eq!(unificus("rebuild", &nowhere).await.status.code(), Some(1));
}

#[tokio::test]
async fn one_rebuild_runs_at_a_time_and_its_remains_can_be_discarded() {
    let service = Service::start().await;
    let (env, sql) = (&service.env, service.env.sql().await);
    service.client.contact("p@example.org").await.expect(201);
    // The first run waits for the log.
    sql.batch_execute("begin; lock table event in access exclusive mode").await.unwrap();
    let first = Started::new(env);
    let (mut first, mut lines) = (first.child, first.lines);
    while let Some(line) = lines.next_line().await.unwrap() {
        if line.contains("\"load\"") {
            break;
        }
    }
    let text = failure_text(&run(env, "rebuild").await.without_stdout());
    assert!(text.contains("another process rebuilds this database"), "{text}");
    first.kill().await.unwrap();
    sql.batch_execute("rollback").await.unwrap();
    assert!(is_left(&sql).await);

    let output = run(env, "rebuild --discard --json").await;
    assert!(output.status.success(), "{output:?}");
    assert!(!is_left(&sql).await);
}
