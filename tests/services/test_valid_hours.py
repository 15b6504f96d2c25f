"""Valid hours of a stack: minutes with a normal sample of their own, from packets to the answer."""

import pytest

from ingest.wire import hj212
from tests.ingest.wire.test_hj212 import data
from tests.services.test_reported import GAPS, LOGGER, OUTLETS, PARK, TAGS, asked, at, told
from tests.support.small_park import FILES
from twin.loading import parse_park

NORMAL = 1.75
MASS_KG = NORMAL * 1e-6 * 3.6 * 3600
LATER_US = 600_000_000


def packets(chlorine, every=1):
    """Return packets of an hour; `chlorine` gives (value, flag) of a minute, or nothing."""
    made = []
    for minute in range(0, 61, every):
        hour, past = 8 + minute // 60, minute % 60
        cp = "a00000-Rtd=3.6,a00000-Flag=N"
        if shows := chlorine(minute):
            value, flag = shows
            cp += f";a21022-Rtd={value},a21022-Flag={flag}"
        made.append(hj212.encode(data("2011", f"DataTime=20251122{hour:02d}{past:02d}00;{cp}")))
    return made


async def hour_of(database, sent, park=PARK):
    """Return the hour from 08:00 of the chlorine of the absorber."""
    now_us = at((9, 0))
    await told(database, sent, now_us, park)
    return (await asked(database, now_us + LATER_US, "09"))["absorber", "Cl2", "08"]


@pytest.mark.parametrize(("minutes", "valid"), [(44, False), (45, True)])
async def test_what_a_silent_analyser_held_is_not_measured(database, minutes, valid):
    """It falls silent at its last value, 4.0, which is held for five more minutes."""

    def chlorine(minute):
        return (4.0 if minute == minutes - 1 else NORMAL, "N") if minute < minutes else None

    row = await hour_of(database, packets(chlorine))
    assert (row["valid"], row["valid_minutes"]) == (valid, minutes)
    # The mean is that of the minutes that were measured.
    mean = ((minutes - 1) * NORMAL + 4.0) / minutes
    assert row["concentration_mg_m3"] == pytest.approx(mean, rel=1e-9)
    expected = pytest.approx(mean * 1e-6 * 3.6 * 3600, rel=1e-9) if valid else None
    assert row["mass_kg"] == expected


@pytest.mark.parametrize(("flagged", "valid"), [(15, True), (16, False)])
@pytest.mark.parametrize("flag", ["S", "T", "C"])
async def test_minutes_of_another_flag_than_n_are_not_valid(database, flag, flagged, valid):
    """Every fourth minute has the flag: 45 valid ones. With one more the hour is not valid."""

    def chlorine(minute):
        odd = minute % 4 == 3 or (flagged > 15 and minute == 20)
        return (100.0, flag) if odd else (NORMAL, "N")

    row = await hour_of(database, packets(chlorine))
    assert row["valid"] is valid
    assert row["concentration_mg_m3"] == pytest.approx(NORMAL, rel=1e-9)
    assert row["mass_kg"] == (pytest.approx(MASS_KG, rel=1e-9) if valid else None)


SLOW = "".join(f'[[gap]]\ntag = "acme/{tag}"\ngap = "10 min"\n' for tag in ("AT-1", "FT-A"))


def slow_park(interval):
    outlets = OUTLETS.replace('flow = "acme/FT-A"\n', f'flow = "acme/FT-A"\n{interval}')
    return parse_park(
        {
            "park.toml": FILES["park.toml"] + outlets + LOGGER + GAPS + SLOW,
            "tags.csv": FILES["tags.csv"] + TAGS,
        }
    )


@pytest.mark.parametrize(("interval", "valid"), [("", False), ('interval = "10 min"\n', True)])
async def test_means_of_ten_minutes_stand_for_them_where_the_outlet_says_so(
    database, interval, valid
):
    sent = packets(lambda minute: (NORMAL, "N"), every=10)
    row = await hour_of(database, sent, slow_park(interval))
    assert (row["valid"], row["valid_minutes"]) == (valid, 60 if valid else 6)
    assert row["concentration_mg_m3"] == NORMAL


async def test_four_means_of_ten_minutes_are_no_hour(database):
    """Four means are 40 minutes; the other two are flagged, and nothing stands for them."""
    sent = packets(lambda minute: (NORMAL, "N" if minute < 40 else "D"), every=10)
    row = await hour_of(database, sent, slow_park('interval = "10 min"\n'))
    assert (row["valid"], row["valid_minutes"], row["mass_kg"]) == (False, 40.0, None)
