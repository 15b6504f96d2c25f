"""The console in a real browser, on the real stack: what it shows is what is stored."""

import re
import signal
import time
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from functools import partial

import asyncpg
import httpx
import pytest
from playwright.async_api import expect

from deploy.service import free_port
from tests.support.browser import chromium
from tests.support.programs import is_ready, running
from tests.support.waiting import until
from twin.loading import load_park

PARK = "deploy/parks/liaocheng"
ANY_COUNT = re.compile(r"\d+")
# Held values times the seconds they held, inside one hour: what minutes and tiles must say.
INTEGRAL = """
SELECT sum(value * extract(epoch FROM least(until, $3) - greatest(time, $2)))
FROM (SELECT time, value, coalesce(lead(time) OVER (ORDER BY time), $3::timestamptz) AS until
      FROM park.sample
      WHERE tag_id = $1 AND time > $2::timestamptz - interval '5 min' AND time < $3) held
WHERE until > $2
"""
# The increase of a counter between two full hours; the simulator's history has a sample at each.
INCREASE = """
SELECT (SELECT value FROM park.sample WHERE tag_id = $1 AND time = $3)
     - (SELECT value FROM park.sample WHERE tag_id = $1 AND time = $2)
"""


async def amount(db, ids, tag, start, end):
    """Return the SI amount of a tag over one hour from its raw samples."""
    statement = INCREASE if tag.kind == "counter" else INTEGRAL
    return await db.fetchval(statement, ids[tag.address], start, end)


async def caustic_by_hand(db, start, end):
    """Return (t, kWh) of caustic over one hour, by SQL on the raw samples only."""
    park = load_park(PARK)
    rows = await db.fetch("SELECT enterprise || '/' || tag AS address, tag_id FROM park.tag")
    ids = {row["address"]: row["tag_id"] for row in rows}
    tags = {tag.address: tag for tag in park.tags}
    plants = {p.scope: tags[p.tag] for p in park.products if p.id == "caustic"}
    mass = [await amount(db, ids, tag, start, end) for tag in plants.values()]
    meters = [
        tags[m.tag]
        for m in park.meters
        if m.carrier == "electricity" and m.basis != "DC"
        and any(m.scope == s or m.scope.startswith(s + "/") for s in plants)
    ]  # fmt: skip
    energy = [await amount(db, ids, tag, start, end) for tag in meters]
    assert meters
    return sum(mass) / 1000, sum(energy) / 3.6e6


async def test_the_overview_shows_what_is_stored(services, database, tmp_path):
    environment = {"PARKTWIN_DATABASE_URL": database, "PARKTWIN_MQTT_URL": services.mqtt_url,
                   "PARKTWIN_PARK": PARK, "PARKTWIN_CLIENT_ID": "test-console",
                   "PARKTWIN_SESSION_EXPIRY_S": "60", "PARKTWIN_HTTP_PORT": str(free_port()),
                   "PARKTWIN_LIVE_CLIENTS_HOST_MAX": "3",
                   # What the test stores is seen by the next question, not by one in 30 s.
                   "PARKTWIN_ANSWER_KEPT_S": "0",
                   "PARKTWIN_HISTORY_H": "2", "OPENBLAS_NUM_THREADS": "1"}  # fmt: skip
    base = f"http://127.0.0.1:{environment['PARKTWIN_HTTP_PORT']}"
    with (tmp_path / "programs.log").open("w") as log:
        async with (
            running("ingest", environment, log),
            running("api", environment, log),
            httpx.AsyncClient(base_url=base, timeout=20) as client,
        ):
            await until(lambda: is_ready(client), 30)
            async with running("simulators", environment, log) as simulator:
                row = await until(partial(full_hour, client, "energy", "caustic"), 60)
                db = await asyncpg.connect(database)
                start, end = (datetime.fromisoformat(row[k]) for k in ("start", "end"))
                tonnes, kwh = await caustic_by_hand(db, start, end)
                await db.close()
                assert row["mass_t"] == pytest.approx(tonnes, rel=1e-9)
                assert row["energy_kwh"] == pytest.approx(kwh, rel=1e-9)
                assert row["kwh_per_t"] == pytest.approx(kwh / tonnes, rel=1e-9)
                async with chromium() as browser:
                    page = await browser.new_page(viewport={"width": 1920, "height": 1080})
                    errors = []
                    page.on("pageerror", lambda error: errors.append(str(error)))
                    page.on("console", lambda message: errors.extend(refused(message.text)))
                    await page.goto(base)
                    await look(page, client)
                    await page.screenshot(path=tmp_path / "overview.png")
                    await look_for_detections(page, client, database, tmp_path)
                    await page.screenshot(path=tmp_path / "detections.png")
                    await look_for_unit_errors(page, database)
                    await look_for_silence(page, simulator)
                    await look_for_a_refused_feed(browser, client, base)
                    assert errors == []


def refused(text):
    """Return a message of the browser about what the policy of the api forbids the console."""
    return [text] if "Content Security Policy" in text else []


async def full_hour(client, question, product):
    """Return the row of the last full hour, of one product; None before it is complete."""
    query = {"window": "hour", "from": (datetime.now(UTC) - timedelta(hours=2)).isoformat()}
    answer = await client.get(f"/api/v1/scopes/liaocheng/{question}", params=query)
    rows = [row for row in answer.json()["items"] if row.get("product") == product]
    full = [row for row in rows if datetime.fromisoformat(row["end"]).timestamp() < time.time()]
    return full[-1] if full and full[-1]["completeness"] == 1.0 else None


async def verdict_of(client):
    """Return what the balance check says of the last full hour: one of twenty does not close."""
    hour = await full_hour(client, "balance", None)
    assert hour is None or hour["dof"] == 15
    return hour and ("closes" if hour["consistent"] else "opens")


async def shows_the_verdict(check, client):
    return await check.get_attribute("data-verdict") == await verdict_of(client)


async def look(page, client):
    """Hold the screen to the data: values move, tiles equal the API, marks and languages work."""
    live = page.locator("[data-testid=live-value][data-time]").first
    await live.wait_for(timeout=20_000)
    connection = page.locator("[data-testid=connection]")
    await expect(connection).to_have_attribute("data-state", "connected")
    tag = await live.get_attribute("data-tag")
    before = int(await live.get_attribute("data-time"))
    value = page.locator(f'[data-testid=live-value][data-tag="{tag}"]').first

    async def moved():
        return int(await value.get_attribute("data-time")) > before

    await until(moved, 15)
    assert await page.locator("[data-testid=simulated-mark]").is_visible()
    tile = page.locator("[data-testid=energy-tile-caustic]")

    async def shows_the_last_hour():
        row = await full_hour(client, "energy", "caustic")
        text = (await tile.inner_text()).replace(",", "")
        numbers = [float(n) for n in re.findall(r"\d+(?:\.\d+)?", text)]
        return row and all(
            any(n == pytest.approx(row[index], rel=2e-3) for n in numbers)
            for index in ("kgce_per_t", "kwh_per_t")
        )

    # When the hour turns, the console follows at its next poll.
    await until(shows_the_last_hour, 60)
    await expect(page.locator("[data-testid=chlorine-ribbon] svg path").nth(10)).to_be_attached()
    await expect(page.locator("[data-testid=trend] canvas")).to_have_count(1)
    await expect(page.locator("[data-testid=alarms]")).to_have_attribute("data-count", ANY_COUNT)
    check = page.locator("[data-testid=balance-check]")
    await until(partial(shows_the_verdict, check, client), 60)
    # The figures of the test are for those who look after meters.
    await expect(page.locator("main")).not_to_contain_text("χ²")
    await check.click()
    table = page.locator("[data-testid=balance-check-table]")
    await expect(table).to_contain_text("χ²")
    await expect(table.locator("tbody tr").nth(20)).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(table).to_be_hidden()
    await page.locator("[data-testid=junctions]").click()
    junctions = page.locator("[data-testid=junction-table]")
    answer = (await client.get("/api/v1/scopes/liaocheng/meters")).json()
    names = {row["junction"] for row in answer["items"]}
    assert len(names) == 6
    await expect(junctions.locator("tbody tr")).to_have_count(len(names))
    await page.keyboard.press("Escape")
    await expect(junctions).to_be_hidden()
    html = page.locator("html")
    await expect(html).to_have_attribute("lang", "zh-CN")
    await page.locator("[data-testid=lang-toggle]").click()
    await expect(html).to_have_attribute("lang", "en")
    await expect(page.locator("[data-testid=simulated-mark]")).to_contain_text("SIMULATED")


async def look_for_detections(page, client, database, pictures):
    """Current detections stand above the verdict of the last hour; those of a week, behind it."""
    check = page.locator("[data-testid=balance-check]")
    assert await check.locator("[data-testid=detection]").count() == 0
    db = await asyncpg.connect(database)
    for hours, streams in ((1, ["xinfa-cl2-main", "xinfa-cl2-hcl"]), (30, ["luxi-cl2-hcl"])):
        await db.execute(
            "INSERT INTO park.detection VALUES (now() - $1::interval, 'chlorine',"
            " now() - $1::interval - interval '5 min', $2, '{}', 4.1 / 3.6, 7)",
            timedelta(hours=hours),
            streams,
        )
    await db.execute(
        "INSERT INTO park.held_back VALUES ('chlorine', now() - interval '40 min',"
        " now() - interval '20 min', 9, '{xinfa-cl2-main,xinfa-cl2-hcl}', 8)"
    )
    await db.close()
    await page.reload()
    detection = check.locator("[data-testid=detection]")
    await detection.wait_for(timeout=20_000)
    text = await detection.inner_text()
    pattern = r"▲ Chlorine gas: since \d\d:\d\d xinfa/FI-1201 \+4\.10 t/h\? or xinfa/FI-1203"
    assert re.fullmatch(pattern, text)
    await until(partial(shows_the_verdict, check, client), 60)
    await page.screenshot(path=pictures / "suspect.png")
    await check.click()
    rows = page.locator("[data-testid=detections] tbody tr")
    await expect(rows).to_have_count(2)
    assert [("▲" in text, "+4.10 t/h" in text) for text in await rows.all_inner_texts()] == [
        (True, True),
        (False, True),
    ]
    held = await page.locator("[data-testid=held-back]").inner_text()
    assert held.startswith("Not steady, tests held back, last: ")
    assert held.endswith("Chlorine gas: xinfa/FI-1201; xinfa/FI-1203")
    # The address says that the dialog is open: behind it nothing can be used, also after a reload.
    await page.keyboard.press("Escape")
    await expect(page.locator("[data-testid=detections]")).to_be_hidden()


async def look_for_a_refused_feed(browser, client, base):
    """A console beyond the limit of its machine says why it has no live values, and gets some."""
    async with AsyncExitStack() as held:
        for _ in range(2):
            await held.enter_async_context(client.stream("GET", "/api/v1/live"))
        page = await browser.new_page()
        await page.goto(base)
        refusal = page.locator("[data-testid=refusal]")
        await expect(refusal).to_have_text(re.compile("本机的实时连接数已达上限.*3"))
        await page.locator("[data-testid=lang-toggle]").click()
        await expect(refusal).to_contain_text("this machine has all the live connections")
    await expect(refusal).to_have_count(0)
    connection = page.locator("[data-testid=connection]")
    await expect(connection).to_have_attribute("data-state", "connected")


async def look_for_silence(page, simulator):
    """Stop all gateways: within ten seconds nothing looks live any more, and alarms say so."""
    old, tank = page.locator("[data-testid=old-values]"), page.locator(".tank.old").first
    await expect(old).to_have_count(0)
    simulator.send_signal(signal.SIGSTOP)
    try:
        await expect(old).to_be_visible(timeout=10_000)
        await expect(page.locator("[data-testid=live-value].stale").first).to_be_visible()
        await expect(page.locator("path.old").first).to_be_attached()
        await expect(tank).to_be_visible()
        silent = page.get_by_text("网关无数据").or_(page.get_by_text("A gateway is silent"))
        await expect(silent.first).to_be_visible(timeout=10_000)
    finally:
        simulator.send_signal(signal.SIGCONT)
    await expect(old).to_have_count(0)


async def look_for_unit_errors(page, database):
    """A suspected unit error is named in the health of the data until somebody answers."""
    db = await asyncpg.connect(database)
    await db.execute(
        "INSERT INTO park.unit_error (tag_id, since, last, samples, factor, shift, level, spread,"
        " state) SELECT tag_id, now() - interval '9 h', now() - interval '8 h', 1800, 1 / 3.6, 0,"
        " 10, 0.01, 'ended' FROM park.tag WHERE (enterprise, tag) = ('xinfa', 'FI-1201')"
    )
    await page.reload()
    listed = page.locator("[data-testid=unit-errors] tbody")
    await expect(listed).to_contain_text(re.compile(r"xinfa/FI-1201.*1,800.*36\.00 t/h.*÷ 3\.6"))
    await page.locator("[data-testid=unit-errors] h3 input").fill("ann")
    await listed.get_by_test_id("dismiss").click()
    await listed.locator("form input").fill("half of the cells are down")
    await listed.get_by_test_id("confirm").click()
    await expect(listed).to_have_count(0)

    async def is_answered():
        return await db.fetchval("SELECT answer = 'dismiss' FROM park.unit_error")

    await until(is_answered, 10)
    await db.close()
