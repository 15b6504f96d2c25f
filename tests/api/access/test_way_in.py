"""The way in at the console, in a browser: links, passwords, codes, a provider, foreign pages."""

import json
import re
import threading
import time
from contextlib import asynccontextmanager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pyotp
from playwright.async_api import expect

from api.access.guard import SESSION
from deploy.service import HOST, free_port
from tests.api.test_console_pages import AXE, VIOLATIONS
from tests.support.accounts import GOOD, KEY
from tests.support.browser import chromium, new_page
from tests.support.oidc_provider import CLIENT, SECRET, openid_provider
from tests.support.programs import running
from tests.support.stored import query
from tests.support.waiting import until

pytest_plugins = ["tests.support.small_park"]

LINK = r"/login\?invitation=\S+"
FOREIGN_PAGE = """<!doctype html><title>evil</title>
<form method="post" enctype="text/plain" action="{base}/api/v1/logout"><input name="x"></form>
<script>
fetch("{base}/api/v1/logout", {{method: "POST", mode: "no-cors", credentials: "include"}})
  .catch(() => 0)
  .then(() => fetch("{base}/api/v1/latest", {{credentials: "include"}}))
  .then((answer) => answer.text()).then((text) => document.title = "read it")
  .catch(() => document.forms[0].submit());
</script>"""


@asynccontextmanager
async def console(database, tmp_path, **settings):
    """Serve a database with accounts; yields its address and the link of the first account."""
    port, file = free_port(), tmp_path / "api.log"
    (tmp_path / "secret.key").write_bytes(KEY)
    own = {f"PARKTWIN_{name.upper()}": each for name, each in settings.items()}
    environment = {"PARKTWIN_DATABASE_URL": database, "PARKTWIN_ACCESS": "accounts",
                   "PARKTWIN_LOGIN_NOTICE": "For staff of the park",
                   "PARKTWIN_HTTP_PORT": str(port),
                   "PARKTWIN_SECRET_KEY": str(tmp_path / "secret.key"),
                   **own}  # fmt: skip
    with file.open("w") as log:
        async with running("api", environment, log):
            await until(lambda: re.search(LINK, file.read_text()), 60)
            (link,) = re.findall(LINK, file.read_text())
            yield f"http://{HOST}:{port}", link


@contextmanager
def foreign_page(base):
    """Serve a page of another site that gives orders and asks for figures; yields its address."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(FOREIGN_PAGE.format(base=base).encode())

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer((HOST, 0), Page) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://localhost:{server.server_port}/"
        server.shutdown()


async def enter(page, form, password, code=None):
    await form.locator("[name=username]").fill("admin")
    await form.locator("[name=password]").fill(password)
    await form.get_by_test_id("login-enter").click()
    if code is not None:
        await form.locator("[name=code]").fill(code())
        await form.get_by_test_id("login-enter").click()


async def test_the_first_administrator_comes_in_by_a_link_and_goes_out(database, tmp_path):
    async with console(database, tmp_path) as (base, link), chromium() as browser:
        page = await new_page(browser, "zh")
        await page.goto(base)
        form = page.locator("[data-testid=login]")
        await expect(form.get_by_test_id("login-notice")).to_have_text("For staff of the park")
        await expect(form).to_contain_text("登录")
        await enter(page, form, "not the password")
        await expect(form.get_by_test_id("login-problem")).to_contain_text("账号或密码不正确")
        await page.evaluate(AXE.read_text(encoding="utf-8"))
        assert await page.evaluate(VIOLATIONS, {}) == []
        await page.goto(base + link)
        await form.locator("[name=password]").fill(GOOD)
        await form.get_by_test_id("login-enter").click()
        account = page.locator("[data-testid=account]")
        await expect(account).to_contain_text("admin")
        assert "invitation" not in page.url
        ((hashed,),) = await query(database, "SELECT password FROM park.account")
        assert hashed.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
        assert SESSION not in await page.evaluate("document.cookie")
        (cookie,) = [c for c in await page.context.cookies() if c["name"] == SESSION]
        with foreign_page(base) as foreign:
            await page.goto(foreign)
            await page.wait_for_url(f"{base}/api/v1/logout")
            assert "gives no orders" in await page.content()
        refusals = (
            "SELECT count(*) FROM park.audit WHERE subject LIKE '%logout%' AND outcome = '403'"
        )
        assert await query(database, refusals) == [(2,)]
        await page.goto(base)
        secret = await set_up_factor(page, account)
        await account.click()
        await page.locator("[data-testid=leave]").click()
        await expect(form).to_be_visible()
        async with httpx.AsyncClient(base_url=base, cookies={SESSION: cookie["value"]}) as old:
            assert (await old.get("/api/v1/latest")).status_code == 401
        # The code that has set it up was used by that: the next one.
        await enter(page, form, GOOD, lambda: pyotp.TOTP(secret).at(time.time() + 30))
        await expect(account).to_contain_text("admin")


async def set_up_factor(page, account):
    """Set up the second factor from the menu of the account; returns its secret."""
    await account.click()
    await page.get_by_test_id("factor-open").click()
    dialog = page.get_by_test_id("factor-dialog")
    await dialog.locator("[name=password]").fill(GOOD)
    await dialog.get_by_test_id("factor-begin").click()
    secret = (await dialog.get_by_test_id("factor-secret").inner_text()).replace(" ", "")
    # The picture is drawn, as far as the policy of the page lets it.
    assert await dialog.locator("img").evaluate("image => image.decode().then(() => image.width)")
    await dialog.locator("[name=code]").fill(pyotp.TOTP(secret).now())
    await dialog.get_by_test_id("factor-confirm").click()
    await expect(dialog.locator("[data-testid=recovery-codes] li")).to_have_count(10)
    await page.evaluate(AXE.read_text(encoding="utf-8"))
    assert await page.evaluate(VIOLATIONS, {}) == []
    await dialog.get_by_test_id("factor-kept").click()
    await expect(dialog).to_have_count(0)
    return secret


async def test_a_browser_comes_in_by_a_provider_of_another_site(database, ids, tmp_path):
    rules = json.dumps([{"claim": "groups", "value": "shift", "role": "operator",
                         "scope": "demo/acme"}])  # fmt: skip
    (tmp_path / "client.secret").write_text(SECRET)
    async with openid_provider(int(time.time()), "localhost") as provider:
        settings = {"oidc_issuer": provider.issuer, "oidc_client_id": CLIENT, "oidc_rules": rules,
                    "oidc_name": "Park ID",
                    "oidc_client_secret": str(tmp_path / "client.secret")}  # fmt: skip
        async with console(database, tmp_path, **settings) as (base, _), chromium() as browser:
            page = await new_page(browser, "en")
            await page.goto(f"{base}/alarms?x=1")
            await page.get_by_test_id("login-provider").click()
            problem = page.get_by_test_id("login-problem")
            await expect(problem).to_contain_text("have no account on this twin")
            provider.claims |= {"groups": ["shift"]}
            await page.goto(f"{base}/alarms?x=1")
            await page.get_by_test_id("login-provider").click()
            await expect(page.locator("[data-testid=account]")).to_contain_text("li.na")
            assert page.url.startswith(f"{base}/alarms?x=1")
            # It opens at the scope that the account is for.
            await expect(page.locator("[data-testid=scope-path] .last")).to_contain_text("Acme")
            await page.locator("[data-testid=account]").click()
            await expect(page.locator("[role=dialog]")).to_contain_text("Signed in by Park ID")
