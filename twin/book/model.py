"""Table ``[[book]]``: the tags whose values people enter, and the periods they are entered for.

A tag of kind ``amount`` has the amount of each period (revenue, tax, tonnes of waste); a gauge has
a value that holds through the period (land, staff, a grade) or is true at an instant.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twin.model.park import AMOUNTS
from twin.model.rows import RowFault, cell, guess, table
from twin.reference import figure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from twin.model.park import Park, Tag

INSTANT = "instant"
PERIODS = ("day", "month", "quarter", "year", INSTANT)
# The kind of a tag that has an amount for each period, and nothing between.
AMOUNT = "amount"


@table
class BookTag:
    """A tag whose values are entered; `compare` is a tag, or a stream, that measures the same."""

    tag: str = cell("tag")
    period: str = cell("one " + " ".join(PERIODS))
    compare: str = cell("text", default="")


def book_tags(park: Park) -> dict[str, BookTag]:
    """Return the rows of ``[[book]]`` by the addresses of their tags."""
    return {row.tag: row for row in park.rows(BookTag)}


def compared_tag(park: Park, row: BookTag) -> str:
    """Return the address of the tag a value is compared with; empty where there is none."""
    flows = {stream.id: stream.flow for stream in park.streams}
    return flows.get(row.compare, row.compare)


def limits() -> dict[str, float]:
    """Return the limits of the comparison with meters.

    Returns
    -------
    dict of str to float [1]    `deviation` and `completeness`
    """
    return {name: figure(f"book.{name}", "fraction") for name in ("deviation", "completeness")}


def check_book(park: Park) -> Iterator[RowFault]:
    """Yield rows that do not fit the kind of their tag, and meters that measure something else."""
    tags = {tag.address: tag for tag in park.tags}
    for row in park.rows(BookTag):
        tag = tags[row.tag]
        if tag.kind not in (AMOUNT, "gauge"):
            yield RowFault(row, f"it is a {tag.kind}; the books have amounts and gauges", "tag")
        elif tag.kind == AMOUNT and row.period == INSTANT:
            yield RowFault(row, "an amount is one of a period, not of an instant", "period")
        if row.compare:
            yield from _check_comparison(row, tag, tags, compared_tag(park, row))


def _check_comparison(
    row: BookTag, tag: Tag, tags: dict[str, Tag], compared: str
) -> Iterator[RowFault]:
    """Yield what a comparison with a meter lacks."""
    meter = tags.get(compared)
    if tag.kind != AMOUNT:
        yield RowFault(row, "only an amount is compared with a meter", "compare")
    elif not compared:
        yield RowFault(row, f"stream {row.compare!r} has no flow", "compare")
    elif meter is None:
        close = guess(compared, tags)
        yield RowFault(row, f"there is no tag or stream {row.compare!r}{close}", "compare")
    elif (meter.quantity if meter.kind == "counter" else AMOUNTS.get(meter.quantity)) != (
        tag.quantity
    ):
        measured = f"{compared!r} is a {meter.kind} of {meter.quantity}"
        yield RowFault(row, f"{measured}, which adds up to no {tag.quantity}", "compare")
