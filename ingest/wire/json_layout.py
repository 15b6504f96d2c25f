"""JSON of other makers, read by the layout of a ``[[gateway]]``."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from ingest.wire import Decoded, WireError, json_of, whole_us
from twin import quality as q
from twin.model.gateways import PER_SECOND, Layout


def decode(layout: Layout, payload: bytes, received_us: int, *, tag: str = "") -> Decoded:
    """Return what a document says; raises WireError when it is none or a key is missing."""
    document = json_of(payload)
    records = _inside(document, layout.records) if layout.records else document
    decoded = Decoded()
    for record in records if isinstance(records, list) else [records]:
        time_us = received_us
        if layout.time:
            time_us = _time_us(_inside(record, layout.time), layout.time_format)
        before = len(decoded.names)
        if layout.values:
            values = _inside(record, layout.values)
            if not isinstance(values, dict):
                raise WireError("bad_shape", f"{layout.values!r} is not an object of tag: value")
            for name, value in values.items():
                decoded.add_json(str(name) or None, value)
        else:
            name = _inside(record, layout.tag) if layout.tag else tag
            quality = _inside(record, layout.quality) if layout.quality else q.GOOD
            words = layout.qualities if layout.quality else ""
            value = _inside(record, layout.value)
            decoded.add_json(name or None, value, quality=quality, words=words)
        decoded.end_run(before, time_us)
    return decoded


def _inside(document: Any, keys: str) -> Any:
    """Return what stands under some keys; raises WireError."""
    for key in keys.split("."):
        if not isinstance(document, dict) or key not in document:
            raise WireError("bad_shape", f"there is no {keys!r} in the document")
        document = document[key]
    return document


def _time_us(value: Any, form: str) -> int:
    """Return a time in µs; raises WireError."""
    try:
        if form == "iso":
            moment = datetime.fromisoformat(value)
            if moment.tzinfo is None:
                raise ValueError("a time without offset")  # noqa: TRY301
            time_us = moment.timestamp() * 1e6
        elif isinstance(value, bool):
            raise TypeError("a truth value")  # noqa: TRY301
        else:
            time_us = value * 1_000_000 / PER_SECOND[form]
    except (ValueError, TypeError, OverflowError) as error:
        raise WireError("bad_time", f"{value!r:.80} is not a time in {form}") from error
    return whole_us(time_us, value)
