//! Whether clients can log in to NATS, and why not.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};

use crate::broker::{Broker, OwnLogin};
use crate::metrics::Metrics;
use crate::worker::{Step, Worker};

/// The state of the gateway on this replica. Cloning shares it.
#[derive(Clone)]
pub(crate) struct GatewayStatus(Arc<watch::Sender<GatewayState>>);

/// On, or the reason why not.
#[derive(Debug, Clone, PartialEq, Eq)]
enum GatewayState {
    On,
    Off(String),
}

impl GatewayState {
    fn not_connected() -> Self {
        Self::Off("NATS is not connected".to_owned())
    }
}

impl GatewayStatus {
    /// Off, because no seed is configured.
    pub(crate) fn unconfigured() -> Self {
        Self(Arc::new(watch::Sender::new(GatewayState::Off("nats.issuer_seed is not set".to_owned()))))
    }

    /// Off until the server was asked.
    pub(crate) fn starting() -> Self {
        Self(Arc::new(watch::Sender::new(GatewayState::not_connected())))
    }
}

impl fmt::Display for GatewayStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0.borrow() {
            GatewayState::On => f.write_str("NATS gateway on"),
            GatewayState::Off(reason) => write!(f, "NATS gateway off because {reason}"),
        }
    }
}

/// Asks the server whether it asks about logins. The setup of a server may change while the service runs.
pub(crate) struct StatusCheck {
    status: GatewayStatus,
    broker: Broker,
    clients_account: String,
    metrics: Metrics,
}

impl StatusCheck {
    pub(crate) fn new(status: GatewayStatus, broker: Broker, clients_account: String, metrics: Metrics) -> Self {
        Self { status, broker, clients_account, metrics }
    }

    async fn state(&self) -> GatewayState {
        if !self.broker.is_connected() {
            return GatewayState::not_connected();
        }
        match self.broker.own_login().await {
            Ok(own) => judge(&own, &self.clients_account),
            Err(error) => GatewayState::Off(format!("{:#}", anyhow::Error::new(error))),
        }
    }
}

fn judge(own: &OwnLogin, clients_account: &str) -> GatewayState {
    fault_of_callout(own, clients_account).map_or(GatewayState::On, GatewayState::Off)
}

/// The reason why the server does not ask the service about logins of clients; `None` where it does.
pub(crate) fn fault_of_callout(own: &OwnLogin, clients_account: &str) -> Option<String> {
    let OwnLogin { version, is_recent, server_account, answers_logins } = own;
    if !is_recent {
        Some(format!("the NATS server has version {version}, and auth callout needs 2.10"))
    } else if server_account == clients_account {
        Some(format!(
            "the service is logged in to the NATS account {clients_account} of its clients (nats.clients_account); it needs \
             one of its own"
        ))
    } else if !answers_logins {
        Some(format!(
            "the NATS server does not ask the service about logins: authorization.auth_callout must name the account \
             {server_account}, and its auth_users the user of nats.url"
        ))
    } else {
        None
    }
}

impl Worker for StatusCheck {
    const NAME: &'static str = "nats-gateway";
    const SWEEP: Duration = Duration::from_secs(2);

    async fn step(&mut self) -> anyhow::Result<Step> {
        let state = self.state().await;
        let is_on = state == GatewayState::On;
        self.metrics.nats_gateway_on.set(i64::from(is_on));
        if self.status.0.send_replace(state.clone()) != state {
            if is_on {
                tracing::info!("{}", self.status);
            } else {
                tracing::warn!("{}; everything else works", self.status);
            }
        }
        Ok(Step::Idle)
    }

    /// Never notified: the interval alone runs the check.
    fn wake(&self) -> Arc<Notify> {
        Arc::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_says_what_to_do() {
        let good = OwnLogin {
            version: "2.10.1".to_owned(),
            is_recent: true,
            server_account: "CRM".to_owned(),
            answers_logins: true,
        };
        assert_eq!(judge(&good, "CRM_CLIENTS"), GatewayState::On);
        let off = |own: &OwnLogin, account| match judge(own, account) {
            GatewayState::On => "on".to_owned(),
            GatewayState::Off(reason) => reason,
        };
        assert!(off(&good, "CRM").contains("needs one of its own"));
        let old = OwnLogin { version: "2.9.10".to_owned(), is_recent: false, answers_logins: false, ..good.clone() };
        assert_eq!(off(&old, "C"), "the NATS server has version 2.9.10, and auth callout needs 2.10");
        let plain = OwnLogin { answers_logins: false, ..good };
        assert!(off(&plain, "C").contains("authorization.auth_callout must name the account CRM"));
    }
}
