-- Who reads by SQL what is of an enterprise: a role of the database, and the scope that is its own. The views tell a role
-- its own rows, and of others those whose level of disclosure lets members of the park know them.
CREATE TABLE sql_reader (
    role    text PRIMARY KEY,
    scope   text NOT NULL CHECK (scope <> ''),
    created timestamptz NOT NULL DEFAULT now()
);
-- Level of disclosure of the tag's figures; null until ingest has said it.
ALTER TABLE tag ADD COLUMN level text CHECK (level IN ('public', 'park', 'enterprise', 'private'));

-- A function of the reader's own is called for no row that is not for him.
CREATE VIEW shared_tag WITH (security_barrier) AS
SELECT t.tag_id, t.enterprise, t.tag, t.scope, t.quantity, t.uom, t.kind, t.source, t.scale, t.shift, t.description,
       t.active
FROM tag t JOIN sql_reader r ON r.role = session_user
WHERE t.level IN ('public', 'park') OR t.scope = r.scope OR starts_with(t.scope, r.scope || '/');
CREATE VIEW shared_sample WITH (security_barrier) AS
SELECT s.time, t.enterprise, t.tag,
       CASE WHEN s.value = 'NaN' THEN s.value ELSE ((s.value - t.shift) / t.scale)::numeric::float8 END AS value,
       t.uom, s.quality, t.scope
FROM sample s JOIN shared_tag t USING (tag_id);
CREATE VIEW shared_minute WITH (security_barrier) AS
SELECT m.time, t.enterprise, t.tag, t.scope, t.kind, t.uom,
       in_own_unit(t.kind, m.amount, m.covered_s, t.scale, t.shift) AS value,
       least(m.covered_s / 60, 1) AS covered, m.quality
FROM minute m JOIN shared_tag t USING (tag_id);
CREATE VIEW shared_hour WITH (security_barrier) AS
SELECT h.time, t.enterprise, t.tag, t.scope, t.kind, t.uom,
       in_own_unit(t.kind, h.amount, h.covered_s, t.scale, t.shift) AS value,
       least(h.covered_s / 3600, 1) AS covered, h.quality
FROM hour h JOIN shared_tag t USING (tag_id);
CREATE VIEW shared_alarm WITH (security_barrier) AS
SELECT a.alarm, a.priority, a.state, a.since, a.active_since, t.scope, t.enterprise || '/' || t.tag AS tag, t.uom,
       (a.value - t.shift) / t.scale AS value, (a.limit_value - t.shift) / t.scale AS limit_value, a.quality
FROM alarm a JOIN shared_tag t USING (tag_id);
