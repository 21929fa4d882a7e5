//! The files of the page: the service's own, and those of Swagger UI, which its crate carries.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use utoipa_swagger_ui::Config;

/// A file in the form in which it is sent.
#[derive(Debug, Clone)]
pub(in crate::http) struct Asset {
    pub(super) media_type: &'static str,
    pub(super) bytes: Bytes,
    pub(super) encoding: Encoding,
    /// The entity tag, without quotes, made from the content.
    pub(super) tag: String,
}

/// The encoding of [`Asset::bytes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Plain,
    Gzip,
}

impl Asset {
    pub(in crate::http) fn new(media_type: &'static str, bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let hash = URL_SAFE_NO_PAD.encode(Sha256::digest(&bytes));
        Self { media_type, encoding: Encoding::Plain, tag: hash.chars().take(16).collect(), bytes }
    }
}

/// The files that are the same for every brand.
pub(in crate::http) struct Assets {
    files: Vec<(&'static str, Asset)>,
}

impl Assets {
    /// Loads the files and computes their tags.
    pub(in crate::http) fn new() -> Self {
        const SCRIPT: &str = "text/javascript; charset=utf-8";
        const STYLE: &str = "text/css; charset=utf-8";
        let own = [
            ("page.js", Asset::new(SCRIPT, include_str!("page.js"))),
            ("page.css", Asset::new(STYLE, include_str!("page.css"))),
        ];
        let foreign = [("swagger-ui-bundle.js", SCRIPT), ("swagger-ui.css", STYLE)];
        let foreign = foreign.into_iter().filter_map(|(name, media_type)| Some((name, swagger_ui(name, media_type)?)));
        Self { files: own.into_iter().chain(foreign).collect() }
    }

    pub(super) fn get(&self, name: &str) -> Option<&Asset> {
        self.files.iter().find(|(own, _)| *own == name).map(|(_, asset)| asset)
    }
}

/// A file of Swagger UI, compressed: every browser accepts gzip.
fn swagger_ui(name: &str, media_type: &'static str) -> Option<Asset> {
    let file = utoipa_swagger_ui::serve(name, Arc::new(Config::default())).ok()??;
    let encoding = if file.gzpipped { Encoding::Gzip } else { Encoding::Plain };
    Some(Asset { encoding, ..Asset::new(media_type, file.bytes.into_owned()) })
}
