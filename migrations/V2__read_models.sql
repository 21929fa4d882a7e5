-- On a full table: only creates tables, so it takes no lock that anyone waits for.

-- `record` is the record as clients see it, JSON, from the record's last event. For its type see `event.body`.
create table contact (
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
create unique index contact_key on contact (account_id, key) where not deleted;

create table company (
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
create unique index company_key on company (account_id, key) where not deleted;

-- Which live contact belongs to which company.
create table contact_company (
    account_id  uuid        not null,
    company_uid uuid        not null,
    contact_uid uuid        not null,
    primary key (account_id, company_uid, contact_uid)
);
create index contact_company_contact on contact_company (account_id, contact_uid);
