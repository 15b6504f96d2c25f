"""What changed from one park model to the next: rows that came, went or have other cells."""

from __future__ import annotations

import csv
import tomllib
from typing import TYPE_CHECKING, Any, NamedTuple

from twin.loading import FILES, STRAPPING, UNIQUE

if TYPE_CHECKING:
    from collections.abc import Mapping

HEAD = "park"


class RowChange(NamedTuple):
    """A row of a table that is not what it was; cells are named, never told: some are secret."""

    table: str
    row: str
    change: str  # added, removed or changed
    cells: tuple[str, ...]


def compare_models(before: Mapping[str, str], after: Mapping[str, str]) -> list[RowChange]:
    """Return what changed between the files of two models, by table and row."""
    old, new = _rows(before), _rows(after)
    changes = []
    for key in sorted(old.keys() | new.keys()):
        former, present = old.get(key), new.get(key)
        if former is None or present is None:
            changes.append(RowChange(*key, "added" if former is None else "removed", ()))
        elif former != present:
            names = sorted(former.keys() | present.keys())
            cells = tuple(name for name in names if former.get(name) != present.get(name))
            changes.append(RowChange(*key, "changed", cells))
    return changes


def _rows(files: Mapping[str, str]) -> dict[tuple[str, str], dict[str, Any]]:
    """Return all rows of a model by table and name; those of a table without keys by number."""
    result: dict[tuple[str, str], dict[str, Any]] = {}
    for table, content in tomllib.loads(files[FILES[0]]).items():
        if table == HEAD or not isinstance(content, list):
            result[table, ""] = content if isinstance(content, dict) else {"": content}
            continue
        counts: dict[str, int] = {}
        for row in content:
            name = _name(table, row)
            counts[name] = counts.get(name, 0) + 1
            nth = "" if counts[name] == 1 else f" #{counts[name]}"
            result[table, f"{name}{nth}".strip()] = row
    for row in csv.DictReader(files[FILES[1]].splitlines(keepends=True)):
        result["tag", f"{row.get('scope', '')} {row.get('tag', '')}"] = dict(row)
    if STRAPPING in files:
        for row in csv.DictReader(files[STRAPPING].splitlines(keepends=True)):
            result["strapping", f"{row.get('tank', '')} {row.get('level_m', '')}"] = dict(row)
    return result


def _name(table: str, row: Mapping[str, Any]) -> str:
    """Return what tells a row from the others of its table, as far as there is something."""
    columns = ("id",) if row.get("id") else UNIQUE.get(table, ()) or ("scope", "tag")
    return " ".join(str(row[column]) for column in columns if column in row)
