"""Names of what answers tell by an id or a path: scopes, and rows of the park model."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from api.reports.document import name, same
from api.reports.wording import listed, word
from twin.byproducts.catalogue import Need, Resource, Transfer
from twin.emissions.outlets import OutletSpec
from twin.emissions.sources import CarbonFlow
from twin.model.park import inside, scopes_above
from twin.reference import load as load_reference

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from api.answers import Name
    from twin.model.park import Park

ENTERPRISE = "enterprise"
OUTER = {"market": name("外部市场", "market"), "atmosphere": name("大气", "atmosphere")}
# Streams of a balance that are none of the model.
WITHIN = {"faraday": name("电解产生", "made by the cells"), "stock": name("存量变化", "stock")}


class ReportNames:
    """Names in both languages, as a report about a scope says them.

    Without a name in the model a row has that of what it joins or carries, else its id.
    """

    def __init__(self, park: Park, about: str) -> None:
        self._scopes = {scope.id: scope for scope in park.scopes}
        self._about = about
        tables: dict[str, tuple[Any, ...]] = {
            "stream": park.streams,
            "electrolyser": park.electrolysers,
            "outlet": park.rows(OutletSpec),
            "carbon": park.rows(CarbonFlow),
            "transfer": park.rows(Transfer),
            "resource": park.rows(Resource),
            "need": park.rows(Need),
        }
        self._rows = {kind: {row.id: row for row in rows} for kind, rows in tables.items()}

    def scope(self, path: str) -> Name:
        """Return the name of a scope; of one inside another enterprise with that of it."""
        known = self._scopes.get(path)
        if known is None:
            return OUTER.get(path) or same(path)
        return self._within(path.rpartition("/")[0], name(known.name["zh"], known.name["en"]))

    def _within(self, scope: str, own: Name) -> Name:
        """Return a name with that of the enterprise it is in, unless the report is inside it."""
        above = [self._scopes[path] for path in scopes_above(scope)]
        owner = next((each for each in above if each.kind == ENTERPRISE), None)
        if owner is None or inside(self._about, owner.id):
            return own
        return dotted([name(owner.name["zh"], owner.name["en"]), own])

    def row(self, kind: str, id_: str) -> Name:
        """Return the name of a row of a table that has a scope."""
        row = self._rows[kind].get(id_)
        if row is None or row.name is None:
            return same(id_)
        return self._within(row.scope, name(row.name["zh"], row.name["en"]))

    def carbon(self, source: str) -> Name:
        """Return the name of a source of carbon: a carrier, a process or a row of the model."""
        return self.row("carbon", source) if source in self._rows["carbon"] else word(source)

    def transfer(self, id_: str) -> Name:
        """Return the name of an agreement: what goes where."""
        row = self._rows["transfer"].get(id_)
        if row is None:
            return same(id_)
        if row.name is not None:
            return name(row.name["zh"], row.name["en"])
        return self.flow(row.resource, row.need)

    def flow(self, resource: str, need: str) -> Name:
        """Return the name of what goes from a resource to a need."""
        return _arrow(self.row("resource", resource), self.row("need", need))

    def stream(self, id_: str) -> Name:
        """Return the name of a stream of a balance: from where to where, and what."""
        row = self._rows["stream"].get(id_)
        if row is None:
            # The cells of a node, or its tanks.
            node, colon, what = id_.partition(":")
            return dotted([self.scope(node), WITHIN[what]]) if colon else same(id_)
        if row.name is not None:
            return name(row.name["zh"], row.name["en"])
        ends, medium = _arrow(self.scope(row.origin), self.scope(row.to)), word(row.medium)
        return name(f"{ends['zh']}（{medium['zh']}）", f"{ends['en']} ({medium['en'].lower()})")

    def permit(self, scope: str, outlets: Sequence[str], pollutant: str, year: int) -> Name:
        """Return what a permit is of: a pollutant of outlets, or of all of a scope, in a year."""
        of = listed([self.row("outlet", each) for each in outlets]) if outlets else None
        subject = dotted([of or self.scope(scope), _pollutants().get(pollutant) or word(pollutant)])
        return name(f"{subject['zh']}（{year} 年）", f"{subject['en']} ({year})")


@cache
def _pollutants() -> dict[str, Name]:
    """Return the names of pollutants by their symbols."""
    rows = load_reference("pollutants").values()
    return {symbol: row["name"] for row in rows for symbol in row.get("symbols", ())}


def _arrow(origin: Name, to: Name) -> Name:
    return name(f"{origin['zh']} → {to['zh']}", f"{origin['en']} → {to['en']}")


def dotted(texts: Iterable[Name]) -> Name:
    """Return several names as one, from the whole to the part."""
    kept = list(texts)
    # The interpunct of Chinese has no spaces around it.
    return name("·".join(t["zh"] for t in kept), " · ".join(t["en"] for t in kept))
