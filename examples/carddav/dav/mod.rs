//! An address book on a CardDAV server (RFC 6352): what changed (RFC 6578, otherwise entity tags), cards, and changes that
//! are executed only where a card is the expected one (RFC 9110 section 13.1.1).

mod multistatus;
mod seen;

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use multistatus::{Multistatus, escape};
use percent_encoding::percent_decode_str;
pub(crate) use seen::{Changes, Seal, Seen};
use serde::Deserialize;
use url::Url;

use crate::http::{Http, Response};

/// Cards per request.
const CARDS_PER_REQUEST: usize = 50;
/// Requests within which the server must have reported all changes.
const MAX_SYNC_REQUESTS: usize = 1_000;

/// Access to an address book.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Access {
    /// The collection, such as `https://dav.example/ann/contacts/`.
    url: String,
    user: Option<String>,
    password: Option<String>,
}

impl std::fmt::Display for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.url)
    }
}

pub(crate) struct Book {
    http: Http,
    url: Url,
}

/// How a conditional change ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Write {
    Done,
    /// The card is not the expected one. The next scan finds out what it is.
    Refused,
}

/// The entity tags of cards by name, of deleted ones `None`; and the token of that state.
type Tags = (BTreeMap<String, Option<String>>, Option<String>);

impl Book {
    pub(crate) fn new(access: &Access) -> anyhow::Result<Self> {
        let mut headers = vec![("user-agent", "unificus-carddav".to_owned())];
        if let Some(user) = &access.user {
            let credentials = format!("{user}:{}", access.password.as_deref().unwrap_or_default());
            headers.push(("authorization", format!("Basic {}", STANDARD.encode(credentials))));
        }
        let mut url = Url::parse(&access.url).with_context(|| format!("{:?} is no URL", access.url))?;
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        Ok(Self { http: Http::new(headers)?, url })
    }

    /// Compares the book with what was seen.
    pub(crate) async fn changes(&self, seen: &Seen) -> anyhow::Result<Changes> {
        let (tags, token) = match self.tags_since(seen).await? {
            Some(tags) => tags,
            None => self.all_tags(seen).await?,
        };
        let mut changes = Changes { token, ..Changes::default() };
        let mut wanted = Vec::new();
        for (name, tag) in tags {
            let known = seen.cards.get(&name).map(|card| &card.etag);
            match tag {
                None if known.is_some() => changes.deleted.push(name),
                None => {}
                // The change was the connector's own.
                Some(tag) if known == Some(&tag) => {}
                Some(_) => wanted.push(name),
            }
        }
        for names in wanted.chunks(CARDS_PER_REQUEST) {
            changes.changed.extend(self.cards(names).await?);
        }
        Ok(changes)
    }

    /// The changes since the token, by `sync-collection`. `None` where the server does not support it.
    async fn tags_since(&self, seen: &Seen) -> anyhow::Result<Option<Tags>> {
        let mut token = seen.token.clone();
        let mut tags = BTreeMap::new();
        for _ in 0..MAX_SYNC_REQUESTS {
            let body = format!(
                "<?xml version=\"1.0\" encoding=\"utf-8\"?><d:sync-collection xmlns:d=\"DAV:\"><d:sync-token>{}</d:sync-token>\
                 <d:sync-level>1</d:sync-level><d:prop><d:getetag/></d:prop></d:sync-collection>",
                escape(token.as_deref().unwrap_or_default())
            );
            let response = self.request("REPORT", &self.url, &[("depth", "0")], body).await?;
            match response.status {
                207 => {}
                // The token is too old (RFC 6578 section 3.2): all cards are compared.
                403 | 409 if token.is_some() => {
                    token = None;
                    tags = self.as_deleted(seen);
                    continue;
                }
                403 | 404 | 405 | 409 | 415 | 501 => return Ok(None),
                _ => bail!("sync-collection: {}", response.status),
            }
            if token.is_none() {
                tags = self.as_deleted(seen);
            }
            let (status, is_truncated) = self.read(&response)?;
            tags.extend(status.tags);
            token = Some(status.token.context("sync-collection returned no token")?);
            if !is_truncated {
                return Ok(Some((tags, token)));
            }
        }
        bail!("sync-collection does not end")
    }

    /// Every known card as a deleted one: those that are listed afterwards are not.
    #[expect(clippy::unused_self, reason = "reads as a part of the book")]
    fn as_deleted(&self, seen: &Seen) -> BTreeMap<String, Option<String>> {
        seen.cards.keys().map(|name| (name.clone(), None)).collect()
    }

    /// All cards, by their entity tags.
    async fn all_tags(&self, seen: &Seen) -> anyhow::Result<Tags> {
        let body = "<?xml version=\"1.0\" encoding=\"utf-8\"?><d:propfind xmlns:d=\"DAV:\"><d:prop><d:getetag/>\
                    <d:resourcetype/></d:prop></d:propfind>";
        let response = self.request("PROPFIND", &self.url, &[("depth", "1")], body.to_owned()).await?;
        if response.status != 207 {
            bail!("PROPFIND: {}", response.status);
        }
        let mut tags = self.as_deleted(seen);
        tags.extend(self.read(&response)?.0.tags);
        Ok((tags, None))
    }

    /// The cards of these names that exist (RFC 6352 section 8.7).
    async fn cards(&self, names: &[String]) -> anyhow::Result<BTreeMap<String, Seal>> {
        let hrefs: anyhow::Result<String> =
            names.iter().map(|name| Ok(format!("<d:href>{}</d:href>", escape(self.url_of(name)?.path())))).collect();
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?><c:addressbook-multiget xmlns:d=\"DAV:\" \
             xmlns:c=\"urn:ietf:params:xml:ns:carddav\"><d:prop><d:getetag/><c:address-data/></d:prop>{}</c:addressbook-multiget>",
            hrefs?
        );
        let response = self.request("REPORT", &self.url, &[("depth", "0")], body).await?;
        if response.status != 207 {
            bail!("addressbook-multiget: {}", response.status);
        }
        let (status, _) = self.read(&response)?;
        let mut cards = status.cards;
        let card = |(name, tag): (String, Option<String>)| {
            let text = cards.remove(&name)?;
            Some((name, Seal { etag: tag?, text }))
        };
        Ok(status.tags.into_iter().filter_map(card).collect())
    }

    /// Writes a card, where it is still the expected one; without an expected one, where there is none.
    pub(crate) async fn put(
        &self,
        name: &str,
        expected: Option<&Seal>,
        text: &str,
    ) -> anyhow::Result<(Write, Option<Seal>)> {
        let condition = expected.map_or(("if-none-match", "*"), |card| ("if-match", card.etag.as_str()));
        let headers = [condition, ("content-type", "text/vcard; charset=utf-8")];
        let response = self.request("PUT", &self.url_of(name)?, &headers, text.to_owned()).await?;
        match response.status {
            200 | 201 | 204 => {}
            404 | 409 | 412 => return Ok((Write::Refused, None)),
            status => bail!("PUT {name}: {status}"),
        }
        // Without a strong tag the server may have changed the card: the next scan reads it.
        let etag = response.header("etag").filter(|etag| !etag.starts_with("W/"));
        Ok((Write::Done, etag.map(|etag| Seal { etag, text: text.to_owned() })))
    }

    /// Deletes a card, where it is still the expected one.
    pub(crate) async fn delete(&self, name: &str, expected: &Seal) -> anyhow::Result<Write> {
        let headers = [("if-match", expected.etag.as_str())];
        let response = self.request("DELETE", &self.url_of(name)?, &headers, String::new()).await?;
        match response.status {
            200 | 204 | 404 | 410 => Ok(Write::Done),
            409 | 412 => Ok(Write::Refused),
            status => bail!("DELETE {name}: {status}"),
        }
    }

    async fn request(
        &self,
        method: &str,
        url: &Url,
        headers: &[(&str, &str)],
        body: String,
    ) -> anyhow::Result<Response> {
        let xml = [("content-type", "application/xml; charset=utf-8")];
        let has_type = headers.iter().any(|(name, _)| *name == "content-type");
        let headers = [if has_type || body.is_empty() { &[][..] } else { &xml }, headers].concat();
        self.http.send(method, url.as_str(), &headers, body).await
    }

    /// Reads a multi-status response. The second value says that the server has more (RFC 6578 section 3.6).
    fn read(&self, response: &Response) -> anyhow::Result<(Multistatus, bool)> {
        let status = Multistatus::read(response.text()?)?;
        let is_truncated = status.is_truncated;
        let own = |href: &String| self.name_of(href);
        let tags = status.tags.iter().filter_map(|(href, tag)| Some((own(href)?, tag.clone()))).collect();
        let cards = status.cards.iter().filter_map(|(href, text)| Some((own(href)?, text.clone()))).collect();
        Ok((Multistatus { tags, cards, ..status }, is_truncated))
    }

    /// The name of a card in the collection; `None` for the collection itself.
    fn name_of(&self, href: &str) -> Option<String> {
        let path = self.url.join(href).ok()?.path().to_owned();
        let name = path.rsplit('/').next().filter(|name| !name.is_empty())?;
        percent_decode_str(name).decode_utf8().ok().map(std::borrow::Cow::into_owned)
    }

    fn url_of(&self, name: &str) -> anyhow::Result<Url> {
        let mut url = self.url.clone();
        let mut segments = url.path_segments_mut().ok().context("the address book's URL has no path")?;
        segments.pop_if_empty().push(name);
        drop(segments);
        Ok(url)
    }
}
