"""Reading a park folder: all problems at once, each with its file and line."""

from __future__ import annotations

import csv
import hashlib
import re
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from twin.alarms.rules import check_alarms
from twin.checks import (
    check_absorbers,
    check_exchange,
    check_gateways,
    check_meters,
    check_outlets,
    check_unique,
    row_problems,
)
from twin.errors import ModelError, UomError
from twin.model.columns import COLUMNS
from twin.model.park import (
    KINDS,
    Electrolyser,
    Meter,
    Park,
    Product,
    Scope,
    Stream,
    Tag,
    Tank,
    owner_of,
)
from twin.model.tables import Known, Row, parse_cell, parse_row, read_rows
from twin.uom import QUANTITIES, compile_uom, parse_quantity
from twin.validation.rules import check_assessment

TAG_COLUMNS = ("tag", "scope", "quantity", "uom", "kind", "low", "high", "sigma", "description")
TAG_KINDS = ("gauge", "counter", "state")
TAG_NAME = re.compile(r"[^\s/,\"']{1,128}\Z")
SIGMA = re.compile(r"\d+(\.\d*)?([eE][+-]?\d+)?\s*%?\Z")
SHIFT = re.compile(r"([01]\d|2[0-3]):[0-5]\d\Z")
GAP_DEFAULT = "5 min"
FILES = ("park.toml", "tags.csv")
# Tables whose rows become values of `twin.model.park`; the others stay rows.
BUILT = ("scope", "electrolyser", "stream", "tank", "meter", "product", "gap")


def load_park(folder: str | Path) -> Park:
    """Return the park model of a folder.

    Raises
    ------
    ModelError
        A file is missing or the model is wrong; `problems` lists every place.
    """
    folder = Path(folder)
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        raise ModelError(
            f"{folder} is not a park model: {' and '.join(missing)} missing",
            hint="a park is a folder with park.toml and tags.csv",
            problems=[f"{name}: missing" for name in missing],
        )
    files = {}
    for name in FILES:
        try:
            files[name] = (folder / name).read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            raise ModelError(
                f"{folder / name} is not UTF-8 text",
                hint=f"save {name} as UTF-8",
                problems=[f"{name}: not UTF-8: {error}"],
            ) from error
    return parse_park(files)


def parse_park(files: dict[str, str]) -> Park:
    """Return the park model of file texts; raises `ModelError` with all problems."""
    problems: list[str] = []
    try:
        head, rows = read_rows(files["park.toml"], problems)
    except tomllib.TOMLDecodeError as error:
        raise _wrong([f"park.toml: not valid TOML: {error}"]) from error
    header = files["tags.csv"].splitlines()[:1]
    if [name.strip() for name in "".join(header).split(",")] != list(TAG_COLUMNS):
        raise _wrong([f"tags.csv:1: the columns must be {','.join(TAG_COLUMNS)}"])
    scopes = _scopes(head, rows, problems)
    kinds = {scope.id: scope.kind for scope in scopes}
    gap_s = _gap(head, problems)
    tags = _tags(files["tags.csv"], rows, kinds, gap_s, problems)
    known = Known(kinds, {tag.address: tag for tag in tags})
    parsed: list[tuple[Row, dict[str, Any]]] = []
    for row in rows:
        if row.table not in ("scope", "tag"):
            values = parse_row(row, known, problems)
            if values is not None:
                problems.extend(row_problems(row, values))
                parsed.append((row, values))
    tables: dict[str, list[dict[str, Any]]] = {name: [] for name in COLUMNS}
    for row, values in parsed:
        tables[row.table].append(values)
    gaps = {row["tag"]: row["gap"] for row in tables["gap"]}
    tags = [replace(tag, gap_s=gaps.get(tag.address, tag.gap_s)) for tag in tags]
    known = Known(kinds, {tag.address: tag for tag in tags})
    check_unique(rows, problems)
    meters = [(row, values) for row, values in parsed if row.table == "meter"]
    check_meters(meters, tables["product"], known.tags, problems)
    gateways = [(row, values) for row, values in parsed if row.table == "gateway"]
    check_gateways(gateways, kinds, known.tags, problems)
    absorbers = [(row, values) for row, values in parsed if row.table == "absorber"]
    check_absorbers(absorbers, tables["tank"], problems)
    outlets = [(row, values) for row, values in parsed if row.table == "outlet"]
    check_outlets(outlets, known.tags, problems)
    checks = [(row, values) for row, values in parsed if row.table == "check"]
    check_assessment(checks, known.tags, problems)
    check_exchange(parsed, problems)
    park = None if problems else _assemble(head, scopes, tags, tables, files, gap_s)
    check_alarms([p for p in parsed if p[0].table == "alarm"], known.tags, park, problems)
    if park is None or problems:
        raise _wrong(problems)
    return park


def _wrong(problems: list[str]) -> ModelError:
    """Return the error that shows all problems."""
    return ModelError(
        f"the park model has {len(problems)} problem{'s' if len(problems) > 1 else ''}",
        hint="mend the lines named; `parktwin check` shows them all",
        problems=problems,
    )


def _assemble(
    head: dict[str, Any],
    scopes: list[Scope],
    tags: list[Tag],
    tables: dict[str, list[dict[str, Any]]],
    files: dict[str, str],
    gap_s: float,
) -> Park:
    """Return the model of rows that have been checked."""

    def build(table: str, cls: type[Any]) -> tuple[Any, ...]:
        rename = {"from": "origin"}
        fields = cls.__dataclass_fields__
        return tuple(
            cls(**{rename.get(k, k): v for k, v in row.items() if rename.get(k, k) in fields})
            for row in tables[table]
        )

    text = "\0".join(files[name] for name in FILES)
    return Park(
        id=head["id"],
        kind=head["kind"],
        name=head["name"],
        timezone=head["timezone"],
        gap_s=gap_s,
        shifts=tuple(head.get("shifts", ())),
        scopes=tuple(scopes),
        tags=tuple(tags),
        electrolysers=build("electrolyser", Electrolyser),
        streams=build("stream", Stream),
        tanks=build("tank", Tank),
        meters=build("meter", Meter),
        products=build("product", Product),
        tables={name: tuple(rows) for name, rows in tables.items() if name not in BUILT},
        files=dict(files),
        digest=hashlib.sha256(text.encode()).hexdigest(),
    )


def _gap(head: dict[str, Any], problems: list[str]) -> float:
    """Return how long a gauge value holds without a new sample [s]."""
    try:
        return parse_quantity(str(head.get("gap", GAP_DEFAULT)), "time")
    except UomError as error:
        problems.append(f"park.toml: [park] gap: {error} ({error.hint})")
        return float("nan")


def _scopes(head: dict[str, Any], rows: list[Row], problems: list[str]) -> list[Scope]:
    """Return the scope tree, root first; adds what is wrong with it."""
    nothing = Known({}, {})
    for key, rule in {"id": "path", "kind": "one " + " ".join(KINDS), "name": "name"}.items():
        try:
            parse_cell(rule, head.get(key), nothing)
        except ValueError as error:
            problems.append(f"park.toml: [park] {key}: {error}")
            return []
    try:
        ZoneInfo(head.get("timezone", ""))
    except (KeyError, ValueError, OSError, TypeError):
        problems.append(
            f"park.toml: [park] timezone: {head.get('timezone')!r} is not an IANA time zone"
            " (like Asia/Shanghai)"
        )
    shifts = head.get("shifts", [])
    if not isinstance(shifts, list):
        problems.append('park.toml: [park] shifts: write a list of times like ["00:00", "08:00"]')
        shifts = []
    problems.extend(
        f"park.toml: [park] shifts: {shift!r} is not a time like 08:00"
        for shift in shifts
        if not (isinstance(shift, str) and SHIFT.match(shift))
    )
    root = Scope(head["id"], head["kind"], head["name"])
    found = {root.id: root}
    if "/" in root.id:
        problems.append("park.toml: [park] id: the root scope is one segment, without /")
    lines = {root.id: 1}
    for row in rows:
        values = parse_row(row, nothing, problems) if row.table == "scope" else None
        if values is None:
            continue
        scope = Scope(values["id"], values["kind"], values["name"])
        if scope.id in found:
            problems.append(f"park.toml:{row.line}: scope {scope.id!r} is there already")
            continue
        found[scope.id] = scope
        lines[scope.id] = row.line
    _check_tree(found, lines, problems)
    return list(found.values())


def _check_tree(found: dict[str, Scope], lines: dict[str, int], problems: list[str]) -> None:
    """Add scopes without parent, kinds out of order, and owners with the same name."""
    owners: dict[str, str] = {}
    for scope in found.values():
        place = f"park.toml:{lines[scope.id]}: scope {scope.id!r}"
        parent = found.get(scope.parent)
        if scope.parent and parent is None:
            problems.append(f"{place}: its parent {scope.parent!r} does not exist")
        elif parent and (
            KINDS.index(scope.kind) < KINDS.index(parent.kind)
            or (scope.kind == parent.kind and scope.kind != "unit")
        ):
            problems.append(f"{place}: a {scope.kind} cannot stand below a {parent.kind}")
        if scope.kind in ("region", "park", "enterprise"):
            name = scope.id.rpartition("/")[2]
            if name in owners:
                problems.append(
                    f"{place}: its last segment {name!r} is taken by {owners[name]!r};"
                    " regions, parks and enterprises need names of their own"
                )
            owners.setdefault(name, scope.id)


def _tags(
    text: str, rows: list[Row], kinds: dict[str, str], gap_s: float, problems: list[str]
) -> list[Tag]:
    """Return the tags of tags.csv and of templates; adds what is wrong with them."""
    reader = csv.reader(text.splitlines())
    next(reader, [])  # the header
    tags: dict[str, Tag] = {}
    cells: list[tuple[str, list[str]]] = []
    for row in reader:
        place = f"tags.csv:{reader.line_num}"
        if not row or not "".join(row).strip() or row[0].startswith("#"):
            continue
        if len(row) != len(TAG_COLUMNS):
            problems.append(f"{place}: {len(row)} cells where {len(TAG_COLUMNS)} are needed")
            continue
        cells.append((place, [c.strip() for c in row]))
    cells.extend(
        (f"park.toml:{row.line}", [str(row.values.get(c, "")).strip() for c in TAG_COLUMNS])
        for row in rows
        if row.table == "tag"
    )
    for place, row in cells:
        tag = _tag(place, row, kinds, gap_s, problems)
        if tag is None:
            continue
        if tag.address in tags:
            problems.append(f"{place}: tag {tag.address!r} is there already")
        tags.setdefault(tag.address, tag)
    return list(tags.values())


def _tag(
    place: str, row: list[str], kinds: dict[str, str], gap_s: float, problems: list[str]
) -> Tag | None:
    """Return one tag, or None after adding every problem of its cells."""
    name, scope, quantity, uom, kind, low, high, sigma, description = row
    wrong: list[str] = []
    if not TAG_NAME.match(name):
        wrong.append(f"tag name {name!r} is empty or has blanks, commas, quotes or /")
    if scope not in kinds:
        wrong.append(f"scope {scope!r} does not exist")
    if kind not in TAG_KINDS:
        wrong.append(f"kind {kind!r} is not one of {', '.join(TAG_KINDS)}")
    if sigma and not SIGMA.match(sigma):
        wrong.append(f"sigma {sigma!r} is neither a number in {uom} nor like '1.5 %'")
    scale, shift = 1.0, 0.0
    bounds = float("nan"), float("nan")
    try:
        scale, shift = compile_uom(uom, quantity)
        bounds = (
            float(low) * scale + shift if low else float("nan"),
            float(high) * scale + shift if high else float("nan"),
        )
        if bounds[0] > bounds[1]:
            wrong.append(f"low {low} is above high {high}")
    except UomError as error:
        wrong.append(f"{error} ({error.hint})" if quantity in QUANTITIES else str(error))
    except ValueError:
        wrong.append(f"low {low!r} or high {high!r} is not a number")
    problems.extend(f"{place}: {w}" for w in wrong)
    if wrong:
        return None
    owner = owner_of(scope, kinds)
    return Tag(
        tag=name,
        owner=owner,
        scope=scope,
        quantity=quantity,
        uom=uom,
        kind=kind,
        scale=scale,
        shift=shift,
        low=bounds[0],
        high=bounds[1],
        sigma=sigma,
        description=description,
        gap_s=gap_s,
    )
