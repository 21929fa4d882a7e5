//! Header fields that a request has once or not at all.
//!
//! Of two lines of one field, a proxy may have read the first and this service the second, so both are refused.

use hyper::HeaderMap;
use hyper::header::HeaderName;

use crate::http::response::problem::Problem;

pub(super) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The text of a field that stands at most once. A value that is not ASCII is refused.
pub(super) fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Problem> {
    let mut lines = headers.get_all(name).iter();
    let (Some(line), more) = (lines.next(), lines.next()) else { return Ok(None) };
    if more.is_some() {
        return Err(Problem::malformed(format!("The header {name} is repeated. Send it once.")));
    }
    let text = line.to_str().map_err(|_| Problem::malformed(format!("The header {name} must be ASCII.")))?;
    Ok(Some(text))
}
