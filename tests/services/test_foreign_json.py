"""JSON of other makers through a real broker: presets are read, retained values stay of old."""

import json
import time

import aiomqtt

from tests.services.test_services import environment_of
from tests.support.programs import running, subscribed
from tests.support.stored import query
from tests.support.waiting import until

ROWS = """
[[gateway]]
id = "neuron"
scope = "acmepark/acme"
protocol = "json"
topic = "/neuron/plc"
payload = "neuron-tags"

[[gateway]]
id = "heat-pump"
scope = "acmepark/acme"
protocol = "json"
topic = "pump/main/{tag+}"
payload = "number"
tags = { "flow/out" = "LT-02" }
"""
STORED = """
SELECT tag, nullif(value, 'NaN'), quality FROM sample_named WHERE tag LIKE 'LT-%' ORDER BY tag, time
"""
REJECTS = "SELECT topic FROM reject WHERE reason = 'no_time'"


async def test_retained_value_without_a_time_is_not_stored_again_after_a_restart(
    services, database, park_folder, tmp_path
):
    environment = environment_of(services, database, park_folder)
    with (park_folder / "park.toml").open("a", encoding="utf-8") as model:
        model.write(ROWS)
    now_ms = time.time_ns() // 1_000_000
    tags = [{"name": "LT-00", "value": 2.5}, {"name": "LT-01", "error": 2014}]
    neuron = json.dumps({"timestamp": now_ms, "node": "plc", "tags": tags})
    expected = [("LT-00", 2.5, 0), ("LT-01", None, 134), ("LT-02", 36.0, 0)]

    async def all_stored():
        rows = await query(database, STORED)
        return rows if len(rows) >= len(expected) else []

    async def refused():
        return await query(database, REJECTS)

    async with aiomqtt.Client("127.0.0.1", services.mosquitto.port) as client:
        with (tmp_path / "ingest.log").open("w") as log:
            async with running("ingest", environment, log):
                await subscribed(environment)
                for topic, payload in (("/neuron/plc", neuron), ("pump/main/flow/out", "36.0")):
                    await client.publish(topic, payload, qos=1, retain=True)
                got = await until(all_stored)
            try:
                async with running("ingest", environment, log):
                    topics = await until(refused)
            finally:
                for topic in ("/neuron/plc", "pump/main/flow/out"):
                    await client.publish(topic, b"", qos=1, retain=True)
    assert got == expected
    assert {topic for (topic,) in topics} == {"pump/main/flow/out"}
    assert len(await query(database, STORED)) == len(expected)
