-- Files of the archive: the rows of a table in one period of UTC, a day of samples or a month of minutes.
CREATE TABLE archive_file (
    kind        text NOT NULL CHECK (kind IN ('sample', 'minute')),
    start       timestamptz NOT NULL,
    stop        timestamptz NOT NULL,
    path        text NOT NULL,     -- in the folder of the archive
    rows        bigint NOT NULL DEFAULT 0,
    bytes       bigint NOT NULL DEFAULT 0,
    sha256      text NOT NULL DEFAULT '',
    next_sha256 text NOT NULL DEFAULT '',  -- of the file that takes its place, where a crash came between
    written     timestamptz,       -- null: only begun, readers look into the database alone
    -- Counts writers of rows in this time; those that the file has were there at `merged`.
    changes     bigint NOT NULL DEFAULT 0,
    merged      bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (kind, start)
);
CREATE INDEX archive_file_stop ON archive_file (kind, stop);

-- Minutes of files that were taken back since: in these times only the rows of table minute count.
CREATE TABLE archive_withdrawn (
    tag_id int NOT NULL,
    start  timestamptz NOT NULL,
    stop   timestamptz NOT NULL
);
CREATE INDEX archive_withdrawn_stop ON archive_withdrawn (stop);

-- The newest sample of each tag whose newest one is in the archive, as of when its file was written.
CREATE TABLE archive_newest (LIKE sample, PRIMARY KEY (tag_id));

-- The newest sample of each tag, in the database or in the archive. Each day is asked for with its own
-- bounds, so that the planner leaves all other chunks out.
CREATE OR REPLACE FUNCTION newest_samples(wanted int[]) RETURNS SETOF sample
LANGUAGE plpgsql STABLE SET search_path = park, public AS $$
DECLARE
    same record;
    known bigint;
BEGIN
    FOR same IN SELECT day::timestamp AT TIME ZONE 'UTC' AS start, array_agg(n.tag_id) AS ids,
                       count(a.time) AS archived
                FROM newest n LEFT JOIN archive_newest a
                    ON a.tag_id = n.tag_id AND a.time >= day::timestamp AT TIME ZONE 'UTC'
                WHERE n.tag_id = ANY(wanted) GROUP BY day LOOP
        IF same.archived > 0 THEN
            -- Of the same time the row of the database is the later one.
            RETURN QUERY EXECUTE format(
                'SELECT DISTINCT ON (b.tag_id) b.time, b.value, b.received, b.tag_id, b.quality
                 FROM (SELECT s.*, 0 AS age FROM unnest($1) AS t (id) CROSS JOIN LATERAL (
                           SELECT * FROM sample WHERE tag_id = t.id AND time >= %L AND time < %L
                           ORDER BY time DESC LIMIT 1) s
                       UNION ALL SELECT a.*, 1 FROM archive_newest a WHERE a.tag_id = ANY($1)) b
                 ORDER BY b.tag_id, b.time DESC, b.age', same.start, same.start + interval '24 hours')
                USING same.ids;
        ELSE
            RETURN QUERY EXECUTE format(
                'SELECT s.* FROM unnest($1) AS t (id) CROSS JOIN LATERAL (
                    SELECT * FROM sample WHERE tag_id = t.id AND time >= %L AND time < %L
                    ORDER BY time DESC LIMIT 1) s', same.start, same.start + interval '24 hours')
                USING same.ids;
        END IF;
        GET DIAGNOSTICS known = ROW_COUNT;
        -- Where the samples of that day were deleted, older ones are looked for everywhere.
        IF known < cardinality(same.ids) THEN
            RETURN QUERY SELECT s.* FROM unnest(same.ids) AS t (id) CROSS JOIN LATERAL (
                SELECT * FROM sample WHERE sample.tag_id = t.id ORDER BY sample.time DESC LIMIT 1) s
                WHERE s.time < same.start
                    AND NOT EXISTS (SELECT FROM archive_newest a WHERE a.tag_id = t.id AND a.time >= same.start);
        END IF;
    END LOOP;
END $$;
