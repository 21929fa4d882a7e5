-- On a full table: creates empty tables for two-way synchronization and rewrites nothing. Replicas of the version before know
-- none of them, and write no identifiers in other systems.

-- The identifiers of records in other systems, derived from the log as the read models are.
create table record_ref (
    account_id  uuid        not null,
    entity      text        not null,
    source      text        not null,
    id          text        not null,
    uid         uuid        not null,
    primary key (account_id, entity, source, id)
);
create index record_ref_record on record_ref (account_id, uid);

-- Values that lost against another origin's.
create table conflict (
    account_id  uuid        not null,
    uid         uuid        not null,
    version     bigint      not null,
    key         text,
    role        text,
    deleted     boolean     not null,
    created_at  timestamptz not null,
    updated_at  timestamptz not null,
    record      text        not null,
    primary key (account_id, uid)
) with (toast_tuple_target = 8160);

-- The rules by which concurrent changes are resolved; an account without a row has the default ones.
create table sync_policy (
    account_id  uuid        not null primary key,
    policy      text        not null
);
