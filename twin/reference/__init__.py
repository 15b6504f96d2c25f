"""Reference data with provenance: factors, benchmarks, media. Tables a person can read and edit."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from typing import Any

from twin.uom import parse_quantity


@cache
def load(name: str) -> dict[str, Any]:
    """Return the reference table `name` (``media``, ``energy``, ``benchmarks``)."""
    return tomllib.loads(files(__name__).joinpath(f"{name}.toml").read_text(encoding="utf-8"))


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
