-- What is wrong with the model that stands in the folder of the park, while a former one runs on.
CREATE TABLE model_problem (
    number  int PRIMARY KEY,
    problem text NOT NULL
);

-- Who sends without being in the park model, and what it seems to say. Bounded; renewed with ingest's health.
CREATE TABLE contact (
    id         bigint PRIMARY KEY,
    address    text NOT NULL UNIQUE,  -- topic, node or logger that the model would have to know
    protocol   text NOT NULL,         -- of a gateway; empty: nothing of ours reads it
    mn         text NOT NULL,
    presets    jsonb NOT NULL,        -- layouts that read its JSON, the best first
    reason     text NOT NULL,
    topic      text NOT NULL,         -- of the newest message that was read
    payload    bytea NOT NULL,        -- as far as it is kept
    size       int NOT NULL,
    count      bigint NOT NULL,
    first_seen timestamptz NOT NULL,
    last_seen  timestamptz NOT NULL,
    names      jsonb NOT NULL,        -- name, value, low, high, times, uom of each
    unlisted   bigint NOT NULL        -- values whose names found no room
);
