"""The statements of the store."""

# A minute without data shows in covered_s; it does not make the quality of the others bad.
# The sum is made inside, so that each stretch is looked up by the index: joined to all minutes of
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
# One row per stretch: the sample before it, those in it, the one after it.
STRETCH = """
SELECT w.number, s.time, s.value, s.quality
FROM stretch w CROSS JOIN LATERAL (
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
CREATE TEMP TABLE stretch (number int, tag_id int, counter boolean, since timestamptz,
    start timestamptz, stop timestamptz, until timestamptz) ON COMMIT DELETE ROWS;
"""
UPSERT_TAGS = """
INSERT INTO tag (enterprise, tag, scope, quantity, uom, kind, source, scale, shift, low,
                 high, sigma, description)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[],
    $6::text[], $7::text[], $8::float8[], $9::float8[], $10::float8[], $11::float8[],
    $12::text[], $13::text[])
ON CONFLICT (enterprise, tag) DO UPDATE SET scope = excluded.scope,
    quantity = excluded.quantity, uom = excluded.uom, kind = excluded.kind,
    source = excluded.source, scale = excluded.scale, shift = excluded.shift,
    low = excluded.low, high = excluded.high, sigma = excluded.sigma,
    description = excluded.description, active = true
RETURNING tag_id, enterprise, tag
"""
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
UPSERT_MINUTES = """
INSERT INTO minute (time, amount, covered_s, min, max, last, tag_id, n, quality)
SELECT * FROM unnest($1::timestamptz[], $2::float8[], $3::float8[], $4::float8[],
    $5::float8[], $6::float8[], $7::int[], $8::int[], $9::smallint[])
ON CONFLICT (tag_id, time) DO UPDATE SET n = excluded.n, amount = excluded.amount,
    covered_s = excluded.covered_s, min = excluded.min, max = excluded.max,
    last = excluded.last, quality = excluded.quality
"""
ADD_REJECTS = """
INSERT INTO reject (received, reason, detail, topic, payload, size)
SELECT * FROM unnest($1::timestamptz[], $2::text[], $3::text[], $4::text[], $5::bytea[], $6::int[])
"""
HOLD_SAMPLES = """
INSERT INTO quarantine_sample (enterprise, tag, reason, time, value, quality, uom, received)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::float8[],
    $6::smallint[], $7::text[], $8::timestamptz[])
"""
FORGET_OLDEST = """
DELETE FROM quarantine_sample WHERE id <= (SELECT max(id) FROM quarantine_sample) - $1
"""
QUARANTINE = """
INSERT INTO quarantine
SELECT enterprise, tag, reason, topic, count, $6, $6, time, value
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $7::timestamptz[],
    $8::float8[]) AS n (enterprise, tag, reason, topic, count, time, value)
ON CONFLICT (enterprise, tag, reason) DO UPDATE SET
    count = quarantine.count + excluded.count, topic = excluded.topic,
    last_seen = excluded.last_seen, last_time = excluded.last_time,
    last_value = excluded.last_value
"""
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
UPSERT_ALARMS = """
INSERT INTO alarm (alarm, tag_id, priority, limit_value, state, since)
SELECT n.*, 'normal', $5 FROM unnest($1::text[], $2::int[], $3::text[], $4::float8[]) AS n
ON CONFLICT (alarm) DO UPDATE SET tag_id = excluded.tag_id, priority = excluded.priority,
    limit_value = excluded.limit_value
RETURNING alarm, state, since, active_since, until, quality
"""
# An alarm that the model has no longer ends in the journal.
DROP_ALARMS = """
WITH gone AS (DELETE FROM alarm WHERE alarm <> ALL($1::text[]) RETURNING *)
INSERT INTO alarm_event (time, recorded, alarm, before, after, value, quality, reason)
SELECT $2, $2, alarm, state, 'normal', value, quality, 'no longer in the model'
FROM gone WHERE state <> 'normal'
"""
ANNUNCIATIONS = """
SELECT time FROM alarm_event WHERE time > $1 AND after = 'unacknowledged'
"""
UPDATE_ALARMS = """
UPDATE alarm a SET state = n.state, since = n.since, active_since = n.active_since,
    until = n.until, quality = n.quality
FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::timestamptz[], $5::timestamptz[],
    $6::smallint[]) AS n (alarm, state, since, active_since, until, quality)
WHERE a.alarm = n.alarm
"""
# Of several changes of one alarm in one cycle the last is what the alarm is.
ADD_EVENTS = """
WITH n AS (SELECT * FROM unnest($2::timestamptz[], $3::text[], $4::text[], $5::text[],
        $6::float8[], $7::smallint[], $8::text[], $9::text[], $10::bigint[]) WITH ORDINALITY
        AS n (time, alarm, before, after, value, quality, who, reason, command, number)),
    last AS (SELECT DISTINCT ON (alarm) * FROM n ORDER BY alarm, number DESC),
    changed AS (UPDATE alarm a SET value = l.value, who = l.who, reason = l.reason
        FROM last l WHERE a.alarm = l.alarm)
INSERT INTO alarm_event (time, recorded, alarm, before, after, value, quality, who, reason, command)
SELECT time, $1, alarm, before, after, value, quality, who, reason, command FROM n ORDER BY number
"""
GATEWAYS = "SELECT * FROM gateway ORDER BY last_heard DESC LIMIT $1"
UPSERT_GATEWAYS = """
INSERT INTO gateway SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[],
    $5::timestamptz[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[],
    $11::bigint[], $12::float8[], $13::float8[], $14::float8[], $15::boolean[], $16::boolean[],
    $17::boolean[])
ON CONFLICT (enterprise, gateway) DO UPDATE SET topic = excluded.topic,
    first_heard = excluded.first_heard, last_heard = excluded.last_heard,
    messages = excluded.messages, samples = excluded.samples, rejected = excluded.rejected,
    duplicates = excluded.duplicates, late = excluded.late, dropped = excluded.dropped,
    pause_s = excluded.pause_s, delay_s = excluded.delay_s, skew_s = excluded.skew_s,
    silent = excluded.silent, skewed = excluded.skewed, runaway = excluded.runaway
"""
FORGET_GATEWAYS = """
DELETE FROM gateway g USING unnest($1::text[], $2::text[]) AS n (enterprise, gateway)
WHERE (g.enterprise, g.gateway) = (n.enterprise, n.gateway)
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
# A command whose kind has a dot is none about alarms: the desk takes it, or the validator.
PENDING = """
SELECT id, kind, body FROM command WHERE done IS NULL AND kind NOT LIKE '%.%' ORDER BY id LIMIT $1
"""
DESK = """
SELECT id, kind, body FROM command WHERE done IS NULL AND kind LIKE '%.%'
    AND NOT starts_with(kind, 'unit_error.') ORDER BY id LIMIT 1
"""
UNIT_ERROR_COMMAND = """
SELECT id, kind, body FROM command WHERE done IS NULL AND starts_with(kind, 'unit_error.')
ORDER BY id LIMIT 1
"""
# Of each tag, the open suspicion and the newest one after which another level is right.
SUSPICIONS = """
SELECT DISTINCT ON (tag_id, state = 'open') * FROM unit_error
WHERE tag_id = ANY($1::int[]) AND (state IN ('open', 'learnt') OR answer = 'dismiss')
ORDER BY tag_id, state = 'open', since DESC
"""
UPSERT_SUSPICIONS = """
INSERT INTO unit_error (tag_id, since, last, samples, factor, shift, level, spread, state)
SELECT * FROM unnest($1::int[], $2::timestamptz[], $3::timestamptz[], $4::bigint[], $5::float8[],
    $6::float8[], $7::float8[], $8::float8[], $9::text[])
ON CONFLICT (tag_id, since) DO UPDATE SET last = excluded.last, samples = excluded.samples,
    state = excluded.state
"""
FORGET_SUSPICIONS = """
DELETE FROM unit_error WHERE id IN (
    SELECT id FROM unit_error WHERE state <> 'open' ORDER BY since DESC OFFSET $1)
"""
SUSPICION = "SELECT * FROM unit_error WHERE id = $1"
ANSWERED = "SELECT * FROM unit_error WHERE answered = $1"
ANSWER_SUSPICION = """
UPDATE unit_error SET state = $2, answer = $3, answered = $4, command = $5 WHERE id = $1
"""
CORRECT_UNIT_ERRORS = """
WITH old AS MATERIALIZED (
    SELECT *, value * $6::float8 + $7::float8 AS corrected FROM sample
    WHERE tag_id = $1 AND time BETWEEN $2 AND $3 AND quality & 223 IN (79, 143)
    ORDER BY time LIMIT $4),
kept AS (
    INSERT INTO correction (tag_id, time, old_value, old_quality, old_received, corrected)
    SELECT tag_id, time, value, quality, received, $5::timestamptz FROM old)
UPDATE sample s SET value = o.corrected, received = $5,
    quality = o.quality & 32 | CASE WHEN o.corrected BETWEEN $8 AND $9 THEN 0 ELSE 65 END
FROM old o WHERE s.tag_id = o.tag_id AND s.time = o.time AND s.time BETWEEN $2 AND $3
RETURNING s.time, s.value, s.quality
"""
HELD = """
SELECT enterprise, tag, reason, topic FROM quarantine
WHERE ($1::text IS NULL OR enterprise = $1) AND ($2::text IS NULL OR tag = $2) AND reason = $3
"""
NEWEST_HELD = "SELECT coalesce(max(id), 0) FROM quarantine_sample"
HELD_SAMPLES = """
SELECT id, time, value, quality, uom, received FROM quarantine_sample
WHERE enterprise = $1 AND tag = $2 AND reason = $3 AND id <= $4 AND time <= $5 ORDER BY id LIMIT $6
"""
FORGET_SAMPLES = "DELETE FROM quarantine_sample WHERE id = ANY($1::bigint[])"
FORGET_KEY = """
DELETE FROM quarantine k WHERE enterprise = $1 AND tag = $2 AND reason = $3 AND NOT EXISTS (
    SELECT FROM quarantine_sample s
    WHERE (s.enterprise, s.tag, s.reason) = (k.enterprise, k.tag, k.reason))
"""
DROP_HELD = """
DELETE FROM {table} WHERE enterprise = $1 AND tag = $2 AND ($3::text IS NULL OR reason = $3)
"""
REJECTS = """
SELECT id FROM reject WHERE ($1::bigint[] IS NULL OR id = ANY($1))
    AND ($2::text IS NULL OR reason = $2) AND size = length(payload)
    AND NOT starts_with(topic, $3) ORDER BY id
"""
PAYLOADS = "SELECT topic, payload, received FROM reject WHERE id = ANY($1::bigint[]) ORDER BY id"
FORGET_REJECTS = "DELETE FROM reject WHERE id = ANY($1::bigint[])"
DROP_REJECTS = """
DELETE FROM reject
WHERE ($1::bigint[] IS NULL OR id = ANY($1)) AND ($2::text IS NULL OR reason = $2)
"""
ANSWER = """
UPDATE command c SET done = $1, error = n.error
FROM unnest($2::bigint[], $3::text[]) AS n (id, error) WHERE c.id = n.id
"""
SHOW_ALARMS = """
UPDATE cycle SET alarms = (SELECT coalesce(jsonb_agg(to_jsonb(a)), '[]') FROM alarm a
                           WHERE alarm = ANY($2::text[])) WHERE cycle_us = $1
"""
WATCHED_MINUTES = """
SELECT tag_id, time, amount, covered_s, coalesce(last, 'NaN') FROM minute
WHERE tag_id = ANY($1::int[]) AND time >= $2 AND time < $3 AND covered_s > 0
"""
LAST_NAMING = """
SELECT time, cardinality(streams) + cardinality(leaks) AS suspects FROM naming
WHERE component = $1 ORDER BY time DESC LIMIT 1
"""
ADD_NAMING = """
INSERT INTO naming (time, since, component, streams, leaks, bias, test)
VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING
"""
