"""The alarm rules of a park: rows of ``[[alarm]]``, checked against the tags and made arrays.

References
----------
.. [1] ANSI/ISA-18.2-2016, Management of Alarm Systems for the Process Industries: deadbands and
   delays by kind of signal; the same figures in EEMUA Publication 191.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from twin.accounts.network import ROLES, compile_network
from twin.arrays import BOOL, F64, I64
from twin.errors import UomError
from twin.reference import load as load_reference
from twin.series.traits import traits_of
from twin.uom import parse_difference, parse_quantity

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from twin.model.park import Park, Tag
    from twin.model.tables import Row

PRIORITIES = ("critical", "high", "medium", "low")
TEXTS = ("name", "cause", "consequence", "response")


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


def alarms_of(rows: Iterable[dict[str, Any]], tags: Mapping[str, Tag]) -> tuple[Alarm, ...]:
    """Return the alarms of checked rows of ``[[alarm]]``; those without an id get one.

    The id is tag and direction, ``acme/PT-1.high``, and for the next further limit of the same tag
    ``acme/PT-1.high2``.
    """
    rows = [row for row in rows if row["tag"] in tags]
    names = _names(rows, tags)
    return tuple(_alarm(row, name, tags[row["tag"]]) for row, name in zip(rows, names, strict=True))


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


def park_alarms(park: Park, tags: Sequence[Tag]) -> tuple[Alarm, ...]:
    """Return the alarms of a park model over its tags, derived ones included."""
    return alarms_of(park.tables.get("alarm", ()), {tag.address: tag for tag in tags})


def check_alarms(
    rows: list[tuple[Row, dict[str, Any]]],
    known: Mapping[str, Tag],
    park: Park | None,
    problems: list[str],
) -> None:
    """Add alarms without a tag, and limits, deadbands and delays that are none.

    The derived tags are known once the model is compiled: without a park, because something else
    is wrong with it, an address that may be one of theirs passes. So does always one of ingest's
    own, which ingest checks when it starts.
    """
    tags = dict(known)
    if park is not None and any(values["tag"] not in tags for _, values in rows):
        tags = {tag.address: tag for tag in compile_network(park).tags}
    found = [(row, values) for row, values in rows if values["tag"] in tags]
    owners = {tag.owner for tag in known.values()}
    for row, values in rows:
        address = values["tag"]
        owner, _, name = address.partition("/")
        own = name.startswith("ingest.") and owner in {*owners, owner if park is None else park.id}
        if address in tags or own or (park is None and name.rpartition(".")[2] in ROLES):
            continue
        problems.append(f"{_place(row, 'tag')}: there is no tag {address!r}, measured or derived")
    for row, values in found:
        for cell, parse in (("limit", _limit), ("deadband", _deadband), ("tag", _usable)):
            try:
                parse(values, tags[values["tag"]])
            except (UomError, ValueError) as error:
                hint = getattr(error, "hint", "")
                problems.append(f"{_place(row, cell)}: {error}" + (f" ({hint})" if hint else ""))
        problems.extend(
            f"{_place(row, cell)}: a delay is not negative"
            for cell in ("on_delay", "off_delay")
            if values.get(cell, 0.0) < 0
        )
    if not problems:
        names = _names([values for _, values in found], tags)
        problems.extend(
            f"{_place(row, 'id')}: alarm {name!r} is there already"
            for at, ((row, _), name) in enumerate(zip(found, names, strict=True))
            if name in names[:at]
        )


def _place(row: Row, cell: str) -> str:
    return f"park.toml:{row.lines.get(cell, row.line)}: [[alarm]] {cell}"


def _names(rows: Sequence[dict[str, Any]], tags: Mapping[str, Tag]) -> list[str]:
    """Return the ids of alarms, in order; those without one are counted from the normal value."""
    names = [str(row.get("id", "")) for row in rows]
    groups: dict[str, list[int]] = {}
    for at, row in enumerate(rows):
        if not names[at]:
            groups.setdefault(f"{row['tag']}.{row['direction']}", []).append(at)
    for name, members in groups.items():
        sign = 1.0 if name.endswith("high") else -1.0
        limits = [sign * _limit(rows[at], tags[rows[at]["tag"]]) for at in members]
        for rank, nth in enumerate(np.argsort(limits, kind="stable").tolist(), start=1):
            names[members[nth]] = name + (str(rank) if rank > 1 else "")
    return names


def _alarm(row: dict[str, Any], name: str, tag: Tag) -> Alarm:
    delay_s = parse_quantity(_default(tag, "delay", "0 s"), "time")
    detector = load_reference("alarms")["gas_detection"]["name"]
    source = str(row.get("source", ""))
    return Alarm(
        id=name,
        tag=tag.address,
        scope=tag.scope,
        direction=row["direction"],
        limit=_limit(row, tag),
        deadband=_deadband(row, tag),
        on_delay_s=row.get("on_delay", delay_s),
        off_delay_s=row.get("off_delay", delay_s),
        priority=row.get("priority", PRIORITIES[-1]),
        shelvable=row.get("shelvable", True) and detector not in source,
        source=source,
        texts={key: row[key] for key in TEXTS if key in row},
    )


def _default(tag: Tag, cell: str, otherwise: str) -> str:
    """Return what the reference says of the tag's quantity."""
    quantities = load_reference("alarms")["quantity"]
    return str(quantities.get(tag.quantity, {}).get(cell, otherwise))


def _usable(_row: dict[str, Any], tag: Tag) -> None:
    """Raise ValueError for a tag that no limit can be put on."""
    if tag.kind == "counter":
        raise ValueError(f"{tag.address!r} is a counter, which only rises: use its flow or power")


def _limit(row: dict[str, Any], tag: Tag) -> float:
    """Return the limit [SI]; raises UomError or ValueError."""
    limit = parse_quantity(row["limit"], tag.quantity)
    if not np.isfinite(limit):
        raise ValueError(f"{row['limit']!r} is not a limit")
    return limit


def _deadband(row: dict[str, Any], tag: Tag) -> float:
    """Return the deadband [SI]; per cent are of the range; raises UomError or ValueError."""
    text = str(row.get("deadband", "")).strip() or _default(tag, "deadband", "0 %")
    width = parse_difference(text, "fraction" if text.endswith("%") else tag.quantity)
    if text.endswith("%"):
        span = tag.high - tag.low
        if np.isnan(span) and "deadband" in row:
            raise ValueError(f"{text!r} of a range, but {tag.address!r} has no low and high")
        # A default is a wish: without a range there is nothing to take it of.
        width = 0.0 if np.isnan(span) else width * span
    if not 0 <= width < np.inf:
        raise ValueError(f"{text!r} is not a width")
    return width
