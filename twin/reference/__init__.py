"""Reference data with provenance: factors, benchmarks, media. Tables a person can read and edit."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from importlib.resources import files
from typing import Any

from twin.uom import parse_quantity

Table = dict[str, Any]
Reader = Callable[[str, Table], Table]
_reader: ContextVar[Reader | None] = ContextVar("reader", default=None)
_made: ContextVar[dict[Any, Any] | None] = ContextVar("made", default=None)


def load(name: str) -> Table:
    """Return the reference table `name` (``media``, ``energy``, ``benchmarks``)."""
    reader, table = _reader.get(), _parsed(name)
    return table if reader is None else reader(name, table)


@cache
def _parsed(name: str) -> Table:
    return tomllib.loads(files(__name__).joinpath(f"{name}.toml").read_text(encoding="utf-8"))


@contextmanager
def read_through(reader: Reader) -> Iterator[None]:
    """Let `load` return what a reader makes of the name and the table, for a while.

    So it is told which figures a calculation rests on, and by how much it depends on them.
    """
    token, made = _reader.set(reader), _made.set({})
    try:
        yield
    finally:
        _reader.reset(token)
        _made.reset(made)


def made_for_reader() -> dict[Any, Any] | None:
    """Return what has been made of the tables for their reader, by names; None without a reader."""
    return _made.get()


def figure(path: str, quantity: str) -> float:
    """Return a figure of a reference table.

    Parameters
    ----------
    path : str
        the table and what leads to the row in it, like ``chlorine.fill_limit``
    quantity : str
        what its ``value`` is, a quantity of `twin.uom`

    Returns
    -------
    float [SI]
    """
    name, *keys = path.split(".")
    row = load(name)
    for key in keys:
        row = row[key]
    return parse_quantity(row["value"], quantity)
