"""`parktwin new`: the smallest park model that runs, to which contacts are adopted."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from twin.errors import ParkError
from twin.loading import FILES, TAG_COLUMNS, parse_park
from twin.program import program_parser, run_program

EXAMPLES = """examples:
  parktwin new my-park
  parktwin new my-park --id liaocheng --zh 聊城化工产业园 --en "Liaocheng chemical park"
  parktwin up --park my-park
      then `parktwin gateway list` names who sends, and `gateway adopt` makes it part of the model
"""
PARK = """# A park model: its tables are in docs/park-model.md, its problems in `parktwin check`.
[park]
id = "{id}"
kind = "park"
name = {{zh = "{zh}", en = "{en}"}}
timezone = "{timezone}"
"""


def write_park(folder: Path, name: str, zh: str, en: str, timezone: str) -> None:
    """Write a model without scopes and tags; raises ParkError, and writes nothing, when wrong."""
    if any('"' in text or "\\" in text for text in (zh, en, timezone)):
        raise ParkError("names have no quotes and no backslashes here")
    park = PARK.format(id=name, zh=zh, en=en, timezone=timezone)
    files = {"park.toml": park, "tags.csv": ",".join(TAG_COLUMNS) + "\n"}
    parse_park(files)
    present = [file for file in FILES if (folder / file).exists()]
    if present:
        raise ParkError(
            f"{folder} has a {present[0]} already", hint="choose another folder, or remove it"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file, text in files.items():
            (folder / file).write_text(text, encoding="utf-8")
    except OSError as error:
        raise ParkError(f"{folder} cannot be written: {error.strerror}") from error


def main(argv: list[str] | None = None) -> int:
    """Write a new park model; return 0 when it is there."""
    parser = program_parser("parktwin new", "Write the smallest park model that runs.", EXAMPLES)
    add = parser.add_argument
    add("folder", type=Path, metavar="DIR", help="folder of the model; made when it is missing")
    add("--id", help="id of the park, [a-z0-9-]+ (default: by the folder)")
    add("--zh", help="its name in Chinese (default: the id)")
    add("--en", help="its name in English (default: the id)")
    add("--timezone", default="Asia/Shanghai", help="its clock (default: %(default)s)")
    options = parser.parse_args(argv)
    own = re.sub(r"[^a-z0-9-]+", "-", options.folder.resolve().name.lower()).strip("-")
    name = options.id or own or "park"

    def work() -> None:
        zh, en = options.zh or options.en or name, options.en or options.zh or name
        write_park(options.folder, name, zh, en, options.timezone)
        print(f"{options.folder}: park {name}. Now: parktwin up --park {options.folder}")

    return run_program("parktwin new", work)


if __name__ == "__main__":
    sys.exit(main())
