"""What commands share: the line that says how far one is, and how it ends."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from pydantic import ValidationError

from twin.errors import ParkError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


BAR = 24


def show(share: float, text: str) -> None:
    """Say on a terminal how far a command is; nothing elsewhere."""
    if sys.stderr.isatty():
        bar = "#" * round(share * BAR)
        line = f"\r[{bar:.<{BAR}}] {share:4.0%}  {text}\033[K"
        print(line, end="", file=sys.stderr, flush=True)


def clear() -> None:
    """Leave that line."""
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr, flush=True)


def status(program: str, work: Callable[[], object], stopped: str = "stopped") -> int:
    """Do the work of a command; return its exit status."""
    problems: Sequence[str] = ()
    try:
        work()
    except ValidationError as error:
        said = f"settings: {error}"
    except ParkError as error:
        said = " — ".join(filter(None, (error.message, error.hint)))
        problems = getattr(error, "problems", ())
    except KeyboardInterrupt:
        print(f"\n{program}: {stopped}", file=sys.stderr)
        return 130
    else:
        return 0
    for line in (f"{program}: {said}", *(f"  {problem}" for problem in problems)):
        print(line, file=sys.stderr)
    return 2
