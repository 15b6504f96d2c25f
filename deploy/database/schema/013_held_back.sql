-- Times in which the monitor of the balances held tests back: flows that moved may have left in pipes
-- and vessels without a level what the tests would have named.

-- Minutes that are at most five apart are one row. `streams` are those that moved, in the order in
-- which they were first named; `test` is the greatest |z| of a test that was held back.
CREATE TABLE held_back (
    component text NOT NULL,
    since     timestamptz NOT NULL,
    until     timestamptz NOT NULL,
    minutes   int NOT NULL,
    streams   text[] NOT NULL,
    test      float8 NOT NULL,
    PRIMARY KEY (component, since)
);
