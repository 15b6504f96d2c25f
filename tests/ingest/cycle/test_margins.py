"""Margins in the cycle: told every ten seconds; the year of a permit by the days of its rate."""

import pytest

from deploy.database.times import stamp
from tests.support.small_park import FILES
from tests.support.stored import T0, cycling, message, samples
from twin.loading import parse_park

TOPIC = "park/v1/demo/acme/gw1"
RATE, FORECAST = (f"margin.permit_{kind}.boiler-stack.SO2" for kind in ("rate", "forecast"))


async def test_permit_has_its_rate_at_once_and_its_year_by_the_days_of_it(database, db):
    values = {"AT-901": 28, "FT-901": 50_000, "XS-901": 1}
    async with cycling(database, parse_park(FILES)) as cycle:
        for second in (0, 4, 12):
            body = {"ts": T0 + second * 1000, "values": values}
            at_us = (T0 + second * 1000) * 1000
            await cycle.run([message(body, TOPIC, T0 + second * 1000)], at_us)
        # 28 mg/m3 in 50,000 m3/h; what four seconds later says is not told again.
        assert [(at, value) for at, value, _ in await samples(db, RATE)] == [
            (0, pytest.approx(1.4)), (12_000, pytest.approx(1.4)),
        ]  # fmt: skip
        assert await samples(db, FORECAST) == []
        tag_id = await db.fetchval("SELECT tag_id FROM tag WHERE tag = $1", RATE)
        await db.execute(
            "INSERT INTO day (time, tag_id, n, amount, covered_s, quality)"
            " SELECT $1::timestamptz - interval '7 day', $2, 1, 10, 86400, 0",
            stamp(T0 * 1000), tag_id,
        )  # fmt: skip
        later = T0 + 700_000
        await cycle.run([message({"ts": later, "values": values}, TOPIC, later)], later * 1000)
    (year,) = await samples(db, FORECAST)
    # 10 kg a day where a tonne is allowed in 365; a few minutes of today change little.
    assert year[1] == pytest.approx(100 * 10 * 365 / 1000, rel=0.02)
