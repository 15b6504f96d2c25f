-- Where the newest sample of each tag is, however many days of samples there are: without it, a tag
-- that is silent or has no sample yet is looked for in all of them.

-- The day (UTC) of each tag's newest sample. Whoever writes a sample notes it here; one written by hand
-- is found only when its day is noted too.
CREATE TABLE newest (
    tag_id int PRIMARY KEY,
    day    date NOT NULL
);
INSERT INTO newest SELECT t.tag_id, (s.time AT TIME ZONE 'UTC')::date FROM tag t CROSS JOIN LATERAL (
    SELECT time FROM sample WHERE tag_id = t.tag_id ORDER BY time DESC LIMIT 1) s;

-- The newest sample of each tag. Each day is asked for with its own bounds, so that the planner leaves
-- all other chunks out.
CREATE FUNCTION newest_samples(wanted int[]) RETURNS SETOF sample
LANGUAGE plpgsql STABLE SET search_path = park, public AS $$
DECLARE
    same record;
    known bigint;
BEGIN
    FOR same IN SELECT day::timestamp AT TIME ZONE 'UTC' AS start, array_agg(tag_id) AS ids
                FROM newest WHERE tag_id = ANY(wanted) GROUP BY day LOOP
        RETURN QUERY EXECUTE format(
            'SELECT s.* FROM unnest($1) AS t (tag_id) CROSS JOIN LATERAL (
                SELECT * FROM sample WHERE tag_id = t.tag_id AND time >= %L AND time < %L
                ORDER BY time DESC LIMIT 1) s', same.start, same.start + interval '24 hours')
            USING same.ids;
        GET DIAGNOSTICS known = ROW_COUNT;
        -- Where the samples of that day were deleted, older ones are looked for everywhere.
        IF known < cardinality(same.ids) THEN
            RETURN QUERY SELECT s.* FROM unnest(same.ids) AS t (id) CROSS JOIN LATERAL (
                SELECT * FROM sample WHERE sample.tag_id = t.id ORDER BY sample.time DESC LIMIT 1) s
                WHERE s.time < same.start;
        END IF;
    END LOOP;
END $$;

-- The last `count` minutes of each tag, at most four weeks older than the newest, which lies in the
-- newest hour of the tag.
CREATE FUNCTION newest_minutes(wanted int[], count int) RETURNS SETOF minute
LANGUAGE plpgsql STABLE SET search_path = park, public AS $$
DECLARE
    same record;
BEGIN
    FOR same IN SELECT date_bin('7 days', h.time, '2000-01-01') AS start, array_agg(t.id) AS ids
                FROM unnest(wanted) AS t (id) CROSS JOIN LATERAL (
                    SELECT time FROM hour WHERE tag_id = t.id ORDER BY time DESC LIMIT 1) h
                GROUP BY 1 LOOP
        RETURN QUERY EXECUTE format(
            'SELECT m.* FROM unnest($1) AS t (tag_id) CROSS JOIN LATERAL (
                SELECT * FROM minute WHERE tag_id = t.tag_id AND time >= %L AND time < %L
                ORDER BY time DESC LIMIT $2) m',
            same.start - interval '28 days', same.start + interval '169 hours') USING same.ids, count;
    END LOOP;
END $$;
