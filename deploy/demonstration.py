"""The scenario of a demonstration: the simulator says which there are, the api says which to play.

Both meet in two files of a folder that only ``parktwin up --simulate`` gives them: a twin of real
plants has no such folder, and nothing that could be switched.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import NamedTuple

STATE, ORDER = "state.json", "order.json"
NORMAL = "normal"


class OfferedScenario(NamedTuple):
    """A scenario that fits the park."""

    id: str
    zh: str
    en: str


class PlayedScenario(NamedTuple):
    """The scenario that runs, and all there are."""

    scenario: str
    since_us: int  # its first event
    until_us: int  # the end of its last event; the same as `since_us` when nothing happens
    offers: tuple[OfferedScenario, ...]


def write_played(folder: Path, played: PlayedScenario) -> None:
    """Say what is played; raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / STATE, {**played._asdict(), "offers": [list(one) for one in played.offers]})


def read_played(folder: Path) -> PlayedScenario | None:
    """Return what is played; None before the simulator has said it."""
    try:
        state = json.loads((folder / STATE).read_text(encoding="utf-8"))
        offers = tuple(OfferedScenario(*one) for one in state.pop("offers"))
        return PlayedScenario(**state, offers=offers)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def order(folder: Path, scenario: str, now_us: int) -> None:
    """Ask for a scenario; raises OSError."""
    _write(folder / ORDER, {"scenario": scenario, "time_us": now_us})


def read_order(folder: Path) -> tuple[str, int]:
    """Return the scenario that was asked for last, and when; an empty one without an order."""
    try:
        wanted = json.loads((folder / ORDER).read_text(encoding="utf-8"))
        return str(wanted["scenario"]), int(wanted["time_us"])
    except (OSError, ValueError, KeyError, TypeError):
        return "", 0


def _write(path: Path, content: dict[str, object]) -> None:
    """Write a file as a whole: nobody reads half of it."""
    handle, name = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(content, file, ensure_ascii=False)
    Path(name).replace(path)
