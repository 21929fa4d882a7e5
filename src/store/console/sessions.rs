//! Sessions: browsers that are signed in.

use std::net::IpAddr;
use std::time::Duration;

use tokio_postgres::Row as PgRow;
use uuid::Uuid;

use super::users::end_sessions;
use crate::domain::account::OnMissing;
use crate::domain::tier::Tier;
use crate::domain::user::UserRole;
use crate::domain::{AccountId, Timestamp};
use crate::store::audit::{By, audit};
use crate::store::{Store, StoreError};

const INSERT: &str = "-- console_session.insert
insert into console_session (account_id, token_hash, user_id, session_id, created_at, used_at, expires_at, address, user_agent)
select account_id, $2, user_id, $4, stored_now(), stored_now(), stored_now() + make_interval(secs => $5), $6, $7
from console_user where account_id = $1 and user_id = $3 and state = 'active'";

const SIGNED_IN: &str = "-- console_user.signed_in
update console_user set signed_in_at = stored_now() where account_id = $1 and user_id = $2 returning email";

const SWEEP: &str = "-- console_session.sweep
delete from console_session where account_id = $1 and (expires_at < stored_now()
    or used_at < stored_now() - make_interval(secs => $2))";

const LOOKUP: &str = "-- console_session.lookup
select s.session_id, s.user_id, s.used_at < stored_now() - interval '1 minute' as is_stale, u.email, u.role,
    u.totp is not null as has_totp, a.name, a.tier, a.on_missing, a.show_once, a.secure_api_limited, a.revision,
    stored_now() as now
from console_session s
join console_user u on u.account_id = s.account_id and u.user_id = s.user_id
join account a on a.account_id = s.account_id
where s.account_id = $1 and s.token_hash = $2 and u.state = 'active' and s.expires_at > stored_now()
    and s.used_at > stored_now() - make_interval(secs => $3)";

const TOUCH: &str = "-- console_session.touch
update console_session set used_at = stored_now() where account_id = $1 and token_hash = $2";

const LIST: &str = "-- console_session.list
select session_id, token_hash, created_at, used_at, address, user_agent
from console_session where account_id = $1 and user_id = $2 and expires_at > stored_now()
    and used_at > stored_now() - make_interval(secs => $3)
order by used_at desc limit 50";

const END: &str = "-- console_session.end
delete from console_session where account_id = $1 and token_hash = $2 returning user_id";

const END_BY_ID: &str = "-- console_session.end_by_id
delete from console_session where account_id = $1 and user_id = $2 and session_id = $3";

/// A session to be made.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the names say it")]
pub struct NewSession {
    pub account: AccountId,
    pub user_id: Uuid,
    pub token_hash: Vec<u8>,
    pub session_id: Uuid,
    pub valid_for: Duration,
    /// Sessions that were not used for so long have ended.
    pub idle_for: Duration,
    pub address: Option<IpAddr>,
    pub user_agent: String,
}

/// A session that works, with the user and the account that every page shows.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the names say it")]
#[expect(clippy::struct_excessive_bools, reason = "each is a column that pages show by itself")]
pub struct ActiveSession {
    pub session_id: Uuid,
    pub user_id: Uuid,
    /// Whether its last use is to be written again.
    pub is_stale: bool,
    pub email: String,
    pub role: UserRole,
    pub has_totp: bool,
    pub account_name: String,
    pub tier: Tier,
    pub on_missing: OnMissing,
    pub show_once: bool,
    /// White Label Visibility: only Super Admins see the Secure API.
    pub secure_api_limited: bool,
    /// The account's revision.
    pub revision: i64,
    /// The database's time.
    pub now: Timestamp,
}

/// A session as its user sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct ListedSession {
    pub session_id: Uuid,
    pub token_hash: Vec<u8>,
    pub created_at: Timestamp,
    pub used_at: Timestamp,
    pub address: Option<IpAddr>,
    pub user_agent: String,
}

impl Store {
    /// Makes a session of an active user; false where the user cannot sign in any more.
    pub async fn sign_in(&self, new: &NewSession, by: By<'_>) -> Result<bool, StoreError> {
        let mut client = self.writer().await?;
        let transaction = client.transaction().await?;
        let idle = new.idle_for.as_secs_f64();
        transaction.execute(SWEEP, &[&new.account.0, &idle]).await?;
        let values: crate::store::Params<'_, 7> = [
            &new.account.0,
            &new.token_hash,
            &new.user_id,
            &new.session_id,
            &new.valid_for.as_secs_f64(),
            &new.address,
            &new.user_agent,
        ];
        if transaction.execute(INSERT, &values).await? == 0 {
            return Ok(false);
        }
        let user = transaction.query_one(SIGNED_IN, &[&new.account.0, &new.user_id]).await?;
        let email: &str = user.get(0);
        let detail = serde_json::json!({"email": email});
        audit(&transaction, &[new.account.0], By { actor: email, ..by }, "user.sign_in", &detail).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Returns the session of a token that was used within `idle_for`.
    pub async fn session(
        &self,
        account: AccountId,
        token_hash: &[u8],
        idle_for: Duration,
    ) -> Result<Option<ActiveSession>, StoreError> {
        let client = self.reader().await?;
        let statement = client.prepare_cached(LOOKUP).await?;
        let row = client.query_opt(&statement, &[&account.0, &token_hash, &idle_for.as_secs_f64()]).await?;
        row.map(|row| active(&row, account)).transpose()
    }

    /// Writes that a session was used.
    pub async fn touch_session(&self, account: AccountId, token_hash: &[u8]) -> Result<(), StoreError> {
        self.writer().await?.execute(TOUCH, &[&account.0, &token_hash]).await?;
        Ok(())
    }

    /// Returns the sessions of a user, the last used first.
    pub async fn sessions(
        &self,
        account: AccountId,
        user: Uuid,
        idle_for: Duration,
    ) -> Result<Vec<ListedSession>, StoreError> {
        let client = self.reader().await?;
        let rows = client.query(LIST, &[&account.0, &user, &idle_for.as_secs_f64()]).await?;
        let listed = |row: &PgRow| ListedSession {
            session_id: row.get("session_id"),
            token_hash: row.get("token_hash"),
            created_at: row.get("created_at"),
            used_at: row.get("used_at"),
            address: row.get("address"),
            user_agent: row.get("user_agent"),
        };
        Ok(rows.iter().map(listed).collect())
    }

    /// Ends the session of a token.
    pub async fn end_session(&self, account: AccountId, token_hash: &[u8]) -> Result<(), StoreError> {
        self.writer().await?.execute(END, &[&account.0, &token_hash]).await?;
        Ok(())
    }

    /// Ends one session of a user; false where there is none.
    pub async fn end_session_by_id(&self, account: AccountId, user: Uuid, session: Uuid) -> Result<bool, StoreError> {
        let ended = self.writer().await?.execute(END_BY_ID, &[&account.0, &user, &session]).await?;
        Ok(ended > 0)
    }

    /// Ends all sessions of a user but the one that is kept, and writes an audit row. Returns how many.
    pub async fn end_sessions_of(
        &self,
        account: AccountId,
        user: Uuid,
        kept: Option<&[u8]>,
        by: By<'_>,
    ) -> Result<u64, StoreError> {
        let mut client = self.writer().await?;
        let transaction = client.transaction().await?;
        let ended = end_sessions(&transaction, account, user, kept).await?;
        let detail = serde_json::json!({"ended": ended});
        audit(&transaction, &[account.0], by, "user.sign_out_everywhere", &detail).await?;
        transaction.commit().await?;
        Ok(ended)
    }
}

fn active(row: &PgRow, account: AccountId) -> Result<ActiveSession, StoreError> {
    let corrupt = |table, column, text: &str| StoreError::corrupt(table, column, account, text.to_owned());
    let (role, tier, on_missing): (&str, &str, &str) = (row.get("role"), row.get("tier"), row.get("on_missing"));
    Ok(ActiveSession {
        session_id: row.get("session_id"),
        user_id: row.get("user_id"),
        is_stale: row.get("is_stale"),
        email: row.get("email"),
        role: UserRole::from_name(role).ok_or_else(|| corrupt("console_user", "role", role))?,
        has_totp: row.get("has_totp"),
        account_name: row.get("name"),
        tier: Tier::parse(tier).map_err(|_| corrupt("account", "tier", tier))?,
        on_missing: OnMissing::from_name(on_missing).ok_or_else(|| corrupt("account", "on_missing", on_missing))?,
        show_once: row.get("show_once"),
        secure_api_limited: row.get("secure_api_limited"),
        revision: row.get("revision"),
        now: row.get("now"),
    })
}
