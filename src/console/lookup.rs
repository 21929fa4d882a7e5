//! Finding out who asks for a page: the visitor, the session of the cookie, and the brand.

use std::sync::Arc;

use axum::extract::OriginalUri;
use axum::http::request::Parts;
use axum::response::Response;
use hyper::header::{CONTENT_TYPE, REFERER, SET_COOKIE, USER_AGENT};
use hyper::{Method, Uri};

use super::PATH;
use super::brand::ShownBrand;
use super::cookies::{self, Cookie, Cookies, Preferences};
use super::error::PageError;
use super::flash::Flash;
use super::session::{ConsoleSession, SessionState, Visitor, safe_path};
use super::state::Console;
use crate::domain::AccountId;
use crate::domain::brand::Brand;
use crate::http::{ClientAddress, ServiceUrl};
use crate::store::console::sessions::ActiveSession;
use crate::users::AccessToken;
use crate::users::sign_in::SESSION_IDLE;
use crate::users::token::NO_ACCOUNT;

/// The path and query of a page, to return to after signing in.
pub(super) fn local_path(uri: &Uri) -> String {
    // The console is nested, so the path of the request itself lacks the beginning.
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    if path.starts_with(PATH) { path.to_owned() } else { format!("{PATH}{path}") }
}

/// The page to which its forms return. The page after a form has the address of the form, so it is the one before.
fn shown_path(parts: &Parts, original: &Uri) -> String {
    if parts.method == Method::GET {
        return local_path(original);
    }
    let referrer = parts.headers.get(REFERER).and_then(|referrer| url::Url::parse(referrer.to_str().ok()?).ok());
    safe_path(referrer.as_ref().map(url::Url::path))
}

/// Finds out who asks for a page.
pub(super) async fn visitor(
    console: &Console,
    parts: &mut Parts,
) -> Result<(Arc<Visitor>, Option<ConsoleSession>), PageError> {
    let cookies = Cookies::of(&parts.headers);
    let service_url = parts.extensions.get::<ServiceUrl>().cloned().ok_or(PageError::Internal)?;
    let address = parts.extensions.get::<ClientAddress>().copied().unwrap_or(ClientAddress(None));
    let known = cookies.get(Cookie::Visit).and_then(AccessToken::parse);
    let token = known.clone().unwrap_or_else(|| AccessToken::make(NO_ACCOUNT));
    let new_cookie = known.is_none().then(|| cookies::set(Cookie::Visit, &token.text(), 24 * 3_600));
    let branded = console.brands.shown_at(&service_url).await;
    let user_agent = parts.headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
    let original = parts.extensions.get::<OriginalUri>().map_or(&parts.uri, |original| &original.0);
    let visitor = Arc::new(Visitor {
        token,
        new_cookie,
        brand: Arc::new(ShownBrand::of_host(&branded)),
        host_account: branded.account,
        service_url,
        address,
        user_agent: user_agent.to_owned(),
        preferences: Preferences::of(&cookies),
        path: shown_path(parts, original),
        assets: console.assets.names(),
        is_partial: parts.headers.contains_key("hx-request"),
        flash: cookies.get(Cookie::Flash).map(str::to_owned),
    });
    let session = match cookies.get(Cookie::Session).and_then(AccessToken::parse) {
        Some(token) => session(console, &visitor, token).await?,
        None => None,
    };
    Ok((visitor, session))
}

/// The session of a token, if it works on this host.
async fn session(
    console: &Console,
    visitor: &Arc<Visitor>,
    token: AccessToken,
) -> Result<Option<ConsoleSession>, PageError> {
    // A brand's own host shows nothing of another account.
    if visitor.host_account.is_some_and(|account| account != token.account()) {
        return Ok(None);
    }
    let Some(active) = console.store.session(token.account(), &token.hash(), SESSION_IDLE).await? else {
        return Ok(None);
    };
    if active.is_stale {
        console.store.touch_session(token.account(), &token.hash()).await?;
    }
    let brand = brand_of(console, token.account(), active.revision).await?;
    let flash = visitor.flash.as_deref().and_then(|signed| Flash::decode(&token.verify(signed)?));
    Ok(Some(of_active(active, token, brand, Arc::clone(visitor), flash)))
}

fn of_active(
    active: ActiveSession,
    token: AccessToken,
    brand: Arc<ShownBrand>,
    visitor: Arc<Visitor>,
    flash: Option<Flash>,
) -> ConsoleSession {
    ConsoleSession(Arc::new(SessionState {
        account: token.account(),
        account_name: active.account_name,
        user_id: active.user_id,
        session_id: active.session_id,
        email: active.email,
        role: active.role,
        has_totp: active.has_totp,
        tier: active.tier,
        on_missing: active.on_missing,
        show_once: active.show_once,
        secure_api_limited: active.secure_api_limited,
        now: active.now,
        token,
        brand,
        visitor,
        flash,
    }))
}

/// Removes the message of the page before, once a whole page has shown it.
pub(super) fn clear_flash(visitor: &Visitor, session: Option<&ConsoleSession>, response: &mut Response) {
    let shown = session.is_some_and(|session| session.flash.is_some());
    let is_page = response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == "text/html; charset=utf-8");
    if shown && is_page && !visitor.is_partial {
        response.headers_mut().append(SET_COOKIE, cookies::set(Cookie::Flash, "", 0));
    }
}

/// The brand of an account, read again when the account's revision has changed.
async fn brand_of(console: &Console, account: AccountId, revision: i64) -> Result<Arc<ShownBrand>, PageError> {
    let key = (account, revision);
    if let Some(known) = console.account_brands.get(&key).await {
        return Ok(known);
    }
    let own = console.store.brand(account).await?;
    let installation = console.brands.installation().clone();
    let brand = match own {
        None => installation,
        Some(own) => Brand {
            name: own.name,
            color: own.color.unwrap_or(installation.color),
            logo: own.logo.or(installation.logo),
            support_url: own.support_url.or(installation.support_url),
        },
    };
    let brand = Arc::new(ShownBrand::new(brand));
    console.account_brands.insert(key, Arc::clone(&brand)).await;
    Ok(brand)
}
