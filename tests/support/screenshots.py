"""Pictures of every page of the console over the demonstration park: `make screenshots`.

Each page and each of its subjects, in both languages and both themes, on a phone, a laptop, a desk
and a wall; into build/screenshots/<language>-<theme>-<width>/.
"""

import argparse
import asyncio
import itertools
import tempfile
from pathlib import Path

import httpx
from playwright.async_api import expect

from deploy.service import HOST, free_port
from tests.support.browser import chromium, new_page
from tests.support.programs import is_ready, running
from tests.support.waiting import until
from twin.program import clear_progress, show_progress

LANGUAGES = ("zh", "en")
THEMES = ("dark", "light")
SIZES = ((390, 844), (1366, 768), (1920, 1080), (3840, 2160))
LOADING = "main .note[role=status]"
SETTLED_MS = 1_500  # a page has drawn its answers


async def addresses(page, base):
    """Return the addresses of all pages and of their subjects, with a name for each."""
    await page.goto(base)
    rail = page.locator("[data-testid=rail] a")
    await rail.first.wait_for()
    named = {}
    for address in await rail.evaluate_all("links => links.map((link) => link.pathname)"):
        name = address.strip("/")
        named[name] = address
        await page.goto(base + address)
        await page.locator("main h2").first.wait_for()
        tabs = page.locator("[data-testid=tabs] a:not([aria-current])")
        for tab in await tabs.evaluate_all("links => links.map((link) => link.dataset.tab)"):
            named[f"{name}-{tab}"] = f"{address}?tab={tab}"
    return named


async def take(base, folder):
    """Take all pictures of a console into a folder."""
    async with chromium() as browser:
        named = await addresses(await new_page(browser, "en"), base)
        pages = {
            (lang, theme): await new_page(browser, lang, color_scheme=theme)
            for lang, theme in itertools.product(LANGUAGES, THEMES)
        }
        views = list(itertools.product(pages, named))
        for number, ((lang, theme), name) in enumerate(views, 1):
            show_progress(number / len(views), f"{lang} {theme} {name}")
            page = pages[lang, theme]
            await page.goto(base + named[name])
            await page.locator("main h2").first.wait_for()
            # A plan or a target takes seconds.
            await expect(page.locator(LOADING)).to_have_count(0)
            await page.wait_for_timeout(SETTLED_MS)
            for width, height in SIZES:
                await page.set_viewport_size({"width": width, "height": height})
                await page.wait_for_timeout(200)
                path = folder / f"{lang}-{theme}-{width}" / f"{name}.png"
                await page.screenshot(path=path)
    clear_progress()


async def main(arguments):
    """Start the demonstration, let a scenario happen, and take the pictures."""
    arguments.out.mkdir(parents=True, exist_ok=True)
    if arguments.console:
        await take(arguments.console, arguments.out)
        return
    http, mqtt, pg = (str(free_port()) for _ in range(3))
    base = f"http://{HOST}:{http}"
    with tempfile.TemporaryDirectory() as data, (arguments.out / "demo.log").open("w") as log:
        options = ("up", "--simulate", "--history", "27", "--scenario", arguments.scenario,
                   "--data", data, "--http", http, "--mqtt", mqtt, "--pg", pg)  # fmt: skip
        async with (
            running("deploy.cli", {}, log, *options),
            httpx.AsyncClient(base_url=base) as api,
        ):
            await until(lambda: is_ready(api), 300)
            # The scenario begins a minute after the past, and its alarms need theirs.
            await asyncio.sleep(arguments.wait)
            await take(base, arguments.out)


def _parsed():
    parser = argparse.ArgumentParser(prog="screenshots", description=__doc__)
    add = parser.add_argument
    add("--out", type=Path, default=Path("build/screenshots"), help="default: %(default)s")
    add("--console", metavar="URL", help="of a demonstration that runs; else one is started")
    add("--scenario", default="alarm-flood", help="what happens (default: %(default)s)")
    add("--wait", type=float, default=240.0, help="seconds before the first (default: %(default)g)")
    return parser.parse_args()


if __name__ == "__main__":
    asyncio.run(main(_parsed()))
