"""Routes of the by-product resource catalogue: what is on offer, where it fits, what was agreed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, TypeVar

import numpy as np
from fastapi import APIRouter, Query

from api.calculation.pool import LongCalculationRoute
from api.context import AppContext
from api.encode import CNY_PER_T
from api.parameters import Text
from api.problems import RESPONSES, not_found
from api.reconciled import Values
from api.resources.allocation import AllocationAnswer, allocate_resources
from api.resources.catalogue import (
    CatalogueAnswer,
    catalogue_answer,
    concealed,
    read_availability,
)
from api.resources.ledger import LedgerAnswer, ledger_answer
from api.resources.matches import MatchAnswer, match_rows
from api.windows import Daily, Monthly, ScopePath
from twin.byproducts.catalogue import Haul, Need, Resource, open_share, resources_of
from twin.byproducts.matching import match
from twin.series.windows import local

if TYPE_CHECKING:
    from collections.abc import Sequence

router = APIRouter(prefix="/api/v1/scopes", responses=RESPONSES, route_class=LongCalculationRoute)

Row = TypeVar("Row", Resource, Need)
CarbonPrice = Annotated[
    float,
    Query(ge=0, le=1e6, description="what a tonne of avoided carbon dioxide is worth, CNY/t"),
]


@router.get("/{path:path}/catalogue")
async def read_catalogue(
    context: AppContext, query: Daily, values: Values = "reconciled"
) -> CatalogueAnswer:
    """Return the resource catalogue of a scope: what there is by its meters, else as stated."""
    amounts = await read_availability(context, query, values)
    return catalogue_answer(query, amounts, context.viewer)


@router.get("/{path:path}/catalogue/matches")
async def read_matches(
    context: AppContext,
    path: ScopePath,
    resource: Annotated[Text, Query(description="id; all when none is named")] = "",
    need: Annotated[Text, Query(description="id; all when none is named")] = "",
) -> MatchAnswer:
    """Return which resource fits which need today, and every reason why others do not.

    Quantities are those that are stated.
    """
    context.require_scope(path)
    park = context.model.park
    resources = _named(resources_of(park, path), resource, "resource", path)
    needs = _named(park.rows(Need), need, "need", path)
    components = {name for row in resources for name in row.composition}
    context.require_affordable(len(resources) * len(needs) * (len(components) + 20))
    day = local(context.now_us(), context.zone).date()
    viewer = context.viewer
    shares = open_share(resources, day), open_share(needs, day)
    supply = shares[0] * np.array([row.typical for row in resources], np.float64)
    # A quantity that is withheld speaks against nothing.
    supply[concealed(viewer, resources)] = np.nan
    needs = [
        replace(n, least=0.0) if c else n
        for n, c in zip(needs, concealed(viewer, needs), strict=True)
    ]
    matches = match(resources, needs, park.rows(Haul), supply, shares)
    return {
        "scope": path,
        "day": day.isoformat(),
        "viewer": viewer.level,
        "items": match_rows(matches),
        "next": None,
    }


def _named(rows: Sequence[Row], id_: str, kind: str, path: str) -> Sequence[Row]:
    """Return the row that is named, or all; raises Problem 404 for one that is not there."""
    ids = [row.id for row in rows]
    if id_ and id_ not in ids:
        raise not_found(kind, id_, ids, f"/api/v1/scopes/{path}/catalogue")
    return [row for row in rows if row.id == id_] if id_ else rows


@router.get("/{path:path}/catalogue/allocation")
async def read_allocation(
    context: AppContext,
    query: Daily,
    values: Values = "reconciled",
    carbon_price: CarbonPrice = 0.0,
) -> AllocationAnswer:
    """Return where the resources of a scope gain most, with the prices of all limits.

    Needs take mixtures. A firm minimum that cannot be met is told with the limits against it.
    """
    amounts = await read_availability(context, query, values)
    price = carbon_price * CNY_PER_T[0]
    return allocate_resources(context, query, amounts, price, context.viewer)


@router.get("/{path:path}/catalogue/ledger")
async def read_ledger(context: AppContext, query: Monthly) -> LedgerAnswer:
    """Return the exchange ledger of a scope: what was agreed for each month, and was delivered."""
    return await ledger_answer(context, query, context.viewer)
