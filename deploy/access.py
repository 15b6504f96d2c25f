"""Who may use the database of a data folder: its roles, their passwords, the files that hold them.

The administrator has no password: it is the account the server runs under, and it comes by the
socket in the folder of the cluster, which nobody else may enter. `park` owns the schema, for ingest
and for people. For the api `park_reader` reads it and queues commands, and `park_access` has the
accounts; `park_report` makes reports. `park_viewer` reads values and alarms, for dashboards, and
the members of `park_enterprise` what is of their enterprise.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shlex
from typing import TYPE_CHECKING

from deploy import packages
from deploy.access_lists import new_password
from deploy.private_files import write_private
from deploy.service import HOST
from twin.errors import ParkError

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from deploy.sandbox import Sandbox

ADMINISTRATOR, OWNER = "postgres", "park"
READER, ACCESS, REPORT, VIEWER = "park_reader", "park_access", "park_report", "park_viewer"
# Whose passwords are new with each start.
PASSING = (READER, ACCESS, REPORT)
SESSION = "parktwin-ingest"
# Files of passwords that last, as psql reads them.
PGPASS = {OWNER: "pgpass", VIEWER: "viewer.pgpass"}
RULES = (
    "local all,replication all peer map=server\n"  # of a backup
    f"host all all {HOST}/32 scram-sha-256\n"
)
# `park` was the superuser of a cluster once, and a session cannot rename its own role.
RENAMER = "park_renamer"
RENAME = (
    (OWNER, "DROP ROLE IF EXISTS park_renamer; CREATE ROLE park_renamer SUPERUSER LOGIN"),
    (RENAMER, "ALTER ROLE park RENAME TO postgres"),
)
ADD_ROLES = """
SET log_min_error_statement = panic;  -- A failed statement would be logged with its password.
DROP ROLE IF EXISTS park_renamer;
SELECT format('CREATE ROLE %I LOGIN', name)
FROM unnest(ARRAY['park', 'park_reader', 'park_access', 'park_report', 'park_viewer']) AS name
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \\gexec
SELECT 'CREATE ROLE park_enterprise'
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'park_enterprise') \\gexec
{passwords}
ALTER ROLE park_reader SET statement_timeout = '300s';
ALTER ROLE park_access SET statement_timeout = '10s';
ALTER ROLE park_report SET statement_timeout = '300s';
ALTER ROLE park_viewer CONNECTION LIMIT 10;
ALTER ROLE park_viewer SET default_transaction_read_only = on;
ALTER ROLE park_viewer SET statement_timeout = '30s';
ALTER ROLE park_viewer SET search_path = park, public;
-- So that the owner sees and ends their sessions.
GRANT park_reader, park_access, park_report TO park;
"""
ADD_DATABASE = """
SELECT 'CREATE DATABASE {name} OWNER park'
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = '{name}') \\gexec
"""
# What the superuser made before it had this owner; chunks and sequences of columns follow tables.
HAND_OVER = """
ALTER DATABASE {name} OWNER TO park;
SELECT format('ALTER SCHEMA %I OWNER TO park', nspname) FROM pg_namespace
WHERE nspname = 'park' AND pg_get_userbyid(nspowner) = 'postgres' \\gexec
SELECT format('ALTER TABLE %s OWNER TO park', oid::regclass) FROM pg_class c
WHERE relnamespace IN (SELECT oid FROM pg_namespace WHERE nspname IN ('park', 'public'))
    AND relkind IN ('r', 'p', 'v', 'm', 'S') AND pg_get_userbyid(relowner) = 'postgres'
    AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = c.oid
        AND deptype IN ('a', 'i', 'e')) \\gexec
"""


def write_rules(box: Sandbox) -> None:
    """Let only passwords in by TCP, and only the account of the server by its socket."""
    account = packages.ACCOUNTS["passwd"].partition(":")[0]
    if box.mode == "direct":
        account = pwd.getpwuid(os.geteuid()).pw_name
    roles = (ADMINISTRATOR, OWNER, RENAMER)
    cluster = box.home / "postgres"
    (cluster / "pg_hba.conf").write_text(RULES)
    lines = [f'server "{account}" {role}\n' for role in roles]
    (cluster / "pg_ident.conf").write_text("".join(lines))
    for socket in cluster.glob(".s.PGSQL.*"):
        # After a crash another process may have the number in the socket's lock.
        socket.unlink()


def admit(box: Sandbox, port: int, passwords: dict[str, str]) -> None:
    """Make the roles, with a password of each that has one; raises ParkError."""
    if sql(box, port, "postgres", "SELECT 1").returncode:
        for role, statement in RENAME:
            _require(sql(box, port, "postgres", statement, role=role), "renaming the superuser")
    lines = (f"ALTER ROLE {role} PASSWORD '{word}';" for role, word in passwords.items())
    statement = ADD_ROLES.format(passwords="\n".join(lines))
    _require(sql(box, port, "postgres", statement), "making the roles")


def create_database(box: Sandbox, port: int, name: str) -> None:
    """Create a database of the owner with TimescaleDB, or bring it up to date; raises ParkError."""
    for database, statement in (
        ("postgres", ADD_DATABASE.format(name=name)),
        (name, "CREATE EXTENSION IF NOT EXISTS timescaledb"),
        (name, "ALTER EXTENSION timescaledb UPDATE"),
        (name, HAND_OVER.format(name=name)),
    ):
        _require(sql(box, port, database, statement), f"preparing the database {name}")


def _require(done: subprocess.CompletedProcess[str], what: str) -> None:
    """Raise ParkError when statements failed."""
    if done.returncode:
        raise ParkError(
            f"{what} failed: {packages.complaint(done.stderr)}",
            hint="the log of the database is log/postgres.log in the data folder",
        )


def sql(
    box: Sandbox, port: int, database: str, statements: str, *, role: str = ADMINISTRATOR
) -> subprocess.CompletedProcess[str]:
    """Run statements in a session of their own, by the socket of the server."""
    # A socket's path has at most 107 bytes; that of a data folder can be longer.
    folder = "/proc/self/cwd" if box.mode == "direct" else box.within("postgres")
    argv = [f"{box.programs.postgres}/psql", "-XAtq", "-v", "ON_ERROR_STOP=1"]
    argv += ["-h", folder, "-p", str(port), "-U", role, "-d", database]
    # By the input: arguments are seen by every account of the machine.
    return box.run(argv, "postgres", statements)


def password_of(data: Path, role: str = OWNER) -> str:
    """Return the password of the owner or viewer, a new one for a new data folder."""
    file = data / PGPASS[role]
    return file.read_text().strip().rpartition(":")[2] if file.exists() else new_password()


def write_pgpass(data: Path, port: int, password: str, role: str = OWNER) -> None:
    """Keep the password of the owner or viewer where psql reads it, as PGPASSFILE."""
    write_private(data / PGPASS[role], f"{HOST}:{port}:*:{role}:{password}\n")


def write_addresses(data: Path, addresses: dict[str, str]) -> None:
    """Write connection.env: the addresses of a running twin, with the owner's password."""
    lines = [f"{name}={shlex.quote(url)}\n" for name, url in addresses.items()]
    write_private(data / "connection.env", "".join(lines))


def key_of(data: Path, name: str) -> Path:
    """Return a file with a key, made for a new data folder.

    `audit.key` is that of the record of orders, `secret.key` that of secrets in the database.
    """
    file = data / name
    if not file.exists():
        write_private(file, secrets.token_hex(32))
    return file


def session_name(data: Path) -> str:
    """Return the client id of ingest at the broker, which nobody guesses.

    Who knew it could come in under it, and end the connection of ingest. A folder that was there
    before keeps the id it had: the broker may hold messages for that.
    """
    file = data / "session"
    if not file.exists():
        former = data / "services/mnt/mosquitto/mosquitto.db"
        name = SESSION if former.exists() else f"{SESSION}-{secrets.token_hex(8)}"
        write_private(file, f"{name}\n")
    return file.read_text().strip()
