"""Suspected unit errors through the cycle, with a real database, and the answers of operators."""

import json
from contextlib import asynccontextmanager

import pytest

from tests.support.cycle_bench import STEADY, T0, flow, message, samples, steady
from twin import quality as q
from twin.errors import StoreError

pytest_plugins = ["tests.support.cycle_bench"]

SUSPECT = q.UNCERTAIN | q.UNIT_ERROR
BAD = q.BAD | q.UNIT_ERROR


def scans(first, count, factor):
    return [message({"FT-1": factor * flow(i)}, T0 + i * 2000) for i in range(first, first + count)]


async def wrong(bench, count=60, *, first=STEADY, factor=1 / 3.6, block=30):
    """Run blocks of a flow in another unit of measure, one sample in two seconds."""
    for at in range(first, first + count, block):
        await bench.run(scans(at, block, factor), T0 + (at + block) * 2000)


async def suspicions(db):
    rows = await db.fetch(
        "SELECT *, extract(epoch FROM since)::float8 AS s, extract(epoch FROM last)::float8 AS l"
        " FROM unit_error ORDER BY since"
    )
    return [
        (*((round(row[c] * 1000) - T0) // 2000 for c in "sl"), row["samples"], row["state"],
         row["answer"])
        for row in rows
    ]  # fmt: skip


async def minutes(db):
    """Return (samples, mean in t/h, quality) of the minutes of the flow."""
    rows = await db.fetch(
        "SELECT n, amount / nullif(covered_s, 0) * 3.6 AS mean, quality FROM minute"
        " JOIN tag USING (tag_id) WHERE tag = 'FT-1' ORDER BY time"
    )
    return [tuple(row) for row in rows]


async def order(db, answer, **body):
    number = await db.fetchval("SELECT max(id) FROM unit_error")
    return await db.fetchval(
        "INSERT INTO command (kind, body) VALUES ($1, $2::jsonb) RETURNING id",
        f"unit_error.{answer}", json.dumps({"id": number, "by": "ann", **body}),
    )  # fmt: skip


async def outcome(db, command):
    row = await db.fetchrow("SELECT done, error FROM command WHERE id = $1", command)
    assert row["done"] is not None
    return row["error"]


def newest(bench):
    """Return value [t/h] and quality of the flow in the image."""
    at = next(i for i, tag in enumerate(bench.cycle.network.tags) if tag.tag == "FT-1")
    return bench.cycle.image.value[at] * 3.6, bench.cycle.image.quality[at]


@pytest.fixture
async def it(bench):
    """A cycle that has learnt the level of a steady flow."""
    it = await bench()
    await steady(it)
    return it


@pytest.fixture
async def stepped(it):
    """The same, after 60 samples of a third of it."""
    await wrong(it)
    return it


async def test_step_to_a_third_is_stored_completely_and_counted(stepped, db):
    stored = await samples(db)
    assert [at for at, _, _ in stored] == list(range(STEADY, STEADY + 60))
    assert [value for _, value, _ in stored] == pytest.approx(
        [flow(i) / 3.6 for i in range(STEADY, STEADY + 60)]
    )
    assert {code for *_, code in stored} == {SUSPECT}
    assert newest(stepped) == (pytest.approx(flow(STEADY + 59) / 3.6), SUSPECT)
    await stepped.run([], T0 + (STEADY + 120) * 2000)
    assert (await minutes(db))[20:22] == [(30, pytest.approx(10.0, rel=0.01), SUSPECT)] * 2
    assert await db.fetchval("SELECT count(*) FROM quarantine") == 0
    assert stepped.cycle.counters["flagged.unit_error"] == 60
    assert stepped.cycle.counters["samples"] == STEADY + 60
    assert await suspicions(db) == [(STEADY, STEADY + 59, 60, "open", None)]
    row = await db.fetchrow("SELECT * FROM unit_error")
    assert row["factor"] == pytest.approx(1 / 3.6)
    assert row["level"] * 3.6 == pytest.approx(36.0, rel=0.01)
    # It ends when the values are back.
    await steady(stepped, start=STEADY + 60, count=60)
    assert await suspicions(db) == [(STEADY, STEADY + 59, 60, "ended", None)]
    assert {code for *_, code in await samples(db, since=STEADY + 60)} == {q.GOOD}


async def test_unit_error_out_of_the_range_is_stored_and_never_counted_with(it, db):
    await wrong(it, factor=1000.0)
    assert {code for *_, code in await samples(db)} == {BAD}
    assert newest(it)[1] == BAD
    await steady(it, start=STEADY + 60, count=60)
    assert max(mean for _, mean, _ in await minutes(db) if mean is not None) < 40
    assert await suspicions(db) == [(STEADY, STEADY + 59, 60, "ended", None)]
    # Once more, after a start of the gateway: nothing new.
    await it.run(scans(STEADY, 60, 1000.0), T0 + (STEADY + 130) * 2000)
    assert await db.fetchval("SELECT count(*) FROM correction") == 0
    assert len(await samples(db)) == 120
    # Rescaled, they count.
    command = await order(db, "rescale")
    await it.run([], T0 + (STEADY + 140) * 2000)
    assert await outcome(db, command) is None
    assert {code for *_, code in await samples(db)} == {q.GOOD}
    assert (await minutes(db))[20:22] == [(30, pytest.approx(36.0, rel=0.01), q.GOOD)] * 2


async def test_late_samples_of_a_suspicion_are_marked_as_well(it, db):
    now = scans(STEADY, 60, 1 / 3.6)
    await it.run([*now[:20], *now[30:]], T0 + (STEADY + 60) * 2000)
    await it.run(now[20:30], T0 + (STEADY + 61) * 2000)
    assert [code for *_, code in await samples(db)] == [SUSPECT] * 60


async def test_suspicion_goes_on_after_a_start_in_the_middle_of_it(it, db):
    # Longer than what the level is computed from at a start.
    await wrong(it, 1200)
    await it.start(T0 + (STEADY + 1205) * 2000)
    # Those that were committed and not acknowledged come again.
    await it.run(scans(STEADY + 1170, 60, 1 / 3.6), T0 + (STEADY + 1230) * 2000)
    assert {code for *_, code in await samples(db)} == {SUSPECT}
    assert await suspicions(db) == [(STEADY, STEADY + 1229, 1230, "open", None)]
    assert await db.fetchval("SELECT count(*) FROM correction") == 0


async def test_failed_commit_marks_the_same_samples_in_the_same_way(it, db):
    write, failed = it.store.wake_readers, []

    async def fail_once(*args):
        if not failed:
            failed.append(True)
            raise ConnectionResetError
        await write(*args)

    it.store.wake_readers = fail_once
    await wrong(it, 30)
    assert failed
    assert [code for *_, code in await samples(db)] == [SUSPECT] * 30
    assert await suspicions(db) == [(STEADY, STEADY + 29, 30, "open", None)]


async def test_dismissed_step_is_good_and_not_suspected_again(stepped, db):
    command = await order(db, "dismiss", reason="half of the cells are down")
    await stepped.run([], T0 + (STEADY + 61) * 2000)
    assert await outcome(db, command) is None
    assert [code for *_, code in await samples(db)] == [q.GOOD] * 60
    assert newest(stepped) == (pytest.approx(flow(STEADY + 59) / 3.6), q.GOOD)
    assert await suspicions(db) == [(STEADY, STEADY + 59, 60, "learnt", "dismiss")]
    assert await db.fetchval("SELECT command FROM unit_error") == command
    kept = await db.fetch("SELECT old_quality, old_value FROM correction ORDER BY time")
    assert [row["old_quality"] for row in kept] == [SUSPECT] * 60
    assert await db.fetchval("SELECT count(*) FROM restatement") > 0
    # It goes on, comes back, and goes down again, each for long enough to be a level.
    await wrong(stepped, STEADY, first=STEADY + 60)
    await steady(stepped, start=2 * STEADY + 60)
    await stepped.start(T0 + (3 * STEADY + 70) * 2000)
    await wrong(stepped, STEADY, first=3 * STEADY + 90)
    assert {code for *_, code in await samples(db)} == {q.GOOD}
    assert len(await suspicions(db)) == 1
    assert all(code == q.GOOD for *_, code in await minutes(db))


async def test_rescaled_samples_are_corrected_and_later_ones_marked_until_it_is_mended(stepped, db):
    command = await order(db, "rescale")
    await stepped.run([], T0 + (STEADY + 61) * 2000)
    assert await outcome(db, command) is None
    expected = [flow(i) for i in range(STEADY, STEADY + 60)]
    assert [value for _, value, _ in await samples(db)] == pytest.approx(expected)
    assert newest(stepped) == (pytest.approx(expected[-1]), q.GOOD)
    # What was not acknowledged comes again as it was.
    await stepped.run(scans(STEADY, 60, 1 / 3.6), T0 + (STEADY + 62) * 2000)
    assert [value for _, value, _ in await samples(db)] == pytest.approx(expected)
    assert await db.fetchval("SELECT count(*) FROM correction") == 60
    await wrong(stepped, 30, first=STEADY + 60)
    await steady(stepped, start=STEADY + 90, count=60)
    assert [code for *_, code in await samples(db)] == [0] * 60 + [SUSPECT] * 30 + [0] * 60
    assert await suspicions(db) == [
        (STEADY, STEADY + 59, 60, "ended", "rescale"),
        (STEADY + 60, STEADY + 89, 30, "ended", None),
    ]
    # What has ended is answered as well; with another factor than the one that was suspected.
    command = await order(db, "rescale", factor=7.2, offset=-36.0)
    await stepped.run([], T0 + (STEADY + 160) * 2000)
    assert await outcome(db, command) is None
    restated = await minutes(db)
    assert restated[20:24] == [(30, pytest.approx(36.0, rel=0.01), q.GOOD)] * 4


async def test_correction_is_made_a_few_samples_a_cycle(bench, db):
    it = await bench(unit_error_samples=25)
    await steady(it)
    await wrong(it)
    command = await order(db, "rescale")
    for second in range(1, 4):
        assert await db.fetchval("SELECT done FROM command WHERE id = $1", command) is None
        await it.run([], T0 + (STEADY + 60) * 2000 + second * 1000)
    assert await outcome(db, command) is None
    assert [value for _, value, _ in await samples(db)] == pytest.approx(
        [flow(i) for i in range(STEADY, STEADY + 60)]
    )
    assert await db.fetchval("SELECT count(*) FROM correction") == 60
    assert await db.fetchval("SELECT count(DISTINCT corrected) FROM correction") == 1


@pytest.mark.parametrize("answer", ["dismiss", "rescale"])
@pytest.mark.parametrize("lost", [False, True])
async def test_cycle_that_is_tried_again_answers_once(stepped, db, answer, lost):
    """The transaction fails, or it is committed and only its answer is lost."""
    command = await order(db, answer)
    transaction, failed = stepped.store.transaction, []

    @asynccontextmanager
    async def fail_once():
        async with transaction():
            yield
            if not failed and not lost:
                failed.append(True)
                raise ConnectionResetError
        if not failed:
            failed.append(True)
            raise StoreError("its answer is lost", retryable=True)

    stepped.store.transaction = fail_once
    await stepped.run(scans(STEADY + 60, 30, 1 / 3.6), T0 + (STEADY + 90) * 2000)
    assert failed
    assert await outcome(db, command) is None
    count = "SELECT count(*) FROM correction JOIN tag USING (tag_id) WHERE tag = 'FT-1'"
    assert await db.fetchval(count) == 60
    stored = await samples(db)
    factor = 1.0 if answer == "rescale" else 1 / 3.6
    assert [value for _, value, _ in stored] == pytest.approx(
        [factor * flow(i) for i in range(STEADY, STEADY + 60)]
        + [flow(i) / 3.6 for i in range(STEADY + 60, STEADY + 90)]
    )
    later = SUSPECT if answer == "rescale" else q.GOOD
    assert [code for *_, code in stored] == [q.GOOD] * 60 + [later] * 30
    assert len(await suspicions(db)) == (2 if answer == "rescale" else 1)
    await stepped.run([], T0 + (STEADY + 150) * 2000)
    mean = 36.0 if answer == "rescale" else 10.0
    assert [round(m, 1) for _, m, _ in (await minutes(db))[20:22]] == [mean, mean]


@pytest.mark.parametrize(
    ("answer", "body", "words"),
    [
        ("dismiss", {"id": 10**9}, "there is no suspected unit error"),
        ("dismiss", {"id": "x"}, "`id` is the number"),
        ("forget", {}, "there is no command unit_error.forget"),
        ("rescale", {"factor": "x"}, "are numbers"),
        ("rescale", {"factor": 0.0}, "is between"),
    ],
)
async def test_command_that_cannot_be_obeyed_says_why(it, db, answer, body, words):
    await wrong(it, 30)
    command = await order(db, answer, **body)
    await it.run([], T0 + (STEADY + 31) * 2000)
    assert words in await outcome(db, command)
    assert await suspicions(db) == [(STEADY, STEADY + 29, 30, "open", None)]


async def test_second_answer_is_refused(it, db):
    await wrong(it, 30)
    first, second = await order(db, "rescale"), await order(db, "rescale")
    for second_ms in (1000, 2000):
        await it.run([], T0 + (STEADY + 31) * 2000 + second_ms)
    assert await outcome(db, first) is None
    assert "answered already: rescale" in await outcome(db, second)
    assert await db.fetchval("SELECT count(*) FROM correction") == 30


async def test_rows_of_the_past_are_bounded(bench, db):
    it = await bench(unit_error_rows=2)
    await steady(it)
    for first in range(STEADY, STEADY + 4 * 90, 90):
        await wrong(it, 30, first=first)
        await steady(it, start=first + 30, count=60)
    await wrong(it, 30, first=STEADY + 360)
    assert [row[0] for row in await suspicions(db)] == [STEADY + n for n in (180, 270, 360)]


async def test_suspicion_ends_when_the_model_says_so_and_is_answered_all_the_same(it, db):
    await wrong(it, 30)
    with (it.folder / "park.toml").open("a") as file:
        file.write('\n[[check]]\ntag = "acme/FT-1"\nunit_error = false\n')
    await it.start(T0 + (STEADY + 31) * 2000)
    assert await suspicions(db) == [(STEADY, STEADY + 29, 30, "ended", None)]
    command = await order(db, "dismiss")
    await wrong(it, 30, first=STEADY + 40)
    assert await outcome(db, command) is None
    assert [code for *_, code in await samples(db)] == [q.GOOD] * 60
