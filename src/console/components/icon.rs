//! Icons, drawn on a grid of 24 with one stroke. They are decoration: the words beside them, or a label, name the action.

use maud::{Markup, PreEscaped, html};

/// The icons of the console.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Icon {
    Dashboard,
    Contacts,
    Companies,
    Projects,
    Integrations,
    Fields,
    Audiences,
    Branding,
    Team,
    Audit,
    Profile,
    Collapse,
    Menu,
    Help,
    SignOut,
    Theme,
    Copy,
    Check,
    Delete,
    Archive,
    Add,
    Close,
    Search,
    Warning,
    Info,
    Key,
    External,
    Download,
    Upload,
    Edit,
    Next,
    Previous,
    Clock,
    Refresh,
    Pause,
    Play,
    Undo,
    Link,
    Mail,
    Send,
    Shield,
    Sun,
    UserOff,
}

impl Icon {
    /// Every icon, for the page of components.
    pub(crate) const ALL: [Self; 43] = [
        Self::Dashboard,
        Self::Contacts,
        Self::Companies,
        Self::Projects,
        Self::Integrations,
        Self::Fields,
        Self::Audiences,
        Self::Branding,
        Self::Team,
        Self::Audit,
        Self::Profile,
        Self::Collapse,
        Self::Menu,
        Self::Help,
        Self::SignOut,
        Self::Theme,
        Self::Copy,
        Self::Check,
        Self::Delete,
        Self::Archive,
        Self::Add,
        Self::Close,
        Self::Search,
        Self::Warning,
        Self::Info,
        Self::Key,
        Self::External,
        Self::Download,
        Self::Upload,
        Self::Edit,
        Self::Next,
        Self::Previous,
        Self::Clock,
        Self::Refresh,
        Self::Pause,
        Self::Play,
        Self::Undo,
        Self::Link,
        Self::Mail,
        Self::Send,
        Self::Shield,
        Self::Sun,
        Self::UserOff,
    ];

    /// The path of the drawing (SVG 2, 9.3).
    fn path(self) -> &'static str {
        match self {
            Self::Dashboard => "M4 13h6V4H4zM14 20h6v-9h-6zM4 20h6v-3H4zM14 7h6V4h-6z",
            Self::Contacts => "M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM4.5 20a7.5 7.5 0 0 1 15 0",
            Self::Companies => {
                "M5 20V5a1 1 0 0 1 1-1h7a1 1 0 0 1 1 1v15M14 9h4a1 1 0 0 1 1 1v10M3 20h18M8 8h3M8 12h3M8 16h3"
            }
            Self::Projects => "M4 7a2 2 0 0 1 2-2h3.5l2 2H18a2 2 0 0 1 2 2v8a2 2 0 0 1-2 2H6a2 2 0 0 1-2-2z",
            Self::Integrations => "M9 4v4M15 4v4M7 8h10v4a5 5 0 0 1-10 0zM12 17v3",
            Self::Fields => "M4 6h16M4 12h10M4 18h7M18 14v6M15 17h6",
            Self::Audiences => "M4 10v4h3l6 4V6L7 10zM16.5 9a4 4 0 0 1 0 6M19 6.5a8 8 0 0 1 0 11",
            Self::Branding => {
                "M12 4a8 8 0 1 0 0 16c1.5 0 2-1 1.5-2s0-2.5 1.5-2.500H17a3 3 0 0 0 3-3C20 7.5 16.5 4 12 4zM8 11h.01M11 8h.01M15 8.500h.01"
            }
            Self::Team => {
                "M9 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7zM3 19.500a6 6 0 0 1 12 0M15.5 4.500a3.5 3.5 0 0 1 0 6.500M17.5 14a6 6 0 0 1 3.5 5.5"
            }
            Self::Audit => "M7 4h10a1 1 0 0 1 1 1v15l-3-2-3 2-3-2-3 2V5a1 1 0 0 1 1-1zM9 9h6M9 13h6",
            Self::Profile => {
                "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM12 13a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM6.5 18.500a6.5 6.5 0 0 1 11 0"
            }
            Self::Collapse => "M11 7l-5 5 5 5M18 7l-5 5 5 5",
            Self::Menu => "M4 7h16M4 12h16M4 17h16",
            Self::Help => {
                "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM9.5 9.500a2.5 2.5 0 1 1 3.5 2.300c-.7.3-1 .8-1 1.700M12 16.500h.01"
            }
            Self::SignOut => "M14 5H6a1 1 0 0 0-1 1v12a1 1 0 0 0 1 1h8M10 12h10M17 9l3 3-3 3",
            Self::Theme => "M12 4a8 8 0 1 0 8 8 6 6 0 0 1-8-8z",
            Self::Copy => "M9 9h10v11H9zM15 9V4H5v11h4",
            Self::Check => "M5 12.500l4.5 4.500L19 7.5",
            Self::Delete => "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13M10.5 11v5M13.5 11v5",
            Self::Archive => "M4 5h16v4H4zM5.5 9v10h13V9M10 13h4",
            Self::Add => "M12 5v14M5 12h14",
            Self::Close => "M6 6l12 12M18 6L6 18",
            Self::Search => "M11 18a7 7 0 1 0 0-14 7 7 0 0 0 0 14zM16 16l4.5 4.5",
            Self::Warning => "M12 4L2.8 19.500h18.400zM12 10v4.500M12 17h.01",
            Self::Info => "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM12 11v5.500M12 7.500h.01",
            Self::Key => "M8 16a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM12 12h9M18 12v3.500M15 12v2.5",
            Self::External => "M13 5h6v6M19 5l-9 9M17 14v5H5V7h5",
            Self::Download => "M12 4v11M7.5 11l4.5 4.5 4.5-4.500M5 19.500h14",
            Self::Upload => "M12 16V5M7.5 9L12 4.5 16.5 9M5 19.500h14",
            Self::Edit => "M5 19h3.500L19 8.5 15.5 5 5 15.500zM13 7.500l3.5 3.5",
            Self::Next => "M9.5 6l6 6-6 6",
            Self::Previous => "M14.5 6l-6 6 6 6",
            Self::Clock => "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM12 7v5l3 2",
            Self::Refresh => "M19 12a7 7 0 1 1-2-5l2 2M19 4v5h-5",
            Self::Pause => "M9 5v14M15 5v14",
            Self::Play => "M8 5l11 7-11 7z",
            Self::Undo => "M4 10h10a5 5 0 0 1 0 10h-4M8 6l-4 4 4 4",
            Self::Link => {
                "M10 14a4 4 0 0 0 6 .5l3-3a4 4 0 0 0-5.7-5.700l-1.5 1.500M14 10a4 4 0 0 0-6-.5l-3 3a4 4 0 0 0 5.7 5.700l1.5-1.5"
            }
            Self::Mail => "M4 6h16v12H4zM4 7l8 6 8-6",
            Self::Send => "M20 4L4 10.500l6.500 3L14 20zM20 4l-9.500 9.500",
            Self::Sun => {
                "M12 16a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM12 3v2M12 19v2M3 12h2M19 12h2M5.6 5.6L7 7M17 17l1.400 1.4M5.6 18.400L7 17M17 7l1.400-1.4"
            }
            Self::UserOff => {
                "M10 11.500a3.8 3.8 0 1 0 0-7.500 3.8 3.8 0 0 0 0 7.500zM3 19.500a7 7 0 0 1 10.5-5.700M16 15l5 5M21 15l-5 5"
            }
            Self::Shield => "M12 3.500l7 2.500v5.500c0 4.5-3 7.5-7 9-4-1.5-7-4.5-7-9V6zM9 12l2.2 2.200L15.5 10",
        }
    }
}

/// An icon. It takes the colour and, as a square of 1.25 em, the size of the text around it.
pub(crate) fn icon(icon: Icon) -> Markup {
    html! {
        svg.icon viewBox="0 0 24 24" width="20" height="20" fill="none" stroke="currentColor" stroke-width="1.75"
            stroke-linecap="round" stroke-linejoin="round" aria-hidden="true" focusable="false" {
            path d=(PreEscaped(icon.path())) {}
        }
    }
}
