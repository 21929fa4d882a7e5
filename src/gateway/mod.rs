//! The NATS gateway: clients of accounts log in to NATS with their keys, read their account's events and send commands.
//!
//! A NATS server asks the service about each login (auth callout). The response binds the connection to an account of the
//! server that holds clients alone (`nats.clients_account`) and to exactly the subjects of the client's own account. The
//! server passes on commands with the client's user name, which names account and key, so that a client chooses neither.
//! Guarantees: no login without a key that works at that moment; connections of a key that was deleted end within two
//! seconds where the service has a connection to the system account, else within [`permit::UNWATCHED`]. All replicas do
//! all of this work; nothing is stored but consumers. Knows nothing of HTTP.

mod commands;
pub(crate) mod consumers;
mod logins;
mod operations;
mod permit;
mod refusal;
mod sessions;
mod status;

use std::sync::Arc;

use anyhow::Context as _;

use self::commands::{InFlightCommands, Ingress};
use self::logins::LoginDesk;
pub(crate) use self::operations::{Executed, OperationCall, Operations};
use self::permit::{GatewayNames, client_name};
use self::sessions::{ClientSessions, SessionCheck};
pub(crate) use self::status::GatewayStatus;
use self::status::StatusCheck;
pub(crate) use self::status::fault_of_callout;
use crate::broker::{Broker, Issuer, SystemLink};
use crate::clock::Clock;
use crate::config::Config;
use crate::keys::{Authenticator, LastUsed};
use crate::metrics::Metrics;
use crate::quota::QuotaLimiter;
use crate::store::Store;

/// The parts of the gateway on this replica.
pub(crate) struct Gateway {
    pub(crate) status: GatewayStatus,
    /// `None` where no seed is configured: nobody can log in.
    pub(crate) desk: Option<Arc<LoginDesk>>,
    pub(crate) ingress: Arc<Ingress>,
    /// `None` where no system account is configured: connections end by their expiry alone.
    pub(crate) link: Option<SystemLink>,
    pub(crate) sessions: ClientSessions,
    broker: Broker,
    store: Store,
    names: GatewayNames,
    metrics: Metrics,
}

/// The parts of the service that the gateway needs.
pub(crate) struct GatewayParts<'a> {
    pub(crate) config: &'a Config,
    pub(crate) broker: &'a Broker,
    pub(crate) store: &'a Store,
    pub(crate) clock: &'a Clock,
    pub(crate) metrics: &'a Metrics,
    pub(crate) authenticator: &'a Authenticator,
    pub(crate) limiter: &'a QuotaLimiter,
    pub(crate) last_used: &'a LastUsed,
}

impl Gateway {
    /// Checks the seed, and connects to the system account in the background.
    pub(crate) async fn new(parts: GatewayParts<'_>) -> anyhow::Result<Self> {
        let GatewayParts { config, broker, store, clock, metrics, authenticator, limiter, last_used } = parts;
        let (sessions, names) =
            (ClientSessions::default(), GatewayNames::new(&config.nats, config.http.body_limit_bytes));
        let issuer = config.nats.issuer_seed.reveal().map(Issuer::from_seed).transpose();
        let issuer = issuer.context("nats.issuer_seed cannot be used")?;
        let link = if issuer.is_some() && !config.nats.system_url.is_empty() {
            Some(SystemLink::connect(&config.nats, &names.clients_account, metrics).await?)
        } else {
            None
        };
        if issuer.is_some() && link.is_none() {
            let seconds = permit::UNWATCHED.as_secs();
            tracing::warn!(
                seconds,
                "nats.system_url is not set: connections to NATS of deleted keys end after this time"
            );
        }
        let status = issuer.as_ref().map_or_else(GatewayStatus::unconfigured, |_| GatewayStatus::starting());
        let desk = issuer.map(|issuer| LoginDesk {
            broker: broker.clone(),
            issuer,
            authenticator: authenticator.clone(),
            store: store.clone(),
            sessions: sessions.clone(),
            names: names.clone(),
            last_used: last_used.clone(),
            clock: clock.clone(),
            metrics: metrics.clone(),
        });
        let ingress = Arc::new(Ingress {
            broker: broker.clone(),
            authenticator: authenticator.clone(),
            limiter: limiter.clone(),
            last_used: last_used.clone(),
            clients_account: names.clients_account.clone(),
            max_body: names.max_payload,
            metrics: metrics.clone(),
            in_flight: InFlightCommands::default(),
        });
        let (broker, store, metrics) = (broker.clone(), store.clone(), metrics.clone());
        Ok(Self { status, desk: desk.map(Arc::new), ingress, link, sessions, broker, store, names, metrics })
    }

    /// The worker that finds out whether the server asks about logins.
    pub(crate) fn status_check(&self) -> StatusCheck {
        let Self { status, broker, names, metrics, .. } = self;
        StatusCheck::new(status.clone(), broker.clone(), names.clients_account.clone(), metrics.clone())
    }

    /// The worker that ends the connections of deleted keys.
    pub(crate) fn session_check(&self, link: &SystemLink) -> SessionCheck {
        SessionCheck::new(self.sessions.clone(), link.clone(), self.store.clone(), self.metrics.clone())
    }
}
