//! Undoing what an origin wrote in a range of an account's log.

use std::sync::Arc;
use std::time::Duration;

use super::plan::{MAX_RECORDS, Plan, TooLarge};
use crate::clock;
use crate::command::{CommandEnvelope, CommandResult, Failure, Lanes};
use crate::contract::outcome::Disposition;
use crate::domain::sync::{Existence, Revert, SyncOperation};
use crate::domain::{AccountId, Command, Entity, FieldConflict, Refusal, Seq, Uid};
use crate::store::log::PageLimit;
use crate::store::{Store, StoreError};

/// The log is read in pages of this size.
const PAGE: PageLimit = PageLimit { events: 1_000, bytes: 4 << 20 };

/// The commands that are submitted together.
const TOGETHER: usize = 200;

/// The time after which no further commands are submitted. The rest is undone by the same request again.
const MAX_TIME: Duration = Duration::from_secs(25);

/// The most records of the report.
const MAX_LISTED: usize = 1_000;

/// A request to undo changes.
#[derive(Debug, Clone)]
pub(crate) struct RevertRequest {
    pub(crate) account: AccountId,
    /// Whose changes are undone.
    pub(crate) origin: String,
    /// The range: after `from`, up to `to`.
    pub(crate) from: Seq,
    pub(crate) to: Seq,
    /// The origin of the events that undo them.
    pub(crate) by: Arc<str>,
    /// Id of the request, copied into the events.
    pub(crate) correlation: Option<String>,
}

/// A record of which something was not undone.
#[derive(Debug)]
pub(crate) struct Skipped {
    pub(crate) entity: Entity,
    pub(crate) uid: Uid,
    /// The fields that somebody changed since; empty where the record as a whole was skipped.
    pub(crate) fields: Vec<FieldConflict>,
    /// The reason for a record as a whole.
    pub(crate) refusal: Option<Refusal>,
}

/// The result of undoing.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// The records that the origin changed.
    pub(crate) records: usize,
    pub(crate) updated: usize,
    pub(crate) deleted: usize,
    pub(crate) restored: usize,
    /// Records in which nothing was left to undo.
    pub(crate) unchanged: usize,
    /// The first of the records of which something was not undone.
    pub(crate) skipped: Vec<Skipped>,
    pub(crate) skipped_total: usize,
    /// Records that remain because the time was over.
    pub(crate) remaining: usize,
    /// The first records of a dry run.
    pub(crate) planned: Vec<Revert>,
}

/// The range cannot be undone by one request.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RevertError {
    #[error("the origin changed more than {MAX_RECORDS} records in this range")]
    TooLarge,
    #[error("the log of this range is too long to be read in one request")]
    TooLong,
    #[error("executing commands failed")]
    Failed(Failure),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Undoes changes, or only plans to.
pub(crate) async fn revert(
    store: &Store,
    lanes: &Lanes,
    request: &RevertRequest,
    dry_run: bool,
) -> Result<Report, RevertError> {
    let began = clock::instant();
    let plan = plan(store, request).await?;
    if dry_run {
        let records = plan.len();
        return Ok(Report { records, planned: plan.into_commands().take(MAX_LISTED).collect(), ..Report::default() });
    }
    execute_plan(lanes, request, plan, 0, MAX_TIME.saturating_sub(began.elapsed())).await
}

/// Undoes changes of the records behind the first `skip` of the plan, for about `max_time`. The plan of a range is the same
/// whenever it is made, because the log of the range does not change.
pub(crate) async fn revert_on(
    store: &Store,
    lanes: &Lanes,
    request: &RevertRequest,
    skip: usize,
    max_time: Duration,
) -> Result<Report, RevertError> {
    execute_plan(lanes, request, plan(store, request).await?, skip, max_time).await
}

/// Executes at least one chunk of the plan, and further ones while there is time.
async fn execute_plan(
    lanes: &Lanes,
    request: &RevertRequest,
    plan: Plan,
    skip: usize,
    max_time: Duration,
) -> Result<Report, RevertError> {
    let began = clock::instant();
    let mut report = Report { records: plan.len(), ..Report::default() };
    let mut commands = plan.into_commands().skip(skip);
    loop {
        let chunk: Vec<Revert> = commands.by_ref().take(TOGETHER).collect();
        if chunk.is_empty() {
            return Ok(report);
        }
        execute(lanes, request, chunk, &mut report).await?;
        if began.elapsed() > max_time {
            report.remaining = commands.count();
            return Ok(report);
        }
    }
}

/// Reads what the origin wrote in the range.
pub(super) async fn plan(store: &Store, request: &RevertRequest) -> Result<Plan, RevertError> {
    let began = clock::instant();
    let mut plan = Plan::default();
    let mut after = request.from;
    loop {
        let page = store.events_after(request.account, after, PAGE).await?;
        let Some(last) = page.events.last().map(|event| event.seq) else { return Ok(plan) };
        let in_range = page.events.iter().take_while(|event| event.seq <= request.to);
        let own = in_range.filter(|event| *event.origin == *request.origin);
        for event in own {
            let event = event.decode().map_err(|error| StoreError::corrupt("event", "body", event.id(), error))?;
            plan.add(event).map_err(|TooLarge| RevertError::TooLarge)?;
        }
        if last >= request.to || !page.more {
            return Ok(plan);
        }
        if began.elapsed() > MAX_TIME {
            return Err(RevertError::TooLong);
        }
        after = last;
    }
}

async fn execute(
    lanes: &Lanes,
    request: &RevertRequest,
    chunk: Vec<Revert>,
    report: &mut Report,
) -> Result<(), RevertError> {
    let envelope = |revert: &Revert| CommandEnvelope {
        correlation: request.correlation.clone(),
        ..CommandEnvelope::new(
            request.account,
            Arc::clone(&request.by),
            Command::Sync(Box::new(SyncOperation::Revert(revert.clone()))),
        )
    };
    let results = lanes.submit_all(chunk.iter().map(envelope).collect()).await;
    for (revert, result) in chunk.into_iter().zip(results) {
        report.add(revert, result)?;
    }
    Ok(())
}

impl Report {
    fn add(&mut self, revert: Revert, result: Result<CommandResult, Failure>) -> Result<(), RevertError> {
        let Revert { entity, uid, existence, .. } = revert;
        let (fields, refusal) = match result {
            Ok(result) => {
                match (result.done.disposition, existence) {
                    (Disposition::Unchanged, _) => self.unchanged += 1,
                    (Disposition::Deleted, _) => self.deleted += 1,
                    (_, Some(Existence::Live)) => self.restored += 1,
                    (Disposition::Created | Disposition::Updated, _) => self.updated += 1,
                }
                (result.conflicts, None)
            }
            Err(Failure::Refused { refusal, .. } | Failure::StepRefused { refusal, .. }) => (Vec::new(), Some(refusal)),
            Err(failure) => return Err(RevertError::Failed(failure)),
        };
        if !fields.is_empty() || refusal.is_some() {
            self.skipped_total += 1;
            if self.skipped.len() < MAX_LISTED {
                self.skipped.push(Skipped { entity, uid, fields, refusal });
            }
        }
        Ok(())
    }
}
