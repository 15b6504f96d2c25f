"""Debian's Chromium over the console, for tests."""

import json
from contextlib import asynccontextmanager

from playwright.async_api import async_playwright, expect

from deploy import packages

# A page is as slow as the machine: the tests are about what stands on it.
PATIENCE_MS = 60_000
OPTIONS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
           "--disable-component-update", "--disable-sync"]  # fmt: skip


@asynccontextmanager
async def chromium():
    """A browser for the length of a block."""
    packages.ensure("chromium", packages.CHINESE_FONT)
    expect.set_options(timeout=PATIENCE_MS)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=OPTIONS
        )
        yield browser
        await browser.close()


async def new_page(browser, lang, **options):
    """Return a page of a console in a language, with an operator."""
    context = await browser.new_context(**options)
    kept = json.dumps({"parktwin.lang": lang, "parktwin.operator": "ann"})
    await context.add_init_script(f"Object.assign(localStorage, {kept})")
    context.set_default_timeout(PATIENCE_MS)
    return await context.new_page()
