"""Quarantine and rejects: nothing is lost that may be wanted later, and nothing grows for ever."""

import asyncio
import json
import time
from contextlib import asynccontextmanager

import pytest

from ingest.cli import quarantine, rejects
from ingest.commands import CommandQueue
from tests.services.test_services import environment_of
from tests.support import load
from tests.support.cycle_bench import LostOnce
from tests.support.programs import running, subscribed
from tests.support.stored import T0, TOPIC, cycling, message, samples, turn
from tests.support.waiting import until_returns
from twin import quality as q
from twin.loading import load_park

T0_US = T0 * 1000
ROW = {"enterprise": "acme", "tag": "ZZ-1", "scope": "acmepark/acme", "quantity": "mass_flow",
       "uom": "t/h", "kind": "gauge", "low": "0", "high": "100"}  # fmt: skip


@asynccontextmanager
async def twin(database, folder, **settings):
    """A cycle and its commands over the model in a folder, as after a start of the program."""
    async with cycling(database, load_park(folder), T0_US, LostOnce, park=folder, **settings) as it:
        commands = CommandQueue(it._store, it._park, it.topics, it._settings)
        await commands.start()
        yield it, commands


async def turns(cycle, commands, now_us=T0_US, count=6):
    for number in range(count):
        await turn(cycle, commands, now_us + number * 3_000_000)


async def order(db, name, /, **body):
    """Write a command down; return its number."""
    return await db.fetchval(
        "INSERT INTO command (kind, body) VALUES ($1, $2::jsonb) RETURNING id",
        name, json.dumps(body),
    )  # fmt: skip


async def answer(db, number):
    row = await db.fetchrow("SELECT done, error FROM command WHERE id = $1", number)
    assert row["done"] is not None
    return row["error"]


def unknown(count=3, tag="ZZ-1"):
    return [message({"ts": T0 + i * 1000, "values": {tag: float(i)}}) for i in range(count)]


async def test_adopting_a_tag_stores_what_came_of_it_before(database, park_folder, db):
    odd = {
        "ts": T0 + 10_000, "simulated": True, "uom": {"ZZ-1": "kg/s"},
        "values": {"ZZ-1": {"v": 1.0, "q": "uncertain"}},
    }  # fmt: skip
    null = {"ts": T0 + 11_000, "values": {"ZZ-1": None, "ZZ-2": 5.0}}
    high = {"ts": T0 + 12_000, "values": {"ZZ-1": 1000}}
    wrong = {"ts": T0 + 13_000, "values": {"ZZ-1": 1}, "uom": {"ZZ-1": "kW"}}
    async with twin(database, park_folder) as (cycle, commands):
        bodies = [message(body) for body in (odd, null, high, wrong)]
        await cycle.run([*unknown(), *bodies], T0_US)
        number = await order(db, "quarantine.adopt", **ROW)
        await turns(cycle, commands)
        # It is answered when the model runs.
        assert commands.reload.command == number
        await commands.answer(number, None, T0_US)
    assert (
        (park_folder / "tags.csv")
        .read_text()
        .endswith("\nZZ-1,acmepark/acme,mass_flow,t/h,gauge,0,100,,\n")
    )
    async with twin(database, park_folder) as (cycle, commands):
        live = message({"ts": T0 + 20_000, "values": {"ZZ-1": 7.0}})
        await turn(cycle, commands, T0_US + 20_000_000, [live])
        await turns(cycle, commands, T0_US + 60_000_000)
        await cycle.run([], T0_US + 3_600_000_000)
        assert not commands.reload
    result = await samples(db, "ZZ-1")
    assert [(t, code) for t, _, code in result] == [
        (0, q.GOOD), (1000, q.GOOD), (2000, q.GOOD),
        (10_000, q.UNCERTAIN | q.SIMULATED), (11_000, q.BAD | q.NOT_A_NUMBER),
        (12_000, q.UNCERTAIN | q.OUT_OF_RANGE), (20_000, q.GOOD),
    ]  # fmt: skip
    values = [value for _, value, code in result if code < q.BAD]
    assert values == pytest.approx([0, 1, 2, 3.6, 1000, 7])
    # The minutes are those of samples in order.
    n = await db.fetchval("SELECT sum(n) FROM minute JOIN tag USING (tag_id) WHERE tag = 'ZZ-1'")
    assert n == 7
    assert [r["tag"] for r in await db.fetch("SELECT tag FROM quarantine")] == ["ZZ-2"]
    assert [r["tag"] for r in await db.fetch("SELECT tag FROM quarantine_sample")] == ["ZZ-2"]


@pytest.mark.parametrize("lost", [False, True])
async def test_row_added_by_hand_adopts_as_well(database, park_folder, db, lost):
    async with twin(database, park_folder) as (cycle, _):
        await cycle.run(unknown(50), T0_US)
    with (park_folder / "tags.csv").open("a") as file:
        file.write("ZZ-1,acmepark/acme,mass_flow,t/h,gauge,,,,\n")
    async with twin(database, park_folder) as (cycle, commands):
        # A block whose commit fails is brought by the next cycle.
        commands._store.lost = lost
        await turns(cycle, commands)
    assert len(await samples(db, "ZZ-1")) == 50
    assert await db.fetchval("SELECT count(*) FROM quarantine") == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"scope": "acmepark/nowhere"}, "does not exist"),
        ({"scope": "acmepark/other"}, "not one of enterprise acme"),
        ({"uom": "kW"}, "not a unit of mass_flow"),
        ({"quantity": "flow"}, "not in the vocabulary"),
        ({"low": "x"}, "not a number"),
        ({"tag": ""}, "names enterprise and tag"),
        ({"tag": "#1"}, "a comment"),
    ],
)
async def test_adoption_that_would_break_the_model_is_refused(
    database, park_folder, db, change, words
):
    before = (park_folder / "tags.csv").read_text()
    async with twin(database, park_folder) as (cycle, commands):
        number = await order(db, "quarantine.adopt", **ROW | change)
        await turns(cycle, commands)
        assert words in await answer(db, number)
        assert not commands.reload
    assert (park_folder / "tags.csv").read_text() == before


async def test_folder_that_cannot_be_written_gives_the_line_to_add(database, park_folder, db):
    (park_folder / ".tags.csv.new").mkdir()
    async with twin(database, park_folder) as (cycle, commands):
        number = await order(db, "quarantine.adopt", **ROW)
        await turns(cycle, commands)
        assert "ZZ-1,acmepark/acme,mass_flow,t/h,gauge,0,100,," in await answer(db, number)
        assert not commands.reload


async def test_adopted_tag_is_a_line_more_and_what_stood_in_the_file_stays_to_the_byte(
    database, park_folder, db
):
    path = park_folder / "tags.csv"
    before = b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n") + b"# ours, no end"
    path.write_bytes(before)
    async with twin(database, park_folder) as (cycle, commands):
        number = await order(db, "quarantine.adopt", **ROW)
        await turns(cycle, commands)
        assert commands.reload.command == number
    assert path.read_bytes() == before + b"\r\nZZ-1,acmepark/acme,mass_flow,t/h,gauge,0,100,,\r\n"
    assert (park_folder / "tags.csv.1").read_bytes() == before


async def test_samples_in_quarantine_are_bounded_and_the_newest_stay(database, park_folder, db):
    async with twin(database, park_folder, quarantine_samples=15) as (cycle, _):
        await cycle.run(unknown(4), T0_US)
        await cycle.run(unknown(4, "ZZ-2"), T0_US + 10)
    rows = await db.fetch("SELECT tag, value FROM quarantine_sample ORDER BY id")
    assert [tuple(row) for row in rows] == [("ZZ-1", 3.0), *(("ZZ-2", i) for i in range(4))]
    assert await db.fetchval("SELECT sum(count) FROM quarantine") == 8


async def test_samples_of_the_future_are_released_when_their_time_has_come(
    database, park_folder, db
):
    early = [message({"ts": T0 + 600_000 + i, "values": {"FT-1": float(i)}}) for i in range(3)]
    late = message({"ts": T0 + 9_000_000, "values": {"FT-1": 9.0}})
    async with twin(database, park_folder) as (cycle, commands):
        await cycle.run([*early, late], T0_US)
        assert await samples(db, "FT-1") == []
        key = {"enterprise": "acme", "tag": "FT-1", "reason": "future"}
        number = await order(db, "quarantine.release", **key)
        await turns(cycle, commands, T0_US + 900_000_000)
        assert await answer(db, number) is None
        assert [value for _, value, _ in await samples(db, "FT-1")] == [0, 1, 2]
        assert await db.fetchval("SELECT value FROM quarantine_sample") == 9.0
        number = await order(db, "quarantine.release", **key | {"reason": "unknown_tag"})
        await turns(cycle, commands, T0_US + 930_000_000)
        assert "not one of future" in await answer(db, number)


async def test_samples_of_the_past_are_released_a_piece_at_a_time(database, park_folder, db):
    days = range(401, 1401, 100)
    old = [message({"ts": T0 - day * 86_400_000, "values": {"FT-1": float(day - 400) / 20}})
           for day in days]  # fmt: skip
    unknown_too = message({"ts": T0 - 500 * 86_400_000, "values": {"ZZ-1": 1.0}})
    async with twin(database, park_folder) as (cycle, commands):
        await cycle.run([*old, unknown_too], T0_US)
        assert await samples(db, "FT-1") == []
        number = await order(db, "quarantine.adopt", **ROW)
        await turns(cycle, commands)
        await commands.answer(number, None, T0_US)
        assert await answer(db, number) is None
    async with twin(database, park_folder) as (cycle, commands):
        await turns(cycle, commands)
        assert await samples(db, "ZZ-1") == []
        key = {"enterprise": "acme", "tag": "FT-1", "reason": "past"}
        number = await order(db, "quarantine.release", **key)
        await turns(cycle, commands, count=14)
        assert await answer(db, number) is None
        assert cycle.counters["late"] == 10
        image_us = cycle.image.time_us[0]
    assert len(await samples(db, "FT-1")) == 10
    assert image_us < 0
    assert [row["tag"] for row in await db.fetch("SELECT tag FROM quarantine")] == ["ZZ-1"]


async def test_dropped_is_gone(database, park_folder, db):
    async with twin(database, park_folder) as (cycle, commands):
        await cycle.run([*unknown(), *unknown(2, "ZZ-2")], T0_US)
        number = await order(db, "quarantine.drop", enterprise="acme", tag="ZZ-1")
        await turns(cycle, commands)
        assert await answer(db, number) is None
    assert await db.fetchval("SELECT count(*) FROM quarantine") == 1
    assert await db.fetchval("SELECT count(*) FROM quarantine_sample") == 2


async def test_rejects_go_through_their_codec_again(database, park_folder, db):
    body = {"ts": T0, "values": {"NN-1": 3.0}}
    later = message(body, "park/v1/acmepark/newcomer/gw")
    hopeless = message(b"{", raw=True)
    cut = message(b"{" + b" " * 5000, raw=True)
    edge = message(b"\x00", "spBv1.0/G/NDATA/N", raw=True)
    async with twin(database, park_folder) as (cycle, _):
        await cycle.run([later, hopeless, cut, edge], T0_US)
        assert await db.fetchval("SELECT count(*) FROM reject") == 4
    with (park_folder / "park.toml").open("a") as file:
        file.write(
            '[[scope]]\nid = "acmepark/newcomer"\nkind = "enterprise"\n'
            'name = {zh = "新", en = "New"}\n'
        )
    with (park_folder / "tags.csv").open("a") as file:
        file.write("NN-1,acmepark/newcomer,mass_flow,t/h,gauge,,,,\n")
    async with twin(database, park_folder) as (cycle, commands):
        number = await order(db, "reject.replay")
        await turns(cycle, commands, T0_US + 60_000_000)
        assert await answer(db, number) is None
        assert await samples(db, "NN-1") == [(0, 3.0, q.GOOD)]
        # What is refused again is there again; what cannot be replayed has stayed.
        rows = await db.fetch("SELECT reason, payload FROM reject ORDER BY id")
        assert [row["payload"][:1] for row in rows] == [b"{", b"\x00", b"{"]
        number = await order(db, "reject.drop", reason="bad_json")
        await turns(cycle, commands, T0_US + 90_000_000)
        assert await answer(db, number) is None
        assert await db.fetchval("SELECT count(*) FROM reject") == 1


async def test_nonsense_is_answered_and_stops_nobody(database, park_folder, db):
    async with twin(database, park_folder) as (cycle, commands):
        numbers = [
            await order(db, "quarantine.fly"),
            await order(db, "reject.replay", ids="all"),
            await order(db, "quarantine.release", enterprise="acme", tag="FT-1", reason="future"),
            await db.fetchval("INSERT INTO command (kind, body) VALUES ('a.b', '[]') RETURNING id"),
        ]
        await turns(cycle, commands)
        assert all([await answer(db, number) for number in numbers])


async def test_unknown_tag_is_adopted_while_ingest_runs(
    services, database, park_folder, db, tmp_path, monkeypatch, capsys
):
    environment = environment_of(services, database, park_folder)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    start_ms = int(time.time() * 1000) - 60_000
    bodies = [{"ts": start_ms + i, "values": {"ZZ-1": i, "LT-00": i}} for i in range(100)]
    with (tmp_path / "ingest.log").open("w") as log:
        async with running("ingest", environment, log):
            await subscribed(environment)
            publisher = load.Publisher(load.HOST, services.mosquitto.port, client_id="adopt")
            publisher.publish(TOPIC, [json.dumps(body).encode() for body in bodies[:50]])
            publisher.publish(TOPIC, [b"{"])
            publisher.drain()
            held = "SELECT count(*) FROM quarantine_sample"
            await until_returns(50, lambda: db.fetchval(held))
            assert await asyncio.to_thread(quarantine.main, ["list"]) == 0
            assert "acme/ZZ-1  unknown_tag  50 samples, 50 kept" in capsys.readouterr().out
            words = ["adopt", "acme/ZZ-1", "--scope", "acmepark/acme", "--quantity", "mass_flow"]
            assert await asyncio.to_thread(quarantine.main, [*words, "--uom", "kW"]) == 2
            assert "not a unit of mass_flow" in capsys.readouterr().err
            assert await asyncio.to_thread(quarantine.main, [*words, "--uom", "t/h"]) == 0
            publisher.publish(TOPIC, [json.dumps(body).encode() for body in bodies[50:]])
            publisher.drain()
            publisher.sock.close()
            count = "SELECT count(*) FROM sample JOIN tag USING (tag_id) WHERE tag = $1"
            await until_returns(100, lambda: db.fetchval(count, "ZZ-1"))
            await until_returns(100, lambda: db.fetchval(count, "LT-00"))
            assert await asyncio.to_thread(rejects.main, ["list"]) == 0
            assert "bad_json" in capsys.readouterr().out
            assert await asyncio.to_thread(rejects.main, ["drop", "--all"]) == 0
            assert await db.fetchval("SELECT count(*) FROM reject") == 0
    assert await db.fetchval("SELECT count(*) FROM quarantine") == 0
