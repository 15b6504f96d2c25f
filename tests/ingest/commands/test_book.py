"""Book data in the database: versions, samples and days of what is entered and confirmed."""

import json
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from ingest.commands import CommandQueue
from tests.support.small_book import FILES, PARK, cells
from tests.support.stored import T0, cycling, message, query, samples, turn
from twin import quality as q
from twin.loading import parse_park

ZONE = ZoneInfo("Asia/Shanghai")
NOW = round(datetime(2024, 11, 15, tzinfo=ZONE).timestamp()) * 1_000_000
SPREAD = q.UNCERTAIN | q.SPREAD
WAN_YUAN = 1e4
DAYS = """
SELECT d.time, d.amount, d.covered_s, d.quality FROM day d JOIN tag t USING (tag_id)
WHERE t.tag = $1 ORDER BY d.time
"""


class Ingest:
    """An ingest that carries out commands, and the database it writes to."""

    def __init__(self, cycle, db):
        self.cycle, self.db = cycle, db
        self.commands = CommandQueue(cycle._store, cycle._park, cycle.topics, cycle._settings)
        self.now_us = NOW

    async def order(self, kind, **body):
        """Carry out one command; return its error."""
        number = await self.db.fetchval(
            "INSERT INTO command (kind, body) VALUES ($1, $2) RETURNING id",
            f"book.{kind}", json.dumps({"by": "ann", **body}),
        )  # fmt: skip
        self.now_us += 3_000_000
        await turn(self.cycle, self.commands, self.now_us)
        done, error = await self.db.fetchrow(
            "SELECT done, error FROM command WHERE id = $1", number
        )
        assert done
        return error

    async def enter(self, *rows, confirm=True):
        return await self.order("enter", rows=[[n, row] for n, row in enumerate(rows, 2)],
                                confirm=confirm)  # fmt: skip


@pytest.fixture
async def ingest(database, db):
    async with cycling(database, PARK, NOW) as cycle:
        yield Ingest(cycle, db)


def time(text):
    return datetime.fromisoformat(text).replace(tzinfo=ZONE)


async def test_draft_is_kept_and_is_no_figure_until_it_is_confirmed(ingest, db):
    assert await ingest.enter(cells("acme/REVENUE", "2024-10", 1234.5), confirm=False) is None
    assert await samples(db, "REVENUE") == []
    (row,) = await db.fetch("SELECT * FROM book_named")
    assert (row["address"], row["version"], row["value"], row["stands"]) == (
        "acme/REVENUE", 1, 12_345_000.0, False,
    )  # fmt: skip
    assert await ingest.order("confirm", ids=[row["id"]], by="bob") is None
    (row,) = await db.fetch("SELECT * FROM book_named")
    assert (row["recorded_by"], row["confirmed_by"], row["stands"]) == ("ann", "bob", True)
    begin = round(time("2024-10-01").timestamp() * 1000) - T0
    assert await samples(db, "REVENUE") == [(begin, 1234.5, q.MANUAL)]


async def test_amount_of_a_month_is_spread_over_its_days(ingest, db):
    await ingest.enter(cells("acme/REVENUE", "2024-10", 3100))
    days = await db.fetch(DAYS, "REVENUE")
    assert [row["time"] for row in days] == [time(f"2024-10-{n:02}") for n in range(1, 32)]
    assert [row["amount"] / WAN_YUAN for row in days] == pytest.approx([100.0] * 31)
    assert {(row["covered_s"], row["quality"]) for row in days} == {(86_400.0, SPREAD)}
    assert await db.fetchval("SELECT count(*) FROM minute") == 0


async def test_value_of_a_gauge_holds_through_its_period(ingest, db):
    await ingest.enter(cells("acme/STAFF", "2024-Q4", 812))
    days = await db.fetch(DAYS, "STAFF")
    assert len(days) == 92
    assert {(row["amount"] / row["covered_s"], row["quality"]) for row in days} == {
        (812.0, q.MANUAL)
    }


async def test_instant_is_a_sample_and_has_no_days(ingest, db):
    await ingest.enter(cells("acme/GRADE", "2024-11-01T08:00", 99.2))
    ((_, value, quality),) = await samples(db, "GRADE")
    assert (value, quality) == (pytest.approx(99.2), q.MANUAL)
    assert await db.fetch(DAYS, "GRADE") == []


async def test_correction_restates_the_figure_and_keeps_the_old_version(ingest, db):
    await ingest.enter(
        cells("acme/REVENUE", "2024-09", 3000), cells("acme/REVENUE", "2024-10", 3100)
    )
    row = cells("acme/REVENUE", "2024-10", 6200, reason="invoice 4711 was missing")
    assert await ingest.enter(row, confirm=False) is None
    assert sum(row["amount"] for row in await db.fetch(DAYS, "REVENUE")) == pytest.approx(6100e4)
    number = await db.fetchval("SELECT max(id) FROM book")
    assert await ingest.order("confirm", ids=[number]) is None
    assert sum(row["amount"] for row in await db.fetch(DAYS, "REVENUE")) == pytest.approx(9200e4)
    rows = await db.fetch(
        "SELECT * FROM book_named WHERE start = $1 ORDER BY version", time("2024-10-01")
    )
    assert [(r["value"], r["stands"], r["reason"]) for r in rows] == [
        (3100e4, False, ""), (6200e4, True, "invoice 4711 was missing"),
    ]  # fmt: skip
    assert await db.fetchval("SELECT old_value FROM correction") == 3100e4
    (restated,) = await db.fetch("SELECT start, stop FROM restatement")
    assert tuple(restated) == (time("2024-10-01"), time("2024-11-01"))


@pytest.mark.parametrize("confirm", [True, False])
async def test_rows_with_a_problem_store_nothing_at_all(ingest, db, confirm):
    good, bad = cells("acme/REVENUE", "2024-10", 1), cells("acme/REVENUE", "2024-13", 1)
    error = await ingest.enter(good, bad, confirm=confirm)
    assert error.startswith("row 3, period: '2024-13' is not in the calendar")
    assert await db.fetchval("SELECT count(*) FROM book") == 0
    assert await samples(db, "REVENUE") == []


async def test_another_value_without_a_reason_is_refused_and_the_same_one_ignored(ingest, db):
    await ingest.enter(cells("acme/REVENUE", "2024-10", 1234.5))
    again = cells("acme/REVENUE", "2024-10", "0.12345", uom="亿元")
    assert await ingest.enter(again) is None
    error = await ingest.enter(cells("acme/REVENUE", "2024-10", 9))
    assert "a correction needs a reason" in error
    assert await db.fetchval("SELECT count(*) FROM book") == 1


async def test_only_the_newest_draft_is_confirmed_and_only_once(ingest, db):
    await ingest.enter(cells("acme/REVENUE", "2024-10", 1), confirm=False)
    await ingest.enter(cells("acme/REVENUE", "2024-10", 2, reason="typing"), confirm=False)
    first, second = [r["id"] for r in await db.fetch("SELECT id FROM book ORDER BY id")]
    assert "was corrected since" in await ingest.order("confirm", ids=[first])
    assert await ingest.order("confirm", ids=[second]) is None
    assert "is confirmed already, by ann" in await ingest.order("confirm", ids=[second])
    assert "there is no value 999" in await ingest.order("confirm", ids=[999])


async def test_figure_survives_a_restart_and_a_clock_that_was_ahead(ingest, database, db):
    await ingest.enter(cells("acme/LAND", "2024", 15), cells("acme/REVENUE", "2024-10", 3100))
    before = [await db.fetch(DAYS, tag) for tag in ("LAND", "REVENUE")]
    assert len(before[0]) == 366
    await ingest.cycle._store.close()
    for now_us in (NOW + 10_000_000, NOW):
        async with cycling(database, PARK, now_us) as cycle:
            await cycle.run([message({"ts": now_us // 1000, "values": {"FT-1": 1.0}})], now_us)
            at = next(i for i, tag in enumerate(PARK.tags) if tag.address == "acme/REVENUE")
            assert cycle.image.value[at] == 3100e4
    assert [await db.fetch(DAYS, tag) for tag in ("LAND", "REVENUE")] == before


async def test_days_are_made_anew_on_another_clock(ingest, database, db):
    await ingest.enter(
        cells("acme/REVENUE", "2024-09", 3000), cells("acme/REVENUE", "2024-10", 3100)
    )
    await ingest.cycle._store.close()
    toml = FILES["park.toml"].replace("Asia/Shanghai", "Asia/Tokyo")
    park = parse_park({**FILES, "park.toml": toml})
    async with cycling(database, park, NOW):
        days = await db.fetch(DAYS, "REVENUE")
    assert len(days) == 62
    assert sum(row["amount"] for row in days) == pytest.approx(6100e4)
    assert days[0]["covered_s"] == 23 * 3600.0
    assert {row["covered_s"] for row in days[1:-1]} == {86_400.0}


async def test_gateway_cannot_send_what_people_enter(ingest, database):
    body = {"ts": NOW // 1000, "values": {"REVENUE": 5.0}}
    await ingest.cycle.run([message(body, at_ms=NOW // 1000)], NOW)
    assert await query(database, "SELECT tag, reason FROM quarantine") == [
        ("REVENUE", "unknown_tag")
    ]
