//! Changes of endpoints, each one transaction.
//!
//! `render` makes the response of the result, which is stored with the change where the request has an idempotency key.

use serde_json::json;
use uuid::Uuid;

use super::write::EndpointWrite;
use super::{
    EndpointError, EndpointInput, EndpointService, EndpointView, LogPosition, Rendered, Rotation, WriteRequest,
};
use crate::clock;
use crate::domain::endpoint::{
    CursorCommand, Endpoint, EndpointState, EndpointStatus, Header, Health, Signature, StoredSecret, secret,
};
use crate::domain::{Invalid, Seq, ValidationErrors};
use crate::push::signature::SigningSecret;
use crate::push::{own_headers, secret_storage};

/// Parked events that one request retries. Further ones need a further request.
const MAX_RETRIED: u16 = 1_000;

type Reply = Result<Rendered, EndpointError>;

impl EndpointService {
    /// Creates an endpoint. Its secret is in the view.
    pub async fn create(
        &self,
        request: &WriteRequest<'_>,
        input: EndpointInput,
        render: impl FnOnce(&EndpointView) -> Rendered,
    ) -> Reply {
        let EndpointInput { change, signature, from, mut errors } = input;
        let settings = self.changed_settings(&self.defaults(), change, request.origin, &mut errors);
        let start = match from {
            None => None,
            Some(position) => {
                let start = self.resolve(request.account, position).await?;
                if start.is_none() {
                    errors.push(Invalid::new("from", "Must be start, now, or a cursor that this service gave out."));
                }
                start
            }
        };
        errors.into_result(())?;
        let write = self.open(request).await?;
        self.check_room(&write).await?;
        let signature = signature.unwrap_or(Signature::Hmac);
        let endpoint_id = clock::fresh_uid().0;
        let (secret, stored) = self.new_secret(request, endpoint_id, signature)?;
        let mut endpoint = Endpoint {
            account: request.account,
            endpoint_id,
            settings,
            signature,
            secrets: vec![StoredSecret::current(stored)],
            status: EndpointStatus::Live,
            reported: Health::Well,
            revision: 0,
            created_at: self.context.clock.now(),
        };
        own_headers::seal(&self.context.masters, &mut endpoint);
        write.write.change.insert_endpoint(&endpoint, start).await?;
        let detail = json!({"endpoint": endpoint_id, "url": endpoint.settings.url});
        let view =
            EndpointView { endpoint, cursor: None, secret: Some(secret), processed: Vec::new(), has_commands: false };
        let rendered = render(&view);
        write.finish("push.create", &detail, rendered).await
    }

    /// Changes settings of an endpoint.
    pub async fn update(
        &self,
        request: &WriteRequest<'_>,
        endpoint: Uuid,
        input: EndpointInput,
        render: impl FnOnce(&EndpointView) -> Rendered,
    ) -> Reply {
        let EndpointInput { change, signature, mut errors, .. } = input;
        let (write, mut state) = self.open_at(request, endpoint).await?;
        if signature.is_some_and(|signature| signature != state.endpoint.signature) {
            errors.push(Invalid::new("signature", "Must be changed by rotating the secret."));
        }
        let settings = self.changed_settings(&state.endpoint.settings, change, request.origin, &mut errors);
        errors.into_result(())?;
        let before = std::mem::replace(&mut state.endpoint.settings, settings);
        write.update(&mut state.endpoint).await?;
        let settings = &state.endpoint.settings;
        let is_new_and_clear = |header: &Header| header.is_clear() && !before.headers.contains(header);
        if settings.headers.iter().any(is_new_and_clear) {
            return Err(EndpointError::NoMasterKey);
        }
        if before.url != settings.url {
            // Failures of the previous server, and the pauses that it requested, say nothing about this one.
            write.enqueue(endpoint, CursorCommand::Resume).await?;
        }
        let detail = json!({"endpoint": endpoint, "url": settings.url});
        write.finish("push.update", &detail, render(&self.view(state))).await
    }

    /// Deletes an endpoint with its cursor and its retry entries.
    pub async fn delete(&self, request: &WriteRequest<'_>, endpoint: Uuid, render: impl FnOnce() -> Rendered) -> Reply {
        let write = self.open(request).await?;
        if !write.write.change.delete_endpoint(endpoint).await? {
            return Err(EndpointError::NotFound);
        }
        write.finish("push.delete", &json!({"endpoint": endpoint}), render()).await
    }

    /// Pauses an endpoint. One that is disabled stays so.
    pub async fn pause(
        &self,
        request: &WriteRequest<'_>,
        endpoint: Uuid,
        render: impl FnOnce(&EndpointView) -> Rendered,
    ) -> Reply {
        let (write, mut state) = self.open_at(request, endpoint).await?;
        if state.endpoint.pause() {
            write.update(&mut state.endpoint).await?;
        }
        write.finish("push.pause", &json!({"endpoint": endpoint}), render(&self.view(state))).await
    }

    /// Resumes an endpoint that is paused or disabled, and forgets its failures.
    pub async fn resume(
        &self,
        request: &WriteRequest<'_>,
        endpoint: Uuid,
        render: impl FnOnce(&EndpointView) -> Rendered,
    ) -> Reply {
        let (write, mut state) = self.open_at(request, endpoint).await?;
        state.endpoint.resume();
        write.update(&mut state.endpoint).await?;
        write.enqueue(endpoint, CursorCommand::Resume).await?;
        write.finish("push.resume", &json!({"endpoint": endpoint}), render(&self.view(state))).await
    }

    /// Sends the events after a position again, up to and with another.
    pub async fn replay(
        &self,
        request: &WriteRequest<'_>,
        endpoint: Uuid,
        (from, to): (Option<LogPosition>, Option<LogPosition>),
        errors: ValidationErrors,
        render: impl FnOnce(&EndpointView) -> Rendered,
    ) -> Reply {
        self.require_endpoint(request.account, endpoint).await?;
        let (after, through) = self.seq_range(request, from, to, errors).await?;
        let (write, state) = self.open_at(request, endpoint).await?;
        write.enqueue(endpoint, CursorCommand::Replay { after, through }).await?;
        let detail = json!({"endpoint": endpoint, "after": after, "through": through});
        write.finish("push.replay", &detail, render(&self.view(state))).await
    }

    /// Skips the events up to and with one of the log. `None` stands for a value that is no number.
    pub async fn skip(
        &self,
        request: &WriteRequest<'_>,
        endpoint: Uuid,
        through: Option<Seq>,
        render: impl FnOnce(&EndpointView) -> Rendered,
    ) -> Reply {
        let (write, state) = self.open_at(request, endpoint).await?;
        let through = through.filter(|through| (Seq(1)..=write.log_end).contains(through));
        let Some(through) = through else {
            return Err(Invalid::new("seq", "Must be the number of an event of the log.").into());
        };
        write.enqueue(endpoint, CursorCommand::Skip { through }).await?;
        let detail = json!({"endpoint": endpoint, "through": through});
        write.finish("push.skip", &detail, render(&self.view(state))).await
    }

    /// Sends a parked event once more.
    pub async fn retry(
        &self,
        request: &WriteRequest<'_>,
        endpoint: Uuid,
        seq: Seq,
        render: impl FnOnce(&EndpointView) -> Rendered,
    ) -> Reply {
        let (write, state) = self.open_at(request, endpoint).await?;
        if !write.write.change.is_parked(endpoint, seq).await? {
            return Err(EndpointError::NotParked);
        }
        write.enqueue(endpoint, CursorCommand::Retry { seq }).await?;
        let detail = json!({"endpoint": endpoint, "seq": seq});
        write.finish("push.retry", &detail, render(&self.view(state))).await
    }

    /// Sends an endpoint's parked events once more, the first [`MAX_RETRIED`] of them. `render` gets their number.
    pub async fn retry_all(
        &self,
        request: &WriteRequest<'_>,
        endpoint: Uuid,
        render: impl FnOnce(u64) -> Rendered,
    ) -> Reply {
        let (write, _) = self.open_at(request, endpoint).await?;
        let now = self.context.clock.now();
        let retried = write.write.change.enqueue_retries(endpoint, MAX_RETRIED, now).await?;
        let detail = json!({"endpoint": endpoint, "events": retried});
        write.finish("push.retry_all", &detail, render(retried)).await
    }

    /// Replaces an endpoint's secret. The new one is in the view.
    pub async fn rotate(
        &self,
        request: &WriteRequest<'_>,
        endpoint: Uuid,
        rotation: Rotation,
        render: impl FnOnce(&EndpointView) -> Rendered,
    ) -> Reply {
        let (write, state) = self.open_at(request, endpoint).await?;
        let EndpointState { endpoint: mut rotated, cursor, processed, has_commands, brand: _ } = state;
        rotated.signature = rotation.signature.unwrap_or(rotated.signature);
        let (secret, stored) = self.new_secret(request, endpoint, rotated.signature)?;
        let now = self.context.clock.now();
        rotated.secrets = secret::rotate(rotated.secrets, stored, rotation.overlap, now);
        write.update(&mut rotated).await?;
        let detail = json!({"endpoint": endpoint, "overlap_s": rotation.overlap.as_secs()});
        let secret = Some(secret);
        let view = EndpointView { endpoint: rotated, cursor: Some(cursor), secret, processed, has_commands };
        write.finish("push.rotate", &detail, render(&view)).await
    }

    async fn check_room(&self, write: &EndpointWrite<'_>) -> Result<(), EndpointError> {
        let limit = self.limits.per_account;
        if write.write.change.endpoint_count().await? < limit {
            return Ok(());
        }
        let detail = format!("An account has at most {limit} endpoints.");
        Err(Invalid::of_body(detail).into())
    }

    /// A new secret, and how it is stored.
    fn new_secret(
        &self,
        request: &WriteRequest<'_>,
        endpoint: Uuid,
        signature: Signature,
    ) -> Result<(SigningSecret, Vec<u8>), EndpointError> {
        let secret = SigningSecret::of_scheme(signature, rand::random())
            .map_err(|error| EndpointError::Internal(anyhow::anyhow!("make a signing secret failed: {error}")))?;
        let stored = secret_storage::seal(&self.context.masters, request.account, endpoint, &secret);
        Ok((secret, stored.ok_or(EndpointError::NoMasterKey)?))
    }

    /// The range of a replay. `from` is `None` where the request names no position or none that can be read.
    async fn seq_range(
        &self,
        request: &WriteRequest<'_>,
        from: Option<LogPosition>,
        to: Option<LogPosition>,
        mut errors: ValidationErrors,
    ) -> Result<(Seq, Option<Seq>), EndpointError> {
        let unknown =
            |key| Invalid::new(key, "Must be start, a cursor of this log, or the number of one of its events.");
        let after = match from {
            Some(from) => self.resolve(request.account, from).await?,
            None => None,
        };
        if after.is_none() && !errors.contains("#/from") {
            errors.push(unknown("from"));
        }
        let through = match to {
            Some(to) => match self.resolve(request.account, to).await? {
                None => {
                    errors.push(unknown("to"));
                    None
                }
                Some(through) if after.is_some_and(|after| through <= after) => {
                    errors.push(Invalid::new("to", "Must be later than from."));
                    None
                }
                through => through,
            },
            None => None,
        };
        match after {
            Some(after) if errors.is_empty() => Ok((after, through)),
            Some(_) | None => Err(errors.into()),
        }
    }
}
