//! Changes of users, by a Super Admin, an operator or the user: each is one transaction with its audit row.

use std::time::Duration;

use uuid::Uuid;

use super::mail::{Mail, Mailer};
use super::password::{PasswordHasher, TooManyHashes};
use super::token::{AccessToken, NO_ACCOUNT};
use super::totp::TotpSecret;
use crate::clock::{self, Clock};
use crate::domain::AccountId;
use crate::domain::user::{LinkPurpose, UserRole, UserState, check_password, parse_email};
use crate::keys::{self, SecretKey, Terms};
use crate::secrets::MasterKeys;
use crate::store::accounts::NewAccount;
use crate::store::audit::By;
use crate::store::console::links::NewLink;
use crate::store::console::users::{ChangedUser, ConsoleUser, InvitedUser, NewUser, UserChange};
use crate::store::{Store, StoreError};

/// The time for which an invitation works.
pub const INVITATION_TTL: Duration = Duration::from_hours(7 * 24);

/// The time for which a link to choose another password works.
pub const RESET_TTL: Duration = Duration::from_hours(1);

/// The time for which the link of the first start works; the next start prints another one.
pub const SET_UP_TTL: Duration = Duration::from_hours(24);

/// The accounts with one email address that get a link.
const MAX_RESETS: i64 = 4;

/// A change that was not made.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// A value that cannot be used, with the sentence for its field.
    #[error("{message}")]
    Invalid {
        /// The field: `email`, `password`, `current`, `code` or `name`.
        field: &'static str,
        /// The sentence that stands beside the field.
        message: &'static str,
    },
    /// There is no such account or user.
    #[error("there is no such account or user")]
    Missing,
    /// The account would have no Super Admin.
    #[error("the account must keep one Super Admin")]
    LastSuperAdmin,
    /// The link was used, has expired, or never worked.
    #[error("the link does not work any more")]
    DeadLink,
    /// The secret of a second factor cannot be stored without a master key.
    #[error("there is no master key to seal the secret with")]
    NoMasterKey,
    /// Too many passwords are being checked.
    #[error("too many passwords are being checked; try again in a few seconds")]
    Busy(#[from] TooManyHashes),
    /// The database refused or failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
}

impl UserError {
    pub(super) fn invalid(field: &'static str) -> impl Fn(&'static str) -> Self {
        move |message| Self::Invalid { field, message }
    }
}

/// The account and the Super Admin of the first set-up, as they are typed.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the names say it")]
pub struct FirstUser<'a> {
    pub account_name: &'a str,
    pub email: &'a str,
    pub password: &'a str,
}

/// Users of the console. Cloning shares everything.
#[derive(Clone)]
pub struct Users {
    pub(super) store: Store,
    pub(super) hasher: PasswordHasher,
    pub(super) masters: MasterKeys,
    pub(super) clock: Clock,
    pub(super) mailer: Mailer,
}

impl Users {
    /// The service over a store.
    #[must_use]
    pub fn new(store: Store, hasher: PasswordHasher, masters: MasterKeys, clock: Clock, mailer: Mailer) -> Self {
        Self { store, hasher, masters, clock, mailer }
    }

    /// The sender of mail.
    #[must_use]
    pub fn mailer(&self) -> &Mailer {
        &self.mailer
    }

    /// Invites a user; the token is that of the invitation's link.
    pub async fn invite(
        &self,
        account: AccountId,
        email: &str,
        role: UserRole,
        by: By<'_>,
    ) -> Result<AccessToken, UserError> {
        let email = parse_email(email).map_err(UserError::invalid("email"))?;
        let new = NewUser { user_id: clock::fresh_uid().0, email, role };
        let token = AccessToken::make(account);
        let link = link(&token, new.user_id, LinkPurpose::Invitation, INVITATION_TTL);
        match self.store.invite_user(account, &new, &link, by).await? {
            InvitedUser::Done => Ok(token),
            InvitedUser::NoAccount => Err(UserError::Missing),
            InvitedUser::Known => {
                Err(UserError::Invalid { field: "email", message: "Someone with this email address is in the team." })
            }
        }
    }

    /// Makes a link by which a user chooses a password: another one, or the first one of an invitation.
    pub async fn password_link(&self, user: &ConsoleUser, by: By<'_>) -> Result<AccessToken, UserError> {
        let token = AccessToken::make(user.account);
        let (purpose, ttl) = match user.password {
            Some(_) => (LinkPurpose::PasswordReset, RESET_TTL),
            None => (LinkPurpose::Invitation, INVITATION_TTL),
        };
        self.store.add_password_link(&link(&token, user.user_id, purpose, ttl), &user.email, by).await?;
        Ok(token)
    }

    /// Sends every active user of an address the link to another password, under the brand of the user's account. `link_base` is
    /// the beginning of the link, `brand` the name for accounts without one.
    pub async fn send_resets(
        &self,
        email: &str,
        of_account: Option<AccountId>,
        (link_base, brand): (&str, &str),
        by: By<'_>,
    ) -> Result<(), UserError> {
        let users = match of_account {
            Some(account) => self.store.user_of_email(account, email).await?.into_iter().collect(),
            None => self.store.users_of_email(email, MAX_RESETS).await?,
        };
        for user in users.iter().filter(|user| user.state == UserState::Active) {
            let token = self.password_link(user, By { actor: email, ..by }).await?;
            let own = self.store.brand_name(user.account).await?;
            let brand = own.as_deref().unwrap_or(brand);
            self.mailer.queue(Mail::reset(email, brand, &format!("{link_base}{}", token.text())));
        }
        Ok(())
    }

    /// Changes a user's role or state, or removes the user.
    pub async fn change(
        &self,
        account: AccountId,
        user: Uuid,
        change: UserChange,
        by: By<'_>,
    ) -> Result<(), UserError> {
        match self.store.change_user(account, user, change, by).await? {
            ChangedUser::Done => Ok(()),
            ChangedUser::NoUser => Err(UserError::Missing),
            ChangedUser::LastSuperAdmin => Err(UserError::LastSuperAdmin),
        }
    }

    /// Sets a password by a link, which is used up. The user's sessions end.
    pub async fn choose_password(
        &self,
        token: &AccessToken,
        password: &str,
        by: By<'_>,
    ) -> Result<ConsoleUser, UserError> {
        let link = self.store.link(token.account(), &token.hash()).await?.ok_or(UserError::DeadLink)?;
        check_password(password, link.email.as_deref().unwrap_or_default()).map_err(UserError::invalid("password"))?;
        let hash = self.hasher.hash(password).await?;
        let user = self.store.set_password_by_link((token.account(), &token.hash()), &hash, by).await?;
        let user = user.ok_or(UserError::DeadLink)?;
        self.store.user(token.account(), user).await?.ok_or(UserError::DeadLink)
    }

    /// Changes the password of a user who knows the current one. The user's other sessions end.
    pub async fn change_password(
        &self,
        (account, user): (AccountId, Uuid),
        (current, new): (&str, &str),
        kept_session: &[u8],
        by: By<'_>,
    ) -> Result<(), UserError> {
        let wrong = ("current", "This is not your current password.");
        let known = self.known_by(current, (account, user), wrong).await?;
        check_password(new, &known.email).map_err(UserError::invalid("password"))?;
        let hash = self.hasher.hash(new).await?;
        self.store.change_password((account, user), &hash, Some(kept_session), by).await?;
        Ok(())
    }

    /// Sets a password without asking for the current one, for operators.
    pub async fn set_password(
        &self,
        (account, user): (AccountId, Uuid),
        (email, password): (&str, &str),
        by: By<'_>,
    ) -> Result<(), UserError> {
        check_password(password, email).map_err(UserError::invalid("password"))?;
        let hash = self.hasher.hash(password).await?;
        self.store.change_password((account, user), &hash, None, by).await?;
        Ok(())
    }

    /// Turns the second factor on, if the code shows that the user's app has the secret.
    pub async fn add_totp(
        &self,
        (account, user): (AccountId, Uuid),
        secret: &TotpSecret,
        code: &str,
        by: By<'_>,
    ) -> Result<(), UserError> {
        let wrong = UserError::Invalid {
            field: "code",
            message: "This code is not right. Enter the one that your app shows now.",
        };
        let step = secret.step_of(code, self.clock.now()).ok_or(wrong)?;
        let sealed = self.masters.seal(&totp_aad(account, user), secret.bytes()).ok_or(UserError::NoMasterKey)?;
        self.store.set_totp((account, user), Some(&sealed), step, by).await?;
        Ok(())
    }

    /// Turns the second factor off, if the user knows the password.
    pub async fn remove_totp(
        &self,
        (account, user): (AccountId, Uuid),
        password: &str,
        by: By<'_>,
    ) -> Result<(), UserError> {
        self.known_by(password, (account, user), ("password", "This is not your password.")).await?;
        self.store.set_totp((account, user), None, 0, by).await?;
        Ok(())
    }

    /// The link of the first start, where the installation has neither an account nor a user.
    pub async fn set_up_link(&self) -> Result<Option<AccessToken>, StoreError> {
        if self.store.has_users_and_accounts().await? != (false, false) {
            return Ok(None);
        }
        let token = AccessToken::make(NO_ACCOUNT);
        self.store.add_link(&link(&token, Uuid::nil(), LinkPurpose::SetUp, SET_UP_TTL)).await?;
        Ok(Some(token))
    }

    /// Makes the first account and its Super Admin by the link of the first start, which is used up. An installation that
    /// stops in the middle has an account without users, to which `unificus user add` adds one.
    pub async fn set_up(
        &self,
        token: &AccessToken,
        FirstUser { account_name, email, password }: FirstUser<'_>,
        new_account: (&crate::domain::tier::Tier, &str),
        by: By<'_>,
    ) -> Result<ConsoleUser, UserError> {
        let name = crate::domain::brand::parse_name(account_name)
            .map_err(|_| UserError::Invalid { field: "name", message: "A name has 1 to 60 characters on one line." })?;
        let email = parse_email(email).map_err(UserError::invalid("email"))?;
        check_password(password, &email).map_err(UserError::invalid("password"))?;
        if self.store.has_users_and_accounts().await? != (false, false)
            || self.store.take_link(NO_ACCOUNT, &token.hash(), LinkPurpose::SetUp).await?.is_none()
        {
            return Err(UserError::DeadLink);
        }
        let (tier, slug) = new_account;
        let account = AccountId(clock::fresh_uid().0);
        let key = keys::prepare(account, &SecretKey::make(slug), Terms::named("default"), &self.masters);
        let by = By { actor: &email, ..by };
        self.store.create_accounts(&[NewAccount { account, name, key }], tier, by).await?;
        let invitation = self.invite(account, &email, UserRole::SuperAdmin, by).await?;
        self.choose_password(&invitation, password, by).await
    }
}

/// The row of a link.
pub(super) fn link(token: &AccessToken, user_id: Uuid, purpose: LinkPurpose, valid_for: Duration) -> NewLink {
    NewLink { account: token.account(), token_hash: token.hash().to_vec(), user_id, purpose, valid_for }
}

/// The additional authenticated data of a sealed secret: it opens only in its own row.
pub(super) fn totp_aad(account: AccountId, user: Uuid) -> Vec<u8> {
    [b"totp".as_slice(), account.0.as_bytes(), user.as_bytes()].concat()
}
