"""`parktwin import` against a real database: as if the values had come over the wire."""

import asyncio
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from ingest.file_import import chunks
from ingest.file_import.__main__ import check, load
from ingest.file_import.loader import Chunk, by_counters
from ingest.settings import IngestSettings
from ingest.store.imports import ImportTable
from tests.ingest.commands.test_quarantine import ROW, order, turns, twin
from tests.support.small_history import (
    END_MS,
    HOUR_MS,
    STEEL,
    WIDE,
    empty,
    live,
    messages_of,
    rows_of,
    run_import,
    steel,
    text_of,
    with_meter,
)
from tests.support.stored import T0, cycling, everything, samples
from tests.support.waiting import until
from twin import quality as q
from twin.errors import ParkError
from twin.loading import load_park
from twin.series.samples import Samples, sort

FLOW = 'time = "t"\nformat = "ms"\n[columns]\nFT-1 = "acme/FT-1"\n'


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("order", ["in order", "backwards", "shuffled"])
async def test_import_leaves_the_same_minutes_as_live_data(
    database, db, park, write, monkeypatch, seed, order
):
    rows = rows_of(seed)
    await live(database, park, rows, END_MS)
    expected = await everything(db)
    assert len(expected["minute"]) >= 150
    await empty(db)
    monkeypatch.setattr(chunks, "CHUNK_SAMPLES", 93)
    if order == "backwards":
        rows = rows[::-1]
    elif order == "shuffled":
        random.Random(seed).shuffle(rows)  # noqa: S311
    file = write("history.csv", text_of(rows))
    await run_import(database, park, [file], write("map.toml", WIDE), END_MS)
    assert await everything(db) == expected


@pytest.mark.parametrize("seed", range(3))
async def test_history_before_and_between_live_data_is_as_if_all_had_been_live(
    database, db, park, write, monkeypatch, seed
):
    rows = rows_of(seed)
    await live(database, park, rows, END_MS)
    expected = await everything(db)
    await empty(db)
    monkeypatch.setattr(chunks, "CHUNK_SAMPLES", 50)
    rng = random.Random(seed)  # noqa: S311
    sent = [row for row in rows[200:] if rng.random() < 0.5]
    remaining = [row for row in rows if row not in sent]
    await live(database, park, sent, END_MS)
    file, map_path = write("history.csv", text_of(remaining)), write("map.toml", WIDE)
    await run_import(database, park, [file], map_path, END_MS)
    assert await everything(db) == expected
    assert await db.fetchval("SELECT count(*) FROM restatement") > 0
    assert await db.fetchval("SELECT count(*) FROM correction") == 0


async def test_import_into_nothing_restates_nothing(database, db, park, write, monkeypatch):
    monkeypatch.setattr(chunks, "CHUNK_SAMPLES", 50)
    later, earlier = rows_of(1)[200:], rows_of(1)[:200]
    map_path = write("map.toml", WIDE)
    await run_import(database, park, [write("a.csv", text_of(later))], map_path, END_MS)
    assert await db.fetchval("SELECT count(*) FROM restatement") == 0
    # A value of the past may hold, or a counter's increase reach, into what was there.
    await run_import(database, park, [write("b.csv", text_of(earlier))], map_path, END_MS)
    first = later[0][0] // 60_000 * 60_000
    row = await db.fetchrow("SELECT min(start) AS start, max(stop) AS stop FROM restatement")
    start, stop = (round(row[name].timestamp() * 1000) for name in ("start", "stop"))
    assert first - 60_000 <= start <= first + 60_000
    assert stop <= first + 600_000


@pytest.mark.parametrize("seed", range(2))
async def test_live_ingest_and_import_at_the_same_time_end_right(
    database, db, park, write, monkeypatch, seed
):
    rows = rows_of(seed, 900, 7200)
    await live(database, park, rows, END_MS)
    expected = await everything(db)
    await empty(db)
    monkeypatch.setattr(chunks, "CHUNK_SAMPLES", 40)
    rng = random.Random(seed)  # noqa: S311
    sent = [row for row in rows if rng.random() < 0.5]
    remaining = [row for row in rows if row not in sent]
    file, map_path = write("history.csv", text_of(remaining)), write("map.toml", WIDE)
    async with cycling(database, park) as cycle:
        importing = asyncio.create_task(run_import(database, park, [file], map_path, END_MS))
        packets, cycles = messages_of(sent), 0
        while packets or not importing.done():
            block, packets = packets[:9], packets[9:]
            # The messages come while the history of that time is imported, before and after them.
            await cycle.run(block, END_MS * 1000 - 60_000_000 + cycles * 500_000)
            cycles += 1
            await asyncio.sleep(0.01)
        (counts,) = await importing
        await cycle.run([], END_MS * 1000 + 60_000_000)
    assert counts["new"] == sum(cell is not None for row in remaining for cell in row[1:])
    assert cycles > 20
    assert cycle.counters["retries"] == 0
    # The image followed what was imported.
    newest = await db.fetchval(
        "SELECT max(time) FROM sample JOIN tag USING (tag_id) WHERE tag = 'FT-1'"
    )
    assert cycle._state.image.time_us[0] == round(newest.timestamp() * 1e6)
    assert await everything(db) == expected


async def test_readers_hear_of_newer_samples_by_the_next_cycle(database, db, park, write):
    file, map_path = write("history.csv", f"t,FT-1\n{T0},36.4\n"), write("map.toml", FLOW)
    async with cycling(database, park) as cycle:
        await run_import(database, park, [file], map_path, T0 + 1000)
        await cycle.run([], T0 * 1000 + 2_000_000)
    row = await db.fetchrow("SELECT * FROM cycle ORDER BY cycle_us DESC LIMIT 1")
    flow = await db.fetchval("SELECT tag_id FROM tag WHERE tag = 'FT-1'")
    at = np.frombuffer(row["tag_id"], "<i4") == flow
    assert np.frombuffer(row["value"], "<f8")[at] * 3.6 == pytest.approx([36.4])


async def test_import_with_another_model_than_the_running_one_is_refused(
    database, park, park_folder, write
):
    with (park_folder / "tags.csv").open("a") as tags:
        tags.write("FT-2,acmepark/acme,mass_flow,t/h,gauge,,,,\n")
    file = write("history.csv", f"t,FT-2\n{T0},1\n")
    map_path = write("map.toml", FLOW.replace("FT-1", "FT-2"))
    changed = load_park(park_folder)
    async with cycling(database, park):
        with pytest.raises(ParkError, match="another park model"):
            await run_import(database, changed, [file], map_path)
    assert (await run_import(database, changed, [file], map_path))[0]["new"] == 1


async def test_energy_of_each_day_is_the_sum_of_the_file(database, db, park_folder, write):
    park = with_meter(park_folder)
    text, sums = steel(13)
    (counts,) = await run_import(
        database, park, [write("steel.csv", text)], write("map.toml", STEEL)
    )
    assert counts == {"rows": 13 * 96, "new": 13 * 96}
    for table, scale in (("day", 1), ("hour", 1), ("minute", 1)):
        rows = await db.fetch(
            "SELECT (time AT TIME ZONE 'Asia/Shanghai')::date::text AS day, sum(amount) AS amount,"
            f" sum(covered_s) AS covered, max(quality) AS quality FROM {table} JOIN tag"
            " USING (tag_id) WHERE tag = 'JT-1' GROUP BY 1 ORDER BY 1"
        )
        assert [row["day"] for row in rows] == list(sums)
        stored = [row["amount"] / 3.6e6 * scale for row in rows]
        np.testing.assert_allclose(stored, list(sums.values()), rtol=1e-9)
        assert {(row["covered"], row["quality"]) for row in rows} == {(86_400.0, q.GOOD)}


async def test_twice_changes_nothing(database, db, park, write):
    file, map_path = write("history.csv", text_of(rows_of(1))), write("map.toml", WIDE)
    (first,) = await run_import(database, park, [file], map_path, END_MS)
    before = await everything(db)
    (second,) = await run_import(database, park, [file], map_path, END_MS)
    (third,) = await run_import(database, park, [file], map_path, END_MS, again=True)
    assert second == first
    assert (third["new"], third["duplicates"]) == (0, first["new"])
    assert await everything(db) == before
    assert await db.fetchval("SELECT count(*) FROM correction") == 0
    assert await db.fetchval("SELECT count(*) FROM restatement") == 0


async def test_two_imports_of_the_same_file_at_once_store_it_once(
    database, db, park, write, monkeypatch
):
    monkeypatch.setattr(chunks, "CHUNK_SAMPLES", 40)
    rows = rows_of(1)
    file, map_path = write("history.csv", text_of(rows)), write("map.toml", WIDE)
    both = [run_import(database, park, [file], map_path, END_MS) for _ in range(2)]
    ended = await asyncio.gather(*both, return_exceptions=True)
    # Whoever finds that the other one has gone on gives up.
    assert any(isinstance(one, list) for one in ended)
    given_up = [one for one in ended if not isinstance(one, list)]
    assert all("by another program" in str(one) for one in given_up), given_up
    wanted = sum(cell is not None for row in rows for cell in row[1:])
    assert await db.fetchval("SELECT count(*) FROM sample") == wanted
    assert await db.fetchval("SELECT finished FROM import")


async def test_imports_at_once_into_an_empty_database_all_end_well(database, db, park, write):
    map_path = write("map.toml", FLOW)
    files = [write(f"{i}.csv", f"t,FT-1\n{T0 + i * 1000},{i}\n") for i in range(5)]
    await asyncio.gather(*[run_import(database, park, [file], map_path, END_MS) for file in files])
    assert [s[1] for s in await samples(db)] == [0, 1, 2, 3, 4]
    assert await db.fetchval("SELECT count(*) FROM model") == 1


def test_chunks_grow_and_shrink_with_the_time_they_take():
    pace = chunks.Pace()
    sizes = []
    for seconds in (0.1, 0.5, 0.8, 1.25, 3.0, *[3.0] * 10, *[0.01] * 20):
        pace.took(seconds)
        sizes.append(pace.samples)
    assert sizes[:5] == [20_000, 40_000, 50_000, 40_000, 20_000]
    assert min(sizes) == chunks.LEAST_SAMPLES
    assert sizes[-1] == chunks.CHUNK_SAMPLES


async def test_another_value_for_the_same_time_is_a_correction(database, db, park, write):
    map_path = write("map.toml", FLOW)
    await run_import(database, park, [write("a.csv", f"t,FT-1\n{T0},1\n{T0 + 1000},2\n")], map_path)
    file = write("b.csv", f"t,FT-1\n{T0},1.5\n{T0 + 1000},2\n{T0 + 2000},3\n{T0 + 2000},4\n")
    (counts,) = await run_import(database, park, [file], map_path)
    assert (counts["new"], counts["corrections"], counts["duplicates"]) == (1, 2, 1)
    assert [s[1] for s in await samples(db)] == [1.5, 2, 4]
    assert await db.fetchval("SELECT count(*) FROM correction") == 2


LONG = 'time = "t"\nformat = "ms"\ntag = "tag"\nvalue = "v"\nenterprise = "acme"\nnull = ["--"]\n'


async def test_adopting_a_tag_stores_what_an_import_held_of_it(
    database, db, park, park_folder, write, monkeypatch
):
    monkeypatch.setattr(chunks, "CHUNK_SAMPLES", 7)
    rows = [(T0 + i * 1000, "ZZ-1", i) for i in range(20)]
    rows += [(T0 + 20_000, "ZZ-1", "--"), (T0 + 21_000, "ZZ-1", 1000), (T0, "ZZ-2", 5)]
    text = "t,tag,v\n" + "".join(f"{t},{tag},{v}\n" for t, tag, v in rows)
    (counts,) = await run_import(
        database, park, [write("a.csv", text)], write("map.toml", LONG), END_MS
    )
    assert counts == {"rows": 23, "unknown_tag": 23}
    async with twin(database, park_folder) as (cycle, commands):
        number = await order(db, "quarantine.adopt", **ROW)
        await turns(cycle, commands)
        assert commands.reload.command == number
        await commands.answer(number, None, T0 * 1000)
    async with twin(database, park_folder) as (cycle, commands):
        await turns(cycle, commands, END_MS * 1000)
    result = await samples(db, "ZZ-1")
    assert [(t, code) for t, _, code in result[-2:]] == [
        (20_000, q.BAD | q.NOT_A_NUMBER), (21_000, q.UNCERTAIN | q.OUT_OF_RANGE)
    ]  # fmt: skip
    assert [(t, v) for t, v, _ in result[:-2]] == [(i * 1000, pytest.approx(i)) for i in range(20)]
    assert [row["tag"] for row in await db.fetch("SELECT tag FROM quarantine_sample")] == ["ZZ-2"]


async def test_a_chunk_of_many_days_is_committed_in_parts(database, db, park, write, monkeypatch):
    commits = []
    advance = ImportTable.advance

    async def counting(self, file, rows, counted):
        commits.append(rows)
        await advance(self, file, rows, counted)

    monkeypatch.setattr(ImportTable, "advance", counting)
    map_path = write(
        "map.toml", 'time="t"\nformat="ms"\n[columns]\nF={tag="acme/FT-1",uom="t/h"}\n'
    )
    days = [*range(0, 120, 3), 3]
    file = write("a.csv", "t,F\n" + "".join(f"{T0 + d * 86_400_000},{d / 4}\n" for d in days))
    job = check(park, [file], map_path)
    settings = IngestSettings(database_url=database, cycle_days=10)
    (ticket,) = await load(job, settings, (T0 + 130 * 86_400_000) * 1000, again=False)
    assert ticket.counts["rows"] == 41
    assert ticket.counts["new"] == 40
    assert ticket.counts["duplicates"] == 1
    assert commits == [0] * (len(commits) - 1) + [41]
    assert 12 <= len(commits) <= 13
    assert [value for _, value, _ in await samples(db)] == [d / 4 for d in days[:-1]]


async def test_samples_of_the_future_are_held_in_the_uom_of_their_tag(database, db, park, write):
    map_path = write(
        "map.toml", 'time="t"\nformat="ms"\n[columns]\nF={tag="acme/FT-1",uom="kg/s"}\n'
    )
    file = write("a.csv", "t,F\n" + "".join(f"{T0 + i},{i}\n" for i in range(9)))
    job = check(park, [file], map_path)
    settings = IngestSettings(database_url=database, quarantine_samples=12)
    (ticket,) = await load(job, settings, (T0 - HOUR_MS) * 1000, again=False)
    assert ticket.counts == {"rows": 9, "future": 9}
    held = await db.fetch("SELECT value FROM quarantine_sample ORDER BY id")
    assert [row["value"] for row in held] == pytest.approx([3.6 * i for i in (5, 6, 7, 8)])
    assert await db.fetchval("SELECT count FROM quarantine") == 9


def environment_of(database, park_folder):
    return {
        **os.environ, "PARKTWIN_DATABASE_URL": database, "PARKTWIN_PARK": str(park_folder),
    }  # fmt: skip


def begun(command, environment):
    # What runs in the background of a script is started deaf to Ctrl-C.
    command = ["env", "--default-signal=INT", *command]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
async def test_interrupted_import_goes_on_where_it_was(
    database, db, park, park_folder, write, number
):
    rows = rows_of(3, 120_000, 24 * 3600)
    file, map_path = write("history.csv", text_of(rows)), write("map.toml", WIDE)
    command = [sys.executable, "-m", "ingest.file_import", str(file), "--map", str(map_path)]
    process = begun(command, environment_of(database, park_folder))
    await until(lambda: db.fetchval("SELECT max(taken) FROM import"), 60)
    process.send_signal(number)
    process.communicate(timeout=30)
    taken = await db.fetchval("SELECT taken FROM import")
    assert 0 < taken < len(rows)
    wanted = sum(cell is not None for row in rows for cell in row[1:])
    assert await db.fetchval("SELECT count(*) FROM sample") < wanted
    # The clock of the second run has long passed the hours of the file.
    reported, _ = begun(command, environment_of(database, park_folder)).communicate(timeout=120)
    assert f"going on after row {taken:,}" in reported
    assert await db.fetchval("SELECT count(*) FROM sample") == wanted
    expected = await everything(db)
    await empty(db)
    await run_import(database, park, [file], map_path, int(time.time() * 1000))
    assert await everything(db) == expected


@pytest.mark.parametrize("backwards", [False, True])
async def test_readings_a_week_apart_are_counted_in_any_order(database, db, park, write, backwards):
    """The zero of one week is false; imported in two files, the older one first or last."""
    week_ms = 7 * 24 * HOUR_MS
    energy = [0.0, 700.0, 1400.0, 0.0, 2800.0, 3500.0]
    rows = [(T0 + nth * week_ms, None, value, None) for nth, value in enumerate(energy)]
    halves = [rows[:3], rows[3:]]
    for nth, half in enumerate(halves[::-1] if backwards else halves):
        file, now_ms = write(f"{nth}.csv", text_of(half)), rows[-1][0] + HOUR_MS
        await run_import(database, park, [file], write("map.toml", WIDE), now_ms)
    weeks = [
        await db.fetchval(
            "SELECT sum(amount) / 3.6e6 FROM minute JOIN tag USING (tag_id) WHERE tag = 'JQ-1'"
            " AND time >= to_timestamp($1) AND time < to_timestamp($2)",
            (T0 + first * week_ms) / 1000,
            (T0 + stop * week_ms) / 1000,
        )
        for first, stop in [(0, 1), (0, 2), (2, 4), (4, 5)]
    ]
    assert weeks == pytest.approx([700.0, 1400.0, 1400.0, 700.0])


def test_counters_that_are_seldom_read_are_stored_a_few_at_a_time():
    tags, days = 10, 30
    tag = np.repeat(np.arange(tags), 2)
    time_us = np.tile(np.array([0, 86_400_000_000]), tags)
    value, quality = np.ones(len(tag)), np.zeros(len(tag), np.uint8)
    part = Chunk(sort(Samples(tag, time_us, value, quality, time_us)), rows=20)
    counter = np.arange(tags) > 0
    pieces = by_counters(part, counter, days)
    assert sum(len(piece.samples.samples) for piece in pieces) == len(tag)
    assert [piece.rows for piece in pieces] == [0] * 8 + [20]
    assert all(len(np.unique(piece.samples.samples.tag)) <= 2 for piece in pieces)
    # Those read often are few minutes for each reading, and stay together.
    assert by_counters(part, np.zeros(tags, bool), days) == [part]
