//! The launcher's work as Postgres's superuser: the service's role and the databases that belong to it.
//!
//! Statements are built from text, because a role's password cannot be a parameter. Names are constants of the callers and
//! passwords are hexadecimal, so nothing needs quoting.

use anyhow::{Context as _, Result};
use tokio_postgres::{Client, NoTls};

use super::credentials::Password;

/// Hands all objects of the superuser in a database over to a role. `reassign owned` is not possible for the superuser that a
/// cluster begins with. Indexes, row types and the sequences of columns go with their tables; objects of an extension stay
/// with it.
const HAND_OVER: &str = "-- dev.hand_over
do $$
declare
    role constant text := '{role}';
    made record;
begin
    for made in
        select format('alter table %I.%I owner to %I', n.nspname, c.relname, role) as statement
        from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where n.nspname not in ('pg_catalog', 'information_schema') and n.nspname !~ '^pg_'
            and c.relkind in ('r', 'p', 'v', 'm', 'f', 'S') and c.relowner <> role::regrole
            and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid
                and (d.deptype = 'e' or d.deptype in ('a', 'i') and d.refclassid = 'pg_class'::regclass
                    and c.relkind = 'S'))
        union all
        select format('alter routine %s owner to %I', p.oid::regprocedure, role)
        from pg_proc p join pg_namespace n on n.oid = p.pronamespace
        where n.nspname not in ('pg_catalog', 'information_schema') and n.nspname !~ '^pg_'
            and p.proowner <> role::regrole
            and not exists (select from pg_depend d
                where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e')
        union all
        select format('alter schema %I owner to %I', n.nspname, role)
        from pg_namespace n
        where n.nspname not in ('public', 'information_schema') and n.nspname !~ '^pg_'
            and n.nspowner <> role::regrole
    loop
        execute made.statement;
    end loop;
end $$";

const DATABASE_OWNER: &str = "-- dev.database_owner
select pg_get_userbyid(datdba)::text from pg_database where datname = $1";

/// Whether a login succeeds.
pub(super) async fn connects(url: &str) -> bool {
    tokio_postgres::connect(url, NoTls).await.is_ok()
}

/// Makes the role where it is missing, revokes every special right, and sets its password.
pub(super) async fn ensure(superuser_url: &str, role: &str, password: &Password) -> Result<()> {
    let password = password.reveal();
    let client = connect(superuser_url).await?;
    let exists = client.query_opt("-- dev.role_exists\nselect from pg_roles where rolname = $1", &[&role]).await?;
    let action = if exists.is_some() { "alter" } else { "create" };
    let rights = "login nosuperuser nocreatedb nocreaterole noreplication nobypassrls";
    Ok(client.batch_execute(&format!("{action} role {role} {rights} password '{password}'")).await?)
}

/// Makes a database that belongs to the role, or hands an existing one over. Its owner changes last, so that an interrupted
/// hand-over is repeated.
pub(super) async fn ensure_database(superuser_url: &str, url: &str, database: &str, role: &str) -> Result<()> {
    let client = connect(superuser_url).await?;
    let owner = client.query_opt(DATABASE_OWNER, &[&database]).await?.map(|row| row.get::<_, String>(0));
    match owner {
        None => client.batch_execute(&format!("create database {database} owner {role}")).await?,
        Some(owner) if owner == role => {}
        Some(_) => {
            let inside = connect(url).await?;
            inside.batch_execute(&HAND_OVER.replace("{role}", role)).await.context("handing over its objects")?;
            client.batch_execute(&format!("alter database {database} owner to {role}")).await?;
        }
    }
    Ok(())
}

/// A connection that ends with its client.
async fn connect(url: &str) -> Result<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}
