"""Forecasts over HTTP: of stored hours and minutes, with intervals, skill, and reasons."""

import numpy as np
import pytest

from tests.support.small_baseline import fill_hours, fill_minutes, keeping_baselines
from tests.support.small_park import rows_of

PLANT = "acmepark/acme/caustic"


async def test_electricity_of_shifts_and_the_demand_of_days_are_forecast(database, db):
    rng = np.random.default_rng(9)
    hour = np.arange(84 * 24)
    # A night is dearer than a day: 20 MWh in its hours, 10 in the others, and less on Sundays.
    mwh = np.where(hour % 24 < 8, 20.0, 10.0) - 4.0 * (hour // 24 % 7 == 2)
    mwh += np.repeat(rng.normal(0, 0.3, len(mwh) // 8), 8)
    async with keeping_baselines(database) as book:
        path = f"{PLANT}/forecast"
        answer = await rows_of(book.client, path)
        assert (answer["completeness"], answer["quality"]) == (0.0, 255)
        assert [row["value"] for row in answer["items"]] == [None, None]
        assert "5 weeks of history are needed, 0 are there" in answer["items"][0]["reason"]
        await fill_hours(db, mwh)
        answer = await rows_of(book.client, path, figure="electricity", horizon="shift")
        assert (answer["uom"], answer["quality"]) == ("MWh", 0)
        running, following = answer["items"]
        # It is 10 o'clock: the shift from 8 to 16 runs; of the night nothing is known.
        assert (running["start"][11:16], following["start"][11:16]) == ("08:00", "16:00")
        assert (running["method"], running["reason"], running["held_out"]) == ("profile", "", 83)
        assert running["value"] == pytest.approx(80, abs=4)
        assert running["low_95"] < running["low_80"] < running["value"] < running["high_80"]
        assert running["skill_naive"] > 0.8
        assert 0 < running["skill_seasonal_naive"] < 0.6
        assert following["lead"] == 2
        await fill_minutes(db, 36)
        answer = await rows_of(book.client, path, figure="demand", horizon="day")
        today = answer["items"][0]
        assert (answer["uom"], today["held_out"]) == ("MW", 14)
        # All days are alike: nothing beats the last one, so that there is no forecast.
        assert (today["value"], today["method"]) == (None, "naive")
        assert (today["low_80"], today["high_80"], today["high_95"]) == (None, None, None)
        assert today["skill_naive"] is None
        assert "does not beat naive" in today["reason"]
        missing = await book.client.get(
            f"/api/v1/scopes/{path}", params={"figure": "chlorine_stock"}
        )
        assert missing.status_code == 404
