"""Meters behind meters: what those behind a junction leave over."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from fastapi import APIRouter

from api.answers import (
    Given,
    HalfWidth,
    Number,
    WindowAnswer,
    WindowRow,
    formula,
)
from api.calculation.pool import CalculationRoute
from api.context import AppContext
from api.encode import KWH, ONE, TONNE, Uom, out
from api.joint import Joint, read_joint
from api.problems import RESPONSES
from api.sums import NO_TAGS, read_sums
from api.windows import Hourly
from twin.energy.junctions import UNKNOWN, find_remainder, junction_weights
from twin.model.junctions import Junction
from twin.model.park import inside
from twin.reference import load as load_reference

router = APIRouter(prefix="/api/v1/scopes", responses=RESPONSES, route_class=CalculationRoute)

# The unit of measure of a carrier's amounts, by what it is accounted by.
UOMS: dict[str, tuple[str, Uom]] = {
    "energy": ("kWh", KWH),
    "mass": ("t", TONNE),
    "normal_volume": ("Nm^3", ONE),
}
AMOUNTS = ("supplied", "supplied_ci", "metered", "metered_ci", "remainder", "remainder_ci")


class JunctionRow(WindowRow):
    """What the meters behind a junction leave over, in `uom`.

    All amounts are of the time of the window in which every meter has data: `completeness`.
    sources and users are meters by their ids, or tags. `loss` is the share the model states to be
    lost where all users have meters. verdict: ``closed``, ``remainder`` (losses or users without a
    meter), ``excess`` (more behind the meters than through them) or ``unknown``.
    """

    junction: str
    scope: str
    carrier: str
    uom: str
    sources: list[str]
    users: list[str]
    supplied: Annotated[
        Number, formula("sum of the amounts of the sources, over the joint time of all meters")
    ]
    supplied_ci: HalfWidth
    metered: Annotated[
        Number, formula("sum of the amounts of the users, over the joint time of all meters")
    ]
    metered_ci: HalfWidth
    remainder: Annotated[Number, formula("supplied - metered")]
    remainder_ci: HalfWidth
    share: Annotated[Number, formula("remainder / supplied")]
    loss: Given[Number]
    verdict: Literal["closed", "remainder", "excess", "unknown"]


class MeterAnswer(WindowAnswer):
    """The junctions of the energy meters of a scope."""

    items: list[JunctionRow]


@router.get("/{path:path}/meters")
async def read_meters(context: AppContext, query: Hourly) -> MeterAnswer:
    """Return what the meters behind each junction of a scope leave over."""
    network = query.network
    junctions = [j for j in network.junctions if inside(j.scope, query.scope)]
    groups = [np.flatnonzero(sum(junction_weights(network, j))) for j in junctions]
    sums = await read_sums(context, query, np.unique(np.concatenate([NO_TAGS, *groups])))
    joints = await read_joint(context, sums, groups)
    rows = [_rows(joint, each) for joint, each in zip(joints, junctions, strict=True)]
    return query.answer(MeterAnswer, rows)


def _rows(joint: Joint, junction: Junction) -> list[JunctionRow]:
    """Return the rows of one junction, over the time in which all of its meters are covered."""
    network, windows = joint.sums.network, len(joint.share)
    meters = network.meters.meters
    name, uom = UOMS[load_reference("energy")[junction.carrier]["quantity"]]
    result = find_remainder(network, junction, *joint.sums.of_all())
    known = joint.enough & ~np.isnan(result.remainder)
    amounts = {key: np.where(known, getattr(result, key), np.nan) for key in AMOUNTS}
    return joint.sums.query.rows(
        JunctionRow,
        {
            "junction": junction.name,
            "scope": junction.scope,
            "carrier": junction.carrier,
            "uom": name,
            "sources": [[meters[at].label for at in junction.sources]] * windows,
            "users": [[meters[at].label for at in junction.users]] * windows,
            **{key: out(amount, uom) for key, amount in amounts.items()},
            "share": out(np.where(known, result.share, np.nan)),
            "loss": junction.loss,
            "verdict": np.where(known & joint.decisive, result.verdict, UNKNOWN).tolist(),
            **joint.trust(known),
        },
    )
