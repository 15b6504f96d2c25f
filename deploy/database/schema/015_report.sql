-- Reports that are kept. A row is a version of the report of a scope and a period; its content is never changed.
CREATE TABLE report (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind     text NOT NULL,
    scope    text NOT NULL,
    period   text NOT NULL,
    span     text NOT NULL, -- shift, day, month, quarter or year
    start    timestamptz NOT NULL,
    stop     timestamptz NOT NULL,
    version  int NOT NULL,
    model    bigint NOT NULL,
    digest   text NOT NULL,
    content  text NOT NULL,
    kept     timestamptz NOT NULL,
    kept_by  text NOT NULL,
    command  bigint NOT NULL,
    UNIQUE (kind, scope, period, version)
);

-- What people said of a version: a comment, or a state that it has from then on.
CREATE TABLE report_note (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    report_id  bigint NOT NULL REFERENCES report ON DELETE CASCADE,
    state      text NOT NULL CHECK (state IN ('', 'draft', 'reviewed', 'signed')),
    note       text NOT NULL,
    written    timestamptz NOT NULL,
    written_by text NOT NULL,
    command    bigint NOT NULL
);
CREATE INDEX report_note_report ON report_note (report_id);

CREATE VIEW report_named AS
SELECT r.*, coalesce(n.state, 'draft') AS state, n.written_by AS state_by, n.written AS state_since,
       r.version = max(r.version) OVER (PARTITION BY r.kind, r.scope, r.period) AS newest
FROM report r LEFT JOIN LATERAL (
    SELECT state, written_by, written FROM report_note
    WHERE report_id = r.id AND state <> '' ORDER BY id DESC LIMIT 1) n ON true;
