"""Scripts: the events of a scenario, their times and sizes. A script is its own ground truth.

A file of `simulators/scenarios` lists events; times count from the start of the scenario::

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
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from twin.arrays import F64
from twin.errors import ModelError, UomError
from twin.model.park import inside
from twin.model.rows import Known, cell, is_rows, parse_row, table, toml_lines
from twin.uom import compile_uom, parse_quantity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from twin.model.park import Park, Tag

FOLDER = Path(__file__).parent
# These grow from nothing at the start to their size at the stop.
GROWING = ("drift", "efficiency", "voltage")
# Lost counts do not come back: these have no stop.
STAYING = ("reset", "rollover")
# The size of a step or a register, never a share of the reading.
STEPS = ("quantised", "rollover")


class EventKind(NamedTuple):
    """The subject and the size of a kind of event; `own` = the quantity of the tag."""

    where: str  # process, sensor or gateway
    about: str  # scope or tag
    size: str  # quantity, own, or empty where there is none
    usual: str = ""  # default of the size


KINDS = {
    # A load of a plant, unit or electrolyser, 0 = a trip; a leak of chlorine out of a node.
    "load": EventKind("process", "scope", "fraction"),
    "leak": EventKind("process", "scope", "mass_flow"),
    # A loss of current efficiency, and a rise of the voltage of each cell.
    "efficiency": EventKind("process", "scope", "fraction"),
    "voltage": EventKind("process", "scope", "voltage"),
    # A share of the limit by which alarmed tags pass it.
    "upset": EventKind("process", "scope", "fraction"),
    "bias": EventKind("sensor", "tag", "own"),
    "drift": EventKind("sensor", "tag", "own"),  # a bias that grows up to the stop
    "spike": EventKind("sensor", "tag", "own"),
    "stuck": EventKind("sensor", "tag", ""),
    "dropout": EventKind("sensor", "tag", "fraction", "100 %"),  # of the samples
    "quantised": EventKind("sensor", "tag", "own"),  # readings in steps of this size
    "unit": EventKind("sensor", "tag", ""),  # readings in another uom
    "reset": EventKind("sensor", "tag", ""),  # a counter that begins again at zero
    "rollover": EventKind("sensor", "tag", "own"),  # a counter with a register of this size
    "outage": EventKind("gateway", "scope", ""),
    "silence": EventKind("gateway", "scope", ""),
    "skew": EventKind("gateway", "scope", "time"),
    "reorder": EventKind("gateway", "scope", "fraction"),
    "duplicate": EventKind("gateway", "scope", "fraction"),
    "storm": EventKind("gateway", "scope", "time"),
}


@table
class ScriptHead:
    """The keys of a scenario."""

    duration_s: float = cell("duration", key="duration")
    name: dict[str, str] = cell("name", default_factory=dict)
    event: list[dict[str, Any]] = cell("rows", default_factory=list)
    gateway: list[dict[str, Any]] = cell("rows", default_factory=list)


@table
class ScriptEvent:
    """An event; `size` is SI, or a share of the value if `relative`."""

    id: str = cell("any")
    kind: str = cell("one " + " ".join(KINDS))
    # Path of a scope, or id of an electrolyser; that of the tag if there is one.
    scope: str = cell("scope_or_electrolyser", default="")
    tag: str = cell("tag", default="")  # address
    start_s: float = cell("quantity time", key="start", default=0.0)
    stop_s: float = cell("quantity time", key="stop", default=np.inf)  # inf: the end
    size: float = 0.0
    relative: bool = False
    uom: str = cell("any", default="")  # of a unit error
    ramp_s: float = cell("quantity time", key="ramp", default=0.0)
    # Spikes have one in each such time, and each lasts so long.
    every_s: float = cell("quantity time", key="every", default=300.0)
    lasting_s: float = cell("quantity time", key="lasting", default=5.0)
    size_text: str = cell("any", key="size", default="")  # as written

    @property
    def where(self) -> str:
        """The part it affects: process, sensor or gateway."""
        return KINDS[self.kind].where


@dataclass(frozen=True, slots=True)
class Script:
    """The events of a scenario, in the order of the file."""

    id: str
    name: dict[str, str]
    duration_s: float
    events: tuple[ScriptEvent, ...]
    gateways: tuple[dict[str, Any], ...] = ()  # rows for `simulators.gateways.gateways`

    def at(self, where: str) -> tuple[ScriptEvent, ...]:
        """Return the events of the process, the sensors or the gateways."""
        return tuple(event for event in self.events if event.where == where)

    def begun_at(self, time_s: float) -> Script:
        """Return the scenario whose first event starts at a time of the run [s]."""
        later_s = time_s - min((event.start_s for event in self.events), default=time_s)
        return replace(
            self,
            duration_s=self.duration_s + later_s,
            events=tuple(
                replace(event, start_s=event.start_s + later_s, stop_s=event.stop_s + later_s)
                for event in self.events
            ),
        )


def scenario_names() -> tuple[str, ...]:
    """Return the scenarios that come with the project."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.toml")))


def load_script(name: str, park: Park) -> Script:
    """Return a scenario by its name, or the path of its file; raises ModelError."""
    path = Path(name) if name.endswith(".toml") else FOLDER / f"{name}.toml"
    if not path.is_file():
        raise ModelError(
            f"there is no scenario {name!r}", hint="use one of " + ", ".join(scenario_names())
        )
    return parse_script(path.stem, path.read_text(encoding="utf-8"), park)


def parse_script(name: str, text: str, park: Park) -> Script:
    """Return a script, or raise ModelError with all its problems."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ModelError(f"{name}.toml is not TOML: {error}", hint="mend its syntax") from error
    headers, lines = toml_lines(text)
    problems: list[str] = []

    def wrong(key: str, problem: str) -> None:
        line = lines.get(("", 0, key)) or headers.get((key, 0), 1)
        problems.append(f"{name}.toml:{line}: {problem}")

    head = parse_row(document, ScriptHead, Known(), wrong)
    tags = {tag.address: tag for tag in park.tags}
    subjects = [s.id for s in park.scopes] + [e.id for e in park.electrolysers]
    known = Known(tags, {"scope_or_electrolyser": subjects})
    events: list[ScriptEvent] = []
    rows = document.get("event", [])
    for nth, row in enumerate(rows if is_rows(rows) else []):

        def wrong_event(key: str, problem: str, nth: int = nth, row: Any = row) -> None:
            line = lines.get(("event", nth, key)) or headers.get(("event", nth), 1)
            label = row.get("id", nth + 1)
            problems.append(f"{name}.toml:{line}: event {label}: {problem}")

        spec = parse_row(row, ScriptEvent, known, wrong_event)
        if spec is None:
            continue
        tag = tags.get(spec.tag)
        faults = list(_faults(spec, tag, park, head.duration_s if head else np.inf))
        if any(spec.id == other.id for other in events):
            faults.append(("id", f"{spec.id!r} is there twice"))
        for key, fault in faults:
            wrong_event(key, f"{key}: {fault}")
        if head and not faults:
            size, relative = _size(spec, tag)
            kind = KINDS[spec.kind]
            events.append(
                replace(
                    spec,
                    scope=tag.scope if tag and kind.about == "tag" else spec.scope,
                    stop_s=min(spec.stop_s, head.duration_s),
                    size=size,
                    relative=relative,
                    size_text=spec.size_text or kind.usual,
                )
            )
    if head is None or problems:
        raise ModelError(
            f"scenario {name} has {len(problems)} problems",
            hint="mend the lines above",
            problems=problems,
        )
    return Script(name, head.name, head.duration_s, tuple(events), tuple(head.gateway))


def weight(event: ScriptEvent, since_s: F64) -> F64:
    """Return the intensity of an event, (n,) [1] within 0..1, at times since the start [s]."""
    if event.kind in GROWING:
        length_s = event.stop_s - event.start_s
        on = (since_s >= event.start_s) & (since_s < event.stop_s)
        return np.asarray(np.where(on, (since_s - event.start_s) / length_s, 0.0))
    rise = since_s - event.start_s
    fall = event.stop_s - since_s
    if not event.ramp_s:
        return np.asarray(((rise >= 0) & (fall > 0)).astype(np.float64))
    # Full intensity after the ramp, none at the stop.
    part = np.clip(np.minimum(rise, fall) / event.ramp_s, 0.0, 1.0)
    return np.asarray(part * part * (3 - 2 * part))


def _faults(
    spec: ScriptEvent, tag: Tag | None, park: Park, duration_s: float
) -> Iterator[tuple[str, str]]:
    """Yield key and text of the faults between the cells of an event."""
    yield from _subject_faults(spec, tag, park)
    yield from _time_faults(spec, duration_s)
    if not 0 < spec.lasting_s < spec.every_s:
        yield "lasting", "must be above 0 and shorter than every"
    if (spec.kind == "unit") != bool(spec.uom):
        yield "uom", "is what a unit error sends, and only that"
    try:
        if spec.uom and tag is not None:
            compile_uom(spec.uom, tag.quantity)
    except UomError as error:
        yield "uom", str(error)
    if not KINDS[spec.kind].size and spec.size_text:
        yield "size", f"a {spec.kind} has none"
    try:
        size, _ = _size(spec, tag)
        if spec.kind in STEPS and not size > 0:
            yield "size", "must be above 0"
    except UomError as error:
        yield "size", str(error)


def _subject_faults(spec: ScriptEvent, tag: Tag | None, park: Park) -> Iterator[tuple[str, str]]:
    """Yield the faults of the tag, scope or electrolyser of an event."""
    if KINDS[spec.kind].about == "tag" and tag is None:
        yield "tag", f"a {spec.kind} needs a tag"
    if tag and (spec.kind in STAYING) != (tag.kind == "counter"):
        yield "tag", f"{spec.kind} is not for a {tag.kind}"
    if KINDS[spec.kind].about == "scope" and not spec.scope:
        yield "scope", f"a {spec.kind} needs a scope or electrolyser"
    if spec.kind in ("efficiency", "voltage"):
        cells = park.electrolysers
        if not any(e.id == spec.scope or inside(e.scope, spec.scope) for e in cells):
            yield "scope", f"{spec.scope!r} has no electrolysers"


def _time_faults(spec: ScriptEvent, duration_s: float) -> Iterator[tuple[str, str]]:
    """Yield the faults of start, stop and ramp."""
    stop_s = min(spec.stop_s, duration_s) if spec.stop_s == np.inf else spec.stop_s
    if spec.kind in STAYING and spec.stop_s < np.inf:
        yield "stop", f"what a counter loses by a {spec.kind} does not come back"
    elif not 0 <= spec.start_s < stop_s <= duration_s:
        yield "stop", "must be after the start and within the duration"
    elif spec.ramp_s and spec.kind in GROWING:
        yield "ramp", f"{spec.kind} grows all the time"
    elif spec.ramp_s < 0 or 2 * spec.ramp_s > stop_s - spec.start_s:
        yield "ramp", "must fit twice between start and stop"


def _size(spec: ScriptEvent, tag: Tag | None) -> tuple[float, bool]:
    """Return the size of an event, SI or a share, and whether it is a share; raises UomError."""
    kind = KINDS[spec.kind]
    text = spec.size_text or kind.usual
    if not kind.size:
        return 0.0, False
    if kind.size != "own" or tag is None:
        return parse_quantity(text, kind.size if kind.size != "own" else "fraction"), False
    if text.endswith("%") and tag.quantity != "fraction" and spec.kind not in STEPS:
        return parse_quantity(text, "fraction"), True
    return parse_quantity(text, tag.quantity, difference=True), False
