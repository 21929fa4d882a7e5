//! The frame of every page: head, menu, tabs, messages.

use axum::body::Body;
use axum::response::Response;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use maud::{DOCTYPE, Markup, html};

use super::PATH;
use super::access::{Access, CSRF_FIELD};
use super::assets::AssetNames;
use super::brand::ShownBrand;
use super::components::icon::{Icon, icon};
use super::components::notice::{Tone, notice};
use super::error;
use super::flash::{Flash, FlashKind};
use super::session::{SessionState, Visitor};
use crate::domain::user::UserRole;

/// The entry of the menu, or the tab, that a page belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nav {
    Dashboard,
    Contacts,
    Companies,
    Projects,
    SecureApi,
    PushEndpoints,
    Sync,
    CustomFields,
    Audiences,
    Branding,
    Team,
    Audit,
    Profile,
    /// No entry, such as an error's page.
    None,
}

/// An entry of the menu: the pages that it leads to, its icon, its words, its path, and who sees it.
struct MenuEntry {
    pages: &'static [Nav],
    icon: Icon,
    label: &'static str,
    path: &'static str,
    access: Access,
}

const MENU: [MenuEntry; 10] = [
    MenuEntry {
        pages: &[Nav::Dashboard],
        icon: Icon::Dashboard,
        label: "Dashboard",
        path: "/dashboard",
        access: Access::Member,
    },
    MenuEntry {
        pages: &[Nav::Contacts],
        icon: Icon::Contacts,
        label: "Contacts",
        path: "/contacts",
        access: Access::Member,
    },
    MenuEntry {
        pages: &[Nav::Companies],
        icon: Icon::Companies,
        label: "Companies",
        path: "/companies",
        access: Access::Member,
    },
    MenuEntry {
        pages: &[Nav::Projects],
        icon: Icon::Projects,
        label: "Projects",
        path: "/projects",
        access: Access::Member,
    },
    MenuEntry {
        pages: &[Nav::SecureApi, Nav::PushEndpoints, Nav::Sync],
        icon: Icon::Integrations,
        label: "Integrations",
        path: "/integrations",
        access: Access::Admin,
    },
    MenuEntry {
        pages: &[Nav::CustomFields],
        icon: Icon::Fields,
        label: "Custom Fields",
        path: "/custom-fields",
        access: Access::Member,
    },
    MenuEntry {
        pages: &[Nav::Audiences],
        icon: Icon::Audiences,
        label: "Marketing Audiences",
        path: "/audiences",
        access: Access::Member,
    },
    MenuEntry {
        pages: &[Nav::Branding],
        icon: Icon::Branding,
        label: "Platform Branding",
        path: "/branding",
        access: Access::SuperAdmin,
    },
    MenuEntry { pages: &[Nav::Team], icon: Icon::Team, label: "Team", path: "/team", access: Access::SuperAdmin },
    MenuEntry { pages: &[Nav::Audit], icon: Icon::Audit, label: "Audit", path: "/audit", access: Access::Admin },
];

/// A tab of a section, and who sees it.
struct Tab {
    page: Nav,
    label: &'static str,
    path: &'static str,
    access: Access,
}

const INTEGRATION_TABS: [Tab; 3] = [
    Tab { page: Nav::SecureApi, label: "Secure API", path: "/integrations/secure-api", access: Access::SecureApi },
    Tab { page: Nav::PushEndpoints, label: "Push Endpoints", path: "/integrations/push", access: Access::Admin },
    Tab { page: Nav::Sync, label: "Sync", path: "/integrations/sync", access: Access::Admin },
];

/// Sends a page.
pub(super) fn respond(page: &Markup) -> Response {
    let mut response = Response::new(Body::from(page.clone().into_string()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    response
}

impl SessionState {
    /// A page with the menu.
    pub(crate) fn page(&self, nav: Nav, title: &str, content: Markup) -> Response {
        respond(&inside(self, nav, title, &content))
    }

    /// A page with errors beside the fields of its form.
    pub(crate) fn invalid_page(&self, nav: Nav, title: &str, content: Markup) -> Response {
        error::unprocessable(self.page(nav, title, content))
    }
}

impl Visitor {
    /// A page without the menu, for people who are not signed in.
    pub(crate) fn page(&self, title: &str, content: Markup) -> Response {
        respond(&outside(self, title, &content))
    }
}

/// Sends a part of a page, for htmx.
pub(crate) fn fragment(markup: &Markup) -> Response {
    respond(markup)
}

/// A page with the menu.
pub(crate) fn inside(session: &SessionState, nav: Nav, title: &str, content: &Markup) -> Markup {
    let visitor = &*session.visitor;
    let preferences = visitor.preferences;
    let is_integration = INTEGRATION_TABS.iter().any(|tab| tab.page == nav);
    html! {
        (DOCTYPE)
        html lang="en" data-theme=[preferences.theme] {
            (head(title, &session.brand, &visitor.assets, Some(&session.token.csrf())))
            body.app data-menu=[preferences.is_menu_collapsed.then_some("collapsed")] {
                a.skip href="#content" { "Skip to content" }
                (menu(session, nav))
                div.frame {
                    (top_bar(session))
                    main #content tabindex="-1" {
                        @if is_integration { (tabs(session, nav)) }
                        @if let Some(Flash { kind, text }) = &session.flash {
                            (notice(if *kind == FlashKind::Success { Tone::Success } else { Tone::Danger }, html! { (text) }))
                        }
                        (content)
                    }
                }
                div #live-status .visually-hidden role="status" aria-live="polite" {}
            }
        }
    }
}

/// A page for people who are not signed in.
fn outside(visitor: &Visitor, title: &str, content: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" data-theme=[visitor.preferences.theme] {
            (head(title, &visitor.brand, &visitor.assets, None))
            body.outside {
                main #content {
                    div.outside-brand { (brand_mark(&visitor.brand)) span { (visitor.brand.name) } }
                    (content)
                    @if let Some(support) = &visitor.brand.support_url {
                        p.outside-foot { a href=(support) rel="noreferrer" { "Get help" } }
                    }
                }
            }
        }
    }
}

/// A page that shows nothing but a message, where nothing is known of the visitor.
pub(super) fn bare(title: &str, content: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head { meta charset="utf-8"; title { (title) } }
            body { main { (content) } }
        }
    }
}

fn head(title: &str, brand: &ShownBrand, assets: &AssetNames, csrf: Option<&str>) -> Markup {
    html! {
        head {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="color-scheme" content="light dark";
            meta name="robots" content="noindex";
            // Status 422 is a page with errors beside its fields, which htmx is to show.
            meta name="htmx-config" content=r#"{"includeIndicatorStyles":false,"allowEval":false,"responseHandling":[{"code":"204","swap":false},{"code":"[23]..","swap":true},{"code":"422","swap":true},{"code":"...","swap":true,"error":true}]}"#;
            @if let Some(csrf) = csrf { meta name="csrf" content=(csrf); }
            title { (title) " · " (brand.name) }
            link rel="stylesheet" href={ (PATH) "/assets/" (assets.style) };
            link rel="stylesheet" href={ (PATH) "/brand/style/" (brand.style_name()) };
            @if let Some(tag) = &brand.logo_tag { link rel="icon" href={ (PATH) "/brand/logo/" (tag) }; }
            @else { link rel="icon" href="data:,"; }
            script defer src={ (PATH) "/assets/" (assets.htmx) } {}
            script defer src={ (PATH) "/assets/" (assets.script) } {}
        }
    }
}

/// The logo, or the first letter of the name on the accent.
pub(crate) fn brand_mark(brand: &ShownBrand) -> Markup {
    html! {
        @if let Some(tag) = &brand.logo_tag {
            img.brand-mark src={ (PATH) "/brand/logo/" (tag) } alt="" width="28" height="28";
        } @else {
            span.brand-mark.brand-letter aria-hidden="true" { (brand.name.chars().next().unwrap_or('·').to_uppercase()) }
        }
    }
}

fn menu(session: &SessionState, nav: Nav) -> Markup {
    let entries = MENU.iter().filter(|entry| session.may_use(entry.access));
    let is_collapsed = session.visitor.preferences.is_menu_collapsed;
    html! {
        nav.menu #menu popover="auto" aria-label="Main" {
            div.menu-brand {
                a href=(PATH) { (brand_mark(&session.brand)) span.menu-label { (session.brand.name) } }
                button.icon-button.menu-close type="button" popovertarget="menu" popovertargetaction="hide" aria-label="Close the menu" {
                    (icon(Icon::Close))
                }
            }
            ul.menu-entries {
                @for MenuEntry { pages, icon: symbol, label, path, .. } in entries {
                    @let is_current = pages.contains(&nav);
                    li {
                        a.menu-entry href={ (PATH) (path) } aria-current=[is_current.then_some("page")] title=(label) {
                            (icon(*symbol)) span.menu-label { (label) }
                        }
                    }
                }
            }
            div.menu-foot {
                a.menu-entry href={ (PATH) "/profile" } aria-current=[(nav == Nav::Profile).then_some("page")] title="Profile" {
                    (icon(Icon::Profile))
                    span.menu-label.menu-user { span { (session.email) } small { (session.role.title()) } }
                }
                form.menu-collapse method="post" action={ (PATH) "/menu" } data-menu-toggle {
                    input type="hidden" name=(CSRF_FIELD) value=(session.token.csrf());
                    input type="hidden" name="menu" value=(if is_collapsed { "open" } else { "collapsed" });
                    input type="hidden" name="back" value=(session.visitor.path);
                    button.menu-entry type="submit" title="Collapse or expand the menu" aria-expanded=(if is_collapsed { "false" } else { "true" }) {
                        (icon(Icon::Collapse)) span.menu-label { "Collapse menu" }
                    }
                }
            }
        }
    }
}

fn top_bar(session: &SessionState) -> Markup {
    html! {
        header.top {
            button.icon-button.menu-button type="button" popovertarget="menu" aria-label="Menu" { (icon(Icon::Menu)) }
            span.top-account { (session.account_name) }
            div.top-actions {
                @if let Some(support) = &session.brand.support_url {
                    a.top-link href=(support) rel="noreferrer" { (icon(Icon::Help)) span { "Help" } }
                }
                (theme_switch(session))
                form method="post" action={ (PATH) "/sign-out" } {
                    input type="hidden" name=(CSRF_FIELD) value=(session.token.csrf());
                    button.top-link type="submit" { (icon(Icon::SignOut)) span { "Sign out" } }
                }
            }
        }
    }
}

/// A button that changes between light and dark.
fn theme_switch(session: &SessionState) -> Markup {
    let next = if session.visitor.preferences.theme == Some("dark") { "light" } else { "dark" };
    html! {
        form method="post" action={ (PATH) "/theme" } data-theme-toggle {
            input type="hidden" name=(CSRF_FIELD) value=(session.token.csrf());
            input type="hidden" name="theme" value=(next);
            input type="hidden" name="back" value=(session.visitor.path);
            button.icon-button type="submit" aria-label="Switch between light and dark" {
                span.if-light { (icon(Icon::Theme)) } span.if-dark { (icon(Icon::Sun)) }
            }
        }
    }
}

fn tabs(session: &SessionState, nav: Nav) -> Markup {
    let visible = INTEGRATION_TABS.iter().filter(|tab| session.may_use(tab.access));
    html! {
        div.section-head {
            p.section-title { "Integrations" }
            nav.tabs aria-label="Integrations" {
                @for Tab { page, label, path, .. } in visible {
                    a.tab href={ (PATH) (path) } aria-current=[(*page == nav).then_some("page")] { (label) }
                }
            }
        }
    }
}

/// The first of the tabs of Integrations that a session may see.
pub(super) fn first_integration(session: &SessionState) -> &'static str {
    let visible = INTEGRATION_TABS.iter().find(|tab| session.may_use(tab.access));
    visible.map_or("", |tab| tab.path)
}

/// Whether a role is one of those that manage the account's integrations, fields and audiences.
pub(crate) fn can_manage(session: &SessionState) -> bool {
    session.role >= UserRole::Admin
}
