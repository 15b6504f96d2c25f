"""The compiled park: every account of the small region by hand, and the energy of T-07 and T-08."""

import numpy as np
import pytest

from tests.support.small_region import (
    ALPHA,
    BETA,
    CAUSTIC,
    CELLS,
    HEAD,
    MCL,
    NETWORK,
    PARK,
    PARK_TOML,
    STORE,
    T_PER_H,
    TAGS_CSV,
    VCM,
    problems_of,
    scope,
)
from twin import faraday
from twin.accounts.accounts import Account
from twin.accounts.network import compile_network, tally
from twin.accounts.tanks import tank_mass
from twin.loading import parse_park
from twin.model.park import scopes_above
from twin.uom import from_si, parse_quantity

MADE = 2.7429581  # t/h of chlorine at 13.5 kA, 160 cells, 96 % (T-02)
FLOWS = {"FT-1": 1.5, "FT-2": 1.2, "FT-3": 0.6, "FT-4": 0.3, "FT-5": 0.04, "FT-7": 2.0}


def amounts(network, values):
    """Return SI amounts by tag address; NaN for those not named."""
    amount = np.full(len(network.tags), np.nan)
    for address, value in values.items():
        amount[network.index[address]] = value
    return amount


def accounts(network, amount):
    totals = tally(network, amount)
    return {account: totals[at] for account, at in network.accounts.items()}


@pytest.fixture(scope="module")
def rates():
    """The accounts of one moment of the small region [kg/s]."""
    values = {f"alpha/{tag}": flow * T_PER_H for tag, flow in FLOWS.items()}
    values |= {"alpha/II-1": 13_500.0, "alpha/FT-6": 100 / 3600}
    return accounts(NETWORK, amounts(NETWORK, values))


def chlorine_of(rates, path):
    """Return the chlorine accounts of a scope in t/h."""
    return {
        account.item: pytest.approx(rate / T_PER_H, rel=1e-6)
        for account, rate in rates.items()
        if (account.scope, account.subject) == (path, "chlorine")
    }


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (CELLS, {"make": MADE, "export": 1.5 + 1.2, "vent": 0.04}),
        (STORE, {"import": 1.2, "export": 0.6 + 0.3}),
        (CAUSTIC, {"make": MADE, "export": 1.5 + 0.6 + 0.3, "vent": 0.04}),
        (VCM, {"import": 1.5, "use": 1.5}),
        (ALPHA, {"make": MADE, "use": 1.5, "export": 0.9, "vent": 0.04}),
        ("r/east", {"make": MADE, "use": 1.5, "export": 0.9, "vent": 0.04}),
        (MCL, {"import": 0.6, "use": 0.6}),
        (BETA, {"import": 0.6, "use": 0.6}),
        ("r/west", {"import": 0.6, "use": 0.6}),
        ("r", {"make": MADE, "use": 1.5 + 0.6, "export": 0.3, "vent": 0.04}),
    ],
)
def test_chlorine_of_every_scope_is_what_the_drawing_says(rates, path, expected):
    assert chlorine_of(rates, path) == expected


def test_transfer_between_parks_is_inside_the_region():
    ft3 = NETWORK.index["alpha/FT-3"]

    def items(path):
        return {
            account.item
            for account in NETWORK.accounts
            if account.scope == path and ft3 in NETWORK.entry_tag[NETWORK.entries(account)]
        }

    assert items("r/east") == {"export"}
    assert items("r/west") == {"import", "use"}
    assert items("r") == {"use"}


def test_hydrogen_of_the_cells_is_made_once_and_vented_by_its_normal_volume(rates):
    made = rates[Account("r", "hydrogen", "make")]
    assert made * 3600 == pytest.approx(81.232466, rel=1e-6)
    assert rates[Account("r", "hydrogen", "vent")] * 3600 == pytest.approx(100 * 0.08994)
    assert Account(CELLS, "hydrogen", "export") not in rates


def test_component_of_a_solution_is_its_share_of_the_flow(rates):
    acid = {a.item: r / T_PER_H for a, r in rates.items()
            if (a.scope, a.subject) == (VCM, "hydrogen_chloride")}  # fmt: skip
    assert acid == pytest.approx({"make": 0.62, "export": 0.62})


def test_caustic_is_made_by_faraday_and_its_product_meter_is_booked_apart(rates):
    assert rates[Account(ALPHA, "caustic", "make")] / T_PER_H == pytest.approx(3.0945307, rel=1e-6)
    masses = {a.scope for a in rates if (a.subject, a.item) == ("caustic", "mass")}
    assert masses == {CAUSTIC, ALPHA, "r/east", "r"}


def test_accounts_are_linear_so_rates_and_amounts_agree():
    rng = np.random.default_rng(7)
    first, second = rng.uniform(0, 10, (2, 5, len(NETWORK.tags)))
    both = tally(NETWORK, 3 * first + second)
    assert both == pytest.approx(3 * tally(NETWORK, first) + tally(NETWORK, second))
    assert both.shape == (5, len(NETWORK.accounts))


def test_tag_without_a_value_spoils_its_own_accounts_only():
    amount = np.ones(len(NETWORK.tags))
    amount[NETWORK.index["alpha/FT-4"]] = np.nan
    lost = {account for account, total in accounts(NETWORK, amount).items() if np.isnan(total)}
    assert lost == {
        Account(path, "chlorine", "export") for path in (STORE, CAUSTIC, ALPHA, "r/east", "r")
    }


def test_entries_of_an_account_name_its_tags_and_factors():
    at = NETWORK.entries(Account(CELLS, "chlorine", "make"))
    assert NETWORK.entry_tag[at].tolist() == [NETWORK.index["alpha/II-1"]]
    factor = 160 * 0.96 * faraday.mass_per_charge(faraday.CL2)
    assert NETWORK.entry_factor[at].tolist() == [pytest.approx(factor)]
    sizes = [len(NETWORK.entry_tag[NETWORK.entries(account)]) for account in NETWORK.accounts]
    assert sum(sizes) == len(NETWORK.entry_tag)
    assert min(sizes) >= 1


def test_scopes_above_end_at_the_root_and_outside_is_nowhere():
    assert list(scopes_above(VCM)) == [VCM, ALPHA, "r/east", "r"]
    assert list(scopes_above("market")) == []


def test_park_without_streams_has_no_accounts():
    files = {"park.toml": HEAD, "tags.csv": TAGS_CSV.splitlines()[0] + "\n"}
    network = compile_network(parse_park(files))
    assert tally(network, np.zeros((4, 0))).shape == (4, 0)
    assert tank_mass(network.tanks, np.zeros((4, 0))).shape == (4, 0)
    assert (network.derived, network.accounts) == ((), {})


# --- tanks ------------------------------------------------------------------


@pytest.mark.parametrize(("level", "filled"), [(0, 0), (0.75, 0.1955), (1.5, 0.5), (3.2, 1)])
def test_inventory_of_a_horizontal_tank_follows_its_level(level, filled):
    value = amounts(NETWORK, {"alpha/LT-2": level, "alpha/WT-1": 42_000.0})
    full = np.pi / 4 * 3**2 * 16 * 1425
    assert tank_mass(NETWORK.tanks, value) == pytest.approx([42_000.0, filled * full], rel=1e-4)


def test_inventory_of_an_upright_tank_and_of_a_fraction_is_proportional():
    toml = PARK_TOML.replace('shape = "horizontal_cylinder"', 'shape = "vertical_cylinder"')
    network = compile_network(parse_park({"park.toml": toml, "tags.csv": TAGS_CSV}))
    full = np.pi / 4 * 3**2 * 16 * 1425
    mass = tank_mass(network.tanks, amounts(network, {"alpha/LT-2": 4.0}))
    assert mass[1] == pytest.approx(full / 4)
    csv = TAGS_CSV.replace("LT-2,r/east/alpha/caustic/store,level,m", f"LT-2,{STORE},fraction,%")
    network = compile_network(parse_park({"park.toml": toml, "tags.csv": csv}))
    mass = tank_mass(network.tanks, amounts(network, {"alpha/LT-2": 0.25}))
    assert mass[1] == pytest.approx(full / 4)
    assert np.isnan(mass[0])


def test_every_scope_above_a_tank_holds_it():
    held = {path: tanks.tolist() for (path, what), tanks in NETWORK.tanks.scopes.items()
            if what == "chlorine"}  # fmt: skip
    assert held == {path: [0, 1] for path in (STORE, CAUSTIC, ALPHA, "r/east", "r")}


# --- derived tags -----------------------------------------------------------


def test_derived_tags_are_named_below_their_owner():
    names = {tag.address: tag.scope for tag in NETWORK.tags[len(PARK.tags) :]}
    chlorine = {
        name: path for name, path in names.items() if ".chlorine." in f".{name}".replace("/", ".")
    }
    assert chlorine == {
        "alpha/caustic.chlorine.mass_flow.production": CAUSTIC,
        "alpha/caustic.chlorine.mass_flow.residual": CAUSTIC,
        "alpha/caustic.chlorine.mass.inventory": CAUSTIC,
        "alpha/chlorine.mass_flow.production": ALPHA,
        "alpha/chlorine.mass_flow.consumption": ALPHA,
        "alpha/chlorine.mass_flow.residual": ALPHA,
        "alpha/chlorine.mass.inventory": ALPHA,
        "east/chlorine.mass_flow.production": "r/east",
        "east/chlorine.mass_flow.consumption": "r/east",
        "east/chlorine.mass_flow.residual": "r/east",
        "east/chlorine.mass.inventory": "r/east",
        "r/chlorine.mass_flow.production": "r",
        "r/chlorine.mass_flow.consumption": "r",
        "r/chlorine.mass_flow.residual": "r",
        "r/chlorine.mass.inventory": "r",
    }  # fmt: skip
    assert "alpha/vcm.hydrogen_chloride.mass_flow.residual" in names


def test_derived_tags_stand_behind_the_measured_ones_in_order():
    derived = NETWORK.tags[len(PARK.tags) :]
    assert [t.scope for t in derived] == [path for path, _, _ in NETWORK.derived]
    assert {(t.source, t.kind) for t in derived} == {("derived", "gauge")}
    assert {t.uom for t in derived} == {"t/h", "t"}
    assert NETWORK.index == {tag.address: i for i, tag in enumerate(NETWORK.tags)}
    assert len(NETWORK.traits.gap_us) == len(NETWORK.tags)


@pytest.mark.parametrize("plant", ["acid", "acid-plant", "new-acid"])
def test_plant_named_like_its_enterprise_keeps_its_own_derived_tags(plant):
    toml = HEAD + scope("r/acid", "enterprise") + scope(f"r/acid/{plant}", "plant")
    toml += (
        f'[[stream]]\nid = "s"\nfrom = "r/acid/{plant}"\nto = "market"\n'
        'medium = "hydrochloric_acid_31"\nmode = "road"\nflow = "acid/FT-1"\n'
    )
    csv = TAGS_CSV.splitlines()[0] + f"\nFT-1,r/acid/{plant},mass_flow,t/h,gauge,,,,\n"
    network = compile_network(parse_park({"park.toml": toml, "tags.csv": csv}))
    made = [t.address for t in network.tags if t.tag.endswith("production")]
    assert made == [
        "r/hydrogen_chloride.mass_flow.production",
        "acid/hydrogen_chloride.mass_flow.production",
        f"acid/{plant}.hydrogen_chloride.mass_flow.production",
    ]


# --- energy -----------------------------------------------------------------


def kgce_per_t(network, product, values, path):
    totals = accounts(network, amounts(network, values))
    energy = totals[Account(path, product, "coal_equivalent")]
    mass = totals[Account(path, product, "mass")]
    return from_si(energy / mass, "kgce/t", "intensity")


def caustic_month(kwh, steam_t):
    """Return the amounts of one tonne of caustic."""
    return {
        "alpha/JQ-1": parse_quantity(f"{kwh} kWh", "energy"),
        "alpha/JQ-2": parse_quantity("2150 kWh", "energy"),
        "alpha/FT-8": 1000.0,
        "alpha/FT-9": steam_t * 1000.0,
    }


@pytest.mark.parametrize("path", [CAUSTIC, ALPHA, "r/east", "r"])
@pytest.mark.parametrize(
    ("kwh", "steam_t", "kgce"),
    [(2250, 0.25, 308.675), (2600, 0.30, 358.12), (2450, 0, 301.105)],
)
def test_energy_of_a_tonne_of_caustic_is_that_of_t_07(path, kwh, steam_t, kgce):
    got = kgce_per_t(NETWORK, "caustic", caustic_month(kwh, steam_t), path)
    assert got == pytest.approx(kgce, rel=1e-6)


def test_direct_current_is_never_summed():
    dc = NETWORK.index["alpha/JQ-2"]
    assert dc not in NETWORK.entry_tag
    electricity = accounts(NETWORK, amounts(NETWORK, caustic_month(2250, 0.25)))
    used = electricity[Account("r", "caustic", "electricity")]
    assert from_si(used, "kWh", "energy") == pytest.approx(2250)


def test_energy_that_leaves_is_taken_off():
    toml = f'{PARK_TOML}[[meter]]\nscope = "{CAUSTIC}"\ncarrier = "electricity"\n'
    toml += 'tag = "alpha/JQ-2"\ndirection = "out"\n'
    network = compile_network(parse_park({"park.toml": toml, "tags.csv": TAGS_CSV}))
    got = kgce_per_t(network, "caustic", caustic_month(2250, 0.25), ALPHA)
    assert got == pytest.approx(308.675 - 2150 * 0.1229, rel=1e-6)


def test_energy_of_a_tonne_of_aluminium_is_that_of_t_08():
    toml = HEAD + scope("r/smelter", "enterprise")
    toml += '[[product]]\nid = "aluminium"\nscope = "r/smelter"\ntag = "smelter/W-1"\n'
    toml += '[[meter]]\nscope = "r/smelter"\ncarrier = "electricity"\ntag = "smelter/J-1"\n'
    csv = TAGS_CSV.splitlines()[0] + "\nW-1,r/smelter,mass,t,counter,,,,\n"
    csv += "J-1,r/smelter,power,MW,gauge,,,,\n"
    network = compile_network(parse_park({"park.toml": toml, "tags.csv": csv}))
    values = {"smelter/W-1": 1000.0, "smelter/J-1": parse_quantity("12800 kWh", "energy")}
    got = kgce_per_t(network, "aluminium", values, "r")
    assert got == pytest.approx(1573.12, rel=1e-6)


# --- all energy of a scope (T-22) -------------------------------------------


SITE = "r/site"
CHP, USER = SITE + "/chp", SITE + "/user"


def chp_meter(scope, carrier, tag, direction="in", **more):
    lines = {"scope": scope, "carrier": carrier, "tag": f"site/{tag}", "direction": direction}
    return "[[meter]]\n" + "".join(f'{k} = "{v}"\n' for k, v in {**lines, **more}.items())


@pytest.fixture(scope="module")
def captive():
    """A site with its own power plant, a user of its steam and electricity, and a rectifier."""
    toml = HEAD + scope(SITE, "enterprise") + scope(CHP, "plant") + scope(USER, "plant")
    toml += f'[[product]]\nid = "caustic"\nscope = "{USER}"\ntag = "site/W-1"\n'
    toml += chp_meter(CHP, "coal", "W-2")
    toml += chp_meter(CHP, "electricity", "J-1", "out") + chp_meter(CHP, "steam", "F-1", "out")
    toml += chp_meter(USER, "electricity", "J-2") + chp_meter(USER, "steam", "F-2")
    toml += chp_meter(USER, "electricity", "J-3", basis="DC")
    csv = TAGS_CSV.splitlines()[0] + "\n"
    for tag in ("W-1", "W-2", "F-1", "F-2"):
        csv += f"{tag},{USER if tag[-1] == '1' else CHP},mass,t,counter,,,,\n"
    csv += "".join(f"J-{n},{USER},energy,kWh,counter,,,,\n" for n in (1, 2, 3))
    return compile_network(parse_park({"park.toml": toml, "tags.csv": csv}))


def captive_day(network, made_kwh, used_kwh):
    """Return all energy [kgce] and electricity [kWh] of every scope: 100 t of coal, 50 t steam."""
    kwh = parse_quantity("1 kWh", "energy")
    values = {"site/W-1": 1e5, "site/W-2": 1e5, "site/F-1": 5e4, "site/F-2": 5e4}
    values |= {"site/J-1": made_kwh * kwh, "site/J-2": used_kwh * kwh, "site/J-3": 0.98 * kwh}
    return {
        (account.scope, account.item): from_si(
            total, "kgce" if account.item == "coal_equivalent" else "kWh", "energy"
        )
        for account, total in accounts(network, amounts(network, values)).items()
        if account.subject == "total"
    }


def test_captive_power_used_on_site_counts_once_as_its_fuel(captive):
    result = captive_day(captive, made_kwh=200_000, used_kwh=200_000)
    fuel, made = 1e5 * 0.7143, 200_000 * 0.1229 + 50 * 128.6
    assert result[CHP, "coal_equivalent"] == pytest.approx(fuel - made)
    assert result[USER, "coal_equivalent"] == pytest.approx(made)
    for path in (SITE, "r"):
        assert result[path, "coal_equivalent"] == pytest.approx(fuel)
        assert result[path, "electricity"] == pytest.approx(0, abs=1e-6)


def test_captive_power_that_is_sold_is_taken_off_and_bought_power_is_added(captive):
    sold = captive_day(captive, made_kwh=200_000, used_kwh=150_000)
    bought = captive_day(captive, made_kwh=200_000, used_kwh=260_000)
    fuel = 1e5 * 0.7143
    assert sold[SITE, "coal_equivalent"] == pytest.approx(fuel - 50_000 * 0.1229)
    assert sold[SITE, "electricity"] == pytest.approx(-50_000)
    assert bought[SITE, "coal_equivalent"] == pytest.approx(fuel + 60_000 * 0.1229)
    assert bought[USER, "electricity"] == pytest.approx(260_000)
    assert sold[CHP, "electricity"] == pytest.approx(-200_000)


def test_unit_energy_of_the_product_does_not_see_the_power_plant(captive):
    values = {"site/W-1": 1000.0, "site/W-2": np.nan, "site/F-1": np.nan, "site/F-2": 250.0}
    values |= {"site/J-1": np.nan, "site/J-2": parse_quantity("2250 kWh", "energy")}
    assert kgce_per_t(captive, "caustic", values, USER) == pytest.approx(308.675)
    total = accounts(captive, amounts(captive, values))
    assert np.isnan(total[Account(SITE, "total", "coal_equivalent")])


def test_total_of_a_scope_is_the_sum_of_the_plants_below(captive):
    result = captive_day(captive, made_kwh=200_000, used_kwh=120_000)
    for item in ("coal_equivalent", "electricity"):
        assert result[SITE, item] == pytest.approx(result[CHP, item] + result[USER, item])


def test_product_cannot_take_the_name_of_the_total():
    toml = PARK_TOML + f'[[product]]\nid = "total"\nscope = "{CELLS}"\ntag = "alpha/FT-2"\n'
    (problem,) = [p for p in problems_of(toml) if "all energy" in p]
    line = len(toml.splitlines()) - 3
    assert problem.startswith(f"park.toml:{line}:")
