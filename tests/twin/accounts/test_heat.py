"""Heat of steam by its state and of fuels by their heating value, against steam tables by hand."""

from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from simulators.process.process import make_process, rates
from tests.support.demo_park import FOLDER
from tests.support.small_region import HEAD, HEADER, problems_of, scope
from twin import quality as q
from twin.accounts.accounts import Account
from twin.accounts.heat import SteamState, heat_amounts, heat_entry, state_heat
from twin.accounts.network import compile_network, tally
from twin.arrays import NEVER
from twin.emissions.sources import emission_sources
from twin.loading import load_park, parse_park
from twin.replay import replay
from twin.series.image import Image, no_image
from twin.series.samples import Samples
from twin.step import no_memory, step
from twin.uom import parse_quantity

S, T_PER_H = 1_000_000, 1 / 3.6
T0 = 1_760_000_000 * S
KGCE = parse_quantity("1 kgce", "energy")
SITE = "r/site"
# Enthalpies by the tables: 9.8 MPa and 540 °C, saturated at 1.0 MPa above the atmosphere, 3.0 MPa
# and 300 °C, and water of 20 °C as declared.
HP, LP, MP, WATER = 3478.95e3, 2780.71e3, 2994.35e3, 84e3
SCOPES = "".join(
    scope(f"{SITE}/{name}", "plant")
    for name in ("boilers", "hp", "mp", "lp", "letdown", "turbine", "user")
)
LEVELS = f"""
[[steam]]
id = "hp"
scope = "{SITE}"
pressure = "9.8 MPa"
absolute = true
temperature = "540 degC"

[[steam]]
id = "mp"
scope = "{SITE}/mp"
pressure = "3.0 MPa"
absolute = true
temperature = "300 degC"
pressure_tag = "site/P-1"
temperature_tag = "site/T-1"

[[steam]]
id = "lp"
scope = "{SITE}/lp"
pressure = "1.0 MPa"
"""
CSV = HEADER + "".join(
    f"{tag},{SITE},{quantity},{uom},{kind},,,1 %,\n"
    for tag, quantity, uom, kind in (
        ("F-1", "mass_flow", "t/h", "gauge"), ("F-2", "mass_flow", "t/h", "gauge"),
        ("F-3", "mass_flow", "t/h", "gauge"), ("F-4", "mass", "t", "counter"),
        ("P-1", "pressure", "MPa", "gauge"), ("T-1", "temperature", "degC", "gauge"),
        ("W-1", "mass_flow", "t/h", "gauge"), ("Q-1", "intensity", "kcal/kg", "gauge"),
        ("G-1", "normal_volume_flow", "m^3/h", "gauge"), ("J-1", "power", "MW", "gauge"),
    )
)  # fmt: skip


def row(table, **cells):
    """Return a row of a table in TOML; days are not quoted."""

    def text(key, value):
        if isinstance(value, bool):
            return str(value).lower()
        is_day = key in {"from", "to"} and "/" not in value
        return f'"{value}"' if isinstance(value, str) and not is_day else str(value)

    return f"[[{table}]]\n" + "".join(f"{k} = {text(k, v)}\n" for k, v in cells.items())


def meter(carrier, tag, **more):
    return row("meter", scope=f"{SITE}/user", carrier=carrier, tag=f"site/{tag}", **more)


def steam(name, origin, to, flow, **more):
    ends = {"from": f"{SITE}/{origin}", "to": f"{SITE}/{to}"}
    return row("stream", id=name, **ends, medium="steam", mode="pipe", flow=f"site/{flow}", **more)


def park_of(*tables):
    toml = HEAD + scope(SITE, "enterprise") + SCOPES + "".join(tables)
    return compile_network(parse_park({"park.toml": toml, "tags.csv": CSV}))


def problems(*tables):
    return problems_of(HEAD + scope(SITE, "enterprise") + SCOPES + "".join(tables), CSV)


def at(network, time_us=T0, **values):
    """Return the accounts of rates in SI by tag at a time, and where heats are nominal."""
    amount = np.zeros(len(network.tags))
    value = np.full(len(network.tags), np.nan)
    for tag, number in values.items():
        amount[network.index["site/" + tag.replace("_", "-")]] = number
        value[network.index["site/" + tag.replace("_", "-")]] = number
    heat, doubtful = heat_amounts(network.heats, np.array(time_us), amount, value)
    amount[network.heats.tag] = heat
    return dict(zip(network.accounts, tally(network, amount), strict=True)), doubtful


def kgce_per_t(network, **values):
    """Return the coal equivalent of the site per tonne of F-1, which flows with 1 kg/s."""
    accounts, _ = at(network, F_1=1.0, **values)
    return accounts[Account(SITE, "total", "coal_equivalent")] / KGCE * 1000


# --- enthalpy -----------------------------------------------------------------


def test_steam_counts_by_its_enthalpy_above_the_declared_reference():
    network = park_of(LEVELS, meter("steam", "F-1", steam="lp"))
    assert kgce_per_t(network) == pytest.approx((LP - WATER) * 0.03412e-3, rel=1e-5)
    assert network.heats.tag.tolist() == []
    other = LEVELS.replace('pressure = "1.0 MPa"', 'pressure = "1.0 MPa"\nreference = "water_0c"')
    network = park_of(other, meter("steam", "F-1", steam="lp"))
    assert kgce_per_t(network) == pytest.approx(LP * 0.03412e-3, rel=1e-5)


def test_steam_without_a_name_has_the_nearest_state():
    network = park_of(LEVELS, meter("steam", "F-1"))
    assert kgce_per_t(network) == pytest.approx((HP - WATER) * 0.03412e-3, rel=1e-5)
    assert network.park.warnings == ()


def test_steam_without_any_state_counts_by_the_table_and_is_a_warning():
    network = park_of(meter("steam", "F-1"))
    assert kgce_per_t(network) == pytest.approx(128.6)
    (warning,) = network.park.warnings
    assert "the losses of a boiler in it; say its state in [[steam]]" in warning


def test_what_comes_back_as_condensate_takes_its_heat_along():
    back = 'pressure = "1.0 MPa"\nreturned = 0.8\nreturn_temperature = "80 degC"'
    network = park_of(
        LEVELS.replace('pressure = "1.0 MPa"', back), meter("steam", "F-1", steam="lp")
    )
    heat = LP - WATER - 0.8 * (334.95e3 - WATER)
    assert kgce_per_t(network) == pytest.approx(heat * 0.03412e-3, rel=1e-5)


def test_condensate_with_a_meter_is_taken_off_by_its_temperature():
    water = row("steam", id="condensate", scope=SITE, temperature="80 degC", liquid=True)
    out = meter("condensate", "F-2", steam="condensate", direction="out")
    network = park_of(LEVELS, water, meter("steam", "F-1", steam="lp"), out)
    heat = LP - WATER - 0.8 * (334.95e3 - WATER)
    assert kgce_per_t(network, F_2=0.8) == pytest.approx(heat * 0.03412e-3, rel=1e-5)


# --- states that change ------------------------------------------------------


def image_of(network, *, late=(), **values):
    count = len(network.tags)
    time, value = np.full(count, NEVER), np.full(count, np.nan)
    quality = np.full(count, q.NO_DATA, np.uint8)
    for tag, number in values.items():
        n = network.index["site/" + tag.replace("_", "-")]
        time[n], value[n], quality[n] = T0 - (3600 * S if tag in late else 0), number, q.GOOD
    return Image(time, value, value.copy(), quality, time)


def live_heat(network, name, **image):
    outcome = step(network, no_memory(network), image_of(network, **image), T0)
    n = network.index[name] - len(network.park.tags)
    return outcome.value[n], outcome.quality[n]


@pytest.fixture(scope="module")
def measured():
    return park_of(LEVELS, meter("steam", "F-1", steam="mp"))


def test_measured_pressure_and_temperature_make_a_tag_of_heat(measured):
    state = {"P_1": 9.8e6, "T_1": 813.15}
    value, quality = live_heat(measured, "site/F-1.power.heat", F_1=50 * T_PER_H, **state)
    assert value == pytest.approx(50 * T_PER_H * (HP - WATER), rel=1e-6)
    assert quality == q.GOOD
    tag = measured.tags[measured.index["site/F-1.power.heat"]]
    assert (tag.scope, tag.uom, tag.source) == (SITE, "MW", "derived")
    accounts, doubtful = at(measured, F_1=50 * T_PER_H, **state)
    total = accounts[Account(SITE, "total", "coal_equivalent")]
    assert total == pytest.approx(value * 0.03412e-6 * KGCE, rel=1e-9)
    assert not doubtful.any()


def test_while_a_state_is_not_measured_the_nominal_one_counts_and_is_uncertain(measured):
    for late in (("P_1",), ("T_1",), ("P_1", "T_1")):
        value, quality = live_heat(
            measured, "site/F-1.power.heat", F_1=1.0, P_1=3.0e6, T_1=573.15, late=late
        )
        assert value == pytest.approx(MP - WATER, rel=1e-6)
        assert quality == q.UNCERTAIN | q.INCOMPLETE
    value, quality = live_heat(
        measured, "site/F-1.power.heat", F_1=1.0, P_1=3.0e6, T_1=573.15, late=("F_1",)
    )
    assert np.isnan(value)
    assert quality == q.NO_DATA


def test_a_counter_of_steam_has_the_heat_of_the_mean_state():
    network = park_of(LEVELS, meter("steam", "F-4", steam="mp"))
    amount, mean = np.zeros((2, len(network.tags)))
    amount[network.index["site/F-4"]] = 1000.0
    mean[network.index["site/P-1"]], mean[network.index["site/T-1"]] = 9.8e6, 813.15
    heat, _ = heat_amounts(network.heats, np.array(T0), amount, mean)
    assert heat[0] == pytest.approx(1000 * (HP - WATER), rel=1e-6)


# --- levels, letdowns, turbines -------------------------------------------------


def test_heat_of_a_letdown_is_kept_and_that_of_a_turbine_is_work():
    network = park_of(
        LEVELS,
        steam("in", "hp", "letdown", "F-1", steam="hp"),
        steam("out", "letdown", "lp", "F-2"),
        steam("through", "hp", "turbine", "F-3"),
    )
    entry = {
        s.id: heat_entry(network.park, network.index, network.heats, s)
        for s in network.park.streams
    }
    (_, high), (_, low), (_, driven) = entry["in"], entry["out"], entry["through"]
    assert (high, driven) == pytest.approx((HP - WATER, HP - WATER), rel=1e-6)
    assert low == pytest.approx(LP - WATER, rel=1e-6)
    # Water of 20 °C is sprayed in until the steam is saturated: all heat is that of the steam.
    made = (HP - WATER) / (LP - WATER)
    assert 1.0 * high == pytest.approx(made * low, rel=1e-6)


# --- heating values -----------------------------------------------------------


def coal_of(network, time_us, **values):
    accounts, doubtful = at(network, time_us, W_1=1.0, **values)
    return accounts[Account(SITE, "total", "coal_equivalent")] / KGCE, doubtful.tolist()


def local_us(text):
    return round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("UTC")).timestamp()) * S


def test_a_measured_heating_value_goes_before_that_of_the_table():
    network = park_of(
        meter("coal", "W-1"), row("heating_value", carrier="coal", scope="r", tag="site/Q-1")
    )
    # 5000 kcal of 4186.8 J in a kilogram of coal: 5/7 of standard coal.
    value, doubtful = coal_of(network, T0, Q_1=5000 * 4186.8)
    assert value == pytest.approx(5000 / 7000, rel=1e-9)
    assert doubtful == [False]
    value, doubtful = coal_of(network, T0)
    assert value == pytest.approx(0.7143)
    assert doubtful == [True]


def test_heating_values_by_hand_hold_for_their_days():
    network = park_of(
        meter("coal", "W-1"),
        row("heating_value", carrier="coal", scope=SITE, value="5500 kcal/kg",
            **{"from": "2025-01-01", "to": "2025-01-31"}),
        row("heating_value", carrier="coal", scope=SITE, value="5000 kcal/kg",
            **{"from": "2025-02-01"}),
    )  # fmt: skip
    zone = ZoneInfo(network.park.timezone)
    midnight = round(datetime(2025, 2, 1, tzinfo=zone).timestamp()) * S
    assert network.heats.edges_us.tolist()[1:] == [midnight]
    assert coal_of(network, midnight - 1)[0] == pytest.approx(5500 / 7000)
    assert coal_of(network, midnight)[0] == pytest.approx(5000 / 7000)
    assert coal_of(network, local_us("2024-06-01")) == (pytest.approx(0.7143), [True])


def test_one_heating_value_without_days_is_a_constant_of_gas():
    network = park_of(
        meter("natural_gas", "G-1"),
        row("heating_value", carrier="natural_gas", scope=SITE, value="35.6 MJ/m^3"),
    )
    assert network.heats.tag.tolist() == []
    accounts, _ = at(network, G_1=1.0)
    total = accounts[Account(SITE, "total", "coal_equivalent")]
    assert total == pytest.approx(35.6e6)


def test_carbon_of_a_fuel_follows_its_measured_heating_value():
    network = park_of(
        meter("coal", "W-1"), row("heating_value", carrier="coal", scope="r", tag="site/Q-1")
    )
    (source,) = emission_sources(network, SITE)
    amount = np.zeros(len(network.tags))
    amount[network.index["site/W-1.power.heat"]] = 21e6
    # 21 MJ with 25.8 kg of carbon in a gigajoule.
    assert source.activity @ amount * source.factor == pytest.approx(0.021 * 25.8 * 44 / 12)
    assert source.quantity == "energy"


def test_a_replay_sees_a_heating_value_change_at_midnight():
    network = park_of(
        meter("coal", "W-1"),
        row("heating_value", carrier="coal", scope=SITE, value="5000 kcal/kg",
            **{"from": "2025-02-01"}),
        row("gap", tag="site/W-1", gap="2 h"),
    )  # fmt: skip
    zone = ZoneInfo(network.park.timezone)
    midnight = round(datetime(2025, 2, 1, tzinfo=zone).timestamp()) * S
    cycles = np.arange(midnight - 600 * S, midnight + 600 * S, 10 * S)
    one = np.array([network.index["site/W-1"]])
    sample = Samples(one, cycles[:1], np.ones(1), np.zeros(1, np.uint8), cycles[:1])
    image = no_image(len(network.tags))
    result = replay(network, image, no_memory(network), sample, cycles).samples
    assert result.value[result.time_us < midnight] == pytest.approx(0.7143 * KGCE)
    after = result.take(result.time_us >= midnight)
    assert after.time_us[0] == midnight
    assert after.value == pytest.approx(5000 * 4186.8)


# --- what is wrong in a model ------------------------------------------------------


@pytest.mark.parametrize(
    ("tables", "text"),
    [
        ([row("steam", id="a", scope=SITE)], "steam needs pressure"),
        ([row("steam", id="a", scope=SITE, liquid=True)], "water needs temperature"),
        ([row("steam", id="a", scope=SITE, pressure="300 MPa")], "no such state"),
        ([row("steam", id="a", scope=SITE, pressure="1 MPa", reference="ice")], "'ice' is not one"),
        ([row("steam", id="a", scope=SITE, pressure="1 MPa", temperature_tag="site/T-1")],
         "needs temperature: it counts while"),
        ([row("steam", id="a", scope=SITE, pressure="1 MPa", returned=0.5)],
         "returned needs return_temperature"),
        ([LEVELS, meter("steam", "F-1", steam="lq")], "there is no [[steam]] 'lq'"),
        ([LEVELS, meter("coal", "W-1", steam="lp")], "only steam and condensate have a state"),
        ([LEVELS, meter("condensate", "F-1")], "condensate needs steam"),
        ([LEVELS, LEVELS.replace('"hp"', '"other"').partition('[[steam]]\nid = "mp"')[0],
          meter("steam", "F-1")], "hp, other stand at one scope"),
        ([LEVELS, meter("steam", "F-1", steam="lp"), meter("steam", "F-1", steam="mp", id="two")],
         "has another state elsewhere"),
        ([row("heating_value", carrier="coal", scope="r")], "needs either tag or value"),
        ([row("heating_value", carrier="coal", scope="r", value="5 kWh")], "is not a unit"),
        ([row("heating_value", carrier="coal", scope="r", value="-5 MJ/kg")], "is not above 0"),
        ([row("heating_value", carrier="natural_gas", scope="r", tag="site/Q-1")],
         "is counted by energy_density"),
        ([row("heating_value", carrier="electricity", scope="r", value="5 MJ/kg")], "is no fuel"),
        ([row("heating_value", carrier="steam", scope="r", value="5 MJ/kg")], "is no fuel"),
    ],
)  # fmt: skip
def test_a_wrong_state_or_heating_value_is_named_with_its_line(tables, text):
    result = problems(*tables)
    assert any(text in problem for problem in result), result
    assert all(problem.startswith("park.toml:") for problem in result)


# --- the demonstration park ---------------------------------------------------


@pytest.fixture(scope="module")
def demo():
    """The demonstration park and its true mean rates over a week, by tag."""
    park = load_park("deploy/parks/liaocheng")
    network = compile_network(park)
    values = rates(make_process(park, 1).plant, np.arange(0.0, 604_800.0, 1800.0)).values
    values = np.pad(values, [(0, 0), (0, len(network.derived))])
    times = np.full(len(values), T0)
    values[:, network.heats.tag], _ = heat_amounts(network.heats, times, values, values)
    return network, values.mean(axis=0)


def figures(demo, product, item="coal_equivalent"):
    """Return a figure of a product of each scope: kgce/t, or kgce/s of the total."""
    network, mean = demo
    accounts = dict(zip(network.accounts, tally(network, mean), strict=True))
    return {
        key.scope: value / KGCE * 1000 / accounts.get(Account(key.scope, product, "mass"), 1000)
        for key, value in accounts.items()
        if (key.subject, key.item) == (product, item)
        and (product == "total" or Account(key.scope, product, "mass") in accounts)
    }


def test_boilers_of_the_demonstration_park_are_90_percent_efficient(demo):
    network, mean = demo
    coal = mean[network.index["luxi/WI-7001"]] * 0.7143
    steam = mean[network.index["luxi/utilities.boilers.FI-7003.power.heat"]]
    assert steam * 0.03412e-6 / coal == pytest.approx(0.899, abs=0.005)


def test_no_scope_of_the_demonstration_park_creates_energy(demo):
    totals = figures(demo, "total")
    assert len(totals) > 15
    assert {path: value for path, value in totals.items() if value <= 0} == {}


def test_ammonia_and_caustic_take_what_steam_holds_and_no_boiler_losses(demo):
    ammonia, caustic = figures(demo, "ammonia"), figures(demo, "caustic")
    assert ammonia["liaocheng"] == pytest.approx(1377.4, abs=1.0)
    # They were 313.8, 317.4 and 333.3.
    expected = {"gaoxin/luxi": 305.6, "chiping/xinfa": 308.3, "shenxian/huaxiang": 322.4}
    for owner, kgce in expected.items():
        assert caustic[f"liaocheng/{owner}"] == pytest.approx(kgce, abs=0.3)
    assert figures(demo, "urea")["liaocheng"] == pytest.approx(102.0, abs=0.3)
    assert figures(demo, "pvc")["liaocheng"] == pytest.approx(192.7, abs=0.3)


def test_bought_steam_of_the_demonstration_park_emits_0_2967_tonnes_a_tonne(demo):
    network, mean = demo
    sources = emission_sources(network, "liaocheng/shenxian/huaxiang")
    (steam,) = (source for source in sources if source.name == "steam")
    bought = sum(mean[network.index[f"huaxiang/{tag}"]] for tag in ("FI-1004", "FI-3003"))
    assert steam.activity @ mean * steam.factor / bought == pytest.approx(0.2967, abs=1e-4)
    assert steam.row["verified"] is False
    states = {state.id: state for state in network.park.rows(SteamState)}
    assert state_heat(states["huaxiang-steam"]) == pytest.approx(2696.7e3, abs=100)


def test_by_product_hydrogen_is_a_credit_of_caustic_where_the_model_says_so():
    files = {name: (FOLDER / name).read_text() for name in ("park.toml", "tags.csv")}
    files["park.toml"] += (
        '\n[[meter]]\nid = "luxi-h2-credit"\ntag = "luxi/FI-1501"\ncarrier = "hydrogen"\n'
        'scope = "liaocheng/gaoxin/luxi/caustic"\ndirection = "out"\nproduct = "caustic"\n'
    )
    network = compile_network(parse_park(files))
    entries = network.entries(
        Account("liaocheng/gaoxin/luxi/caustic", "caustic", "coal_equivalent")
    )
    factors = dict(zip(network.entry_tag[entries], network.entry_factor[entries], strict=True))
    # 0.3329 kgce/m³ of GB/T 2589-2020, table A.
    credit = factors[network.index["luxi/FI-1501"]]
    assert credit == pytest.approx(-0.3329 * KGCE)
