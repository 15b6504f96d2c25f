"""The forms of times: from cells to times as they are written, with or without an offset."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ingest.file_import.cells import cast_or_null, flat, is_text, valid
from ingest.wire import TIME_MS_MAX
from twin.arrays import BOOL, DAY_US, I64, NEVER, SECOND_US

if TYPE_CHECKING:
    from collections.abc import Sequence

NO_TIME = NEVER
PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
COUNTED = (*PER_SECOND, "excel")
# Day 0 of a spreadsheet is 1899-12-30; the last day it shows is in the year 9999.
EXCEL_ZERO_US, EXCEL_DAYS = -25_569 * DAY_US, 2_958_466

NOON = r"[ap]\.?\s?m\.?|上午|下午|凌晨|清晨|早上|中午|傍晚|晚上|午前|午後|오전|오후"  # noqa: RUF100
AFTERNOON = ("p", "下午", "中午", "傍晚", "晚上", "午後", "오후")
OFFSET = r"Z|UTC|GMT|(?:UTC|GMT)?[+-]\d{1,2}(?::?\d{2})?"
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
# Pattern of each directive; the name of its group is the field it fills.
DIRECTIVES = {
    "Y": r"(?P<Y>\d{4})", "y": r"(?P<y>\d{2})", "m": r"(?P<m>\d{1,2})", "d": r"(?P<d>\d{1,2})",
    "b": r"(?P<b>\pL{3,9})\.?", "a": r"\pL+\.?", "j": r"(?P<j>\d{3})",
    "H": r"(?P<H>\d{1,2})", "M": r"(?P<M>\d{1,2})", "S": r"(?P<S>\d{1,2})", "f": r"(?P<f>\d+)",
    "p": rf"\s*(?P<p>{NOON})\s*", "z": rf"\s*(?P<z>{OFFSET})",
}  # fmt: skip
SAME = {"B": "b", "h": "b", "A": "a", "e": "d", "k": "H", "l": "I"}
SHORT = {"T": "%H:%M:%S", "R": "%H:%M", "F": "%Y-%m-%d", "D": "%m/%d/%y"}
CLOCK = "HIMSfp"
FRACTION = r"(?:[.,](?P<f>\d+))?"
ISO = (
    r"^(?P<Y>\d{4})-(?P<m>\d{1,2})-(?P<d>\d{1,2})(?:(?:T|\s+)(?P<H>\d{1,2})(?::(?P<M>\d{2})"
    rf"(?::(?P<S>\d{{2}}){FRACTION})?)?(?:\s*(?P<z>{OFFSET}))?)?$"
)
# What stands between the start and the end of an interval in one cell.
RANGE = re.compile(
    r"\s+(?:-|to|bis|/)\s+|\s*[~–—至到]\s*|(?<=:\d\d)-(?=\d{1,2}:\d\d)|(?<=[\dZ])/(?=\d{4}-)"
)
JAVA = {
    "yyyy": "%Y", "yy": "%y", "MM": "%m", "M": "%m", "dd": "%d", "d": "%d", "HH": "%H", "H": "%H",
    "hh": "%I", "h": "%I", "mm": "%M", "m": "%M", "ss": "%S", "s": "%S", "tt": "%p", "a": "%p",
    "SSS": "%f", "fff": "%f",
}  # fmt: skip


class Written(NamedTuple):
    """Times as they are written, (n,)."""

    time_us: I64  # NO_TIME where there is none
    absolute: BOOL  # True: in UTC, by an offset of its own


@dataclass(frozen=True, slots=True)
class TimeForm:
    """A form of times, compiled."""

    pattern: str  # empty: counted since an epoch
    clock: str = ""  # pattern of the time of day alone
    quick: str = ""  # the format for Arrow's own reader, which is faster; empty: not for it


@lru_cache(maxsize=64)
def compile_form(form: str) -> TimeForm:
    """Return a form of the map, compiled; raises ValueError with the mend."""
    if form in COUNTED:
        return TimeForm("")
    if form == "iso":
        return TimeForm(ISO, r"^(?P<H>\d{1,2}):(?P<M>\d{2})(?::(?P<S>\d{2}))?$", "iso")
    tokens = _tokens(form)
    first, second = _halves(tokens, form)
    names = [text for kind, text in first if kind]
    _require(names, form)
    split = next((at for at, (_, text) in enumerate(first) if text in CLOCK), len(first))
    day, time = first[:split], first[split:]
    if set(CLOCK).isdisjoint(text for kind, text in day if kind) and not any(
        kind and text not in CLOCK + "z" for kind, text in time
    ):
        day, time = _cut(day, time)
        clock = _pattern([token for token in time if token[1].strip()])
        pattern = f"^{_pattern(day)}(?:{_pattern(time)})?$" if time else f"^{_pattern(day)}$"
    else:
        clock, pattern = "", f"^{_pattern(first)}$"
    if second and [t for t in second if t[0]] not in (
        [t for t in first if t[0]],
        [t for t in time if t[0]],
    ):
        raise ValueError(f"{form!r}: the end of a range is written like its start, or its time")
    quick = form if not second and set(names) <= set("YmdHMS") else ""
    return TimeForm(f"(?i){pattern}", f"(?i)^{clock}$" if clock else "", quick)


def _tokens(form: str) -> list[tuple[bool, str]]:
    """Return (is a directive, its letter or the text between); raises ValueError."""
    form = re.sub(r"%[-#_0^]([a-zA-Z])", r"%\1", form)
    for letter, meaning in SHORT.items():
        form = form.replace(f"%{letter}", meaning)
    tokens = []
    for letter, text in re.findall(r"%(.)|([^%]+|%)", form, re.DOTALL):
        known = SAME.get(letter, letter)
        if text or known == "%":
            tokens.append((False, text or "%"))
        elif known in DIRECTIVES or known == "I":
            tokens.append((True, known))
        else:
            raise ValueError(
                f"{form!r} has %{letter}, which is not read; %Y %m %d %b %H %I %p %M %S %f %z are"
            )
    return tokens


def _halves(
    tokens: list[tuple[bool, str]], form: str
) -> tuple[list[tuple[bool, str]], list[tuple[bool, str]]]:
    """Return the tokens of a time, and those of a second one, when the form is a range."""
    seen: set[str] = set()
    for at, (kind, text) in enumerate(tokens):
        field = {"y": "Y", "I": "H"}.get(text, text) if kind else ""
        if field in seen:
            mark = "" if tokens[at - 1][0] else tokens[at - 1][1]
            between_clocks = mark == "-" and field == "H"
            between_dates = mark == "/" and {"Y", "d"} <= seen
            if not (RANGE.fullmatch(mark) or between_clocks or between_dates):
                raise ValueError(
                    f"{form!r} has %{text} twice; a range from start to end is written"
                    ' "%Y-%m-%d %H:%M - %Y-%m-%d %H:%M"'
                )
            return tokens[: at - 1], tokens[at:]
        seen.update({field} if field else ())
    return tokens, []


def _require(names: list[str], form: str) -> None:
    """Raise ValueError when fields are missing, with what mends it."""
    if not names:
        letters = "y{4}|y{2}|S{3}|f{3}|M{1,2}|d{1,2}|H{1,2}|h{1,2}|m{1,2}|s{1,2}|tt|a"
        java = re.sub(letters, lambda part: JAVA[part[0]], form)
        mend = f"; did you mean {java!r}?" if "%Y" in java or "%y" in java else ""
        raise ValueError(
            f"{form!r} is not a form of times: iso, {', '.join(COUNTED)}, or one like"
            f' "%d/%m/%Y %H:%M"{mend}'
        )
    fields = set(names)
    for needed, what in (("Yy", "year, %Y"), ("mbj", "month, %m"), ("dj", "day, %d")):
        if fields.isdisjoint(needed):
            raise ValueError(f"{form!r} has no {what}; `time` may join two columns")
    if "I" in fields and "p" not in fields:
        raise ValueError(f"{form!r} has hours up to 12 (%I) without %p; write %H for 0 to 24")
    if "f" in fields and "S" not in fields:
        raise ValueError(f"{form!r} has a fraction (%f) without seconds, %S")
    if fields & set("Mp") and fields.isdisjoint("HI"):
        raise ValueError(f"{form!r} has no hour: %H, or %I with %p")


def _cut(
    day: list[tuple[bool, str]], time: list[tuple[bool, str]]
) -> tuple[list[tuple[bool, str]], list[tuple[bool, str]]]:
    """Move what stands between day and time to the time, but for a sign like 日 of the day."""
    if not time or not day or day[-1][0]:
        return day, time
    text = day[-1][1]
    sign = re.match(r"[年月日号.]*", text)
    own = sign[0] if sign else ""
    before = [*day[:-1], (False, own)] if own else day[:-1]
    return before, [(False, text[len(own) :]), *time] if text[len(own) :] else time


def _pattern(tokens: list[tuple[bool, str]]) -> str:
    """Return the pattern of tokens; seconds and their fraction may be absent."""
    parts = []
    names = [text for kind, text in tokens if kind]
    for at, (kind, text) in enumerate(tokens):
        before, after = tokens[at - 1] if at else (False, ""), (*tokens, (False, ""))[at + 1]
        if not kind:
            free = r"\s*" if {before, after} & {(True, "p"), (True, "z")} else r"\s+"
            plain = "".join(c if c.isalnum() or not c.isascii() else f"\\{c}" for c in text)
            literal = re.sub(r"(\\\s)+", free.replace("\\", r"\\"), plain)
            if after == (True, "S") and text == ":":
                literal = "(?::"
            elif after == (True, "f"):
                literal = f"(?:{'[.,]' if text in ('.', ',') else literal}"
            parts.append(literal)
            continue
        name = "H" if text == "I" else text
        parts.append(DIRECTIVES[name])
        if name == "S":
            # A fraction that the form does not mention, and the end of what may be absent.
            parts += [FRACTION] if "f" not in names else []
            parts += [")?"] if before == (False, ":") else []
        elif name == "f" and at and not before[0]:
            parts.append(")?")
        elif name == "M" and "S" not in names:
            parts.append(rf"(?::(?P<S>\d{{2}}){FRACTION})?")
    return "".join(parts)


def read_times(
    columns: Sequence[Any], form: str, *, end: bool = False, serial: bool = False
) -> Written:
    """Return the times of rows as written.

    Of a range in one cell it is the start, or the `end`. With `serial`, a number in place of a
    date is the serial number of a spreadsheet.
    """
    if len(columns) > 1:
        texts = [pc.cast(flat(column), pa.string()) for column in columns]
        column = pc.binary_join_element_wise(*texts, " ")
    else:
        column = flat(columns[0])
    if pa.types.is_temporal(column.type):
        absolute = pa.types.is_timestamp(column.type) and column.type.tz is not None
        kind = pa.timestamp("us", "UTC" if absolute else None)
        return Written(_micros(pc.cast(column, kind, safe=False)), _all(column, absolute))
    if not is_text(column):
        counted = form in COUNTED
        time_us = _counted(column, form) if counted else np.full(len(column), NO_TIME)
        return Written(time_us, _all(column, form != "excel"))
    if form in COUNTED:
        written = Written(_counted(_with_point(column), form), _all(column, form != "excel"))
    else:
        written = _quick(column, compile_form(form).quick)
    return _retry(column, written, form, end=end, serial=serial)


def _all(column: Any, value: bool) -> BOOL:  # noqa: FBT001
    return np.full(len(column), value)


def _micros(column: Any) -> I64:
    """Return a timestamp column as int64 µs."""
    return np.asarray(pc.cast(column, pa.int64()).fill_null(NO_TIME).to_numpy())


def _with_point(texts: Any) -> Any:
    """Return numbers with a decimal point: in a count since an epoch, a comma is no other mark."""
    return pc.replace_substring_regex(texts, r"^\s*(\d+),(\d+)\s*$", r"\1.\2")


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
    if form == "excel":
        # A serial number of a spreadsheet is good to some milliseconds at most.
        us = np.round(count * 86_400_000) * 1000 + EXCEL_ZERO_US
    else:
        us = count * SECOND_US / PER_SECOND[form]
    sane = np.abs(us) <= TIME_MS_MAX * 1000
    return np.where(sane, np.round(np.where(sane, us, 0.0)).astype(np.int64), NO_TIME)


def _quick(texts: Any, form: str) -> Written:
    """Return what Arrow's own readers make of texts; it may be nothing."""
    none = Written(np.full(len(texts), NO_TIME), np.zeros(len(texts), bool))
    if not form:
        return none
    if form == "iso":
        for zone in (None, "UTC"):
            try:
                column = pc.cast(texts, pa.timestamp("ns", zone))
            except pa.ArrowInvalid:
                continue
            count = _micros(column)
            time_us = np.where(count == NO_TIME, NO_TIME, count // 1000)
            return Written(time_us, _all(texts, zone is not None))
        return none
    parsed = pc.strptime(texts, format=form, unit="us", error_is_null=True)
    # It takes 31 February for 3 March: what may be such a day is read again.
    spilled = pc.day(parsed).fill_null(31).to_numpy() <= 3
    return Written(np.where(spilled, NO_TIME, _micros(parsed)), none.absolute)


def _retry(texts: Any, written: Written, form: str, *, end: bool, serial: bool) -> Written:
    """Read again what could not be read: by fields, with plain signs, as ISO, as a range."""
    compiled = compile_form(form)
    patterns = [p for p in dict.fromkeys((compiled.pattern, ISO)) if p]
    time_us, absolute = written
    for nth in range(2):
        failed = np.flatnonzero(valid(texts) & (time_us == NO_TIME))
        if not len(failed):
            break
        words = texts.take(pa.array(failed)).dictionary_encode()
        plain = words.dictionary
        if nth:
            plain = pa.array([plain_signs(word) for word in plain.to_pylist()], pa.string())
        us, utc = _by_patterns(plain, patterns if nth else patterns[:1])
        if nth and serial:
            us = np.where(us == NO_TIME, _serials(plain), us)
        if nth:
            us, utc = _ranges(plain, us, utc, compiled, end=end)
        which = words.indices.to_numpy()
        time_us, absolute = time_us.copy(), absolute.copy()
        time_us[failed], absolute[failed] = us[which], utc[which]
    return Written(time_us, absolute)


def plain_signs(word: str) -> str:
    """Return a text in plain signs: of full-width digits, narrow blanks, quotation marks."""
    return unicodedata.normalize("NFKC", word).strip(" \t'\"\u200e\u200f")


def _serials(texts: Any) -> I64:
    days = cast_or_null(_with_point(texts), pa.float64())
    known = days.fill_null(0.0).to_numpy()
    return np.where((known >= 1) & (known < EXCEL_DAYS), _counted(days, "excel"), NO_TIME)


def _by_patterns(texts: Any, patterns: Sequence[str]) -> Written:
    """Return times of texts by the first pattern that reads each."""
    time_us, absolute = np.full(len(texts), NO_TIME), np.zeros(len(texts), bool)
    for pattern in patterns:
        failed = np.flatnonzero(valid(texts) & (time_us == NO_TIME))
        if len(failed):
            time_us[failed], absolute[failed] = _by_fields(texts.take(pa.array(failed)), pattern)
    return Written(time_us, absolute)


def _ranges(texts: Any, us: I64, utc: BOOL, form: TimeForm, *, end: bool) -> Written:
    """Return times, and where a text is a range that has none yet, its start or its end."""
    failed = np.flatnonzero(us == NO_TIME)
    halves = [RANGE.split(texts[int(at)].as_py() or "", maxsplit=1) for at in failed.tolist()]
    both = np.array([len(parts) == 2 for parts in halves], dtype=bool)
    if not form.pattern or not both.any():
        return Written(us, utc)
    failed = failed[both]
    starts, ends = zip(*(parts for parts in halves if len(parts) == 2), strict=True)
    start_us, start_utc = _by_patterns(pa.array(starts), (form.pattern, ISO))
    stop_us, stop_utc = _by_patterns(pa.array(ends), (form.pattern, ISO))
    if form.clock:
        # The end may be its time alone, and then it is of the same day or of the next one.
        day_us = np.where(start_us == NO_TIME, 0, start_us // DAY_US * DAY_US)
        clock_us = _clock_us(pa.array(ends), form.clock)
        later = day_us + clock_us + DAY_US * (day_us + clock_us <= start_us)
        alone = (stop_us == NO_TIME) & (clock_us != NO_TIME) & ~start_utc
        stop_us = np.where(alone, later, stop_us)
    # Both must be times, or it is no range.
    known = (start_us != NO_TIME) & (stop_us != NO_TIME)
    us, utc = us.copy(), utc.copy()
    us[failed] = np.where(known, stop_us if end else start_us, NO_TIME)
    utc[failed] = stop_utc if end else start_utc
    return Written(us, utc)


def _fields(texts: Any, pattern: str) -> tuple[dict[str, Any], BOOL]:
    """Return the groups of a pattern as columns of texts, null where absent, and where it fits."""
    fields = pc.extract_regex(texts, pattern)
    names = [field.name for field in fields.type]
    columns = {name: pc.struct_field(fields, name) for name in names}
    some = {
        name: pc.if_else(pc.equal(column, ""), pa.scalar(None, pa.string()), column)
        for name, column in columns.items()
    }
    return some, valid(fields)


def _by_fields(texts: Any, pattern: str) -> Written:
    """Return times of texts by a pattern; the calendar decides which exist."""
    fields, fits = _fields(texts, pattern)
    n = len(texts)
    year = _whole(fields, "Y", n)
    if "y" in fields:
        short = _whole(fields, "y", n)
        year = short + np.where(short < 69, 2000, 1900)
    month = _whole(fields, "m", n, 1)
    if "b" in fields:
        first = pc.utf8_slice_codeunits(pc.utf8_lower(fields["b"]), 0, 3)
        index = pc.index_in(first, value_set=pa.array(MONTHS, first.type))
        month = index.fill_null(-1).to_numpy().astype(np.int64) + 1
    day = _whole(fields, "d", n, 1)
    if "j" in fields:
        first_day = _whole(fields, "j", n)
        day, month = np.where(first_day > 0, day, 0), np.ones(n, np.int64)
    else:
        first_day = np.ones(n, np.int64)
    fits &= (month >= 1) & (month <= 12) & (day >= 1)
    months = (np.where(fits, year, 1970) - 1970) * 12 + np.where(fits, month, 1) - 1
    begin = months.astype("M8[M]")
    days = begin.astype("M8[D]").astype(np.int64)
    length = (begin + 1).astype("M8[D]").astype(np.int64) - days
    if "j" in fields:
        length = (begin + 12).astype("M8[D]").astype(np.int64) - days
        day = first_day
    fits &= day <= length
    clock_us = _clock_of(fields, n)
    fits &= clock_us != NO_TIME
    offset_us = _offset_of(fields, n)
    time_us = (days + day - 1) * DAY_US + np.where(fits, clock_us - offset_us, 0)
    absolute = valid(fields["z"]) if "z" in fields else np.zeros(n, bool)
    return Written(np.where(fits, time_us, NO_TIME), absolute)


def _whole(fields: dict[str, Any], name: str, n: int, default: int = 0) -> I64:
    """Return a field as whole numbers."""
    if name not in fields:
        return np.full(n, default, np.int64)
    return np.asarray(pc.cast(fields[name], pa.int64()).fill_null(default).to_numpy())


def _clock_us(texts: Any, pattern: str) -> I64:
    """Return the times of day of texts [µs], NO_TIME where a text is none."""
    fields, fits = _fields(texts, pattern)
    return np.where(fits, _clock_of(fields, len(texts)), NO_TIME)


def _clock_of(fields: dict[str, Any], n: int) -> I64:
    """Return times of day [µs]; 24:00 is the end of the day, NO_TIME what no clock shows."""
    hour, minute, second = (_whole(fields, name, n) for name in "HMS")
    if "p" in fields:
        word = pc.utf8_lower(fields["p"]).fill_null("")
        late = np.array([text.startswith(AFTERNOON) for text in word.to_pylist()], dtype=bool)
        late &= ~(np.array(pc.equal(word, "中午")) & (hour == 11))
        half = valid(fields["p"]) & (hour <= 12)
        hour = np.where(half, hour % 12 + 12 * late, hour)
    us = (hour * 3600 + minute * 60 + second) * SECOND_US
    if "f" in fields:
        digits = pc.utf8_rpad(pc.utf8_slice_codeunits(fields["f"], 0, 6), 6, "0")
        us = us + pc.cast(digits, pa.int64()).fill_null(0).to_numpy()
    fits = (minute < 60) & (second < 60) & (us <= DAY_US)
    return np.where(fits, us, NO_TIME)


def _offset_of(fields: dict[str, Any], n: int) -> I64:
    """Return offsets to UTC [µs]."""
    if "z" not in fields:
        return np.zeros(n, np.int64)
    words = fields["z"].dictionary_encode()
    known = np.array([*(_offset(word) for word in words.dictionary.to_pylist()), 0], np.int64)
    return np.asarray(known[words.indices.fill_null(len(known) - 1).to_numpy()])


def _offset(word: str) -> int:
    """Return the offset of a word like +08:00 [µs]."""
    sign, hours, minutes = re.fullmatch(r"\D*?([+-]?)(\d{0,2}):?(\d{0,2})", word).groups()  # type: ignore[union-attr]
    minute = int(hours or 0) * 60 + int(minutes or 0)
    return (-minute if sign == "-" else minute) * 60 * SECOND_US
