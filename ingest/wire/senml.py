"""SenML packs in JSON and CBOR (RFC 8428), with the secondary units of RFC 8798.

A record is the value of the tag that the last part of its resolved name says, after any ``/`` and
``:``. A unit that the registry does not know is refused with its record; a record without a unit is
in the unit of the tag.
"""

from __future__ import annotations

import math
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import cbor2
import msgspec

from ingest.wire import TIME_MS_MAX, VALUE_MAX, Decoded, WireError, json_of

if TYPE_CHECKING:
    from collections.abc import Sequence

VERSION = 10
# Times below 2**28 seconds count from now; the others from 1970 (RFC 8428 §4.5.3).
RELATIVE_S = 268_435_456.0
LABELS = {
    -1: "bver", -2: "bn", -3: "bt", -4: "bu", -5: "bv", -6: "bs",
    0: "n", 1: "u", 2: "v", 3: "vs", 4: "vb", 5: "s", 6: "t", 7: "ut", 8: "vd",
}  # fmt: skip
# The names of the registry that differ from ours, by what pint calls them.
UOM = {
    "g": "g", "cd": "cd", "Cel": "degC", "Ohm": "ohm", "m2": "m^2", "m3": "m^3", "l": "L",
    "m/s2": "m/s^2", "m3/s": "m^3/s", "l/s": "L/s", "W/m2": "W/m^2", "kg/m3": "kg/m^3",
    "count": "", "/": "", "%": "%", "%RH": "%", "%EL": "%", "pH": "", "VAs": "V*A*s",
    "VA": "V*A", "VAh": "V*A*hour", "kVA": "kV*A", "kVAh": "kV*A*hour", "var": "V*A",
    "vars": "V*A*s", "kvar": "kV*A", "varh": "V*A*hour", "kvarh": "kV*A*hour",
    "h": "hour", "min": "minute", "m/h": "m/hour", "mm/h": "mm/hour", "km/h": "km/hour",
    "Ah": "A*hour", "Wh": "W*hour", "kWh": "kW*hour", "1/min": "1/minute", "deg": "degree",
    "/100": "%", "/1000": "permille", "ppm": "ppm", "ug/m3": "ug/m^3", "mg/l": "mg/L",
    "ug/l": "ug/L", "g/l": "g/L",
}  # fmt: skip
SAME = frozenset({
    "m", "kg", "s", "A", "K", "mol", "Hz", "rad", "sr", "N", "Pa", "J", "W", "C", "V", "F", "S",
    "Wb", "T", "H", "lm", "lx", "Bq", "Gy", "Sv", "kat", "m/s", "1/s", "S/m", "J/m",
    "ms", "MHz", "kW", "mV", "mA", "hPa", "mm", "cm", "km",
})  # fmt: skip


def decode(payload: bytes, received_us: int) -> Decoded:
    """Return what a pack says; its relative times count from `received_us`.

    Raises
    ------
    WireError
        Neither a JSON nor a CBOR array of records, or a version that is not known.
    """
    decoded = Decoded()
    base: dict[str, Any] = {"bn": "", "bt": 0.0, "bu": "", "bv": 0.0, "bs": 0.0}
    for record in _records(payload):
        if not isinstance(record, dict):
            raise WireError("bad_shape", "a SenML pack is an array of records")
        fields = {LABELS.get(k, k) if isinstance(k, int) else k: v for k, v in record.items()}
        version = _number(fields.get("bver", VERSION))
        if version is None or version > VERSION:
            raise WireError("bad_version", f"SenML version {version}, at most {VERSION}")
        base |= {key: fields[key] for key in base if key in fields}
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
    number = {name: label for label, name in LABELS.items()}
    return cbor2.dumps([{number[k]: v for k, v in record.items()} for record in records])


def _records(payload: bytes) -> list[Any]:
    """Return the records of a pack: JSON begins with a bracket, CBOR with an array's major type."""
    if payload[:1] in (b"", b"[", b" ", b"\t", b"\r", b"\n"):
        records = json_of(payload)
    else:
        try:
            records = cbor2.loads(payload)
        except (cbor2.CBORDecodeError, RecursionError, MemoryError, OverflowError,
                ValueError) as error:  # fmt: skip
            raise WireError("bad_cbor", str(error)) from error
    if not isinstance(records, list):
        raise WireError("bad_shape", "a SenML pack is an array of records")
    return records


def _number(value: Any) -> float | None:
    """Return a finite number, else None; CBOR may send decimal fractions."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    # A whole number may be longer than any float.
    number = value if isinstance(value, int) else float(value)
    return float(number) if -VALUE_MAX < number < VALUE_MAX else math.inf


def _record(
    decoded: Decoded, record: dict[Any, Any], base: dict[str, Any], received_us: int
) -> None:
    """Add the values of one record, or refuse it alone."""
    name = f"{base['bn']}{record.get('n', '')}"
    unknown = [k for k in record if isinstance(k, str) and k.endswith("_")]
    if unknown:
        decoded.refused.append(("must_understand", f"{name!r:.80}: field {unknown[0]!r:.40}"))
        return
    keys = [key for key in ("v", "vb", "vs", "vd", "s") if key in record]
    if not keys:
        return  # A record of base fields only.
    time_us = _time_us(base["bt"], record.get("t", 0), received_us)
    tag = name.rstrip("/:").rpartition("/")[2].rpartition(":")[2]
    if time_us is None or not tag:
        what = "time" if tag else "name"
        decoded.refused.append((f"bad_{what}", f"{name!r:.80} has no {what}"))
        return
    before = len(decoded.names)
    for key in keys:
        if key in ("vs", "vd"):
            decoded.refused.append(("wrong_type", f"{name!r:.80}: text or data, not a number"))
            continue
        start = {"v": base["bv"], "s": base["bs"]}.get(key, 0.0)
        raw = record[key]
        value = float(raw) if key == "vb" and isinstance(raw, bool) else _number(raw)
        offset = _number(start)
        if value is None or offset is None:
            decoded.refused.append(("wrong_type", f"{name!r:.80}: not a number: {raw!r:.80}"))
            continue
        # With a value beside it the sum is a series of its own.
        own = f"{tag}.sum" if key == "s" and len(keys) > 1 else tag
        _unit(decoded, str(record.get("u", base["bu"])), own, value + offset)
    if len(decoded.names) > before:
        decoded.end_run(before, time_us)


def _unit(decoded: Decoded, unit: str, tag: str, value: float) -> None:
    """Add a value in a unit of the registry; without one it is in the tag's own."""
    uom = unit if unit in SAME else UOM.get(unit)
    if unit and uom is None:
        decoded.refused.append(("wrong_uom", f"{tag}: {unit!r:.40} is not a SenML unit"))
    else:
        decoded.add(tag, value, uom=uom)


def _time_us(base: Any, own: Any, received_us: int) -> int | None:
    """Return the resolved time, None for one that is none."""
    parts = _number(base), _number(own)
    if parts[0] is None or parts[1] is None:
        return None
    seconds = parts[0] + parts[1]
    if abs(seconds) < RELATIVE_S:
        return received_us + round(seconds * 1e6)
    if not 0 <= seconds <= TIME_MS_MAX / 1000:
        return None
    return round(seconds * 1e6)
