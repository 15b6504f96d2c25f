"""What figures rest on beside readings: rows of reference tables and rows of the park model."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Annotated, Any

from typing_extensions import TypedDict

from api.answers import Number, formula
from api.explanation.replay import PROVENANCE, ReferenceKey, row_at
from twin.loading import TABLES
from twin.reference import load as load_reference

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from twin.model.park import Park

# Rows of reference tables that the model's bookkeeping takes factors of, by the class of its rows:
# the table and the column that names the row.
COMPILED = {
    "Meter": ("energy", "carrier"),
    "Stream": ("media", "medium"),
    "Tank": ("media", "medium"),
}
TABLE_NAMES = {kind: name for name, kind in TABLES.items()}
CONSTANTS = {"Electrolyser": ("constants", ("faraday",))}


class ReferenceFactor(TypedDict):
    """A row of a reference table a figure rests on, with its provenance."""

    name: str
    figures: dict[str, Any]
    effect: Annotated[
        Number, formula("relative change of the figure / that of the factor; null = not tried")
    ]
    source: str
    clause: str
    confidence: str
    verified: bool
    tags: list[str]


class NamedRow(TypedDict):
    """A row of the park model a figure rests on: its table in park.toml, and its name."""

    table: str
    id: str
    tags: list[str]


def factor(key: ReferenceKey, effect: float | None, tags: Iterable[str]) -> ReferenceFactor:
    """Return a row of a reference table as a factor."""
    row = row_at(load_reference(key.table), key.path)
    row = row if isinstance(row, dict) else {"value": row}
    plain = {n: v for n, v in row.items() if n not in PROVENANCE and not isinstance(v, dict)}
    source = row.get("standard") or row.get("source") or row.get("note") or ""
    return {
        "name": ".".join([key.table, *map(str, key.path)]),
        "figures": {
            name: value if _is_json(value) else str(value) for name, value in plain.items()
        },
        "effect": effect,
        "source": str(source),
        "clause": str(row.get("clause", "")),
        "confidence": str(row.get("confidence", "")),
        "verified": bool(row.get("verified", False)),
        "tags": sorted(tags),
    }


def _is_json(value: Any) -> bool:
    return isinstance(value, str | int | float | bool | list)


def model_rows(park: Park, addresses: Iterable[str]) -> list[tuple[Any, list[str]]]:
    """Return the rows of the model that name some tags, each with those."""
    wanted, rows = set(addresses), list[tuple[Any, list[str]]]()
    for row in _rows(park):
        tags = sorted(wanted & set(_texts(row)))
        if tags:
            rows.append((row, tags))
    return rows


def _rows(park: Park) -> Iterator[Any]:
    own = park.electrolysers, park.streams, park.tanks, park.meters, park.products
    rows = [row for table in (*own, *park.tables.values()) for row in table]
    # Some tables are under both names.
    yield from {id(row): row for row in rows}.values()


def _texts(row: Any) -> Iterator[str]:
    for column in fields(row):
        value = getattr(row, column.name)
        values = tuple(value.values()) if isinstance(value, dict) else value
        for each in values if isinstance(values, tuple) else (values,):
            if isinstance(each, str):
                yield each


def stated_rows(rows: Iterable[tuple[Any, list[str]]]) -> list[NamedRow]:
    """Return rows of the model as they leave."""
    return [
        {
            "table": TABLE_NAMES[type(row)],
            "id": str(
                getattr(row, "id", "") or getattr(row, "tag", "") or getattr(row, "flow", "")
            ),
            "tags": tags,
        }
        for row, tags in rows
    ]


def whole_model(park: Park) -> NamedRow:
    """Return the park itself: what follows from no reading follows from its model alone."""
    return {"table": "park", "id": park.id, "tags": []}


def compiled_factors(rows: Iterable[tuple[Any, list[str]]]) -> dict[ReferenceKey, set[str]]:
    """Return the rows of reference tables by which some rows of the model enter the accounts."""
    result: dict[ReferenceKey, set[str]] = {}
    for row, tags in rows:
        kind = type(row).__name__
        if kind in COMPILED:
            table, column = COMPILED[kind]
            name = getattr(row, column, "")
            if name in load_reference(table):
                result.setdefault(ReferenceKey(table, (name,)), set()).update(tags)
        if kind in CONSTANTS:
            result.setdefault(ReferenceKey(*CONSTANTS[kind]), set()).update(tags)
    return result
