"""Targets over HTTP: values from the same sums as everything else, reasons where there are none."""

import pytest

from tests.support.small_park import FILES, PARK_TOML, make_park
from twin.errors import ModelError
from twin.loading import parse_park
from twin.targets.model import Target

pytest_plugins = ["tests.support.small_park"]
HOUR_9 = {"from": "2025-06-02T09:00:00+08:00", "to": "2025-06-02T10:00:00+08:00"}
# 7.5e8 J a minute; 6 kg/s of caustic.
KWH_PER_T = 7.5e8 * 60 / 3.6e6 / (6 * 3.6)


def model(row):
    text = FILES["park.toml"] + '\n[[target]]\nid = "x"\nscope = "demo/acme"\nvalue = 85\n' + row
    return parse_park(FILES | {"park.toml": text})


async def items(api, **query):
    answer = await api.get("/api/v1/targets", params=query)
    assert answer.status_code == 200, answer.text
    return {item["id"]: item for item in answer.json()["items"]}


async def test_intensity_is_that_of_the_energy_route_and_judged(api):
    result = (await items(api, **HOUR_9))["kwh"]
    assert result["value"] == pytest.approx(KWH_PER_T, rel=1e-9)
    assert (result["verdict"], result["shortfall"]) == ("met", 0.0)
    assert (result["goal"], result["uom"], result["due"]) == (2500.0, "kWh/t", False)
    assert (result["completeness"], result["quality"]) == (1.0, 32)
    energy = await api.get("/api/v1/scopes/demo/acme/caustic/energy", params=HOUR_9)
    row = energy.json()["items"][0]
    assert row["kwh_per_t"] == pytest.approx(result["value"], rel=1e-11)
    assert row["kwh_per_t_ci"] == pytest.approx(result["half_width"], rel=1e-11)


POLICY = """
[[target]]
id = "balance"
scope = "demo"
value = 100
uom = "%"
tolerance = {tolerance}
kpi = "chlor_alkali_balance"
sense = "at_least"
source = "a policy"
"""
# 5 kg/s of chlorine are used, 6 of caustic soda made; 1 kg/s leaves by road.
BALANCE = 100 * 5 / (6 * 70.906 / (2 * 39.997))


@pytest.mark.parametrize(
    ("small", "verdict", "reason"),
    [
        (make_park(PARK_TOML + POLICY.format(tolerance=tolerance)), verdict, reason)
        for tolerance, verdict, reason in (
            (9, "met", ""), (6, "undecided", "interval"), (3, "not_met", "")
        )
    ],
    indirect=["small"],
    ids=["met", "undecided", "not met"],
)  # fmt: skip
async def test_chlor_alkali_balance_is_judged_by_its_interval_and_its_tolerance(
    api, small, verdict, reason
):
    result = (await items(api, **HOUR_9))["balance"]
    tolerance = small.network.park.rows(Target)[-1].tolerance
    assert result["value"] == pytest.approx(BALANCE, rel=1e-4)
    # Both meters are good to 1 %; a fifth of the variance is noise of a minute, this is an hour.
    remaining = (0.8 + 0.2 * (1 - 1 / 180) / 60) ** 0.5
    assert result["half_width"] == pytest.approx(
        1.959964 * remaining * 2**0.5 * BALANCE / 100, rel=1e-4
    )
    assert (result["goal"], result["tolerance"]) == (100.0, tolerance)
    assert (result["limit"], result["verdict"]) == (100.0 - tolerance, verdict)
    assert reason in result["reason"]


STRICT = """
[[target]]
id = "strict"
scope = "demo/acme/caustic"
value = 500
uom = "kWh/t"
kpi = "electricity_intensity"
product = "caustic"
sense = "at_most"

[[target]]
id = "core"
scope = "demo"
value = 0.2
uom = "t/tce"
kpi = "carbon_per_energy"
sense = "at_most"

[[target]]
id = "benchmark"
scope = "demo/acme/caustic"
uom = "kgce/t"
kpi = "energy_intensity"
product = "caustic"
level = "benchmark"
sense = "at_most"

[[target]]
id = "cleaner"
scope = "demo"
value = 90
uom = "%"
kpi = "clean_energy_share"
sense = "at_least"

[[target]]
id = "products"
scope = "demo/acme/caustic"
value = 100
uom = "%"
kpi = "products_at_level"
level = "benchmark"
sense = "at_least"
"""


@pytest.mark.parametrize("small", [make_park(PARK_TOML + STRICT)], indirect=True, ids=[""])
async def test_gap_of_an_intensity_is_told_in_electricity_coal_and_carbon_dioxide(api):
    row = (await items(api, **HOUR_9))["strict"]
    # 6 kg/s of an hour are 21.6 t.
    kwh = (KWH_PER_T - 500) * 21.6
    gap = {each["uom"]: each["value"] for each in row["gap"]}
    assert gap["kWh"] == pytest.approx(kwh, rel=1e-6)
    assert gap["tce"] == pytest.approx(kwh * 3.6e6 / (7000 * 4186.8 * 1000), rel=1e-3)
    grid = (await api.get("/api/v1/scopes/demo/emissions", params=HOUR_9)).json()["carbon"]
    factor = next(f for f in grid["factors"] if f["of"] == "electricity")
    assert gap["tCO2"] / gap["kWh"] * 1e3 == pytest.approx(
        float(next(iter(factor["figures"].values())).split()[0]), rel=1e-6
    )
    assert (row["pace"], row["moved"]) == (None, None)
    assert "three months" in row["outlook_reason"]


@pytest.mark.parametrize("small", [make_park(PARK_TOML + STRICT)], indirect=True, ids=[""])
async def test_core_of_a_zero_carbon_park_is_its_emissions_over_its_energy(api):
    row = await items(api, **HOUR_9)
    carbon = (await api.get("/api/v1/scopes/demo/emissions", params=HOUR_9)).json()["carbon"]
    energy = (await api.get("/api/v1/scopes/demo/energy", params=HOUR_9)).json()["items"]
    total = next(each for each in energy if each["product"] == "total")
    assert row["core"]["value"] == pytest.approx(
        carbon["items"][0]["total_t"] / (total["energy_kgce"] / 1e3), rel=1e-6
    )
    assert row["core"]["half_width"] > 0
    short = row["core"]["shortfall"] * total["energy_kgce"] / 1e3
    assert [(gap["uom"], gap["value"]) for gap in row["core"]["gap"]] == (
        [("t", pytest.approx(short, rel=1e-6))] if short else []
    )
    assert (row["cleaner"]["value"], row["cleaner"]["state"]) == (0.0, "not_met")
    tce = {gap["uom"]: gap["value"] for gap in row["cleaner"]["gap"]}["tce"]
    assert tce == pytest.approx(0.9 * total["energy_kgce"] / 1e3, rel=1e-6)
    reached = row["benchmark"]["state"]
    assert row["products"]["below"] == (["caustic"] if reached == "not_met" else [])
    assert (row["products"]["value"], row["products"]["state"]) == {
        "met": (100.0, "met"), "not_met": (0.0, "not_met"), "undecided": (None, "no_data"),
    }[reached]  # fmt: skip
    assert (row["benchmark"]["goal"], row["benchmark"]["limit"]) == (315.0, 315.0)


async def test_target_without_a_kpi_says_what_it_needs(api):
    result = (await items(api))["books"]
    assert (result["value"], result["verdict"], result["state"]) == (None, None, "no_data")
    assert "books" in result["reason"]


async def test_time_without_data_gives_no_verdict(api):
    query = {"from": "2025-05-01T00:00:00+08:00", "to": "2025-05-01T01:00:00+08:00"}
    result = (await items(api, **query))["kwh"]
    assert (result["value"], result["verdict"], result["shortfall"]) == (None, "undecided", None)
    assert result["quality"] >= 128
    assert (result["state"], set(result["no_data"])) == ("no_data", {"acme/JQ-1", "acme/FT-6"})


async def test_scope_narrows_the_list(api):
    assert set(await items(api, scope="demo/acme")) == {"kwh"}
    assert await items(api, scope="demo/idle") == {}


@pytest.mark.parametrize(
    ("row", "problem"),
    [('uom = "%"\nkpi = "luck"', "use one of electricity_intensity"),
     ('uom = "%"\nkpi = "local_share_of_liquid"', "needs sense"),
     ('uom = "%"\nkpi = "capacity"\nsense = "at_most"\nproduct = "aluminium"', "uom"),
     ('uom = "kWh/t"\nkpi = "electricity_intensity"\nsense = "at_most"', "needs product"),
     ('uom = "%"\nkpi = "zero_gap_share"\nsense = "at_least"\ntolerance = -1', "below 0")],
)  # fmt: skip
def test_target_that_cannot_be_computed_is_a_problem_at_load(row, problem):
    with pytest.raises(ModelError) as caught:
        model(row)
    assert len(caught.value.problems) == 1
    assert problem in caught.value.problems[0]


def test_a_closure_of_exactly_nothing_is_no_goal():
    row = 'id = "x"\nscope = "demo"\nvalue = 0\nuom = "%"\nkpi = "unaccounted_share"\n'
    text = FILES["park.toml"] + "\n[[target]]\n" + row + 'sense = "at_most"\n'
    with pytest.raises(ModelError) as caught:
        parse_park(FILES | {"park.toml": text})
    assert "give tolerance" in caught.value.problems[0]
    assert parse_park(FILES | {"park.toml": text + "tolerance = 2\n"}).rows(Target)[-1].limit == 2


@pytest.mark.parametrize(
    "row",
    ['uom = "%"\nkpi = "zero_gap_share"\nsense = "at_least"',
     'uom = "kt/year"\nkpi = "capacity"\nsense = "at_most"\nproduct = "aluminium"',
     'uom = "%"\nkpi = "chlor_alkali_balance"\nsense = "at_least"\ntolerance = 2',
     'uom = "%"\nkpi = "unaccounted_share"\nsense = "at_most"'],
)  # fmt: skip
def test_target_of_each_kind_is_taken(row):
    assert model(row).rows(Target)[-1].kpi
