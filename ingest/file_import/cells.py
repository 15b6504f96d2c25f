"""From the cells of a column to numbers; one bad cell does not spoil the others."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from twin.arrays import BOOL, F64

if TYPE_CHECKING:
    from ingest.file_import.mapping import Form

TRUTH = {"true": 1.0, "false": 0.0}


class Numbers(NamedTuple):
    """The numbers of a column, (n,); NaN is a value that was not there."""

    value: F64
    given: BOOL  # False: the cell is empty
    wrong: BOOL  # the cell is not a number


def flat(column: Any) -> Any:
    """Return a column without the encodings that only save room."""
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
