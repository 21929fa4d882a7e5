//! Team: the people of the account, their roles, and links for those who cannot sign in.

use std::sync::Arc;

use axum::extract::{Path, State};
use maud::{Markup, html};
use uuid::Uuid;

use super::super::PATH;
use super::super::components::dialog::dialog_actions;
use super::super::components::{
    ButtonStyle, Choice, Dialog, FormField, Icon, Tone, badge, breakable, copy_row, csrf, dialog, dialog_link, icon,
    notice, page_head, select, table, text_field, time,
};
use super::super::error::{PageError, PageResult};
use super::super::flash::Flash;
use super::super::form::{FieldErrors, Form, PageQuery};
use super::super::layout::Nav;
use super::super::session::{ConsoleSession, SessionState};
use super::super::state::Console;
use crate::domain::user::{UserRole, UserState};
use crate::store::console::users::{ConsoleUser, UserChange};
use crate::users::mail::Mail;
use crate::users::{AccessToken, UserError};

const TITLE: &str = "Team";
const HERE: &str = "/console/team";

const ROLES: [Choice<'_>; 3] = [
    Choice {
        value: "super_admin",
        label: "Super Admin",
        hint: Some("Everything, including Platform Branding and Team."),
    },
    Choice { value: "admin", label: "Admin", hint: Some("Records, custom fields, audiences, Integrations and Audit.") },
    Choice {
        value: "member",
        label: "Member",
        hint: Some("Sees records, custom fields and audiences, and changes nothing."),
    },
];

pub(in crate::console) async fn show(
    State(console): State<Arc<Console>>,
    session: ConsoleSession,
    query: PageQuery,
) -> PageResult {
    let users = console.store.users(session.account).await?;
    let user = query.get("user").and_then(|id| id.parse::<Uuid>().ok());
    let user = user.and_then(|id| users.iter().find(|user| user.user_id == id));
    let can_mail = console.users.mailer().is_on();
    let opened = match (query.get("dialog"), user) {
        (Some("invite"), _) => Some(invite_dialog(&session, can_mail, &Form::default(), &FieldErrors::default())),
        (Some("role"), Some(user)) => Some(role_dialog(&session, user)),
        (Some("link"), Some(user)) => Some(link_dialog(&session, can_mail, user)),
        (Some("disable"), Some(user)) => Some(confirm_dialog(&session, user, Confirm::Disable)),
        (Some("remove"), Some(user)) => Some(confirm_dialog(&session, user, Confirm::Remove)),
        (Some("totp"), Some(user)) => Some(confirm_dialog(&session, user, Confirm::RemoveTotp)),
        _ => None,
    };
    Ok(session.page(Nav::Team, TITLE, content(&session, &users, opened, None)))
}

pub(in crate::console) async fn invite(
    State(console): State<Arc<Console>>,
    session: ConsoleSession,
    form: Form,
) -> PageResult {
    let role = UserRole::from_name(form.text("role")).unwrap_or(UserRole::Member);
    let email = form.text("email");
    match console.users.invite(session.account, email, role, session.by(&console.clock)).await {
        Ok(token) => {
            let link = link_text(&console, &session, &token);
            let name = &session.brand.name;
            let mail = Mail::invitation(email, name, &session.email, &link.mailed);
            delivered(&console, &session, email, mail, &link.shown).await
        }
        Err(UserError::Invalid { field, message }) => {
            let users = console.store.users(session.account).await?;
            let opened =
                invite_dialog(&session, console.users.mailer().is_on(), &form, &FieldErrors::one(field, message));
            Ok(session.invalid_page(Nav::Team, TITLE, content(&session, &users, Some(opened), None)))
        }
        Err(error) => Err(error.into()),
    }
}

/// Makes a link by which a user chooses a password.
pub(in crate::console) async fn make_link(
    State(console): State<Arc<Console>>,
    session: ConsoleSession,
    Path(user): Path<Uuid>,
) -> PageResult {
    let user = console.store.user(session.account, user).await?.ok_or(PageError::Missing)?;
    let token = console.users.password_link(&user, session.by(&console.clock)).await?;
    let link = link_text(&console, &session, &token);
    let name = &session.brand.name;
    let mail = match user.password {
        Some(_) => Mail::reset(&user.email, name, &link.mailed),
        None => Mail::invitation(&user.email, name, &session.email, &link.mailed),
    };
    delivered(&console, &session, &user.email, mail, &link.shown).await
}

pub(in crate::console) async fn set_role(
    State(console): State<Arc<Console>>,
    session: ConsoleSession,
    Path(user): Path<Uuid>,
    form: Form,
) -> PageResult {
    let role = UserRole::from_name(form.text("role"));
    let role = role.ok_or_else(|| PageError::Invalid("Choose one of the three roles.".to_owned()))?;
    change(&console, &session, user, UserChange::Role(role), "The role was changed.").await
}

pub(in crate::console) async fn disable(
    State(console): State<Arc<Console>>,
    session: ConsoleSession,
    Path(user): Path<Uuid>,
) -> PageResult {
    change(&console, &session, user, UserChange::Disable, "The user was disabled and signed out everywhere.").await
}

pub(in crate::console) async fn enable(
    State(console): State<Arc<Console>>,
    session: ConsoleSession,
    Path(user): Path<Uuid>,
) -> PageResult {
    change(&console, &session, user, UserChange::Enable, "The user can sign in again.").await
}

pub(in crate::console) async fn remove(
    State(console): State<Arc<Console>>,
    session: ConsoleSession,
    Path(user): Path<Uuid>,
) -> PageResult {
    change(&console, &session, user, UserChange::Remove, "The user was removed from the team.").await
}

pub(in crate::console) async fn remove_totp(
    State(console): State<Arc<Console>>,
    session: ConsoleSession,
    Path(user): Path<Uuid>,
) -> PageResult {
    change(&console, &session, user, UserChange::RemoveTotp, "The second factor was removed.").await
}

async fn change(console: &Console, session: &ConsoleSession, user: Uuid, change: UserChange, done: &str) -> PageResult {
    match console.users.change(session.account, user, change, session.by(&console.clock)).await {
        Ok(()) => Ok(session.redirect(HERE, Flash::success(done))),
        Err(UserError::LastSuperAdmin) => {
            let text = "The account must keep one Super Admin who can sign in. Make somebody else one first.";
            Ok(session.redirect(HERE, Flash::failure(text)))
        }
        Err(error) => Err(error.into()),
    }
}

/// A link as it stands in a mail, and as the page shows it.
struct LinkText {
    mailed: String,
    shown: String,
}

fn link_text(console: &Console, session: &SessionState, token: &AccessToken) -> LinkText {
    let path = format!("{PATH}/link/{}", token.text());
    LinkText {
        mailed: format!("{}{path}", session.visitor.mail_base(console)),
        // For the Super Admin's own clipboard: the address under which this page was opened.
        shown: format!("{}{path}", session.visitor.service_url.0),
    }
}

/// Sends the mail; where none can be sent, the page shows the link to be passed on.
async fn delivered(console: &Console, session: &ConsoleSession, email: &str, mail: Mail, link: &str) -> PageResult {
    match console.users.mailer().send(mail).await {
        Ok(true) => Ok(session.redirect(HERE, Flash::success(format!("The link was sent to {email}.")))),
        sent => {
            if let Err(error) = &sent {
                tracing::warn!(account = %session.account, error = format!("{error:#}"), "send mail failed");
            }
            let users = console.store.users(session.account).await?;
            let shown = ShownLink { email, link, has_failed: sent.is_err() };
            Ok(session.page(Nav::Team, TITLE, content(session, &users, None, Some(shown))))
        }
    }
}

/// A link that the page shows once.
struct ShownLink<'a> {
    email: &'a str,
    link: &'a str,
    has_failed: bool,
}

fn content(
    session: &SessionState,
    users: &[ConsoleUser],
    opened: Option<Markup>,
    shown: Option<ShownLink<'_>>,
) -> Markup {
    let invite = dialog_link(ButtonStyle::Primary, Some(Icon::Add), &format!("{HERE}?dialog=invite"), "Invite someone");
    // The actions of all people stand in the same columns.
    let has_shields = users.iter().any(|user| user.totp.is_some() && user.user_id != session.user_id);
    html! {
        (page_head(TITLE, "The people who manage this account, and what each of them may do.", invite))
        @if let Some(ShownLink { email, link, has_failed }) = shown {
            div.notice.tone-success role="status" {
                (icon(Icon::Link))
                div {
                    p {
                        @if has_failed { "The mail could not be sent. " }
                        "Pass this link on to " strong { (email) } ". It works once; whoever has it can choose the password."
                    }
                    dl.copy-list { (copy_row("Link", link)) }
                }
            }
        }
        (table("Team", &["Person", "Role", "State", "Last sign-in", "Actions"], html! {
            @for user in users { (user_row(session, user, has_shields)) }
        }))
        @if let Some(opened) = opened { (opened) }
    }
}

fn user_row(session: &SessionState, user: &ConsoleUser, has_shields: bool) -> Markup {
    let ConsoleUser { user_id, email, role, state, totp, signed_in_at, .. } = user;
    let is_self = *user_id == session.user_id;
    html! {
        tr {
            th scope="row" data-label="Person" {
                div.cell-names { span { (breakable(email)) } @if is_self { (badge(Tone::Neutral, "you")) } }
            }
            td data-label="Role" { (role.title()) }
            td data-label="State" {
                span.cell-names {
                    @match state {
                        UserState::Active => (badge(Tone::Success, "active")),
                        UserState::Invited => (badge(Tone::Info, "invited")),
                        UserState::Disabled => (badge(Tone::Danger, "disabled")),
                    }
                    @if totp.is_some() { (badge(Tone::Neutral, "two-factor")) }
                }
            }
            td data-label="Last sign-in" {
                @match signed_in_at { Some(at) => { (time(*at, session.now)) } None => { span.muted { "never" } } }
            }
            td.cell-actions data-label="Actions" { (user_actions(session, user, has_shields)) }
        }
    }
}

/// The actions on a user, each in its own column. One that is not possible leaves its place empty.
fn user_actions(session: &SessionState, user: &ConsoleUser, has_shields: bool) -> Markup {
    let ConsoleUser { user_id, email, state, totp, .. } = user;
    let (is_self, is_disabled) = (*user_id == session.user_id, *state == UserState::Disabled);
    let action = |symbol: Icon, dialog: &str, word: &str, label: &str| {
        let href = format!("{HERE}?dialog={dialog}&user={user_id}");
        let label = format!("{label} {email}");
        html! {
            a.icon-button.with-word href=(href) data-dialog-link role="button" aria-label=(label) title=(label) {
                (icon(symbol)) span.action-word { (word) }
            }
        }
    };
    let none = html! { span.icon-slot {} };
    html! {
        (action(Icon::Edit, "role", "Role", "Change the role of"))
        @if is_disabled { (none) } @else { (action(Icon::Key, "link", "Password link", "Make a password link for")) }
        @if totp.is_some() && !is_self { (action(Icon::Shield, "totp", "Second factor", "Remove the second factor of")) }
        @else if has_shields { (none) }
        @if is_disabled {
            form method="post" action={ (HERE) "/" (user_id) "/enable" } {
                (csrf(&session.token.csrf()))
                button.icon-button.with-word type="submit" aria-label={ "Enable " (email) } title="Enable" {
                    (icon(Icon::Play)) span.action-word { "Enable" }
                }
            }
        } @else if is_self { (none) } @else { (action(Icon::UserOff, "disable", "Disable", "Disable")) }
        @if is_self { (none) } @else { (action(Icon::Delete, "remove", "Remove", "Remove")) }
    }
}

fn invite_dialog(session: &SessionState, can_mail: bool, form: &Form, errors: &FieldErrors) -> Markup {
    let role = form.filled("role").unwrap_or("member");
    dialog(Dialog {
        id: "invite",
        title: "Invite someone",
        close: HERE,
        content: html! {
            form method="post" action={ (HERE) "/invite" } {
                (csrf(&session.token.csrf()))
                (text_field(FormField {
                    kind: "email", value: form.text("email"), error: errors.get("email"),
                    ..FormField::new("email", "Email address")
                }))
                (super::super::components::radio_group("role", "Role", role, &ROLES))
                p.hint {
                    @if can_mail { "The person gets a link by mail, and chooses a password." }
                    @else { "You get a link to pass on, with which the person chooses a password." }
                }
                (dialog_actions(ButtonStyle::Primary, "Invite", HERE))
            }
        },
    })
}

fn role_dialog(session: &SessionState, user: &ConsoleUser) -> Markup {
    dialog(Dialog {
        id: "role",
        title: "Change the role",
        close: HERE,
        content: html! {
            form method="post" action={ (HERE) "/" (user.user_id) "/role" } {
                (csrf(&session.token.csrf()))
                p { "Choose what " strong { (user.email) } " may do." }
                (select(FormField { value: user.role.name(), ..FormField::new("role", "Role") }, &ROLES))
                @if user.user_id == session.user_id {
                    (notice(Tone::Warning, html! { "This is your own role. With a smaller one you cannot change it back yourself." }))
                }
                (dialog_actions(ButtonStyle::Primary, "Save", HERE))
            }
        },
    })
}

fn link_dialog(session: &SessionState, can_mail: bool, user: &ConsoleUser) -> Markup {
    dialog(Dialog {
        id: "link",
        title: &format!("Password link for {}", user.email),
        close: HERE,
        content: html! {
            form method="post" action={ (HERE) "/" (user.user_id) "/link" } {
                (csrf(&session.token.csrf()))
                p {
                    "With this link " strong { (user.email) } " chooses a new password. It works once. "
                    @if can_mail { "It is sent by mail." } @else { "It is shown to you, once, to be passed on." }
                }
                (dialog_actions(ButtonStyle::Primary, if can_mail { "Send the link" } else { "Create the link" }, HERE))
            }
        },
    })
}

/// An action that is confirmed.
#[derive(Clone, Copy)]
enum Confirm {
    Disable,
    Remove,
    RemoveTotp,
}

fn confirm_dialog(session: &SessionState, user: &ConsoleUser, confirm: Confirm) -> Markup {
    let (action, title, text, label) = match confirm {
        Confirm::Disable => (
            "disable",
            "Disable",
            " is signed out everywhere and cannot sign in until somebody enables this person again.",
            "Disable",
        ),
        Confirm::Remove => (
            "remove",
            "Remove",
            " is signed out everywhere and leaves the team. What this person did stays in the audit.",
            "Remove",
        ),
        Confirm::RemoveTotp => (
            "remove-totp",
            "Remove the second factor of",
            " will sign in with the password alone. Do this only if you are sure who asks for it.",
            "Remove second factor",
        ),
    };
    dialog(Dialog {
        id: "confirm",
        title: &format!("{title} {}?", user.email),
        close: HERE,
        content: html! {
            form method="post" action={ (HERE) "/" (user.user_id) "/" (action) } {
                (csrf(&session.token.csrf()))
                p { strong { (user.email) } (text) }
                (dialog_actions(ButtonStyle::Danger, label, HERE))
            }
        },
    })
}
