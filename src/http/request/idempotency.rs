//! `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header): identifies a request and its retries.
//!
//! A key belongs to an account and an origin, so that two systems which number their requests from 1 do not collide. It
//! stands for a request's method, path, query, `If-Match` and body.

use axum::http::request::Parts;
use hyper::header::IF_MATCH;
use sha2::{Digest as _, Sha256};

use super::header::{IDEMPOTENCY_KEY, only};
use crate::command::Idempotency;
use crate::http::response::problem::Problem;

/// The longest key, in characters. A longer one is refused with 400.
const MAX_KEY: usize = 255;

/// Separates the origin from the key. No header contains it, so its last occurrence in a stored key ends the origin.
const BETWEEN: char = '\u{2}';

/// The idempotency of a write of this origin.
pub(in crate::http) fn of(parts: &Parts, body: &[u8], origin: &str) -> Result<Option<Idempotency>, Problem> {
    let Some(value) = only(&parts.headers, &IDEMPOTENCY_KEY)? else { return Ok(None) };
    let key = parse(value).ok_or_else(|| {
        Problem::malformed("Idempotency-Key must be 1 to 255 visible ASCII characters, in a pair of quotes or in none.")
    })?;
    Ok(Some(Idempotency {
        key: format!("{origin}{BETWEEN}{key}"),
        unscoped_key: key,
        request_hash: request_hash(parts, body),
    }))
}

/// The draft requires a quoted string (RFC 9651, 3.3.3); most clients send the bare key.
fn parse(value: &str) -> Option<String> {
    let value = value.trim();
    let key = match value.strip_prefix('"') {
        Some(quoted) => unquote(quoted.strip_suffix('"')?)?,
        None => value.to_owned(),
    };
    let is_closed = value.starts_with('"') || !value.ends_with('"');
    let is_visible = key.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    (is_closed && is_visible && (1..=MAX_KEY).contains(&key.len())).then_some(key)
}

/// Resolves `\"` and `\\`; an unescaped quote ends the string too early.
fn unquote(quoted: &str) -> Option<String> {
    let mut characters = quoted.chars();
    let mut key = String::with_capacity(quoted.len());
    while let Some(character) = characters.next() {
        match character {
            '\\' => key.push(characters.next().filter(|escaped| matches!(escaped, '"' | '\\'))?),
            '"' => return None,
            other => key.push(other),
        }
    }
    Some(key)
}

/// SHA-256 over the request. A request without a query and a condition keeps the hash that earlier releases computed,
/// because their records are valid for a day. Other requests begin with a zero, which no method begins with.
fn request_hash(parts: &Parts, body: &[u8]) -> [u8; 32] {
    let conditions = parts.headers.get_all(IF_MATCH);
    let query = parts.uri.query();
    let is_plain = query.is_none() && conditions.iter().next().is_none();
    let mut hash = Sha256::new();
    if !is_plain {
        hash.update([0]);
    }
    hash.update(parts.method.as_str());
    hash.update([0]);
    hash.update(parts.uri.path());
    hash.update([0]);
    if !is_plain {
        // Neither a query nor a field contains a zero, and the number of lines marks where the body begins.
        // The flag after it tells an absent query from an empty one.
        hash.update(query.unwrap_or_default());
        hash.update([0, u8::from(query.is_some())]);
        hash.update(conditions.iter().count().to_be_bytes());
        for line in conditions {
            hash.update(line);
            hash.update([0]);
        }
    }
    hash.update(body);
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use axum::http::Request;

    use super::*;

    fn parts(method: &str, uri: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn a_key_is_quoted_or_not() {
        for (value, key) in [
            ("k1", "k1"),
            ("\"k1\"", "k1"),
            (" k1 ", "k1"),
            ("a b", "a b"),
            ("\"a\\\"b\\\\\"", "a\"b\\"),
            ("{\"a\":1}", "{\"a\":1}"),
        ] {
            assert_eq!(parse(value).as_deref(), Some(key), "{value}");
        }
        for value in ["", "  ", "\"\"", "\"k1", "k1\"", "\"a\"b\"", "\"a\\b\"", "\"", "\ta\tb", &"k".repeat(256)] {
            assert_eq!(parse(value), None, "{value}");
        }
    }

    #[test]
    fn two_origins_have_two_keys() {
        let parts = parts("POST", "/contact", &[("idempotency-key", "k1")]);
        let of = |origin| of(&parts, b"{}", origin).unwrap().unwrap();
        assert_ne!(of("shop").key, of("forms").key);
        assert_ne!(of("shop\u{2}").key, of("shop").key);
        assert_eq!(of("shop").unscoped_key, "k1");
    }

    #[test]
    fn every_part_of_a_request_tells_it_from_another() {
        let requests = [
            ("PUT", "/a", &[][..], "{}"),
            ("POST", "/a", &[], "{}"),
            ("PUT", "/b", &[], "{}"),
            ("PUT", "/a", &[], "{} "),
            ("PUT", "/a?x=1", &[], "{}"),
            ("PUT", "/a?", &[], "{}"),
            ("PUT", "/a", &[("if-match", "\"1\"")], "{}"),
            ("PUT", "/a", &[("if-match", "\"2\"")], "{}"),
            ("PUT", "/a", &[("if-match", "\"1\""), ("if-match", "\"2\"")], "{}"),
            ("PUT", "/a?x=1", &[("if-match", "\"1\"")], "{}"),
        ];
        let hashes: BTreeSet<[u8; 32]> = requests
            .iter()
            .map(|(method, uri, headers, body)| request_hash(&parts(method, uri, headers), body.as_bytes()))
            .collect();
        assert_eq!(hashes.len(), requests.len());
    }

    #[test]
    fn a_plain_request_has_the_hash_that_releases_before_gave_it() {
        let before: [u8; 32] = Sha256::digest(b"POST\0/contact\0{}").into();
        assert_eq!(request_hash(&parts("POST", "/contact", &[]), b"{}"), before);
    }
}
