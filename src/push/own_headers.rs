//! Endpoints' own headers: their values are credentials, sealed at rest and shown to nobody.
//!
//! A value that was stored before values were sealed is still sent. It is sealed when its endpoint is next written, and by
//! `unificus rotate-master-key`.

use std::borrow::Cow;

use bytes::Bytes;
use hyper::header::{HeaderName, HeaderValue as Sent};
use uuid::Uuid;

use super::secret_storage::belongs_to;
use crate::domain::AccountId;
use crate::domain::endpoint::{Endpoint, Header, HeaderValue};
use crate::secrets::{MasterKeys, Resealed};

/// Stands for a value where one is shown.
pub(crate) const MASK: &str = "********";

/// Shorter values are not masked in responses: they are no credentials, and would be found everywhere.
const MIN_MASKED: usize = 4;

/// Seals the values of an endpoint's headers that are not sealed; without a master key they stay as they are.
pub(crate) fn seal(masters: &MasterKeys, endpoint: &mut Endpoint) {
    let (account, id) = (endpoint.account, endpoint.endpoint_id);
    for Header { name, value } in &mut endpoint.settings.headers {
        if let HeaderValue::Clear(text) = value
            && let Some(sealed) = masters.seal(&bound_to(account, id, name), text.as_bytes())
        {
            *value = HeaderValue::Sealed(sealed);
        }
    }
}

/// A value sealed by the first master key.
#[must_use]
pub(crate) fn reseal(masters: &MasterKeys, account: AccountId, endpoint: Uuid, header: &Header) -> Resealed {
    let bound = bound_to(account, endpoint, &header.name);
    match &header.value {
        HeaderValue::Clear(text) => masters.seal(&bound, text.as_bytes()).map_or(Resealed::Unopened, Resealed::Anew),
        HeaderValue::Sealed(sealed) => masters.reseal(&bound, sealed),
    }
}

/// The headers of an endpoint as they are sent. Their values are marked as sensitive: no `Debug` shows them, and HTTP/2
/// keeps them out of its tables.
pub(super) fn open_all(masters: &MasterKeys, endpoint: &Endpoint) -> anyhow::Result<Vec<(HeaderName, Sent)>> {
    let open = |Header { name, value }: &Header| {
        let text = match value {
            HeaderValue::Clear(text) => Some(Cow::Borrowed(text.as_bytes())),
            HeaderValue::Sealed(sealed) => {
                masters.open(&bound_to(endpoint.account, endpoint.endpoint_id, name), sealed).map(Cow::Owned)
            }
        };
        let text = text.ok_or_else(|| anyhow::anyhow!("none of secrets.master_keys opens its header {name}"))?;
        // Neither error quotes what it cannot take.
        let mut sent = Sent::from_bytes(&text)?;
        sent.set_sensitive(true);
        Ok((name.parse()?, sent))
    };
    endpoint.settings.headers.iter().map(open).collect()
}

/// A response's body with the values of own headers masked: a receiver that echoes its request would otherwise write them
/// into the attempt log. `cut` is true where the body was longer than the part that is kept.
pub(super) fn masked(body: Bytes, headers: &[(HeaderName, Sent)], cut: bool) -> Bytes {
    if headers.is_empty() || body.is_empty() {
        return body;
    }
    let text = String::from_utf8_lossy(&body);
    let mut masked = Cow::Borrowed(&*text);
    for credential in headers.iter().filter_map(|(_, value)| value.to_str().ok()).flat_map(credentials_in) {
        if masked.contains(credential) {
            masked = Cow::Owned(masked.replace(credential, MASK));
        }
        let lengths = (MIN_MASKED..credential.len()).rev().filter(|_| cut);
        let begun = lengths.filter_map(|length| credential.get(..length)).find(|begun| masked.ends_with(begun));
        if let Some(rest) = begun.and_then(|begun| masked.strip_suffix(begun)) {
            masked = Cow::Owned(format!("{rest}{MASK}"));
        }
    }
    match masked {
        Cow::Borrowed(_) => body,
        Cow::Owned(masked) => Bytes::from(masked),
    }
}

/// The texts of a value that give it away: all of it, and what follows the scheme in `Bearer …`.
fn credentials_in(value: &str) -> impl Iterator<Item = &str> {
    let credentials = value.split_once(' ').map(|(_, credentials)| credentials.trim());
    std::iter::once(value.trim()).chain(credentials).filter(|text| text.len() >= MIN_MASKED)
}

/// The data that a sealed value is bound to: it opens for no other endpoint and under no other name.
fn bound_to(account: AccountId, endpoint: Uuid, name: &str) -> Vec<u8> {
    [&belongs_to(account, endpoint), b"header:".as_slice(), name.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::MasterKey;
    use crate::domain::endpoint::{header_name, header_value};
    use crate::push::secret_storage::tests::endpoint;

    fn masters(byte: u8) -> MasterKeys {
        MasterKeys::new(&[MasterKey([byte; 32])])
    }

    fn with_header(name: &str, value: &str) -> Endpoint {
        let mut endpoint = endpoint();
        endpoint.settings.headers = vec![Header { name: name.to_owned(), value: HeaderValue::Clear(value.to_owned()) }];
        endpoint
    }

    fn sent(endpoint: &Endpoint, byte: u8) -> Option<Vec<u8>> {
        let headers = open_all(&masters(byte), endpoint).ok()?;
        Some(headers.first()?.1.as_bytes().to_vec())
    }

    #[test]
    fn values_are_sealed_and_belong_to_their_endpoint_and_name() {
        let clear = with_header("authorization", "Bearer hush");
        let mut sealed = clear.clone();
        seal(&masters(1), &mut sealed);
        assert!(!sealed.settings.headers[0].is_clear());
        assert_eq!(sent(&clear, 1).as_deref(), Some(b"Bearer hush".as_slice()), "from before values were sealed");
        assert_eq!(sent(&sealed, 1).as_deref(), Some(b"Bearer hush".as_slice()));
        assert_eq!(sent(&sealed, 2), None);
        let mut renamed = sealed.clone();
        renamed.settings.headers[0].name = "x-key".to_owned();
        let mut moved = sealed.clone();
        moved.endpoint_id = Uuid::from_u128(9);
        assert_eq!((sent(&renamed, 1), sent(&moved, 1)), (None, None));
        let mut unsealed = clear.clone();
        seal(&MasterKeys::new(&[]), &mut unsealed);
        assert_eq!(unsealed, clear, "without a master key it stays as it is");
    }

    #[test]
    fn every_name_and_value_that_settings_accept_can_be_sent() {
        let name: String = (b'!'..=b'~').map(char::from).filter(|c| header_name(&c.to_string()).is_ok()).collect();
        let value: String = (b' '..=b'~').map(char::from).collect();
        assert_eq!(header_value(&name, Some(&value)), Ok(&*value));
        assert_eq!(sent(&with_header(&name, &value), 1), Some(value.into_bytes()));
    }

    #[test]
    fn a_value_is_in_no_debug_and_in_no_error() {
        let mut endpoint = with_header("authorization", "Bearer hush");
        let headers = open_all(&masters(1), &endpoint).unwrap();
        seal(&masters(1), &mut endpoint);
        let error = open_all(&masters(2), &endpoint).unwrap_err();
        let unsendable = open_all(&masters(1), &with_header("authorization", "hush\n")).unwrap_err();
        for shown in [format!("{endpoint:?} {headers:?}"), format!("{error:?} {unsendable:?}")] {
            assert!(!shown.contains("hush"), "{shown}");
        }
    }

    #[test]
    fn what_a_receiver_echoes_is_masked_whole_or_cut() {
        let headers = [("authorization", "Bearer hush-hush"), ("x-short", "1")]
            .map(|(name, value)| (HeaderName::from_static(name), Sent::from_static(value)));
        let masked = |body: &'static [u8], cut| masked(Bytes::from_static(body), &headers, cut);
        assert_eq!(masked(b"got Bearer hush-hush and 1", false), "got ******** and 1");
        assert_eq!(masked(b"{\"token\": \"hush-hush\"}", false), "{\"token\": \"********\"}");
        assert_eq!(masked(b"got Bearer hush", true), "got ********");
        assert_eq!(masked(b"got hush-", true), "got ********");
        assert_eq!(masked(b"got Bear", false), "got Bear");
        assert_eq!(masked(b"\xff\xfe fine", true), b"\xff\xfe fine".as_slice());
        assert_eq!(masked(b"\xff hush-hush", false), "\u{fffd} ********");
    }
}
