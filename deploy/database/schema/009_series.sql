-- What samples and sums mean, kept apart from what the park model says today.

-- A tag is one series: values of one quantity, kind and source. When the model changes one of these, the
-- series loses its name to a new one: it is called tag@series from then on, is not active, and gets the
-- name back when the model returns to it.
ALTER TABLE tag
    ADD COLUMN series text NOT NULL GENERATED ALWAYS AS (quantity || '.' || kind || '.' || source) STORED;

-- The clock on which hours and days are summed: the time zone of the park.

-- One row. While tags are summed again for another zone, those after number `done` are still on the
-- clock before it; null when all of them are on this one.
CREATE TABLE clock (
    one  boolean PRIMARY KEY DEFAULT true CHECK (one),
    zone text NOT NULL,
    done int
);
