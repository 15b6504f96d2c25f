"""Analysers as they are: ppm, wet gas, the state of the stack, NO and NO2, by hand calculation."""

import numpy as np
import pytest

from tests.support.data import data_text
from tests.support.small_park import FILES
from twin.arrays import HOUR_S
from twin.emissions.outlets import evaluate, hour_errors, outlets_of
from twin.errors import ModelError
from twin.loading import load_park, parse_park
from twin.reconciliation.uncertainty import Errors

MG, PPM = 1e-6, 1e-6
TAGS = data_text("demo/stack.csv") + (
    "AI-S,demo/acme,fraction,ppm,gauge,0,100,,SO2 by volume\n"
    "AI-F,demo/acme,fraction,ppm,gauge,0,100,,HF by volume\n"
    "AI-N,demo/acme,fraction,ppm,gauge,0,100,,NO by volume\n"
    "AI-D,demo/acme,fraction,ppm,gauge,0,100,,NO2 by volume\n"
)
SHOWN = {
    "AI-1": 28 * MG, "AI-2": 12 * MG, "AI-S": 10 * PPM, "AI-F": 10 * PPM, "AI-N": 20 * PPM,
    "AI-D": 2 * PPM, "AI-X": 0.08, "FI-N": 50.0, "TI-1": 393.15, "PI-1": -150.0, "MI-1": 0.09,
}  # fmt: skip
HEAD = """
[[outlet]]
id = "stack"
scope = "demo/acme"
kind = "stack"
"""
GAS = """temperature = "acme/TI-1"
pressure = "acme/PI-1"
barometric = "101000 Pa"
moisture = "acme/MI-1"
flow = "acme/FI-N"
"""


def stack(columns, kind="stack"):
    head = HEAD.replace('kind = "stack"', f'kind = "{kind}"')
    toml = FILES["park.toml"] + head + columns
    park = parse_park({"park.toml": toml, "tags.csv": FILES["tags.csv"] + TAGS})
    return next(o for o in outlets_of(park) if o.id == "stack")


def hour(columns, covered=60, **minutes):
    """Return an outlet and an hour of it; minutes are those of some tags that are covered."""
    outlet = stack(columns)
    mean = {f"acme/{name}": np.array([value]) for name, value in SHOWN.items()}
    covered_s = {address: np.array([covered * 60.0]) for address in mean}
    covered_s |= {f"acme/{k.replace('_', '-')}": np.array([v * 60.0]) for k, v in minutes.items()}
    return outlet, evaluate(outlet, mean, covered_s, np.array([HOUR_S]))


def shown(columns, p=0):
    """Return the concentration of the p-th pollutant [mg/m³]."""
    return hour(columns + "\n" + GAS)[1].concentration[p, 0] / MG


def test_ppm_of_sulphur_dioxide_is_64_over_22_4_of_it():
    assert shown('pollutants = { SO2 = "acme/AI-S" }') == pytest.approx(10 * 64 / 22.4)
    assert shown('pollutants = { SO2 = "acme/AI-S" }') == pytest.approx(28.571, abs=5e-4)


def test_ppm_of_what_the_tables_do_not_know_takes_its_molar_mass_from_the_model():
    columns = 'pollutants = { HF = "acme/AI-F" }\nmolar_mass = { HF = "20 g/mol" }'
    assert shown(columns) == pytest.approx(10 * 20 / 22.4)


def test_wet_gas_is_more_of_it_dry():
    columns = 'pollutants = { SO2 = "acme/AI-1" }\nbasis = "wet"'
    assert shown(columns) == pytest.approx(28 / (1 - 0.09))
    columns = 'pollutants = { SO2 = "acme/AI-1", NOx = "acme/AI-2" }\nbasis = { NOx = "wet" }'
    assert shown(columns) == pytest.approx(28)
    assert shown(columns, 1) == pytest.approx(12 / (1 - 0.09))


def test_gas_of_the_stack_is_thinner_than_in_the_reference_state():
    """28 mg/m³ at 120 °C and 101,000 - 150 Pa: 28 · 101325 / 100850 · 393 / 273 = 40.4975."""
    columns = 'pollutants = { SO2 = "acme/AI-1" }\nstate = "actual"'
    assert shown(columns) == pytest.approx(28 * 101325 / 100850 * 393 / 273, rel=1e-9)
    assert shown(columns) == pytest.approx(40.4975, abs=1e-4)
    # Wet as well, in the order of the standard: state, then moisture.
    assert shown(columns + '\nbasis = "wet"') == pytest.approx(40.4975 / 0.91, abs=1e-3)
    # A share by volume is the same in every state.
    mixed = 'pollutants = { SO2 = "acme/AI-S" }\nstate = "actual"'
    assert shown(mixed) == pytest.approx(10 * 64 / 22.4)


def test_nitrogen_oxides_are_the_sum_of_no_and_no2_as_no2():
    """(20 + 2) ppm · 46 / 22.4 = 45.178571 mg/m³; wet gas of 9 % moisture: 49.647."""
    oxides = 'no = "acme/AI-N"\nno2 = "acme/AI-D"'
    outlet, result = hour(oxides + "\n" + GAS)
    assert outlet.names == ("NOx",)
    assert result.concentration[0, 0] / MG == pytest.approx(45.178571, rel=1e-8)
    assert shown(oxides + '\nbasis = { NOx = "wet" }') == pytest.approx(45.178571 / 0.91)
    # Of concentrations 28 · 46 / 30 + 12, and of one of each kind.
    assert shown('no = "acme/AI-1"\nno2 = "acme/AI-2"') == pytest.approx(28 * 46 / 30 + 12)
    assert shown('no = "acme/AI-1"\nno2 = "acme/AI-D"') == pytest.approx(
        28 * 46 / 30 + 2 * 46 / 22.4
    )
    assert result.emission[0, 0] == pytest.approx(45.178571 * MG * 50 * 3600)


def test_limit_is_compared_dry_and_oxygen_may_be_measured_wet():
    """8 % in wet gas are 8.791 % in dry gas: 28 · (21 - 6) / (21 - 8.791) = 34.401."""
    columns = """pollutants = { SO2 = "acme/AI-1" }
basis = { oxygen = "wet" }
oxygen = "acme/AI-X"
oxygen_reference = 0.06
permit = { SO2 = "35 mg/m^3" }
"""
    _, result = hour(columns + GAS)
    assert result.corrected[0, 0] / MG == pytest.approx(28 * 15 / (21 - 8 / 0.91), rel=1e-9)
    assert result.corrected[0, 0] / MG == pytest.approx(34.401, abs=1e-3)
    assert result.concentration[0, 0] / MG == pytest.approx(28)
    # Without the moisture there is no oxygen of dry gas, and the mass is what it was.
    _, dark = hour(columns + GAS, MI_1=44)
    assert np.isnan(dark.corrected[0, 0])
    assert dark.valid[0, 0]


@pytest.mark.parametrize(
    ("tag", "columns"),
    [
        ("MI_1", 'basis = "wet"'),
        ("TI_1", 'state = "actual"'),
        ("PI_1", 'state = "actual"'),
    ],
)
def test_hour_is_valid_with_45_minutes_of_all_a_concentration_is_made_of(tag, columns):
    whole = f'pollutants = {{ SO2 = "acme/AI-1" }}\n{columns}\n{GAS}'
    assert hour(whole, **{tag: 45})[1].measured[0, 0]
    assert not hour(whole, **{tag: 44})[1].measured[0, 0]
    assert hour(whole.replace(columns, "verified = false"), **{tag: 44})[1].measured[0, 0]


def test_hour_of_nitrogen_oxides_needs_both_analysers():
    oxides = 'no = "acme/AI-N"\nno2 = "acme/AI-D"\n' + GAS
    assert hour(oxides, AI_N=45, AI_D=45)[1].valid[0, 0]
    assert not hour(oxides, AI_D=44)[1].valid[0, 0]


def test_the_error_of_moisture_and_of_each_analyser_is_in_what_they_make():
    oxides = 'no = "acme/AI-N"\nno2 = "acme/AI-D"\nbasis = "wet"\n' + GAS
    outlet = stack(oxides)
    sigma = {"acme/AI-N": 0.5 * PPM, "acme/AI-D": 0.1 * PPM, "acme/MI-1": 0.005, "acme/FI-N": 1.0}
    absolute = np.array([sigma[address] for address in outlet.measured_by])
    error = Errors(absolute, *np.zeros((3, len(absolute))))
    mean = {f"acme/{name}": np.array([value]) for name, value in SHOWN.items()}
    change = hour_errors(outlet, error, mean, np.array([HOUR_S])).concentration[:, 0, 0] / MG
    by_tag = dict(zip(outlet.measured_by, change, strict=True))
    assert by_tag["acme/AI-N"] == pytest.approx(0.5 * 46 / 22.4 / 0.91, rel=1e-6)
    assert by_tag["acme/AI-D"] == pytest.approx(0.1 * 46 / 22.4 / 0.91, rel=1e-6)
    assert by_tag["acme/MI-1"] == pytest.approx(45.178571 / 0.91 * 0.005 / 0.91, rel=1e-4)
    assert by_tag["acme/FI-N"] == 0


SO2 = 'pollutants = { SO2 = "acme/AI-1" }\n'


@pytest.mark.parametrize(
    ("columns", "line", "problem"),
    [
        (SO2 + 'basis = "moist"', 2, "'moist' is not a value here, use one of dry, wet"),
        (SO2 + 'basis = { SO2 = "moist" }', 2, "SO2: 'moist' is not a value here"),
        (SO2 + 'basis = { HCl = "dry" }', 2, "HCl is not one of the pollutants"),
        (SO2 + 'basis = "wet"', 2, 'SO2: wet gas needs its moisture: add moisture = "'),
        (
            SO2 + 'oxygen = "acme/AI-X"\nbasis = { oxygen = "wet" }',
            3,
            "oxygen: wet gas needs its moisture",
        ),
        (
            SO2 + 'pressure = "acme/PI-1"\nbarometric = "101 kPa"\nstate = "actual"',
            4,
            "SO2: an actual state needs the temperature of the gas: add temperature = ",
        ),
        (SO2 + 'temperature = "acme/TI-1"\nstate = "actual"', 3, "needs the pressure of the gas"),
        (
            'pollutants = { SO2 = "acme/AI-S" }\nstate = { SO2 = "actual" }\n' + GAS,
            2,
            "SO2 is shown as a share by volume, which has no state: leave it out",
        ),
        (
            'pollutants = { HF = "acme/AI-F" }',
            1,
            'HF: a share by volume needs a molar mass: add molar_mass = { HF = "... g/mol" }',
        ),
        (SO2 + 'molar_mass = { SO2 = "64 mg" }', 2, "'mg' is not a unit of molar_mass"),
        ('no = "acme/AI-N"', 1, 'NOx is the sum of NO and NO2: add no2 = "enterprise/TAG"'),
        ('no2 = "acme/AI-D"', 1, "add no ="),
        (
            'pollutants = { NOx = "acme/AI-2" }\nno = "acme/AI-N"\nno2 = "acme/AI-D"',
            2,
            "NOx is in pollutants as well: leave one of them out",
        ),
        ('no = "acme/TI-1"\nno2 = "acme/AI-D"', 1, "measures temperature, not concentration or"),
    ],
)
def test_analyser_that_lacks_something_is_a_problem_with_its_line_and_its_mend(
    columns, line, problem
):
    with pytest.raises(ModelError) as caught:
        stack(columns)
    (result,) = caught.value.problems
    at = (FILES["park.toml"] + HEAD).count("\n") + line
    assert result.startswith(f"park.toml:{at}: [[outlet]]")
    assert problem in result


def test_a_drain_has_concentrations_of_water_only():
    with pytest.raises(ModelError) as caught:
        stack('pollutants = { COD = "acme/AI-S" }\nbasis = "wet"', kind="drain")
    basis, share = sorted(caught.value.problems)[::-1]
    assert "basis: is of gas, and a drain is water: leave it out" in basis
    assert "shows a share; water has concentrations" in share


def test_stack_of_the_demonstration_counts_no_and_no2_of_wet_gas():
    """12 and 1.2 ppm in gas of 12 % moisture: 13.2 · 46 / 22.4 / 0.88 = 30.8 mg/m³."""
    outlet = next(
        o for o in outlets_of(load_park("deploy/parks/liaocheng")) if o.id == "luxi-boiler-stack"
    )
    shows = {"AI-9201B": 12 * PPM, "AI-9201D": 1.2 * PPM, "MI-9201": 0.12}
    others = {a: np.array([1.0]) for a in {*outlet.measured_by, *outlet.tags.values()}}
    mean = others | {f"luxi/{name}": np.array([value]) for name, value in shows.items()}
    result = evaluate(outlet, mean, dict.fromkeys(mean, np.array([HOUR_S])), np.array([HOUR_S]))
    p = outlet.names.index("NOx")
    assert result.concentration[p, 0] / MG == pytest.approx(13.2 * 46 / 22.4 / 0.88)
    assert "NOx" in outlet.permit
