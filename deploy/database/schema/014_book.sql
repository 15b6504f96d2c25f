-- Book data: values that people enter by tag and period, as no meter gives them.

-- A tag of kind amount has an amount for each period.
ALTER TABLE tag DROP CONSTRAINT tag_kind_check;
ALTER TABLE tag ADD CONSTRAINT tag_kind_check CHECK (kind IN ('gauge', 'counter', 'state', 'amount'));

-- One row for each version of a value; none is ever changed but to confirm it. `start` = `stop`: it is true at
-- that instant. `value` is SI, `entered` what the person wrote, in `uom`. A draft is not confirmed yet.
-- `meter_id` is the tag whose sum is compared with it. `reason` is that of a correction.
CREATE TABLE book (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tag_id       int NOT NULL,
    start        timestamptz NOT NULL,
    stop         timestamptz NOT NULL,
    version      int NOT NULL,
    value        float8 NOT NULL,
    entered      float8 NOT NULL,
    uom          text NOT NULL,
    meter_id     int,
    evidence     text NOT NULL DEFAULT '',
    note         text NOT NULL DEFAULT '',
    reason       text NOT NULL DEFAULT '',
    recorded     timestamptz NOT NULL,
    recorded_by  text NOT NULL,
    confirmed    timestamptz,
    confirmed_by text,
    command      bigint NOT NULL,
    UNIQUE (tag_id, start, version)
);

-- Versions with what the meter says of the same time. `newest`: no later version; `stands`: the newest confirmed
-- one, which is the sample of its tag, and what its hours and days are made of.
CREATE VIEW book_named AS
SELECT b.*, t.enterprise || '/' || t.tag AS address, t.scope, t.quantity, t.kind, t.active, t.scale, t.shift,
       t.uom AS tag_uom, m.enterprise || '/' || m.tag AS meter, d.amount AS metered, d.covered_s AS metered_s
FROM (SELECT *, version = max(version) OVER same AS newest,
             coalesce(version = max(version) FILTER (WHERE confirmed IS NOT NULL) OVER same, false) AS stands
      FROM book WINDOW same AS (PARTITION BY tag_id, start)) b
JOIN tag t USING (tag_id) LEFT JOIN tag m ON m.tag_id = b.meter_id
LEFT JOIN LATERAL (
    SELECT sum(amount) AS amount, sum(covered_s) AS covered_s FROM day
    WHERE tag_id = b.meter_id AND time >= b.start AND time < b.stop) d ON b.meter_id IS NOT NULL;
