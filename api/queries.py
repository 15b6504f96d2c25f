"""The queries of the store. What can be null is made NaN, so that all rows have one size."""

from __future__ import annotations

# As many as an ingest knows by default.
GATEWAYS = """
SELECT g.*, coalesce(r.messages, 0) AS broker_refused
FROM gateway g LEFT JOIN gateway_refusal r USING (enterprise, gateway)
WHERE enterprise = ANY($1::text[])
ORDER BY silent DESC, enterprise, gateway LIMIT 1000"""
GATEWAY_REFUSALS = """
SELECT enterprise || '/' || gateway AS gateway, messages, topic, newest FROM gateway_refusal
ORDER BY gateway LIMIT 1000"""
MODEL_PROBLEMS = "SELECT problem FROM model_problem ORDER BY number"
MODEL = "SELECT version, applied, files FROM model ORDER BY version DESC LIMIT 1"
MODEL_VERSIONS = """
SELECT version, applied, digest FROM model ORDER BY version DESC LIMIT $1 OFFSET $2"""
# A version and the one before it.
MODEL_PAIR = """
SELECT version, files FROM model WHERE version <= $1::int8 ORDER BY version DESC LIMIT 2"""
TABLE_SIZES = """
SELECT c.relname AS name, pg_database_size(current_database()) AS database_bytes,
       CASE WHEN h.hypertable_name IS NULL THEN pg_total_relation_size(c.oid)
            ELSE hypertable_size(c.oid::regclass) END AS bytes,
       CASE WHEN h.hypertable_name IS NULL THEN nullif(greatest(c.reltuples, 0), 0)::bigint
            ELSE nullif(approximate_row_count(c.oid::regclass), 0) END AS rows,
       p.oldest, p.parts
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'park'
LEFT JOIN timescaledb_information.hypertables h
    ON h.hypertable_schema = 'park' AND h.hypertable_name = c.relname
LEFT JOIN LATERAL (
    SELECT min(range_start) AS oldest, count(*) AS parts FROM timescaledb_information.chunks k
    WHERE k.hypertable_schema = 'park' AND k.hypertable_name = c.relname) p ON true
WHERE c.relkind = 'r'
UNION ALL
SELECT 'archive.' || kind, pg_database_size(current_database()), sum(bytes)::bigint,
       sum(rows)::bigint, min(start), count(*)
FROM archive_file WHERE written IS NOT NULL GROUP BY kind ORDER BY bytes DESC, name"""
TAGS = """
SELECT tag_id, enterprise AS owner, tag, scope, quantity, uom, kind, source, scale, shift,
       coalesce(low, 'NaN') AS low, coalesce(high, 'NaN') AS high, description
FROM tag WHERE active = $1"""
NEWEST_CYCLE = "SELECT max(cycle_us) FROM cycle"
LATE = "SELECT late FROM cycle WHERE late IS NOT NULL ORDER BY cycle_us DESC LIMIT 1"
CYCLES = """
SELECT cycle_us, tag_id, time, value, quality, alarms, late FROM cycle
WHERE cycle_us > $1 ORDER BY cycle_us LIMIT $2"""
IMAGE = """
SELECT tag_id, time, coalesce(value, 'NaN'), quality
FROM newest_samples(ARRAY(SELECT tag_id FROM tag WHERE active))"""
COUNT = "SELECT coalesce(sum(n), 0) FROM hour WHERE tag_id = $1 AND time >= $2 AND time < $3"
COUNTS = """
SELECT tag_id, sum(n) FROM hour WHERE tag_id = ANY($1::int[]) AND time >= $2 AND time < $3
GROUP BY 1"""
# Tags whose minutes or samples in a range of time were changed after they had been written.
CHANGED_TAGS = """
SELECT tag_id FROM restatement WHERE tag_id = ANY($1::int[]) AND start < $3 AND stop > $2
UNION SELECT tag_id FROM correction WHERE tag_id = ANY($1::int[]) AND time >= $2 AND time < $3"""
SAMPLES = """
SELECT time, coalesce(value, 'NaN'), quality FROM sample
WHERE tag_id = $1 AND time >= $2 AND time < $3 ORDER BY time LIMIT $4"""
SAMPLES_AT = """
SELECT tag_id, time, coalesce(value, 'NaN'), quality FROM unnest($1::int[]) AS wanted(id)
CROSS JOIN LATERAL (
    SELECT tag_id, time, value, quality FROM sample
    WHERE tag_id = id AND time <= $2 AND time > $2::timestamptz - $3::interval
    ORDER BY time DESC LIMIT 1) newest"""
# Of pairs of a tag and a time, between the first and before the last of all.
VALUES_AT = """
SELECT s.tag_id, s.time, coalesce(s.value, 'NaN')
FROM unnest($1::int[], $2::timestamptz[]) w(tag_id, time)
JOIN sample s ON s.tag_id = w.tag_id AND s.time = w.time AND s.time >= $3 AND s.time < $4"""
_SERIES = """
SELECT time, amount, covered_s, coalesce(min, 'NaN'), coalesce(max, 'NaN'), coalesce(last, 'NaN'),
       quality
FROM rollup WHERE tag_id = $1 AND time >= $2 AND time < $3 ORDER BY time"""
_AMOUNTS = """
SELECT tag_id, time, amount, covered_s, quality
FROM rollup WHERE tag_id = ANY($1::int[]) AND time >= $2 AND time < $3"""
_PARTS = f"{_AMOUNTS} AND covered_s > 0"
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
MINUTES = """
SELECT tag_id, time, amount, covered_s, quality
FROM minute WHERE tag_id = ANY($1::int[]) AND time = ANY($2::timestamptz[])
  AND time BETWEEN $3 AND $4 AND covered_s > 0"""
MINUTES_AT = """
SELECT time, tag_id, coalesce(last, 'NaN'), quality FROM minute
WHERE tag_id = ANY($1::int[]) AND time = ANY($2::timestamptz[]) AND time BETWEEN $3 AND $4
  AND covered_s > 0"""
LASTS = """
SELECT time, tag_id, coalesce(last, 'NaN'), quality FROM minute
WHERE tag_id = ANY($1::int[]) AND time >= $2 AND time < $3 AND covered_s > 0"""
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
INSERT INTO command (kind, body, key, request) SELECT $1, $2::jsonb, $4, $5
WHERE (SELECT count(*) FROM (SELECT FROM command WHERE done IS NULL LIMIT $3) w) < $3
ON CONFLICT (key) DO NOTHING RETURNING id"""
COMMAND_OF = "SELECT id, request FROM command WHERE key = $1"
COMMAND = "SELECT id, kind, created, done, error, body->>'by' AS by FROM command WHERE id = $1"
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
UNIT_ERROR_ANSWER = """
SELECT answer, scope FROM unit_error JOIN tag USING (tag_id) WHERE id = $1"""
REGISTER_FALLS = """
SELECT f.*, t.enterprise || '/' || t.tag AS tag, t.uom, t.scale, t.shift AS zero
FROM register_fall f JOIN tag t USING (tag_id) WHERE t.active AND f.answer IS NULL
ORDER BY f.time DESC LIMIT 100"""
REGISTER_FALL_ANSWER = """
SELECT answer, scope FROM register_fall JOIN tag USING (tag_id) WHERE id = $1"""
# Of view book_named: what stands, the newest versions, or all; of a tag and a scope where named.
BOOK = """
SELECT * FROM book_named
WHERE active AND (stands OR $1 <> 'standing') AND (newest OR $1 <> 'newest')
    AND ($2 = '' OR address = $2) AND ($3 = '' OR scope = $3 OR starts_with(scope, $3 || '/'))
ORDER BY start DESC, address, version DESC LIMIT $4 OFFSET $5"""
BOOK_VALUE = """
SELECT * FROM book_named WHERE (tag_id, start) = (SELECT tag_id, start FROM book WHERE id = $1)
ORDER BY version DESC"""
BOOK_STATES = "SELECT id, confirmed, newest, scope FROM book_named WHERE id = ANY($1::bigint[])"
BOOK_NEWEST = """
SELECT id, address, start, stop, version, value, confirmed FROM book_named
WHERE newest AND active AND address = ANY($1::text[])"""
# What stands of some tags, and their newest versions, in the order of their periods.
BOOK_ENTRIES = """
SELECT * FROM book_named
WHERE active AND address = ANY($1::text[]) AND (stands OR newest) ORDER BY start"""
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
SELECT id, received, enterprise, reason, detail, topic, payload, size FROM reject
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
# The newest so many versions of the models of some baselines; with $3, that version only.
BASELINES = """
SELECT * FROM (
    SELECT *, row_number() OVER (PARTITION BY baseline ORDER BY version DESC) AS nth FROM baseline
    WHERE baseline = ANY($1::text[]) AND ($3::int IS NULL OR version = $3)) b
WHERE nth <= $2 ORDER BY baseline, version DESC"""
# What stands of the adjustments of a baseline that touch a range of time.
ADJUSTMENTS = """
SELECT DISTINCT ON (start, stop) * FROM baseline_adjustment
WHERE baseline = $1 AND start < $3 AND stop > $2 ORDER BY start, stop, version DESC LIMIT $4"""
REPORTS = """
SELECT * FROM report_named
WHERE ($1 = '' OR kind = $1) AND ($2 = '' OR scope = $2 OR starts_with(scope, $2 || '/'))
ORDER BY id DESC LIMIT $3 OFFSET $4"""
REPORT = "SELECT * FROM report_named WHERE id = $1"
REPORT_NOTES = "SELECT * FROM report_note WHERE report_id = $1 ORDER BY id"
NEWEST_REPORT = """
SELECT id, kept FROM report_named WHERE kind = $1 AND scope = $2 AND period = $3 AND newest"""
# Tag by tag: the key of hours begins with it.
HAS_HOUR = """
SELECT EXISTS (SELECT FROM tag, LATERAL (
    SELECT FROM hour WHERE hour.tag_id = tag.tag_id AND time >= $1 AND time < $2 LIMIT 1
) AS one) AS known"""
NOTIFICATIONS = """
SELECT id, sent, alarms, failed, dropped, cardinality(owed) AS owed, problem, last FROM notify"""
# Sums inside a time that were made anew after another.
RESTATED = """
SELECT tag_id, count(*) AS times, min(start) AS start, max(stop) AS "end", max(created) AS last
FROM restatement WHERE created > $1 AND stop > $2 AND start < $3 AND tag_id = ANY($4::int[])
GROUP BY tag_id ORDER BY max(created) DESC, tag_id LIMIT $5"""
CORRECTED = """
SELECT c.tag_id, c.time, c.old_value AS before, c.corrected FROM correction c
WHERE c.corrected > $1 AND c.time >= $2 AND c.time < $3 AND c.tag_id = ANY($4::int[])
ORDER BY c.corrected DESC, c.tag_id LIMIT $5"""
COMMANDS = """
SELECT id, kind, created, done, error, body->>'by' AS by FROM command
WHERE created >= $1 AND created < $2 AND kind NOT LIKE 'report.%'
ORDER BY id LIMIT $3 OFFSET $4"""
DATABASE = """
SELECT pg_database_size(current_database())::float8 AS size, failed_count::float8 AS failed,
    coalesce(extract(epoch FROM last_archived_time), 0)::float8 AS archived
FROM pg_stat_archiver"""
