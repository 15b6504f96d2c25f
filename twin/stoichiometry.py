"""Stoichiometry: molar masses, balanced reactions, needs and by-products of a chain of reactions.

References
----------
.. [1] R. M. Felder, R. W. Rousseau, Elementary Principles of Chemical Processes, 3rd ed.,
   Wiley 2005, sections 4.6 and 4.7: extents of reaction, atomic balances.
.. [2] IUPAC, Atomic weights of the elements 2007, Pure and Applied Chemistry 81 (2009) 2131;
   2013, Pure and Applied Chemistry 88 (2016) 265.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from twin.arrays import F64
from twin.reference import load
from twin.uom import parse_quantity

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TOKEN = re.compile(r"([A-Z][a-z]?|[()])(\d*)")
TERM = re.compile(r"(?:(\d+) )?(\S+)\Z")
# Extents per mole of product are of order one; below this they are errors of the arithmetic.
NOTHING = 1e-9


@dataclass(frozen=True, slots=True)
class Reactions:
    """R reactions between S species."""

    names: tuple[str, ...]  # (R,)
    products: tuple[str, ...]  # (R,) formula of the main product
    species: tuple[str, ...]  # (S,) formulas
    moles: F64  # (R, S) [mol/mol] of each species per extent; made > 0, used < 0
    molar_mass: F64  # (S,) [kg/mol]

    @property
    def mass(self) -> F64:
        """(R, S) float64 [kg/mol]: mass of each species per extent; made > 0, used < 0."""
        return self.moles * self.molar_mass


def composition(formula: str) -> dict[str, int]:
    """Return the atoms of a formula like ``Ca(OH)2``, by element; raises ValueError."""
    levels: list[dict[str, int]] = [{}]
    at = 0
    while at < len(formula):
        token = TOKEN.match(formula, at)
        if token is None or (token[1] == ")" and len(levels) == 1) or token[0][:2] == "()":
            raise ValueError(f"{formula!r} is not a chemical formula")
        at = token.end()
        if token[1] == "(":
            levels.append({})
            continue
        atoms = levels.pop() if token[1] == ")" else {token[1]: 1}
        for element, count in atoms.items():
            levels[-1][element] = levels[-1].get(element, 0) + count * int(token[2] or 1)
    if len(levels) > 1 or not levels[0]:
        raise ValueError(f"{formula!r} is not a chemical formula")
    return levels[0]


def molar_mass(formula: str) -> float:
    """Return the molar mass of a formula.

    Parameters
    ----------
    formula
        like ``NaOH``, ``Ca(OH)2``, ``(CH3)2SiCl2``

    Returns
    -------
    float [kg/mol]
        sum of the standard atomic weights [2]_

    Raises
    ------
    ValueError
        it is not a formula, or of an element that is not in the table
    """
    elements = load("elements")
    atoms = composition(formula)
    if not atoms.keys() <= elements.keys():
        raise ValueError(f"{formula!r} has an element without an atomic weight")
    weights = (parse_quantity(elements[e]["weight"], "molar_mass") * n for e, n in atoms.items())
    return sum(weights)


def compile_reactions(equations: Mapping[str, tuple[str, str]]) -> Reactions:
    """Return the arrays of equations like ``C + H2O -> CO + H2``, each with its main product.

    Parameters
    ----------
    equations
        name -> (equation, formula of the main product)

    Returns
    -------
    Reactions
        species in the order of their first appearance, masses in [kg/mol]

    Raises
    ------
    ValueError
        an equation cannot be read, or does not make its main product
    """
    sides = {name: _terms(equation) for name, (equation, _) in equations.items()}
    species = tuple(dict.fromkeys(s for terms in sides.values() for s in terms))
    moles = np.array([[terms.get(s, 0) for s in species] for terms in sides.values()], np.float64)
    for name, (equation, product) in equations.items():
        if sides[name].get(product, 0) <= 0:
            raise ValueError(f"{name}: {equation!r} does not make {product}")
    masses = np.array([molar_mass(s) for s in species])
    products = tuple(product for _, product in equations.values())
    return Reactions(tuple(equations), products, species, moles.reshape(-1, len(species)), masses)


def _terms(equation: str) -> dict[str, int]:
    """Return the coefficients of an equation: products positive, reactants negative."""
    sides = equation.split(" -> ")
    if len(sides) != 2:
        raise ValueError(f"{equation!r} is not an equation with one arrow")
    terms: dict[str, int] = {}
    for sign, side in zip((-1, 1), sides, strict=True):
        for text in side.split(" + "):
            term = TERM.match(text.strip())
            if term is None:
                raise ValueError(f"{text!r} is not a term of an equation")
            terms[term[2]] = terms.get(term[2], 0) + sign * int(term[1] or 1)
    return terms


def read_reactions(names: Sequence[str]) -> Reactions:
    """Return the arrays of reactions of the reference table, by name; raises ValueError."""
    table = load("reactions")["reaction"]
    unknown = [name for name in names if name not in table]
    if unknown:
        raise ValueError(f"there is no reaction {', '.join(unknown)}")
    return compile_reactions({n: (table[n]["equation"], table[n]["product"]) for n in names})


def per_product(reactions: Reactions) -> F64:
    """Return the masses of each reaction per mass of its own main product.

    Parameters
    ----------
    reactions
        R reactions between S species

    Returns
    -------
    (R, S) float64 [kg/kg]
        made > 0, used < 0, the main product 1, at 100 % yield
    """
    main = [reactions.species.index(product) for product in reactions.products]
    return reactions.mass / reactions.mass[np.arange(len(main)), main][:, None]


def net_demand(reactions: Reactions, product: str, closed: Sequence[str]) -> F64:
    """Return the masses of a chain of reactions per mass of its product.

    Parameters
    ----------
    reactions
        the R steps of the chain
    product
        formula of the main product of the chain
    closed
        species the steps pass on to each other, loops included: as much is made as is used

    Returns
    -------
    (S,) float64 [kg/kg]
        made > 0, used < 0; the product 1, the closed species 0

    Raises
    ------
    ValueError
        the closed species do not fix the extents of all steps, cannot all be closed at once, or
        only with a step that runs backwards

    Notes
    -----
    Extents x per mole of product solve moles[:, closed]' x = 0 and moles[:, product]' x = 1 [1]_.
    More closed species than steps are welcome as long as the equations agree: in a loop that closes
    by itself the condition on the returning species follows from the others.
    """
    at = [reactions.species.index(s) for s in (product, *closed)]
    equations = reactions.moles[:, at].T
    target = np.zeros(len(at))
    target[0] = 1.0
    extent, _, rank, _ = np.linalg.lstsq(equations, target, rcond=None)
    if rank < len(reactions.names):
        raise ValueError(f"{product}: the closed species leave a step of the chain open")
    if np.abs(equations @ extent - target).max() > NOTHING:
        raise ValueError(f"{product}: the closed species cannot all be closed")
    if extent.min() < -NOTHING:
        raise ValueError(f"{product}: a step of the chain would run backwards")
    moles = extent @ reactions.moles
    moles[np.abs(moles) < NOTHING] = 0.0
    return np.asarray(moles * reactions.molar_mass / reactions.molar_mass[at[0]])


@cache
def demand(name: str) -> Mapping[str, float]:
    """Return the masses of a route, or of a single reaction, per mass of its main product.

    Parameters
    ----------
    name
        of a route or a reaction of the reference table

    Returns
    -------
    mapping of formula to float [kg/kg]
        made > 0, used < 0, at 100 % yield; species that cancel inside the route are 0

    Raises
    ------
    ValueError
        there is no such route or reaction
    """
    route = load("reactions")["route"].get(name)
    if route is None:
        reactions = read_reactions([name])
        masses = per_product(reactions)[0]
    else:
        reactions = read_reactions(route["reactions"])
        masses = net_demand(reactions, route["product"], [*route["closed"], *route["loop"]])
    return dict(zip(reactions.species, masses.tolist(), strict=True))
