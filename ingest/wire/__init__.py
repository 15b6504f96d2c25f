"""Payload formats, one codec per module, both directions, no I/O.

A codec turns one payload into a `Decoded`: names, values and times exactly as they were sent. Which
tag a name is, and what its value is in SI, is decided by the caller.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec

from twin import quality as q
from twin.model.layouts import PER_SECOND
from twin.quality_vocabularies import explain, quality_of

# The years 1971 and 2200 in milliseconds: what lies outside is not a time but a mistake of the
# sender, like seconds in the place of milliseconds.
TIME_MS_MIN, TIME_MS_MAX = 31_536_000_000, 7_258_118_400_000
FIRST_US, LAST_US = TIME_MS_MIN * 1000, TIME_MS_MAX * 1000
# A number that is a time of the years 2000 to 2100 in another unit seems to be in that.
SEEMS_S = 946_684_800, 4_102_444_800
# Nothing in a park is as large as this: beyond it a number is a mistake of the sender.
VALUE_MAX = 1e150
_JSON = msgspec.json.Decoder()
# What stands between the parts of a name on the wire.
_SEPARATORS = re.compile(r"[/:.;=|\\\s]+")


class WireError(Exception):
    """A payload that cannot be decoded; `reason` is the counter it belongs to."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


def whole_us(time_us: float, sent: Any) -> int:
    """Return a time in whole µs; raises WireError when `sent` means none from 1970 to 2200."""
    if not 0 <= time_us <= TIME_MS_MAX * 1000:
        raise WireError("bad_time", f"{sent!r:.80} is not a time from 1970 to 2200")
    return round(time_us)


def epoch_us(sent: Any, unit: str, mend: str) -> int:
    """Return the time of a number since 1970 in a unit; raises WireError when no plant has it.

    `mend` is what to do with the unit that the number seems to be in, as ``{}``.
    """
    if isinstance(sent, bool) or not isinstance(sent, int | float):
        raise WireError("bad_time", f"{sent!r:.80} is not a number of {unit} since 1970")
    sane = -VALUE_MAX < sent < VALUE_MAX
    time_us = sent * 1_000_000 / PER_SECOND[unit] if sane else -1
    if FIRST_US <= time_us <= LAST_US:
        return round(time_us)
    text = f"{sent!r:.80} in {unit} is not a time from 1971 to 2200"
    for other, per_second in PER_SECOND.items():
        if sane and SEEMS_S[0] <= sent / per_second <= SEEMS_S[1]:
            moment = datetime.fromtimestamp(sent / per_second, UTC)
            text += f"; in {other} it is {moment:%Y-%m-%d %H:%M} UTC: {mend.format(other)}"
    raise WireError("bad_time", text)


def json_of(payload: bytes) -> Any:
    """Return a JSON document; raises WireError when a payload is none.

    Numbers that are too large, and `NaN` and `Infinity` in their place, are not finite.
    """
    try:
        return _JSON.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        try:
            return json.loads(payload.decode())
        except (ValueError, RecursionError):
            raise WireError("bad_json", str(error)) from error


def is_about(name: str, others: frozenset[str]) -> bool:
    """Return whether one of `others` is a part of a name that stands before its last one."""
    return not others.isdisjoint(_SEPARATORS.split(name.casefold())[:-1])


@dataclass(slots=True)
class Decoded:
    """What one payload said, in columns; `runs` are (how many values, their time in µs)."""

    names: list[str] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    runs: list[tuple[int, int]] = field(default_factory=list)
    # Positions whose quality or uom was given; all others are good and in the tag's own uom.
    quality: dict[int, int] = field(default_factory=dict)
    uom: dict[int, str] = field(default_factory=dict)
    simulated: bool = False
    # Single values that were refused, with their reason; the others of the payload stand.
    refused: list[tuple[str, str]] = field(default_factory=list)
    # Positions of values that are stored without becoming the newest of their tag.
    historical: set[int] = field(default_factory=set)
    # Positions with the quality as it was sent, in words; None where nobody looks at it.
    wording: dict[int, str] | None = None
    # Ids of enterprises of which the sender is none.
    others: frozenset[str] = frozenset()
    _before: str = ""  # the last name cut off, and whether it is about one of them
    _is_others: bool = False

    def cut(self, name: str, end: str) -> str:
        """Return the end of a name that is the tag, or all of it when it is about another's.

        The topic says whose values they are: a name that says otherwise is no name of a tag.
        """
        before = name[: -len(end)] if end else name
        if self.others and before != self._before:
            self._before, self._is_others = before, is_about(before, self.others)
        return name if before and self.others and self._is_others else end

    def add(
        self, name: str, value: float | None, quality: int = q.GOOD, uom: str | None = None
    ) -> None:
        """Add one value; None is none, and one too large to be a value is infinite."""
        at = len(self.names)
        if quality:
            self.quality[at] = quality
        if uom is not None:
            self.uom[at] = uom
        self.names.append(name)
        if value is None:
            self.values.append(math.nan)
        else:
            self.values.append(float(value) if abs(value) < VALUE_MAX else math.inf)

    def add_json(
        self, name: Any, value: Any, uom: Any = None, *, quality: Any = q.GOOD, words: str = ""
    ) -> None:
        """Add one value of a JSON document, or refuse it alone.

        `words` is the vocabulary of a quality that was sent.
        """
        code = quality_of(words, quality) if words else quality
        if not isinstance(name, str):
            self.refused.append(("bad_name", f"a tag name is not a text: {name!r:.80}"))
        elif code is None:
            self.refused.append(("bad_quality", f"{name:.80}: quality {explain(words, quality)}"))
        elif value is None:
            # The gateway says that there is no value: that is knowledge, and it ends the last hold.
            self.add(name, None, q.BAD | q.NOT_A_NUMBER)
        elif not isinstance(value, int | float):
            self.refused.append(("wrong_type", f"{name}: not a number: {value!r:.80}"))
        else:
            self.add(name, value, code, None if uom is None else str(uom))

    def end_run(self, begin: int, time_us: int) -> None:
        """Give the values from number `begin` on their time [µs]."""
        self.runs.append((len(self.names) - begin, time_us))

    def extend(self, other: Decoded) -> None:
        """Add what another payload said."""
        at = len(self.names)
        self.quality |= {at + index: code for index, code in other.quality.items()}
        self.uom |= {at + index: uom for index, uom in other.uom.items()}
        self.historical |= {at + index for index in other.historical}
        self.names += other.names
        self.values += other.values
        self.runs += other.runs
        self.refused += other.refused
