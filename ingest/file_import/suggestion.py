"""`parktwin import --suggest`: a first map of a file, that says how sure it is."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa

from ingest.file_import.cells import valid
from ingest.file_import.clocks import Clock, times
from ingest.file_import.form_guesses import guess_forms
from ingest.file_import.table_guesses import (
    MOST,
    Guess,
    TableGuess,
    is_text_file,
    quantities_of,
    read_grids,
    read_table,
)
from ingest.file_import.tag_guesses import SURE, Match, match_names
from ingest.file_import.time_forms import NO_TIME, RANGE, Written, read_times
from ingest.file_import.uoms import pint_spelling
from twin.arrays import DAY_US, I64
from twin.errors import ParkError
from twin.model.park import AMOUNTS
from twin.quality_vocabularies import VOCABULARIES, quality_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ingest.file_import.clocks import SeriesOf
    from ingest.file_import.table_guesses import Grid
    from twin.model.park import Park, Tag

DAYS = (1440, 288, 144, 96, 48, 24)
# Times are of one interval when so many steps between them are.
REGULAR, CLEARLY = 0.8, 0.1
# Scores of other tags worth a word beside one that is taken.
CLOSE = 0.7
EXAMPLES = 3
VALUE_NAME = ("value", "val", "varvalue", "值", "数值", "wert", "v", "reading", "读数")
QUALITY_NAME = (
    "quality",
    "q",
    "qual",
    "status",
    "validity",
    "质量",
    "质量码",
    "状态",
    "state",
    "flag",
)
TAG_NAME = (
    "tag", "tagname", "name", "point", "pointname", "varname", "variable", "sensor", "id", "点名",
    "测点", "测点名称", "名称", "位号", "标签", "meter", "表号", "户号",
)  # fmt: skip
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
UOM_NAME = ("unit", "units", "uom", "单位", "einheit", "eu")


@dataclass(slots=True)
class Draft:
    """The lines of a map: keys first, then its tables."""

    keys: list[str] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)
    open: list[str] = field(default_factory=list)  # what a person has to decide

    def key(self, name: str, value: Any, why: str = "", *, active: bool = True) -> None:
        """Add a key with its reason; one that is not active is a comment."""
        line = f"{name} = {_toml(value)}"
        self.keys.append(("" if active else "# ") + line + (f"  # {why}" if why else ""))

    def remark(self, text: str) -> None:
        """Add a comment among the keys."""
        self.keys.append(f"# {text}")

    def text(self, heading: str) -> str:
        """Return the map."""
        undecided = [f"# To decide: {each}" for each in self.open]
        lines = [f"# {heading}", *undecided, "", *self.keys, "", *self.tables]
        # Names of a file may have in them what ends a remark, or what TOML has no place for.
        return "\n".join(CONTROL.sub(" ", line) for line in lines) + "\n"


def suggest_map(park: Park, path: Path, now_us: int) -> str:
    """Return the text of a first map of a file; raises ParkError where no table is in it."""
    draft = Draft()
    table = None
    for grid in read_grids(path):
        if grid.nem12:
            _nem12(draft, grid, park)
            return draft.text(f"Map of {grid.source.name}, suggested: records of NEM12 (sure).")
        table = read_table(grid)
        if table is not None:
            break
    timed = [column for column in table.columns if column.forms] if table else []
    if table is None or not timed:
        raise ParkError(
            f"{path}: no row of the first ones has a time and a number",
            hint="a map is suggested for tables with a time in each row; --help shows maps",
        )
    grid = table.grid
    _file_keys(draft, table)
    days = _day_columns(table, timed)
    name = _tag_column(table, timed, park, days=bool(days))
    if days:
        form = "a row for each day"
        _time_keys(draft, timed[:1], park, now_us, None)
        _day_form(draft, table, days, name, park)
    elif name is not None:
        form = "a row for each value (long form)"
        _long_form(draft, table, timed, name, park, now_us)
    else:
        beside = _side_by_side(table, timed)
        form = "times and values side by side" if beside else "a column for each tag (wide form)"
        _wide_form(draft, table, timed, park, now_us, beside=beside)
    rows = f"{'' if grid.whole else 'the first '}{len(table.columns[0].cells):,} rows"
    heading = f"Map of {grid.source.name}, suggested from {rows}: {form}."
    return draft.text(f"{heading} Read it, then try --dry-run.")


def _toml(value: Any) -> str:
    if isinstance(value, bool | int):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    # TOML escapes what JSON escapes.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _file_keys(draft: Draft, table: TableGuess) -> None:
    """Add what the file is like: encoding, delimiter, header, numbers."""
    source = table.grid.source
    if is_text_file(table.grid):
        known = {
            "utf-8": "sure: valid UTF-8",
            "gb18030": "likely: no UTF-8, high bytes are in pairs; else big5, shift-jis",
            "cp1252": "likely: no UTF-8, high bytes stand alone; else cp1250, cp1251",
        }
        draft.key("encoding", source.encoding, known.get(source.encoding, "sure: by its bytes"))
        draft.key("delimiter", source.delimiter, "the one that divides the rows most evenly")
    if len(source.sheets) > 1:
        others = ", ".join(name for name in source.sheets if name != table.grid.sheet)
        draft.key("sheet", table.grid.sheet, f"the first with a table; also: {others}")
    if table.skip_rows:
        draft.key("skip_rows", table.skip_rows, "lines above the header")
    if table.header != 1:
        why = "the first row is data: columns by number" if not table.header else "rows, joined"
        draft.key("header", table.header or False, why)
    if table.skip_below:
        draft.key("skip_below", table.skip_below, "the row of units of measure")
    form = table.form
    texts = [cell for c in table.columns if c.numeric for cell in c.cells.drop_null().to_pylist()]
    threes = form.decimal == "," and all(_in_threes(text) for text in texts if "," in text)
    if form.decimal != ".":
        sure = "not sure: see above" if threes else "sure: other marks read fewer cells"
        draft.key("decimal", form.decimal, sure)
    if form.thousands:
        doubt = form.decimal == "." and form.thousands == "," and not any("." in t for t in texts)
        draft.key("thousands", form.thousands, "" if not doubt else "not sure: see above")
        if doubt:
            draft.open.append("the comma of numbers is a mark of thousands, or decimal")
            draft.key("decimal", ",", "instead of thousands, if 1,234 is 1.234", active=False)
    elif threes:
        draft.open.append("the comma of numbers is decimal, or a mark of thousands")
        draft.key("thousands", ",", "instead of decimal, if 1,234 is 1234", active=False)


def _in_threes(text: str) -> bool:
    """Return whether the comma of a number may part thousands."""
    return all(len(part) == 3 and part.isdecimal() for part in text.split(",")[1:])


def _time_keys(
    draft: Draft, columns: Sequence[Guess], park: Park, now_us: int, series: SeriesOf | None
) -> Written | None:
    """Add the keys of the time; return the times as they are written, None if undecided."""
    draft.key("time", [c.key for c in columns] if len(columns) > 1 else columns[0].key)
    cells = [column.cells for column in columns]
    forms = columns[0].forms if len(columns) == 1 else guess_forms(cells, MOST)
    form, why = _decide(cells, forms, now_us)
    if form is None:
        draft.open.append(f"the form of the time, {' or '.join(forms)}: every row fits both")
        for each in forms:
            draft.key("format", each, f"{_example(cells)} is {_shown(cells, each)}", active=False)
    else:
        draft.key("format", form, why)
    written = read_times(cells, form or forms[0])
    known = written.time_us != NO_TIME
    if written.absolute[known].all():
        draft.remark("timezone: not needed, each time has its offset")
    else:
        why = "a guess: the file does not say; this is the park's"
        clock = Clock(tuple(c.key for c in columns), form or forms[0], ZoneInfo(park.timezone))
        lost = int((known & (times(cells, clock, series) == NO_TIME)).sum())
        if lost:
            why += (
                f"; {lost} times it shows twice or never: the file may be in UTC or standard time"
            )
        draft.key("timezone", park.timezone, why)
    # As far as the steps are concerned, the forms may well agree.
    steps = {_interval_of(read_times(cells, each).time_us) for each in forms}
    return written if form is not None or len(steps) == 1 else None


def _example(cells: Sequence[Any]) -> str:
    return " ".join(str(column.drop_null()[0]) for column in cells)


def _shown(cells: Sequence[Any], form: str) -> str:
    """Return the first time as a form reads it."""
    time_us = read_times([column.drop_null().slice(0, 1) for column in cells], form).time_us
    return str(np.datetime64(int(time_us[0]), "us").astype("M8[m]"))


def _decide(cells: Sequence[Any], forms: Sequence[str], now_us: int) -> tuple[str | None, str]:
    """Return the form of times and why; None where nothing tells."""
    distinct: dict[bytes, str] = {}
    for form in forms:
        distinct.setdefault(read_times(cells, form).time_us.tobytes(), form)
    forms = list(distinct.values())
    if len(forms) == 1:
        given = np.logical_and.reduce([valid(column) for column in cells])
        lost = int((given & (read_times(cells, forms[0]).time_us == NO_TIME)).sum())
        what = f"all times but {lost}" if lost else "every time"
        return forms[0], f"sure: reads {what}, and no other form does"
    pointed = [form for form in forms if form.startswith("%d.%m.")]
    if pointed and all(form.startswith(("%d.", "%m.")) for form in forms):
        return pointed[0], f"likely: dates with points begin with the day; else {forms[-1]}"
    read = {form: read_times(cells, form).time_us for form in forms}
    past = [form for form in forms if read[form].max() <= now_us + DAY_US]
    if len(past) == 1:
        return past[0], f"likely: read otherwise ({_others(past, forms)}), times are in the future"
    evenness = {form: _evenness(read[form]) for form in past or forms}
    best = max(evenness, key=lambda form: evenness[form])
    others = [evenness[form] for form in evenness if form != best]
    if evenness[best] >= REGULAR and all(evenness[best] - each > CLEARLY for each in others):
        return best, f"likely: the steps are even; read as {_others([best], forms)} they are not"
    return None, ""


def _others(kept: Sequence[str], forms: Sequence[str]) -> str:
    return ", ".join(form for form in forms if form not in kept)


def _evenness(time_us: I64) -> float:
    """Return the share of the steps of times that are the commonest one, less for gaps of days."""
    steps = np.diff(time_us[time_us != NO_TIME])
    steps = steps[steps != 0]
    if len(steps) < 2:
        return 0.0
    # Across midnight into another month, a wrong form jumps: that counts like all the others.
    days = np.diff(np.unique(time_us[time_us != NO_TIME] // DAY_US))
    common = Counter(np.abs(steps).tolist()).most_common(1)[0][1] / len(steps)
    even = float((days == 1).mean()) if len(days) else 0.0
    return common * (0.5 + 0.5 * even) if len(days) else 0.0


def _interval_of(time_us: I64) -> int:
    """Return the commonest step of times [µs]; 0 where there is none."""
    steps = np.diff(np.unique(time_us[time_us != NO_TIME]))
    if not len(steps):
        return 0
    step, count = Counter(steps.tolist()).most_common(1)[0]
    return int(step) if count >= REGULAR * len(steps) else 0


def _duration(us: int) -> str:
    minutes = us / 60e6
    return f"{minutes:g} min" if minutes >= 1 else f"{us / 1e6:g} s"


def _interval_keys(
    draft: Draft, written: Written | None, cells: Sequence[Any], *, amounts: bool
) -> int:
    """Add interval, stamp and midnight; return the interval [µs], or 0."""
    if written is None:
        return 0
    known = written.time_us[written.time_us != NO_TIME]
    interval = _interval_of(known)
    if not interval:
        return 0
    draft.key("interval", _duration(interval), "the commonest step")
    texts = cells[-1].drop_null().to_pylist()
    ranged = any(RANGE.search(text) for text in texts[:EXAMPLES])
    late = any("24:00" in text for text in texts)
    first, last = int(known[0] % DAY_US), int(known[-1] % DAY_US)
    steps = np.diff(known)
    same_day = bool((steps == interval - DAY_US).any()) and interval < DAY_US
    end = late or same_day or (first == interval and last == 0)
    if same_day:
        draft.key("midnight", "end", "sure: 00:00 carries the date of the day that it ends")
    if ranged:
        draft.key("stamp", "start", "the times are ranges: their start is read")
    elif end and amounts:
        sure = "sure: days end with 24:00" if late else "likely: days begin with the first interval"
        draft.key("stamp", "end", f"{sure}; start is the other")
    elif end:
        draft.key("stamp", "end", "if the values are means or sums of intervals", active=False)
    elif first == 0 and last == DAY_US - interval:
        draft.key("stamp", "start", "likely: days begin with 00:00; end is the other")
    elif amounts:
        draft.open.append("whether times are the start or the end of their interval (stamp)")
        draft.key("stamp", "end", "or start, the default: nothing in the file tells", active=False)
    return interval


def _day_columns(table: TableGuess, timed: Sequence[Guess]) -> list[Guess]:
    """Return the columns of a day in a row, where there are such."""
    if not timed or len(timed) > 1:
        return []
    days = read_times([timed[0].cells], timed[0].forms[0]).time_us
    if (days[days != NO_TIME] % DAY_US).any():
        return []
    columns = [c for c in table.columns if c.numeric and c.number > timed[0].number]
    for count in DAYS:
        for start in range(len(columns) - count + 1):
            window = columns[start : start + count]
            together = window[-1].number - window[0].number == count - 1
            if together and (_alike(window) or len(columns) == count):
                return window
    return []


def _alike(columns: Sequence[Guess]) -> bool:
    """Return whether the names of columns are times of day, or one word with numbers that rise."""
    names = [column.name for column in columns]
    if all(":" in name for name in names):
        return True
    words = {name.strip("0123456789 ") for name in names}
    figures = ["".join(c for c in name if c.isdecimal()) for name in names]
    return len(words) == 1 and all(figures) and all(int(a) < int(b) for a, b in pairwise(figures))


def _named(column: Guess, names: Sequence[str]) -> bool:
    return column.base.strip().casefold().replace(" ", "").replace("_", "") in names


def _tag_column(
    table: TableGuess, timed: Sequence[Guess], park: Park, *, days: bool
) -> Guess | None:
    """Return the column with names of tags, where the form is long."""
    texts = [
        c for c in table.columns
        if not c.forms and not c.clock and len(c.cells.drop_null())
        and (not c.numeric or _named(c, TAG_NAME))
        and not _named(c, (*QUALITY_NAME, *UOM_NAME, *VALUE_NAME))
    ]  # fmt: skip
    if not timed or not texts:
        return None
    numbers = [c for c in table.columns if c.numeric and c not in texts]
    known = {tag.tag for tag in park.tags} | {tag.address for tag in park.tags}

    def likeness(column: Guess) -> tuple[bool, float]:
        names = column.cells.drop_null().unique().to_pylist()
        return _named(column, TAG_NAME), sum(name in known for name in names) / len(names)

    best = max(texts, key=likeness)
    valued = any(_named(c, VALUE_NAME) for c in numbers)
    repeated = len(timed[0].cells.unique()) < len(timed[0].cells)
    if likeness(best) == (False, 0.0) and not (days or (valued and repeated)):
        return None
    return best if days or valued or len(numbers) <= 2 else None


def _quality_keys(draft: Draft, table: TableGuess, taken: Sequence[Guess]) -> Guess | None:
    """Add the keys of a quality column; return it."""
    column = next((c for c in table.columns if _named(c, QUALITY_NAME) and c not in taken), None)
    if column is None or not len(column.cells.drop_null()):
        return None
    draft.key("quality", column.key)
    _vocabulary_key(draft, [column])
    return column


def _vocabulary_key(draft: Draft, columns: Sequence[Guess]) -> None:
    """Add the vocabulary of some columns of qualities."""
    cells = pa.concat_arrays([column.cells for column in columns])
    words = cells.drop_null().unique().to_pylist()[:1000]
    fits = [v for v in VOCABULARIES if all(quality_of(v, word) is not None for word in words)]
    listing = ", ".join(words[:6])
    if "words" in fits:
        return
    order = [v for v in ("validity", "opc", "opcua", "percent", "bool", "ours") if v in fits]
    if {"1", "100"} & set(words) and "validity" in fits:
        draft.key("qualities", "validity", f"likely: {listing}; no quality of OPC begins with 1")
    elif "192" in words and "opc" in fits:
        draft.key("qualities", "opc", f"likely: {listing}; 192 is good in OPC DA")
    elif len(order) == 1:
        draft.key("qualities", order[0], f"likely: {listing}; no other vocabulary has them")
    else:
        draft.open.append(f"what the qualities {listing} mean: {' or '.join(order) or 'a table'}")
        draft.key("qualities", order[0] if order else "opc", "nothing tells", active=False)


def _own_qualities(table: TableGuess, values: Sequence[Guess]) -> dict[int, Guess]:
    """Return the columns named like a column of values and a word for quality, by its number."""
    names = {column.base.strip().casefold(): column.number for column in values}
    own = {}
    for column in table.columns:
        head, _, word = column.name.strip().casefold().replace("_", " ").rpartition(" ")
        head = head or column.name.casefold().rpartition(".")[0]
        word = word.rpartition(".")[2]
        at = names.get(head.strip(), names.get(head.replace(" ", "_")))
        if word in QUALITY_NAME and at is not None:
            own[at] = column
    return own


def _time_columns(table: TableGuess, timed: Sequence[Guess]) -> list[Guess]:
    """Return the columns that make the time together: a date and a time of day, or one."""
    clocks = [c for c in table.columns if c.clock]
    if clocks and timed:
        days = read_times([timed[0].cells], timed[0].forms[0]).time_us
        joined = [timed[0], clocks[0]]
        if not (days[days != NO_TIME] % DAY_US).any() and guess_forms(
            [c.cells for c in joined], MOST
        ):
            return joined
    return list(timed[:1])


def _long_form(
    draft: Draft, table: TableGuess, timed: Sequence[Guess], name: Guess, park: Park, now_us: int
) -> None:
    """Add the keys of the long form."""
    columns = _time_columns(table, timed)
    index = name.cells.fill_null("").dictionary_encode().indices.to_numpy().astype(np.int64)
    written = _time_keys(draft, columns, park, now_us, lambda: index)
    draft.key("tag", name.key, "the column whose words are most like names of tags")
    numbers = [c for c in table.columns if c.numeric and c is not name]
    others = [c for c in numbers if not _named(c, QUALITY_NAME)] or numbers
    value = next((c for c in others if _named(c, VALUE_NAME)), others[0] if others else None)
    if value is None:
        draft.open.append("which column is the value: none is of numbers")
        return
    draft.key("value", value.key)
    unit = next((c for c in table.columns if _named(c, UOM_NAME)), None)
    if unit is not None:
        draft.key("uom", unit.key, "a column of units of measure")
    _quality_keys(draft, table, [*columns, name, value])
    first = Written(*(each[index == index[0]] for each in written)) if written else None
    _interval_keys(draft, first, [columns[-1].cells], amounts=False)
    _tag_table(draft, name.cells.drop_null().unique().to_pylist(), value, park)


def _tag_table(draft: Draft, names: Sequence[str], value: Guess | None, park: Park) -> None:
    """Add the table of the tags that names of the long form stand for."""
    names = [name for name in names if name.strip()][:500]
    uom = value.uom if value and not value.in_cells else ""
    draft.tables.append("[tags]  # names that are addresses of the model need no line")
    for name, match in zip(names, match_names(names, [uom] * len(names), park), strict=True):
        if not (match.tags and park.tags[match.tags[0][1]].address == name):
            draft.tables.append(_entry(name, match, park, uom, 0, draft))


def _entry(
    name: str, match: Match, park: Park, uom: str, interval_us: int, draft: Draft,
    cells: str = "", own: str = "",
) -> str:  # fmt: skip
    """Return the line of a column or name, a comment where no tag is sure."""
    if not match.tags:
        return f'# {_toml(name)} = "…"  # no tag of the park is like it'
    score, at = match.tags[0]
    tag = park.tags[at]
    close = [(s, n) for s, n in match.tags[1:] if s >= CLOSE or score < SURE]
    others = ", ".join(f"{park.tags[n].address} {s:.2f}" for s, n in close)
    why = f"score {score:.2f}" + (f"; else {others}" if others else "")
    written, more = _measure(tag, uom, interval_us)
    active = match.sure and written is not None
    why += f"; {more or cells or _unit_words(tag, uom)}"
    if match.tied and score >= SURE:
        draft.open.append(f"which tag {name!r} is: {tag.address} or {others}")
    elif not active:
        why += "" if score >= SURE else "; not sure enough to be taken"
    words = f"tag = {_toml(tag.address)}" + (written or "") + own
    value = f"{{ {words} }}" if written or own else _toml(tag.address)
    return ("" if active else "# ") + f"{_toml(name)} = {value}  # {why}"


def _unit_words(tag: Tag, uom: str) -> str:
    return (
        f"in {uom}" if uom else f"no unit in the file: taken for {tag.uom or 'the one'} of the tag"
    )


def _measure(tag: Tag, uom: str, interval_us: int) -> tuple[str | None, str]:
    """Return uom and as of an entry, None where they do not fit the tag, and a remark."""
    if not uom:
        return "", ""
    plain = pint_spelling(uom, tag.quantity)
    if plain is not None:
        return ("" if plain == tag.uom else f", uom = {_toml(plain)}"), ""
    amount = AMOUNTS.get(tag.quantity, "")
    plain = pint_spelling(uom, amount) if amount and tag.kind == "gauge" else None
    if plain is None:
        return None, f"{uom} is no unit of {tag.quantity}"
    if not interval_us:
        return None, f'{uom} is an amount: it needs the interval, and as = "interval"'
    if tag.gap_s * 1e6 < interval_us:
        length = _duration(interval_us)
        return None, (
            f'{uom} is an amount: add to park.toml [[gap]] tag = "{tag.address}" gap = "{length}",'
            f' then here uom = {_toml(plain)}, as = "interval"'
        )
    return f', uom = {_toml(plain)}, as = "interval"', f"{uom} is an amount of each interval"


def _wide_form(
    draft: Draft,
    table: TableGuess,
    timed: Sequence[Guess],
    park: Park,
    now_us: int,
    *,
    beside: bool,
) -> None:
    """Add the keys of the wide form, or of times and values side by side."""
    columns = timed[:1] if beside else _time_columns(table, timed)
    written = _time_keys(draft, columns, park, now_us, None)
    numbers = [c for c in table.columns if c.numeric and c not in columns]
    quality = _quality_keys(draft, table, columns)
    numbers = [c for c in numbers if quality is None or c.name != quality.name]
    qualities = _own_qualities(table, numbers)
    if qualities:
        _vocabulary_key(draft, list(qualities.values()))
        numbers = [c for c in numbers if c not in qualities.values()]
    amounts = any(
        "energy" in quantities_of(c.uom) or "mass" in quantities_of(c.uom) for c in numbers
    )
    interval = _interval_keys(draft, written, [columns[-1].cells], amounts=amounts)
    draft.tables.append("[columns]")
    matches = match_names([c.base for c in numbers], [c.uom for c in numbers], park)
    doubled = Counter(c.key for c in numbers)
    for column, match in zip(numbers, matches, strict=True):
        key = column.key if doubled[column.key] == 1 else str(column.number + 1)
        own = _own_time(timed, column) if beside else ""
        if column.number in qualities:
            own += f", quality = {_toml(qualities[column.number].key)}"
        cells = f"unit in the cells: {column.uom}" if column.in_cells else ""
        uom = "" if column.in_cells else column.uom
        draft.tables.append(_entry(key, match, park, uom, interval, draft, cells, own))
    if len(timed) > len(columns) and not beside:
        draft.remark(f"also times: {', '.join(c.key for c in timed if c not in columns)}")
    read = (*numbers, *columns, *timed, quality, *qualities.values())
    others = [c.key for c in table.columns if c not in read]
    if others:
        draft.tables.append(f"# not of numbers: {', '.join(others[:20])}")
    if not any(line and not line.startswith(("#", "[")) for line in draft.tables):
        draft.open.append("which tags the columns are: none is like one of the park")


def _own_time(timed: Sequence[Guess], column: Guess) -> str:
    """Return the key of a column's own time, where the name of the first does not lead to it."""
    own = [c for c in timed if c.number < column.number][-1:]
    if not own or own[0].name == timed[0].name != "":
        return ""
    return f", time = {_toml(own[0].key)}"


def _side_by_side(table: TableGuess, timed: Sequence[Guess]) -> bool:
    """Return whether each of several times is followed by values of its own."""
    if len(timed) < 2:
        return False
    numeric = {c.number for c in table.columns if c.numeric}
    bounds = [*(c.number for c in timed), len(table.columns)]
    return all(numeric & set(range(a + 1, b)) for a, b in pairwise(bounds))


def _day_form(
    draft: Draft, table: TableGuess, days: Sequence[Guess], name: Guess | None, park: Park
) -> None:
    """Add the keys of a day in a row."""
    interval = DAY_US // len(days)
    draft.key("interval", _duration(interval), f"sure: {len(days)} columns make a day")
    unit = next((c for c in table.columns if _named(c, UOM_NAME)), None)
    draft.tables += ["[day]", f"first = {_toml(days[0].key)}", f"last = {_toml(days[-1].key)}"]
    if name is not None:
        draft.key("tag", name.key, "the column whose words are most like names of tags")
        if unit is not None:
            draft.key("uom", unit.key, "a column of units of measure")
        draft.tables.append("")
        _tag_table(draft, name.cells.drop_null().unique().to_pylist(), None, park)
        return
    (match,) = match_names([table.grid.source.path.stem], [""], park)
    address = park.tags[match.tags[0][1]].address if match.tags else "…"
    if not match.sure:
        draft.open.append("which tag the values are of")
    active = "" if match.sure else "# "
    draft.tables.append(f"{active}tag = {_toml(address)}  # likely: by the name of the file")
    draft.tables.append('# uom = "kWh"  # and as = "interval", if each value is an amount')


def _nem12(draft: Draft, grid: Grid, park: Park) -> None:
    """Add the keys of NEM12."""
    draft.key("form", "nem12")
    draft.remark('timezone = "Etc/GMT-10" is that of the form')
    names = dict.fromkeys(
        f"{row[1]} {row[4]}" for row in grid.rows if len(row) > 8 and row[0] == "200"
    )
    draft.tables.append("[tags]  # NMI and suffix of the register")
    for name, match in zip(names, match_names(list(names), [""] * len(names), park), strict=True):
        draft.tables.append(_entry(name, match, park, "", 0, draft))
