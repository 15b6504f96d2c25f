"""What is said of alarms: the texts of a mail and the document of a webhook, in one language."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from twin import quality as q
from twin.alarms.rules import PRIORITIES, TEXTS, Alarm

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from twin.model.park import Park, Tag

DIGITS = 4
UNITS = {"degC": "°C", "percent": "%", "dimensionless": ""}
WORDS = {
    "zh": {
        "critical": "紧急", "high": "高", "medium": "中", "low": "低",
        "value": "数值", "limit": "限值", "cause": "原因", "consequence": "后果",
        "response": "处置", "since": "时间", "scope": "范围", "unknown": "无数值",
        "simulated": "模拟数据", "alarms": "{count} 条报警", "more": "另有 {count} 条，见控制台",
        "colon": "：",
    },
    "en": {
        "critical": "critical", "high": "high", "medium": "medium", "low": "low",
        "value": "Value", "limit": "Limit", "cause": "Cause", "consequence": "Consequence",
        "response": "Response", "since": "Since", "scope": "Scope", "unknown": "no value",
        "simulated": "simulated data", "alarms": "{count} alarms",
        "more": "{count} more are in the console", "colon": ": ",
    },
}  # fmt: skip


class Notice(NamedTuple):
    """An annunciation of an alarm."""

    event: int  # number in the journal
    alarm: Alarm
    tag: Tag
    time: str  # on the clock of the park
    value: float  # [SI], NaN = none
    quality: int
    url: str  # of the alarm in the console


def in_urgency(notices: Sequence[Notice]) -> list[Notice]:
    """Return notices with the most urgent first, then the oldest."""
    return sorted(notices, key=lambda one: (PRIORITIES.index(one.alarm.priority), one.event))


def headline(notices: Sequence[Notice], park: Park, language: str) -> str:
    """Return the subject of a message about some notices, the most urgent named."""
    words, first = WORDS[language], in_urgency(notices)[0]
    count = words["alarms"].format(count=len(notices))
    name = " · ".join(filter(None, [_scope(first, park, language), _title(first, language)]))
    mark = f"[{words[first.alarm.priority]}]"
    if any(one.quality & q.SIMULATED for one in notices):
        mark += f"[{words['simulated']}]"
    return f"{mark} {name}" if len(notices) == 1 else f"{mark} {count}{words['colon']}{name}"


def paragraph(notice: Notice, park: Park, language: str) -> str:
    """Return what is said of a notice, a line for each fact."""
    words, alarm = WORDS[language], notice.alarm
    sign = "≥" if alarm.direction == "high" else "≤"
    value = words["unknown"] if np.isnan(notice.value) else _number(notice.value, notice.tag)
    if notice.quality & q.SIMULATED:
        value = f"{value} ({words['simulated']})"
    facts = {
        "scope": _scope(notice, park, language),
        "since": notice.time,
        "value": f"{value}  {alarm.tag}",
        "limit": f"{sign} {_number(alarm.limit, notice.tag)}",
        **{key: _text(alarm.texts, key, language) for key in ("cause", "consequence", "response")},
    }
    lines = [f"[{words[alarm.priority]}] {_title(notice, language)}"]
    lines += [f"{words[key]}{words['colon']}{text}" for key, text in facts.items() if text]
    return "\n".join([*lines, notice.url])


def body(notices: Sequence[Notice], park: Park, language: str, most: int) -> str:
    """Return the text of a message; of more than `most` notices only how many there are."""
    listed = [paragraph(one, park, language) for one in in_urgency(notices)[:most]]
    if len(notices) > most:
        listed.append(WORDS[language]["more"].format(count=len(notices) - most))
    return "\n\n".join(listed) + "\n"


def _title(notice: Notice, language: str) -> str:
    return _text(notice.alarm.texts, "name", language) or notice.alarm.id


def _text(texts: Mapping[str, Mapping[str, str]], key: str, language: str) -> str:
    return texts.get(key, {}).get(language, "")


def _scope(notice: Notice, park: Park, language: str) -> str:
    """Return the name of the scope of an alarm, with its enterprise before it."""
    names = {scope.id: (scope.kind, scope.name) for scope in park.scopes}
    parts, path = [], notice.alarm.scope
    while path in names:
        kind, name = names[path]
        parts.append(name.get(language) or path.rpartition("/")[2] if name else path)
        if kind in ("enterprise", "park", "region"):
            break
        path = path.rpartition("/")[0]
    return " / ".join(reversed(parts))


def _number(value: float, tag: Tag) -> str:
    """Return a value [SI] in the unit of its tag."""
    number = (value - tag.shift) / tag.scale
    text = np.format_float_positional(float(f"{number:.{DIGITS}g}"), trim="-")
    return f"{text} {_unit(tag.uom)}".strip()


def _unit(uom: str) -> str:
    """Return a unit of measure as print: m³/h, °C."""
    return UNITS.get(uom, uom).replace("^2", "²").replace("^3", "³").replace("*", "·")


def document(notices: Sequence[Notice], park: Park, language: str, most: int) -> dict[str, Any]:
    """Return what a webhook gets: the same as a text, and each alarm with its figures."""
    first = in_urgency(notices)
    return {
        "park": park.id,
        "language": language,
        "title": headline(notices, park, language),
        "text": body(notices, park, language, most),
        "alarms": [_record(one, language) for one in first[:most]],
        "more": max(len(notices) - most, 0),
    }


def _record(notice: Notice, language: str) -> dict[str, Any]:
    alarm, tag = notice.alarm, notice.tag
    value = None if np.isnan(notice.value) else (notice.value - tag.shift) / tag.scale
    return {
        "event": notice.event,
        "id": alarm.id,
        "time": notice.time,
        "priority": alarm.priority,
        "scope": alarm.scope,
        "tag": alarm.tag,
        "value": value,
        "limit": (alarm.limit - tag.shift) / tag.scale,
        "direction": alarm.direction,
        "uom": tag.uom,
        "quality": notice.quality,
        "simulated": bool(notice.quality & q.SIMULATED),
        **{key: _text(alarm.texts, key, language) for key in TEXTS},
        "url": notice.url,
    }
