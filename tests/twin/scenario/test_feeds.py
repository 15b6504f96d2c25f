"""A plant with several sources loses only the share of the one that fails."""

import numpy as np
import pytest

from simulators.process.process import make_process, state
from tests.support.small_supply import (
    FLOWS,
    HCL_PER_CL2,
    T_H,
    line,
    residual,
    start_of,
    supply_with,
)
from twin.accounts.network import compile_network
from twin.loading import load_park
from twin.reference import load as load_reference
from twin.scenario.initial_state import find_initial_state, reasons
from twin.scenario.network import compile_supply
from twin.scenario.scenario import Action, power, run
from twin.scenario.simulation import Policy
from twin.stoichiometry import molar_mass

VENT = Policy(cut=False, response_s=600)
EDC, SYNTHESIS, BOILERS = "w/a/edc", "w/a/hcl/synthesis", "w/a/boilers"
LUXI, XINFA = "liaocheng/gaoxin/luxi", "liaocheng/chiping/xinfa"


def trip(supply, start, *scopes, load=0.0):
    """Return the first step after some plants have stopped."""
    actions = [Action(scope, load) for scope in scopes]
    return run(supply, start, [actions], [VENT], horizon_s=300, step_s=300)


def load_of(supply, course, name):
    return course.load[0, 0, supply.loads.index(name)]


@pytest.fixture(scope="module")
def demo():
    network = compile_network(load_park("deploy/parks/liaocheng"))
    supply = compile_supply(network)
    at_us = 1_760_000_400_000_000
    displayed = state(make_process(network.park, 7), np.array([at_us, at_us + 1_000_000])).values
    counters = np.array([tag.kind == "counter" for tag in network.park.tags])
    value, rate = np.full((2, len(network.tags)), np.nan)
    value[: len(counters)] = displayed[0]
    rate[: len(counters)] = np.where(counters, displayed[1] - displayed[0], displayed[0])
    return supply, rate, value, find_initial_state(supply, rate, value)


def flow_of(demo, tag):
    supply, rate, *_ = demo
    return rate[supply.network.index[tag]]


def test_electrolyser_that_trips_leaves_ammonia_at_what_syngas_carries(demo):
    """112 t/h of ammonia take 112 · 3 · 2.016 / (2 · 17.031) = 19.9 t/h of hydrogen.

    The electrolysis sends 0.77 of it; a trip takes 0.09 away, so ammonia runs at 0.9955 and not at
    1 - 0.09 / 0.77 = 0.883.
    """
    supply, _, _, start = demo
    course = trip(supply, start, "luxi-E-1101")
    ammonia = f"{LUXI}/ammonia/synthesis"
    lines = [s for s, e in enumerate(supply.edges) if e.user == ammonia]
    less = (start.flow[0] - course.line[0, 0])[lines].sum()
    assert 0.08 * T_H < less < 0.1 * T_H
    need = flow_of(demo, "luxi/FI-6301") * 3 * molar_mass("H2") / (2 * molar_mass("NH3"))
    assert load_of(supply, course, ammonia) == pytest.approx(1 - less / need, rel=1e-5)
    assert load_of(supply, course, ammonia) == pytest.approx(0.995, abs=0.001)
    # Power is that of its load, and what takes nothing but hydrogen loses its whole share.
    meter = supply.metered.index(f"{LUXI}/ammonia")
    watt = power(supply, start, course)[0, 0, meter] / start.power[meter]
    assert watt == pytest.approx(load_of(supply, course, ammonia))
    assert load_of(supply, course, f"{LUXI}/peroxide") < 0.9


def test_boilers_that_burn_hydrogen_beside_coal_keep_their_steam(demo):
    """A third of 0.39 t/h of hydrogen (119.96 MJ/kg) beside 800 t/h of coal (20.934 MJ/kg)."""
    supply, _, _, start = demo
    course = trip(supply, start, "xinfa-E-1101")
    [s] = [s for s, each in enumerate(supply.lines) if each.id == "xinfa-h2-power"]
    less = (start.flow[0, s] - course.line[0, 0, s]) * 119.96
    heat = start.flow[0, s] * 119.96 + flow_of(demo, "xinfa/WI-7001") * 20.934
    load = load_of(supply, course, f"{XINFA}/power/boilers")
    assert load == pytest.approx(1 - less / heat, abs=1e-6)
    assert 0.998 < load < 1


def test_share_is_not_known_where_the_need_is_not_measured(demo):
    supply, rate, value, start = demo
    dark = rate.copy()
    dark[supply.network.index["luxi/FI-6301"]] = np.nan
    start = find_initial_state(supply, dark, value)
    header = supply.nodes.index(("hydrogen", f"{LUXI}/caustic/hydrogen-header"))
    assert reasons(supply, start, header) == ["luxi/FI-6301"]
    course = trip(supply, start, "luxi-E-1101")
    assert np.isnan(load_of(supply, course, f"{LUXI}/ammonia/synthesis"))
    course = trip(supply, start, f"{LUXI}/urea")
    assert load_of(supply, course, f"{LUXI}/ammonia/synthesis") == 1


def test_table_of_substitutes_is_stoichiometry_and_heating_values():
    table = load_reference("scenario")["substitute"]
    ammonia = 3 * molar_mass("H2") / (2 * molar_mass("NH3"))
    assert float(table["syngas"]["ratio"].split()[0]) == pytest.approx(ammonia, rel=1e-4)
    coal = 20934 / 119960
    assert float(table["coal"]["ratio"].split()[0]) == pytest.approx(coal, rel=1e-3)


def test_chlorine_that_is_bought_beside_the_header_is_kept():
    """EDC takes 10 as gas, 8 as vapour and buys 9: of these it runs at a third."""
    supply = supply_with(("bought", "market", EDC, "chlorine"))
    start = start_of(supply, FI_bought=9 * T_H, LI_V_1=0.0, LI_V_2=0.0)
    course = trip(supply, start, "E-1", "E-2")
    assert load_of(supply, course, EDC) == pytest.approx(9 / 27, rel=1e-9)
    assert load_of(supply, course, SYNTHESIS) == pytest.approx(0, abs=1e-9)
    # It buys no more than its share, and what was never a line is in no balance.
    assert course.line[0, 0, line("gas-edc", supply)] == pytest.approx(0, abs=1e-9)


def test_one_of_two_headers_that_fails_takes_the_share_it_had():
    """The boilers get 0.5 t/h of hydrogen from the cells and 1.5 of a second header, from a maker.

    The cells stop: synthesis and boilers lose all of it, and the second header is as before.
    """
    supply = supply_with(
        ("h2-made", "w/b", "w/a/chlor", "hydrogen"),
        ("h2-second", "w/a/chlor", BOILERS, "hydrogen"),
    )
    start = start_of(supply, FI_h2_made=1.5 * T_H, FI_h2_second=1.5 * T_H)
    course = trip(supply, start, "E-1", "E-2")
    assert load_of(supply, course, BOILERS) == pytest.approx(1.5 / 2, rel=1e-9)
    flow = course.line[0, 0] / T_H
    assert flow[line("h2-second", supply)] == pytest.approx(1.5, rel=1e-9)
    assert flow[line("h2-boilers", supply)] == pytest.approx(0, abs=1e-9)
    assert course.vented[0, 0, supply.nodes.index(("hydrogen", "w/a/chlor"))] == 0
    watt = power(supply, start, course)[0, 0, supply.metered.index(BOILERS)]
    assert watt == pytest.approx(0.75e6, rel=1e-9)


def test_maker_that_also_sells_directly_loses_only_what_has_no_outlet():
    """Hydrogen chloride: 12.43 to VCM, 3 to acid, 5 sold past the header. VCM stops; acid takes 3
    more. 9.43 of 20.43 made have no outlet, so the synthesis runs at 0.538."""
    supply = supply_with(("hcl-direct", SYNTHESIS, "market", "hydrogen_chloride"))
    start = start_of(supply, FI_hcl_direct=5 * T_H)
    course = trip(supply, start, "w/a/vcm")
    made = 15 * HCL_PER_CL2
    load = 1 - (made - 6) / (made + 5)
    assert load_of(supply, course, SYNTHESIS) == pytest.approx(load, rel=1e-9)
    flow = course.line[0, 0] / T_H
    assert flow[line("hcl-made", supply)] == pytest.approx(6, rel=1e-9)
    assert flow[line("gas-hcl", supply)] == pytest.approx(15 * load, rel=1e-9)


def test_plant_short_of_two_components_runs_at_the_lesser_share_not_at_the_product():
    """Hydrogen halves: 0.592 are left, the vent gives its 0.058, the synthesis keeps its 0.426, and
    0.166 remain of 0.7 for boilers and alumina: 0.237. Of caustic 9.03 remain of 20: 0.451."""
    supply = supply_with(("h2-alumina", "w/a/chlor/h2", "w/a/alumina", "hydrogen"))
    vent = (FLOWS["h2-vent"] - 0.2) * T_H
    start = start_of(supply, FI_h2_alumina=0.2 * T_H, FI_h2_vent=vent, LI_V_4=0.0)
    actions = [Action("E-1", 0.5), Action("E-2", 0.5), Action("w/a/chlor/lye", 0.2)]
    course = run(supply, start, [actions], [VENT], horizon_s=300, step_s=300)
    kept = FLOWS["h2-main"] / 2 - FLOWS["h2-hcl"]
    assert load_of(supply, course, "w/a/alumina") == pytest.approx(kept / 0.7, rel=1e-6)
    assert load_of(supply, course, BOILERS) == pytest.approx(kept / 0.7, rel=1e-6)
    assert kept / 0.7 == pytest.approx(0.237, abs=1e-3)
    assert residual(supply, course, 300) < 1e-9
