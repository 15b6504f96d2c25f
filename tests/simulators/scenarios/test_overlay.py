"""Scenarios over the process: other loads, the same exact balances, a pure function of time."""

import numpy as np
import pytest

from simulators.process.disturbances import WEEK_US
from simulators.process.process import make_process
from simulators.process.process import state as undisturbed
from simulators.process.recipes import TURBINE
from simulators.scenarios.overlay import make_overlay, state, truths
from simulators.scenarios.script import load_script, parse_script
from tests.support.books import node_books
from tests.support.demo_park import PARK, TAGS
from twin import faraday
from twin.accounts.heat import state_heat, state_of
from twin.accounts.vessel_shapes import cylinder_share
from twin.arrays import HOUR_US
from twin.errors import ModelError
from twin.loading import parse_park

START_US = 1_763_791_200_000_000
S = 1_000_000
XINFA = "liaocheng/chiping/xinfa"
FARM = f"{XINFA}/caustic/liquid-chlorine"
CELLS = f"{XINFA}/caustic/electrolysis"


@pytest.fixture(scope="module")
def trip(process):
    return make_overlay(process, load_script("chlorine-user-trip", PARK), START_US)


@pytest.fixture(scope="module")
def course(trip):
    """The truth from an hour before the trip until the tanks are back."""
    times = START_US + np.arange(-1, 9 * 24 + 6, 1 / 3) * HOUR_US
    times = times.astype(np.int64)
    return times, state(trip, times)


def script_of(events, duration="6 h"):
    return parse_script("made", f'duration = "{duration}"\n' + events, PARK)


def one(kind, subject, size="", start="1 h", stop="3 h", key="scope"):
    size = f'size = "{size}"\n' if size else ""
    return (
        f'[[event]]\nid = "{kind}-{start}"\nkind = "{kind}"\n{key} = "{subject}"\n'
        f'start = "{start}"\nstop = "{stop}"\n{size}'
    )


def fills(values):
    """Return the filled shares of the liquid-chlorine tanks of Xinfa, (n, k)."""
    tanks = [t for t in PARK.tanks if t.scope == FARM]
    return np.stack([cylinder_share(values[:, TAGS[t.level]] / t.diameter) for t in tanks], axis=1)


def test_every_node_closes_through_trip_full_tanks_and_recovery(process, course):
    _, truth = course
    into, out, kept = node_books(process, TAGS, truth)
    for key in sorted(set(into) & set(out)):
        if key[0] not in ("market", "atmosphere"):
            residual = into[key] - out[key] - kept[key]
            assert np.max(np.abs(residual) / np.maximum(into[key], 1e-3)) < 1e-9, key


def test_no_stream_runs_backwards_and_no_tank_beyond_its_limit(course):
    _, truth = course
    assert np.nanmin(truth.flow) > 0
    share = fills(truth.values)
    limit = [t.fill_limit for t in PARK.tanks if t.scope == FARM]
    assert (share <= np.array(limit) + 1e-9).all()
    assert (share[:, :-1].max(axis=0) > 0.799).all()
    assert share[:, -1].max() < 0.05  # the spare stays empty


def test_levels_are_the_integral_of_what_the_tanks_take_up(trip):
    times = START_US + np.arange(0, 40, 0.37) * HOUR_US
    times = times.astype(np.int64)
    # At a sudden change the middle of two values is not the rate in between.
    sudden = [row.start_us for row in truths(trip)] + [row.stop_us for row in truths(trip)]
    times = times[np.min(np.abs(times[:, None] - np.array(sudden)), axis=1) > 900 * S]
    before, after = (fills(state(trip, times + shift).values) for shift in (-5 * S, 5 * S))
    tanks = [k for k, t in enumerate(PARK.tanks) if t.scope == FARM]
    capacity = [np.pi / 4 * t.diameter**2 * t.length * t.density for t in PARK.tanks]
    rate = (after - before) * np.array(capacity)[tanks] / 10
    result = state(trip, times).accumulation[:, tanks]
    assert np.max(np.abs(rate - result)) < 1e-4


def test_what_the_user_does_not_take_is_liquefied_then_absorbed(process, trip, course):
    times, truth = course
    full = next(row for row in truths(trip) if row.kind == "full")
    assert full.scope == FARM
    assert full.start_us > START_US + 8 * HOUR_US
    streams = {s.id: truth.flow[:, i] * 3.6 for i, s in enumerate(PARK.streams)}
    before = times < START_US
    filling = (times > START_US + 2 * HOUR_US) & (times < full.start_us)
    spilling = (times > full.start_us) & (times < START_US + 23 * HOUR_US)
    assert streams["xinfa-hcl-vcm"][filling].mean() == pytest.approx(
        streams["xinfa-hcl-vcm"][before].mean() / 2, rel=0.1
    )
    # The acid plant has what it had: less is made just for the user that does not take it.
    assert streams["xinfa-hcl-acid"][filling].min() > 0.9 * streams["xinfa-hcl-acid"][before].mean()
    more = streams["xinfa-cl2-liquid"][filling].mean() - streams["xinfa-cl2-liquid"][before].mean()
    assert 10 < more < 25
    into, _, _ = node_books(process, TAGS, truth)
    absorbed = into[f"{XINFA}/caustic/absorber", "chlorine"] * 3.6
    assert absorbed[filling].max() < 0.3
    assert 15 < absorbed[spilling].mean() < 25
    needed = 2 * faraday.NAOH[0] / faraday.CL2[0]
    caustic = into[f"{XINFA}/caustic/absorber", "caustic"] * 3.6
    assert caustic == pytest.approx(absorbed * needed, rel=1e-9)
    # Other enterprises do not notice.
    others = undisturbed(trip.process, times[filling])
    for name in ("luxi-cl2-main", "luxi-cl2-export", "huaxiang-cl2-liquid"):
        usual = others.flow[:, [s.id for s in PARK.streams].index(name)] * 3.6
        assert streams[name][filling] == pytest.approx(usual, rel=1e-9)


def test_what_did_not_fit_is_what_the_absorber_got(process, trip):
    full = next(row for row in truths(trip) if row.kind == "full")
    times = np.linspace(full.start_us, full.stop_us - 1, 2000).astype(np.int64)
    into, _, _ = node_books(process, TAGS, state(trip, times))
    flow = into[f"{XINFA}/caustic/absorber", "chlorine"]
    assert np.trapezoid(flow, times / S) / 1e3 == pytest.approx(full.size, rel=0.01)


def test_any_time_can_be_asked_and_nothing_is_changed_before_or_long_after(trip):
    times = START_US + np.array([-5, 2, 17, 100]) * HOUR_US
    together = state(trip, times).values
    for i in (3, 1, 2, 0):
        alone = state(trip, times[i : i + 1]).values[0]
        np.testing.assert_allclose(alone, together[i], rtol=1e-11)
    quiet = np.array([START_US - HOUR_US, START_US + 2 * WEEK_US])
    plain = [t for t, tag in enumerate(PARK.tags) if tag.kind != "counter"]
    now, usual = (
        f.values[:, plain] for f in (state(trip, quiet), undisturbed(trip.process, quiet))
    )
    np.testing.assert_allclose(now, usual, rtol=1e-9)


def test_counters_count_what_the_gauges_show_through_the_trip(trip):
    times = START_US + np.arange(0, 30 * 3600, 30) * S
    values = state(trip, times).values
    for gauge, counter in (("JI-1001", "JQI-1001"), ("FI-1410", "FQI-1410")):
        counted = values[:, TAGS[f"xinfa/{counter}"]]
        assert (np.diff(counted) > 0).all()
        seen = np.trapezoid(values[:, TAGS[f"xinfa/{gauge}"]], times / S)
        assert counted[-1] - counted[0] == pytest.approx(seen, rel=1e-5)
    later = np.array([START_US + 3 * WEEK_US])
    less = state(trip, later).values - undisturbed(trip.process, later).values
    assert less[0, TAGS["xinfa/JQI-1001"]] < -1e12  # J that electrolysis did not take when cut


def test_a_script_without_process_events_changes_nothing(process):
    bias = make_overlay(process, load_script("meter-bias", PARK), START_US)
    times = START_US + np.arange(5) * HOUR_US
    same = (state(bias, times).values, undisturbed(process, times).values)
    np.testing.assert_array_equal(*same)


def test_a_leak_is_what_its_node_misses(process):
    node = "liaocheng/gaoxin/luxi/caustic/liquefaction"
    leak = make_overlay(process, script_of(one("leak", node, "0.8 t/h")), START_US)
    times = START_US + np.array([0.5, 2.0, 4.0]) * HOUR_US
    truth = state(leak, times.astype(np.int64))
    into, out, kept = node_books(process, TAGS, truth)
    key = (node, "chlorine")
    missing = (into[key] - out[key] - kept[key]) * 3.6
    assert missing == pytest.approx([0, 0.8, 0], abs=1e-9)
    for other in sorted(set(into) & set(out)):
        if other != key and other[0] not in ("market", "atmosphere"):
            residual = into[other] - out[other] - kept[other]
            assert np.max(np.abs(residual)) < 1e-9, other


def test_membranes_age_in_voltage_and_in_what_they_make(process):
    cell = next(e for e in PARK.electrolysers if e.id == "luxi-E-1103")
    events = one("voltage", cell.id, "100 mV", "0 h", "100 day")
    events += one("efficiency", cell.id, "2 %", "0 h", "100 day")
    aged = make_overlay(process, script_of(events, "100 day"), START_US)
    times = START_US + np.array([0, 50, 99.999]) * 24 * HOUR_US
    times = times.astype(np.int64)
    now, usual = state(aged, times).values, undisturbed(process, times).values
    more = (now - usual)[:, TAGS[cell.voltage]] / cell.cells
    assert more == pytest.approx([0, 0.05, 0.1], abs=1e-5)
    assert now[:, TAGS[cell.current]] == pytest.approx(usual[:, TAGS[cell.current]])
    made = (usual - now)[:, TAGS["luxi/FI-1410"]]
    current = usual[:, TAGS[cell.current]]
    lost = current * cell.cells * 0.02 * faraday.mass_per_charge(faraday.NAOH)
    assert made == pytest.approx(lost * [0, 0.5, 1], rel=1e-4)


def test_who_takes_less_steam_and_power_saves_coal(process):
    cut = make_overlay(process, script_of(one("load", f"{XINFA}/pvc", "40 %")), START_US)
    times = START_US + np.array([2 * HOUR_US])

    def changes(name, tags=TAGS):
        return float((state(cut, times).values - undisturbed(process, times).values)[0, tags[name]])

    steam, power = changes("xinfa/FI-3003"), changes("xinfa/JI-3002")
    assert steam * 3.6 == pytest.approx(-0.6 * 110, rel=0.05)
    assert power / 1e6 == pytest.approx(-0.6 * 34, rel=0.05)
    assert changes("xinfa/FI-7003") == pytest.approx(steam, rel=1e-9)
    # Chlorine that is not used is liquefied, which takes nothing of what is metered here.
    assert changes("xinfa/JI-7002") == pytest.approx(power, rel=1e-9)
    # Boilers burn coal for the heat of the steam, and for that of the electricity.
    usual = undisturbed(process, times).values[0]
    heat = state_heat(state_of(PARK, "", (f"{XINFA}/power",)))
    whole = usual[TAGS["xinfa/FI-7003"]] * heat + usual[TAGS["xinfa/JI-7002"]] / TURBINE
    saved = usual[TAGS["xinfa/WI-7001"]] * (steam * heat + power / TURBINE) / whole
    assert changes("xinfa/WI-7001") == pytest.approx(saved, rel=0.05)
    assert changes("xinfa/WI-3301") == pytest.approx(-0.6 * 75.4 / 3.6, rel=0.1)
    assert changes("luxi/FI-7003") == 0


def test_an_upset_takes_alarmed_values_beyond_their_limits(process):
    upset = make_overlay(process, script_of(one("upset", "liaocheng", "10 %")), START_US)
    during = state(upset, np.array([START_US + 2 * HOUR_US])).values[0]
    assert during[TAGS["luxi/AI-1290"]] == pytest.approx(2.2e-6)  # of the second level
    assert during[TAGS["huaxiang/PI-1201"]] == pytest.approx(1.1 * 190e3, rel=1e-6)
    assert fills(during[None]).max() < 0.8


def test_less_is_given_than_asked_for_where_there_is_not_enough(process):
    cells = "liaocheng/gaoxin/luxi/caustic/electrolysis"
    cut = make_overlay(process, script_of(one("load", cells, "70 %", stop="2 h")), START_US)
    truth = state(cut, np.array([START_US + int(1.5 * HOUR_US)]))
    assert np.nanmin(truth.flow) >= -1e-12
    into, out, kept = node_books(process, TAGS, truth)
    key = ("liaocheng/gaoxin/luxi/caustic/chlorine-header", "chlorine")
    assert into[key] - out[key] - kept[key] == pytest.approx(0, abs=1e-9)
    streams = {s.id: truth.flow[0, i] for i, s in enumerate(PARK.streams)}
    assert streams["luxi-cl2-liquefaction"] == pytest.approx(0, abs=1e-9)
    assert streams["luxi-cl2-chlorination"] < 25 / 3.6


def test_a_script_no_plant_could_follow_is_refused(process):
    for events, message in (
        (one("load", CELLS, "70 %", stop="70 h"), "empties the tanks"),
        (one("load", CELLS, "20 %", stop="2 h"), "lets .* run backwards"),
        (one("leak", f"{XINFA}/pvc/vcm", "1 t/h"), "does not fit the park"),
        (one("upset", f"{XINFA}/aluminium", "10 %"), "does not fit the park"),
    ):
        with pytest.raises(ModelError, match=message):
            make_overlay(process, script_of(events, "72 h"), START_US)


def test_a_park_without_chlorine_can_have_loads_too():
    tiny = parse_park({
        "park.toml": '[park]\nid = "p"\nkind = "park"\nname = { zh = "p", en = "p" }\n'
        'timezone = "UTC"\n[[scope]]\nid = "p/a"\nkind = "enterprise"\n'
        'name = { zh = "a", en = "a" }\n',
        "tags.csv": "tag,scope,quantity,uom,kind,low,high,sigma,description\n"
        "JI-1,p/a,power,MW,gauge,0,10,1 %,\n",
    })  # fmt: skip
    text = 'duration = "6 h"\n' + one("load", "p/a", "50 %")
    half = make_overlay(make_process(tiny, 1), parse_script("made", text, tiny), START_US)
    times = START_US + np.array([0, 2]) * HOUR_US
    usual = undisturbed(half.process, times).values
    assert state(half, times).values / usual == pytest.approx(np.array([[1.0], [0.5]]))
