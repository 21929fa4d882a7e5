//! W3C Trace Context (<https://www.w3.org/TR/trace-context/>): the parent of a trace, passed on to events.

use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};

use crate::traces::TraceContext;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The parent that a request names. One that cannot be parsed is ignored, as are two of them, as the specification says
/// (3.2, 4.3): a request does not depend on its trace.
pub(in crate::http) fn parent(headers: &HeaderMap) -> Option<String> {
    let mut lines = headers.get_all(TRACEPARENT).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else { return None };
    line.to_str().ok().filter(|text| is_traceparent(text)).map(str::to_owned)
}

/// Replaces the trace context of a request.
#[expect(clippy::expect_used, reason = "the text has hexadecimal digits and hyphens alone")]
pub(in crate::http) fn replace(headers: &mut HeaderMap, context: TraceContext) {
    let value = HeaderValue::try_from(context.to_string()).expect("a trace context is visible ASCII");
    headers.insert(TRACEPARENT, value);
}

/// Version 00 (3.2.2): four fields of lower-case hexadecimal digits, and neither id is zero.
pub(in crate::http) fn is_traceparent(text: &str) -> bool {
    let fields: Vec<&str> = text.split('-').collect();
    let [version, trace, parent, flags] = fields[..] else { return false };
    let is_hex = |field: &str, length: usize| {
        field.len() == length && field.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let is_id = |field: &str, length| is_hex(field, length) && field.bytes().any(|byte| byte != b'0');
    version == "00" && is_id(trace, 32) && is_id(parent, 16) && is_hex(flags, 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn of(lines: &[&'static str]) -> Option<String> {
        parent(&lines.iter().map(|line| (TRACEPARENT, HeaderValue::from_static(line))).collect())
    }

    #[test]
    fn one_parent_that_can_be_read_is_passed_on() {
        assert_eq!(of(&[VALID]).as_deref(), Some(VALID));
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[VALID, VALID]), None, "of two neither is");
    }

    #[test]
    fn one_that_cannot_be_read_is_ignored() {
        for text in [
            "",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-001",
        ] {
            assert!(!is_traceparent(text), "{text}");
        }
    }
}
