"""Accounts as files of three brokers, in the form that each documents."""

import base64
import csv
import hashlib
import io
import re
from xml.etree import ElementTree as ET

import pytest

from deploy.access_lists import (
    PROGRAMS,
    BrokerAccount,
    dumped,
    emqx_files,
    hashed,
    hivemq_files,
    loaded,
    mosquitto_files,
    new_password,
    new_username,
)
from twin.errors import ParkError
from twin.model.gateway_rights import TopicRights

WORDS = "correct horse battery"
EDGE = BrokerAccount(
    "xinfa.edge-3.0123",
    hashed(WORDS),
    TopicRights(("spBv1.0/G/NDATA/Edge 3",), ("spBv1.0/G/NCMD/Edge 3",)),
)
WIDE = BrokerAccount("luxi.plc.4567", hashed(WORDS), TopicRights(("site/#",), (), ("site/a/+",)))


def parsed(files):
    return ET.fromstring(files["credentials.xml"])  # noqa: S314 - our own text


def key_of(salt, rounds=101):
    return hashlib.pbkdf2_hmac("sha512", WORDS.encode(), salt, rounds)


def test_names_and_passwords_are_new_each_time_and_need_no_quotes():
    names = {new_username("xinfa", "网关 3/4") for _ in range(50)}
    assert len(names) == len({new_password() for _ in range(50)}) == 50
    assert all(re.fullmatch(r"xinfa\.3-4\.[0-9a-f]{16}", name) for name in names)
    assert re.fullmatch(r"[\w-]{32}", new_password())
    assert new_username("xinfa", "网关").startswith("xinfa.gateway.")


def test_mosquitto_gets_passwords_and_rights_of_each_account():
    files = mosquitto_files([EDGE, WIDE, BrokerAccount("none", "", TopicRights())])
    name, _, secret = files["passwords"].splitlines()[0].partition(":")
    _, kind, rounds, salt, key = secret.split("$")
    assert (name, kind, rounds) == (EDGE.username, "7", "101")
    assert len(base64.b64decode(salt)) == 12
    assert base64.b64decode(key) == key_of(base64.b64decode(salt))
    assert files["passwords"].count("\n") == 2
    assert files["rights"] == (
        "user xinfa.edge-3.0123\n"
        "topic write spBv1.0/G/NDATA/Edge 3\n"
        "topic read spBv1.0/G/NCMD/Edge 3\n"
        "user luxi.plc.4567\n"
        "topic deny site/a/+\n"
        "topic write site/#\n"
        "user none\n"
    )


RULE = re.compile(
    r"\{(allow|deny), \{username, \"([^\"]+)\"\}, (publish|subscribe), \[(\"[^\"]+\"(, )?)+\]\}\."
)


def test_emqx_gets_rules_in_their_order_and_users_to_import():
    files = emqx_files([EDGE, WIDE])
    rules = [line for line in files["acl.conf"].splitlines() if not line.startswith("%%")]
    assert all(RULE.fullmatch(rule) for rule in rules[:-1])
    assert rules[0] == (
        '{allow, {username, "xinfa.edge-3.0123"}, publish, ["spBv1.0/G/NDATA/Edge 3"]}.'
    )
    assert [rule.split(",")[0] for rule in rules[2:]] == ["{deny", "{allow", "{deny"]
    assert rules[-1] == "{deny, all}."
    (first, _) = csv.DictReader(io.StringIO(files["users.csv"]))
    assert first["user_id"] == EDGE.username
    assert first["is_superuser"] == "false"
    # EMQX takes the salt as it stands there.
    assert bytes.fromhex(first["password_hash"]) == key_of(first["salt"].encode())


def test_hivemq_gets_a_user_and_a_role_for_each_account():
    tree = parsed(hivemq_files([EDGE]))
    assert tree.tag == "file-rbac"
    user, role = tree.find("users/user"), tree.find("roles/role")
    assert user.findtext("name") == user.findtext("roles/id") == role.findtext("id")
    salt, rounds, key = user.findtext("password").split(":")
    assert base64.b64decode(key) == key_of(base64.b64decode(salt), int(rounds))
    permissions = [{cell.tag: cell.text for cell in each} for each in role.find("permissions")]
    assert permissions == [
        {"topic": "spBv1.0/G/NDATA/Edge 3", "activity": "PUBLISH"},
        {"topic": "spBv1.0/G/NCMD/Edge 3", "activity": "SUBSCRIBE",
         "shared-subscription": "NOT_SHARED"},
    ]  # fmt: skip


def test_hivemq_cannot_say_what_is_denied_and_is_not_given_more():
    with pytest.raises(ParkError, match=r"luxi\.plc\.4567 .* HiveMQ's list cannot say"):
        hivemq_files([EDGE, WIDE])


def test_signs_of_a_form_in_a_topic_stay_signs_of_the_topic():
    odd = BrokerAccount("a.b.c", hashed(WORDS), TopicRights(('x"], all}.\\', "<a>&")))
    rules = emqx_files([odd])["acl.conf"].splitlines()
    assert rules[-2] == '{allow, {username, "a.b.c"}, publish, ["x\\"], all}.\\\\", "<a>&"]}.'
    permissions = parsed(hivemq_files([odd])).iter("topic")
    assert [each.text for each in permissions] == ['x"], all}.\\', "<a>&"]


def test_accounts_are_the_same_after_a_file():
    accounts = [EDGE, WIDE, *(BrokerAccount(n, "", r) for n, r in PROGRAMS.items())]
    assert loaded(dumped(accounts)) == accounts
