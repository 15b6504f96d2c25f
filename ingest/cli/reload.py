"""`parktwin reload`: let a running ingest take the model that stands in its folder now."""

from __future__ import annotations

import asyncio
import sys

from ingest.cli.send import order
from ingest.settings import IngestSettings
from ingest.store import Store
from twin.errors import ModelError, ParkError
from twin.program import program_parser, run_program

EXAMPLES = """examples:
  parktwin reload
      after a change of park.toml or tags.csv; it says "done" when the changed model runs

Without it ingest looks by itself every PARKTWIN_PARK_WATCH_S. A model with problems is refused with
all of them, and the former one runs on. Nothing is lost meanwhile: connections stay, and what
comes waits.

settings, from the environment: PARKTWIN_DATABASE_URL
"""


async def _main() -> None:
    store = Store(IngestSettings().database_url)
    await store.open()
    try:
        await order(store, "model.reload", {})
    except ParkError as error:
        async with store.transaction():
            problems = await store.model_problems.all()
        if not problems:
            raise
        raise ModelError(
            "the model of the folder is refused",
            hint="mend these lines; the former model runs on",
            problems=problems,
        ) from error
    finally:
        await store.close()


def main(argv: list[str] | None = None) -> int:
    """Let ingest read its model again; return 0 when it runs."""
    about = "Let a running ingest take over the changed model of its folder."
    program_parser("parktwin reload", about, EXAMPLES).parse_args(argv)
    return run_program("parktwin reload", lambda: asyncio.run(_main()))


if __name__ == "__main__":
    sys.exit(main())
