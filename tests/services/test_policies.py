"""The rows of the two policies on the simulated park: value, interval, state and explanation."""

import httpx
import pytest

from deploy.service import free_port
from tests.api.test_demo_targets import FOLDER
from tests.api.test_policy_rows import REGION, TARGETS
from tests.support.programs import is_ready, running
from tests.support.waiting import until
from twin import quality as q

# What nobody has entered, or no standard says here: named, and no value.
LACKING = {"zero-carbon-products": "quota_2 of caustic", "smart-models": "B-SMART-MODELS",
           "al-value-added-2022": "xinfa/B-AL-ADDED in 2018"}  # fmt: skip
# Without meters there is nothing to be in doubt of: the register and the books are taken as exact.
EXACT = {"count", "asset_share", "asset_capacity", "zero_gap_share", "capacity"}
# Rows that are no targets: the question, and a figure of its answer.
FIGURES = {
    "S4 plan of the electrolysers": ("retrofit", "saving_of_drop_kwh_t"),
    "S10 catalogue": ("catalogue?window=hour", "available_t_h"),
    "S11 chlorine between parks": ("chlorine?window=hour", "export_t"),
    "S12 loops": ("loops?window=hour", "rate"),
    "S13 use of carbon dioxide": ("byproducts?window=hour", "use_t"),
    "S14 totals": ("totals?year=2025", "emitted_t"),
    "S15 differential prices": ("tariffs", "kwh_per_t"),
    "S16 evaluation": ("evaluation?year=2025", "points"),
    "S18 benchmark": ("benchmark", "value"),
    "S19 chlorine hazard": ("chlorine?window=hour", "minutes_to_full_on_trip"),
    "S21 maturity": ("maturity", "availability"),
}


@pytest.fixture
async def client(services, database, tmp_path):
    """The demonstration park with a day of simulated data and its example book."""
    environment = {"PARKTWIN_DATABASE_URL": database, "PARKTWIN_MQTT_URL": services.mqtt_url,
                   "PARKTWIN_PARK": str(FOLDER), "PARKTWIN_CLIENT_ID": "test-policies",
                   "PARKTWIN_SESSION_EXPIRY_S": "60", "PARKTWIN_HTTP_PORT": str(free_port()),
                   # What a search finds is asked for here, not how long a busy machine takes.
                   "PARKTWIN_CALCULATION_S": "200", "PARKTWIN_EXPLANATION_S": "150",
                   "PARKTWIN_HISTORY_H": "26", "OPENBLAS_NUM_THREADS": "1"}  # fmt: skip
    base = f"http://127.0.0.1:{environment['PARKTWIN_HTTP_PORT']}"
    with (tmp_path / "programs.log").open("w") as log:
        async with (
            running("ingest", environment, log),
            running("api", environment, log),
            httpx.AsyncClient(base_url=base, timeout=210) as client,
        ):
            await until(lambda: is_ready(client), 60)
            book = (FOLDER / "book.csv").read_bytes()
            query = {"by": "demo", "confirm": "true"}
            answer = await client.post("/api/v1/book/csv", content=book, params=query,
                                       headers={"Content-Type": "text/csv"})  # fmt: skip
            assert answer.status_code == 202, answer.text
            async with running("simulators", environment, log, "--history-interval", "60"):

                async def covered():
                    query = {"id": "al-kwh-2025", "trend": "none"}
                    answer = await client.get("/api/v1/targets", params=query)
                    # A busy machine may take longer for the first answer than one may.

                    return answer.is_success and answer.json()["items"][0]["state"] != "no_data"

                await until(covered, 180)
                yield client


async def test_every_row_of_the_policies_resolves_to_value_interval_state_and_explanation(client):
    await check_targets(client)
    await check_figures(client)


async def check_targets(client):
    """Each target has a state with a value, and an explanation; what is lacking is named."""
    for row, ids in TARGETS.items():
        for id_ in ids:
            address = f"/api/v1/targets?id={id_}&trend=none"
            (figure,) = (await client.get(address)).json()["items"]
            assert figure["state"] in ("met", "not_met", "undecided"), (row, figure["no_data"])
            assert figure["half_width"] or figure["kpi"] in EXACT or is_booked(figure), row
            explanation = await client.get(
                "/api/v1/explain", params={"figure": f"{address}#/items/0/value"}
            )
            assert explanation.status_code == 200, (row, explanation.text)
            (item,) = explanation.json()["items"]
            assert item["formula"]
            assert item["inputs"] or item["model"], (row, id_)
            assert item["open"] == [], (row, id_)
    for id_, lack in LACKING.items():
        answer = await client.get(f"/api/v1/targets?id={id_}&trend=none")
        (figure,) = answer.json()["items"]
        assert (figure["value"], figure["state"]) == (None, "no_data")
        assert lack in " ".join(figure["no_data"])


def is_booked(figure):
    """Return whether a figure is of the books alone: these are taken as exact."""
    return figure["quality"] & 31 == q.MANUAL


async def check_figures(client):
    """The other rows have figures that are explained."""
    lacking = []
    for row, (question, name) in FIGURES.items():
        address = f"/api/v1/{REGION}/{question}"
        answer = await client.get(address)
        assert answer.status_code == 200, (row, answer.text)
        pointer = next(pointers(answer.json(), name), None)
        if pointer is None:
            lacking.append((row, answer.text[:1500]))
            continue
        explanation = await client.get("/api/v1/explain", params={"figure": f"{address}#{pointer}"})
        assert explanation.status_code == 200, (row, explanation.text)
        (item,) = explanation.json()["items"]
        leads_on = item["inputs"] or item["model"] or item["records"]
        if item["value"] is None or not leads_on or item["open"]:
            lacking.append((row, item))
    assert lacking == []


def pointers(node, name, path=""):
    """Yield the pointers to all numbers of a name in an answer."""
    children = node.items() if isinstance(node, dict) else enumerate(node)
    for key, child in children:
        if isinstance(child, dict | list):
            yield from pointers(child, name, f"{path}/{key}")
        elif key == name and isinstance(child, float):
            yield f"{path}/{key}"
