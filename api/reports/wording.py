"""Texts of reports in Chinese and English: words of answers, reasons, numbers, times, quality."""

from __future__ import annotations

import math
import re
import tomllib
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from api.reports.document import NOTHING, name, same
from twin import quality as q

if TYPE_CHECKING:
    from collections.abc import Sequence

    from api.answers import Name
    from api.reports.document import ReportFigure

Language = Literal["zh", "en"]
TABLE = Path(__file__).with_name("words.toml")
# Without an interval so many digits are shown, and of an interval so many.
DIGITS, INTERVAL_DIGITS, DECIMALS_MAX = 5, 2, 6
# Tags that lack, on a page; a workbook has room for more.
MISSING_MAX, MISSING_ALL = 2, 20
# What stands between two reasons: tables that lack are listed in one.
BETWEEN = re.compile(r"; |, (?=\S+ of \S+: the table of )|, (?=\S+ in \d{4}(?:,|;|$))")
# The first reasons of a figure say enough.
REASONS_MAX = 2
ENGLISH_UOM = {"万元": "10⁴ CNY", "亩": "mu", "人": "person"}
NO_VALUE = {"zh": "无数据", "en": "no data"}
NOT_KNOWN = {"zh": "未知", "en": "not known"}
# The quality of what nobody measures: a stated limit, a count of alarms, a share of a record.
RECORDED = {"zh": "据记录", "en": "on record"}


@cache
def _table() -> dict[str, Any]:
    return tomllib.loads(TABLE.read_text(encoding="utf-8"))


def word(key: Any) -> Name:
    """Return a word of an answer; one without a translation as it is."""
    pair = _table()["words"].get(str(key))
    return name(*pair) if pair else same(str(key).replace("_", " "))


def sentence(text: str) -> Name:
    """Return the reasons of an answer; a sentence without a translation as it is."""
    every = list(dict.fromkeys(BETWEEN.split(text))) if text else []
    parts = [_sentence(part) for part in every[:REASONS_MAX]]
    if len(every) > REASONS_MAX:
        parts.append(same("…"))
    return name("；".join(p["zh"] for p in parts), "; ".join(p["en"] for p in parts))


def _sentence(text: str) -> Name:
    words = _table()["words"]
    for row in _table()["sentence"]:
        match = re.fullmatch(row["en"], text)
        if match:
            parts = [word(part)["zh"] if part in words else part for part in match.groups()]
            return name(row["zh"].format(*parts), row.get("plain", text).format(*match.groups()))
    return word(text) if text in words else same(text)


def joined(*texts: Name) -> Name:
    """Return several texts as one."""
    kept = [text for text in texts if text["en"]]
    return name("；".join(t["zh"] for t in kept), "; ".join(t["en"] for t in kept))


def listed(texts: Sequence[Name]) -> Name:
    """Return several names as a list of them."""
    return name("、".join(t["zh"] for t in texts), ", ".join(t["en"] for t in texts))


def decimals_of(value: float, half_width: float | None) -> int:
    """Return how many decimals say what is known of a value."""
    if half_width:
        return _decimals(half_width, INTERVAL_DIGITS)
    return 0 if float(value).is_integer() else _decimals(value, DIGITS)


def _decimals(value: float, digits: int) -> int:
    if value == 0 or not math.isfinite(value):
        return 0
    return min(max(digits - 1 - math.floor(math.log10(abs(value))), 0), DECIMALS_MAX)


def number_text(value: float, decimals: int) -> str:
    """Return a number with a comma between thousands and a true minus."""
    return f"{value:,.{decimals}f}".replace("-", "−")


def plain_text(value: float) -> str:
    """Return a stated number, like a limit, with all of its digits."""
    return f"{value:,.10g}".replace("-", "−")


def value_text(figure: ReportFigure, language: Language) -> str:
    """Return the value of a figure, or that there is none."""
    if figure["value"] is None:
        return NO_VALUE[language]
    return number_text(figure["value"], decimals_of(figure["value"], figure["half_width"]))


def interval_text(figure: ReportFigure) -> str:
    """Return the half width of the interval of a figure."""
    if figure["value"] is None or figure["half_width"] is None:
        return "–"
    if not figure["half_width"]:
        return "±0"
    return "±" + number_text(
        figure["half_width"], decimals_of(figure["value"], figure["half_width"])
    )


def uom_text(uom: str, language: Language) -> str:
    """Return a unit of measure; those of the books are Chinese."""
    for zh, en in ENGLISH_UOM.items() if language == "en" else ():
        uom = uom.replace(zh, en)
    return uom


def share_text(share: float | None) -> str:
    """Return a completeness in percent, 100 % only where nothing lacks."""
    if share is None:
        return "–"
    percent = math.floor(share * 1000) / 10
    return f"{percent:.0f}%" if percent == 100 else f"{percent:.1f}%"


def quality_text(code: int | None, language: Language, *, is_known: bool) -> str:
    """Return the severity of a quality, and whether it rests on simulated values.

    A known value without a quality is stated, counted or of a record.
    """
    if code is None:
        return RECORDED[language] if is_known else "–"
    severity = "good" if code < q.UNCERTAIN else "uncertain" if code < q.BAD else "bad"
    words = [word(severity)] + ([word("simulated")] if code & q.SIMULATED else [])
    return ("、" if language == "zh" else ", ").join(each[language] for each in words)


def remark_text(
    figure: ReportFigure, remark: Name, language: Language, most: int = MISSING_MAX
) -> str:
    """Return what is said beside a figure: its basis, its verdict, what `most` tags it lacks."""
    basis = word(figure["values"]) if figure["values"] == "reconciled" else same("")
    reason = sentence(figure["reason"]) if figure["value"] is None else same("")
    lacking = figure["missing"] if (figure["completeness"] or 0) < 1 else []
    tags = listed([same(tag) for tag in lacking[:most]])
    gaps = NOTHING
    if tags["en"] and not reason["en"]:
        more = name(" 等", " …") if len(lacking) > most else NOTHING
        gaps = name(f"缺：{tags['zh']}{more['zh']}", f"gaps: {tags['en']}{more['en']}")
    return joined(remark, basis, reason, gaps)[language]


def time_text(text: str) -> str:
    """Return a time as people write it: day and minute."""
    return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M}"


def moment_text(text: str, window: str) -> str:
    """Return the label of a point of a chart: an hour, a day or a month."""
    form = {"hour": "%H", "day": "%d", "month": "%Y-%m"}
    return datetime.fromisoformat(text).strftime(form.get(window, "%m-%d"))
