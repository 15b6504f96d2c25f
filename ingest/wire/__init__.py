"""Payload formats, one codec per module, both directions, no I/O.

A codec turns one payload into a `Decoded`: names, values and times exactly as they were sent. Which
tag a name is, and what its value is in SI, is decided by the caller.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import Any

import msgspec

from twin import quality as q
from twin.quality_vocabularies import explain, quality_of

# The year 2200 in milliseconds: a later time is not a time but a mistake of the sender.
TIME_MS_MAX = 7_258_118_400_000
# Nothing in a park is as large as this: beyond it a number is a mistake of the sender.
VALUE_MAX = 1e150
_JSON = msgspec.json.Decoder()


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
