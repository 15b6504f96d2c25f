"""Checks between the cells and the rows of ``park.toml``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twin.chlorine.hazards import hazard_problems
from twin.emissions.outlets import outlet_problems
from twin.model.gateways import gateway_problems
from twin.model.park import AMOUNTS, OUTSIDE, TOTAL, Tag, inside, owner_of
from twin.reference import load as load_reference
from twin.targets import target_problems

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from twin.model.tables import Row


def row_problems(row: Row, values: dict[str, Any]) -> list[str]:
    """Return what is wrong between the cells of one row."""
    place = f"park.toml:{row.line}: [[{row.table}]] {values.get('id', '')}"
    problems: list[str] = []
    if row.table == "stream":
        if values["from"] == values["to"]:
            problems.append(f"{place}: from and to are the same")
        if values["from"] in OUTSIDE and values["to"] in OUTSIDE:
            problems.append(f"{place}: both ends are outside the park")
    if row.table in OWN_PROBLEMS:
        own = OWN_PROBLEMS[row.table](values)
        problems.extend(f"{place}: {problem}" for problem in own)
    if row.table == "product" and values["id"] == TOTAL:
        problems.append(f"{place}: the name stands for all energy of a scope; call it otherwise")
    if row.table == "tank":
        if ("level" in values) == ("mass" in values):
            problems.append(f"{place}: needs either level or mass")
        if "level" in values and not {"diameter", "length", "density"} <= values.keys():
            problems.append(f"{place}: a level needs diameter, length and density")
    return problems


def _way_problems(values: dict[str, Any]) -> list[str]:
    """Return what is wrong between the cells of a link or a sink."""
    # Not "below 0", so that a capacity of nan is a problem, too.
    found = [f"{k} is not 0 or more" for k in ("capacity", "distance") if not values.get(k, 0) >= 0]
    if "from" in values and values["from"] == values["to"]:
        found.append("from and to are the same")
    if "from" in values and not {"distance", "cost"} & values.keys():
        found.append("needs a distance or a cost")
    return found


# Tables whose rows are checked by a function of their own.
OWN_PROBLEMS: dict[str, Callable[[dict[str, Any]], Iterable[str]]] = {
    "gateway": gateway_problems,
    "hazard": hazard_problems,
    "link": _way_problems,
    "sink": _way_problems,
    "target": target_problems,
}


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


def check_exchange(parsed: list[tuple[Row, dict[str, Any]]], problems: list[str]) -> None:
    """Add by-products without their stream, and links that nothing feeds or nobody ends."""
    streams = {values["id"]: values for row, values in parsed if row.table == "stream"}
    ends: dict[str, set[tuple[str, str]]] = {"byproduct": set(), "sink": set()}
    for row, values in parsed:
        if row.table in ends:
            key = (values["scope"], values["medium"])
            if row.table == "sink" and key in ends["sink"]:
                problems.append(
                    f"park.toml:{row.line}: [[sink]] {values['id']}: {key[0]} has a sink for"
                    f" {key[1]} already"
                )
            ends[row.table].add(key)
        if row.table == "byproduct" and "stream" in values:
            carried = streams.get(values["stream"], {}).get("medium", "nothing")
            if carried != values["medium"]:
                problems.append(
                    f"park.toml:{row.line}: [[byproduct]] {values['id']}: stream"
                    f" {values['stream']!r} carries {carried}, not {values['medium']}"
                )
    for row, values in parsed:
        if row.table == "link":
            place = f"park.toml:{row.line}: [[link]] {values['id']}"
            if (values["from"], values["medium"]) not in ends["byproduct"]:
                problems.append(f"{place}: {values['from']} offers no {values['medium']}")
            if (values["to"], values["medium"]) not in ends["sink"]:
                problems.append(f"{place}: {values['to']} has no sink for {values['medium']}")


def check_gateways(
    gateways: list[tuple[Row, dict[str, Any]]],
    kinds: Mapping[str, str],
    tags: Mapping[str, Tag],
    problems: list[str],
) -> None:
    """Add gateways that are there twice, and names for tags their enterprise does not have."""
    edges: dict[tuple[str, ...], str] = {}
    for row, values in gateways:
        owner = owner_of(values["scope"], kinds)
        if values["protocol"] == "sparkplug":
            key = tuple(values.get(name, "") for name in ("group", "node", "device"))
            if key in edges:
                problems.append(
                    f"park.toml:{row.line}: [[gateway]] {values['id']}:"
                    f" {'/'.join(filter(None, key))} is {edges[key]} already"
                )
            edges[key] = values["id"]
        problems.extend(
            f"park.toml:{row.line}: [[gateway]] {values['id']}: tags: {wire!r} stands for {tag!r},"
            f" and {owner} has no such tag"
            for wire, tag in values.get("tags", {}).items()
            if f"{owner}/{tag}" not in tags
        )


def check_outlets(
    outlets: list[tuple[Row, dict[str, Any]]], tags: Mapping[str, Tag], problems: list[str]
) -> None:
    """Add outlets whose pollutants are not measured as such, and permits that are no limits."""
    for row, values in outlets:
        problems.extend(
            f"park.toml:{row.lines.get(column, row.line)}: [[outlet]] {values['id']}: {column}:"
            f" {problem}"
            for column, problem in outlet_problems(values, tags)
        )


def check_absorbers(
    absorbers: list[tuple[Row, dict[str, Any]]],
    tanks: list[dict[str, Any]],
    problems: list[str],
) -> None:
    """Add absorbers whose tank does not exist or holds no caustic soda."""
    media = load_reference("media")
    holds = {tank["id"]: media[tank["medium"]]["component"] for tank in tanks}
    for row, values in absorbers:
        place = f"park.toml:{row.line}: [[absorber]] {values['id']}"
        if values["tank"] not in holds:
            problems.append(f"{place}: there is no tank {values['tank']!r}")
        elif "caustic" not in holds[values["tank"]]:
            problems.append(f"{place}: tank {values['tank']!r} holds no caustic soda")


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
