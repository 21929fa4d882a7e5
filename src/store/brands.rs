//! Brands of accounts, and the host names that they are shown under.

use std::sync::Arc;

use tokio_postgres::Row as PgRow;

use super::audit::{By, audit};
use super::{Store, StoreError};
use crate::domain::AccountId;
use crate::domain::brand::{Color, Logo, LogoFormat};

const SET: &str = "-- brand.set
insert into brand (account_id, name, color, logo_type, logo, support_url)
select account_id, coalesce($2::text, left(name, 60)), $3, $4, $5, nullif($6::text, '') from account where account_id = $1
on conflict (account_id) do update set name = coalesce($2::text, brand.name), color = coalesce($3, brand.color),
    logo_type = case when $7 then null else coalesce($4, brand.logo_type) end,
    logo = case when $7 then null else coalesce($5, brand.logo) end,
    support_url = case when $6 = '' then null else coalesce($6, brand.support_url) end";

/// Who remembers the account's brand sees by its revision that it has changed.
const REVISE: &str = "-- brand.revise
update account set revision = revision + 1 where account_id = $1";

const CLEAR: &str = "-- brand.clear
with hosts as (delete from brand_host where account_id = $1)
delete from brand where account_id = $1";

const FREE_HOSTS: &str = "-- brand_host.free
delete from brand_host where account_id = $1";

const TAKE_HOSTS: &str = "-- brand_host.take
insert into brand_host (account_id, host) select $1, host from unnest($2::text[]) as h(host)
on conflict (host) do nothing returning host";

const SHOW: &str = "-- brand.show
select account_id, name, color, logo_type, logo, support_url,
    array(select host from brand_host h where h.account_id = b.account_id order by host) as hosts
from brand b where account_id = $1";

const NAME: &str = "-- brand.name
select name from brand where account_id = $1";

const OF_HOST: &str = "-- brand.of_host
select account_id, name, color, logo_type, logo, support_url, array[host] as hosts
from brand_host join brand using (account_id) where host = $1";

/// An account's brand. The installation's brand supplies a color or logo that is `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct AccountBrand {
    pub account: AccountId,
    pub name: String,
    pub color: Option<Color>,
    pub logo: Option<Logo>,
    /// The page, or the address with `mailto:`, at which users get help.
    pub support_url: Option<String>,
    /// In the form of [`crate::domain::brand::parse_host`].
    pub hosts: Vec<String>,
}

/// A change of a brand; `None` changes nothing. A new brand without a name gets the name of its account.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "the names say it")]
pub struct NewBrand {
    pub name: Option<String>,
    pub color: Option<Color>,
    pub logo: Option<Logo>,
    /// Removes the logo.
    pub remove_logo: bool,
    /// Empty removes it.
    pub support_url: Option<String>,
    /// All host names; they replace the former ones.
    pub hosts: Option<Vec<String>>,
}

/// The result of a change of a brand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetBrand {
    /// The change is in effect.
    Done,
    /// There is no such account.
    NoAccount,
    /// Another account has this host; nothing was changed.
    HostTaken(String),
}

impl Store {
    /// Changes an account's brand, or creates it.
    pub async fn set_brand(&self, account: AccountId, new: &NewBrand, by: By<'_>) -> Result<SetBrand, StoreError> {
        let NewBrand { name, color, logo, remove_logo, support_url, hosts } = new;
        let color = color.map(|color| color.to_string());
        let format = logo.as_ref().map(|logo| logo.format.name());
        let bytes = logo.as_ref().map(|logo| &*logo.bytes);
        let mut client = self.writer().await?;
        let transaction = client.transaction().await?;
        // Locks the account first, as every change of it does.
        transaction.execute(REVISE, &[&account.0]).await?;
        let values: super::Params<'_, 7> = [&account.0, name, &color, &format, &bytes, support_url, remove_logo];
        let changed = transaction.execute(SET, &values).await?;
        if changed == 0 {
            return Ok(SetBrand::NoAccount);
        }
        if let Some(hosts) = hosts {
            transaction.execute(FREE_HOSTS, &[&account.0]).await?;
            let taken = transaction.query(TAKE_HOSTS, &[&account.0, hosts]).await?;
            let taken: Vec<&str> = taken.iter().map(|row| row.get(0)).collect();
            if let Some(host) = hosts.iter().find(|host| !taken.contains(&host.as_str())) {
                return Ok(SetBrand::HostTaken(host.clone()));
            }
        }
        let logo = if *remove_logo { Some("removed") } else { format };
        let detail = serde_json::json!({"name": name, "color": color, "logo": logo, "support_url": support_url,
            "hosts": hosts});
        audit(&transaction, &[account.0], by, "brand.set", &detail).await?;
        transaction.commit().await?;
        Ok(SetBrand::Done)
    }

    /// Deletes an account's brand with its host names; false where the account has none.
    pub async fn clear_brand(&self, account: AccountId, by: By<'_>) -> Result<bool, StoreError> {
        let mut client = self.writer().await?;
        let transaction = client.transaction().await?;
        transaction.execute(REVISE, &[&account.0]).await?;
        let cleared = transaction.execute(CLEAR, &[&account.0]).await?;
        if cleared == 0 {
            return Ok(false);
        }
        audit(&transaction, &[account.0], by, "brand.clear", &serde_json::json!({})).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Returns an account's brand; `None` where it has none.
    pub async fn brand(&self, account: AccountId) -> Result<Option<AccountBrand>, StoreError> {
        let client = self.reader().await?;
        let statement = client.prepare_cached(SHOW).await?;
        client.query_opt(&statement, &[&account.0]).await?.as_ref().map(brand).transpose()
    }

    /// Returns the name of an account's brand; `None` where it has none.
    pub async fn brand_name(&self, account: AccountId) -> Result<Option<String>, StoreError> {
        let client = self.reader().await?;
        let statement = client.prepare_cached(NAME).await?;
        Ok(client.query_opt(&statement, &[&account.0]).await?.map(|row| row.get(0)))
    }

    /// Returns the brand that is shown under a host name, with that name alone in `hosts`; `None` where no account has the
    /// host.
    pub async fn brand_of_host(&self, host: &str) -> Result<Option<AccountBrand>, StoreError> {
        let client = self.reader().await?;
        let statement = client.prepare_cached(OF_HOST).await?;
        client.query_opt(&statement, &[&host]).await?.as_ref().map(brand).transpose()
    }
}

fn brand(row: &PgRow) -> Result<AccountBrand, StoreError> {
    let account = AccountId(row.get("account_id"));
    let corrupt = |column, text: &str| StoreError::corrupt("brand", column, account, text.to_owned());
    let color: Option<&str> = row.get("color");
    let format: Option<&str> = row.get("logo_type");
    let format = format.map(|text| LogoFormat::from_name(text).ok_or_else(|| corrupt("logo_type", text)));
    let logo = match (format.transpose()?, row.get::<_, Option<&[u8]>>("logo")) {
        (Some(format), Some(bytes)) => Some(Logo { format, bytes: Arc::from(bytes) }),
        (None, None) => None,
        (Some(_), None) | (None, Some(_)) => return Err(corrupt("logo", "a logo has a type, and a type a logo")),
    };
    Ok(AccountBrand {
        account,
        name: row.get("name"),
        color: color.map(|text| Color::parse(text).map_err(|_| corrupt("color", text))).transpose()?,
        logo,
        support_url: row.get("support_url"),
        hosts: row.get("hosts"),
    })
}
