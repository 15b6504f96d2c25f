"""Who may know what: figures of others, and sums that would give one of them away.

A figure belongs to a scope and has a level; a viewer has a level, and scopes that are his own. He
knows all of his own, and of others what is of his level or of one before it. A sum is withheld
where what it conceals is of few members, or nearly all of one; so is one from which others that
are known can be subtracted until this holds.

References
----------
.. [1] A. Hundepool et al., Statistical Disclosure Control, Wiley 2012, chapter 4: the minimum
   frequency rule and the dominance rule for tables of magnitudes; secondary suppression.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from twin.arrays import BOOL, F64, I64
from twin.model.park import inside, scopes_above
from twin.model.rows import RowFault, cell, table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from twin.model.park import Park

Level = Literal["public", "park", "enterprise", "private"]
# Everybody; the members of a park; its operator and the enterprise itself; the enterprise alone.
LEVELS = ("public", "park", "enterprise", "private")
USUAL = "enterprise"  # of figures of which nothing else is said
MEMBERS_MIN = 3
SPREAD_MIN = 5  # members behind quartiles and extremes; of fewer the median alone is told
DOMINANCE = 0.8
FEW, DOMINATED, LINKED = "few_members", "one_dominates", "linked"
ABOVE = "above_your_level"


@table
class Disclosure:
    """The level of the figures of a scope and all below it, where it is not the usual one."""

    scope: str = cell("scope")
    level: str = cell("one " + " ".join(LEVELS))


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who looks: a level, scopes whose figures are his own, and those he operates.

    Of the latter he knows what is of the usual level.
    """

    level: Level
    scopes: tuple[str, ...] = ()
    operated: tuple[str, ...] = ()

    def sees(self, scope: str, *levels: str) -> bool:
        """Tell whether a viewer may know a figure of a scope; of several levels all count.

        Like those of both sides of a transfer.
        """
        if any(inside(scope, own) for own in self.scopes):
            return True
        operates = any(inside(scope, each) for each in self.operated)
        known = max(LEVELS.index(self.level), LEVELS.index(USUAL) if operates else 0)
        return max(map(LEVELS.index, levels), default=0) <= known

    @property
    def sees_all(self) -> bool:
        """Tell whether he knows all that is of the usual level, wherever it is."""
        return self.sees("", USUAL)


def level_of(park: Park, scope: str) -> str:
    """Return the level of the figures of a scope: that of the nearest row at or above it."""
    stated = {row.scope: row.level for row in park.rows(Disclosure)}
    return next((stated[each] for each in scopes_above(scope) if each in stated), USUAL)


def check_disclosure(park: Park) -> Iterator[RowFault]:
    """Yield levels of what is no enterprise nor below one: a sum has the levels of its parts."""
    kinds = {scope.id: scope.kind for scope in park.scopes}
    for row in park.rows(Disclosure):
        if not any(kinds.get(each) == "enterprise" for each in scopes_above(row.scope)):
            yield RowFault(row, "is of an enterprise, or a scope below one", "scope")


def withheld(amount: F64, members: Sequence[str], concealed: Sequence[bool]) -> str:
    """Return why a sum is withheld; empty where it gives no member away.

    Parameters
    ----------
    amount : (n,) float64 [SI]      the parts of the sum; their sizes count, NaN counts as nothing
    members : (n,)                  who each part is of
    concealed : (n,)                whether the viewer may not see the part

    Returns
    -------
    str
        ``few_members`` where the concealed parts are of fewer than three members, ``one_dominates``
        where more than 80 % of them is of one, the rules of [1]_

    Notes
    -----
    The rules are held by the concealed parts alone: the others can be subtracted by who sees them.
    """
    if not any(concealed):
        return ""
    size: dict[str, float] = {}
    parts = np.abs(np.nan_to_num(amount)).tolist()
    for part, member, mine in zip(parts, members, concealed, strict=True):
        # Who gives nothing hides nobody.
        if mine and part:
            size[member] = size.get(member, 0.0) + part
    return _told(size)


def _told(size: Mapping[str, float]) -> str:
    if len(size) < MEMBERS_MIN:
        return FEW
    return DOMINATED if max(size.values()) > DOMINANCE * sum(size.values()) else ""


def withheld_above(scope: str, sizes: Mapping[str, float], sums: Sequence[str]) -> str:
    """Return why the sum of a scope is withheld, beside the sums of other scopes.

    Parameters
    ----------
    scope : str
    sizes : mapping of str to float [SI]
        the concealed members, by their scope, with the size of what each gives
    sums : sequence of str
        all scopes of which a sum can be asked for

    Returns
    -------
    str
        as of `withheld`; ``linked`` where less the sums of scopes below, as far as they are shown,
        the sum would give a member away; empty where it is shown

    Notes
    -----
    Secondary suppression [1]_: scopes are a tree, so that any difference of shown sums is one of
    members that are some scopes less others, and each of these holds the rule by itself.
    """
    inner = [each for each in sizes if inside(each, scope)]
    mine = {each: abs(sizes[each]) for each in inner if sizes[each]}
    if why := _told(mine) if inner else "":
        return why
    below = [each for each in sums if each != scope and inside(each, scope)]
    known = [each for each in below if not withheld_above(each, sizes, below)]
    remains = {m: size for m, size in mine.items() if not any(inside(m, each) for each in known)}
    return LINKED if remains and _told(remains) else ""


def spread(source: BOOL, sink: BOOL, ways: tuple[I64, I64]) -> tuple[BOOL, BOOL]:
    """Return whose flows would tell those of a concealed row, because ways link them.

    Parameters
    ----------
    source, sink : (P,) and (Q,) bool   rows that are concealed
    ways : pair of (L,) int64           source and sink of each way

    Returns
    -------
    (P,) and (Q,) bool
        the concealed rows, and all that ways lead to from them, however many lie between: what a
        sink is known to take, less what others are seen to give, is what is concealed [1]_
    """
    source, sink = source.copy(), sink.copy()
    while True:
        before = int(source.sum() + sink.sum())
        linked = source[ways[0]] | sink[ways[1]]
        np.logical_or.at(source, ways[0], linked)
        np.logical_or.at(sink, ways[1], linked)
        if int(source.sum() + sink.sum()) == before:
            return source, sink
