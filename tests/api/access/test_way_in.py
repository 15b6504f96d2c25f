"""The way in at the console: the link of the first administrator, a password, and out again."""

import re

import httpx
from playwright.async_api import expect

from api.access.guard import SESSION
from deploy.service import free_port
from tests.api.test_console_pages import AXE, VIOLATIONS
from tests.support.browser import chromium, new_page
from tests.support.programs import running
from tests.support.waiting import until

GOOD = "correct horse battery"


async def test_the_first_administrator_comes_in_by_a_link_and_goes_out(database, tmp_path):
    port = free_port()
    environment = {"PARKTWIN_DATABASE_URL": database, "PARKTWIN_ACCESS": "accounts",
                   "PARKTWIN_HTTP_PORT": str(port)}  # fmt: skip
    base, file = f"http://127.0.0.1:{port}", tmp_path / "api.log"
    with file.open("w") as log:
        async with running("api", environment, log), chromium() as browser:
            await until(lambda: re.search(r"/login\?invitation=\S+", file.read_text()), 60)
            (link,) = re.findall(r"/login\?invitation=\S+", file.read_text())
            page = await new_page(browser, "zh")
            await page.goto(base)
            form = page.locator("[data-testid=login]")
            await expect(form).to_contain_text("登录")
            await form.locator("[name=username]").fill("admin")
            await form.locator("[name=password]").fill("not the password")
            await form.get_by_test_id("login-enter").click()
            await expect(form.get_by_test_id("login-problem")).to_contain_text("账号或密码不正确")
            await page.evaluate(AXE.read_text(encoding="utf-8"))
            assert await page.evaluate(VIOLATIONS, {}) == []
            await page.goto(base + link)
            await form.locator("[name=password]").fill(GOOD)
            await form.get_by_test_id("login-enter").click()
            await expect(page.locator("[data-testid=account]")).to_contain_text("admin")
            assert "invitation" not in page.url
            assert SESSION not in await page.evaluate("document.cookie")
            (cookie,) = [c for c in await page.context.cookies() if c["name"] == SESSION]
            await page.locator("[data-testid=leave]").click()
            await expect(form).to_be_visible()
            async with httpx.AsyncClient(base_url=base, cookies={SESSION: cookie["value"]}) as old:
                assert (await old.get("/api/v1/latest")).status_code == 401
