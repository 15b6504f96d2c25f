"""The doors of the API: who comes in, what each role may do, and what is on record of it."""

from datetime import timedelta
from itertools import pairwise

import pytest

from api.access.accounts import AccessError, check_password
from api.access.guard import SESSION, check_access
from api.access.rights import RIGHTS, ROLES
from api.settings import ApiSettings
from tests.support.accounts import GOOD, come_in, guard_of, guarded, invite, noted
from tests.support.small_park import NOW, serving
from twin.errors import SettingsError

pytest_plugins = ["tests.support.small_park"]

ACK = "/api/v1/alarms/flow/ack"
BY = {"by": "somebody else"}
INSIDE = ("/api/v1/park", "/api/v1/latest", "/api/v1/live", "/metrics", "/api/v1/accounts",
          "/api/v1/audit", "/api/v1/scopes/demo/chlorine")  # fmt: skip


async def test_nobody_gets_anything_but_the_way_in(database, ids):
    async with guarded(database) as (api, _, _):
        for path in INSIDE:
            answer = await api.get(path)
            assert (answer.status_code, "WWW-Authenticate" in answer.headers) == (401, False), path
            assert "values" not in answer.text
        for path in ("/livez", "/readyz", "/api/v1/me"):
            assert (await api.get(path)).status_code in (200, 503)
        assert (await api.post(ACK, json=BY)).status_code == 401
        me = (await api.get("/api/v1/me")).json()
        assert (me["access"], me["account"], me["rights"]) == ("accounts", None, [])
    text = "仅限园区人员使用\nFor staff of the park; what you order is recorded"
    async with guarded(database, login_notice=text) as (api, _, _):
        assert (await api.get("/api/v1/me")).json()["notice"] == text


async def test_an_invitation_sets_a_password_once_and_opens_a_session(database, ids):
    async with guarded(database) as (api, accounts, _):
        secret = await invite(accounts, "ann", "operator")
        body = {"password": GOOD, "invitation": secret}
        weak = await api.post("/api/v1/password", json=body | {"password": "short"})
        assert (weak.status_code, "12 to 128" in weak.text) == (422, True)
        answer = await api.post("/api/v1/password", json=body)
        cookie = answer.headers["set-cookie"]
        assert answer.json()["rights"] == ["operate", "read"]
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        assert GOOD not in str(await accounts.rows("SELECT * FROM account"))
        assert (await api.get("/api/v1/park")).status_code == 200
        api.cookies.clear()
        assert (await api.post("/api/v1/password", json=body)).status_code == 401


async def test_a_session_that_was_there_before_is_not_the_one_that_is_opened(database, ids):
    async with guarded(database) as (api, accounts, _):
        await come_in(api, accounts, "ann", "operator")
        api.cookies.set(SESSION, "chosen-by-somebody-else")
        answer = await api.post("/api/v1/login", json={"name": "ann", "password": GOOD})
        assert answer.status_code == 200
        assert "chosen-by-somebody-else" not in answer.headers["set-cookie"]
        api.cookies.clear()
        api.cookies.set(SESSION, "chosen-by-somebody-else")
        assert (await api.get("/api/v1/park")).status_code == 401
        # It was noted where it came first.
        assert ("/api/v1/login with an unknown session or token", "200") in await noted(accounts)


async def test_wrong_passwords_lock_an_account_for_a_while_and_tell_nothing(database, ids):
    async with guarded(database) as (api, accounts, _):
        await come_in(api, accounts, "ann", "viewer")
        api.cookies.clear()
        texts = set()
        for name in ("ann", "nobody"):
            answer = await api.post("/api/v1/login", json={"name": name, "password": "wrong"})
            texts.add((answer.status_code, answer.json()["detail"]))
        assert len(texts) == 1
        for _ in range(4):
            await api.post("/api/v1/login", json={"name": "ann", "password": "wrong"})
        right = {"name": "ann", "password": GOOD}
        assert (await api.post("/api/v1/login", json=right)).status_code == 401
        later = NOW + round(timedelta(minutes=16).total_seconds() * 1e6)
        accounts._now_us = lambda: later
        assert (await api.post("/api/v1/login", json=right)).status_code == 200


async def test_failed_ways_in_from_one_address_have_to_wait(database, ids):
    async with guarded(database) as (api, _, _):
        status = [
            (await api.post("/api/v1/login", json={"name": "x", "password": "y"})).status_code
            for _ in range(22)
        ]
        assert status.count(429) >= 1
        assert set(status) == {401, 429}


async def test_a_session_ends_by_going_out_by_idleness_and_at_its_longest(database, ids):
    async with guarded(database, session_idle_min=60, session_hours=2) as (api, accounts, _):
        await come_in(api, accounts, "ann", "viewer")
        minute = 60_000_000
        for minutes, status in ((50, 200), (100, 200), (119, 200), (121, 401)):
            accounts._now_us = lambda m=minutes: NOW + m * minute
            guard_of(api).forget()
            assert (await api.get("/api/v1/park")).status_code == status, minutes
        accounts._now_us = lambda: NOW
        await api.post("/api/v1/login", json={"name": "ann", "password": GOOD})
        secret = api.cookies[SESSION]
        assert (await api.post("/api/v1/logout")).status_code == 200
        api.cookies.set(SESSION, secret)
        assert (await api.get("/api/v1/park")).status_code == 401


async def test_a_token_is_of_a_program_and_is_no_good_after_it_was_revoked(database, ids):
    async with guarded(database) as (api, accounts, _):
        await come_in(api, accounts, "ann", "operator")
        body = {"label": "dashboard", "role": "viewer", "days": 1}
        made = (await api.post("/api/v1/tokens", json=body)).json()
        more = await api.post("/api/v1/tokens", json=body | {"role": "engineer"})
        assert more.status_code == 403
        headers = {"Authorization": f"Bearer {made['token']}"}
        api.cookies.clear()
        assert (await api.get("/api/v1/park", headers=headers)).status_code == 200
        assert (await api.post(ACK, json=BY, headers=headers)).status_code == 403
        # A token is no session, and a session no token.
        api.cookies.set(SESSION, made["token"])
        assert (await api.get("/api/v1/park")).status_code == 401
        api.cookies.clear()
        (row,) = (await api.get("/api/v1/tokens", headers=headers)).json()["items"]
        await api.delete(f"/api/v1/tokens/{row['id']}", headers=headers)
        assert (await api.get("/api/v1/park", headers=headers)).status_code == 401


async def test_an_order_is_that_of_its_account_whatever_name_it_gives(database, db, ids):
    async with guarded(database) as (api, accounts, _):
        await come_in(api, accounts, "ann", "operator")
        order = {"tag": "acme/JQ-1", "period": "2025-05", "value": 3, "uom": "kWh", **BY}
        answer = await api.post("/api/v1/rejects/replay", json={"ids": [1], **BY})
        assert answer.status_code == 403
        await come_in(api, accounts, "eve", "engineer")
        answer = await api.post("/api/v1/rejects/replay", json={"ids": [1], **BY})
        assert answer.status_code == 202, (answer.text, order)
        assert await db.fetchval("SELECT body->>'by' FROM command") == "eve"


async def test_an_account_of_an_enterprise_orders_nothing_about_others(database, ids):
    async with guarded(database) as (api, accounts, _):
        await come_in(api, accounts, "ann", "engineer", "demo/acme")
        answer = await api.post("/api/v1/rejects/replay", json={"ids": [1], **BY})
        assert (answer.status_code, "demo" in answer.json()["detail"]) == (403, True)


async def test_an_account_of_an_enterprise_knows_its_own_figures_alone(database, ids):
    async with guarded(database) as (api, accounts, _):
        await come_in(api, accounts, "ann", "viewer", "demo/idle")
        rows = (await api.get("/api/v1/latest")).json()["items"]
        assert all(row["value"] is None for row in rows if row["tag"].startswith("acme/"))
        answer = await api.get("/api/v1/history", params={"tag": "acme/FT-1"})
        assert (answer.status_code, "not disclosed" in answer.text) == (403, True)
        await come_in(api, accounts, "bob", "viewer", "demo/acme")
        assert (await api.get("/api/v1/history", params={"tag": "acme/FT-1"})).status_code == 200


async def test_who_is_locked_or_becomes_less_is_out_at_once(database, ids):
    async with guarded(database) as (api, accounts, _):
        await come_in(api, accounts, "ann", "engineer")
        ann = api.cookies[SESSION]
        await come_in(api, accounts, "root", "administrator")
        change = {"role": "viewer", "scope": "demo/acme", "locked": False}
        assert (await api.post("/api/v1/accounts/ann", json=change)).json()["role"] == "viewer"
        own = await api.post("/api/v1/accounts/root", json=change)
        assert own.status_code == 409
        api.cookies.clear()
        api.cookies.set(SESSION, ann)
        assert (await api.get("/api/v1/park")).status_code == 401


async def test_an_administrator_of_a_scope_gives_nothing_beyond_it(database, ids):
    async with guarded(database) as (api, accounts, _):
        await come_in(api, accounts, "root", "administrator", "demo/acme")
        new = {"name": "kim", "role": "operator", "scope": "demo/acme/vcm"}
        made = await api.post("/api/v1/accounts", json=new)
        assert (made.status_code, made.json()["path"][:18]) == (201, "/login?invitation=")
        for scope in ("", "demo", "demo/idle"):
            answer = await api.post("/api/v1/accounts", json=new | {"name": "lee", "scope": scope})
            assert answer.status_code == 403, scope
        auditor = new | {"name": "lee", "role": "auditor"}
        assert (await api.post("/api/v1/accounts", json=auditor)).status_code == 403
        await accounts.add("other", "viewer", "demo/idle", "test")
        names = [row["name"] for row in (await api.get("/api/v1/accounts")).json()["items"]]
        assert names == ["kim", "root"]
        assert (await api.post("/api/v1/accounts/other/invite")).status_code == 404


@pytest.mark.parametrize("word", ["short", "ann-ann-ann-ann", "aaaaaaaaaaaaaaa", "x" * 129])
def test_a_password_that_is_easy_to_guess_is_refused(word):
    with pytest.raises(AccessError):
        check_password("ann", word)


def test_without_accounts_the_api_serves_this_machine_alone():
    check_access(ApiSettings(database_url="", http_host="127.0.0.1"))
    check_access(ApiSettings(database_url="", http_host="0.0.0.0", access="accounts"))  # noqa: S104
    for settings in ({"http_host": "0.0.0.0"}, {"trusted_proxies": "127.0.0.1"}):  # noqa: S104
        with pytest.raises(SettingsError, match="without accounts"):
            check_access(ApiSettings(database_url="", **settings))


def test_a_role_has_what_the_one_before_it_has():
    for less, more in pairwise(ROLES[:4]):
        assert RIGHTS[less] < RIGHTS[more]
    assert RIGHTS["auditor"] & RIGHTS["administrator"] == {"read"}


async def test_in_the_demonstration_a_browser_may_look_as_a_role(database, ids):
    async with serving(database) as (api, _):
        assert (await api.get("/api/v1/me")).json()["role"] == "administrator"
        api.cookies.set("parktwin-as", "viewer:demo/acme")
        me = (await api.get("/api/v1/me")).json()
        assert (me["access"], me["role"], me["scope"]) == ("demo", "viewer", "demo/acme")
        assert (await api.post(ACK, json=BY)).status_code == 403
        assert (
            await api.post("/api/v1/login", json={"name": "a", "password": "b"})
        ).status_code == 409
