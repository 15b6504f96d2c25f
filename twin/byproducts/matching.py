"""Matching of resources and needs: which fit, by which mode, and every reason why others do not.

References
----------
.. [1] GB 34330-2017, Identification standards for solid wastes, general rules: product or waste.
.. [2] M. R. Chertow, Industrial symbiosis: literature and taxonomy, Annual Review of Energy and the
   Environment 25 (2000) 313-337.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from twin.arrays import BOOL, F64, I64
from twin.byproducts.allocation import Links, unit_cost
from twin.byproducts.blending import Qualities
from twin.byproducts.catalogue import NAN, Haul, Need, Resource, crow_distance
from twin.byproducts.exchange import mode_prices, modes
from twin.reference import load
from twin.uom import compile_uom

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class Cause(NamedTuple):
    """A reason against a match, in both languages; a mixture may cure what `mixed` says."""

    zh: str
    en: str
    mixed: bool = False


CAUSES = {
    "component": Cause("不含所需组分 {0}", "it does not contain {0}"),
    "purity": Cause(
        "{0} 最低含量 {1:.4g}，要求不低于 {2:.4g}",
        "it has at least {1:.4g} of {0}, and {2:.4g} is asked for",
        mixed=True,
    ),
    "impurity": Cause(
        "杂质 {0} 最高含量 {1:.4g}，限值 {2:.4g}",
        "it has up to {1:.4g} of {0}, and {2:.4g} is the limit",
        mixed=True,
    ),
    "impurity_unknown": Cause("杂质 {0} 的含量未申报", "its content of {0} is not stated"),
    "phase": Cause("对方不接受{0}", "it is a {0}, which is not taken"),
    "temperature": Cause("温度未申报或低于要求", "its temperature is not stated or too low"),
    "pressure": Cause("压力未申报或低于要求", "its pressure is not stated or too low"),
    "status": Cause(
        "按 GB 34330 属{0}，对方不接受", "by GB 34330 it is a {0}, which is not taken"
    ),
    "licence": Cause(
        "对方的危险废物经营许可不含 {0}", "the licence of the user does not name {0}"
    ),
    "approval": Cause("缺少手续 {0}", "it lacks the approval {0}"),
    "period": Cause("当日一方不供或不需", "one side is closed on this day"),
    "quantity": Cause(
        "单一来源的可供量低于最低需求量", "alone it is less than the user's minimum", mixed=True
    ),
    "mode": Cause("没有双方共有的运输方式", "they have no mode of transport in common"),
    "pipe": Cause("没有管道", "there is no pipe between them"),
    "distance_unknown": Cause(
        "{0} 运距未知：缺坐标或 [[haul]]",
        "the distance by {0} is not known: coordinates or a [[haul]] are missing",
    ),
    "distance": Cause(
        "{0} 运距 {1:.4g} km 超过 {2:.4g} km", "by {0} it is {1:.4g} km, and {2:.4g} km the limit"
    ),
}  # fmt: skip


CHINESE = {
    "gas": "气体", "liquid": "液体", "slurry": "浆料", "solid": "固体", "product": "产品",
    "waste": "固体废物", "pipe": "管道", "rail": "铁路", "road": "公路",
}  # fmt: skip
KM, _ = compile_uom("km", "length")


class Reason(NamedTuple):
    """Why a resource does not fit a need: a code of `CAUSES`, and its text in both languages."""

    code: str
    subject: str  # component, mode, approval or status
    zh: str
    en: str


@dataclass(frozen=True, slots=True)
class Matches:
    """P resources against Q needs over D modes, of K components."""

    resources: tuple[Resource, ...]
    needs: tuple[Need, ...]
    components: tuple[str, ...]
    least: F64  # (P, K) [1] by mass; NaN = not stated
    usual: F64  # (P, K)
    most: F64  # (P, K)
    wanted: I64  # (Q,) place of the component of each need
    limit: F64  # (Q, K) [1] of impurities; inf = none
    against: dict[str, BOOL]  # (P, Q) by code: purity and impurity may be cured by a mixture
    impurity: BOOL  # (P, Q, K) above the limit
    unknown: BOOL  # (P, Q, K) limited, and not stated
    distance: F64  # (P, Q, D) [m]; NaN = not known
    capacity: F64  # (P, Q, D) [kg/s]
    cost: F64  # (P, Q, D) [CNY/kg]
    mode: dict[str, BOOL]  # (P, Q, D) by code: what speaks against a mode
    open: BOOL  # (P, Q, D) may be used: alone or in a mixture
    alone: BOOL  # (P, Q) fits without a mixture

    def reasons(self, p: int, q: int) -> Iterator[Reason]:
        """Yield every reason against a resource for a need, with the figures."""
        resource, need = self.resources[p], self.needs[q]
        wanted = int(self.wanted[q])
        facts = {
            "component": (need.component,),
            "purity": (need.component, self.least[p, wanted], need.purity),
            "phase": (resource.phase,),
            "status": (resource.status,),
            "licence": (resource.waste_code,),
        }
        for code, wrong in self.against.items():
            if wrong[p, q] and code not in ("impurity", "impurity_unknown", "approval"):
                yield _reason(code, *facts.get(code, ("",)))
        for code, wrong in (("impurity", self.impurity), ("impurity_unknown", self.unknown)):
            for k in np.flatnonzero(wrong[p, q]).tolist():
                yield _reason(code, self.components[k], self.most[p, k], self.limit[q, k])
        for approval in need.approvals:
            if approval not in resource.approvals:
                yield _reason("approval", approval)
        yield from self._of_modes(p, q)

    def _of_modes(self, p: int, q: int) -> Iterator[Reason]:
        """Yield what speaks against each mode that both sides use, where none is open."""
        shared = ~self.mode["mode"][p, q]
        if not shared.any():
            yield _reason("mode", "")
        blocked = np.array([self.mode[code][p, q] for code in self.mode]).any(axis=0)
        if not (blocked | ~shared).all():
            return
        for d in np.flatnonzero(shared).tolist():
            length, most = self.distance[p, q, d] / KM, self.needs[q].distance / KM
            for code in ("pipe", "distance_unknown", "distance"):
                if self.mode[code][p, q, d]:
                    yield _reason(code, modes()[d], length, most)

    def qualities(self, links: Links) -> tuple[Qualities, list[tuple[int, int, str]]]:
        """Return the limits on mixtures that could bind, and of each need, component and code."""
        sink, excess = [], []
        names = list[tuple[int, int, str]]()
        for q, need in enumerate(self.needs):
            limits = [(int(self.wanted[q]), "purity")]
            limits += [(k, "impurity") for k in np.flatnonzero(np.isfinite(self.limit[q])).tolist()]
            for k, code in limits:
                beyond = (
                    need.purity - self.least[links.source, k]
                    if code == "purity"
                    else self.most[links.source, k] - self.limit[q, k]
                )
                beyond = np.where(links.sink == q, beyond, 0.0)
                if (beyond > 0).any():
                    sink.append(q)
                    excess.append(beyond)
                    names.append((q, k, code))
        shape = len(sink), len(links.source)
        qualities = Qualities(np.array(sink, np.int64), np.array(excess, np.float64).reshape(shape))
        return qualities, names

    def links(self) -> Links:
        """Return the ways that are open, as links from resources to needs."""
        source, sink, mode = np.nonzero(self.open)
        at = source, sink, mode
        return Links(source, sink, mode, self.capacity[at], self.distance[at], self.cost[at])


def _reason(code: str, *facts: object) -> Reason:
    cause, chinese = CAUSES[code], [CHINESE.get(str(fact), fact) for fact in facts]
    return Reason(code, str(facts[0]), cause.zh.format(*chinese), cause.en.format(*facts))


def match(
    resources: Sequence[Resource],
    needs: Sequence[Need],
    hauls: Sequence[Haul],
    supply: F64,
    shares: tuple[F64, F64],
) -> Matches:
    """Return which resources fit which needs, by which modes of transport.

    Parameters
    ----------
    resources, needs
        P and Q of them
    hauls
        distances, capacities and costs that the model states
    supply : (P,) float64 [kg/s]
        what each resource has; NaN = not known, which speaks against nothing
    shares : pair of (P,) and (Q,) float64 [1]
        how far each side is open, of `open_share`

    Returns
    -------
    Matches
        shapes (P, Q, D) throughout; nothing is left out, so that what does not fit can say why

    Notes
    -----
    A waste goes only to who accepts wastes, a hazardous one only to who has its code in the
    licence; a product by GB 34330 [1]_ goes to all. What is promised is compared with what is
    asked: the least of a component, the most of an impurity. The criteria are those of symbiosis in
    use: quality, quantity, distance and law [2]_.
    """
    components, least, usual, most = _contents(resources, needs)
    index = {name: k for k, name in enumerate(components)}
    wanted = np.array([index[need.component] for need in needs], np.int64)
    limit = np.array(
        [[need.impurities.get(name, np.inf) for name in components] for need in needs], np.float64
    ).reshape(len(needs), len(components))
    against, impurity, unknown = _against(
        resources, needs, (least[:, wanted], usual[:, wanted], most), limit, (supply, shares)
    )
    distance, capacity, cost = _ways(resources, needs, hauls)
    by_mode = _by_mode(resources, needs, distance)
    blocked = np.any(np.stack(list(by_mode.values())), axis=0)
    hard = np.stack([wrong for code, wrong in against.items() if not CAUSES[code].mixed])
    pure_only = np.array([not need.mixtures for need in needs], bool)
    outside = pure_only & (against["purity"] | against["impurity"])
    usable = ~blocked & ~(np.any(hard, axis=0) | outside)[..., None]
    alone = usable.any(axis=-1) & ~np.any(np.stack(list(against.values())), axis=0)
    return Matches(
        tuple(resources), tuple(needs), components, least, usual, most, wanted, limit, against,
        impurity, unknown, distance, capacity, cost, by_mode, usable, alone,
    )  # fmt: skip


def _contents(
    resources: Sequence[Resource], needs: Sequence[Need]
) -> tuple[tuple[str, ...], F64, F64, F64]:
    """Return the components of both sides, and the contents of the resources, (P, K) each."""
    names = [name for row in resources for name in row.composition]
    names += [name for need in needs for name in (need.component, *need.impurities)]
    components = tuple(dict.fromkeys(names))
    nothing = (NAN, NAN, NAN)
    contents = np.array(
        [[row.composition.get(name, nothing) for name in components] for row in resources],
        np.float64,
    ).reshape(len(resources), len(components), 3)
    least, usual, most = np.moveaxis(contents, -1, 0)
    return components, least, usual, most


def _against(
    resources: Sequence[Resource],
    needs: Sequence[Need],
    contents: tuple[F64, F64, F64],
    limit: F64,
    quantities: tuple[F64, tuple[F64, F64]],
) -> tuple[dict[str, BOOL], BOOL, BOOL]:
    """Return what speaks against each pair, by code, and the impurities that do."""
    (least, usual, most), (supply, (open_here, open_there)) = contents, quantities
    shape = len(resources), len(needs)
    limited = np.isfinite(limit)[None]
    impurity = limited & (most[:, None, :] > limit[None])
    unknown = limited & np.isnan(most)[:, None, :]

    def pairs(verdict: list[list[bool]]) -> BOOL:
        return np.array(verdict, bool).reshape(shape)

    def column(values: list[float]) -> F64:
        return np.array(values, np.float64)

    wanted_t, wanted_p = column([n.temperature for n in needs]), column([n.pressure for n in needs])
    own_t, own_p = (
        column([r.temperature for r in resources])[:, None],
        column([r.pressure for r in resources])[:, None],
    )
    needed = column([need.least for need in needs])
    return (
        {
            "component": ~(usual > 0),
            "purity": least < column([need.purity for need in needs]),
            "impurity": impurity.any(axis=-1),
            "impurity_unknown": unknown.any(axis=-1),
            "phase": pairs([[r.phase not in n.phases for n in needs] for r in resources]),
            "temperature": ~np.isnan(wanted_t) & ~(own_t >= wanted_t),
            "pressure": ~np.isnan(wanted_p) & ~(own_p >= wanted_p),
            "status": pairs([[r.status not in n.accepts for n in needs] for r in resources]),
            "licence": pairs([[_unlicensed(r, n) for n in needs] for r in resources]),
            "approval": pairs(
                [[not set(n.approvals) <= set(r.approvals) for n in needs] for r in resources]
            ),
            "period": (open_here == 0)[:, None] | (open_there == 0),
            "quantity": supply[:, None] < needed,
        },
        impurity,
        unknown,
    )


def _unlicensed(resource: Resource, need: Need) -> bool:
    """Tell whether a hazardous waste is one that the licence of the user does not name."""
    code = resource.waste_code
    return bool(code) and not {code, code.partition(" ")[0]} & set(need.waste_codes)


def _ways(
    resources: Sequence[Resource], needs: Sequence[Need], hauls: Sequence[Haul]
) -> tuple[F64, F64, F64]:
    """Return distance [m], capacity [kg/s] and cost [CNY/kg] of each way, (P, Q, D).

    What a haul states wins over the crow's way times the detour of the mode.
    """
    ends = [
        np.array([row.location or (NAN, NAN) for row in rows], np.float64).reshape(-1, 2)
        for rows in (resources, needs)
    ]
    detour = np.array([row.get("detour", NAN) for row in load("transport").values()], np.float64)
    distance = crow_distance(ends[0][:, None], ends[1][None])[..., None] * detour
    capacity, own_cost = np.full((2, *distance.shape), np.inf)
    own_cost[:] = NAN
    at_resource = {row.id: p for p, row in enumerate(resources)}
    at_need = {row.id: q for q, row in enumerate(needs)}
    for haul in hauls:
        if haul.origin in at_resource and haul.to in at_need:
            at = at_resource[haul.origin], at_need[haul.to], modes().index(haul.mode)
            distance[at], capacity[at], own_cost[at] = haul.distance, haul.capacity, haul.cost
    source, sink, mode = (axis.ravel() for axis in np.indices(distance.shape))
    links = Links(source, sink, mode, capacity.ravel(), distance.ravel(), own_cost.ravel())
    cost = unit_cost(links, *mode_prices())
    return distance, capacity, cost.reshape(distance.shape)


def _by_mode(
    resources: Sequence[Resource], needs: Sequence[Need], distance: F64
) -> dict[str, BOOL]:
    """Return what speaks against each mode of each pair, by code."""
    uses = [
        np.array([[mode in row.modes for mode in modes()] for row in rows], bool).reshape(
            -1, len(modes())
        )
        for rows in (resources, needs)
    ]
    shared = uses[0][:, None] & uses[1][None]
    pipe = np.array([mode == "pipe" for mode in modes()])
    most = np.array([need.distance for need in needs], np.float64)[:, None]
    lost = np.isnan(distance)
    return {
        "mode": ~shared,
        "pipe": shared & lost & pipe,
        "distance_unknown": shared & lost & ~pipe,
        "distance": shared & (distance > most),
    }
