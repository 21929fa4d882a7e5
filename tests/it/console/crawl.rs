//! Following every link of the console, as a person with much time would.

use std::collections::{BTreeMap, VecDeque};

use hyper::Method;
use unificus::console::table;

use super::support::{Page, Web};

/// Pages that a crawl reads; a small account has far fewer.
const MAX_PAGES: usize = 600;

/// A form of a page.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SeenForm {
    pub(crate) action: String,
    /// The names of its fields with their values. A field that a person types has none.
    pub(crate) fields: Vec<(String, Option<String>)>,
}

/// The pages that a crawl read, by their addresses.
#[derive(Default)]
pub(crate) struct Crawled {
    pub(crate) pages: BTreeMap<String, Page>,
}

impl Crawled {
    /// Reads the pages that these addresses lead to, over links, pictures, files, dialogs, filters and live parts.
    pub(crate) async fn of(web: &Web, starts: &[String]) -> Self {
        let mut crawled = Self::default();
        let mut queue: VecDeque<String> = starts.iter().cloned().collect();
        while let Some(path) = queue.pop_front() {
            if crawled.pages.contains_key(&path) {
                continue;
            }
            assert!(crawled.pages.len() < MAX_PAGES, "it does not end: {:?}", crawled.pages.keys());
            let is_endless = path.split('?').next().unwrap().ends_with("/live");
            let page = if is_endless { web.beginning(&path).await } else { web.get(&path).await };
            assert!(page.status < 500, "{path}: {} {}", page.status, page.text);
            let is_page = page.header("content-type").starts_with("text/html");
            if page.status == 303 {
                queue.push_back(page.header("location").to_owned());
            } else if is_page {
                queue.extend(links(&page.text, &path));
            }
            crawled.pages.insert(path, page);
        }
        crawled
    }

    /// The GET routes of the console of which no page was read.
    pub(crate) fn missed(&self) -> Vec<String> {
        let routes = table().into_iter().filter(|route| route.method == Method::GET);
        let is_missed = |route: &String| !self.pages.keys().any(|path| matches(route, path));
        routes.map(|route| route.path).filter(is_missed).collect()
    }

    /// The forms of all pages that change something; of equal ones the first.
    pub(crate) fn forms(&self) -> Vec<SeenForm> {
        let mut forms: Vec<SeenForm> = self.pages.values().flat_map(|page| forms(&page.text)).collect();
        forms.sort();
        forms.dedup_by(|one, other| one.action == other.action);
        forms
    }
}

fn matches(route: &str, path: &str) -> bool {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let (route, path): (Vec<&str>, Vec<&str>) = (route.split('/').collect(), path.split('/').collect());
    route.len() == path.len() && route.iter().zip(path).all(|(part, own)| part.starts_with('{') || *part == own)
}

/// The addresses within the console and its service that a page names.
fn links(text: &str, path: &str) -> Vec<String> {
    let mut addresses = Vec::new();
    for attribute in ["href", "src", "hx-get", "data-live"] {
        addresses.extend(values(text, attribute));
    }
    // A form that changes nothing is a link, whose parameters it has typed into it.
    addresses.extend(text.split("<form").skip(1).filter(|form| form.contains("method=\"get\"")).flat_map(|form| {
        let form = form.split("</form>").next().unwrap_or_default();
        values(form, "action")
    }));
    let is_ours = |link: &String| link.starts_with('/') && !link.starts_with("//");
    // A query of its own is followed on the page that has it.
    let whole =
        |link: String| if link.starts_with('?') { format!("{}{link}", path.split('?').next().unwrap()) } else { link };
    addresses.into_iter().map(whole).filter(is_ours).map(|link| link.split('#').next().unwrap().to_owned()).collect()
}

/// The values of an attribute.
pub(crate) fn values(text: &str, attribute: &str) -> Vec<String> {
    let begin = format!(" {attribute}=\"");
    text.split(&begin).skip(1).filter_map(|rest| Some(unescaped(rest.split_once('"')?.0))).collect()
}

fn unescaped(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
}

fn forms(text: &str) -> Vec<SeenForm> {
    let of = |form: &str| {
        let (head, rest) = form.split_once('>')?;
        let body = rest.split("</form>").next()?;
        let action = values(head, "action").pop().filter(|_| head.contains("method=\"post\""))?;
        let tags =
            body.split('<').filter(|tag| ["input", "textarea", "select"].iter().any(|name| tag.starts_with(name)));
        let field = |tag: &str| {
            let name = values(tag, "name").pop()?;
            let kind = values(tag, "type").pop().unwrap_or_else(|| "text".to_owned());
            let is_typed = tag.starts_with("textarea") || ["text", "search", "email", "url"].contains(&kind.as_str());
            let is_typed = is_typed && tag.starts_with("input") || tag.starts_with("textarea");
            Some((name, (!is_typed).then(|| values(tag, "value").pop().unwrap_or_default())))
        };
        Some(SeenForm { action, fields: tags.filter_map(field).collect() })
    };
    text.split("<form").skip(1).filter_map(of).collect()
}
