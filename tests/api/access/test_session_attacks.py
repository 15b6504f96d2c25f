"""Who has a session that is not his, or that has ended: refused, and in the record."""

import asyncio

from api.access.guard import SESSION, TRIES_MAX
from tests.support.accounts import GOOD, come_in, guarded, noted

pytest_plugins = ["tests.support.small_park"]

ACK = "/api/v1/alarms/flow/ack"
FOREIGN = (
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://localhost.evil.example"},
    {"Origin": "http://localhost:8081"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
)


async def test_what_has_ended_opens_nothing_and_is_noted_once_in_a_while(database, ids):
    async with guarded(database) as (api, accounts, _):
        await come_in(api, accounts, "ann", "operator")
        token = (await api.post("/api/v1/tokens", json={"label": "x"})).json()["token"]
        session = api.cookies[SESSION]
        (row,) = (await api.get("/api/v1/tokens")).json()["items"]
        await api.delete(f"/api/v1/tokens/{row['id']}")
        await api.post("/api/v1/logout")
        for _ in range(3):
            api.cookies.clear()
            headers = {"Authorization": f"Bearer {token}"}
            assert (await api.get("/api/v1/latest", headers=headers)).status_code == 401
            api.cookies.set(SESSION, session)
            assert (await api.get("/api/v1/latest")).status_code == 401
        rows = [row for row in await noted(accounts, account="ann") if row[1] == "401"]
        assert rows == [
            ("/api/v1/latest with a token that has ended", "401"),
            ("/api/v1/latest with a session that has ended", "401"),
        ]


async def test_secrets_that_are_made_up_do_not_fill_the_record(database, ids):
    async with guarded(database) as (api, accounts, _):
        for number in range(2 * TRIES_MAX):
            headers = {"Authorization": f"Bearer {number:040}"}
            assert (await api.get("/api/v1/latest", headers=headers)).status_code == 401
        assert await noted(accounts) == [("/api/v1/latest with an unknown session or token", "401")]


async def test_a_page_of_another_site_gives_no_order_in_the_name_of_who_has_come_in(database, ids):
    async with guarded(database) as (api, accounts, _):
        await come_in(api, accounts, "ann", "operator")
        # Even where a browser would send the cookie along.
        for headers in FOREIGN:
            answer = await api.post(ACK, json={"by": "ann"}, headers=headers)
            assert (answer.status_code, "gives no orders" in answer.text) == (403, True), headers
            answer = await api.post("/api/v1/logout", headers=headers)
            assert answer.status_code == 403
        assert (await api.get("/api/v1/park")).status_code == 200
        rows = [row for row in await noted(accounts, account="ann") if row[1] == "403"]
        assert rows == [(ACK, "403"), ("/api/v1/logout", "403")] * len(FOREIGN)
        own = {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}
        assert (await api.post("/api/v1/logout", headers=own)).status_code == 200


async def test_another_password_ends_all_other_sessions_and_links(database, ids):
    async with guarded(database) as (api, accounts, _):
        await come_in(api, accounts, "ann", "operator")
        former = api.cookies[SESSION]
        api.cookies.clear()
        await api.post("/api/v1/login", json={"name": "ann", "password": GOOD})
        stolen = await accounts.invite("ann")
        body = {"password": f"{GOOD} 2", "old": "not the one"}
        assert (await api.post("/api/v1/password", json=body)).status_code == 401
        answer = await api.post("/api/v1/password", json=body | {"old": GOOD})
        assert answer.status_code == 200
        own = api.cookies[SESSION]
        assert own != former
        assert (await api.get("/api/v1/park")).status_code == 200
        api.cookies.clear()
        api.cookies.set(SESSION, former)
        assert (await api.get("/api/v1/park")).status_code == 401
        api.cookies.clear()
        body = {"password": f"{GOOD} 3", "invitation": stolen}
        assert (await api.post("/api/v1/password", json=body)).status_code == 401
        rows = await noted(accounts, account="ann")
        assert ("/api/v1/park with a session that has ended", "401") in rows


async def test_a_link_that_two_use_at_once_is_good_for_one(database, ids):
    async with guarded(database) as (api, accounts, _):
        await accounts.add("ann", "operator", "", "test")
        secret = await accounts.invite("ann")
        bodies = [{"password": f"{GOOD} {number}", "invitation": secret} for number in (1, 2)]
        answers = await asyncio.gather(
            *(api.post("/api/v1/password", json=body) for body in bodies)
        )
        statuses = sorted(answer.status_code for answer in answers)
        assert statuses[0] == 200
        assert statuses[1] in (401, 422)
