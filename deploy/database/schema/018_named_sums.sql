-- Sums as people and dashboards read them, in the unit of the site: the mean of a gauge, the increase of a
-- counter, the share of the time in which a state was not zero. `covered` is the share of the time with data.
CREATE FUNCTION in_own_unit(kind text, amount float8, covered_s float8, scale float8, shift float8) RETURNS float8
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE kind WHEN 'counter' THEN amount / scale
                     WHEN 'state' THEN amount / nullif(covered_s, 0)
                     ELSE (amount / nullif(covered_s, 0) - shift) / scale END
$$;
CREATE VIEW minute_named AS
SELECT m.time, t.enterprise, t.tag, t.scope, t.kind, t.uom,
       park.in_own_unit(t.kind, m.amount, m.covered_s, t.scale, t.shift) AS value,
       least(m.covered_s / 60, 1) AS covered, m.quality
FROM minute m JOIN tag t USING (tag_id);
CREATE VIEW hour_named AS
SELECT h.time, t.enterprise, t.tag, t.scope, t.kind, t.uom,
       park.in_own_unit(t.kind, h.amount, h.covered_s, t.scale, t.shift) AS value,
       least(h.covered_s / 3600, 1) AS covered, h.quality
FROM hour h JOIN tag t USING (tag_id);
CREATE VIEW alarm_named AS
SELECT a.alarm, a.priority, a.state, a.since, a.active_since, t.scope, t.enterprise || '/' || t.tag AS tag, t.uom,
       (a.value - t.shift) / t.scale AS value, (a.limit_value - t.shift) / t.scale AS limit_value, a.quality
FROM alarm a JOIN tag t USING (tag_id);
