"""Another account of the machine, and the api's password in wrong hands, against the database."""

import asyncio
import os
import stat
import subprocess
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

import asyncpg
import pytest

from api.store import ReadStore
from deploy import access, sql_readers
from deploy.database.migrations import ADMIT_READER
from deploy.service import HOST
from deploy.sql_readers import add_reader, drop_reader
from ingest.store import Store
from tests.support.attack import reader_url, role_url
from tests.support.neighbour import fill_with_neighbour
from tests.support.stored import query
from tests.support.waiting import until
from twin.errors import ParkError, StoreError

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


# What no role but the owner may do, whoever is let in.
NOBODYS = (
    "COPY minute FROM PROGRAM 'touch /tmp/owned'",
    "COPY (SELECT 1) TO PROGRAM 'touch /tmp/owned'",
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT rolpassword FROM pg_authid",
    "DELETE FROM sample",
    "UPDATE sample SET value = 0",
    "INSERT INTO sample SELECT now(), 1, now(), 1, 0",
    "INSERT INTO minute SELECT now(), 1, 60, 1, 1, 1, 1, 60, 0",
    "UPDATE book SET value = 0",
    "INSERT INTO model (digest, files) VALUES ('', '{}')",
    "INSERT INTO sql_reader (role, scope) VALUES (current_user, 'acmepark')",
    "UPDATE command SET done = now()",
    "DELETE FROM command",
    "DELETE FROM audit",
    "UPDATE audit SET outcome = ''",
    "DELETE FROM account",
    "DROP TABLE command",
    "ALTER TABLE command DISABLE ROW LEVEL SECURITY",
    "CREATE TABLE park.mine (a int)",
    "CREATE TABLE public.mine (a int)",
    "SET ROLE park",
    "SET SESSION AUTHORIZATION park",
)
ACKNOWLEDGE = "INSERT INTO command (kind, body) VALUES ('acknowledge', '{}')"
KEEP = "INSERT INTO command (kind, body) VALUES ('report.keep', '{}')"
DONE = "INSERT INTO command (kind, body, done) VALUES ('report.keep', '{}', now())"
DOORS = tuple(f"SELECT FROM {table}" for table in ("account", "credential", "audit"))
SENT = tuple(
    f"SELECT FROM {table}" for table in ("spool", "reject", "quarantine_sample", "contact")
)
RECORD = "INSERT INTO audit VALUES (1, now(), '', '', '', '', '', '')"
# What each role of a program needs, and what of that the others have it may not.
ROLES = {
    access.READER: (("SELECT FROM sample", "SELECT FROM model", *SENT, ACKNOWLEDGE, KEEP),
                    (*DOORS, DONE, RECORD)),
    access.ACCESS: ((*DOORS, "UPDATE account SET failed = 0", RECORD),
                    ("SELECT FROM sample", "SELECT FROM model", ACKNOWLEDGE, *SENT)),
    access.REPORT: (("SELECT FROM sample", "SELECT FROM book", "SELECT FROM report", KEEP),
                    (*DOORS, *SENT, ACKNOWLEDGE, DONE, RECORD)),
    access.VIEWER: (("SELECT FROM sample_named", "SELECT FROM alarm_named"),
                    (*DOORS, *SENT, "SELECT FROM model", "SELECT FROM command", ACKNOWLEDGE)),
}  # fmt: skip


@pytest.mark.parametrize("role", ROLES)
async def test_the_role_of_a_program_does_what_it_needs_and_nothing_else(services, database, role):
    if role == access.VIEWER:
        password = access.password_of(services.data, role)
        url = f"postgresql://{role}:{password}@{HOST}:{services.postgres.port}/test"
    else:
        url = role_url(services, database, role)
    needed, refused = ROLES[role]
    statements = (*needed, *refused, *NOBODYS, f"ALTER ROLE {role} SUPERUSER")
    assert await permitted(url, statements) == list(needed)


async def permitted(url, statements):
    """Return the statements that a role may run; each of them is taken back."""
    result = []
    connection = await asyncpg.connect(url, server_settings={"search_path": "park,public"})
    # A role may let itself write; that gives no right.
    try:
        await connection.execute("SET default_transaction_read_only = off")
        for statement in statements:
            transaction = connection.transaction()
            await transaction.start()
            with suppress(REFUSED):
                await connection.execute(statement)
                result.append(statement)
            await transaction.rollback()
    finally:
        await connection.close()
    return result


async def test_no_secret_of_an_account_is_for_who_only_reads(services, database):
    """Also those of a table that comes later: its columns have such names."""
    words = "password|secret|digest|totp|recovery"
    columns = await query(
        database,
        "SELECT table_name::text, column_name::text FROM information_schema.columns"
        f" WHERE table_schema = 'park' AND column_name ~ '{words}' AND table_name NOT IN"
        " ('model', 'import', 'report', 'report_named', 'baseline')",
    )
    assert ("account", "password") in columns
    for role in (access.READER, access.REPORT):
        url = role_url(services, database, role)
        for table, column in columns:
            with pytest.raises(REFUSED):
                await query(url, f"SELECT {column} FROM {table}")


async def test_without_a_role_for_accounts_the_reader_has_them(services, database, db):
    """A database of one's own may have the one role alone."""
    await db.execute("REVOKE ALL ON account, credential, audit FROM park_reader, park_access")
    await db.execute(ADMIT_READER.replace("park_access", "park_nobody"))
    await query(reader_url(services, database), "SELECT FROM account")
    await db.execute(ADMIT_READER)
    with pytest.raises(REFUSED):
        await query(reader_url(services, database), "SELECT FROM account")


@pytest.fixture
async def sql_reader(services, database, db):
    """The address of the database for enterprise acme, beside a neighbour."""
    await fill_with_neighbour(db, 0.5)
    await db.execute("UPDATE tag SET level = 'enterprise'")
    box, port = services.postgres.box, services.postgres.port
    password = add_reader(box, port, "test", "acme", "demo/acme")
    yield f"postgresql://sql_acme:{password}@{HOST}:{port}/test"
    drop_reader(box, port, "test", "acme")


async def test_an_enterprise_reads_by_sql_its_own_and_what_others_disclose(sql_reader, db):
    names = ("shared_sample", "shared_minute", "shared_hour")
    for name in names:
        owners = await query(sql_reader, f"SELECT DISTINCT enterprise FROM {name}")
        assert owners == [("acme",)], name
    tags = "SELECT DISTINCT enterprise FROM shared_tag"
    assert await query(sql_reader, tags) == [("acme",)]
    alarms = "SELECT alarm FROM shared_alarm"
    assert await query(sql_reader, alarms) == [("flow",)]
    mean = "SELECT value, uom FROM shared_hour WHERE tag = 'FT-1' AND enterprise = 'acme' LIMIT 1"
    assert await query(sql_reader, mean) == [(pytest.approx(18.0), "t/h")]
    await db.execute("UPDATE tag SET level = 'park' WHERE enterprise = 'other' AND tag = 'FT-1'")
    for name in names:
        rows = await query(
            sql_reader, f"SELECT DISTINCT tag FROM {name} WHERE enterprise = 'other'"
        )
        assert rows == [("FT-1",)], name
    assert await query(sql_reader, alarms + " ORDER BY 1") == [("flow",), ("n-flow",)]
    await db.execute("UPDATE tag SET level = 'private' WHERE enterprise = 'other'")
    assert await query(sql_reader, tags) == [("acme",)]


# A function of one's own would see the rows that a view leaves out, were it asked before the view.
SPY = """
CREATE FUNCTION pg_temp.spy(text, float8) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS
$$ BEGIN
    IF $1 = 'FT-1' AND $2 < 10 THEN RAISE 'seen: % %', $1, $2; END IF;
    RETURN true;
END $$;
SELECT count(*) FROM shared_sample WHERE pg_temp.spy(tag, value)"""


async def test_no_trick_of_a_query_tells_an_enterprise_of_another(sql_reader, database):
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        await query(sql_reader, SPY.partition(";\nSELECT")[0])
    assert await permitted(sql_reader, [SPY]) == [SPY]
    # Nothing keeps the rows of a plain view from it.
    with pytest.raises(asyncpg.RaiseError, match="seen: FT-1 9"):
        await permitted(database, [SPY.replace("shared_sample", "sample_named")])
    statements = (
        *NOBODYS, *DOORS, *SENT, "SELECT FROM sample", "SELECT FROM tag", "SELECT FROM model",
        "SELECT FROM sql_reader", "SELECT FROM sample_named", "SELECT newest_samples(ARRAY[1])",
        "UPDATE sql_reader SET scope = 'demo'", "SELECT FROM pg_statistic", ACKNOWLEDGE,
        "SELECT FROM command", "SET ROLE park_reader", "SET SESSION AUTHORIZATION park_reader",
    )  # fmt: skip
    assert await permitted(sql_reader, statements) == []
    assert await query(sql_reader, "SELECT FROM pg_stats WHERE schemaname = 'park'") == []


def test_a_role_for_sql_is_of_a_scope_that_is_there(services, database):
    box, port = services.postgres.box, services.postgres.port
    for name, scope in (
        ("acme", "demo/nowhere"), ("acme", "demo' OR 'a' = 'a"), ("Acme; DROP ROLE park", "demo"),
        ("", "demo"),
    ):  # fmt: skip
        with pytest.raises(ParkError):
            add_reader(box, port, "test", name, scope)
    with pytest.raises(ParkError, match="no role sql_acme"):
        drop_reader(box, port, "test", "acme")


@pytest.fixture
async def twin_database(services):
    """The database of the data folder itself, with a tag in it."""
    store = Store(services.database_url)
    await store.open()
    await store.close()
    await query(
        services.database_url,
        "INSERT INTO tag (enterprise, tag, scope, quantity, uom, kind, source, scale, shift)"
        " VALUES ('acme', 'FT-1', 'demo/acme', 'mass_flow', 't/h', 'gauge', 'measured', 1, 0)",
    )
    access.write_addresses(services.data, {"PARKTWIN_DATABASE_URL": services.database_url})
    yield services.database_url
    await query(services.database_url, "DROP SCHEMA park CASCADE")


async def test_the_command_makes_and_drops_a_role_for_sql_and_notes_it(
    services, twin_database, tmp_path, capsys
):
    async def run(*words):
        status = await asyncio.to_thread(sql_readers.main, ["--data", str(services.data), *words])
        return status, capsys.readouterr().out.strip()

    assert await run("list") == (0, "there are none")
    status, url = await run("add", "acme", "--scope", "demo/acme")
    assert (status, url.startswith("postgresql://sql_acme:")) == (0, True)
    assert await query(url, "SELECT tag FROM shared_tag") == [("FT-1",)]
    assert await run("list") == (0, "sql_acme  demo/acme")
    assert await run("drop", "acme") == (0, "sql_acme is gone")
    rows = await query(twin_database, "SELECT action, subject FROM audit ORDER BY number")
    assert rows == [("user sql add", "sql_acme demo/acme"), ("user sql drop", "sql_acme")]
    assert sql_readers.main(["--data", str(tmp_path), "list"]) == 2
    assert "no data folder" in capsys.readouterr().err


async def test_statements_of_a_role_end_after_a_time(services, database):
    for role in (access.READER, access.ACCESS, access.REPORT):
        ((limit,),) = await query(role_url(services, database, role), "SHOW statement_timeout")
        assert limit in ("10s", "5min"), role


async def test_a_database_that_has_no_tls_is_not_spoken_to_where_tls_is_demanded(database):
    with pytest.raises(StoreError) as caught:
        async with opened(f"{database}?sslmode=require"):
            pass
    assert "SSL" in caught.value.message
    async with opened(f"{database}?sslmode=prefer") as store:
        assert await store.rows("SELECT 1 AS one")


@asynccontextmanager
async def opened(url):
    store = ReadStore(url, pool_size=1, query_timeout_s=5)
    await store.open()
    try:
        await store.rows("SELECT 1")
        yield store
    finally:
        await store.close()


def write_certificate(certificate, key):
    """Write a certificate of this machine that it has signed itself."""
    argv = ["/usr/bin/env", "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes"]
    argv += ["-days", "2", "-subj", "/CN=localhost"]
    argv += ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    argv += ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(argv, check=True, capture_output=True)


@pytest.fixture
def with_tls(services):
    """The certificate of the database, which speaks TLS for a while."""
    box, port = services.postgres.box, services.postgres.port
    folder = box.home / "postgres"
    write_certificate(folder / "server.crt", folder / "server.key")
    owner = (folder / "PG_VERSION").stat()
    for name in ("server.key", "server.crt"):
        (folder / name).chmod(0o600)
        os.chown(folder / name, owner.st_uid, owner.st_gid)
    for value in ("on", "off"):
        done = access.sql(box, port, "postgres", f"ALTER SYSTEM SET ssl = {value}")
        assert done.returncode == 0, done.stderr
        access.sql(box, port, "postgres", "SELECT pg_reload_conf()")
        if value == "on":
            yield folder / "server.crt"


@needs_root
async def test_the_certificate_of_a_database_is_checked(with_tls, database, tmp_path):
    full = f"{database}?sslmode=verify-full&sslrootcert={with_tls}"

    async def encrypted():
        with suppress(StoreError):
            async with opened(full) as store:
                sql = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
                return (await store.rows(sql))[0]["ssl"]

    await until(encrypted)
    other = tmp_path / "other.crt"
    write_certificate(other, tmp_path / "other.key")
    with pytest.raises(StoreError, match="certificate"):
        async with opened(f"{database}?sslmode=verify-full&sslrootcert={other}"):
            pass


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
