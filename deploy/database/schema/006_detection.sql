-- Gross errors that the monitor of the balances has found: meters that began to show something
-- else, or leaks.

-- `time` is the end of the minute in which it was found, `since` about when it began. Streams and
-- leaks (nodes) are candidates that cannot be told apart; the most suspect is the first. `bias` is
-- how much that one shows too much.
CREATE TABLE detection (
    time      timestamptz NOT NULL,
    component text NOT NULL,
    since     timestamptz NOT NULL,
    streams   text[] NOT NULL,
    leaks     text[] NOT NULL,
    bias      float8 NOT NULL,  -- kg/s
    test      float8 NOT NULL,  -- |z|
    PRIMARY KEY (time, component)
);
