-- Energy baselines: fitted models and non-routine adjustments. Rows are added, never changed.

-- A new fit is a new version. `start` and `stop` are the base period, `digest` the SHA-256 of what was fitted,
-- `park` the digest of the park model, `model` the coefficients and their statistics in SI.
CREATE TABLE baseline (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    baseline  text NOT NULL,
    version   int NOT NULL,
    start     timestamptz NOT NULL,
    stop      timestamptz NOT NULL,
    model     jsonb NOT NULL,
    digest    text NOT NULL,
    park      text NOT NULL,
    reason    text NOT NULL DEFAULT '',
    fitted    timestamptz NOT NULL,
    fitted_by text NOT NULL,
    command   bigint NOT NULL UNIQUE,
    UNIQUE (baseline, version)
);

-- Energy [J] that is added to what a baseline expects from `start` to `stop`, spread evenly, and why. Of the same
-- time the newest version stands; 0 takes one back.
CREATE TABLE baseline_adjustment (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    baseline    text NOT NULL,
    version     int NOT NULL,
    start       timestamptz NOT NULL,
    stop        timestamptz NOT NULL,
    amount      float8 NOT NULL,
    reason      text NOT NULL,
    evidence    text NOT NULL DEFAULT '',
    recorded    timestamptz NOT NULL,
    recorded_by text NOT NULL,
    command     bigint NOT NULL UNIQUE,
    CHECK (start < stop),
    UNIQUE (baseline, start, stop, version)
);
