//! `If-Match` and `If-None-Match` (RFC 9110, 13.1): lists of entity tags over any number of lines, or `*` alone.

use hyper::HeaderMap;
use hyper::header::{HeaderName, IF_MATCH, IF_NONE_MATCH};

use crate::domain::Seq;
use crate::http::response::problem::Problem;

/// A condition that was parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Tags {
    Any,
    Listed(Vec<Tag>),
}

/// An entity tag (RFC 9110, 8.8.3), without its quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Tag {
    is_weak: bool,
    opaque: Vec<u8>,
}

/// A condition that cannot be parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Malformed;

/// The versions that a write may change; `None` where it may change any. A tag that is weak, or that the service did
/// not write, names no version.
pub(in crate::http) fn for_write(headers: &HeaderMap) -> Result<Option<Vec<Seq>>, Problem> {
    // Ignoring the condition would carry out a write that the client did not want.
    if headers.contains_key(IF_NONE_MATCH) {
        return Err(Problem::malformed("If-None-Match is for reads: a write takes If-Match. Nothing was changed."));
    }
    match tags(headers, &IF_MATCH) {
        Ok(None | Some(Tags::Any)) => Ok(None),
        Ok(Some(Tags::Listed(tags))) => Ok(Some(tags.iter().filter_map(version).collect())),
        Err(Malformed) => {
            let detail = "If-Match must be a list of entity tags, such as \"42\", or * alone. Nothing was changed.";
            Err(Problem::malformed(detail))
        }
    }
}

/// Whether the client has the content of this entity tag, which is given with its quotes. A condition that cannot be
/// parsed is not met: the client gets the whole response.
pub(in crate::http) fn has_tag(headers: &HeaderMap, tag: &str) -> bool {
    let opaque = tag.trim_start_matches("W/").trim_matches('"').as_bytes();
    match tags(headers, &IF_NONE_MATCH) {
        Ok(Some(Tags::Any)) => true,
        Ok(Some(Tags::Listed(tags))) => tags.iter().any(|other| other.opaque == opaque),
        Ok(None) | Err(Malformed) => false,
    }
}

/// Whether the client has this version.
pub(in crate::http) fn has_version(headers: &HeaderMap, version: Seq) -> bool {
    has_tag(headers, &format!("\"{version}\""))
}

/// The version that a tag names, in the form in which the service writes it.
fn version(tag: &Tag) -> Option<Seq> {
    let text = std::str::from_utf8(&tag.opaque).ok().filter(|_| !tag.is_weak)?;
    let number: i64 = text.parse().ok()?;
    (number.to_string() == text).then_some(Seq(number))
}

fn tags(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Tags>, Malformed> {
    let lines: Vec<&[u8]> = headers.get_all(name).iter().map(hyper::header::HeaderValue::as_bytes).collect();
    if lines.is_empty() { Ok(None) } else { parse(&lines.join(&b","[..])).map(Some) }
}

/// Reads the elements between commas; empty elements are ignored (RFC 9110, 5.6.1.2).
fn parse(value: &[u8]) -> Result<Tags, Malformed> {
    let (mut tags, mut any, mut rest) = (Vec::new(), 0, value);
    loop {
        rest = rest.trim_ascii_start();
        match rest {
            [] => break,
            [b',', after @ ..] => rest = after,
            [b'*', after @ ..] => {
                any += 1;
                rest = end_of_element(after)?;
            }
            _ => {
                let (tag, after) = tag(rest)?;
                tags.push(tag);
                rest = end_of_element(after)?;
            }
        }
    }
    match (any, tags.is_empty()) {
        (0, false) => Ok(Tags::Listed(tags)),
        (1, true) => Ok(Tags::Any),
        _ => Err(Malformed),
    }
}

fn tag(text: &[u8]) -> Result<(Tag, &[u8]), Malformed> {
    let (is_weak, text) = text.strip_prefix(b"W/").map_or((false, text), |strong| (true, strong));
    let text = text.strip_prefix(b"\"").ok_or(Malformed)?;
    let end = text.iter().position(|byte| *byte == b'"').ok_or(Malformed)?;
    let (opaque, after) = text.split_at(end);
    // Any character but controls and spaces; bytes beyond ASCII are allowed.
    if opaque.iter().any(|byte| *byte <= b' ' || *byte == 0x7f) {
        return Err(Malformed);
    }
    Ok((Tag { is_weak, opaque: opaque.to_vec() }, after.strip_prefix(b"\"").ok_or(Malformed)?))
}

/// After an element comes a comma, or the end.
fn end_of_element(rest: &[u8]) -> Result<&[u8], Malformed> {
    match rest.trim_ascii_start() {
        [] => Ok(&[]),
        [b',', after @ ..] => Ok(after),
        _ => Err(Malformed),
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn headers(name: &HeaderName, lines: &[&str]) -> HeaderMap {
        lines.iter().map(|line| (name.clone(), HeaderValue::from_bytes(line.as_bytes()).unwrap())).collect()
    }

    fn versions(lines: &[&str]) -> Result<Option<Vec<i64>>, Problem> {
        let versions = for_write(&headers(&IF_MATCH, lines))?;
        Ok(versions.map(|versions| versions.into_iter().map(|version| version.0).collect()))
    }

    #[test]
    fn tags_are_taken_from_every_line() {
        assert_eq!(versions(&[]), Ok(None));
        assert_eq!(versions(&["*"]), Ok(None));
        assert_eq!(versions(&[" \"7\" ,, \"2\"", "\"9\""]), Ok(Some(vec![7, 2, 9])));
    }

    #[test]
    fn a_tag_that_is_weak_or_none_of_ours_names_no_version() {
        for line in ["W/\"2\"", "\"abc\"", "\"+2\"", "\"02\"", "\"2,3\"", "\"é\"", "\"\""] {
            assert_eq!(versions(&[line]), Ok(Some(Vec::new())), "{line}");
        }
    }

    #[test]
    fn what_is_no_list_of_tags_is_refused() {
        for lines in [
            &[""][..],
            &[" , "],
            &["2"],
            &["\"2"],
            &["2\""],
            &["\"2\" \"3\""],
            &["\"a b\""],
            &["w/\"2\""],
            &["*, \"2\""],
            &["*", "\"2\""],
            &["\"2\"", "*"],
            &["*", "*"],
            &["**"],
            &["é"],
            &["é\"2\""],
            &["\"2\"x"],
            &["W/"],
            &["'2'"],
        ] {
            assert!(versions(lines).is_err(), "{lines:?}");
        }
    }

    #[test]
    fn a_write_with_a_condition_of_reads_is_refused() {
        assert!(for_write(&headers(&IF_NONE_MATCH, &["*"])).is_err());
    }

    #[test]
    fn a_client_has_what_any_of_its_tags_names() {
        let has = |lines: &[&str]| has_version(&headers(&IF_NONE_MATCH, lines), Seq(4));
        assert!(has(&["\"4\""]) && has(&["\"1\"", "W/\"4\""]) && has(&["*"]));
        assert!(!has(&[]) && !has(&["\"5\""]) && !has(&["4"]) && !has(&["*, \"4\""]) && !has(&["W/W/\"4\""]));
    }
}
