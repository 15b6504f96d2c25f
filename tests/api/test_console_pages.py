"""Every page of the console in a browser: no text is cut or covered, and anybody can use it."""

import shutil
from pathlib import Path

import httpx
import pytest
from playwright.async_api import expect

from deploy.service import free_port
from tests.support.browser import chromium, new_page
from tests.support.layout import FAULTS
from tests.support.programs import is_ready, running
from tests.support.waiting import until
from twin.loading import load_park

ROOT = Path(__file__).resolve().parents[2]
PARK = ROOT / "deploy" / "parks" / "liaocheng"
AXE = ROOT / "api" / "console" / "node_modules" / "axe-core" / "axe.min.js"
SIZES = ((1366, 768), (1920, 1080), (3840, 2160))
PHONE = (390, 844)
ALARM = """
[[alarm]]
id = "trial-{owner}-{n}"
tag = "{tag}"
limit = "-1000 {uom}"
direction = "high"
priority = "{priority}"
name = {{ zh = "试验报警 {n}：{zh}", en = "Trial alarm {n}: {en}" }}
cause = {{ zh = "循环冷却水中断", en = "Cooling water is lost" }}
response = {{ zh = "减负荷并检查循环水泵", en = "Reduce the load and look at the pumps" }}
"""
# As long as names of real alarms.
NAME = {"zh": "三氯氢硅合成流化床出口温度高于联锁预报警值",
        "en": "outlet temperature of the trichlorosilane bed above the pre-trip limit"}  # fmt: skip
PRIORITIES = ("critical", "high", "medium", "low")
# Enterprises, and how many alarms of theirs are active all the time.
TRIALS = {"liaocheng/gaoxin/luxi": 0, "liaocheng/chiping/xinfa": 15,
          "liaocheng/shenxian/huaxiang": 100}  # fmt: skip
FEW, MANY = "liaocheng/chiping/xinfa", "liaocheng/shenxian/huaxiang"
VIOLATIONS = """
(options) => axe.run(document, options).then(({ violations }) =>
  violations.map(({ id, nodes }) => [id, nodes.map((node) => node.html.slice(0, 160))]))
"""
# What must stand out in the few colours of a reader, and by which property it does.
MARKS = (
    ("[data-testid=alarm-strip]", "borderTopColor"),
    ("[data-testid=alarm-strip] .count b", "color"),
    ("nav a[aria-current=page]", "outlineColor"),
    ("path[data-stream]", "stroke"),
    ("[data-tank] .shell", "borderTopColor"),
    ("[data-tank] .fill", "backgroundColor"),
    ("[data-tank] .limit", "borderTopColor"),
    ("[data-testid=energy-tile-caustic] .spark path", "stroke"),
)
UNSEEN = """
(marks) => marks.filter(([selector, property]) => {
  const mark = document.querySelector(selector);
  if (mark === null) return true;
  const style = getComputedStyle(mark), [edge] = property.split("Color");
  const back = getComputedStyle(document.body).backgroundColor;
  return style[property] === back || style[`${edge}Width`] === "0px";
})
"""
# Reasons of answers, which are English sentences, and are to be Chinese on a Chinese page.
ENGLISH = """
() => [...document.querySelectorAll(".why, .note")].map((each) => each.textContent.trim())
  .filter((text) => document.documentElement.lang.startsWith("zh")
    && /^[^\u4e00-\u9fff]*[a-z]{2,} [a-z]{2,} [a-z]{2,}/.test(text))
"""
CONTRAST = {"runOnly": ["color-contrast"]}


def park_with_alarms(folder):
    """Write the park of the demonstration with alarms that are always active; return its folder."""
    shutil.copytree(PARK, folder)
    park, alarms = load_park(str(PARK)), []
    for scope, count in TRIALS.items():
        owner = scope.rpartition("/")[2]
        tags = [tag for tag in park.tags if tag.owner == owner and tag.source == "measured"]
        gauges = [tag for tag in tags if tag.kind == "gauge" and tag.low is not None]
        alarms += [
            ALARM.format(
                owner=owner, n=n, priority=PRIORITIES[n % 4], tag=tag.address, uom=tag.uom, **NAME
            )
            for n in range(count)
            for tag in [gauges[n % len(gauges)]]
        ]
    with (folder / "park.toml").open("a", encoding="utf-8") as file:
        file.write("\n".join(alarms))
    return folder


@pytest.fixture
async def console(services, database, tmp_path):
    """The address of a console over the programs, with alarms and values; its browser."""
    port = free_port()
    environment = {"PARKTWIN_DATABASE_URL": database, "PARKTWIN_MQTT_URL": services.mqtt_url,
                   "PARKTWIN_PARK": str(park_with_alarms(tmp_path / "park")),
                   "PARKTWIN_CLIENT_ID": "test-pages", "PARKTWIN_SESSION_EXPIRY_S": "60",
                   "PARKTWIN_SIMULATION": str(tmp_path / "simulation"),
                   "PARKTWIN_HTTP_PORT": str(port), "PARKTWIN_HISTORY_H": "1",
                   "OPENBLAS_NUM_THREADS": "1"}  # fmt: skip
    base = f"http://127.0.0.1:{port}"
    with (tmp_path / "programs.log").open("w") as log:
        async with (
            running("ingest", environment, log),
            running("api", environment, log),
            httpx.AsyncClient(base_url=base, timeout=20) as client,
        ):
            await until(lambda: is_ready(client), 120)
            async with running("simulators", environment, log):

                async def have_come():
                    query = {"scope": MANY, "limit": 200}
                    alarms = (await client.get("/api/v1/alarms", params=query)).json()["items"]
                    return sum(row["id"].startswith("trial") for row in alarms) == TRIALS[MANY]

                await until(have_come, 120)
                async with chromium() as browser:
                    yield base, browser


async def addresses(page, base):
    """Return the addresses of all pages, as the rail has them; those of alarms by their number."""
    await page.goto(base)
    rail = page.locator("[data-testid=rail] a")
    await rail.first.wait_for()
    names = await rail.evaluate_all("links => links.map((link) => link.pathname)")
    crowded = [f"{name}?scope={scope}" for name in ("/overview", "/alarms") for scope in TRIALS]
    return [*(name for name in names if name not in ("/overview", "/alarms")), *crowded]


async def tabs_of(page, base, pages):
    """Return the addresses of the subjects of some pages that they do not show at first."""
    tabs = []
    for address in pages:
        await show(page, base + address)
        links = page.locator("[data-testid=tabs] a:not([aria-current])")
        tabs += await links.evaluate_all("links => links.map((a) => a.pathname + a.search)")
    return tabs


async def show(page, address):
    """Go to a page and wait until it stands."""
    await page.goto(address)
    await page.locator("main h2").first.wait_for()
    await page.wait_for_timeout(700)


async def faults_of(page, base, pages, sizes):
    """Return what is cut or covered on some pages in some sizes, or is not Chinese."""
    faults = []
    for address in pages:
        await show(page, base + address)
        for width, height in sizes:
            await page.set_viewport_size({"width": width, "height": height})
            await page.wait_for_timeout(150)
            faults += [f"{address} {width}: {each}" for each in await page.evaluate(FAULTS)]
        faults += [f"{address}: {each}" for each in await page.evaluate(ENGLISH)]
    return faults


async def violations_of(page, base, pages):
    """Return what axe has against pages, in the dark theme and the colours of the light one."""
    violations = []
    for address in pages:
        await show(page, base + address)
        await page.evaluate(AXE.read_text(encoding="utf-8"))
        violations += [(address, each) for each in await page.evaluate(VIOLATIONS, {})]
        await page.emulate_media(color_scheme="light")
        await page.locator("html[data-theme=light]").wait_for()
        violations += [
            (address, "light", each) for each in await page.evaluate(VIOLATIONS, CONTRAST)
        ]
        await page.emulate_media(color_scheme="dark")
        await page.locator("html[data-theme=dark]").wait_for()
    return violations


async def answer_several(page, other, base):
    """Acknowledge all alarms of an enterprise at once: another console follows by the feed."""
    await show(other, f"{base}/alarms?scope={FEW}")
    await show(page, f"{base}/alarms?scope={FEW}")
    table = page.locator("[data-testid=alarms-page]")
    waiting = other.locator("[data-state=unacknowledged]")
    assert await waiting.count() >= TRIALS[FEW]
    await table.locator("thead input[type=checkbox]").check()
    await page.locator("[data-testid=ack-chosen]").click()
    await expect(page.locator("[data-testid=outcome]")).to_contain_text("accepted")
    await expect(waiting).to_have_count(0)
    await page.keyboard.press("Escape")
    # By keyboard: to a row, into its details, and on to the what-if of its plant.
    await page.locator("tr[data-row=trial-xinfa-0]").focus()
    await page.keyboard.press("Enter")
    details = page.locator("[data-testid=alarm-details]")
    await expect(details).to_contain_text("Reduce the load")
    assert "alarm=trial-xinfa-0" in page.url
    # The first history starts a process that calculates.
    await expect(details.locator("canvas")).to_have_count(1)
    await details.locator("[data-testid=to-what-if]").click()
    await expect(page.locator("[data-testid=what-if]")).to_be_visible()
    await page.go_back()
    await expect(details).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(details).to_be_hidden()


async def let_something_happen(page, base):
    """Order a scenario in the frame: its alarms come and are announced, and it ends by order."""
    await show(page, f"{base}/alarms?scope=liaocheng/gaoxin/luxi")
    await page.get_by_test_id("bell-open").click()
    await page.get_by_test_id("sound-from").select_option("high")
    await page.get_by_test_id("mute").click()
    await expect(page.get_by_test_id("bell-mark")).to_have_text("✕")
    await page.keyboard.press("Escape")
    kept = "[localStorage['parktwin.soundFrom'], Number(localStorage['parktwin.mutedUntil'])]"
    threshold, until_ms = await page.evaluate(kept)
    assert (threshold, until_ms > await page.evaluate("Date.now()")) == ("high", True)
    rows = page.locator("[data-testid=alarms-page] tr[data-row*='luxi/']")
    quiet = await rows.count()
    scenario = page.get_by_test_id("scenario")
    await page.get_by_test_id("scenario-open").click()
    await page.locator("[data-order=alarm-flood]").click()
    await expect(scenario).to_have_attribute("data-scenario", "alarm-flood")
    await expect(rows.nth(quiet + 3)).to_be_visible()
    await page.locator("[data-order=normal]").click()
    await expect(scenario).to_have_attribute("data-scenario", "normal")


async def keeps_its_marks(browser, base):
    """Where the reader's own few colours replace ours, shapes and edges still stand out."""
    page = await new_page(browser, "en", forced_colors="active")
    await show(page, f"{base}/overview?scope={FEW}")
    await page.locator("[data-tank]").first.wait_for()
    assert await page.evaluate("matchMedia('(forced-colors: active)').matches")
    assert await page.evaluate(UNSEEN, MARKS) == []
    await page.context.close()


async def look_as_a_role(page, base):
    """In the demonstration one click shows what a role of an enterprise would see."""
    await page.goto(f"{base}/overview?scope={FEW}")
    menu = page.get_by_test_id("demo-access")
    await menu.click()
    await expect(page.get_by_role("dialog")).to_contain_text("has no accounts")
    await page.locator("[data-role=viewer]").click()
    await expect(menu).to_contain_text("Looking as Viewer")
    await expect(page.get_by_test_id("operator")).to_contain_text("view only")
    await expect(page.get_by_test_id("scope-note")).to_have_count(0)
    await page.goto(f"{base}/overview?scope={MANY}")
    await expect(page.get_by_test_id("scope-note")).to_contain_text("not disclosed")
    assert await page.locator("[data-testid=chlorine-ribbon]").count() == 0
    await page.get_by_test_id("scope-note").get_by_role("button").click()
    await expect(page.get_by_test_id("chlorine-ribbon")).to_be_visible()
    await menu.click()
    await page.locator("[data-role='']").click()
    await expect(menu).to_contain_text("Demo")


async def test_every_page_is_whole_in_both_languages_and_of_use_to_everybody(console):
    base, browser = console
    page = await new_page(browser, "zh")
    pages = await addresses(page, base)
    assert await faults_of(page, base, pages, SIZES) == []
    english = await new_page(browser, "en", color_scheme="dark")
    assert await faults_of(english, base, pages, SIZES) == []
    tabs = await tabs_of(english, base, pages)
    assert tabs
    for each in (page, english):
        assert await faults_of(each, base, tabs, SIZES[:1]) == []
    phone = await new_page(browser, "en")
    crowded = [address for address in pages if address.endswith(FEW)]
    assert await faults_of(phone, base, crowded, [PHONE]) == []
    await english.set_viewport_size({"width": 1920, "height": 1080})
    looked_at = [each for each in (*pages, *tabs) if MANY not in each]
    assert await violations_of(english, base, looked_at) == []
    await english.goto(f"{base}/alarms")
    await english.keyboard.press("Tab")
    await expect(english.locator(".skip")).to_be_focused()
    await keeps_its_marks(browser, base)
    await answer_several(english, page, base)
    await let_something_happen(english, base)
    await look_as_a_role(english, base)
