"""JSON of other makers, read by the layout of a ``[[gateway]]``."""

from __future__ import annotations

import re
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from ingest.wire import (
    TIME_MS_MAX,
    TIME_MS_MIN,
    Decoded,
    WireError,
    epoch_us,
    json_of,
    whole_us,
)
from twin import quality as q
from twin.model.layouts import ALTERNATIVE, PER_SECOND, RECORD_NAME, TOPIC_TAG
from twin.quality_vocabularies import explain, quality_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from twin.model.layouts import Layout

# Objects inside of an object of values, whose names grow with each; characters of such a name.
DEPTH, NAME_CHARACTERS = 8, 1_000
NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\Z")
# What an object may call its seconds since 1970, and the nanoseconds beyond.
SECONDS = ("timeInSeconds", "seconds", "sec", "secs")
NANOSECONDS = ("offsetInNanos", "nanos", "nanosec", "nsec")
ABSENT = object()
# How senders write that there is no error.
NO_ERROR = {"", "0", "0x0", "ok", "none", "no error", "good", "success", "false", "null"}
DECLARE = 'time_format = "{}"'


class Record(NamedTuple):
    """A part of a document that has values of one time."""

    content: Any
    above: tuple[Any, ...]  # the objects around it, the document first
    name: str  # by which the last of them with any names has it


class Path(NamedTuple):
    """Where something stands, seen from a record."""

    outward: int  # how many objects; -1: begin at the document itself
    keys: tuple[str, ...]


def decode(
    layout: Layout,
    payload: bytes,
    received_us: int,
    *,
    tag: str = "",
    in_words: bool = False,
    others: frozenset[str] = frozenset(),
) -> Decoded:
    """Return what a document says, on demand with its qualities `in_words`.

    A name about one of the enterprises `others` is not cut `after` anything.

    Raises WireError when it is none or has no record. A record that does not fit costs only itself,
    unless all are so.
    """
    decoded = Decoded(wording={} if in_words else None, others=others)
    failed: list[WireError] = []
    skipped = _skipped(layout) if layout.values else frozenset()
    records = _records(_document(layout, payload), layout.records, failed)
    for record in records:
        before = len(decoded.names)
        try:
            time_us = _time_us(layout, record, received_us)
            if layout.value:
                _add_value(decoded, layout, record, tag)
            else:
                _add_values(decoded, layout, record, tag, skipped)
            decoded.end_run(before, time_us)
        except WireError as error:
            failed.append(error)
    if failed and not decoded.runs:
        raise failed[0]
    decoded.refused += [(error.reason, error.detail) for error in failed]
    return decoded


def _document(layout: Layout, payload: bytes) -> Any:
    """Return the document; a value that stands alone may be a bare text."""
    try:
        return json_of(payload)
    except WireError:
        if layout.value != "." or layout.records:
            raise
        return payload.decode(errors="replace").strip()


def _records(document: Any, path: str, failed: list[WireError]) -> list[Record]:
    """Return the records of a document; adds to `failed` what has none of them."""
    records = _items(Record(document, (), ""))
    for key in path.split(".") if path else ():
        inner: list[Record] = []
        for record in records:
            content, above, name = record
            if key == RECORD_NAME and isinstance(content, dict):
                inner += [Record(each, (*above, content), own) for own, each in content.items()]
            elif isinstance(content, dict) and key in content:
                inner.append(Record(content[key], (*above, content), name))
            else:
                failed.append(WireError("bad_shape", f"there is no {path!r} in the document"))
        records = [each for record in inner for each in _items(record)]
    return records


def _items(record: Record) -> list[Record]:
    """Return a record, or those of the list it is."""
    if not isinstance(record.content, list):
        return [record]
    return [Record(each, record.above, record.name) for each in record.content]


@lru_cache
def _paths(text: str) -> tuple[Path, ...]:
    """Return the paths that are written as alternatives; the one of nothing is left out."""
    return tuple(map(_path, filter(None, text.split(ALTERNATIVE))))


def _path(text: str) -> Path:
    """Return a path as it is written."""
    if text == ".":
        return Path(0, ())
    if text.startswith("/"):
        return Path(-1, tuple(text[1:].split(".")))
    outward = 0
    while text.startswith("../"):
        outward, text = outward + 1, text[3:]
    return Path(outward, tuple(text.split(".")))


def _at(record: Record, text: str) -> Any:
    """Return what stands at a path; raises WireError."""
    value = _seek(record, text)
    if value is ABSENT:
        raise WireError("bad_shape", f"there is no {text!r} in the document")
    return value


def _seek(record: Record, text: str) -> Any:
    """Return what stands at a path, the first of its alternatives, or ABSENT."""
    content = record.content
    for outward, keys in _paths(text):
        if not outward and len(keys) == 1 and isinstance(content, dict) and keys[0] in content:
            return content[keys[0]]  # The usual case.
        value = _inside(record, outward, keys)
        if value is not ABSENT:
            return value
    return ABSENT


def _inside(record: Record, outward: int, keys: tuple[str, ...]) -> Any:
    """Return what stands at a path, or ABSENT."""
    content, above, _ = record
    if outward > len(above):
        return ABSENT
    if outward:
        content = above[-outward] if outward > 0 else (*above, content)[0]
    for key in keys:
        if isinstance(content, dict) and key in content:
            content = content[key]
        elif isinstance(content, dict | list) and key == "*" and len(content) == 1:
            (content,) = content.values() if isinstance(content, dict) else content
        elif isinstance(content, list) and key.isdecimal() and int(key) < len(content):
            content = content[int(key)]
        else:
            return ABSENT
    return content


def _add_value(decoded: Decoded, layout: Layout, record: Record, tag: str) -> None:
    """Add the one value of a record; raises WireError when it has none."""
    prefix = _prefix(layout, record, tag) if layout.prefix else ""
    name = _text_at(record, layout.tag, tag) if layout.tag else tag
    value = _seek(record, layout.value)
    quality = _quality(decoded, layout, record) if layout.quality else q.GOOD
    if layout.error and _is_error(_seek(record, layout.error)):
        value, quality = None if value is ABSENT else value, q.BAD | q.FAULT
    if value is ABSENT:
        raise WireError("bad_shape", f"{name:.80}: there is no {layout.value!r}")
    uom = _seek(record, layout.uom) if layout.uom else None
    if quality is not None:
        _add(decoded, layout, prefix, name, value, quality, uom if isinstance(uom, str) else None)


def _add_values(
    decoded: Decoded, layout: Layout, record: Record, tag: str, skipped: frozenset[str]
) -> None:
    """Add the values of a record; raises WireError when it has no object of them."""
    prefix = _prefix(layout, record, tag)
    quality = _quality(decoded, layout, record) if layout.quality else q.GOOD
    values = _at(record, layout.values)
    if not isinstance(values, dict):
        raise WireError("bad_shape", f"{layout.values!r} is not an object of tag: value")
    if quality is None:
        return
    errors = _seek(record, layout.errors) if layout.errors else ABSENT
    for name, value in _leaves(decoded, values, skipped):
        _add(decoded, layout, prefix, name, value, quality)
    if isinstance(errors, dict):
        for name, failure in errors.items():
            if _is_error(failure):
                _add(decoded, layout, prefix, name, None, q.BAD | q.FAULT)


def _skipped(layout: Layout) -> frozenset[str]:
    """Return the names in an object of values that are none: of a record, its time and so on."""
    cells = layout.time, layout.tag, layout.quality, layout.errors, *layout.prefix
    paths = [path for each in cells for path in each.split(ALTERNATIVE)]
    own = [path for path in paths if path[:1] not in "/."] if layout.values == "." else []
    return frozenset(layout.ignore) | {path.partition(".")[0] for path in own}


def _prefix(layout: Layout, record: Record, tag: str) -> str:
    """Return what stands before the names of a record; raises WireError."""
    return "".join(f"{_text_at(record, path, tag)}." for path in layout.prefix)


def _leaves(
    decoded: Decoded, values: dict[str, Any], skipped: frozenset[str]
) -> Iterator[tuple[str, Any]]:
    """Yield names and values; names of objects inside are joined by dots."""
    waiting = [("", values, 0)]
    while waiting:
        before, content, depth = waiting.pop()
        for own, value in content.items():
            name = before + own
            if name in skipped:
                continue
            if not isinstance(value, dict):
                yield name, value
            elif depth < DEPTH and len(name) < NAME_CHARACTERS:
                waiting.append((f"{name}.", value, depth + 1))
            else:
                detail = f"{name:.80}: more than {DEPTH} objects inside each other, or long names"
                decoded.refused.append(("bad_shape", detail))


def _is_error(sent: Any) -> bool:
    """Return whether a code or text says that something is wrong."""
    return sent is not ABSENT and str(sent or "").strip().casefold() not in NO_ERROR


def _text_at(record: Record, path: str, tag: str) -> str:
    """Return a name: of the topic, of a record, or the text at a path; raises WireError."""
    if path == TOPIC_TAG:
        return tag
    name = record.name if path == RECORD_NAME else _at(record, path)
    if isinstance(name, str) and len(name) <= NAME_CHARACTERS:
        return name
    if isinstance(name, int) and not isinstance(name, bool):
        return str(name)
    raise WireError("bad_name", f"a tag name is not a short text: {name!r:.80}")


def _quality(decoded: Decoded, layout: Layout, record: Record) -> int | None:
    """Return the quality of a record in our code; None after it was refused."""
    sent = _seek(record, layout.quality)
    # In OPC UA it is left out when it is good (Part 6, section 5.4.2.18).
    if sent is ABSENT and (layout.qualities == "opcua" or layout.quality.endswith(ALTERNATIVE)):
        return q.GOOD
    code = quality_of(layout.qualities, None if sent is ABSENT else sent)
    if code is None:
        text = "there is none" if sent is ABSENT else explain(layout.qualities, sent)
        decoded.refused.append(("bad_quality", f"{layout.quality}: {text}"))
    elif decoded.wording is not None:
        decoded.wording[len(decoded.names)] = explain(layout.qualities, sent)
    return code


def _add(
    decoded: Decoded,
    layout: Layout,
    prefix: str,
    name: str,
    value: Any,
    quality: int,
    uom: str | None = None,
) -> None:
    """Add one value, by what the layout makes of texts, or refuse it alone."""
    if isinstance(value, str):
        text = value.strip()
        if text in layout.words:
            value = layout.words[text]
        elif layout.texts == "ignore":
            return
        elif layout.texts == "number" and NUMBER.match(text):
            value = float(text)
    elif isinstance(value, list) and layout.texts == "ignore":
        return
    name = decoded.cut(name, name.rpartition(layout.after)[2]) if layout.after else name
    if name and value is None and quality >= q.BAD:
        decoded.add(prefix + name, None, quality)
    else:
        decoded.add_json(prefix + name if name else None, value, uom, quality=quality)


def _time_us(layout: Layout, record: Record, received_us: int) -> int:
    """Return the time of a record [µs]; raises WireError."""
    if not layout.time:
        return received_us
    sent, form = _seek(record, layout.time), layout.time_format
    if sent is ABSENT:
        if layout.time.endswith(ALTERNATIVE):
            return received_us
        raise WireError("bad_shape", f"there is no {layout.time!r} in the document")
    if form in PER_SECOND and not isinstance(sent, str):
        return epoch_us(sent, form, DECLARE)
    if form == "any":
        form = next((unit for unit in PER_SECOND if _is_time(sent, unit)), "iso")
    if form == "s+ns":
        return _two_part_us(sent)
    if form == "iso" or "%" in form:
        return _clock_us(layout, form, sent, received_us)
    if layout.texts == "number" and isinstance(sent, str) and NUMBER.match(sent.strip()):
        sent = float(sent)
    return epoch_us(sent, form, DECLARE)


def _two_part_us(sent: Any) -> int:
    """Return the time of an object of seconds and nanoseconds; raises WireError."""
    content = sent if isinstance(sent, dict) else {}
    seconds = next((content[key] for key in SECONDS if key in content), None)
    nanoseconds = next((content[key] for key in NANOSECONDS if key in content), 0)
    if not isinstance(nanoseconds, int) or not 0 <= nanoseconds < PER_SECOND["ns"]:
        raise WireError("bad_time", f"{sent!r:.80} has no nanoseconds from 0 to 999,999,999")
    return epoch_us(seconds, "s", "it is to be in s, not {}") + nanoseconds // 1000


def _is_time(sent: Any, unit: str) -> bool:
    """Return whether a number is a time from 1971 to 2200 in a unit: it is so in one at most."""
    if isinstance(sent, bool) or not isinstance(sent, int | float):
        return False
    return TIME_MS_MIN <= sent * 1000 / PER_SECOND[unit] <= TIME_MS_MAX


def _clock_us(layout: Layout, form: str, sent: Any, received_us: int) -> int:
    """Return the time of a text; raises WireError."""
    zone = layout.timezone
    if not isinstance(sent, str):
        others = "s, ms, us or ns, nor in " if layout.time_format == "any" else ""
        raise WireError("bad_time", f"{sent!r:.80} is not a time in {others}{form}")
    try:
        if form == "iso":
            moment = datetime.fromisoformat(sent.strip())
        else:
            moment = datetime.strptime(sent.strip(), form)  # noqa: DTZ007
        if moment.tzinfo is None:
            if zone is None:
                raise ValueError("a time without offset: say the timezone")  # noqa: TRY301
            # Of an hour that the clock shows twice, the one nearer to the arrival.
            both = [moment.replace(tzinfo=zone, fold=fold).timestamp() for fold in (0, 1)]
            time_us = min(both, key=lambda s: abs(s * 1e6 - received_us)) * 1e6
        else:
            time_us = moment.timestamp() * 1e6
    except (ValueError, OverflowError) as error:
        detail = f"{sent!r:.80} is not a time in {form}: {error!s:.80}"
        raise WireError("bad_time", detail) from error
    return whole_us(time_us, sent)
