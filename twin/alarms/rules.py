"""The alarm rules of a park: rows of ``[[alarm]]``, checked against the tags and made arrays.

References
----------
.. [1] ANSI/ISA-18.2-2016, Management of Alarm Systems for the Process Industries: deadbands and
   delays by kind of signal; the same figures in EEMUA Publication 191.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import numpy as np

from twin.accounts.network import ROLES, compile_network
from twin.arrays import BOOL, F64, I64
from twin.errors import UomError
from twin.model.rows import RowFault, cell, sentence, table
from twin.reference import load as load_reference
from twin.series.traits import traits_of
from twin.targets.model import Target
from twin.uom import parse_quantity

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from twin.model.park import Park, Tag

PRIORITIES = ("critical", "high", "medium", "low")
TEXTS = ("name", "cause", "consequence", "response")
# What the names of ingest's own tags begin with.
HEALTH = "ingest."
# And those of margins, see `twin.margins`.
MARGIN = "margin."


@table
class AlarmSpec:
    """An alarm as the model declares it; the tag's quantity gives limit and deadband their uom."""

    tag: str = cell("text")
    limit: str = cell("text")
    direction: str = cell("one high low")
    id: str = cell("text", default="")
    priority: str = cell("one " + " ".join(PRIORITIES), default=PRIORITIES[-1])
    deadband: str = cell("text", default="")
    on_delay_s: float = cell("quantity time", key="on_delay", default=np.nan)
    off_delay_s: float = cell("quantity time", key="off_delay", default=np.nan)
    shelvable: bool = cell("flag", default=True)
    name: dict[str, str] | None = cell("name", default=None)
    cause: dict[str, str] | None = cell("name", default=None)
    consequence: dict[str, str] | None = cell("name", default=None)
    response: dict[str, str] | None = cell("name", default=None)
    source: str = cell("any", default="")


@dataclass(frozen=True, slots=True)
class Alarm:
    """One alarm rule; limit and deadband in the SI unit of its tag."""

    id: str
    tag: str
    scope: str
    direction: str
    limit: float
    deadband: float
    on_delay_s: float
    off_delay_s: float
    priority: str
    shelvable: bool
    source: str
    texts: dict[str, dict[str, str]]  # name, cause, consequence, response, as far as given


@dataclass(frozen=True, slots=True)
class Rules:
    """Alarm rules as columns, (Al,)."""

    alarms: tuple[Alarm, ...]
    tag: I64  # index of the tag
    sign: F64  # 1 for a high alarm, -1 for a low one
    limit: F64  # [SI]
    deadband: F64  # [SI]
    on_delay_us: I64
    off_delay_us: I64
    gap_us: I64  # how long a value of the tag holds
    priority: I64  # index in PRIORITIES
    shelvable: BOOL


def park_alarms(park: Park, tags: Sequence[Tag]) -> tuple[Alarm, ...]:
    """Return the alarms of the tags that exist, derived ones included; those without an id get one.

    Margins and the health of the data have alarms that no model need have: see
    ``twin/reference/alarms.toml``.

    The id is tag and direction, ``acme/PT-1.high``, and for the next further limit of the same tag
    ``acme/PT-1.high2``.
    """
    known = {tag.address: tag for tag in tags}
    rows = [row for row in (*park.rows(AlarmSpec), *_of_reference(park, tags)) if row.tag in known]
    return tuple(
        _alarm(row, name, known[row.tag])
        for row, name in zip(rows, _names(rows, known), strict=True)
    )


def compile_rules(alarms: Sequence[Alarm], tags: Sequence[Tag]) -> Rules:
    """Return alarms as arrays over tags that have them all."""
    index = {tag.address: i for i, tag in enumerate(tags)}
    at = np.array([index[a.tag] for a in alarms], dtype=np.int64)
    gap_us = traits_of(tags).gap_us

    def column(name: str) -> F64:
        return np.array([getattr(a, name) for a in alarms], dtype=np.float64)

    return Rules(
        alarms=tuple(alarms),
        tag=at,
        sign=np.array([1.0 if a.direction == "high" else -1.0 for a in alarms], dtype=np.float64),
        limit=column("limit"),
        deadband=column("deadband"),
        on_delay_us=np.rint(column("on_delay_s") * 1e6).astype(np.int64),
        off_delay_us=np.rint(column("off_delay_s") * 1e6).astype(np.int64),
        gap_us=gap_us[at],
        priority=np.array([PRIORITIES.index(a.priority) for a in alarms], dtype=np.int64),
        shelvable=np.array([a.shelvable for a in alarms], dtype=bool),
    )


def check_alarms(park: Park, *, valid: bool) -> Iterator[RowFault]:
    """Yield alarms without a tag, and limits, deadbands and delays that are none.

    The derived tags are known once the model is compiled: of a model that is not `valid`
    otherwise, an address that may be one of theirs passes. So does always one of ingest's own,
    which ingest checks when it starts.
    """
    rows = park.rows(AlarmSpec)
    tags = {tag.address: tag for tag in park.tags}
    owners = {tag.owner for tag in park.tags}
    if valid and any(row.tag not in tags for row in rows):
        tags = {tag.address: tag for tag in compile_network(park).tags}
    known = [row for row in rows if row.tag in tags]
    faults: list[RowFault] = []
    for row in rows:
        owner, _, name = row.tag.partition("/")
        own = name.startswith((HEALTH, MARGIN)) and (owner in {*owners, park.id} or not valid)
        if row.tag in tags or own or (not valid and name.rpartition(".")[2] in ROLES):
            continue
        faults.append(RowFault(row, f"there is no tag {row.tag!r}, measured or derived", "tag"))
    for row in known:
        for column, parse in (("limit", _limit), ("deadband", _deadband), ("tag", _usable)):
            try:
                parse(row, tags[row.tag])
            except (UomError, ValueError) as error:
                faults.append(RowFault(row, sentence(error), column))
        delays = {"on_delay": row.on_delay_s, "off_delay": row.off_delay_s}
        faults += [RowFault(row, "a delay is not negative", c) for c, s in delays.items() if s < 0]
    if valid and not faults:
        names = _names(known, tags)
        faults += [
            RowFault(row, f"alarm {name!r} is there already", "id")
            for at, (row, name) in enumerate(zip(known, names, strict=True))
            if name in names[:at]
        ]
    yield from faults


def _of_reference(park: Park, tags: Sequence[Tag]) -> Iterator[AlarmSpec]:
    """Yield the alarms of the reference on tags of health and margins without one of the model."""
    alarmed = {row.tag for row in park.rows(AlarmSpec)}
    table = load_reference("alarms")
    for tag in tags:
        if tag.source != "derived" or tag.address in alarmed:
            continue
        row = None
        if tag.tag.startswith(HEALTH):
            row = table["health"].get(tag.tag.removeprefix(HEALTH))
        elif tag.tag.startswith(MARGIN):
            row = table["margin"].get(tag.tag.split(".")[1])
        limit = (row or {}).get("limit") or _limit_of_target(park, tag)
        if row is not None and limit:
            yield AlarmSpec(
                tag=tag.address,
                limit=limit,
                direction=row["direction"],
                priority=row["priority"],
                deadband=row.get("deadband", ""),
                on_delay_s=parse_quantity(row["on_delay"], "time"),
                off_delay_s=parse_quantity(row["off_delay"], "time"),
                source=" ".join(row[key] for key in ("standard", "source") if key in row),
                **{key: row[key] for key in TEXTS},
            )


def _limit_of_target(park: Park, tag: Tag) -> str:
    """Return the limit of the target of a margin's scope that is due first; empty without one."""
    kpi = tag.tag.split(".")[1]
    rows = [row for row in park.rows(Target) if (row.scope, row.kpi) == (tag.scope, kpi)]
    row = min(rows, key=lambda each: each.due_on or date.max, default=None)
    return f"{row.limit} {row.uom}" if row is not None else ""


def _names(rows: Sequence[AlarmSpec], tags: Mapping[str, Tag]) -> list[str]:
    """Return the ids of alarms, in order; those without one are counted from the normal value."""
    names = [row.id for row in rows]
    groups: dict[str, list[int]] = {}
    for at, row in enumerate(rows):
        if not names[at]:
            groups.setdefault(f"{row.tag}.{row.direction}", []).append(at)
    for name, members in groups.items():
        sign = 1.0 if name.endswith("high") else -1.0
        limits = [sign * _limit(rows[at], tags[rows[at].tag]) for at in members]
        for rank, nth in enumerate(np.argsort(limits, kind="stable").tolist(), start=1):
            names[members[nth]] = name + (str(rank) if rank > 1 else "")
    return names


def _alarm(row: AlarmSpec, name: str, tag: Tag) -> Alarm:
    delay_s = parse_quantity(_default(tag, "delay", "0 s"), "time")
    detector = load_reference("alarms")["gas_detection"]["name"]
    texts = {key: getattr(row, key) for key in TEXTS}
    return Alarm(
        id=name,
        tag=tag.address,
        scope=tag.scope,
        direction=row.direction,
        limit=_limit(row, tag),
        deadband=_deadband(row, tag),
        on_delay_s=delay_s if np.isnan(row.on_delay_s) else row.on_delay_s,
        off_delay_s=delay_s if np.isnan(row.off_delay_s) else row.off_delay_s,
        priority=row.priority,
        shelvable=row.shelvable and detector not in row.source,
        source=row.source,
        texts={key: text for key, text in texts.items() if text is not None},
    )


def _default(tag: Tag, column: str, otherwise: str) -> str:
    """Return the figure of the reference for the quantity of a tag."""
    quantities = load_reference("alarms")["quantity"]
    return str(quantities.get(tag.quantity, {}).get(column, otherwise))


def _usable(_row: AlarmSpec, tag: Tag) -> None:
    """Raise ValueError for a tag that no limit can be put on."""
    if tag.kind == "counter":
        raise ValueError(f"{tag.address!r} is a counter, which only rises: use its flow or power")


def _limit(row: AlarmSpec, tag: Tag) -> float:
    """Return the limit [SI]; raises UomError or ValueError."""
    limit = parse_quantity(row.limit, tag.quantity)
    if not np.isfinite(limit):
        raise ValueError(f"{row.limit!r} is not a limit")
    return limit


def _deadband(row: AlarmSpec, tag: Tag) -> float:
    """Return the deadband [SI]; per cent are of the range; raises UomError or ValueError."""
    text = row.deadband.strip() or _default(tag, "deadband", "0 %")
    quantity = "fraction" if text.endswith("%") else tag.quantity
    width = parse_quantity(text, quantity, difference=True)
    if text.endswith("%"):
        span = tag.high - tag.low
        if np.isnan(span) and row.deadband:
            raise ValueError(f"{text!r} of a range, but {tag.address!r} has no low and high")
        # A default is a wish: without a range there is nothing to take it of.
        width = 0.0 if np.isnan(span) else width * span
    if not 0 <= width < np.inf:
        raise ValueError(f"{text!r} is not a width")
    return width
