"""What people ask, before and after what it rests on has gone into the archive."""

import numpy as np
import pytest

from tests.support.small_archive import DAY_US, archive
from tests.support.small_park import BEGIN, END, NOW, S, add_samples, rows_of, serving, stamp

pytest_plugins = ["tests.support.small_park"]
# All of it is archived by then, samples and minutes.
LATER_US = NOW + 400 * DAY_US
AGES = {"archive_sample_days": 2, "archive_minute_days": 100}
SPAN = f"from={stamp(BEGIN):%Y-%m-%dT%H:%M:%SZ}&to={stamp(END):%Y-%m-%dT%H:%M:%SZ}"
AT = f"at={stamp(END + 10 * S):%Y-%m-%dT%H:%M:%SZ}"
SUBJECTS = ("energy", "chlorine", "byproducts", "balance", "emissions", "electrolysers", "meters",
            "consumption", "loops", "heat")  # fmt: skip
TAGS = ("acme/FT-1", "acme/LT-1", "acme/JQ-1", "acme/XS-901")


def questions():
    """Return requests about the past of the small park."""
    for scope in ("demo", "demo/acme"):
        for subject in SUBJECTS:
            for window in ("minute", "hour"):
                yield f"/api/v1/scopes/{scope}/{subject}?window={window}&{SPAN}"
                yield f"/api/v1/scopes/{scope}/{subject}?window={window}&values=measured&{SPAN}"
        yield f"/api/v1/scopes/{scope}/chlorine?{AT}"
        yield f"/api/v1/scopes/{scope}/restatements?{SPAN}"
    for tag in TAGS:
        for points in (10, 40, 100, 2000):
            yield f"/api/v1/history?tag={tag}&points={points}&{SPAN}"
    yield f"/api/v1/history?tag={TAGS[0]}&tag={TAGS[1]}&format=csv&{SPAN}"
    yield f"/api/v1/explain?figure=/api/v1/scopes/demo/acme/energy%3Fwindow%3Dhour%26{SPAN.replace('&', '%26').replace('=', '%3D')}%23/items/0/kwh_per_t"  # noqa: E501


async def answers(database, **settings):
    async with serving(database, **settings) as (client, _):
        got = {each: await client.get(each) for each in questions()}
        got["image"] = await client.get("/api/v1/latest")
    return {each: answer.text for each, answer in got.items() if answer.status_code == 200}


@pytest.fixture
async def past(database, db, ids):
    """A small park with samples of two hours, and a correction."""
    times = np.arange(BEGIN, END, 20 * S)
    wave = np.sin(times / 1e9)
    for number, tag in enumerate(TAGS[:2]):
        await add_samples(db, ids[tag], times.tolist(), (wave + number).tolist())
    await db.execute(
        "INSERT INTO correction VALUES ($1, $2, 7.5, 0, $2, $3)",
        ids[TAGS[0]], stamp(BEGIN), stamp(BEGIN + S),
    )  # fmt: skip
    return database


async def test_answers_are_the_same_before_and_after_archiving(past, db, tmp_path):
    before = await answers(past)
    assert len(before) > 90
    assert any("explain" in each for each in before)
    await archive(past, tmp_path, LATER_US, **AGES)
    rows = await db.fetch("SELECT kind, rows FROM archive_file ORDER BY kind, start")
    # A part of table minute begins in the month before.
    assert [tuple(row) for row in rows] == [("minute", 0), ("minute", 1950), ("sample", 916)]
    for table in ("sample", "minute"):
        assert await db.fetchval(f"SELECT count(*) FROM {table}") == 0
    after = await answers(past, archive=tmp_path)
    assert after.keys() == before.keys()
    assert [each for each in before if after[each] != before[each]] == []


async def test_without_the_folder_an_answer_says_what_it_lacks(past, tmp_path):
    await archive(past, tmp_path, LATER_US, **AGES)
    path = f"/api/v1/history?tag={TAGS[0]}&{SPAN}"
    async with serving(past) as (client, _):
        answer = await client.get(path)
        assert answer.status_code == 503
        assert "PARKTWIN_ARCHIVE" in answer.json()["hint"]
        assert (await client.get("/api/v1/latest")).status_code == 200
        assert (await rows_of(client, "demo/acme/energy", window="hour"))["items"]
    for file in tmp_path.rglob("*.parquet"):
        file.unlink()
    async with serving(past, archive=tmp_path) as (client, _):
        answer = await client.get(path)
        assert answer.status_code == 503
        assert "cannot be read" in answer.json()["detail"]
