"""Tables of an evaluation: the rule, its indicators and classes, and what is known of enterprises.

An indicator is a ratio of two inputs of each enterprise. An input is the name of a tag that each
enterprise has under its own name, like ``B-TAX``; ``energy`` is its comprehensive energy by the
meters, and ``pollutants`` the weighted mass that its outlets sent out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from twin.emissions.outlets import OXIDES, OutletSpec
from twin.errors import UomError
from twin.model.park import AMOUNTS, inside
from twin.model.rows import RowFault, cell, guess, sentence, table
from twin.uom import compile_uom

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from twin.model.park import Park, Scope, Tag

NAN, INF = float("nan"), float("inf")
ENERGY, POLLUTANTS = "energy", "pollutants"
# The class of enterprises that are not rated; it needs no row.
NOT_RATED = "T"
SUM_OF_WEIGHTS = 1.0
TOLERANCE = 1e-9


@table
class Evaluation:
    """A rule by which the enterprises of a scope are rated; it holds from `year` on."""

    id: str = cell("text")
    scope: str = cell("scope")
    year: int = cell("count")
    # Classes by share of the rank, or by limits of the score.
    by: str = cell("one rank score", default="rank")
    # How electricity counts in comprehensive energy.
    basis: str = cell("one equivalent equal", default="equivalent")
    # Mass of pollutants that counts, by name: a factor to each.
    pollutants: dict[str, float] = cell("each number", default_factory=dict)
    name: dict[str, str] | None = cell("name", default=None)
    clause: str = cell("text", default="")
    confidence: str = cell("text", default="")
    verified: bool = cell("flag", default=False)
    source: str = cell("any", default="")
    note: str = cell("any", default="")


@table
class Indicator:
    """A ratio of two inputs, its weight and what it is compared with."""

    evaluation: str = cell("text")
    id: str = cell("text")
    over: str = cell("text")
    under: str = cell("text")
    uom: str = cell("text")
    weight: float = cell("share")
    # In uom; or so many times the mean of last year's figures.
    benchmark: float = cell("number", default=NAN)
    times_mean: float = cell("number", default=NAN)
    cap: float = cell("number", default=INF)
    name: dict[str, str] | None = cell("name", default=None)
    source: str = cell("any", default="")
    note: str = cell("any", default="")


@table
class EvaluationClass:
    """A class, the best first, and what it means; the last one needs no limit."""

    evaluation: str = cell("text")
    id: str = cell("text")
    until: float = cell("share", default=1.0)  # share of the ranks, counted from the first
    least: float = cell("number", default=-INF)  # score
    electricity: float = cell("quantity energy_price", default=NAN)  # on top of the price
    water: float = cell("quantity volume_price", default=NAN)  # on top of the price
    name: dict[str, str] | None = cell("name", default=None)
    source: str = cell("any", default="")
    note: str = cell("any", default="")


@table
class Evaluated:
    """What is known of an enterprise in one year beside its figures."""

    evaluation: str = cell("text")
    scope: str = cell("scope")
    year: int = cell("count")
    bonus: float = cell("number", default=0.0)
    malus: float = cell("number", default=0.0)
    # Reasons; one is enough for the last class.
    vetoes: tuple[str, ...] = cell("texts", default=())
    # Why it is not rated; empty = it is.
    not_rated: str = cell("text", default="")
    # Benchmarks of its industry in the place of the common ones, by indicator, in its uom.
    benchmarks: dict[str, float] = cell("each number", default_factory=dict)
    source: str = cell("any", default="")
    note: str = cell("any", default="")


class Rule(NamedTuple):
    """An evaluation with its rows."""

    head: Evaluation
    indicators: tuple[Indicator, ...]
    classes: tuple[EvaluationClass, ...]
    enterprises: tuple[Scope, ...]


class Input(NamedTuple):
    """What an indicator is made of, as to its unit."""

    quantity: str  # of its sum, or of its value
    adds: bool  # it adds up over time; else it is a value that holds


def rules(park: Park, scope: str, year: int) -> list[Rule]:
    """Return the rules that hold in a year for a scope, or for enterprises in it or around it."""
    newest: dict[str, Evaluation] = {}
    for row in park.rows(Evaluation):
        near = inside(row.scope, scope) or inside(scope, row.scope)
        if near and row.year <= year and row.year >= newest.get(row.scope, row).year:
            newest[row.scope] = row
    return [rule_of(park, row) for row in newest.values()]


def rule_of(park: Park, head: Evaluation) -> Rule:
    """Return an evaluation with its rows."""
    return Rule(
        head,
        tuple(row for row in park.rows(Indicator) if row.evaluation == head.id),
        tuple(row for row in park.rows(EvaluationClass) if row.evaluation == head.id),
        tuple(s for s in park.scopes if s.kind == "enterprise" and inside(s.id, head.scope)),
    )


def evaluated(park: Park, rule: Rule, enterprise: str, year: int) -> Evaluated:
    """Return what is known of an enterprise in a year; an empty row where nothing is."""
    rows = (row for row in park.rows(Evaluated) if row.evaluation == rule.head.id)
    known = (row for row in rows if row.scope == enterprise and row.year == year)
    return next(known, Evaluated(rule.head.id, enterprise, year))


def input_of(tag: Tag | None, name: str) -> Input:
    """Return what an input is by its tag; `energy` and `pollutants` have none."""
    if tag is None:
        return Input({ENERGY: "energy", POLLUTANTS: "mass"}[name], adds=True)
    if tag.kind in ("amount", "counter"):
        return Input(tag.quantity, adds=True)
    summed = AMOUNTS.get(tag.quantity)
    return Input(summed or tag.quantity, adds=summed is not None)


def scale_of(uom: str, over: Input, under: Input, year_s: float) -> float:
    """Return what one of an indicator's uom is [SI]: 万元/亩, or % of a ratio of like quantities.

    Parameters
    ----------
    uom : str
        units of both inputs with ``/`` between, or one of a fraction
    over, under : Input
    year_s : float [s]
        of which an amount counts, where it is related to a value that holds

    Returns
    -------
    float [SI]
        of the ratio of the sums of both inputs over time

    Raises
    ------
    UomError
        A unit is not one of its input, or the inputs are no ratio of amounts, of values, or of an
        amount of a year to a value.
    """
    if under.adds and not over.adds:
        raise UomError("a value that holds has no ratio to an amount", hint="exchange the inputs")
    time_s = year_s if over.adds and not under.adds else 1.0
    upper, stroke, lower = (part.strip() for part in uom.partition("/"))
    if stroke:
        scales = compile_uom(upper, over.quantity)[0], compile_uom(lower, under.quantity)[0]
        return scales[0] / scales[1] / time_s
    if over.quantity != under.quantity:
        raise UomError(
            f"{uom!r} is no unit of {over.quantity} per {under.quantity}",
            hint="write both with / between, like 万元/亩",
        )
    return compile_uom(uom, "fraction")[0] / time_s


def address_of(enterprise: str, name: str) -> str:
    """Return the address of the tag that an enterprise has under a name."""
    return f"{enterprise.rpartition('/')[2]}/{name}"


def check_evaluations(park: Park) -> Iterator[RowFault]:
    """Yield rows that belong to no evaluation, and evaluations that give no score or no class."""
    heads = {row.id: row for row in park.rows(Evaluation)}
    parts: list[Indicator | EvaluationClass | Evaluated]
    parts = [*park.rows(Indicator), *park.rows(EvaluationClass), *park.rows(Evaluated)]
    for part in parts:
        if part.evaluation not in heads:
            close = guess(part.evaluation, heads)
            text = f"there is no [[evaluation]] {part.evaluation!r}{close}"
            yield RowFault(part, text, "evaluation")
    tags = {tag.address: tag for tag in park.tags} if heads else {}
    begun: dict[tuple[str, int], str] = {}
    for head in heads.values():
        rule = rule_of(park, head)
        other = begun.setdefault((head.scope, head.year), head.id)
        if other != head.id:
            yield RowFault(head, f"{other!r} is the rule of this scope from {head.year} on", "year")
        yield from _check_rule(rule)
        yield from _check_pollutants(park, head)
        for row in rule.indicators:
            yield from _check_indicator(tags, rule, row)
        for known in park.rows(Evaluated):
            if known.evaluation == head.id:
                yield from _check_enterprise(rule, known)


def _check_rule(rule: Rule) -> Iterator[RowFault]:
    """Yield weights that are not 1 together, and classes in a wrong order."""
    weight = sum(row.weight for row in rule.indicators)
    if abs(weight - SUM_OF_WEIGHTS) > TOLERANCE:
        yield RowFault(rule.head, f"the weights of its indicators are {weight:g} together, not 1")
    if not rule.enterprises:
        yield RowFault(rule.head, f"there is no enterprise in {rule.head.scope!r}", "scope")
    if not rule.classes:
        yield RowFault(rule.head, "it needs rows of [[evaluation_class]], the best class first")
        return
    yield from _check_classes(rule.classes, rule.head.by)


def _check_pollutants(park: Park, head: Evaluation) -> Iterator[RowFault]:
    """Yield pollutants that no outlet measures, and such that would count against the others."""
    outlets = [row for row in park.rows(OutletSpec) if inside(row.scope, head.scope)]
    measured = {name for row in outlets for name in row.pollutants}
    measured |= {OXIDES for row in outlets if row.no and row.no2}
    for name, factor in head.pollutants.items():
        if name not in measured:
            text = f"no outlet in {head.scope!r} measures {name!r}{guess(name, measured)}"
            yield RowFault(head, text, "pollutants")
        if factor <= 0:
            yield RowFault(head, f"{name} is not above 0", "pollutants")


def _check_classes(classes: Sequence[EvaluationClass], by: str) -> Iterator[RowFault]:
    """Yield classes whose limits do not go down from the best to the last."""
    column, sign = ("until", 1.0) if by == "rank" else ("least", -1.0)
    limits = [sign * float(getattr(row, column)) for row in classes]
    for row, limit, before in zip(classes[1:], limits[1:], limits, strict=False):
        if limit <= before:
            yield RowFault(row, "it is not behind that of the class before", column)
    open_end = 1.0 if by == "rank" else INF
    if limits[-1] != open_end:
        yield RowFault(classes[-1], f"the last class takes all others: leave {column} out", column)
    for row in classes:
        if row.id == NOT_RATED:
            yield RowFault(row, f"{NOT_RATED} is the class of those that are not rated", "id")


def _check_indicator(tags: Mapping[str, Tag], rule: Rule, row: Indicator) -> Iterator[RowFault]:
    """Yield what an indicator lacks: a benchmark, tags, a unit of its inputs."""
    if np.isnan(row.benchmark) == np.isnan(row.times_mean):
        yield RowFault(row, "give either benchmark or times_mean")
    for column in ("benchmark", "times_mean", "cap"):
        if getattr(row, column) <= 0:
            yield RowFault(row, "is not above 0", column)
    inputs: list[Input] = []
    for column, own in (("over", (ENERGY,)), ("under", (ENERGY, POLLUTANTS))):
        name = getattr(row, column)
        named = [tags.get(address_of(each.id, name)) for each in rule.enterprises]
        kinds = {input_of(tag, name) for tag in named if tag is not None}
        if name in own:
            kinds = {input_of(None, name)}
        if len(kinds) == 1:
            inputs += kinds
            continue
        problem = "different things in several enterprises" if kinds else "a tag of no enterprise"
        yield RowFault(row, f"{name!r} is {problem}{guess(name, own)}", column)
    if row.under == POLLUTANTS and not rule.head.pollutants:
        yield RowFault(rule.head, "it needs pollutants = { SO2 = 1, … }: what counts, and how much")
    if len(inputs) == len(("over", "under")):
        try:
            scale_of(row.uom, inputs[0], inputs[1], 1.0)
        except UomError as error:
            yield RowFault(row, sentence(error), "uom")


def _check_enterprise(rule: Rule, row: Evaluated) -> Iterator[RowFault]:
    """Yield enterprises that are not rated by this rule, and benchmarks of no indicator."""
    if row.scope not in {each.id for each in rule.enterprises}:
        text = f"{row.scope!r} is no enterprise in {rule.head.scope!r}"
        yield RowFault(row, text, "scope")
    for column in ("bonus", "malus"):
        if getattr(row, column) < 0:
            yield RowFault(row, "is below 0", column)
    known = {each.id for each in rule.indicators}
    for name, value in row.benchmarks.items():
        if name not in known:
            yield RowFault(row, f"there is no indicator {name!r}{guess(name, known)}", "benchmarks")
        elif value <= 0:
            yield RowFault(row, f"{name} is not above 0", "benchmarks")
