//! Logos in SVG, reduced to what draws: a list of elements is kept, and everything that runs, loads or links is left out.

use quick_xml::escape::escape;
use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

/// The elements that are kept, with their content.
const ELEMENTS: [&str; 24] = [
    "svg",
    "g",
    "path",
    "circle",
    "ellipse",
    "rect",
    "line",
    "polyline",
    "polygon",
    "text",
    "tspan",
    "defs",
    "symbol",
    "use",
    "title",
    "desc",
    "style",
    "linearGradient",
    "radialGradient",
    "stop",
    "clipPath",
    "mask",
    "pattern",
    "switch",
];

const STYLE: &str = "style";

/// The elements that are left out while their content is kept.
const UNWRAPPED: [&str; 1] = ["a"];

/// The depth of elements; a drawing has a few.
const MAX_DEPTH: usize = 64;

/// The drawing of an SVG; `None` where it is no well-formed one.
pub(super) fn drawing(text: &str) -> Option<String> {
    let mut reader = Reader::from_str(text);
    let mut drawing = String::with_capacity(text.len());
    // The names of open elements; of an unwrapped one it is empty.
    let mut opened: Vec<String> = Vec::new();
    // The number of open elements that are left out; what they contain is left out too.
    let mut skipped = 0_usize;
    // The content of an open `style`, which is judged as a whole: parts of a word may stand in several pieces.
    let mut css = String::new();
    loop {
        let in_style = opened.last().is_some_and(|name| name == STYLE);
        match reader.read_event().ok()? {
            Event::Eof => return (opened.is_empty() && drawing.starts_with("<svg")).then_some(drawing),
            Event::Start(start) if skipped == 0 && !in_style && UNWRAPPED.contains(&start.name().0) => {
                opened.push(String::new());
            }
            Event::Start(start) if skipped > 0 || in_style || !is_kept(&start) => skipped += 1,
            Event::Start(_) if opened.len() >= MAX_DEPTH => return None,
            Event::Start(start) => {
                opened.push(start.name().0.to_owned());
                write_start(&mut drawing, &start, false)?;
            }
            Event::End(_) if skipped > 0 => skipped -= 1,
            // The reader checks that it is the name of the element that is open.
            Event::End(end) => {
                let css = std::mem::take(&mut css);
                if in_style && is_harmless_css(&css) {
                    drawing.push_str(&escape(css.as_str()));
                }
                if !opened.pop()?.is_empty() {
                    push(&mut drawing, &["</", end.name().0, ">"]);
                }
            }
            Event::Empty(start) if skipped == 0 && !in_style && is_kept(&start) => {
                write_start(&mut drawing, &start, true)?;
            }
            Event::Text(text) if in_style && skipped == 0 => css.push_str(&text),
            Event::CData(text) if in_style && skipped == 0 => css.push_str(&text),
            // A reference would hide a part of a word.
            Event::GeneralRef(_) if in_style => css.push('\\'),
            // Space around the drawing is not kept.
            Event::Text(text) if skipped == 0 && !opened.is_empty() => drawing.push_str(&text),
            Event::GeneralRef(reference) if skipped == 0 && !opened.is_empty() && is_character(&reference) => {
                push(&mut drawing, &["&", &reference, ";"]);
            }
            Event::Empty(_) | Event::Text(_) | Event::CData(_) | Event::GeneralRef(_) => {}
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
        }
    }
}

/// Whether a reference stands for a character, and for no entity that the file declares.
fn is_character(name: &str) -> bool {
    name.starts_with('#') || ["amp", "lt", "gt", "quot", "apos"].contains(&name)
}

fn push(drawing: &mut String, parts: &[&str]) {
    for part in parts {
        drawing.push_str(part);
    }
}

fn is_kept(start: &BytesStart<'_>) -> bool {
    ELEMENTS.contains(&start.name().0)
}

/// Writes an element with the attributes that draw; `None` where an attribute cannot be read.
fn write_start(drawing: &mut String, start: &BytesStart<'_>, is_empty: bool) -> Option<()> {
    drawing.push('<');
    drawing.push_str(start.name().0);
    for attribute in start.attributes() {
        let attribute = attribute.ok()?;
        let value = attribute.normalized_value(XmlVersion::Implicit1_0).ok()?;
        if draws(attribute.key.0, &value) {
            push(drawing, &[" ", attribute.key.0, "=\"", &escape(&*value), "\""]);
        }
    }
    drawing.push_str(if is_empty { "/>" } else { ">" });
    Some(())
}

/// Whether an attribute only draws: it is no event, and leads nowhere but into the same file.
fn draws(name: &str, value: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    match name {
        "xmlns" => value == "http://www.w3.org/2000/svg",
        "xmlns:xlink" => value == "http://www.w3.org/1999/xlink",
        "href" | "xlink:href" => value.starts_with('#'),
        "xml:space" => true,
        _ => !lower.contains(':') && !lower.starts_with("on") && lower != "src" && is_harmless_css(value),
    }
}

/// Whether a style or a value loads nothing: no rule that imports, no address but those of the same file, no escapes.
fn is_harmless_css(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let addresses = lower.split("url(").skip(1);
    let are_local = addresses.into_iter().all(|rest| rest.trim_start_matches([' ', '"', '\'']).starts_with('#'));
    are_local && !["@", "\\", "expression", "javascript:", "data:", "image("].iter().any(|word| lower.contains(word))
}

#[cfg(test)]
mod tests {
    use super::drawing;

    #[test]
    fn a_drawing_stays_as_it_is() {
        let svg = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 9 9\"><style>.a{fill:#f00}</style>\
                   <defs><linearGradient id=\"g\"><stop offset=\"0\" stop-color=\"red\"/></linearGradient></defs>\
                   <g class=\"a\"><path d=\"M0 0h9\" fill=\"url(#g)\"/><use href=\"#g\"/><text>A &amp; B</text></g></svg>";
        assert_eq!(drawing(svg).as_deref(), Some(svg));
    }

    #[test]
    fn nothing_that_runs_loads_or_links_is_kept() {
        for (harmful, word) in [
            ("<script>alert(1)</script>", "alert"),
            ("<script href=\"x.js\"/>", "x.js"),
            ("<g onload=\"alert(1)\"/>", "alert"),
            ("<g ONLOAD=\"alert(1)\"/>", "alert"),
            ("<a href=\"https://evil.example\"><path d=\"M0 0\"/></a>", "evil"),
            ("<use href=\"https://evil.example/x.svg#a\"/>", "evil"),
            ("<use xlink:href=\"&#100;ata:image/svg+xml,x\"/>", "image/svg"),
            ("<image href=\"https://evil.example/x.png\"/>", "evil"),
            ("<foreignObject><body onload=\"alert(1)\"/></foreignObject>", "alert"),
            ("<style>@import 'https://evil.example/x.css';</style>", "evil"),
            ("<style><![CDATA[a{background:url(https://evil.example)}]]></style>", "evil"),
            ("<style>a{background:u<!-- -->rl(https://evil.example)}</style>", "evil"),
            ("<style>a{background:u&#114;l(https://evil.example)}</style>", "evil"),
            ("<style>a{background:u<![CDATA[rl(https://evil.example)]]>}</style>", "evil"),
            ("<style>a{background:u<g/>rl(https://evil.example)}</style>", "evil"),
            ("<path style=\"fill:url(//evil.example#a)\"/>", "evil"),
            ("<path fill=\"u\\72l(//evil.example)\"/>", "evil"),
            ("<animate attributeName=\"href\" to=\"javascript:alert(1)\"/>", "alert"),
            ("<set attributeName=\"onclick\" to=\"alert(1)\"/>", "alert"),
            ("<svg:script>alert(1)</svg:script>", "alert"),
            ("<!-- a comment -->", "comment"),
            ("<?xml-stylesheet href=\"https://evil.example\"?>", "evil"),
            ("<g xmlns:x=\"http://evil.example\"/>", "evil"),
        ] {
            let kept = drawing(&format!("<svg xmlns=\"http://www.w3.org/2000/svg\">{harmful}<circle r=\"1\"/></svg>"));
            let kept = kept.unwrap_or_else(|| panic!("{harmful} is refused as a whole"));
            assert!(!kept.contains(word) && kept.contains("<circle r=\"1\"/>"), "{harmful}: {kept}");
        }
    }

    #[test]
    fn what_is_not_well_formed_is_refused() {
        for wrong in ["<svg>", "<svg></g>", "<svg><g></svg>", "<svg a=1/>", "<svg a=\"1\" a=\"2\"/>", "text", "<g/>"] {
            assert_eq!(drawing(wrong), None, "{wrong}");
        }
        assert_eq!(drawing(&format!("<svg>{}", "<g>".repeat(100))), None);
        let bomb = "<!DOCTYPE svg [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;\">]><svg><text>&b;</text></svg>";
        assert_eq!(drawing(bomb).as_deref(), Some("<svg><text></text></svg>"));
    }
}
