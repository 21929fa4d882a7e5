//! The rights of a connection: pure.

use std::time::Duration;

use uuid::Uuid;

use crate::broker::Permit;
use crate::config::NatsConfig;
use crate::domain::AccountId;
use crate::keys::{AuthenticatedKey, public_id};

/// The longest connection of a client where the service has no connection to the system account, by which it would end the
/// connections of deleted keys. The client logs in again after that.
pub(crate) const UNWATCHED: Duration = Duration::from_mins(1);

/// The largest number of subscriptions of a connection.
const MAX_SUBSCRIPTIONS: i64 = 1_000;

/// The names of subjects, stream and accounts at the NATS server.
#[derive(Debug, Clone)]
pub(crate) struct GatewayNames {
    pub(crate) subject_root: String,
    pub(crate) stream: String,
    /// The account of the server that clients are logged in to.
    pub(crate) clients_account: String,
    /// The largest message of a client, in bytes.
    pub(crate) max_payload: usize,
}

impl GatewayNames {
    pub(crate) fn new(config: &NatsConfig, max_payload: usize) -> Self {
        Self {
            subject_root: config.subject_root.clone(),
            stream: config.stream.clone(),
            clients_account: config.clients_account.clone(),
            max_payload,
        }
    }

    /// The rights of a connection with this key, in an account with these durable consumers. `now` is a Unix time in
    /// seconds; `is_watched` says whether the service ends the connection when its key is deleted.
    pub(crate) fn permit(&self, key: &AuthenticatedKey, durables: &[String], is_watched: bool, now: i64) -> Permit {
        let Self { subject_root, stream, clients_account, max_payload } = self;
        let account = key.account;
        let mut publish = Vec::new();
        if !key.read_only {
            publish.push(format!("{subject_root}.{account}.cmd.>"));
        }
        for durable in durables {
            publish.push(format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{durable}"));
            publish.push(format!("$JS.API.CONSUMER.INFO.{stream}.{durable}"));
            publish.push(format!("$JS.ACK.{stream}.{durable}.>"));
            // The form of later servers, which names domain and account.
            publish.push(format!("$JS.ACK.*.*.{stream}.{durable}.>"));
        }
        if publish.is_empty() {
            // An empty list would permit every subject. Nothing can subscribe to this one.
            publish.push(format!("{subject_root}.{account}.nothing"));
        }
        let lasts = key.expires_in.into_iter().chain((!is_watched).then_some(UNWATCHED)).min();
        Permit {
            name: client_name(account, key.key_id),
            server_account: clients_account.clone(),
            publish,
            subscribe: vec![format!("{subject_root}.{account}.evt.>"), format!("_INBOX_{account}.>")],
            max_subscriptions: MAX_SUBSCRIPTIONS,
            max_payload: i64::try_from(*max_payload).unwrap_or(i64::MAX),
            expires_at: lasts
                .map(|lasts| now.saturating_add(i64::try_from(lasts.as_secs()).unwrap_or(i64::MAX)).max(now + 1)),
        }
    }
}

/// The user name of a connection: the account and the key.
pub(crate) fn client_name(account: AccountId, key_id: Uuid) -> String {
    format!("{account}:{key_id}")
}

/// The account and the key of a user name; `None` for another name.
pub(crate) fn client_of(name: &str) -> Option<(AccountId, Uuid)> {
    let (account, key_id) = name.split_once(':')?;
    Some((public_id(account)?, Uuid::try_parse(key_id).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::account::OnMissing;
    use crate::domain::tier::Tier;

    const ACCOUNT: AccountId = AccountId(Uuid::from_u128(0xA));
    const ID: &str = "00000000-0000-0000-0000-00000000000a";

    fn key(read_only: bool, expires_in: Option<Duration>) -> AuthenticatedKey {
        AuthenticatedKey {
            account: ACCOUNT,
            key_id: Uuid::from_u128(0xB),
            origin: "erp".into(),
            read_only,
            expires_in,
            tier: Tier::parse("pinnacle").unwrap(),
            on_missing: OnMissing::Fail,
            revision: 1,
        }
    }

    fn names() -> GatewayNames {
        GatewayNames::new(&NatsConfig::default(), 1_024)
    }

    #[test]
    fn a_key_may_use_its_accounts_subjects_and_consumers_and_nothing_else() {
        let permit = names().permit(&key(false, None), &[format!("{ID}_erp")], true, 100);
        assert_eq!(
            permit.publish,
            [
                format!("crm.v1.{ID}.cmd.>"),
                format!("$JS.API.CONSUMER.MSG.NEXT.EVENTS.{ID}_erp"),
                format!("$JS.API.CONSUMER.INFO.EVENTS.{ID}_erp"),
                format!("$JS.ACK.EVENTS.{ID}_erp.>"),
                format!("$JS.ACK.*.*.EVENTS.{ID}_erp.>"),
            ]
        );
        assert_eq!(permit.subscribe, [format!("crm.v1.{ID}.evt.>"), format!("_INBOX_{ID}.>")]);
        assert_eq!((permit.server_account.as_str(), permit.max_payload), ("CRM_CLIENTS", 1_024));
        assert_eq!(permit.expires_at, None);
        assert_eq!(client_of(&permit.name), Some((ACCOUNT, Uuid::from_u128(0xB))));
    }

    #[test]
    fn a_read_only_key_without_consumers_publishes_nothing() {
        let permit = names().permit(&key(true, None), &[], true, 100);
        assert_eq!(permit.publish, [format!("crm.v1.{ID}.nothing")], "an empty list would permit everything");
    }

    #[test]
    fn a_connection_ends_with_its_key_and_after_a_minute_where_nobody_watches() {
        let ends = |expires_in, is_watched| names().permit(&key(false, expires_in), &[], is_watched, 100).expires_at;
        assert_eq!(ends(Some(Duration::from_secs(10)), true), Some(110));
        assert_eq!(ends(Some(Duration::from_secs(10)), false), Some(110));
        assert_eq!(ends(Some(Duration::from_secs(100)), false), Some(160));
        assert_eq!(ends(None, false), Some(160));
        assert_eq!(ends(Some(Duration::from_millis(5)), true), Some(101), "a server refuses a time that has passed");
        assert_eq!(ends(Some(Duration::MAX), true), Some(i64::MAX));
    }

    #[test]
    fn only_names_of_logins_are_read() {
        for name in ["", "unificus", ID, &format!("{ID}:"), &format!("{ID}:x"), ":"] {
            assert_eq!(client_of(name), None, "{name}");
        }
    }
}
