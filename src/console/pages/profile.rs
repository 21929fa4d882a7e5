//! Profile: the user's own password, second factor and sessions.

use std::sync::Arc;

use axum::extract::{Path, State};
use maud::{Markup, html};
use uuid::Uuid;

use super::super::components::{
    ButtonStyle, FormField, Icon, Tone, badge, button, card, copy_button, csrf, link_button, page_head, qr_code, table,
    text_field, time,
};
use super::super::error::PageResult;
use super::super::flash::Flash;
use super::super::form::{FieldErrors, Form, PageQuery};
use super::super::layout::Nav;
use super::super::session::{ConsoleSession, SessionState};
use super::super::state::Console;
use crate::store::console::sessions::ListedSession;
use crate::users::UserError;
use crate::users::sign_in::SESSION_IDLE;
use crate::users::totp::TotpSecret;

const TITLE: &str = "Profile";
const HERE: &str = "/console/profile";

pub(in crate::console) async fn show(
    State(console): State<Arc<Console>>,
    session: ConsoleSession,
    query: PageQuery,
) -> PageResult {
    let new_secret = (query.get("step") == Some("totp") && !session.has_totp).then(TotpSecret::make);
    let content = content(&console, &session, new_secret.as_ref(), &FieldErrors::default()).await?;
    Ok(session.page(Nav::Profile, TITLE, content))
}

pub(in crate::console) async fn change_password(
    State(console): State<Arc<Console>>,
    session: ConsoleSession,
    form: Form,
) -> PageResult {
    let passwords = (form.get("current").unwrap_or_default(), form.get("password").unwrap_or_default());
    let user = (session.account, session.user_id);
    let hash = session.token.hash();
    let changed = console.users.change_password(user, passwords, &hash, session.by(&console.clock)).await;
    let done = "Your password was changed. You were signed out everywhere else.";
    answer(&console, &session, changed, None, done).await
}

/// Turns the second factor on. The secret comes back with the form: it is the user's own, and worth nothing before.
pub(in crate::console) async fn add_totp(
    State(console): State<Arc<Console>>,
    session: ConsoleSession,
    form: Form,
) -> PageResult {
    let secret = TotpSecret::parse(form.text("secret")).unwrap_or_else(TotpSecret::make);
    let user = (session.account, session.user_id);
    let added = console.users.add_totp(user, &secret, form.text("code"), session.by(&console.clock)).await;
    let done = "The second factor is on. From now on, signing in asks for a code of your app.";
    answer(&console, &session, added, Some(&secret), done).await
}

pub(in crate::console) async fn remove_totp(
    State(console): State<Arc<Console>>,
    session: ConsoleSession,
    form: Form,
) -> PageResult {
    let user = (session.account, session.user_id);
    let password = form.get("totp_password").unwrap_or_default();
    let removed = console.users.remove_totp(user, password, session.by(&console.clock)).await;
    let removed = match removed {
        Err(UserError::Invalid { message, .. }) => Err(UserError::Invalid { field: "totp_password", message }),
        removed => removed,
    };
    answer(&console, &session, removed, None, "The second factor is off.").await
}

pub(in crate::console) async fn end_session(
    State(console): State<Arc<Console>>,
    session: ConsoleSession,
    Path(ended): Path<Uuid>,
) -> PageResult {
    console.store.end_session_by_id(session.account, session.user_id, ended).await?;
    Ok(session.redirect(HERE, Flash::success("The session was ended.")))
}

/// Signs out everywhere but here.
pub(in crate::console) async fn end_others(State(console): State<Arc<Console>>, session: ConsoleSession) -> PageResult {
    let hash = session.token.hash();
    let by = session.by(&console.clock);
    let ended = console.store.end_sessions_of(session.account, session.user_id, Some(&hash), by).await?;
    let text = format!("{} ended.", super::super::text::count(ended, "other session was", "other sessions were"));
    Ok(session.redirect(HERE, Flash::success(text)))
}

/// Confirms a change, or shows its error beside the field.
async fn answer(
    console: &Console,
    session: &ConsoleSession,
    changed: Result<(), UserError>,
    secret: Option<&TotpSecret>,
    done: &str,
) -> PageResult {
    match changed {
        Ok(()) => Ok(session.redirect(HERE, Flash::success(done))),
        Err(UserError::Invalid { field, message }) => {
            let errors = FieldErrors::one(field, message);
            Ok(session.invalid_page(Nav::Profile, TITLE, content(console, session, secret, &errors).await?))
        }
        Err(error) => Err(error.into()),
    }
}

async fn content(
    console: &Console,
    session: &SessionState,
    new_secret: Option<&TotpSecret>,
    errors: &FieldErrors,
) -> Result<Markup, super::super::error::PageError> {
    let sessions = console.store.sessions(session.account, session.user_id, SESSION_IDLE).await?;
    Ok(html! {
        (page_head(TITLE, &session.email, html! { (badge(Tone::Neutral, session.role.title())) }))
        (password_card(session, errors))
        (totp_card(session, new_secret, errors))
        (sessions_card(session, &sessions))
    })
}

fn password_card(session: &SessionState, errors: &FieldErrors) -> Markup {
    card(
        "Password",
        "Changing it signs you out everywhere else.",
        html! {
            form method="post" action={ (HERE) "/password" } {
                (csrf(&session.token.csrf()))
                input type="hidden" name="username" autocomplete="username" value=(session.email);
                (text_field(FormField {
                    kind: "password", autocomplete: "current-password", error: errors.get("current"),
                    ..FormField::new("current", "Current password")
                }))
                (text_field(FormField {
                    kind: "password", autocomplete: "new-password", error: errors.get("password"),
                    hint: Some("At least 10 characters."), ..FormField::new("password", "New password")
                }))
                div.form-actions { (button(ButtonStyle::Primary, "Change password")) }
            }
        },
    )
}

fn totp_card(session: &SessionState, new_secret: Option<&TotpSecret>, errors: &FieldErrors) -> Markup {
    let lead = "A code from an authenticator app, in addition to your password.";
    card(
        "Second factor",
        lead,
        html! {
            @if session.has_totp {
                p { (badge(Tone::Success, "on")) }
                form method="post" action={ (HERE) "/totp/remove" } {
                    (csrf(&session.token.csrf()))
                    (text_field(FormField {
                        kind: "password", autocomplete: "current-password", error: errors.get("totp_password"),
                        ..FormField::new("totp_password", "Your password")
                    }))
                    div.form-actions { (button(ButtonStyle::Secondary, "Turn off")) }
                }
            } @else if let Some(secret) = new_secret {
                (totp_form(session, secret, errors))
            } @else {
                p { (badge(Tone::Neutral, "off")) }
                div.form-actions { (link_button(ButtonStyle::Primary, Some(Icon::Shield), &format!("{HERE}?step=totp"), "Turn on")) }
            }
        },
    )
}

fn totp_form(session: &SessionState, secret: &TotpSecret, errors: &FieldErrors) -> Markup {
    let (key, uri) = (secret.text(), secret.uri(&session.brand.name, &session.email));
    html! {
        div.totp {
            (qr_code(&uri, "QR code with the key for your authenticator app"))
            div.totp-key {
                p { strong { "1. " } "Scan this code with your authenticator app." }
                p.totp-link { a.button href=(uri) { "Open the app on this device" } }
                p { "Or add an account in the app and enter this key:" }
                dl.copy-list {
                    div.copy-row {
                        dt { "Key" }
                        dd { code.key-groups { @for group in groups(&key) { span { (group) } } } (copy_button(&key, "Copy the key")) }
                    }
                }
                p { strong { "2. " } "Enter the six digits that the app shows now." }
            }
        }
        form method="post" action={ (HERE) "/totp" } {
            (csrf(&session.token.csrf()))
            input type="hidden" name="secret" value=(secret.text());
            (text_field(FormField {
                autocomplete: "one-time-code", error: errors.get("code"), max_length: Some(10),
                ..FormField::new("code", "Code")
            }))
            div.form-actions { (button(ButtonStyle::Primary, "Turn on")) a.button href=(HERE) { "Cancel" } }
        }
    }
}

/// A key in groups of four, as people read it.
fn groups(key: &str) -> impl Iterator<Item = &str> {
    (0..key.len()).step_by(4).filter_map(|start| key.get(start..key.len().min(start + 4)))
}

fn sessions_card(session: &SessionState, sessions: &[ListedSession]) -> Markup {
    card(
        "Sessions",
        "The browsers in which you are signed in.",
        html! {
            (table("Sessions", &["Browser", "IP address", "Signed in", "Last used", "Actions"], html! {
                @for listed in sessions {
                    @let is_this = listed.session_id == session.session_id;
                    tr {
                        th scope="row" data-label="Browser" {
                            div.cell-names {
                                span { (browser_name(&listed.user_agent)) }
                                @if is_this { (badge(Tone::Success, "this one")) }
                            }
                        }
                        td data-label="IP address" { @if let Some(address) = listed.address { code { (address) } } }
                        td data-label="Signed in" { (time(listed.created_at, session.now)) }
                        td data-label="Last used" { (time(listed.used_at, session.now)) }
                        td.cell-actions data-label="Actions" {
                            @if !is_this {
                                form method="post" action={ (HERE) "/sessions/" (listed.session_id) "/end" } {
                                    (csrf(&session.token.csrf()))
                                    button.button type="submit" { "Sign out" }
                                }
                            }
                        }
                    }
                }
            }))
            form method="post" action={ (HERE) "/sessions/end-others" } {
                (csrf(&session.token.csrf()))
                div.form-actions { (button(ButtonStyle::Secondary, "Sign out everywhere else")) }
            }
        },
    )
}

/// The browser and the system of a user agent, as far as its usual words tell them.
fn browser_name(agent: &str) -> String {
    let known = |names: &[(&'static str, &'static str)]| {
        names.iter().find(|(word, _)| agent.contains(word)).map(|(_, name)| *name)
    };
    let browser = known(&[
        ("Edg", "Edge"),
        ("OPR", "Opera"),
        ("Firefox", "Firefox"),
        ("Chrome", "Chrome"),
        ("Safari", "Safari"),
        ("curl", "curl"),
    ]);
    let system = known(&[
        ("Android", "Android"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Windows", "Windows"),
        ("Mac OS", "macOS"),
        ("Linux", "Linux"),
    ]);
    match (browser, system) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(known), None) | (None, Some(known)) => known.to_owned(),
        (None, None) => "Unknown browser".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{browser_name, groups};

    #[test]
    fn a_key_is_shown_in_groups_of_four() {
        assert_eq!(groups("ABCDEFGHIJ").collect::<Vec<_>>(), ["ABCD", "EFGH", "IJ"]);
    }

    #[test]
    fn a_browser_is_named_by_its_user_agent() {
        let chrome =
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36";
        assert_eq!(browser_name(chrome), "Chrome on Linux");
        assert_eq!(browser_name("Mozilla/5.0 (Macintosh; Intel Mac OS X 14) Version/17 Safari/605"), "Safari on macOS");
        assert_eq!(browser_name("curl/8.5.0"), "curl");
        assert_eq!(browser_name(""), "Unknown browser");
    }
}
