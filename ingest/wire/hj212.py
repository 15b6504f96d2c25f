"""HJ 212 packets of pollution-source data loggers, editions 2017 and 2025 (and the flags of 2005).

``##`` + four digits of length + data segment + four hexadecimal digits of CRC + CR LF. The names of
a packet are ``<code>-<field>``, those of interval data have their command in front, like
``2061.a21026-Avg``: what a logger says of an hour is another series than what it says of now. Times
are those of the packet: for intervals (2031, 2051, 2061) the start.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache, reduce
from typing import TYPE_CHECKING

import numpy as np

from ingest.wire import Decoded, WireError, whole_us
from twin.emissions.validity import quality_of_flag
from twin.reference import load as load_reference

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from zoneinfo import ZoneInfo

HEAD = b"##"
# The 2017 edition allows 1,024 characters of data; loggers of the 2025 edition send more.
SEGMENT_MAX = 9999
PARTS_MAX = 1000
DATA_COMMANDS = {"2011", "2021", "2031", "2041", "2051", "2061"}
INSTANT_COMMANDS = {"2011", "2021"}
NOTICE_ACK, DATA_ACK = "9013", "9014"
# Return codes of a request (QnRtn) for what we may find wrong.
RETURNS = {
    "bad_password": 3, "unknown_mn": 4, "bad_st": 5, "bad_flag": 6, "bad_qn": 7, "bad_cn": 8,
    "bad_crc": 9,
}  # fmt: skip
_CP = re.compile(r"CP=&&(.*)&&\Z", re.DOTALL)
_QN = re.compile(r"\d{17}\Z")
_VALUE_FIELDS = {"Rtd", "Min", "Avg", "Max", "ZsRtd", "ZsMin", "ZsAvg", "ZsMax", "Cou", "RS", "RT"}


# What eight shifts make of each byte.
_TABLE = tuple(
    reduce(lambda register, _: register >> 1 ^ (0xA001 if register & 1 else 0), range(8), byte)
    for byte in range(256)
)


def crc(segment: bytes) -> int:
    """Return the checksum of HJ 212-2017 Annex A, which is not that of Modbus.

    The register is shifted by a byte before the exclusive or, so its low byte is lost.
    """
    register = 0xFFFF
    for byte in segment:
        register = _TABLE[register >> 8 ^ byte]
    return register


@dataclass(frozen=True, slots=True)
class Packet:
    """The data segment of a packet; `cp` is its parameters without the && around them."""

    qn: str
    st: str
    cn: str
    pw: str
    mn: str
    flag: int
    cp: str
    pnum: int = 1  # packets this one is part of
    pno: int = 1

    @property
    def edition(self) -> int:
        """The edition of the standard the flag speaks of: 2005, 2017 or 2025."""
        return {0: 2005, 1: 2017, 2: 2025}.get(self.flag >> 2, 0)

    @property
    def wants_answer(self) -> bool:
        """Whether the sender waits for an acknowledgement."""
        return bool(self.flag & 1)


@dataclass(frozen=True, slots=True)
class Fault:
    """Bytes that are no packet, and the packet in them as far as it can be read."""

    reason: str
    detail: str
    data: bytes
    packet: Packet | None = None


class Framer:
    """Packets out of a stream of bytes, however it is cut."""

    def __init__(self) -> None:
        self._data = b""

    @property
    def waiting(self) -> bytes:
        """What has come of a packet that is not complete."""
        return self._data

    def feed(self, data: bytes) -> list[Packet | Fault]:
        """Return the packets and faults that some more bytes complete."""
        self._data += data
        return list(self._cut())

    def _cut(self) -> Iterator[Packet | Fault]:
        while True:
            start = self._data.find(HEAD)
            if start < 0:
                # A last # may be the first half of a head.
                keep = self._data[-1:] if self._data.endswith(b"#") else b""
                garbage, self._data = self._data[: len(self._data) - len(keep)], keep
            else:
                garbage, self._data = self._data[:start], self._data[start:]
            if garbage.strip(b"\r\n \0"):
                yield Fault("bad_frame", f"{len(garbage)} bytes before ##", garbage)
            if start < 0 or len(self._data) < 6:
                return
            item = self._packet()
            if item is None:
                return
            yield item

    def _packet(self) -> Packet | Fault | None:
        """Return the packet the data begin with, a fault, or None as long as bytes are missing."""
        digits = self._data[2:6]
        if not digits.isdigit():
            return self._skip("bad_frame", f"length {digits!r}")
        end = 6 + int(digits)
        # A head inside the segment: the length is wrong, and the next packet begins there.
        inner = self._data.find(HEAD, 2, end + 4)
        if inner >= 0:
            return self._skip("bad_frame", f"length {int(digits)}, next packet after {inner - 6}")
        if len(self._data) < end + 4:
            return None
        tail = self._data[end + 4 :]
        if tail in (b"", b"\r"):
            return None
        if not tail.startswith((b"\r\n", b"#")):
            return self._skip("bad_frame", f"no line end after {int(digits)} characters")
        whole = self._data[: end + (6 if tail.startswith(b"\r\n") else 4)]
        self._data = self._data[len(whole) :]
        return _checked(whole, whole[6:end], whole[end : end + 4])

    def _skip(self, reason: str, detail: str) -> Fault:
        """Give up the packet the data begin with and go on at the next head."""
        # The second # of a false head may be the first of a true one, and a last # may be, too.
        end = self._data.find(HEAD, 2)
        end = len(self._data) - self._data.endswith(b"#") if end < 0 else end
        lost, self._data = self._data[:end], self._data[end:]
        return Fault(reason, detail, lost)


def _checked(whole: bytes, segment: bytes, check: bytes) -> Packet | Fault:
    """Return the packet of a segment when its checksum is right."""
    try:
        packet = parse(segment)
    except WireError as error:
        return Fault(error.reason, error.detail, whole)
    if check.upper() != b"%04X" % crc(segment):
        return Fault("bad_crc", f"checksum {check!r}, not {crc(segment):04X}", whole, packet)
    return packet


def parse(segment: bytes) -> Packet:
    """Return the packet of a data segment; raises WireError."""
    try:
        text = segment.decode("utf-8")
    except UnicodeDecodeError as error:
        raise WireError("bad_segment", str(error)) from error
    match = _CP.search(text)
    if match is None:
        raise WireError("bad_segment", "there is no CP=&&...&& at its end")
    cells = dict(
        cell.split("=", 1) for cell in text[: match.start()].split(";") if cell.count("=") == 1
    )
    missing = [key for key in ("QN", "ST", "CN", "MN") if key not in cells]
    if missing:
        raise WireError("bad_segment", f"{', '.join(missing)} missing")
    try:
        numbers = [int(cells.get(key, default)) for key, default in
                   (("Flag", "0"), ("PNUM", "1"), ("PNO", "1"))]  # fmt: skip
    except ValueError as error:
        raise WireError("bad_flag", str(error)) from error
    flag, pnum, pno = numbers
    if not 0 <= flag <= 255 or not 1 <= pno <= max(pnum, 1) <= PARTS_MAX:
        raise WireError("bad_flag", f"Flag={flag}, PNUM={pnum}, PNO={pno}")
    return Packet(cells["QN"], cells["ST"], cells["CN"], cells.get("PW", ""), cells["MN"], flag,
                  match[1], max(pnum, 1), pno)  # fmt: skip


def join(parts: Mapping[int, Packet]) -> Packet | None:
    """Return the whole packet of its parts by number; None while one is missing."""
    whole = next(iter(parts.values()))
    if set(parts) != set(range(1, whole.pnum + 1)):
        return None
    return replace(whole, cp=";".join(parts[n].cp.strip(";") for n in sorted(parts)), pnum=1, pno=1)


def decode(packet: Packet, zone: ZoneInfo, uoms: Mapping[str, str]) -> Decoded:
    """Return the values of a data packet; raises WireError when its time is none.

    `zone` is that of the logger's clock, `uoms` are by code where they are not of the standard.
    """
    items = [dict(cell.partition("=")[::2] for cell in item.split(","))
             for item in packet.cp.split(";") if item]  # fmt: skip
    stamp = next((item["DataTime"] for item in items if "DataTime" in item), "")
    time_us = _time_us(stamp, zone)
    prefix = "" if packet.cn in INSTANT_COMMANDS else f"{packet.cn}."
    decoded = Decoded()
    for item in items:
        cells = {k: v for k, v in item.items() if "-" in k}
        flags = {k.rpartition("-")[0]: v for k, v in cells.items() if k.endswith("-Flag")}
        moments = {k.rpartition("-")[0]: v for k, v in cells.items() if k.endswith("-SampleTime")}
        for name, text in cells.items():
            code, _, kind = name.rpartition("-")
            if kind not in _VALUE_FIELDS:
                continue
            at_us = _time_us(moments[code], zone) if code in moments else time_us
            before = len(decoded.names)
            _value(decoded, prefix + name, text, flags.get(code, "N"), _uom(code, kind, uoms))
            decoded.end_run(before, at_us)
    return decoded


def _uom(code: str, kind: str, uoms: Mapping[str, str]) -> str:
    """Return the unit of a code's field; empty = that of the tag."""
    if code in uoms and kind != "Cou":
        return uoms[code]
    known = load_reference("pollutants").get(code)
    if known is None:
        return ""
    if kind == "Cou":
        return "m^3" if known["quantity"] == "volume_flow" else "kg"
    return str(known.get("uom", ""))


@cache
def _quality(flag: str) -> int:
    """Return our quality of a data flag."""
    return int(quality_of_flag(np.array(flag)))


def _value(decoded: Decoded, name: str, text: str, flag: str, uom: str) -> None:
    """Add one value, or refuse it alone."""
    try:
        decoded.add(name, float(text), _quality(flag[:1]), uom or None)
    except ValueError:
        decoded.refused.append(("wrong_type", f"{name}: not a number: {text!r:.80}"))


def _time_us(text: str, zone: ZoneInfo) -> int:
    """Return a time ``YYYYMMDDhhmmss`` with or without milliseconds; raises WireError."""
    try:
        if not text.isascii() or not text.isdigit() or len(text) not in (14, 17):
            raise ValueError("not 14 digits")  # noqa: TRY301
        moment = datetime.strptime(text[:14], "%Y%m%d%H%M%S").replace(tzinfo=zone)
        time_ms = round(moment.timestamp()) * 1000 + int(text[14:] or 0)
    except (ValueError, OverflowError) as error:
        raise WireError("bad_time", f"{text!r:.40} is not a time") from error
    return whole_us(time_ms * 1000, text)


def decode_payload(
    zone: ZoneInfo,
    uoms: Mapping[str, str],
    mn: str,
    password: str,
    payload: bytes,
    _received_us: int = 0,
) -> Decoded:
    """Return the values of all packets of a payload, split ones joined.

    Raises WireError when one of them is damaged, incomplete, of another logger (empty `mn`: of any)
    or has the wrong password (empty: any).
    """
    framer = Framer()
    parts: dict[tuple[str, str], dict[int, Packet]] = {}
    for item in framer.feed(payload):
        if isinstance(item, Fault):
            raise WireError(item.reason, item.detail)
        problem = problem_of(item, mn, password)
        if problem:
            raise WireError(problem, f"MN={item.mn}, QN={item.qn}, CN={item.cn}")
        parts.setdefault((item.qn, item.cn), {})[item.pno] = item
    if framer.waiting or not parts:
        raise WireError("bad_frame", f"{len(framer.waiting)} bytes are left over")
    decoded = Decoded()
    for each in parts.values():
        packet = join(each)
        if packet is None:
            raise WireError("bad_frame", f"{len(each)} of {next(iter(each.values())).pnum} parts")
        decoded.extend(decode(packet, zone, uoms))
    return decoded


def encode(packet: Packet) -> bytes:
    """Return the bytes of a packet."""
    parts = f"PNUM={packet.pnum};PNO={packet.pno};" if packet.flag & 2 else ""
    segment = (
        f"QN={packet.qn};ST={packet.st};CN={packet.cn};PW={packet.pw};MN={packet.mn};"
        f"Flag={packet.flag};{parts}CP=&&{packet.cp}&&"
    ).encode()
    if len(segment) > SEGMENT_MAX:
        raise ValueError(f"{len(segment)} bytes of data, at most {SEGMENT_MAX}: split the packet")
    return b"##%04d%s%04X\r\n" % (len(segment), segment, crc(segment))


def answer(packet: Packet, reason: str = "") -> bytes:
    """Return our answer: the acknowledgement of data, or what was wrong with the packet."""
    head = replace(packet, st="91", flag=packet.flag & ~3, pnum=1, pno=1)
    if reason:
        return encode(replace(head, cn="9011", cp=f"QnRtn={RETURNS.get(reason, 100)}"))
    return encode(replace(head, cn=DATA_ACK, cp=""))


def problem_of(packet: Packet, mn: str = "", password: str = "") -> str:
    """Return what is wrong with the head of a packet, as a reason; empty when nothing is.

    An empty `mn` or `password` fits all.
    """
    if mn and packet.mn != mn:
        return "unknown_mn"
    if password and packet.pw != password:
        return "bad_password"
    if not _QN.match(packet.qn):
        return "bad_qn"
    if not packet.edition:
        return "bad_flag"
    return "" if packet.cn in DATA_COMMANDS else "bad_cn"
