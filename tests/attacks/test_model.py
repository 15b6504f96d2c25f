"""A changed park model against what is stored: nothing of the past becomes something else."""

from zoneinfo import ZoneInfo

import pytest

from deploy.database.times import stamp
from ingest.cli.replay import Replay
from ingest.file_import.loader import Loader
from ingest.settings import IngestSettings
from ingest.store.sums import bring_to_clock
from tests.support.small_park import serving
from tests.support.stored import T0, cycling, message, opened
from twin.arrays import DAY_US, HOUR_US
from twin.errors import ParkError
from twin.loading import parse_park

FORMER = "acme/FT-1@mass_flow.gauge.measured"
ALARM = '\n[[alarm]]\nid = "A-1"\ntag = "acme/FT-1"\ndirection = "high"\nlimit = "50 t/h"\n'


def changed(park, before, after, toml=""):
    """Return a park with another text in one of its files."""
    files = {name: text.replace(before, after) for name, text in park.files.items()}
    assert files != park.files or toml
    return parse_park(files | {"park.toml": files["park.toml"] + toml})


def as_temperature(park):
    return changed(park, "FT-1,acmepark/acme,mass_flow,t/h", "FT-1,acmepark/acme,temperature,degC")


async def send(database, park, values, at_ms, cycles=1):
    """Run cycles of a fresh start with one message in each, a minute apart."""
    async with cycling(database, park, at_ms * 1000) as cycle:
        for number in range(cycles):
            now_ms = at_ms + number * 60_000
            await cycle.run(
                [message({"ts": now_ms, "values": values}, at_ms=now_ms)], now_ms * 1000
            )


async def history(client, tag, at_ms, **query):
    times = {"from": stamp((at_ms - 600_000) * 1000).isoformat(),
             "to": stamp((at_ms + 7_200_000) * 1000).isoformat()}  # fmt: skip
    return await client.get("/api/v1/history", params={"tag": tag, **times, **query})


async def series(db, tag="FT-1"):
    """Return name, quantity, kind, whether active and number of samples of the series of a tag."""
    rows = await db.fetch(
        "SELECT tag, quantity, kind, active, count(s) FROM tag t LEFT JOIN sample s USING (tag_id)"
        " WHERE enterprise = 'acme' AND (tag = $1 OR tag LIKE $1 || '@%')"
        " GROUP BY t.tag_id ORDER BY 1",
        tag,
    )
    return [tuple(row) for row in rows]


async def test_another_quantity_is_another_series_and_the_old_values_stay_what_they_were(
    database, db, park
):
    await send(database, park, {"FT-1": 100.0}, T0)
    await send(database, as_temperature(park), {"FT-1": 21.5}, T0 + 3_600_000)
    assert await series(db) == [
        ("FT-1", "temperature", "gauge", True, 1),
        ("FT-1@mass_flow.gauge.measured", "mass_flow", "gauge", False, 1),
    ]
    async with serving(database, (T0 + 3_700_000) * 1000) as (client, _):
        old = (await history(client, FORMER, T0)).json()
        new = (await history(client, "acme/FT-1", T0)).json()
        assert (old["uom"], old["value"]) == ("t/h", [100.0])
        assert (new["uom"], new["value"]) == ("degC", [21.5])
        latest = (await client.get("/api/v1/latest?tag=acme/FT-1")).json()["items"]
        assert [(row["value"], row["uom"]) for row in latest] == [(21.5, "degC")]
        tags = (await client.get("/api/v1/tags?q=FT-1&inactive=true")).json()["items"]
        assert [(row["tag"], row["uom"], row["active"]) for row in tags] == [
            ("acme/FT-1", "degC", True), (FORMER, "t/h", False),
        ]  # fmt: skip
        assert len((await client.get("/api/v1/tags?q=FT-1")).json()["items"]) == 1
        assert (await client.get(f"/api/v1/latest?tag={FORMER}")).status_code == 404
    named = await db.fetch("SELECT tag, value, uom FROM sample_named WHERE tag LIKE 'FT-1%'")
    assert {tuple(row) for row in named} == {
        ("FT-1", 21.5, "degC"), ("FT-1@mass_flow.gauge.measured", 100.0, "t/h"),
    }  # fmt: skip


async def test_another_kind_is_another_series_whose_minutes_are_its_own(database, db, park):
    await send(database, park, {"JQ-1": 5.0}, T0, cycles=4)
    gauge = changed(
        park, "JQ-1,acmepark/acme,energy,kWh,counter", "JQ-1,acmepark/acme,energy,kWh,gauge"
    )
    await send(database, gauge, {"JQ-1": 7.0}, T0 + 600_000, cycles=4)
    assert [row[:4] for row in await series(db, "JQ-1")] == [
        ("JQ-1", "energy", "gauge", True),
        ("JQ-1@energy.counter.measured", "energy", "counter", False),
    ]  # fmt: skip
    minutes = await db.fetch(
        "SELECT tag, sum(amount) AS amount FROM minute JOIN tag USING (tag_id)"
        " WHERE tag LIKE 'JQ-1%' GROUP BY 1 ORDER BY 1"
    )
    assert minutes[1]["amount"] == 0.0, "the register did not move"
    assert minutes[0]["amount"] > 0.0


async def test_a_model_that_returns_to_the_old_meaning_goes_on_with_the_old_series(
    database, db, park
):
    await send(database, park, {"FT-1": 100.0}, T0)
    before = await db.fetchval("SELECT tag_id FROM tag WHERE tag = 'FT-1'")
    await send(database, as_temperature(park), {"FT-1": 21.5}, T0 + 60_000)
    await send(database, park, {"FT-1": 90.0}, T0 + 120_000)
    assert await series(db) == [
        ("FT-1", "mass_flow", "gauge", True, 2),
        ("FT-1@temperature.gauge.measured", "temperature", "gauge", False, 1),
    ]
    assert await db.fetchval("SELECT tag_id FROM tag WHERE tag = 'FT-1'") == before


async def test_another_uom_of_the_same_quantity_keeps_the_series(database, db, park):
    await send(database, park, {"FT-1": 100.0}, T0)
    in_kg = changed(park, "FT-1,acmepark/acme,mass_flow,t/h", "FT-1,acmepark/acme,mass_flow,kg/h")
    await send(database, in_kg, {"FT-1": 99_000.0}, T0 + 60_000)
    assert await series(db) == [("FT-1", "mass_flow", "gauge", True, 2)]
    values = await db.fetch("SELECT value FROM sample_named WHERE tag = 'FT-1' ORDER BY time")
    assert [row["value"] for row in values] == [100_000.0, 99_000.0]


async def test_a_tag_that_is_removed_and_added_again_goes_on(database, db, park):
    line = next(t for t in park.files["tags.csv"].splitlines() if t.startswith("FT-1,"))
    await send(database, park, {"FT-1": 1.0}, T0)
    await send(database, changed(park, line + "\n", ""), {"TT-1": 1.0}, T0 + 60_000)
    assert await series(db) == [("FT-1", "mass_flow", "gauge", False, 1)]
    async with serving(database, (T0 + 90_000) * 1000) as (client, _):
        assert (await history(client, "acme/FT-1", T0)).json()["value"] == [1.0]
    await send(database, park, {"FT-1": 3.0}, T0 + 120_000)
    assert await series(db) == [("FT-1", "mass_flow", "gauge", True, 2)]


async def test_a_tag_of_another_enterprise_is_another_tag(database, db, park):
    await send(database, park, {"FT-1": 1.0}, T0)
    moved = changed(park, "FT-1,acmepark/acme,", "FT-1,acmepark/other,")
    await send(database, moved, {"TT-1": 1.0}, T0 + 60_000)
    rows = await db.fetch(
        "SELECT enterprise, active, count(s) FROM tag LEFT JOIN sample s USING (tag_id)"
        " WHERE tag = 'FT-1' GROUP BY tag_id, 1, 2 ORDER BY 1"
    )
    assert [tuple(row) for row in rows] == [("acme", False, 1), ("other", True, 0)]


async def test_what_was_derived_is_no_past_of_what_is_measured(database, db, park):
    await db.execute(
        "INSERT INTO tag (enterprise, tag, scope, quantity, uom, kind, source, scale, shift)"
        " VALUES ('acme', 'FT-1', 'acmepark/acme', 'mass_flow', 't/h', 'gauge', 'derived', 1, 0)"
    )
    await send(database, park, {"FT-1": 1.0}, T0)
    assert [(row[0], row[4]) for row in await series(db)] == [
        ("FT-1", 1), ("FT-1@mass_flow.gauge.derived", 0),
    ]  # fmt: skip


async def test_an_alarm_on_another_series_begins_anew(database, db, park):
    alarmed = changed(park, "", "", ALARM)
    await send(database, alarmed, {"FT-1": 90.0}, T0, cycles=2)
    assert await db.fetchval("SELECT state FROM alarm WHERE alarm = 'A-1'") == "unacknowledged"
    hot = ALARM.replace("50 t/h", "50 degC")
    warm = changed(as_temperature(park), "", "", hot)
    await send(database, warm, {"FT-1": 20.0}, T0 + 180_000)
    assert await db.fetchval("SELECT state FROM alarm WHERE alarm = 'A-1'") == "normal"
    ended = await db.fetchrow(
        "SELECT before, after, reason FROM alarm_event ORDER BY id DESC LIMIT 1"
    )
    assert tuple(ended) == ("unacknowledged", "normal", "its tag is another series")


async def test_samples_in_quarantine_keep_the_uom_they_were_sent_in(database, db, park):
    await send(database, park, {"FT-1": 1.0}, T0)
    async with cycling(database, park, T0 * 1000 + 1_000_000) as cycle:
        ahead = {"ts": T0 + 600_000, "values": {"FT-1": 36.0}}
        await cycle.run([message(ahead)], T0 * 1000 + 1_000_000)
    held = await db.fetchrow("SELECT value, uom FROM quarantine_sample")
    assert tuple(held) == (36.0, "t/h")


async def put_hours(db, tag_id, start_us, hours, joule=1.0):
    """Store a minute of a joule in each of some hours, and the sums of a park in Shanghai."""
    for table, length in (("minute", HOUR_US), ("hour", HOUR_US), ("day", DAY_US)):
        await db.execute(
            f"INSERT INTO {table} (time, tag_id, n, amount, covered_s, quality)"
            " SELECT date_trunc($5, to_timestamp($1 / 1e6), 'Asia/Shanghai') + n * $2::interval,"
            " $3, 1, $6::float8, 60, 0 FROM generate_series(0, $4 - 1) n",
            float(start_us), stamp(length) - stamp(0), tag_id, hours * HOUR_US // length,
            "day" if table == "day" else "hour", joule * length / HOUR_US,
        )  # fmt: skip


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "Asia/Kolkata"])
async def test_another_time_zone_sums_hours_and_days_again(database, db, park, zone):
    await send(database, park, {"FT-1": 1.0}, T0)
    tag_id = await db.fetchval("SELECT tag_id FROM tag WHERE tag = 'JQ-1'")
    await put_hours(db, tag_id, (T0 - 10 * 86_400_000) * 1000, 240)
    other = changed(park, "Asia/Shanghai", zone)
    async with cycling(database, other, (T0 + 60_000) * 1000):
        pass
    for table in ("hour", "day"):
        rows = await db.fetch(
            f"SELECT time, amount, date_trunc('{table}', time, $2) AS start FROM {table}"
            " WHERE tag_id = $1 ORDER BY time",
            tag_id, zone,
        )  # fmt: skip
        assert sum(row["amount"] for row in rows) == 240.0, "every joule once"
        assert [row["time"] for row in rows] == [row["start"] for row in rows], "no row of before"
    assert tuple(await db.fetchrow("SELECT zone, done FROM clock")) == (zone, None)


async def test_an_interrupted_change_of_the_clock_goes_on_and_nobody_else_writes(
    database, db, park
):
    await send(database, park, {"FT-1": 1.0}, T0)
    ids = [row["tag_id"] for row in await db.fetch("SELECT tag_id FROM tag ORDER BY 1")]
    for tag_id in (ids[0], ids[-1]):
        await put_hours(db, tag_id, (T0 - 10 * 86_400_000) * 1000, 240)
    days = "SELECT count(*) FROM day WHERE tag_id = $1 AND date_trunc('day', time, $2) = time"
    async with opened(database) as store:
        async with store.transaction():
            assert await store.sums.begin_rebuild("Asia/Tokyo")
            assert await store.sums.rebuild("Asia/Tokyo")
        assert await db.fetchval(days, ids[0], "Asia/Tokyo") == 11
        assert await db.fetchval(days, ids[-1], "Asia/Tokyo") == 0
        for zone in ("Asia/Tokyo", "Asia/Shanghai"):
            with pytest.raises(ParkError, match=f"not on the clock of {zone}"):
                async with store.transaction():
                    await store.sums.require_clock(zone)
        await bring_to_clock(store, "Asia/Tokyo")
        async with store.transaction():
            await store.sums.require_clock("Asia/Tokyo")
    assert await db.fetchval(days, ids[-1], "Asia/Tokyo") == 11
    assert await db.fetchval("SELECT sum(amount) FROM day WHERE tag_id = $1", ids[-1]) == 240.0


async def test_a_replay_does_not_cross_a_change_of_what_a_tag_is(database, db, park):
    await send(database, park, {"FT-1": 100.0}, T0, cycles=3)
    warm = as_temperature(park)
    await send(database, warm, {"FT-1": 20.0}, T0 + 7_200_000, cycles=3)
    async with opened(database) as store:
        with pytest.raises(ParkError, match="none of what that tag is now") as refused:
            await Replay(warm, store, 500_000).run(T0 * 1000, None, lambda *_: None)
        assert FORMER in str(refused.value)
        until_us = (T0 + 3_600_000) * 1000
        assert (
            stamp(until_us).astimezone(ZoneInfo("Asia/Shanghai")).isoformat() in refused.value.hint
        )
        progress = await Replay(warm, store, 500_000).run(until_us, None, lambda *_: None)
        assert progress.cycles > 0


async def test_an_import_does_not_change_the_clock(database, db, park):
    await send(database, park, {"FT-1": 1.0}, T0, cycles=3)
    await db.execute("DELETE FROM model")
    async with opened(database) as store:
        other = Loader(changed(park, "Asia/Shanghai", "Asia/Tokyo"), store, IngestSettings(), 0)
        with pytest.raises(ParkError, match="not on the clock of Asia/Tokyo"):
            await other.attach()
