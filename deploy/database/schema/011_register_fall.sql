-- Falls of the registers of counters over which not all of the rise is known: reset, replaced, or misread.

-- The register stood at `before` when it was read at `since`, and at `after` when it was next read, at `time`.
-- A row goes when later samples explain the fall. `answer` is that of an operator: replace (with the last
-- reading of the old meter and the first of the new one) or dismiss; who gave it is in the body of the command.
CREATE TABLE register_fall (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tag_id   int NOT NULL,
    since    timestamptz NOT NULL,
    before   float8 NOT NULL,  -- SI
    time     timestamptz NOT NULL,
    after    float8 NOT NULL,  -- SI
    answer   text CHECK (answer IN ('replace', 'dismiss')),
    answered timestamptz,
    command  bigint,
    UNIQUE (tag_id, time)
);
