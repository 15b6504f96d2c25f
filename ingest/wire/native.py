"""Our own JSON: a scan, an array of scans, or columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from ingest.wire import TIME_MS_MAX, TIME_MS_MIN, Decoded, WireError, epoch_us, json_of
from twin import quality as q

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence


class Scan(msgspec.Struct):
    """All values a gateway read at one time [ms]; numbers only: the common case, decoded in C."""

    ts: int
    values: dict[str, float]
    uom: dict[str, str] | None = None
    simulated: bool = False


# A form of fewer names is not worth it; senders choose the names, so there is an end to them.
FORM_NAMES, NAMES_MAX = 8, 100_000
FIRSTS_MAX = 1_000
_SCAN = msgspec.json.Decoder(Scan)
_ENCODER = msgspec.json.Encoder()


def decode_scan(payload: bytes) -> Scan | None:
    """Return a plain scan, or None when `decode` must look at the payload."""
    scan: Scan | None = _plain(_SCAN, payload)
    return scan


def _plain(decoder: msgspec.json.Decoder[Any], payload: bytes) -> Any:
    """Return what a decoder of plain scans says; None when it is none, or has another form."""
    try:
        scan = decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return scan if scan.uom is None and TIME_MS_MIN <= scan.ts <= TIME_MS_MAX else None


class Reading(NamedTuple):
    """A plain scan: its time [ms], and of each value the name and the tag index (-1: no tag)."""

    ts: int
    simulated: bool
    names: Collection[str]
    tags: Sequence[int]
    values: Collection[float]


class _Form(NamedTuple):
    """A scan with names that are known: a struct whose fields are named like its values."""

    decoder: msgspec.json.Decoder[Any]
    names: tuple[str, ...]
    tags: list[int]


class Scans:
    """Reads plain scans of gateways that share one `index` of names.

    A gateway sends the same names every time. When they come the second time in a row, they become
    a form: decoding to it makes no texts and looks up no name, which is most of the work.
    """

    def __init__(self, index: Mapping[str, int]) -> None:
        self._index = index
        self._forms: dict[bytes, _Form] = {}  # by the first name, as it is written
        self._before: dict[bytes, int] = {}  # hash of the names
        self._room = NAMES_MAX

    def read(self, payload: bytes) -> Reading | None:
        """Return a plain scan, or None when `decode` must look at the payload."""
        begin = payload.find(b"{", 1)
        first = payload[begin : payload.find(b":", begin)]
        form = self._forms.get(first)
        scan = _plain(form.decoder, payload) if form else None
        if form and scan is not None:
            values = msgspec.structs.astuple(scan.values)
            return Reading(scan.ts, scan.simulated, form.names, form.tags, values)
        scan = decode_scan(payload)
        if scan is None:
            return None
        tags = [self._index[name] for name in scan.values]
        if FORM_NAMES <= len(tags) <= self._room:
            self._learn(first, tuple(scan.values), tags)
        return Reading(scan.ts, scan.simulated, scan.values, tags, scan.values.values())

    def _learn(self, first: bytes, names: tuple[str, ...], tags: list[int]) -> None:
        """Make a form of names that have come before."""
        known = [tag for tag in tags if tag >= 0]
        # A form takes its names in any order: of two names of one tag the last must win. Nor can it
        # have a name that is not written as it is.
        plain = not any('"' in name or "\\" in name or not name.isprintable() for name in names)
        if self._before.get(first) == hash(names) and len(set(known)) == len(known) and plain:
            self._room -= len(names)
            self._forms[first] = _Form(_form_decoder(names), names, tags)
        elif len(self._before) < FIRSTS_MAX or first in self._before:
            self._before[first] = hash(names)


def _form_decoder(names: tuple[str, ...]) -> msgspec.json.Decoder[Any]:
    """Return the decoder of scans that have exactly these names."""
    fields = {f"v{at}": name for at, name in enumerate(names)}
    values = msgspec.defstruct(
        "Values", [(field, float) for field in fields], rename=fields, forbid_unknown_fields=True
    )
    return msgspec.json.Decoder(msgspec.defstruct("Form", [("values", values)], bases=(Scan,)))


def decode(payload: bytes, _received_us: int = 0) -> Decoded:
    """Return what any of the three forms says; raises WireError for what is none of them.

    A scan, or row of columns, whose time is none costs itself; when it is alone, the payload.
    """
    document = json_of(payload)
    decoded = Decoded()
    if isinstance(document, dict) and "tag" in document:
        _columns(document, decoded)
    else:
        scans = document if isinstance(document, list) else [document]
        for scan in scans:
            if not isinstance(scan, dict) or not isinstance(scan.get("values"), dict):
                raise WireError("bad_shape", "neither {ts, values}, an array of those, nor columns")
            _scan(scan, decoded)
    if decoded.refused and not decoded.runs:
        raise WireError(*decoded.refused[0])
    return decoded


def encode(ts: int, values: dict[str, float], *, simulated: bool = False) -> bytes:
    """Return the payload of one scan."""
    return encode_scans([(ts, values)], simulated=simulated)


def encode_scans(
    scans: Sequence[tuple[int, dict[str, float]]], *, simulated: bool = False
) -> bytes:
    """Return the payload of one scan, or of an array of scans."""
    mark = {"simulated": True} if simulated else {}
    documents = [{"ts": ts, "values": values, **mark} for ts, values in scans]
    return _ENCODER.encode(documents[0] if len(documents) == 1 else documents)


def _time_us(value: Any, decoded: Decoded) -> int | None:
    """Return a time in µs from milliseconds; None after it was refused."""
    try:
        return epoch_us(value, "ms", "ts is in ms, not {}")
    except WireError as error:
        decoded.refused.append((error.reason, f"ts: {error.detail}"))
        return None


def _common(document: dict[str, Any], decoded: Decoded) -> dict[str, Any]:
    """Return the units by tag, and note whether the values are simulated; raises WireError."""
    uom = document.get("uom") or {}
    if not isinstance(uom, dict):
        raise WireError("bad_shape", "uom is not a table of tag: unit of measure")
    decoded.simulated |= document.get("simulated") is True
    return uom


def _scan(scan: dict[str, Any], decoded: Decoded) -> None:
    """Add one scan."""
    uom = _common(scan, decoded)
    time_us = _time_us(scan.get("ts"), decoded)
    if time_us is None:
        return
    before = len(decoded.names)
    for name, value in scan["values"].items():
        if isinstance(value, dict):
            words = "ours" if "q" in value else ""
            decoded.add_json(
                name, value.get("v"), uom.get(name), quality=value.get("q", q.GOOD), words=words
            )
        else:
            decoded.add_json(name, value, uom.get(name))
    decoded.end_run(before, time_us)


def _columns(document: dict[str, Any], decoded: Decoded) -> None:
    """Add a payload in columns."""
    columns = [document.get(name) for name in ("tag", "ts", "value")]
    if "quality" in document:
        columns.append(document["quality"])
    if not all(isinstance(column, list) for column in columns):
        raise WireError("bad_shape", "tag, ts, value (and quality) must be arrays")
    tags, times, values, *more = columns
    if any(len(column) != len(tags) for column in columns):  # type: ignore[arg-type]
        raise WireError("bad_shape", "tag, ts, value (and quality) differ in length")
    uom = _common(document, decoded)
    qualities = more[0] if more else [q.GOOD] * len(tags)  # type: ignore[arg-type]
    for name, time, value, quality in zip(tags, times, values, qualities, strict=True):  # type: ignore[arg-type]
        before = len(decoded.names)
        time_us = _time_us(time, decoded)
        if time_us is None:
            continue
        own = uom.get(name) if isinstance(name, str) else None
        decoded.add_json(name, value, own, quality=quality, words="ours")
        decoded.end_run(before, time_us)
