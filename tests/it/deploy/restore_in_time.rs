//! Backup and recovery to an earlier time, by the scripts of `deploy/postgres` and the steps of docs/operations.md. A
//! reader of the feed, a receiver of webhooks and a consumer on NATS notice, and end with the contacts of the service.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use async_nats::jetstream;
use async_nats::jetstream::consumer::PullConsumer;
use nix::unistd::User;
use serde_json::json;
use tokio::process::Command;
use unificus::config::program_path;
use unificus::domain::AccountId;

use super::installation::{BACKUP, Installation, connect};
use super::partner::{Partner, consumer_from_the_start, create, fetched, listed};
use super::{repository, run, succeeded};
use crate::push_delivery::endpoint_at;
use crate::support::program::{failure_text, lines, unificus};
use crate::support::servers::binaries;
use crate::support::{Client, LONG, Receiver, Replica, until};

/// A command of the user that PostgreSQL runs as.
fn as_postgres(script: &str) -> Command {
    let mut command = Command::new(repository(script));
    let path = format!("{}:{}", binaries().postgres_bin.display(), program_path().0);
    command.env("PATH", path).current_dir("/");
    if let Some(user) = nix::unistd::geteuid().is_root().then(|| User::from_name("postgres").unwrap().unwrap()) {
        command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
    }
    command
}

/// Gives PostgreSQL the settings of `deploy/postgres/unificus.conf`, with an archive in this directory.
fn archive_to(archive: &Path, cluster: &Path) {
    let shipped = std::fs::read_to_string(repository("deploy/postgres/unificus.conf")).unwrap();
    let settings = shipped.replace("/var/lib/postgresql/archive", archive.to_str().unwrap());
    assert_ne!(settings, shipped);
    let append = |file: &str, text: &str| {
        let path = cluster.join(file);
        let before = std::fs::read_to_string(&path).unwrap_or_default();
        std::fs::write(&path, format!("{before}{text}")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    };
    append("unificus.conf", &settings);
    append("postgresql.conf", "\ninclude 'unificus.conf'\nshared_buffers = 128MB\n");
    append("pg_hba.conf", "host replication unificus_backup 127.0.0.1/32 scram-sha-256\n");
}

struct Restored {
    installation: Installation,
    work: PathBuf,
}

impl Restored {
    /// Tests of one process have directories of different names.
    async fn start(name: &str) -> Self {
        let work = crate::support::servers::directory(&format!("{name}-work"));
        std::fs::create_dir_all(work.join("archive")).unwrap();
        for dir in [work.clone(), work.join("archive")] {
            std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o777)).unwrap();
        }
        let archive = work.join("archive");
        let prepare = |cluster: &Path| archive_to(&archive, cluster);
        let installation = Installation::make(&format!("{name}-servers"), prepare).await;
        Self { installation, work }
    }

    async fn back_up(&self) {
        let url = url::Url::parse(&self.installation.service).unwrap();
        let mut backup = as_postgres("deploy/postgres/backup.sh");
        backup.arg(self.work.join("backup")).args(["127.0.0.1", &url.port().unwrap().to_string()]);
        succeeded(&run(backup.env("PGPASSWORD", BACKUP)).await);
    }

    /// Closes the current segment of the write-ahead log, and waits until it is in the archive.
    async fn archive(&self) {
        let superuser = connect(&self.installation.services.postgres.superuser_url()).await;
        let current = "select pg_walfile_name(pg_switch_wal())";
        let current: String = superuser.query_one(current, &[]).await.unwrap().get(0);
        until("the segment is archived", async || self.work.join("archive").join(&current).exists()).await;
    }

    /// Stops PostgreSQL and starts it on its data as they were at a target.
    async fn restore(&mut self, target: &str) {
        self.installation.services.postgres.stop().await.unwrap();
        let data = self.installation.dir.join("postgres");
        let mut restore = as_postgres("deploy/postgres/restore.sh");
        restore.arg(self.work.join("backup")).arg(self.work.join("archive")).arg(&data).arg(target);
        let refused = run(&mut restore).await;
        assert!(String::from_utf8_lossy(&refused.stderr).contains("is not empty"), "{refused:?}");
        std::fs::rename(&data, self.installation.dir.join("postgres.lost")).unwrap();
        // The directory's parent is root's.
        let mut made = Command::new("install");
        made.args(["-d", "-m", "700"]);
        if nix::unistd::geteuid().is_root() {
            made.args(["-o", "postgres"]);
        }
        succeeded(&run(made.arg(&data)).await);
        succeeded(&run(&mut restore).await);
        self.installation.services.postgres.restart().await.unwrap();
    }
}

/// The three partners of the test, and their connections.
struct Partners {
    feed: Partner,
    cursor: String,
    hook: Partner,
    receiver: Receiver,
    nats: Partner,
    consumer: PullConsumer,
}

/// An endpoint and a consumer from the account's first event on.
async fn subscribe(api: &Client, receiver: &Receiver) -> String {
    endpoint_at(api, &receiver.url(), json!({})).await;
    consumer_from_the_start(api, "erp").await
}

impl Partners {
    /// Partners that have seen everything of a log of this many events.
    async fn up_to_date(api: &Client, receiver: Receiver, consumer: PullConsumer, events: usize) -> Self {
        let (mut feed, mut hook, mut nats) = (Partner::default(), Partner::default(), Partner::default());
        let page = api.get("/changes?limit=500").await;
        for event in page.expect(200).as_array().unwrap() {
            feed.apply(api, event).await;
        }
        for received in receiver.wait_for(events, LONG).await {
            hook.apply(api, &serde_json::from_slice(&received.body).unwrap()).await;
        }
        for event in fetched(&consumer, events).await {
            nats.apply(api, &event).await;
        }
        let cursor = page.json["meta"]["cursor"].as_str().unwrap().to_owned();
        let partners = Self { feed, cursor, hook, receiver, nats, consumer };
        for (name, partner) in partners.named() {
            assert_eq!((partner.copied.len(), partner.synchronised), (events, 1), "{name}");
        }
        partners
    }

    /// Lets them read on after a restore. The reader of the feed is refused; the others notice by the id of the next event,
    /// which comes to them.
    async fn read_on(&mut self, api: &Client, before: usize, new: usize) {
        let refused = api.get(&format!("/changes?after={}", self.cursor)).await;
        refused.expect(410);
        assert_eq!(refused.json["type"], "/problems/resync-required");
        self.feed.synchronise(api).await;
        // Events since the last saved cursor of the backup are delivered again.
        until("the new events arrive", async || self.receiver.counts().len() == before + new).await;
        for received in self.receiver.received().split_off(before) {
            self.hook.apply(api, &serde_json::from_slice(&received.body).unwrap()).await;
        }
        for event in fetched(&self.consumer, new).await {
            self.nats.apply(api, &event).await;
        }
    }

    fn named(&self) -> [(&str, &Partner); 3] {
        [("feed", &self.feed), ("webhook", &self.hook), ("NATS", &self.nats)]
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_restore_in_time_every_partner_notices_and_ends_with_the_contacts_of_the_service() {
    let mut restored = Restored::start("restore").await;
    let env = restored.installation.env();
    let url = restored.installation.service.clone();
    let settings = [("UNIFICUS_DATABASE__URL", url.as_str()), ("UNIFICUS_NATS__URL", env.nats.as_str())];
    let created = lines(&unificus("account create Acme --tier pinnacle --json", &settings).await);
    let account = AccountId(created[0]["public_id"].as_str().unwrap().parse().unwrap());
    let secret = created[0]["secret_key"].as_str().unwrap();
    let mut replica = Replica::start(&env, &[]).await;
    let api = replica.client(account, secret);
    let receiver = Receiver::start().await;
    let durable = subscribe(&api, &receiver).await;

    // Five contacts are in the base backup, five more in the archive alone, and three are lost.
    create(&api, &["a1", "a2", "a3", "a4", "a5"]).await;
    restored.back_up().await;
    create(&api, &["b1", "b2", "b3", "b4", "b5"]).await;
    let sql = connect(&url).await;
    let target: String = sql.query_one("select clock_timestamp()::text", &[]).await.unwrap().get(0);
    drop(sql);
    create(&api, &["lost1", "lost2", "lost3"]).await;
    until("the consumer is on the stream", async || {
        api.get("/sync/consumers/erp").await.expect(200)["state"] == "ready"
    })
    .await;
    let context = jetstream::new(env.nats().await);
    let consumer = context.get_consumer_from_stream(&durable, "EVENTS").await.unwrap();
    let mut partners = Partners::up_to_date(&api, receiver, consumer, 13).await;

    // The steps of the documentation, in their order.
    restored.archive().await;
    replica.stop().await;
    restored.restore(&target).await;
    let sql = connect(&url).await;
    until("the recovery has ended", async || {
        !sql.query_one("select pg_is_in_recovery()", &[]).await.unwrap().get::<_, bool>(0)
    })
    .await;
    let raised = lines(&unificus("log restored --all --json", &settings).await);
    assert_eq!(raised, [json!({"public_id": account, "epoch": 2, "head": 10})]);
    succeeded(&unificus("verify", &settings).await);
    let replica = Replica::start(&env, &[]).await;
    let api = replica.client(account, secret);
    create(&api, &["new1", "new2"]).await;

    partners.read_on(&api, 13, 2).await;
    let served = listed(&api).await;
    assert!(served.len() == 12 && !served.values().any(|email| email.starts_with("lost")), "{served:?}");
    for (name, partner) in partners.named() {
        assert_eq!((&partner.copied, partner.synchronised), (&served, 2), "{name}");
    }
    succeeded(&unificus("relay verify", &settings).await);
    restored.installation.services.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_step_after_a_restore_is_refused_while_the_database_recovers() {
    let mut restored = Restored::start("standby").await;
    let service = restored.installation.service.clone();
    let settings = [("UNIFICUS_DATABASE__URL", service.as_str())];
    unificus("account create Acme --json", &settings).await;
    restored.back_up().await;
    restored.archive().await;
    // A standby without a primary recovers for ever.
    restored.restore("latest").await;
    let data = restored.installation.dir.join("postgres");
    restored.installation.services.postgres.stop().await.unwrap();
    std::fs::write(data.join("standby.signal"), "").unwrap();
    restored.installation.services.postgres.restart().await.unwrap();

    let error = failure_text(&unificus("log restored --all", &settings).await);
    assert!(error.contains("still being recovered") && error.contains("pg_is_in_recovery"), "{error}");
    restored.installation.services.stop().await.unwrap();
}
