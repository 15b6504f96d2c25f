"""Stoichiometry: molar masses and balanced reactions.

References
----------
.. [1] IUPAC, Atomic weights of the elements 2007, Pure and Applied Chemistry 81 (2009) 2131;
   2013, Pure and Applied Chemistry 88 (2016) 265.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from twin.arrays import F64
from twin.reference import load
from twin.uom import parse_quantity

if TYPE_CHECKING:
    from collections.abc import Mapping

TOKEN = re.compile(r"([A-Z][a-z]?|[()])(\d*)")
TERM = re.compile(r"(?:(\d+) )?(\S+)\Z")


@dataclass(frozen=True, slots=True)
class Reactions:
    """R reactions between S species."""

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
        sum of the standard atomic weights [1]_

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
    return Reactions(
        species, moles.reshape(-1, len(species)), np.array([molar_mass(s) for s in species])
    )


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
