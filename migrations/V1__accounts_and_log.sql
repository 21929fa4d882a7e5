-- On a full table: only creates tables, so it takes no lock that anyone waits for.

create table account (
    account_id  uuid        not null primary key,
    name        text        not null,
    tier        text        not null,
    on_missing  text        not null default 'fail',
    created_at  timestamptz not null
);

-- A key is kept as the SHA-256 of its text. The text has 128 bits of chance or more, so that no slow hash is needed.
create table account_key (
    account_id  uuid        not null,
    key_id      uuid        not null,
    name        text        not null,
    origin      text        not null,
    secret_hash bytea       not null,
    created_at  timestamptz not null,
    primary key (account_id, key_id)
);
create unique index account_key_hash on account_key (account_id, secret_hash);

-- What only admins see changes outside the log; each change leaves a row here in its own transaction.
create table audit (
    account_id  uuid        not null,
    audit_id    uuid        not null,
    at          timestamptz not null,
    actor       text        not null,
    action      text        not null,
    detail      json        not null,
    primary key (account_id, audit_id)
);

-- The last position of each account's log. Writers lock this row; it is updated by every transaction of the account,
-- so half of each page is left free for updates in place (HOT) and vacuum comes early.
create table head (
    account_id  uuid        not null primary key,
    seq         bigint      not null,
    epoch       integer     not null
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 200);

-- The only truth. `body` is the CloudEvent, JSON, byte for byte as every channel sends it. It is of type text since
-- type json would parse it anew at every append, which was a twentieth of the database's work. LZ4 halves what goes to
-- disk at a fraction of what the default compression costs.
create table event (
    account_id  uuid        not null,
    seq         bigint      not null,
    uid         uuid        not null,
    type        text        not null,
    at          timestamptz not null,
    origin      text        not null,
    body        text        compression lz4 not null,
    primary key (account_id, seq)
);
-- A record's history, and its state at any moment, are one lookup here.
create index event_record on event (account_id, uid, seq);

-- The answer to a write that carried an idempotency key: the place of its event, or why it was refused.
create table answer (
    account_id   uuid        not null,
    key          text        not null,
    request_hash bytea       not null,
    outcome      json        not null,
    at           timestamptz not null,
    primary key (account_id, key)
);
create index answer_age on answer (at);
