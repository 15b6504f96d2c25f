"""Is it alive, is it ready, how good is the data: for probes, for Prometheus, for the console."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np
from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse

from api import schema
from api.context import World, world
from api.encode import json_answer, rfc3339
from api.problems import RESPONSES, Problem
from deploy.database.times import to_us
from twin import quality as q
from twin.arrays import HOUR_US, NEVER, SECOND_US
from twin.errors import StoreError
from twin.series import windows as w

if TYPE_CHECKING:
    from collections.abc import Iterator

router = APIRouter(responses=RESPONSES)

PREFIX = "ingest."
GAUGES = ("gauge", "state")
TOTALS = ("samples", "duplicates", "corrections", "late", "dropped")
# Counted by reason, as ingest.rejected.<reason>.
GROUPS = ("rejected", "quarantined", "doubted")
# What ingest finds of the data of an enterprise, as <enterprise>/ingest.*.
FOUND = {
    "health": "health",
    "timeliness": "timeliness",
    "duplicate_share": "duplicate_share",
    "reject_share": "reject_share",
    "skew": "skew_s",
}


@router.get("/livez", response_model=schema.Alive)
async def livez() -> Response:
    """Return that the process answers."""
    return json_answer({"status": "alive"})


@router.get("/readyz", response_model=schema.Ready)
async def readyz(request: Request) -> Response:
    """Return whether the figures are current: database, ingest's cycles, broker and lag."""
    here = world(request)
    settings = here.settings
    health = ingest_health(here)
    trouble = ""
    try:
        await here.store.cycles(here.now_us())
    except StoreError as error:
        trouble = error.message
    age_s = cycle_age_s(here)
    connected, lag_s = health.get("connected"), health.get("lag")
    checks = {"database": not trouble, "cycle_age_s": age_s, "broker": connected, "lag_s": lag_s}
    wrong = {
        trouble: trouble != "",
        "ingest has stored no cycle": not trouble and age_s is None,
        "the newest cycle of ingest is too old": (age_s or 0) > settings.ready_cycle_age_s,
        "ingest is not connected to the broker": age_s is not None and connected != 1,
        "ingest lags behind": (lag_s or 0) > settings.ready_lag_s,
    }
    reasons = [reason for reason, is_so in wrong.items() if is_so]
    if reasons:
        raise Problem(
            503, "; ".join(reasons), hint="`parktwin ingest` says why", retry=True, checks=checks
        )
    return json_answer({"status": "ready", "checks": checks})


def cycle_age_s(here: World) -> float | None:
    """Return how old the newest cycle is; None before the first."""
    if not here.feed.cycle_us:
        return None
    return (here.now_us() - here.feed.cycle_us) / SECOND_US


def ingest_health(here: World) -> dict[str, float]:
    """Return what ingest says about itself, by name; what it has never said is missing."""
    catalogue, image = here.feed.catalogue, here.feed.image
    root = here.feed.model.root if here.feed.model else ""
    return {
        tag.tag.removeprefix(PREFIX): float(image.value[at])
        for at, tag in enumerate(catalogue.tags)
        if tag.owner == root and tag.tag.startswith(PREFIX) and not np.isnan(image.value[at])
    }


@router.get("/metrics", response_class=PlainTextResponse)
async def metrics(request: Request) -> Response:
    """Return the counters of ingest and of this process in Prometheus' text format."""
    return PlainTextResponse(
        "".join(_lines(world(request))), media_type="text/plain; version=0.0.4"
    )


def _lines(here: World) -> Iterator[str]:
    """Yield the lines, samples of one metric together."""
    kinds = {tag.address: tag.kind for tag in here.feed.catalogue.tags}
    root = here.feed.model.root if here.feed.model else ""
    found: dict[str, list[tuple[str, float]]] = {}
    for name, value in ingest_health(here).items():
        group, _, reason = name.partition(".")
        total = "" if kinds.get(f"{root}/{PREFIX}{name}") in GAUGES else "_total"
        label = f'{{reason="{reason}"}}' if reason else ""
        found.setdefault(f"ingest_{group}{total}", []).append((label, value))
    found["api_requests_total"] = [
        (f'{{status="{status}"}}', count) for status, count in sorted(here.requests.items())
    ]
    found["api_live_clients"] = [("", here.feed.clients)]
    age_s = cycle_age_s(here)
    found["api_cycle_age_seconds"] = [] if age_s is None else [("", age_s)]
    for name, rows in found.items():
        yield f"# TYPE parktwin_{name} {'counter' if name.endswith('_total') else 'gauge'}\n"
        for label, value in rows:
            yield f"parktwin_{name}{label} {value:.15g}\n"


@router.get("/api/v1/health/data", response_model=schema.Health)
async def read_data_health(request: Request) -> Response:
    """Return how much of each enterprise's data is there, and how ingest is."""
    here = world(request)
    here.require_image()
    park, now_us = here.model.park, here.now_us()
    catalogue, image, network = here.feed.catalogue, here.feed.image, here.model.network
    hours = w.edges("hour", now_us - 2 * HOUR_US, now_us, park.timezone)
    last = int(np.searchsorted(hours, now_us, "right")) - 1
    start_us, end_us = int(hours[last - 1]), int(hours[last])
    rows = await here.store.amounts("hour", catalogue.tag_id, start_us, end_us)
    covered_s = np.zeros(len(catalogue.tags))
    at = catalogue.positions(rows["tag_id"])
    np.add.at(covered_s, at, rows["covered_s"])
    gap_us = {
        tag.address: int(gap) for tag, gap in zip(network.tags, network.traits.gap_us, strict=True)
    }
    owners: dict[str, list[int]] = {}
    for i, tag in enumerate(catalogue.tags):
        if tag.source == "measured":
            owners.setdefault(tag.owner, []).append(i)
    items = []
    for owner, members in owners.items():
        places = np.array(members)
        never = image.time_us[places] == NEVER
        gaps = [gap_us.get(catalogue.addresses[i], round(park.gap_s * 1e6)) for i in members]
        fresh = ~never & (now_us - np.where(never, 0, image.time_us[places]) <= np.array(gaps))
        share = w.completeness(covered_s[None, places], np.array([(end_us - start_us) / SECOND_US]))
        items.append(
            {
                "enterprise": owner,
                "tags": len(members),
                "fresh": int(fresh.sum()),
                "stale": int((~fresh & ~never).sum()),
                "never": int(never.sum()),
                "completeness": float(share[0]) if len(rows["tag_id"]) else None,
                "simulated": bool((image.quality[places[~never]] & q.SIMULATED).any()),
                **_found(here, owner),
            }
        )
    zone = ZoneInfo(park.timezone)
    gateways = [_gateway(row, zone) for row in await here.store.gateways(sorted(owners))]
    return json_answer(
        {"items": items, "gateways": gateways, "ingest": _ingest_summary(here), "next": None}
    )


def _found(here: World, owner: str) -> dict[str, float | None]:
    """Return what ingest has found of the data of an enterprise; null when it is too old."""
    image = here.feed.image
    since_us = here.now_us() - here.model.park.gap_s * 1e6
    found: dict[str, float | None] = {}
    for name, key in FOUND.items():
        at = here.feed.catalogue.index.get(f"{owner}/{PREFIX}{name}", -1)
        fresh = at >= 0 and image.time_us[at] >= since_us and not np.isnan(image.value[at])
        found[key] = float(image.value[at]) if fresh else None
    return found


def _gateway(row: Any, zone: ZoneInfo) -> dict[str, Any]:
    """Return a gateway as the API shows it."""
    times = {name: rfc3339(to_us(row[name]), zone) for name in ("first_heard", "last_heard")}
    return dict(row) | times


def _ingest_summary(here: World) -> dict[str, Any]:
    """Return connection, lag and counters of ingest; null for what it has never said."""
    health = ingest_health(here)
    lag_s = health.get("lag")
    summary: dict[str, Any] = {"connected": None, "lag_s": lag_s}
    if "connected" in health:
        summary["connected"] = int(health["connected"])
    for name in TOTALS:
        summary[name] = health.get(name)
    for group in GROUPS:
        counts = [v for k, v in health.items() if k == group or k.startswith(f"{group}.")]
        summary[group] = sum(counts) if counts else None
    return summary
