"""Digital maturity of enterprises: meters, automatic control, data; the level and what is next."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple, cast

import numpy as np
from fastapi import APIRouter
from pydantic import Field
from typing_extensions import TypedDict

from api import queries
from api.answers import (
    Cursor,
    Given,
    Name,
    Number,
    Provenance,
    Rfc3339,
    Share,
    formula,
    record,
)
from api.calculation.pool import LongCalculationRoute
from api.context import AppContext, Context
from api.encode import number, rfc3339
from api.parameters import From, To
from api.problems import RESPONSES
from api.sums import NO_TAGS, read_sums, tag_ids
from api.windows import ScopePath, WindowQuery, parse_query
from twin import quality as q
from twin.arrays import DAY_US, NEVER, ratio
from twin.maturity import (
    CLASSES,
    Automation,
    Calibration,
    Metering,
    Standing,
    connected,
    grade,
    required_share,
    unmetered,
)
from twin.model.park import inside
from twin.reference import load as load_reference
from twin.series import windows as w
from twin.series.coverage import missing

if TYPE_CHECKING:
    from api.sums import Sums
    from twin.model.park import Park, Scope

router = APIRouter(prefix="/api/v1/scopes", responses=RESPONSES, route_class=LongCalculationRoute)

# Tags, or scopes, that a measure names.
FEW = 20
BACK_US = 365 * DAY_US
REASON_BITS = 0b11111
SEVERITY_BITS = 0b11000000


class MeterRate(TypedDict):
    """Meters of a carrier that a class of users is to have: in the plant, and in the twin."""

    carrier: str
    users: Literal["enterprise", "plant", "unit"]
    required: int
    installed: int
    connected: Annotated[int, Field(description="in the model of the park")]
    installed_share: Annotated[Number, formula("installed / required, by the list of instruments")]
    connected_share: Annotated[Number, formula("meters of the model / required")]
    least_share: Given[Annotated[Number, Field(description="by the standard; null = not known")]]
    met: Annotated[bool | None, Field(description="whether the connected ones are enough")]


class NextMeasure(TypedDict):
    """What to mend next, with what it would bring."""

    kind: Literal["meter", "control", "interlock", "silent", "doubtful", "calibration"]
    zh: str
    en: str
    subjects: Annotated[list[str], Field(description="tags or scopes, the first twenty")]
    count: int
    effect: Annotated[
        Number, formula("what the figure of this kind would gain if all were mended, a share")
    ]


class MaturityRow(TypedDict):
    """The digital maturity of an enterprise."""

    scope: str
    name: Name
    level: Annotated[
        int | None, Field(ge=0, le=5, description="all conditions of it and of those below are met")
    ]
    reason: Annotated[str, Field(description="the figure that keeps from the next level")]
    meters: list[MeterRate]
    control_share: Annotated[
        Share,
        formula("time of loops in automatic control / time that is covered; of counts: / all"),
    ]
    control_completeness: Annotated[Share, formula("loops with a state of control / loops")]
    interlock_share: Annotated[
        Share, formula("time of interlocks in service / time that is covered; of counts: / all")
    ]
    interlock_completeness: Annotated[Share, formula("interlocks with a state / interlocks")]
    tags: int
    availability: Annotated[
        Share, formula("mean share of the time that the measured tags are covered")
    ]
    doubtful_share: Annotated[
        Share, formula("covered tag-hours of uncertain quality / covered tag-hours")
    ]
    substituted_share: Annotated[
        Share, formula("covered tag-hours that are substituted / covered tag-hours")
    ]
    silent: Annotated[list[str], Field(description="tags without a value in this time")]
    doubtful: Annotated[list[str], Field(description="tags with uncertain hours")]
    overdue: Annotated[list[str], Field(description="tags whose calibration is past its day")]
    missing: Annotated[list[str], Field(description="tags with gaps, the least covered first")]
    no_data: Annotated[list[str], Field(description="inputs that are missing")]
    next: Annotated[list[NextMeasure], Field(description="the greatest effect first")]


class MeterShare(Provenance):
    """The share of users that are to have a meter."""

    carrier: str
    enterprise: Given[float]
    plant: Given[float]
    unit: Given[float]
    standard: str
    edition: str
    clause: str
    note: str


class MaturityAnswer(TypedDict):
    """The digital maturity of the enterprises of a scope."""

    scope: str
    start: Rfc3339
    end: Rfc3339
    items: list[MaturityRow]
    meter_shares: list[MeterShare]
    next: Cursor


@router.get("/{path:path}/maturity")
async def read_maturity(
    context: AppContext, path: ScopePath, from_: From = None, to: To = None
) -> MaturityAnswer:
    """Return meters, automatic control and data of each enterprise, its level and what is next.

    By default of the last 24 h; what the books say of loops and interlocks is of the year before
    the newest period that all of them have.
    """
    query = parse_query(context, path, "hour", from_, to)
    park, tags = query.network.park, query.network.tags
    firms = [s for s in park.scopes if s.kind == "enterprise" and _near(s.id, path)]
    used = [
        n
        for n, tag in enumerate(tags)
        if tag.source == "measured" and any(inside(tag.scope, s.id) for s in firms)
    ]
    sums = await read_sums(context, query, np.array(used, np.int64))
    automated = await _read_automated(context, query, usual=from_ is None and to is None)
    start, end = (rfc3339(int(query.edges[at]), query.zone) for at in (0, -1))
    return {
        "scope": path,
        "start": start,
        "end": end,
        "items": [_row(context, (sums, automated), firm) for firm in firms],
        "meter_shares": [
            record(MeterShare, row) for row in load_reference("maturity")["meter_share"]
        ],
        "next": None,
    }


def _near(enterprise: str, path: str) -> bool:
    return inside(enterprise, path) or inside(path, enterprise)


async def _read_automated(context: Context, query: WindowQuery, *, usual: bool) -> Sums:
    """Return the sums of what tells of loops and interlocks, in one window."""
    tags, index = query.network.tags, query.network.index
    used = np.unique(
        [index[name] for row in query.network.park.rows(Automation) for name in row.tags] or NO_TAGS
    )
    booked = used[[tags[n].source == "manual" for n in used.tolist()]] if len(used) else used
    window, edges = query.window, query.edges[[0, -1]]
    if usual and len(booked):
        ids = tag_ids(context, query.network, booked)
        stops = [stop for (stop,) in await context.store.rows(queries.BOOK_STOPS, ids.tolist())]
        if len(stops) == len(booked):
            window, edges = "day", np.array([min(stops) - BACK_US, min(stops)])
    return await read_sums(context, replace(query, window=window, edges=edges), used)


class _Data(NamedTuple):
    """The data of an enterprise: its measured tags, and what is to be said of them."""

    names: list[str]
    available: float
    doubtful_share: float
    substituted_share: float
    silent: list[str]
    doubtful: list[str]
    missing: list[str]


def _data(sums: Sums, scope: str) -> _Data:
    """Return the state of the data of an enterprise."""
    named = [sums.network.tags[n] for n in sums.tags.tolist()]
    owned = [inside(tag.scope, scope) for tag in named]
    mine = np.array(owned, bool)
    covered_s, quality = sums.covered_s[:, mine], sums.quality[:, mine]
    names = [tag.address for tag, own in zip(named, owned, strict=True) if own]
    elapsed_s = sums.query.elapsed_s.sum(keepdims=True)
    share = w.shares(covered_s.sum(axis=0, keepdims=True), elapsed_s)
    some = covered_s > 0
    bad = some & ((quality & SEVERITY_BITS) == q.UNCERTAIN)
    instead = bad & ((quality & REASON_BITS) == q.SUBSTITUTED)
    hours = float(some.sum())
    return _Data(
        names,
        float(share[0].mean()) if names else np.nan,
        float(ratio(float(bad.sum()), hours)),
        float(ratio(float(instead.sum()), hours)),
        [names[n] for n in np.flatnonzero(~some.any(axis=0)).tolist()],
        [names[n] for n in np.flatnonzero(bad.any(axis=0)).tolist()],
        missing(share, names)[0][:FEW],
    )


def _row(context: Context, read: tuple[Sums, Sums], firm: Scope) -> MaturityRow:
    """Return the row of an enterprise."""
    sums, automated = read
    park, data = sums.network.park, _data(sums, firm.id)
    day = w.local(sums.query.now_us, sums.query.zone).date()
    due = [row.tag for row in park.rows(Calibration) if row.tag in data.names and row.due < day]
    rates = [_rate(park, row) for row in park.rows(Metering) if row.scope == firm.id]
    service = {kind: _service(automated, firm.id, kind) for kind in ("control", "interlock")}
    never = [n for n in data.silent if _never(context, n)]
    level, reason = grade(
        Standing(
            data.available,
            {users: _room(rates, users) for users in CLASSES},
            service["control"][0],
            service["interlock"][0],
            data.doubtful_share,
            float(len(due)),
        )
    )
    count = max(len(data.names), 1)
    measures = [
        *_meter_measures(park, firm.id, rates),
        *(_in_service(kind, *service[kind]) for kind in service if service[kind][2]),
        _measure("silent", data.silent, len(data.silent) / count),
        _measure("doubtful", data.doubtful, data.doubtful_share),
        _measure("calibration", due, len(due) / count),
    ]
    return {
        "scope": firm.id,
        "name": cast("Name", firm.name),
        "level": level,
        "reason": reason,
        "meters": rates,
        "control_share": number(service["control"][0]),
        "control_completeness": number(service["control"][1]),
        "interlock_share": number(service["interlock"][0]),
        "interlock_completeness": number(service["interlock"][1]),
        "tags": len(data.names),
        "availability": number(data.available),
        "doubtful_share": number(data.doubtful_share),
        "substituted_share": number(data.substituted_share),
        "silent": data.silent[:FEW],
        "doubtful": data.doubtful[:FEW],
        "overdue": due[:FEW],
        "missing": data.missing,
        "no_data": [*_no_data(rates, service), *(f"{n}: never came" for n in never[:FEW])],
        "next": sorted((m for m in measures if m["count"]), key=lambda m: -(m["effect"] or 0.0)),
    }


def _never(context: Context, address: str) -> bool:
    """Tell whether a tag has never had a value."""
    at = context.feed.catalogue.index.get(address)
    return at is None or bool(context.feed.image.time_us[at] == NEVER)


def _rate(park: Park, row: Metering) -> MeterRate:
    """Return how much of what is to be metered is installed, and connected."""
    count, least = connected(park, row), required_share(row.carrier, row.users)
    share = float(ratio(float(count), float(row.required)))
    return record(
        MeterRate,
        row,
        connected=count,
        installed_share=number(ratio(float(row.installed), float(row.required))),
        connected_share=number(share),
        least_share=number(least),
        met=None if np.isnan(share) or np.isnan(least) else share >= least,
    )


def _room(rates: list[MeterRate], users: str) -> float:
    """Return by how much the worst carrier of a class is above the standard; NaN = not known."""
    rooms = [
        (rate["connected_share"] or 0.0) - (rate["least_share"] or 0.0)
        for rate in rates
        if rate["users"] == users and rate["met"] is not None
    ]
    return min(rooms, default=float("nan"))


def _service(sums: Sums, scope: str, kind: str) -> tuple[float, float, list[str]]:
    """Return the share in service, its completeness, and the tags that are out of it at times."""
    index, amount, covered_s = sums.network.index, *sums.of_all()
    on = of = 0.0
    covered: list[float] = []
    out_of: list[tuple[float, str]] = []
    for row in sums.network.park.rows(Automation):
        if row.kind != kind or not inside(row.scope, scope):
            continue
        for tag in row.tags:
            at = index[tag]
            seconds = float(covered_s[:, at].sum())
            running = float(np.nansum(amount[:, at]))
            whole = 1.0 if np.isnan(row.total) else float(row.total)
            on, of = on + running, of + whole * seconds
            covered.append(float(ratio(seconds, float(sums.query.elapsed_s.sum()))))
            if seconds and running < whole * seconds:
                out_of.append((running / (whole * seconds), tag))
    share = float(ratio(on, of))
    return share, float(np.mean(covered)) if covered else np.nan, [t for _, t in sorted(out_of)]


def _no_data(
    rates: list[MeterRate], service: dict[str, tuple[float, float, list[str]]]
) -> list[str]:
    """Return the inputs of an enterprise that the model or the data lack."""
    lacking = [f"[[metering]] of {users}" for users in CLASSES
               if all(rate["users"] != users for rate in rates)]  # fmt: skip
    return lacking + [
        f"values of [[automation]] {kind}" if np.isfinite(done) else f"[[automation]] {kind}"
        for kind, (share, done, _) in service.items()
        if np.isnan(share)
    ]


TEXTS = {
    "meter": ("接入或补装计量器具", "connect or install meters"),
    "control": ("投用自动控制回路", "put loops into automatic control"),
    "interlock": ("恢复投用联锁", "put interlocks back into service"),
    "silent": ("恢复无数据的测点", "mend tags that are silent"),
    "doubtful": ("核查存疑测点", "look after tags whose values are doubtful"),
    "calibration": ("完成到期检定", "calibrate meters that are due"),
}

# Carriers and the classes of users of GB 17167.
CHINESE = {
    "electricity": "电", "steam": "蒸汽", "water": "水", "coal": "煤", "natural_gas": "天然气",
    "enterprise": "用能单位", "plant": "次级用能单位", "unit": "主要用能设备",
}  # fmt: skip


def _measure(
    kind: Literal["meter", "control", "interlock", "silent", "doubtful", "calibration"],
    subjects: list[str],
    effect: float,
    what: tuple[str, ...] = (),
) -> NextMeasure:
    """Return a measure about some tags or scopes."""
    zh, en = TEXTS[kind]
    if what:
        zh = f"{zh}：{'，'.join(CHINESE.get(word, word) for word in what)}"
        en = f"{en}: {', '.join(what)}"
    return {
        "kind": kind,
        "zh": zh,
        "en": en,
        "subjects": subjects[:FEW],
        "count": len(subjects),
        "effect": number(effect),
    }


def _in_service(kind: str, share: float, _: float, tags: list[str]) -> NextMeasure:
    return _measure("control" if kind == "control" else "interlock", tags, 1.0 - share)


def _meter_measures(park: Park, scope: str, rates: list[MeterRate]) -> list[NextMeasure]:
    """Return a measure for each carrier and class with too few meters: the scopes without one."""
    rows = [row for row in park.rows(Metering) if row.scope == scope]
    return [
        _measure(
            "meter",
            unmetered(park, row),
            (rate["least_share"] or 0.0) - (rate["connected_share"] or 0.0),
            (row.carrier, row.users),
        )
        for row, rate in zip(rows, rates, strict=True)
        if rate["met"] is False
    ]
