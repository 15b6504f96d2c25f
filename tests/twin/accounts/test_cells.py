"""Analysed electrolysers: the effective current is a tag, and what they make follows from it."""

import numpy as np
import pytest

from tests.support.small_region import PARK_TOML, TAGS_CSV, problems_of
from twin import faraday
from twin import quality as q
from twin.accounts.accounts import Account, cell_entries
from twin.accounts.cells import analyse, analysed_efficiency
from twin.accounts.network import compile_network, tally
from twin.alarms.engine import UNACKNOWLEDGED, evaluate, initial_alarm_state
from twin.alarms.rules import compile_rules, park_alarms
from twin.arrays import NEVER, SECOND_US
from twin.loading import parse_park
from twin.reconciliation.uncertainty import (
    analysis_sigma,
    cell_uncertainty,
    efficiency_uncertainty,
    sum_sigma,
)
from twin.series.image import no_image
from twin.series.samples import Samples
from twin.step import no_memory, step

CURRENT_LINE = 'current = "alpha/II-1"\n'
ANALYSIS = """oxygen = "alpha/AI-O2"
hydrogen = "alpha/AI-H2"
"""
CHLORATE = """chlorate = "alpha/AI-CL"
chlorate_fed = "alpha/AI-CF"
anolyte = "alpha/FI-A"
"""
CELLS = "r/east/alpha/caustic/cells"
TAGS = TAGS_CSV + "".join(
    f"{name},{CELLS},{quantity},{uom},gauge,,,{sigma},analysis\n"
    for name, quantity, uom, sigma in (
        ("AI-O2", "fraction", "%", "0.05"),
        ("AI-H2", "fraction", "%", "0.01"),
        ("AI-CL", "concentration", "g/L", "1 %"),
        ("AI-CF", "concentration", "g/L", "1 %"),
        ("FI-A", "volume_flow", "m^3/h", "1 %"),
        ("QI-O2", "fraction", "%", ""),
    )
)
NOW = 1_750_000_000 * SECOND_US


def region(columns=ANALYSIS):
    """Return the small region with an analysis of its electrolyser."""
    text = PARK_TOML.replace(CURRENT_LINE, CURRENT_LINE + columns)
    return compile_network(parse_park({"park.toml": text, "tags.csv": TAGS}))


ANALYSED = region()


def values(network, **tags):
    value = np.full(len(network.tags), np.nan)
    for name, number in tags.items():
        value[network.index[f"alpha/{name.replace('_', '-')}"]] = number
    return value


def outcome(network, bad=(), **tags):
    """Return the derived values of a step by name, with their quality."""
    image = no_image(len(network.tags))
    value = values(network, **tags)
    at = np.flatnonzero(np.isfinite(value))
    quality = np.zeros(len(at), np.uint8)
    for name in bad:
        quality[at == network.index[f"alpha/{name}"]] = q.BAD
    time = np.full(len(at), NOW)
    image.update(Samples(at, time, value[at], quality, time), network.traits)
    result = step(network, no_memory(network), image, NOW)
    names = [tag.address for tag in network.tags[-len(network.derived) :]]
    return dict(zip(names, zip(result.value, result.quality, strict=True), strict=True))


def near(value, rel=1e-6):
    return pytest.approx(value, rel=rel)


@pytest.mark.parametrize(
    ("oxygen", "efficiency"),
    [(0.005, 0.9900498), (0.01, 0.9801980), (0.02, 0.9607843), (0.03, 0.9417476)],
)
def test_live_efficiency_of_an_oxygen_analysis_is_the_published_one(oxygen, efficiency):
    derived = outcome(ANALYSED, II_1=13_500.0, AI_O2=oxygen, AI_H2=0.0)
    assert derived["alpha/caustic.cells.E-1.fraction.efficiency"][0] == near(efficiency)
    assert derived["alpha/caustic.cells.E-1.current.effective"][0] == near(13_500 * efficiency)
    # T-02 at 96 %: 2.7429581 t/h of chlorine and 3.0945307 t/h of caustic soda.
    made = {name: derived[f"alpha/{name}.mass_flow.production"][0] * 3.6
            for name in ("chlorine", "caustic", "hydrogen")}  # fmt: skip
    assert made["chlorine"] == near(2.7429581 * efficiency / 0.96)
    assert made["caustic"] == near(3.0945307 * efficiency / 0.96)
    assert made["hydrogen"] == near(0.081232466)


def test_hydrogen_dilutes_the_chlorine_and_chlorate_costs_three_chlorines_each():
    network = region(ANALYSIS + CHLORATE)
    # 0.5 % of the charge of 160 cells at 13.5 kA makes chlorate.
    made = 0.005 * 13_500 * 160 * faraday.mass_per_charge(faraday.CHLORATE)
    assert faraday.mass_per_charge(faraday.CHLORATE) == near(0.10644 / 6 / faraday.FARADAY, 1e-4)
    value = values(
        network, II_1=13_500.0, AI_O2=0.02, AI_H2=0.002, AI_CL=8.0 + made / 0.01, AI_CF=8.0,
        FI_A=0.01,
    )  # fmt: skip
    (efficiency,) = analysed_efficiency(analyse(network.cells, value))
    assert efficiency == near(0.995 / (1 + 2 * 0.02 / 0.978))


def test_current_through_an_analysis_that_is_not_of_the_cells_makes_what_the_model_says():
    air = outcome(ANALYSED, II_1=13_500.0, AI_O2=0.209, AI_H2=0.0)
    bad = outcome(ANALYSED, ("AI-O2",), II_1=13_500.0, AI_O2=0.02, AI_H2=0.0)
    for derived in (air, bad):
        value, quality = derived["alpha/chlorine.mass_flow.production"]
        assert value * 3.6 == near(2.7429581)
        assert quality == q.UNCERTAIN | q.SUBSTITUTED
    gone = outcome(ANALYSED, ("II-1",), II_1=13_500.0, AI_O2=0.02, AI_H2=0.0)
    value, quality = gone["alpha/chlorine.mass_flow.production"]
    assert (np.isnan(value), quality) == (True, q.NO_DATA)


def test_a_fall_from_96_to_93_per_cent_is_less_make_and_nothing_unaccounted():
    """45 t/h of chlorine, three points of efficiency: 1.4 t/h less is made, and less flows."""
    account = Account("r/east/alpha", "chlorine", "make")
    made = []
    for efficiency in (0.96, 0.93):
        oxygen = (1 - efficiency) / (1 + efficiency)
        value = values(ANALYSED, II_1=13_500.0 * 16.4, AI_O2=oxygen, AI_H2=0.0)
        value[ANALYSED.cells.effective] = value[ANALYSED.index["alpha/II-1"]] * efficiency
        made.append(float(tally(ANALYSED, value)[ANALYSED.accounts[account]]) * 3.6)
        live = outcome(ANALYSED, II_1=13_500.0 * 16.4, AI_O2=oxygen, AI_H2=0.0)
        # Live and sums are one calculation.
        assert live["alpha/chlorine.mass_flow.production"][0] * 3.6 == near(made[-1])
    assert made[0] == near(44.98, 1e-3)
    assert made[0] - made[1] == near(1.4057, 1e-3)


def test_efficiency_by_an_analysis_is_in_error_by_its_analysers_and_what_they_do_not_see():
    value = values(ANALYSED, II_1=13_500.0, AI_O2=0.02, AI_H2=0.0)
    (sigma,) = analysis_sigma(ANALYSED, value)
    by_oxygen = 2 * 0.9607843**2 / 0.98**2 * 0.0005
    by_hydrogen = 2 * 0.9607843**2 * 0.02 / 0.98**2 * 0.0001
    assert sigma == near(np.sqrt(by_oxygen**2 + by_hydrogen**2 + 0.003**2), 1e-3)
    known = cell_uncertainty(ANALYSED, "chlorine")["E-1"]
    assert known == near((0.003150 / 0.96, 0.002), 1e-3)
    assert cell_uncertainty(ANALYSED, "hydrogen")["E-1"] == efficiency_uncertainty("hydrogen")


def test_interval_of_what_is_made_is_that_of_the_analysis_and_not_of_the_model():
    (cell,) = (c for c in ANALYSED.park.electrolysers if c.id == "E-1")
    tag, factor = cell_entries(cell, ANALYSED.index, ANALYSED.effective)["chlorine"]
    assert tag == ANALYSED.effective["E-1"]
    weight, amount, covered_s = np.zeros((3, len(ANALYSED.tags)))
    weight[tag], amount[tag], covered_s[tag] = factor, 16e3 * 0.96 * 3600, 3600.0
    made = factor * amount[tag]
    sigma = sum_sigma(ANALYSED, "chlorine", weight, amount, covered_s)
    assert sigma / made == near(np.sqrt(0.00328**2 + 0.002**2 + 0.0018**2), 0.05)
    assert sigma / made < efficiency_uncertainty("chlorine")[0] / 2


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        ('hydrogen = "alpha/AI-H2"\n', "needs oxygen"),
        (ANALYSIS + 'chlorate = "alpha/AI-CL"\n', "chlorate needs anolyte"),
        ('oxygen = "alpha/II-1"\n', "measures current, not fraction"),
    ],
)
def test_an_analysis_that_cannot_be_used_is_a_problem_of_its_line(columns, problem):
    text = PARK_TOML.replace(CURRENT_LINE, CURRENT_LINE + columns)
    (sentence,) = problems_of(text, TAGS)
    assert sentence.startswith("park.toml:")
    assert problem in sentence


def test_a_tag_named_like_a_derived_one_of_a_cell_is_refused():
    text = PARK_TOML.replace(CURRENT_LINE, CURRENT_LINE + ANALYSIS)
    name = "caustic.cells.E-1.current.effective"
    (sentence,) = problems_of(text, TAGS + f"{name},{CELLS},current,kA,gauge,,,,mine\n")
    assert "is derived in this model" in sentence


ALARM = """
[[alarm]]
tag = "alpha/caustic.cells.E-1.fraction.efficiency"
limit = "94 %"
direction = "low"
priority = "high"
on_delay = "60 s"
name = {zh = "电流效率低", en = "Low current efficiency"}
"""


def test_an_alarm_on_the_efficiency_names_the_fall_within_its_delay():
    text = PARK_TOML.replace(CURRENT_LINE, CURRENT_LINE + ANALYSIS) + ALARM
    network = compile_network(parse_park({"park.toml": text, "tags.csv": TAGS}))
    rules = compile_rules(park_alarms(network.park, network.tags), network.tags)
    (tag,) = rules.tag
    address = "alpha/caustic.cells.E-1.fraction.efficiency"
    assert network.tags[tag].address == address
    times, values = NOW + np.arange(0, 180, 10) * SECOND_US, []
    for n in range(18):
        efficiency = 0.96 if n < 6 else 0.93
        oxygen = (1 - efficiency) / (1 + efficiency)
        values.append(outcome(network, II_1=13_500.0, AI_O2=oxygen, AI_H2=0.0)[address][0])
    at, quality = np.full(18, tag), np.zeros(18, np.uint8)
    samples = Samples(at, times, np.array(values), quality, times)
    known_us = np.full(len(network.tags), NEVER)
    state = initial_alarm_state(len(rules.tag))
    _, changes = evaluate(rules, state, samples, known_us, int(times[-1]))
    raised = changes.time_us[changes.after == UNACKNOWLEDGED]
    assert raised.tolist() == [NOW + 120 * SECOND_US]
