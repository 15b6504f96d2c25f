"""Programs of operators: each lists rows of one subject, and sends commands to a running ingest."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from ingest.settings import IngestSettings
from ingest.store import Store
from twin.errors import ParkError
from twin.program import program_parser, run_program

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Awaitable, Callable

    Listing = Callable[[Store, Namespace], Awaitable[list[str]]]
    Body = Callable[[Namespace], dict[str, Any]]
    Action = Callable[[Store, Namespace], Awaitable[None]]

WAIT_S, LOOK_S = 30.0, 0.2
READING = ("list", "show")
LIMIT = "rows (default: %(default)s)"


class OperatorProgram:
    """``parktwin NAME list`` and commands; `parsers` are by the names in `commands`, with help."""

    def __init__(self, name: str, about: str, examples: str, **commands: str) -> None:
        self._name = f"parktwin {name}"
        settings = "settings, from the environment: PARKTWIN_DATABASE_URL"
        self._parser = program_parser(self._name, about, f"{examples}\n{settings}\n")
        add = self._parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
        self.parsers = {each: add.add_parser(each, help=line) for each, line in commands.items()}

    def run(
        self,
        argv: list[str] | None,
        kind: str,
        listing: Listing,
        body: Body,
        **own: Callable[[Namespace], int],
    ) -> int:
        """Print the lines of `listing`, or send ``{kind}.COMMAND``; return 0 when it is done.

        Printed are `list` and `show`, and any command with `dry_run`. Commands of their `own` need
        no database.
        """

        async def act(store: Store, options: Namespace) -> None:
            if options.command in READING or getattr(options, "dry_run", False):
                async with store.transaction():
                    print("\n".join(await listing(store, options)))
            else:
                await order(store, f"{kind}.{options.command}", body(options))

        return self.act(argv, act, **own)

    def act(self, argv: list[str] | None, action: Action, **own: Callable[[Namespace], int]) -> int:
        """Do what the command line says with an open store; return 0 when it is done."""
        options = self._parser.parse_args(argv)
        if options.command in own:
            return run_program(self._name, lambda: own[options.command](options))

        async def work() -> None:
            store = Store(IngestSettings().database_url)
            await store.open()
            try:
                await action(store, options)
            finally:
                await store.close()

        return run_program(self._name, lambda: asyncio.run(work()))


async def order(store: Store, kind: str, body: dict[str, Any]) -> None:
    """Write a command down and wait for its answer; raises ParkError when it was refused."""
    async with store.transaction():
        number = await store.commands.add(kind, json.dumps(body))
    for _ in range(round(WAIT_S / LOOK_S)):
        async with store.transaction():
            done, error = await store.commands.result(number)
        if error:
            raise ParkError(error)
        if done:
            print("done")
            return
        await asyncio.sleep(LOOK_S)
    print(f"ingest has not taken it yet: command {number} waits until it runs")
