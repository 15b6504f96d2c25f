"""Another account of the machine, and the api's password in wrong hands, against the database."""

import os
import stat
import subprocess
from urllib.parse import urlsplit

import asyncpg
import pytest

from deploy.service import HOST
from tests.support.attack import reader_url
from tests.support.data import DATA
from tests.support.stored import T0, cycling, message, query
from twin.loading import load_park

NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
REFUSED = asyncpg.InsufficientPrivilegeError
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may be another account")


async def test_without_a_password_nobody_enters(services, database):
    for role in ("park", "park_reader", "postgres"):
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(f"postgresql://{role}@{HOST}:{services.postgres.port}/test")


@needs_root
def test_another_account_does_not_reach_the_socket_of_the_administrator(services):
    socket = services.postgres.box.home / f"postgres/.s.PGSQL.{services.postgres.port}"
    assert socket.is_socket()
    done = subprocess.run(
        [*NOBODY, "ls", str(socket)], capture_output=True, text=True, check=False, cwd="/"
    )
    assert "Permission denied" in done.stderr


@needs_root
def test_another_account_cannot_read_the_passwords(services):
    password = urlsplit(services.database_url).password
    assert password in (services.data / "pgpass").read_text()
    assert stat.S_IMODE(services.data.stat().st_mode) == 0o700
    assert stat.S_IMODE((services.data / "pgpass").stat().st_mode) == 0o600
    assert password not in (services.log / "postgres.log").read_text()


async def test_the_password_of_the_api_reads_and_commands_and_does_nothing_else(services, database):
    async with cycling(database, load_park(DATA / "acme")) as cycle:
        await cycle.run([message({"ts": T0, "values": {"FT-1": 1.0}})], T0 * 1000)
    reader = reader_url(services, database)
    assert await query(reader, "SELECT value FROM sample_named WHERE tag = 'FT-1'") == [(1.0,)]
    await query(reader, "INSERT INTO command (kind, body) VALUES ('acknowledge', '{}')")
    for statement in (
        "COPY minute FROM PROGRAM 'touch /tmp/owned'",
        "COPY (SELECT 1) TO PROGRAM 'touch /tmp/owned'",
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT rolpassword FROM pg_authid",
        "DELETE FROM sample",
        "UPDATE sample SET value = 0",
        "UPDATE command SET done = now()",
        "INSERT INTO command (kind, body, done) VALUES ('acknowledge', '{}', now())",
        "DROP TABLE command",
        "CREATE TABLE park.mine (a int)",
        "CREATE TABLE public.mine (a int)",
        "ALTER ROLE park_reader SUPERUSER",
        "SET ROLE park",
    ):
        with pytest.raises(REFUSED):
            await query(reader, statement)


async def test_the_owner_changes_data_and_starts_no_program(database):
    for statement in (
        "COPY minute FROM PROGRAM 'touch /tmp/owned'",
        "COPY minute FROM '/etc/passwd'",
        "SELECT rolpassword FROM pg_authid",
        "ALTER ROLE park SUPERUSER",
        "SET ROLE postgres",
    ):
        with pytest.raises(REFUSED):
            await query(database, statement)
    # What ingest and the README do with the hypertables.
    await query(database, "SELECT set_chunk_time_interval('park.sample', interval '1 day')")
    await query(database, "SELECT drop_chunks('park.sample', interval '400 days')")
