"""Packets of what is sent to an authority, and what its answers mean."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from ingest.wire import hj212
from twin.arrays import SECOND_US

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from zoneinfo import ZoneInfo

    from twin.emissions.forwarding import Forward, ForwardItem

# Edition 2017, an answer is wanted.
FLAG = 5
# Characters of CP; DataTime and the marks stand in the rest of what the edition allows.
CP_MAX = 900
DIGITS = 6
SUCCESS, READY = "1", "1"
# Return codes after which the same packet may be tried again soon: timeout and busy.
AGAIN = {"4", "5"}
ORDER = ("Rtd", "ZsRtd", "Cou", "Min", "Avg", "Max", "ZsAvg")


def texts(items: Sequence[ForwardItem], start_us: int, zone: ZoneInfo) -> list[str]:
    """Return items as CP of one packet or of several, each with its DataTime."""
    begin = f"DataTime={_local(start_us, zone):%Y%m%d%H%M%S}"
    result, current = [], begin
    for item in items:
        cells = [f"{item.code}-{name}={_number(item.fields[name])}" for name in ORDER
                 if name in item.fields]  # fmt: skip
        text = ",".join([*cells, f"{item.code}-Flag={item.flag}"])
        if current != begin and len(current) + 1 + len(text) > CP_MAX:
            result.append(current)
            current = begin
        current = f"{current};{text}"
    return [*result, current]


def packet(forward: Forward, cn: str, cp: str, now_us: int, zone: ZoneInfo) -> hj212.Packet:
    """Return a packet; its QN is the time of now, to the millisecond."""
    local = _local(now_us, zone)
    qn = f"{local:%Y%m%d%H%M%S}{local.microsecond // 1000:03d}"
    spec = forward.spec
    return hj212.Packet(qn, forward.system, cn, spec.password, spec.mn, FLAG, cp)


def verdict(answer: hj212.Packet) -> str | None:
    """Return what an answer means: empty = taken, None = not the last word, else the problem."""
    if answer.cn == hj212.DATA_ACK:
        return ""
    code = dict(_pairs(answer.cp))
    if answer.cn == hj212.REQUEST_ACK:
        return None if code.get("QnRtn", READY) == READY else f"QnRtn={code['QnRtn']}"
    if answer.cn == RESULT:
        given = code.get("ExeRtn", "")
        return "" if given == SUCCESS else f"ExeRtn={given}"
    return None


def is_temporary(problem: str) -> bool:
    """Return whether a problem is one of the moment."""
    key, _, code = problem.partition("=")
    return key == "ExeRtn" and code in AGAIN


RESULT = "9012"


def _pairs(cp: str) -> Iterator[tuple[str, str]]:
    for cell in cp.split(";"):
        key, mark, value = cell.partition("=")
        if mark:
            yield key.strip(), value.strip()


def _local(time_us: int, zone: ZoneInfo) -> datetime:
    whole, part = divmod(time_us, SECOND_US)
    return datetime.fromtimestamp(whole, UTC).astimezone(zone).replace(microsecond=part)


def _number(value: float) -> str:
    """Return a number without an exponent: few logger programs read one."""
    return np.format_float_positional(float(f"{value:.{DIGITS}g}"), trim="-")
