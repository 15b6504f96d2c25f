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
    finally:
        await connection.execute("SELECT pg_advisory_unlock($1)", MIGRATION_LOCK)
