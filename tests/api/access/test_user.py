"""`parktwin user`: what an administrator without a browser gets, and what is refused."""

import re

import pytest

from api.access.__main__ import main
from deploy.access import ACCESS, READER
from tests.support.attack import role_url

pytest_plugins = ["tests.support.small_park"]

LINK = r"http://twin\.plant/login\?invitation=(\S+)"


@pytest.fixture
def user(services, database, ids, monkeypatch, capsys):
    """Return what runs the command as `parktwin up` does; it returns exit status and output."""
    for name, role in (("DATABASE_URL", READER), ("ACCESS_DATABASE_URL", ACCESS)):
        monkeypatch.setenv(f"PARKTWIN_{name}", role_url(services, database, role))
    monkeypatch.setenv("PARKTWIN_HTTP_URL", "http://twin.plant")

    def run(*words):
        status = main(list(words))
        return status, "".join(capsys.readouterr())

    return run


def test_a_demonstration_has_three_accounts_whose_links_are_printed_until_they_are_used(user):
    status, first = user("demo")
    assert status == 0
    assert re.findall(r"(\w+): (\w+) of (.+)", first) == [
        ("operator", "operator", "demo/acme"), ("manager", "administrator", "the whole park"),
        ("auditor", "auditor", "the whole park"),
    ]  # fmt: skip
    again = user("demo")[1]
    links = re.findall(LINK, first), re.findall(LINK, again)
    assert [len(set(each)) for each in links] == [3, 3]
    assert not set(links[0]) & set(links[1])
    assert user("list")[1].count("has no password yet") == 3


def test_an_account_is_for_a_scope_of_the_park(user):
    status, text = user("add", "li.na", "--role", "operator", "--scope", "demo/acne")
    assert (status, "demo/acme" in text) == (2, True)
    status, text = user("add", "li.na", "--role", "operator", "--scope", "demo/acme")
    assert (status, len(re.findall(LINK, text))) == (0, 1)
    assert user("change", "li.na", "--scope", "nowhere")[0] == 2
    assert user("lock", "li.na") == (0, "li.na: done; its sessions have ended\n")
    assert "locked" in user("list")[1]
    assert user("invite", "nobody")[0] == 2
