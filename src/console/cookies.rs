//! Cookies. Each has the prefix `__Host-`, so that no other host and no page over plain http can set it (RFC 6265bis, 4.1.3.2).
//! Browsers treat loopback as secure.

use hyper::HeaderMap;
use hyper::header::{COOKIE, HeaderValue};

/// A cookie of the console.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cookie {
    /// The token of a session.
    Session,
    /// The token of a browser that is not signed in.
    Visit,
    /// The message that the next page shows.
    Flash,
    /// `light` or `dark`; the system's choice without it.
    Theme,
    /// `collapsed`, where the menu shows icons only.
    Menu,
}

impl Cookie {
    fn name(self) -> &'static str {
        match self {
            Self::Session => "__Host-session",
            Self::Visit => "__Host-visit",
            Self::Flash => "__Host-flash",
            Self::Theme => "__Host-theme",
            Self::Menu => "__Host-menu",
        }
    }
}

/// The cookies of a request.
pub(crate) struct Cookies<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Cookies<'a> {
    pub(crate) fn of(headers: &'a HeaderMap) -> Self {
        let values = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
        let pairs = values.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
        Self(pairs.collect())
    }

    pub(crate) fn get(&self, cookie: Cookie) -> Option<&'a str> {
        self.0.iter().find(|(name, _)| *name == cookie.name()).map(|(_, value)| *value)
    }
}

/// The header that sets a cookie; with an age of 0 it is removed. The value is ASCII without separators.
pub(crate) fn set(cookie: Cookie, value: &str, max_age_s: u64) -> HeaderValue {
    let name = cookie.name();
    let text = format!("{name}={value}; Path=/; Max-Age={max_age_s}; Secure; HttpOnly; SameSite=Lax");
    // Never taken: the values are base64 and plain words.
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// Choices of a browser, kept in its cookies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Preferences {
    /// `light` or `dark`; `None` is the system's choice.
    pub(crate) theme: Option<&'static str>,
    pub(crate) is_menu_collapsed: bool,
}

impl Preferences {
    pub(super) fn of(cookies: &Cookies<'_>) -> Self {
        let theme = cookies.get(Cookie::Theme);
        Self {
            theme: ["light", "dark"].into_iter().find(|known| theme == Some(known)),
            is_menu_collapsed: cookies.get(Cookie::Menu) == Some("collapsed"),
        }
    }
}
