"""Requests that the OpenAPI document allows and forbids, against a running park."""

import asyncio
import json
import os
import shutil
import sys
import time
from pathlib import Path

import httpx
import pytest

from simulators.load import Publisher
from tests.support.attack import attacked_park
from tests.support.data import DATA, data_text
from tests.support.waiting import until

# `make fuzz` takes more.
FILE = Path(__file__).parent / "schemathesis.toml"
EXAMPLES = os.environ.get("HTTP_EXAMPLES", "3")
SERVER_ERRORS = 'parktwin_api_requests_total{status="5xx"}'
MINUTES = 90
VALUES = {
    "II-1": 16, "FT-1": 18, "FT-3": 3.6, "FT-4": 4000, "LT-1": 1.4, "FT-5": 1.8, "FT-6": 20,
    "TT-1": 80, "AT-901": 28, "AT-902": 8, "FT-901": 36000, "XS-901": 1, "XS-1": 1,
    "ZZ-1": 5,
}  # fmt: skip


@pytest.fixture
def demo_folder(tmp_path):
    """The park of the API's tests with its alarms."""
    folder = shutil.copytree(DATA / "demo", tmp_path / "demo")
    with (folder / "park.toml").open("a", encoding="utf-8") as file:
        file.write(data_text("demo/alarms.toml"))
    return folder


def publish_history(port):
    """Publish an hour and a half, an unknown tag, a sample of the future, and no JSON."""
    now_ms = time.time_ns() // 1_000_000
    scans = [
        {"ts": now_ms - minute * 60_000, "values": VALUES | {"JQ-1": 1e6 - minute}}
        for minute in range(MINUTES, -1, -1)
    ]
    payloads = [json.dumps(scan).encode() for scan in scans]
    payloads += [json.dumps({"ts": now_ms + 10**9, "values": {"FT-1": 1}}).encode(), b"{"]
    publisher = Publisher("127.0.0.1", port, client_id="history")
    publisher.publish("park/v1/demo/acme/gateway", payloads)
    publisher.drain()
    publisher.sock.close()


async def filled(park):
    """Wait until the history is stored and the quarantine and the rejects have rows."""
    await asyncio.to_thread(publish_history, park.mqtt_port)
    async with httpx.AsyncClient(base_url=park.base_url, timeout=10) as client:
        for path in ("quarantine", "rejects", "alarms"):
            await until(lambda p=path: has_items(client, p), 30)


async def has_items(client, path):
    return (await client.get(f"/api/v1/{path}")).json()["items"]


async def well_known(park):
    """Return the operations whose parameters all stand in operations before them as well.

    What is wrong with one of these is refused by the same type everywhere.
    """
    async with httpx.AsyncClient(base_url=park.base_url) as client:
        document = (await client.get("/openapi.json")).json()
    met, names = set(), []
    for path, ways in document["paths"].items():
        for method, operation in ways.items():
            own = {json.dumps([each["name"], each["schema"]], sort_keys=True)
                   for each in operation.get("parameters", ())}  # fmt: skip
            if own <= met and "requestBody" not in operation:
                names.append(f"{method.upper()} {path}")
            met |= own
    return names


async def config_for(park, folder):
    """Write the file of schemathesis; `make fuzz` asks what is wrong of all operations alike."""
    text = FILE.read_text()
    if "HTTP_EXAMPLES" not in os.environ:
        names = json.dumps(await well_known(park))
        text += f'\n[[operations]]\ninclude-name = {names}\ngeneration.mode = "positive"\n'
    path = folder / FILE.name
    path.write_text(text)
    return path


async def fuzz(park, folder):
    """Let schemathesis ask by the OpenAPI document; return its exit status and what it says."""
    config = await config_for(park, folder)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "schemathesis.cli", "--config-file", config, "run", "--no-color",
        f"{park.base_url}/openapi.json", "--max-examples", EXAMPLES,
        cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    out, _ = await process.communicate()
    return process.returncode, out.decode()


async def test_no_request_of_the_openapi_document_is_a_server_error(
    services, database, demo_folder, tmp_path
):
    many = {"orders_minute": 1_000_000}
    async with attacked_park(services, database, demo_folder, tmp_path, **many) as park:
        await filled(park)
        # Before its first cycle a park is not ready: 503.
        before = await park.metric(SERVER_ERRORS)
        status, text = await fuzz(park, tmp_path)
        assert status == 0, text
        assert await park.metric(SERVER_ERRORS) == before
        assert await park.metric("parktwin_api_answers_broken_total") == 0
        # The orders among them have not stopped ingest either.
        await park.ready(5)


async def test_nonsense_from_many_clients_holds_nobody_up(
    services, database, park_folder, tmp_path
):
    nested, wide = b"[" * 100_000, b'{"by": "' + b"x" * 200_000 + b'"}'
    json_type = {"Content-Type": "application/json"}
    requests = [
        ("POST", "/api/v1/scenarios", {"content": nested, "headers": json_type}, 400),
        ("POST", "/api/v1/rejects/replay", {"content": wide, "headers": json_type}, 422),
        ("POST", "/api/v1/rejects/replay", {"content": b" " * 10**6, "headers": json_type}, 413),
        ("GET", "/api/v1/latest", {"params": {"tag": "acme/FT-" * 20}}, 404),
        ("GET", "/api/v1/latest", {"params": {"tag": ["acme/FT-1"] * 300}}, 422),
        ("GET", "/api/v1/scopes/%00/energy", {}, 422),
        ("GET", "/livez", {"headers": {"Host": "evil.example"}}, 421),
        ("DELETE", "/api/v1/rejects", {"headers": {"Origin": "http://evil.example"}}, 403),
    ]  # fmt: skip
    many = {"orders_minute": 1_000_000}
    async with attacked_park(services, database, park_folder, tmp_path, **many) as park:

        async def ask(client, end):
            while time.monotonic() < end:
                for method, path, options, status in requests:
                    answer = await client.request(method, park.base_url + path, **options)
                    assert answer.status_code == status, (path, answer.text)

        before = await park.metric(SERVER_ERRORS)
        async with park.witness() as seen, httpx.AsyncClient(timeout=20) as client:
            end = time.monotonic() + 4
            await asyncio.gather(*(ask(client, end) for _ in range(8)))
        seen.require(stored_s=3.0, feed_s=1.0, livez_s=0.25, ingest_mb=400, api_mb=400)
        assert await park.metric(SERVER_ERRORS) == before
