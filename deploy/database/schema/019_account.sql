-- Who may use the twin. An account never goes: what was ordered by it stays its. `scope` is what it is for, empty =
-- the whole park. `password` is a hash of Argon2id, null until the first one is set.
CREATE TABLE account (
    name         text PRIMARY KEY CHECK (name ~ '^[a-z0-9][a-z0-9._-]{0,39}$'),
    role         text NOT NULL CHECK (role IN ('viewer', 'operator', 'engineer', 'administrator', 'auditor')),
    scope        text NOT NULL DEFAULT '',
    password     text,
    locked       boolean NOT NULL DEFAULT false,
    failed       int NOT NULL DEFAULT 0,   -- wrong passwords since the last right one
    failed_last  timestamptz,
    created      timestamptz NOT NULL,
    created_by   text NOT NULL,
    seen         timestamptz
);
-- What opens the door of an account; of each secret only the SHA-256 is kept. A session is of a browser and is
-- renewed while it is used; a token is of a program and ends at its time; an invitation sets a password, once.
CREATE TABLE credential (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    digest  bytea NOT NULL UNIQUE,
    kind    text NOT NULL CHECK (kind IN ('session', 'token', 'invitation')),
    account text NOT NULL REFERENCES account (name),
    label   text NOT NULL DEFAULT '',
    role    text,                          -- of a token that may do less than its account
    created timestamptz NOT NULL,
    used    timestamptz NOT NULL,          -- renewed once a minute at the most
    until   timestamptz NOT NULL,
    ended   timestamptz                    -- revoked, or used up
);
CREATE INDEX credential_account ON credential (account, kind);
-- What happened at the doors and what was ordered. Each row has the digest of itself and the one before, made with a
-- key that is not in the database.
CREATE TABLE audit (
    number   bigint PRIMARY KEY,
    time     timestamptz NOT NULL,
    account  text NOT NULL,
    address  text NOT NULL,
    action   text NOT NULL,
    subject  text NOT NULL,
    outcome  text NOT NULL,
    digest   bytea NOT NULL
);
