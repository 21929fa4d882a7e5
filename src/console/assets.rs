//! The files of the pages: style sheet, scripts, and what the brand makes. Each has the hash of its content in its name, so
//! that browsers keep it for ever.

use std::io::Write as _;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue,
};
use sha2::{Digest as _, Sha256};

use super::error::{PageError, PageResult};
use super::session::MaybeSession;
use super::state::Console;
use crate::domain::brand::{Color, Logo};

const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const FOREVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// The policy of a logo: opened by itself, an SVG may draw and nothing else.
const LOGO_POLICY: HeaderValue =
    HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; sandbox; frame-ancestors 'none'");

/// The style sheets, in the order in which they apply. Together they are one file.
const STYLES: [&str; 4] = [
    include_str!("assets/tokens.css"),
    include_str!("assets/layout.css"),
    include_str!("assets/components.css"),
    include_str!("assets/pages.css"),
];

/// The names of the files, for the head of each page.
#[derive(Debug, Clone)]
pub(crate) struct AssetNames {
    pub(crate) style: Arc<str>,
    pub(crate) script: Arc<str>,
    pub(crate) htmx: Arc<str>,
}

/// A file as it is sent: compressed, because every browser accepts gzip.
struct Asset {
    name: Arc<str>,
    media_type: &'static str,
    bytes: Bytes,
    is_gzip: bool,
}

/// The files that are the same for every brand.
pub(crate) struct Assets {
    style: Asset,
    script: Asset,
    htmx: Asset,
}

impl Assets {
    pub(crate) fn new() -> Self {
        Self {
            style: asset("console", "css", STYLE, &STYLES.concat()),
            script: asset("console", "js", SCRIPT, include_str!("assets/console.js")),
            htmx: asset("htmx", "js", SCRIPT, include_str!("assets/htmx.min.js")),
        }
    }

    pub(crate) fn names(&self) -> AssetNames {
        let name = |asset: &Asset| Arc::clone(&asset.name);
        AssetNames { style: name(&self.style), script: name(&self.script), htmx: name(&self.htmx) }
    }
}

fn asset(stem: &str, ending: &str, media_type: &'static str, text: &str) -> Asset {
    let hash: String = URL_SAFE_NO_PAD.encode(Sha256::digest(text)).chars().take(12).collect();
    let (bytes, is_gzip) = compressed(text.as_bytes()).map_or((Bytes::from(text.to_owned()), false), |zip| (zip, true));
    Asset { name: format!("{stem}-{hash}.{ending}").into(), media_type, bytes, is_gzip }
}

fn compressed(bytes: &[u8]) -> Option<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).ok()?;
    encoder.finish().ok().map(Bytes::from)
}

/// A file of the console.
pub(super) async fn serve(State(console): State<Arc<Console>>, Path(name): Path<String>) -> PageResult {
    let Assets { style, script, htmx } = &console.assets;
    let asset = [style, script, htmx].into_iter().find(|asset| *asset.name == *name).ok_or(PageError::Missing)?;
    let mut response = file(asset.media_type, asset.bytes.clone());
    if asset.is_gzip {
        response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    Ok(response)
}

/// The style sheet of a colour, which its name says: every pair of colours in it is readable.
pub(super) async fn brand_style(Path(name): Path<String>) -> PageResult {
    let color = name.strip_suffix(".css").and_then(|digits| Color::parse(&format!("#{digits}")).ok());
    let style = color.map(accent_style).transpose()?.ok_or(PageError::Missing)?;
    Ok(file(STYLE, Bytes::from(style)))
}

/// The brand's logo, by its tag. The tag only makes the address change with the logo.
pub(super) async fn logo(MaybeSession(visitor, session): MaybeSession, Path(tag): Path<String>) -> PageResult {
    let brands = [session.as_ref().map(|session| &session.brand), Some(&visitor.brand)];
    let has_tag = |logo_tag: &Option<String>| logo_tag.as_deref() == Some(&*tag);
    let brand = brands.into_iter().flatten().find(|brand| has_tag(&brand.logo_tag)).ok_or(PageError::Missing)?;
    let Logo { format, bytes } = brand.logo.as_ref().ok_or(PageError::Missing)?;
    let mut response = file(format.name(), Bytes::copy_from_slice(bytes));
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, LOGO_POLICY);
    // Another account's browser must not get it from a shared cache.
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("private, max-age=31536000, immutable"));
    Ok(response)
}

fn file(media_type: &'static str, bytes: Bytes) -> Response {
    let mut response = bytes.into_response();
    let mut put = |name: HeaderName, value: HeaderValue| response.headers_mut().insert(name, value);
    put(CONTENT_TYPE, HeaderValue::from_static(media_type));
    put(CACHE_CONTROL, FOREVER);
    response
}

/// The surfaces on which the accent stands as text, light and dark: those of `tokens.css`.
const LIGHT_SURFACES: [&str; 3] = ["#ffffff", "#f6f7f9", "#eef0f3"];
const DARK_SURFACES: [&str; 3] = ["#0f1216", "#171b21", "#20262e"];

/// The accent's variables: as a background with its text, and as text on the surfaces of each theme.
fn accent_style(accent: Color) -> Result<String, PageError> {
    let parse = |text: &str| Color::parse(text).map_err(|_| PageError::Internal);
    let readable = |surfaces: [&str; 3]| {
        surfaces.into_iter().try_fold(accent, |color, surface| Ok::<_, PageError>(color.readable_on(parse(surface)?)))
    };
    let (light, dark) = (readable(LIGHT_SURFACES)?, readable(DARK_SURFACES)?);
    let [white, black] = [parse("#ffffff")?, parse("#0f1216")?];
    let variables = |text: Color, surface: Color| {
        let (tint, hover) = (surface.mixed(accent, 12), accent.mixed(accent.text(), 12));
        // A tint of the accent stays readable under the accent's text.
        let on_tint = text.readable_on(tint);
        format!(
            "--accent: {accent}; --accent-hover: {hover}; --on-accent: {on}; --accent-text: {text}; --accent-tint: {tint}; \
             --on-accent-tint: {on_tint};",
            on = accent.text().readable_on(hover),
        )
    };
    let (light, dark) = (variables(light, white), variables(dark, black));
    Ok(format!(
        ":root {{ {light} }}\n@media (prefers-color-scheme: dark) {{ :root:not([data-theme=light]) {{ {dark} }} }}\n\
         :root[data-theme=dark] {{ {dark} }}\n"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Version 2.0.11 of the package htmx.org, `dist/htmx.min.js`. `tests/it/console/assets.rs` compares it with the package.
    #[test]
    fn htmx_is_the_file_of_its_package() {
        let hash = Sha256::digest(include_str!("assets/htmx.min.js"));
        let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hash, "d6fdc75f204e6bdefa99b69bf1e6d4ac69b8a364f77929f45c13476b4000f717");
        assert!(include_str!("assets/htmx.min.js").contains("version:\"2.0.11\""));
    }

    #[test]
    fn the_surfaces_of_the_accent_are_those_of_the_style_sheet() {
        for surface in LIGHT_SURFACES.iter().chain(&DARK_SURFACES) {
            assert!(STYLES[0].contains(surface), "tokens.css has no {surface}");
        }
    }

    #[test]
    fn a_name_changes_with_the_content() {
        let [one, other] = ["a { }", "b { }"].map(|text| asset("console", "css", STYLE, text).name);
        assert_ne!(one, other);
        assert!(one.starts_with("console-") && one.ends_with(".css"));
    }
}
