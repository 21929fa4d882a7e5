//! Endpoints' secrets at rest: sealed under a master key.
//!
//! A sealed secret begins with its version. A secret that was stored before secrets had to be sealed is a text that
//! begins with `whs`: it is still read, and is sealed when the master key is rotated.

use uuid::Uuid;

use super::signature::SigningSecret;
use crate::domain::endpoint::{Endpoint, StoredSecret};
use crate::domain::{AccountId, Timestamp};
use crate::secrets::{MasterKeys, Resealed};

/// The beginning of every secret's text.
const TEXT: &[u8] = b"whs";

/// Seals a secret for storage; returns `None` where there is no master key.
#[must_use]
pub(crate) fn seal(
    masters: &MasterKeys,
    account: AccountId,
    endpoint: Uuid,
    secret: &SigningSecret,
) -> Option<Vec<u8>> {
    masters.seal(&belongs_to(account, endpoint), secret.reveal().as_bytes())
}

/// A stored secret; `None` where no master key opens it.
#[must_use]
pub(crate) fn open(masters: &MasterKeys, account: AccountId, endpoint: Uuid, kept: &[u8]) -> Option<SigningSecret> {
    if kept.starts_with(TEXT) {
        return SigningSecret::parse(std::str::from_utf8(kept).ok()?).ok();
    }
    let text = masters.open(&belongs_to(account, endpoint), kept)?;
    SigningSecret::parse(&String::from_utf8(text).ok()?).ok()
}

/// The secrets of an endpoint, the present one first, and when each stops signing; `None` where one does not open.
#[must_use]
pub(crate) fn open_all(masters: &MasterKeys, endpoint: &Endpoint) -> Option<Vec<(SigningSecret, Option<Timestamp>)>> {
    let open = |StoredSecret { bytes, expires_at }: &StoredSecret| {
        Some((open(masters, endpoint.account, endpoint.endpoint_id, bytes)?, *expires_at))
    };
    endpoint.secrets.iter().map(open).collect()
}

/// A stored secret under the first master key.
#[must_use]
pub(crate) fn reseal(masters: &MasterKeys, account: AccountId, endpoint: Uuid, kept: &[u8]) -> Resealed {
    let bound = belongs_to(account, endpoint);
    if kept.starts_with(TEXT) {
        return masters.seal(&bound, kept).map_or(Resealed::Unopened, Resealed::Anew);
    }
    masters.reseal(&bound, kept)
}

/// The data that a sealed secret is bound to.
pub(super) fn belongs_to(account: AccountId, endpoint: Uuid) -> Vec<u8> {
    [*account.0.as_bytes(), *endpoint.as_bytes()].concat()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::config::MasterKey;
    use crate::domain::endpoint::{Signature, fixture};

    /// An endpoint with one secret that is not sealed.
    pub(in crate::push) fn endpoint() -> Endpoint {
        fixture::endpoint(SigningSecret::generate([7; 32]).reveal().into_bytes())
    }

    fn masters(byte: u8) -> MasterKeys {
        MasterKeys::new(&[MasterKey([byte; 32])])
    }

    #[test]
    fn secrets_are_sealed_at_rest_and_belong_to_their_account_and_endpoint() {
        let Endpoint { account, endpoint_id, .. } = endpoint();
        for signature in Signature::ALL {
            let secret = SigningSecret::of_scheme(signature, [9; 32]).unwrap();
            let kept = seal(&masters(1), account, endpoint_id, &secret).unwrap();
            assert!(!String::from_utf8_lossy(&kept).contains("whs"), "{signature:?}");
            let opened = |masters: &MasterKeys, account, endpoint| open(masters, account, endpoint, &kept);
            assert_eq!(opened(&masters(1), account, endpoint_id).unwrap().reveal(), secret.reveal());
            assert!(opened(&masters(2), account, endpoint_id).is_none());
            assert!(opened(&masters(1), account, Uuid::from_u128(3)).is_none());
            assert!(opened(&masters(1), AccountId(Uuid::from_u128(3)), endpoint_id).is_none());
            assert_eq!(seal(&MasterKeys::new(&[]), account, endpoint_id, &secret), None);
        }
    }

    #[test]
    fn a_secret_that_is_not_sealed_goes_on() {
        let endpoint = endpoint();
        let opened = open_all(&masters(1), &endpoint).unwrap();
        assert_eq!(opened[0].0.reveal(), SigningSecret::generate([7; 32]).reveal());
    }

    #[test]
    fn an_endpoint_prints_no_secret() {
        let endpoint = endpoint();
        let shown = format!("{endpoint:?}");
        assert!(shown.contains("StoredSecret") && !shown.contains("whsec"), "{shown}");
        assert!(!shown.contains("119, 104, 115"), "nor its bytes: {shown}");
    }
}
