//! The error of a request's body that comes too slowly, among the causes of an extractor's error.

use std::error::Error;

/// The body of a request arrived below the minimum rate, or not in time.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the body came too slowly")]
pub(in crate::http) struct SlowBody;

impl SlowBody {
    /// Whether an error was caused by a slow body.
    pub(in crate::http) fn caused(error: &(dyn Error + 'static)) -> bool {
        let mut cause = Some(error);
        while let Some(error) = cause {
            if error.is::<Self>() {
                return true;
            }
            cause = error.source();
        }
        false
    }
}
