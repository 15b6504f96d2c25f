"""The park model compiled to arrays: accounts, tanks and derived tags as functions of the tags.

Every account is a linear function of the tags, so the same coefficients turn live rates into rates
and the amounts of a minute or a year into amounts: live and report cannot differ.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from twin.accounts.accounts import FLOW_ITEMS, SIGNS, Account, Book, book_park, scopes_above
from twin.accounts.tanks import full_mass, volume_fraction
from twin.arrays import BOOL, F64, I64, runs
from twin.model.park import Park, Scope, Tag, owner_of
from twin.reference import load as load_reference
from twin.series.traits import SeriesTraits, traits_of
from twin.uom import compile_uom

# Derived tags of a scope and component: role in the name, uom, quantity.
ROLES = {
    "production": ("mass_flow", "t/h"),
    "consumption": ("mass_flow", "t/h"),
    "residual": ("mass_flow", "t/h"),
    "inventory": ("mass", "t"),
}
ROLE_SIGNS: dict[str, dict[str, float]] = {
    "production": {"make": 1.0},
    "consumption": {"use": 1.0},
    "residual": SIGNS,
    "inventory": {},
}


@dataclass(frozen=True, slots=True)
class Signs:
    """The derived tags as a sparse matrix, (D, A + 2K), with F entries sorted by row.

    Its columns are the rates of the accounts [kg/s], the masses in the tanks [kg] and the rates of
    those [kg/s].
    """

    row: I64  # (F,) derived tag
    start: I64  # (D,) first entry of each row
    column: I64  # (F,)
    factor: F64  # (F,) sign of an account; kg of the component per kg in a tank, with its sign


@dataclass(frozen=True, slots=True)
class Network:
    """The compiled park model.

    T tags (measured first, then derived), A accounts, E entries sorted by account, K tanks.
    """

    park: Park
    tags: tuple[Tag, ...]
    index: dict[str, int]
    traits: SeriesTraits  # of the tags
    accounts: dict[Account, int]
    entry_start: I64  # (A,) first entry of each account
    entry_tag: I64  # (E,)
    entry_factor: F64  # (E,) SI amount of the account per SI amount of the tag
    tank_tag: I64  # (K,)
    tank_horizontal: BOOL  # (K,)
    tank_height: (
        F64  # (K,) [m] level that is full; 1 for a level given as a fraction; NaN for mass tags
    )
    tank_capacity: F64  # (K,) [kg] when full to the brim; NaN for mass tags
    tank_scopes: dict[tuple[str, str], I64]  # (scope, component) -> tanks inside
    tank_share: dict[str, F64]  # component -> (K,) kg of it per kg in the tank
    derived: tuple[tuple[str, str, str], ...]  # (D,) scope, component, role of each derived tag
    signs: Signs  # of the derived tags

    def entries(self, account: Account) -> slice:
        """Return the entries of an account."""
        at = self.accounts[account]
        stop = self.entry_start[at + 1] if at + 1 < len(self.entry_start) else len(self.entry_tag)
        return slice(int(self.entry_start[at]), int(stop))


def compile_network(park: Park) -> Network:
    """Return the arrays of a park model."""
    kinds = {scope.id: scope.kind for scope in park.scopes}
    index = {tag.address: i for i, tag in enumerate(park.tags)}
    book = book_park(park, index)
    accounts = {account: i for i, account in enumerate(book)}
    entries = [entry for lines in book.values() for entry in lines]
    tank_scopes, tank_share = _tank_scopes(park), _tank_share(park)
    height, capacity = _tank_sizes(park)
    derived = _derived(park.scopes, book, tank_scopes)
    tags = (*park.tags, *(_derived_tag(*key, kinds, park.gap_s) for key in derived))
    return Network(
        park=park,
        tags=tags,
        index={tag.address: i for i, tag in enumerate(tags)},
        traits=traits_of(tags),
        accounts=accounts,
        entry_start=np.cumsum([0, *map(len, book.values())], dtype=np.int64)[:-1],
        entry_tag=np.array([tag for tag, _ in entries], np.int64),
        entry_factor=np.array([factor for _, factor in entries], np.float64),
        tank_tag=np.array([index[t.mass or t.level] for t in park.tanks], np.int64),
        tank_horizontal=np.array([t.shape == "horizontal_cylinder" for t in park.tanks], bool),
        tank_height=height,
        tank_capacity=capacity,
        tank_scopes=tank_scopes,
        tank_share=tank_share,
        derived=derived,
        signs=_signs(derived, accounts, tank_scopes, tank_share),
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


def tank_mass(network: Network, value: F64) -> F64:
    """Return the inventory of each tank.

    Parameters
    ----------
    value : (..., T) float64 [SI]   values of the tags; NaN = no value

    Returns
    -------
    (..., K) float64 [kg]
    """
    reading = value[..., network.tank_tag]
    height = np.clip(reading / network.tank_height, 0.0, 1.0)
    filled = np.where(network.tank_horizontal, volume_fraction(height), height)
    return np.where(np.isnan(network.tank_height), reading, filled * network.tank_capacity)


def _tank_sizes(park: Park) -> tuple[F64, F64]:
    """Return the full level [m] (1 for fractions, NaN for mass tags) and the full mass [kg]."""
    tags = {tag.address: tag for tag in park.tags}
    height = np.full(len(park.tanks), np.nan)
    capacity = np.full(len(park.tanks), np.nan)
    for k, tank in enumerate(park.tanks):
        if tank.mass:
            continue
        full = tank.diameter if tank.shape == "horizontal_cylinder" else tank.length
        height[k] = 1.0 if tags[tank.level].quantity == "fraction" else full
        capacity[k] = full_mass(tank, tags[tank.level])
    return height, capacity


def _tank_share(park: Park) -> dict[str, F64]:
    """Return how much of each component a kilogram in each tank is: acid is not all chloride."""
    media = load_reference("media")
    share: dict[str, F64] = {}
    for k, tank in enumerate(park.tanks):
        for component, part in media[tank.medium]["component"].items():
            share.setdefault(component, np.zeros(len(park.tanks)))[k] = part
    return share


def _tank_scopes(park: Park) -> dict[tuple[str, str], I64]:
    """Return the tanks inside each scope, by component."""
    media = load_reference("media")
    found: dict[tuple[str, str], list[int]] = {}
    for k, tank in enumerate(park.tanks):
        for component in media[tank.medium]["component"]:
            for scope in scopes_above(tank.scope):
                found.setdefault((scope, component), []).append(k)
    return {key: np.array(tanks, dtype=np.int64) for key, tanks in found.items()}


def _derived(
    scopes: tuple[Scope, ...],
    book: Book,
    tank_scopes: dict[tuple[str, str], I64],
) -> tuple[tuple[str, str, str], ...]:
    """Return the (scope, component, role) with a live tag: where a component is made or kept."""
    components = dict.fromkeys(a.subject for a in book if a.item in FLOW_ITEMS)
    found: list[tuple[str, str, str]] = []
    for scope in scopes:
        for component in components:
            has = {item for item in FLOW_ITEMS if Account(scope.id, component, item) in book}
            kept = (scope.id, component) in tank_scopes
            if scope.kind == "unit" or not ("make" in has or kept):
                continue
            if "make" in has:
                found.append((scope.id, component, "production"))
            if "use" in has:
                found.append((scope.id, component, "consumption"))
            if len(has) > 1:
                found.append((scope.id, component, "residual"))
            if kept:
                found.append((scope.id, component, "inventory"))
    return tuple(found)


def _signs(
    derived: tuple[tuple[str, str, str], ...],
    accounts: dict[Account, int],
    tank_scopes: dict[tuple[str, str], I64],
    tank_share: dict[str, F64],
) -> Signs:
    """Return the matrix of the derived tags over accounts, tank masses and their rates."""
    masses = len(accounts)
    rates = masses + max((len(share) for share in tank_share.values()), default=0)
    stored = {"inventory": (masses, 1.0), "residual": (rates, -1.0)}
    entries: list[tuple[int, int, float]] = []
    for row, (scope, component, role) in enumerate(derived):
        for item, sign in ROLE_SIGNS[role].items():
            account = Account(scope, component, item)
            if account in accounts:
                entries.append((row, accounts[account], sign))
        if role in stored:
            first, sign = stored[role]
            tanks = tank_scopes.get((scope, component), ())
            entries += [(row, first + k, sign * tank_share[component][k]) for k in tanks]
    row_of = np.array([row for row, _, _ in entries], np.int64)
    return Signs(
        row=row_of,
        start=np.flatnonzero(runs(row_of)[0]),
        column=np.array([column for _, column, _ in entries], np.int64),
        factor=np.array([factor for _, _, factor in entries], np.float64),
    )


def _derived_tag(scope: str, component: str, role: str, kinds: dict[str, str], gap_s: float) -> Tag:
    """Return the derived tag ``<component>.<quantity>.<role>`` of a scope."""
    owner = owner_of(scope, kinds)
    quantity, uom = ROLES[role]
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
