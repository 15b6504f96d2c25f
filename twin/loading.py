"""Reading a park folder: all problems at once, each with its file and line."""

from __future__ import annotations

import csv
import hashlib
import re
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twin.accounts.heat import HeatingValue, SteamState, check_heat, unstated_steam
from twin.accounts.network import ROLES, compile_network
from twin.accounts.waste_heat import HeatCutOff, WasteHeat, check_waste_heat
from twin.alarms.notices import NotifySpec, check_notify
from twin.alarms.rules import AlarmSpec, check_alarms
from twin.baseline.model import Baseline, check_baselines
from twin.book.model import AMOUNT, BookTag, check_book
from twin.byproducts.catalogue import Haul, Need, Resource, Transfer, check_catalogue
from twin.byproducts.exchange import Byproduct, Link, Sink, check_exchange
from twin.byproducts.loops import check_loops
from twin.chlorine.hazards import Hazard, check_hazards
from twin.chlorine.headroom import AbsorberSpec, check_absorbers
from twin.disclosure import Disclosure, check_disclosure
from twin.emissions.forwarding import ForwardSpec, check_forwards
from twin.emissions.green_power import GreenPower, check_green_power
from twin.emissions.outlets import OutletSpec, check_outlets
from twin.emissions.periods import Campaign, PermitPeriod, check_periods
from twin.emissions.permits import Permit, check_permits
from twin.emissions.quotas import Advance, Draw, Project, Reduction, check_quotas
from twin.emissions.releases import EmissionFactor, EmissionReport, ManualAnalysis, check_releases
from twin.emissions.sources import CarbonFlow, check_carbon
from twin.energy.monitoring import KeyUser, check_key_users
from twin.energy.prices import Tariff, TariffPeriod, check_tariffs
from twin.errors import ModelError, UomError
from twin.evaluation.model import (
    Evaluated,
    Evaluation,
    EvaluationClass,
    Indicator,
    check_evaluations,
)
from twin.maturity import Automation, Calibration, Metering, check_maturity
from twin.model.gateways import GatewaySpec, check_gateways
from twin.model.meters import check_meters, unrelated_meters
from twin.model.park import (
    KINDS,
    OUTSIDE,
    Electrolyser,
    Gap,
    Head,
    Meter,
    Park,
    Product,
    Register,
    Scope,
    Stream,
    Tag,
    Tank,
    check_park,
    owner_of,
)
from twin.model.rows import Known, Row, RowFault, parse_row, read_rows, toml_lines
from twin.model.schedule import ScheduledReport, check_schedule
from twin.planning.limits import (
    FlexibleUser,
    LoadLimits,
    check_flexible_users,
    check_load_limits,
)
from twin.reference import load as load_reference
from twin.targets.benchmark import BenchmarkPark, ParkIndicator, check_benchmark
from twin.targets.freight import Freight, check_freight
from twin.targets.model import Asset, Target, check_targets
from twin.targets.retrofits import Retrofit, check_retrofits
from twin.uom import QUANTITIES, compile_uom, quantity_of
from twin.validation.rules import CheckSpec, check_validation

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

TAG_COLUMNS = ("tag", "scope", "quantity", "uom", "kind", "low", "high", "sigma", "description")
NAN = float("nan")
TAG_KINDS = ("gauge", "counter", "state", AMOUNT)
TAG_NAME = re.compile(r"[^\s/,\"']{1,128}\Z")
# Names of ingest's own tags, and of series that lost theirs (``FT-1@mass_flow.gauge.measured``).
RESERVED = re.compile(r"ingest\.|.*@\w+\.(gauge|counter|state|amount)\.")
SIGMA = re.compile(r"\d+(\.\d*)?([eE][+-]?\d+)?\s*%?\Z")
FILES = ("park.toml", "tags.csv")
STRAPPING = "strapping.csv"  # a model may have it
STRAPPING_COLUMNS = ["tank", "level_m", "volume_m3"]
TABLES: dict[str, type[Any]] = {
    "scope": Scope,
    "electrolyser": Electrolyser,
    "stream": Stream,
    "tank": Tank,
    "meter": Meter,
    "steam": SteamState,
    "heating_value": HeatingValue,
    "waste_heat": WasteHeat,
    "heat_cut_off": HeatCutOff,
    "product": Product,
    "gap": Gap,
    "register": Register,
    "gateway": GatewaySpec,
    "report": ScheduledReport,
    "alarm": AlarmSpec,
    "notify": NotifySpec,
    "check": CheckSpec,
    "outlet": OutletSpec,
    "forward": ForwardSpec,
    "analysis": ManualAnalysis,
    "emission_factor": EmissionFactor,
    "emission_report": EmissionReport,
    "permit": Permit,
    "permit_period": PermitPeriod,
    "campaign": Campaign,
    "reduction": Reduction,
    "project": Project,
    "advance": Advance,
    "draw": Draw,
    "carbon": CarbonFlow,
    "green_power": GreenPower,
    "hazard": Hazard,
    "absorber": AbsorberSpec,
    "load_limits": LoadLimits,
    "flexible_user": FlexibleUser,
    "byproduct": Byproduct,
    "link": Link,
    "sink": Sink,
    "resource": Resource,
    "need": Need,
    "haul": Haul,
    "transfer": Transfer,
    "target": Target,
    "asset": Asset,
    "retrofit": Retrofit,
    "freight": Freight,
    "park_indicator": ParkIndicator,
    "benchmark_park": BenchmarkPark,
    "disclosure": Disclosure,
    "metering": Metering,
    "automation": Automation,
    "calibration": Calibration,
    "book": BookTag,
    "baseline": Baseline,
    "tariff": Tariff,
    "tariff_period": TariffPeriod,
    "key_user": KeyUser,
    "evaluation": Evaluation,
    "evaluation_indicator": Indicator,
    "evaluation_class": EvaluationClass,
    "evaluation_enterprise": Evaluated,
}
CHECKS = (
    check_park,
    check_meters,
    check_heat,
    check_waste_heat,
    check_gateways,
    check_schedule,
    check_validation,
    check_notify,
    check_outlets,
    check_forwards,
    check_releases,
    check_permits,
    check_periods,
    check_carbon,
    check_green_power,
    check_hazards,
    check_absorbers,
    check_load_limits,
    check_flexible_users,
    check_exchange,
    check_catalogue,
    check_loops,
    check_targets,
    check_retrofits,
    check_freight,
    check_benchmark,
    check_disclosure,
    check_maturity,
    check_book,
    check_quotas,
    check_tariffs,
    check_key_users,
    check_evaluations,
    check_baselines,
)
# Columns that together stand once in a table, where it is not `id`; a scope has its own check.
UNIQUE = {
    "product": ("id", "scope"),
    "byproduct": ("id", "scope"),
    "check": ("tag",),
    "load_limits": ("electrolyser",),
    "flexible_user": ("scope",),
    "register": ("tag",),
    "heat_cut_off": ("scope",),
    "book": ("tag",),
    "evaluation_indicator": ("id", "evaluation"),
    "evaluation_class": ("id", "evaluation"),
    "evaluation_enterprise": ("scope", "evaluation", "year"),
    "heating_value": (),
    "disclosure": ("scope",),
    "benchmark_park": ("scope",),
    "tariff_period": (),
    "metering": ("scope", "carrier", "users"),
    "calibration": ("tag",),
    "forward": ("outlet",),
    "key_user": ("scope",),
    "scope": (),
    "tag": (),
}


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
    more = [STRAPPING] if (folder / STRAPPING).is_file() else []
    for name in (*FILES, *more):
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
        document = tomllib.loads(files["park.toml"])
    except tomllib.TOMLDecodeError as error:
        raise _wrong([f"park.toml: not valid TOML: {error}"]) from error
    header = files["tags.csv"].splitlines()[:1]
    if [name.strip() for name in "".join(header).split(",")] != list(TAG_COLUMNS):
        raise _wrong([f"tags.csv:1: the columns must be {','.join(TAG_COLUMNS)}"])
    rows = read_rows(document, files["park.toml"], tuple(TABLES), problems)
    head = _head(document, files["park.toml"], problems)
    scopes = _scopes(head, rows, problems) if head else []
    kinds = {scope.id: scope.kind for scope in scopes}
    located = _tags(files["tags.csv"], rows, kinds, head.gap_s if head else NAN, problems)
    tags = [tag for _, tag in located.values()]
    names = {
        "scope": kinds,
        "place": (*kinds, *OUTSIDE),
        "medium": load_reference("media"),
        "carrier": load_reference("energy"),
        "replaced_material": load_reference("avoided"),
    }
    known = Known({tag.address: tag for tag in tags}, names)
    parsed: dict[int, Row] = {}
    tables: dict[type[Any], list[Any]] = {cls: [] for cls in TABLES.values()}
    for row in rows:
        if row.table not in ("scope", "tag"):
            value = _parse(row, known, problems)
            if value is not None:
                tables[TABLES[row.table]].append(value)
                parsed[id(value)] = row
    _check_unique(rows, problems)
    problems += _unbooked(located, tables[BookTag])
    tables_of_tanks = _strapping(files.get(STRAPPING, ""), tables[Tank], problems)
    park = _assemble(head, scopes, tags, tables, files, tables_of_tanks)
    for check in CHECKS:
        problems += _sentences(check(park), parsed)
    problems += _sentences(check_alarms(park, valid=not problems), parsed)
    if not problems:
        problems += _named_as_derived(park, located)
    if problems:
        raise _wrong(problems)
    warnings = _sentences([*unrelated_meters(park), *unstated_steam(park)], parsed)
    return replace(park, warnings=tuple(w.replace(": [[", ": warning: [[", 1) for w in warnings))


def _named_as_derived(park: Park, located: Mapping[str, tuple[str, Tag]]) -> Iterator[str]:
    """Yield the problems of tags that have the name of a derived one."""
    if not any(address.rpartition(".")[2] in ROLES for address in located):
        return
    for tag in compile_network(park).tags[len(park.tags) :]:
        if tag.address in located:
            location, _ = located[tag.address]
            yield f"{location}: tag {tag.address!r} is derived in this model; name it otherwise"


def _unbooked(located: Mapping[str, tuple[str, Tag]], rows: Sequence[BookTag]) -> Iterator[str]:
    """Yield the problems of amounts that nobody says the period of."""
    booked = {row.tag for row in rows}
    for address, (location, tag) in located.items():
        if tag.kind == AMOUNT and address not in booked:
            yield f"{location}: an amount comes from the books: park.toml needs its [[book]]"


def _parse(row: Row, known: Known, problems: list[str]) -> Any:
    """Return the typed row, or None after adding every problem of its cells."""

    def wrong(column: str, text: str) -> None:
        problems.append(f"park.toml:{row.line_of(column)}: [[{row.table}]] {text}")

    return parse_row(row.values, TABLES[row.table], known, wrong)


def _sentences(faults: Iterable[RowFault], parsed: Mapping[int, Row]) -> list[str]:
    """Return faults of rows with their lines."""
    problems = []
    for fault in faults:
        row = parsed[id(fault.row)]
        label = row.values.get("id") or row.values.get("tag", "")
        column = f"{fault.column}: " if fault.column else ""
        line = row.line_of(fault.column)
        problems.append(f"park.toml:{line}: [[{row.table}]] {label}: {column}{fault.text}")
    return problems


def _check_unique(rows: Sequence[Row], problems: list[str]) -> None:
    """Add rows that stand twice in one table."""
    lines: dict[tuple[str, ...], int] = {}
    for row in rows:
        columns = UNIQUE.get(row.table, ("id",))
        key = (row.table, *(str(row.values.get(column)) for column in columns))
        if not columns or columns[0] not in row.values:
            continue
        if key in lines:
            problems.append(
                f"park.toml:{row.line}: [[{row.table}]] {key[1]!r}: line {lines[key]} has it"
                " already"
            )
        lines.setdefault(key, row.line)


def _wrong(problems: list[str]) -> ModelError:
    """Return the error that shows all problems."""
    return ModelError(
        f"the park model has {len(problems)} problem{'s' if len(problems) > 1 else ''}",
        hint="mend the lines named; `parktwin check` shows them all",
        problems=problems,
    )


def _assemble(
    head: Head | None,
    scopes: Sequence[Scope],
    tags: Sequence[Tag],
    tables: Mapping[type[Any], Sequence[Any]],
    files: dict[str, str],
    strapping: Mapping[str, tuple[tuple[float, float], ...]],
) -> Park:
    """Return the model of the rows that were read; without a head it is for checks only."""
    text = "\0".join(files[name] for name in (*FILES, STRAPPING) if name in files)
    gaps = {gap.tag: gap.gap_s for gap in tables[Gap]}
    tags = [replace(tag, gap_s=gaps.get(tag.address, tag.gap_s)) for tag in tags]
    booked = {row.tag for row in tables[BookTag]}
    entered = [replace(tag, source="manual") for tag in tags if tag.address in booked]
    # What people enter comes last: indices of what gateways send do not depend on it.
    tags = [*(tag for tag in tags if tag.address not in booked), *entered]
    registers = {register.tag: register for register in tables[Register]}
    return Park(
        id=head.id if head else "",
        kind=head.kind if head else "",
        name=head.name if head else {},
        timezone=head.timezone.key if head else "",
        gap_s=head.gap_s if head else NAN,
        shifts=head.shifts if head else (),
        scopes=tuple(scopes),
        tags=tuple(_with_register(tag, registers) for tag in tags),
        electrolysers=tuple(tables[Electrolyser]),
        streams=tuple(tables[Stream]),
        tanks=tuple(tables[Tank]),
        meters=tuple(tables[Meter]),
        products=tuple(tables[Product]),
        strapping=strapping,
        tables={cls: tuple(rows) for cls, rows in tables.items()},
        files=dict(files),
        digest=hashlib.sha256(text.encode()).hexdigest(),
    )


def _with_register(tag: Tag, registers: Mapping[str, Register]) -> Tag:
    """Return a tag with the limits of its register; wrong ones are left to the checks."""
    register = registers.get(tag.address)
    try:
        return tag if register is None else register.applied_to(tag)
    except UomError:
        return tag


def _head(document: dict[str, Any], text: str, problems: list[str]) -> Head | None:
    """Return the table ``[park]``, or None after adding its problems."""
    headers, keys = toml_lines(text)
    line = headers.get(("park", 0), 1)

    def wrong(column: str, problem: str) -> None:
        number = keys.get(("park", 0, column), line)
        problems.append(f"park.toml:{number}: [park] {problem}")

    values = document.get("park", {})
    head = parse_row(values if isinstance(values, dict) else {}, Head, Known(), wrong)
    if head and "/" in head.id:
        wrong("id", "id: the root scope is one segment, without /")
    return head


def _scopes(head: Head, rows: Sequence[Row], problems: list[str]) -> list[Scope]:
    """Return the scope tree, root first; adds its problems."""
    root = Scope(head.id, head.kind, head.name)
    tree = {root.id: root}
    lines = {root.id: 1}
    for row in rows:
        scope = _parse(row, Known(), problems) if row.table == "scope" else None
        if scope is None:
            continue
        if scope.id in tree:
            problems.append(f"park.toml:{row.line}: scope {scope.id!r} is there already")
            continue
        tree[scope.id] = scope
        lines[scope.id] = row.line
    _check_tree(tree, lines, problems)
    return list(tree.values())


def _check_tree(tree: dict[str, Scope], lines: dict[str, int], problems: list[str]) -> None:
    """Add scopes without parent, kinds out of order, and owners with the same name."""
    owners: dict[str, str] = {}
    for scope in tree.values():
        location = f"park.toml:{lines[scope.id]}: scope {scope.id!r}"
        parent = tree.get(scope.parent)
        if scope.parent and parent is None:
            problems.append(f"{location}: its parent {scope.parent!r} does not exist")
        elif parent and (
            KINDS.index(scope.kind) < KINDS.index(parent.kind)
            or (scope.kind == parent.kind and scope.kind != "unit")
        ):
            problems.append(f"{location}: a {scope.kind} cannot stand below a {parent.kind}")
        if scope.kind in ("region", "park", "enterprise"):
            name = scope.id.rpartition("/")[2]
            if name in owners:
                problems.append(
                    f"{location}: its last segment {name!r} is taken by {owners[name]!r};"
                    " regions, parks and enterprises need names of their own"
                )
            owners.setdefault(name, scope.id)


def _tags(
    text: str, rows: list[Row], kinds: dict[str, str], gap_s: float, problems: list[str]
) -> dict[str, tuple[str, Tag]]:
    """Return tags of tags.csv and of templates, with file and line; adds their problems.

    The keys are the addresses.
    """
    reader = csv.reader(text.splitlines())
    next(reader, [])  # the header
    tags: dict[str, tuple[str, Tag]] = {}
    cells: list[tuple[str, list[str]]] = []
    for row in reader:
        location = f"tags.csv:{reader.line_num}"
        if not row or not "".join(row).strip() or row[0].startswith("#"):
            continue
        if len(row) != len(TAG_COLUMNS):
            problems.append(f"{location}: {len(row)} cells where {len(TAG_COLUMNS)} are needed")
            continue
        cells.append((location, [c.strip() for c in row]))
    cells.extend(
        (f"park.toml:{row.line}", [str(row.values.get(c, "")).strip() for c in TAG_COLUMNS])
        for row in rows
        if row.table == "tag"
    )
    for location, row in cells:
        tag = _tag(location, row, kinds, gap_s, problems)
        if tag is None:
            continue
        if tag.address in tags:
            problems.append(f"{location}: tag {tag.address!r} is there already")
        tags.setdefault(tag.address, (location, tag))
    return tags


def _tag(
    location: str, row: list[str], kinds: dict[str, str], gap_s: float, problems: list[str]
) -> Tag | None:
    """Return one tag, or None after adding every problem of its cells."""
    name, scope, stated, uom, kind, low, high, sigma, description = row
    quantity = quantity_of(uom, stated)
    wrong: list[str] = []
    if not TAG_NAME.match(name):
        wrong.append(f"tag name {name!r} is empty or has blanks, commas, quotes or /")
    if RESERVED.match(name):
        wrong.append(f"tag name {name!r} is one that ingest gives itself")
    if scope not in kinds:
        wrong.append(f"scope {scope!r} does not exist")
    if kind not in TAG_KINDS:
        wrong.append(f"kind {kind!r} is not one of {', '.join(TAG_KINDS)}")
    if sigma and not SIGMA.match(sigma):
        wrong.append(f"sigma {sigma!r} is neither a number in {uom} nor like '1.5 %'")
    scale, shift = 1.0, 0.0
    bounds = NAN, NAN
    try:
        scale, shift = compile_uom(uom, quantity)
        bounds = (
            float(low) * scale + shift if low else NAN,
            float(high) * scale + shift if high else NAN,
        )
        if bounds[0] > bounds[1]:
            wrong.append(f"low {low} is above high {high}")
    except UomError as error:
        wrong.append(f"{error} ({error.hint})" if quantity in QUANTITIES else str(error))
    except ValueError:
        wrong.append(f"low {low!r} or high {high!r} is not a number")
    problems.extend(f"{location}: {w}" for w in wrong)
    if wrong:
        return None
    owner = owner_of(scope, kinds)
    return Tag(
        name,
        owner,
        scope,
        quantity,
        uom,
        kind,
        scale,
        shift,
        *bounds,
        sigma,
        description,
        gap_s=gap_s,
    )


def _strapping(
    text: str, tanks: Sequence[Tank], problems: list[str]
) -> dict[str, tuple[tuple[float, float], ...]]:
    """Return the rows of strapping.csv by tank, level [m] and volume [m³]; adds their problems."""
    known = {tank.id for tank in tanks}
    rows_of: dict[str, list[tuple[float, float]]] = {}
    reader = csv.reader(text.splitlines())
    if text and next(reader, []) != STRAPPING_COLUMNS:
        problems.append(f"{STRAPPING}:1: the columns must be {','.join(STRAPPING_COLUMNS)}")
        return {}
    for row in reader:
        location = f"{STRAPPING}:{reader.line_num}"
        if not "".join(row).strip() or row[0].startswith("#"):
            continue
        try:
            tank, level, volume = row[0].strip(), *map(float, row[1:])
        except ValueError:
            problems.append(f"{location}: a row is a tank, its level and its volume")
            continue
        rows = rows_of.setdefault(tank, [])
        if tank not in known:
            problems.append(f"{location}: there is no tank {tank!r} in park.toml")
        elif not rows and (level, volume) != (0, 0):
            problems.append(f"{location}: the first row of {tank} must be level 0, volume 0")
        elif rows and not (level > rows[-1][0] and rows[-1][1] < volume < float("inf")):
            problems.append(f"{location}: level and volume of {tank} must rise from row to row")
        rows.append((level, volume))
    problems += [f"{STRAPPING}: {tank} has one row only" for tank, rows in rows_of.items()
                 if len(rows) == 1]  # fmt: skip
    return {tank: tuple(rows) for tank, rows in rows_of.items()}
