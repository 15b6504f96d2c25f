"""Rows of the park model for what an unknown gateway sends: guessed by names, units and sizes.

Pure: a contact and a model go in, a proposal comes out, and the texts of the files with its rows at
their ends. Nothing that stands in a file is changed, so that its comments and its order stay.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from twin.errors import ModelError, ParkError, UomError
from twin.loading import RESERVED, TAG_COLUMNS, TAG_NAME, parse_park
from twin.model.gateways import GatewaySpec
from twin.model.layouts import PRESETS
from twin.model.park import KINDS, Scope, owner_of, park_of
from twin.model.rows import PATH
from twin.reference import load as load_reference
from twin.uom import QUANTITIES, compile_uom

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from twin.model.park import Park

# What a name is taken for that says nothing, so that its values can be seen at all.
UNKNOWN = {"quantity": "count", "uom": "", "kind": "gauge"}
# Of the quantities that one unit of measure may have, the usual one.
USUAL = ("fraction", "concentration", "level", "pressure", "volume_flow", "volume")
LETTERS = re.compile(r"([A-Z]{1,4})[-_ ]?\d")
WORDS = re.compile(r"[a-z]+|[\u4e00-\u9fff]+")
HUMP = re.compile(r"(?<=[a-z\d])(?=[A-Z])")
NOT_IN_TAG = re.compile(r"[\s/,\"']+")
COMMENT = "#"  # begins a line of tags.csv that is none
# Of the 128 that a tag may have, so that a number still fits.
NAME_CHARACTERS = 100
NOT_IN_PATH = re.compile(r"[^a-z0-9-]+")


class HeardName(NamedTuple):
    """A name on the wire, its last value, and how the values lay that were heard."""

    name: str
    value: float | None
    low: float | None
    high: float | None
    times: int
    uom: str = ""  # as it was sent


@dataclass(frozen=True, slots=True)
class Contact:
    """A sender that the model does not know; `address` is its topic, or that of its node.

    An address may end in ``{tag}``: each topic below it is a name. `presets` are layouts that read
    its JSON, the best first.
    """

    id: int
    address: str
    protocol: str  # of a gateway; empty: nothing of ours reads it
    names: Sequence[HeardName]
    presets: Sequence[str] = ()
    mn: str = ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a person has decided; what is empty is guessed. `tags` has cells by name on the wire."""

    scope: str = ""
    gateway: str = ""
    preset: str = ""
    zh: str = ""
    en: str = ""
    only: Sequence[str] = ()
    tags: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Proposal:
    """Rows that make a contact part of the model."""

    owner: str  # of the tags
    scopes: tuple[Scope, ...]
    gateway: Mapping[str, Any]
    tags: Mapping[str, Mapping[str, str]]  # cells of tags.csv by name on the wire
    known: tuple[str, ...]  # names on the wire of tags that the model has
    doubtful: tuple[str, ...]  # names on the wire that say nothing of what they measure


def propose(contact: Contact, park: Park, wanted: Wanted) -> Proposal:
    """Return the rows for a contact; raises ParkError when something must be decided first."""
    if not contact.protocol:
        raise ParkError(
            f"nothing reads what comes under {contact.address}",
            hint="describe its layout in a [[gateway]] of park.toml",
        )
    scope, scopes = _scopes(contact, park, wanted)
    kinds = {each.id: each.kind for each in (*park.scopes, *scopes)}
    owner = owner_of(scope, kinds)
    taken = {tag.tag for tag in park.tags if tag.owner == owner}
    unknown = {*wanted.only, *wanted.tags} - {heard.name for heard in contact.names}
    if unknown:
        raise ParkError(f"it has sent no {', '.join(sorted(unknown))}", hint="`show` lists names")
    tags, renamed, known, doubtful = dict[str, Any](), dict[str, str](), list[str](), list[str]()
    for heard in contact.names:
        if wanted.only and heard.name not in wanted.only:
            continue
        cells = guess_cells(heard)
        if cells is None:
            doubtful.append(heard.name)
        more = {key: text for key, text in wanted.tags.get(heard.name, {}).items() if text}
        name = _tag_name(heard.name, {row["tag"] for row in tags.values()})
        cells = {"tag": name, "scope": scope, **(cells or UNKNOWN), **more}
        if cells["tag"] in taken:
            known.append(heard.name)
        else:
            tags[heard.name] = {column: cells.get(column, "") for column in TAG_COLUMNS}
        if cells["tag"] != heard.name:
            renamed[heard.name] = cells["tag"]
    gateway = _gateway(contact, park, wanted, scope, renamed)
    return Proposal(owner, tuple(scopes), gateway, tags, tuple(known), tuple(doubtful))


def guess_cells(heard: HeardName) -> dict[str, str] | None:
    """Return what a name and its unit say: quantity, uom, kind, description; None for nothing."""
    rows = load_reference("tag_names")
    text = HUMP.sub("_", heard.name)
    ends = rows["unit_at_the_end"]["unit"]
    sent = heard.uom and rows["unit_as_sent"]["unit"].get(heard.uom, heard.uom)
    uom = sent or next((ends[e] for e in _ends(heard.name.lower()) if e in ends), "")
    row = _row_of(text)
    quantity = _quantity(uom, row["quantity"] if row else "") if uom else ""
    if not quantity and row is None:
        return None
    if quantity and (row is None or row["quantity"] != quantity):
        row = {"quantity": quantity, "kind": "counter" if quantity.endswith("energy") else "gauge"}
    assert row is not None
    size = max(abs(heard.low or 0.0), abs(heard.high or 0.0))
    if not quantity:
        uom = next(unit for limit, unit in row["steps"] if size <= limit)
    seen = "" if heard.low is None else f"seen {heard.low:.6g} to {heard.high:.6g} {uom}".strip()
    return {"quantity": row["quantity"], "uom": uom, "kind": row["kind"], "description": seen}


def _row_of(text: str) -> dict[str, Any] | None:
    """Return the row of the reference table that a name fits; None for none."""
    letters = LETTERS.match(text.rpartition("/")[2])
    words = set(WORDS.findall(text.lower()))
    rows = [row for row in load_reference("tag_names").values() if "words" in row]
    for row in rows:
        chinese = any(word in text for word in row["words"] if not word.isascii())
        if chinese or words & set(row["words"]):
            return dict(row)
    if letters:
        return next((dict(r) for r in rows if re.fullmatch(r["letters"], letters[1])), None)
    return None


def _ends(text: str) -> list[str]:
    """Return the last part of a name, and the last two as one."""
    parts = [part for part in re.split(r"[_\-.\s()\[\]/]+", text) if part]
    return ["_".join(parts[-2:]), parts[-1]] if len(parts) > 1 else []


def _quantity(uom: str, stated: str) -> str:
    """Return the quantity of a unit of measure: the stated one if it fits; empty for none."""
    for quantity in (*([stated] if stated else []), *USUAL, *QUANTITIES):
        try:
            compile_uom(uom, quantity)
        except UomError:
            continue
        return quantity
    return ""


def _tag_name(wire: str, taken: Collection[str]) -> str:
    """Return the name that a tag may have for a name on the wire, none of those taken."""
    name = NOT_IN_TAG.sub("_", wire.strip(" /")).strip("_")[-NAME_CHARACTERS:]
    odd = name.startswith(COMMENT) or RESERVED.match(name) or not TAG_NAME.match(name)
    name = f"x.{name}" if odd else name
    numbered = (f"{name}.{number}" for number in range(2, len(taken) + 3))
    return name if name not in taken else next(each for each in numbered if each not in taken)


def _scopes(contact: Contact, park: Park, wanted: Wanted) -> tuple[str, list[Scope]]:
    """Return the scope of a contact, and the scopes that the model lacks for it."""
    kinds = {scope.id: scope.kind for scope in park.scopes}
    own = _scope_of_topic(contact, park)
    scope = wanted.scope or own or _only_enterprise(contact, park)
    if not PATH.match(scope):
        raise ParkError(f"{scope!r} is no scope: segments [a-z0-9-]+ joined by /")
    if scope.partition("/")[0] != park.id:
        raise ParkError(f"scope {scope} is not below {park.id}")
    if own and owner_of(own, kinds) != owner_of(scope, kinds) and own not in _above(scope):
        raise ParkError(f"its topic says {own}, so that scope {scope} cannot be its own")
    scopes: list[Scope] = []
    for path in _above(scope):
        if path not in kinds:
            parent = kinds[path.rpartition("/")[0]]
            kinds[path] = KINDS[min(KINDS.index(parent) + 1, len(KINDS) - 1)]
            last = path.rpartition("/")[2]
            scopes.append(Scope(path, kinds[path], {"zh": last, "en": last}))
    if scopes and (wanted.zh or wanted.en):
        zh, en = wanted.zh or wanted.en, wanted.en or wanted.zh
        scopes[-1] = replace(scopes[-1], name={"zh": zh, "en": en})
    return scope, scopes


def _above(scope: str) -> list[str]:
    """Return a scope and those above it, the root first."""
    parts = scope.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]


def _scope_of_topic(contact: Contact, park: Park) -> str:
    """Return the enterprise that a topic ``{format}/v1/{park}/{enterprise}/{gateway}`` names."""
    parts = contact.address.split("/")
    if contact.protocol not in ("native", "senml", "hj212") or len(parts) != 5 or parts[2] == "-":
        return ""
    kinds = {scope.id: scope.kind for scope in park.scopes}
    for scope in park.scopes:
        if park_of(scope.id, kinds) == parts[2] and owner_of(scope.id, kinds) == parts[3]:
            return scope.id
    above = [s.id for s in park.scopes if s.id.rpartition("/")[2] == parts[2]]
    if not above:
        raise ParkError(
            f"the model has no park {parts[2]!r}", hint=f"publish to {parts[0]}/v1/{park.id}/…"
        )
    return f"{above[0]}/{parts[3]}"


def _only_enterprise(contact: Contact, park: Park) -> str:
    """Return the enterprise of a model that has one, or a first one named by the topic."""
    enterprises = [scope.id for scope in park.scopes if scope.kind == "enterprise"]
    if len(enterprises) == 1:
        return enterprises[0]
    if enterprises:
        raise ParkError("whose is it?", hint=f"name a scope, like {', '.join(enterprises[:5])}")
    last = contact.address.split("/")[contact.protocol == "sparkplug"]
    return f"{park.id}/{_segment(last) or 'plant'}"


def _segment(text: str) -> str:
    """Return a text as a segment of a path."""
    return NOT_IN_PATH.sub("-", text.lower()).strip("-")


def _gateway(
    contact: Contact, park: Park, wanted: Wanted, scope: str, renamed: Mapping[str, str]
) -> dict[str, Any]:
    """Return the cells of the ``[[gateway]]`` of a contact."""
    parts = contact.address.split("/")
    row: dict[str, Any] = {"id": wanted.gateway, "scope": scope, "protocol": contact.protocol}
    by_topic = contact.protocol in ("native", "senml", "hj212") and parts[2] != "-"
    if by_topic:
        row["id"] = parts[4]
    elif contact.protocol == "sparkplug":
        row |= {"group": parts[1], "node": parts[2]}
    elif contact.protocol == "json":
        row |= {"topic": contact.address, "payload": _payload(contact, park, wanted)}
    if contact.protocol == "hj212":
        row["mn"] = contact.mn
    if not row["id"]:
        heard = contact.mn or "-".join(part for part in parts if part not in ("{tag}", "+"))
        row["id"] = _segment(heard) or f"contact-{contact.id}"
        ids = {gateway.id for gateway in park.rows(GatewaySpec)}
        row["id"] += f"-{contact.id}" if row["id"] in ids else ""
    return row | ({"tags": dict(renamed)} if renamed else {})


def _payload(contact: Contact, park: Park, wanted: Wanted) -> str | dict[str, str]:
    """Return the layout of a contact: a preset, with the zone of the park where it needs one."""
    preset = wanted.preset or contact.presets[0]
    form = PRESETS.get(preset, {}).get("time_format", "")
    needs_zone = form in ("iso", "any") or ("%" in form and "%z" not in form)
    return {"preset": preset, "timezone": park.timezone} if needs_zone else preset


def rows_of(proposal: Proposal) -> dict[str, str]:
    """Return the lines to append to each file."""
    blocks = [{"id": scope.id, "kind": scope.kind, "name": scope.name} for scope in proposal.scopes]
    text = "".join(f"\n[[scope]]\n{_cells(block)}" for block in blocks)
    if proposal.gateway:
        text += f"\n[[gateway]]\n{_cells(proposal.gateway)}"
    return {"park.toml": text, "tags.csv": "".join(map(line_of, proposal.tags.values()))}


def line_of(cells: Mapping[str, str]) -> str:
    """Return the line of a tag in tags.csv."""
    return ",".join(_csv(cells.get(name, "")) for name in TAG_COLUMNS) + "\n"


def extended(park: Park, rows: Mapping[str, str]) -> Park:
    """Return a model with rows at the ends of its files; raises ParkError for a wrong one."""
    texts = dict(park.files)
    for name, lines in rows.items():
        if any(line.startswith(COMMENT) for line in lines.splitlines()):
            raise ParkError(f"no name begins with {COMMENT}: in {name} that is a comment")
        if lines:
            texts[name] += ("" if texts[name].endswith("\n") else "\n") + lines
    try:
        return parse_park(texts)
    except ModelError as error:
        raise ParkError(
            f"the model would be wrong with it: {'; '.join(error.problems)}",
            problems=error.problems,
        ) from error


def _cells(row: Mapping[str, Any]) -> str:
    return "".join(f"{key} = {_toml(value)}\n" for key, value in row.items())


def _toml(value: Any) -> str:
    """Return a text or a table of texts as TOML."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_toml(k)} = {_toml(v)}" for k, v in value.items()) + "}"
    text = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return '"' + re.sub(r"[\x00-\x1f\x7f]", lambda m: f"\\u{ord(m[0]):04x}", text) + '"'


def _csv(text: str) -> str:
    """Return a cell as it stands in tags.csv, on one line."""
    text = " ".join(text.split())
    return '"' + text.replace('"', '""') + '"' if "," in text or '"' in text else text
