"""Questions that take long: every route at its permitted maximum, and many of them at once."""

import asyncio
import shutil
import time
from collections import Counter
from urllib.parse import urlencode

import asyncpg
import httpx
import numpy as np
import orjson
import pytest

from deploy.database import copy
from ingest.store.store import MINUTE, SAMPLE
from simulators.instruments import observe
from tests.support.attack import attacked_park
from tests.support.demo_park import FOLDER, PARK, sensors_of
from twin.arrays import DAY_US, HOUR_US, MINUTE_US, SECOND_US
from twin.series.windows import edges

WINDOWS = 1_500
MINE = 5  # calculations of one client
SCOPE, PLANT = "liaocheng", "liaocheng/chiping/xinfa"
# Another enterprise beside those of the demonstration park.
OTHER = """
[[scope]]
id = "liaocheng/chiping/other"
kind = "enterprise"
name = { zh = "邻居", en = "neighbour" }
"""
OTHER_TAG = "FT-9,liaocheng/chiping/other,mass_flow,t/h,gauge,0,100,1 %,neighbour\n"
PAGES = """
INSERT INTO park.quarantine
SELECT 'xinfa', 'NO-' || i, 'unknown_tag', 'topic', 1, now(), now(), now(), 1
FROM generate_series(1, 1000) i;
INSERT INTO park.reject (received, reason, detail, topic, payload, size)
SELECT now(), 'bad_json', 'detail', 'topic', convert_to(repeat('漢', 1365), 'UTF8'), 4095
FROM generate_series(1, 1000);
INSERT INTO park.detection
SELECT now() - i * interval '1 min', 'chlorine', now(), '{xinfa-cl2-main,xinfa-cl2-hcl}', '{}', 1, 7
FROM generate_series(1, 1000) i;
INSERT INTO park.alarm_event (time, recorded, alarm, before, after, quality)
SELECT now() - i * interval '40 s', now(), (SELECT min(alarm) FROM park.alarm), 'normal',
       'unacknowledged', 0
FROM generate_series(1, 100000) i;
INSERT INTO park.book
    (tag_id, start, stop, version, value, entered, uom, recorded, recorded_by, command)
SELECT (SELECT tag_id FROM park.tag WHERE tag = 'B-REVENUE' AND enterprise = 'luxi'),
       '2025-12-31 16:00Z', '2026-01-31 16:00Z', i, i, i, '万元', now(), 'ann', 0
FROM generate_series(1, 1000) i
"""
SENT = orjson.dumps({"ts": 0, "values": {f"FT-{n:05d}": 2.5 for n in range(10_000)}}).decode()
BOOK = "tag,period,value\n" + "".join(
    f"luxi/B-REVENUE,{year}-{month:02d},1\n" for year in range(1990, 2026) for month in range(1, 13)
)


def before(span_us):
    """Return a range of time up to now."""
    return {"from": time_of(time.time_ns() // 1000 - span_us)}


def time_of(time_us):
    return np.datetime_as_string(np.datetime64(time_us, "us"), "s") + "Z"


def windows():
    """Return the heaviest queries about windows: the most of them, and the most rows for them."""
    return [
        {"window": "minute", **before((WINDOWS - 1) * MINUTE_US)},
        {"window": "hour", **before((WINDOWS - 1) * HOUR_US)},
        {"window": "month", **before(WINDOWS * DAY_US)},
    ]


def heaviest_of_loads():
    """Return those of consumption and load: quarters of hours, and two periods of hours."""
    quarters = {"window": "quarter_hour", **before((WINDOWS - 1) * MINUTE_US * 15)}
    now_us = time.time_ns() // 1000
    names = ("first_from", "first_to", "second_from", "second_to")
    spans = (2 * WINDOWS - 2, WINDOWS - 1, WINDOWS - 1, 0)
    ends = {name: time_of(now_us - n * HOUR_US) for name, n in zip(names, spans, strict=True)}
    questions = {
        "consumption": [quarters, *windows()[1:]],
        "load-curve": [quarters, windows()[1]],
        "power-factor": windows()[1:],
        "demand": [before(365 * DAY_US)],
        "standby": [before(WINDOWS * DAY_US)],
        # As many windows as three enterprises may have together.
        "online-monitoring": [before((WINDOWS // 3 - 1) * DAY_US)],
        "online-monitoring/file": [{"format": "xlsx", **before((WINDOWS // 3 - 1) * DAY_US)}],
        "comparison": [ends],
        "load-plan": [
            {"hours": 142, "price": [0.3] * 7 + [0.6] * 10 + [0.9] * 7},
            {"hours": 35, "minutes": 15, "green_share": 0.1},
        ],
        # As many windows as three members may have together.
        "industry": [{"product": "caustic", **before((WINDOWS // 3 - 1) * DAY_US)}],
    }
    return {f"get /api/v1/scopes/{{path}}/{name}": query for name, query in questions.items()}


def heaviest_of_books_and_senders():
    """Return those of what people enter, and of senders that the model does not know."""
    page, command = {"limit": 1000}, {"by": "ann"}
    return {
        "get /api/v1/contacts": [page],
        "post /api/v1/contacts/{contact}/propose": [command | {"scope": PLANT}],
        "post /api/v1/contacts/{contact}/adopt": [command | {"scope": PLANT}],
        "delete /api/v1/contacts/{contact}": [{"by": "ann"}],
        "post /api/v1/gateways/try": [
            {"topic": "park/v1/chiping/xinfa/gw", "payload": SENT},
            {"topic": "any", "payload": SENT, "layout": "flat"},
        ],
        "get /api/v1/book": [page | {"versions": "all"}],
        "get /api/v1/book/{value}": [{}],
        "post /api/v1/book": [
            command | {"tag": "luxi/B-REVENUE", "period": "2025-12", "value": 1, "note": "n" * 400}
        ],
        "post /api/v1/book/csv": [BOOK.encode()],
        "post /api/v1/book/{value}/correct": [command | {"value": 1, "reason": "r" * 400}],
        "post /api/v1/book/confirm": [command | {"ids": [1000]}],
    } | heaviest_of_reports()


def heaviest_of_baselines():
    """Return those of energy baselines, over as many of their windows as there may be."""
    one = "/api/v1/scopes/{path}/baselines/{baseline}"
    day, command = before(WINDOWS * HOUR_US), {"by": "ann"}
    span = {"start": day["from"], "end": before(0)["from"]}
    adjusted = span | {"amount_mwh": 1, "reason": "r" * 400}
    return {
        "get /api/v1/scopes/{path}/baselines": [{}],
        "get /api/v1/scopes/{path}/bridge": [
            before(WINDOWS // 2 * HOUR_US) | {"ageing": "true"},
            before(WINDOWS * DAY_US // 2 - DAY_US) | {"measure": "coal_equivalent"},
        ],
        "get /api/v1/scopes/{path}/forecast": [
            {"figure": figure, "horizon": "shift"}
            for figure in ("electricity", "demand", "chlorine_stock")
        ],
        f"get {one}": [day],
        f"post {one}/fit": [command | span],
        f"post {one}/adjust": [command | adjusted],
    }


def heaviest_of_reports():
    """Return those of reports, and of what was made anew."""
    command, page = {"by": "ann"}, {"limit": 1000}
    return {
        "get /api/v1/reports": [page],
        "get /api/v1/commands": [page],
        "get /api/v1/reports/{report}": [{"format": "pdf"}],
        "get /api/v1/reports/{report}/verification": [{}],
        "post /api/v1/reports/{report}/notes": [command | {"note": "n" * 400}],
        "get /api/v1/reports/{kind}/{path}": [
            {"period": period, "format": "pdf"} for period in ("2026", "2026-10")
        ],
        "post /api/v1/reports/{kind}/{path}": [command | {"period": "2025"}],
        "get /api/v1/scopes/{path}/restatements": [before(100 * DAY_US)],
    }


def heaviest_of_explanations():
    """Return those of what-ifs, and of figures that are explained."""
    actions = [{"scope": scope.id, "load": 0.5} for scope in PARK.scopes if scope.kind == "plant"]
    what_if = {"hours": 33, "step_s": 60, "actions": actions[:5]}
    energy = f"/api/v1/scopes/{SCOPE}/energy?{urlencode(windows()[1])}#/items/0"
    return {
        "post /api/v1/scenarios": [what_if],
        "get /api/v1/explain": [{"figure": energy}, {"figure": f"{energy}/kgce_per_t"}],
        "post /api/v1/explain": [
            {"figure": "/api/v1/scenarios#/variants/0/power_now_mw", "body": what_if}
        ],
    }


def heaviest():
    """Return the heaviest permitted questions of every operation of the OpenAPI document."""
    week = 7 * DAY_US
    page = {"limit": 1000}
    scoped = {
        f"get /api/v1/scopes/{{path}}/{subject}": windows()
        for subject in ("energy", "tariffs", "electrolysers", "chlorine", "byproducts", "symbiosis",
                        "loops", "balance", "heat", "meters", "catalogue", "catalogue/allocation")
    }  # fmt: skip
    # A minute of an outlet has no mean; charges are summed from minutes: not over months.
    year = {"window": "month", **before(365 * DAY_US)}
    scoped["get /api/v1/scopes/{path}/emissions"] = [windows()[1], year]
    scoped |= {f"get /api/v1/scopes/{{path}}/{s}": [{}] for s in ("catalogue/matches", "retrofit")}
    scoped["get /api/v1/scopes/{path}/maturity"] = [{}, before(100 * DAY_US)]
    scoped["get /api/v1/scopes/{path}/benchmark"] = [{}, before(1_400 * DAY_US)]
    scoped["get /api/v1/scopes/{path}/catalogue/ledger"] = [before(WINDOWS * DAY_US)]
    scoped["get /api/v1/scopes/{path}/evaluation"] = [{}, {"year": 2025}, {"year": 2198}]
    scoped["get /api/v1/scopes/{path}/totals/ledger"] = [{}]
    scoped["get /api/v1/scopes/{path}/totals"] = [{}, {"year": 2025, "rate": "newest"}]
    scoped |= heaviest_of_baselines() | heaviest_of_loads()
    scoped["get /api/v1/scopes/{path}/electrolysers"] = windows()[:2]
    scoped["get /api/v1/scopes/{path}/emissions/products"] = windows()[1:]
    scoped["get /api/v1/scopes/{path}/electrolysers/ageing"] = [before(1_400 * DAY_US)]
    command, now_us = {"by": "ann"}, time.time_ns() // 1000
    return (
        scoped
        | heaviest_of_books_and_senders()
        | heaviest_of_explanations()
        | {
            "get /api/v1/park": [{}],
            "get /api/v1/tags": [page | {"q": "a"}],
            "get /api/v1/latest": [{}],
            "get /api/v1/live": [{}],
            "get /api/v1/history": [
                {"tag": "xinfa/FI-1201", "points": 10_000, **before(span_us)}
                for span_us in (50_000 * SECOND_US, 100 * DAY_US, 7_319 * DAY_US)
            ],
            "get /api/v1/scopes/{path}/detections": [page | before(week)],
            "get /api/v1/alarms": [page | {"state": "all"}],
            "get /api/v1/alarms/journal": [page | before(100 * DAY_US)],
            "get /api/v1/alarms/summary": [before(100 * DAY_US - HOUR_US)],
            "post /api/v1/alarms/{alarm}/ack": [command],
            "post /api/v1/alarms/{alarm}/shelve": [command | {"minutes": 480, "reason": "r" * 200}],
            "post /api/v1/alarms/{alarm}/unshelve": [command],
            "get /api/v1/commands/{command}": [{}],
            "get /api/v1/targets": [before(31 * DAY_US), before(1_400 * DAY_US)],
            "get /api/v1/scenarios": [{}],
            "get /api/v1/quarantine": [page],
            "post /api/v1/quarantine/{enterprise}/{tag}/adopt": [
                command | {"scope": PLANT, "quantity": "mass_flow", "uom": "t/h"}
            ],
            "post /api/v1/quarantine/{enterprise}/{tag}/release": [command | {"reason": "future"}],
            "delete /api/v1/quarantine/{enterprise}/{tag}": [{"by": "ann"}],
            "get /api/v1/rejects": [page],
            "post /api/v1/rejects/replay": [command | {"ids": list(range(1, 10_001))}],
            "delete /api/v1/rejects": [{"by": "ann", "id": list(range(1, 101))}],
            "post /api/v1/unit-errors/{error}/dismiss": [command],
            "post /api/v1/unit-errors/{error}/rescale": [command],
            "get /api/v1/registers/falls": [{}],
            "post /api/v1/registers/replace": [
                command | {"tag": "xinfa/JQI-1001", "time": time_of(now_us), "last": 9, "first": 1}
            ],
            "post /api/v1/registers/falls/{fall}/dismiss": [command],
            "get /livez": [{}],
            "get /readyz": [{}],
            "get /metrics": [{}],
            "get /api/v1/health/data": [{}],
        }
    )


NAMES = {
    "path": SCOPE, "alarm": "none", "command": "1", "enterprise": "xinfa", "tag": "NO-7",
    "error": "1", "fall": "1", "contact": "1", "value": "1", "baseline": "luxi-ammonia-steam",
    "kind": "park", "report": "1",
}  # fmt: skip
# Of an alarm, a command or an error that is not there, and of a future that holds nothing.
# A baseline has no model here, and no energy that varies.
ABSENT = (
    "{alarm}", "{baseline}", "{contact}", "{command}", "{error}", "{fall}", "{report}", "release",
)  # fmt: skip


async def ask(client, operation, question):
    """Return the status of an answer, read to its end."""
    method, path = operation.split()
    url = path.format(**NAMES)
    given = {"json": question} if method == "post" else {"params": question}
    if isinstance(question, bytes):
        given = {
            "content": question,
            "params": {"by": "ann"},
            "headers": {"content-type": "text/csv"},
        }
    async with client.stream(method.upper(), url, **given) as answer:
        if path.endswith("/live"):
            await anext(answer.aiter_bytes())
        else:
            await answer.aread()
    return answer.status_code


@pytest.fixture
def demo_folder(tmp_path):
    """The demonstration park with one more enterprise."""
    folder = shutil.copytree(FOLDER, tmp_path / "liaocheng")
    for name, more in (("park.toml", OTHER), ("tags.csv", OTHER_TAG)):
        with (folder / name).open("a", encoding="utf-8") as file:
            file.write(more)
    return folder


async def fill(database):
    """Store values of every measured tag: minutes, hours and days of 1,500 windows, and samples."""
    db = await asyncpg.connect(database)
    now_us = time.time_ns() // 1000
    displayed = observe(sensors_of(), now_us - np.arange(240)[::-1] * HOUR_US)
    ids = dict(await db.fetch("SELECT enterprise || '/' || tag, tag_id FROM park.tag"))
    tag_id = np.array([ids[tag.address] for tag in PARK.tags])
    scale, shift = np.array([(tag.scale, tag.shift) for tag in PARK.tags]).T
    value = displayed * scale + shift
    for table in ("minute", "hour", "day"):
        span_us = {"minute": MINUTE_US, "hour": HOUR_US, "day": DAY_US}[table] * WINDOWS
        times = edges(table, now_us - span_us, now_us, PARK.timezone)
        await store(db, table, tag_id, value, times)
    times = now_us // SECOND_US * SECOND_US - np.arange(49_000) * SECOND_US
    count = len(times)
    one = np.full(count, ids["xinfa/FI-1201"])
    columns = times, np.linspace(8, 9, count), times, one, np.zeros(count, np.int64)
    await copy_rows(db, "sample", SAMPLE, columns)
    await db.execute(PAGES)
    await db.close()


async def store(db, table, tag_id, value, times):
    """Store a rollup of tags at the edges of windows, from the values of some hours in turn."""
    count, tags = len(times) - 1, len(tag_id)
    level = value[np.arange(count) % len(value)].T.ravel()
    covered_s = np.tile(np.diff(times) / SECOND_US, tags)
    columns = (
        np.tile(times[:-1], tags), level * covered_s, covered_s, level, level, level,
        np.repeat(tag_id, count), np.ones(tags * count), np.zeros(tags * count),
    )  # fmt: skip
    await copy_rows(db, table, MINUTE, columns)


async def copy_rows(db, table, kinds, columns):
    async def pieces():
        for piece in copy.pieces(tuple(kinds.values()), columns):
            yield piece

    await db.copy_to_table(
        table, schema_name="park", columns=list(kinds), source=pieces(), format="binary"
    )


@pytest.mark.long
async def test_no_permitted_question_holds_up_the_live_feed(
    services, database, demo_folder, tmp_path
):
    async with attacked_park(services, database, demo_folder, tmp_path) as park:
        await fill(database)
        async with httpx.AsyncClient(base_url=park.base_url, timeout=60) as client:
            document = (await client.get("/openapi.json")).json()
            operations = {
                f"{method} {path}" for path, each in document["paths"].items() for method in each
            }
            questions = heaviest()
            assert set(questions) == operations, "a route without its heaviest question, or gone"
            refused = []
            async with park.witness("chiping") as seen:
                for operation, each in questions.items():
                    for question in each:
                        status = await ask(client, operation, question)
                        if status >= 400 and not any(part in operation for part in ABSENT):
                            refused.append((operation, question, status))
        assert not refused, refused
        seen.require(stored_s=3.0, feed_s=1.0, livez_s=0.1, api_mb=400)


@pytest.mark.long
async def test_many_heavy_questions_at_once_do_not_either(
    services, database, demo_folder, tmp_path
):
    async with attacked_park(
        services, database, demo_folder, tmp_path, calculations_client_max=MINE
    ) as park:
        await fill(database)
        path = f"/api/v1/scopes/{SCOPE}/balance"
        statuses = Counter()

        async def crowd(host):
            transport = httpx.AsyncHTTPTransport(
                local_address=host, limits=httpx.Limits(max_connections=40)
            )
            async with httpx.AsyncClient(
                base_url=park.base_url, transport=transport, timeout=60
            ) as client:
                answers = await asyncio.gather(
                    *(client.get(path, params={"window": "minute", **before(n * MINUTE_US)})
                      for n in range(WINDOWS - MINE - 3, WINDOWS)),
                )  # fmt: skip
                statuses.update(answer.status_code for answer in answers)

        async with park.witness("chiping") as seen:
            await asyncio.wait_for(asyncio.gather(*map(crowd, ("127.0.0.1", "127.0.0.2"))), 120)
        assert statuses[200] > 0, statuses
        assert statuses[429] == 2 * 3
        assert set(statuses) <= {200, 429}
        seen.require(stored_s=3.0, feed_s=1.0, livez_s=0.1, api_mb=1_000)
