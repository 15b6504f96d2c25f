"""The notes of a release and the digests of its files, for `make release`."""

from __future__ import annotations

import hashlib
import re
import sys
from pathlib import Path

from twin.errors import ParkError
from twin.program import own_version, program_parser, run_program

NOTES, SUMS = "NOTES.md", "SHA256SUMS"


def main(argv: list[str] | None = None) -> int:
    """Write both into the folder of the files; return the exit status."""
    example = "example:\n  python -m deploy.release dist --changelog CHANGELOG.md"
    parser = program_parser("python -m deploy.release", "Write notes and digests.", example)
    parser.add_argument("folder", type=Path, help="with wheel, sources and bills of materials")
    parser.add_argument("--changelog", type=Path, default=Path("CHANGELOG.md"))
    options = parser.parse_args(argv)

    def work() -> None:
        text = options.changelog.read_text(encoding="utf-8")
        (options.folder / NOTES).write_text(notes_of(text, own_version()), encoding="utf-8")
        (options.folder / SUMS).write_text(sums_of(options.folder), encoding="utf-8")

    return run_program("release", work)


def notes_of(changelog: str, version: str) -> str:
    """Return what the changelog says of a version; of one it does not know, what is unreleased.

    Raises ParkError when that is nothing.
    """
    parts = re.split(r"(?m)^## \[(.+?)\].*$", changelog)[1:]
    sections = dict(zip(parts[::2], map(str.strip, parts[1::2]), strict=True))
    name = version if version in sections else "Unreleased"
    if not sections.get(name):
        raise ParkError(
            f"the changelog says nothing of {version}", hint=f"write a section ## [{version}]"
        )
    state = "" if name == version else ", not released yet"
    return f"# parktwin {version}{state}\n\n{sections[name]}\n"


def sums_of(folder: Path) -> str:
    """Return the SHA-256 of each file of a folder, as `sha256sum --check` reads it."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.name != SUMS)
    return "".join(
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files
    )


if __name__ == "__main__":
    sys.exit(main())
