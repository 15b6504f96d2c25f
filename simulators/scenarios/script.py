"""Scripts: what happens in a scenario, when and how much. A script is its own ground truth.

A file of `simulators/scenarios` names events; times count from the start of the scenario::

    name = { zh = "…", en = "…" }
    duration = "2 h"

    [[event]]
    id = "drift"
    kind = "bias"
    tag = "xinfa/FI-1203"
    start = "60 min"
    stop = "2 h"
    size = "4 %"
    ramp = "5 min"
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from twin.arrays import F64
from twin.errors import ModelError, UomError
from twin.model.park import inside
from twin.model.rows import toml_lines
from twin.uom import compile_uom, parse_difference, parse_quantity

if TYPE_CHECKING:
    from twin.model.park import Park, Tag

FOLDER = Path(__file__).parent
KEYS = (
    "id", "kind", "scope", "tag", "start", "stop", "size", "uom", "ramp", "every", "lasting",
    "note",
)  # fmt: skip
TOP = ("name", "duration", "note", "event", "gateway")
# These grow from nothing at the start to their size at the stop.
GROWING = ("drift", "efficiency", "voltage")
# What a counter has lost does not come back: these have no stop.
STAYING = ("reset", "rollover")
# The size of a step or a register, which is no share of what is shown.
STEPS = ("quantised", "rollover")


class Kind(NamedTuple):
    """What an event of a kind is about, and what its size is; `own` = the tag's own quantity."""

    where: str  # process, sensor or gateway
    about: str  # scope or tag
    size: str  # quantity, own, or empty where there is none
    usual: str = ""  # size of an event that does not say its own


KINDS = {
    "load": Kind("process", "scope", "fraction"),  # of a plant, unit or electrolyser; 0 = a trip
    "leak": Kind("process", "scope", "mass_flow"),  # of chlorine, out of a node
    "efficiency": Kind("process", "scope", "fraction"),  # current efficiency that cells lose
    "voltage": Kind("process", "scope", "voltage"),  # that a cell takes more
    "upset": Kind("process", "scope", "fraction"),  # alarmed tags go so far beyond their limits
    "bias": Kind("sensor", "tag", "own"),
    "drift": Kind("sensor", "tag", "own"),  # a bias that grows up to this until the stop
    "spike": Kind("sensor", "tag", "own"),
    "stuck": Kind("sensor", "tag", ""),
    "dropout": Kind("sensor", "tag", "fraction", "100 %"),  # of the samples
    "quantised": Kind("sensor", "tag", "own"),  # shown in steps of this size
    "unit": Kind("sensor", "tag", ""),  # sent in another uom
    "reset": Kind("sensor", "tag", ""),  # a counter begins again at zero
    "rollover": Kind("sensor", "tag", "own"),  # a counter has a register of this size
    "outage": Kind("gateway", "scope", ""),
    "silence": Kind("gateway", "scope", ""),
    "skew": Kind("gateway", "scope", "time"),
    "reorder": Kind("gateway", "scope", "fraction"),
    "duplicate": Kind("gateway", "scope", "fraction"),
    "storm": Kind("gateway", "scope", "time"),
}


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happens; `size` is SI, or a share of the value where `relative`."""

    id: str
    kind: str
    scope: str  # path of a scope or id of an electrolyser; the scope of the tag where there is one
    tag: str  # address; empty where it is not about a tag
    start_s: float
    stop_s: float
    size: float = 0.0
    relative: bool = False
    uom: str = ""  # of a unit error
    ramp_s: float = 0.0
    every_s: float = 0.0  # of spikes, one in each such time
    lasting_s: float = 0.0
    shown: str = ""  # the size as it was written; empty where there is none

    @property
    def where(self) -> str:
        """Where it happens: process, sensor or gateway."""
        return KINDS[self.kind].where


@dataclass(frozen=True, slots=True)
class Script:
    """The events of a scenario, in the order of the file."""

    id: str
    name: dict[str, str]
    duration_s: float
    events: tuple[Event, ...]
    gateways: tuple[dict[str, Any], ...] = ()  # rows for `simulators.gateways.gateways`

    def at(self, where: str) -> tuple[Event, ...]:
        """Return the events of the process, the sensors or the gateways."""
        return tuple(event for event in self.events if event.where == where)


def names() -> tuple[str, ...]:
    """Return the scenarios that come with the project."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.toml")))


def load_script(name: str, park: Park) -> Script:
    """Return a scenario by its name, or the path of its file; raises ModelError."""
    path = Path(name) if name.endswith(".toml") else FOLDER / f"{name}.toml"
    if not path.is_file():
        raise ModelError(f"there is no scenario {name!r}", hint="use one of " + ", ".join(names()))
    return parse_script(path.stem, path.read_text(encoding="utf-8"), park)


def parse_script(name: str, text: str, park: Park) -> Script:
    """Return a script, or raise ModelError with all its problems."""
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ModelError(f"{name}.toml is not TOML: {error}", hint="mend its syntax") from error
    headers, lines = toml_lines(text)
    problems = [f"{name}.toml: {key!r} is no key of a scenario" for key in found if key not in TOP]
    duration_s = 0.0
    try:
        duration_s = _time(found, "duration")
    except _WrongError as error:
        problems.append(f"{name}.toml: {error}")
    events: list[Event] = []
    for nth, row in enumerate(found.get("event", ())):
        try:
            event = _event(row, park, duration_s)
            if any(event.id == other.id for other in events):
                raise _WrongError("id", f"{event.id!r} is there twice")  # noqa: TRY301
            events.append(event)
        except _WrongError as error:
            line = lines.get(("event", nth, error.key), headers["event", nth])
            problems.append(f"{name}.toml:{line}: event {row.get('id', nth + 1)}: {error}")
    if problems:
        raise ModelError(
            f"scenario {name} is wrong in {len(problems)} places",
            hint="mend the lines above",
            problems=problems,
        )
    gateways = tuple(found.get("gateway", ()))
    return Script(name, dict(found.get("name", {})), duration_s, tuple(events), gateways)


def weight(event: Event, since_s: F64) -> F64:
    """Return how much of an event there is, (n,) float64 [1], at times since the start [s]."""
    if event.kind in GROWING:
        length_s = event.stop_s - event.start_s
        on = (since_s >= event.start_s) & (since_s < event.stop_s)
        return np.asarray(np.where(on, (since_s - event.start_s) / length_s, 0.0))
    rise = since_s - event.start_s
    fall = event.stop_s - since_s
    if not event.ramp_s:
        return np.asarray(((rise >= 0) & (fall > 0)).astype(np.float64))
    # It is all there after the ramp, and all gone at the stop.
    part = np.clip(np.minimum(rise, fall) / event.ramp_s, 0.0, 1.0)
    return np.asarray(part * part * (3 - 2 * part))


class _WrongError(Exception):
    """A cell is wrong; `key` says which."""

    def __init__(self, key: str, text: str) -> None:
        super().__init__(f"{key}: {text}")
        self.key = key


def _event(row: dict[str, Any], park: Park, duration_s: float) -> Event:
    """Return one event or raise _WrongError."""
    for key in row:
        if key not in KEYS:
            raise _WrongError(key, f"is none of {', '.join(KEYS)}")
    kind = KINDS.get(row.get("kind", ""))
    if kind is None:
        raise _WrongError("kind", f"must be one of {', '.join(KINDS)}")
    if not row.get("id"):
        raise _WrongError("id", "is missing")
    tags = {tag.address: tag for tag in park.tags}
    tag = tags.get(row.get("tag", ""))
    scope = _subject(row, kind, park, tag)
    start_s, stop_s, ramp_s = _times(row, duration_s)
    every_s, lasting_s = _time(row, "every", 300.0), _time(row, "lasting", 5.0)
    if not 0 < lasting_s < every_s:
        raise _WrongError("lasting", "must be above 0 and shorter than every")
    if tag and (row["kind"] in STAYING) != (tag.kind == "counter"):
        raise _WrongError("tag", f"{row['kind']} is not for a {tag.kind}")
    shown = str(row.get("size", kind.usual))
    size, relative = _size(row["kind"], shown, tag)
    return Event(
        id=str(row["id"]),
        kind=row["kind"],
        scope=scope,
        tag=tag.address if tag else "",
        start_s=start_s,
        stop_s=stop_s,
        size=size,
        relative=relative,
        uom=_uom(row, tag),
        ramp_s=ramp_s,
        every_s=every_s,
        lasting_s=lasting_s,
        shown=shown,
    )


def _times(row: dict[str, Any], duration_s: float) -> tuple[float, float, float]:
    """Return start, stop and ramp of an event [s], or raise _WrongError."""
    kind = row["kind"]
    if kind in STAYING and "stop" in row:
        raise _WrongError("stop", f"what a counter loses by a {kind} does not come back")
    start_s, stop_s = _time(row, "start", 0.0), _time(row, "stop", duration_s)
    if not 0 <= start_s < stop_s <= duration_s:
        raise _WrongError("stop", "must be after the start and within the duration")
    ramp_s = _time(row, "ramp", 0.0)
    if ramp_s and kind in GROWING:
        raise _WrongError("ramp", f"{kind} grows all the time")
    if ramp_s < 0 or 2 * ramp_s > stop_s - start_s:
        raise _WrongError("ramp", "must fit twice between start and stop")
    return start_s, stop_s, ramp_s


def _subject(row: dict[str, Any], kind: Kind, park: Park, tag: Tag | None) -> str:
    """Return the scope or electrolyser an event is about, or raise _WrongError."""
    if kind.about == "tag":
        if tag is None:
            raise _WrongError("tag", f"{row.get('tag', '')!r} is no tag of the park")
        return tag.scope
    scope = str(row.get("scope", ""))
    known = {s.id for s in park.scopes} | {e.id for e in park.electrolysers}
    if scope not in known:
        raise _WrongError("scope", f"{scope!r} is no scope or electrolyser of the park")
    cells = any(e.id == scope or inside(e.scope, scope) for e in park.electrolysers)
    if row["kind"] in ("efficiency", "voltage") and not cells:
        raise _WrongError("scope", f"{scope!r} has no electrolysers")
    return scope


def _size(kind: str, text: str, tag: Tag | None) -> tuple[float, bool]:
    """Return the size of an event, SI or a share, and which of both; or raise _WrongError."""
    of = KINDS[kind].size
    if not of:
        if text:
            raise _WrongError("size", f"a {kind} has none")
        return 0.0, False
    try:
        if of != "own" or tag is None:
            return parse_quantity(text, of), False
        if text.endswith("%") and tag.quantity != "fraction" and kind not in STEPS:
            return parse_quantity(text, "fraction"), True
        size = parse_difference(text, tag.quantity)
    except UomError as error:
        raise _WrongError("size", str(error)) from error
    if kind in STEPS and not size > 0:
        raise _WrongError("size", "must be above 0")
    return size, False


def _uom(row: dict[str, Any], tag: Tag | None) -> str:
    """Return the uom of a unit error, or raise _WrongError."""
    uom = str(row.get("uom", ""))
    if (row["kind"] == "unit") != bool(uom):
        raise _WrongError("uom", "is what a unit error sends, and only that")
    if uom and tag is not None:
        try:
            compile_uom(uom, tag.quantity)
        except UomError as error:
            raise _WrongError("uom", str(error)) from error
    return uom


def _time(row: dict[str, Any], key: str, otherwise: float | None = None) -> float:
    """Return a time of a row [s], or raise _WrongError."""
    if key not in row and otherwise is not None:
        return otherwise
    try:
        return parse_quantity(str(row.get(key, "")), "time")
    except UomError as error:
        raise _WrongError(key, f"{error} (write it like 30 min)") from error
