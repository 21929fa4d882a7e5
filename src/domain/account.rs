//! An account's settings.

use super::text_enum::text_enum;

text_enum! {
    /// The account's setting for a PUT, GET or DELETE of a record that does not exist.
    pub enum OnMissing {
        /// "Fail the request".
        Fail = "fail",
        /// "Treat as successful".
        Succeed = "succeed",
    }
}
