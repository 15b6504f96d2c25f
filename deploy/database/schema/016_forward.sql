-- What is owed to an authority, by its name of the logger and the command: from `until` on nothing was sent
-- yet; before it the pieces of time from `owed_start` to `owed_stop` are missing there.
CREATE TABLE forward (
    mn         text NOT NULL,
    cn         text NOT NULL,
    until      timestamptz NOT NULL,
    owed_start timestamptz[] NOT NULL DEFAULT '{}',
    owed_stop  timestamptz[] NOT NULL DEFAULT '{}',
    sent       bigint NOT NULL DEFAULT 0,
    refused    bigint NOT NULL DEFAULT 0,
    lost       bigint NOT NULL DEFAULT 0, -- intervals too old to be sent any more
    problem    text NOT NULL DEFAULT '',  -- what the authority said last, empty after a success
    changed    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (mn, cn)
);
