//! Who asks for a page: a visitor, or a user with a session.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::response::Response;
use hyper::header::{HeaderValue, SET_COOKIE};
use uuid::Uuid;

use super::PATH;
use super::access::Access;
use super::assets::AssetNames;
use super::brand::ShownBrand;
use super::cookies::{self, Cookie, Preferences};
use super::error::PageError;
use super::flash::Flash;
use super::state::Console;
use crate::clock::Clock;
use crate::domain::account::OnMissing;
use crate::domain::tier::Tier;
use crate::domain::user::UserRole;
use crate::domain::{AccountId, Timestamp};
use crate::http::{ClientAddress, ServiceUrl};
use crate::store::audit::By;
use crate::users::AccessToken;
use crate::users::sign_in::BrowserInfo;

/// Anybody who asks for a page.
pub(crate) struct Visitor {
    /// The token of a browser that is not signed in: its forms carry the code that is made from it.
    pub(crate) token: AccessToken,
    /// The cookie of that token, where the browser has none yet.
    pub(crate) new_cookie: Option<HeaderValue>,
    /// The brand of the host.
    pub(crate) brand: Arc<ShownBrand>,
    /// The account whose own host this is.
    pub(crate) host_account: Option<AccountId>,
    pub(crate) service_url: ServiceUrl,
    pub(crate) address: ClientAddress,
    pub(crate) user_agent: String,
    pub(crate) preferences: Preferences,
    /// The path and query of the page.
    pub(crate) path: String,
    /// The file names of assets, for pages.
    pub(crate) assets: AssetNames,
    /// Whether part of a page is asked for by htmx.
    pub(crate) is_partial: bool,
    pub(super) flash: Option<String>,
}

impl Visitor {
    /// The browser as the audit and the list of sessions have it.
    pub(crate) fn browser(&self) -> BrowserInfo<'_> {
        BrowserInfo { address: self.address.0, user_agent: &self.user_agent }
    }

    /// Whether browsers keep the cookies of this address: over https, and on this machine.
    pub(crate) fn is_secure(&self) -> bool {
        let host = self.service_url.host();
        let is_loopback =
            host == "localhost" || host.ends_with(".localhost") || host == "[::1]" || host.starts_with("127.");
        self.service_url.parts().0 == "https" || is_loopback
    }

    /// The beginning of links in mails. A host that anybody may write into a request is used only if it is an account's.
    pub(crate) fn mail_base(&self, console: &Console) -> String {
        match self.host_account {
            Some(_) => self.service_url.0.clone(),
            None => console.config.console_url(),
        }
    }

    /// The author of a change by somebody who is not signed in.
    pub(crate) fn by<'a>(&self, actor: &'a str, clock: &Clock) -> By<'a> {
        By { actor, at: clock.now(), address: self.address.0 }
    }
}

/// A user who is signed in, with the account and everything that every page shows. Cloning shares it.
#[derive(Clone)]
pub(crate) struct ConsoleSession(pub(super) Arc<SessionState>);

/// The parts of a [`ConsoleSession`].
#[expect(clippy::struct_excessive_bools, reason = "each is a column that pages show by itself")]
pub(crate) struct SessionState {
    pub(crate) account: AccountId,
    pub(crate) account_name: String,
    pub(crate) user_id: Uuid,
    pub(crate) session_id: Uuid,
    pub(crate) email: String,
    pub(crate) role: UserRole,
    pub(crate) has_totp: bool,
    pub(crate) tier: Tier,
    pub(crate) on_missing: OnMissing,
    pub(crate) show_once: bool,
    pub(crate) secure_api_limited: bool,
    /// The database's time.
    pub(crate) now: Timestamp,
    /// The session's token, from which the token of forms is made.
    pub(crate) token: AccessToken,
    /// The account's brand.
    pub(crate) brand: Arc<ShownBrand>,
    pub(crate) visitor: Arc<Visitor>,
    /// The message of the page before.
    pub(crate) flash: Option<Flash>,
}

impl std::ops::Deref for ConsoleSession {
    type Target = SessionState;

    fn deref(&self) -> &SessionState {
        &self.0
    }
}

impl SessionState {
    /// Whether the user may use routes with this access.
    pub(crate) fn may_use(&self, access: Access) -> bool {
        access.permits(self.role, self.secure_api_limited)
    }

    /// The author of a change that this user makes.
    pub(crate) fn by(&self, clock: &Clock) -> By<'_> {
        By { actor: &self.email, at: clock.now(), address: self.visitor.address.0 }
    }

    /// Goes to another page after a change, which that page confirms.
    pub(crate) fn redirect(&self, path: &str, flash: Flash) -> Response {
        let mut response = redirect(path);
        let signed = self.token.sign(&flash.encode());
        response.headers_mut().append(SET_COOKIE, cookies::set(Cookie::Flash, &signed, 60));
        response
    }
}

/// Goes to another page of the console by GET.
pub(crate) fn redirect(path: &str) -> Response {
    use axum::response::IntoResponse as _;
    axum::response::Redirect::to(path).into_response()
}

/// A path that leads back into the console; anything else is the start page. Refuses other hosts, `//host` and `/\host`.
pub(crate) fn safe_path(claimed: Option<&str>) -> String {
    let is_plain = |path: &&str| {
        let rest = path.strip_prefix(PATH);
        let continues = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']));
        continues && !path.contains("//") && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
    };
    claimed.filter(is_plain).map_or_else(|| PATH.to_owned(), str::to_owned)
}

impl<S: Sync> FromRequestParts<S> for ConsoleSession {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, PageError> {
        // The guard puts it into every request that needs a role.
        parts.extensions.get::<Self>().cloned().ok_or(PageError::SignIn { next: None })
    }
}

/// The visitor of a public page, and the session where there is one.
pub(crate) struct MaybeSession(pub(crate) Arc<Visitor>, pub(crate) Option<ConsoleSession>);

impl<S: Sync> FromRequestParts<S> for MaybeSession {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, PageError> {
        let visitor = parts.extensions.get::<Arc<Visitor>>().cloned().ok_or(PageError::Internal)?;
        Ok(Self(visitor, parts.extensions.get::<ConsoleSession>().cloned()))
    }
}

#[cfg(test)]
mod tests {
    use super::safe_path;

    #[test]
    fn only_a_path_within_the_console_is_returned_to() {
        for path in ["/console", "/console/team", "/console/contacts?q=a%20b", "/console?x=1"] {
            assert_eq!(safe_path(Some(path)), path);
        }
        for path in [
            "https://evil.example",
            "//evil.example",
            "/\\evil.example",
            "/console//evil.example",
            "/consolevil",
            "/secure-api",
            "javascript:alert(1)",
            "/console/\r\nX: y",
            "/console@evil.example",
            "",
        ] {
            assert_eq!(safe_path(Some(path)), "/console", "{path:?}");
        }
        assert_eq!(safe_path(None), "/console");
    }
}
