"""Energy baselines: models with their statistics, expected energy, savings, and orders."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Path, Query, Response

from api import queries
from api.answers import record
from api.baselines.answer import (
    AdjustBody,
    BaselineAdjustment,
    BaselineAnswer,
    BaselineChange,
    BaselineList,
    BaselineRow,
    BaselineRule,
    BaselineTotal,
    BaselineVariable,
    BaselineVersion,
    BaselineWindowRow,
    FitBody,
)
from api.baselines.figures import Compared, compare_windows, verdict_of
from api.baselines.stored import model_of, read_versions
from api.baselines.windows import read_windows
from api.calculation.pool import LongCalculationRoute
from api.commands import ACCEPTED, queue_command
from api.context import AppContext, Context
from api.encode import TONNE, Uom, number, out, rfc3339
from api.parameters import From, Text, To
from api.problems import RESPONSES, Problem, invalid, not_found
from api.windows import ScopePath, parse_query
from deploy.database.times import stamp
from twin.baseline.acceptance import Judged, judge
from twin.baseline.model import CONSTANT, Baseline, BaselineModel, fit_baseline
from twin.baseline.savings import find_changes
from twin.model.park import inside
from twin.uom import compile_uom

if TYPE_CHECKING:
    from twin.accounts.network import Network

router = APIRouter(prefix="/api/v1/scopes", responses=RESPONSES, route_class=LongCalculationRoute)

MWH = compile_uom("MWh", "energy")
# A base period that nobody named, by the windows of its model.
USUAL = {"hour": timedelta(days=60), "day": timedelta(days=365), "month": timedelta(days=1095)}
ADJUSTMENTS_MAX = 1_000
# The lengths of the rows of an answer, from the shortest on.
LENGTHS = ("hour", "day", "month")
NOT_FITTED = "no model has been fitted yet: POST …/fit, or parktwin baseline"

BaselineId = Annotated[Text, Path(description="id of a [[baseline]] of the scope or below it")]


@router.get("/{path:path}/baselines")
async def read_baselines(context: AppContext, path: ScopePath) -> BaselineList:
    """Return the baselines of a scope: models, statistics, and whether they are accepted."""
    context.require_scope(path)
    network = context.model.network
    rows = [row for row in network.park.rows(Baseline) if inside(row.scope, path)]
    versions = await read_versions(context, [row.id for row in rows])
    return {"items": [_row(context, network, r, versions.get(r.id, [])) for r in rows],
            "next": None}  # fmt: skip


@router.get("/{path:path}/baselines/{baseline}")
async def read_baseline(
    context: AppContext,
    path: ScopePath,
    baseline: BaselineId,
    window: Annotated[
        Literal["hour", "day", "month"] | None,
        Query(description="length of a row; by default that of the model, not shorter"),
    ] = None,
    from_: From = None,
    to: To = None,
    version: Annotated[int | None, Query(ge=1, le=2**31 - 1, description="default newest")] = None,
) -> BaselineAnswer:
    """Return energy against what a baseline expects, savings and changes; 30 days by default."""
    row = _find(context, path, baseline)
    stored = (await read_versions(context, [row.id], version)).get(row.id, [])
    if not stored:
        raise not_found("version of the model", str(version or "newest"), (), f"…/{row.id}/fit")
    window = window or row.frequency  # type: ignore[assignment]
    assert window is not None
    if LENGTHS.index(window) < LENGTHS.index(row.frequency):
        raise invalid("window", f"the model is one of the {row.frequency}")
    to = to or datetime.fromisoformat(rfc3339(context.now_us(), context.zone))
    seen = await read_windows(context, row, from_ or to - 30 * timedelta(days=1), to)
    model = model_of(stored[0])
    span = stamp(int(seen.query.edges[0])), stamp(int(seen.query.edges[-1]))
    adjustments = await context.store.rows(queries.ADJUSTMENTS, row.id, *span, ADJUSTMENTS_MAX)
    compared = compare_windows(seen, row, model, adjustments)
    accepted = all(each.met for each in judge(model, row.frequency))
    rows = parse_query(context, row.scope, window, *span)
    return record(
        BaselineAnswer,
        baseline=row.id,
        scope=row.scope,
        window=window,
        version=stored[0]["version"],
        accepted=accepted,
        total=_total(context, compared, accepted=accepted),
        items=_items(compared, rows),
        changes=_changes(compared),
        adjustments=[_adjustment(context, each) for each in adjustments],
        next=None,
    )


@router.post("/{path:path}/baselines/{baseline}/fit", **ACCEPTED)
async def fit_model(
    context: AppContext, path: ScopePath, baseline: BaselineId, body: FitBody
) -> Response:
    """Fit a baseline to its base period; the model is a new version, and stays what it is."""
    row = _find(context, path, baseline)
    start, stop = _base_period(context, row, body)
    seen = await read_windows(context, row, start, stop)
    try:
        model = fit_baseline(row, seen.energy, seen.candidates, seen.usable, seen.worst)
    except ValueError as error:
        raise Problem(
            422,
            f"{row.id} cannot be fitted: {error}",
            hint=f"{int(seen.usable.sum())} of {len(seen.usable)} windows are covered enough:"
            " name another base period, or other variables",
        ) from None
    edges = seen.query.edges
    order = {
        "by": body.by,
        "baseline": row.id,
        "start": stamp(int(edges[0])),
        "stop": stamp(int(edges[-1])),
        "reason": body.reason,
        "digest": seen.digest,
        "model": asdict(model),
    }
    return await queue_command(context, "baseline.fit", order, path)


@router.post("/{path:path}/baselines/{baseline}/adjust", **ACCEPTED)
async def adjust_baseline(
    context: AppContext, path: ScopePath, baseline: BaselineId, body: AdjustBody
) -> Response:
    """Add a non-routine adjustment; the same period again is its next version, 0 takes it back."""
    row = _find(context, path, baseline)
    if body.start >= body.end:
        raise invalid("end", "it is not after `start`", part="body")
    order = {
        "by": body.by,
        "baseline": row.id,
        "start": body.start,
        "stop": body.end,
        "amount": body.amount_mwh * MWH[0],
        "reason": body.reason,
        "evidence": body.evidence,
    }
    return await queue_command(context, "baseline.adjust", order, path)


def _find(context: Context, path: str, baseline: str) -> Baseline:
    """Return a baseline of a scope; raises Problem 404."""
    context.require_scope(path)
    known = {r.id: r for r in context.model.park.rows(Baseline) if inside(r.scope, path)}
    if baseline not in known:
        raise not_found("baseline", baseline, known, f"/api/v1/scopes/{path}/baselines")
    return known[baseline]


def _base_period(context: Context, row: Baseline, body: FitBody) -> tuple[datetime, datetime]:
    """Return the base period of an order; raises Problem 422 when it is empty."""
    now = datetime.fromisoformat(rfc3339(context.now_us(), context.zone))
    midnight = datetime.min.time()
    stop = body.end or (datetime.combine(row.until, midnight, context.zone) if row.until else now)
    start = body.start or (
        datetime.combine(row.start, midnight, context.zone)
        if row.start
        else stop - USUAL[row.frequency]
    )
    if start >= stop:
        raise invalid("start", "it is not before `end`", part="body")
    return start, stop


def _row(context: Context, network: Network, row: Baseline, stored: list[Any]) -> BaselineRow:
    """Return a baseline with its newest model."""
    models = [model_of(each) for each in stored]
    rules = [judge(model, row.frequency) for model in models]
    failed = [each for each in rules[0] if not each.met] if rules else []
    return record(
        BaselineRow,
        row,
        product=row.product or None,
        accepted=not failed if rules else None,
        reason="; ".join(map(_sentence, failed)) if rules else NOT_FITTED,
        variables=_variables(network, models[0]) if models else [],
        rules=[record(BaselineRule, j.rule, statistic=j.statistic, value=j.value, met=j.met)
               for j in rules[0]] if rules else [],
        versions=[
            _version(context, *each) for each in zip(stored, models, rules, strict=True)
        ],
    )  # fmt: skip


def _sentence(judged: Judged) -> str:
    """Return a rule that is not met as words."""
    bound = "above" if judged.rule["sense"] == "at_most" else "below"
    limit = judged.rule["limit"]
    return f"{judged.statistic} = {judged.value:.3g} is {bound} {limit:g}"


def _version(
    context: Context, row: Any, model: BaselineModel, rules: list[Judged]
) -> BaselineVersion:
    failed = [each.statistic for each in rules if not each.met]
    return record(
        BaselineVersion,
        model,
        version=row["version"],
        **context.times(row, "start", "fitted"),
        end=context.time(row["stop"]),
        accepted=not failed,
        rejected_for=failed,
        mean_mwh=number(model.mean, MWH),
        rmse_mwh=number(model.rmse, MWH),
        digest=row["digest"],
        reason=row["reason"],
        fitted_by=row["fitted_by"],
    )


def _variables(network: Network, model: BaselineModel) -> list[BaselineVariable]:
    """Return the candidates of a model in their units of measure.

    The constant is what is expected where all variables are 0 in theirs.
    """
    uoms = [_uom(network, name) for name in model.variables]
    scale = np.array([uom[0] for _, uom in uoms])
    turn = np.diag(scale)
    if CONSTANT in model.variables:
        turn[model.variables.index(CONSTANT)] = [
            1.0 if name == CONSTANT else uom[1]
            for name, (_, uom) in zip(model.variables, uoms, strict=True)
        ]
    slope = turn @ np.array(model.coefficient)
    spread = np.sqrt(np.diag(turn @ np.array(model.covariance) @ turn.T) * model.growth)
    kept: list[BaselineVariable] = [
        {
            "variable": name,
            "kept": True,
            "reason": "",
            "uom": text,
            "mwh_per_uom": number(slope[at], MWH),
            "mwh_per_uom_ci": number(spread[at] * model.quantile, MWH),
            "p_value": model.p_value[at],
            "low": None if name == CONSTANT else number(model.low[at], uom),
            "high": None if name == CONSTANT else number(model.high[at], uom),
        }
        for at, (name, (text, uom)) in enumerate(zip(model.variables, uoms, strict=True))
    ]
    return kept + [
        {
            "variable": name, "kept": False, "reason": reason, "uom": _uom(network, name)[0],
            "mwh_per_uom": None, "mwh_per_uom_ci": None, "p_value": None, "low": None,
            "high": None,
        }
        for name, reason in model.dropped.items()
    ]  # fmt: skip


def _uom(network: Network, name: str) -> tuple[str, Uom]:
    """Return the unit of measure of a variable: tonnes of a product, that of a tag."""
    if name == CONSTANT:
        return "", (1.0, 0.0)
    if name not in network.index:
        return "t", TONNE
    tag = network.tags[network.index[name]]
    return tag.uom, (tag.scale, tag.shift)


def _total(context: Context, compared: Compared, *, accepted: bool) -> BaselineTotal:
    """Return the whole range in one row, with its verdict."""
    whole = compared.over(np.ones(len(compared.counts), bool))
    passed = int((compared.seen.query.elapsed_s > 0).sum())
    share = whole.counted / passed if passed else float("nan")
    enough = share >= context.settings.verdict_completeness
    verdict, reason = verdict_of(whole, accepted=accepted, enough=enough)
    query = compared.seen.query
    start, end = (rfc3339(int(query.edges[at]), query.zone) for at in (0, -1))
    return record(
        BaselineTotal,
        start=start,
        end=end,
        counted=whole.counted,
        left_out=whole.left_out,
        outside=whole.outside,
        completeness=share,
        quality=compared.seen.worst,
        actual_mwh=number(whole.actual, MWH),
        expected_mwh=number(whole.expected, MWH),
        enpi=whole.enpi,
        enpi_ci=whole.enpi_half_width,
        saved_mwh=number(whole.saved, MWH),
        saved_ci_mwh=number(whole.half_width, MWH),
        saved_share=whole.saved / whole.expected if whole.expected else None,
        verdict=verdict,
        reason=reason,
    )


def _items(compared: Compared, rows: Any) -> list[BaselineWindowRow]:
    """Return one row for each window of an answer."""
    seen = compared.seen
    group = np.searchsorted(rows.edges, seen.query.edges[:-1], "right") - 1
    parts = [compared.over(group == at) for at in range(len(rows.edges) - 1)]
    used = np.array([part.expected - part.saved for part in parts])
    expected = np.array([part.expected for part in parts])
    cusum = np.cumsum(np.nan_to_num(used - expected))
    members = [np.flatnonzero(group == at) for at in range(len(parts))]
    columns = {
        "counted": [part.counted for part in parts],
        "left_out": [part.left_out for part in parts],
        "outside": [part.outside for part in parts],
        "actual_mwh": out(used, MWH),
        "expected_mwh": out(expected, MWH),
        "expected_ci_mwh": out(np.array([part.half_width for part in parts]), MWH),
        "adjustment_mwh": out(np.array([part.adjustment for part in parts]), MWH),
        "enpi": out(np.array([part.enpi for part in parts])),
        "enpi_ci": out(np.array([part.enpi_half_width for part in parts])),
        "saved_mwh": out(expected - used, MWH),
        "saved_ci_mwh": out(np.array([part.half_width for part in parts]), MWH),
        "cusum_mwh": out(np.where(np.isnan(used), np.nan, cusum), MWH),
        "reason": [part.reason for part in parts],
        "completeness": out(np.array([np.mean(np.nan_to_num(seen.share[at])) for at in members])),
        "quality": np.array([seen.quality[at].max(initial=0) for at in members], np.uint8),
        "missing": [list(dict.fromkeys(n for one in at.tolist() for n in seen.missing[one]))
                    for at in members],
    }  # fmt: skip
    result: list[BaselineWindowRow] = rows.rows(BaselineWindowRow, columns)
    return result


def _changes(compared: Compared) -> list[BaselineChange]:
    """Return when the energy changed against what is expected."""
    seen, at = compared.seen, np.flatnonzero(compared.counts)
    residual = seen.energy[at] - compared.expected[at]
    mean = float(np.mean(compared.expected[at])) if len(at) else 1.0
    begin = [rfc3339(edge, seen.query.zone) for edge in seen.query.edges[at].tolist()]
    return [
        {
            "start": begin[change.at],
            "end": rfc3339(int(seen.query.edges[-1]), seen.query.zone),
            "earliest": begin[change.first],
            "latest": begin[change.last],
            "change_mwh": number(change.after - change.before, MWH),
            "change_ci_mwh": number(change.half_width, MWH),
            "change_share": (change.after - change.before) / mean,
        }
        for change in find_changes(residual)
    ]


def _adjustment(context: Context, row: Any) -> BaselineAdjustment:
    return record(
        BaselineAdjustment,
        row,
        **context.times(row, "start", "recorded"),
        end=context.time(row["stop"]),
        amount_mwh=number(row["amount"], MWH),
    )
