//! The passwords of the private servers: random, made once, and kept in the data directory.

use std::fmt;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::private;
use crate::broker::Issuer;
use crate::config::IssuerSeed;

const FILE: &str = "credentials.toml";

/// The role that the service connects as, to both servers. In Postgres it owns the service's database and is no
/// superuser.
pub const SERVICE_ROLE: &str = "unificus";

/// The user of NATS's system account, by which the service ends connections.
pub const SYSTEM_USER: &str = "unificus-system";

/// A password of 128 random bits in hexadecimal, which needs no escaping in a URL, in SQL or in a configuration file.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Password(String);

impl Password {
    fn draw() -> Self {
        Self(format!("{:032x}", rand::random::<u128>()))
    }

    /// The text itself, for authentication.
    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password")
    }
}

/// The passwords of one data directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ServerCredentials {
    /// The password of Postgres's superuser, which only the launcher uses, to make roles and databases.
    pub superuser: Password,
    /// The password of [`SERVICE_ROLE`] in Postgres.
    pub service: Password,
    /// The password of [`SERVICE_ROLE`] in NATS.
    pub nats: Password,
    /// The password of [`SYSTEM_USER`] in NATS.
    pub nats_system: Password,
    /// The key that signs logins to NATS.
    pub nats_issuer: IssuerSeed,
}

impl ServerCredentials {
    /// The directory's passwords, or new ones where it has none or they cannot be read. New ones are safe, because each start
    /// sets them in the servers.
    ///
    /// # Errors
    /// When new ones cannot be written.
    pub(super) fn of(dir: &Path) -> Result<Self> {
        let file = dir.join(FILE);
        if let Some(kept) = Self::kept(&file) {
            private::close_to_others(&file).with_context(|| format!("cannot protect {}", file.display()))?;
            return Ok(kept);
        }
        let drawn = Self {
            superuser: Password::draw(),
            service: Password::draw(),
            nats: Password::draw(),
            nats_system: Password::draw(),
            nats_issuer: IssuerSeed::new(Issuer::generate().1),
        };
        private::write(&file, &toml::to_string(&drawn).context("writing the passwords as TOML")?)?;
        Ok(drawn)
    }

    /// The key that signs logins to NATS.
    pub(super) fn issuer(&self) -> Result<Issuer> {
        let seed = self.nats_issuer.reveal().context("the data directory has no key for NATS")?;
        Issuer::from_seed(seed).context("the data directory's key for NATS cannot be used")
    }

    fn kept(file: &Path) -> Option<Self> {
        let kept: Self = toml::from_str(&std::fs::read_to_string(file).ok()?).ok()?;
        let plain =
            |password: &Password| password.0.len() >= 32 && password.0.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let passwords = [&kept.superuser, &kept.service, &kept.nats, &kept.nats_system];
        let is_usable = passwords.into_iter().all(plain) && kept.issuer().is_ok();
        is_usable.then_some(kept)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn passwords_are_drawn_once_and_are_for_their_owner_alone() {
        let dir = std::env::temp_dir().join(format!("unificus-credentials-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let first = ServerCredentials::of(&dir).unwrap();
        let second = ServerCredentials::of(&dir).unwrap();
        let mode = dir.join(FILE).metadata().unwrap().permissions().mode() & 0o777;
        std::fs::write(dir.join(FILE), "superuser = \"short'; drop\"\nservice = \"\"\nnats = \"\"").unwrap();
        let third = ServerCredentials::of(&dir).unwrap();
        std::fs::remove_dir_all(&dir).unwrap();

        assert_eq!(mode, private::MODE);
        assert_eq!(first, second);
        assert_ne!(first.superuser, first.service);
        assert_ne!(first, third, "a text that is no password is not used");
        assert!(!format!("{first:?}").contains(first.nats.reveal()));
    }
}
