"""Reference data with provenance: factors, benchmarks, media. Tables a person can read and edit."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from typing import Any


@cache
def load(name: str) -> dict[str, Any]:
    """Return the reference table `name` (``media``, ``energy``, ``benchmarks``)."""
    return tomllib.loads(files(__name__).joinpath(f"{name}.toml").read_text(encoding="utf-8"))
