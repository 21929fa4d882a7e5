//! The whole service, in this process.

use unificus::app::App;
use unificus::clock::{self, Clock};
use unificus::config::Config;
use unificus::domain::AccountId;
use unificus::domain::tier::Tier;
use unificus::keys::{self, SecretKey, Terms};
use unificus::metrics::Metrics;
use unificus::secrets::MasterKeys;
use unificus::store::Store;
use unificus::store::accounts::NewAccount;
use unificus::store::audit::By;

use super::Client;
use super::servers::{Servers, TestEnv};

/// A running service with one account.
pub(crate) struct Service {
    pub(crate) app: App,
    pub(crate) env: TestEnv,
    pub(crate) store: Store,
    pub(crate) client: Client,
}

impl Service {
    /// One replica on a fresh database.
    pub(crate) async fn start() -> Self {
        Self::configured(|_| {}).await
    }

    pub(crate) async fn configured(change: impl FnOnce(&mut Config)) -> Self {
        Self::timed(Clock::system(), change).await
    }

    pub(crate) async fn timed(clock: Clock, change: impl FnOnce(&mut Config)) -> Self {
        Self::in_env(Servers::get().env().await, clock, change).await
    }

    /// One replica in an environment of other servers.
    pub(crate) async fn in_env(env: TestEnv, clock: Clock, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = env.config();
        change(&mut config);
        let store = Store::new(&config.database, 1, Metrics::new().unwrap()).unwrap();
        let app = Box::pin(App::start(config, clock)).await.unwrap();
        let (account, secret) = account(&store).await;
        let client = Client::new(&base(&app), account, &secret);
        Self { app, env, store, client }
    }

    /// The store of an environment, for a test whose replicas are processes.
    pub(crate) fn store_of(env: &TestEnv) -> Store {
        Store::new(&env.config().database, 1, Metrics::new().unwrap()).unwrap()
    }

    /// One more replica on the same database, and the same client against it.
    pub(crate) async fn replica(&self) -> (App, Client) {
        self.replica_configured(|_| {}).await
    }

    pub(crate) async fn replica_configured(&self, change: impl FnOnce(&mut Config)) -> (App, Client) {
        let mut config = self.env.config();
        change(&mut config);
        let app = App::start(config, Clock::system()).await.unwrap();
        let client = Client::new(&base(&app), self.client.account, &self.client.secret);
        (app, client)
    }

    /// The current value of a metric series.
    pub(crate) async fn gauge(&self, series: &str) -> f64 {
        let ops = Client::new(&format!("http://{}", self.app.metrics_address()), self.client.account, "");
        let metrics = ops.get("/metrics").await.text;
        let line = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {series} in\n{metrics}")).parse().unwrap()
    }

    /// The sum of the current values of a metric's series.
    pub(crate) async fn sum(&self, metric: &str) -> f64 {
        let ops = Client::new(&format!("http://{}", self.app.metrics_address()), self.client.account, "");
        let metrics = ops.get("/metrics").await.text;
        let series = metrics.lines().filter_map(|line| line.strip_prefix(metric)?.strip_prefix('{'));
        series.map(|series| series.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()).sum()
    }

    /// A client of another account.
    pub(crate) async fn other_client(&self) -> Client {
        let (account, secret) = account(&self.store).await;
        self.client.as_caller(account, &secret)
    }
}

pub(crate) fn base(app: &App) -> String {
    format!("http://{}/secure-api", app.address())
}

/// Creates an account; returns its id and its key's secret.
pub(crate) async fn account(store: &Store) -> (AccountId, String) {
    account_on(store, "pinnacle").await
}

pub(crate) async fn account_on(store: &Store, tier: &str) -> (AccountId, String) {
    let account = AccountId(clock::fresh_uid().0);
    let secret = SecretKey::make("unificus");
    let key = keys::prepare(account, &secret, Terms::named("test"), &MasterKeys::new(&[]));
    let by = By::new("test", Clock::system().now());
    let new = NewAccount { account, name: "Test".to_owned(), key };
    store.create_accounts(&[new], &Tier::parse(tier).unwrap(), by).await.unwrap();
    (account, secret.text().to_owned())
}
