"""HJ 212 packets of pollution-source data loggers, editions 2005, 2017 and 2025.

``##`` + four digits of length + data segment + four hexadecimal digits of CRC + CR LF. The names of
a packet are ``<code>-<field>``, those of interval data have their command in front, like
``2061.a21026-Avg``: what a logger says of an hour is another series than what it says of now. Times
are those of the packet: for intervals (2031, 2051, 2061) the start.

Loggers in the field keep to little of the standard but the checksum. So a packet is what its
checksum says, and what is wrong with one item costs that item.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache, lru_cache, reduce
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ingest.wire import VALUE_MAX, Decoded, WireError, whole_us
from twin import quality as q
from twin.emissions.validity import quality_of_flag
from twin.reference import load as load_reference

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from zoneinfo import ZoneInfo

# The 2017 edition allows 1,024 characters of data; loggers of the 2025 edition send more.
SEGMENT_MAX = 9999
TIMES_MAX = 256  # that are remembered: the items of a packet share theirs
CELL_MAX = 64  # characters of a value in front of CP
PARTS_MAX = 1000
FAULTS_MAX = 100  # of one payload that are told one by one
DATA_COMMANDS = {"2011", "2013", "2021", "2031", "2041", "2051", "2052", "2061", "2111"}
INSTANT_COMMANDS = {"2011", "2021"}
# What a logger tells of itself: nothing to store, acknowledged like data. Some of them are answers
# to questions that others have asked it.
INFORMATION = {
    "1011", "1061", "1063", "2062", "2081", "2082", "2083", "3011", "3012", "3013", "3014", "3015",
    "3016", "3017", "3018", "3019", "3020", "3021", "3040", "3041",
}  # fmt: skip
# Serial number, request of a time or of a key, heartbeat.
NOTICES = {"1001", "1013", "1014", "9015"}
ANSWERS = {"9011", "9012", "9013", "9014"}
REQUEST_ACK, NOTICE_ACK, DATA_ACK = "9011", "9013", "9014"
# Return codes of a request (QnRtn) for what we may find wrong.
RETURNS = {
    "bad_password": 3, "unknown_mn": 4, "bad_st": 5, "bad_flag": 6, "bad_qn": 7, "bad_cn": 8,
    "bad_crc": 9,
}  # fmt: skip
# Some loggers leave the zeros of a length and a checksum out, or write blanks.
_HEAD = re.compile(rb"##(\d{4}| {0,3}\d{1,4}(?=[A-Z]))")
_HEAD_BEGUN = re.compile(rb"#(#[ \d]{0,4})?\Z")
_CHECKSUM = re.compile(rb"[0-9A-Fa-f]{4}|[0-9A-Fa-f]{1,3}(?=[\r\n#])")
_SEEMS_END = re.compile(rb"&&[0-9A-Fa-f]{1,4}(?=[\r\n#]|\Z)")
# Between packets: line ends, and the mark with which some programs begin UTF-8.
_BLANK = b"\r\n\t \0\xef\xbb\xbf"
# How loggers write Chinese, or count what they write in the other one.
_ENCODINGS = "utf-8", "gb18030"
_QN = re.compile(r"(\d{14,20})?\Z")
# A text that an operator entered, which may have any character in it.
_TEXT = re.compile(r"=//(?:.*?//|[^;]*)", re.DOTALL)
# Marks of a Chinese keyboard.
_ASCII = str.maketrans("；，＝", ";,=")
_DIGITS = 12, 14, 15, 16, 17  # of a time
_PUNCTUATION = str.maketrans("", "", "-/:. T")
_STAMP = re.compile(r"(?:^|[;,])\s*DataTime\s*=\s*([^;,]*)", re.IGNORECASE)
_VALUE_FIELDS = {
    "Rtd", "Min", "Avg", "Max", "Cou", "ZsRtd", "ZsMin", "ZsAvg", "ZsMax", "ZsCou", "RS", "RT",
}  # fmt: skip
_FIELDS = {name.lower(): name for name in (*_VALUE_FIELDS, "Flag", "ZsFlag", "SampleTime")}
# What loggers write where they have no number.
_NO_NUMBER = {"", "-", "--", "---", "----", "/", "*", "nan", "null", "none", "n/a", "na"}
_NO_VALUE = q.BAD | q.NOT_A_NUMBER


# What eight shifts make of each byte.
_TABLE = tuple(
    reduce(lambda register, _: register >> 1 ^ (0xA001 if register & 1 else 0), range(8), byte)
    for byte in range(256)
)


def crc(segment: bytes, register: int = 0xFFFF) -> int:
    """Return the checksum of HJ 212-2017 Annex A, which is not that of Modbus.

    The register is shifted by a byte before the exclusive or, so its low byte is lost. The 2025
    edition keeps it. `register` is the checksum of what came before.
    """
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
    raw: bytes = field(default=b"", compare=False)  # as it came

    @property
    def edition(self) -> int:
        """The edition of the standard the flag speaks of: 2005, 2017 or 2025."""
        return {0: 2005, 1: 2017, 2: 2025}.get(self.flag >> 2, 0)

    @property
    def wants_answer(self) -> bool:
        """Whether the sender waits for an acknowledgement; an answer never has one."""
        return bool(self.flag & 1) and self.cn not in ANSWERS


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
        self._needed = 0  # bytes, before which the packet they begin with is not looked at again
        self._tried = -1, 0xFFFF  # so many bytes of its segment are no packet; their checksum

    @property
    def waiting(self) -> bytes:
        """What has come of a packet that is not complete."""
        return self._data

    def feed(self, data: bytes) -> list[Packet | Fault]:
        """Return the packets and faults that some more bytes complete."""
        had = len(self._data)
        self._data += data
        if len(self._data) < self._needed and not _HEAD.search(self._data, max(had - 6, 2)):
            return []
        return list(self._cut())

    def _cut(self) -> Iterator[Packet | Fault]:
        data, at, self._needed = self._data, 0, 0
        while True:
            head = _HEAD.search(data, at)
            begun = None if head else _HEAD_BEGUN.search(data, at)
            start = head.start() if head else begun.start() if begun else len(data)
            if data[at:start].strip(_BLANK):
                yield Fault("bad_frame", f"{start - at} bytes before ##", data[at:start])
            at = start
            item, end = self._packet(data, head) if head else (None, at)
            if item is None:
                break
            yield item
            at, self._tried = end, (-1, 0xFFFF)
        self._data = data[at:]

    def _packet(self, data: bytes, head: re.Match[bytes]) -> tuple[Packet | Fault | None, int]:
        """Return the packet or fault that begins with a head, and its end; None = bytes missing."""
        begin, length = head.end(), int(head[1])
        following = _HEAD.search(data, begin)
        limit = following.start() if following else len(data)
        for size in _sizes(data[begin : min(limit, begin + 4 * length)], length):
            end = begin + size
            # A head inside the segment: the length is wrong, and the next packet begins there.
            if following and limit <= end:
                break
            if len(data) < end + 4:
                self._needed = end + 4 - head.start()
                return None, head.start()
            tried, register = self._tried
            if size <= tried:
                continue
            register = crc(data[begin + max(tried, 0) : end], register)
            self._tried = size, register
            check = _CHECKSUM.match(data, end)
            if check and int(check[0], 16) == register:
                stop = _end_of_line(data, check.end())
                return _parsed(data[begin:end], data[head.start() : stop]), stop
            if _SEEMS_END.match(data, end - 2):
                return _damaged(data, head, size)
        return _damaged(data, head, length)


def _sizes(window: bytes, length: int) -> list[int]:
    """Return how many bytes a segment of some length may have, ascending.

    The length counts bytes, or those of the other encoding, or characters of a text that is not all
    ASCII. What has not come yet counts as few bytes as it can have.
    """
    if window[:length].isascii():
        return [length]
    sizes = {length}
    for sent, other in (_ENCODINGS, _ENCODINGS[::-1]):
        text = window.decode(sent, "ignore")
        counted = text.encode(other)[:length]
        for part, came in (
            (text[:length], min(len(text), length)),
            (counted.decode(other, "ignore"), len(counted)),
        ):
            sizes.add(len(part.encode(sent)) + (2 * (length - came) + 2) // 3)
    return sorted(sizes)


def _damaged(data: bytes, head: re.Match[bytes], size: int) -> tuple[Fault, int]:
    """Return the fault of a packet whose checksum is wrong, and its end.

    `size` are the bytes its segment seems to have.
    """
    start, begin, length = head.start(), head.end(), int(head[1])
    end = begin + size
    following = _HEAD.search(data, begin)
    if following and following.start() < end + 4:
        text = f"length {length}, next packet after {following.start() - begin}"
        return Fault("bad_frame", text, data[start : following.start()]), following.start()
    if data[end + 4 : end + 5] not in (b"", b"\r", b"\n", b"#"):
        begun = following or _HEAD_BEGUN.search(data, begin)
        stop = begun.start() if begun else len(data)
        text = f"no line end after {length} characters"
        return Fault("bad_frame", text, data[start:stop]), stop
    segment, check = data[begin:end], data[end : end + 4]
    end = _end_of_line(data, end + 4)
    packet = _parsed(segment, data[start:end])
    detail = f"checksum {check!r}, not {crc(segment):04X}"
    known = packet if isinstance(packet, Packet) else None
    return Fault("bad_crc", detail, data[start:end], known), end


def _end_of_line(data: bytes, at: int) -> int:
    """Return the place behind a line end, if there is one at a place."""
    tail = data[at : at + 2]
    return at + len(tail) - len(tail.lstrip(b"\r\n"))


def _parsed(segment: bytes, raw: bytes) -> Packet | Fault:
    """Return the packet of a segment."""
    try:
        return replace(parse(segment), raw=raw)
    except WireError as error:
        return Fault(error.reason, error.detail, raw)


def _text(data: bytes) -> str:
    """Return a text in either encoding of loggers; what is neither has marks in it."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("gb18030", "replace")


def parse(segment: bytes) -> Packet:
    """Return the packet of a data segment; raises WireError.

    Keys that loggers leave out are QN, ST, PW, Flag, PNUM and PNO.
    """
    first, mark, more = _text(segment).partition("CP=")
    if not mark:
        raise WireError("bad_segment", "there is no CP=&&...&& at its end")
    cp, end, last = more.strip().removeprefix("&&").rpartition("&&")
    if not end:
        cp, last = last, ""
    pairs = (cell.partition("=") for cell in f"{first};{last}".split(";"))
    cells = {key.strip(): value.strip() for key, _, value in pairs}
    missing = [key for key in ("CN", "MN") if not cells.get(key)]
    if missing:
        raise WireError("bad_segment", f"{', '.join(missing)} missing")
    if max(map(len, cells.values())) > CELL_MAX:
        raise WireError(
            "bad_segment", f"a value in front of CP has more than {CELL_MAX} characters"
        )
    try:
        flag, pnum, pno = (
            int(cells.get(key) or default)
            for key, default in (("Flag", 0), ("PNUM", 1), ("PNO", 1))
        )
    except ValueError as error:
        raise WireError("bad_flag", str(error)) from error
    pnum = max(pnum, 1)
    if not 0 <= flag <= 255 or not 0 <= pno <= pnum <= PARTS_MAX:
        raise WireError("bad_flag", f"Flag={flag}, PNUM={pnum}, PNO={pno}")
    return Packet(
        cells.get("QN", ""), cells.get("ST", ""), cells["CN"], cells.get("PW", ""), cells["MN"],
        flag, cp.strip(), pnum, pno,
    )  # fmt: skip


class LatestParts(NamedTuple):
    """The parts of one message that came last: its DataTime, and what the next one is known by."""

    stamp: str
    qns: tuple[str, str]  # of the first part and of the last
    pnum: int
    pno: int  # of the last part

    def goes_on_with(self, packet: Packet) -> bool:
        """Whether a packet is one of these parts: by its QN, or as the next one."""
        same = bool(packet.qn) and packet.qn in self.qns
        return same or (packet.pnum, packet.pno) == (self.pnum, self.pno + 1)


def join(parts: Mapping[int, Packet]) -> Packet:
    """Return parts of a message, by their numbers, as one packet."""
    numbers = sorted(parts)
    return replace(parts[numbers[-1]], cp=";".join(parts[n].cp.strip(";") for n in numbers))


def decode(packet: Packet, zone: ZoneInfo, uoms: Mapping[str, str], stamp: str = "") -> Decoded:
    """Return the values of a data packet; raises WireError when its time is none.

    `zone` is that of the logger's clock, `uoms` are by code where they are not of the standard.
    `stamp` is the DataTime of a packet without one.
    """
    decoded = Decoded()
    if packet.cn not in DATA_COMMANDS:
        return decoded
    prefix = "" if packet.cn in INSTANT_COMMANDS else f"{packet.cn}."
    pairs = _pairs(packet.cp, decoded.refused)
    entries = _entries(pairs, stamp, "RS" if packet.cn == "2021" else "")
    for began, code, cells in entries:
        fields = [name for name in cells if name in _VALUE_FIELDS]
        if not fields:
            continue
        try:
            at_us = _time_us(cells.get("SampleTime", ""), zone) or _time_us(began, zone)
            if at_us is None:
                raise WireError("bad_time", "there is no DataTime")  # noqa: TRY301
        except WireError as error:
            decoded.refused.append((error.reason, f"{prefix}{code}: {error.detail}"))
            continue
        before = len(decoded.names)
        for name in fields:
            own = cells.get("ZsFlag", "") if name.startswith("Zs") else ""
            flag = (own or cells.get("Flag", "")).upper()[:1] or "N"
            _value(decoded, f"{prefix}{code}-{name}", cells[name], flag, _uom(code, name, uoms))
        decoded.end_run(before, at_us)
    if packet.cp and not decoded.names and not _STAMP.search(packet.cp):
        decoded.refused.append(("bad_shape", f"no data: {packet.cp!r:.80}"))
    if decoded.refused and not decoded.names:
        raise WireError(*decoded.refused[0])
    return decoded


def _pairs(cp: str, refused: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return key and text of each cell; adds to `refused` what is none."""
    pairs: list[tuple[str, str]] = []
    odd: list[str] = []
    for item in _TEXT.sub("=", cp).translate(_ASCII).split(";"):
        cells = item.split(",")
        for number, cell in enumerate(cells):
            key, mark, text = (part.strip() for part in cell.partition("="))
            if mark or "-" in key[1:]:
                pairs.append((key, text))
            elif key and number and cells[number - 1].count("=") == 1:
                # A comma in a number is none of the protocol.
                pairs[-1] = pairs[-1][0], f"{pairs[-1][1]},{key}"
            elif key:
                odd.append(key)
    if odd:
        refused.append(("bad_shape", f"{len(odd)} cells are of no item, as {odd[0]!r:.80}"))
    return pairs


def _entries(
    pairs: Sequence[tuple[str, str]], stamp: str, usual: str
) -> list[tuple[str, str, dict[str, str]]]:
    """Return DataTime, code and cells of the items, in their order.

    Cells of one code are one item until one of them comes again, or another DataTime: flags may
    stand in front of their value or behind a semicolon. A code without a field has the `usual` one.
    """
    # What stands before the first DataTime is of the same time.
    stamp = next((text for key, text in pairs if key.lower() == "datatime"), stamp)
    entries: list[tuple[str, str, dict[str, str]]] = []
    current: dict[str, dict[str, str]] = {}
    for key, text in pairs:
        code, _, name = key.rpartition("-") if "-" in key else (key, "", usual)
        name = _FIELDS.get(name.lower(), name)
        if key.lower() == "datatime":
            stamp, current = text, {}
        elif name:
            if code not in current or name in current[code]:
                current[code] = {}
                entries.append((stamp, code, current[code]))
            current[code][name] = text
    return entries


def _uom(code: str, kind: str, uoms: Mapping[str, str]) -> str:
    """Return the unit of a code's field; empty = that of the tag."""
    is_amount = kind.endswith("Cou")
    if code in uoms and not is_amount:
        return uoms[code]
    known = load_reference("pollutants").get(code)
    if known is None:
        return ""
    if is_amount:
        return "m^3" if known["quantity"] == "volume_flow" else "kg"
    return str(known.get("uom", ""))


@cache
def _quality(flag: str) -> int:
    """Return our quality of a data flag."""
    return int(quality_of_flag(np.array(flag)))


def _value(decoded: Decoded, name: str, text: str, flag: str, uom: str) -> None:
    """Add one value; where there is none to read, a bad one, so that the last does not hold."""
    try:
        value = math.nan if text.lower() in _NO_NUMBER else float(text)
    except ValueError:
        value = math.inf
    if abs(value) < VALUE_MAX:
        decoded.add(name, value, _quality(flag), uom or None)
        return
    decoded.add(name, None, max(_quality(flag), _NO_VALUE))
    if not math.isnan(value):
        decoded.refused.append(("wrong_type", f"{name}: not a number: {text!r:.80}"))


@lru_cache(TIMES_MAX)
def _time_us(text: str, zone: ZoneInfo) -> int | None:
    """Return a time ``YYYYMMDDhhmmss``, with punctuation, without seconds or with their fraction.

    None = the text says that there is none; raises WireError for one that says something else.
    """
    if text.lower() in _NO_NUMBER or not text.strip("0"):
        return None
    digits = text.translate(_PUNCTUATION)
    try:
        if not digits.isascii() or not digits.isdigit() or len(digits) not in _DIGITS:
            raise ValueError("not 14 digits")  # noqa: TRY301
        digits = digits.ljust(14, "0")
        moment = datetime.strptime(digits[:14], "%Y%m%d%H%M%S").replace(tzinfo=zone)
        time_ms = round(moment.timestamp()) * 1000 + int(digits[14:].ljust(3, "0"))
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
    *,
    series: dict[str, LatestParts] | None = None,
    others: frozenset[str] = frozenset(),
) -> Decoded:
    """Return the values of all packets of a payload; a packet that is refused costs only itself.

    Raises WireError when all are damaged, of another logger (empty `mn`: of one of the `others`) or
    have the wrong password (empty: any). `series` remembers, by command, the parts of a message
    that comes in several payloads: only the first one may have a DataTime.
    """
    decoded, taken = Decoded(), False
    series = {} if series is None else series
    for parts in _messages(payload, mn, password, others, decoded.refused):
        try:
            decoded.extend(_decode_part(join(parts), zone, uoms, series))
        except WireError as error:
            decoded.refused.append((error.reason, error.detail))
        else:
            taken = True
    if not taken:
        raise WireError(*decoded.refused[0])
    return decoded


def _messages(
    payload: bytes, mn: str, password: str, others: frozenset[str], refused: list[tuple[str, str]]
) -> list[dict[int, Packet]]:
    """Return the parts of each message in a payload, by their numbers; adds to `refused`."""
    framer = Framer()
    messages: list[dict[int, Packet]] = []
    latest: dict[tuple[str, str, int], dict[int, Packet]] = {}
    for item in framer.feed(payload):
        if isinstance(item, Fault):
            refused.append((item.reason, item.detail))
        elif problem := problem_of(item, mn, password, others):
            refused.append((problem, f"MN={item.mn}, QN={item.qn}, CN={item.cn}"))
        else:
            key = item.qn, item.cn, item.pnum
            parts = latest.get(key, {}) if item.pnum > 1 and item.qn else {}
            if not parts or item.pno in parts:
                parts = latest[key] = {}
                messages.append(parts)
            parts[item.pno] = item
    more = len(refused) - FAULTS_MAX
    if more > 0:
        refused[FAULTS_MAX:] = [("bad_frame", f"{more} more of these")]
    if framer.waiting or not (messages or refused):
        refused.append(("bad_frame", f"{len(framer.waiting)} bytes are left over"))
    return messages


def _decode_part(
    packet: Packet, zone: ZoneInfo, uoms: Mapping[str, str], series: dict[str, LatestParts]
) -> Decoded:
    """Return the values of a packet, which may go on with a message that `series` knows."""
    own = _STAMP.findall(_TEXT.sub("=", packet.cp).translate(_ASCII))
    begin, first = "", packet.qn
    known = series.get(packet.cn)
    if packet.pnum > 1 and known is not None and known.goes_on_with(packet):
        begin, first = known.stamp, known.qns[0]
    decoded = decode(packet, zone, uoms, begin)
    if packet.pnum > 1 and packet.cn in DATA_COMMANDS:
        begin = own[-1] if own else begin
        series[packet.cn] = LatestParts(begin, (first, packet.qn), packet.pnum, packet.pno)
    return decoded


def encode(packet: Packet) -> bytes:
    """Return the bytes of a packet."""
    parts = f"PNUM={packet.pnum};PNO={packet.pno};" if packet.flag & 2 else ""
    request = f"QN={packet.qn};" if packet.qn else ""
    segment = (
        f"{request}ST={packet.st};CN={packet.cn};PW={packet.pw};MN={packet.mn};"
        f"Flag={packet.flag};{parts}CP=&&{packet.cp}&&"
    ).encode()
    if len(segment) > SEGMENT_MAX:
        raise ValueError(f"{len(segment)} bytes of data, at most {SEGMENT_MAX}: split the packet")
    return b"##%04d%s%04X\r\n" % (len(segment), segment, crc(segment))


def answer(packet: Packet, reason: str = "") -> bytes:
    """Return our answer: the acknowledgement, or what was wrong with the packet."""
    head = replace(packet, st="91", flag=packet.flag & ~3, pnum=1, pno=1)
    if reason:
        return encode(replace(head, cn=REQUEST_ACK, cp=f"QnRtn={RETURNS.get(reason, 100)}"))
    return encode(replace(head, cn=NOTICE_ACK if packet.cn in NOTICES else DATA_ACK, cp=""))


def problem_of(
    packet: Packet, mn: str = "", password: str = "", others: frozenset[str] = frozenset()
) -> str:
    """Return what is wrong with the head of a packet, as a reason; empty when nothing is.

    An empty `mn` or `password` fits all, but no MN of `others`.
    """
    if packet.mn != mn if mn else packet.mn in others:
        return "unknown_mn"
    if password and packet.pw != password:
        return "bad_password"
    if not _QN.match(packet.qn):
        return "bad_qn"
    if not packet.edition:
        return "bad_flag"
    return "" if packet.cn in DATA_COMMANDS | INFORMATION | NOTICES | ANSWERS else "bad_cn"
