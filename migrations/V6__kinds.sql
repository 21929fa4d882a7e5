-- On a full table: only creates tables, so it takes no lock that anyone waits for.

-- Read models of the other kinds of records, in the shape of contact and company. `role` is null in all of them.

-- Projects need not have names of their own.
create table project (
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
create index project_key on project (account_id, key) where not deleted;

create table custom_field (
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
create unique index custom_field_key on custom_field (account_id, key) where not deleted;

create table audience (
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
create unique index audience_key on audience (account_id, key) where not deleted;

create table circle (
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
create unique index circle_key on circle (account_id, key) where not deleted;

-- A note has no key to look it up by.
create table note (
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

create table world (
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
create unique index world_key on world (account_id, key) where not deleted;
