//! The least that a visitor must be to use a route.

use crate::domain::user::UserRole;

/// The field of forms, and the parameter of uploads, with the token.
pub(super) const CSRF_FIELD: &str = "csrf";

/// The least that a visitor must be to use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anybody, signed in or not.
    Public,
    /// Every user of the account.
    Member,
    /// Admins and Super Admins.
    Admin,
    /// Admins and Super Admins; Super Admins alone where White Label Visibility says so.
    SecureApi,
    /// Super Admins.
    SuperAdmin,
}

impl Access {
    /// Whether a role may use routes with this access, in an account with this White Label Visibility.
    pub(super) fn permits(self, role: UserRole, secure_api_limited: bool) -> bool {
        let least = match self {
            Self::Public | Self::Member => UserRole::Member,
            Self::SecureApi if secure_api_limited => UserRole::SuperAdmin,
            Self::Admin | Self::SecureApi => UserRole::Admin,
            Self::SuperAdmin => UserRole::SuperAdmin,
        };
        role >= least
    }
}
