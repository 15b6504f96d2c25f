"""Gateways as data: their tags, their format, and the faults of a scenario.

A scenario names the gateways that are not the usual one of an enterprise::

    [[gateway]]
    enterprise = "xinfa"
    id = "cems"
    format = "hj212"
    batch = 5
    tags = ["AI-92*"]

Faults are events of the scenario (`simulators.scenarios.script`): outage, silence, skew, reorder,
duplicate and storm, each of all gateways at or below its scope.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any
from zlib import crc32
from zoneinfo import ZoneInfo

from ingest.wire.sparkplug import NAMESPACE
from twin.emissions.outlets import OutletSpec, outlets_of
from twin.errors import SettingsError
from twin.loading import parse_park
from twin.model.gateways import GatewaySpec
from twin.model.park import inside, owner_of, park_of
from twin.model.rows import Known, Word, cell, columns_of, parse_row, table

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from simulators.scenarios.script import ScriptEvent
    from twin.model.park import Park

# Formats of gateways, and the protocol of each in the model.
FORMATS = {
    "native": "native",
    "senml": "senml",
    "senml-cbor": "senml",
    "hj212": "hj212",
    "hj212-tcp": "hj212",
    "sparkplug": "sparkplug",
}
HOUR = "2061"  # HJ 212-2017: the command of hourly data
BATCH_MAX = 3600


@table
class GatewayPlan:
    """A row ``[[gateway]]`` of a scenario; an empty or 0 cell stands for the default."""

    enterprise: str = cell("enterprise")
    id: str = cell("text", default="sim-1")
    format: str = cell("one " + " ".join(FORMATS), default="")
    batch: int = cell("batch", default=0)
    tags: tuple[str, ...] = cell("texts", default=("*",))


@dataclass(frozen=True, slots=True)
class SimulatedGateway:
    """A gateway that carries tags of one enterprise."""

    id: str
    owner: str
    scope: str
    topic: str  # that of Sparkplug lacks the type of the message
    names: tuple[str, ...]  # on the wire
    columns: tuple[int, ...]
    hours: Mapping[str, int]  # hourly means: name on the wire, column
    zone: ZoneInfo
    format: str = "native"
    batch: int = 1  # scans per message
    events: tuple[ScriptEvent, ...] = ()
    row: Mapping[str, Any] = field(default_factory=dict)  # its [[gateway]] row in the model

    @property
    def number(self) -> int:
        """The number of its random stream."""
        return crc32(f"{self.owner}/{self.id}".encode())


def make_gateways(
    park: Park,
    rows: Iterable[Mapping[str, Any]] = (),
    events: Sequence[ScriptEvent] = (),
    *,
    usual: str = "native",
    batch: int = 1,
) -> tuple[SimulatedGateway, ...]:
    """Return the gateways of `rows`, and a default one for the other tags of each enterprise.

    Parameters
    ----------
    rows : [[gateway]] rows of a scenario
    events : events of the scenario about gateways
    usual, batch : format and scans per message of gateways whose row has none

    Raises
    ------
    SettingsError
        a row is wrong
    """
    remaining: dict[str, list[int]] = {}
    for i, tag in enumerate(park.tags):
        if tag.source == "measured":
            remaining.setdefault(tag.owner, []).append(i)
    given, wanted = _plans(rows, remaining), list[tuple[GatewayPlan, list[int]]]()
    for plan in (*given, *map(GatewayPlan, remaining)):
        columns = remaining[plan.enterprise]
        mine = [i for i in columns if any(fnmatchcase(park.tags[i].tag, g) for g in plan.tags)]
        remaining[plan.enterprise] = [i for i in columns if i not in mine]
        if mine or len(wanted) < len(given):
            form, scans = plan.format or usual, plan.batch or batch
            wanted.append((replace(plan, format=form, batch=scans), mine))
    names = [(plan.enterprise, plan.id) for plan, _ in wanted]
    problems = [f"no tag is left for {p.enterprise}/{p.id}" for p, mine in wanted if not mine]
    problems += [f"there are two with the id {n[1]}" for n in set(names) if names.count(n) > 1]
    _require(problems)
    gateways = [_make(park, plan, mine, events) for plan, mine in wanted]
    return tuple(sorted(gateways, key=lambda gateway: gateway.topic))


def _plans(rows: Iterable[Mapping[str, Any]], owners: Collection[str]) -> list[GatewayPlan]:
    """Return the rows of a scenario; raises SettingsError with all their problems."""
    problems: list[str] = []
    batch = Word(f"a batch of 1 to {BATCH_MAX} scans", _batch)
    known = Known(names={"enterprise": owners}, words={"batch": batch})
    plans = [
        parse_row(row, GatewayPlan, known, lambda _, text: problems.append(text)) for row in rows
    ]
    _require(problems)
    return [plan for plan in plans if plan is not None]


def _batch(value: Any) -> int | None:
    number = isinstance(value, int) and not isinstance(value, bool)
    return value if number and 1 <= value <= BATCH_MAX else None


def _require(problems: Sequence[str]) -> None:
    """Raise SettingsError when there are problems."""
    if problems:
        raise SettingsError(
            "[[gateway]]: " + "; ".join(problems),
            hint=f"its keys are {', '.join(columns_of(GatewayPlan))}; formats are "
            + ", ".join(FORMATS),
        )


def _make(
    park: Park, plan: GatewayPlan, columns: list[int], events: Sequence[ScriptEvent]
) -> SimulatedGateway:
    """Return one gateway with its topic, its names on the wire, and its row of the model."""
    kinds, owner = {s.id: s.kind for s in park.scopes}, plan.enterprise
    scope = min((s for s in kinds if owner_of(s, kinds) == owner), key=len)
    site, protocol = park_of(scope, kinds), FORMATS[plan.format]
    # Ids are unique in the model, across enterprises.
    known = f"{owner}-{plan.id}"
    topic = f"{protocol}/v1/{site}/{owner}/{known}"
    if protocol == "native":
        topic = f"park/v1/{site}/{owner}/{plan.id}"
    tags = [park.tags[i].tag for i in columns]
    names = tags
    hours: dict[str, int] = {}
    row: dict[str, Any] = {"id": known, "scope": scope, "protocol": protocol, "simulated": True}
    if protocol == "hj212":
        reported = _reported(park, columns)
        columns = [i for i in columns if i not in reported]
        tags = [park.tags[i].tag for i in columns]
        names = [f"s{i:05d}-Rtd" for i in columns]
        hours = {f"{HOUR}.s{of:05d}-Avg": of for of in reported.values()}
        row["mn"] = f"{crc32(topic.encode()):024X}"
    elif protocol == "senml":
        # A name ends the path of a SenML name, whose parts end with a colon.
        names = [f"s{i:05d}" if ":" in tag else tag for i, tag in zip(columns, tags, strict=True)]
    elif protocol == "sparkplug":
        row |= {"group": site, "node": known}
        topic = f"{NAMESPACE}/{site}/{{}}/{known}"
    other = {wire: tag for wire, tag in zip(names, tags, strict=True) if wire != tag}
    if hours:
        other |= dict(zip(hours, (park.tags[i].tag for i in reported), strict=True))
    if other:
        row["tags"] = other
    return SimulatedGateway(
        id=plan.id,
        owner=owner,
        scope=scope,
        topic=topic,
        names=tuple(names),
        columns=tuple(columns),
        hours=hours,
        zone=ZoneInfo(park.timezone),
        format=plan.format,
        batch=plan.batch,
        events=tuple(e for e in events if inside(scope, e.scope) or inside(e.scope, scope)),
        # Native JSON is marked as simulated in each message; for other formats the model says so.
        row={} if protocol == "native" else row,
    )


def _reported(park: Park, columns: Iterable[int]) -> dict[int, int]:
    """Return the column of each tag that reports hourly means, and that of its source.

    A simulated logger converts nothing: it reports of analysers that show what a limit is about.
    """
    at = {park.tags[i].address: i for i in columns}
    shows = {
        (outlet.id, analyser.name): analyser.tags[0]
        for outlet in outlets_of(park)
        for analyser in outlet.analysers
        if analyser.plain
    }
    return {
        at[address]: at[source]
        for outlet in park.rows(OutletSpec)
        for name, address in outlet.reported.items()
        if {address, source := shows.get((outlet.id, name), "")} <= at.keys()
    }


def with_gateways(park: Park, gateways: Iterable[SimulatedGateway]) -> Park:
    """Return the model with the rows of gateways that it needs to decode their messages."""
    known = {row.id for row in park.rows(GatewaySpec)}
    text = "".join(
        "\n[[gateway]]\n" + "".join(f"{key} = {_toml(value)}\n" for key, value in g.row.items())
        for g in gateways
        if g.row and g.row["id"] not in known
    )
    if not text:
        return park
    return parse_park(park.files | {"park.toml": park.files["park.toml"].rstrip() + "\n" + text})


def require_known(park: Park, gateways: Iterable[SimulatedGateway]) -> None:
    """Raise SettingsError unless the model has the rows of the gateways."""
    rows = park.rows(GatewaySpec)
    for gateway in gateways:
        cells = gateway.row.items()
        if cells and not any(
            all(getattr(row, key) == value for key, value in cells) for row in rows
        ):
            raise SettingsError(
                f"the model has no simulated {gateway.format} gateway {gateway.row['id']}",
                hint="write one with the same options and --write-park DIR, and use it for"
                " parktwin ingest as well",
            )


def _toml(value: Any) -> str:
    """Return a value of a row as TOML, a table in one line."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_toml(k)} = {_toml(v)}" for k, v in value.items()) + " }"
    return json.dumps(value, ensure_ascii=False)
