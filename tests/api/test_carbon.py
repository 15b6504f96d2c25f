"""Carbon over HTTP: products and carbonates, green power by the market, heat bought and sold."""

import pytest

from tests.support.small_park import (
    BEGIN,
    FILES,
    HOUR,
    PARK_TOML,
    change_minutes,
    make_park,
    roll_up,
    rows_of,
    with_park,
)
from twin.emissions.sources import CarbonFlow
from twin.errors import ModelError
from twin.loading import parse_park

pytest_plugins = ["tests.support.small_park"]
EIGHT = {"from": "2025-06-02T08:00:00+08:00", "to": "2025-06-02T09:00:00+08:00"}
# 2025 has no factors: those of 2023 and, by the market, 2022 stand in. 12.5 MWh an hour.
LOCATION, MARKET, BOUGHT = 0.5306, 0.5856, 12.5
# 21.6 t/h of what FT-6 weighs, 18 t/h of what FT-1 does.
CARBON = """
[[carbon]]
id = "urea-made"
scope = "demo/acme"
tag = "acme/FT-6"
material = "urea"
fate = "bound"
[[carbon]]
id = "kiln"
scope = "demo/acme/caustic"
tag = "acme/FT-1"
material = "limestone"
purity = 0.95
[[carbon]]
id = "carbide"
scope = "demo/acme/vcm"
tag = "acme/FT-1"
material = "carbide of our own analysis"
carbon_content = "30 %"
source = "laboratory"
"""
UREA = 21.6 * 12.011 / 60.056 * 44 / 12
KILN = 18 * 0.95 * 44.009 / 100.087
CARBIDE = 18 * 0.30 * 44 / 12


async def carbon_of(api, path="demo/acme", **query):
    """Return the carbon of the only window of an hour."""
    answer = (await rows_of(api, f"{path}/emissions", **EIGHT | query))["carbon"]
    (row,) = answer["items"]
    return row, {each["source"]: each for each in row["sources"]}, answer


@with_park(PARK_TOML + CARBON)
async def test_carbon_in_urea_is_not_emitted_and_that_of_limestone_and_carbide_is(api):
    row, sources, answer = await carbon_of(api)
    urea, kiln, carbide = (sources[name] for name in ("urea-made", "kiln", "carbide"))
    assert (urea["kind"], urea["scope"], urea["uom"]) == ("product", -1, "t")
    assert urea["amount"] == pytest.approx(21.6)
    assert urea["co2_t"] == pytest.approx(UREA, rel=1e-4)
    assert (kiln["kind"], kiln["scope"]) == ("process", 1)
    assert kiln["co2_t"] == pytest.approx(KILN, rel=1e-4)
    assert carbide["co2_t"] == pytest.approx(CARBIDE, rel=1e-9)
    assert row["scope1_t"] == pytest.approx(KILN + CARBIDE - UREA, rel=1e-4)
    # FT-1 stands in two sources: its error of 1 % moves both together.
    width = 1.959964 * 0.01 * (0.8 + 0.2 * (1 - 1 / 180) / 60) ** 0.5
    assert urea["co2_ci_t"] == pytest.approx(width * UREA, rel=1e-4)
    expected = width * ((KILN + CARBIDE) ** 2 + UREA**2) ** 0.5
    assert row["scope1_ci_t"] == pytest.approx(expected, rel=1e-4)
    factors = {each["of"]: each for each in answer["factors"]}
    assert factors["urea-made"]["figures"]["carbon_content"] == "19.999 %"
    assert factors["kiln"]["figures"] == {"factor": "0.43971 t/t", "purity": "0.95"}
    assert (factors["carbide"]["source"], factors["carbide"]["verified"]) == ("laboratory", False)


@with_park(PARK_TOML + CARBON)
async def test_carbon_bound_in_a_product_counts_from_the_scope_of_its_row_upwards(api):
    row, sources, _ = await carbon_of(api, "demo/acme/caustic")
    assert "urea-made" not in sources
    assert row["scope1_t"] == pytest.approx(KILN, rel=1e-4)


CO2 = """
[[stream]]
id = "co2"
from = "demo/acme/caustic"
to = "demo/acme/vcm"
medium = "carbon_dioxide"
mode = "pipe"
flow = "acme/FT-3"
"""


@with_park(PARK_TOML + CO2)
async def test_carbon_dioxide_sent_to_a_neighbour_counts_at_one_of_both(api):
    row, _, _ = await carbon_of(api, "demo/acme/caustic")
    assert row["scope1_t"] == pytest.approx(-3.6, rel=1e-9)
    row, sources, _ = await carbon_of(api, "demo/acme/vcm")
    assert (sources["received"]["kind"], row["scope1_t"]) == ("received", pytest.approx(3.6))
    row, _, _ = await carbon_of(api, "demo/acme")
    assert row["scope1_t"] == 0.0


GREEN = """
[[green_power]]
id = "certificates-june"
scope = "demo/acme"
kind = "certificate"
from = 2025-06-01
to = 2025-06-30
energy = "2160 MWh"
source = "register of certificates"
[[green_power]]
id = "certificates-july"
scope = "demo/acme"
kind = "certificate"
from = 2025-07-01
to = 2025-07-31
energy = "2160 MWh"
[[green_power]]
id = "contract"
scope = "demo/acme"
kind = "contract"
from = 2025-01-01
to = 2025-12-31
share = 0.2
"""


@with_park(PARK_TOML + GREEN)
async def test_green_power_has_no_emission_by_the_market_and_all_of_it_by_location(api):
    row, sources, answer = await carbon_of(api)
    steam = sources["steam"]["co2_t"]
    assert row["scope2_t"] == pytest.approx(BOUGHT * LOCATION + steam, rel=1e-9)
    # 2160 MWh over 720 hours, and a fifth of what is bought.
    green = 3 + 0.2 * BOUGHT
    assert row["green_mwh"] == pytest.approx(green, rel=1e-9)
    assert row["green_share"] == pytest.approx(green / BOUGHT, rel=1e-9)
    power = (BOUGHT - green) * MARKET
    assert row["scope2_market_t"] == pytest.approx(power + steam, rel=1e-9)
    assert row["total_market_t"] == row["scope2_market_t"]
    # The meter of 0.2 % moves four fifths of the electricity; certificates are exact.
    remaining = (0.8 + 0.2 * (1 - 1 / 180) / 60) ** 0.5
    assert 0 < row["scope2_market_ci_t"] < row["scope2_ci_t"] * MARKET / LOCATION
    expected = 1.959964 * 0.002 * 0.8 * BOUGHT * MARKET
    steam_ci = sources["steam"]["co2_ci_t"]
    own = (row["scope2_market_ci_t"] ** 2 - steam_ci**2) ** 0.5
    assert expected * remaining * 0.99 < own <= expected * 1.01
    assert [each["id"] for each in answer["green_power"]] == [
        "certificates-june", "certificates-july", "contract",
    ]  # fmt: skip
    markets = [each for each in answer["factors"] if each["method"] == "market"]
    assert [(each["region"], each["year"]) for each in markets] == [("CN", 2022)]


@with_park(PARK_TOML + GREEN)
async def test_a_plant_has_the_green_share_of_its_enterprise(api):
    row, _, _ = await carbon_of(api, "demo/acme/caustic")
    assert row["green_share"] == pytest.approx((3 + 0.2 * BOUGHT) / BOUGHT, rel=1e-9)


@with_park(PARK_TOML + GREEN.replace("2160 MWh", "100 GWh"))
async def test_certificates_beyond_what_is_bought_cover_no_more_than_all_of_it(api):
    row, sources, _ = await carbon_of(api)
    assert (row["green_mwh"], row["green_share"]) == (pytest.approx(BOUGHT), pytest.approx(1.0))
    assert row["scope2_market_t"] == pytest.approx(sources["steam"]["co2_t"], rel=1e-9)


async def test_without_green_power_the_market_takes_the_residual_mix(api):
    row, sources, answer = await carbon_of(api)
    expected = BOUGHT * MARKET + sources["steam"]["co2_t"]
    assert row["scope2_market_t"] == pytest.approx(expected, rel=1e-9)
    assert (row["green_mwh"], row["green_share"], answer["green_power"]) == (0.0, 0.0, [])


SOLD = """
[[meter]]
scope = "demo/acme"
carrier = "steam"
tag = "acme/FT-3"
role = "sold"
"""


@with_park(PARK_TOML + SOLD)
async def test_heat_bought_and_sold_stand_beside_their_difference(api):
    _, sources, _ = await carbon_of(api)
    steam = sources["steam"]
    # 1.8 t/h come in and 3.6 t/h are sold.
    assert steam["sold"] == pytest.approx(2 * steam["purchased"], rel=1e-9)
    assert steam["amount"] == pytest.approx(steam["purchased"] - steam["sold"], rel=1e-9)
    assert steam["co2_t"] == pytest.approx(steam["amount"] * 0.11, rel=1e-9)


@pytest.mark.parametrize(
    ("row", "problem"),
    [('material = "limstone"', "did you mean 'limestone'"),
     ('material = "x"', "give carbon_content"),
     ('material = "urea"\nfactor = "1 t/t"\ncarbon_content = "20 %"', "one of them is enough"),
     ('material = "urea"\nfate = "lost"', "use one of emitted, bound")],
)  # fmt: skip
def test_a_material_whose_carbon_is_not_known_is_a_problem_at_load(row, problem):
    text = '\n[[carbon]]\nid = "c"\nscope = "demo"\ntag = "acme/FT-6"\n' + row
    with pytest.raises(ModelError) as caught:
        parse_park(FILES | {"park.toml": PARK_TOML + text})
    assert len(caught.value.problems) == 1
    assert problem in caught.value.problems[0]


@pytest.mark.parametrize(
    ("row", "problem"),
    [("", "needs one of energy, share and tag"),
     ('share = 0.5\nenergy = "1 MWh"', "needs one of energy, share and tag"),
     ('energy = "1 t"', "energy"), ("share = 1.5", "share")],
)  # fmt: skip
def test_green_power_without_one_amount_is_a_problem_at_load(row, problem):
    text = (
        '\n[[green_power]]\nid = "g"\nscope = "demo"\nkind = "contract"\n'
        "from = 2025-01-01\nto = 2025-12-31\n" + row
    )
    with pytest.raises(ModelError) as caught:
        parse_park(FILES | {"park.toml": PARK_TOML + text})
    assert len(caught.value.problems) == 1
    assert problem in caught.value.problems[0]


def test_a_period_that_ends_before_it_begins_is_a_problem_at_load():
    text = GREEN.replace("to = 2025-06-30", "to = 2025-05-31")
    with pytest.raises(ModelError) as caught:
        make_park(PARK_TOML + text)
    assert "before from" in caught.value.problems[0]
    assert make_park(PARK_TOML + CARBON).network.park.rows(CarbonFlow)[0].fate == "bound"


# --- products -------------------------------------------------------------------


async def test_footprint_of_a_tonne_is_shared_with_the_chlorine_and_states_its_boundary(api):
    answer = await rows_of(api, "demo/acme/emissions/products", window="hour", **EIGHT)
    (row,) = answer["items"]
    (carbon,) = (await rows_of(api, "demo/acme/emissions", **EIGHT))["carbon"]["items"]
    # 21.6 t of caustic soda, 18 t of chlorine to VCM and 3.6 t sold; hydrogen is vented.
    assert row["kg_per_t"] == pytest.approx(1e3 * carbon["total_t"] / 43.2, rel=1e-9)
    assert row["energy_kg_per_t"] == pytest.approx(row["kg_per_t"], rel=1e-12)
    assert (row["direct_kg_per_t"], row["materials_kg_per_t"]) == (0.0, 0.0)
    assert (row["product"], row["plant"], row["mass_t"]) == ("caustic", "demo/acme/caustic", 21.6)
    assert row["co_products"] == ["caustic", "chlorine"]
    # Three flow meters of 1 % share by mass; electricity is good to 0.2 %.
    part = (21.6**2 + 18**2 + 3.6**2) ** 0.5 / 43.2
    remaining = (0.8 + 0.2 * (1 - 1 / 180) / 60) ** 0.5
    masses = 1.959964 * 0.01 * part * remaining * row["kg_per_t"]
    energy = 1e3 * carbon["total_ci_t"] / 43.2
    assert row["kg_per_t_ci"] == pytest.approx((masses**2 + energy**2) ** 0.5, rel=1e-6)
    assert "2023 stands in" in row["reason"]
    assert (row["completeness"], row["quality"]) == (1.0, 32)
    boundary = answer["boundary"]
    assert boundary["scope"] == "demo/acme"
    assert "cradle to gate" in boundary["rule"]
    assert "mass" in boundary["allocation"]
    assert [(f["of"], f["year"]) for f in answer["factors"]] == [
        ("electricity", 2023), ("heat", None),
    ]  # fmt: skip


async def test_footprint_without_a_meter_it_rests_on_is_null_with_a_reason(api, db, ids):
    await change_minutes(db, ids["acme/FT-1"], "")
    await roll_up(db)
    answer = await rows_of(api, "demo/acme/emissions/products", window="hour", **EIGHT)
    (row,) = answer["items"]
    assert (row["kg_per_t"], row["kg_per_t_ci"], row["energy_kg_per_t"]) == (None, None, None)
    assert "0% of the time" in row["reason"]
    assert row["missing"] == ["acme/FT-1"]
    assert row["quality"] >= 128


async def test_footprint_is_that_of_the_minutes_in_which_all_its_meters_are_covered(api, db, ids):
    whole = await rows_of(api, "demo/acme/emissions/products", window="hour", **EIGHT)
    # The meter of electricity is silent for 15 of 60 minutes.
    await change_minutes(db, ids["acme/JQ-1"], "", BEGIN, BEGIN + HOUR // 4)
    await roll_up(db)
    answer = await rows_of(api, "demo/acme/emissions/products", window="hour", **EIGHT)
    (row,), (full,) = answer["items"], whole["items"]
    assert row["kg_per_t"] == pytest.approx(full["kg_per_t"], rel=1e-9)
    assert row["kg_per_t_ci"] >= full["kg_per_t_ci"] * (1 - 1e-9)
    assert (row["completeness"], row["missing"]) == (0.75, ["acme/JQ-1"])


async def test_a_scope_without_products_has_no_footprints(api):
    answer = await rows_of(api, "demo/idle/emissions/products")
    assert answer["items"] == []


@with_park(PARK_TOML + CARBON)
async def test_what_is_emitted_less_what_is_bound_is_that_of_the_time_all_meters_are_covered(
    api, db, ids
):
    # Urea is not weighed for a quarter of an hour: limestone of that time has no urea beside it.
    await change_minutes(db, ids["acme/FT-6"], "", BEGIN, BEGIN + HOUR // 4)
    await roll_up(db)
    row, sources, _ = await carbon_of(api)
    assert row["scope1_t"] == pytest.approx(0.75 * (KILN + CARBIDE - UREA), rel=1e-4)
    assert sources["kiln"]["co2_t"] == pytest.approx(0.75 * KILN, rel=1e-4)
    assert (row["completeness"], row["missing"]) == (0.75, ["acme/FT-6"])
    await change_minutes(db, ids["acme/FT-6"], "", BEGIN, BEGIN + 3 * HOUR // 4)
    await roll_up(db)
    row, _, _ = await carbon_of(api)
    assert (row["scope1_t"], row["scope1_ci_t"]) == (None, None)
    assert "25%" in row["reason"]


async def test_what_only_comes_in_is_what_was_measured(api, db, ids):
    await change_minutes(db, ids["acme/JQ-1"], "", BEGIN, BEGIN + HOUR // 4)
    await roll_up(db)
    _, sources, _ = await carbon_of(api)
    assert sources["electricity"]["amount"] == pytest.approx(0.75 * BOUGHT, rel=1e-9)
    assert sources["steam"]["amount"] == pytest.approx(0.5 * 3600 * 0.1286 * 29.3076e-3, rel=1e-6)
