"""Alarms over HTTP: lists, journal, load of a period, orders, live feed; ingest answers orders."""

import json

import pytest
from pydantic import TypeAdapter

from api.latest import events
from api.live.alarm_board import AlarmRow
from ingest.routing.topics import Message
from tests.support.data import data_text
from tests.support.small_park import FILES, NOW, S, add_cycle, serving, stamp
from tests.support.stored import cycling
from tests.support.waiting import until
from twin import quality as q
from twin.loading import parse_park

pytest_plugins = ["tests.support.small_park"]

ALARMS = data_text("demo/alarms.toml")
TOPIC = "park/v1/demo/acme/gw1"
FLOW, HOT, LEVEL = "flow", "acme/TT-1.high", "acme/LT-1.low"


@pytest.fixture
async def writer(database, ids, db):
    """Ingest over the same park, with alarms: FT-1 and TT-1 are beyond their limits."""
    files = FILES | {"park.toml": FILES["park.toml"] + ALARMS}
    async with cycling(database, parse_park(files), NOW) as cycle:
        await cycle.run([], NOW)
        yield cycle


@pytest.fixture
async def served(database, writer):
    async with serving(database, poll_s=0.05) as both:
        yield both


@pytest.fixture
async def api(served):
    return served[0]


@pytest.fixture
def turn(served, writer):
    """Let ingest take the commands at a time, and wait until the API has seen it."""

    async def turn(now_us):
        await writer.run([], now_us)
        await until(lambda: served[1].feed.cycle_us >= now_us)

    return turn


async def items(api, **query):
    answer = await api.get("/api/v1/alarms", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


async def order(api, alarm, name, **body):
    return await api.post(f"/api/v1/alarms/{alarm}/{name}", json={"by": "wang", **body})


async def test_alarms_are_listed_by_priority_in_the_uom_of_their_tags(api):
    page = (await api.get("/api/v1/alarms")).json()
    assert [alarm["id"] for alarm in page["items"]] == [HOT, FLOW]
    assert page["next"] is None
    hot, flow = page["items"]
    assert (hot["limit"], hot["value"], hot["uom"], hot["shelvable"]) == (60.0, 80.0, "degC", False)
    assert (flow["limit"], flow["value"], flow["uom"]) == (18.0, 18.0, "t/h")
    assert flow["since"] == flow["active_since"] == "2025-06-02T10:30:00+08:00"
    assert (flow["state"], flow["quality"], flow["by"]) == ("unacknowledged", q.SIMULATED, None)
    assert flow["name"] == {"zh": "流量高", "en": "Flow"}
    assert (flow["scope"], flow["response"]) == ("demo/acme/vcm", None)


# Every enterprise has these, whatever the model says, and every margin of what is there.
OF_HEALTH = [
    f"{owner}/ingest.{name}.high"
    for owner in ("acme", "idle")
    for name in ("late_share", "silent_gateways")
]
OF_MARGINS = [
    f"acme/margin.{name}"
    for name in (
        "time_to_full.caustic.store.low", "headroom.caustic.store.low",
        "emission.boiler-stack.SO2.high", "permit_forecast.boiler-stack.SO2.high",
    )
]  # fmt: skip
USUAL = [*OF_HEALTH, *OF_MARGINS]


async def test_alarms_can_be_asked_by_state_and_scope_and_come_in_pages(api):
    assert {a["id"] for a in await items(api, state="normal")} == {LEVEL, "balance", *USUAL}
    assert [a["id"] for a in await items(api, scope="demo/acme/vcm")] == [FLOW]
    assert await items(api, scope="demo/idle") == []
    count = 4 + len(USUAL)
    assert len(await items(api, state=["normal", "unacknowledged"])) == count
    result, cursor = [], ""
    while cursor is not None:
        query = {"state": "all", "limit": 1, "cursor": cursor}
        page = (await api.get("/api/v1/alarms", params=query)).json()
        result += [alarm["id"] for alarm in page["items"]]
        cursor = page["next"]
    assert result[:2] == [HOT, FLOW]
    assert sorted(result) == sorted([HOT, FLOW, LEVEL, "balance", *USUAL])


WRONG = [
    ("/api/v1/alarms?state=loud", 422, "state"),
    ("/api/v1/alarms?scope=demo/nowhere", 404, "no scope"),
    ("/api/v1/alarms?limit=5000", 422, "1,000 are the limit (PARKTWIN_PAGE_SIZE_MAX)"),
    ("/api/v1/alarms?cursor=x", 422, "cursor: "),
    ("/api/v1/alarms/journal?cursor=1", 422, "cursor: "),
    ("/api/v1/alarms/journal?from=2030-01-01T00:00:00Z", 422, "not before"),
    ("/api/v1/alarms/summary?from=2020-01-01T00:00:00Z", 422, "100 are the limit"),
    ("/api/v1/commands/1", 404, "no command 1"),
    ("/api/v1/commands/0", 422, "command"),
]


async def test_questions_that_make_no_sense_are_problems(api):
    for path, status, sentence in WRONG:
        answer = await api.get(path)
        assert (answer.status_code, sentence in answer.json()["detail"]) == (status, True), path


async def test_an_order_is_written_down_and_taken_by_the_next_cycle(api, turn):
    answer = await order(api, FLOW, "ack")
    assert answer.status_code == 202
    number = answer.json()["command"]
    assert answer.headers["location"] == f"/api/v1/commands/{number}"
    waiting = (await api.get(f"/api/v1/commands/{number}")).json()
    assert (waiting["kind"], waiting["done"]) == ("acknowledge", None)
    await turn(NOW + S)
    done = (await api.get(f"/api/v1/commands/{number}")).json()
    assert (done["done"], done["error"]) == ("2025-06-02T10:30:21+08:00", None)
    (flow,) = await items(api, state="acknowledged")
    assert (flow["id"], flow["by"]) == (FLOW, "wang")


async def test_shelving_has_a_time_and_a_reason_and_can_be_ended(api, turn):
    answer = await order(api, FLOW, "shelve", minutes=30, reason="cleaning")
    assert answer.status_code == 202
    await turn(NOW + S)
    (shelved,) = await items(api, state="shelved")
    assert (shelved["until"], shelved["reason"]) == ("2025-06-02T11:00:21+08:00", "cleaning")
    assert (await order(api, FLOW, "unshelve")).status_code == 202
    await turn(NOW + 2 * S)
    assert [a["state"] for a in await items(api)] == ["unacknowledged"] * 2


async def test_orders_that_make_no_sense_are_refused_at_the_door(api, db):
    shelve = {"minutes": 5, "reason": "x"}
    for alarm, name, body, status, sentence in [
        (HOT, "shelve", shelve, 409, "may not be shelved"),
        (LEVEL, "ack", {}, 409, "acknowledge: the alarm is normal"),
        (FLOW, "unshelve", {}, 409, "unshelve: the alarm is unacknowledged"),
        ("flo", "ack", {}, 404, "there is no alarm 'flo'"),
        (
            FLOW,
            "shelve",
            {**shelve, "minutes": 481},
            422,
            "minutes: 481 minutes, and 480 are the limit",
        ),
        (FLOW, "shelve", {**shelve, "minutes": 0}, 422, "minutes"),
        (FLOW, "shelve", {**shelve, "reason": "  "}, 422, "reason"),
        (FLOW, "ack", {"by": ""}, 422, "by"),
        (FLOW, "ack", {"by": "x" * 81}, 422, "by"),
    ]:
        answer = await order(api, alarm, name, **body)
        assert answer.headers["content-type"] == "application/problem+json"
        assert (answer.status_code, sentence in answer.json()["detail"]) == (status, True), name
    assert await db.fetchval("SELECT count(*) FROM command") == 0


async def test_only_so_many_orders_wait_for_an_ingest_that_does_not_take_them(database, writer):
    async with serving(database, commands_max=2) as (api, _):
        answers = [(await order(api, FLOW, "ack")).status_code for _ in range(3)]
        assert answers == [202, 202, 503]


async def test_journal_tells_what_happened_the_newest_first(api, turn):
    number = (await order(api, FLOW, "ack")).json()["command"]
    await turn(NOW + S)
    page = (await api.get("/api/v1/alarms/journal", params={"to": "2025-06-03T00:00:00Z"})).json()
    first = page["items"][0]
    assert (first["alarm"], first["before"], first["after"]) == (
        FLOW, "unacknowledged", "acknowledged",
    )  # fmt: skip
    assert (first["by"], first["command"]) == ("wang", number)
    assert {e["alarm"] for e in page["items"][1:]} == {FLOW, HOT}
    result, cursor = [], ""
    while cursor is not None:
        query = {"to": "2025-06-03T00:00:00Z", "limit": 1, "cursor": cursor}
        part = (await api.get("/api/v1/alarms/journal", params=query)).json()
        result += part["items"]
        cursor = part["next"]
    assert result == page["items"]
    inside = {"to": "2025-06-03T00:00:00Z", "scope": "demo/acme/caustic"}
    inside = (await api.get("/api/v1/alarms/journal", params=inside)).json()["items"]
    assert [event["alarm"] for event in inside] == [HOT]


async def test_journal_of_an_alarm_that_is_gone_still_says_what_happened(api, db):
    await db.execute(
        "INSERT INTO alarm_event (time, recorded, alarm, before, after, value, quality)"
        " VALUES ($1, $1, 'gone', 'normal', 'unacknowledged', 1.0, 0)",
        stamp(NOW - S),
    )
    (event, *_) = (await api.get("/api/v1/alarms/journal")).json()["items"]
    assert (event["alarm"], event["tag"], event["value"]) == ("gone", None, None)


async def test_summary_says_whether_an_operator_can_cope(api, writer, db):
    seconds = [*range(-500, 1, 50), -3000, -2990, -2980]
    for second in seconds:
        await db.execute(
            "INSERT INTO alarm_event (time, recorded, alarm, before, after, quality)"
            " VALUES ($1, $1, $2, 'normal', 'unacknowledged', 0)",
            stamp(NOW + second * S), FLOW if second > -1000 else LEVEL,
        )  # fmt: skip
    await db.execute(
        "UPDATE alarm SET active_since = $1 WHERE alarm = $2", stamp(NOW - 90_000 * S), HOT
    )
    summary = (await api.get("/api/v1/alarms/summary")).json()
    assert summary["annunciations"] == 15
    assert summary["rate"]["last"] == 13
    assert summary["rate"]["mean"] == pytest.approx(15 / 144)
    assert (summary["flood"]["now"], summary["flood"]["goal"]) == (True, 0.01)
    assert summary["flood"]["since"] == "2025-06-02T10:30:00+08:00"
    assert summary["top"][0] == {
        "id": FLOW, "name": {"zh": "流量高", "en": "Flow"}, "count": 11,
        "share": pytest.approx(11 / 15),
    }  # fmt: skip
    assert summary["chattering"] == [LEVEL]
    by = {row["priority"]: row["unacknowledged"] for row in summary["counts"]}
    assert by == {"critical": 1, "high": 1, "medium": 0, "low": 0}
    quiet = (await api.get("/api/v1/alarms/summary?scope=demo/idle")).json()
    assert (quiet["annunciations"], quiet["flood"]["now"], quiet["top"]) == (0, False, [])
    assert quiet["mix"][0]["share"] is None


async def test_live_opens_with_what_is_not_normal_and_goes_on_with_what_changes(
    database, writer, ids, db
):
    async with serving(database, poll_s=0.05) as (_, context):
        client = events(context, ["acme/FT-1"])
        image = json.loads((await anext(client)).decode().partition("data: ")[2])
        assert {a["id"]: a["state"] for a in image["alarms"]} == {
            FLOW: "unacknowledged", HOT: "unacknowledged",
        }  # fmt: skip
        TypeAdapter(AlarmRow).validate_python(image["alarms"][0])
        await add_cycle(db, NOW + S, [(ids["acme/FT-1"], NOW + S, 1.0, 0)])
        cycle = json.loads((await anext(client)).decode().partition("data: ")[2])
        assert cycle["alarms"] == []
        await db.execute(
            "INSERT INTO command (kind, body) VALUES ('acknowledge', $1)",
            json.dumps({"alarm": FLOW, "by": "wang"}),
        )
        await writer.run([], NOW + 2 * S)
        cycle = json.loads((await anext(client)).decode().partition("data: ")[2])
        assert [(a["id"], a["state"], a["by"]) for a in cycle["alarms"]] == [
            (FLOW, "acknowledged", "wang")
        ]
        # That it is normal again is a change as well.
        body = json.dumps({"ts": NOW // 1000 + 3000, "values": {"FT-1": 1.0}}).encode()
        await writer.run([Message(TOPIC, body, NOW + 3 * S, 0, 0, 0)], NOW + 3 * S)
        cycle = json.loads((await anext(client)).decode().partition("data: ")[2])
        assert [(a["id"], a["state"]) for a in cycle["alarms"]] == [(FLOW, "normal")]
