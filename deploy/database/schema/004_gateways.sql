-- Gateways as ingest hears them: one row for each that has sent anything, renewed with ingest's health.

CREATE TABLE gateway (
    enterprise  text NOT NULL,
    gateway     text NOT NULL,
    topic       text NOT NULL,  -- of its newest message
    first_heard timestamptz NOT NULL,
    last_heard  timestamptz NOT NULL,
    messages    bigint NOT NULL,
    samples     bigint NOT NULL,
    rejected    bigint NOT NULL,
    duplicates  bigint NOT NULL,
    late        bigint NOT NULL,
    dropped     bigint NOT NULL,  -- messages at QoS 0 beyond its share
    pause_s     float8,           -- what usually lies between two of its messages
    delay_s     float8,           -- received minus newest time: its smallest, as a rule
    skew_s      float8,           -- how far its clock is ahead (negative: behind), as no delay explains
    silent      boolean NOT NULL,
    skewed      boolean NOT NULL, -- by more than the limit: its samples are uncertain
    runaway     boolean NOT NULL, -- sends more than its share now
    PRIMARY KEY (enterprise, gateway)
);
