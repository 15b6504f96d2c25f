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
# What else than looking a request needs; one that gives an order has to stand here.
NEEDED: dict[str, Right] = {
    "GET /api/v1/accounts": "administrate",
    "POST /api/v1/accounts": "administrate",
    "POST /api/v1/accounts/{name}": "administrate",
    "POST /api/v1/accounts/{name}/invite": "administrate",
    "POST /api/v1/accounts/{name}/reset-factor": "administrate",
    "GET /api/v1/audit": "audit",
    "GET /api/v1/audit/verification": "audit",
    "GET /api/v1/tokens": "read",
    "POST /api/v1/tokens": "read",
    "DELETE /api/v1/tokens/{token}": "read",
    # These only calculate.
    "POST /api/v1/scenarios": "read",
    "POST /api/v1/explain": "read",
    "POST /api/v1/gateways/try": "read",
    "POST /api/v1/contacts/{contact}/propose": "engineer",
    "POST /api/v1/alarms/{alarm:path}/ack": "operate",
    "POST /api/v1/alarms/{alarm:path}/shelve": "operate",
    "POST /api/v1/alarms/{alarm:path}/unshelve": "operate",
    "POST /api/v1/simulation": "operate",
    "POST /api/v1/book": "operate",
    "POST /api/v1/book/csv": "operate",
    "POST /api/v1/book/{value}/correct": "operate",
    "POST /api/v1/book/confirm": "engineer",
    "POST /api/v1/reports/{kind}/{path:path}": "operate",
    "POST /api/v1/reports/{report:int}/notes": "operate",
    "POST /api/v1/registers/replace": "engineer",
    "POST /api/v1/registers/falls/{fall}/dismiss": "engineer",
    "POST /api/v1/unit-errors/{error}/dismiss": "engineer",
    "POST /api/v1/unit-errors/{error}/rescale": "engineer",
    "POST /api/v1/quarantine/{enterprise}/{tag:path}/adopt": "engineer",
    "POST /api/v1/quarantine/{enterprise}/{tag:path}/release": "engineer",
    "DELETE /api/v1/quarantine/{enterprise}/{tag:path}": "engineer",
    "POST /api/v1/rejects/replay": "engineer",
    "DELETE /api/v1/rejects": "engineer",
    "POST /api/v1/contacts/{contact}/adopt": "engineer",
    "DELETE /api/v1/contacts/{contact}": "engineer",
    "POST /api/v1/scopes/{path:path}/baselines/{baseline}/fit": "engineer",
    "POST /api/v1/scopes/{path:path}/baselines/{baseline}/adjust": "engineer",
}


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


def needed(method: str, path: str) -> Right | None:
    """Return the right that a route needs; None = none at all.

    Raises KeyError for an order that has no rule.
    """
    rule = f"{'GET' if method == 'HEAD' else method} {path}"
    if rule in PUBLIC:
        return None
    return NEEDED.get(rule, "read") if rule.startswith("GET ") else NEEDED[rule]
