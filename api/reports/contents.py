"""What a report of each kind is made of: its answers, and its sections in their order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from api.calculation.inline import address_of
from api.encode import rfc3339
from api.reports import economy as e
from api.reports import industry
from api.reports import performance as p
from api.reports import sections as s
from api.reports.document import Kind, ReportDocument, ReportSection, finish, name
from api.reports.formulas import formulas
from api.reports.names import ReportNames, dotted
from api.reports.period import FINER, Span, span_before
from api.reports.replies import Reply, read_replies
from api.reports.wording import word
from twin.arrays import SECOND_US
from twin.model.park import inside
from twin.series import windows as w

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fastapi import FastAPI

    from api.answers import Name
    from twin.baseline.model import Baseline
    from twin.model.park import Park

TITLES: dict[str, Name] = {
    "park": name("园区评估报告（一园一策）", "Assessment of a park"),
    "enterprise": name("企业评估报告（一企一策）", "Assessment of an enterprise"),
    "industry": name("行业评估报告（一业一策）", "Assessment of an industry"),
    "shift": name("调度值班日志", "Shift log"),
}
MEMBER = "enterprise"
MONTHLY = ("month", "quarter", "year")
APPENDIX = name("附录", "Appendix")


def questions(
    kind: Kind,
    path: str,
    span: Span,
    members: Sequence[tuple[str, Name]],
    baselines: Sequence[Baseline],
) -> dict[str, str]:
    """Return the addresses of the answers a report is made of."""
    if kind == "shift":
        return of_shift(path, span)
    if kind == "industry":
        return of_industry(path, span)
    before = span_before(span)
    return of_scope(kind, path, span, members) | p.questions_of_performance(
        path, span, before, baselines
    )


def industry_of(path: str) -> tuple[str, str]:
    """Return the scope and the product of the path of an industry: `liaocheng/caustic`."""
    scope, _, product = path.rpartition("/")
    return scope, product


def of_industry(path: str, span: Span) -> dict[str, str]:
    """Return the addresses for the assessment of those who make a product."""
    scope, product = industry_of(path)
    ends = {"from_": span.start, "to": span.end}
    address = f"scopes/{scope}/industry"
    return {
        "industry": address_of(address, product=product, window=span.window, **ends),
        "industry.finer": address_of(address, product=product, window=FINER[span.window], **ends),
        "energy": address_of(f"scopes/{scope}/energy", window=span.window, **ends),
    }


def of_shift(path: str, span: Span) -> dict[str, str]:
    """Return the addresses for the log of a shift."""
    ends = {"from_": span.start, "to": span.end}
    whole, scope = {"window": "shift", **ends}, f"scopes/{path}"
    before = {"window": "shift", "from_": rfc3339(span.start_us - SECOND_US, span.zone)}
    return {
        "energy": address_of(f"{scope}/energy", **whole),
        "chlorine": address_of(f"{scope}/chlorine", **whole),
        "chlorine.finer": address_of(f"{scope}/chlorine", **{**whole, "window": "hour"}),
        # The stock at the end of the shift before is that at the start of this one.
        "chlorine.stocks": address_of(f"{scope}/chlorine", **before, to=span.end),
        "journal": address_of("alarms/journal", scope=path, limit=1000, **ends),
        "commands": address_of("commands", limit=1000, **ends),
        "detections": address_of(f"{scope}/detections", limit=1000, **ends),
        "restatements": address_of(f"{scope}/restatements", **ends),
    }


def of_scope(
    kind: Kind, path: str, span: Span, members: Sequence[tuple[str, Name]]
) -> dict[str, str]:
    """Return the addresses for the assessment of a scope."""
    ends = {"from_": span.start, "to": span.end}
    whole = {"window": span.window, **ends}
    finer = {"window": FINER[span.window], **ends}
    scope = f"scopes/{path}"
    addresses = {
        "energy": address_of(f"{scope}/energy", **whole),
        "energy.finer": address_of(f"{scope}/energy", **finer),
        "tariffs": address_of(f"{scope}/tariffs", **whole),
        "heat": address_of(f"{scope}/heat", **whole),
        "chlorine": address_of(f"{scope}/chlorine", **whole),
        "chlorine.finer": address_of(f"{scope}/chlorine", **finer),
        "byproducts": address_of(f"{scope}/byproducts", **whole),
        "loops": address_of(f"{scope}/loops", **whole),
        "ledger": address_of(f"{scope}/catalogue/ledger", **ends),
        "pairing": address_of(f"{scope}/catalogue/allocation", **whole),
        "detections": address_of(f"{scope}/detections", **ends),
        "alarms": address_of("alarms/summary", scope=path, **ends),
        "emissions": address_of(f"{scope}/emissions", **whole),
        "emissions.finer": address_of(f"{scope}/emissions", **finer),
        "footprints": address_of(f"{scope}/emissions/products", **whole),
        "maturity": address_of(f"{scope}/maturity", **ends),
        "evaluation": address_of(f"{scope}/evaluation", year=last_year(span)),
        "retrofits": address_of(f"{scope}/retrofit"),
        "targets": address_of("targets", scope=path, trend="none", **ends),
    }
    addresses["consumption"] = address_of(f"{scope}/consumption", **by_month(span))
    if span.window in MONTHLY:
        # Of months that are over: of a day they go on.
        addresses["demand"] = address_of(f"{scope}/demand", **ends)
        addresses["totals"] = address_of(f"{scope}/totals", year=year_of(span))
    if kind == "park":
        addresses["benchmark"] = address_of(f"{scope}/benchmark", **ends)
    if kind == "enterprise":
        # Charges are summed from minutes: of a longer period its last day.
        addresses["electrolysers"] = address_of(f"{scope}/electrolysers", **last_day(span))
    for component in s.COMPONENTS:
        addresses[f"balance.{component}"] = address_of(
            f"{scope}/balance", component=component, **whole
        )
        addresses[f"balance.{component}.finer"] = address_of(
            f"{scope}/balance", component=component, **finer
        )
    for member, _ in members:
        addresses[f"energy.{member}"] = address_of(f"scopes/{member}/energy", **whole)
    return addresses


def by_month(span: Span) -> dict[str, str]:
    """Return the query about a period as a whole, of a longer one by month."""
    window = "month" if span.window in MONTHLY else span.window
    return {"window": window, "from_": span.start, "to": span.end}


def year_of(span: Span) -> int:
    """Return the calendar year a period ends in."""
    return w.local(span.stop_us - SECOND_US, span.zone).year


def last_day(span: Span) -> dict[str, str]:
    """Return the query about the last day of a period, or all of a shorter one."""
    if span.window in ("shift", "day"):
        return {"window": span.window, "from_": span.start, "to": span.end}
    day_us = w.edges("day", span.stop_us - 1, span.stop_us, span.zone.key)[0]
    return {"window": "day", "from_": rfc3339(int(day_us), span.zone), "to": span.end}


def last_year(span: Span) -> int:
    """Return the calendar year that was over last at the end of a period."""
    return w.local(span.stop_us, span.zone).year - 1


def members_of(park: Park, path: str) -> list[tuple[str, Name]]:
    """Return the enterprises of a scope with their names."""
    return [
        (scope.id, name(scope.name["zh"], scope.name["en"]))
        for scope in park.scopes
        if scope.kind == MEMBER and inside(scope.id, path)
    ]


async def read_report(
    app: FastAPI, kind: Kind, path: str, span: Span, *, model: int, closed: bool, park: Park
) -> ReportDocument:
    """Return a report of a scope and a period; raises StoreError."""
    members, baselines = members_of(park, path), p.baselines_of(park, path)
    replies = await read_replies(app, span, questions(kind, path, span, members, baselines))

    scope, product = industry_of(path) if kind == "industry" else (path, "")
    names = ReportNames(park, scope)
    sections = _sections(kind, replies, members, baselines, names)
    if kind != "shift":
        sections[-1]["blocks"].append(formulas(sections, replies))
    return finish(
        {
            "kind": kind,
            "scope": path,
            "name": dotted([names.scope(scope), *([word(product)] if product else [])]),
            "title": TITLES[kind],
            "period": span.text,
            "start": span.start,
            "end": span.end,
            "closed": closed,
            "model": model,
            "sections": sections,
            "digest": "",
            "restated": [],
            "since": None,
        }
    )


def _sections(
    kind: Kind,
    replies: Mapping[str, Reply],
    members: Sequence[tuple[str, Name]],
    baselines: Sequence[Baseline],
    names: ReportNames,
) -> list[ReportSection]:
    if kind == "shift":
        return [s.key_figures(replies), s.stocks(replies), s.events(replies, names)]
    if kind == "industry":
        product = replies["industry"].body["product"]
        return [
            industry.boundary(replies["industry"]),
            industry.spread(replies["industry"], replies["industry.finer"]),
            s.section(APPENDIX, [s.factors(replies, names, product)]),
        ]
    return _scope(replies, members, baselines, names)


def _scope(
    replies: Mapping[str, Reply],
    members: Sequence[tuple[str, Name]],
    baselines: Sequence[Baseline],
    names: ReportNames,
) -> list[ReportSection]:
    totals = e.burn_down(replies["totals"], names) if "totals" in replies else []
    marks = e.benchmark(replies["benchmark"], names) if "benchmark" in replies else []
    return [
        s.boundary(replies, names),
        s.energy(replies, members, names),
        p.performance(replies, baselines),
        e.costs(replies, names),
        s.balances(replies, names),
        s.loops(replies),
        s.safety(replies),
        s.environment(replies, names, totals),
        s.maturity(replies),
        s.benefit(replies, marks),
        s.measures(replies, names),
        s.section(APPENDIX, [s.factors(replies, names)]),
    ]
