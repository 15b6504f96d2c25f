"""What-if: closed forms on a small site, conservation on any, the demonstration park."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.process.process import make_process, state
from tests.support.small_region import HEADER, SMALLEST
from tests.support.small_supply import (
    FILL,
    HCL_PER_CL2,
    HOUR,
    LEVELS,
    POWER,
    START,
    SUPPLY,
    T_H,
    TANKS,
    line,
    node,
    readings,
    residual,
    start_of,
    supply_of,
    without_absorber,
)
from twin.accounts.cells import effective_current
from twin.accounts.network import compile_network
from twin.chlorine.headroom import caustic_per_chlorine, user_trip
from twin.chlorine.tank_farms import find_tank_farms, forecast
from twin.loading import load_park, parse_park
from twin.reference import figure
from twin.scenario.initial_state import find_initial_state, reasons
from twin.scenario.network import compile_supply, loads_of
from twin.scenario.scenario import (
    Action,
    accumulated,
    assumptions,
    made,
    power,
    run,
    tankers,
    vent_rate,
)
from twin.scenario.simulation import Policy

FARM = node("chlorine", "chlor/farm")
VENT, CUT = Policy(cut=False, response_s=600), Policy(cut=True, response_s=600)
CAUSTIC_NEED = float(caustic_per_chlorine(figure("chlorine.absorber_excess", "fraction")))
EDC, VCM = "w/a/edc", "w/a/vcm"


def mass_of(tank, level):
    return np.pi / 4 * TANKS[tank].diameter ** 2 * TANKS[tank].density * level


ROOM = sum(mass_of(tank, FILL * 10 - LEVELS[tank]) for tank in ("V-1", "V-2"))
STOCK = sum(mass_of(tank, LEVELS[tank]) for tank in ("V-1", "V-2"))


def course_of(*actions, policy=VENT, hours=24, step_s=300, supply=SUPPLY, start=START):
    return run(supply, start, [actions], [policy], horizon_s=hours * HOUR, step_s=step_s)


def first(course, kind, component="chlorine"):
    result = [e for e in course.events if e.kind == kind and e.subject[0] == component]
    return result[0] if result else None


def test_what_if_and_the_chlorine_figures_agree_when_a_tank_is_full():
    """0.9 of the volume at 1425 kg/m³ is more than the filling coefficient of 1.25 kg/L allows."""
    supply = supply_of(f"fill_limit = {FILL}", "fill_limit = 0.9")
    network, start = supply.network, start_of(supply)
    volume = np.pi / 4 * 4**2 * 10
    assert supply.limit[:2] == pytest.approx([1250 * volume] * 2)
    outlook = forecast(network, find_tank_farms(network, "w"), readings(supply)[1])
    assert outlook.headroom == pytest.approx((start.most - start.mass)[:2].sum(), rel=1e-12)


def test_nothing_happens_when_nothing_is_changed():
    course = course_of()
    assert course.events == ()
    assert course.line[0, -1] == pytest.approx(START.flow[0], rel=1e-12)
    assert course.load.tolist() == np.ones_like(course.load).tolist()
    assert course.mass[0, -1] == pytest.approx(START.mass, rel=1e-9)


@pytest.mark.parametrize("step_s", [60, 600, 3600])
def test_time_to_full_is_headroom_over_flow_whatever_the_step(step_s):
    # EDC took 10 as gas and 8 as vapour: liquefaction has room for the 10.
    course = course_of(Action(EDC, 0), hours=8, step_s=step_s)
    assert first(course, "full").time_s == pytest.approx(ROOM / (18 * T_H), rel=1e-9)
    limits = [mass_of(tank, FILL * 10) for tank in ("V-1", "V-2")]
    assert course.mass[0, -1, :2] == pytest.approx(limits, rel=1e-9)
    assert residual(SUPPLY, course, step_s) < 1e-9


def test_time_to_full_agrees_with_the_closed_form_of_a_user_trip():
    trip = user_trip(ROOM, 15 * T_H, 7 * T_H, 10 * T_H, 27 * T_H)
    course = course_of(Action(EDC, 0))
    assert first(course, "full").time_s == pytest.approx(float(trip), rel=1e-9)
    course = course_of(Action("w/a/hcl/synthesis", 0), hours=0.1)
    # Gas takes the place of 2 of the vapour before 12 more are liquefied: 1 is left over.
    assert vent_rate(SUPPLY, course, "chlorine", "w")[0, 0] == pytest.approx(1 * T_H, rel=1e-9)


def test_surplus_takes_the_order_direct_use_then_tanks_then_absorber():
    flow = course_of(Action("w/a/hcl/synthesis", 0), hours=0.1).line[0, 0] / T_H
    result = {
        name: flow[line(name)] for name in ("gas-edc", "vapour-edc", "liquid", "to-vaporiser")
    }
    assert result == pytest.approx(
        {"gas-edc": 12, "vapour-edc": 6, "liquid": 27, "to-vaporiser": 6}
    )


def test_without_a_cut_the_surplus_of_full_tanks_goes_to_the_absorber_and_takes_caustic():
    course = course_of(Action(EDC, 0))
    full_s = first(course, "full").time_s
    gone = accumulated(course, vent_rate(SUPPLY, course, "chlorine", "w"))[0, -1]
    assert gone == pytest.approx(18 * T_H * (24 * HOUR - full_s), rel=1e-9)
    assert course.absorbed.sum() * 300 == pytest.approx(1.12817 * gone, rel=1e-5)
    assert first(course, "relief").time_s == pytest.approx(full_s)
    # The absorber drinks what the tank holds and more.
    empty = first(course_of(Action(EDC, 0), hours=96), "empty", "caustic")
    lye = mass_of("V-4", 5) * 0.32
    assert empty.time_s == pytest.approx(full_s + lye / (18 * T_H * CAUSTIC_NEED), 1e-9)


def test_absorber_is_exhausted_when_its_caustic_is_used_up_and_none_is_made():
    start = start_of(SUPPLY, LI_V_1=8.0, LI_V_2=8.0, LI_V_4=0.5)
    actions = [Action(EDC, 0), Action("w/a/hcl/synthesis", 0), Action("w/a/chlor/lye", 0)]
    course = course_of(*actions, start=start)
    gone = first(course, "exhausted", "caustic")
    lye = mass_of("V-4", 0.5) * 0.32
    assert 0 < gone.time_s <= lye / (33 * T_H * CAUSTIC_NEED)
    assert residual(SUPPLY, course, 300) < 1e-9


def test_cut_holds_the_level_at_the_limit_after_the_response_time():
    course = course_of(Action(EDC, 0), policy=CUT)
    vented = course_of(Action(EDC, 0))
    relief = vent_rate(SUPPLY, course, "chlorine", "w")[0]
    begun = int(np.argmax(relief > 0))
    during = np.flatnonzero(relief > 1e-9)
    assert during.tolist() == [begun, begun + 1]
    assert course.load[0, -1, :2] == pytest.approx([22 / 40] * 2, rel=1e-9)
    assert course.mass[0, -1, :2] == pytest.approx(vented.mass[0, -1, :2], rel=1e-9)
    # Less hydrogen is made as well: the synthesis is served first.
    cut = {e.subject[0] for e in course.events if e.kind == "cut"}
    assert cut == {"E-1", "E-2", "w/a/boilers"}


def test_products_of_a_cell_and_its_power_fall_together():
    course = course_of(Action("E-1", 0.4), hours=1)
    now = {c: made(SUPPLY, course.line, c, "w")[0, 0] for c in ("chlorine", "caustic", "hydrogen")}
    before = {c: float(made(SUPPLY, START.flow[0], c, "w")) for c in now}
    assert now == pytest.approx({c: 0.7 * each for c, each in before.items()}, rel=1e-9)
    watt = power(SUPPLY, START, course)[0, 0]
    assert watt[:2] == pytest.approx([0.7 * POWER["JI-1"], POWER["JI-2"]])
    assert made(SUPPLY, course.line, "chlorine", "w/b").max() == 0


def test_deficit_empties_the_tanks_and_then_the_users_are_cut():
    # 20 less are made; 15 are no longer liquefied, 4 come from the vaporiser, 1 is missing.
    course = course_of(Action("E-1", 0), hours=48)
    empty = first(course, "empty")
    assert course.stock[0, 0, FARM] < 0
    assert empty.time_s == pytest.approx(STOCK / -course.stock[0, 0, FARM], rel=1e-9)
    assert course.mass[0, -1, :2] == pytest.approx([0, 0], abs=1e-6)
    assert course.mass[0, -1, 2] == START.mass[2]
    at = {name: SUPPLY.loads.index(name) for name in (EDC, "w/a/hcl/synthesis")}
    assert 0 < course.load[0, -1, at[EDC]] < 1
    assert course.line[0, -1, line("sold")] == pytest.approx(0, abs=1e-9)
    use = course.line[0, -1, [line("gas-hcl"), line("gas-edc"), line("vapour-edc")]].sum()
    assert use == pytest.approx(20 * T_H, rel=1e-9)
    assert residual(SUPPLY, course, 300) < 1e-9


def test_plants_that_make_on_demand_follow_a_user_that_trips():
    course = course_of(Action(VCM, 0), hours=1)
    flow = course.line[0, 0] / T_H
    # Acid takes what its line can: 6 of hydrogen chloride.
    load = 6 / (15 * HCL_PER_CL2)
    assert flow[line("hcl-acid")] == pytest.approx(6)
    assert flow[line("gas-hcl")] == pytest.approx(15 * load, rel=1e-9)
    assert flow[line("h2-hcl")] == pytest.approx(load * START.flow[0, line("h2-hcl")] / T_H)
    lost = START.flow[0, line("h2-hcl")] * (1 - load)
    vent = vent_rate(SUPPLY, course, "hydrogen", "w")[0, 0] - START.flow[0, line("h2-vent")]
    assert vent == pytest.approx(lost, rel=1e-9)
    watt = power(SUPPLY, START, course)[0, 0]
    assert watt == pytest.approx([POWER["JI-1"], 0, POWER["JI-3"]], abs=1e-6)


def test_unit_that_only_passes_on_can_stand_too():
    flow = course_of(Action("w/a/chlor/liquefaction", 0), hours=1).line[0, 0] / T_H
    assert flow[line("to-liquefaction")] == pytest.approx(0, abs=1e-9)
    assert flow[line("liquid")] == pytest.approx(0, abs=1e-9)
    assert flow[line("gas-edc")] == pytest.approx(12)
    flow = course_of(Action("w/a/chlor/vaporiser", 0.5), hours=1).line[0, 0] / T_H
    assert flow[line("to-vaporiser")] == pytest.approx(4)


def test_action_ends_and_the_site_is_as_before():
    course = course_of(Action(EDC, 0, 2 * HOUR, 4 * HOUR), hours=6)
    edc = course.load[0, :, SUPPLY.loads.index(EDC)]
    assert [edc[23], edc[24], edc[47], edc[48]] == [1, 0, 0, 1]
    risen = course.mass[0, :, :2].sum(axis=-1) - STOCK
    assert risen[[24, 48, 72]] == pytest.approx([0, 36 * 1000, 36 * 1000], abs=1)
    re_rated = course_of(Action(EDC, 0.7), Action(EDC, 0.5), hours=1)
    assert re_rated.load[0, 0, SUPPLY.loads.index(EDC)] == 0.5


def test_road_tankers_carry_away_what_does_not_fit():
    for policy in (VENT, CUT):
        course = course_of(Action(EDC, 0), policy=policy)
        over = 18 * T_H * (24 * HOUR - first(course, "full").time_s)
        count = tankers(SUPPLY, course, FARM)[0]
        assert count[0] == 0
        assert count[-1] == np.ceil(over / 25_000)
    assert np.isnan(tankers(SUPPLY, course, node("caustic", "chlor/lye"))).all()


def test_uncertainty_of_the_time_is_that_of_inventory_and_flows():
    supply = supply_of()
    start = start_of(supply)
    course = course_of(Action(EDC, 0), supply=supply, start=start)
    full = first(course, "full")
    # Reconciled, the net inflow is that of the sum of the balances: between the best and the worst.
    level = np.hypot(*[mass_of(tank, 0.005) for tank in ("V-1", "V-2")])
    least = level / (18 * T_H)
    worst = np.hypot(level, full.time_s * T_H * np.hypot.reduce([0.4, 0.4, 0.15, 0.15, 0.07, 0.15]))
    assert least < full.sigma_s < worst / (18 * T_H)


def test_uncertainty_is_first_order_where_there_is_nothing_to_reconcile():
    # What is sold is measured once and nothing else tells it; the rest is made certain.
    other = {f"FI_{name.replace('-', '_')}" for name in ("main", "liquid", "to-liquefaction")}
    start = start_of(SUPPLY, **dict.fromkeys(other, np.nan))
    course = course_of(Action(EDC, 0), start=start)
    full = first(course, "full")
    level = np.hypot(*[mass_of(tank, 0.005) for tank in ("V-1", "V-2")])
    made_sigma = 40 * np.hypot(0.01, np.hypot(0.002, 0.002) / 2)
    flows = np.hypot.reduce([made_sigma, 0.15, 0.07]) * T_H
    expected = np.hypot(level, full.time_s * flows) / (18 * T_H)
    assert full.sigma_s == pytest.approx(expected, rel=1e-2)


def test_several_scenarios_at_once_equal_each_alone():
    cases = [
        ((Action(EDC, 0),), VENT),
        ((Action(EDC, 0),), CUT),
        ((Action("E-1", 0, HOUR, 9 * HOUR),), CUT),
        ((Action(VCM, 0.3), Action("w/a/alumina", 0)), CUT),
        ((), VENT),
    ]
    actions, policies = zip(*cases, strict=True)
    together = run(SUPPLY, START, actions, policies, horizon_s=20 * HOUR, step_s=300)
    for n, (action, policy) in enumerate(cases):
        alone = course_of(*action, policy=policy, hours=20, step_s=300)
        for name in ("mass", "line", "load", "vented", "excess"):
            np.testing.assert_array_equal(getattr(together, name)[n], getattr(alone, name)[0])
        mine = [(e.kind, e.subject, e.time_s) for e in together.events if e.scenario == n]
        assert mine == [(e.kind, e.subject, e.time_s) for e in alone.events]


scopes = st.sampled_from(["E-1", "E-2", "w/a", "w/a/chlor", EDC, VCM, "w/a/alumina", "w/a/boilers",
                          "w/a/hcl", "w/a/chlor/liquefaction", "w/a/chlor/vaporiser",
                          "w/a/hcl/acid", "w/a/chlor/header"])  # fmt: skip
deeds = st.lists(
    st.builds(Action, scopes, st.floats(0, 1.3), st.floats(0, 4 * HOUR), st.floats(0, 20 * HOUR)),
    max_size=4,
)


@settings(deadline=None, max_examples=30)
@given(actions=deeds, cut=st.booleans(), levels=st.tuples(*[st.floats(0, 8)] * 4))
def test_mass_is_conserved_and_tanks_stay_within_their_limits(actions, cut, levels):
    tags = ("LI_V_1", "LI_V_2", "LI_V_3", "LI_V_4")
    start = start_of(SUPPLY, **dict(zip(tags, levels, strict=True)))
    policy = Policy(cut=cut, response_s=900)
    course = course_of(*actions, policy=policy, hours=12, step_s=900, start=start)
    assert residual(SUPPLY, course, 900) < 1e-9
    rounding = 1e-9 * start.most
    assert (course.mass >= -rounding).all()
    assert (course.mass <= np.maximum(start.most, start.mass) + rounding).all()
    assert (course.line >= -1e-9).all()
    assert (course.load >= 0).all()
    assert (course.load <= course.demanded + 1e-12).all()
    assert not any(e.kind == "short" for e in course.events)


def test_unknown_flow_that_is_needed_gives_no_number_and_names_its_tag():
    start = start_of(SUPPLY, FI_sold=np.nan)
    assert np.isfinite(start.flow[0, line("liquid")])
    course = course_of(Action(EDC, 0), start=start)
    assert first(course, "full") is None
    assert np.isnan(course.mass[0, 1:, :2]).all()
    assert reasons(SUPPLY, start, FARM) == ["a/FI-sold"]
    # Acid and lye do not depend on it.
    assert np.isfinite(course.mass[0, :, 3:]).all()


def test_flow_that_the_balances_tell_is_not_missed():
    start = start_of(SUPPLY, FI_liquid=np.nan)
    course = course_of(Action(EDC, 0), start=start)
    assert first(course, "full").time_s == pytest.approx(ROOM / (18 * T_H), rel=1e-6)
    assert start.missing == ()


def test_meters_that_contradict_each_other_make_their_component_doubtful():
    assert START.doubtful == ()
    assert start_of(SUPPLY, FI_liquid=18 * T_H).doubtful == ("chlorine",)
    # What has to be made where nothing can be: the stream would run backwards.
    none = dict.fromkeys(("FI_to_vaporiser", "FI_liquid", "FI_main", "FI_to_liquefaction"), np.nan)
    assert start_of(SUPPLY, FI_gas_hcl=60 * T_H, **none).doubtful == ("chlorine",)


def test_unknown_level_or_current_is_named_as_well():
    start = start_of(SUPPLY, LI_V_1=np.nan)
    course = course_of(Action(EDC, 0), start=start)
    assert np.isnan(course.mass[0, -1, 0])
    assert reasons(SUPPLY, start, FARM) == ["a/LI-V-1"]
    dark = start_of(SUPPLY, II_1=np.nan)
    tripped = course_of(Action("E-1", 0), start=dark)
    assert np.isnan(made(SUPPLY, tripped.line, "chlorine", "w")).all()
    untouched = course_of(Action(EDC, 0), start=dark)
    assert first(untouched, "full").time_s == pytest.approx(ROOM / (18 * T_H), rel=1e-6)


def test_actions_are_about_plants_units_and_electrolysers():
    named = {scope: [SUPPLY.loads[i] for i in loads_of(SUPPLY, scope)] for scope in
             ("w/a/hcl", "w/a/chlor", "E-2", "w/b", "w/a/chlor/liquefaction")}  # fmt: skip
    assert named["w/a/hcl"] == ["w/a/hcl/synthesis"]
    assert named["w/a/chlor"] == ["E-1", "E-2"]
    assert named["E-2"] == ["E-2"]
    assert named["w/b"] == []
    assert named["w/a/chlor/liquefaction"] == ["w/a/chlor/liquefaction"]
    with pytest.raises(ValueError, match="w/b"):
        course_of(Action("w/b", 0))


@pytest.mark.parametrize(("hours", "step_s"), [(0, 60), (1, 0), (1, -60)])
def test_what_if_without_a_step_is_refused(hours, step_s):
    with pytest.raises(ValueError, match="step"):
        course_of(hours=hours, step_s=step_s)
    with pytest.raises(ValueError, match="scenario"):
        run(SUPPLY, START, [], [], horizon_s=60, step_s=60)


def test_assumptions_say_what_the_result_rests_on():
    keys = set(assumptions(SUPPLY, [CUT]))
    assert keys >= {"present_flows", "capacity", "unlimited", "road", "spare", "power", "response"}
    assert "absorber" not in keys
    assert "absorber" in assumptions(without_absorber(), [VENT])


def test_without_an_absorber_chlorine_is_counted_and_caustic_is_not():
    supply = without_absorber()
    course = course_of(Action(EDC, 0), supply=supply, start=start_of(supply))
    assert vent_rate(supply, course, "chlorine", "w")[0, -1] == pytest.approx(18 * T_H)
    assert course.absorbed.max() == 0


def test_a_park_without_chlorine_has_nothing_to_compute():
    files = {"park.toml": SMALLEST, "tags.csv": HEADER}
    supply = compile_supply(compile_network(parse_park(files)))
    nothing = np.zeros(0)
    course = course_of(supply=supply, start=find_initial_state(supply, nothing, nothing), hours=1)
    assert (supply.lines, supply.loads, course.events) == ((), (), ())
    assert course.mass.shape == (1, 13, 0)


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
    rate[network.cells.effective] = effective_current(network.cells, value)[0]
    return supply, find_initial_state(supply, rate, value)


def test_trip_of_vcm_in_the_demonstration_park_fills_its_tanks_and_conserves_mass(demo):
    supply, start = demo
    vcm = Action("liaocheng/chiping/xinfa/pvc/vcm", 0)
    course = run(supply, start, [[vcm]] * 2, [VENT, CUT], horizon_s=24 * HOUR, step_s=120)
    assert start.missing == ()
    assert residual(supply, course, 120) < 1e-9
    farm = ("chlorine", "liaocheng/chiping/xinfa/caustic/liquid-chlorine")
    for n in (0, 1):
        (full,) = [e for e in course.events if (e.scenario, e.kind, e.subject) == (n, "full", farm)]
        assert 2 * HOUR < full.time_s < 24 * HOUR
        assert 0 < full.sigma_s < 0.1 * full.time_s
    xinfa = "liaocheng/chiping/xinfa"
    vented, cut = (
        accumulated(course, vent_rate(supply, course, "chlorine", xinfa))[:, -1]
    ).tolist()
    assert vented > 10 * cut > 0
    cells = supply.metered.index(f"{xinfa}/caustic/electrolysis")
    watt = power(supply, start, course)[:, -1, cells]
    assert watt[0] == pytest.approx(start.power[cells])
    assert 0.1 * watt[0] < watt[1] < 0.7 * watt[0]
    others = [m for m, (_, path) in enumerate(supply.nodes) if "xinfa" not in path]
    assert course.vented[..., others].max() == 0
