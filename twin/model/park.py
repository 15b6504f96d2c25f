"""The park model: values, and the checks that hold between its tables.

A park is a folder with ``park.toml`` and ``tags.csv``. Reading and the rules of single cells are in
`twin.loading`; here is what a valid model is made of.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

KINDS = ("region", "park", "enterprise", "plant", "unit")
OUTSIDE = ("market", "atmosphere")
# What the accounts of all energy meters of a scope are about; no product has this name.
TOTAL = "total"
# What the time integral of a gauge is an amount of; a counter counts that amount itself.
AMOUNTS = {
    "power": "energy",
    "mass_flow": "mass",
    "volume_flow": "volume",
    "normal_volume_flow": "normal_volume",
}


@dataclass(frozen=True, slots=True)
class Scope:
    """A node of the one tree region, park, enterprise, plant, unit; `id` is its path."""

    id: str
    kind: str
    name: dict[str, str]

    @property
    def parent(self) -> str:
        """The path of the scope above; empty at the root."""
        return self.id.rpartition("/")[0]


@dataclass(frozen=True, slots=True)
class Tag:
    """A named series of values; all numbers SI."""

    tag: str
    owner: str
    scope: str
    quantity: str
    uom: str
    kind: str
    scale: float
    shift: float
    low: float = float("nan")
    high: float = float("nan")
    sigma: str = ""
    description: str = ""
    source: str = "measured"
    gap_s: float = 300.0

    @property
    def address(self) -> str:
        """``owner/tag``, unique in the model."""
        return f"{self.owner}/{self.tag}"


@dataclass(frozen=True, slots=True)
class Electrolyser:
    """Cells in series: a membrane electrolyser (Cl2, H2, NaOH) or a potline (Al)."""

    id: str
    scope: str
    kind: str
    cells: float
    current: str
    current_efficiency: float
    voltage: str = ""
    zero_gap: bool = False
    area: float = float("nan")
    capacity: float = float("nan")
    commissioned: Any = None


@dataclass(frozen=True, slots=True)
class Stream:
    """What flows from one scope to another; `flow` is the address of its meter or empty."""

    id: str
    origin: str
    to: str
    medium: str
    mode: str
    flow: str = ""
    fraction: str = ""


@dataclass(frozen=True, slots=True)
class Tank:
    """A vessel whose inventory [kg] follows from a level or a mass tag."""

    id: str
    scope: str
    medium: str
    level: str = ""
    mass: str = ""
    shape: str = "vertical_cylinder"
    diameter: float = float("nan")
    length: float = float("nan")
    density: float = float("nan")
    fill_limit: float = 1.0
    spare: bool = False


@dataclass(frozen=True, slots=True)
class Meter:
    """An energy meter of a plant; direction ``out`` subtracts, basis ``DC`` is never summed."""

    scope: str
    carrier: str
    tag: str
    id: str = ""
    direction: str = "in"
    basis: str = "AC"
    product: str = ""


@dataclass(frozen=True, slots=True)
class Product:
    """A product of a plant, measured as 100 % product."""

    id: str
    scope: str
    tag: str


@dataclass(frozen=True, slots=True)
class Park:
    """A valid park model; `tables` holds the rows later capabilities read (outlets, targets, …)."""

    id: str
    kind: str
    name: dict[str, str]
    timezone: str
    gap_s: float
    shifts: tuple[str, ...]
    scopes: tuple[Scope, ...]
    tags: tuple[Tag, ...]
    electrolysers: tuple[Electrolyser, ...] = ()
    streams: tuple[Stream, ...] = ()
    tanks: tuple[Tank, ...] = ()
    meters: tuple[Meter, ...] = ()
    products: tuple[Product, ...] = ()
    tables: dict[str, tuple[dict[str, Any], ...]] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    digest: str = ""

    def scope(self, path: str) -> Scope | None:
        """Return the scope at `path`, or None."""
        return next((s for s in self.scopes if s.id == path), None)


def owner_of(scope: str, kinds: Mapping[str, str]) -> str:
    """Return the last segment of the nearest enterprise at or above `scope`, else of `scope`."""
    path = scope
    while path:
        if kinds.get(path) == "enterprise":
            return path.rpartition("/")[2]
        path = path.rpartition("/")[0]
    return scope.rpartition("/")[2]


def park_of(scope: str, kinds: Mapping[str, str]) -> str:
    """Return the last segment of the nearest park at or above `scope`, else of the root."""
    path = scope
    while path:
        if kinds.get(path) == "park":
            return path.rpartition("/")[2]
        path = path.rpartition("/")[0]
    return scope.partition("/")[0]


def inside(scope: str, boundary: str) -> bool:
    """Return whether `scope` is `boundary` or below it."""
    return scope == boundary or scope.startswith(boundary + "/")
