//! Links that work once: the first set-up, invitations, forgotten passwords.

use std::sync::Arc;

use axum::extract::{Path, State};
use maud::{Markup, html};

use super::super::PATH;
use super::super::components::{ButtonStyle, FormField, button, csrf, link_button, text_field};
use super::super::error::{PageError, PageResult, unprocessable};
use super::super::form::{FieldErrors, Form};
use super::super::session::{MaybeSession, Visitor};
use super::super::state::Console;
use super::sign_in;
use crate::domain::user::{LinkPurpose, parse_email};
use crate::store::console::links::ConsoleLink;
use crate::users::service::FirstUser;
use crate::users::{AccessToken, UserError};

pub(in crate::console) async fn forgot_form(
    State(console): State<Arc<Console>>,
    MaybeSession(visitor, _): MaybeSession,
) -> PageResult {
    Ok(visitor.page("Forgot your password?", forgot_markup(&visitor, console.users.mailer().is_on(), None)))
}

/// Sends a link to each user of the address. The response is the same for an address that nobody has.
pub(in crate::console) async fn forgot(
    State(console): State<Arc<Console>>,
    MaybeSession(visitor, _): MaybeSession,
    form: Form,
) -> PageResult {
    let email = match parse_email(form.text("email")) {
        Ok(email) => email,
        Err(wrong) => {
            let markup = forgot_markup(&visitor, console.users.mailer().is_on(), Some(wrong));
            return Ok(unprocessable(visitor.page("Forgot your password?", markup)));
        }
    };
    if console.users.mailer().is_on() && console.users.may_request_reset(&email, visitor.address.0).await? {
        let base = format!("{}{PATH}/link/", visitor.mail_base(&console));
        let by = visitor.by(&email, &console.clock);
        console.users.send_resets(&email, visitor.host_account, (&base, &visitor.brand.name), by).await?;
    }
    let content = html! {
        section.card.narrow {
            h1 { "Check your mail" }
            p.lead { "If somebody signs in with " strong { (email) } ", a link to choose another password is on its way. It works for an hour." }
            (link_button(ButtonStyle::Secondary, None, &format!("{PATH}/sign-in"), "Back to sign in"))
        }
    };
    Ok(visitor.page("Check your mail", content))
}

pub(in crate::console) async fn link_form(
    State(console): State<Arc<Console>>,
    MaybeSession(visitor, _): MaybeSession,
    Path(token): Path<String>,
) -> PageResult {
    let Some((_, link)) = find(&console, &token).await? else { return Ok(dead(&visitor)) };
    Ok(visitor
        .page(title(link.purpose), link_markup(&visitor, &token, &link, &Form::default(), &FieldErrors::default())))
}

pub(in crate::console) async fn use_link(
    State(console): State<Arc<Console>>,
    MaybeSession(visitor, _): MaybeSession,
    Path(text): Path<String>,
    form: Form,
) -> PageResult {
    let Some((token, link)) = find(&console, &text).await? else { return Ok(dead(&visitor)) };
    let password = form.get("password").unwrap_or_default();
    let users = &console.users;
    let used = match link.purpose {
        LinkPurpose::Invitation | LinkPurpose::PasswordReset => {
            users.choose_password(&token, password, visitor.by("", &console.clock)).await
        }
        LinkPurpose::SetUp => {
            let first = FirstUser { account_name: form.text("name"), email: form.text("email"), password };
            let new_account = (console.config.quota.tiers.largest().0, console.config.brand.slug.as_str());
            users.set_up(&token, first, new_account, visitor.by("", &console.clock)).await
        }
        LinkPurpose::SecondFactor | LinkPurpose::ChooseAccount => return Err(PageError::Missing),
    };
    match used {
        Ok(user) => {
            let result = users.second_step(&user, visitor.browser()).await?;
            sign_in::answer(&console, &visitor, result, PATH, |_| html! {}).await
        }
        Err(UserError::DeadLink) => Ok(dead(&visitor)),
        Err(UserError::Invalid { field, message }) => {
            let errors = FieldErrors::one(field, message);
            let markup = link_markup(&visitor, &text, &link, &form, &errors);
            Ok(unprocessable(visitor.page(title(link.purpose), markup)))
        }
        Err(error) => Err(error.into()),
    }
}

/// The link of a token, if it is one that leads to a form.
async fn find(console: &Console, text: &str) -> Result<Option<(AccessToken, ConsoleLink)>, PageError> {
    let Some(token) = AccessToken::parse(text) else { return Ok(None) };
    let link = console.store.link(token.account(), &token.hash()).await?;
    let has_form =
        |purpose| matches!(purpose, LinkPurpose::Invitation | LinkPurpose::PasswordReset | LinkPurpose::SetUp);
    Ok(link.filter(|link| has_form(link.purpose)).map(|link| (token, link)))
}

fn dead(visitor: &Visitor) -> axum::response::Response {
    let content = html! {
        section.card.narrow {
            h1 { "This link does not work any more" }
            p.lead { "It was used before, or has expired. Ask the person who sent it for another one." }
            (link_button(ButtonStyle::Secondary, None, &format!("{PATH}/sign-in"), "Back to sign in"))
        }
    };
    unprocessable(visitor.page("This link does not work any more", content))
}

fn title(purpose: LinkPurpose) -> &'static str {
    match purpose {
        LinkPurpose::Invitation => "Welcome",
        LinkPurpose::SetUp => "Set up your console",
        LinkPurpose::PasswordReset | LinkPurpose::SecondFactor | LinkPurpose::ChooseAccount => "Choose a password",
    }
}

fn link_markup(visitor: &Visitor, token: &str, link: &ConsoleLink, form: &Form, errors: &FieldErrors) -> Markup {
    let lead = match link.purpose {
        LinkPurpose::Invitation => "Choose a password to join the team.",
        LinkPurpose::SetUp => "Name your organization and choose the login of its first Super Admin.",
        LinkPurpose::PasswordReset | LinkPurpose::SecondFactor | LinkPurpose::ChooseAccount => {
            "Choose another password. You will be signed out everywhere else."
        }
    };
    html! {
        section.card.narrow {
            h1 { (title(link.purpose)) }
            p.lead { (lead) }
            form method="post" action={ (PATH) "/link/" (token) } {
                (csrf(&visitor.token.csrf()))
                @if link.purpose == LinkPurpose::SetUp {
                    (text_field(FormField {
                        value: form.text("name"), error: errors.get("name"), autocomplete: "organization",
                        max_length: Some(60), ..FormField::new("name", "Organization")
                    }))
                    (text_field(FormField {
                        kind: "email", value: form.text("email"), error: errors.get("email"), autocomplete: "username",
                        ..FormField::new("email", "Email address")
                    }))
                } @else if let Some(email) = &link.email {
                    p { "You sign in with " strong { (email) } "." }
                    input type="hidden" name="username" autocomplete="username" value=(email);
                }
                (text_field(FormField {
                    kind: "password", autocomplete: "new-password", error: errors.get("password"),
                    hint: Some("At least 10 characters. A few words that you remember are better than a short riddle."),
                    ..FormField::new("password", "Password")
                }))
                div.form-actions { (button(ButtonStyle::Primary, "Save and sign in")) }
            }
        }
    }
}

fn forgot_markup(visitor: &Visitor, can_mail: bool, error: Option<&str>) -> Markup {
    html! {
        section.card.narrow {
            h1 { "Forgot your password?" }
            @if can_mail {
                p.lead { "Enter your email address. You will get a link to choose another password." }
                form method="post" action={ (PATH) "/forgot" } {
                    (csrf(&visitor.token.csrf()))
                    (text_field(FormField { kind: "email", autocomplete: "username", error, ..FormField::new("email", "Email address") }))
                    div.form-actions { (button(ButtonStyle::Primary, "Send the link")) a href={ (PATH) "/sign-in" } { "Back to sign in" } }
                }
            } @else {
                p.lead { "Ask a Super Admin of your account for a password link. Super Admins create one on the page Team." }
                p.muted { "No other Super Admin? Ask whoever runs this service." }
                (link_button(ButtonStyle::Secondary, None, &format!("{PATH}/sign-in"), "Back to sign in"))
            }
        }
    }
}
