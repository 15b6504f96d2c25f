"""What is sent to an authority of an outlet: values by hand, and the flag of each."""

import numpy as np
import pytest

from tests.support.data import data_text
from tests.support.small_park import FILES
from twin import quality as q
from twin.arrays import HOUR_S
from twin.emissions.forwarding import (
    TagPieces,
    flag_of_quality,
    forwards_of,
    instant_items,
    interval_items,
)
from twin.emissions.validity import quality_of_flag
from twin.errors import ModelError
from twin.loading import parse_park

MG = 1e-6
STACK = """
[[outlet]]
id = "stack"
scope = "demo/acme"
kind = "stack"
pollutants = { SO2 = "acme/AI-1" }
flow = "acme/FI-N"
oxygen = "acme/AI-X"
oxygen_reference = 0.06
running = "acme/YI-1"
"""
ROW = '[[forward]]\noutlet = "stack"\nmn = "010000A8900016F000169DC0"\n'
# 28 mg/m³ at 8 % oxygen, 10 m³/s of dry gas.
SHOWN = {"acme/AI-1": 28 * MG, "acme/FI-N": 10.0, "acme/AI-X": 0.08, "acme/YI-1": 1.0}


def model(row=ROW, outlet=STACK):
    toml = FILES["park.toml"] + outlet + row
    return parse_park(
        {"park.toml": toml, "tags.csv": FILES["tags.csv"] + data_text("demo/stack.csv")}
    )


def pieces(hours=1, minutes=60.0, quality=q.GOOD, duration_s=HOUR_S, **changes):
    """Return pieces that all show the same; changes by tag, underscores as dashes."""
    given = SHOWN | {f"acme/{name.replace('_', '-')}": v for name, v in changes.items()}
    return {
        address: TagPieces(
            np.full(hours, value), np.full(hours, minutes / 60 * duration_s),
            np.full(hours, 0.9 * value), np.full(hours, 1.1 * value),
            np.full(hours, quality, np.uint8),
        )
        for address, value in given.items()
    }  # fmt: skip


def items(given, duration_s=HOUR_S, least=1):
    (forward,) = forwards_of(model())
    count = len(given["acme/AI-1"].mean)
    result = interval_items(forward, given, np.full(count, duration_s), least)
    return {item.code: item for item in result}


def test_an_hour_has_mean_range_mass_and_the_concentration_at_reference_oxygen():
    sent = items(pieces())
    so2 = sent["a21026"]
    # Zs = 28 · (21 − 6) / (21 − 8); mass = 28 mg/m³ · 10 m³/s · 3600 s.
    assert so2.fields == pytest.approx(
        {"Avg": 28, "Min": 25.2, "Max": 30.8, "ZsAvg": 28 * 15 / 13, "Cou": 1.008}
    )
    assert sent["a00000"].fields == pytest.approx({"Avg": 10, "Cou": 36_000})
    assert sent["a19001"].fields["Avg"] == pytest.approx(8)
    assert {item.flag for item in sent.values()} == {"N"}


def test_ten_minutes_are_judged_by_the_same_three_quarters():
    sent = items(pieces(minutes=45, duration_s=600.0), 600.0)
    assert sent["a21026"].flag == "N"
    assert sent["a21026"].fields["Cou"] == pytest.approx(0.168)
    assert items(pieces(minutes=44, duration_s=600.0), 600.0)["a21026"].flag == "D"


def test_a_day_is_normal_with_twenty_valid_hours_and_sums_their_masses():
    for hours, flag in ((20, "N"), (19, "D")):
        given = pieces(24)
        for each in given.values():
            each.valid_s[hours:] = 0.0
            each.mean[hours:] = np.nan
        sent = items(given, least=20)["a21026"]
        assert (sent.flag, sent.fields["Cou"]) == (flag, pytest.approx(1.008 * hours))


def test_what_stands_still_has_no_concentration_and_no_mass():
    sent = items(pieces(FI_N=0.0, YI_1=0.0))["a21026"]
    assert (sent.fields, sent.flag) == ({"Cou": 0.0}, "F")


@pytest.mark.parametrize(
    ("quality", "flag"),
    [(q.BAD | q.MAINTENANCE, "M"), (q.BAD | q.CALIBRATION, "C"), (q.NO_DATA, "B"), (q.GOOD, "D")],
)
def test_an_interval_without_enough_data_says_why_and_has_no_value(quality, flag):
    sent = items(pieces(minutes=0, quality=quality, AI_1=np.nan))["a21026"]
    assert (sent.fields, sent.flag) == ({}, flag)


def test_this_moment_has_a_value_only_where_it_is_usable():
    (forward,) = forwards_of(model())
    quality = dict.fromkeys(SHOWN, q.GOOD)
    sent = {each.code: each for each in instant_items(forward, SHOWN, quality)}
    assert sent["a21026"].fields == pytest.approx({"Rtd": 28, "ZsRtd": 28 * 15 / 13})
    quality["acme/AI-1"] = q.BAD | q.CALIBRATION
    sent = {each.code: each for each in instant_items(forward, SHOWN, quality)}
    assert (sent["a21026"].fields, sent["a21026"].flag) == ({}, "C")
    assert sent["a00000"].flag == "N"


def test_a_flag_comes_back_from_its_quality():
    for flag in "NFMSDCTB":
        assert flag_of_quality(int(quality_of_flag(np.array(flag)))) == flag
    assert flag_of_quality(q.UNCERTAIN | q.STUCK | q.SIMULATED) == "N"
    assert flag_of_quality(q.BAD | q.NOT_A_NUMBER) == "D"


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (ROW.replace("stack", "chimney"), "there is no outlet 'chimney'"),
        (ROW + "minutes = 7\n", "minutes is one of 1, 2, 3"),
        (ROW + 'codes = { CO = "a21005" }\n', "CO is not one of the pollutants"),
        (ROW + 'codes = { SO2 = "a99999" }\n', "'a99999' is no code with a unit"),
    ],
)
def test_rows_that_cannot_be_sent_are_refused(row, problem):
    with pytest.raises(ModelError) as caught:
        model(row)
    assert problem in str(caught.value.problems)
