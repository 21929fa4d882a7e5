//! `unificus field`, `audience`, `world`: the definitions that an account's records use. They are commands like those of
//! the API: their events are in the account's log, and the running service delivers them.

use anyhow::{Context as _, anyhow, bail};
use clap::{Args, Subcommand};
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::{clock_of, operator, say};
use crate::clock;
use crate::command::{self, CommandEnvelope, Failure};
use crate::contract::input::{self, InputKind};
use crate::contract::outcome::Disposition;
use crate::domain::{self, AccountId, Delete, Entity, Invalid, Refusal, Target, Uid, named};
use crate::store::Store;
use crate::store::lists::List;

/// The largest number of records that are listed.
const MAX_LISTED: i64 = 1_000;

#[derive(Debug, Subcommand)]
pub(super) enum FieldCommand {
    /// Add a custom field.
    Add {
        #[command(flatten)]
        field: New,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// List an account's custom fields.
    List {
        /// The account's Public ID.
        account: Uuid,
        /// Print JSON, one line per field.
        #[arg(long)]
        json: bool,
    },
    /// Change the visibility of a company's custom field. Companies show its values in the other group at once.
    Visibility {
        /// The account's Public ID.
        account: Uuid,
        /// The field's uid.
        field: Uuid,
        /// The group in which companies show its values: public or private.
        visibility: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Archive a custom field: records keep their values, and cannot get new ones.
    Archive {
        /// The account's Public ID.
        account: Uuid,
        /// The field's uid.
        field: Uuid,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
pub(super) struct New {
    /// The account's Public ID.
    account: Uuid,
    /// Its label.
    name: String,
    /// The entity whose records have it: contact, company, project or target.
    #[arg(long)]
    entity: String,
    /// Its type: text, `long_text`, number, currency, date, datetime, checkbox, dropdown, `multi_select`, url, email, phone or file.
    #[arg(long = "type")]
    kind: String,
    /// Its purpose.
    #[arg(long)]
    description: Option<String>,
    /// A value of a dropdown or multi-select; repeat the option for more.
    #[arg(long = "allow")]
    allowed_values: Vec<String>,
    /// The group in which companies show its values: public or private.
    #[arg(long, default_value = "public")]
    visibility: String,
}

#[derive(Debug, Subcommand)]
pub(super) enum AudienceCommand {
    /// Add an audience.
    Add {
        /// The account's Public ID.
        account: Uuid,
        /// Its name.
        name: String,
        /// Its number; the next free one by default.
        #[arg(long)]
        id: Option<u32>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// List an account's audiences.
    List {
        /// The account's Public ID.
        account: Uuid,
        /// Print JSON, one line per audience.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum CompanyCommand {
    /// List a company even without contacts, because the operator knows of activity.
    Keep {
        /// The account's Public ID.
        account: Uuid,
        /// The company's uid or name.
        company: String,
        /// List it again only while a contact belongs to it.
        #[arg(long)]
        off: bool,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum WorldCommand {
    /// Add a world: a workspace of the account.
    Add {
        /// The account's Public ID.
        account: Uuid,
        /// Its name.
        name: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// List an account's worlds.
    List {
        /// The account's Public ID.
        account: Uuid,
        /// Print JSON, one line per world.
        #[arg(long)]
        json: bool,
    },
}

pub(super) async fn field(store: &Store, command: FieldCommand) -> anyhow::Result<()> {
    match command {
        FieldCommand::Add {
            field: New { account, name, entity, kind, description, allowed_values, visibility },
            json,
        } => {
            let body = json!({"entity": entity, "type": kind, "name": name, "description": description,
                "allowed_values": allowed_values, "visibility": visibility});
            let add = input::create(InputKind::CustomField, body, &mut clock::fresh_uid).map_err(refused)?;
            Box::pin(execute(store, account, add, json)).await
        }
        FieldCommand::List { account, json } => list(store, account, Entity::CustomField, json).await,
        FieldCommand::Visibility { account, field, visibility, json } => {
            let body = json!({"visibility": visibility});
            let target = Target::Uid(Uid(field));
            let change = input::update(InputKind::CustomField, target, None, body, &mut clock::fresh_uid);
            Box::pin(execute(store, account, change.map_err(refused)?, json)).await
        }
        FieldCommand::Archive { account, field, json } => {
            let target = Target::Uid(Uid(field));
            let archive = domain::Command::Delete(Delete { entity: Entity::CustomField, target, if_match: None });
            Box::pin(execute(store, account, archive, json)).await
        }
    }
}

pub(super) async fn audience(store: &Store, command: AudienceCommand) -> anyhow::Result<()> {
    match command {
        AudienceCommand::Add { account, name, id, json } => {
            let id = if let Some(id) = id {
                id
            } else {
                let audiences = store.schema(AccountId(account)).await?.audiences;
                named::next_audience_number(&audiences).context("the account has no number left for an audience")?
            };
            let create = named::CreateNamed::audience(clock::fresh_uid(), id, &name)
                .map_err(|errors| invalid(errors.into_list()))?;
            Box::pin(execute(store, account, domain::Command::CreateNamed(create), json)).await
        }
        AudienceCommand::List { account, json } => list(store, account, Entity::Audience, json).await,
    }
}

pub(super) async fn company(store: &Store, command: CompanyCommand) -> anyhow::Result<()> {
    let CompanyCommand::Keep { account, company, off, json } = command;
    if !store.keep_company(AccountId(account), &company, !off, operator(store).await?).await? {
        bail!("there is no such company");
    }
    if json {
        say(format_args!("{}", json!({"public_id": account, "company": company, "kept": !off})));
    } else {
        let listed = if off { "only while a contact belongs to it" } else { "in any case" };
        say(format_args!("The company {company} is listed {listed}."));
    }
    Ok(())
}

pub(super) async fn world(store: &Store, command: WorldCommand) -> anyhow::Result<()> {
    match command {
        WorldCommand::Add { account, name, json } => {
            let create =
                named::CreateNamed::world(clock::fresh_uid(), &name).map_err(|errors| invalid(errors.into_list()))?;
            Box::pin(execute(store, account, domain::Command::CreateNamed(create), json)).await
        }
        WorldCommand::List { account, json } => list(store, account, Entity::World, json).await,
    }
}

async fn execute(store: &Store, account: Uuid, command: domain::Command, json: bool) -> anyhow::Result<()> {
    let noun = command.entity().noun();
    let envelope = CommandEnvelope::new(AccountId(account), "operator".into(), command);
    let result = command::execute(store, &clock_of(store).await?, envelope).await.map_err(|failure| match failure {
        Failure::NoAccount => anyhow!("there is no account {account}"),
        Failure::Refused { refusal, .. } | Failure::StepRefused { refusal, .. } => refused(refusal),
        Failure::Full | Failure::Unavailable | Failure::Broken => anyhow!(failure),
    })?;
    if json {
        say(format_args!("{}", result.record));
    } else {
        let done = match result.done.disposition {
            Disposition::Created => "was added",
            Disposition::Deleted => "was archived",
            Disposition::Updated | Disposition::Unchanged => "is as requested",
        };
        say(format_args!("The {noun} {} {done}.", result.done.uid));
    }
    Ok(())
}

async fn list(store: &Store, account: Uuid, entity: Entity, json: bool) -> anyhow::Result<()> {
    let page = store.page(AccountId(account), &List::first(entity, MAX_LISTED)).await?;
    for stored in &page.records {
        if json {
            say(format_args!("{}", stored.record));
        } else {
            let record: Json = serde_json::from_str(&stored.record)?;
            let member = |key: &str| {
                record.get(key).map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
            };
            let shown: Vec<String> =
                ["id", "entity", "type", "visibility", "name"].into_iter().filter_map(member).collect();
            say(format_args!("{}  {}", stored.uid, shown.join("  ")));
        }
    }
    if page.more {
        bail!("only the first {MAX_LISTED} of {} are listed", page.counted.total);
    }
    Ok(())
}

fn refused(refusal: Refusal) -> anyhow::Error {
    match refusal {
        Refusal::Invalid(errors) => invalid(errors),
        Refusal::NotFound(entity) => anyhow!("there is no such {}", entity.noun()),
        Refusal::Gone { entity, .. } => anyhow!("the {} is already archived", entity.noun()),
        Refusal::Stale { .. } | Refusal::KeyReused | Refusal::Ambiguous { .. } | Refusal::Concurrent { .. } => {
            anyhow!("{refusal:?}")
        }
    }
}

fn invalid(errors: Vec<Invalid>) -> anyhow::Error {
    let line = |invalid: &Invalid| format!("{}: {}", invalid.pointer.trim_start_matches("#/"), invalid.detail);
    anyhow!("{}", errors.iter().map(line).collect::<Vec<_>>().join(" "))
}
