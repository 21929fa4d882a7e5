//! QR codes, drawn by the server as SVG, for what a phone is to read from a screen.

use maud::{Markup, html};
use qrcode::{Color, EcLevel, QrCode};

/// The empty modules around a code, without which apps do not see where it begins (ISO/IEC 18004, 5.3.8).
const MARGIN: usize = 4;

/// A text as a QR code; nothing where it is too long for one. `label` names it for screen readers.
pub(crate) fn qr_code(text: &str, label: &str) -> Markup {
    let Ok(code) = QrCode::with_error_correction_level(text, EcLevel::M) else { return html! {} };
    let size = code.width() + 2 * MARGIN;
    html! {
        svg.qr viewBox={ "0 0 " (size) " " (size) } shape-rendering="crispEdges" role="img" aria-label=(label) {
            rect.qr-back width=(size) height=(size) {}
            path.qr-modules d=(outline(&code)) {}
        }
    }
}

/// The dark modules as one path: a bar for each run of them in a line.
fn outline(code: &QrCode) -> String {
    let mut path = String::new();
    for (line, y) in code.to_colors().chunks(code.width()).zip(MARGIN..) {
        let mut x = MARGIN;
        for run in line.chunk_by(|one, next| one == next) {
            let length = run.len();
            if run.first() == Some(&Color::Dark) {
                path.extend([format!("M{x} {y}h{length}v1h-{length}z")]);
            }
            x += length;
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_begins_with_the_edge_of_its_corner_and_a_text_that_is_too_long_has_none() {
        let code = qr_code("otpauth://totp/Acme:ann%40example.org?secret=ABCD&issuer=Acme", "Key").into_string();
        assert!(code.contains("d=\"M4 4h7v1h-7z"), "{code}");
        assert!(!code.contains("style"), "the policy of the pages forbids inline styles: {code}");
        assert_eq!(qr_code(&"x".repeat(5_000), "Key").into_string(), "");
    }
}
