"""The queries of the store. What can be null is made NaN, so that all rows have one size."""

from __future__ import annotations

# As many as an ingest knows by default.
GATEWAYS = """
SELECT * FROM gateway WHERE enterprise = ANY($1::text[])
ORDER BY silent DESC, enterprise, gateway LIMIT 1000"""
MODEL_PROBLEMS = "SELECT problem FROM model_problem ORDER BY number"
MODEL = "SELECT version, applied, files FROM model ORDER BY version DESC LIMIT 1"
TAGS = """
SELECT tag_id, enterprise AS owner, tag, scope, quantity, uom, kind, source, scale, shift,
       coalesce(low, 'NaN') AS low, coalesce(high, 'NaN') AS high, description
FROM tag WHERE active = $1"""
NEWEST_CYCLE = "SELECT max(cycle_us) FROM cycle"
CYCLES = """
SELECT cycle_us, tag_id, time, value, quality, alarms FROM cycle
WHERE cycle_us > $1 ORDER BY cycle_us LIMIT $2"""
IMAGE = """
SELECT tag_id, time, coalesce(value, 'NaN'), quality
FROM newest_samples(ARRAY(SELECT tag_id FROM tag WHERE active))"""
COUNT = "SELECT coalesce(sum(n), 0) FROM hour WHERE tag_id = $1 AND time >= $2 AND time < $3"
SAMPLES = """
SELECT time, coalesce(value, 'NaN'), quality FROM sample
WHERE tag_id = $1 AND time >= $2 AND time < $3 ORDER BY time LIMIT $4"""
_SERIES = """
SELECT time, amount, covered_s, coalesce(min, 'NaN'), coalesce(max, 'NaN'), coalesce(last, 'NaN'),
       quality
FROM rollup WHERE tag_id = $1 AND time >= $2 AND time < $3 ORDER BY time"""
_AMOUNTS = """
SELECT tag_id, time, amount, covered_s, quality
FROM rollup WHERE tag_id = ANY($1::int[]) AND time >= $2 AND time < $3"""
# The same of some ranges of time.
_PARTS = """
SELECT m.tag_id, m.time, m.amount, m.covered_s, m.quality
FROM unnest($1::int[]) t(tag_id), unnest($2::timestamptz[], $3::timestamptz[]) r(start, stop),
LATERAL (SELECT * FROM rollup WHERE tag_id = t.tag_id AND time >= r.start AND time < r.stop
         AND time >= $4 AND time < $5 AND covered_s > 0) m"""
ROLLUPS = ("minute", "hour", "day")
SERIES = {table: _SERIES.replace("rollup", table) for table in ROLLUPS}
PARTS = {table: _PARTS.replace("rollup", table) for table in ROLLUPS}
AMOUNTS = {table: _AMOUNTS.replace("rollup", table) for table in ROLLUPS}
# Of hours summed before there were such columns, what their samples and their cover allow at most.
MEASURED = """
SELECT tag_id, time, coalesce(measured, least(n, covered_s / 60)),
       coalesce(measured_mean, 'NaN')
FROM hour WHERE tag_id = ANY($1::int[]) AND time >= $2 AND time < $3"""
# Of each pair of gauges, by window, from the minutes that have both: the charge, say, the energy,
# and the square of the first.
PAIRS = """
SELECT p.pair::int, width_bucket(a.time, $3::timestamptz[]) - 1, sum(a.amount),
       sum(a.amount * b.amount / b.covered_s), sum(a.amount * a.amount / a.covered_s)
FROM unnest($1::int[], $2::int[]) WITH ORDINALITY p(first, second, pair)
JOIN minute a ON a.tag_id = p.first AND a.time >= $4 AND a.time < $5 AND a.covered_s > 0
JOIN minute b ON b.tag_id = p.second AND b.time >= $4 AND b.time < $5 AND b.covered_s > 0
             AND b.time = a.time
GROUP BY 1, 2"""
MINUTES_AT = """
SELECT time, tag_id, coalesce(last, 'NaN'), quality FROM minute
WHERE tag_id = ANY($1::int[]) AND time = ANY($2::timestamptz[]) AND time BETWEEN $3 AND $4
  AND covered_s > 0"""
# Of each pair of a tag and a minute, the covered minute that is nearest, before or after.
MINUTES_NEAR = """
SELECT w.time, w.tag_id, coalesce(m.last, 'NaN'), m.quality
FROM unnest($1::int[], $2::timestamptz[]) w(tag_id, time), LATERAL (
    (SELECT last, quality, w.time - time AS away FROM minute
     WHERE tag_id = w.tag_id AND time >= w.time - $3::interval AND time < w.time AND covered_s > 0
     ORDER BY time DESC LIMIT 1)
    UNION ALL
    (SELECT last, quality, time - w.time FROM minute
     WHERE tag_id = w.tag_id AND time > w.time AND time <= w.time + $3::interval AND covered_s > 0
     ORDER BY time LIMIT 1)
    ORDER BY away LIMIT 1) m"""
ALARMS = "SELECT coalesce(jsonb_agg(to_jsonb(a)), '[]') FROM alarm a"
ALARM_EVENTS = """
SELECT id, time, recorded, alarm, before, after, value, quality, who, reason, command
FROM alarm_event
WHERE time >= $1 AND time <= $2 AND (time, id) < ($2, $3)
  AND ($4::text[] IS NULL OR alarm = ANY($4)) ORDER BY time DESC, id DESC LIMIT $5"""
ANNUNCIATIONS = """
SELECT time, alarm FROM alarm_event
WHERE time > $1 AND time <= $2 AND after = 'unacknowledged' AND alarm = ANY($3::text[])
ORDER BY time"""
# A bounded number of commands waits.
QUEUE_COMMAND = """
INSERT INTO command (kind, body) SELECT $1, $2::jsonb
WHERE (SELECT count(*) FROM (SELECT FROM command WHERE done IS NULL LIMIT $3) w) < $3
RETURNING id"""
COMMAND = "SELECT id, kind, created, done, error FROM command WHERE id = $1"
CONTACTS = "SELECT * FROM contact ORDER BY last_seen DESC, id LIMIT $1 OFFSET $2"
CONTACT = "SELECT * FROM contact WHERE id = $1"
QUARANTINE = """
SELECT k.*, (SELECT count(*) FROM quarantine_sample s
             WHERE (s.enterprise, s.tag, s.reason) = (k.enterprise, k.tag, k.reason)) AS kept
FROM quarantine k WHERE $1::text IS NULL OR reason = $1
ORDER BY last_seen DESC, enterprise, tag, reason LIMIT $2 OFFSET $3"""
IS_HELD = """
SELECT FROM quarantine
WHERE enterprise = $1 AND tag = $2 AND ($3::text IS NULL OR reason = $3) LIMIT 1"""
UNIT_ERRORS = """
SELECT e.*, t.enterprise || '/' || t.tag AS tag, t.uom, t.scale, t.shift AS zero
FROM unit_error e JOIN tag t USING (tag_id) WHERE t.active AND e.answer IS NULL
ORDER BY e.state <> 'open', e.since DESC LIMIT 100"""
UNIT_ERROR_ANSWER = "SELECT answer FROM unit_error WHERE id = $1"
REGISTER_FALLS = """
SELECT f.*, t.enterprise || '/' || t.tag AS tag, t.uom, t.scale, t.shift AS zero
FROM register_fall f JOIN tag t USING (tag_id) WHERE t.active AND f.answer IS NULL
ORDER BY f.time DESC LIMIT 100"""
REGISTER_FALL_ANSWER = "SELECT answer FROM register_fall WHERE id = $1"
# Of view book_named: what stands, the newest versions, or all; of a tag and a scope where named.
BOOK = """
SELECT * FROM book_named
WHERE active AND (stands OR $1 <> 'standing') AND (newest OR $1 <> 'newest')
    AND ($2 = '' OR address = $2) AND ($3 = '' OR scope = $3 OR starts_with(scope, $3 || '/'))
ORDER BY start DESC, address, version DESC LIMIT $4 OFFSET $5"""
BOOK_VALUE = """
SELECT * FROM book_named WHERE (tag_id, start) = (SELECT tag_id, start FROM book WHERE id = $1)
ORDER BY version DESC"""
BOOK_STATES = "SELECT id, confirmed, newest FROM book_named WHERE id = ANY($1::bigint[])"
BOOK_NEWEST = """
SELECT id, address, start, stop, version, value, confirmed FROM book_named
WHERE newest AND active AND address = ANY($1::text[])"""
# When the newest period of each tag ends that has a value.
BOOK_STOPS = """
SELECT (extract(epoch FROM max(stop)) * 1000000)::bigint FROM book_named
WHERE stands AND tag_id = ANY($1::int[]) GROUP BY tag_id"""
# Of each tag and edge of windows, those that cut a period whose amount stands.
BOOK_CUTS = """
SELECT b.tag_id, e.number::int FROM book_named b
JOIN unnest($2::timestamptz[]) WITH ORDINALITY e (edge, number)
    ON b.start < e.edge AND b.stop > e.edge
WHERE b.stands AND b.tag_id = ANY($1::int[])"""
REJECTS = """
SELECT id, received, reason, detail, topic, payload, size FROM reject
WHERE ($1::text IS NULL OR reason = $1) AND id < $2 ORDER BY id DESC LIMIT $3"""
# Of all components when $1 is empty; of those at one time either all or none.
DETECTIONS = """
SELECT component, time, since, streams, leaks, bias, test, shape, rate FROM detection
WHERE ($1 = '' OR component = $1) AND time >= $2 AND time < $3 AND (streams && $4 OR leaks && $5)
ORDER BY time DESC FETCH FIRST $6 ROWS WITH TIES"""
HELD_BACK = """
SELECT component, since, until, minutes, streams, test FROM held_back
WHERE ($1 = '' OR component = $1) AND until >= $2 AND since < $3 AND streams && $4
ORDER BY since DESC LIMIT $5"""
