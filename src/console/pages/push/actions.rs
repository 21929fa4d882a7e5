//! One-click changes of an endpoint, and the dialogs before them.

use std::sync::Arc;

use axum::extract::{Path, State};
use serde_json::json;
use uuid::Uuid;

use super::super::super::error::{PageError, PageResult};
use super::super::super::flash::Flash;
use super::super::super::form::Form;
use super::super::super::session::ConsoleSession;
use super::super::super::state::Console;
use super::super::super::text;
use super::secret::NewSecret;
use super::{HERE, attempts, detail, once, path, refused, request, unread};
use crate::audited::Rendered;
use crate::domain::Seq;
use crate::domain::endpoint::secret::OVERLAP_S;
use crate::domain::endpoint::settings::whole;
use crate::push::client::Attempt;
use crate::push::outcome::AttemptOutcome;
use crate::push::service::{EndpointError, EndpointView, Rotation};

pub(in crate::console) async fn rotate(
    State(console): State<Arc<Console>>,
    session: ConsoleSession,
    Path(id): Path<Uuid>,
    form: Form,
) -> PageResult {
    let overlap = whole(form.text("overlap_s").parse().ok(), &OVERLAP_S).map_err(PageError::Invalid)?;
    let rotation = Rotation { overlap: std::time::Duration::from_secs(overlap), signature: None };
    let key = once(&session, &form, "rotate");
    let render = |view: &EndpointView| Rendered {
        status: 200,
        body: json!({"id": id, "secret": NewSecret::of(view)}).to_string(),
    };
    let rendered = match console.endpoints.rotate(&request(&session, key.as_ref()), id, rotation, render).await {
        Ok(rendered) | Err(EndpointError::Repeated(rendered)) => rendered,
        Err(error) => return Err(refused(error)),
    };
    let (id, secret) = NewSecret::read(&rendered)?;
    detail::page(&console, &session, id, &detail::Shown { new: Some(&secret), ..detail::Shown::default() }).await
}

pub(in crate::console) async fn test(
    State(console): State<Arc<Console>>,
    session: ConsoleSession,
    Path(id): Path<Uuid>,
) -> PageResult {
    let mut flash = None;
    let render = |attempt: &Attempt| {
        let outcome = attempts::outcome_words(attempt.outcome.shown(), attempt.status.map(i32::from));
        let took = text::thousands(u64::try_from(attempt.elapsed.as_millis()).unwrap_or(u64::MAX));
        flash = Some(if attempt.outcome == AttemptOutcome::Delivered {
            Flash::success(format!("The endpoint accepted the test event: {outcome} after {took} ms."))
        } else {
            let error = attempt.error.as_deref().unwrap_or("the answer is among the attempts");
            Flash::failure(format!("The endpoint did not accept the test event: {outcome} ({error})."))
        });
        unread()
    };
    console.endpoints.test(&request(&session, None), id, render).await.map_err(refused)?;
    let flash = flash.ok_or(PageError::Internal)?;
    Ok(session.redirect(&path(id), flash))
}

pub(in crate::console) async fn pause(
    State(console): State<Arc<Console>>,
    session: ConsoleSession,
    Path(id): Path<Uuid>,
) -> PageResult {
    console.endpoints.pause(&request(&session, None), id, |_| unread()).await.map_err(refused)?;
    Ok(session.redirect(&path(id), Flash::success("Paused. Events wait for it, and nothing is lost.")))
}

pub(in crate::console) async fn resume(
    State(console): State<Arc<Console>>,
    session: ConsoleSession,
    Path(id): Path<Uuid>,
) -> PageResult {
    console.endpoints.resume(&request(&session, None), id, |_| unread()).await.map_err(refused)?;
    Ok(session.redirect(&path(id), Flash::success("Resumed where it stopped. Nothing was skipped.")))
}

pub(in crate::console) async fn delete(
    State(console): State<Arc<Console>>,
    session: ConsoleSession,
    Path(id): Path<Uuid>,
) -> PageResult {
    match console.endpoints.delete(&request(&session, None), id, unread).await {
        Ok(_) => {
            Ok(session.redirect(HERE, Flash::success("The endpoint was deleted. Nothing is sent to it any more.")))
        }
        Err(error) => Err(refused(error)),
    }
}

pub(in crate::console) async fn retry_all(
    State(console): State<Arc<Console>>,
    session: ConsoleSession,
    Path(id): Path<Uuid>,
) -> PageResult {
    let mut retried = 0;
    let render = |count: u64| {
        retried = count;
        unread()
    };
    console.endpoints.retry_all(&request(&session, None), id, render).await.map_err(refused)?;
    let flash = match retried {
        0 => Flash::failure("No event is parked any more."),
        count => {
            Flash::success(format!("{} will be sent again within moments.", text::count(count, "event", "events")))
        }
    };
    Ok(session.redirect(&path(id), flash))
}

pub(in crate::console) async fn retry(
    State(console): State<Arc<Console>>,
    session: ConsoleSession,
    Path((id, seq)): Path<(Uuid, i64)>,
) -> PageResult {
    match console.endpoints.retry(&request(&session, None), id, Seq(seq), |_| unread()).await {
        Ok(_) => {
            Ok(session.redirect(&path(id), Flash::success(format!("Event {seq} will be sent again within moments."))))
        }
        Err(EndpointError::NotParked) => {
            console.endpoints.get(session.account, id).await.map_err(refused)?;
            Ok(session.redirect(&path(id), Flash::failure(format!("Event {seq} is not parked any more."))))
        }
        Err(error) => Err(refused(error)),
    }
}
