"""The forms that times may be written in, guessed from some of them."""

from __future__ import annotations

import re
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ingest.file_import.cells import flat, is_text, valid
from ingest.file_import.time_forms import NO_TIME, NOON, OFFSET, RANGE, plain_signs, read_times

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# Ways to write a day: what it looks like, and its forms; {0} is the mark between the parts.
DAYS = [
    (r"\d{4}([-/.])\d{1,2}\1\d{1,2}", ("%Y{0}%m{0}%d",)),
    (r"\d{4}年\d{1,2}月\d{1,2}日", ("%Y年%m月%d日",)),
    (r"\d{1,2}([-/.])\d{1,2}\1\d{4}", ("%d{0}%m{0}%Y", "%m{0}%d{0}%Y")),
    (r"\d{1,2}([-/.])\d{1,2}\1\d{2}", ("%d{0}%m{0}%y", "%m{0}%d{0}%y", "%y{0}%m{0}%d")),
    (r"\d{1,2}([-/. ]?)[A-Za-z]{3,9}\.?\1\d{4}", ("%d{0}%b{0}%Y",)),
    (r"\d{1,2}([-/. ]?)[A-Za-z]{3,9}\.?\1\d{2}", ("%d{0}%b{0}%y",)),
    (r"[A-Za-z]{3,9}\.? \d{1,2}(,?) \d{4}", ("%b %d{0} %Y",)),
    (r"\d{8}", ("%Y%m%d",)),
]
TIME = re.compile(
    rf"(?P<noon>(?:{NOON})\s*)?\d{{1,2}}(?:(?P<hour>[:时.])(?P<minute>\d\d)(?:(?P<mark>[:分.])"
    rf"(?:(?P<second>\d\d秒?)(?P<fraction>[.,:]\d+)?)?)?)?(?P<after>\s*(?:{NOON}))?"
    rf"(?P<zone>\s*(?:{OFFSET}))?$|(?P<digits>\d{{4}}|\d{{6}})$",
    re.IGNORECASE,
)
PER_DIGITS = {10: "s", 13: "ms", 16: "us", 19: "ns"}
# Serial numbers of spreadsheets for the years 1954 to 2119.
SERIALS = 20_000, 80_000
DISTINCT, TRIED, SAMPLES = 1000, 50, 3


def guess_forms(columns: Sequence[Any], share: float = 1.0) -> list[str]:
    """Return the forms that read most times of some rows, all or a share, the likeliest first."""
    given = np.logical_and.reduce([valid(column) for column in columns])
    if not given.any():
        return []
    columns = [column.filter(pa.array(given)) for column in columns]
    if len(columns) == 1 and not is_text(flat(columns[0])):
        return _counted(flat(columns[0]))
    texts = [pc.cast(flat(column), pa.string()) for column in columns]
    joined = pc.binary_join_element_wise(*texts, " ") if len(texts) > 1 else texts[0]
    words = {plain_signs(word) for word in joined.unique()[:DISTINCT].to_pylist()}
    # The longest ones show what a form may have; what is no time at all has no form.
    longest = sorted(words, key=len, reverse=True)[:TRIED]
    each = (list(_forms(word)) for word in longest)
    some = islice((forms for forms in each if forms), SAMPLES)
    read = {
        form: (read_times(columns, form).time_us != NO_TIME).mean()
        for form in dict.fromkeys(["iso", *chain.from_iterable(some)])
    }
    best = max(share, *read.values())
    return [form for form in read if read[form] >= best]


def _counted(column: Any) -> list[str]:
    """Return the forms of times that are counted since an epoch."""
    if pa.types.is_temporal(column.type):
        return ["iso"]
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        return []
    largest = pc.max(column).as_py()
    if SERIALS[0] <= (pc.min(column).as_py() or 0) and largest <= SERIALS[1]:
        return ["excel"]
    form = PER_DIGITS.get(len(str(int(largest))))
    return [form] if form else []


def _forms(word: str) -> Iterator[str]:
    """Yield the forms that a text may be in."""
    if re.fullmatch(r"\d+([.,]\d+)?", word):
        whole = re.split("[.,]", word)[0]
        if len(whole) in PER_DIGITS:
            yield PER_DIGITS[len(whole)]
        if SERIALS[0] <= int(whole) <= SERIALS[1]:
            yield "excel"
    for text in dict.fromkeys((word, RANGE.split(word, maxsplit=1)[0])):
        for pattern, forms in DAYS:
            day = re.match(pattern, text)
            if day:
                clock = _clock(text[day.end() :])
                mark = day[1] if day.lastindex else ""
                yield from (form.format(mark) + clock for form in forms if clock is not None)
            day = re.search(rf"(?<=\s)(?:{pattern})$", text)
            clock = _clock(text[: day.start()].rstrip()) if day else None
            if day and clock:
                mark = day[1] if day.lastindex else ""
                yield from (f"{clock} {form.format(mark)}" for form in forms)


def _clock(text: str) -> str | None:
    """Return the form of a time of day, with the blank before it; None when it is none."""
    between = re.match(r"[T\s]*", text)
    mark = between[0] if between else ""
    text = text[len(mark) :]
    mark = mark if mark in ("", "T") else " "
    if not text:
        return ""
    time = TIME.match(text)
    if time is None:
        return None
    if time["digits"]:
        return mark + ("%H%M" if len(time["digits"]) == 4 else "%H%M%S")
    hour = "%I" if time["noon"] or time["after"] else "%H"
    parts = [mark, "%p " if time["noon"] else "", hour, time["hour"] or ""]
    parts += ["%M" if time["minute"] else "", time["mark"] or ""]
    parts += ["%S" + "秒" * time["second"].endswith("秒") if time["second"] else ""]
    if time["fraction"]:
        parts.append(f"{time['fraction'][0]}%f")
    parts += [" %p" if time["after"] else "", " %z" if time["zone"] else ""]
    return "".join(parts)
