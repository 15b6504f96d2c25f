-- Samples in quarantine, kept until their tag is adopted, they are released or dropped.

-- As they came: `value` in `uom`, or in the tag's own uom where that is empty. Bounded; the oldest go first.
CREATE TABLE quarantine_sample (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    enterprise text NOT NULL,
    tag        text NOT NULL,
    reason     text NOT NULL,
    time       timestamptz NOT NULL,
    value      float8,
    quality    smallint NOT NULL,
    uom        text NOT NULL,
    received   timestamptz NOT NULL
);
CREATE INDEX quarantine_sample_tag ON quarantine_sample (enterprise, tag, reason, id);
