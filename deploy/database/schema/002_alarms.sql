-- Alarms: their present state, their journal, the orders of operators.

-- One row for each alarm of the model in use. `since`, `who`, `reason`, `until`, `value` belong to the
-- present state: who acknowledged it when, who shelved it until when and why, the value [SI] that the
-- tag had when the state changed. `quality` is that of the tag's newest sample, bad when it is stale.
ALTER TABLE alarm
    ADD COLUMN priority     text NOT NULL DEFAULT 'low',
    ADD COLUMN limit_value  float8,  -- SI
    ADD COLUMN quality      smallint NOT NULL DEFAULT 132,
    ADD COLUMN active_since timestamptz,  -- since when the value is beyond the limit; null: it is not
    ADD COLUMN until        timestamptz,
    ADD COLUMN who          text,
    ADD COLUMN reason       text;

-- Every change of a state. `time` is when it was true, `recorded` the cycle that found it.
CREATE TABLE alarm_event (
    id       bigint GENERATED ALWAYS AS IDENTITY,
    time     timestamptz NOT NULL,
    recorded timestamptz NOT NULL,
    alarm    text NOT NULL,
    before   text NOT NULL,
    after    text NOT NULL,
    value    float8,  -- SI
    quality  smallint NOT NULL,
    who      text,
    reason   text,
    command  bigint
);
SELECT create_hypertable('alarm_event', 'time', chunk_time_interval => interval '30 days',
                         create_default_indexes => false);
CREATE INDEX alarm_event_time ON alarm_event (time DESC, id DESC);

-- What an operator asks of the next cycle. `done` is when it was taken, `error` why nothing came of it.
ALTER TABLE command ADD COLUMN error text;
CREATE INDEX command_pending ON command (id) WHERE done IS NULL;

-- The rows of table alarm that a cycle changed, for the readers.
ALTER TABLE cycle ADD COLUMN alarms jsonb NOT NULL DEFAULT '[]';
