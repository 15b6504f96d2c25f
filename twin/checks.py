"""Checks between the cells and the rows of ``park.toml``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twin.model import AMOUNTS, OUTSIDE, Tag, inside
from twin.reference import load as load_reference

if TYPE_CHECKING:
    from collections.abc import Mapping

    from twin.tables import Row


def row_problems(row: Row, values: dict[str, Any]) -> list[str]:
    """Return what is wrong between the cells of one row."""
    place = f"park.toml:{row.line}: [[{row.table}]] {values.get('id', '')}"
    problems: list[str] = []
    if row.table == "stream":
        if values["from"] == values["to"]:
            problems.append(f"{place}: from and to are the same")
        if values["from"] in OUTSIDE and values["to"] in OUTSIDE:
            problems.append(f"{place}: both ends are outside the park")
    if row.table == "tank":
        if ("level" in values) == ("mass" in values):
            problems.append(f"{place}: needs either level or mass")
        if "level" in values and not {"diameter", "length", "density"} <= values.keys():
            problems.append(f"{place}: a level needs diameter, length and density")
    return problems


def check_unique(rows: list[Row], problems: list[str]) -> None:
    """Add ids that stand twice in one table (products and by-products repeat by scope)."""
    seen: dict[tuple[str, ...], int] = {}
    for row in rows:
        if "id" not in row.values or row.table in ("scope", "tag"):
            continue
        repeats = row.table in ("product", "byproduct")
        key = (row.table, str(row.values["id"]), str(row.values.get("scope")) if repeats else "")
        if key in seen:
            problems.append(
                f"park.toml:{row.line}: [[{row.table}]] {key[1]!r}: line {seen[key]} has it already"
            )
        seen.setdefault(key, row.line)


def check_meters(
    meters: list[tuple[Row, dict[str, Any]]],
    products: list[dict[str, Any]],
    tags: Mapping[str, Tag],
    problems: list[str],
) -> None:
    """Add meters whose product is made elsewhere or that cannot measure their carrier."""
    carriers = load_reference("energy")
    for row, meter in meters:
        place = f"park.toml:{row.line}: [[meter]] {meter['tag']}"
        near = {
            p["id"]
            for p in products
            if inside(p["scope"], meter["scope"]) or inside(meter["scope"], p["scope"])
        }
        wanted = meter.get("product")
        if wanted and wanted not in {p["id"] for p in products}:
            problems.append(f"{place}: product {wanted!r} is made nowhere")
        elif not wanted and len(near) > 1:
            problems.append(
                f"{place}: {', '.join(sorted(near))} are made at, above or below {meter['scope']};"
                " say which with product = ..."
            )
        measured = AMOUNTS.get(tags[meter["tag"]].quantity, tags[meter["tag"]].quantity)
        needed = carriers[meter["carrier"]]["quantity"]
        if measured != needed:
            problems.append(
                f"{place}: {meter['carrier']} is accounted by {needed}, the tag gives {measured}"
            )
