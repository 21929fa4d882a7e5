//! NATS: reached, recent, with JetStream, the stream as configured, and auth callout where the gateway is configured.

use std::time::Duration;

use super::diagnosis::Findings;
use super::machine;
use crate::broker::{Broker, BrokerError, Issuer, NatsFeatures, StreamDiagnosis, SystemLink, connect_once};
use crate::config::{Config, server_urls, without_password};
use crate::gateway::fault_of_callout;
use crate::metrics::Metrics;

/// The share of the account's JetStream storage from which it is nearly full, in percent.
const NEARLY_FULL: u64 = 80;

/// Examines NATS.
pub(super) async fn examine(config: &Config, metrics: &Metrics, findings: &mut Findings) {
    let urls = server_urls(&config.nats.url).into_iter().map(without_password);
    let url = urls.collect::<Vec<_>>().join(",");
    let broker = match connect(config, metrics).await {
        Ok(broker) => broker,
        Err(error) => {
            findings.error(
                "nats.reached",
                format!("NATS cannot be used at {url}: {error:#}; the API works, and no event is published"),
                "start NATS, or correct the address, user and password in nats.url, or the authority in nats.ca_file",
            );
            return;
        }
    };
    findings.ok("nats.reached", format!("connected to {url}"));
    let server = broker.diagnose();
    let version = &server.version;
    match server.features {
        NatsFeatures::TooFew => {
            findings.error("nats.version", format!("NATS has version {version}"), "upgrade it to 2.10 or newer");
        }
        NatsFeatures::WithoutFence => findings.warning(
            "nats.version",
            format!(
                "NATS {version} cannot refuse the publish of a replica that was replaced: an event may be stored twice"
            ),
            "upgrade it to 2.11 or newer",
        ),
        NatsFeatures::All => findings.ok("nats.version", format!("NATS {version}")),
    }
    if server.max_payload < config.http.body_limit_bytes {
        findings.warning(
            "nats.max_payload",
            format!(
                "NATS accepts messages of {} bytes, and the API bodies of {}",
                server.max_payload, config.http.body_limit_bytes
            ),
            "raise max_payload of the NATS servers, or lower http.body_limit_bytes",
        );
    }
    if jetstream(&broker, findings).await {
        stream(config, &broker, server.is_clustered, findings).await;
    }
    callout(config, &broker, metrics, findings).await;
}

async fn connect(config: &Config, metrics: &Metrics) -> anyhow::Result<Broker> {
    let broker = Broker::connect(&config.nats, metrics).await?;
    if let Err(error) = broker.connected().await {
        connect_once(&config.nats.url, &config.nats.ca_file).await?;
        return Err(error.into());
    }
    Ok(broker)
}

async fn jetstream(broker: &Broker, findings: &mut Findings) -> bool {
    let check = "nats.jetstream";
    match broker.diagnose_jetstream().await {
        Err(error) => {
            findings.error(
                check,
                format!("JetStream cannot be used: {:#}", anyhow::Error::new(error)),
                "switch jetstream on for the server and for the service's account",
            );
            return false;
        }
        Ok(state) => {
            let used = machine::size(state.used);
            match state.limit.filter(|limit| *limit > 0) {
                Some(limit) if state.used.saturating_mul(100) / limit >= NEARLY_FULL => findings.warning(
                    check,
                    format!("{used} of {} are used: at the limit nothing is published", machine::size(limit)),
                    "raise the account's storage, or lower nats.max_age_s",
                ),
                Some(limit) => findings.ok(check, format!("{used} of {} are used", machine::size(limit))),
                None => findings.ok(check, format!("{used} are used; the account has no limit")),
            }
        }
    }
    true
}

async fn stream(config: &Config, broker: &Broker, is_clustered: bool, findings: &mut Findings) {
    let check = "nats.stream";
    let name = &config.nats.stream;
    let stream = match broker.diagnose_stream().await {
        Ok(Some(stream)) => stream,
        Ok(None) => {
            return findings.warning(
                check,
                format!("there is no stream {name} yet"),
                "start the service, which makes it; if the service runs, look at the log for its worker `relay`",
            );
        }
        Err(error) => {
            let error = anyhow::Error::new(error);
            return findings.error(
                check,
                format!("the stream {name} does not respond: {error:#}"),
                "start the NATS servers that hold its copies",
            );
        }
    };
    limits(config, &stream, findings);
    if stream.has_leader == Some(false) {
        findings.error(
            check,
            format!("the stream {name} has no leader"),
            "start the NATS servers that hold its copies",
        );
    }
    if !stream.stale_peers.is_empty() {
        findings.warning(
            check,
            format!("copies of the stream {name} are behind or away: {}", stream.stale_peers.join(", ")),
            "start these servers, or remove them from the cluster (`nats server raft peer-remove`)",
        );
    }
    if is_clustered && config.nats.replicas == 1 {
        findings.warning(
            check,
            format!("NATS is a cluster, and the stream {name} has one copy: publishing stops when its server does"),
            "set nats.replicas = 3 and restart the replicas",
        );
    }
    findings.ok_unless_reported(check, format!("{name} has the configured subjects, age and copies"));
}

fn limits(config: &Config, stream: &StreamDiagnosis, findings: &mut Findings) {
    let check = "nats.stream";
    let (nats, remedy) =
        (&config.nats, "restart a replica, which gives the stream its configuration; then look who changed it");
    if stream.subjects != stream.expected_subjects {
        findings.error(
            check,
            format!(
                "the stream {} has the subjects {}, and not {}",
                nats.stream,
                stream.subjects.join(", "),
                stream.expected_subjects.join(", ")
            ),
            "choose another nats.stream for each installation on these servers",
        );
    }
    if stream.max_age != Duration::from_secs(nats.max_age_s) {
        findings.warning(
            check,
            format!(
                "the stream {} keeps messages for {} s, and not for {}",
                nats.stream,
                stream.max_age.as_secs(),
                nats.max_age_s
            ),
            remedy,
        );
    }
    if stream.replicas != nats.replicas {
        findings.warning(
            check,
            format!("the stream {} has {} copies, and not {}", nats.stream, stream.replicas, nats.replicas),
            remedy,
        );
    }
    if !stream.faults.is_empty() {
        findings.error(
            check,
            format!("the stream {} loses messages early, or cannot be repaired: {}", nats.stream, stream.faults.join(", ")),
            format!("`nats stream edit {}`; storage and retention cannot be changed: remove the stream, and the service makes it again", nats.stream),
        );
    }
}

async fn callout(config: &Config, broker: &Broker, metrics: &Metrics, findings: &mut Findings) {
    let check = "nats.callout";
    let issuer = match config.nats.issuer_seed.reveal().map(Issuer::from_seed).transpose() {
        Ok(issuer) => issuer,
        Err(error) => {
            let error = anyhow::Error::new(error);
            return findings.error(
                check,
                format!("nats.issuer_seed cannot be used: {error:#}"),
                "set the seed of an account's nkey",
            );
        }
    };
    if issuer.is_none() {
        return findings.ok(check, "nats.issuer_seed is not set: clients cannot log in to NATS with their keys");
    }
    match broker.own_login().await {
        Err(error) => {
            let error = anyhow::Error::new(error);
            findings.error(
                check,
                format!("it cannot be checked: {error:#}"),
                "mend the errors above, then run this again",
            );
        }
        Ok(own) => match fault_of_callout(&own, &config.nats.clients_account) {
            Some(fault) => {
                findings.error(check, format!("clients cannot log in: {fault}"), "see docs/nats.md, For operators");
            }
            None => findings.ok(check, "the NATS server asks the service about logins"),
        },
    }
    system(config, metrics, findings).await;
}

async fn system(config: &Config, metrics: &Metrics, findings: &mut Findings) {
    let check = "nats.system";
    if config.nats.system_url.is_empty() {
        return findings.warning(
            check,
            "nats.system_url is not set: connections of deleted keys end by their expiry alone",
            "set it to a URL with a user of the servers' system account",
        );
    }
    match ping(config, metrics).await {
        Ok(()) => findings.ok(check, "connections of deleted keys can be ended"),
        Err(error) => findings.error(
            check,
            format!("connections of deleted keys cannot be ended: {:#}", anyhow::Error::new(error)),
            "correct nats.system_url: it needs a user of the servers' system account",
        ),
    }
}

async fn ping(config: &Config, metrics: &Metrics) -> Result<(), BrokerError> {
    connect_once(&config.nats.system_url, &config.nats.ca_file).await?;
    SystemLink::connect(&config.nats, &config.nats.clients_account, metrics).await?.ping().await
}
