//! The white label: the name, colour and logo under which an account's partners see the API.

use std::fmt;
use std::sync::Arc;

use super::svg;
use super::text_enum::text_enum;

/// The longest name, in characters.
pub const MAX_NAME: usize = 60;

/// The largest logo, in bytes.
pub const MAX_LOGO: usize = 256 * 1024;

/// The look of the public pages.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Brand {
    pub name: String,
    pub color: Color,
    pub logo: Option<Logo>,
    /// The page, or the address with `mailto:`, at which users get help.
    pub support_url: Option<String>,
}

/// The name of a brand: 1 to [`MAX_NAME`] characters on one line.
pub fn parse_name(text: &str) -> Result<String, &'static str> {
    let name = text.trim();
    if name.is_empty() || name.chars().count() > MAX_NAME || name.chars().any(char::is_control) {
        return Err("a name has 1 to 60 characters on one line");
    }
    Ok(name.to_owned())
}

/// The longest slug, in characters.
const MAX_SLUG: usize = 30;

/// The brand in identifiers, which have few characters: its ASCII letters and digits in lower case. A name that has none gives a
/// neutral word.
#[must_use]
pub fn slug(name: &str) -> String {
    let signs = name.chars().filter(char::is_ascii_alphanumeric).map(|sign| sign.to_ascii_lowercase());
    let slug: String = signs.take(MAX_SLUG).collect();
    if slug.is_empty() { "api".to_owned() } else { slug }
}

/// The user agent of a brand's webhooks, from the brand in identifiers.
#[must_use]
pub fn user_agent(slug: &str) -> String {
    format!("{slug}-webhooks/1")
}

/// A colour in sRGB, used as the background of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Color([u8; 3]);

impl Color {
    /// The default: a quiet green.
    pub const NEUTRAL: Self = Self([0x1f, 0x6f, 0x54]);
    const WHITE: Self = Self([0xff; 3]);
    const BLACK: Self = Self([0; 3]);

    /// Reads `#rrggbb`.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let digits = text.strip_prefix('#').filter(|digits| digits.len() == 6);
        let number = digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let number = number.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let [_, rgb @ ..] = number.ok_or("a colour is written #rrggbb")?.to_be_bytes();
        Ok(Self(rgb))
    }

    /// The colour of text on this one: white, or black where white would have a contrast of less than 4.5 : 1
    /// (WCAG 2.2, 1.4.3). One of them always has it.
    #[must_use]
    pub fn text(self) -> Self {
        if self.contrast(Self::WHITE) >= 4.5 { Self::WHITE } else { Self::BLACK }
    }

    /// The colour nearest to this one that is readable as text on a surface: made darker on a light surface and lighter on a
    /// dark one until the contrast is 4.5 : 1 (WCAG 2.2, 1.4.3).
    #[must_use]
    pub fn readable_on(self, surface: Self) -> Self {
        let towards = surface.text();
        let steps = (0..=100_u16).map(|percent| self.mixed(towards, percent));
        steps.into_iter().find(|color| color.contrast(surface) >= 4.5).unwrap_or(towards)
    }

    /// This colour with a share of another one, in percent.
    #[must_use]
    pub fn mixed(self, other: Self, percent: u16) -> Self {
        let [red, green, blue] = [0, 1, 2].map(|index: usize| {
            let channel = |color: Self| u16::from(color.0.get(index).copied().unwrap_or_default());
            let mixed = (channel(self) * (100 - percent.min(100)) + channel(other) * percent.min(100)) / 100;
            u8::try_from(mixed).unwrap_or(u8::MAX)
        });
        Self([red, green, blue])
    }

    /// The contrast ratio of WCAG 2.2: 1 to 21.
    #[must_use]
    pub fn contrast(self, other: Self) -> f64 {
        let (one, two) = (self.luminance() + 0.05, other.luminance() + 0.05);
        (one / two).max(two / one)
    }

    /// The relative luminance of WCAG 2.2: 0 to 1.
    fn luminance(self) -> f64 {
        let linear = self.0.map(|channel| {
            let share = f64::from(channel) / 255.0;
            if share <= 0.04045 { share / 12.92 } else { ((share + 0.055) / 1.055).powf(2.4) }
        });
        linear.iter().zip([0.2126, 0.7152, 0.0722]).map(|(channel, weight)| channel * weight).sum()
    }
}

impl fmt::Display for Color {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [red, green, blue] = self.0;
        write!(f, "#{red:02x}{green:02x}{blue:02x}")
    }
}

/// A picture for the head of the pages, as a browser reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Logo {
    pub format: LogoFormat,
    pub bytes: Arc<[u8]>,
}

text_enum! {
    /// The formats of a logo, named by their media types.
    #[expect(missing_docs, reason = "each variant is its name")]
    pub enum LogoFormat {
        Svg = "image/svg+xml",
        Png = "image/png",
    }
}

impl Logo {
    /// Recognises a PNG or SVG by its first bytes. Of an SVG only what draws is kept; the server still sends it with headers
    /// that disable scripts.
    pub fn parse(bytes: &[u8]) -> Result<Self, &'static str> {
        if bytes.len() > MAX_LOGO {
            return Err("a logo has at most 256 KiB");
        }
        if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
            return Ok(Self { format: LogoFormat::Png, bytes: bytes.into() });
        }
        let text = std::str::from_utf8(bytes).ok().filter(|text| begins_with_svg(text));
        let text = text.ok_or("a logo is an SVG or a PNG")?;
        let drawing = svg::drawing(text.trim_start_matches('\u{feff}')).ok_or("the SVG is not well-formed XML")?;
        Ok(Self { format: LogoFormat::Svg, bytes: drawing.into_bytes().into() })
    }
}

/// True when the first element is `svg`. A declaration, a document type and comments may precede it.
fn begins_with_svg(text: &str) -> bool {
    let mut rest = text.trim_start_matches('\u{feff}').trim_start();
    while let Some((end, inside)) = [("?>", "<?"), ("-->", "<!--"), (">", "<!")]
        .into_iter()
        .find_map(|(end, start)| Some((end, rest.strip_prefix(start)?)))
    {
        let Some((_, after)) = inside.split_once(end) else { return false };
        rest = after.trim_start();
    }
    rest.strip_prefix("<svg").is_some_and(|rest| rest.starts_with([' ', '\t', '\r', '\n', '>', '/']))
}

/// The longest address of help, in bytes.
pub const MAX_SUPPORT_URL: usize = 500;

/// The address of help: a page by https or http, or a mail address after `mailto:`.
pub fn parse_support_url(text: &str) -> Result<String, &'static str> {
    let text = text.trim();
    let is_plain = !text.chars().any(|sign| sign.is_whitespace() || sign.is_control());
    let has_scheme = ["https://", "http://", "mailto:"].into_iter().any(|scheme| {
        text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)) && text.len() > scheme.len()
    });
    if !is_plain || !has_scheme || text.len() > MAX_SUPPORT_URL {
        return Err("a support link begins with https://, http:// or mailto:");
    }
    Ok(text.to_owned())
}

/// The name of a host in the form that is unique: `api.example.org`, without scheme and port.
pub fn parse_host(text: &str) -> Result<String, &'static str> {
    let host = text.trim().trim_end_matches('.').to_ascii_lowercase();
    let is_label = |label: &str| {
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        (1..=63).contains(&label.len()) && label.bytes().all(inner) && !label.starts_with('-') && !label.ends_with('-')
    };
    if host.len() > 253 || !host.split('.').all(is_label) {
        return Err("a host is a name such as api.example.org, without scheme and port");
    }
    Ok(host)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Color, Logo, LogoFormat, parse_host, parse_name, slug};

    proptest! {
        #[test]
        fn text_is_readable_on_every_colour(rgb: [u8; 3]) {
            let color = Color(rgb);
            prop_assert!(color.contrast(color.text()) >= 4.5, "{color}");
            for surface in ["#ffffff", "#f6f7f9", "#14171c", "#0d0f13"] {
                let surface = Color::parse(surface).unwrap();
                prop_assert!(color.readable_on(surface).contrast(surface) >= 4.5, "{color} on {surface}");
            }
            prop_assert_eq!(Color::parse(&color.to_string()), Ok(color));
        }
    }

    #[test]
    fn a_colour_is_six_digits() {
        assert_eq!(Color::parse("#1F6F54"), Ok(Color::NEUTRAL));
        for wrong in ["", "1f6f54", "#1f6f5", "#1f6f544", "#+f6f54", "#gggggg", "red", "#ééé"] {
            assert!(Color::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn white_stands_on_dark_and_black_on_light() {
        assert_eq!(Color::NEUTRAL.text(), Color::WHITE);
        assert_eq!(Color([0xff, 0xd4, 0x00]).text(), Color::BLACK);
        assert!((Color::WHITE.contrast(Color::BLACK) - 21.0).abs() < 1e-9);
    }

    #[test]
    fn a_name_is_one_short_line() {
        assert_eq!(parse_name(" Acme & Co "), Ok("Acme & Co".to_owned()));
        assert!(parse_name(&"é".repeat(60)).is_ok());
        for wrong in ["", "  ", "a\nb", &"é".repeat(61)] {
            assert!(parse_name(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_slug_is_what_identifiers_can_have_of_a_name() {
        for (name, expected) in [("Acme & Co", "acmeco"), ("Ateliê 24", "ateli24"), ("日本", "api"), ("&", "api")] {
            assert_eq!(slug(name), expected);
        }
        assert_eq!(slug(&"Ab".repeat(30)), "ab".repeat(15));
    }

    #[test]
    fn a_host_is_a_name() {
        assert_eq!(parse_host("API.Example.org."), Ok("api.example.org".to_owned()));
        for wrong in ["", "a..b", "https://a.b", "a.b:80", "-a.b", "a b", "é.org", &"a".repeat(64), "."] {
            assert!(parse_host(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_logo_is_recognised_by_its_first_bytes() {
        let svg = |text: &str| Logo::parse(text.as_bytes()).map(|logo| logo.format);
        assert_eq!(svg("<svg xmlns='http://www.w3.org/2000/svg'/>"), Ok(LogoFormat::Svg));
        assert_eq!(svg("\u{feff}<?xml version='1.0'?>\n<!-- <svg --><!DOCTYPE svg>\n<svg/>"), Ok(LogoFormat::Svg));
        assert_eq!(Logo::parse(b"\x89PNG\r\n\x1a\n").map(|logo| logo.format), Ok(LogoFormat::Png));
        for wrong in ["", "<svgx/>", "<html><svg/></html>", "<!-- <svg/>", "GIF89a"] {
            assert!(svg(wrong).is_err(), "{wrong}");
        }
        assert!(Logo::parse(&vec![b' '; 257 * 1024]).is_err());
    }
}
