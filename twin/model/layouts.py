"""Layouts: where everything stands in the JSON of another maker, and presets of well-known ones."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from twin.model.rows import Known, cell, guess, parse_row, table
from twin.quality_vocabularies import VOCABULARIES

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
TIME_FORMATS = (*PER_SECOND, "s+ns", "iso", "any")
# From the document or an object outward or neither, keys; or the record itself.
PATH = re.compile(r"(/|(\.\./)+)?[^./][^.]*(\.[^.]+)*\Z|\.\Z")
# By which every format that is a whole date is told from one that is not.
SOME_DATE = datetime(2026, 11, 22, 15, 34, 24, tzinfo=UTC)
TOPIC_TAG, RECORD_NAME, ALTERNATIVE = "{tag}", "*", "|"
PATHS = ("records", "time", "tag", "value", "values", "quality", "uom", "error", "errors")


@table
class Layout:
    """Where everything stands in a JSON document; what is empty is absent.

    A path is keys joined by dots, from the record inward; ``/`` in front begins at the document,
    ``../`` at the object around the record; ``.`` is the record itself, a number the item of a
    list, ``*`` the only one of an object or list. `records` goes through all items of a list, and
    through all members of an object at a ``*``. Other paths may have alternatives, ``ts|time``, of
    which the first that is there counts; an empty one, ``q|``, says that a time or quality may be
    absent.

    Either `values` names an object of tag: value (with objects inside, whose names are joined by
    dots), or `value` names one value, whose tag is the topic's ``{tag}`` or the text under `tag`.
    """

    records: str = cell("text", default="")  # empty: the document, or each item of its list
    time: str = cell("text", default="")  # empty: the moment of arrival
    time_format: str = cell("text", default="ms")  # one of TIME_FORMATS, or with % as in strptime
    timezone: ZoneInfo | None = cell("zone", default=None)  # of times without an offset
    tag: str = cell("text", default="")  # ``*``: the name by which an object has the record
    after: str = cell("text", default="")  # the name is what follows the last of it
    prefix: tuple[str, ...] = cell("texts", default=())  # before the name, with a dot
    value: str = cell("text", default="")
    values: str = cell("text", default="")
    ignore: tuple[str, ...] = cell("texts", default=())  # names in `values` that are no tags
    texts: str = cell("one refuse number ignore", default="refuse")  # what texts as values are
    words: dict[str, float] = cell("each number", default_factory=dict)  # values of texts
    quality: str = cell("text", default="")
    qualities: str = cell("one " + " ".join(VOCABULARIES), default="words")
    uom: str = cell("text", default="")  # of `value`; absent: it is in the tag's own
    error: str = cell("text", default="")  # where it says anything, the value is bad
    errors: str = cell("text", default="")  # object of tag: error


PRESETS: dict[str, dict[str, Any]] = {
    "neuron-tags": {
        "records": "tags", "time": "/timestamp", "tag": "name", "value": "value", "error": "error",
    },
    "neuron-values": {"time": "timestamp", "values": "values", "errors": "errors"},
    "kepware": {
        "records": "values", "time": "t", "tag": "id", "value": "v",
        "quality": "q", "qualities": "bool",
    },
    "telegraf": {
        "time": "timestamp", "time_format": "s", "values": "fields", "texts": "ignore",
    },
    "telegraf-batch": {
        "records": "metrics", "time": "timestamp", "time_format": "s", "values": "fields",
        "texts": "ignore",
    },
    "thingsboard-gateway": {"records": "*", "prefix": "*", "time": "ts", "values": "values"},
    "thingsboard-device": {"time": "ts", "values": "values"},
    "sitewise": {
        "records": "propertyValues", "tag": "../propertyAlias", "value": "value.*",
        "time": "timestamp", "time_format": "s+ns", "quality": "quality",
    },
    "sitewise-entries": {
        "records": "entries.propertyValues", "tag": "../propertyAlias", "value": "value.*",
        "time": "timestamp", "time_format": "s+ns", "quality": "quality",
    },
    "sitewise-notification": {
        "records": "payload.values", "tag": "../propertyId", "value": "value.*",
        "time": "timestamp", "time_format": "s+ns", "quality": "quality",
    },
    "opcua-pubsub": {
        "records": "Messages.Payload.*", "tag": "*", "value": "Value",
        "time": "../../Timestamp", "time_format": "iso",
        "quality": "StatusCode", "qualities": "opcua",
    },
    "opc-publisher": {
        "tag": "NodeId", "value": "Value.Value", "time": "Value.SourceTimestamp",
        "time_format": "iso", "quality": "Value.StatusCode", "qualities": "opcua",
    },
    "umh": {"time": "timestamp_ms", "value": "value"},
    "umh-group": {"time": "timestamp_ms", "values": ".", "texts": "ignore"},
    "tasmota": {
        "time": "Time", "time_format": "iso", "values": ".", "prefix": TOPIC_TAG, "texts": "ignore",
    },
    "zigbee2mqtt": {
        "time": "last_seen|", "time_format": "any", "values": ".", "prefix": TOPIC_TAG,
        "texts": "ignore", "words": {"ON": 1, "OFF": 0},
    },
    "name-value": {
        "time": "timestamp|ts|time|t|", "time_format": "any", "tag": "name|tag|id|n",
        "value": "value|val|v", "quality": "quality|q|", "uom": "unit|uom|u|",
    },
    "flat": {
        "time": "ts|timestamp|time|Timestamp|Time|t|", "time_format": "any", "values": ".",
        "texts": "ignore",
    },
    "number": {"value": ".", "texts": "number"},
}  # fmt: skip


def parse_layout(payload: dict[str, Any] | str) -> Layout:
    """Return the layout of a table or preset; raises ValueError with all its problems."""
    changes = {"preset": payload} if isinstance(payload, str) else payload
    preset = changes.get("preset")
    if preset is not None and preset not in PRESETS:
        close = guess(preset, PRESETS) or f"; use one of {', '.join(PRESETS)}"
        raise ValueError(f"payload: there is no preset {preset!r}{close}")
    columns = PRESETS.get(preset or "", {}) | {k: v for k, v in changes.items() if k != "preset"}
    # What is empty takes a column away from the preset.
    sent = {key: value for key, value in columns.items() if value not in ("", [])}
    problems: list[str] = []
    layout = parse_row(sent, Layout, Known(), lambda _, text: problems.append(text))
    if layout is not None:
        problems += _problems(layout)
    if layout is None or problems:
        raise ValueError("payload: " + "; ".join(problems))
    return layout


def _problems(layout: Layout) -> list[str]:
    """Return the problems between the cells of a layout."""
    problems = []
    if (layout.value == "") == (layout.values == ""):
        problems.append("needs either value or values")
    paths = [(key, getattr(layout, key)) for key in PATHS]
    paths += [("prefix", path) for path in layout.prefix if path != TOPIC_TAG]
    problems += [
        f"{key}: {path!r} is not a path: keys joined by dots"
        for key, path in paths
        if path and not _is_path(path, alternatives=key != "records")
    ]
    named = RECORD_NAME in (layout.tag, *layout.prefix)
    if named and RECORD_NAME not in layout.records.split("."):
        problems.append('"*" is the name of a record where `records` has a *')
    if "%" in layout.time_format:
        problems += _format_problems(layout)
    elif layout.time_format not in TIME_FORMATS:
        known = ", ".join(TIME_FORMATS)
        problems.append(f"time_format: {layout.time_format!r} is none of {known}, and has no %")
    return problems


def _is_path(text: str, *, alternatives: bool) -> bool:
    """Return whether a text is a path, or several."""
    paths = text.rstrip(ALTERNATIVE).split(ALTERNATIVE) if alternatives else [text]
    return all(PATH.match(path) for path in paths)


def _format_problems(layout: Layout) -> list[str]:
    """Return the problems of a format of strptime."""
    form = layout.time_format
    try:
        whole = datetime.strptime(SOME_DATE.strftime(form), form).date() == SOME_DATE.date()  # noqa: DTZ007
    except (ValueError, re.error) as error:
        return [f"time_format: {error}"]
    if not whole:
        return [f"time_format: {form!r} does not say year, month and day"]
    if "%z" not in form and layout.timezone is None:
        return [f"time_format: {form!r} has no offset (%z): say the timezone"]
    return []
