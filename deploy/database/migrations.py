"""The schema of the database: numbered files, applied in order, by one process at a time."""

from __future__ import annotations

import logging
from importlib.resources import files
from typing import Any

from twin.errors import SchemaError

LOG = logging.getLogger("deploy.database.migrations")
# Every writer shares WRITER_LOCK while it is connected: who gets it alone is the only one. The one
# running ingest has INGEST_LOCK, who writes the archive ARCHIVE_LOCK.
ARCHIVE_LOCK = 7_203_122
MIGRATION_LOCK, WRITER_LOCK, TURN_LOCK, INGEST_LOCK = 7_203_117, 7_203_118, 7_203_119, 7_203_120
# Tables of accounts, and what came in as it was sent.
DOORS = ("account", "credential", "gateway_credential", "audit")
SENT = ("spool", "reject", "quarantine_sample", "contact")
SHARED = ("shared_tag", "shared_sample", "shared_minute", "shared_hour", "shared_alarm")


def _names(tables: tuple[str, ...]) -> str:
    return ", ".join(f"park.{name}" for name in tables)


def _withhold(role: str, tables: tuple[str, ...]) -> str:
    """Return what takes from a role the tables that it may read, were it by default."""
    names = _names(tables)
    return f"""
    IF EXISTS (
        SELECT FROM unnest(string_to_array('{names}', ', ')) AS name
        WHERE has_table_privilege(to_regrole('{role}'), name, 'SELECT')
    ) THEN
        REVOKE ALL ON {names} FROM {role};
    END IF;"""  # noqa: S608 - names of ours


# Each block gives a role what it may do, where there is such a role, and once: rights that are
# there are not given again, for that would be in the way of whoever works, on each part of a table.
#
# The api reads, and queues commands. Who may come in, and what they did, it knows by a role of its
# own, so that no query of the others can tell a password; without that role the reader has to do.
ADMIT_READER = f"""
DO $$
BEGIN
    IF NOT has_column_privilege(to_regrole('park_reader'), 'park.command', 'key', 'INSERT') THEN
        GRANT USAGE ON SCHEMA park TO park_reader;
        GRANT SELECT ON ALL TABLES IN SCHEMA park TO park_reader;
        GRANT INSERT (kind, body, key, request) ON park.command TO park_reader;
        ALTER DEFAULT PRIVILEGES IN SCHEMA park GRANT SELECT ON TABLES TO park_reader;
    END IF;
    IF to_regrole('park_access') IS NULL THEN
        IF NOT has_table_privilege(to_regrole('park_reader'), 'park.audit', 'INSERT') THEN
            GRANT SELECT, INSERT, UPDATE ON park.account, park.credential TO park_reader;
            GRANT SELECT, INSERT ON park.audit TO park_reader;
        END IF;
        RETURN;
    END IF;
    IF NOT has_table_privilege('park_access', 'park.audit', 'INSERT') THEN
        GRANT USAGE ON SCHEMA park TO park_access;
        GRANT SELECT, INSERT, UPDATE ON park.account, park.credential TO park_access;
        GRANT SELECT, INSERT ON park.audit TO park_access;
    END IF;{_withhold("park_reader", DOORS)}
END $$
"""
# Reports read what the api reads, but nothing as it was sent, and queue commands about reports.
ADMIT_REPORT = f"""
DO $$
BEGIN
    IF NOT has_column_privilege(to_regrole('park_report'), 'park.command', 'key', 'INSERT') THEN
        GRANT USAGE ON SCHEMA park TO park_report;
        GRANT SELECT ON ALL TABLES IN SCHEMA park TO park_report;
        GRANT INSERT (kind, body, key, request) ON park.command TO park_report;
        ALTER DEFAULT PRIVILEGES IN SCHEMA park GRANT SELECT ON TABLES TO park_report;
        ALTER TABLE park.command ENABLE ROW LEVEL SECURITY;
        CREATE POLICY about_all ON park.command USING (true) WITH CHECK (true);
        CREATE POLICY about_reports ON park.command AS RESTRICTIVE FOR INSERT TO park_report
            WITH CHECK (kind LIKE 'report.%');
    END IF;{_withhold("park_report", (*DOORS, *SENT))}
END $$
"""
# An enterprise reads by SQL what is its own, and what others let it know.
ADMIT_ENTERPRISES = f"""
DO $$
BEGIN
    IF NOT has_table_privilege(to_regrole('park_enterprise'), 'park.shared_alarm', 'SELECT') THEN
        GRANT USAGE ON SCHEMA park TO park_enterprise;
        GRANT SELECT ON {_names(SHARED)} TO park_enterprise;
    END IF;
END $$
"""
# Dashboards read values and alarms. Tables with passwords of gateways (model) and with payloads are
# not for them.
VIEWED = (
    "sample", "minute", "hour", "day", "tag", "alarm", "alarm_event", "detection", "gateway",
    "sample_named", "minute_named", "hour_named", "alarm_named",
)  # fmt: skip
ADMIT_VIEWER = f"""
DO $$
BEGIN
    IF to_regrole('park_viewer') IS NOT NULL AND EXISTS (
        SELECT FROM unnest(ARRAY[{", ".join(f"'park.{name}'" for name in VIEWED)}]) AS name
        WHERE NOT has_table_privilege(to_regrole('park_viewer'), name, 'SELECT')
    ) THEN
        GRANT USAGE ON SCHEMA park TO park_viewer;
        GRANT SELECT ON {_names(VIEWED)} TO park_viewer;
    END IF;
END $$
"""


async def migrate(connection: Any) -> None:
    """Apply the numbered schema files that are missing, one process at a time."""
    folder = files("deploy.database").joinpath("schema")
    scripts = sorted((f for f in folder.iterdir() if f.name.endswith(".sql")), key=lambda f: f.name)
    await connection.execute("SELECT pg_advisory_lock($1)", MIGRATION_LOCK)
    try:
        async with connection.transaction():
            await connection.execute("CREATE EXTENSION IF NOT EXISTS timescaledb SCHEMA public")
            await connection.execute("CREATE SCHEMA IF NOT EXISTS park")
            await connection.execute(
                "CREATE TABLE IF NOT EXISTS migration (name text PRIMARY KEY,"
                " applied timestamptz NOT NULL DEFAULT now())"
            )
        done = {row["name"] for row in await connection.fetch("SELECT name FROM migration")}
        unknown = done - {script.name for script in scripts}
        if unknown:
            raise SchemaError(
                f"the database has migrations of a newer program: {', '.join(sorted(unknown))}",
                hint="use the newer parktwin that made them",
            )
        for script in scripts:
            if script.name not in done:
                async with connection.transaction():
                    await connection.execute(script.read_text(encoding="utf-8"))
                    await connection.execute(
                        "INSERT INTO migration (name) VALUES ($1)", script.name
                    )
                LOG.info("schema %s applied", script.name)
        for admit in (ADMIT_READER, ADMIT_REPORT, ADMIT_ENTERPRISES, ADMIT_VIEWER):
            await connection.execute(admit)
    finally:
        await connection.execute("SELECT pg_advisory_unlock($1)", MIGRATION_LOCK)
