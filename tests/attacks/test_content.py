"""Messages whose content asks for too much: the values of others go on."""

import json
import time

import cbor2

from tests.support import load
from tests.support.attack import attacked_park
from tests.support.stored import query
from tests.support.waiting import until
from twin.arrays import DAY_US

DAY_S = DAY_US // 1_000_000
NATIVE, SENML = "park/v1/acmepark/acme/attacker", "senml/v1/acmepark/acme/attacker"
QUARANTINED = "SELECT coalesce(sum(count), 0)::int FROM quarantine WHERE reason = 'past'"
STORED = """
SELECT count(*) FROM sample_named WHERE enterprise = 'acme' AND time < now() - interval '12 hours'
"""
CHUNKS = """
SELECT count(*) FROM timescaledb_information.chunks WHERE hypertable_name = 'sample'
"""


def senml_days(days):
    """Return a CBOR pack with a value on each of so many days before today."""
    records = [{2: 1, 6: -day * DAY_S} for day in range(2, days + 1)]
    return cbor2.dumps([{-2: "FT-1", -3: time.time() // 1, 2: 1, 6: -DAY_S}, *records])


def native_days(first, count, tags=("FT-1",), per_day=1):
    """Return columns with values of some tags on each of so many days before today."""
    now_s = int(time.time())
    rows = [
        (tag, (now_s - day * DAY_S - nth) * 1000)
        for day in range(first, first + count)
        for nth in range(per_day)
        for tag in tags
    ]
    tag, ts = zip(*rows, strict=True)
    columns = {"tag": tag, "ts": ts, "value": [1] * len(rows)}
    return json.dumps(columns, separators=(",", ":")).encode()


async def attack(park, topic, payloads, statement, wanted, seconds=12.0):
    """Publish payloads, and watch until a statement has what is wanted of them."""
    async with park.witness() as seen:
        process, _ = load.publish_in_background(park.mqtt_port, topic, payloads)

        async def done():
            return (await query(park.database, statement))[0][0] >= wanted

        await until(done, seconds)
        process.join()
    seen.require(stored_s=3.0, feed_s=1.0)


def senml_bombs():
    """Return packs that are small and dear: wrong units, long numbers, a name in each record."""
    long = cbor2.CBORTag(2, b"\xff" * 240_000)
    return [
        cbor2.dumps([{0: "TT-1", 1: "kg", 2: 1}] * 20_000),
        *(cbor2.dumps([{0: "FT-1", 2: cbor2.CBORTag(tag, [0, long])}]) for tag in (4, 5, 30)),
        cbor2.dumps([{-2: "x" * 150_000, 2: 1}, *[{2: 1}] * 30_000]),
        cbor2.dumps([{-2: "x" * 150_000, 2: 1}, *[{2: 1}] * 19_000]),
        b"\x9f" + b"\xa0" * 250_000 + b"\xff",
        b"\x81" * 250_000,
        b"[" * 250_000,
    ]


async def test_small_packs_that_unfold_into_seconds_and_gigabytes(
    services, database, park_folder, tmp_path
):
    refused = "SELECT max(value) FROM sample_named WHERE tag = 'ingest.rejected.wrong_uom'"
    async with attacked_park(services, database, park_folder, tmp_path) as park:
        await attack(park, SENML, senml_bombs(), refused, 20_000)
        assert await query(database, refused) == [(20_000.0,)]


async def test_a_message_of_twelve_thousand_days(services, database, park_folder, tmp_path):
    payload = senml_days(12_900)
    assert len(payload) < 150_000
    async with attacked_park(services, database, park_folder, tmp_path) as park:
        await attack(park, SENML, [payload], QUARANTINED, 12_500)
        assert await query(database, STORED) == [(399,)]
        assert (await query(database, CHUNKS))[0][0] <= 402


async def test_four_messages_of_five_thousand_days(services, database, park_folder, tmp_path):
    payloads = [native_days(first, 5_000) for first in range(1, 20_000, 5_000)]
    async with attacked_park(services, database, park_folder, tmp_path) as park:
        await attack(park, NATIVE, payloads, QUARANTINED, 19_600)
        assert (await query(database, CHUNKS))[0][0] <= 402


async def test_many_late_values_on_every_day_of_a_year(services, database, park_folder, tmp_path):
    tags = ("FT-1", "TT-1", "XS-1")
    payloads = [native_days(1, 1, tags), *(native_days(2, 360, tags, 4) for _ in range(2))]
    async with attacked_park(services, database, park_folder, tmp_path) as park:
        await attack(park, NATIVE, payloads, STORED, 3 + 360 * 12)
        assert (await query(database, CHUNKS))[0][0] <= 363
