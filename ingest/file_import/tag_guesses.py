"""Which tags of the park model the columns or names of a file may be."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from ingest.file_import.table_guesses import quantities_of
from twin.model.park import AMOUNTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twin.model.park import Park, Tag

# Scores: a tag is taken from SURE on; below POSSIBLE none is worth a word.
SURE, POSSIBLE = 0.75, 0.5
EQUAL, DESCRIBED, CONTAINED, LIKE, MISFIT = 1.0, 0.95, 0.9, 0.85, 0.3
# Of two scores as near as this, none is the better one.
TIE = 0.02
LISTED = 3
WORDS = re.compile(r"[\s._:|/\\,;()\[\]]+")


class Match(NamedTuple):
    """The tags like a name with their scores from 0 to 1, the likeliest first."""

    tags: list[tuple[float, int]]
    tied: bool = False  # the second is as likely as the first

    @property
    def sure(self) -> bool:
        """Whether the first may be taken."""
        return bool(self.tags) and self.tags[0][0] >= SURE and not self.tied


def match_names(names: Sequence[str], uoms: Sequence[str], park: Park) -> list[Match]:
    """Return the tags that each name may be, each tag for the name it is most like.

    Of tags alike, those of the enterprise that most names belong to come first.
    """
    known = [(_plain(tag.tag), _plain(tag.address), _parts(tag), tag) for tag in park.tags]
    scored: list[list[tuple[float, int]]] = []
    for name, uom in zip(names, uoms, strict=True):
        plain, fits = _plain(name), quantities_of(uom) if uom else ()
        if name == uom and plain not in {own for own, *_ in known}:
            scored.append(_of_uom(fits, park))
            continue
        # It prepares its second text once for all tags.
        words = {_plain(word) for word in WORDS.split(name)}
        matcher = difflib.SequenceMatcher(None, "", plain, autojunk=False)
        each = [
            (_score(words, plain, matcher, own, address, parts) * _fit(tag, fits), at)
            for at, (own, address, parts, tag) in enumerate(known)
        ]
        scored.append([one for one in each if one[0] >= POSSIBLE])
    owners: Counter[str] = Counter()
    for tags in scored:
        owners.update({park.tags[at].owner for score, at in tags if score >= SURE})
    matches = [Match([])] * len(names)
    taken: set[int] = set()
    for nth in sorted(range(len(names)), key=lambda n: -max(scored[n], default=(0.0, 0))[0]):
        free = [one for one in scored[nth] if one[1] not in taken]
        free.sort(key=lambda one: (-round(one[0], 2), -owners[park.tags[one[1]].owner]))
        weights = [owners[park.tags[at].owner] for _, at in free[:2]]
        tied = len(free) > 1 and free[0][0] - free[1][0] < TIE and weights[0] == weights[1]
        matches[nth] = Match(free[:LISTED], tied)
        if matches[nth].sure:
            taken.add(free[0][1])
    return matches


def _of_uom(quantities: tuple[str, ...], park: Park) -> list[tuple[float, int]]:
    """Return the tags that a name may be which says a unit of measure only."""
    fits = [at for at, tag in enumerate(park.tags) if _fit(tag, quantities) == 1.0]
    return [(SURE if len(fits) == 1 else POSSIBLE, at) for at in fits]


def _plain(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(c for c in folded if c.isalnum() or c in "#/").strip("/")


def _parts(tag: Tag) -> list[str]:
    """Return the description of a tag, whole and in its languages."""
    parts = [tag.description, *re.split(r"[/;；]", tag.description)]
    return [plain for plain in map(_plain, parts) if plain]


def _score(
    words: set[str], plain: str, matcher: difflib.SequenceMatcher[str],
    tag: str, address: str, parts: list[str],
) -> float:  # fmt: skip
    """Return how like a name and a tag are, 0 to 1; the matcher has the name as second text."""
    if not plain:
        return 0.0
    if plain in (tag, address):
        return EQUAL
    if plain in parts:
        return DESCRIBED
    if len(tag) > 2 and tag in words:
        return CONTAINED
    likeness = POSSIBLE / LIKE
    for text in (tag, *parts):
        matcher.set_seq1(text)
        if matcher.real_quick_ratio() > likeness and matcher.quick_ratio() > likeness:
            likeness = max(likeness, matcher.ratio())
    return LIKE * likeness if likeness > POSSIBLE / LIKE else 0.0


def _fit(tag: Tag, quantities: tuple[str, ...]) -> float:
    """Return 1 where a unit of measure may be one of the tag, or of its amount."""
    own = tag.quantity in quantities or AMOUNTS.get(tag.quantity) in quantities
    return 1.0 if own or not quantities else MISFIT
