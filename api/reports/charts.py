"""Charts as SVG: bars and lines over time, with a band for the interval, in the same bytes."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING, NamedTuple

from api.reports.wording import moment_text, number_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from api.answers import Number
    from api.reports.document import ReportChart, ReportSeries
    from api.reports.wording import Language

WIDTH, HEIGHT = 680, 190
EDGE_LEFT, EDGE_RIGHT, EDGE_TOP, EDGE_BOTTOM = 64, 8, 30, 24
# Blue and orange of Okabe and Ito: they differ for the colour-blind and in grey.
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7")
FONTS = "Noto Sans CJK SC, Noto Sans SC, Source Han Sans SC, sans-serif"
TICKS = 4
LABELS_MAX = 16


class Axis(NamedTuple):
    """The values of an axis from the bottom to the top."""

    low: float
    high: float
    step: float

    @property
    def ticks(self) -> list[float]:
        """Its marks."""
        count = round((self.high - self.low) / self.step)
        return [self.low + self.step * n for n in range(count + 1)]

    def y(self, value: float) -> float:
        """Return the height of a value in the picture."""
        share = (value - self.low) / (self.high - self.low)
        return HEIGHT - EDGE_BOTTOM - share * (HEIGHT - EDGE_TOP - EDGE_BOTTOM)


def draw(chart: ReportChart, window: str, language: Language) -> str:
    """Return a chart as SVG, with gaps where there is no value."""
    axis = _axis(chart)
    count = max(len(chart["starts"]), 1)
    slot = (WIDTH - EDGE_LEFT - EDGE_RIGHT) / count
    paint = _bars if chart["form"] == "bars" else _line
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
            f'width="{WIDTH}" height="{HEIGHT}" font-family="{FONTS}" font-size="11">'
        ),
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        *_grid(axis, chart["uom"]),
        *_moments(chart["starts"], slot, window),
    ]
    for at, series in enumerate(chart["series"]):
        parts += paint(series, axis, slot, at, len(chart["series"]))
    parts += _legend(chart, language)
    return "".join([*parts, "</svg>"])


def _axis(chart: ReportChart) -> Axis:
    """Return an axis with round marks around all values; bars begin at zero."""
    values = [
        value + sign * (width or 0.0)
        for series in chart["series"]
        for value, width in zip(series["values"], series["half_widths"], strict=True)
        if value is not None
        for sign in (-1, 1)
    ] or [0.0]
    low, high = min(values), max(values)
    if chart["form"] == "bars":
        low, high = min(low, 0.0), max(high, 0.0)
    span = (high - low) or abs(high) or 1.0
    power = 10.0 ** math.floor(math.log10(span / TICKS))
    step = next(power * n for n in (1, 2, 2.5, 5, 10) if power * n >= span / TICKS)
    bottom = math.floor(low / step) * step
    top = max(math.ceil(high / step) * step, bottom + step)
    return Axis(bottom, top, step)


def _text(x: float, y: float, text: str, anchor: str = "middle") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="#333">{escape(text)}</text>'


def _grid(axis: Axis, uom: str) -> Iterable[str]:
    power = math.floor(math.log10(axis.step) + 1e-9)
    # A step of 2.5 has one digit more.
    decimals = max(0, (axis.step / 10.0**power == 2.5) - power)
    for tick in axis.ticks:
        y = axis.y(tick)
        yield f'<path d="M{EDGE_LEFT} {y:.1f}H{WIDTH - EDGE_RIGHT}" stroke="#ddd" fill="none"/>'
        yield _text(EDGE_LEFT - 6, y + 4, number_text(tick + 0.0, decimals), "end")
    yield _text(EDGE_LEFT - 6, 14, uom, "end")


def _moments(starts: Sequence[str], slot: float, window: str) -> Iterable[str]:
    every = -(-len(starts) // LABELS_MAX) or 1
    for at in range(0, len(starts), every):
        x = EDGE_LEFT + (at + 0.5) * slot
        yield _text(x, HEIGHT - 8, moment_text(starts[at], window))


def _bars(series: ReportSeries, axis: Axis, slot: float, at: int, count: int) -> Iterable[str]:
    width = slot * 0.8 / count
    zero = axis.y(max(axis.low, 0.0))
    for n, value in enumerate(series["values"]):
        if value is not None:
            x, y = EDGE_LEFT + n * slot + slot * 0.1 + at * width, axis.y(value)
            top, height = min(y, zero), max(abs(zero - y), 0.5)
            yield (
                f'<rect x="{x:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}" '
                f'fill="{COLOURS[at % len(COLOURS)]}"/>'
            )


def _line(series: ReportSeries, axis: Axis, slot: float, at: int, _count: int) -> Iterable[str]:
    """Yield the runs of values without a gap, each with its band."""
    colour = COLOURS[at % len(COLOURS)]
    for run in _runs(series["values"]):
        x = [EDGE_LEFT + (n + 0.5) * slot for n in run]
        value = [series["values"][n] or 0.0 for n in run]
        width = [series["half_widths"][n] or 0.0 for n in run]
        high = [axis.y(v + w) for v, w in zip(value, width, strict=True)]
        low = [axis.y(v - w) for v, w in zip(value, width, strict=True)]
        band = _path([*zip(x, high, strict=True), *reversed([*zip(x, low, strict=True)])])
        yield f'<path d="{band}Z" fill="{colour}" fill-opacity="0.15"/>'
        points = [*zip(x, map(axis.y, value), strict=True)]
        yield f'<path d="{_path(points)}" fill="none" stroke="{colour}" stroke-width="1.6"/>'
        for point in points:
            yield f'<circle cx="{point[0]:.1f}" cy="{point[1]:.1f}" r="2" fill="{colour}"/>'


def _runs(values: Sequence[Number]) -> Iterable[list[int]]:
    run: list[int] = []
    for n, value in enumerate(values):
        if value is not None:
            run.append(n)
        elif run:
            yield run
            run = []
    if run:
        yield run


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def _legend(chart: ReportChart, language: Language) -> Iterable[str]:
    x = float(EDGE_LEFT + 10)
    for at, series in enumerate(chart["series"]):
        label, colour = series["label"][language], COLOURS[at % len(COLOURS)]
        yield f'<rect x="{x:.1f}" y="6" width="10" height="10" fill="{colour}"/>'
        yield _text(x + 15, 15, label, "start")
        x += 40 + sum(11 if ord(letter) > 0x2E80 else 6.2 for letter in label)
