//! The response `207 Multi-Status` (RFC 4918 section 13), as far as an address book needs it.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use quick_xml::events::Event;
use quick_xml::name::{Namespace, ResolveResult};
use quick_xml::reader::NsReader;

const DAV: &str = "DAV:";
const CARDDAV: &str = "urn:ietf:params:xml:ns:carddav";

/// A response. Keys are hrefs.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Multistatus {
    /// Entity tags; `None` for what does not exist any more.
    pub(super) tags: BTreeMap<String, Option<String>>,
    /// Cards.
    pub(super) cards: BTreeMap<String, String>,
    pub(super) token: Option<String>,
    /// The response about the collection itself has status 507.
    pub(super) is_truncated: bool,
}

/// One `response` element while it is read.
#[derive(Debug, Default)]
struct Entry {
    href: String,
    status: String,
    etag: Option<String>,
    card: Option<String>,
    is_collection: bool,
}

impl Multistatus {
    pub(super) fn read(text: &str) -> anyhow::Result<Self> {
        let mut reader = NsReader::from_str(text);
        let (mut result, mut entry, mut content) = (Self::default(), Entry::default(), String::new());
        let mut depth_of_propstat = None;
        let mut depth = 0_usize;
        loop {
            let (namespace, event) = reader.read_resolved_event().context("the response is no XML")?;
            match event {
                Event::Start(start) => {
                    depth += 1;
                    content.clear();
                    match local(&namespace, start.local_name().as_ref()) {
                        "response" => entry = Entry::default(),
                        "propstat" => depth_of_propstat = Some(depth),
                        "collection" => entry.is_collection = true,
                        _ => {}
                    }
                }
                Event::Empty(start) => {
                    entry.is_collection |= local(&namespace, start.local_name().as_ref()) == "collection";
                }
                Event::Text(text) => content.push_str(&text.xml10_content()),
                Event::CData(text) => content.push_str(&text.xml10_content()),
                Event::GeneralRef(reference) => content.push(resolved(&reference)?),
                Event::End(end) => {
                    match local(&namespace, end.local_name().as_ref()) {
                        "href" if entry.href.is_empty() => content.trim().clone_into(&mut entry.href),
                        // The status of the response, not that of one property.
                        "status" if depth_of_propstat.is_none() => content.trim().clone_into(&mut entry.status),
                        "getetag" => entry.etag = Some(content.trim().to_owned()),
                        "address-data" => entry.card = Some(std::mem::take(&mut content)),
                        "sync-token" => result.token = Some(content.trim().to_owned()),
                        "propstat" => depth_of_propstat = None,
                        "response" => result.take(std::mem::take(&mut entry)),
                        _ => {}
                    }
                    content.clear();
                    depth = depth.saturating_sub(1);
                }
                Event::Eof => return Ok(result),
                Event::Decl(_) | Event::PI(_) | Event::DocType(_) | Event::Comment(_) => {}
            }
        }
    }

    fn take(&mut self, entry: Entry) {
        let has_status = |code: &str| entry.status.split(' ').nth(1) == Some(code);
        if has_status("507") {
            self.is_truncated = true;
        } else if has_status("404") {
            self.tags.insert(entry.href, None);
        } else if let Some(etag) = entry.etag.filter(|_| !entry.is_collection) {
            self.cards.extend(entry.card.map(|card| (entry.href.clone(), card)));
            self.tags.insert(entry.href, Some(etag));
        }
    }
}

/// The name of an element of the two namespaces; another one's is empty.
fn local<'a>(namespace: &ResolveResult<'_>, name: &'a str) -> &'a str {
    let home = if name == "address-data" { CARDDAV } else { DAV };
    if *namespace == ResolveResult::Bound(Namespace(home)) { name } else { "" }
}

/// `&amp;` and the like.
fn resolved(reference: &quick_xml::events::BytesRef<'_>) -> anyhow::Result<char> {
    if let Some(character) = reference.resolve_char_ref()? {
        return Ok(character);
    }
    match reference.xml10_content().as_ref() {
        "amp" => Ok('&'),
        "lt" => Ok('<'),
        "gt" => Ok('>'),
        "quot" => Ok('"'),
        "apos" => Ok('\''),
        other => bail!("the response has an unknown entity {other:?}"),
    }
}

pub(super) fn escape(text: &str) -> String {
    quick_xml::escape::escape(text).into_owned()
}
