"""`parktwin user sql`: roles of the database by which an enterprise reads its values by SQL."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from api.access.__main__ import OWN, opened_accounts
from api.access.audit import Event
from api.settings import ApiSettings
from deploy import access, packages, sandbox
from deploy.access_lists import new_password
from deploy.database.settings import DATA_FOLDER
from deploy.service import HOST
from twin.errors import ParkError
from twin.program import program_parser, run_program

if TYPE_CHECKING:
    from argparse import Namespace

EXAMPLES = """examples:
  parktwin user sql list
  parktwin user sql add xinfa --scope liaocheng/chiping/xinfa
      makes the role sql_xinfa, and prints its password, once
  psql postgresql://sql_xinfa@127.0.0.1:5433/park -c 'SELECT * FROM shared_hour LIMIT 10'
  parktwin user sql drop xinfa

The views shared_tag, shared_sample, shared_minute, shared_hour and shared_alarm tell a role what is
of its scope, and of others what their level of disclosure lets members of the park know. It is for
the database of `parktwin up`; docs/access.md has the statements for another one.
"""
CONNECTION_FILE = "connection.env"
NAME, SCOPE = r"[a-z0-9][a-z0-9_]{0,39}", r"[\w./-]{1,500}"
ADD = """
BEGIN;
SET LOCAL log_min_error_statement = panic;  -- It would be logged with its password.
CREATE ROLE {role} LOGIN PASSWORD '{password}' CONNECTION LIMIT 5 IN ROLE park_enterprise;
ALTER ROLE {role} SET default_transaction_read_only = on;
ALTER ROLE {role} SET statement_timeout = '30s';
ALTER ROLE {role} SET search_path = park, public;
INSERT INTO park.sql_reader (role, scope) VALUES ('{role}', '{scope}');
COMMIT;
"""
DROP = """
BEGIN;
DELETE FROM park.sql_reader WHERE role = '{role}';
DROP ROLE {role};
COMMIT;
"""
LIST = "SELECT role, scope FROM park.sql_reader ORDER BY role"
HAS_SCOPE = """
SELECT count(*) FROM park.tag WHERE scope = '{scope}' OR starts_with(scope, '{scope}/')
"""


def add_reader(box: sandbox.Sandbox, port: int, database: str, name: str, scope: str) -> str:
    """Make the role of an enterprise and return its password; raises ParkError."""
    if not re.fullmatch(NAME, name):
        raise ParkError(f"{name!r} is no name of a role", hint="small letters, digits and _")
    is_scope = re.fullmatch(SCOPE, scope)
    if not is_scope or _ask(box, port, database, HAS_SCOPE.format(scope=scope)) == ["0"]:
        raise ParkError(f"no tag is of the scope {scope!r}", hint="parktwin check lists scopes")
    password = new_password()
    statements = ADD.format(role=f"sql_{name}", password=password, scope=scope)
    _ask(box, port, database, statements)
    return password


def drop_reader(box: sandbox.Sandbox, port: int, database: str, name: str) -> None:
    """Take the role of an enterprise away; raises ParkError."""
    if f"sql_{name}" not in [line.partition("|")[0] for line in _ask(box, port, database, LIST)]:
        raise ParkError(f"there is no role sql_{name}", hint="parktwin user sql list")
    _ask(box, port, database, DROP.format(role=f"sql_{name}"))


def _ask(box: sandbox.Sandbox, port: int, database: str, statements: str) -> list[str]:
    """Return the lines that statements of the administrator answer; raises ParkError."""
    done = access.sql(box, port, database, statements)
    if done.returncode:
        raise ParkError(f"the database refused: {packages.complaint(done.stderr)}")
    return done.stdout.split()


def _port(box: sandbox.Sandbox, data: Path) -> int:
    """Return the port of the running database of a data folder; raises ParkError."""
    try:
        return int((box.home / "postgres" / "postmaster.pid").read_text().splitlines()[3])
    except (OSError, IndexError, ValueError):
        raise ParkError(
            f"no database of {data} runs",
            hint="start `parktwin up`; docs/access.md has the statements for another database",
        ) from None


def _work(options: Namespace) -> None:
    data = options.data.absolute()
    if not (data / "services").exists():
        raise ParkError(f"{data} is no data folder of `parktwin up`", hint="name it with --data")
    box = sandbox.choose(data)
    port = _port(box, data)
    if options.command == "list":
        lines = _ask(box, port, "park", LIST)
        print("\n".join(line.replace("|", "  ") for line in lines) or "there are none")
        return
    role = f"sql_{options.name}"
    if options.command == "drop":
        drop_reader(box, port, "park", options.name)
        text = f"{role} is gone"
    else:
        password = add_reader(box, port, "park", options.name, options.scope)
        text = f"postgresql://{role}:{password}@{HOST}:{port}/park"
    subject = f"{role} {getattr(options, 'scope', '')}".strip()
    asyncio.run(_note(data, Event(OWN, "", f"user sql {options.command}", subject, "done")))
    print(text)


async def _note(data: Path, event: Event) -> None:
    """Add an event to the record of a data folder; raises StoreError."""
    settings = ApiSettings(_env_file=data / CONNECTION_FILE)
    async with opened_accounts(settings) as accounts:
        await accounts.note(event)


def main(argv: list[str] | None = None) -> int:
    """Do one thing with the roles; return 0 when it is done."""
    parser = program_parser("parktwin user sql", "Let an enterprise read by SQL.", EXAMPLES)
    parser.add_argument(
        "--data", type=Path, default=Path(DATA_FOLDER), metavar="DIR",
        help="data folder of `parktwin up` (default: ./%(default)s)",
    )  # fmt: skip
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    commands.add_parser("list", help="all roles and their scopes")
    add = commands.add_parser("add", help="make a role and print its address with the password")
    add.add_argument("name")
    add.add_argument("--scope", required=True, help="what is its own: liaocheng/chiping/xinfa")
    commands.add_parser("drop", help="take a role away").add_argument("name")
    options = parser.parse_args(argv)
    return run_program("parktwin user sql", lambda: _work(options))


if __name__ == "__main__":
    sys.exit(main())
