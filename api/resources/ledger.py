"""The exchange ledger: agreed transfers against the meters of both sides, month by month."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field
from typing_extensions import TypedDict

from api.answers import (
    Completeness,
    Given,
    HalfWidth,
    Number,
    WindowAnswer,
    WindowRow,
    formula,
    record,
)
from api.encode import TONNE, number, out
from api.joint import Joint, read_joint
from api.resources.catalogue import Withheld
from api.sums import NO_TAGS, Sums, read_sums
from twin.arrays import BOOL, F64, SECOND_US, ratio
from twin.byproducts.catalogue import Need, Resource, Transfer, meter_weight
from twin.byproducts.ledger import agreed_share, disputed, judge
from twin.disclosure import Level, Viewer
from twin.model.park import inside

if TYPE_CHECKING:
    from api.context import Context
    from api.windows import WindowQuery

Delivery = Literal["met", "short", "over", "undecided"]
Side = Literal["sent", "received"]
Period = TypedDict("Period", {"from": str, "to": str | None})


class TransferTerms(Period):
    """An agreement as the model has it; amount_t is that of a whole month."""

    id: str
    resource: str
    need: str
    amount_t: Given[Number]
    tolerance: Given[float]
    sent: list[str]
    received: list[str]
    contract: str
    evidence: str
    withheld: Withheld
    source: str
    note: str


class LedgerRow(WindowRow):
    """A transfer in a month: what was agreed, what each side metered, and whether they agree.

    Amounts are what was measured, next to their completeness. `share` is the mean rate over that
    of the agreement, of the time in which all meters are covered: by the receiver's meter where
    there is one. The difference is sent minus received in that time.
    """

    transfer: str
    agreed_t: Annotated[
        Number, formula("agreed amount of a month * share of the month that has passed")
    ]
    sent_t: Annotated[Number, formula("sum of the amounts of the meter of the sender")]
    sent_ci_t: HalfWidth
    sent_completeness: Completeness
    received_t: Annotated[Number, formula("sum of the amounts of the meter of the receiver")]
    received_ci_t: HalfWidth
    received_completeness: Completeness
    difference_t: Annotated[Number, formula("sent - received, over the joint time of both meters")]
    difference_ci_t: HalfWidth
    disputed: Annotated[bool, Field(description="the meters disagree beyond their intervals")]
    settled_by: Side
    share: Annotated[
        Number,
        formula("delivered over agreed: mean rate of the joint time / rate of the agreement"),
    ]
    share_ci: HalfWidth
    verdict: Delivery
    withheld: Withheld
    reason: str


class LedgerAnswer(WindowAnswer):
    """The exchange ledger of a scope: transfers from it and to it."""

    viewer: Level
    items: list[LedgerRow]
    transfers: list[TransferTerms]


async def ledger_answer(context: Context, query: WindowQuery, viewer: Viewer) -> LedgerAnswer:
    """Return the ledger of the months of a query; raises StoreError."""
    network, park = query.network, query.network.park
    resources = {row.id: row for row in park.rows(Resource)}
    needs = {row.id: row for row in park.rows(Need)}
    transfers = [
        row
        for row in park.rows(Transfer)
        if inside(resources[row.resource].scope, query.scope)
        or inside(needs[row.need].scope, query.scope)
    ]
    weights = [
        [
            meter_weight(network, resources[row.resource], names)
            for names in (row.sent, row.received)
        ]
        for row in transfers
    ]
    groups = [np.flatnonzero(np.any(pair, axis=0)) for pair in weights]
    sums = await read_sums(context, query, np.unique(np.concatenate([NO_TAGS, *groups])))
    joints = await read_joint(context, sums, groups)
    secret = [not _seen(viewer, resources[row.resource], needs[row.need]) for row in transfers]
    rows = [
        query.rows(LedgerRow, _columns(row, sums, joint, pair, secret=mine))
        for row, joint, pair, mine in zip(transfers, joints, weights, secret, strict=True)
    ]
    terms = [_terms(row, secret=mine) for row, mine in zip(transfers, secret, strict=True)]
    return query.answer(LedgerAnswer, rows, viewer=viewer.level, transfers=terms)


def _seen(viewer: Viewer, resource: Resource, need: Need) -> bool:
    """Tell whether a viewer sees a transfer: as one of its sides, or by the level of both."""
    levels = resource.confidentiality, need.confidentiality
    return viewer.sees(resource.scope, *levels) or viewer.sees(need.scope, *levels)


def _columns(
    row: Transfer, sums: Sums, joint: Joint, pair: list[F64], *, secret: bool
) -> dict[str, Any]:
    """Return the columns of a transfer, (W,)."""
    query = sums.query
    length_s = np.diff(query.edges) / SECOND_US
    part = agreed_share(row, query.edges, query.elapsed_s, query.network.park.timezone)
    settled_by: Side = "received" if row.received else "sent"
    rate, half = joint.rate(pair[settled_by == "received"])
    # Only what an agreement lasts for can be held against it.
    agreed_rate = np.where(part > 0, row.amount / length_s, np.nan)
    share, width = ratio(rate, agreed_rate), ratio(half, agreed_rate)
    gap, gap_half = _difference(row, joint, pair)
    dispute = disputed(gap, gap_half) & joint.decisive
    verdict = judge(share, width, row.tolerance, joint.decisive & ~dispute & (part > 0))
    seconds = joint.sums.covered_s[:, 0]
    columns: dict[str, F64] = {
        "agreed_t": out(part * row.amount, TONNE),
        "difference_t": out(gap * seconds, TONNE),
        "difference_ci_t": out(gap_half * seconds, TONNE),
        "share": out(share),
        "share_ci": out(width),
    }
    for side, weight in zip(("sent", "received"), pair, strict=True):
        columns |= _metered(side, sums, weight)
    if secret:
        kept = {"share", "share_ci", "sent_completeness", "received_completeness"}
        columns = {
            name: column if name in kept else np.full(column.shape, np.nan)
            for name, column in columns.items()
        }
    reasons = joint.reasons(rate)
    return {
        "transfer": row.id,
        **columns,
        "disputed": dispute,
        "settled_by": settled_by,
        "verdict": verdict,
        "withheld": secret,
        "reason": [why or (OUTSIDE if not some else "") for why, some in
                   zip(reasons, (part > 0).tolist(), strict=True)],
        **joint.trust(_known(share)),
    }  # fmt: skip


OUTSIDE = "the agreement does not last in this month"


def _known(share: F64) -> BOOL:
    return np.asarray(~np.isnan(share))


def _difference(row: Transfer, joint: Joint, pair: list[F64]) -> tuple[F64, F64]:
    """Return sent minus received [kg/s] and half its interval; NaN with one meter."""
    if not (row.sent and row.received):
        nothing = np.full(len(joint.share), np.nan)
        return nothing, nothing
    return joint.rate(pair[0] - pair[1])


def _metered(side: str, sums: Sums, weight: F64) -> dict[str, F64]:
    """Return the amount of one side, half its interval and its completeness."""
    if not weight.any():
        nothing = np.full(len(sums.amount), np.nan)
        return {f"{side}_t": nothing, f"{side}_ci_t": nothing, f"{side}_completeness": nothing}
    at = np.searchsorted(sums.tags, np.flatnonzero(weight))
    return {
        f"{side}_t": out(sums.weigh(weight), TONNE),
        f"{side}_ci_t": out(sums.ci("", weight), TONNE),
        f"{side}_completeness": sums.completeness(at),
    }


def _terms(row: Transfer, *, secret: bool) -> TransferTerms:
    return record(
        TransferTerms,
        row,
        **{"from": row.first.isoformat(), "to": row.last.isoformat() if row.last else None},
        amount_t=None if secret else number(row.amount, TONNE),
        sent=list(row.sent),
        received=list(row.received),
        withheld=secret,
    )
