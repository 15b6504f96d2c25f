"""Liveness, readiness and the health of the data: for probes and for the console."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter
from pydantic import Field
from typing_extensions import TypedDict

from api import queries
from api.answers import (
    Completeness,
    Cursor,
    Number,
    Share,
    formula,
    record,
)
from api.context import AppContext, Context
from api.encode import AnswerRoute
from api.problems import RESPONSES, unavailable
from api.registers import RegisterFallRow, read_register_falls
from api.unit_errors import UnitErrorRow, read_unit_errors
from twin import quality as q
from twin.arrays import F64, HOUR_US, NEVER, SECOND_US
from twin.errors import StoreError
from twin.model.park import Tag
from twin.program import own_version
from twin.series import windows as w

router = APIRouter(responses=RESPONSES, route_class=AnswerRoute)

PREFIX = "ingest."
TOTALS = (
    "samples", "duplicates", "corrections", "late", "dropped", "broker_dropped", "broker_refused",
    "sessions_lost",
)  # fmt: skip
BROKER = ("broker_messages", "broker_bytes", "broker_clients", "broker_queue", "disk_used")
# Counted by reason, as ingest.rejected.<reason>.
GROUPS = ("rejected", "quarantined", "flagged")
# Tags of ingest about the data of an enterprise, <enterprise>/ingest.*, by the field they fill.
FIGURES = {
    "health": "health",
    "timeliness": "timeliness",
    "duplicate_share": "duplicate_share",
    "reject_share": "reject_share",
    "skew_s": "skew",
    "silent_gateways": "silent_gateways",
}


class EnterpriseHealth(TypedDict):
    """The data of an enterprise: freshness, completeness, faults."""

    enterprise: str
    tags: int
    fresh: int
    stale: int
    late: Annotated[int, Field(description="not heard of for longer than usual")]
    never: int
    completeness: Completeness
    simulated: bool
    health: Annotated[
        Share,
        formula(
            "1 - weighted sum of the shares of stale tags, of gaps, lateness, duplicates, "
            "rejects and clock error"
        ),
    ]
    timeliness: Annotated[Share, formula("1 - late samples / samples, of the newest day")]
    duplicate_share: Annotated[
        Share, formula("duplicates / samples of its gateways, of the newest day")
    ]
    reject_share: Annotated[
        Share, formula("rejected / messages of its gateways, of the newest day")
    ]
    skew_s: Annotated[
        Number,
        formula("error of its worst clock: median of time of the sample - time of arrival, ahead"),
    ]
    silent_gateways: Annotated[Number, formula("gateways that are silent, by its health tag")]


class GatewayRow(TypedDict):
    """Counts and faults of a gateway."""

    enterprise: str
    gateway: str
    topic: str
    first_heard: str
    last_heard: str
    messages: int
    samples: int
    rejected: int
    broker_refused: Annotated[
        int,
        Field(description="messages to topics not its own, which the broker dropped, by its log"),
    ]
    duplicates: int
    late: int
    dropped: int
    pause_s: Annotated[Number, formula("median of the time between two messages")]
    delay_s: Annotated[Number, formula("smallest time from newest sample to arrival")]
    skew_s: Annotated[
        Number,
        formula(
            "error of its clock: time of its samples - time of arrival where that is beyond "
            "the delay"
        ),
    ]
    silent: bool
    skewed: bool
    runaway: bool


class DataHealth(TypedDict):
    """The health of the data and of ingest."""

    items: list[EnterpriseHealth]
    gateways: list[GatewayRow]
    unit_errors: list[UnitErrorRow]
    register_falls: list[RegisterFallRow]
    model_problems: Annotated[
        list[str],
        Field(description="of the model in the folder of ingest, while a former one runs"),
    ]
    ingest: Annotated[
        dict[str, Number],
        formula("newest values of the tags of the health of ingest, which it measures itself"),
    ]
    next: Cursor


class Alive(TypedDict):
    """The process answers."""

    status: str
    version: str


class Ready(TypedDict):
    """The figures are current."""

    status: str
    checks: dict[str, Any]
    warnings: Annotated[
        list[str], Field(description="what asks for somebody, although a restart mends nothing")
    ]


@router.get("/livez")
async def livez() -> Alive:
    """Answer: the process is alive."""
    return {"status": "alive", "version": own_version()}


@router.get("/readyz")
async def readyz(context: AppContext) -> Ready:
    """Answer when the figures are current: database, cycles of ingest, broker and lag."""
    settings = context.settings
    health = ingest_health(context)
    trouble, problems = "", list[str]()
    try:
        await context.store.cycles(context.now_us())
        problems = await _read_model_problems(context)
    except StoreError as error:
        trouble = error.message
    age_s = cycle_age_s(context)
    connected, lag_s = health.get("connected"), health.get("lag")
    checks = {"database": not trouble, "cycle_age_s": age_s, "broker": connected, "lag_s": lag_s}
    checks |= {name: health.get(name) for name in ("broker_queue", "broker_dropped", "disk_used")}
    warnings = _warnings(context, health, problems)
    wrong = {
        trouble: trouble != "",
        "ingest has stored no cycle": not trouble and age_s is None,
        "the newest cycle of ingest is too old": (age_s or 0) > settings.ready_cycle_age_s,
        "ingest is not connected to the broker": age_s is not None and connected != 1,
        "ingest lags behind": (lag_s or 0) > settings.ready_lag_s,
    }
    reasons = [reason for reason, is_so in wrong.items() if is_so]
    if reasons:
        raise unavailable("; ".join(reasons), hint="`parktwin ingest` says why", checks=checks)
    return {"status": "ready", "checks": checks, "warnings": warnings}


async def _read_model_problems(context: Context) -> list[str]:
    return [row["problem"] for row in await context.store.rows(queries.MODEL_PROBLEMS)]


def _warnings(context: Context, health: dict[str, float], problems: list[str]) -> list[str]:
    """Return what is lost or will be, while the figures are current."""
    dropped, queue = health.get("broker_dropped", 0.0), health.get("broker_queue", 0.0)
    disk, crashed = health.get("disk_used", 0.0), health.get("rejected.crashed", 0.0)
    untold, refused = health.get("notify.dropped", 0.0), health.get("broker_refused", 0.0)
    sessions = health.get("sessions_lost", 0.0)
    wrong = {
        f"the broker has dropped {dropped:.0f} messages since its start": dropped > 0,
        f"the broker has refused {refused:.0f} messages to topics that are not their gateway's own:"
        " see gateways in /api/v1/health/data": refused > 0,
        f"the broker has forgotten the session of ingest {sessions:.0f} times: what gateways"
        " published meanwhile is lost unless they send it again": sessions > 0,
        f"the queue of the broker is {queue:.0%} full": queue >= context.settings.warn_queue_share,
        f"the disk of the data is {disk:.0%} full": disk >= context.settings.warn_disk_share,
        f"{crashed:.0f} messages made ingest fail: see `parktwin rejects`": crashed > 0,
        f"nobody was told of {untold:.0f} alarms: see /api/v1/notifications": untold > 0,
        f"the changed park model is refused: {'; '.join(problems)}": bool(problems),
    }
    return [sentence for sentence, is_so in wrong.items() if is_so]


def cycle_age_s(context: Context) -> float | None:
    """Return the age of the newest cycle [s]; None before the first."""
    if not context.feed.cycle_us:
        return None
    return (context.now_us() - context.feed.cycle_us) / SECOND_US


def ingest_health(context: Context) -> dict[str, float]:
    """Return the newest values of the health tags of ingest by name [SI]; without those unknown."""
    return {tag.tag.removeprefix(PREFIX): value for tag, value in own_tags(context)}


def own_tags(context: Context) -> Iterator[tuple[Tag, float]]:
    """Yield the health tags of ingest with their newest values [SI], as far as they are known."""
    owner = context.feed.model.park.id if context.feed.model else ""
    yield from ((tag, value) for tag, value in health_tags(context) if tag.owner == owner)


def health_tags(context: Context) -> Iterator[tuple[Tag, float]]:
    """Yield the tags of ingest about itself and about the data of enterprises, as `own_tags`."""
    values = context.feed.image.value.tolist()
    for tag, value in zip(context.feed.catalogue.tags, values, strict=True):
        if tag.tag.startswith(PREFIX) and not np.isnan(value):
            yield tag, value


@router.get("/api/v1/health/data")
async def read_data_health(context: AppContext) -> DataHealth:
    """Return freshness and completeness of the data of each enterprise, and the state of ingest."""
    context.require_image()
    park, now_us, catalogue = context.model.park, context.now_us(), context.feed.catalogue
    hours = w.edges("hour", now_us - 2 * HOUR_US, now_us, park.timezone)
    last = int(np.searchsorted(hours, now_us, "right")) - 1
    start_us, end_us = int(hours[last - 1]), int(hours[last])
    rows = await context.store.amounts("hour", catalogue.tag_id, start_us, end_us)
    covered_s = np.zeros(len(catalogue.tags))
    np.add.at(covered_s, catalogue.positions(rows["tag_id"]), rows["covered_s"])
    share = np.minimum(covered_s * SECOND_US / (end_us - start_us), 1.0)
    if not len(rows["tag_id"]):
        share[:] = np.nan
    owners: dict[str, list[int]] = {}
    for at, tag in enumerate(catalogue.tags):
        if tag.source == "measured":
            owners.setdefault(tag.owner, []).append(at)
    gateways = await context.store.rows(queries.GATEWAYS, sorted(owners))
    return {
        "items": [_enterprise(context, *each, share) for each in owners.items()],
        "gateways": [
            record(GatewayRow, row, **context.times(row, "first_heard", "last_heard"))
            for row in gateways
        ],
        "unit_errors": await read_unit_errors(context),
        "register_falls": await read_register_falls(context),
        "model_problems": await _read_model_problems(context),
        "ingest": _ingest_summary(context),
        "next": None,
    }


def _enterprise(context: Context, owner: str, tags: list[int], share: F64) -> EnterpriseHealth:
    """Return the health of the data of an enterprise from the covered share of each tag."""
    image, addresses = context.feed.image, context.feed.catalogue.addresses
    time_us = image.time_us[tags]
    never = time_us == NEVER
    gap_us = np.array([context.gap_us(addresses[i]) for i in tags])
    fresh = ~never & (context.now_us() - np.where(never, 0, time_us) <= gap_us)
    figures = {name: _figure(context, f"{owner}/{PREFIX}{tag}") for name, tag in FIGURES.items()}
    return record(
        EnterpriseHealth,
        figures,
        enterprise=owner,
        tags=len(tags),
        fresh=int(fresh.sum()),
        stale=int((~fresh & ~never).sum()),
        late=int(image.late[tags].sum()),
        never=int(never.sum()),
        completeness=float(share[tags].mean()),
        simulated=bool((image.quality[tags][~never] & q.SIMULATED).any()),
    )


def _figure(context: Context, address: str) -> float | None:
    """Return the newest value of a health tag; None when there is none or it is too old."""
    image, at = context.feed.image, context.feed.catalogue.index.get(address, -1)
    since_us = context.now_us() - context.model.park.gap_s * 1e6
    return float(image.value[at]) if at >= 0 and image.time_us[at] >= since_us else None


def _ingest_summary(context: Context) -> dict[str, Number]:
    """Return connection, lag and counters of ingest; null for what is unknown."""
    health = ingest_health(context)
    summary = {name: health.get(name) for name in ("connected", *TOTALS, *BROKER)}
    summary["lag_s"] = health.get("lag")
    for group in GROUPS:
        counts = [v for k, v in health.items() if k == group or k.startswith(f"{group}.")]
        summary[group] = sum(counts) if counts else None
    return summary
