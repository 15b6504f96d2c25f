"""The way in by a provider, on one that runs on this machine, and all that may be wrong."""

import json
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from api.access.guard import SESSION
from api.access.oidc import LEEWAY_S
from api.access.sign_in import BACK, COOKIE
from api.settings import ApiSettings
from tests.support.accounts import GOOD, KEY, come_in, guarded, noted
from tests.support.oidc_provider import CLIENT, SECRET, new_key, openid_provider
from tests.support.small_park import NOW
from twin.errors import SettingsError

pytest_plugins = ["tests.support.small_park"]

NOW_S = NOW // 1_000_000
RULES = [
    {"claim": "groups", "value": "shift", "role": "operator", "scope": "demo/acme"},
    {"claim": "department", "value": "audit", "role": "auditor"},
]


@asynccontextmanager
async def signing_in(database, tmp_path, rules=RULES):
    """Serve the small park with a provider; yields the client, the accounts and the provider."""
    files = {"secret_key": KEY, "oidc_client_secret": SECRET.encode()}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    async with openid_provider(NOW_S) as provider:
        settings = {name: tmp_path / name for name in files}
        settings |= {"oidc_issuer": provider.issuer, "oidc_client_id": CLIENT,
                     "oidc_name": "Park ID", "oidc_rules": json.dumps(rules)}  # fmt: skip
        async with guarded(database, **settings) as (api, accounts, _):
            yield api, accounts, provider


async def go_there(api, then="/trends?scope=demo"):
    """Begin a sign-in; returns the address that the provider sends the browser back to."""
    begun = await api.get("/api/v1/oidc/begin", params={"then": then})
    assert begun.status_code == 303, begun.text
    async with httpx.AsyncClient() as browser:
        return (await browser.get(begun.headers["location"])).headers["location"]


async def sign_in(api, change=lambda back: back):
    """Sign in as a browser does; returns the answer to it on its way back."""
    api.cookies.clear()
    back = change(await go_there(api))
    return await api.get(back.partition("localhost")[2])


def reason_of(answer):
    """Return why a browser was sent back to the login; the session must not be open."""
    assert answer.status_code == 303
    assert SESSION not in str(answer.headers.get_list("set-cookie"))
    address = urlsplit(answer.headers["location"])
    assert (address.scheme, address.netloc, address.path) == ("", "", "/login")
    return parse_qs(address.query)["problem"][0]


async def test_a_browser_comes_in_by_the_provider_and_gets_an_account_by_a_rule(
    database, ids, tmp_path
):
    async with signing_in(database, tmp_path) as (api, accounts, provider):
        provider.claims |= {"groups": ["shift", "canteen"]}
        assert (await api.get("/api/v1/me")).json()["sign_in"] == "Park ID"
        answer = await sign_in(api)
        assert (answer.status_code, answer.headers["location"]) == (303, "/trends?scope=demo")
        session = next(c for c in answer.headers.get_list("set-cookie") if c.startswith(SESSION))
        assert "HttpOnly" in session
        assert "SameSite=strict" in session
        assert COOKIE not in api.cookies
        me = (await api.get("/api/v1/me")).json()
        assert (me["account"], me["role"], me["scope"]) == ("li.na", "operator", "demo/acme")
        assert (me["provider"], (await api.get("/api/v1/park")).status_code) == ("Park ID", 200)
        # At the next sign-in the rules say who she is now.
        provider.claims |= {"groups": [], "department": "audit"}
        await sign_in(api)
        me = (await api.get("/api/v1/me")).json()
        assert (me["account"], me["role"], me["scope"]) == ("li.na", "auditor", "")
        assert await noted(accounts, account="li.na") == [(BACK, "200"), (BACK, "200")]


async def test_who_has_no_account_and_no_rule_stays_outside(database, ids, tmp_path):
    async with signing_in(database, tmp_path) as (api, accounts, provider):
        assert reason_of(await sign_in(api)) == "unknown"
        # An account of the same name is not given away: the name is the provider's to choose.
        await accounts.add("li.na", "administrator", "", "test")
        provider.claims |= {"groups": ["shift"]}
        assert reason_of(await sign_in(api)) == "unknown"
        # Whom an administrator has linked comes in as what she is there.
        await accounts.link("li.na", f"{provider.issuer} 248")
        assert (await sign_in(api)).headers["location"] == "/trends?scope=demo"
        assert (await api.get("/api/v1/me")).json()["role"] == "administrator"
        await accounts.change("li.na", "administrator", "", locked=True)
        assert reason_of(await sign_in(api)) == "unknown"
        provider.claims |= {"sub": "249", "preferred_username": "../../etc"}
        assert reason_of(await sign_in(api)) == "unknown"
        outcomes = [outcome for _, outcome in await noted(accounts)]
        assert outcomes == ["401", "401", "200", "401", "401"]


async def test_who_the_rules_do_not_know_any_more_comes_in_no_more(database, ids, tmp_path):
    async with signing_in(database, tmp_path) as (api, _, provider):
        provider.claims |= {"department": "audit"}
        assert (await sign_in(api)).headers["location"] == "/trends?scope=demo"
        provider.claims |= {"department": "sales"}
        assert reason_of(await sign_in(api)) == "unknown"


WRONG = {
    "nonce": {"nonce": "of another sign-in"},
    "no nonce": {"nonce": None},
    "audience": {"aud": "another client"},
    "a second audience": {"aud": [CLIENT, "another client"]},
    "authorised party": {"azp": "another client"},
    "issuer": {"iss": "https://evil.example"},
    "expired": {"exp": NOW_S - LEEWAY_S - 1},
    "never expires": {"exp": None},
    "of the future": {"iat": NOW_S + LEEWAY_S + 1},
    "nobody": {"sub": None},
    "access token": {"at_hash": "of-another-one"},
}


async def test_a_token_with_something_wrong_opens_nothing_and_is_in_the_record(
    database, ids, tmp_path
):
    async with signing_in(database, tmp_path) as (api, accounts, provider):
        provider.claims |= {"groups": ["shift"]}
        for name, wrong in WRONG.items():
            provider.wrong = wrong
            assert reason_of(await sign_in(api)) == "refused", name
            assert (await api.get("/api/v1/park")).status_code == 401
        provider.wrong = {}
        provider.signing = new_key("one")
        assert reason_of(await sign_in(api)) == "refused"
        provider.signing, provider.error = None, "access_denied"
        assert reason_of(await sign_in(api)) == "refused"
        rows = await noted(accounts, outcome="401")
        assert len(rows) == len(WRONG) + 2
        assert all(subject.startswith(f"{BACK}: ") for subject, _ in rows)
        assert "access_denied" in rows[-1][0]


async def test_an_answer_that_is_not_of_this_sign_in_opens_nothing(database, ids, tmp_path):
    def changed(old, new):
        return lambda back: back.replace(old, new)

    async with signing_in(database, tmp_path) as (api, accounts, provider):
        provider.claims |= {"groups": ["shift"]}
        for change in (
            changed("state=", "state=x"), changed("&iss=", "&is="), changed("&iss=", "&iss=x"),
            changed("code=", "cod="), changed("code=", "code=x"),
        ):  # fmt: skip
            assert reason_of(await sign_in(api, change)) == "refused"
        # Of another browser, in which an attacker has begun: without its cookie, and with another.
        attack = (await go_there(api)).partition("localhost")[2]
        api.cookies.clear()
        assert reason_of(await api.get(attack)) == "refused"
        await go_there(api)
        assert reason_of(await api.get(attack)) == "refused"
        api.cookies.set(COOKIE, "bm9uc2Vuc2U", path=BACK)
        assert reason_of(await api.get(attack)) == "refused"
        # Too late.
        back = (await go_there(api)).partition("localhost")[2]
        accounts._now_us = lambda: NOW + 601_000_000
        assert reason_of(await api.get(back)) == "refused"
        assert len(await noted(accounts, outcome="401")) == 9


async def test_a_code_and_its_answer_are_good_once(database, ids, tmp_path):
    async with signing_in(database, tmp_path) as (api, _, provider):
        provider.claims |= {"groups": ["shift"]}
        api.cookies.clear()
        back = (await go_there(api)).partition("localhost")[2]
        cookie = api.cookies[COOKIE]
        assert (await api.get(back)).headers["location"] == "/trends?scope=demo"
        api.cookies.clear()
        assert reason_of(await api.get(back)) == "refused"
        api.cookies.set(COOKIE, cookie, path=BACK)
        assert reason_of(await api.get(back)) == "refused"
        assert provider.refusals == ["code"]


async def test_a_sign_in_leads_to_a_page_of_the_console_only(database, ids, tmp_path):
    async with signing_in(database, tmp_path) as (api, accounts, _):
        targets = ["https://evil.example", "//evil.example", "/\\evil.example", "\\\\evil.example",
                  "javascript:alert(1)", "overview", "/x\r\nSet-Cookie: a=b", "/\t/evil.example",
                  "/a\\..\\b", ""]  # fmt: skip
        for target in targets:
            answer = await api.get("/api/v1/oidc/begin", params={"then": target})
            assert answer.status_code == 403, target
        assert len(await noted(accounts, outcome="403")) == len(targets)


async def test_new_keys_of_the_provider_are_taken_over(database, ids, tmp_path, monkeypatch):
    async with signing_in(database, tmp_path) as (api, _, provider):
        provider.claims |= {"groups": ["shift"]}
        assert (await sign_in(api)).headers["location"] == "/trends?scope=demo"
        provider.key = new_key("two")
        # Unknown keys are not asked for all the time.
        assert reason_of(await sign_in(api)) == "refused"
        monkeypatch.setattr("api.access.oidc.KEYS_S", 0.0)
        assert (await sign_in(api)).headers["location"] == "/trends?scope=demo"


async def test_beside_the_provider_passwords_open_the_door_as_before(database, ids, tmp_path):
    async with signing_in(database, tmp_path) as (api, accounts, provider):
        await come_in(api, accounts, "ann", "viewer")
        answer = await api.post("/api/v1/login", json={"name": "ann", "password": GOOD})
        assert (answer.status_code, answer.json()["provider"]) == (200, "")
        provider.claims |= {"groups": ["shift"]}
        await sign_in(api)
        # It has no password here.
        body = {"password": f"{GOOD} 2", "old": ""}
        assert (await api.post("/api/v1/password", json=body)).status_code == 401
        api.cookies.clear()
        answer = await api.post("/api/v1/login", json={"name": "li.na", "password": GOOD})
        assert answer.status_code == 401


async def test_a_provider_that_is_away_is_said_to_be(database, ids, tmp_path):
    async with signing_in(database, tmp_path) as (api, _, provider):
        issuer, provider.issuer = provider.issuer, "https://evil.example"
        answer = await api.get("/api/v1/oidc/begin")
        assert reason_of(answer) == "away"
        provider.issuer = issuer
    async with guarded(database) as (api, _, _):
        assert (await api.get("/api/v1/oidc/begin")).status_code == 409
        assert (await api.get("/api/v1/me")).json()["sign_in"] == ""


def test_settings_of_a_provider_go_together(tmp_path):
    issuer = {"oidc_issuer": "https://id.park", "oidc_client_id": "x"}
    for settings, sentence in (
        (issuer, "PARKTWIN_SECRET_KEY"),
        ({"oidc_rules": "groups"}, "PARKTWIN_OIDC_RULES"),
        ({"oidc_rules": '[{"claim": "a", "value": "b", "role": "king"}]'}, "0 role"),
    ):
        with pytest.raises(SettingsError, match=sentence):
            ApiSettings(database_url="", **settings)
