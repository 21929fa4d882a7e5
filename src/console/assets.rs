//! The files of the pages: style sheet, scripts, and what the brand makes. Each has the hash of its content in its name, so
//! that browsers keep it for ever.

use std::io::Write as _;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest as _, Sha256};

use crate::domain::brand::Color;

const SCRIPT: &str = "text/javascript; charset=utf-8";
pub(super) const STYLE: &str = "text/css; charset=utf-8";

/// The style sheets, in the order in which they apply. Together they are one file.
const STYLES: [&str; 6] = [
    include_str!("assets/tokens.css"),
    include_str!("assets/layout.css"),
    include_str!("assets/components.css"),
    include_str!("assets/pages.css"),
    include_str!("assets/integrations.css"),
    include_str!("assets/records.css"),
];

/// The scripts of our own. Together they are one file.
const SCRIPTS: [&str; 2] = [include_str!("assets/console.js"), include_str!("assets/import.js")];

/// The names of the files, for the head of each page.
#[derive(Debug, Clone)]
pub(crate) struct AssetNames {
    pub(crate) style: Arc<str>,
    pub(crate) script: Arc<str>,
    pub(crate) htmx: Arc<str>,
}

/// A file as it is sent: compressed, because every browser accepts gzip.
pub(super) struct ConsoleAsset {
    name: Arc<str>,
    pub(super) media_type: &'static str,
    pub(super) bytes: Bytes,
    pub(super) is_gzip: bool,
}

/// The files that are the same for every brand.
pub(crate) struct ConsoleAssets {
    style: ConsoleAsset,
    script: ConsoleAsset,
    htmx: ConsoleAsset,
}

impl ConsoleAssets {
    pub(crate) fn new() -> Self {
        Self {
            style: asset("console", "css", STYLE, &STYLES.concat()),
            script: asset("console", "js", SCRIPT, &SCRIPTS.concat()),
            htmx: asset("htmx", "js", SCRIPT, include_str!("assets/htmx.min.js")),
        }
    }

    /// The file of this name.
    pub(super) fn get(&self, name: &str) -> Option<&ConsoleAsset> {
        [&self.style, &self.script, &self.htmx].into_iter().find(|asset| *asset.name == *name)
    }

    pub(crate) fn names(&self) -> AssetNames {
        let name = |asset: &ConsoleAsset| Arc::clone(&asset.name);
        AssetNames { style: name(&self.style), script: name(&self.script), htmx: name(&self.htmx) }
    }
}

fn asset(stem: &str, ending: &str, media_type: &'static str, text: &str) -> ConsoleAsset {
    let hash: String = URL_SAFE_NO_PAD.encode(Sha256::digest(text)).chars().take(12).collect();
    let (bytes, is_gzip) =
        compressed(text.as_bytes()).map_or_else(|| (Bytes::from(text.to_owned()), false), |zip| (zip, true));
    ConsoleAsset { name: format!("{stem}-{hash}.{ending}").into(), media_type, bytes, is_gzip }
}

fn compressed(bytes: &[u8]) -> Option<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).ok()?;
    encoder.finish().ok().map(Bytes::from)
}

/// The surfaces on which the accent stands as text, light and dark: those of `tokens.css`.
const LIGHT_SURFACES: [&str; 3] = ["#ffffff", "#f6f7f9", "#eef0f3"];
const DARK_SURFACES: [&str; 3] = ["#0f1216", "#171b21", "#20262e"];

/// The accent's variables: as a background with its text, and as text on the surfaces of each theme.
pub(super) fn accent_style(accent: Color) -> String {
    let readable = |surfaces: [&str; 3]| surfaces.map(surface).into_iter().fold(accent, Color::readable_on);
    let (light, dark) = (readable(LIGHT_SURFACES), readable(DARK_SURFACES));
    let variables = |text: Color, base: Color| {
        let (tint, hover) = (base.mixed(accent, 12), accent.mixed(accent.text(), 12));
        // A tint of the accent stays readable under the accent's text.
        let (on_accent, on_tint) = (accent.text(), text.readable_on(tint));
        format!(
            "--accent: {accent}; --accent-hover: {hover}; --on-accent: {on_accent}; --accent-text: {text}; \
             --accent-tint: {tint}; --on-accent-tint: {on_tint};"
        )
    };
    // The tint of each theme begins at its brightest surface, so that it stands out from the others.
    let ([light_base, ..], [.., dark_base]) = (LIGHT_SURFACES, DARK_SURFACES);
    let (light, dark) = (variables(light, surface(light_base)), variables(dark, surface(dark_base)));
    format!(
        ":root {{ {light} }}\n@media (prefers-color-scheme: dark) {{ :root:not([data-theme=light]) {{ {dark} }} }}\n\
         :root[data-theme=dark] {{ {dark} }}\n"
    )
}

/// A constant colour.
fn surface(text: &str) -> Color {
    // Never taken: a test reads each of them.
    Color::parse(text).unwrap_or(Color::NEUTRAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Version 2.0.11 of the package htmx.org, `dist/htmx.min.js`. `tests/it/console/assets.rs` compares it with the package.
    #[test]
    fn htmx_is_the_file_of_its_package() {
        let hash = Sha256::digest(include_str!("assets/htmx.min.js"));
        let own = 0xd6fd_c75f_204e_6bde_fa99_b69b_f1e6_d4ac_u128.to_be_bytes();
        let rest = 0x69b8_a364_f779_29f4_5c13_476b_4000_f717_u128.to_be_bytes();
        assert_eq!(hash[..], [own, rest].concat());
        assert!(include_str!("assets/htmx.min.js").contains("version:\"2.0.11\""));
    }

    #[test]
    fn the_surfaces_of_the_accent_are_those_of_the_style_sheet() {
        for surface in LIGHT_SURFACES.iter().chain(&DARK_SURFACES) {
            assert!(STYLES[0].contains(surface), "tokens.css has no {surface}");
            assert_eq!(Color::parse(surface).unwrap().to_string(), **surface);
        }
    }

    #[test]
    fn a_name_changes_with_the_content() {
        let [one, other] = ["a { }", "b { }"].map(|text| asset("console", "css", STYLE, text).name);
        assert_ne!(one, other);
        assert!(one.starts_with("console-") && one.ends_with(".css"));
    }
}
