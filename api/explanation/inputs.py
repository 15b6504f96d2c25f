"""The tags a figure follows from: their values over its time, and where their samples are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlencode

import numpy as np
from typing_extensions import TypedDict

from api import queries
from api.answers import Completeness, Number, Uint8, formula
from api.encode import number, out, rfc3339
from deploy.database.times import stamp
from twin import quality as q
from twin.accounts.cells import CELL_ROLES
from twin.accounts.network import Network
from twin.arrays import DAY_US, F64, HOUR_US, I64, MINUTE_US, NEVER, SECOND_US, U8, ratio
from twin.book.model import BookTag
from twin.margins import margin_inputs
from twin.reconciliation.estimates import compile_estimates
from twin.reconciliation.uncertainty import half_width, sum_sigma, tag_uncertainty
from twin.series.windows import SHORTEST_US

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from api.context import Context
    from twin.model.park import Tag

# Beyond this the inputs of a window are summed from hours.
MINUTES_US = 3 * DAY_US
# As long as a raw history is sure to fit into one answer.
RAW_US = 2 * HOUR_US


class InputRow(TypedDict):
    """A tag a figure follows from, over the window of the figure or, without one, now.

    kind: measured, derived, book or health. effect: by how many percent the figure changes when the
    input does by one. interval_share: what part of the variance of the figure is its own. samples
    is the address of its raw samples, book that of what was entered, explain that of how a derived
    one is calculated.
    """

    tag: str
    description: str
    scope: str
    kind: str
    uom: str
    value: Annotated[Number, formula("mean of a gauge, increase of a counter; newest value of now")]
    half_width: Annotated[Number, formula("of the value, 95 %: 1.96 * uncertainty of the meter")]
    quality: Uint8
    completeness: Completeness
    minutes: Annotated[Number, formula("minutes of the window with a value")]
    effect: Annotated[Number, formula("relative change of the figure / that of the input")]
    interval_share: Annotated[
        Number, formula("(effect * half width of the input / that of the figure, relative)²")
    ]
    restated: bool
    samples: str
    book: str | None
    explain: str | None


@dataclass(frozen=True, slots=True)
class InputReading:
    """What inputs were over a window, or are now, (U,) [SI]."""

    start_us: int
    end_us: int  # = start_us of now
    tags: tuple[Tag, ...]
    tag_id: I64
    value: F64  # the mean of a gauge, the increase of a counter
    sigma: F64
    quality: U8
    covered_s: F64  # NaN of now
    sample_us: I64  # of the newest sample
    raw_until_us: I64  # as far as the samples fit into one answer
    restated: frozenset[int]


async def read_inputs(
    context: Context, tags: Sequence[tuple[Tag, int]], window: tuple[int, int] | None
) -> InputReading:
    """Return what some tags with their ids were over a window [µs], or are now; raises StoreError.

    They are in the order of their ids.
    A window that is shorter than a minute is a moment: inputs have the last values before its end.
    What is said of a window to come follows from what is known now.
    """
    now_us = context.now_us()
    tags = sorted(tags, key=lambda each: each[1])
    ids = np.array([tag_id for _, tag_id in tags], np.int64)
    reading = _live(context, tuple(tag for tag, _ in tags), ids, now_us)
    if window is None or window[0] >= now_us or not len(ids):
        return reading
    start_us, end_us = window[0], min(window[1], now_us)
    if end_us - start_us < MINUTE_US:
        return await _at(context, reading, start_us, end_us)
    return await _over(context, reading, start_us, end_us)


async def _at(context: Context, live: InputReading, start_us: int, end_us: int) -> InputReading:
    """Return inputs at a moment: their last samples before its end."""
    value, quality, time_us = live.value.copy(), live.quality.copy(), live.sample_us.copy()
    for n, (tag, tag_id) in enumerate(zip(live.tags, live.tag_id.tolist(), strict=True)):
        since_us = start_us - context.gap_us(tag.address)
        rows = await context.store.samples(tag_id, since_us, end_us, context.settings.raw_rows_max)
        known = len(rows["value"]) > 0
        value[n] = rows["value"][-1] if known else np.nan
        quality[n] = rows["quality"][-1] if known else q.NO_DATA
        time_us[n] = rows["time_us"][-1] if known else NEVER
    sigma = _live_sigma(live.tags, value)
    moment = replace(live, start_us=start_us, end_us=start_us, value=value, sigma=sigma)
    return replace(moment, quality=quality, sample_us=time_us)


def _live(context: Context, tags: tuple[Tag, ...], ids: I64, now_us: int) -> InputReading:
    image, at = context.feed.image, context.feed.catalogue.positions(ids)
    known = at >= 0
    time_us = np.where(known, image.time_us[at], NEVER) if len(image.time_us) else at
    value = np.where(known, image.value[at], np.nan)
    return InputReading(
        start_us=now_us,
        end_us=now_us,
        tags=tags,
        tag_id=ids,
        value=value,
        sigma=_live_sigma(tags, value),
        quality=np.where(known, image.quality[at], q.NO_DATA).astype(np.uint8),
        covered_s=np.full(len(ids), np.nan),
        sample_us=time_us,
        raw_until_us=time_us,
        restated=frozenset(),
    )


def _live_sigma(tags: tuple[Tag, ...], value: F64) -> F64:
    errors = np.array([tag_uncertainty(tag) for tag in tags], np.float64).reshape(-1, 2)
    return np.hypot(errors[:, 0], errors[:, 1] * np.abs(value))


async def _over(context: Context, live: InputReading, start_us: int, end_us: int) -> InputReading:
    """Return inputs over a window: of minutes, or of hours where it is long."""
    ids, tags = live.tag_id, live.tags
    table = "minute" if end_us - start_us <= MINUTES_US else "hour"
    step_us = SHORTEST_US[table]
    books = _books(context)
    booked = np.array([tag.address in books for tag in tags])
    amount, covered_s, quality = np.zeros(len(ids)), np.zeros(len(ids)), live.quality * 0
    for some, name in ((~booked, table), (booked, "hour")):
        if not some.any():
            continue
        span = start_us // step_us * step_us, end_us
        rows = await context.store.amounts(name, ids[some], *span)
        order = np.argsort(ids)
        at = order[np.searchsorted(ids, rows["tag_id"], sorter=order)]
        np.add.at(amount, at, rows["amount"])
        np.add.at(covered_s, at, rows["covered_s"])
        np.maximum.at(quality, at[rows["covered_s"] > 0], rows["quality"][rows["covered_s"] > 0])
    summed = np.array([tag.kind in ("counter", "amount") for tag in tags])
    value = np.where(summed, amount, ratio(amount, covered_s))
    value[covered_s == 0] = np.nan
    quality[covered_s == 0] = q.NO_DATA
    sigma = _sigma(context.model.network, tags, amount, covered_s)
    sigma = np.where(summed, sigma, ratio(sigma, covered_s))
    args = ids.tolist(), stamp(start_us), stamp(end_us)
    counts = {row[0]: row[1] for row in await context.store.rows(queries.COUNTS, *args)}
    many = np.array([counts.get(i, 0) > context.settings.history_points_max for i in ids.tolist()])
    restated = await context.store.rows(queries.CHANGED_TAGS, *args)
    return InputReading(
        start_us,
        end_us,
        tags,
        ids,
        value,
        sigma,
        quality,
        covered_s,
        live.sample_us,
        np.where(many, min(start_us + RAW_US, end_us), end_us),
        frozenset(row[0] for row in restated),
    )


def _sigma(network: Network, tags: tuple[Tag, ...], amount: F64, covered_s: F64) -> F64:
    """Return the standard uncertainties of amounts, (U,) [SI s]; NaN where the model has no tag."""
    at = np.array([network.index.get(tag.address, -1) for tag in tags], np.int64)
    known = np.flatnonzero((at >= 0) & (covered_s > 0))
    sigma = np.full(len(tags), np.nan)
    if len(known):
        alone, sums = np.eye(len(known)), np.ones((len(known), 1))
        amounts, seconds = amount[known] * sums, covered_s[known] * sums
        sigma[known] = sum_sigma(network, "", alone, amounts, seconds, at[known])
    return sigma


def describe(
    context: Context,
    reading: InputReading,
    n: int,
    effect: float | None,
    figure: Any,
    whole: Number,
    own: str | None,
) -> InputRow:
    """Return one input as it leaves, of a figure with half the width of its interval.

    `own` is the tag whose value the figure is: the health of ingest is derived of no other tag.
    """
    tag, zone = reading.tags[n], context.zone
    summed = tag.kind in ("counter", "amount")
    scale, zero = tag.scale, 0.0 if summed and reading.end_us > reading.start_us else tag.shift
    elapsed_s = (reading.end_us - reading.start_us) / SECOND_US
    covered_s = float(reading.covered_s[n])
    half = float(half_width(reading.sigma[n : n + 1])[0])
    stamps = [rfc3339(us, zone) for us in _raw_span(context, reading, n)]
    query = {"from": stamps[0], "to": stamps[1]}
    points = context.settings.history_points_max
    samples = {"tag": tag.address, **query, "points": points}
    derived = tag.source == "derived" and tag.address != own
    booked, entries = tag.address in _books(context), {"tag": tag.address, "versions": "all"}
    return {
        "tag": tag.address,
        "description": tag.description,
        "scope": tag.scope,
        "kind": "book" if booked else "derived" if tag.source == "derived" else "measured",
        "uom": tag.uom,
        "value": float(out(reading.value[n], (scale, zero))),
        "half_width": number(half, (scale, 0.0)),
        "quality": int(reading.quality[n]),
        "completeness": min(covered_s / elapsed_s, 1.0) if elapsed_s else None,
        "minutes": covered_s / 60,
        "effect": effect,
        "interval_share": _share(effect, figure, half / abs(reading.value[n] - zero), whole),
        "restated": int(reading.tag_id[n]) in reading.restated,
        "samples": f"/api/v1/history?{urlencode(samples)}",
        "book": f"/api/v1/book?{urlencode(entries)}" if booked else None,
        "explain": _explained(tag, reading, zone) if derived else None,
    }


def _books(context: Context) -> set[str]:
    """Return the tags whose values people enter: they have hours and days, and no samples."""
    return {row.tag for row in context.model.park.rows(BookTag)}


def _share(effect: float | None, figure: Any, relative: float, whole: Number) -> float | None:
    """Return what part of the variance of a figure is that of an input in error by a share."""
    if effect is None or not whole or not isinstance(figure, int | float):
        return None
    return float((effect * relative * figure / whole) ** 2)


def _raw_span(context: Context, reading: InputReading, n: int) -> tuple[int, int]:
    """Return from when to when [µs] the samples of an input are that its value stands on."""
    # A value holds, and an increase spreads, from the sample before.
    before_us = context.gap_us(reading.tags[n].address)
    time_us = int(reading.sample_us[n]) // 1000 * 1000
    if reading.end_us == reading.start_us and time_us > 0:
        return time_us, time_us + SECOND_US
    return reading.start_us - before_us, max(int(reading.raw_until_us[n]), reading.start_us)


def _explained(tag: Tag, reading: InputReading, zone: Any) -> str:
    """Return the address of how a derived tag was calculated."""
    if reading.end_us == reading.start_us:
        figure = f"/api/v1/latest?{urlencode({'tag': tag.address})}#/items/0/value"
    else:
        ends = [rfc3339(us, zone) for us in (reading.start_us, reading.end_us)]
        query = {"tag": tag.address, "from": ends[0], "to": ends[1], "points": 10}
        figure = f"/api/v1/history?{urlencode(query)}#/value/0"
    return f"/api/v1/explain?{urlencode({'figure': figure})}"


def made_of(network: Network, address: str) -> Mapping[str, float]:
    """Return the tags a derived tag is calculated of, with the factors of those it is a sum of.

    A factor is the SI amount of the derived tag per SI amount of the other; NaN where it is not a
    sum: masses in tanks, heats, effective currents, reconciled flows, margins.
    """
    names = [tag.address for tag in network.tags]
    at = network.index.get(address)
    result: dict[str, float] = {}
    if at is None:
        estimates = compile_estimates(network)
        if address in {tag.address for tag in estimates.tags}:
            inner = np.concatenate([estimates.inputs, estimates.levels])
            return dict.fromkeys((names[i] for i in inner.tolist()), float("nan"))
        return dict.fromkeys(margin_inputs(network, address), float("nan"))
    measured, analysed = len(network.park.tags), len(network.effective)
    # Of an electrolyser the efficiency, which stands behind all effective currents, has its inputs.
    cell = at - analysed if measured + analysed <= at < measured + 2 * analysed else at
    heats, cells = network.heats.inputs(np.array([at])), network.cells.inputs(np.array([cell]))
    result = dict.fromkeys((names[i] for i in (*heats.tolist(), *cells.tolist())), float("nan"))
    before = len(CELL_ROLES) * analysed + len(network.heats.tag)
    first = len(network.tags) - len(network.derived) + before
    for entry in np.flatnonzero(network.signs.row == at - first).tolist():
        column, sign = int(network.signs.column[entry]), float(network.signs.factor[entry])
        if column >= len(network.accounts):
            tank = (column - len(network.accounts)) % len(network.tanks.tag)
            for each in (network.tanks.tag[tank], network.tanks.temperature[tank]):
                if each >= 0:
                    result[names[int(each)]] = float("nan")
            continue
        stop = [*network.entry_start[1:].tolist(), len(network.entry_tag)][column]
        for n in range(int(network.entry_start[column]), stop):
            name = names[int(network.entry_tag[n])]
            result[name] = result.get(name, 0.0) + sign * float(network.entry_factor[n])
    result.pop(address, None)
    return result
