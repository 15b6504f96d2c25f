-- Who the watch over the balances has named: meters that began to show something else, or leaks.

-- `time` is the end of the minute in which it was noticed, `since` about when it began. Streams and
-- leaks (places) cannot be told apart; the most suspect is the first. `bias` is what that one shows
-- too much.
CREATE TABLE naming (
    time      timestamptz NOT NULL,
    component text NOT NULL,
    since     timestamptz NOT NULL,
    streams   text[] NOT NULL,
    leaks     text[] NOT NULL,
    bias      float8 NOT NULL,  -- kg/s
    test      float8 NOT NULL,  -- |z|
    PRIMARY KEY (time, component)
);
