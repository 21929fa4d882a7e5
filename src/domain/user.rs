//! People who sign in to the console: roles, states, email addresses, and the rules for passwords.

use super::text_enum::text_enum;

/// The longest email address (RFC 5321, 4.5.3.1.3), in bytes.
pub const MAX_EMAIL: usize = 254;

/// The shortest password, in characters (NIST SP 800-63B asks for eight at least).
pub const MIN_PASSWORD: usize = 10;

/// The longest password, in bytes, because a hash of a longer one costs time that an attacker chooses.
pub const MAX_PASSWORD: usize = 256;

text_enum! {
    /// The rights of a user in the account, from the smallest to the largest.
    #[derive(PartialOrd, Ord, Hash)]
    pub enum UserRole {
        /// Sees the account's records.
        Member = "member",
        /// Manages integrations, fields and audiences.
        Admin = "admin",
        /// Manages the account itself: its brand and its team.
        SuperAdmin = "super_admin",
    }
}

impl UserRole {
    /// The role's name for people.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Member => "Member",
            Self::Admin => "Admin",
            Self::SuperAdmin => "Super Admin",
        }
    }
}

text_enum! {
    /// Whether a user can sign in.
    pub enum UserState {
        /// The invitation was not accepted yet.
        Invited = "invited",
        /// The user can sign in.
        Active = "active",
        /// The user was locked out by a Super Admin or an operator.
        Disabled = "disabled",
    }
}

text_enum! {
    /// The use of a link that works once.
    pub enum LinkPurpose {
        /// A new user chooses a password.
        Invitation = "invitation",
        /// A user chooses another password.
        PasswordReset = "password_reset",
        /// The first start: whoever follows it makes the first account.
        SetUp = "set_up",
        /// The password was right, and a code is missing.
        SecondFactor = "second_factor",
        /// The password was right in more than one account, of which one is to be chosen.
        ChooseAccount = "choose_account",
    }
}

/// An email address in the form by which users are found: without surrounding space, in lower case.
pub fn parse_email(text: &str) -> Result<String, &'static str> {
    let email = text.trim().to_lowercase();
    let parts = email.rsplit_once('@');
    let is_plain = |part: &str| !part.is_empty() && !part.chars().any(|sign| sign.is_whitespace() || sign.is_control());
    let is_address = parts.is_some_and(|(local, domain)| {
        is_plain(local) && is_plain(domain) && !domain.starts_with('.') && !domain.ends_with('.')
    });
    // Angle brackets, commas and quotes would be read as more than one address in the head of a mail.
    if !is_address || email.len() > MAX_EMAIL || email.contains(['<', '>', ',', ';', '"', '(', ')', '\\']) {
        return Err("Enter an email address, such as name@example.com.");
    }
    Ok(email)
}

/// Refuses a password that is too short, too long or the user's own email address.
pub fn check_password(password: &str, email: &str) -> Result<(), &'static str> {
    if password.chars().count() < MIN_PASSWORD {
        return Err("Use at least 10 characters.");
    }
    if password.len() > MAX_PASSWORD {
        return Err("Use at most 256 bytes.");
    }
    let lower = password.to_lowercase();
    let local = email.split('@').next().unwrap_or(email);
    let repeated = lower.chars().next().is_some_and(|first| lower.chars().all(|sign| sign == first));
    if lower == email || lower == local || repeated || COMMON.contains(&lower.as_str()) {
        return Err("This password is easy to guess. Choose another one.");
    }
    Ok(())
}

/// The passwords of ten characters and more that attackers try first.
const COMMON: [&str; 12] = [
    "1234567890",
    "0123456789",
    "qwertyuiop",
    "password12",
    "password123",
    "password1234",
    "1q2w3e4r5t",
    "iloveyou12",
    "administrator",
    "changeme123",
    "letmein123",
    "welcome123",
];

#[cfg(test)]
mod tests {
    use super::{UserRole, check_password, parse_email};

    #[test]
    fn an_email_address_is_found_in_whatever_case_it_is_typed() {
        assert_eq!(parse_email(" Ann@Example.ORG "), Ok("ann@example.org".to_owned()));
        for wrong in ["", "ann", "@b.c", "a@", "a@.b", "a@b.", "a b@c.d", "a@b\nc.d", "<a@b.c>", "a@b.c,d@e.f"] {
            assert!(parse_email(wrong).is_err(), "{wrong:?}");
        }
        assert!(parse_email(&format!("{}@b.c", "a".repeat(251))).is_err());
    }

    #[test]
    fn a_password_is_long_and_not_the_first_that_is_tried() {
        assert_eq!(check_password("correct horse", "ann@example.org"), Ok(()));
        for wrong in ["short", "Password123", "aaaaaaaaaaaa", "ANN@example.org", &"x".repeat(257)] {
            assert!(check_password(wrong, "ann@example.org").is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_larger_role_is_greater() {
        assert!(UserRole::Member < UserRole::Admin && UserRole::Admin < UserRole::SuperAdmin);
    }
}
