"""Accounts of a broker as the files that brokers read: passwords, and who may do what.

All three hash passwords alike: PBKDF2 with HMAC-SHA-512, 64 bytes. The passwords that gateways get
are 192 random bits, which no number of rounds makes harder to guess; so there are as few as
Mosquitto's own, which works them out between two messages.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import secrets
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from twin.errors import ParkError
from twin.model.gateway_rights import TopicRights

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROUNDS = 101
# Mosquitto wants 12 bytes, EMQX a text: these are both.
SALT_BYTES = 9
NAME_CHARACTERS = 40
REFUSALS = "refusals.json"  # beside the file of accounts
# What our programs may do at a broker, by the accounts they have there.
INGEST = TopicRights(
    publish=("twin/v1/#", "spBv1.0/+/NCMD/+", "spBv1.0/STATE/+"), read=("#", "$SYS/broker/#")
)
SIMULATORS = TopicRights(
    publish=("park/v1/#", "senml/v1/#", "hj212/v1/#", "spBv1.0/#"),
    read=("spBv1.0/+/NCMD/+", "$SYS/broker/store/messages/bytes"),
)
PROGRAMS = {"parktwin-ingest": INGEST, "parktwin-simulators": SIMULATORS}


@dataclass(frozen=True, slots=True)
class BrokerAccount:
    """Who may come in at a broker, and for what."""

    username: str
    password: str  # hashed, as Mosquitto writes it: $7$rounds$salt$key; empty: none is known
    rights: TopicRights


@dataclass(frozen=True, slots=True)
class Refusal:
    """Messages that the broker has refused of somebody: to topics that are not his own."""

    username: str  # empty: of several
    messages: int  # since the broker was first started
    topic: str  # of the newest
    time_s: float  # of the newest


def new_username(enterprise: str, gateway: str) -> str:
    """Return a name that nobody guesses: the broker takes it for the client id as well.

    Who knew the id of another client could end its connection by coming in with it.
    """
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", gateway)[:NAME_CHARACTERS].strip("-") or "gateway"
    return f"{enterprise}.{plain}.{secrets.token_hex(8)}"


def new_password() -> str:
    """Return a password that needs no quotes anywhere."""
    return secrets.token_urlsafe(24)


def hashed(password: str) -> str:
    """Return a password as Mosquitto writes it: $7$rounds$salt$key."""
    salt = secrets.token_urlsafe(SALT_BYTES).encode()
    key = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, ROUNDS)
    return f"$7${ROUNDS}${_base64(salt)}${_base64(key)}"


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _parts(password: str) -> tuple[int, bytes, bytes]:
    """Return rounds, salt and key of a hashed password."""
    _, _, rounds, salt, key = password.split("$")
    return int(rounds), base64.b64decode(salt), base64.b64decode(key)


def mosquitto_files(accounts: Sequence[BrokerAccount]) -> dict[str, str]:
    """Return Mosquitto's ``password_file`` and ``acl_file``; it looks at denials first."""
    rules: list[str] = []
    for account in accounts:
        rules.append(f"user {account.username}")
        for word, filters in _mosquitto_words(account.rights):
            rules += [f"topic {word} {each}" for each in filters]
    passwords = [f"{each.username}:{each.password}" for each in accounts if each.password]
    return {"passwords": _text(passwords), "rights": _text(rules)}


def _mosquitto_words(rights: TopicRights) -> Iterator[tuple[str, tuple[str, ...]]]:
    yield "deny", rights.deny
    yield "write", rights.publish
    yield "read", rights.read


def emqx_files(accounts: Sequence[BrokerAccount]) -> dict[str, str]:
    """Return EMQX's ``acl.conf``, whose first rule that fits counts, and users to import."""
    rules = [
        "%% -*- coding: utf-8 -*-",
        "%% Besides: mqtt.use_username_as_clientid = true, authorization.no_match = deny.",
        f"%% Passwords: pbkdf2, mac_fun = sha512, iterations = {ROUNDS}, dk_length = 64.",
    ]
    users = ["user_id,password_hash,salt,is_superuser"]
    for account in accounts:
        who = f"{{username, {_quoted(account.username)}}}"
        for permission, action, filters in (
            ("deny", "publish", account.rights.deny),
            ("allow", "publish", account.rights.publish),
            ("allow", "subscribe", account.rights.read),
        ):
            if filters:
                topics = ", ".join(map(_quoted, filters))
                rules.append(f"{{{permission}, {who}, {action}, [{topics}]}}.")
        if account.password:
            _, salt, key = _parts(account.password)
            users.append(f"{account.username},{key.hex()},{salt.decode()},false")
    return {"acl.conf": _text([*rules, "{deny, all}."]), "users.csv": _text(users)}


def _quoted(text: str) -> str:
    """Return a text as Erlang writes it."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def hivemq_files(accounts: Sequence[BrokerAccount]) -> dict[str, str]:
    """Return ``credentials.xml`` of HiveMQ's file RBAC extension; raises ParkError.

    It has no denials: where a topic covers that of another gateway, it would allow both.
    """
    users, roles = list[str](), list[str]()
    for account in accounts:
        if account.rights.deny:
            raise ParkError(
                f"{account.username} may publish a topic with wildcards that is partly another's,"
                " which HiveMQ's list cannot say",
                hint="give its [[gateway]] a narrower topic, or use another broker",
            )
        name = escape(account.username)
        permissions = [*_permissions("PUBLISH", account.rights.publish),
                       *_permissions("SUBSCRIBE", account.rights.read)]  # fmt: skip
        if not permissions:
            continue
        roles += ["<role>", f"<id>{name}</id>", "<permissions>", *permissions,
                  "</permissions>", "</role>"]  # fmt: skip
        if account.password:
            rounds, salt, key = _parts(account.password)
            secret = f"{_base64(salt)}:{rounds}:{_base64(key)}"
            users += ["<user>", f"<name>{name}</name>", f"<password>{secret}</password>",
                      f"<roles><id>{name}</id></roles>", "</user>"]  # fmt: skip
    head = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
    lines = [head, "<file-rbac>", "<users>", *users, "</users>", "<roles>", *roles, "</roles>",
             "</file-rbac>"]  # fmt: skip
    return {"credentials.xml": _text(lines)}


def _permissions(activity: str, filters: Sequence[str]) -> Iterator[str]:
    cells = f"<activity>{activity}</activity>"
    if activity == "SUBSCRIBE":
        cells += "<shared-subscription>NOT_SHARED</shared-subscription>"
    for each in filters:
        yield f"<permission><topic>{escape(each)}</topic>{cells}</permission>"


def dumped(accounts: Sequence[BrokerAccount]) -> str:
    """Return accounts as JSON."""
    return json.dumps([asdict(each) for each in accounts], ensure_ascii=False)


def loaded(text: str) -> list[BrokerAccount]:
    """Return the accounts in a JSON document of `dumped`."""
    return [
        BrokerAccount(
            row["username"],
            row["password"],
            TopicRights(**{name: tuple(filters) for name, filters in row["rights"].items()}),
        )
        for row in json.loads(text)
    ]


def dumped_refusals(refusals: Sequence[Refusal]) -> str:
    """Return refusals as JSON."""
    return json.dumps([asdict(each) for each in refusals], ensure_ascii=False)


def loaded_refusals(text: str) -> list[Refusal]:
    """Return the refusals in a JSON document of `dumped_refusals`."""
    return [Refusal(**row) for row in json.loads(text)]


def _text(lines: Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


# The files of each broker whose lists we can write.
FILES = {"mosquitto": mosquitto_files, "emqx": emqx_files, "hivemq": hivemq_files}
