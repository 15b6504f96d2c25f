"""Targets of policy and where the park stands, as far as the tags can tell."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import numpy as np
from fastapi import APIRouter, Query, Request, Response

from api import schema_targets
from api.chlorine import balance_rows
from api.context import From, To, World, stretch, world
from api.encode import json_answer, rfc3339
from api.energy import ENERGY_ITEMS, energy_rows
from api.problems import RESPONSES
from api.sums import read_sums, tags_of
from api.windows import ask
from twin.accounts.accounts import FLOW_ITEMS, Account
from twin.arrays import DAY_US
from twin.model.park import inside
from twin.quality import NO_DATA
from twin.series.windows import local
from twin.targets import KPIS, WORDS, capacity_share, shortfall, verdict
from twin.uom import compile_uom

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from api.windows import Question

router = APIRouter(prefix="/api/v1", responses=RESPONSES)

# Longer stretches are summed from days.
HOURS_MAX_US = 31 * DAY_US
LIKE = {"electricity_intensity": "kwh_per_t", "energy_intensity": "kgce_per_t"}
UOMS = {"electricity_intensity": "kWh/t", "energy_intensity": "kgce/t"}
KINDS = {"aluminium": "potline", "caustic": "membrane", "chlorine": "membrane"}
NOT_MEASURED = "needs figures that are in no tag: from the books or the asset register"
NO_VALUE = "there are no data, or no production, in this time, or stocks at its start are not known"
Found = tuple[float, float, dict[str, Any]]  # value [SI], NaN = none, half width, trust


@router.get("/targets", response_model=schema_targets.Targets)
async def targets(
    request: Request,
    scope: Annotated[
        str, Query(description="targets of this scope and those below; all when none is named")
    ] = "",
    from_: From = None,
    to: To = None,
) -> Response:
    """Return each target with what was reached in a stretch of time, by default the last 24 h."""
    here = world(request)
    park = here.model.park
    from_us, to_us = stretch(here.now_us(), from_, to)
    window = "hour" if to_us - from_us <= HOURS_MAX_US else "day"
    items = []
    for row in park.tables.get("target", ()):
        if scope and not inside(row["scope"], scope):
            continue
        asked = ask(here, row["scope"], window, from_, to)
        # The whole stretch is one window.
        asked = replace(asked, edges=asked.edges[[0, -1]])
        items.append(await _item(here, asked, row))
    body = {"scope": scope or park.id, "items": items, "next": None}
    return json_answer(body)


async def _item(here: World, asked: Question, row: dict[str, Any]) -> dict[str, Any]:
    """Return one target, its value and verdict; null and a reason where there is none."""
    kpi = row.get("kpi")
    value, half_width, trust = np.nan, 0.0, {"completeness": None, "quality": NO_DATA}
    if kpi:
        value, half_width, trust = await EVALUATE[kpi](here, asked, row)
    quantity = KPIS.get(kpi, "") if kpi else ""
    scale = compile_uom(row["uom"], quantity)[0] if quantity else 1.0
    reached = np.array(value / scale)
    at_most, goal = np.array(row.get("sense") == "at_most"), np.array(float(row["value"]))
    found = int(verdict(reached, goal, at_most, half_width / scale))
    short = float(shortfall(reached, goal, at_most))
    zone = ZoneInfo(asked.network.park.timezone)
    return {
        "id": row["id"],
        "scope": row["scope"],
        "name": row.get("name"),
        "kpi": kpi,
        "product": row.get("product"),
        "sense": row.get("sense"),
        "goal": float(goal),
        "uom": row["uom"],
        "year": row.get("year"),
        "due": row["year"] < local(asked.now_us, zone).year if "year" in row else None,
        "start": rfc3339(int(asked.edges[0]), zone),
        "end": rfc3339(int(asked.edges[-1]), zone),
        "value": None if np.isnan(reached) else float(reached),
        "half_width": half_width / scale if half_width > 0 else None,
        "verdict": WORDS[found] if kpi else None,
        "shortfall": None if np.isnan(short) else short,
        "reason": NOT_MEASURED if not kpi else NO_VALUE if np.isnan(reached) else "",
        "source": row.get("source", ""),
        "note": row.get("note", ""),
        "confidence": row.get("confidence", ""),
        "verified": bool(row.get("verified", False)),
        **trust,
    }


def _of(row: dict[str, Any], name: str) -> float:
    return np.nan if row[name] is None else float(row[name])


def _trust(row: dict[str, Any]) -> dict[str, Any]:
    return {"completeness": row["completeness"], "quality": row["quality"]}


async def _intensity(here: World, asked: Question, row: dict[str, Any]) -> Found:
    """Return energy per mass of a product."""
    accounts = [Account(asked.scope, row["product"], item) for item in ENERGY_ITEMS]
    tags = tags_of(asked.network, accounts)
    sums = await read_sums(here, asked.network, tags, asked.window, asked.edges)
    year = local(int(asked.edges[0]), ZoneInfo(asked.network.park.timezone)).year
    found = energy_rows(asked, sums, row["product"], "equivalent", np.array([year]))[0]
    name, scale = LIKE[row["kpi"]], compile_uom(UOMS[row["kpi"]], "intensity")[0]
    return _of(found, name) * scale, _of(found, f"{name}_ci") * scale, _trust(found)


async def _chlorine(here: World, asked: Question, row: dict[str, Any]) -> Found:
    """Return a share of the chlorine of a scope."""
    accounts = [Account(asked.scope, "chlorine", item) for item in FLOW_ITEMS]
    found = (await balance_rows(here, asked, accounts))[0]
    if row["kpi"] != "unaccounted_share":
        key = {"local_share_of_liquid": "k1", "local_share_of_chlorine": "k2"}[row["kpi"]]
        return _of(found, key), _of(found, f"{key}_ci"), _trust(found)
    made, rest, ci = (
        _of(found, name) for name in ("production_t", "unaccounted_t", "unaccounted_ci_t")
    )
    share = abs(rest) / made if made > 0 else np.nan
    return share, ci / made if made > 0 else np.nan, _trust(found)


async def _register(_here: World, asked: Question, row: dict[str, Any]) -> Found:
    """Return a figure of the asset register: it holds at any time."""
    cells = [c for c in asked.network.park.electrolysers if inside(c.scope, asked.scope)]
    if row["kpi"] == "capacity":
        kind = KINDS.get(row["product"])
        value = float(sum(c.capacity for c in cells if c.kind == kind)) if kind else float("nan")
    else:
        cells = [c for c in cells if c.kind == "membrane"]
        value = capacity_share(
            np.array([c.capacity for c in cells]), np.array([c.zero_gap for c in cells], bool)
        )
    trust = {"completeness": None, "quality": 0}
    return value, 0.0, trust


EVALUATE: dict[str, Callable[[World, Question, dict[str, Any]], Awaitable[Found]]] = {
    "electricity_intensity": _intensity,
    "energy_intensity": _intensity,
    "local_share_of_liquid": _chlorine,
    "local_share_of_chlorine": _chlorine,
    "unaccounted_share": _chlorine,
    "zero_gap_share": _register,
    "capacity": _register,
}
