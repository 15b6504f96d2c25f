"""Outlets of a park model: what is refused at load, and what an hour of data makes of them."""

import numpy as np
import pytest

from tests.support.data import data_text
from tests.support.small_park import FILES
from twin.arrays import HOUR_S
from twin.emissions import validity as c
from twin.emissions.outlets import evaluate, hour_errors, outlets_of
from twin.errors import ModelError
from twin.loading import parse_park
from twin.reconciliation.uncertainty import Errors

MG = 1e-6
TAGS = data_text("demo/stack.csv")
GAPS = """
[[gap]]
tag = "acme/AI-1H"
gap = "1 h"
[[gap]]
tag = "acme/WI-2"
gap = "2 h"
"""
HEAD = """
[[outlet]]
id = "stack"
scope = "demo/acme"
kind = "stack"
pollutants = { SO2 = "acme/AI-1", NOx = "acme/AI-2" }
"""
SHOWN = {
    "AI-1": 28 * MG, "AI-2": 12 * MG, "AI-X": 0.08, "FI-N": 50.0, "FI-A": 12 * 7.07, "SI-1": 12.0,
    "TI-1": 393.15, "PI-1": -150.0, "MI-1": 0.09, "YI-1": 1.0,
}  # fmt: skip


def park(columns, head=HEAD):
    files = {
        "park.toml": FILES["park.toml"] + head + columns,
        "tags.csv": FILES["tags.csv"] + TAGS,
    }
    return parse_park(files)


def hour(columns, hours=1, **hour_errors):
    """Return what a stack did in hours that all show the same; changes are (value, minutes)."""
    (outlet,) = (o for o in outlets_of(park(columns)) if o.id == "stack")
    given = {f"acme/{k}": (v, 60) for k, v in SHOWN.items()}
    given |= {f"acme/{k.replace('_', '-')}": v for k, v in hour_errors.items()}
    mean = {address: np.full(hours, value) for address, (value, _) in given.items()}
    covered = {address: np.full(hours, minutes * 60.0) for address, (_, minutes) in given.items()}
    return outlet, evaluate(outlet, mean, covered, np.full(hours, HOUR_S))


GAS = """temperature = "acme/TI-1"
pressure = "acme/PI-1"
barometric = "101000 Pa"
moisture = "acme/MI-1"
"""


def test_a_standard_dry_flow_is_taken_as_it_is():
    outlet, result = hour('flow = "acme/FI-N"\npermit = { SO2 = "35 mg/m^3" }\n' + GAS)
    np.testing.assert_allclose(result.emission[:, 0], [28 * MG * 50 * 3600, 12 * MG * 50 * 3600])
    assert outlet.permit["SO2"] == pytest.approx(35 * MG)
    assert result.valid.all()
    np.testing.assert_array_equal(result.corrected, [[28 * MG], [12 * MG]])


@pytest.mark.parametrize(
    "columns", ['flow = "acme/FI-A"\n', 'velocity = "acme/SI-1"\narea = "7.07 m^2"\n']
)
def test_a_flow_of_the_stack_becomes_standard_and_dry(columns):
    _, result = hour(columns + GAS)
    assert result.flow * 3600 == pytest.approx(192_164.845, rel=1e-8)
    assert result.emission[0, 0] == pytest.approx(5.380616, rel=1e-6)


@pytest.mark.parametrize("missing", ["temperature", "pressure"])
def test_without_temperature_or_pressure_a_wet_flow_gives_no_mass(missing):
    gas = "".join(line for line in GAS.splitlines(True) if not line.startswith(missing))
    _, result = hour('flow = "acme/FI-A"\n' + gas)
    assert np.isnan(result.emission).all()
    assert not result.valid.any()
    assert result.measured.all()


def test_only_what_is_shown_is_corrected_and_not_what_is_booked():
    _, result = hour('flow = "acme/FI-N"\noxygen = "acme/AI-X"\noxygen_reference = 0.06\n')
    assert result.corrected[0, 0] == pytest.approx(32.307692 * MG, rel=1e-7)
    assert result.emission[0, 0] == pytest.approx(28 * MG * 50 * 3600)


@pytest.mark.parametrize(
    ("change", "measured", "valid", "corrected"),
    [
        ({"AI_1": (28 * MG, 44)}, False, False, True),
        ({"AI_1": (28 * MG, 45)}, True, True, True),
        ({"FI_N": (50.0, 44)}, True, False, True),
        ({"AI_X": (0.08, 44)}, True, True, False),
        ({"AI_X": (0.20, 60)}, True, True, False),
    ],
)
def test_each_figure_needs_three_quarters_of_an_hour_of_what_it_is_made_of(
    change, measured, valid, corrected
):
    columns = 'flow = "acme/FI-N"\noxygen = "acme/AI-X"\noxygen_reference = 0.06\n'
    _, result = hour(columns, **change)
    assert (result.measured[0, 0], result.valid[0, 0]) == (measured, valid)
    assert np.isfinite(result.corrected[0, 0]) == corrected


def test_an_oxygen_reference_without_an_oxygen_tag_gives_no_corrected_value():
    _, result = hour('flow = "acme/FI-N"\noxygen_reference = 0.06\n')
    assert np.isnan(result.corrected).all()
    assert result.valid.all()


def test_standing_still_books_zero_and_a_dead_flow_meter_nothing():
    columns = 'flow = "acme/FI-N"\nrunning = "acme/YI-1"\n'
    _, still = hour(columns, FI_N=(1.0, 60), YI_1=(0.0, 60), AI_1=(np.nan, 0))
    assert still.state.tolist() == [c.STOPPED]
    assert still.emission[:, 0].tolist() == [0.0, 0.0]
    assert not (still.valid | still.measured).any()
    _, dead = hour(columns, FI_N=(1.0, 60))
    assert dead.state.tolist() == [c.SUSPECT]
    assert np.isnan(dead.emission).all()
    assert not dead.valid.any()


def test_a_drain_is_water_without_temperature_and_oxygen():
    head = HEAD.replace('"stack"\npoll', '"drain"\npoll')
    (outlet,) = outlets_of(park('flow = "acme/FI-A"\n', head))[-1:]
    mean = {f"acme/{k}": np.array([v]) for k, v in SHOWN.items()}
    covered = dict.fromkeys(mean, np.array([HOUR_S]))
    result = evaluate(outlet, mean, covered, np.array([HOUR_S]))
    assert result.emission[0, 0] == pytest.approx(28 * MG * 12 * 7.07 * 3600)


def changed(columns, sigma, **displayed):
    """Return what the errors of a stack's tags make of an hour, tag by tag."""
    (outlet,) = (o for o in outlets_of(park(columns)) if o.id == "stack")
    mean = {f"acme/{k}": np.array([v]) for k, v in (SHOWN | displayed).items()}
    known = np.array([sigma.get(a.removeprefix("acme/"), (0.0, 0.0)) for a in outlet.measured_by])
    error = Errors(*known.T, *np.zeros((2, len(known))))
    result = hour_errors(outlet, error, mean, np.array([HOUR_S]))
    at = {a.removeprefix("acme/"): u for u, a in enumerate(outlet.measured_by)}
    return (
        at,
        result,
        evaluate(outlet, mean, dict.fromkeys(mean, np.array([HOUR_S])), np.array([HOUR_S])),
    )


SIGMA = {"AI-1": (0.5 * MG, 0.0), "AI-2": (0.0, 0.02), "SI-1": (0.0, 0.03), "TI-1": (2.0, 0.0),
         "PI-1": (50.0, 0.0), "MI-1": (0.005, 0.0), "AI-X": (0.001, 0.0)}  # fmt: skip


def test_the_error_of_each_tag_moves_the_mass_by_its_sensitivity():
    at, result, usual = changed('velocity = "acme/SI-1"\narea = "7.07 m^2"\n' + GAS, SIGMA)
    parts = {
        "AI-1": 0.5 / 28,
        "SI-1": 0.03,
        # Q_sn = Q_s · 273 / (273 + t) · (B_a + P_s) / 101325 · (1 - X_sw), by hand
        "TI-1": -2.0 / (273 + 120),
        "PI-1": 50.0 / (101_000 - 150),
        "MI-1": -0.005 / (1 - 0.09),
    }
    mass = usual.emission[0, 0]
    for name, part in parts.items():
        assert result.emission[at[name], 0, 0] == pytest.approx(part * mass, rel=1e-4), name
    # The other pollutant has its own analyser and the same gas.
    assert result.emission[at["AI-2"], :, 0] == pytest.approx([0, 0.02 * usual.emission[1, 0]])
    assert result.emission[at["TI-1"], 1, 0] == pytest.approx(
        parts["TI-1"] * usual.emission[1, 0], rel=1e-4
    )
    assert result.concentration[at["SI-1"]].tolist() == [[0.0], [0.0]]


def test_the_error_of_oxygen_moves_what_is_corrected_and_no_mass():
    columns = 'flow = "acme/FI-N"\noxygen = "acme/AI-X"\noxygen_reference = 0.06\n'
    at, result, usual = changed(columns, SIGMA | {"FI-N": (0.0, 0.02)})
    # C · (21 - O2_ref) / (21 - O2): one part in thirteen per cent of oxygen
    part = 0.001 / (0.21 - 0.08)
    assert result.corrected[at["AI-X"], 0, 0] == pytest.approx(
        part * usual.corrected[0, 0], rel=1e-4
    )
    assert result.corrected[at["AI-1"], 0, 0] == pytest.approx(0.5 / 28 * usual.corrected[0, 0])
    assert result.emission[at["AI-X"]].tolist() == [[0.0], [0.0]]
    assert result.emission[at["FI-N"], 0, 0] == pytest.approx(0.02 * usual.emission[0, 0])
    assert result.flow[at["FI-N"], 0] == pytest.approx(0.02 * 50)


def test_without_a_flow_there_are_concentrations_and_their_errors_but_no_mass():
    at, result, usual = changed('source = "permit"\n', SIGMA)
    assert list(at) == ["AI-1", "AI-2"]
    assert result.concentration[at["AI-1"], :, 0] == pytest.approx([0.5 * MG, 0.0])
    assert usual.measured.all()
    assert np.isnan(usual.emission).all()
    assert np.isnan(result.emission).all()


def test_an_outlet_without_any_tag_has_no_errors():
    head = HEAD.replace('pollutants = { SO2 = "acme/AI-1", NOx = "acme/AI-2" }\n', "")
    (outlet,) = (o for o in outlets_of(park('source = "permit"\n', head)) if o.id == "stack")
    none = Errors(*np.zeros((4, 0)))
    result = hour_errors(outlet, none, {}, np.full(3, HOUR_S))
    assert (result.flow.shape, result.emission.shape) == ((0, 3), (0, 0, 3))


def test_an_analyser_at_zero_is_as_uncertain_as_elsewhere():
    at, result, usual = changed(
        'flow = "acme/FI-N"\n', SIGMA | {"FI-N": (0.0, 0.02)}, **{"AI-1": 0.0}
    )
    assert usual.emission[0, 0] == 0
    assert result.emission[at["AI-1"], 0, 0] == pytest.approx(0.5 * MG * 50 * HOUR_S)
    assert result.emission[at["FI-N"], 0, 0] == 0


def test_a_tag_of_which_nothing_is_said_is_not_taken_as_exact():
    at, result, _ = changed('flow = "acme/FI-N"\n', SIGMA)
    assert np.isnan(result.emission[at["FI-N"]]).all()
    assert np.isfinite(result.concentration[at["AI-1"], 0]).all()


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        ('permit = { SO2 = "35 mg" }', "'mg' is not a unit of concentration"),
        ("permit = { SO2 = 35 }", "'' is not a unit of concentration"),
        ('permit = { HCl = "35 mg/m^3" }', "HCl is not one of the pollutants"),
        ('permit = { SO2 = "-1 mg/m^3" }', "is not above 0"),
        ('annual = { SO2 = "35 t/year" }', "'t/year' is not a unit of mass"),
        ('annual = { SO2 = "lots" }', "'lots' is not a number"),
        ('pressure = "acme/PI-1"', "add barometric"),
        ('reported = { SO2 = "acme/AI-9" }', "SO2: there is no tag 'acme/AI-9'"),
        ('reported = { SO2 = "acme/WI-1" }', "measures mass, not concentration"),
        ('reported = { HCl = "acme/AI-1H" }', "HCl is not one of the pollutants"),
        ('reported_mass = { SO2 = "acme/AI-1H" }', "measures concentration, not mass"),
        ('reported_mass = { SO2 = "acme/WQ-1" }', "is a counter; what is said of each hour"),
        ('reported_mass = { SO2 = "acme/WI-1" }', 'add to park.toml: [[gap]] tag = "acme/WI-1"'),
        ('reported_mass = { SO2 = "acme/WI-2" }', "holds for 120 min and is said of an hour"),
    ],
)
def test_column_that_does_not_fit_its_outlet_is_a_problem_with_its_line(columns, problem):
    with pytest.raises(ModelError) as caught:
        park(columns + "\n" + GAPS)
    line = (FILES["park.toml"] + HEAD).count("\n") + 1
    (result,) = caught.value.problems
    result = result.replace("[[outlet]] stack: ", "[[outlet]] ")
    assert result.startswith(f"park.toml:{line}: [[outlet]] {columns.split()[0]}")
    assert problem in result
    park('reported = { SO2 = "acme/AI-1H" }\n' + GAPS)


@pytest.mark.parametrize(
    ("tag", "problem"),
    [('"acme/AI-9"', "there is no tag"), ("7", "there is no tag"), ('"acme/TI-1"', "temperature")],
)
def test_a_pollutant_needs_a_tag_that_shows_a_concentration(tag, problem):
    head = HEAD.replace('"acme/AI-1"', tag)
    with pytest.raises(ModelError) as caught:
        park("", head)
    (result,) = caught.value.problems
    assert problem in result
    assert "pollutants: SO2" in result
