//! The column of endpoints' own headers: a JSON list of pairs of name and value.
//!
//! The text of a sealed value begins with a control character, which no HTTP header may contain, so that it is never
//! mistaken for a clear value. A replica of a version without sealed values reads the text, writes it back unchanged, and
//! leaves the header out of its deliveries, so that no receiver gets the sealed text.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::domain::endpoint::{Header, HeaderValue};

/// U+0001, the first character of a sealed value's text.
const SEALED: char = '\u{1}';

/// Returns the column's text.
pub(super) fn encode(headers: &[Header]) -> Result<String, serde_json::Error> {
    let pair = |Header { name, value }: &Header| {
        let value = match value {
            HeaderValue::Clear(text) => text.clone(),
            HeaderValue::Sealed(bytes) => format!("{SEALED}{}", STANDARD.encode(bytes)),
        };
        (name.clone(), value)
    };
    serde_json::to_string(&headers.iter().map(pair).collect::<Vec<_>>())
}

/// The inverse of [`encode`].
pub(super) fn decode(text: &str) -> Result<Vec<Header>, Box<dyn std::error::Error + Send + Sync>> {
    let pairs: Vec<(String, String)> = serde_json::from_str(text)?;
    let header = |(name, value): (String, String)| {
        let value = match value.strip_prefix(SEALED) {
            Some(sealed) => HeaderValue::Sealed(STANDARD.decode(sealed)?),
            None => HeaderValue::Clear(value),
        };
        Ok(Header { name, value })
    };
    pairs.into_iter().map(header).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_as_they_were_written_sealed_or_not() {
        let headers = [
            Header { name: "x-team".to_owned(), value: HeaderValue::Clear("blue \"1\"".to_owned()) },
            Header { name: "authorization".to_owned(), value: HeaderValue::Sealed(vec![1, 0, 255]) },
        ];
        let text = encode(&headers).unwrap();
        assert_eq!(text, r#"[["x-team","blue \"1\""],["authorization","\u0001AQD/"]]"#);
        assert_eq!(decode(&text).unwrap(), headers);
        assert!(decode(r#"[["a","\u0001no base64"]]"#).is_err());
        assert!(decode("{}").is_err());
    }

    /// The version before this one parsed a value like this before it sent it.
    #[test]
    fn a_sealed_value_is_none_that_http_could_carry() {
        let sealed = [Header { name: "authorization".to_owned(), value: HeaderValue::Sealed(vec![7; 60]) }];
        let pairs: Vec<(String, String)> = serde_json::from_str(&encode(&sealed).unwrap()).unwrap();
        let carried = |value: &str| value.parse::<hyper::header::HeaderValue>().is_ok();
        assert!(pairs.iter().all(|(_, value)| !carried(value)));
        assert_eq!(
            encode(&decode(&serde_json::to_string(&pairs).unwrap()).unwrap()).unwrap(),
            encode(&sealed).unwrap()
        );
    }
}
