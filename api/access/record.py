"""The record of what was done, as an auditor reads it."""

from __future__ import annotations

import asyncio
import re
import sys
from argparse import ArgumentTypeError
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field
from typing_extensions import TypedDict

from api.access.__main__ import OWN, opened_accounts
from api.access.sessions import OwnAccounts
from api.answers import Page, Rfc3339, record
from api.context import AppContext
from api.encode import AnswerRoute
from api.parameters import After, Limit
from api.problems import RESPONSES
from api.settings import ApiSettings
from twin.program import program_parser, run_program

router = APIRouter(prefix="/api/v1/audit", responses=RESPONSES, route_class=AnswerRoute)

HEAD = r"(\d{1,18}:[0-9a-f]{64})?"
EXAMPLES = """examples:
  parktwin audit verify
      prints the head, the number and digest of the last row: note it where the database is not
  parktwin audit verify --head 1824:9f2c…       and nothing up to there was changed or taken away
  PARKTWIN_AUDIT_DAYS=400 parktwin audit trim   removes older rows, as the owner of the database;
      `parktwin up` does it once a day

settings, from the environment: PARKTWIN_DATABASE_URL, PARKTWIN_AUDIT_KEY, PARKTWIN_AUDIT_DAYS
"""
EVENTS = """
SELECT number, time, account, address, action, subject, outcome FROM audit
WHERE number < $1 AND ($2::text IS NULL OR account = $2) ORDER BY number DESC LIMIT $3"""


class AuditRow(TypedDict):
    """Something that was done or tried."""

    number: int
    time: Rfc3339
    account: Annotated[str, Field(description="empty = nobody had come in")]
    address: str
    action: Annotated[str, Field(description="method of the request, or what a command did")]
    subject: Annotated[str, Field(description="path of the request")]
    outcome: Annotated[str, Field(description="status of the answer")]


class AuditVerification(TypedDict):
    """What a look at the whole record says."""

    rows: int
    head: Annotated[str, Field(description="number and digest of the last row: note it elsewhere")]
    wrong: Annotated[int, Field(description="first row that was changed or taken away; 0 = none")]
    begins: Annotated[int, Field(description="number of the first row that is kept")]
    removed: Annotated[
        str, Field(description="why there are none before it; empty = there were none")
    ]


@router.get("")
async def read_audit(
    context: AppContext,
    accounts: OwnAccounts,
    account: Annotated[str | None, Query(max_length=40, description="of one account")] = None,
    limit: Limit = 100,
    cursor: After = 2**62,
) -> Page[AuditRow]:
    """Return what was done, the newest first."""
    context.require_page(limit)
    rows = await accounts.rows(EVENTS, cursor, account, limit + 1)
    items = [record(AuditRow, row, time=context.time(row["time"])) for row in rows[:limit]]
    return {"items": items, "next": str(rows[limit - 1]["number"]) if len(rows) > limit else None}


@router.get("/verification")
async def verify_audit(
    accounts: OwnAccounts,
    head: Annotated[str, Query(pattern=f"^{HEAD}$", description="a head noted earlier")] = "",
) -> AuditVerification:
    """Look at every row: each must follow from the one before and the key."""
    seen = await accounts.verify(head)
    return record(AuditVerification, seen)


async def _verify(head: str) -> int:
    """Look at the record; return 1 when it was changed."""
    async with opened_accounts() as accounts:
        seen = await accounts.verify(head)
    if seen.removed:
        print(f"the record begins with row {seen.begins}: those before were {seen.removed}")
    if seen.wrong:
        print(f"row {seen.wrong} was changed, added or taken away", file=sys.stderr)
        return 1
    print(f"{seen.rows:,} rows, each follows from the one before; head {seen.head}")
    return 0


async def _trim() -> int:
    """Remove what is older than the settings say; return 0."""
    days = ApiSettings().audit_days
    if not days:
        print("PARKTWIN_AUDIT_DAYS is 0: nothing is removed")
        return 0
    async with opened_accounts() as accounts:
        count = await accounts.remove_old(days, OWN)
    print(f"{count:,} rows older than {days} days are removed")
    return 0


def main(argv: list[str] | None = None) -> int:
    """Look whether the record was changed; return 0 when it was not."""
    parser = program_parser("parktwin audit", "The record of ways in and orders.", EXAMPLES)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    verify = commands.add_parser("verify", help="look whether a row was changed or taken away")
    verify.add_argument("--head", default="", type=_head, help="a head that was printed earlier")
    commands.add_parser("trim", help="remove rows that are older than PARKTWIN_AUDIT_DAYS")
    options = parser.parse_args(argv)

    def work() -> int:
        return asyncio.run(_trim() if options.command == "trim" else _verify(options.head))

    return run_program("parktwin audit", work)


def _head(text: str) -> str:
    if not re.fullmatch(HEAD, text):
        raise ArgumentTypeError("a head is NUMBER:DIGEST, as `parktwin audit verify` prints it")
    return text


if __name__ == "__main__":
    sys.exit(main())
