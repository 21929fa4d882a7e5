//! The methods of each route, as `Allow` lists them.

use std::collections::{BTreeMap, BTreeSet};

use hyper::Method;
use hyper::header::HeaderValue;

/// The values of `Allow`, by route.
pub(in crate::http) struct AllowedMethods {
    by_route: BTreeMap<String, HeaderValue>,
    anywhere: HeaderValue,
}

impl AllowedMethods {
    /// A route may be named several times, with a method each time.
    pub(in crate::http) fn new(routes: impl IntoIterator<Item = (String, Method)>) -> Self {
        let mut by_route: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (route, method) in routes {
            by_route.entry(route).or_default().insert(method.as_str().to_owned());
        }
        let anywhere = by_route.values().flatten().cloned().collect();
        let by_route = by_route.into_iter().map(|(route, methods)| (route, allow(&methods))).collect();
        Self { by_route, anywhere: allow(&anywhere) }
    }

    /// The methods of a route. `*` stands for the whole service (RFC 9110, 9.3.7): the methods of any route.
    pub(super) fn of(&self, route: &str, path: &str) -> Option<&HeaderValue> {
        if path == "*" { Some(&self.anywhere) } else { self.by_route.get(route) }
    }
}

fn allow(methods: &BTreeSet<String>) -> HeaderValue {
    let methods: BTreeSet<&str> = methods.iter().map(String::as_str).collect();
    let head = methods.contains("GET").then_some("HEAD");
    let all: BTreeSet<&str> = methods.into_iter().chain(head).chain([Method::OPTIONS.as_str()]).collect();
    let text = all.into_iter().collect::<Vec<_>>().join(", ");
    // Never taken: names of methods are always valid in a header.
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("OPTIONS"))
}
