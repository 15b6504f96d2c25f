"""Sparkplug B payloads (Eclipse Sparkplug 3.0, chapter 6): bytes to metrics and back.

A payload alone does not say what it means: aliases and datatypes were told in a BIRTH. What is
remembered of those is in `ingest.routing.sparkplug_session`.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from enum import IntEnum
from importlib.resources import files
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.message import DecodeError, EncodeError
from google.protobuf.message_factory import GetMessages

from ingest.wire import WireError, json_of
from twin import quality as q
from twin.model.gateways import SPARKPLUG

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

NAMESPACE = SPARKPLUG
BD_SEQ = "bdSeq"
REBIRTH = "Node Control/Rebirth"
# Metrics with these names belong to the protocol.
CONTROL = ("Node Control/", "Device Control/", "Node Info/", "Properties/")
QUALITY = b"Quality"
# Eclipse Tahu packs a whole payload into the body of another one, and says how in a metric.
COMPRESSED = b"SPBV1.0_COMPRESSED"
ALGORITHM, ALGORITHMS = b"algorithm", (b"GZIP", b"DEFLATE")
# Of a payload, unpacked, unless the settings say otherwise; a metric may be as short as two bytes.
PAYLOAD_BYTES = 256 << 10
METRICS_MAX = 20_000
# The only codes there are (chapter 6, "Quality Codes"): bad, good, stale.
QUALITIES = {0: q.BAD, 192: q.GOOD, 500: q.UNCERTAIN | q.STALE}


class DataType(IntEnum):
    """The datatypes that are numbers, and some that are not."""

    INT8 = 1
    INT16 = 2
    INT32 = 3
    INT64 = 4
    UINT8 = 5
    UINT16 = 6
    UINT32 = 7
    UINT64 = 8
    FLOAT = 9
    DOUBLE = 10
    BOOLEAN = 11
    STRING = 12
    DATETIME = 13
    DATASET = 16
    BYTES = 17
    TEMPLATE = 19
    FLOAT_ARRAY = 30


NUMBERS = frozenset(range(DataType.INT8, DataType.BOOLEAN + 1))
BITS: dict[int, int] = {
    DataType.INT8: 8,
    DataType.INT16: 16,
    DataType.INT32: 32,
    DataType.INT64: 64,
}
LONG = (DataType.INT64, DataType.UINT64, DataType.DATETIME)
FIELDS = {
    DataType.FLOAT: "float_value", DataType.DOUBLE: "double_value",
    DataType.BOOLEAN: "boolean_value", DataType.STRING: "string_value",
    DataType.DATASET: "dataset_value", DataType.BYTES: "bytes_value",
    DataType.FLOAT_ARRAY: "bytes_value",
}  # fmt: skip


_PROTO = FileDescriptorSet.FromString(files("ingest.wire").joinpath("sparkplug.desc").read_bytes())
_Message: Any = GetMessages(_PROTO.file)["parktwin.sparkplug.Payload"]


class Metric(NamedTuple):
    """One metric; what DATA leaves out is empty. `value` is what stood in the field, None = none.

    An integer is unsigned as it comes, whatever it means: see `number`. An instance of a template
    has members. A byte of a name that is no UTF-8 is escaped in it.
    """

    name: str = ""
    value: float | bytes | None = None
    datatype: int = 0
    alias: int | None = None
    time_ms: int | None = None
    quality: int | None = None  # the code of property Quality
    null: bool = False
    historical: bool = False
    transient: bool = False
    members: tuple[Metric, ...] = ()


@dataclass(frozen=True, slots=True)
class Payload:
    """What one message carries."""

    metrics: list[Metric]
    time_ms: int | None = None
    seq: int | None = None


def decode(payload: bytes, bytes_max: int = PAYLOAD_BYTES) -> Payload:
    """Return what a payload carries; raises WireError when it is none, or too large unpacked."""
    message = _parse(payload)
    time_ms, seq = _head(message)
    if message.uuid == COMPRESSED:
        message = _parse(_unpack(message, bytes_max))
        if message.uuid == COMPRESSED:
            raise WireError("bad_protobuf", "a compressed payload inside a compressed one")
        own_ms, own_seq = _head(message)
        time_ms = time_ms if own_ms is None else own_ms
        seq = seq if own_seq is None else own_seq
    count = _count(message.metrics)
    if count > METRICS_MAX:
        raise WireError("too_large", f"{count} metrics, at most {METRICS_MAX}")
    metrics = _metrics(message.metrics)
    if time_ms is None and seq is None and not message.metrics:
        # Any bytes that happen to look like fields of somebody else end here.
        raise WireError("bad_protobuf", "neither timestamp, seq nor a metric")
    return Payload(metrics, time_ms, seq)


def encode(payload: Payload, *, birth: bool = True) -> bytes:
    """Return the bytes; without `birth`, metrics with an alias lose name, and all their datatype.

    Raises ValueError for a value that its datatype cannot hold.
    """
    message = _Message()
    if payload.time_ms is not None:
        message.timestamp = payload.time_ms
    if payload.seq is not None:
        message.seq = payload.seq
    try:
        for metric in payload.metrics:
            _put(message.metrics.add(), metric, birth=birth)
        return bytes(message.SerializeToString())
    except (EncodeError, TypeError) as error:
        raise ValueError(f"not a payload: {error}") from error


def nbirth(time_ms: int, metrics: Sequence[Metric], bd_seq: int, seq: int = 0) -> bytes:
    """Return the birth of an edge node."""
    own = (
        Metric(BD_SEQ, bd_seq, DataType.INT64, time_ms=time_ms),
        Metric(REBIRTH, value=False, datatype=DataType.BOOLEAN, time_ms=time_ms),
    )
    return encode(Payload([*own, *_timed(metrics, time_ms)], time_ms, seq))


def ndeath(bd_seq: int) -> bytes:
    """Return the death of an edge node: its will, made before anything happened."""
    return encode(Payload([Metric(BD_SEQ, bd_seq, DataType.INT64)]))


def data(time_ms: int, metrics: Sequence[Metric], seq: int) -> bytes:
    """Return the data of a node or device: aliases where there are some, no datatypes."""
    return encode(Payload(_timed(metrics, time_ms), time_ms, seq), birth=False)


def rebirth(time_ms: int) -> bytes:
    """Return the command that asks an edge node for all its births."""
    metric = Metric(REBIRTH, value=True, datatype=DataType.BOOLEAN, time_ms=time_ms)
    return encode(Payload([metric], time_ms))


def state_topic(host_id: str) -> str:
    """Return where a host application says whether it is there."""
    return f"{NAMESPACE}/STATE/{host_id}"


def state(time_ms: int, *, online: bool) -> bytes:
    """Return the payload of STATE: it alone is JSON."""
    return msgspec.json.encode({"online": online, "timestamp": time_ms})


def is_offline(payload: bytes) -> bool:
    """Return whether a payload of STATE says that the host is away."""
    try:
        document = json_of(payload)
    except WireError:
        return False
    return isinstance(document, dict) and document.get("online") is False


def belongs_to_protocol(name: str) -> bool:
    """Return whether a metric is one of the protocol's own, and no tag."""
    return name == BD_SEQ or name.startswith(CONTROL)


def number(value: float | bytes | None, datatype: int) -> float | None:
    """Return a value as the number its datatype makes of it; None when it is no number."""
    if datatype not in NUMBERS or value is None or isinstance(value, bytes):
        return None
    bits = BITS.get(datatype)
    if bits and isinstance(value, int) and not isinstance(value, bool):
        value &= (1 << bits) - 1
        if value >> (bits - 1):
            value -= 1 << bits
    return float(value)


def _parse(payload: bytes) -> Any:
    """Return a payload as the library reads it; raises WireError."""
    message = _Message()
    try:
        message.ParseFromString(payload)
    except (DecodeError, ValueError, RecursionError, MemoryError) as error:
        raise WireError("bad_protobuf", str(error)) from error
    return message


def _head(message: Any) -> tuple[int | None, int | None]:
    """Return time [ms] and sequence number of a payload."""
    return (
        message.timestamp if message.HasField("timestamp") else None,
        message.seq if message.HasField("seq") else None,
    )


def _unpack(message: Any, bytes_max: int) -> bytes:
    """Return the payload in the body of a compressed one; raises WireError."""
    algorithm = next((m.string_value for m in message.metrics if m.name == ALGORITHM), b"")
    if algorithm and algorithm.upper() not in ALGORITHMS:
        raise WireError("bad_protobuf", f"compressed by {algorithm!r:.40}, not GZIP or DEFLATE")
    # The head says whether it is gzip or zlib; what has neither is bare deflate.
    for bits in (zlib.MAX_WBITS | 32, -zlib.MAX_WBITS):
        unpacker = zlib.decompressobj(bits)
        try:
            payload = unpacker.decompress(message.body, bytes_max + 1)
        except zlib.error:
            continue
        if len(payload) > bytes_max:
            raise WireError("too_large", f"over {bytes_max} bytes when it is unpacked")
        if unpacker.eof and not unpacker.unused_data:
            return payload
    raise WireError("bad_protobuf", "the compressed body is neither gzip nor deflate, or cut")


def _count(metrics: Any) -> int:
    """Return how many metrics there are, with the members of templates."""
    inner = (m.template_value.metrics for m in metrics if m.HasField("template_value"))
    return len(metrics) + sum(map(_count, inner))


def _metrics(metrics: Any) -> list[Metric]:
    """Return metrics of a parsed payload without definitions of templates, which have no value."""
    return [_metric(each) for each in metrics if not each.template_value.is_definition]


def _metric(metric: Any) -> Metric:
    """Return a metric of a parsed payload."""
    field = metric.WhichOneof("value")
    template = field == "template_value"
    return Metric(
        metric.name.decode(errors="backslashreplace"),
        b"" if template else getattr(metric, field) if field else None,
        metric.datatype,
        metric.alias if metric.HasField("alias") else None,
        metric.timestamp if metric.HasField("timestamp") else None,
        _quality(metric.properties) if metric.HasField("properties") else None,
        metric.is_null,
        metric.is_historical,
        metric.is_transient,
        tuple(_metrics(metric.template_value.metrics)) if template else (),
    )


def _quality(properties: Any) -> int | None:
    """Return the code of property Quality; None when there is none."""
    for key, value in zip(properties.keys, properties.values, strict=False):
        if key == QUALITY and not value.is_null:
            field = value.WhichOneof("value")
            return getattr(value, field) if field else -1
    return None


def _timed(metrics: Iterable[Metric], time_ms: int) -> list[Metric]:
    """Return metrics, those without a time at this one."""
    return [m if m.time_ms is not None else m._replace(time_ms=time_ms) for m in metrics]


def _put(message: Any, metric: Metric, *, birth: bool) -> None:
    """Write a metric into a payload that is being made."""
    if metric.name and (birth or metric.alias is None):
        message.name = metric.name.encode()
    if metric.alias is not None:
        message.alias = metric.alias
    if metric.time_ms is not None:
        message.timestamp = metric.time_ms
    if metric.datatype and birth:
        message.datatype = metric.datatype
    for flag in ("historical", "transient"):
        if getattr(metric, flag):
            setattr(message, f"is_{flag}", True)
    if metric.quality is not None:
        message.properties.keys.append(QUALITY)
        message.properties.values.add(type=DataType.INT32, int_value=metric.quality)
    if metric.datatype == DataType.TEMPLATE:
        message.template_value.is_definition = False
        for member in metric.members:
            _put(message.template_value.metrics.add(), member, birth=birth)
    else:
        _put_value(message, metric)


def _put_value(message: Any, metric: Metric) -> None:
    """Write the value of a metric that is no template."""
    value = metric.value
    if metric.null or value is None:
        message.is_null = True
        return
    field = FIELDS.get(DataType(metric.datatype))
    if field is None:
        wide = metric.datatype in LONG
        field = "long_value" if wide else "int_value"
        value = int(value) & (2**64 - 1 if wide else 2**32 - 1)
    setattr(message, field, value)
