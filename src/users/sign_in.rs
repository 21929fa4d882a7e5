//! Signing in: the password, the second factor, the throttle, and the session.
//!
//! An attempt is counted before the password is checked, so that concurrent attempts are limited too. The response is the
//! same, and takes as long, for an address that nobody has and for a wrong password.

use std::net::IpAddr;
use std::time::Duration;

use super::service::{UserError, Users, link, totp_aad};
use super::token::AccessToken;
use super::totp::TotpSecret;
use crate::clock;
use crate::domain::AccountId;
use crate::domain::user::{LinkPurpose, UserState, parse_email};
use crate::store::audit::By;
use crate::store::console::sessions::NewSession;
use crate::store::console::users::ConsoleUser;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// The time after which a session ends, however much it is used.
pub const SESSION_TTL: Duration = Duration::from_hours(14 * 24);

/// The time after which an unused session ends.
pub const SESSION_IDLE: Duration = Duration::from_hours(24);

/// The time for the second step of signing in.
const STEP_TTL: Duration = Duration::from_mins(5);

/// The window in which attempts are counted.
const WINDOW: Duration = Duration::from_mins(15);

/// Attempts per window for one email address from one network. Few, because a person remembers or resets a password.
const MAX_PER_EMAIL_AND_NETWORK: i32 = 10;

/// Attempts per window from one network, in which a company may have many people.
const MAX_PER_NETWORK: i32 = 60;

/// Attempts per window for one email address from anywhere: more, because strangers must not lock a user out.
const MAX_PER_EMAIL: i32 = 100;

/// The accounts with one email address among which a user chooses.
const MAX_ACCOUNTS: i64 = 4;

/// The longest user agent that is stored, in characters.
const MAX_USER_AGENT: usize = 200;

/// The browser that signs in.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the names say it")]
pub struct BrowserInfo<'a> {
    pub address: Option<IpAddr>,
    pub user_agent: &'a str,
}

/// The result of an attempt.
#[derive(Debug)]
pub enum SignInResult {
    /// The session's token.
    SignedIn(AccessToken),
    /// A code is needed: the token is that of the second step.
    NeedsCode(AccessToken),
    /// Several accounts have a user with this address and password: the token of the second step for each.
    ChooseAccount(Vec<AccessToken>),
    /// The address or the password is wrong.
    Refused,
    /// Too many attempts were made: try again after this time.
    Throttled(Duration),
}

impl Users {
    /// Checks an address and a password. With `of_account`, which a brand's own host names, only its users sign in.
    pub async fn sign_in(
        &self,
        (email, password): (&str, &str),
        of_account: Option<AccountId>,
        browser: BrowserInfo<'_>,
    ) -> Result<SignInResult, UserError> {
        // An address that cannot be one is counted and compared as any other that nobody has.
        let email = parse_email(email).unwrap_or_else(|_| email.trim().to_lowercase());
        let own = subject("both", &format!("{email} {}", network(browser.address)));
        let limits = [
            (own.clone(), MAX_PER_EMAIL_AND_NETWORK),
            (subject("network", &network(browser.address)), MAX_PER_NETWORK),
            (subject("email", &email), MAX_PER_EMAIL),
        ];
        if let Some(wait) = self.throttled(&limits).await? {
            return Ok(SignInResult::Throttled(wait));
        }
        let candidates = match of_account {
            Some(account) => self.store.user_of_email(account, &email).await?.into_iter().collect(),
            None => self.store.users_of_email(&email, MAX_ACCOUNTS).await?,
        };
        let mut known = Vec::new();
        for user in candidates.iter().filter(|user| user.state == UserState::Active) {
            if self.hasher.verify(password, user.password.as_deref()).await? {
                known.push(user);
            }
        }
        if !candidates.iter().any(|user| user.state == UserState::Active) {
            self.hasher.verify(password, None).await?;
        }
        match known.as_slice() {
            [] => Ok(SignInResult::Refused),
            [user] => {
                self.store.clear_attempts(&own, WINDOW).await?;
                self.second_step(user, browser).await
            }
            several => {
                let mut tokens = Vec::new();
                for user in several {
                    tokens.push(self.step_token(user, LinkPurpose::ChooseAccount).await?);
                }
                Ok(SignInResult::ChooseAccount(tokens))
            }
        }
    }

    /// Continues in the account that was chosen.
    pub async fn choose_account(
        &self,
        token: &AccessToken,
        browser: BrowserInfo<'_>,
    ) -> Result<SignInResult, UserError> {
        let user = self.store.take_link(token.account(), &token.hash(), LinkPurpose::ChooseAccount).await?;
        let user = user.ok_or(UserError::DeadLink)?;
        let user = self.store.user(token.account(), user).await?.ok_or(UserError::DeadLink)?;
        self.second_step(&user, browser).await
    }

    /// Checks the code of the second factor. The token of the step keeps working after a wrong code, as often as the
    /// throttle permits.
    pub async fn check_code(
        &self,
        token: &AccessToken,
        code: &str,
        browser: BrowserInfo<'_>,
    ) -> Result<SignInResult, UserError> {
        let link = self.store.link(token.account(), &token.hash()).await?;
        let link = link.filter(|link| link.purpose == LinkPurpose::SecondFactor).ok_or(UserError::DeadLink)?;
        let limit = (subject("code", &format!("{} {}", token.account(), link.user_id)), MAX_PER_EMAIL_AND_NETWORK);
        if let Some(wait) = self.throttled(std::slice::from_ref(&limit)).await? {
            return Ok(SignInResult::Throttled(wait));
        }
        let user = self.store.user(token.account(), link.user_id).await?.ok_or(UserError::DeadLink)?;
        let aad = totp_aad(user.account, user.user_id);
        let secret = user.totp.as_ref().and_then(|sealed| self.masters.open(&aad, sealed));
        let step = secret.and_then(|bytes| TotpSecret::of(&bytes)?.step_of(code, self.clock.now()));
        let Some(step) = step else { return Ok(SignInResult::Refused) };
        if !self.store.use_totp_step(user.account, user.user_id, step).await? {
            return Ok(SignInResult::Refused);
        }
        if self.store.take_link(token.account(), &token.hash(), LinkPurpose::SecondFactor).await?.is_none() {
            return Err(UserError::DeadLink);
        }
        self.store.clear_attempts(&limit.0, WINDOW).await?;
        self.new_session(&user, browser).await
    }

    /// Makes a session for a user who has just chosen a password by a link.
    pub async fn second_step(&self, user: &ConsoleUser, browser: BrowserInfo<'_>) -> Result<SignInResult, UserError> {
        if user.totp.is_some() {
            return Ok(SignInResult::NeedsCode(self.step_token(user, LinkPurpose::SecondFactor).await?));
        }
        self.new_session(user, browser).await
    }

    async fn step_token(&self, user: &ConsoleUser, purpose: LinkPurpose) -> Result<AccessToken, UserError> {
        let token = AccessToken::make(user.account);
        self.store.add_link(&link(&token, user.user_id, purpose, STEP_TTL)).await?;
        Ok(token)
    }

    async fn new_session(&self, user: &ConsoleUser, browser: BrowserInfo<'_>) -> Result<SignInResult, UserError> {
        let token = AccessToken::make(user.account);
        let new = NewSession {
            account: user.account,
            user_id: user.user_id,
            token_hash: token.hash().to_vec(),
            session_id: clock::fresh_uid().0,
            valid_for: SESSION_TTL,
            idle_for: SESSION_IDLE,
            address: browser.address,
            user_agent: browser.user_agent.chars().filter(|sign| !sign.is_control()).take(MAX_USER_AGENT).collect(),
        };
        let by = By { actor: &user.email, at: self.clock.now(), address: browser.address };
        let signed_in = self.store.sign_in(&new, by).await?;
        Ok(if signed_in { SignInResult::SignedIn(token) } else { SignInResult::Refused })
    }

    /// The user of a session, if the password is theirs; otherwise `wrong`, as an error of this field. A session that somebody
    /// else took must not serve to guess it, so attempts are counted, and too many are an error of the field too.
    pub(super) async fn known_by(
        &self,
        password: &str,
        (account, user): (AccountId, Uuid),
        (field, wrong): (&'static str, &'static str),
    ) -> Result<ConsoleUser, UserError> {
        let invalid = UserError::invalid(field);
        let known = self.store.user(account, user).await?.ok_or(UserError::Missing)?;
        let limit = (subject("password", &format!("{account} {user}")), MAX_PER_EMAIL_AND_NETWORK);
        if self.throttled(std::slice::from_ref(&limit)).await?.is_some() {
            return Err(invalid("Too many attempts. Try again in 15 minutes."));
        }
        if !self.hasher.verify(password, known.password.as_deref()).await? {
            return Err(invalid(wrong));
        }
        self.store.clear_attempts(&limit.0, WINDOW).await?;
        Ok(known)
    }

    /// Counts a request for a link to a forgotten password; true where it may be sent.
    pub async fn may_request_reset(&self, email: &str, address: Option<IpAddr>) -> Result<bool, UserError> {
        let limits =
            [(subject("reset", email), 3), (subject("reset from", &network(address)), MAX_PER_EMAIL_AND_NETWORK)];
        Ok(self.throttled(&limits).await?.is_none())
    }

    /// Counts an attempt; the time to wait where one of the limits is exceeded.
    async fn throttled(&self, limits: &[(Vec<u8>, i32)]) -> Result<Option<Duration>, UserError> {
        let subjects: Vec<Vec<u8>> = limits.iter().map(|(subject, _)| subject.clone()).collect();
        let counted = self.store.count_attempt(&subjects, WINDOW).await?;
        let exceeded = counted.iter().filter(|counted| {
            limits.iter().any(|(subject, limit)| *subject == counted.subject && counted.attempts > *limit)
        });
        let wait = exceeded
            .map(|counted| counted.ends_in)
            .fold(None, |longest: Option<f64>, ends_in| Some(longest.map_or(ends_in, |longest| longest.max(ends_in))));
        Ok(wait.map(|seconds| Duration::try_from_secs_f64(seconds.max(1.0)).unwrap_or(WINDOW)))
    }

    /// The account of a user's token, for people.
    pub async fn account_names(&self, accounts: &[AccountId]) -> Result<Vec<(AccountId, String)>, UserError> {
        Ok(self.store.account_names(accounts).await?)
    }
}

/// A subject of the throttle. Hashed, because what somebody typed as an address may be a password.
fn subject(kind: &str, of: &str) -> Vec<u8> {
    Sha256::digest(format!("{kind}:{of}")).to_vec()
}

/// The network of an address: a household or a server usually has a whole IPv6 network of 64 bits.
fn network(address: Option<IpAddr>) -> String {
    match address.map(|address| address.to_canonical()) {
        None => "unknown".to_owned(),
        Some(IpAddr::V4(address)) => address.to_string(),
        Some(IpAddr::V6(address)) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::network;

    #[test]
    fn a_network_is_an_ipv4_address_or_64_bits_of_ipv6() {
        let of = |text: &str| network(Some(text.parse().unwrap()));
        assert_eq!(of("203.0.113.7"), of("::ffff:203.0.113.7"));
        assert_ne!(of("203.0.113.7"), of("203.0.113.8"));
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
    }
}
