"""The console in a real browser, on the real stack: what it shows is what is stored."""

import asyncio
import re
import time
from datetime import datetime, timedelta

import asyncpg
import httpx
import pytest
from playwright.async_api import async_playwright, expect

from deploy import packages
from deploy.service import free_port
from tests.services.test_services import running, until_ready
from twin.loading import load_park

PARK = "deploy/parks/liaocheng"
CHROMIUM = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
            "--disable-component-update", "--disable-sync"]  # fmt: skip
ANY_COUNT = re.compile(r"\d+")
expect.set_options(timeout=20_000)
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


@pytest.fixture(scope="session")
def chromium():
    """The path of Debian's Chromium."""
    packages.ensure("chromium", "fonts-noto-cjk")
    return "/usr/bin/chromium"


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


async def wait_for(condition, seconds, what):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if await condition():
            return
        await asyncio.sleep(0.3)
    raise AssertionError(f"{what} did not happen within {seconds} s")


async def test_the_overview_shows_what_is_stored(services, database, chromium, tmp_path):
    environment = {
        "PARKTWIN_DATABASE_URL": database,
        "PARKTWIN_MQTT_URL": services.mqtt_url,
        "PARKTWIN_PARK": PARK,
        "PARKTWIN_CLIENT_ID": "test-console",
        "PARKTWIN_SESSION_EXPIRY_S": "60",
        "PARKTWIN_HTTP_PORT": str(free_port()),
        "PARKTWIN_HISTORY_H": "2",
    }
    base = f"http://127.0.0.1:{environment['PARKTWIN_HTTP_PORT']}"
    with (tmp_path / "programs.log").open("w") as log:
        async with (
            running("ingest", environment, log),
            running("api", environment, log),
            httpx.AsyncClient(base_url=base, timeout=20) as client,
        ):
            await until_ready(client)
            await let_the_hour_turn()
            async with running("simulators", environment, log):
                row = await last_full_hour(client)
                db = await asyncpg.connect(database)
                start, end = (datetime.fromisoformat(row[k]) for k in ("start", "end"))
                tonnes, kwh = await caustic_by_hand(db, start, end)
                await db.close()
                assert row["mass_t"] == pytest.approx(tonnes, rel=1e-9)
                assert row["energy_kwh"] == pytest.approx(kwh, rel=1e-9)
                assert row["kwh_per_t"] == pytest.approx(kwh / tonnes, rel=1e-9)
                async with async_playwright() as playwright:
                    browser = await playwright.chromium.launch(
                        executable_path=chromium, args=CHROMIUM
                    )
                    page = await browser.new_page(viewport={"width": 1920, "height": 1080})
                    errors = []
                    page.on("pageerror", lambda error: errors.append(str(error)))
                    await page.goto(base)
                    verdict = await verdict_of(client, row)
                    await look(page, row, verdict)
                    await page.screenshot(path=tmp_path / "overview.png")
                    await look_for_detections(page, database, tmp_path, verdict)
                    await page.screenshot(path=tmp_path / "detections.png")
                    await look_for_unit_errors(page, database)
                    await browser.close()
                    assert errors == []


async def let_the_hour_turn():
    """Wait when the hour is nearly over: the last full one then stays the same to the end."""
    left = 3600 - time.time() % 3600
    if left < 120:
        await asyncio.sleep(left + 1)


async def last_full_hour(client):
    """Wait until the history is in; return caustic's energy row of the last full hour."""
    found = {}

    async def complete():
        answer = await client.get("/api/v1/scopes/liaocheng/energy", params={"window": "hour"})
        rows = [r for r in answer.json()["items"] if r["product"] == "caustic"]
        full = [r for r in rows if datetime.fromisoformat(r["end"]).timestamp() < time.time()]
        if full and full[-1]["completeness"] == 1.0:
            found["row"] = full[-1]
        return "row" in found

    await wait_for(complete, 60, "a complete hour of caustic")
    return found["row"]


async def verdict_of(client, row):
    """Return what the balance check says of an hour: one of twenty sound ones does not close."""
    answer = await client.get("/api/v1/scopes/liaocheng/balance", params={"window": "hour"})
    (hour,) = (item for item in answer.json()["items"] if item["start"] == row["start"])
    assert hour["dof"] == 15
    return "closes" if hour["consistent"] else "opens"


async def look(page, row, verdict):
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

    await wait_for(moved, 15, f"a new value of {tag}")
    assert await page.locator("[data-testid=simulated-mark]").is_visible()
    tile = page.locator("[data-testid=energy-tile-caustic]")

    async def shown():
        text = (await tile.inner_text()).replace(",", "")
        numbers = [float(n) for n in re.findall(r"\d+(?:\.\d+)?", text)]
        return all(
            any(n == pytest.approx(row[index], rel=2e-3) for n in numbers)
            for index in ("kgce_per_t", "kwh_per_t")
        )

    await wait_for(shown, 15, f"a tile of {row['kgce_per_t']} kgce/t, {row['kwh_per_t']} kWh/t")
    await expect(page.locator("[data-testid=chlorine-ribbon] svg path").nth(10)).to_be_attached()
    await expect(page.locator("[data-testid=trend] canvas")).to_have_count(1)
    await expect(page.locator("[data-testid=alarms]")).to_have_attribute("data-count", ANY_COUNT)
    check = page.locator("[data-testid=balance-check]")
    await expect(check).to_have_attribute("data-verdict", verdict)
    await check.click()
    table = page.locator("[data-testid=balance-check-table]")
    await expect(table.locator("tbody tr").nth(20)).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(table).to_be_hidden()
    html = page.locator("html")
    await expect(html).to_have_attribute("lang", "zh-CN")
    await page.locator("[data-testid=lang-toggle]").click()
    await expect(html).to_have_attribute("lang", "en")
    await expect(page.locator("[data-testid=simulated-mark]")).to_contain_text("SIMULATED")


async def look_for_detections(page, database, pictures, verdict):
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
    await db.close()
    await page.reload()
    detection = check.locator("[data-testid=detection]")
    await detection.wait_for(timeout=20_000)
    text = await detection.inner_text()
    assert re.fullmatch(r"▲ since \d\d:\d\d xinfa/FI-1201 \+4\.10 t/h\? or xinfa/FI-1203", text)
    await expect(check).to_have_attribute("data-verdict", verdict)
    await page.screenshot(path=pictures / "suspect.png")
    await check.click()
    rows = page.locator("[data-testid=detections] tbody tr")
    await expect(rows).to_have_count(2)
    assert [("▲" in text, "+4.10 t/h" in text) for text in await rows.all_inner_texts()] == [
        (True, True),
        (False, True),
    ]


async def look_for_unit_errors(page, database):
    """A suspected unit error is named in the health of the data until somebody answers."""
    db = await asyncpg.connect(database)
    await db.execute(
        "INSERT INTO park.unit_error (tag_id, since, last, samples, factor, shift, level, spread,"
        " state) SELECT tag_id, now() - interval '9 h', now() - interval '8 h', 1800, 1 / 3.6, 0,"
        " 10, 0.01, 'ended' FROM park.tag WHERE tag = 'FI-1201'"
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

    await wait_for(is_answered, 10, "an answer")
    await db.close()
