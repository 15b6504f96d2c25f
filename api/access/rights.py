"""Roles, what each of them may do, and the right that a request needs."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from twin.disclosure import Viewer
from twin.model.park import inside, scopes_above

if TYPE_CHECKING:
    from twin.model.park import Park

Role = Literal["viewer", "operator", "engineer", "administrator", "auditor"]
# Looking; giving the orders of a shift; changing what values and the model are; accounts; the
# record of what was done.
Right = Literal["read", "operate", "engineer", "administrate", "audit"]
# Of an account's second factor; wanted: until it has one, it may do nothing else than get one.
Factor = Literal["off", "on", "wanted"]
ROLES: tuple[Role, ...] = get_args(Role)
RIGHTS: dict[Role, frozenset[Right]] = {
    "viewer": frozenset({"read"}),
    "operator": frozenset({"read", "operate"}),
    "engineer": frozenset({"read", "operate", "engineer"}),
    "administrator": frozenset({"read", "operate", "engineer", "administrate"}),
    "auditor": frozenset({"read", "audit"}),
}
# Without an account: whether the programs live, and the way in.
PUBLIC = frozenset({
    "GET /livez", "GET /readyz", "GET /api/v1/me", "POST /api/v1/login", "POST /api/v1/logout",
    "POST /api/v1/password", "GET /api/v1/oidc/begin", "GET /api/v1/oidc/callback",
    # Of whoever has come in, also of one who may do nothing else before.
    "POST /api/v1/second-factor", "POST /api/v1/second-factor/confirm",
    "POST /api/v1/second-factor/end",
})  # fmt: skip
# What an order is about; the account's scope has to have all of it. Of `named` the route says which
# scopes they are: those of a tag, an alarm, a report. A question gives no order: what it tells is
# told as far as levels allow.
About = Literal["park", "path", "named", "accounts", "own", "question"]


@dataclass(frozen=True, slots=True)
class RequestRule:
    """What a request needs, and what it is about."""

    right: Right
    about: About


_ADMINISTRATE = RequestRule("administrate", "accounts")
_AUDIT, _OWN, _QUESTION = (
    RequestRule("audit", "park"),
    RequestRule("read", "own"),
    RequestRule("read", "question"),
)
_OPERATE, _ENGINEER = RequestRule("operate", "named"), RequestRule("engineer", "named")
_OF_PARK = RequestRule("engineer", "park")
# What else than looking a request needs; one that gives an order has to stand here.
RULES: dict[str, RequestRule] = {
    "GET /api/v1/accounts": _ADMINISTRATE,
    "POST /api/v1/accounts": _ADMINISTRATE,
    "POST /api/v1/accounts/{name}": _ADMINISTRATE,
    "POST /api/v1/accounts/{name}/invite": _ADMINISTRATE,
    "POST /api/v1/accounts/{name}/reset-factor": _ADMINISTRATE,
    "GET /api/v1/audit": _AUDIT,
    "GET /api/v1/audit/verification": _AUDIT,
    "GET /api/v1/tokens": _OWN,
    "POST /api/v1/tokens": _OWN,
    "DELETE /api/v1/tokens/{token}": _OWN,
    "POST /api/v1/scenarios": _QUESTION,
    "POST /api/v1/explain": _QUESTION,
    "POST /api/v1/gateways/try": _QUESTION,
    "POST /api/v1/alarms/{alarm:path}/ack": _OPERATE,
    "POST /api/v1/alarms/{alarm:path}/shelve": _OPERATE,
    "POST /api/v1/alarms/{alarm:path}/unshelve": _OPERATE,
    "POST /api/v1/simulation": RequestRule("operate", "park"),
    "POST /api/v1/book": _OPERATE,
    "POST /api/v1/book/csv": _OPERATE,
    "POST /api/v1/book/{value}/correct": _OPERATE,
    "POST /api/v1/book/confirm": _ENGINEER,
    "POST /api/v1/reports/{kind}/{path:path}": RequestRule("operate", "path"),
    # Kept reports were made for who may know the whole park.
    "POST /api/v1/reports/{report:int}/notes": RequestRule("operate", "park"),
    "POST /api/v1/registers/replace": _ENGINEER,
    "POST /api/v1/registers/falls/{fall}/dismiss": _ENGINEER,
    "POST /api/v1/unit-errors/{error}/dismiss": _ENGINEER,
    "POST /api/v1/unit-errors/{error}/rescale": _ENGINEER,
    "POST /api/v1/quarantine/{enterprise}/{tag:path}/adopt": _ENGINEER,
    "POST /api/v1/quarantine/{enterprise}/{tag:path}/release": _ENGINEER,
    "DELETE /api/v1/quarantine/{enterprise}/{tag:path}": _ENGINEER,
    "POST /api/v1/rejects/replay": _OF_PARK,
    "DELETE /api/v1/rejects": _OF_PARK,
    # Whose a sender is nobody knows before it is adopted.
    "POST /api/v1/contacts/{contact}/propose": _OF_PARK,
    "POST /api/v1/contacts/{contact}/adopt": _OF_PARK,
    "DELETE /api/v1/contacts/{contact}": _OF_PARK,
    "POST /api/v1/scopes/{path:path}/baselines/{baseline}/fit": RequestRule("engineer", "path"),
    "POST /api/v1/scopes/{path:path}/baselines/{baseline}/adjust": RequestRule("engineer", "path"),
}
_LOOKING = RequestRule("read", "question")


@dataclass(frozen=True, slots=True)
class Person:
    """Who asks: an account, or a role without one in the demonstration."""

    name: str  # "" = without an account
    role: Role | None  # None = nobody has come in
    scope: str = ""  # what the account is for; "" = the whole park
    credential: int = 0
    factor: Factor = "off"
    provider: str = ""  # by which the session began; "" = by a password of ours

    def may(self, right: Right) -> bool:
        """Tell whether the role has a right."""
        return right in self.rights

    @property
    def rights(self) -> frozenset[Right]:
        """What the account may do now."""
        return RIGHTS[self.role] if self.role and self.factor != "wanted" else frozenset()

    def commands(self, scope: str) -> bool:
        """Tell whether orders about a scope are the account's to give."""
        return not self.scope or inside(scope, self.scope)

    def viewer(self, park: Park) -> Viewer:
        """Return what the account may know: all of its own, and of others what members may."""
        if not self.scope or self.scope == park.id:
            return Viewer("enterprise")
        # An enterprise knows all of its own; who operates a park what its enterprises tell it.
        kinds = {each.id: each.kind for each in park.scopes}
        own = (self.scope,)
        if any(kinds.get(path) == "enterprise" for path in scopes_above(self.scope)):
            return Viewer("park", own)
        return Viewer("park", operated=own)


# Who asks, in all that is done to answer; None = without accounts, or a program of our own.
ASKER: ContextVar[Person | None] = ContextVar("ASKER", default=None)


def rule_of(method: str, path: str) -> RequestRule | None:
    """Return what a request for a route needs; None = nothing at all.

    Raises KeyError for an order that has no rule.
    """
    name = f"{'GET' if method == 'HEAD' else method} {path}"
    if name in PUBLIC:
        return None
    return RULES.get(name, _LOOKING) if name.startswith("GET ") else RULES[name]
