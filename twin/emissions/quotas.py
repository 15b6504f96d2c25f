"""The ledger of reductions: what was approved, drawn and spent in advance, and what projects need.

Tables ``[[reduction]]`` (主动减排量), ``[[project]]``, ``[[advance]]`` (预支) and ``[[draw]]`` name
things and the tags of the books that have their amounts, mass in a year. What is in the books is
never overwritten; the ledger is what stands there.

References
----------
.. [1] 关于绿色化工产业高质量发展的意见（征求意见稿）, 三（一）2: quotas used as a whole, reductions
   spent in advance, active reductions for the enterprise's own projects first.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date  # noqa: TC003
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from twin.book.model import INSTANT, book_tags
from twin.emissions.outlets import OutletSpec
from twin.model.park import inside, owner_of
from twin.model.rows import RowFault, cell, guess, table
from twin.reference import load as load_reference
from twin.uom import compile_uom

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from twin.model.park import Park

NAN = float("nan")
TONNE = compile_uom("t", "mass")[0]
# Stages of a reduction, by the column of the tag that has its amount.
STAGES = ("declaration", "verification", "approval")
STATUS = ("declared", "verified", "approved")
CONDITIONS = ("above_standard", "within_standard")


@table
class Reduction:
    """A reduction an enterprise made, with the times before and after it."""

    id: str = cell("text")
    scope: str = cell("scope")
    pollutant: str = cell("text")
    declaration: str = cell("tag mass")
    verification: str = cell("tag mass", default="")
    approval: str = cell("tag mass", default="")
    name: dict[str, str] | None = cell("name", default=None)
    # What the twin measures of it: days from `since` to the one before `until`.
    outlets: tuple[str, ...] = cell("texts", default=())
    before_since: date | None = cell("date", default=None)
    before_until: date | None = cell("date", default=None)
    after_since: date | None = cell("date", default=None)
    after_until: date | None = cell("date", default=None)
    source: str = cell("any", default="")
    note: str = cell("any", default="")

    @property
    def days(self) -> tuple[date | None, ...]:
        """Ends of the times before and after."""
        return self.before_since, self.before_until, self.after_since, self.after_until


@table
class Project:
    """A project that will emit more, in a year."""

    id: str = cell("text")
    scope: str = cell("scope")
    adds: dict[str, float] = cell("each above mass")  # [kg]
    area: str = cell("text")
    condition: str = cell("one " + " ".join(CONDITIONS))
    applied: date = cell("date")
    name: dict[str, str] | None = cell("name", default=None)
    source: str = cell("any", default="")
    note: str = cell("any", default="")


@table
class Advance:
    """A reduction to come that a project may spend before it is there, until it is due."""

    id: str = cell("text")
    project: str = cell("text")
    pollutant: str = cell("text")
    amount: str = cell("tag mass")
    due: date = cell("date")
    source: str = cell("any", default="")
    note: str = cell("any", default="")


@table
class Draw:
    """What a project, or the repayment of an advance, uses of a reduction."""

    id: str = cell("text")
    reduction: str = cell("text")
    amount: str = cell("tag mass")
    project: str = cell("text", default="")
    advance: str = cell("text", default="")


CoverState = Literal["covered", "in_advance", "not_covered", "no_data"]


class Ratio(NamedTuple):
    """Tonnes a project must be covered with by tonne it adds; NaN = no rule is known."""

    value: float
    row: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ReductionBalance:
    """A reduction in the ledger [kg]; NaN = not in the books."""

    status: str  # empty: not even declared
    declared: float
    verified: float
    approved: float
    drawn: float
    available: float  # of what is approved; below 0: overdrawn
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AdvanceBalance:
    """An advance in the ledger [kg]."""

    granted: float
    repaid: float
    outstanding: float
    is_overdue: bool


@dataclass(frozen=True, slots=True)
class ProjectCover:
    """What a project has for one pollutant [kg]."""

    needed: float
    drawn: float
    advanced: float  # spent in advance and not overdue
    missing: float
    state: CoverState  # in_advance: till the advances are repaid
    problems: tuple[str, ...]


class QuotaLedger:
    """The rows of a model and the amounts that stand in its books, on a day.

    Parameters
    ----------
    park : Park
    amounts : mapping of str to float [kg]
        by the address of the tag; a tag that is not in it has no entry
    today : date
    """

    def __init__(self, park: Park, amounts: Mapping[str, float], today: date) -> None:
        self._amounts, self._today = amounts, today
        self._kinds = {scope.id: scope.kind for scope in park.scopes}
        self.reductions = {row.id: row for row in park.rows(Reduction)}
        self.projects = {row.id: row for row in park.rows(Project)}
        self.advances = {row.id: row for row in park.rows(Advance)}
        self.draws = park.rows(Draw)

    def amount(self, tag: str) -> float:
        """Return what stands in the books [kg]; NaN = nothing."""
        return self._amounts.get(tag, NAN)

    def reduction(self, row: Reduction) -> ReductionBalance:
        """Return a reduction: only what is approved may be drawn."""
        declared, verified, approved = (
            self.amount(tag) for tag in (row.declaration, row.verification, row.approval)
        )
        stages = zip(STATUS, (declared, verified, approved), strict=True)
        known = [status for status, mass in stages if not np.isnan(mass)]
        status = known[-1] if known else ""
        draws = [each for each in self.draws if each.reduction == row.id]
        drawn = _total(self.amount(each.amount) for each in draws)
        problems = []
        if not known:
            problems.append(f"nothing of it is in the books: {row.declaration}")
        elif status != STATUS[-1] and drawn > 0:
            problems.append(f"it is {status}, not approved: nothing may be drawn from it")
        if drawn > approved:
            problems.append(f"more is drawn than approved: {_tonnes(drawn)}")
        problems += [f"no amount of {each.id} is in the books: {each.amount}" for each in draws
                     if np.isnan(self.amount(each.amount))]  # fmt: skip
        problems += self._own_first(row, draws)
        available = approved - drawn
        return ReductionBalance(
            status, declared, verified, approved, drawn, available, tuple(problems)
        )

    def _own_first(self, row: Reduction, draws: Sequence[Draw]) -> Iterator[str]:
        """Yield draws for others while a project of the enterprise itself is not covered [1]_."""
        mine = owner_of(row.scope, self._kinds)
        lacking = [
            p.id for p in self.projects.values()
            if owner_of(p.scope, self._kinds) == mine and row.pollutant in p.adds
            and self.cover(p, row.pollutant).missing > 0
        ]  # fmt: skip
        for draw in draws:
            project = self._project_of(draw)
            if lacking and owner_of(project.scope, self._kinds) != mine:
                first = ", ".join(lacking)
                yield f"{draw.id} is for another enterprise, and {first} of its own is not covered"

    def _project_of(self, draw: Draw) -> Project:
        return self.projects[draw.project or self.advances[draw.advance].project]

    def advance(self, row: Advance) -> AdvanceBalance:
        """Return an advance: it is repaid by draws on approved reductions."""
        granted = self.amount(row.amount)
        repaid = self._valid(each for each in self.draws if each.advance == row.id)
        outstanding = max(granted - repaid, 0.0) if not np.isnan(granted) else NAN
        return AdvanceBalance(
            granted, repaid, outstanding, outstanding > 0 and row.due < self._today
        )

    def _valid(self, draws: Iterator[Draw]) -> float:
        """Return the sum of draws on reductions that are approved and not overdrawn [kg]."""
        return _total(self.amount(draw.amount) for draw in draws if self._is_backed(draw.reduction))

    def _is_backed(self, reduction: str) -> bool:
        approved = self.amount(self.reductions[reduction].approval)
        drawn = _total(self.amount(d.amount) for d in self.draws if d.reduction == reduction)
        return drawn <= approved

    def cover(self, project: Project, pollutant: str) -> ProjectCover:
        """Return what a project is covered with for one pollutant, and why it is not.

        A draw counts where its reduction is approved and not overdrawn, an advance until it is due.
        """
        ratio = ratio_of(project, pollutant)
        needed = project.adds[pollutant] * ratio.value
        mine = [
            d for d in self.draws
            if d.project == project.id and self.reductions[d.reduction].pollutant == pollutant
        ]  # fmt: skip
        drawn = self._valid(iter(mine))
        advances = [a for a in self.advances.values()
                    if a.project == project.id and a.pollutant == pollutant]  # fmt: skip
        balances = [self.advance(each) for each in advances]
        granted = _total(b.repaid if b.is_overdue else b.granted for b in balances)
        outstanding = _total(b.outstanding for b in balances if not b.is_overdue)
        missing = max(needed - drawn - granted, 0.0) if not np.isnan(needed) else NAN
        problems = [f"no ratio is known for {pollutant} in {project.area}, {project.condition}"
                    ] if np.isnan(needed) else []  # fmt: skip
        problems += [f"{d.reduction} of {d.id} is not approved, or overdrawn" for d in mine
                     if not self._is_backed(d.reduction)]  # fmt: skip
        problems += [f"{a.id} was to be repaid by {a.due}: {_tonnes(b.outstanding)} are not"
                     for a, b in zip(advances, balances, strict=True) if b.is_overdue]  # fmt: skip
        if missing > 0:
            have = f"{_tonnes(drawn)} are drawn and {_tonnes(granted)} spent in advance"
            text = f"{_tonnes(needed)} are needed ({ratio.value:g} : 1), {have}"
            problems.append(f"{text}: {_tonnes(missing)} are missing")
        covered: CoverState = "in_advance" if outstanding > 0 else "covered"
        state: CoverState = "no_data" if np.isnan(missing) else covered
        state = "not_covered" if missing > 0 else state
        return ProjectCover(needed, drawn, granted, missing, state, tuple(problems))


def _total(masses: Iterator[float]) -> float:
    """Return a sum of what is known."""
    return float(np.nansum(list(masses)))


def _tonnes(mass: float) -> str:
    return f"{mass / TONNE:.6g} t"


def ratio_of(project: Project, pollutant: str) -> Ratio:
    """Return the replacement ratio of a pollutant of a project.

    Parameters
    ----------
    project : Project
        its area is a region like ``CN-SD``; a rule of ``CN`` holds in all of its regions
    pollutant : str

    Returns
    -------
    Ratio [1]
        the newest rule of the most particular area on the day of the application
    """
    fits = [
        row
        for row in load_reference("replacement")["ratio"]
        if pollutant in row["pollutants"]
        and row["condition"] == project.condition
        and f"{project.area}-".startswith(f"{row['area']}-")
        and row["since"] <= project.applied
    ]
    best = max(fits, key=lambda row: (len(row["area"]), row["since"]), default=None)
    return Ratio(NAN, {}) if best is None else Ratio(float(best["ratio"]), best)


def check_quotas(park: Park) -> Iterator[RowFault]:
    """Yield rows of the ledger that name what is not there, and tags that are not of the books."""
    yield from _check_books(park)
    for row in park.rows(Reduction):
        given = [day for day in row.days if day is not None]
        if row.outlets and len(given) != len(row.days):
            yield RowFault(row, "outlets need before_since to after_until", "outlets")
        # The time after may begin where the time before ends.
        elif given != sorted(given) or len({*given[:2]}) + len({*given[2:]}) < len(given):
            yield RowFault(row, "its days do not follow each other", "before_since")
        within = [each.id for each in park.rows(OutletSpec) if inside(each.scope, row.scope)]
        for name in row.outlets:
            if name not in within:
                text = f"{row.scope} has no outlet {name!r}{guess(name, within)}"
                yield RowFault(row, text, "outlets")
    projects = {row.id: row for row in park.rows(Project)}
    for advance in park.rows(Advance):
        project = projects.get(advance.project)
        if project is None:
            text = f"there is no project {advance.project!r}{guess(advance.project, projects)}"
            yield RowFault(advance, text, "project")
        elif advance.pollutant not in project.adds:
            yield RowFault(advance, f"{project.id} adds no {advance.pollutant}", "pollutant")
    reductions = {row.id: row for row in park.rows(Reduction)}
    advances = {row.id: row for row in park.rows(Advance)}
    for draw in park.rows(Draw):
        yield from _check_draw(draw, reductions, projects, advances)


def _check_books(park: Park) -> Iterator[RowFault]:
    """Yield tags of amounts that people do not enter by the instant."""
    books = book_tags(park)
    rows: list[tuple[object, tuple[str, ...]]]
    rows = [(row, STAGES) for row in park.rows(Reduction)]
    rows += [(row, ("amount",)) for kind in (Advance, Draw) for row in park.rows(kind)]
    for row, column in ((row, column) for row, columns in rows for column in columns):
        tag = getattr(row, column)
        if tag and (tag not in books or books[tag].period != INSTANT):
            yield RowFault(row, f"{tag!r} is no [[book]] of period instant", column)


def _check_draw(
    row: Draw,
    reductions: Mapping[str, Reduction],
    projects: Mapping[str, Project],
    advances: Mapping[str, Advance],
) -> Iterator[RowFault]:
    """Yield what is wrong with what a draw is from and for."""
    if bool(row.project) == bool(row.advance):
        yield RowFault(row, "is for a project or for an advance: name one")
        return
    reduction = reductions.get(row.reduction)
    if reduction is None:
        close = guess(row.reduction, reductions)
        yield RowFault(row, f"there is no reduction {row.reduction!r}{close}", "reduction")
    column, known = ("project", projects) if row.project else ("advance", advances)
    name = getattr(row, column)
    target: Any = known.get(name)
    if target is None:
        yield RowFault(row, f"there is no {column} {name!r}{guess(name, known)}", column)
    elif reduction is not None:
        pollutants = target.adds if row.project else (target.pollutant,)
        if reduction.pollutant not in pollutants:
            yield RowFault(row, f"{name} has no {reduction.pollutant}", "reduction")
