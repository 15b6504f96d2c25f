"""Types and columns of arrays, units of time, ratios and runs, for every numerical module."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Callable

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
I8 = NDArray[np.int8]
U8 = NDArray[np.uint8]
BOOL = NDArray[np.bool_]
INTP = NDArray[np.intp]  # row numbers

SECOND_US = 1_000_000
MINUTE_US = 60 * SECOND_US
HOUR_US = 60 * MINUTE_US
DAY_US = 24 * HOUR_US
MINUTE_S, HOUR_S, DAY_S = MINUTE_US / SECOND_US, HOUR_US / SECOND_US, DAY_US / SECOND_US
# A time before all others (of a tag without a sample), and one after all others.
NEVER = np.iinfo(np.int64).min
FOREVER = np.iinfo(np.int64).max


class Columns:
    """Base of the dataclasses whose fields are columns, equally long."""

    __slots__: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(getattr(self, self.__slots__[0]))

    def take(self, rows: INTP | I64 | BOOL | slice) -> Self:
        """Return some of the rows."""
        return self._each(lambda column: column[rows])

    def copy(self) -> Self:
        """Return a copy that may be changed."""
        return self._each(lambda column: column.copy())

    def _each(self, change: Callable[[Any], Any]) -> Self:
        make: Callable[..., Self] = type(self)
        return make(*(change(getattr(self, name)) for name in self.__slots__))


def ratio(part: F64 | float, whole: F64 | float) -> F64:
    """Return a part of a whole, an amount over a rate, or an energy over a mass.

    Parameters
    ----------
    part, whole : (...) float64 [SI]

    Returns
    -------
    (...) float64 [SI]       part / whole; NaN where there is no whole, or next to none
    """
    some = np.asarray(whole) > 0
    with np.errstate(over="ignore"):
        quotient = part / np.where(some, whole, 1.0)
    return np.asarray(np.where(some & np.isfinite(quotient), quotient, np.nan))


def sum_at(part: F64, at: I64, count: int) -> F64:
    """Return the sums of the values at each of `count` positions.

    Parameters
    ----------
    part : (n,) float64 [u]
    at : (n,) int64           position of each, below `count`
    count : int

    Returns
    -------
    (count,) float64 [u]      0 where there is none
    """
    return np.bincount(at, part, count).astype(np.float64)


def runs(key: NDArray[np.generic], *keys: NDArray[np.generic]) -> tuple[BOOL, BOOL]:
    """Return the first and the last row of each run of equal keys, as masks.

    Parameters
    ----------
    key, keys : (n,)         one or more columns; a run ends where any of them changes

    Returns
    -------
    first, last : (n,) bool
    """
    change = key[1:] != key[:-1]
    for other in keys:
        change |= other[1:] != other[:-1]
    end = np.ones(min(len(key), 1), bool)
    return np.concatenate([end, change]), np.concatenate([change, end])


def last_known(value: F64, starts: INTP) -> F64:
    """Return the last value of each run that is not NaN.

    Parameters
    ----------
    value : (n,) float64 [u]
    starts : (r,) intp          the first row of each run

    Returns
    -------
    (r,) float64 [u]            NaN where a run has no value
    """
    at = np.where(np.isnan(value), -1, np.arange(len(value)))
    last = np.maximum.reduceat(at, starts)
    return np.where(last >= starts, value[np.maximum(last, 0)], np.nan)


def latest(marked: BOOL) -> INTP:
    """Return the last marked row up to each row.

    Parameters
    ----------
    marked : (n,) bool

    Returns
    -------
    (n,) intp                   -1 before the first marked row
    """
    return np.asarray(np.maximum.accumulate(np.where(marked, np.arange(len(marked)), -1)))
