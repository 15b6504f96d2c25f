"""The end of a program: its status and the sentence of its error; and the progress it displays."""

from __future__ import annotations

import argparse
import importlib.metadata
import sys
from typing import TYPE_CHECKING

from twin.errors import ParkError

if TYPE_CHECKING:
    from collections.abc import Callable

# An error that another try may mend ends like a crash; one that no restart can mend does not.
RETRYABLE = 1
HOPELESS = 2
INTERRUPTED = 130  # 128 + SIGINT, as shells count it
BAR = 24


def own_version() -> str:
    """Return the version of the installed package; of a source tree that nobody installed, so."""
    try:
        return importlib.metadata.version("parktwin")
    except importlib.metadata.PackageNotFoundError:
        return "from source"


def program_parser(name: str, about: str, epilog: str) -> argparse.ArgumentParser:
    """Return the parser of a program's arguments; the epilog of its help stays as it is written."""
    layout = argparse.RawDescriptionHelpFormatter
    return argparse.ArgumentParser(
        prog=name, description=about, epilog=epilog, formatter_class=layout
    )


def run_program(
    name: str,
    work: Callable[[], int | None],
    *,
    stopped: str = "stopped",
    folder: str = "",
    say: Callable[[str], None] | None = None,
) -> int:
    """Run the work of a program and return its exit status.

    Parameters
    ----------
    name
        name of the program, which begins each sentence on stderr
    work
        returns a status of its own, or None for 0
    stopped
        what to say after an interruption
    folder
        path in front of each problem of a model
    say
        takes the lines about an error; None: they are printed on stderr

    Returns
    -------
    int
        that of the work; `RETRYABLE` or `HOPELESS` after a ParkError, whose problems are printed
        before the sentence with its hint; `INTERRUPTED` after SIGINT. Other exceptions pass.
    """
    say = say or _print_error
    try:
        return work() or 0
    except ParkError as error:
        for problem in error.problems:
            say(f"{folder}{problem}")
        sentence = " — ".join(filter(None, (error.message, error.hint)))
        say(f"{name}: {sentence}")
        return RETRYABLE if error.retryable else HOPELESS
    except KeyboardInterrupt:
        print(f"\n{name}: {stopped}", file=sys.stderr)
        return INTERRUPTED


def _print_error(text: str) -> None:
    print(text, file=sys.stderr)


def show_progress(share: float, text: str) -> None:
    """Draw a bar and a text on stderr when it is a terminal.

    Parameters
    ----------
    share : float [1]
        done of the whole
    text
        what stands beside the bar

    Returns
    -------
    None
    """
    if sys.stderr.isatty():
        bar = "#" * round(share * BAR)
        line = f"\r[{bar:.<{BAR}}] {share:4.0%}  {text}\033[K"
        print(line, end="", file=sys.stderr, flush=True)


def clear_progress() -> None:
    """Erase the bar."""
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr, flush=True)
