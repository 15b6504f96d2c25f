"""Databases of past versions, with rows in every table, are brought forward with every row."""

import asyncio
import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from importlib.resources import files

import asyncpg
import pytest

from deploy.database.migrations import migrate
from ingest.store import Store

SCRIPTS = sorted(
    (each for each in files("deploy.database").joinpath("schema").iterdir()), key=lambda f: f.name
)
NAMES = [script.name for script in SCRIPTS]
PAST = ["001_park.sql", "010_newest.sql", "019_account.sql"]
# One row at most, of the clock of hours.
SINGLE = {"clock"}
TIME = datetime(2025, 6, 2, 2, 30, tzinfo=UTC)
COLUMNS = """
SELECT c.table_name, c.column_name, c.data_type, c.is_nullable = 'YES' AS may_be_null,
    c.is_identity = 'YES' OR c.is_generated = 'ALWAYS' AS is_made
FROM information_schema.columns c JOIN information_schema.tables t USING (table_schema, table_name)
WHERE table_schema = 'park' AND table_type = 'BASE TABLE' AND table_name <> 'migration'
ORDER BY table_name, ordinal_position
"""
CHECKS = """
SELECT conrelid::regclass::text AS name, pg_get_constraintdef(oid) AS text FROM pg_constraint
WHERE contype = 'c' AND connamespace = 'park'::regnamespace
"""
REFERENCES = """
SELECT conrelid::regclass::text AS name, attname AS column FROM pg_constraint
JOIN pg_attribute ON attrelid = conrelid AND attnum = conkey[1]
WHERE contype = 'f' AND connamespace = 'park'::regnamespace
"""


@pytest.fixture
async def empty(server_database):
    """A connection to a database in which no program has been yet."""
    db = await asyncpg.connect(server_database, server_settings={"search_path": "park,public"})
    await db.execute("DROP SCHEMA IF EXISTS park CASCADE; CREATE SCHEMA park")
    await db.execute(
        "CREATE EXTENSION IF NOT EXISTS timescaledb SCHEMA public; CREATE TABLE migration"
        " (name text PRIMARY KEY, applied timestamptz NOT NULL DEFAULT now())"
    )
    yield db
    await db.close()


async def apply(db, script):
    """Bring a database forward by one file, as a program does."""
    await db.execute(script.read_text(encoding="utf-8"))
    await db.execute("INSERT INTO migration (name) VALUES ($1)", script.name)


async def tables(db):
    """Return the columns of each table, of those that refer to others last."""
    columns = {}
    for row in await db.fetch(COLUMNS):
        columns.setdefault(row["table_name"], []).append(row)
    behind = {row["name"] for row in await db.fetch(REFERENCES)}
    return {name: columns[name] for name in sorted(columns, key=lambda name: name in behind)}


def value_of(column, allowed, number):
    """Return a value that a table takes: the first that it allows, or one of the type."""
    if allowed:
        return allowed[0]
    # An end is after its begin.
    minutes = number + 60 * (column["column_name"] == "stop")
    return {
        "text": f"text{number}", "integer": number, "bigint": number, "smallint": number,
        "double precision": number + 0.25, "boolean": True, "bytea": bytes([number]),
        "jsonb": '{"number": 1}', "timestamp with time zone": TIME + timedelta(minutes=minutes),
        "date": TIME.date(), "ARRAY": [],
    }[column["data_type"]]  # fmt: skip


async def fill(db, number):
    """Put a row into each table, unless it has one row at most and has it."""
    checks = await db.fetch(CHECKS)
    # Numbers that rows refer to are made by the database: there is a first one.
    referring = {(row["name"], row["column"]) for row in await db.fetch(REFERENCES)}
    for name, columns in (await tables(db)).items():
        stated = [column for column in columns if not column["is_made"]]
        of_table = [row["text"] for row in checks if row["name"].split(".")[-1] == name]
        values = []
        for column in stated:
            word = re.compile(rf"\b{column['column_name']} = ")
            allowed = [re.findall(r"'(\w+)'::text", text) for text in of_table if word.search(text)]
            of_other = (name, column["column_name"]) in referring and column["data_type"] != "text"
            values.append(value_of(column, next(iter(allowed), []), 1 if of_other else number))
        marks = ", ".join(f"${at + 1}" for at in range(len(stated)))
        names = ", ".join(f'"{column["column_name"]}"' for column in stated)
        try:
            await db.execute(f"INSERT INTO {name} ({names}) VALUES ({marks})", *values)
        except asyncpg.UniqueViolationError:
            assert name in SINGLE


async def rows_of(db, known):
    result = {}
    for name, columns in known.items():
        names = ", ".join(f'"{column["column_name"]}"' for column in columns)
        rows = await db.fetch(f"SELECT {names} FROM {name}")
        result[name] = sorted([tuple(row) for row in rows], key=repr)
    return result


async def test_rows_of_every_version_stay_through_all_that_follow(empty):
    for number, script in enumerate(SCRIPTS, 1):
        known = await tables(empty)
        before = await rows_of(empty, known)
        await apply(empty, script)
        assert await rows_of(empty, known) == before, script.name
        await fill(empty, number)
    known = await tables(empty)
    before = await rows_of(empty, known)
    assert len(before) > 30
    assert len(before["sample"]) == len(before["tag"]) == len(SCRIPTS)
    await migrate(empty)
    assert await rows_of(empty, known) == before


@pytest.mark.parametrize("last", PAST)
async def test_a_program_brings_a_past_database_forward(empty, server_database, last):
    for script in SCRIPTS:
        if script.name <= last:
            await apply(empty, script)
    for number in (1, 2):
        await fill(empty, number)
    known = await tables(empty)
    before = await rows_of(empty, known)
    store = Store(server_database)
    await store.open()
    await store.close()
    done = [row["name"] for row in await empty.fetch("SELECT name FROM migration ORDER BY name")]
    assert done == NAMES
    assert await rows_of(empty, known) == before
    # What is made of what was there: the days of newest samples, the names of all.
    newest = await empty.fetch("SELECT tag_id, value FROM newest_samples(ARRAY[1, 2]) ORDER BY 1")
    assert [tuple(row) for row in newest] == [(1, 1.25), (2, 2.25)]
    assert await empty.fetchval("SELECT count(*) FROM sample_named") == 2


async def test_a_newer_database_is_refused_and_stays_as_it_is(empty, server_database, park_folder):
    for script in SCRIPTS:
        await apply(empty, script)
    await fill(empty, 1)
    before = await rows_of(empty, await tables(empty))
    await empty.execute("INSERT INTO migration (name) VALUES ('999_of_next_year.sql')")
    environment = os.environ | {
        "PARKTWIN_DATABASE_URL": server_database, "PARKTWIN_PARK": str(park_folder),
    }  # fmt: skip
    command = [sys.executable, "-P", "-m", "ingest"]
    done = await asyncio.to_thread(
        subprocess.run, command, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        "parktwin ingest: the database has migrations of a newer program: 999_of_next_year.sql"
        " — use the newer parktwin that made them"
    )
    assert await rows_of(empty, await tables(empty)) == before
