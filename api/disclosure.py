"""What leaves the API, as far as its reader may know it: one rule on the way out of every answer.

The reader is `Context.viewer`. Who sees all of the usual level, like the operator of a park, gets
the answers as they are. For others each record belongs to the scope, enterprise, tag or member it
names, else to the scope that was asked about: figures of a scope he may not know are null, and
`undisclosed` says so. A sum over enterprises is judged by asking the same question about each of
them. An answer with a `viewer` was made for him already.
"""

from __future__ import annotations

import types
import typing
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, Literal, Union, cast

from fastapi import Response
from typing_extensions import is_typeddict

from api.access.rights import ASKER
from api.answers import Provenance, Whole
from api.problems import Problem
from twin.disclosure import ABOVE, LINKED, Viewer, level_of, withheld_above
from twin.model.park import TOTAL, inside, scopes_above

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

    from api.context import Context
    from twin.model.park import Park

    Record = dict[str, Any]
    Endpoint = Callable[..., Awaitable[Any]]

# Fields that say why figures are withheld, and words for what is not known.
SAYING = ("undisclosed", "withheld", "reason")
NOT_KNOWN = ("no_data", "undecided")
# Numbers that tell nothing.
HARMLESS = {"quality", "year", "id", "version"}
# What says where something stands: in the tree of the park, in the day, in a list of several pages.
STRUCTURE = {"parent", "shifts", "next"}
# Figures that grade others.
GRADES = ("completeness", "_ci", "share_ci", "half_width")


@dataclass(frozen=True)
class View:
    """A park as a reader knows it."""

    context: Context
    viewer: Viewer
    park: Park

    @cached_property
    def enterprises(self) -> list[str]:
        """The scopes that are members of a sum."""
        return [each.id for each in self.park.scopes if each.kind == "enterprise"]

    @cached_property
    def sums(self) -> list[str]:
        """The scopes whose figures are sums of members."""
        above = {up for each in self.enterprises for up in scopes_above(each) if up != each}
        return sorted(above)

    def knows(self, scope: str) -> bool:
        """Tell whether he may know all figures of a scope."""
        below = [each for each in self.enterprises if inside(each, scope)]
        return self.viewer.sees_all or all(
            self.viewer.sees(s, level_of(self.park, s)) for s in below or [scope]
        )

    def owner(self, record: Record) -> str | None:
        """Return the scope that a record names; None where it names none.

        What one has ordered oneself is one's own.
        """
        person = ASKER.get()
        if person is not None and person.name and record.get("by") == person.name:
            return person.scope
        scope = record.get("scope")
        if isinstance(scope, str) and "items" not in record:
            return scope
        # A stream of the model names the tag of its flow.
        tag = record.get("tag", record.get("flow"))
        if "tag" in record or isinstance(tag, str):
            catalogue = self.context.feed.catalogue
            at = catalogue.index.get(str(tag))
            return self.park.id if at is None else catalogue.tags[at].scope
        name = record.get("enterprise") or record.get("member")
        return None if name is None else self.context.scope_of(_last(str(name)))


def require_known(context: Context, scope: str) -> None:
    """Raise Problem 403 for a scope of which he may not know all: an answer would tell too much."""
    park = context.model.park
    if not View(context, context.viewer, park).knows(scope or park.id):
        raise Problem(
            403,
            f"figures of {scope or park.id} are not disclosed to you",
            hint="ask for your own enterprise",
        )


async def disclose(endpoint: Endpoint, question: Record, *, is_order: bool = False) -> Any:
    """Return the answer of a route as far as its reader may know it.

    Raises Problem 403 for one that is no record and not about a tag he may know; that of an order
    tells nothing.
    """
    context: Context | None = question.get("context")
    if context is None or context.viewer.sees_all:
        return await endpoint(**question)
    view = View(context, context.viewer, context.model.park)
    kind = _answer_of(endpoint)
    if not _is_record(kind):
        return await endpoint(**(question if is_order else _narrowed(view, question)))
    answer = await endpoint(**question)
    if isinstance(answer, Response) or "viewer" in answer:
        return answer
    query = question.get("query")
    scope = question.get("path") or (query.scope if query else view.park.id)
    known = view.knows(scope)
    is_sum = not known and scope in view.sums and ("path" in question or query is not None)
    why = await _judge(view, endpoint, question, scope, answer) if is_sum else {}
    return _told(view, kind, answer, known=known, why=why)


def knows(context: Context, scope: str) -> bool:
    """Tell whether the reader may know all figures of a scope."""
    viewer = context.viewer
    return viewer.sees_all or View(context, viewer, context.model.park).knows(scope)


def reach_of(endpoint: Endpoint) -> Literal["levels", "tags", "park"]:
    """Return what bounds the answer of a route for a reader who does not know everything.

    levels: each record by whose it is; tags: those that he may know; park: nothing is for him.
    Raises TypeError for one without a context, which nothing bounds.
    """
    hints = typing.get_type_hints(endpoint)
    if "context" not in hints:
        raise TypeError(f"{endpoint.__name__} tells the same to everybody: it needs a rule")
    if _is_record(_answer_of(endpoint)):
        return "levels"
    return "tags" if "tag" in hints else "park"


def _narrowed(view: View, question: Record) -> Record:
    """Return a question about the tags that he may know, where none is named.

    Raises Problem 403 for one about others, or about no tags.
    """
    tags = question.get("tag") or []
    named = [tags] if isinstance(tags, str) else tags
    if "tag" in question and not named:
        tags = view.context.feed.catalogue.tags
        known = {scope: view.knows(scope) for scope in {tag.scope for tag in tags}}
        named = [tag.address for tag in tags if known[tag.scope]]
        question = question | {"tag": named}
    if not named or not all(view.knows(view.owner({"tag": tag}) or view.park.id) for tag in named):
        raise Problem(
            403,
            "this answer has figures of enterprises that are not disclosed to you",
            hint="ask for tags of your own enterprise, or for figures of a scope",
        )
    return question


async def _judge(
    view: View, endpoint: Endpoint, question: Record, scope: str, answer: Record
) -> dict[int, str]:
    """Return why rows of sums are withheld, by the identity of the row; empty = they are not."""
    rows = [row for value in answer.values() if isinstance(value, list)
            for row in value if isinstance(row, dict) and "undisclosed" in row]  # fmt: skip
    parts: dict[str, dict[tuple[Any, ...], Record]] = {}
    for member in view.enterprises if rows else []:
        if inside(member, scope):
            part = await endpoint(**_about(question, member))
            parts[member] = {
                _key(row): row for value in part.values() if isinstance(value, list)
                for row in value if isinstance(row, dict) and "undisclosed" in row
            }  # fmt: skip
    why: dict[int, str] = {}
    for row in rows:
        same = {m: some[_key(row)] for m, some in parts.items() if _key(row) in some}
        why[id(row)] = _why(view, scope, row, same)
    lost = {row["start"] for row in rows if why[id(row)]}
    for row in rows:
        # The sum of all, less the rows that are told.
        if row.get("product") == TOTAL and row["start"] in lost:
            why[id(row)] = why[id(row)] or LINKED
    return why


def _about(question: Record, scope: str) -> Record:
    """Return a question about another scope."""
    if "path" in question:
        return question | {"path": scope}
    return question | {"query": replace(question["query"], scope=scope)}


def _key(row: Record) -> tuple[Any, ...]:
    """Return what makes rows of several scopes the same one."""
    names = (
        "start",
        "product",
        "component",
        "carrier",
        "medium",
        "pollutant",
        "loop",
        "kind",
        "id",
    )
    return tuple(row.get(name) for name in names)


def _why(view: View, scope: str, row: Record, same: Mapping[str, Record]) -> str:
    """Return why a row of sums is withheld, by the rows of its members."""
    if not same:
        return ABOVE
    concealed = {member: part for member, part in same.items() if not view.knows(member)}
    sizes = [
        {m: float(part.get(name) or 0.0) for m, part in concealed.items()} for name in _amounts(row)
    ]
    present = {m: float(any(each[m] for each in sizes)) for m in concealed}
    visible = (withheld_above(scope, each, view.sums)
            for each in [present, *(each for each in sizes if any(each.values()))])  # fmt: skip
    return next((reason for reason in visible if reason), "")


def _amounts(row: Record) -> list[str]:
    """Return the fields of a row that are figures with a size."""
    return [
        name
        for name, value in row.items()
        if isinstance(value, int | float)
        and not isinstance(value, bool)
        and name not in HARMLESS
        and not any(grade in name for grade in GRADES)
    ]


def _told(
    view: View,
    kind: Any,
    record: Record,
    *,
    known: bool,
    why: Mapping[int, str],
    reason: str = ABOVE,
) -> Record:
    """Return a record with what he may know of it."""
    owner = view.owner(record)
    if owner in view.sums and _has_shares(kind):
        reason = _of_parts(view, owner, record["parts"])
        known, inner = not reason, False
    elif owner is not None or _is_provenance(kind):
        known = inner = owner is None or view.knows(owner)
    elif id(record) in why:
        reason = why[id(record)]
        # What a sum is made of is of its members.
        known, inner = not reason, False
    else:
        inner = known
    hints = fields_of(kind)
    visible: Record = {}
    for name, value in record.items():
        hint = hints.get(name, Any)
        part = _record_in(hint)
        if part is None:
            visible[name] = value if known else _unknown(name, hint, value, reason)
        elif isinstance(value, list):
            visible[name] = [
                _told(view, part, each, known=inner, why=why, reason=reason)
                for each in value
                if inner or _may_stand(view, part, each)
            ]
        elif isinstance(value, dict):
            nullable = type(None) in typing.get_args(_bare(hint))
            keep = inner or not nullable or view.owner(value) is not None or not has_numbers(part)
            visible[name] = (
                _told(view, part, value, known=inner, why=why, reason=reason) if keep else None
            )
        else:
            visible[name] = value
    return visible


@cache
def _has_shares(kind: Any) -> bool:
    """Tell whether a kind of record has the shares of members with it, in `parts`."""
    part = _record_in(fields_of(kind).get("parts", Any))
    return part is not None and "numerator_share" in fields_of(part)


def _of_parts(view: View, scope: str, parts: list[Record]) -> str:
    """Return why a figure is withheld that has the shares of its members with it."""
    sizes: list[dict[str, float]] = [{}, {}]
    for part in parts:
        member = view.owner(part) or scope
        if not view.knows(member):
            for size, name in zip(sizes, ("numerator_share", "denominator_share"), strict=True):
                size[member] = size.get(member, 0.0) + float(part[name] or 0.0)
    if not parts:
        return ABOVE
    visible = (withheld_above(scope, size, view.sums) for size in sizes if any(size.values()))
    return next((reason for reason in visible if reason), "")


def _may_stand(view: View, kind: Any, record: Record) -> bool:
    """Tell whether a record stands in a list of what he may not know, with its figures or without.

    It has to say that they are withheld, or be of somebody and have no figure that has to be there.
    """
    if _is_whole(kind):
        owner = view.owner(record)
        return owner is not None and view.knows(owner)
    if any(name in fields_of(kind) for name in SAYING) or _is_provenance(kind):
        return True
    if view.owner(record) is not None:
        return view.knows(view.owner(record) or "") or not _stays(kind)
    return not has_numbers(kind)


def _stays(kind: Any) -> bool:
    """Tell whether a record has numbers that cannot be null."""
    hints = fields_of(kind)
    return any(_bare(hints[name]) in (int, float) for name in hints.keys() - HARMLESS)


def _unknown(name: str, hint: Any, value: Any, reason: str) -> Any:
    """Return what stands for a value that is not told."""
    bare = _bare(hint)
    options = typing.get_args(bare)
    unknown = value
    if name in STRUCTURE:
        pass
    elif name in SAYING:
        unknown = reason if isinstance(value, str) else True
    elif type(None) in options:
        unknown = None
    elif isinstance(value, list):
        unknown = []
    elif bare in (int, float) and name not in HARMLESS:
        unknown = bare()
    elif typing.get_origin(bare) is Literal:
        unknown = next((word for word in NOT_KNOWN if word in options), value)
    return unknown


@cache
def _answer_of(endpoint: Endpoint) -> Any:
    return typing.get_type_hints(endpoint, include_extras=True).get("return")


@cache
def fields_of(kind: Any) -> dict[str, Any]:
    """Return the types of the fields of a kind of record."""
    base = typing.get_origin(kind) or kind
    hints = typing.get_type_hints(base, include_extras=True)
    names = dict(zip(getattr(base, "__parameters__", ()), typing.get_args(kind), strict=False))
    return {name: _filled(hint, names) for name, hint in hints.items()}


def _filled(hint: Any, names: Mapping[Any, Any]) -> Any:
    """Return a type with its variables replaced: list[Item] of a page."""
    if not names or typing.get_origin(hint) is not list:
        return hint
    (item,) = typing.get_args(hint)
    return list[names.get(item, item)]  # type: ignore[misc]


@cache
def has_numbers(kind: Any) -> bool:
    """Tell whether a kind of record has numbers, or records with numbers."""
    for hint in fields_of(kind).values():
        part = _record_in(hint)
        numbers = {int, float} & set(_leaves(hint))
        if numbers or (part is not None and has_numbers(part)):
            return True
    return False


def _leaves(hint: Any) -> Iterator[Any]:
    bare = _bare(hint)
    if typing.get_origin(bare) is Literal:
        return
    args = typing.get_args(bare)
    if not args:
        yield bare
    for each in args:
        yield from _leaves(each)


def _bare(hint: Any) -> Any:
    """Return a type without its notes."""
    while typing.get_origin(hint) is typing.Annotated:
        hint = typing.get_args(hint)[0]
    return hint


def _record_in(hint: Any) -> Any:
    """Return the kind of record a field is, may be, or is a list of; else None."""
    bare = _bare(hint)
    if _is_record(bare):
        return bare
    if typing.get_origin(bare) in (list, Union, types.UnionType):
        return next((part for each in typing.get_args(bare) if (part := _record_in(each))), None)
    return None


def _is_record(kind: Any) -> bool:
    return is_typeddict(typing.get_origin(kind) or kind)


def _is_provenance(kind: Any) -> bool:
    """Tell whether a record is a reference, which everybody may know."""
    return Provenance in _bases(kind)


def _is_whole(kind: Any) -> bool:
    """Tell whether a record is nothing without its texts and figures."""
    return Whole in _bases(kind)


def _bases(kind: Any) -> tuple[Any, ...]:
    return cast("tuple[Any, ...]", getattr(kind, "__orig_bases__", ()))


def _last(scope: str) -> str:
    return scope.rpartition("/")[2]
