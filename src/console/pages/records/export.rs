//! A list as a CSV file, with its search and filters: the columns and the code of `unificus export`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use hyper::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderValue};
use serde_json::json;

use super::super::super::commands::audit;
use super::super::super::error::{PageError, PageResult};
use super::super::super::form::PageQuery;
use super::super::super::session::ConsoleSession;
use super::super::super::state::Console;
use super::Kind;
use super::list_query::ListQuery;
use crate::sync::files::{ExportPages, ExportRequest};

/// Sends the file page by page, each of which is read when the client has taken the one before it. The export is in the
/// audit, because it takes personal data out of the account.
pub(in crate::console) async fn export<K: Kind>(
    State(console): State<Arc<Console>>,
    session: ConsoleSession,
    query: PageQuery,
) -> PageResult {
    let kind = K::KIND;
    let query = ListQuery::of(&kind, &query);
    let request = ExportRequest {
        account: session.account,
        entity: kind.entity,
        delimiter: b',',
        filter: query.filter(&kind),
        order: query.arrangement.order(),
    };
    let pages = ExportPages::open(&console.store, request).await?;
    let detail = json!({"filter": query.parameters()});
    audit(&console, &session, &format!("{}.export", kind.entity.name()), &detail).await?;
    let pages = stream::try_unfold(pages, async |mut pages| {
        // An error ends the connection, so that the browser reports an incomplete file.
        let lines =
            pages.next().await.inspect_err(|error| tracing::warn!(error = %error, "exporting records failed"))?;
        Ok::<_, crate::sync::files::ExportError>(lines.map(|lines| (Bytes::from(lines), pages)))
    });
    let mut response = Response::new(Body::from_stream(pages));
    let name = format!("attachment; filename=\"{}.csv\"", kind.nouns);
    let name = HeaderValue::try_from(name).map_err(|_| PageError::Internal)?;
    response.headers_mut().insert(CONTENT_DISPOSITION, name);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8"));
    Ok(response)
}
