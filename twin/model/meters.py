"""Energy meters as trees: which meters lie behind which, and which count in a scope.

A carrier comes into a scope through its incomers and from generation inside it; feeders lead it on
to users, and some is sold. The same energy passes the incomer and the feeders behind it: it counts
once, at the top of the tree.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from twin.model.park import AMOUNTS, Meter, Park, inside, products_near, scopes_above
from twin.model.rows import RowFault
from twin.reference import load as load_reference

if TYPE_CHECKING:
    from collections.abc import Iterator

# The parent of a meter that is fed from outside, and from no other meter.
MARKET = "market"
# The roles whose meters are a part of what a meter of this role shows. Sold energy has passed the
# incomer and is taken off; a feeder uses what generation gives: the two cancel.
PARTS = {
    "incomer": ("incomer", "feeder", "generation"),
    "feeder": ("incomer", "feeder", "generation"),
    "generation": ("generation", "sold"),
    "sold": (),
}


@dataclass(frozen=True, slots=True)
class MeterTrees:
    """The N energy meters of a park; a meter is its position."""

    meters: tuple[Meter, ...]
    parents: tuple[tuple[int, ...], ...]  # (N,) the meters each is fed through
    above: tuple[frozenset[int], ...]  # (N,) the meters of which each is a part
    products: tuple[str, ...]  # (N,) whose energy each shows; empty = of no single one


def compile_meters(park: Park) -> MeterTrees:
    """Return the trees of the energy meters of a park.

    A meter without `parent` lies behind the incomers of the nearest scope above it that has some;
    sold energy without an incomer is a part of the generation inside its scope.
    """
    meters = park.meters
    parents = tuple(tuple(_parents(meters, at)) for at in range(len(meters)))
    above = tuple(frozenset(_ancestors(parents, at, meters)) for at in range(len(meters)))
    near = [_product(park, meter) for meter in meters]
    products = tuple(
        "" if _is_passed_on(park, at, above, near) else near[at] for at in range(len(meters))
    )
    return MeterTrees(meters, parents, above, products)


def counts(trees: MeterTrees, at: int, scope: str, product: str = "") -> bool:
    """Return whether a meter counts in the energy of a scope, or of one product there.

    It does at the top of its tree: no meter of the scope it is a part of counts already.
    """

    def takes_part(other: int) -> bool:
        meter = trees.meters[other]
        mine = not product or trees.products[other] == product
        return mine and meter.basis != "DC" and inside(meter.scope, scope)

    if not takes_part(at):
        return False
    if trees.meters[at].role != "sold":
        return not any(takes_part(other) for other in trees.above[at])
    return not any(counts(trees, other, scope, product) for other in _sources(trees, at))


def counted(trees: MeterTrees, scope: str) -> list[Meter]:
    """Return the meters that count in the energy of a scope; each with its `Meter.sign`."""
    return [meter for at, meter in enumerate(trees.meters) if counts(trees, at, scope)]


def _sources(trees: MeterTrees, sold: int) -> list[int]:
    """Return the generation that some sold energy may be a part of: it, or beside it, is fed."""
    fed = set(trees.parents[sold])
    return [
        at
        for at, meter in enumerate(trees.meters)
        if meter.role == "generation" and (at in fed or fed & set(trees.parents[at]))
    ]


def _named(meters: tuple[Meter, ...], name: str) -> list[int]:
    """Return the meters of an id, or else of a tag."""
    by_id = [at for at, meter in enumerate(meters) if meter.id == name]
    return by_id or [at for at, meter in enumerate(meters) if meter.tag == name]


def _parents(meters: tuple[Meter, ...], at: int) -> list[int]:
    """Return the meters that one is fed through: those it names, else those its role implies."""
    meter = meters[at]
    if meter.parent:
        return [other for name in meter.parent for other in _named(meters, name)]
    if meter.basis == "DC" or meter.role == "incomer":
        return []
    alike = [o for o, other in enumerate(meters) if _alike(meter, other)]
    incomers = [o for o in alike if meters[o].role == "incomer"]
    for scope in scopes_above(meter.scope):
        if nearest := [o for o in incomers if meters[o].scope == scope]:
            return nearest
    if meter.role != "sold":
        return []
    made = [o for o in alike if meters[o].role == "generation"]
    return [o for o in made if inside(meters[o].scope, meter.scope)]


def _alike(meter: Meter, other: Meter) -> bool:
    """Return whether two meters show amounts that can be added."""
    return meter.carrier == other.carrier and other.basis != "DC"


def _ancestors(
    parents: tuple[tuple[int, ...], ...], at: int, meters: tuple[Meter, ...] | None = None
) -> set[int]:
    """Return the meters above one; with `meters` only those it is a part of."""
    above, new = set[int](), [at]
    while new:
        child = new.pop()
        for parent in parents[child]:
            whole = meters is None or meters[child].role in PARTS[meters[parent].role]
            if whole and parent not in above:
                above.add(parent)
                new.append(parent)
    return above


def _product(park: Park, meter: Meter) -> str:
    """Return the product of a meter: the one it names, else the only one near."""
    near = dict.fromkeys(products_near(park, meter.scope))
    return meter.product or (next(iter(near)) if len(near) == 1 else "")


def _is_passed_on(
    park: Park, at: int, above: tuple[frozenset[int], ...], products: list[str]
) -> bool:
    """Return whether a meter above a product has meters behind it that show what is used for it."""
    meter, product = park.meters[at], products[at]
    homes = [p.scope for p in park.products if p.id == product]
    if meter.product or any(inside(meter.scope, home) for home in homes):
        return False
    return any(at in above[o] and products[o] == product for o in range(len(products)))


def check_meters(park: Park) -> Iterator[RowFault]:
    """Yield meters without their product, of another quantity than their carrier, or in a loop."""
    carriers = load_reference("energy")
    quantity = {tag.address: AMOUNTS.get(tag.quantity, tag.quantity) for tag in park.tags}
    made = {product.id for product in park.products}
    trees = compile_meters(park)
    fed = {parent for parents in trees.parents for parent in parents}
    for at, meter in enumerate(park.meters):
        near = set(products_near(park, meter.scope))
        # What is behind an incomer or a meter with others behind it may be of many products.
        single = meter.role == "feeder" and at not in fed
        if meter.product and meter.product not in made:
            yield RowFault(meter, f"product {meter.product!r} is made nowhere")
        elif not meter.product and single and len(near) > 1:
            yield RowFault(
                meter,
                f"{', '.join(sorted(near))} are made at, above or below {meter.scope}; say which"
                " with product = ...",
            )
        needed = carriers[meter.carrier]["quantity"]
        if quantity[meter.tag] != needed:
            yield RowFault(
                meter,
                f"{meter.carrier} is accounted by {needed}, the tag gives {quantity[meter.tag]}",
            )
        yield from _check_relation(trees, at)


def _check_relation(trees: MeterTrees, at: int) -> Iterator[RowFault]:
    """Yield what is wrong with the role and the parents of a meter."""
    meter = trees.meters[at]
    outgoing = meter.role in ("generation", "sold")
    if (meter.direction == "out") != outgoing:
        yield RowFault(meter, f"a meter of {meter.role} has not direction {meter.direction!r}")
    for name in meter.parent if meter.parent != (MARKET,) else ():
        named = _named(trees.meters, name)
        if len(named) != 1:
            number = "no meter" if not named else f"{len(named)} meters"
            yield RowFault(meter, f"{number} with the id or tag {name!r}", "parent")
            continue
        parent = trees.meters[named[0]]
        if parent.carrier != meter.carrier:
            yield RowFault(meter, f"{name!r} is a meter of {parent.carrier}", "parent")
        elif parent.basis == "DC" and meter.basis != "DC":
            yield RowFault(meter, f"{name!r} is a meter of direct current", "parent")
        elif parent.role == "sold":
            yield RowFault(meter, f"{name!r} shows what is sold: it feeds no meter", "parent")
    if at in _ancestors(trees.parents, at):
        yield RowFault(meter, "the meter lies behind itself", "parent")


def unrelated_meters(park: Park) -> Iterator[RowFault]:
    """Yield meters inside the scope of another one that might, or might not, lie behind it.

    Such a pair is a warning: both count, as if they stood side by side.
    """
    trees = compile_meters(park)
    for at, meter in enumerate(trees.meters):
        stated = meter.parent or (meter.role == "sold" and trees.parents[at])
        if meter.basis == "DC" or stated:
            continue
        for o, other in enumerate(trees.meters):
            nested = inside(meter.scope, other.scope) and meter.scope != other.scope
            doubtful = meter.role in PARTS[other.role] and o not in trees.above[at]
            if nested and doubtful and _alike(meter, other) and at not in trees.above[o]:
                name = other.label
                yield RowFault(
                    meter,
                    f"{name!r} of {other.scope} measures {meter.carrier} above it, and both count;"
                    f' write parent = "{name}" if this meter lies behind it, else the meter that'
                    f' feeds it, or "{MARKET}"',
                )
