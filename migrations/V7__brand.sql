-- On a full table: only creates tables, so it takes no lock that anyone waits for.

-- The name, colour and logo that an account's partners see. A colour or logo that is null is the installation's.
create table brand (
    account_id  uuid        not null primary key,
    name        text        not null,
    color       text,
    logo_type   text,
    logo        bytea
);

-- The host names that show an account's brand: in lower case, without a port.
create table brand_host (
    account_id  uuid        not null,
    host        text        not null,
    primary key (account_id, host)
);
-- A request names a host and no account, so a host is one account's in the whole installation.
create unique index brand_host_name on brand_host (host);
