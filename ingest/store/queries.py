"""The statements of the store."""

from ingest.store.table import upsert

# A minute without data shows in covered_s; it does not make the quality of the others bad.
# The sum is made inside, so that each hour is looked up by the index: joined to all minutes of
# its tag, the work would grow with the square of the time. A day is summed of its hours, which are
# renewed before it: of its minutes, each minute that is added would cost all those before it.
ROLLUP = """
INSERT INTO {table} (time, tag_id, n, amount, covered_s, min, max, last, quality)
SELECT t.start, t.tag_id, s.*
FROM (SELECT DISTINCT u.tag_id, date_trunc('{table}', u.time, $3) AS start
      FROM unnest($1::int[], $2::timestamptz[]) AS u (tag_id, time)) t
CROSS JOIN LATERAL (
    SELECT sum(m.n), sum(m.amount ORDER BY m.time), sum(m.covered_s ORDER BY m.time),
       min(m.min), max(m.max),
       (array_agg(m.last ORDER BY m.time DESC) FILTER (WHERE m.last IS NOT NULL))[1],
       (coalesce(max(m.quality & 223) FILTER (WHERE m.covered_s > 0), max(m.quality & 223))
        | bit_or(m.quality & 32))::smallint
    FROM {parts} m WHERE tag_id = t.tag_id AND time >= t.start
       AND time < {stop}
       AND time >= $4 AND time < $5
    HAVING count(*) > 0) s
ON CONFLICT (tag_id, time) DO UPDATE SET n = excluded.n, amount = excluded.amount,
    covered_s = excluded.covered_s, min = excluded.min, max = excluded.max, last = excluded.last,
    quality = excluded.quality
"""
# A day has as many hours as its time zone gives it, an hour is an hour even when the clocks change.
ROLLUPS = {
    "hour": ROLLUP.format(table="hour", parts="minute", stop="t.start + interval '1 hour'"),
    "day": ROLLUP.format(
        table="day",
        parts="hour",
        stop="(t.start AT TIME ZONE $3 + interval '1 day') AT TIME ZONE $3",
    ),
}
# One row per interval: the sample before it, those in it, the one after it.
INTERVAL = """
SELECT w.number, s.time, s.value, s.quality
FROM read_interval w CROSS JOIN LATERAL (
    (SELECT time, value, quality FROM sample
     WHERE tag_id = w.tag_id AND time < w.start AND time >= w.since
       AND (NOT w.counter OR quality < 128) ORDER BY time DESC LIMIT 1)
    UNION ALL
    (SELECT time, value, quality FROM sample
     WHERE tag_id = w.tag_id AND time >= w.start AND time < w.stop)
    UNION ALL
    (SELECT time, value, quality FROM sample
     WHERE tag_id = w.tag_id AND time >= w.stop AND time < w.until
       AND (NOT w.counter OR quality < 128) ORDER BY time LIMIT 1)) s
ORDER BY w.number, s.time
"""
TEMPORARY = """
CREATE TEMP TABLE staged (LIKE sample) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE read_interval (number int, tag_id int, counter boolean, since timestamptz,
    start timestamptz, stop timestamptz, until timestamptz) ON COMMIT DELETE ROWS;
"""
UPSERT_TAGS = (
    upsert(
        "tag",
        "enterprise text, tag text, scope text, quantity text, uom text, kind text, source text,"
        " scale float8, shift float8, low float8, high float8, sigma text, description text",
        "enterprise, tag",
    )
    + ", active = true RETURNING tag_id, enterprise, tag"
)
NEWEST = """
SELECT t.number, s.time, s.value, s.quality, s.received, m.time AS minute
FROM unnest($1::int[]) WITH ORDINALITY AS t (tag_id, number)
LEFT JOIN LATERAL (SELECT * FROM sample WHERE tag_id = t.tag_id AND time < $2
                   ORDER BY time DESC LIMIT 1) s ON true
LEFT JOIN LATERAL (SELECT time FROM minute WHERE tag_id = t.tag_id
                   ORDER BY time DESC LIMIT 1) m ON true
ORDER BY t.number
"""
# What was marked here (quality 77 to 80, less the simulated flag) came as good; a bad unit error,
# 143, came as out of range.
SAID = """CASE WHEN {0}.quality & 223 BETWEEN 77 AND 80 THEN {0}.quality & 32
    WHEN {0}.quality & 223 = 143 THEN {0}.quality & 32 | 65 ELSE {0}.quality END"""
# A value that was rescaled since may come again as it was: that corrects nothing.
DIFFERS = f"""(s.value, {SAID.format("s")}) IS DISTINCT FROM (n.value, {SAID.format("n")})
    AND NOT EXISTS (SELECT FROM unit_error e JOIN correction c ON c.tag_id = e.tag_id
        AND c.corrected = e.answered AND c.time = s.time AND c.old_value = n.value
        WHERE e.tag_id = s.tag_id AND e.answer = 'rescale' AND s.time BETWEEN e.since AND e.last)"""
KEEP_CLASHES = """
WITH clash AS (
    SELECT s.tag_id, s.time, s.value, s.quality, s.received, n.received AS corrected
    FROM staged n JOIN sample s ON s.tag_id = n.tag_id AND s.time = n.time
    WHERE s.time BETWEEN $1 AND $2 AND differs)
INSERT INTO correction SELECT * FROM clash RETURNING tag_id, time
""".replace("differs", DIFFERS)
CORRECT = """
UPDATE sample s SET value = n.value, quality = n.quality, received = n.received
FROM staged n WHERE s.tag_id = n.tag_id AND s.time = n.time
    AND s.time BETWEEN $1 AND $2 AND differs
""".replace("differs", DIFFERS)
ADD_STAGED = """
INSERT INTO sample (time, tag_id, value, quality, received)
SELECT time, tag_id, value, quality, received FROM staged
ON CONFLICT (tag_id, time) DO NOTHING RETURNING tag_id, time
"""
NEIGHBOURS = """
SELECT coalesce((SELECT time FROM sample WHERE tag_id = w.tag_id AND time < w.start
          AND time >= w.start - $4::interval AND quality < 128
          ORDER BY time DESC LIMIT 1), w.start) AS a,
       coalesce((SELECT time FROM sample WHERE tag_id = w.tag_id AND time >= w.stop
          AND time < w.stop + $4::interval AND quality < 128
          ORDER BY time LIMIT 1), w.stop) AS b
FROM unnest($1::int[], $2::timestamptz[], $3::timestamptz[])
    WITH ORDINALITY AS w (tag_id, start, stop, number)
ORDER BY w.number
"""
UPSERT_MINUTES = upsert(
    "minute",
    "time timestamptz, amount float8, covered_s float8, min float8, max float8, last float8,"
    " tag_id int, n int, quality smallint",
    "tag_id, time",
)
WAKE = """
INSERT INTO cycle (cycle_us, tag_id, time, value, quality) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (cycle_us) DO NOTHING
"""
FORGET_CYCLES = """
DELETE FROM cycle WHERE cycle_us < (
    SELECT min(cycle_us) FROM (SELECT cycle_us FROM cycle
                               ORDER BY cycle_us DESC LIMIT $1) newest)
"""
DROP_MINUTES = """
DELETE FROM minute m USING unnest($1::int[], $2::timestamptz[], $3::timestamptz[])
    AS w (tag_id, start, stop)
WHERE m.tag_id = w.tag_id AND m.time >= w.start AND m.time < w.stop
    AND m.time >= $4 AND m.time < $5
"""
DROP_SUMS = """
DELETE FROM {table} s USING (
    SELECT DISTINCT u.tag_id, date_trunc('{table}', u.time, $3) AS start
    FROM unnest($1::int[], $2::timestamptz[]) AS u (tag_id, time)) t
WHERE s.tag_id = t.tag_id AND s.time = t.start
"""
# Of each tag, how the good of its last covered minutes lay: their quartiles, and how wide each was.
LEVELS = """
SELECT t.number, sum(m.covered_s) AS covered_s, sum(m.n)::bigint AS n,
       percentile_cont(ARRAY[0.25, 0.5, 0.75]) WITHIN GROUP (ORDER BY m.amount / m.covered_s)
           AS means,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY m.max - m.min) AS width
FROM unnest($1::int[]) WITH ORDINALITY AS t (tag_id, number)
CROSS JOIN LATERAL (SELECT * FROM minute WHERE tag_id = t.tag_id AND covered_s > 0
                    ORDER BY time DESC LIMIT $2) m
WHERE m.quality & 223 < 64
GROUP BY t.number
"""
COVERED_MINUTES = """
SELECT tag_id, time, amount, covered_s, coalesce(last, 'NaN') FROM minute
WHERE tag_id = ANY($1::int[]) AND time >= $2 AND time < $3 AND covered_s > 0
"""
# A tag's samples, for who derives the past again.
SAMPLES = """
SELECT tag_id, time, value, quality FROM sample
WHERE tag_id = ANY($1::int[]) AND time > $2::timestamptz AND time <= $3::timestamptz
"""
MODEL_DIGEST = "SELECT digest FROM model ORDER BY version DESC LIMIT 1"
OCCUPIED = """
SELECT w.number, r.first, r.last
FROM unnest($1::int[], $2::timestamptz[], $3::timestamptz[])
    WITH ORDINALITY AS w (tag_id, start, stop, number)
CROSS JOIN LATERAL (SELECT min(time) AS first, max(time) AS last FROM {table}
    WHERE tag_id = w.tag_id AND time >= w.start AND time < w.stop AND time >= $4 AND time < $5) r
WHERE r.first IS NOT NULL
"""
