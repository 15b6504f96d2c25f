"""The park model compiled to arrays: accounts, tanks and derived tags as functions of the tags.

Every account is a linear function of the tags, so the same coefficients turn live rates into rates
and the amounts of a minute or a year into amounts: live and report cannot differ.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar, cast
from weakref import WeakKeyDictionary

import numpy as np

from twin.accounts.accounts import ELECTRICITY, FLOW_ITEMS, SIGNS, Account, Book, book_park
from twin.accounts.cells import CELL_ROLES, AnalysedCells, compile_cells, is_analysed
from twin.accounts.demand import DEMAND_ROLES, Incomers, compile_incomers
from twin.accounts.heat import Heats, compile_heats
from twin.accounts.tanks import Tanks, compile_tanks
from twin.arrays import F64, I64, runs
from twin.model.junctions import Junction, find_junctions
from twin.model.meters import MeterTrees, compile_meters
from twin.model.park import Park, Scope, Tag, owner_of, scopes_above
from twin.reference import made_for_reader
from twin.series.traits import SeriesTraits, traits_of
from twin.uom import compile_uom

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
Result = TypeVar("Result")
Derived = tuple[str, str, str]  # scope, component and role of a derived tag
FLOW, STOCK, POWER = ("mass_flow", "t/h"), ("mass", "t"), ("power", "MW")
# Derived tags of a scope and component, or electrolyser: role in the name, quantity, uom. Those of
# electricity are powers.
ROLES = {
    "production": FLOW,
    "consumption": FLOW,
    "residual": FLOW,
    "inventory": STOCK,
    "import": POWER,
    "export": POWER,
    **dict.fromkeys(DEMAND_ROLES, POWER),
    "effective": ("current", "kA"),
    "efficiency": ("fraction", "%"),
    "heat": POWER,
    "reconciled": FLOW,
    "reconciled_ci": FLOW,
}
ROLE_SIGNS: dict[str, dict[str, float]] = {
    "production": {"make": 1.0},
    "consumption": {"use": 1.0},
    "residual": SIGNS,
    "inventory": {},
    "import": {"import": 1.0},
    "export": {"export": 1.0},
    "heat": {},
}


@dataclass(frozen=True, slots=True)
class Signs:
    """The derived tags of scopes as a sparse matrix, (D', A + 2K), with F entries sorted by row.

    Its columns are the rates of the accounts [kg/s, electricity W], the masses in the tanks [kg]
    and the rates of those [kg/s].
    """

    row: I64  # (F,) derived tag
    start: I64  # (D',) first entry of each row
    column: I64  # (F,)
    factor: F64  # (F,) sign of an account; kg of the component per kg in a tank, with its sign


# Of each network, so many results of functions of it are remembered.
RESULTS = 64


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Network:
    """The compiled park model.

    T tags (measured first, then derived), A accounts, E entries sorted by account, K tanks, H heat
    tags.
    """

    park: Park
    tags: tuple[Tag, ...]
    index: dict[str, int]
    traits: SeriesTraits  # of the tags
    accounts: dict[Account, int]
    entry_start: I64  # (A,) first entry of each account
    entry_tag: I64  # (E,)
    entry_factor: F64  # (E,) SI amount of the account per SI amount of the tag
    tanks: Tanks
    cells: AnalysedCells
    effective: dict[str, int]  # tag of the effective current by electrolyser
    heats: Heats
    incomers: Incomers
    # (D,) of the tags behind the measured ones: all of `CELL_ROLES`, heats, all of `DEMAND_ROLES`,
    # then those of scopes.
    derived: tuple[Derived, ...]
    signs: Signs  # of the derived tags of scopes
    meters: MeterTrees  # the energy meters of the park
    junctions: tuple[Junction, ...]  # between them

    def entries(self, account: Account) -> slice:
        """Return the entries of an account."""
        at = self.accounts[account]
        stop = self.entry_start[at + 1] if at + 1 < len(self.entry_start) else len(self.entry_tag)
        return slice(int(self.entry_start[at]), int(stop))


_results: WeakKeyDictionary[Network, dict[tuple[Any, ...], Any]] = WeakKeyDictionary()


def remembered(
    function: Callable[Concatenate[Network, P], Result],
) -> Callable[Concatenate[Network, P], Result]:
    """Let a function of a network and names remember its results, which nobody changes.

    Who reads the reference tables gets results of his own: he must see what is read of them.
    """

    @wraps(function)
    def remembering(network: Network, /, *args: P.args, **kwargs: P.kwargs) -> Result:
        made = made_for_reader()
        results = _results.setdefault(network, {}) if made is None else made
        key = (function, *args, *sorted(kwargs.items()))
        key = key if made is None else (network, *key)
        if key not in results:
            while made is None and len(results) >= RESULTS:
                results.pop(next(iter(results)))
            results[key] = function(network, *args, **kwargs)
        return cast("Result", results[key])

    return remembering


def compile_network(park: Park) -> Network:
    """Return the arrays of a park model."""
    kinds = {scope.id: scope.kind for scope in park.scopes}
    index = {tag.address: i for i, tag in enumerate(park.tags)}
    trees = compile_meters(park)
    junctions = find_junctions(trees)
    analysed = [cell for cell in park.electrolysers if is_analysed(cell)]
    effective = {cell.id: len(park.tags) + i for i, cell in enumerate(analysed)}
    of_cells = [(cell.scope, cell.id, role) for role in CELL_ROLES for cell in analysed]
    heats = compile_heats(park, index, len(park.tags) + len(of_cells))
    of_heats = [(park.tags[f].scope, park.tags[f].tag, "heat") for f in heats.flow.tolist()]
    incomers = compile_incomers(trees, index, ELECTRICITY)
    of_demand = [(scope, ELECTRICITY, role) for role in DEMAND_ROLES for scope in incomers.scopes]
    book = book_park(park, trees, junctions, index, effective, heats)
    accounts = {account: i for i, account in enumerate(book)}
    entries = [entry for lines in book.values() for entry in lines]
    tanks = compile_tanks(park, index)
    of_scopes = (
        *_derived(park.scopes, book, tanks),
        *_derived_electricity(park.scopes, book, junctions),
    )
    derived = (*of_cells, *of_heats, *of_demand, *of_scopes)
    own = [derived_tag(*key, kinds, park.gap_s) for key in derived]
    for i, cell in enumerate(analysed):
        own[i] = _like(own[i], park.tags[index[cell.current]])
    tags = (*park.tags, *own)
    return Network(
        park=park,
        tags=tags,
        index={tag.address: i for i, tag in enumerate(tags)},
        traits=traits_of(tags),
        accounts=accounts,
        entry_start=np.cumsum([0, *map(len, book.values())], dtype=np.int64)[:-1],
        entry_tag=np.array([tag for tag, _ in entries], np.int64),
        entry_factor=np.array([factor for _, factor in entries], np.float64),
        tanks=tanks,
        cells=compile_cells(park, index),
        effective=effective,
        heats=heats,
        incomers=incomers,
        derived=derived,
        signs=_signs(of_scopes, accounts, tanks),
        meters=trees,
        junctions=junctions,
    )


def tally(network: Network, amount: F64) -> F64:
    """Return the accounts of tag amounts, or their rates of tag rates.

    Parameters
    ----------
    amount : (..., T) float64 [SI]   amount (or rate) of each tag; NaN = no value

    Returns
    -------
    (..., A) float64 [SI]            NaN where a tag of the account has no value
    """
    parts = amount[..., network.entry_tag] * network.entry_factor
    return np.asarray(np.add.reduceat(parts, network.entry_start, axis=-1))


def _derived(scopes: tuple[Scope, ...], book: Book, tanks: Tanks) -> tuple[Derived, ...]:
    """Return the (scope, component, role) of the derived tags: of made or kept components."""
    components = dict.fromkeys(a.subject for a in book if a.item in FLOW_ITEMS)
    components.pop(ELECTRICITY, None)
    result: list[Derived] = []
    for scope in scopes:
        for component in components:
            has = {item for item in FLOW_ITEMS if Account(scope.id, component, item) in book}
            kept = (scope.id, component) in tanks.scopes
            if scope.kind == "unit" or not ("make" in has or kept):
                continue
            if "make" in has:
                result.append((scope.id, component, "production"))
            if "use" in has:
                result.append((scope.id, component, "consumption"))
            if len(has) > 1:
                result.append((scope.id, component, "residual"))
            if kept:
                result.append((scope.id, component, "inventory"))
    return tuple(result)


def _derived_electricity(
    scopes: tuple[Scope, ...], book: Book, junctions: tuple[Junction, ...]
) -> tuple[Derived, ...]:
    """Return the derived tags of electricity: of what is made, and all where a junction lies."""
    hubs = {
        path
        for junction in junctions
        if junction.carrier == ELECTRICITY and not junction.direct
        for path in scopes_above(junction.scope)
    }
    roles = {"make": "production", "use": "consumption", "import": "import", "export": "export"}
    result: list[Derived] = []
    for scope in scopes:
        has = [item for item in roles if Account(scope.id, ELECTRICITY, item) in book]
        if scope.kind == "unit" or not has:
            continue
        if scope.id in hubs:
            result += [(scope.id, ELECTRICITY, roles[item]) for item in has]
            result.append((scope.id, ELECTRICITY, "residual"))
        elif "make" in has:
            result.append((scope.id, ELECTRICITY, "production"))
    return tuple(result)


def _signs(
    derived: tuple[Derived, ...],
    accounts: dict[Account, int],
    tanks: Tanks,
) -> Signs:
    """Return the matrix of the derived tags over accounts, tank masses and their rates."""
    masses, rates = len(accounts), len(accounts) + len(tanks.tag)
    stored = {"inventory": (masses, 1.0), "residual": (rates, -1.0)}
    entries: list[tuple[int, int, float]] = []
    for row, (scope, component, role) in enumerate(derived):
        for item, sign in ROLE_SIGNS[role].items():
            account = Account(scope, component, item)
            if account in accounts:
                entries.append((row, accounts[account], sign))
        if role in stored:
            first, sign = stored[role]
            share = sign * tanks.share.get(component, np.zeros(0))
            inside = tanks.scopes.get((scope, component), ())
            entries += [(row, first + k, share[k]) for k in inside]
    row_of = np.array([row for row, _, _ in entries], np.int64)
    return Signs(
        row=row_of,
        start=np.flatnonzero(runs(row_of)[0]),
        column=np.array([column for _, column, _ in entries], np.int64),
        factor=np.array([factor for _, _, factor in entries], np.float64),
    )


def _like(derived: Tag, measured: Tag) -> Tag:
    """Return a derived tag in the uom, and with the uncertainty, of the one it follows."""
    return replace(
        derived,
        uom=measured.uom,
        scale=measured.scale,
        shift=measured.shift,
        sigma=measured.sigma,
    )


def derived_tag(scope: str, component: str, role: str, kinds: dict[str, str], gap_s: float) -> Tag:
    """Return the derived tag ``<component>.<quantity>.<role>`` of a scope.

    Parameters
    ----------
    scope, component : str
    role : str
        of `ROLES`, with the name of a stream before it where it has one: ``cl2-vcm.reconciled``
    kinds : dict of str
        kind of each scope
    gap_s : float [s]
        how long a value holds

    Returns
    -------
    Tag
    """
    owner = owner_of(scope, kinds)
    quantity, uom = POWER if component == ELECTRICITY else ROLES[role.rpartition(".")[2]]
    scale, shift = compile_uom(uom, quantity)
    home = next((path for path in scopes_above(scope) if kinds[path] == "enterprise"), scope)
    below = scope[len(home) + 1 :].replace("/", ".")
    name = f"{component}.{quantity}.{role}"
    return Tag(
        tag=f"{below}.{name}" if below else name,
        owner=owner,
        scope=scope,
        quantity=quantity,
        uom=uom,
        kind="gauge",
        scale=scale,
        shift=shift,
        description=f"{role} of {component}",
        source="derived",
        gap_s=gap_s,
    )
