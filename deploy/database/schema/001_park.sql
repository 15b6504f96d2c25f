-- The park database. Applied by the programs, in file order, under an advisory lock.
-- Values are coherent SI float64; `uom`, `scale` and `shift` of a tag take them back to the site's own
-- unit of measure: value_in_uom = (value - shift) / scale.

CREATE TABLE model (
    version  int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    applied  timestamptz NOT NULL DEFAULT now(),
    digest   text NOT NULL,
    files    jsonb NOT NULL
);

CREATE TABLE tag (
    tag_id      int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    enterprise  text NOT NULL,
    tag         text NOT NULL,
    scope       text NOT NULL,
    quantity    text NOT NULL,
    uom         text NOT NULL,
    kind        text NOT NULL CHECK (kind IN ('gauge', 'counter', 'state')),
    source      text NOT NULL CHECK (source IN ('measured', 'derived', 'manual')),
    scale       float8 NOT NULL,
    shift       float8 NOT NULL,
    low         float8,
    high        float8,
    sigma       text NOT NULL DEFAULT '',
    description text NOT NULL DEFAULT '',
    active      boolean NOT NULL DEFAULT true,
    UNIQUE (enterprise, tag)
);

-- The wide columns come first, here and in `minute`: in this order PostgreSQL pads nothing.
CREATE TABLE sample (
    time     timestamptz NOT NULL,
    value    float8,
    received timestamptz NOT NULL,
    tag_id   int NOT NULL,
    quality  smallint NOT NULL
);
SELECT create_hypertable('sample', 'time', chunk_time_interval => interval '1 day',
                         create_default_indexes => false);
CREATE UNIQUE INDEX sample_tag_time ON sample (tag_id, time);

-- Additive amounts per tag and minute. `amount` is the time integral of a gauge (W -> J, kg/s -> kg,
-- m -> m s), the increase of a counter, the seconds a state was not zero. `covered_s` is the time
-- for which there was usable data; the mean of a gauge is amount / covered_s.
CREATE TABLE minute (
    time      timestamptz NOT NULL,
    amount    float8 NOT NULL,
    covered_s float8 NOT NULL,
    min       float8,
    max       float8,
    last      float8,
    tag_id    int NOT NULL,
    n         int NOT NULL,
    quality   smallint NOT NULL
);
SELECT create_hypertable('minute', 'time', chunk_time_interval => interval '7 days',
                         create_default_indexes => false);
CREATE UNIQUE INDEX minute_tag_time ON minute (tag_id, time);

-- Sums of minutes over local hours and days of the park's time zone.
CREATE TABLE hour (LIKE minute, PRIMARY KEY (tag_id, time));
CREATE TABLE day (LIKE minute, PRIMARY KEY (tag_id, time));

-- Intervals of minutes that a late or corrected sample changed after they had been written.
CREATE TABLE restatement (
    created timestamptz NOT NULL,
    tag_id  int NOT NULL,
    start   timestamptz NOT NULL,
    stop    timestamptz NOT NULL
);
CREATE INDEX restatement_created ON restatement (created);

CREATE TABLE correction (
    tag_id      int NOT NULL,
    time        timestamptz NOT NULL,
    old_value   float8,
    old_quality smallint NOT NULL,
    old_received timestamptz NOT NULL,
    corrected   timestamptz NOT NULL
);
CREATE INDEX correction_tag_time ON correction (tag_id, time);

CREATE TABLE quarantine (
    enterprise text NOT NULL,
    tag        text NOT NULL,
    reason     text NOT NULL,
    topic      text NOT NULL,
    count      bigint NOT NULL,
    first_seen timestamptz NOT NULL,
    last_seen  timestamptz NOT NULL,
    last_time  timestamptz,
    last_value float8,
    PRIMARY KEY (enterprise, tag, reason)
);

CREATE TABLE reject (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    received timestamptz NOT NULL,
    reason   text NOT NULL,
    detail   text NOT NULL,
    topic    text NOT NULL,
    payload  bytea NOT NULL,
    size     int NOT NULL
);

CREATE TABLE alarm (
    alarm   text PRIMARY KEY,
    tag_id  int,
    state   text NOT NULL,
    since   timestamptz NOT NULL,
    value   float8
);

CREATE TABLE command (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    created  timestamptz NOT NULL DEFAULT now(),
    kind     text NOT NULL,
    body     jsonb NOT NULL,
    done     timestamptz
);

-- What one cycle changed in the image, as four numpy columns in bytea: the wake-up for the readers.
-- Rows older than the feed horizon are dropped by ingest; a crash may empty it, samples are the truth.
CREATE UNLOGGED TABLE cycle (
    cycle_us bigint PRIMARY KEY,
    written  timestamptz NOT NULL DEFAULT now(),
    tag_id   bytea NOT NULL,  -- int32, little endian
    time     bytea NOT NULL,  -- int64 microseconds since 1970, UTC
    value    bytea NOT NULL,  -- float64, SI
    quality  bytea NOT NULL   -- uint8
);

-- For people and Grafana. numeric keeps 15 digits, so that 36.4 t/h reads 36.4 after its way through SI.
CREATE VIEW sample_named AS
SELECT s.time, t.enterprise, t.tag,
       CASE WHEN s.value = 'NaN' THEN s.value ELSE ((s.value - t.shift) / t.scale)::numeric::float8 END AS value,
       t.uom, s.quality, t.scope, s.received
FROM sample s JOIN tag t USING (tag_id);
