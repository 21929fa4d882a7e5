-- On a full table: creates two extensions, empty tables and an index on one of them, so it takes no lock that anyone waits
-- for. Contacts that are there are indexed later, in the background, once somebody searches their account.

-- Both come with PostgreSQL (Debian: postgresql; elsewhere: contrib) and are trusted: who may create schemas in the
-- database may create them.
create extension if not exists btree_gin;
create extension if not exists pg_trgm;

-- The texts by which contacts are searched, in small letters. They are not written with the contact: a trigram index costs
-- three to seven times what the contact itself costs, on every create, and most accounts are never searched. A cursor
-- on the account's log says how far they are; what was written since is searched without them.
create table contact_search (
    account_id  uuid        not null,
    uid         uuid        not null,
    text        text        not null,
    primary key (account_id, uid)
);
create index contact_search_text on contact_search using gin (account_id, text gin_trgm_ops);

-- `seq` is the last event that the account's texts are sure to have. `backfilled` is the last contact whose text is there
-- of those that were there before `seq`; null when all are.
create table search_cursor (
    account_id  uuid        not null primary key,
    seq         bigint      not null,
    backfilled  uuid
);
