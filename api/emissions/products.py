"""Carbon footprints of the products of a scope over windows, cradle to gate inside its boundary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, NamedTuple

import numpy as np
from pydantic import Field
from typing_extensions import TypedDict

from api.answers import (
    HalfWidth,
    Number,
    WindowAnswer,
    WindowRow,
    formula,
)
from api.context import Context
from api.emissions.carbon import CarbonFactor, GridChoice, factor_row, grid_factors
from api.encode import TONNE, out
from api.joint import Joint, read_joint
from api.reconciled import Basis, ReconciledAmount, basis_of, covered_by, read_amounts
from api.sums import Sums, read_sums
from api.windows import WindowQuery
from twin.accounts.accounts import Account
from twin.arrays import BOOL, F64
from twin.emissions.carbon import GridFactor
from twin.emissions.products import (
    ProductSystem,
    compile_products,
    product_footprint,
    product_terms,
)
from twin.quality import worse
from twin.reconciliation.uncertainty import weights
from twin.reference import load as load_reference
from twin.uom import compile_uom, parse_quantity

PER_TONNE = compile_uom("kg/t", "fraction")
NO_VALUE = "nothing was made in this time, or a factor is not known"
RULE = (
    "cradle to gate inside the scope: emissions of its plants, of bought electricity and heat, and"
    " of what its plants supply to each other; carbon bound in a product is not emitted at the"
    " gate; stocks are not followed"
)
ALLOCATION = (
    "co-products share by the mass that leaves the plant; a plant of energy shares by heat; a plant"
    " without a product of its own by the mass that comes in, where that is more; vents have no"
    " part"
)


class FootprintRow(WindowRow):
    """The carbon footprint of one product of one plant, in kg of carbon dioxide per tonne."""

    product: str
    plant: str
    values: Annotated[Basis, Field(description="what some flows of it stand on")]
    mass_t: Annotated[Number, formula("sum of the amounts of the meters of the product")]
    kg_per_t: Annotated[
        Number,
        formula(
            "direct + energy + materials, over the joint time of all of its tags: emissions "
            "of the plant and of what it is supplied with, allocated by mass / mass of the "
            "product"
        ),
    ]
    kg_per_t_ci: HalfWidth
    direct_kg_per_t: Annotated[
        Number, formula("emissions of the plant itself (scope 1) / mass of the product")
    ]
    energy_kg_per_t: Annotated[
        Number, formula("direct + emissions of the electricity and heat it uses, / mass")
    ]
    materials_kg_per_t: Annotated[
        Number, formula("direct, energy, and the footprint of what other plants supply, / mass")
    ]
    co_products: Annotated[list[str], Field(description="what shares the emissions of the plant")]
    reason: Annotated[str, Field(description="why it is not known, or which factor stands in")]


class ClosedSums(NamedTuple):
    """Joint sums in W windows, in some of them by the closed balances."""

    joint: Joint
    stands: BOOL  # (W,) some amounts are reconciled


class FootprintBoundary(TypedDict):
    """What a footprint counts, and what it does not."""

    scope: str
    rule: str
    allocation: str
    not_counted: Annotated[
        list[str], Field(description="media from outside: their emissions are in no figure")
    ]


class FootprintAnswer(WindowAnswer):
    """The carbon footprints of the products of a scope."""

    boundary: FootprintBoundary
    region: str
    method: str
    items: list[FootprintRow]
    factors: list[CarbonFactor]


async def read_products(
    context: Context, query: WindowQuery, choice: GridChoice, values: Basis
) -> FootprintAnswer:
    """Return the footprint of each product in each window; raises StoreError."""
    network = query.network
    system = compile_products(network, query.scope)
    groups = [np.flatnonzero(_used(query, system, product)) for product in system.products]
    every = [np.zeros(0, np.int64), *groups]
    sums = await read_sums(context, query, np.unique(np.concatenate(every)))
    joints = await read_joint(context, sums, groups)
    flows = {str(tag): np.eye(1, len(network.tags), tag)[0] for tag in sums.tags.tolist()}
    amounts = await read_amounts(context, query, values, flows)
    grid, heat = grid_factors(query, choice), load_reference("carbon")["heat"]
    factors = {
        "electricity": np.array([factor.value for factor in grid]),
        "heat": np.full(len(grid), parse_quantity(heat["factor"], "emission_factor")),
    }
    rows = {str(factor.row): factor.row for factor in grid if factor.row}
    return query.answer(
        FootprintAnswer,
        [
            _rows(sums, _closed(joint, amounts), system, product, factors, grid)
            for product, joint in zip(system.products, joints, strict=True)
        ],
        boundary={
            "scope": query.scope,
            "rule": RULE,
            "allocation": ALLOCATION,
            "not_counted": list(system.brought_in),
        },
        region=choice.region,
        method=choice.method,
        factors=[
            *(factor_row("electricity", row) for row in rows.values()),
            factor_row("heat", heat),
        ],
    )


def _used(query: WindowQuery, system: ProductSystem, product: tuple[str, int]) -> BOOL:
    """Return which tags the footprint of a product and its mass rest on, (T,)."""
    terms = product_terms(system, product[1])
    inputs = [term.weight for term in terms]
    inputs += [system.switches[term.switch] for term in terms if term.switch >= 0]
    inputs.append(_made(query, system, product))
    return np.asarray(np.any(np.stack(inputs) != 0, axis=0))


def _made(query: WindowQuery, system: ProductSystem, product: tuple[str, int]) -> F64:
    """Return the weights (T,) of the mass of a product of a plant."""
    name, node = product
    return weights(query.network, {Account(system.nodes[node], name, "mass"): 1.0})


def _closed(joint: Joint, amounts: Mapping[str, ReconciledAmount]) -> ClosedSums:
    """Return joint sums with the reconciled amount of each tag where all of them are covered."""
    sums, stands = joint.sums, np.zeros(len(joint.share), bool)
    amount, quality = sums.amount.copy(), sums.quality.copy()
    for u, tag in enumerate(sums.tags.tolist()):
        one = covered_by(amounts[str(tag)], joint)
        amount[:, u] = np.where(one.stands, one.value, amount[:, u])
        quality[:, u] = np.where(one.stands, worse(quality[:, u], one.quality), quality[:, u])
        stands |= one.stands
    return ClosedSums(replace(joint, sums=replace(sums, amount=amount, quality=quality)), stands)


def _rows(
    sums: Sums,
    closed: ClosedSums,
    system: ProductSystem,
    product: tuple[str, int],
    factors: dict[str, F64],
    grid: list[GridFactor],
) -> list[FootprintRow]:
    """Return the rows of one product, of the time in which all it rests on is covered."""
    (joint, stands), (name, node) = closed, product
    amount, _ = joint.sums.of_all()
    made = _made(sums.query, system, product)
    result = product_footprint(system, node, amount, factors)
    value = np.where(joint.enough, result.value, np.nan)
    parts = {"direct": result.direct, "energy": result.energy, "materials": result.materials}
    known = ~np.isnan(value)
    columns = {
        f"{part}_kg_per_t": out(np.where(known, each, np.nan), PER_TONNE)
        for part, each in parts.items()
    }
    reasons = [
        lacks or (NO_VALUE if not there else factor.reason)
        for lacks, there, factor in zip(joint.reasons(value), known.tolist(), grid, strict=True)
    ]
    return sums.query.rows(
        FootprintRow,
        {
            "product": name,
            "plant": system.nodes[node],
            "values": basis_of(stands),
            "mass_t": out(np.where(stands, joint.sums.weigh(made), sums.weigh(made)), TONNE),
            "kg_per_t": out(value, PER_TONNE),
            "kg_per_t_ci": out(joint.width(name, value, result.weight), PER_TONNE),
            **columns,
            "co_products": [list(system.outputs[node])] * len(known),
            "reason": reasons,
            **joint.trust(known),
        },
    )
