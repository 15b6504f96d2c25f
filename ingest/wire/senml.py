"""SenML packs in JSON and CBOR (RFC 8428), with secondary units (RFC 8798) and features (RFC 9100).

A record is the value of the tag that the last part of its resolved name says, after any ``/`` and
``:``. A unit that the registry does not know, or that measures none of our quantities, is refused
with its record; a record without a unit is in the unit of the tag.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import cbor2
import msgspec

from ingest.wire import TIME_MS_MAX, VALUE_MAX, Decoded, WireError, json_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

VERSION = 10
# A later version is a set of features, a bit for each; we have those of 10 and secondary units.
FEATURES = VERSION | 1 << 4
# Times below 2**28 seconds count from now; the others from 1970 (RFC 8428 §4.5.3).
RELATIVE_S = 268_435_456.0
# A pack of nothing but brackets, or a name that each record repeats, would cost more than its size.
RECORDS_MAX = 20_000
NAME_CHARACTERS = 400
DEPTH_MAX = 16
BITS_MAX = 1024  # of a whole number that is part of another one: no float is longer
LABELS = {
    -1: "bver", -2: "bn", -3: "bt", -4: "bu", -5: "bv", -6: "bs",
    0: "n", 1: "u", 2: "v", 3: "vs", 4: "vb", 5: "s", 6: "t", 7: "ut", 8: "vd",
    -16: "bs",  # as KPN's library writes it; the standard has no use for the number
}  # fmt: skip
PLAIN = frozenset({"n", "u", "v", "vs", "vb", "s", "t", "ut", "vd"})
VALUES = ("v", "vb", "vs", "vd", "s")
# The units of the registry that differ from ours, by what pint calls them.
UOM = {
    "g": "g", "Cel": "degC", "m2": "m^2", "m3": "m^3", "l": "L", "m3/s": "m^3/s", "l/s": "L/s",
    "kg/m3": "kg/m^3", "count": "", "/": "", "%": "%", "%RH": "%", "%EL": "%", "EL": "s",
    "pH": "", "1/min": "1/minute", "beat/min": "1/minute", "beats": "", "h": "hour",
    "min": "minute", "m/h": "m/hour", "mm/h": "mm/hour", "km/h": "km/hour", "Wh": "W*hour",
    "kWh": "kW*hour", "vars": "var*s", "ug/m3": "ug/m^3", "mg/l": "mg/L", "ug/l": "ug/L",
    "g/l": "g/L", "/100": "%", "/1000": "permille", "ppb": "permille*ppm", "ppt": "ppm*ppm",
    "//": "",  # as KPN's library writes a ratio
}  # fmt: skip
SAME = frozenset({
    "m", "kg", "s", "A", "K", "Hz", "Pa", "J", "W", "V", "Bq", "m/s", "1/s", "VA", "var", "ms",
    "MHz", "kW", "kVA", "kvar", "varh", "kvarh", "mV", "mA", "ppm", "hPa", "mm", "cm", "km",
})  # fmt: skip
# The others: angles, light, charge, magnetism, radiation, logarithms, data, places, and more.
NO_QUANTITY = frozenset({
    "cd", "mol", "rad", "sr", "deg", "N", "C", "F", "Ohm", "S", "Wb", "T", "H", "lm", "lx", "Gy",
    "Sv", "kat", "m/s2", "W/m2", "cd/m2", "bit", "bit/s", "lat", "lon", "dB", "dBW", "Bspl", "S/m",
    "B", "VAs", "J/m", "NTU", "Ah", "kVAh", "VAh", "Wh/km", "KiB", "GB", "Mbit/s", "B/s", "MB/s",
    "dBm",
})  # fmt: skip


@dataclass(slots=True)
class _Base:
    """What the base fields so far say of the records that follow; NaN is a number that is none."""

    name: Any = ""
    time: float = 0.0
    unit: Any = ""
    value: float = 0.0
    sum: float = 0.0

    def take(self, fields: dict[Any, Any]) -> None:
        """Take the base fields of a record; raises WireError when its pack cannot be read."""
        version = _number(fields.get("bver", VERSION))
        if not _is_known(version):
            raise WireError("bad_version", f"SenML version {version}, we know {VERSION} and 26")
        strange = [key for key in fields if isinstance(key, str) and key.endswith("_")]
        if strange:
            raise WireError("must_understand", f"field {strange[0][:NAME_CHARACTERS]!r:.80}")
        self.name, self.unit = fields.get("bn", self.name), fields.get("bu", self.unit)
        self.time = _number(fields.get("bt", self.time))
        self.value = _number(fields.get("bv", self.value))
        self.sum = _number(fields.get("bs", self.sum))


def decode(payload: bytes, received_us: int, *, others: frozenset[str] = frozenset()) -> Decoded:
    """Return what a pack says; its relative times count from `received_us`.

    A name about one of the enterprises `others` stays whole, which is no name of a tag.

    Raises
    ------
    WireError
        Neither a JSON nor a CBOR array of records, too many of them, a version that is not known,
        or a field that must be understood and is not.
    """
    decoded, base = Decoded(others=others), _Base()
    records = _records(payload)
    if len(records) > RECORDS_MAX:
        raise WireError("too_large", f"{len(records)} records, at most {RECORDS_MAX}")
    for record in records:
        if not isinstance(record, dict):
            raise WireError("bad_shape", "a SenML pack is an array of records")
        fields = {LABELS.get(k, k): v for k, v in record.items()}
        if not fields.keys() <= PLAIN:
            base.take(fields)
        _record(decoded, fields, base, received_us)
    return decoded


def encode_scans(
    scans: Sequence[tuple[int, dict[str, float]]], *, base_name: str = "", cbor: bool = False
) -> bytes:
    """Return the pack of scans of some times [µs]: the first record of each has its time."""
    records: list[dict[str, Any]] = []
    for time_us, values in scans:
        scan: list[dict[str, Any]] = [{"n": name, "v": v} for name, v in values.items()]
        if scan:
            scan[0] = {"bt": time_us / 1e6} | scan[0]
        records += scan
    if records and base_name:
        records[0] = {"bn": base_name} | records[0]
    if not cbor:
        return msgspec.json.encode(records)
    number = {name: label for label, name in LABELS.items() if label > -16}
    return cbor2.dumps([{number[k]: v for k, v in record.items()} for record in records])


def _records(payload: bytes) -> list[Any]:
    """Return the records of a pack: JSON begins with a bracket, CBOR with an array or its tag."""
    payload = payload.removeprefix(b"\xef\xbb\xbf")
    if payload[:1] in (b"", b"[", b"{", b" ", b"\t", b"\r", b"\n"):
        records = json_of(payload)
    else:
        try:
            records = cbor2.loads(payload, semantic_decoders=TAGS, max_depth=DEPTH_MAX)
        except (cbor2.CBORDecodeError, RecursionError, MemoryError, OverflowError,
                ValueError) as error:  # fmt: skip
            raise WireError("bad_cbor", str(error)) from error
        if isinstance(records, cbor2.CBORTag) and isinstance(records.value, tuple):
            # A tag of a content format (RFC 9277).
            records = [dict(r) if isinstance(r, Mapping) else r for r in records.value]
    if not isinstance(records, list):
        raise WireError("bad_shape", "a SenML pack is an array of records")
    return records


def _is_known(version: float) -> bool:
    """Return whether a pack of this version has no feature that we lack (RFC 9100 §2)."""
    return version <= VERSION or (
        version <= FEATURES and version.is_integer() and not int(version) & ~FEATURES
    )


def _nothing(_value: Any, _: object) -> None:
    """Return nothing for a tag that is no number, and might be dear to decode."""


def _itself(value: Any, _: object) -> Any:
    """Return what a tag stands before."""
    return value


def _date(value: Any, _: object) -> float | None:
    """Return a date and time in words as the number it stands for [s]."""
    try:
        time = datetime.fromisoformat(value)
        return time.timestamp() if time.tzinfo else None
    except (TypeError, ValueError, OverflowError):
        return None


def _of_pair(number: Callable[[int, int], float]) -> Callable[[Any, bool], float | None]:
    """Return the decoder of a tag whose number comes as two whole ones."""

    def decode_pair(value: Any, _: object) -> float | None:
        is_pair = isinstance(value, list | tuple) and len(value) == 2
        if not is_pair or any(type(n) is not int or n.bit_length() > BITS_MAX for n in value):
            return None
        try:
            return number(*value)
        except OverflowError:
            return math.inf
        except ZeroDivisionError:
            return None

    return decode_pair


# The tags of CBOR that the library would make objects of. Dates are the numbers they stand before;
# what is neither a number nor around a pack is nothing.
TAGS = {
    **dict.fromkeys(
        (25, 28, 29, 35, 36, 37, 52, 54, 100, 256, 258, 260, 261, 1004, 43000), _nothing
    ),
    0: _date, 1: _itself, 55799: _itself,
    4: _of_pair(lambda exponent, mantissa: float(f"{mantissa}e{exponent}")),
    5: _of_pair(lambda exponent, mantissa: math.ldexp(mantissa, exponent)),
    30: _of_pair(lambda above, below: above / below),
}  # fmt: skip


def _number(value: Any) -> float:
    """Return a number; NaN for what is none, and infinity for one that is too large."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return math.nan
    return float(value) if -VALUE_MAX < value < VALUE_MAX else math.inf


def _record(decoded: Decoded, record: dict[Any, Any], base: _Base, received_us: int) -> None:
    """Add the values of one record, or refuse it alone."""
    keys = [key for key in VALUES if key in record]
    if not keys:
        return  # A record of base fields only.
    try:
        name = _name(decoded, base.name, record.get("n", ""))
        time_us = _time_us(base.time, record.get("t", 0), received_us, name)
        uom = _uom(record.get("u", base.unit), name)
    except WireError as error:
        decoded.refused.append((error.reason, error.detail))
        return
    before = len(decoded.names)
    wrong = ""
    for key in keys:
        raw = record[key]
        if key in ("vs", "vd"):
            wrong = wrong or f"{name}: text or data, not a number"
            continue
        start = base.value if key == "v" else base.sum if key == "s" else 0.0
        value = start + (float(raw) if key == "vb" and isinstance(raw, bool) else _number(raw))
        if math.isnan(value):
            wrong = wrong or f"{name}: not a number: {raw!r:.80}"
            continue
        if key == "s":
            # With a value beside it the sum is a series of its own.
            decoded.add(f"{name}.sum" if len(keys) > 1 else name, value, uom=_integral(uom))
        else:
            decoded.add(name, value, uom=uom)
    if len(decoded.names) > before:
        decoded.end_run(before, time_us)
    if wrong:
        decoded.refused.append(("wrong_type", wrong))


def _name(decoded: Decoded, base: Any, own: Any) -> str:
    """Return the tag that a resolved name says; raises WireError."""
    if not (isinstance(base, str) and isinstance(own, str)):
        raise WireError("bad_name", "a name is not a text")
    if len(base) + len(own) > NAME_CHARACTERS:
        raise WireError("bad_name", f"{(base + own)[:60]!r}… has over {NAME_CHARACTERS} characters")
    name = f"{base}{own}".rstrip("/:")
    tag = name.rpartition("/")[2].rpartition(":")[2]
    if not tag:
        raise WireError("bad_name", f"{base + own!r:.80} has no name")
    return decoded.cut(name, tag)


def _uom(unit: Any, tag: str) -> str | None:
    """Return our name of a unit, None for the tag's own; raises WireError."""
    if unit == "":
        return None
    if not isinstance(unit, str) or len(unit) > NAME_CHARACTERS:
        raise WireError("wrong_uom", f"{tag}: a unit is not a text, or a long one")
    if unit in NO_QUANTITY:
        raise WireError("wrong_uom", f"{tag}: no quantity of ours has the unit {unit!r}")
    uom = unit if unit in SAME else UOM.get(unit)
    if uom is None:
        raise WireError("wrong_uom", f"{tag}: {unit!r:.40} is not a SenML unit")
    return uom


def _integral(uom: str | None) -> str | None:
    """Return the unit of a sum, which is an integral over time: unit times seconds (§4.2)."""
    return uom if uom is None else f"{uom}*s" if uom else "s"


def _time_us(base: float, own: Any, received_us: int, tag: str) -> int:
    """Return the resolved time; raises WireError for one that is none."""
    seconds = base + _number(own)
    if abs(seconds) < RELATIVE_S:
        return received_us + round(seconds * 1e6)
    if not 0 <= seconds <= TIME_MS_MAX / 1000:
        raise WireError("bad_time", f"{tag}: its time is none from 1970 to 2200")
    return round(seconds * 1e6)
