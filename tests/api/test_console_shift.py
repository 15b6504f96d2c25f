"""A shift at the console: a plant trips, values are mended, the past is seen, programs restart."""

import re
import time
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime

import asyncpg
import httpx
import pytest
from playwright.async_api import expect

from deploy.service import free_port
from tests.support.browser import chromium, new_page
from tests.support.programs import is_ready, program, running, stop
from tests.support.waiting import until

PARK = "deploy/parks/liaocheng"
FULL = "xinfa/margin.time_to_full.caustic.liquid-chlorine"
METER = "xinfa/FI-1201"
UNIT_ERROR = """
INSERT INTO park.unit_error (tag_id, since, last, samples, factor, shift, level, spread, state)
SELECT tag_id, now() - interval '30 min', now() - interval '20 min', 600, 1 / 3.6, 0, 10, 0.01,
       'ended'
FROM park.tag WHERE (enterprise, tag) = ('xinfa', 'FI-1201')
"""
RESTARTED = ("ingest", "api")


class Programs:
    """The programs of a park, which a test may end and start again."""

    def __init__(self, environment, log):
        self.environment, self.log = environment, log
        self.processes = {}

    def start(self, module):
        self.processes[module] = program(module, self.environment, self.log)

    def stop(self, module):
        stop(self.processes.pop(module))

    def __iter__(self):
        return iter(tuple(self.processes))


@asynccontextmanager
async def programs_of(environment, log):
    """Programs without one that runs; those that run at the end are stopped."""
    programs = Programs(environment, log)
    try:
        yield programs
    finally:
        for module in programs:
            programs.stop(module)


@pytest.fixture
async def shift(services, database, tmp_path):
    """The address of the console, its programs and a browser; one plant trips after a minute."""
    port = free_port()
    environment = {"PARKTWIN_DATABASE_URL": database, "PARKTWIN_MQTT_URL": services.mqtt_url,
                   "PARKTWIN_PARK": PARK, "PARKTWIN_CLIENT_ID": "test-shift",
                   "PARKTWIN_SESSION_EXPIRY_S": "60", "PARKTWIN_HTTP_PORT": str(port),
                   "PARKTWIN_HISTORY_H": "4", "PARKTWIN_SCENARIO": "chlorine-user-trip",
                   "PARKTWIN_EVENTS": "live", "OPENBLAS_NUM_THREADS": "1"}  # fmt: skip
    base = f"http://127.0.0.1:{port}"
    async with AsyncExitStack() as stack:
        log = stack.enter_context((tmp_path / "programs.log").open("w"))
        programs = await stack.enter_async_context(programs_of(environment, log))
        for module in RESTARTED:
            programs.start(module)
        client = await stack.enter_async_context(httpx.AsyncClient(base_url=base, timeout=20))
        await until(lambda: is_ready(client), 120)
        await stack.enter_async_context(running("simulators", environment, log))

        async def is_of_now():
            answer = await client.get("/api/v1/latest", params={"tag": METER})
            newest = answer.json()["items"][0]["time"]
            return newest and time.time() - datetime.fromisoformat(newest).timestamp() < 30

        await until(is_of_now, 120)  # the simulated past has been stored
        browser = await stack.enter_async_context(chromium())
        yield base, programs, browser


async def test_a_shift_at_the_console(shift, database):
    base, programs, browser = shift
    page = await new_page(browser, "en", viewport={"width": 1920, "height": 1080})
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    await rescale_a_meter(page, base, database)
    await zoom_a_trend(page, base)
    await look_at_the_past(page, base)
    await download_a_report(page, base)
    await answer_a_trip(page, base)
    await outlive_restarts(page, base, programs)
    assert errors == []


async def answer_a_trip(page, base):
    """A trip of a user of chlorine: its alarm, the countdown, and on to what a cut would help."""
    await page.goto(f"{base}/overview")
    strip = page.locator("[data-testid=alarm-strip]")
    await expect(strip).to_contain_text("Liquid-chlorine tanks will be full", timeout=300_000)
    await page.goto(f"{base}/alarms?alarm={FULL}.low")
    details = page.locator("[data-testid=alarm-details]")
    await expect(details.locator(".value")).to_contain_text(re.compile(r"^\s*(1\d|2[0-4])\.\d+ h"))
    await details.locator("[data-testid=ack]").click()
    await expect(details.locator("[data-testid=ack]")).to_have_count(0)
    await details.get_by_role("button", name="How the value was calculated").click()
    drawer = page.locator("[data-testid=explanation]")
    await expect(drawer.locator("dt").first).to_be_visible()
    await expect(drawer.locator("table tbody tr").first).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(drawer).to_be_hidden()
    await details.locator("[data-testid=to-what-if]").click()
    form = page.locator("[data-testid=what-if]")
    await expect(form.locator("select").first).to_have_value(re.compile("^liaocheng/chiping/xinfa"))
    await form.locator("button[type=submit]").click()
    await expect(form.locator("[data-testid=what-if-result]")).to_be_visible()


async def rescale_a_meter(page, base, database):
    """Values in the wrong unit wait on the data desk until somebody says what they were."""
    db = await asyncpg.connect(database)
    await db.execute(UNIT_ERROR)
    await page.goto(f"{base}/desk")
    listed = page.locator("[data-testid=unit-errors] tbody")
    await expect(listed).to_contain_text(METER)
    await listed.get_by_test_id("rescale").click()
    await listed.locator("form input").first.fill("the gateway sent m3/h")
    await listed.get_by_test_id("confirm").click()
    await expect(listed).to_have_count(0)

    async def is_answered():
        return await db.fetchval("SELECT answer = 'rescale' FROM park.unit_error")

    await until(is_answered, 30)
    await db.close()


async def zoom_a_trend(page, base):
    """The plus key halves the period; the curve is asked anew and has finer samples."""
    await page.goto(f"{base}/trends?tag={METER}&from=-8h")
    row = page.locator("[data-testid=pens] tbody tr").first
    await expect(row).to_contain_text(METER)
    await expect(row).to_contain_text(re.compile("buckets of|minutes"))
    plot = page.locator("[data-testid=plot]")
    await expect(plot.locator("canvas")).to_have_count(1)
    await plot.focus()
    for _ in range(6):
        before = page.url
        await page.keyboard.press("+")
        await page.wait_for_function("(before) => location.href !== before", arg=before)
    await expect(row).to_contain_text("raw samples")
    await page.go_back()
    assert page.url == before


async def look_at_the_past(page, base):
    """The time cursor shows every page as it was; back to live it moves on."""
    await page.goto(f"{base}/overview")
    value = page.locator(f'[data-testid=live-value][data-tag="{METER}"]').first
    await expect(value).to_be_visible()
    live = int(await value.get_attribute("data-time"))
    await page.locator("[data-testid=time-open]").click()
    await page.get_by_role("button", name="−10 min").click()
    await expect(page.locator("[data-testid=past]")).to_be_visible()
    await page.wait_for_function(
        "([tag, live]) => Number(document.querySelector(`[data-testid=live-value]"
        "[data-tag='${tag}']`)?.dataset.time ?? live) < live - 500_000",
        arg=[METER, live],
    )
    await page.locator("[data-testid=rail] a[href*=chlorine]").click()
    await expect(page.locator("[data-testid=past]")).to_be_visible()
    assert "at=" in page.url
    room = page.locator("[data-figure-address$='#/now/headroom_t']")
    address = await room.get_attribute("data-figure-address")
    assert "at=" in address
    then = (await (await page.request.get(base + address.partition("#")[0])).json())["now"]
    await expect(room).to_contain_text(f"{then['headroom_t']:,.0f}")
    await page.locator("[data-testid=time-open]").click()
    await page.locator("[data-testid=moment-live]").click()
    await expect(page.locator("[data-testid=past]")).to_have_count(0)


async def download_a_report(page, base):
    """A shift log is looked at and taken along as a file."""
    await page.goto(f"{base}/reports?scope=liaocheng/chiping/xinfa")
    await page.locator("[data-testid=report-kind]").select_option("shift")
    await page.locator("[data-testid=report-preview]").click()
    await expect(page.locator("[data-testid=report-body] table").first).to_be_visible()
    async with page.expect_download() as coming:
        await page.locator("[data-testid=report-files]").get_by_text("XLSX").click()
    file = await (await coming.value).path()
    assert file.read_bytes().startswith(b"PK")


async def outlive_restarts(page, base, programs):
    """The console says that a program is away, and goes on by itself when it is back."""
    await page.goto(f"{base}/overview")
    connection = page.locator("[data-testid=connection]")
    old = page.locator("[data-testid=old-values]")
    await expect(connection).to_have_attribute("data-state", "connected")
    await expect(old).to_have_count(0)
    for module in RESTARTED:
        programs.stop(module)
        away = expect(connection)
        await away.not_to_have_attribute("data-state", "connected", timeout=20_000)
        await expect(page.locator("[data-testid=enterprises]")).to_contain_text("0 / 3")
        programs.start(module)
        await expect(connection).to_have_attribute("data-state", "connected")
        await expect(old).to_have_count(0, timeout=120_000)
