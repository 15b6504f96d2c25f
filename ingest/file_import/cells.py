"""From the cells of columns to numbers; one bad cell does not spoil the others."""

from __future__ import annotations

import math
import re
import unicodedata
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from twin.arrays import BOOL, F64, I64

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ingest.file_import.mapping import Form

TRUTH = {"true": 1.0, "false": 0.0}
# Texts that are numbers as they stand.
PLAIN = {
    pa.float64(): r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$|^[+-]?(?i:nan|inf|infinity)$",
    pa.int64(): r"^[+-]?\d+$",
}
# A number, and a unit of measure behind it.
NUMBER = r"^(?P<n>[+-]?[\d.,' ]*\d(?:[eE][+-]?\d+)?)\s*(?P<u>[\pL%°‰].*)?$"
SIGNS = str.maketrans({"\u2212": "-", "\u2019": "'"})
DASH = re.compile(r"^[\u2010-\u2013](?=[\d.,])")


class Numbers(NamedTuple):
    """Numbers of a column, (n,); NaN for a missing value."""

    value: F64
    given: BOOL  # False: the cell is empty
    wrong: BOOL  # the cell is not a number


class Measures(NamedTuple):
    """Numbers of a column, and the units of measure that stand beside them in cells."""

    numbers: Numbers
    uoms: tuple[str, ...] = ()
    uom: I64 | None = None  # (n,) index of the one in each cell, -1 where none is; None: nowhere


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
        fits = pc.match_substring_regex(column, PLAIN[kind]) if is_text(column) else None
        if fits is not None and not pc.all(fits).as_py():
            return cast_or_null(pc.if_else(fits, column, pa.scalar(None, column.type)), kind)
        # Halves of halves, until what is left is the cell that does not fit.
        half = len(column) // 2
        return pa.concat_arrays(
            [cast_or_null(column[:half], kind), cast_or_null(column[half:], kind)]
        )


def numbers(column: Any, form: Form) -> Numbers:
    """Return the numbers of a column of texts, numbers or flags."""
    return read_cells(column, form).numbers


def read_cells(column: Any, form: Form) -> Measures:
    """Return the numbers of a column of texts, numbers or flags, with their units of measure."""
    column = flat(column)
    given = valid(column)
    if not is_text(column):
        try:
            cast = cast_or_null(column, pa.float64())
        except pa.ArrowNotImplementedError:  # of a type that holds no numbers, like times
            cast = pa.nulls(len(column), pa.float64())
        return Measures(Numbers(cast.fill_null(math.nan).to_numpy(), given, given & ~valid(cast)))
    plain = _plain(column, form)
    cast = cast_or_null(plain, pa.float64())
    value = cast.fill_null(math.nan).to_numpy()
    wrong = valid(plain) & ~valid(cast)
    if not wrong.any():
        return Measures(Numbers(value, given, wrong))
    value, given, wrong = value.copy(), given.copy(), wrong.copy()
    at = np.flatnonzero(wrong)
    words = column.take(pa.array(at)).dictionary_encode()
    read = _words(words.dictionary.to_pylist(), form)
    which = words.indices.to_numpy()
    value[at], given[at], wrong[at] = (each[which] for each in read.numbers)
    if read.uom is None:
        return Measures(Numbers(value, given, wrong))
    uom = np.full(len(value), -1)
    uom[at] = read.uom[which]
    return Measures(Numbers(value, given, wrong), read.uoms, uom)


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


def _words(words: Sequence[str], form: Form) -> Measures:
    """Return the numbers of texts that are none as they stand."""
    plain = pa.array([_plain_signs(word) for word in words], pa.string())
    fields = pc.extract_regex(plain, NUMBER)
    number = _plain(pc.struct_field(fields, "n"), form)
    value = cast_or_null(number, pa.float64()).fill_null(math.nan).to_numpy().copy()
    wrong = np.isnan(value)
    given = np.ones(len(value), bool)
    uoms: dict[str, int] = {"": -1}
    uom = np.full(len(value), -1)
    for at, (word, unit) in enumerate(
        zip(words, pc.struct_field(fields, "u").to_pylist(), strict=True)
    ):
        known = _meaning(word.strip(), form)
        if known is not None:
            value[at], given[at], wrong[at] = known, word.strip() != "", False
        elif unit and not wrong[at]:
            uom[at] = uoms.setdefault(unit, len(uoms) - 1)
    names = tuple(name for name in uoms if name)
    return Measures(Numbers(value, given, wrong), names, uom if names else None)


def _plain_signs(word: str) -> str:
    """Return a text in plain signs: of full-width digits, narrow blanks, typeset minus signs."""
    plain = unicodedata.normalize("NFKC", word).translate(SIGNS).strip()
    return DASH.sub("-", plain)


def _meaning(word: str, form: Form) -> float | None:
    """Return the number that a word of the map stands for; None when it is no such word."""
    if not word or word in form.null:
        return math.nan
    return form.words.get(word, TRUTH.get(word.lower()))
