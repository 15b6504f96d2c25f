"""`parktwin check`: say everything that is wrong with a park model."""

from __future__ import annotations

import argparse
import sys
from collections import Counter

from twin.errors import ModelError
from twin.loading import load_park

EXAMPLES = """examples:
  parktwin check deploy/parks/liaocheng      the demonstration park
  parktwin check /etc/parktwin/my-park       your own, before `parktwin up`
"""


def main(argv: list[str] | None = None) -> int:
    """Check one park folder; return 0 when it is valid."""
    parser = argparse.ArgumentParser(
        prog="parktwin check",
        description="Check a park model without a database.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("park", metavar="PARK_DIR", help="folder with park.toml and tags.csv")
    folder = parser.parse_args(argv).park
    try:
        park = load_park(folder)
    except ModelError as error:
        for problem in error.problems:
            print(f"{folder}/{problem}", file=sys.stderr)
        print(f"parktwin check: {error.message} — {error.hint}", file=sys.stderr)
        return 1
    kinds = Counter(scope.kind for scope in park.scopes)
    print(
        f"{park.id}: "
        + ", ".join(f"{n} {kind}{'s' if n > 1 else ''}" for kind, n in kinds.items())
        + f"; {len(park.tags)} tags, {len(park.streams)} streams, {len(park.tanks)} tanks,"
        f" {len(park.meters)} meters, {len(park.electrolysers)} electrolysers: valid"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
