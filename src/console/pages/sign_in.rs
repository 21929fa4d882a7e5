//! Signing in and out.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use hyper::header::SET_COOKIE;
use maud::{Markup, html};

use super::super::PATH;
use super::super::components::{ButtonStyle, FormField, Tone, button, csrf, notice, text_field};
use super::super::cookies::{self, Cookie};
use super::super::error::{PageError, PageResult, too_many, unprocessable};
use super::super::form::{FieldErrors, Form, PageQuery};
use super::super::session::{MaybeSession, Visitor, redirect, safe_path};
use super::super::state::Console;
use super::super::text;
use crate::users::sign_in::{SESSION_TTL, SignInResult};
use crate::users::{AccessToken, UserError};

pub(in crate::console) async fn form(MaybeSession(visitor, session): MaybeSession, query: PageQuery) -> PageResult {
    let next = safe_path(query.get("next"));
    if session.is_some() {
        return Ok(redirect(&next));
    }
    Ok(visitor.page("Sign in", sign_in_form(&visitor, &next, "", None)))
}

pub(in crate::console) async fn submit(
    State(console): State<Arc<Console>>,
    MaybeSession(visitor, _): MaybeSession,
    form: Form,
) -> PageResult {
    let next = safe_path(form.get("next"));
    let (email, password) = (form.text("email"), form.get("password").unwrap_or_default());
    let result = console.users.sign_in((email, password), visitor.host_account, visitor.browser()).await?;
    answer(&console, &visitor, result, &next, |error| sign_in_form(&visitor, &next, email, Some(error))).await
}

pub(in crate::console) async fn choose_account(
    State(console): State<Arc<Console>>,
    MaybeSession(visitor, _): MaybeSession,
    form: Form,
) -> PageResult {
    let next = safe_path(form.get("next"));
    let token = AccessToken::parse(form.text("token")).ok_or(PageError::Missing)?;
    match console.users.choose_account(&token, visitor.browser()).await {
        Err(UserError::DeadLink) => Ok(too_late(&visitor, &next)),
        result => {
            let retry = |error: &str| sign_in_form(&visitor, &next, "", Some(error));
            answer(&console, &visitor, result?, &next, retry).await
        }
    }
}

pub(in crate::console) async fn check_code(
    State(console): State<Arc<Console>>,
    MaybeSession(visitor, _): MaybeSession,
    form: Form,
) -> PageResult {
    let next = safe_path(form.get("next"));
    let token = AccessToken::parse(form.text("token")).ok_or(PageError::Missing)?;
    match console.users.check_code(&token, form.text("code"), visitor.browser()).await {
        Err(UserError::DeadLink) => Ok(too_late(&visitor, &next)),
        Ok(SignInResult::Refused) => {
            let wrong = "This code is not right. Enter the one that your app shows now.";
            Ok(unprocessable(visitor.page("Enter your code", code_form(&visitor, &token, &next, Some(wrong)))))
        }
        result => {
            let retry = |error: &str| code_form(&visitor, &token, &next, Some(error));
            answer(&console, &visitor, result?, &next, retry).await
        }
    }
}

pub(in crate::console) async fn sign_out(
    State(console): State<Arc<Console>>,
    MaybeSession(_, session): MaybeSession,
) -> PageResult {
    if let Some(session) = session {
        console.store.end_session(session.account, &session.token.hash()).await?;
    }
    let mut response = redirect(&format!("{PATH}/sign-in"));
    response.headers_mut().append(SET_COOKIE, cookies::set(Cookie::Session, "", 0));
    Ok(response)
}

/// Goes on after a step: into the console, or to the next step.
pub(in crate::console) async fn answer(
    console: &Console,
    visitor: &Visitor,
    result: SignInResult,
    next: &str,
    retry: impl FnOnce(&str) -> Markup,
) -> PageResult {
    match result {
        SignInResult::SignedIn(token) => Ok(signed_in(&token, next)),
        SignInResult::NeedsCode(token) => Ok(visitor.page("Enter your code", code_form(visitor, &token, next, None))),
        SignInResult::ChooseAccount(tokens) => {
            let accounts: Vec<_> = tokens.iter().map(AccessToken::account).collect();
            let names = console.users.account_names(&accounts).await?;
            let named = tokens.iter().filter_map(|token| {
                let (_, name) = names.iter().find(|(account, _)| *account == token.account())?;
                Some((token, name.as_str()))
            });
            Ok(visitor.page("Choose an account", account_form(visitor, named.collect(), next)))
        }
        SignInResult::Refused => {
            let wrong = "The email address or the password is not right.";
            Ok(unprocessable(visitor.page("Sign in", retry(wrong))))
        }
        SignInResult::Throttled(wait) => {
            let minutes = wait.as_secs().div_ceil(60);
            let error = format!("Too many attempts. Try again in {}.", text::count(minutes, "minute", "minutes"));
            Ok(too_many(visitor.page("Sign in", retry(&error))))
        }
    }
}

/// Sets the cookie of a new session, so that a session from before signing in is worth nothing.
fn signed_in(token: &AccessToken, next: &str) -> Response {
    let mut response = redirect(next);
    let cookie = cookies::set(Cookie::Session, &token.text(), SESSION_TTL.as_secs());
    response.headers_mut().append(SET_COOKIE, cookie);
    response.headers_mut().append(SET_COOKIE, cookies::set(Cookie::Visit, "", 0));
    response
}

/// The second step took longer than five minutes.
fn too_late(visitor: &Visitor, next: &str) -> Response {
    unprocessable(visitor.page("Sign in", sign_in_form(visitor, next, "", Some("This took too long. Sign in again."))))
}

fn sign_in_form(visitor: &Visitor, next: &str, email: &str, error: Option<&str>) -> Markup {
    let is_usable = visitor.is_secure();
    html! {
        section.card.narrow {
            h1 { "Sign in" }
            p.lead { "Welcome back. Sign in to manage your integrations and data." }
            @if !is_usable {
                (notice(Tone::Warning, html! {
                    "Signing in needs https. Open the console under an address that begins with https://, or on this machine under http://localhost."
                }))
            }
            @if let Some(error) = error { (notice(Tone::Danger, html! { (error) })) }
            form method="post" action={ (PATH) "/sign-in" } {
                (csrf(&visitor.token.csrf()))
                input type="hidden" name="next" value=(next);
                (text_field(FormField { kind: "email", value: email, autocomplete: "username", ..FormField::new("email", "Email address") }))
                (text_field(FormField { kind: "password", autocomplete: "current-password", ..FormField::new("password", "Password") }))
                div.form-actions.stacked { (button(ButtonStyle::Primary, "Sign in")) a href={ (PATH) "/forgot" } { "Forgot your password?" } }
            }
        }
    }
}

fn code_form(visitor: &Visitor, token: &AccessToken, next: &str, error: Option<&str>) -> Markup {
    let errors = error.map_or_else(FieldErrors::default, |error| FieldErrors::one("code", error));
    html! {
        section.card.narrow {
            h1 { "Enter your code" }
            p.lead { "Open your authenticator app and enter the six digits that it shows." }
            form method="post" action={ (PATH) "/sign-in/code" } {
                (csrf(&visitor.token.csrf()))
                input type="hidden" name="next" value=(next);
                input type="hidden" name="token" value=(token.text());
                (text_field(FormField {
                    autocomplete: "one-time-code", max_length: Some(10), error: errors.get("code"),
                    ..FormField::new("code", "Code")
                }))
                div.form-actions.stacked { (button(ButtonStyle::Primary, "Sign in")) a href={ (PATH) "/sign-in" } { "Start again" } }
            }
        }
    }
}

fn account_form(visitor: &Visitor, accounts: Vec<(&AccessToken, &str)>, next: &str) -> Markup {
    html! {
        section.card.narrow {
            h1 { "Choose an account" }
            p.lead { "Your email address and password belong to more than one account." }
            ul.choices {
                @for (token, name) in accounts {
                    li {
                        form method="post" action={ (PATH) "/sign-in/account" } {
                            (csrf(&visitor.token.csrf()))
                            input type="hidden" name="next" value=(next);
                            input type="hidden" name="token" value=(token.text());
                            (button(ButtonStyle::Secondary, name))
                        }
                    }
                }
            }
        }
    }
}
