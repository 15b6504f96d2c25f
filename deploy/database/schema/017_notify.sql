-- Who is told of alarms, by the id of the row in the model. `seen` is the number in table alarm_event until
-- which the journal was looked at; of the numbers in `owed` nobody has been told yet.
CREATE TABLE notify (
    id      text PRIMARY KEY,
    seen    bigint NOT NULL,
    owed    bigint[] NOT NULL DEFAULT '{}',
    sent    bigint NOT NULL DEFAULT 0,     -- messages
    alarms  bigint NOT NULL DEFAULT 0,     -- alarms in them
    failed  bigint NOT NULL DEFAULT 0,     -- attempts
    dropped bigint NOT NULL DEFAULT 0,     -- alarms nobody was told of: too many, or too old
    problem text NOT NULL DEFAULT '',      -- of the newest attempt, empty after a success
    last    timestamptz,                   -- when a message was taken
    changed timestamptz NOT NULL DEFAULT now()
);
