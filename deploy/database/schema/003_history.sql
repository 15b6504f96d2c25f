-- Files with recorded history, and what they did behind the back of a running cycle.

-- One row for each file that was imported by one map into one model. `taken` rows of it are committed.
CREATE TABLE import (
    digest   text PRIMARY KEY,
    name     text NOT NULL,
    started  timestamptz NOT NULL DEFAULT now(),
    changed  timestamptz NOT NULL DEFAULT now(),
    taken    bigint NOT NULL DEFAULT 0,
    counts   jsonb NOT NULL DEFAULT '{}',
    finished boolean NOT NULL DEFAULT false
);

-- Tags whose newest sample or open minute somebody else than the cycle has changed. A cycle that meets a
-- version it has not seen reads these tags back before it goes on.
CREATE TABLE touched (
    tag_id  int PRIMARY KEY,
    version bigint NOT NULL
);
CREATE INDEX touched_version ON touched (version);
CREATE SEQUENCE touched_versions;
