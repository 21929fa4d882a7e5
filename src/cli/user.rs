//! `unificus user`: the people who sign in to the console.

use anyhow::{Context as _, bail};
use clap::Subcommand;
use serde_json::json;
use uuid::Uuid;

use super::{clock_of, operator, say};
use crate::config::Config;
use crate::console;
use crate::contract::timestamp;
use crate::domain::AccountId;
use crate::domain::user::UserRole;
use crate::secrets::MasterKeys;
use crate::store::Store;
use crate::store::console::users::{ConsoleUser, UserChange};
use crate::users::{AccessToken, Mailer, PasswordHasher, UserError, Users};

#[derive(Debug, Subcommand)]
pub(super) enum UserCommand {
    /// Add a user to an account. Prints the link by which the user chooses a password.
    Add {
        /// The account's Public ID.
        account: Uuid,
        /// The user's email address.
        email: String,
        /// `super_admin`, admin or member.
        #[arg(long, default_value = "super_admin", value_parser = role)]
        role: UserRole,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// List an account's users.
    List {
        /// The account's Public ID.
        account: Uuid,
        /// Print JSON, one line per user.
        #[arg(long)]
        json: bool,
    },
    /// Print a link by which a user chooses another password. It works once, for an hour.
    ResetPassword {
        #[command(flatten)]
        user: UserArgs,
    },
    /// Change a user's role.
    Role {
        #[command(flatten)]
        user: UserArgs,
        /// `super_admin`, admin or member.
        #[arg(value_parser = role)]
        role: UserRole,
    },
    /// Lock a user out and end the user's sessions.
    Disable {
        #[command(flatten)]
        user: UserArgs,
    },
    /// Let a disabled user sign in again.
    Enable {
        #[command(flatten)]
        user: UserArgs,
    },
    /// Remove a user from the account.
    Remove {
        #[command(flatten)]
        user: UserArgs,
    },
    /// Remove the second factor of a user who lost the device.
    RemoveTotp {
        #[command(flatten)]
        user: UserArgs,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct UserArgs {
    /// The account's Public ID.
    account: Uuid,
    /// The user's email address.
    email: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(config: &Config, store: &Store, command: UserCommand) -> anyhow::Result<()> {
    match command {
        UserCommand::Add { account, email, role, json } => {
            let users = service(config, store).await?;
            let added = users.invite(AccountId(account), &email, role, operator(store).await?).await;
            let token = match added {
                Err(UserError::Missing) => bail!("there is no account {account}"),
                Err(UserError::Invalid { message, .. }) => bail!("{email}: {message}"),
                added => added?,
            };
            link(config, account, &email, &token, json);
            Ok(())
        }
        UserCommand::List { account, json } => list(store, account, json).await,
        UserCommand::ResetPassword { user } => {
            let known = known(store, &user).await?;
            let token = service(config, store).await?.password_link(&known, operator(store).await?).await?;
            link(config, user.account, &user.email, &token, user.json);
            Ok(())
        }
        UserCommand::Role { user, role } => change(config, store, user, UserChange::Role(role), "role changed").await,
        UserCommand::Disable { user } => change(config, store, user, UserChange::Disable, "disabled").await,
        UserCommand::Enable { user } => change(config, store, user, UserChange::Enable, "enabled").await,
        UserCommand::Remove { user } => change(config, store, user, UserChange::Remove, "removed").await,
        UserCommand::RemoveTotp { user } => {
            change(config, store, user, UserChange::RemoveTotp, "second factor removed").await
        }
    }
}

async fn service(config: &Config, store: &Store) -> anyhow::Result<Users> {
    let masters = MasterKeys::new(&config.secrets.master_keys);
    Ok(Users::new(store.clone(), PasswordHasher::new()?, masters, clock_of(store).await?, Mailer::default()))
}

async fn change(
    config: &Config,
    store: &Store,
    user: UserArgs,
    change: UserChange,
    done: &'static str,
) -> anyhow::Result<()> {
    let known = known(store, &user).await?;
    let by = operator(store).await?;
    match service(config, store).await?.change(known.account, known.user_id, change, by).await {
        Err(UserError::LastSuperAdmin) => {
            bail!("the account would have no Super Admin who can sign in: make another user one first")
        }
        changed => changed?,
    }
    if user.json {
        say(format_args!("{}", json!({"public_id": user.account, "email": known.email, "done": done})));
    } else {
        say(format_args!("{}: {done}.", known.email));
    }
    Ok(())
}

async fn list(store: &Store, account: Uuid, json: bool) -> anyhow::Result<()> {
    for user in store.users(AccountId(account)).await? {
        let used = user.signed_in_at.map(timestamp::seconds);
        if json {
            let shown = json!({"user_id": user.user_id, "email": user.email, "role": user.role.name(),
                "state": user.state.name(), "two_factor": user.totp.is_some(), "signed_in_at": used});
            say(format_args!("{shown}"));
        } else {
            let used = used.as_deref().unwrap_or("never");
            let (role, state) = (user.role.name(), user.state.name());
            say(format_args!("{role:<11}  {state:<8}  signed in {used:<25}  {}", user.email));
        }
    }
    Ok(())
}

async fn known(store: &Store, user: &UserArgs) -> anyhow::Result<ConsoleUser> {
    let email = user.email.trim().to_lowercase();
    let known = store.user_of_email(AccountId(user.account), &email).await?;
    known.with_context(|| format!("account {} has no user {email}", user.account))
}

fn link(config: &Config, account: Uuid, email: &str, token: &AccessToken, json: bool) {
    let link = format!("{}{}/link/{}", config.console_url(), console::PATH, token.text());
    if json {
        say(format_args!("{}", json!({"public_id": account, "email": email, "link": link})));
    } else {
        say(format_args!("{email} chooses a password at this link, which works once:\n  {link}"));
    }
}

fn role(text: &str) -> Result<UserRole, String> {
    UserRole::from_name(text).ok_or_else(|| "one of super_admin, admin, member".to_owned())
}
