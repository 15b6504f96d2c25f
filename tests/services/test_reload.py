"""A changed park model is taken over by running programs: nothing is lost, nobody is cut off."""

import asyncio
import json
import re
import time
from datetime import datetime
from zoneinfo import ZoneInfo

import httpx
import pytest

from deploy.service import free_port
from ingest.cli import reload
from ingest.wire import hj212
from tests.services.test_services import (
    TAGS,
    check_values,
    environment_of,
    start_load,
    stored,
)
from tests.support import load
from tests.support.programs import is_ready, running, subscribed
from tests.support.stored import TOPIC, query
from tests.support.waiting import until, until_returns

MN, OTHER = "010000A8900016F000169DC0", "FFFF00A8900016F000169DC0"
RELOADS, RATE, MESSAGES = 10, 250, 4000  # messages of 20 values: 5,000 values a second
COUNT = "SELECT count(*) FROM sample_named WHERE tag = $1"


def add_tag(folder, name, quantity="mass_flow", uom="t/h"):
    with (folder / "tags.csv").open("a", encoding="utf-8") as tags:
        tags.write(f"{name},acmepark/acme,{quantity},{uom},gauge,0,1000,1 %,\n")


def add_logger(folder, name, mn, tag):
    with (folder / "park.toml").open("a", encoding="utf-8") as park:
        park.write(
            f'[[gateway]]\nid = "{name}"\nscope = "acmepark/acme"\nprotocol = "hj212"\n'
            f'mn = "{mn}"\ntags = {{ "a21022-Rtd" = "{tag}" }}\nuoms = {{ a21022 = "t/h" }}\n'
        )


async def reloaded(environment, monkeypatch):
    """Let ingest read its model again; return the status of the command."""
    monkeypatch.setenv("PARKTWIN_DATABASE_URL", environment["PARKTWIN_DATABASE_URL"])
    return await asyncio.to_thread(reload.main, [])


async def holds(database, tag, count):
    async def number():
        return (await query(database, COUNT, tag))[0][0]

    await until_returns(count, number)


def pauses_ms(path):
    return [float(text) for text in re.findall(r"no cycle ran for (\d+) ms", path.read_text())]


async def test_ten_reloads_under_load_store_every_acknowledged_value_once(
    services, database, park_folder, tmp_path, monkeypatch
):
    environment = environment_of(services, database, park_folder)
    add_tag(park_folder, "QZ-1")
    path = tmp_path / "ingest.log"
    with path.open("w") as log:
        async with running("ingest", environment, log):
            await subscribed(environment)
            process, result = start_load(services, MESSAGES, rate=RATE)
            assert await stored(database, 1) > 0
            carefree = load.Publisher(load.HOST, services.mosquitto.port, client_id="carefree")
            begin_ms, sent = int(time.time() * 1000), 0
            for number in range(RELOADS):
                add_tag(park_folder, f"NEW-{number}")
                change = asyncio.create_task(reloaded(environment, monkeypatch))
                while not change.done():
                    body = {"ts": begin_ms + sent, "values": {"QZ-1": 1.0}}
                    carefree.publish(TOPIC, [json.dumps(body).encode()], qos=0)
                    sent += 1
                    await asyncio.sleep(0.01)
                assert await change == 0
            acknowledged = await asyncio.to_thread(result.get)
            assert acknowledged[:2] == (MESSAGES, MESSAGES)
            assert await stored(database, MESSAGES * len(TAGS)) == MESSAGES * len(TAGS)
            process.join()
            await check_values(database, MESSAGES)
            # The inbox takes what comes meanwhile, at QoS 0 as well.
            await holds(database, "QZ-1", sent)
            names = "SELECT count(*) FROM tag WHERE active AND tag LIKE 'NEW-%'"
            assert (await query(database, names))[0][0] == RELOADS
            carefree.sock.close()
    pauses = pauses_ms(path)
    print(f"no cycle ran for {min(pauses):.0f} to {max(pauses):.0f} ms, {sent} messages at QoS 0")
    assert len(pauses) == RELOADS
    assert path.read_text().count("connected to") == 1


async def test_wrong_model_is_refused_with_all_its_problems_and_the_former_runs_on(
    services, database, park_folder, tmp_path, monkeypatch, capsys
):
    environment = environment_of(services, database, park_folder)
    right = (park_folder / "tags.csv").read_text(encoding="utf-8")
    add_tag(park_folder, "NEW-1", "mass_flow", "kW")
    add_tag(park_folder, "NEW-2", "nonsense", "t/h")
    wrong = (park_folder / "tags.csv").read_text(encoding="utf-8")
    (park_folder / "tags.csv").write_text(right, encoding="utf-8")
    base = f"http://127.0.0.1:{environment['PARKTWIN_HTTP_PORT']}"
    with (tmp_path / "programs.log").open("w") as log:
        async with (
            running("ingest", environment | {"PARKTWIN_PARK_WATCH_S": "0.5"}, log),
            running("api", environment, log),
            httpx.AsyncClient(base_url=base, timeout=20) as client,
        ):
            await subscribed(environment)
            await until(lambda: is_ready(client), 30)

            async def warnings():
                return (await client.get("/readyz")).json()["warnings"]

            (park_folder / "tags.csv").write_text(wrong, encoding="utf-8")
            assert await reloaded(environment, monkeypatch) == 2
            printed = capsys.readouterr().err
            assert "'kW' is not a unit of mass_flow" in printed
            assert "quantity 'nonsense' is not in the vocabulary" in printed
            assert "the former model runs on" in printed
            health = (await client.get("/api/v1/health/data")).json()
            assert len(health["model_problems"]) == 2
            assert "the changed park model is refused" in (await warnings())[0]
            publisher = load.Publisher(load.HOST, services.mosquitto.port, client_id="former")
            body = {"ts": int(time.time() * 1000), "values": {"LT-00": 1.0, "NEW-3": 2.0}}
            publisher.publish(TOPIC, [json.dumps(body).encode()])
            publisher.drain()
            await holds(database, "LT-00", 1)
            # Mended by hand, it is taken without a command, and so is what came before.
            (park_folder / "tags.csv").write_text(right, encoding="utf-8")
            add_tag(park_folder, "NEW-3")
            await holds(database, "NEW-3", 1)
            await until_returns([], warnings)
            body["ts"] += 1
            publisher.publish(TOPIC, [json.dumps(body).encode()])
            publisher.drain()
            publisher.sock.close()

            async def latest():
                answer = await client.get("/api/v1/latest", params={"tag": "acme/NEW-3"})
                return answer.json()["items"][0]["value"] if answer.status_code == 200 else None

            await until_returns(2.0, latest)


async def test_model_that_cannot_run_on_what_is_stored_leaves_the_former_running(
    services, database, park_folder, tmp_path, monkeypatch, capsys
):
    environment = environment_of(services, database, park_folder)
    path = park_folder / "park.toml"
    right = path.read_text(encoding="utf-8")
    with (tmp_path / "ingest.log").open("w") as log:
        async with running("ingest", environment, log):
            await subscribed(environment)
            path.write_text(right.replace("Asia/Shanghai", "Asia/Nowhere"), encoding="utf-8")
            assert await reloaded(environment, monkeypatch) == 2
            assert "is not an IANA time zone" in capsys.readouterr().err
            path.unlink()
            assert await reloaded(environment, monkeypatch) == 2
            assert "park.toml: missing" in capsys.readouterr().err
            path.write_text(right.replace("Asia/Shanghai", "Europe/Berlin"), encoding="utf-8")
            assert await reloaded(environment, monkeypatch) == 0
            clock = "SELECT zone FROM clock"
            assert (await query(database, clock))[0][0] == "Europe/Berlin"
            path.write_text(right.replace("Asia/Shanghai", "Asia/Nowhere"), encoding="utf-8")
            assert await reloaded(environment, monkeypatch) == 2
        # Mended while ingest was away: the next start has nothing to complain of.
        problems = "SELECT problem FROM model_problem"
        assert await query(database, problems)
        path.write_text(right, encoding="utf-8")
        async with running("ingest", environment, log):
            await until_returns([], lambda: query(database, problems))


async def test_data_logger_stays_connected_and_a_new_one_is_known_after_a_reload(
    services, database, park_folder, tmp_path, monkeypatch
):
    port = free_port()
    environment = environment_of(services, database, park_folder)
    environment |= {"PARKTWIN_HJ212_PORT": str(port), "PARKTWIN_HJ212_HOST": "127.0.0.1"}
    add_logger(park_folder, "cems-1", MN, "FT-1")

    async def answered(reader, writer, mn, second):
        at = datetime.now(ZoneInfo("Asia/Shanghai")).replace(second=second)
        cp = f"DataTime={at:%Y%m%d%H%M%S};a21022-Rtd=1.8,a21022-Flag=N"
        writer.write(
            hj212.encode(hj212.Packet(f"{at:%Y%m%d%H%M%S}000", "31", "2011", "", mn, 5, cp))
        )
        await writer.drain()
        async with asyncio.timeout(20):
            (packet,) = hj212.Framer().feed(await reader.readuntil(b"\r\n"))
        return packet.cn

    with (tmp_path / "ingest.log").open("w") as log:
        async with running("ingest", environment, log):
            await subscribed(environment)
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            assert await answered(reader, writer, MN, 1) == "9014"
            add_tag(park_folder, "NEW-1")
            add_logger(park_folder, "cems-2", OTHER, "NEW-1")
            assert await reloaded(environment, monkeypatch) == 0
            assert await answered(reader, writer, MN, 2) == "9014"
            assert await answered(reader, writer, OTHER, 3) == "9014"
            await holds(database, "FT-1", 2)
            await holds(database, "NEW-1", 1)
            writer.close()


@pytest.mark.parametrize("topic", ["plant7/flows", "plant7/{tag}"])
async def test_topics_of_a_new_gateway_are_subscribed_and_of_a_gone_one_no_longer(
    services, database, park_folder, tmp_path, monkeypatch, topic
):
    environment = environment_of(services, database, park_folder)
    path = park_folder / "park.toml"
    right = path.read_text(encoding="utf-8")
    layout = '{ value = "v" }' if "{" in topic else '{ values = "values" }'
    body = {"v": 1.5} if "{" in topic else {"values": {"FT-1": 1.5}}
    sent_to = topic.replace("{tag}", "FT-1")
    with (tmp_path / "ingest.log").open("w") as log:
        async with running("ingest", environment, log):
            await subscribed(environment)
            publisher = load.Publisher(load.HOST, services.mosquitto.port, client_id="foreign")

            def publish():
                publisher.publish(sent_to, [json.dumps(body).encode()])
                publisher.drain()

            path.write_text(
                f'{right}\n[[gateway]]\nid = "g7"\nscope = "acmepark/acme"\nprotocol = "json"\n'
                f'topic = "{topic}"\npayload = {layout}\n',
                encoding="utf-8",
            )
            assert await reloaded(environment, monkeypatch) == 0
            publish()
            await holds(database, "FT-1", 1)
            path.write_text(right, encoding="utf-8")
            assert await reloaded(environment, monkeypatch) == 0
            publish()
            publisher.publish(TOPIC, [b'{"ts": %d, "values": {"LT-00": 1}}' % (time.time() * 1e3)])
            publisher.drain()
            publisher.sock.close()
            await holds(database, "LT-00", 1)
            assert (await query(database, "SELECT count(*) FROM reject"))[0][0] == 0
            await holds(database, "FT-1", 1)
