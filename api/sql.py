"""The queries of the store. What can be null is made NaN, so that all rows have one size."""

from __future__ import annotations

MODEL = "SELECT version, applied, files FROM model ORDER BY version DESC LIMIT 1"
TAGS = """
SELECT tag_id, enterprise, tag, scope, quantity, uom, kind, source, scale, shift, low, high,
       description
FROM tag WHERE active"""
NEWEST_CYCLE = "SELECT max(cycle_us) FROM cycle"
CYCLES = """
SELECT cycle_us, tag_id, time, value, quality FROM cycle
WHERE cycle_us > $1 ORDER BY cycle_us LIMIT $2"""
IMAGE = """
SELECT t.tag_id, s.time, coalesce(s.value, 'NaN'), s.quality
FROM tag t, LATERAL (
    SELECT time, value, quality FROM sample s
    WHERE s.tag_id = t.tag_id ORDER BY s.time DESC LIMIT 1) s
WHERE t.active"""
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
ROLLUPS = ("minute", "hour", "day")
SERIES = {table: _SERIES.replace("rollup", table) for table in ROLLUPS}
AMOUNTS = {table: _AMOUNTS.replace("rollup", table) for table in ROLLUPS}
MINUTES_AT = """
SELECT time, tag_id, amount, covered_s, quality FROM minute
WHERE tag_id = ANY($1::int[]) AND time = ANY($2::timestamptz[]) AND time BETWEEN $3 AND $4
  AND covered_s > 0"""
# Of each pair of a tag and a minute, the covered minute that is nearest, before or after.
MINUTES_NEAR = """
SELECT w.time, w.tag_id, m.amount, m.covered_s, m.quality
FROM unnest($1::int[], $2::timestamptz[]) w(tag_id, time), LATERAL (
    (SELECT amount, covered_s, quality, w.time - time AS away FROM minute
     WHERE tag_id = w.tag_id AND time >= w.time - $3::interval AND time < w.time AND covered_s > 0
     ORDER BY time DESC LIMIT 1)
    UNION ALL
    (SELECT amount, covered_s, quality, time - w.time FROM minute
     WHERE tag_id = w.tag_id AND time > w.time AND time <= w.time + $3::interval AND covered_s > 0
     ORDER BY time LIMIT 1)
    ORDER BY away LIMIT 1) m"""
