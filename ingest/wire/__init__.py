"""Payload formats, one codec per module, both directions, no I/O.

A codec turns one payload into a `Decoded`: names, values and times exactly as they were sent. Which
tag a name is, and what its value is in SI, is decided by the caller.
"""

from __future__ import annotations

from dataclasses import dataclass, field

# The year 2200 in milliseconds: a later time is not a time but a mistake of the sender.
TIME_MS_MAX = 7_258_118_400_000
# Nothing in a park is as large as this: beyond it a number is a mistake of the sender.
VALUE_MAX = 1e150


class WireError(Exception):
    """A payload that cannot be decoded; `reason` is the counter it belongs to."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


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

    def extend(self, other: Decoded) -> None:
        """Add what another payload said."""
        at = len(self.names)
        self.quality |= {at + place: code for place, code in other.quality.items()}
        self.uom |= {at + place: uom for place, uom in other.uom.items()}
        self.historical |= {at + place for place in other.historical}
        self.names += other.names
        self.values += other.values
        self.runs += other.runs
        self.refused += other.refused
