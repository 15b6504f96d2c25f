"""How much one may ask for, at once and in a minute: refused with the limit and the mend."""

import asyncio

import pytest

from api.access.limits import Rate
from tests.api.access.test_access import ACK, BY
from tests.support.accounts import come_in, guarded
from tests.support.small_park import serving
from twin.arrays import MINUTE_S

pytest_plugins = ["tests.support.small_park"]
DAYS = {"from": "2020-01-01T00:00:00Z", "to": "2020-04-01T00:00:00Z"}
DAILY = {"window": "day", **DAYS}
ONE = {"tag": "acme/FT-1", "points": 10}
WHAT_IF = {"hours": 1, "actions": [{"scope": "demo/acme/vcm", "load": 0.5}]}
# Limits, and what is asked beyond them: the setting that refuses it, and what the hint says.
LIMITED = [
    (
        {"history_points_max": 50, "history_tags_max": 1, "history_days_max": 80,
         "page_size_max": 50, "windows_max": 80, "alarm_days_max": 80},
        [
            ("history", {"tag": "acme/FT-1", "points": 51}, "history_points_max", "fewer"),
            ("history", ONE | {"tag": ["acme/FT-1", "acme/FT-3"]}, "history_tags_max", "several"),
            ("history", ONE | DAYS, "history_days_max", "shorter range"),
            ("tags", {"limit": 51}, "page_size_max", "`next`"),
            ("quarantine", {"limit": 51}, "page_size_max", "`next`"),
            ("scopes/demo/energy", {"window": "day", **DAYS}, "windows_max", "longer ones"),
            ("scopes/demo/emissions", {"window": "month", **DAYS}, "windows_max", "shorter range"),
            ("alarms/summary", DAYS, "alarm_days_max", "shorter range"),
        ],
    ),
    (
        # As many windows as may be, but not of two enterprises.
        {"windows_max": 100},
        [
            ("scopes/demo/consumption", {"by": "children", **DAILY}, "windows_max", "longer"),
            ("scopes/demo/online-monitoring", DAILY, "windows_max", "one enterprise"),
            ("scopes/demo/online-monitoring/file", DAILY, "windows_max", "one enterprise"),
        ],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("limits", "questions"), LIMITED, ids=["one", "times"])
async def test_too_much_is_refused_with_its_limit_and_its_mend(database, ids, limits, questions):
    async with serving(database, **limits) as (api, context):
        reads = []
        for name in ("rows", "_columns"):
            read = getattr(context.store, name)
            setattr(context.store, name, lambda *a, r=read: reads.append(a) or r(*a))
        for path, query, setting, mend in questions:
            answer = await api.get(f"/api/v1/{path}", params=query)
            problem = answer.json()
            assert answer.status_code == 422
            limit = f"{limits[setting]} are the limit (PARKTWIN_{setting.upper()})"
            assert (limit in problem["detail"], mend in problem["hint"]) == (True, True), problem
        assert reads == []


WHAT_IFS = [
    ({"hours": 3}, "scenario_hours_max", 2, "shorter"),
    ({"actions": WHAT_IF["actions"] * 2}, "scenario_actions_max", 1, "no action"),
    ({"step_s": 1}, "scenario_steps_max", 100, "longer"),
]


@pytest.mark.parametrize(("change", "setting", "most", "mend"), WHAT_IFS)
async def test_a_what_if_has_bounds(database, ids, change, setting, most, mend):
    async with serving(database, **{setting: most}) as (api, _):
        answer = await api.post("/api/v1/scenarios", json=WHAT_IF | change)
        assert answer.status_code == 422
        assert f"{most} are the limit (PARKTWIN_{setting.upper()})" in answer.json()["detail"]
        assert mend in answer.json()["hint"]


async def test_orders_in_a_minute_are_limited_for_each_account(database, ids):
    async with guarded(database, orders_minute=3) as (api, accounts, context):
        await come_in(api, accounts, "ann", "operator")
        status = [(await api.post(ACK, json=BY)).status_code for _ in range(5)]
        assert status.count(429) == 2
        refused = await api.post(ACK, json=BY)
        assert 1 <= int(refused.headers["Retry-After"]) <= 20
        assert "3 orders a minute of ann are the limit" in refused.json()["detail"]
        # Looking and asking are no orders.
        assert (await api.get("/api/v1/park")).status_code == 200
        assert (await api.post("/api/v1/scenarios", json=WHAT_IF)).status_code == 200
        await come_in(api, accounts, "bob", "operator")
        assert (await api.post(ACK, json=BY)).status_code != 429
        assert context.traffic.limited["orders"] == 3
        rows = await accounts.rows("SELECT account FROM audit WHERE outcome = '429'")
        assert [row["account"] for row in rows] == ["ann"] * 3


async def test_orders_of_an_address_are_limited_where_there_are_no_accounts(database, ids):
    async with serving(database, orders_minute=2) as (api, _):
        orders = [await api.delete("/api/v1/rejects") for _ in range(3)]
        assert [order.status_code for order in orders] == [202, 202, 429]
        lines = (await api.get("/metrics")).text.splitlines()
        assert 'parktwin_api_limited_total{limit="orders"} 1.0' in lines


async def test_an_evenly_used_rate_gives_so_many_a_minute(monkeypatch):
    now, loop = 1000.0, asyncio.get_running_loop()
    monkeypatch.setattr(loop, "time", lambda: now)
    rate = Rate(60)
    assert [rate.wait_s("a") for _ in range(61)] == [0.0] * 60 + [1.0]
    assert rate.wait_s("b") == 0.0
    now += 1.0
    assert [rate.wait_s("a") for _ in range(2)] == [0.0, 1.0]
    now += MINUTE_S
    assert [rate.wait_s("a") for _ in range(61)].count(0.0) == 60


async def test_requests_at_a_time_are_limited_for_each_account(database, ids):
    """Requests wait in their route; live feeds last, and do not count."""
    async with guarded(database, requests_client_max=5) as (api, accounts, context):
        await come_in(api, accounts, "ann", "viewer")
        gate = asyncio.Event()
        rows = context.store.rows

        async def held(*args):
            await gate.wait()
            return await rows(*args)

        context.store.rows = held
        waiting = [asyncio.create_task(api.get("/api/v1/quarantine")) for _ in range(5)]
        await asyncio.sleep(0.1)
        refused = await api.get("/api/v1/tags")
        assert (refused.status_code, refused.headers["Retry-After"]) == (429, "2")
        assert "PARKTWIN_REQUESTS_CLIENT_MAX" in refused.json()["hint"]
        assert (await api.head("/api/v1/live")).status_code == 200
        gate.set()
        assert [(await each).status_code for each in waiting] == [200] * 5
        assert (await api.get("/api/v1/tags")).status_code == 200


KEY = {"Idempotency-Key": "a-key-of-mine"}


async def test_a_repeated_order_is_done_once_and_answered_alike(database, db, ids):
    async with serving(database) as (api, _):
        order = {"by": "ann", "ids": [1]}
        path = "/api/v1/rejects/replay"
        both = await asyncio.gather(*(api.post(path, json=order, headers=KEY) for _ in range(2)))
        later = await api.post(path, json=order, headers=KEY)
        assert {each.status_code for each in (*both, later)} == {202}
        assert {each.text for each in (*both, later)} == {'{"command":1}'}
        assert later.headers["Location"] == "/api/v1/commands/1"
        assert await db.fetchval("SELECT count(*) FROM command") == 1
        # Another order with that key is a mistake, one with another key another order.
        wrong = await api.post(path, json=order | {"ids": [2]}, headers=KEY)
        assert (wrong.status_code, "key of its own" in wrong.json()["hint"]) == (422, True)
        wrong = await api.delete("/api/v1/rejects", headers=KEY)
        assert wrong.status_code == 422
        other = await api.post(path, json=order, headers={"Idempotency-Key": "another"})
        assert other.json()["command"] == 2
        without = await api.post(path, json=order)
        assert without.json()["command"] == 3


async def test_a_key_is_the_accounts_own(database, db, ids):
    async with guarded(database) as (api, accounts, _):
        numbers = []
        for name in ("ann", "bob"):
            await come_in(api, accounts, name, "engineer")
            answer = await api.post("/api/v1/rejects/replay", json={"ids": [1], **BY}, headers=KEY)
            numbers.append(answer.json()["command"])
        assert numbers == [1, 2]


@pytest.mark.parametrize("key", ["", "k" * 101, "two words", "\xe9"])
async def test_a_key_that_is_none_is_refused(database, ids, key):
    async with serving(database) as (api, _):
        answer = await api.delete(
            "/api/v1/rejects", headers=[(b"Idempotency-Key", key.encode("latin-1"))]
        )
        assert (answer.status_code, "Idempotency-Key" in answer.json()["detail"]) == (422, True)


async def test_an_order_that_was_refused_leaves_its_key_free(database, ids):
    async with serving(database) as (api, _):
        wrong = await api.post("/api/v1/rejects/replay", json={"by": ""}, headers=KEY)
        assert wrong.status_code == 422
        right = await api.post("/api/v1/rejects/replay", json={"by": "ann"}, headers=KEY)
        assert right.status_code == 202


async def test_an_order_that_is_calculated_elsewhere_has_its_key_as_well(database, db, ids):
    async with serving(database, inline=False) as (api, _):
        path, order = "/api/v1/reports/enterprise/demo/acme", {"by": "ann", "period": "2025-05"}
        answers = [await api.post(path, json=order, headers=KEY, timeout=60) for _ in range(2)]
        assert [answer.text for answer in answers] == ['{"command":1}'] * 2
        assert await db.fetchval("SELECT count(*) FROM command") == 1


async def test_two_accounts_behind_one_address_have_limits_of_their_own(database, ids):
    async with guarded(database, live_clients_host_max=1) as (api, accounts, context):
        await come_in(api, accounts, "ann", "viewer")
        context.feed.askers["ann"] = 1
        refused = await api.head("/api/v1/live")
        assert refused.status_code == 429
        await come_in(api, accounts, "bob", "viewer")
        assert (await api.head("/api/v1/live")).status_code == 200
