-- On a full table: only creates tables, so it takes no lock that anyone waits for. Replicas of the version before erase no
-- contact and know none of these tables.

-- Contacts that are being erased, and those that were. `seq` is the event that erased the contact, and `uids` are the
-- contact and those merged into it. The log is searched up to `scanned`; once it is searched whole, up to `through`, no later
-- event holds the person's data. `related` are the records whose events were changed. `texts` are the person's addresses
-- and telephone numbers, by which ids and keys of clients are searched; they go at the end.
create table erasure (
    account_id  uuid        not null,
    uid         uuid        not null,
    seq         bigint      not null,
    stage       text        not null,
    uids        uuid[]      not null default '{}',
    texts       text[]      not null default '{}',
    related     uuid[]      not null default '{}',
    scanned     bigint      not null default 0,
    through     bigint,
    events      bigint      not null default 0,
    messages    bigint      not null default 0,
    begun_at    timestamptz not null default clock_timestamp(),
    done_at     timestamptz,
    primary key (account_id, uid)
);
create index erasure_pending on erasure (account_id, uid) where done_at is null;

-- The replicas that hold nothing of an erased contact in memory any more, each by its owner session.
create table erasure_confirmation (
    account_id    uuid        not null,
    uid           uuid        not null,
    backend_pid   integer     not null,
    backend_start timestamptz not null,
    primary key (account_id, uid, backend_pid, backend_start)
);

-- Events whose messages an erasure took out of the stream. The stream has gaps there that no repair fills.
create table removed_message (
    account_id  uuid        not null,
    seq         bigint      not null,
    primary key (account_id, seq)
);
