"""`parktwin check`: print all problems of a park model."""

from __future__ import annotations

import sys
from collections import Counter

from twin.loading import load_park
from twin.program import program_parser, run_program

EXAMPLES = """examples:
  parktwin check deploy/parks/liaocheng      the demonstration park
  parktwin check /etc/parktwin/my-park       your own, before `parktwin up`
"""


def main(argv: list[str] | None = None) -> int:
    """Check one park folder; return 0 when it is valid, 2 when it is not."""
    about = "Check a park model without a database."
    parser = program_parser("parktwin check", about, EXAMPLES)
    parser.add_argument("park", metavar="PARK_DIR", help="folder with park.toml and tags.csv")
    folder = parser.parse_args(argv).park
    return run_program("parktwin check", lambda: _check(folder), folder=f"{folder}/")


def _check(folder: str) -> None:
    """Print the size of a valid park and what is doubtful in it; raises ModelError."""
    park = load_park(folder)
    for warning in park.warnings:
        print(f"{folder}/{warning}", file=sys.stderr)
    doubtful = f", {len(park.warnings)} to look at" if park.warnings else ""
    kinds = Counter(scope.kind for scope in park.scopes)
    print(
        f"{park.id}: "
        + ", ".join(f"{n} {kind}{'s' if n > 1 else ''}" for kind, n in kinds.items())
        + f"; {len(park.tags)} tags, {len(park.streams)} streams, {len(park.tanks)} tanks,"
        f" {len(park.meters)} meters, {len(park.electrolysers)} electrolysers: valid{doubtful}"
    )


if __name__ == "__main__":
    sys.exit(main())
