//! Methods: reads and writes.

use hyper::Method;

/// Whether a request of this method may change something. Every method that RFC 9110 (9.2.1) does not call safe counts as
/// a write, so a method that the API takes later is one too.
pub(in crate::http) fn is_write(method: &Method) -> bool {
    !method.is_safe()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_but_the_safe_ones_is_a_write() {
        for method in [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE] {
            assert!(!is_write(&method), "{method}");
        }
        let unknown = Method::from_bytes(b"UNKNOWN").unwrap();
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH, unknown] {
            assert!(is_write(&method), "{method}");
        }
    }
}
