//! Platform Branding: the name, logo, color, help and host names under which the account's people and partners see the
//! service, and what Admins see of it.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRequest as _, Multipart, Request, State};
use axum::response::Response;
use maud::{Markup, html};

use super::super::PATH;
use super::super::access::CSRF_FIELD;
use super::super::brand::ShownBrand;
use super::super::components::dialog::dialog_actions;
use super::super::components::{
    ButtonStyle, Dialog, FormField, Icon, button, card, checkbox, csrf, dialog, dialog_link, icon, page_head,
    text_field, textarea,
};
use super::super::error::{PageError, PageResult};
use super::super::flash::Flash;
use super::super::form::{FieldErrors, Form, PageQuery};
use super::super::layout::{Nav, brand_mark};
use super::super::session::{ConsoleSession, SessionState};
use super::super::state::Console;
use crate::domain::brand::{Color, Logo, MAX_LOGO, parse_host, parse_name, parse_support_url};
use crate::store::brands::{AccountBrand, NewBrand, SetBrand};

const TITLE: &str = "Platform Branding";
const HERE: &str = "/console/branding";

/// The largest request with a logo: the logo and what surrounds it.
pub(in crate::console) const MAX_UPLOAD: usize = MAX_LOGO + (16 << 10);

/// The host names of one account.
const MAX_HOSTS: usize = 20;

pub(in crate::console) async fn show(
    State(console): State<Arc<Console>>,
    session: ConsoleSession,
    query: PageQuery,
) -> PageResult {
    let own = console.store.brand(session.account).await?;
    let opened = (query.get("dialog") == Some("clear") && own.is_some()).then(|| clear_dialog(&session));
    let form = BrandForm::of(own.as_ref(), &session.brand);
    Ok(session.page(Nav::Branding, TITLE, content(&session, &form, &FieldErrors::default(), opened)))
}

/// Changes the name, the color, the help and the host names.
pub(in crate::console) async fn save(
    State(console): State<Arc<Console>>,
    session: ConsoleSession,
    form: Form,
) -> PageResult {
    let new = match parsed(&form) {
        Ok(new) => new,
        Err(errors) => return Ok(invalid(&session, &BrandForm::typed(&form), &errors)),
    };
    match console.store.set_brand(session.account, &new, session.by(&console.clock)).await? {
        SetBrand::Done => {
            Ok(session.redirect(HERE, Flash::success("Saved. Public pages show the change within 5 seconds.")))
        }
        SetBrand::NoAccount => Err(PageError::Missing),
        SetBrand::HostTaken(host) => {
            let errors = FieldErrors::one("hosts", format!("{host} belongs to another account."));
            Ok(invalid(&session, &BrandForm::typed(&form), &errors))
        }
    }
}

/// Changes the logo.
pub(in crate::console) async fn save_logo(
    State(console): State<Arc<Console>>,
    session: ConsoleSession,
    request: Request,
) -> PageResult {
    let logo = match uploaded(request).await? {
        Some(bytes) => Logo::parse(&bytes).map_err(|wrong| format!("This file cannot be used: {wrong}.")),
        None => Err("Choose a file first.".to_owned()),
    };
    let logo = match logo {
        Ok(logo) => logo,
        Err(wrong) => {
            let own = console.store.brand(session.account).await?;
            let form = BrandForm::of(own.as_ref(), &session.brand);
            return Ok(invalid(&session, &form, &FieldErrors::one("logo", wrong)));
        }
    };
    let new = NewBrand { logo: Some(logo), ..NewBrand::default() };
    set(&console, &session, &new, "The logo was saved.").await
}

pub(in crate::console) async fn remove_logo(
    State(console): State<Arc<Console>>,
    session: ConsoleSession,
) -> PageResult {
    let new = NewBrand { remove_logo: true, ..NewBrand::default() };
    set(&console, &session, &new, "The logo was removed.").await
}

/// Deletes the brand, so that the installation's is shown.
pub(in crate::console) async fn clear(State(console): State<Arc<Console>>, session: ConsoleSession) -> PageResult {
    console.store.clear_brand(session.account, session.by(&console.clock)).await?;
    Ok(session.redirect(HERE, Flash::success("The brand was cleared. The installation's brand is shown now.")))
}

/// White Label Visibility.
pub(in crate::console) async fn set_visibility(
    State(console): State<Arc<Console>>,
    session: ConsoleSession,
    form: Form,
) -> PageResult {
    let limited = form.is_on("limit_secure_api");
    console.store.limit_secure_api(session.account, limited, session.by(&console.clock)).await?;
    let text = if limited {
        "Saved. Only Super Admins see Secure API now."
    } else {
        "Saved. Super Admins and Admins see Secure API now."
    };
    Ok(session.redirect(HERE, Flash::success(text)))
}

async fn set(console: &Console, session: &ConsoleSession, new: &NewBrand, done: &str) -> PageResult {
    match console.store.set_brand(session.account, new, session.by(&console.clock)).await? {
        SetBrand::Done => Ok(session.redirect(HERE, Flash::success(done))),
        SetBrand::NoAccount | SetBrand::HostTaken(_) => Err(PageError::Missing),
    }
}

fn invalid(session: &ConsoleSession, form: &BrandForm, errors: &FieldErrors) -> Response {
    session.invalid_page(Nav::Branding, TITLE, content(session, form, errors, None))
}

/// The bytes of the field `logo` of an upload; `None` where no file was chosen.
async fn uploaded(request: Request) -> Result<Option<Bytes>, PageError> {
    let unreadable = || PageError::Invalid(format!("The logo must be a file of at most {} KiB.", MAX_LOGO / 1_024));
    let mut upload = Multipart::from_request(request, &()).await.map_err(|_| unreadable())?;
    while let Some(field) = upload.next_field().await.map_err(|_| unreadable())? {
        if field.name() == Some("logo") {
            let bytes = field.bytes().await.map_err(|_| unreadable())?;
            return Ok(Some(bytes).filter(|bytes| !bytes.is_empty()));
        }
    }
    Ok(None)
}

/// The change that the form describes.
fn parsed(form: &Form) -> Result<NewBrand, FieldErrors> {
    let mut errors = FieldErrors::default();
    let mut keep = |field: &str, wrong: &str| errors.add(field, sentence(wrong));
    let name = parse_name(form.text("name")).map_err(|wrong| keep("name", wrong)).ok();
    let color = Color::parse(form.text("color")).map_err(|wrong| keep("color", wrong)).ok();
    let support_url = match form.filled("support_url") {
        None => Some(String::new()),
        Some(text) => parse_support_url(text).map_err(|wrong| keep("support_url", wrong)).ok(),
    };
    let typed = form.text("hosts").split(|sign: char| sign.is_whitespace() || sign == ',');
    let hosts: Result<Vec<String>, &str> = typed.filter(|text| !text.is_empty()).map(parse_host).collect();
    let hosts = hosts.map_err(|wrong| keep("hosts", wrong)).ok();
    if hosts.as_ref().is_some_and(|hosts| hosts.len() > MAX_HOSTS) {
        keep("hosts", "an account has at most 20 host names");
    }
    if errors.is_empty() {
        Ok(NewBrand { name, color, logo: None, remove_logo: false, support_url, hosts })
    } else {
        Err(errors)
    }
}

/// A message of the domain as a sentence.
fn sentence(text: &str) -> String {
    let mut signs = text.chars();
    signs.next().map(|first| first.to_uppercase().chain(signs).chain(['.']).collect()).unwrap_or_default()
}

/// The values of the form.
struct BrandForm {
    name: String,
    color: String,
    support_url: String,
    hosts: String,
    has_own: bool,
    has_logo: bool,
}

impl BrandForm {
    fn of(own: Option<&AccountBrand>, shown: &ShownBrand) -> Self {
        Self {
            name: shown.name.clone(),
            color: shown.color.to_string(),
            support_url: shown.support_url.clone().unwrap_or_default(),
            hosts: own.map(|own| own.hosts.join("\n")).unwrap_or_default(),
            has_own: own.is_some(),
            has_logo: own.is_some_and(|own| own.logo.is_some()),
        }
    }

    fn typed(form: &Form) -> Self {
        let text = |name: &str| form.text(name).to_owned();
        Self {
            name: text("name"),
            color: text("color"),
            support_url: text("support_url"),
            hosts: text("hosts"),
            has_own: true,
            has_logo: false,
        }
    }
}

fn content(session: &SessionState, form: &BrandForm, errors: &FieldErrors, opened: Option<Markup>) -> Markup {
    let clear = html! {
        @if form.has_own { (dialog_link(ButtonStyle::Secondary, None, &format!("{HERE}?dialog=clear"), "Clear the brand")) }
    };
    html! {
        (page_head(TITLE, "Your name, logo and color, on these pages and on everything that your partners see.", clear))
        (card("Name and color", "", html! {
            div.brand-preview {
                (brand_mark(&session.brand))
                div { strong { (session.brand.name) } span.muted { "As it is shown now" } }
                span.button.primary aria-hidden="true" { "Sample button" }
            }
            form method="post" action=(HERE) {
                (csrf(&session.token.csrf()))
                (text_field(FormField { value: &form.name, error: errors.get("name"), max_length: Some(60), ..FormField::new("name", "Platform name") }))
                (text_field(FormField {
                    kind: "color", value: &form.color, error: errors.get("color"),
                    hint: Some("Text on this color, and in it, is kept readable in light and dark."),
                    ..FormField::new("color", "Accent color")
                }))
                p.color-value { "Now " code data-color-of="field-color" { (form.color) } }
                (text_field(FormField {
                    value: &form.support_url, error: errors.get("support_url"), is_required: false, autocomplete: "url",
                    hint: Some("A page, such as https://example.com/help, or mailto:help@example.com. Every page links to it at the top."),
                    ..FormField::new("support_url", "Support link")
                }))
                (textarea(FormField {
                    value: &form.hosts, error: errors.get("hosts"), is_required: false,
                    hint: Some("One per line, such as api.example.com. Point each name at this service: its API, documentation and console show your brand alone."),
                    ..FormField::new("hosts", "Own host names")
                }))
                div.form-actions { (button(ButtonStyle::Primary, "Save")) }
            }
        }))
        (logo_card(session, form, errors))
        (visibility_card(session))
        @if let Some(opened) = opened { (opened) }
    }
}

fn logo_card(session: &SessionState, form: &BrandForm, errors: &FieldErrors) -> Markup {
    let error = errors.get("logo");
    card(
        "Logo",
        "An SVG or PNG of at most 256 KiB. A square one fits best. Without a logo, the first letter of the name is shown.",
        html! {
            div.brand-logo {
                (brand_mark(&session.brand))
                span.muted { @if session.brand.logo_tag.is_some() { "Your logo now" } @else { "No logo yet" } }
            }
            form method="post" enctype="multipart/form-data" action={ (HERE) "/logo?" (CSRF_FIELD) "=" (session.token.csrf()) } {
                div.field {
                    label for="field-logo" { "File" }
                    input #field-logo type="file" name="logo" accept="image/svg+xml,image/png" required
                        aria-invalid=[error.map(|_| "true")] aria-describedby=[error.map(|_| "error-logo")];
                    @if let Some(error) = error { p.error #error-logo { (icon(Icon::Warning)) (error) } }
                }
                div.form-actions { (button(ButtonStyle::Primary, "Save logo")) }
            }
            @if form.has_logo {
                form method="post" action={ (HERE) "/logo/remove" } {
                    (csrf(&session.token.csrf()))
                    div.form-actions { (button(ButtonStyle::Secondary, "Remove logo")) }
                }
            }
        },
    )
}

fn visibility_card(session: &SessionState) -> Markup {
    card(
        "White Label Visibility",
        "By default, Super Admins and Admins can view Secure API.",
        html! {
            form method="post" action={ (HERE) "/visibility" } {
                (csrf(&session.token.csrf()))
                (checkbox(
                    "limit_secure_api",
                    "Limit Secure API to Super Admins",
                    Some("Once enabled, Admin users will no longer see Secure API in the Integrations menu."),
                    session.secure_api_limited,
                ))
                div.form-actions { (button(ButtonStyle::Primary, "Save")) }
            }
        },
    )
}

fn clear_dialog(session: &SessionState) -> Markup {
    dialog(Dialog {
        id: "clear",
        title: "Clear the brand?",
        close: HERE,
        content: html! {
            form method="post" action={ (HERE) "/clear" } {
                (csrf(&session.token.csrf()))
                p { "The name, logo, color, support link and host names of " strong { (session.brand.name) } " are deleted. Pages at " (PATH) " and the documentation show the installation's brand." }
                (dialog_actions(ButtonStyle::Danger, "Clear the brand", HERE))
            }
        },
    })
}
