"""The console's list of senders that the model does not know, in a real browser."""

import httpx
from playwright.async_api import expect

from tests.services.test_first_contact import environment, neuron, publish
from tests.support.browser import chromium
from tests.support.programs import is_ready, running, subscribed
from tests.support.waiting import until

__all__ = ["environment"]


async def test_sender_is_adopted_in_the_browser_and_the_trend_of_its_tag_comes_by_itself(
    services, environment, tmp_path
):
    base = f"http://127.0.0.1:{environment['PARKTWIN_HTTP_PORT']}"
    with (tmp_path / "programs.log").open("w") as log:
        async with (
            running("ingest", environment, log),
            running("api", environment, log),
            httpx.AsyncClient(base_url=base, timeout=20) as client,
            chromium() as browser,
        ):
            await subscribed(environment)
            await until(lambda: is_ready(client), 30)
            publish(services, "neuron/boiler", neuron(85.2))

            async def listed():
                return (await client.get("/api/v1/contacts")).json()["items"]

            await until(listed)
            page = await browser.new_page()
            await page.goto(base)
            contacts = page.get_by_test_id("contacts")
            await expect(contacts).to_contain_text("未入模型的发送方")
            await expect(contacts).to_contain_text("neuron-tags")
            await page.get_by_test_id("lang-toggle").click()
            await expect(contacts).to_contain_text("Senders that the model does not know")
            await contacts.locator("h3 input").fill("ann")
            await contacts.get_by_test_id("adopt-contact").click()
            rows = contacts.get_by_test_id("proposal")
            await expect(rows).to_contain_text("TI-1 → neuron/TI-1 temperature degC gauge")
            await contacts.get_by_label("scope, like mypark/acme").fill("mypark/acme")
            await contacts.get_by_label("name of a new scope").fill("Acme")
            await expect(rows).to_contain_text("acme/TI-1")
            await contacts.get_by_test_id("confirm").click()
            await expect(page.get_by_test_id("trend")).to_contain_text("acme/TI-1")
            publish(services, "neuron/boiler", neuron(86.5))
            await expect(page.get_by_test_id("trend")).to_contain_text("86.5")
            await expect(contacts).to_have_count(0)
            await page.goto(f"{base}/desk")
            await expect(contacts).to_contain_text("No sender that the model does not know")
            await page.goto(f"{base}/reports")
            due = page.get_by_test_id("due-reports")
            await expect(due).to_contain_text("The park model has no scheduled report")
