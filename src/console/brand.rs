//! The brand that a page shows: that of the user's account, or that of the host before somebody is signed in.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use crate::domain::brand::{Brand, Color, Logo};
use crate::http::Branded;

/// A brand as pages show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ShownBrand {
    pub(crate) name: String,
    pub(crate) color: Color,
    pub(crate) logo: Option<Logo>,
    /// Changes with the logo, so that browsers may keep it for ever.
    pub(crate) logo_tag: Option<String>,
    pub(crate) support_url: Option<String>,
}

impl ShownBrand {
    pub(super) fn new(brand: Brand) -> Self {
        let Brand { name, color, logo, support_url } = brand;
        let tag = |logo: &Logo| URL_SAFE_NO_PAD.encode(Sha256::digest(&logo.bytes)).chars().take(16).collect();
        Self { name, color, logo_tag: logo.as_ref().map(tag), logo, support_url }
    }

    pub(super) fn of_host(branded: &Branded) -> Self {
        Self::new(branded.brand.clone())
    }

    /// The last part of the address of the style sheet with the colour: it never changes under the same address.
    pub(crate) fn style_name(&self) -> String {
        format!("{}.css", self.color.to_string().trim_start_matches('#'))
    }
}
