"""From the cells of columns to numbers and times; one bad cell does not spoil the others."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ingest.wire import TIME_MS_MAX
from twin.arrays import BOOL, DAY_US, F64, I64, NEVER, SECOND_US
from twin.series.windows import QUARTER_US

if TYPE_CHECKING:
    from collections.abc import Sequence
    from zoneinfo import ZoneInfo

    from ingest.file_import.mapping import Clock, Form

TRUTH = {"true": 1.0, "false": 0.0}


class Numbers(NamedTuple):
    """Numbers of a column, (n,); NaN for a missing value."""

    value: F64
    given: BOOL  # False: the cell is empty
    wrong: BOOL  # the cell is not a number


def flat(column: Any) -> Any:
    """Return a column without dictionary and run-end encoding."""
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def is_text(column: Any) -> bool:
    """Return whether a column holds texts."""
    kind = column.type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def cast_or_null(column: Any, kind: Any) -> Any:
    """Return a column in another type, null where a cell does not fit."""
    try:
        return pc.cast(column, kind, safe=False)
    except pa.ArrowInvalid:
        if len(column) == 1:
            return pa.nulls(1, kind)
        # Halves of halves, until what is left is the cell that does not fit.
        half = len(column) // 2
        return pa.concat_arrays(
            [cast_or_null(column[:half], kind), cast_or_null(column[half:], kind)]
        )


def numbers(column: Any, form: Form) -> Numbers:
    """Return the numbers of a column of texts, numbers or flags."""
    column = flat(column)
    given = valid(column)
    if not is_text(column):
        try:
            cast = cast_or_null(column, pa.float64())
        except pa.ArrowNotImplementedError:  # of a type that holds no numbers, like times
            cast = pa.nulls(len(column), pa.float64())
        return Numbers(cast.fill_null(math.nan).to_numpy(), given, given & ~valid(cast))
    plain = _plain(column, form)
    cast = cast_or_null(plain, pa.float64())
    value = cast.fill_null(math.nan).to_numpy()
    wrong = valid(plain) & ~valid(cast)
    if wrong.any():
        value = value.copy()
        given, wrong = given.copy(), wrong.copy()
        at = np.flatnonzero(wrong)
        words = column.take(pa.array(at)).dictionary_encode()
        read = [_word(word, form) for word in words.dictionary.to_pylist()]
        which = words.indices.to_numpy()
        value[at], given[at], wrong[at] = (
            np.array(c)[which] for c in zip(*read, strict=True)
        )  # fmt: skip
    return Numbers(value, given, wrong)


def valid(column: Any) -> BOOL:
    """Return where a column is not null."""
    return np.asarray(column.is_valid().to_numpy(zero_copy_only=False))


def _plain(texts: Any, form: Form) -> Any:
    """Return texts as Arrow reads numbers, null where there was no value."""
    if form.null:
        none = pc.is_in(texts, value_set=pa.array(form.null, texts.type))
        texts = pc.if_else(none, pa.scalar(None, texts.type), texts)
    if form.thousands:
        texts = pc.replace_substring(texts, form.thousands, "")
    if form.decimal != ".":
        # Otherwise 1.234 would pass for a number, whatever was meant.
        texts = pc.replace_substring(texts, ".", "?")
        texts = pc.replace_substring(texts, form.decimal, ".")
    return texts


def _word(text: str, form: Form) -> tuple[float, bool, bool]:
    """Return (value, given, wrong) of a text that is not a number as it stands."""
    word = text.strip()
    if not word or word in form.null:
        return math.nan, word != "", False
    if word in form.words:
        return form.words[word], True, False
    if word.lower() in TRUTH:
        return TRUTH[word.lower()], True, False
    value = cast_or_null(_plain(pa.array([word]), form), pa.float64())[0].as_py()
    return (math.nan, True, True) if value is None else (value, True, False)


NO_TIME = NEVER
PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
# Day 0 of a spreadsheet is 1899-12-30.
EXCEL_ZERO_US = -25_569 * DAY_US
# What people write; suggested when the format of a map does not fit.
COMMON = (
    "iso", "%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M", "%d/%m/%Y %H:%M:%S", "%m/%d/%Y %H:%M:%S",
    "%Y/%m/%d %H:%M", "%Y/%m/%d %H:%M:%S", "%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M:%S",
    "%d-%m-%Y %H:%M", "%d-%m-%Y %H:%M:%S", "%Y年%m月%d日 %H:%M", "%Y年%m月%d日 %H:%M:%S",
    "%Y年%m月%d日 %H时%M分", "%Y%m%d%H%M", "%Y%m%d%H%M%S", "%Y-%m-%d %H时",
)  # fmt: skip
# The end of a day, on clocks that show it so.
MIDNIGHT = re.compile(r"(?<![\d:])24(:00(:00(\.0+)?)?)(?![\d:])")


def times(columns: Sequence[Any], clock: Clock) -> I64:
    """Return the time of each row [µs], at the start of its interval; NO_TIME where it has none.

    A time that the clock of the zone never shows is none. Neither is one that it shows twice, on
    the night it is set back: nothing says which of both is meant.
    """
    read_us, absolute = _read(columns, clock.form)
    local_us = read_us
    if clock.midnight_ends:
        local_us = np.where(local_us % DAY_US == 0, local_us + DAY_US, local_us)
    utc_us = read_us if absolute.all() else to_utc(local_us, clock.zone)
    time_us = np.where(absolute, read_us, utc_us)
    known = (read_us != NO_TIME) & (time_us != NO_TIME)
    time_us = time_us - clock.back_us
    known &= (time_us >= 0) & (time_us <= TIME_MS_MAX * 1000)
    return np.where(known, time_us, NO_TIME)


def suggest(columns: Sequence[Any]) -> list[str]:
    """Return the common formats that read every time of some rows."""
    return [
        form for form in COMMON
        if len(columns[0]) and (_read(columns, form)[0] != NO_TIME).all()
    ]  # fmt: skip


def to_utc(local_us: I64, zone: ZoneInfo) -> I64:
    """Return local times as UTC [µs]; NO_TIME where the clock shows them twice or never."""
    # Clocks are set by whole quarters of an hour: one look at the zone for each quarter will do.
    quarter, at = np.unique(local_us // QUARTER_US, return_inverse=True)
    offset = np.array([_offset_us(int(n) * QUARTER_US, zone) for n in quarter], dtype=np.int64)
    offset_us = offset[at]
    return np.where(offset_us == NO_TIME, NO_TIME, local_us - offset_us)


def _offset_us(local_us: int, zone: ZoneInfo) -> int:
    """Return the offset of a local time to UTC [µs]; NO_TIME where it is not one figure."""
    if not 0 <= local_us <= TIME_MS_MAX * 1000:
        return NO_TIME
    naive = datetime(1970, 1, 1) + timedelta(microseconds=local_us)  # noqa: DTZ001
    first, second = (naive.replace(tzinfo=zone, fold=fold).utcoffset() for fold in (0, 1))
    if first is None or first != second:
        return NO_TIME
    return first // timedelta(microseconds=1)


def _read(columns: Sequence[Any], form: str) -> tuple[I64, BOOL]:
    """Return times as written [µs], NO_TIME where there is none, and a mask of those in UTC."""
    if len(columns) > 1:
        texts = [pc.cast(flat(column), pa.string()) for column in columns]
        column = pc.binary_join_element_wise(*texts, " ")
    else:
        column = flat(columns[0])
    if pa.types.is_temporal(column.type):
        absolute = pa.types.is_timestamp(column.type) and column.type.tz is not None
        kind = pa.timestamp("us", "UTC" if absolute else None)
        return _micros(pc.cast(column, kind, safe=False)), np.full(len(column), absolute)
    if form in PER_SECOND or form == "excel":
        return _counted(column, form), np.full(len(column), form != "excel")
    if not is_text(column):
        return np.full(len(column), NO_TIME), np.ones(len(column), bool)
    return _written(column, form)


def _micros(column: Any) -> I64:
    """Return a timestamp column as int64 µs."""
    return np.asarray(pc.cast(column, pa.int64()).fill_null(NO_TIME).to_numpy())


def _counted(column: Any, form: str) -> I64:
    """Return times of numbers counted since an epoch [µs]."""
    # Whole numbers keep their last digit, which a float of so many nanoseconds does not.
    whole = cast_or_null(column, pa.int64()) if form != "excel" else None
    if whole is not None and whole.null_count == column.null_count:
        count = whole.fill_null(0).to_numpy()
        per = PER_SECOND[form]
        us = count * (SECOND_US // per) if per <= SECOND_US else count // (per // SECOND_US)
        return np.where(valid(whole), us, NO_TIME)
    decimal = cast_or_null(column, pa.float64())
    count = decimal.fill_null(np.nan).to_numpy()
    us = count * DAY_US + EXCEL_ZERO_US if form == "excel" else count * SECOND_US / PER_SECOND[form]
    sane = np.abs(us) <= TIME_MS_MAX * 1000
    return np.where(sane, np.round(np.where(sane, us, 0.0)).astype(np.int64), NO_TIME)


def _written(texts: Any, form: str) -> tuple[I64, BOOL]:
    """Return times of texts [µs]."""
    time_us, absolute = _parse(texts, form)
    failed = np.flatnonzero(valid(texts) & (time_us == NO_TIME))
    if len(failed):
        words = texts.take(pa.array(failed)).dictionary_encode()
        plain = [word.strip() for word in words.dictionary.to_pylist()]
        ends = np.array([MIDNIGHT.search(word) is not None for word in plain])
        again = pa.array([MIDNIGHT.sub(r"00\1", word) for word in plain], pa.string())
        us, utc = _parse(again, form)
        us = np.where(ends & (us != NO_TIME), us + DAY_US, us)
        which = words.indices.to_numpy()
        time_us, absolute = time_us.copy(), absolute.copy()
        time_us[failed], absolute[failed] = us[which], utc[which]
    return time_us, absolute


def _parse(texts: Any, form: str) -> tuple[I64, BOOL]:
    """Return times of texts by a format [µs], and a mask of those with an offset of their own."""
    if form == "iso":
        local = cast_or_null(texts, pa.timestamp("ns"))
        if local.null_count == texts.null_count:
            return _floor(local), np.zeros(len(texts), bool)
        utc = cast_or_null(texts, pa.timestamp("ns", "UTC"))
        return np.where(valid(local), _floor(local), _floor(utc)), valid(utc)
    fraction_us: Any = 0
    if form.endswith(".%f"):
        form = form.removesuffix(".%f")
        part = pc.fill_null(pc.struct_field(pc.extract_regex(texts, r"(?P<f>\.\d+)$"), "f"), ".0")
        fraction_us = np.round(pc.cast(part, pa.float64()).to_numpy() * SECOND_US).astype(np.int64)
        texts = pc.replace_substring_regex(texts, r"\.\d+$", "")
    parsed = pc.strptime(texts, format=form, unit="us", error_is_null=True)
    time_us = _micros(parsed)
    # It takes 31 February for 3 March.
    spilled = np.flatnonzero(pc.day(parsed).fill_null(31).to_numpy() <= 3)
    if len(spilled):
        words = texts.take(pa.array(spilled)).dictionary_encode()
        real = np.array([_exists(word, form) for word in words.dictionary.to_pylist()])
        time_us = time_us.copy()
        time_us[spilled[~real[words.indices.to_numpy()]]] = NO_TIME
    return np.where(time_us == NO_TIME, NO_TIME, time_us + fraction_us), np.zeros(len(texts), bool)


def _floor(column: Any) -> I64:
    """Return a timestamp column of nanoseconds as µs."""
    count = _micros(column)
    return np.where(count == NO_TIME, NO_TIME, count // 1000)


def _exists(word: str, form: str) -> bool:
    """Return whether the calendar has a date."""
    try:
        datetime.strptime(word, form).replace(tzinfo=UTC)
    except ValueError:
        return False
    return True
