"""Loops of a park: which streams, wastes and waste heat make them, and what the model may lack."""

import numpy as np
import pytest

from tests.support.small_loops import TAGS, TOML, loops_park
from tests.support.small_park import TAGS_CSV
from twin.accounts.heat import heat_amounts
from twin.byproducts.loops import compile_loops, loop_names
from twin.errors import ModelError
from twin.loading import parse_park

TARGET = """[[target]]
id = "t"
scope = "demo"
uom = "%"
value = 80
sense = "at_least"
kpi = "loop_rate"
loop = "watre"
"""
PARK = loops_park()
NETWORK = PARK.network


def amounts():
    """Return the amounts of an hour of all tags at their means, with the heats made of them."""
    mean = np.full(len(NETWORK.tags), np.nan)
    for tag, value in PARK.mean.items():
        mean[NETWORK.index[f"acme/{tag}"]] = value
    amount = mean * 3600
    heats = NETWORK.heats
    amount[heats.tag] = heat_amounts(heats, np.asarray(0), amount, mean)[0]
    return amount


def test_reuse_of_water_counts_what_ends_inside_each_scope():
    amount = np.nan_to_num(amounts())
    rate = {}
    for path in ("demo", "demo/acme/utilities", "demo/acme/utilities/cooling", "demo/acme/vcm"):
        loop = next(each for each in compile_loops(NETWORK, path) if each.id == "water")
        rate[path.rpartition("/")[2]] = loop.over @ amount / (loop.under @ amount)
    # Of utilities alone the circulating water goes out: 20 + 1.2 of 121.2.
    assert rate["utilities"] == pytest.approx(21.2 / 121.2)
    assert rate["cooling"] == pytest.approx(20 / 80)
    assert rate["demo"] == pytest.approx(419.2 / 519.2)
    assert rate["vcm"] == pytest.approx(398 / 408)


def test_heat_below_the_cut_off_does_not_count():
    mean = np.full(len(NETWORK.tags), np.nan)
    at = [NETWORK.index[f"acme/{name}"] for name in ("FT-30", "TT-30")]
    times = np.zeros(3, np.int64)
    mean = np.tile(mean, (3, 1))
    mean[:, at[0]] = 1.0
    mean[:, at[1]] = [273.15 + 61, 273.15 + 59, np.nan]
    heat, doubtful = heat_amounts(NETWORK.heats, times, mean, mean)
    column = NETWORK.heats.flow.tolist().index(at[0])
    assert heat[:, column] == pytest.approx([4200, 0, 4200 * 25])
    assert doubtful[:, column].tolist() == [False, False, True]


def test_names_of_loops_are_those_that_the_scopes_have():
    names = {loop.id for scope in NETWORK.park.scopes for loop in compile_loops(NETWORK, scope.id)}
    # Electricity has meters and no relation between them, which would make a balance.
    assert names <= loop_names(NETWORK.park)
    assert {"water", "condensate", "waste_heat.low", "solid_waste.SW03", "hydrogen"} <= names


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ('scope = "demo"\ntemperature = "60 degC"', 'scope = "demo/idle"\ntemperature = "60 degC"',
         "[[waste_heat]] hot-water: needs a [[heat_cut_off]] of its scope, or of one above it"),
        ('temperature = "300 degC"', 'temperature = "50 degC"',
         "[[waste_heat]] flue: temperature: is not above the cut-off of demo: nothing counts"),
        ('density = "1.3 kg/m^3"', "", "[[waste_heat]] flue: needs density: its flow is a volume"),
        ('heat_capacity = "4.2 kJ/kg/K"\n', "",
         "[[waste_heat]] hot-water: needs heat_capacity to make heat of its flow"),
        ('flow = "acme/FT-30"', 'flow = "acme/JT-30"', "flow: its flow is heat already"),
        ('flow = "acme/FT-30"', 'flow = "acme/F-steam"', "flow: its heat is counted already"),
        ('recovered = "acme/JT-30"', 'recovered = "acme/TT-30"',
         "recovered: 'acme/TT-30' measures no power and counts no energy"),
        ('recovered = "acme/JT-30"', 'recovered = "condensate"',
         "recovered: stream 'condensate' is no metered steam"),
        ('recovered = "acme/JT-30"', 'recovered = "acme/JT-3"',
         "recovered: 'acme/JT-3' is neither a stream nor a tag, did you mean 'acme/JT-30'?"),
        ('landfill = "acme/WT-42"', 'landfil = "acme/WT-42"',
         "destinations: 'landfil' is no destination, did you mean 'landfill'?"),
        ('landfill = "acme/WT-42"', 'landfill = "acme/TT-30"',
         "destinations: 'acme/TT-30' measures temperature as a gauge, which is no flow"),
        ("[[heat_cut_off]]",
         f"{TARGET}[[heat_cut_off]]",
         "[[target]] t: loop: the park has no loop 'watre', did you mean 'water'?"),
    ],
    ids=range(12),
)  # fmt: skip
def test_check_names_every_mistake(old, new, text):
    assert old in TOML
    with pytest.raises(ModelError) as refused:
        parse_park({"park.toml": TOML.replace(old, new, 1), "tags.csv": TAGS_CSV + TAGS})
    assert any(text in problem for problem in refused.value.problems), refused.value.problems
    assert all("park.toml:" in problem for problem in refused.value.problems)
