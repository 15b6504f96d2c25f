"""From an empty park to a live trend by commands alone, and over HTTP, as docs/first-contact.md."""

import asyncio
import json
import time
from datetime import datetime
from zoneinfo import ZoneInfo

import httpx
import pytest

from deploy import new_park
from deploy.service import free_port
from ingest.cli import gateway
from ingest.wire import hj212, sparkplug
from tests.support import load
from tests.support.programs import is_ready, running, subscribed
from tests.support.waiting import until
from twin.loading import load_park
from twin.model.gateways import GatewaySpec


@pytest.fixture
def environment(services, database, tmp_path, monkeypatch):
    """The environment of a new, empty park."""
    folder = tmp_path / "my-park"
    words = ["--id", "mypark", "--zh", "我的园区", "--en", "My park"]
    assert new_park.main([str(folder), *words]) == 0
    made = {
        "PARKTWIN_DATABASE_URL": database,
        "PARKTWIN_MQTT_URL": services.mqtt_url,
        "PARKTWIN_PARK": str(folder),
        "PARKTWIN_CLIENT_ID": f"first-contact-{time.time_ns()}",
        "PARKTWIN_SESSION_EXPIRY_S": "60",
        "PARKTWIN_HTTP_PORT": str(free_port()),
        "PARKTWIN_HEALTH_S": "0.5",
        "PARKTWIN_PARK_WATCH_S": "0",
    }
    for name, value in made.items():
        monkeypatch.setenv(name, value)
    return made


def neuron(value):
    """Return what EMQX Neuron sends of two tags, now."""
    tags = [{"name": "TI-1", "value": value}, {"name": "FI-1", "value": 2.5}]
    return {"timestamp": time.time_ns() // 1_000_000, "node": "boiler", "tags": tags}


def publish(services, topic, *bodies):
    publisher = load.Publisher(load.HOST, services.mosquitto.port, client_id="newcomer")
    payloads = [b if isinstance(b, bytes) else json.dumps(b).encode() for b in bodies]
    publisher.publish(topic, payloads)
    publisher.drain()
    publisher.sock.close()


async def command(*words):
    return await asyncio.to_thread(gateway.main, list(words))


async def test_empty_park_has_a_live_trend_after_five_steps_without_an_editor(
    services, environment, tmp_path, capsys
):
    base = f"http://127.0.0.1:{environment['PARKTWIN_HTTP_PORT']}"
    with (tmp_path / "programs.log").open("w") as log:
        async with (
            running("ingest", environment, log),
            running("api", environment, log),
            httpx.AsyncClient(base_url=base, timeout=20) as client,
        ):
            await subscribed(environment)
            await until(lambda: is_ready(client), 30)

            async def listed():
                publish(services, "neuron/boiler", neuron(85.2))
                await command("list")
                return "neuron/boiler" in capsys.readouterr().out

            await until(listed, 30)
            assert await command("show", "1") == 0
            assert "TI-1 = 85.2" in capsys.readouterr().out
            scope = ["--scope", "mypark/acme", "--zh", "某企业", "--en", "Acme"]
            assert await command("adopt", "1", *scope, "--dry-run") == 0
            proposed = capsys.readouterr().out
            assert "TI-1,mypark/acme,temperature,degC,gauge" in proposed
            assert "FI-1,mypark/acme,mass_flow,t/h,gauge" in proposed
            assert 'payload = "neuron-tags"' in proposed
            assert await command("adopt", "1", *scope) == 0
            publish(services, "neuron/boiler", neuron(86.5))

            async def trend():
                answer = await client.get("/api/v1/history", params={"tag": "acme/TI-1"})
                return answer.json()["value"] if answer.status_code == 200 else []

            await until(lambda: is_value(trend, [85.2, 86.5]), 20)
            latest = (await client.get("/api/v1/latest", params={"tag": "acme/TI-1"})).json()
            assert (latest["items"][0]["value"], latest["items"][0]["uom"]) == (86.5, "degC")
            parks = (await client.get("/api/v1/park")).json()
            assert "某企业" in {scope["name"]["zh"] for scope in parks["scopes"]}
            assert (await client.get("/api/v1/contacts")).json()["items"] == []


async def is_value(fetch, wanted):
    return await fetch() == wanted


async def test_contact_is_proposed_and_adopted_over_http_and_what_waited_is_stored(
    services, environment, tmp_path, db
):
    base = f"http://127.0.0.1:{environment['PARKTWIN_HTTP_PORT']}"
    bodies = [
        {"ts": time.time_ns() // 1_000_000 - 1000 + i, "values": {"PT-1": 0.6, "dev 7": float(i)}}
        for i in range(20)
    ]
    with (tmp_path / "programs.log").open("w") as log:
        async with (
            running("ingest", environment, log),
            running("api", environment, log),
            httpx.AsyncClient(base_url=base, timeout=20) as client,
        ):
            await subscribed(environment)
            await until(lambda: is_ready(client), 30)
            publish(services, "park/v1/mypark/acme/gw1", *bodies)

            async def contacts():
                return (await client.get("/api/v1/contacts")).json()["items"]

            async def contact_with_all():
                return [row for row in await contacts() if row["count"] == len(bodies)]

            (contact,) = await until(contact_with_all, 20)
            assert (contact["address"], contact["count"]) == ("park/v1/mypark/acme/gw1", 20)
            url = f"/api/v1/contacts/{contact['id']}"
            missing = await client.post("/api/v1/contacts/999/propose", json={"by": "ann"})
            assert missing.status_code == 404
            wrong = {"by": "ann", "tags": {"PT-1": {"uom": "t/h"}}}
            refused = await client.post(f"{url}/adopt", json=wrong)
            assert refused.status_code == 422
            assert "not a unit of pressure" in refused.json()["detail"]
            assert (await client.post(f"{url}/adopt", json={"by": ""})).status_code == 422
            proposal = (await client.post(f"{url}/propose", json={"by": "ann"})).json()
            assert [tag["address"] for tag in proposal["tags"]] == ["acme/PT-1", "acme/dev_7"]
            assert proposal["doubtful"] == ["dev 7"]
            assert [scope["id"] for scope in proposal["scopes"]] == ["mypark/acme"]
            answer = await client.post(f"{url}/adopt", json={"by": "ann"})
            assert answer.status_code == 202

            async def stored():
                rows = await db.fetch(
                    "SELECT tag, count(*) AS n FROM sample_named WHERE enterprise = 'acme'"
                    " AND NOT tag LIKE 'ingest%' GROUP BY 1"
                )
                return {row["tag"]: row["n"] for row in rows} == {"PT-1": 20, "dev_7": 20}

            await until(stored, 30)
            assert await db.fetchval("SELECT count(*) FROM reject") == 0
            publish(services, "odd/topic", b"\x00\x01")
            (odd,) = await until(contacts, 20)
            assert odd["protocol"] == ""
            nothing = await client.post(f"/api/v1/contacts/{odd['id']}/adopt", json={"by": "ann"})
            assert "nothing reads" in nothing.json()["detail"]
            dropped = await client.delete(f"/api/v1/contacts/{odd['id']}", params={"by": "ann"})
            assert dropped.status_code == 202

            async def is_gone():
                return await contacts() == []

            await until(is_gone, 20)


async def test_edge_node_that_the_model_lacks_is_adopted_and_asked_for_its_birth(
    services, environment, tmp_path, db, capsys
):
    metric = sparkplug.Metric("Header/FT-1", 2.5, sparkplug.DataType.DOUBLE)
    with (tmp_path / "ingest.log").open("w") as log:
        async with running("ingest", environment, log):
            await subscribed(environment)
            birth = sparkplug.nbirth(time.time_ns() // 1_000_000, [metric], 1)
            publish(services, "spBv1.0/Caustic/NBIRTH/Edge 3", birth)

            async def listed():
                await command("list")
                return "spBv1.0/Caustic/Edge 3  sparkplug" in capsys.readouterr().out

            await until(listed, 20)
            assert await command("adopt", "1", "--scope", "mypark/acme") == 0
            (row,) = load_park(environment["PARKTWIN_PARK"]).rows(GatewaySpec)
            assert (row.group, row.node) == ("Caustic", "Edge 3")
            assert row.tags == {"Header/FT-1": "Header_FT-1"}
            birth = sparkplug.nbirth(time.time_ns() // 1_000_000, [metric], 2)
            publish(services, "spBv1.0/Caustic/NBIRTH/Edge 3", birth)

            async def stored():
                count = "SELECT count(*) FROM sample_named WHERE tag = 'Header_FT-1'"
                return await db.fetchval(count) > 0

            await until(stored, 20)


async def test_data_logger_that_the_model_lacks_is_adopted_while_it_stays_connected(
    services, environment, tmp_path, db, capsys
):
    port, mn = free_port(), "ABHJ00000000000080011128"
    environment |= {"PARKTWIN_HJ212_PORT": str(port), "PARKTWIN_HJ212_HOST": "127.0.0.1"}

    async def answered(reader, writer):
        at = datetime.now(ZoneInfo("Asia/Shanghai"))
        cp = f"DataTime={at:%Y%m%d%H%M%S};a21026-Rtd=28.1,a21026-Flag=N"
        packet = hj212.Packet(f"{at:%Y%m%d%H%M%S}000", "31", "2011", "", mn, 5, cp)
        writer.write(hj212.encode(packet))
        await writer.drain()
        async with asyncio.timeout(20):
            (answer,) = hj212.Framer().feed(await reader.readuntil(b"\r\n"))
        return answer.cn

    with (tmp_path / "ingest.log").open("w") as log:
        async with running("ingest", environment, log):
            await subscribed(environment)
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            assert await answered(reader, writer) == "9011"

            async def listed():
                await command("list")
                return f"hj212/v1/-/-/{mn}  hj212" in capsys.readouterr().out

            await until(listed, 10)
            assert await command("adopt", "1", "--scope", "mypark/acme") == 0
            tag = load_park(environment["PARKTWIN_PARK"]).tags[0]
            assert (tag.tag, tag.quantity, tag.uom) == ("a21026-Rtd", "concentration", "mg/m^3")
            assert await answered(reader, writer) == "9014"
            assert (
                await db.fetchval("SELECT count(*) FROM sample_named WHERE tag = $1", tag.tag) == 1
            )
            writer.close()


async def test_busy_broker_costs_no_more_than_the_budget_and_ours_is_not_looked_at_twice(
    services, environment, tmp_path, db
):
    environment |= {"PARKTWIN_CONTACT_RATE": "50", "PARKTWIN_CONTACT_BURST": "500"}
    with (tmp_path / "ingest.log").open("w") as log:
        async with running("ingest", environment, log):
            await subscribed(environment)
            await asyncio.sleep(1.0)
            publish(services, "busy/topic", *[neuron(i) for i in range(5_000)])

            async def paused():
                value = "SELECT max(value) FROM sample_named WHERE tag = 'ingest.contacts.paused'"
                return await db.fetchval(value) >= 1

            await until(paused, 20)
            count = "SELECT count FROM contact WHERE address = 'busy/topic'"
            assert 100 <= await until(lambda: db.fetchval(count), 20) <= 1_000
            assert await db.fetchval("SELECT count(*) FROM reject") == 0
