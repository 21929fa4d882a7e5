-- On a full table: creates empty tables and adds columns without a default or with a constant one, which rewrites nothing and
-- locks each table for a moment. Replicas of the version before insert into none of them by position.

-- A person who signs in to the console. `password` is an argon2id hash in PHC form, null until it is chosen; `totp` is the
-- secret of the second factor, sealed under a master key, and `totp_step` the last time step whose code was used.
create table console_user (
    account_id      uuid        not null,
    user_id         uuid        not null,
    email           text        not null,
    password        text,
    role            text        not null,
    state           text        not null,
    totp            bytea,
    totp_step       bigint      not null default 0,
    created_at      timestamptz not null,
    signed_in_at    timestamptz,
    primary key (account_id, user_id)
);
create unique index console_user_email on console_user (account_id, email);
-- Signing in names an email address and no account.
create index console_user_by_email on console_user (email);

-- A browser that is signed in. Only the hash of its token is stored.
create table console_session (
    account_id  uuid        not null,
    token_hash  bytea       not null,
    user_id     uuid        not null,
    session_id  uuid        not null,
    created_at  timestamptz not null,
    used_at     timestamptz not null,
    expires_at  timestamptz not null,
    address     inet,
    user_agent  text        not null,
    primary key (account_id, token_hash)
);
create index console_session_user on console_session (account_id, user_id);
create index console_session_expiry on console_session (expires_at);

-- Links that work once: invitations, password resets, the first set-up, and the second step of signing in. The first set-up
-- belongs to no account yet, and has the nil UUID.
create table console_link (
    account_id  uuid        not null,
    token_hash  bytea       not null,
    user_id     uuid        not null,
    purpose     text        not null,
    created_at  timestamptz not null,
    expires_at  timestamptz not null,
    primary key (account_id, token_hash)
);
create index console_link_user on console_link (account_id, user_id);
create index console_link_expiry on console_link (expires_at);

-- Attempts to sign in within a window, by the hash of the email address or of the client's network.
create table sign_in_throttle (
    subject     bytea       not null primary key,
    attempts    integer     not null,
    began_at    timestamptz not null
);
create index sign_in_throttle_began on sign_in_throttle (began_at);

-- The client's address, where a change came from a browser.
alter table audit add column address inet;

-- White Label Visibility: "Limit Secure API to Super Admins".
alter table account add column secure_api_limited boolean not null default false;

-- The page or address at which a brand's users get help.
alter table brand add column support_url text;

-- The first characters of a secret key, by which people tell their keys apart; null for keys from before.
alter table account_key add column prefix text;
