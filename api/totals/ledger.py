"""The ledger of reductions over HTTP: entries of the books, what they cover, what meters say."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, time
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import numpy as np
from pydantic import Field
from typing_extensions import TypedDict

from api import queries
from api.answers import (
    Given,
    Name,
    Number,
    Provenance,
    Rfc3339,
    Share,
    Uint8,
    formula,
    record,
)
from api.encode import TONNE, number
from api.totals.sources import TotalSource, read_sources, span_query, worst
from twin.arrays import DAY_S, SECOND_US
from twin.emissions.quotas import (
    STAGES,
    Advance,
    Draw,
    Project,
    QuotaLedger,
    Reduction,
    ratio_of,
)
from twin.emissions.totals import pace_of
from twin.model.park import inside
from twin.quality import NO_DATA
from twin.reference import load as load_reference
from twin.series import windows as w

if TYPE_CHECKING:
    from datetime import date

    from api.context import Context

YEAR_S = 365.25 * DAY_S
UNKNOWN = "too little of the time {} is known of"


class QuotaEntry(TypedDict):
    """What stands in the books of one amount, with its evidence; null = nothing stands."""

    tag: str
    amount_t: Annotated[Number, formula("newest confirmed entry of the tag, mass in a year")]
    id: Annotated[int | None, Field(description="of the version: `GET /api/v1/book/{id}`")]
    version: int | None
    since: Annotated[Rfc3339 | None, Field(description="the instant it was entered for")]
    evidence: str
    note: str
    recorded_by: str
    confirmed_by: str
    drafts: Annotated[int, Field(description="entries that wait for a confirmation")]


class MeteredEffect(TypedDict):
    """What the meters of some outlets say of a reduction: the mean rates before and after."""

    start: Annotated[Rfc3339 | None, Field(description="of the time before")]
    end: Annotated[Rfc3339 | None, Field(description="of the time after")]
    before_t_per_year: Annotated[Number, formula("mean rate of the outlets over the time before")]
    before_half_width_t: Annotated[
        Number, formula("half the 95 % interval: scatter of the days, and meters")
    ]
    after_t_per_year: Annotated[Number, formula("mean rate of the outlets over the time after")]
    after_half_width_t: Annotated[
        Number, formula("half the 95 % interval: scatter of the days, and meters")
    ]
    reduction_t_per_year: Annotated[Number, formula("before - after")]
    half_width_t: Annotated[
        Number, formula("both intervals as if independent: the same meters err rather less")
    ]
    completeness: Annotated[Share, formula("of the time that is known less of")]
    quality: Uint8
    missing: list[str]
    claim: Annotated[
        Literal["declared", "verified", "approved"] | None,
        Field(description="the newest stage, which the verdict is about"),
    ]
    verdict: Annotated[
        Literal["supported", "contradicted", "undecided", "no_data"],
        Field(description="supported: the whole interval is at or above the claim"),
    ]
    reason: str


class ReductionRow(TypedDict):
    """A reduction in the ledger."""

    id: str
    scope: str
    name: Name | None
    pollutant: str
    status: Annotated[
        Literal["declared", "verified", "approved"] | None, Field(description="null = not declared")
    ]
    declared_t: Given[Number]
    verified_t: Given[Number]
    approved_t: Given[Number]
    drawn_t: Annotated[float, formula("sum of its draws")]
    available_t: Annotated[Number, formula("approved - drawn; null = not approved")]
    entries: list[QuotaEntry]
    metered: MeteredEffect | None
    problems: list[str]
    source: str
    note: str


class CoverRow(TypedDict):
    """What a project needs for one pollutant, and what it has."""

    pollutant: str
    adds_t: Given[float]
    ratio: Given[Annotated[Number, Field(description="tonnes of reduction by tonne added")]]
    ratio_verified: Annotated[
        bool, Field(description="compared with the rule's text; else reference")
    ]
    ratio_source: str
    ratio_clause: str
    needed_t: Annotated[Number, formula("added x ratio")]
    drawn_t: Annotated[float, formula("draws on reductions that are approved and not overdrawn")]
    advanced_t: Annotated[float, formula("advances not overdue, and what was repaid of others")]
    missing_t: Annotated[Number, formula("needed - drawn - advanced, at least 0")]
    state: Annotated[
        Literal["covered", "in_advance", "not_covered", "no_data"],
        Field(description="in_advance: covered as long as advances are repaid by their due date"),
    ]
    problems: list[str]


class ProjectRow(TypedDict):
    """A project that will emit more."""

    id: str
    scope: str
    name: Name | None
    applied: str
    area: str
    condition: str
    covers: list[CoverRow]
    source: str
    note: str


class AdvanceRow(TypedDict):
    """A reduction spent in advance."""

    id: str
    scope: Annotated[str, Field(description="of the project")]
    project: str
    pollutant: str
    granted_t: Given[Number]
    repaid_t: Annotated[float, formula("draws for it on reductions approved and not overdrawn")]
    outstanding_t: Annotated[Number, formula("granted - repaid, at least 0")]
    due: str
    overdue: bool
    entry: QuotaEntry
    source: str
    note: str


class DrawRow(TypedDict):
    """What is used of a reduction, and for what."""

    id: str
    scope: Annotated[str, Field(description="of the reduction")]
    reduction: str
    project: str | None
    advance: str | None
    entry: QuotaEntry


class QuotaRule(Provenance):
    """A rule the ledger follows, and where it stands."""

    id: str
    name: Name
    source: str
    clause: str
    note: str


class QuotaAnswer(TypedDict):
    """The ledger of reductions of a scope."""

    scope: str
    reductions: list[ReductionRow]
    projects: list[ProjectRow]
    advances: list[AdvanceRow]
    draws: list[DrawRow]
    rules: list[QuotaRule]


async def read_quota_ledger(context: Context, path: str) -> QuotaAnswer:
    """Return the ledger of a scope; raises Problem 404 and StoreError."""
    context.require_scope(path)
    park = context.model.park
    draws, advances = park.rows(Draw), park.rows(Advance)
    stages = [getattr(row, column) for row in park.rows(Reduction) for column in STAGES]
    amounts_of = [*(row.amount for row in draws), *(row.amount for row in advances)]
    entries = await _entries(context, [*filter(None, stages), *amounts_of])
    amounts = {tag: entry["amount_t"] * TONNE[0] for tag, entry in entries.items()
               if entry["amount_t"] is not None}  # fmt: skip
    today = w.local(context.now_us(), context.zone).date()
    ledger = QuotaLedger(park, amounts, today)
    reductions = [row for row in park.rows(Reduction) if inside(row.scope, path)]
    projects = [row for row in park.rows(Project) if inside(row.scope, path)]
    ids = {row.id for row in reductions} | {row.id for row in projects}
    mine = [row for row in advances if row.project in ids]
    ids |= {row.id for row in mine}
    return {
        "scope": path,
        "reductions": [await _reduction(context, ledger, row, entries) for row in reductions],
        "projects": [_project(ledger, row) for row in projects],
        "advances": [_advance(ledger, row, entries) for row in mine],
        "draws": [
            record(DrawRow, row, scope=ledger.reductions[row.reduction].scope,
                   project=row.project or None, advance=row.advance or None,
                   entry=entries[row.amount])
            for row in draws if ids & {row.reduction, row.project, row.advance}
        ],
        "rules": [
            record(QuotaRule, row, id=name)
            for name, row in load_reference("replacement").items() if name != "ratio"
        ],
    }  # fmt: skip


async def _entries(context: Context, tags: list[str]) -> dict[str, QuotaEntry]:
    """Return what stands in the books of some tags."""
    rows = await context.store.rows(queries.BOOK_ENTRIES, tags)
    return {tag: _entry(context, tag, [r for r in rows if r["address"] == tag]) for tag in tags}


def _entry(context: Context, tag: str, rows: list[Any]) -> QuotaEntry:
    standing = next((row for row in reversed(rows) if row["stands"]), None)
    drafts = sum(1 for row in rows if row["confirmed"] is None)
    if standing is None:
        return {
            "tag": tag, "amount_t": None, "id": None, "version": None, "since": None,
            "evidence": "", "note": "", "recorded_by": "", "confirmed_by": "", "drafts": drafts,
        }  # fmt: skip
    return record(
        QuotaEntry,
        standing,
        tag=tag,
        amount_t=number(standing["value"], TONNE),
        since=context.time(standing["start"]),
        drafts=drafts,
    )


async def _reduction(
    context: Context, ledger: QuotaLedger, row: Reduction, entries: dict[str, QuotaEntry]
) -> ReductionRow:
    balance = ledger.reduction(row)
    claims = [balance.declared, balance.verified, balance.approved]
    claim = next((each for each in reversed(claims) if not np.isnan(each)), np.nan)
    metered = await _metered(context, row, balance.status, claim) if row.outlets else None
    return record(
        ReductionRow,
        row,
        status=balance.status or None,
        declared_t=number(balance.declared, TONNE),
        verified_t=number(balance.verified, TONNE),
        approved_t=number(balance.approved, TONNE),
        drawn_t=number(balance.drawn, TONNE),
        available_t=number(balance.available, TONNE),
        entries=[entries[tag] for tag in (getattr(row, column) for column in STAGES) if tag],
        metered=metered,
        problems=list(balance.problems),
    )


def _project(ledger: QuotaLedger, row: Project) -> ProjectRow:
    covers: list[CoverRow] = []
    for pollutant, adds in row.adds.items():
        cover, ratio = ledger.cover(row, pollutant), ratio_of(row, pollutant)
        words = ratio.row
        covers.append({
            "pollutant": pollutant,
            "adds_t": number(adds, TONNE),
            "ratio": ratio.value,
            "ratio_verified": bool(words.get("verified", False)),
            "ratio_source": f"{words.get('standard', '')} {words.get('source', '')}".strip(),
            "ratio_clause": words.get("clause", ""),
            "needed_t": number(cover.needed, TONNE),
            "drawn_t": number(cover.drawn, TONNE),
            "advanced_t": number(cover.advanced, TONNE),
            "missing_t": number(cover.missing, TONNE),
            "state": cover.state,
            "problems": list(cover.problems),
        })  # fmt: skip
    return record(ProjectRow, row, applied=str(row.applied), covers=covers)


def _advance(ledger: QuotaLedger, row: Advance, entries: dict[str, QuotaEntry]) -> AdvanceRow:
    balance = ledger.advance(row)
    return record(
        AdvanceRow,
        row,
        scope=ledger.projects[row.project].scope,
        granted_t=number(balance.granted, TONNE),
        repaid_t=number(balance.repaid, TONNE),
        outstanding_t=number(balance.outstanding, TONNE),
        due=str(row.due),
        overdue=balance.is_overdue,
        entry=entries[row.amount],
    )


class _Rate(NamedTuple):
    """A mean rate of some outlets [kg/s]; NaN = too little is known."""

    value: float
    half_width: float
    completeness: float
    quality: int
    missing: list[str]


UNMEASURED = _Rate(np.nan, np.nan, np.nan, NO_DATA, [])


async def _metered(context: Context, row: Reduction, status: str, claim: float) -> MeteredEffect:
    """Return what the meters of the outlets of a reduction say of it."""
    before, after = [
        await _rate(context, row, since, until)
        for since, until in (
            (row.before_since, row.before_until),
            (row.after_since, row.after_until),
        )
    ]
    effect = before.value - after.value
    width = float(np.hypot(before.half_width, after.half_width))
    verdict, reason = _verdict(effect * YEAR_S, width * YEAR_S, claim, before, after)
    ends = [
        datetime.combine(day, time.min, context.zone).isoformat() if day else None
        for day in (row.before_since, row.after_until)
    ]
    return {
        "start": ends[0],
        "end": ends[1],
        "before_t_per_year": number(before.value * YEAR_S, TONNE),
        "before_half_width_t": number(before.half_width * YEAR_S, TONNE),
        "after_t_per_year": number(after.value * YEAR_S, TONNE),
        "after_half_width_t": number(after.half_width * YEAR_S, TONNE),
        "reduction_t_per_year": number(effect * YEAR_S, TONNE),
        "half_width_t": number(width * YEAR_S, TONNE),
        "completeness": number(min(before.completeness, after.completeness)),
        "quality": worst((before.quality, after.quality)),
        "missing": list(dict.fromkeys([*before.missing, *after.missing])),
        "claim": status or None,  # type: ignore[typeddict-item]
        "verdict": verdict,
        "reason": reason,
    }


Verdict = Literal["supported", "contradicted", "undecided", "no_data"]


def _verdict(
    effect: float, width: float, claim: float, before: _Rate, after: _Rate
) -> tuple[Verdict, str]:
    """Return whether an effect [kg/a] stands for a claim, and why that is not known."""
    dark = [name for name, each in (("before", before), ("after", after)) if np.isnan(each.value)]
    if dark:
        return "no_data", UNKNOWN.format(" and ".join(dark))
    if effect - width >= claim:
        return "supported", ""
    return ("contradicted", "") if effect + width < claim else ("undecided", "")


async def _rate(context: Context, row: Reduction, since: date | None, until: date | None) -> _Rate:
    """Return the mean rate of the outlets of a reduction from a day to the one before another."""
    zone = context.zone
    begin_us, end_us = (
        round(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp()) * SECOND_US
        for day in (since, until)
        if day is not None  # a reduction with outlets has all of its days
    )
    if begin_us >= context.now_us():
        return UNMEASURED
    span = span_query(context, row.scope, begin_us, end_us)
    sources = [
        each for each in await read_sources(context, span, row.outlets)
        if each.pollutant == row.pollutant
    ]  # fmt: skip
    return _mean_rate(context, sources, span.elapsed_s)


def _mean_rate(context: Context, sources: Sequence[TotalSource], elapsed_s: Any) -> _Rate:
    """Return the mean rate of sources, by the days that are known well enough."""
    if not sources or not elapsed_s.sum():
        return UNMEASURED
    mass = np.array([each.booked for each in sources])
    known_s = np.array([each.known_s for each in sources])
    share = float((known_s.sum(axis=1) / elapsed_s.sum()).min())
    enough = context.settings.value_completeness
    usable = (elapsed_s > 0) & (known_s >= enough * elapsed_s).all(axis=0)
    pace = pace_of(mass, known_s, elapsed_s, usable)
    quality = worst(each.quality for each in sources)
    missing = list(dict.fromkeys(name for each in sources for name in each.missing))
    if share < enough:
        return _Rate(np.nan, np.nan, share, quality, missing)
    meters = float(np.hypot.reduce([each.half_width[-1] for each in sources]))
    rate = float(pace.rate.sum())
    # The meters are in error by the same share of the rate as of what is booked.
    meters = meters / mass.sum() * rate if mass.sum() > 0 else meters
    return _Rate(rate, float(np.hypot(pace.rate_half_width(), meters)), share, quality, missing)
