//! A document that is made once and served to many readers: only the service URL that the reader used is inserted when it is
//! served.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use crate::http::request::service_url::ServiceUrl;

/// A text with gaps for its reader's service URL.
#[derive(Debug)]
pub(in crate::http) struct Template {
    pub(super) media_type: &'static str,
    pieces: Vec<Piece>,
    length: usize,
    digest: [u8; 32],
}

#[derive(Debug)]
enum Piece {
    Text(String),
    Scheme,
    Authority,
}

impl Template {
    /// Makes a document by `make`, which writes the service URL that it is given wherever the reader's belongs. A random
    /// service URL is used each time, so that no other part of the document looks like it.
    pub(in crate::http) fn new(media_type: &'static str, make: impl FnOnce(&ServiceUrl) -> String) -> Self {
        let [scheme, authority] = [(); 2].map(|()| format!("{:032x}", rand::random::<u128>()));
        let text = make(&ServiceUrl(format!("{scheme}://{authority}")));
        let mut pieces = Vec::new();
        let mut rest = text.as_str();
        let gap = |rest: &str| {
            let gaps = [(scheme.as_str(), Piece::Scheme), (authority.as_str(), Piece::Authority)];
            let positions = gaps.into_iter().filter_map(|(gap, piece)| Some((rest.find(gap)?, piece)));
            positions.min_by_key(|(index, _)| *index)
        };
        while let Some((index, piece)) = gap(rest) {
            let (before, after) = rest.split_at(index);
            pieces.extend([Piece::Text(before.to_owned()), piece]);
            // `after` begins with the gap, and both gaps have the length of `scheme`.
            rest = after.get(scheme.len()..).unwrap_or_default();
        }
        pieces.push(Piece::Text(rest.to_owned()));
        let mut hash = Sha256::new();
        for piece in &pieces {
            let (kind, text) = match piece {
                Piece::Text(text) => (0_u8, text.as_str()),
                Piece::Scheme => (1, ""),
                Piece::Authority => (2, ""),
            };
            hash.update([kind]);
            hash.update(text);
        }
        Self { media_type, length: text.len(), digest: hash.finalize().into(), pieces }
    }

    /// The size in memory, in bytes.
    pub(in crate::http) fn size(&self) -> u32 {
        // A weight of the cache, which takes no document of that size.
        u32::try_from(self.length).unwrap_or(u32::MAX)
    }

    /// The entity tag of the document at this service URL, without quotes: the same on every replica.
    pub(super) fn tag(&self, service_url: &ServiceUrl) -> String {
        let hash = Sha256::new().chain_update(self.digest).chain_update(&service_url.0).finalize();
        URL_SAFE_NO_PAD.encode(hash).chars().take(22).collect()
    }

    /// The document at this service URL.
    pub(super) fn bytes(&self, service_url: &ServiceUrl) -> Bytes {
        let (scheme, authority) = service_url.parts();
        let mut bytes = Vec::with_capacity(self.length);
        for piece in &self.pieces {
            bytes.extend_from_slice(match piece {
                Piece::Text(text) => text.as_bytes(),
                Piece::Scheme => scheme.as_bytes(),
                Piece::Authority => authority.as_bytes(),
            });
        }
        bytes.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(name: &str) -> Template {
        Template::new("text/plain", |service_url| {
            format!("{name} at {}, host {}", service_url.0, service_url.parts().1)
        })
    }

    #[test]
    fn a_document_shows_its_readers_service_url_wherever_it_stands() {
        let service_url = ServiceUrl("https://api.example.org:8443".to_owned());
        let text = made("Acme").bytes(&service_url);
        assert_eq!(text, "Acme at https://api.example.org:8443, host api.example.org:8443");
    }

    #[test]
    fn a_tag_says_which_document_and_where() {
        let [here, there] = ["https://a.example", "https://b.example"].map(|text| ServiceUrl(text.to_owned()));
        assert_eq!(made("Acme").tag(&here), made("Acme").tag(&here), "made anew it is the same");
        assert_ne!(made("Acme").tag(&here), made("Acme").tag(&there));
        assert_ne!(made("Acme").tag(&here), made("Other").tag(&here));
    }
}
