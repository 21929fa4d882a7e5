-- On a full table: the columns come without rewriting a table; then each endpoint, of which an account has a few dozen
-- at most, is written once for its secret. Replicas of the version before cannot read endpoints from then on: their
-- deliveries wait for the replicas that are started next.

-- `secrets` holds the present one and those before it that still sign, each as it is kept: sealed under a master key,
-- or its text where there is none. `secrets_until` says when each ends; null is the present one.
-- `revision` is raised with every change of the settings, so that whoever works by them sees that they are old.
-- `reported` is what the log was last told of the endpoint's health.
alter table push_endpoint
    add column fields         text[]      not null default '{}',
    add column mode           text        not null default 'single',
    add column max_batch      integer     not null default 100,
    add column debounce_ms    integer     not null default 0,
    add column send_window    integer     not null default 32,
    add column rate           integer,
    add column headers        json        not null default '[]',
    add column signature      text        not null default 'hmac',
    add column secrets        bytea[]     not null default '{}',
    add column secrets_until  timestamptz[] not null default '{}',
    add column revision       bigint      not null default 0,
    add column reported       text        not null default 'well';
update push_endpoint set secrets = array[convert_to(secret, 'UTF8')], secrets_until = array[null::timestamptz];
alter table push_endpoint drop column secret;

-- Stretches of the log above `seq` that were dealt with before the cursor went back, as pairs: after, through.
alter table push_cursor add column passed bigint[] not null default '{}';

-- What an endpoint's place shall become. It stays here until whoever owns the shard has moved the place.
create table push_order (
    account_id  uuid        not null,
    endpoint_id uuid        not null,
    order_id    uuid        not null,
    kind        text        not null,
    from_seq    bigint      not null,
    to_seq      bigint,
    at          timestamptz not null,
    primary key (account_id, endpoint_id, order_id)
);

-- Attempts to deliver. A partition per day, so that old ones go without a trace in the others. `body` is the beginning
-- of what the receiver answered.
create table push_attempt (
    account_id  uuid        not null,
    endpoint_id uuid        not null,
    attempt_id  uuid        not null,
    at          timestamptz not null,
    seq         bigint      not null,
    webhook_id  text        not null,
    trigger     text        not null,
    outcome     text        not null,
    status      integer,
    error       text,
    duration_ms integer     not null,
    bytes       bigint      not null,
    body        bytea       not null,
    primary key (account_id, endpoint_id, attempt_id, at)
) partition by range (at);

-- The read model of what the log says of endpoints' health, in the shape of the other kinds of records.
create table push_health (
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
