"""The schema of the database: numbered files, applied in order, by one process at a time."""

from __future__ import annotations

import logging
from importlib.resources import files
from typing import Any

from twin.errors import SchemaError

LOG = logging.getLogger("deploy.database.migrations")
# Every writer shares WRITER_LOCK while it is connected: who gets it alone is the only one. The one
# running ingest has INGEST_LOCK.
MIGRATION_LOCK, WRITER_LOCK, TURN_LOCK, INGEST_LOCK = 7_203_117, 7_203_118, 7_203_119, 7_203_120
# What the api may do, where it has a role of its own: read everything, and queue commands.
ADMIT_READER = """
DO $$
BEGIN
    IF NOT has_schema_privilege(to_regrole('park_reader'), 'park', 'USAGE') THEN
        GRANT USAGE ON SCHEMA park TO park_reader;
        GRANT SELECT ON ALL TABLES IN SCHEMA park TO park_reader;
        GRANT INSERT (kind, body) ON park.command TO park_reader;
        ALTER DEFAULT PRIVILEGES IN SCHEMA park GRANT SELECT ON TABLES TO park_reader;
    END IF;
END $$
"""
# What it writes besides: who may come in, and what they did.
ADMIT_ACCOUNTS = """
DO $$
BEGIN
    IF NOT has_table_privilege(to_regrole('park_reader'), 'park.audit', 'INSERT') THEN
        GRANT SELECT, INSERT, UPDATE ON park.account, park.credential TO park_reader;
        GRANT SELECT, INSERT ON park.audit TO park_reader;
    END IF;
END $$
"""
# What dashboards may do, where they have a role of their own: read values and alarms. Tables with
# passwords of gateways (model) and with payloads are not for them. Rights that are there are not
# given again: that would be in the way of whoever works, on each part of a table.
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
        GRANT SELECT ON {", ".join(f"park.{name}" for name in VIEWED)} TO park_viewer;
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
        await connection.execute(ADMIT_READER)
        await connection.execute(ADMIT_ACCOUNTS)
        await connection.execute(ADMIT_VIEWER)
    finally:
        await connection.execute("SELECT pg_advisory_unlock($1)", MIGRATION_LOCK)
