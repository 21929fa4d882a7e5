//! Users of the console. Every change writes its audit row in its own transaction.

use deadpool_postgres::Transaction;
use serde_json::json;
use tokio_postgres::Row as PgRow;
use uuid::Uuid;

use super::links::{self, NewLink};
use crate::domain::user::{UserRole, UserState};
use crate::domain::{AccountId, Timestamp};
use crate::store::audit::{By, audit};
use crate::store::{Store, StoreError};

const INSERT: &str = "-- console_user.insert
insert into console_user (account_id, user_id, email, role, state, created_at)
select account_id, $2, $3, $4, 'invited', $5 from account where account_id = $1
on conflict (account_id, email) do nothing";

const LIST: &str = "-- console_user.list
select account_id, user_id, email, password, role, state, totp, totp_step, created_at, signed_in_at
from console_user where account_id = $1 order by email limit $2";

const READ: &str = "-- console_user.read
select account_id, user_id, email, password, role, state, totp, totp_step, created_at, signed_in_at
from console_user where account_id = $1 and user_id = $2";

const OF_EMAIL: &str = "-- console_user.of_email
select account_id, user_id, email, password, role, state, totp, totp_step, created_at, signed_in_at
from console_user where email = $1 and state = 'active' and password is not null order by account_id limit $2";

const OF_EMAIL_IN_ACCOUNT: &str = "-- console_user.of_email_in_account
select account_id, user_id, email, password, role, state, totp, totp_step, created_at, signed_in_at
from console_user where account_id = $1 and email = $2";

const ANY: &str = "-- console_user.any
select exists (select from console_user) as has_users, exists (select from account) as has_accounts";

/// Makes changes of an account's users follow each other, so that one Super Admin is always left.
const LOCK_ACCOUNT: &str = "-- console_user.lock_account
select account_id from account where account_id = $1 for no key update";

const SET_ROLE: &str = "-- console_user.set_role
update console_user set role = $3 where account_id = $1 and user_id = $2 returning email";

const SET_STATE: &str = "-- console_user.set_state
update console_user set state = case when $3 = 'active' and password is null then 'invited' else $3 end
where account_id = $1 and user_id = $2 returning email";

const DELETE: &str = "-- console_user.delete
delete from console_user where account_id = $1 and user_id = $2 returning email";

const SUPER_ADMINS: &str = "-- console_user.super_admins
select count(user_id) from console_user where account_id = $1 and role = 'super_admin' and state <> 'disabled'";

const SET_PASSWORD: &str = "-- console_user.set_password
update console_user set password = $3, state = case when state = 'invited' then 'active' else state end
where account_id = $1 and user_id = $2 and state <> 'disabled' returning email";

const SET_TOTP: &str = "-- console_user.set_totp
update console_user set totp = $3, totp_step = $4 where account_id = $1 and user_id = $2 returning email";

/// A code is accepted once: the step must be later than the last one that was used.
const USE_TOTP_STEP: &str = "-- console_user.use_totp_step
update console_user set totp_step = $3 where account_id = $1 and user_id = $2 and totp_step < $3";

const END_SESSIONS: &str = "-- console_session.end_of_user
delete from console_session where account_id = $1 and user_id = $2 and token_hash is distinct from $3";

const END_LINKS: &str = "-- console_link.end_of_user
delete from console_link where account_id = $1 and user_id = $2";

/// The users of one account that a page lists.
pub const MAX_USERS: i64 = 500;

/// A user.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct ConsoleUser {
    pub account: AccountId,
    pub user_id: Uuid,
    pub email: String,
    /// The argon2id hash in PHC form; `None` until the user has chosen a password.
    pub password: Option<String>,
    pub role: UserRole,
    pub state: UserState,
    /// The sealed secret of the second factor.
    pub totp: Option<Vec<u8>>,
    /// The last time step whose code was used.
    pub totp_step: i64,
    pub created_at: Timestamp,
    pub signed_in_at: Option<Timestamp>,
}

/// A user to be invited.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the names say it")]
pub struct NewUser {
    pub user_id: Uuid,
    pub email: String,
    pub role: UserRole,
}

/// The result of inviting a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is its name")]
pub enum InvitedUser {
    Done,
    NoAccount,
    /// The account has a user with this email address.
    Known,
}

/// A change of a user by a Super Admin or an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is its name")]
pub enum UserChange {
    Role(UserRole),
    /// Ends the user's sessions and links.
    Disable,
    Enable,
    /// Removes the user with everything that belongs to it.
    Remove,
    /// Removes the second factor, for a user who lost the device.
    RemoveTotp,
}

/// The result of a change of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is its name")]
pub enum ChangedUser {
    Done,
    NoUser,
    /// The account would have no Super Admin; nothing was changed.
    LastSuperAdmin,
}

impl Store {
    /// Adds a user who is invited by a link.
    pub async fn invite_user(
        &self,
        account: AccountId,
        new: &NewUser,
        link: &NewLink,
        by: By<'_>,
    ) -> Result<InvitedUser, StoreError> {
        let mut client = self.writer().await?;
        let transaction = client.transaction().await?;
        if transaction.query_opt(LOCK_ACCOUNT, &[&account.0]).await?.is_none() {
            return Ok(InvitedUser::NoAccount);
        }
        let values: crate::store::Params<'_, 5> = [&account.0, &new.user_id, &new.email, &new.role.name(), &by.at];
        if transaction.execute(INSERT, &values).await? == 0 {
            return Ok(InvitedUser::Known);
        }
        links::insert(&transaction, link).await?;
        let detail = json!({"email": new.email, "role": new.role.name()});
        audit(&transaction, &[account.0], by, "user.invite", &detail).await?;
        transaction.commit().await?;
        Ok(InvitedUser::Done)
    }

    /// Changes a user. One Super Admin who can sign in is always left.
    pub async fn change_user(
        &self,
        account: AccountId,
        user: Uuid,
        change: UserChange,
        by: By<'_>,
    ) -> Result<ChangedUser, StoreError> {
        let mut client = self.writer().await?;
        let transaction = client.transaction().await?;
        transaction.query_opt(LOCK_ACCOUNT, &[&account.0]).await?;
        let (action, changed) = match change {
            UserChange::Role(role) => {
                ("user.role", transaction.query_opt(SET_ROLE, &[&account.0, &user, &role.name()]).await?)
            }
            UserChange::Disable | UserChange::Enable => {
                let state = if change == UserChange::Enable { UserState::Active } else { UserState::Disabled };
                let action = if change == UserChange::Enable { "user.enable" } else { "user.disable" };
                (action, transaction.query_opt(SET_STATE, &[&account.0, &user, &state.name()]).await?)
            }
            UserChange::Remove => ("user.remove", transaction.query_opt(DELETE, &[&account.0, &user]).await?),
            UserChange::RemoveTotp => {
                let values: crate::store::Params<'_, 4> = [&account.0, &user, &None::<Vec<u8>>, &0_i64];
                ("user.totp_remove", transaction.query_opt(SET_TOTP, &values).await?)
            }
        };
        let Some(changed) = changed else { return Ok(ChangedUser::NoUser) };
        let left: i64 = transaction.query_one(SUPER_ADMINS, &[&account.0]).await?.get(0);
        if left == 0 && !matches!(change, UserChange::Enable | UserChange::RemoveTotp) {
            return Ok(ChangedUser::LastSuperAdmin);
        }
        if matches!(change, UserChange::Disable | UserChange::Remove) {
            end_sessions(&transaction, account, user, None).await?;
            transaction.execute(END_LINKS, &[&account.0, &user]).await?;
        }
        let role = if let UserChange::Role(role) = change { Some(role.name()) } else { None };
        let detail = json!({"email": changed.get::<_, &str>(0), "role": role});
        audit(&transaction, &[account.0], by, action, &detail).await?;
        transaction.commit().await?;
        Ok(ChangedUser::Done)
    }

    /// Sets the password of the user of a link, which is used up. Ends the user's sessions. Returns the user; `None` where
    /// the link does not work.
    pub async fn set_password_by_link(
        &self,
        (account, token_hash): (AccountId, &[u8]),
        password: &str,
        by: By<'_>,
    ) -> Result<Option<Uuid>, StoreError> {
        let mut client = self.writer().await?;
        let transaction = client.transaction().await?;
        let purposes = ["invitation", "password_reset"];
        let Some(user) = links::take(&transaction, account, token_hash, &purposes).await? else { return Ok(None) };
        let values: crate::store::Params<'_, 3> = [&account.0, &user, &password];
        let Some(changed) = transaction.query_opt(SET_PASSWORD, &values).await? else { return Ok(None) };
        end_sessions(&transaction, account, user, None).await?;
        transaction.execute(END_LINKS, &[&account.0, &user]).await?;
        let email: &str = changed.get(0);
        audit(&transaction, &[account.0], By { actor: email, ..by }, "user.password", &json!({"email": email})).await?;
        transaction.commit().await?;
        Ok(Some(user))
    }

    /// Changes a user's password, and ends all sessions but the one that is kept.
    pub async fn change_password(
        &self,
        (account, user): (AccountId, Uuid),
        password: &str,
        kept_session: Option<&[u8]>,
        by: By<'_>,
    ) -> Result<bool, StoreError> {
        let mut client = self.writer().await?;
        let transaction = client.transaction().await?;
        let values: crate::store::Params<'_, 3> = [&account.0, &user, &password];
        let Some(changed) = transaction.query_opt(SET_PASSWORD, &values).await? else { return Ok(false) };
        end_sessions(&transaction, account, user, kept_session).await?;
        transaction.execute(END_LINKS, &[&account.0, &user]).await?;
        let detail = json!({"email": changed.get::<_, &str>(0)});
        audit(&transaction, &[account.0], by, "user.password", &detail).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Sets or removes a user's second factor.
    pub async fn set_totp(
        &self,
        (account, user): (AccountId, Uuid),
        sealed: Option<&[u8]>,
        step: i64,
        by: By<'_>,
    ) -> Result<bool, StoreError> {
        let mut client = self.writer().await?;
        let transaction = client.transaction().await?;
        let values: crate::store::Params<'_, 4> = [&account.0, &user, &sealed, &step];
        let Some(changed) = transaction.query_opt(SET_TOTP, &values).await? else { return Ok(false) };
        let action = if sealed.is_some() { "user.totp_add" } else { "user.totp_remove" };
        let detail = json!({"email": changed.get::<_, &str>(0)});
        audit(&transaction, &[account.0], by, action, &detail).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Uses up the code of a time step; false where it, or a later one, was used before.
    pub async fn use_totp_step(&self, account: AccountId, user: Uuid, step: i64) -> Result<bool, StoreError> {
        let client = self.writer().await?;
        Ok(client.execute(USE_TOTP_STEP, &[&account.0, &user, &step]).await? > 0)
    }

    /// Returns the account's users by email address, at most [`MAX_USERS`].
    pub async fn users(&self, account: AccountId) -> Result<Vec<ConsoleUser>, StoreError> {
        let client = self.reader().await?;
        client.query(LIST, &[&account.0, &MAX_USERS]).await?.iter().map(user).collect()
    }

    /// Returns a user of the account.
    pub async fn user(&self, account: AccountId, user_id: Uuid) -> Result<Option<ConsoleUser>, StoreError> {
        let client = self.reader().await?;
        client.query_opt(READ, &[&account.0, &user_id]).await?.as_ref().map(user).transpose()
    }

    /// Returns the user of this email address in an account.
    pub async fn user_of_email(&self, account: AccountId, email: &str) -> Result<Option<ConsoleUser>, StoreError> {
        let client = self.reader().await?;
        client.query_opt(OF_EMAIL_IN_ACCOUNT, &[&account.0, &email]).await?.as_ref().map(user).transpose()
    }

    /// Returns the users of any account who may sign in with this email address, at most `limit`.
    pub async fn users_of_email(&self, email: &str, limit: i64) -> Result<Vec<ConsoleUser>, StoreError> {
        let client = self.reader().await?;
        client.query(OF_EMAIL, &[&email, &limit]).await?.iter().map(user).collect()
    }

    /// Whether the installation has any user, and any account.
    pub async fn has_users_and_accounts(&self) -> Result<(bool, bool), StoreError> {
        let row = self.reader().await?.query_one(ANY, &[]).await?;
        Ok((row.get(0), row.get(1)))
    }
}

/// Ends the sessions of a user but the one that is kept.
pub(super) async fn end_sessions(
    transaction: &Transaction<'_>,
    account: AccountId,
    user: Uuid,
    kept: Option<&[u8]>,
) -> Result<u64, StoreError> {
    Ok(transaction.execute(END_SESSIONS, &[&account.0, &user, &kept]).await?)
}

fn user(row: &PgRow) -> Result<ConsoleUser, StoreError> {
    let account = AccountId(row.get("account_id"));
    let corrupt = |column, text: &str| StoreError::corrupt("console_user", column, account, text.to_owned());
    let (role, state): (&str, &str) = (row.get("role"), row.get("state"));
    Ok(ConsoleUser {
        account,
        user_id: row.get("user_id"),
        email: row.get("email"),
        password: row.get("password"),
        role: UserRole::from_name(role).ok_or_else(|| corrupt("role", role))?,
        state: UserState::from_name(state).ok_or_else(|| corrupt("state", state))?,
        totp: row.get("totp"),
        totp_step: row.get("totp_step"),
        created_at: row.get("created_at"),
        signed_in_at: row.get("signed_in_at"),
    })
}
