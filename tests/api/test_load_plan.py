"""Load plans over HTTP, on a park with one electrolyser, one user of chlorine and one tank."""

import pytest

from tests.support.small_park import (
    NOW,
    PARK_TOML,
    add_cycle,
    add_samples,
    make_park,
    serving,
)
from twin.faraday import CL2, mass_per_charge

pytest_plugins = ["tests.support.small_park"]

T_H = 1000 / 3600
CURRENT, VOLTAGE = 16e3, 320.0
MADE = CURRENT * 100 * 0.96 * mass_per_charge(CL2)  # kg/s
SAMPLES = {"FT-1": 0.4, "FT-3": 0.05, "II-1": CURRENT, "EI-1": VOLTAGE, "LT-1": 1.5}
TOML = PARK_TOML.replace('capacity = "80 kt/year"', 'voltage = "acme/EI-1"\narea = "2.7 m^2"', 1)
TOML += """
[[load_limits]]
electrolyser = "E-1"
low = "8 kA"
high = "18 kA"
"""
PRICES = [0.3] * 8 + [0.9] * 4 + [0.6] * 12
PLAN = "/api/v1/scopes/demo/acme/load-plan"


@pytest.fixture
def small(request):
    return getattr(request, "param", None) or make_park(
        TOML, "EI-1,demo/acme/caustic/cells,voltage,V,gauge,0,500,0.2 %,voltage\n"
    )


@pytest.fixture(params=[SAMPLES["LT-1"]], ids=[""])
async def site(request, database, ids, db):
    """The API over 0.564 kg/s of chlorine: 0.4 to VCM, 0.05 sold, the remainder into the tank."""
    at = NOW - 100_000
    for tag, value in (SAMPLES | {"LT-1": request.param}).items():
        await add_samples(db, ids[f"acme/{tag}"], [at], [value])
    await add_cycle(db, at, [])
    async with serving(database) as (client, _):
        yield client


async def ask(site, **query):
    answer = await site.get(PLAN, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_plan_shifts_the_load_to_cheap_hours_and_makes_as_much(site):
    plan = await ask(site, price=PRICES, hours=24)
    assert (plan["from"], plan["to"]) == ("2025-06-02T11:00:00+08:00", "2025-06-03T11:00:00+08:00")
    assert (plan["reason"], plan["missing"]) == ("", [])
    # The park has no incomer.
    ((site_id, reason),) = ((row["id"], row["reason"]) for row in plan["unplanned"])
    assert (site_id, reason.split(":")[0]) == ("demo/acme", "what it buys is not known")
    (unit,) = plan["units"]
    assert (unit["current_now_ka"], unit["current_low_ka"], unit["limits"]) == (16, 8, "model")
    load, price = unit["load"], plan["sites"][0]["price_cny_per_kwh"]
    cheap = [x for x, cost in zip(load, price, strict=True) if cost == 0.3]
    assert cheap == pytest.approx([18 / 16] * 8)
    assert max(x for x, cost in zip(load, price, strict=True) if cost == 0.9) < 0.85
    # What is made is what as now would make: the tank takes 0.5 less what is used and sold.
    (stock,) = plan["stocks"]
    assert sum(load) == pytest.approx(24, rel=1e-6)
    assert stock["inventory_t"][-1] == pytest.approx(stock["inventory_now_t"][-1])
    assert stock["headroom_kept_t"] == pytest.approx(0.4 * 600 / 1000, rel=1e-3)
    saving = plan["saving"]
    assert 0 < saving["saving_low_cny"] < saving["saving_cny"] < saving["saving_high_cny"]
    assert saving["saving_cny"] == plan["sites"][0]["saving_cny"]
    # 16 kA at 320 V behind a rectifier of 97.5 %, and 100 kWh/t of what is liquefied.
    power_mw = CURRENT * VOLTAGE / 0.975 / 1e6
    assert unit["power_now_mw"] == pytest.approx(power_mw)
    liquefied_mw = (MADE - 0.4) / T_H * 0.1
    cost = (power_mw + liquefied_mw) * 1000 * sum(PRICES)
    assert plan["sites"][0]["cost_now_cny"] == pytest.approx(cost, rel=1e-3)
    binding = {row["kind"] for row in plan["binding"]}
    assert {"high", "stock_end"} <= binding
    assert all(row["price_cny"] and row["name"]["zh"] for row in plan["binding"])
    (trip,) = plan["breaks"]["trips"]
    assert trip["user"] == "cl2-vcm"
    assert plan["quality"] == 32


async def test_plan_without_a_price_or_beyond_the_limits_is_refused(site):
    for query, parameter in (
        ({}, "price"),
        ({"price": [1, 2]}, "price"),
        ({"price": 0.5, "from": "2025-06-01T08:00:00+08:00"}, "from"),
    ):
        answer = await site.get(PLAN, params=query)
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["parameter"] == parameter


@pytest.mark.parametrize("site", [2.4], indirect=True, ids=["full"])
async def test_tank_beyond_its_limit_contradicts_and_is_named(site):
    """2.4 m of 3 are more than 80 % of the volume, and more comes in than goes out."""
    plan = await ask(site, price=0.5, hours=24)
    assert plan["reason"] == "limits contradict"
    assert plan["saving"]["saving_cny"] is None
    assert plan["broken"][0]["kind"] in ("stock_full", "balance", "use")
    assert plan["now_breaks"][0]["kind"] == "stock_full"


async def test_scope_without_electrolysers_has_no_plan_and_says_so(site):
    nothing = await site.get("/api/v1/scopes/demo/idle/load-plan", params={"price": 0.5})
    plan = nothing.json()
    assert plan["reason"] == "no electrolyser can be planned"
    assert plan["units"] == []
    assert plan["saving"]["saving_cny"] is None
    assert plan["saving"]["reason"] == plan["reason"]


SUPPLY = """
[[meter]]
id = "incomer"
scope = "demo/acme"
carrier = "electricity"
tag = "acme/JI-8"
role = "incomer"
[[tariff]]
id = "grid"
scope = "demo/acme"
from = 2025-01-01
to = 2025-12-31
price = "0.6 CNY/kWh"
demand_price = "40 CNY/kW"
contracted = "46 MW"
excess_over = 1.05
excess_factor = 2
"""
EXTRA = (
    "EI-1,demo/acme/caustic/cells,voltage,V,gauge,0,500,0.2 %,voltage\n"
    "JI-8,demo/acme,power,MW,gauge,0,90,0.5 %,purchase\n"
)


@pytest.mark.parametrize(
    "small", [make_park(TOML + SUPPLY, EXTRA, {"JI-8": 48e6})], indirect=True, ids=[""]
)
async def test_a_new_peak_costs_what_the_tariff_says(site):
    """48 MW were measured, more than the 46 that are contracted; a peak above them costs 40."""
    plan = await ask(site, hours=24)
    (sold,) = plan["sites"]
    assert (sold["demand_price_cny_per_kw"], sold["peak_so_far_mw"]) == (40, 48)
    assert max(sold["power_mw"]) <= 48 + 1e-6
    # 24 hours of 48 MW by the factor of the country; no green power is stated.
    assert sold["co2_now_t"] == pytest.approx(24 * sold["power_now_mw"][0] * 0.5, rel=0.2)
    assert (sold["green_share_now"], sold["green_share_plan"]) == (0, 0)
    free = await ask(site, hours=24, demand_price=0)
    assert free["sites"][0]["demand_price_cny_per_kw"] == 0


async def test_what_breaks_a_plan_is_told(site):
    plan = await ask(site, price=PRICES, hours=24)
    breaks = plan["breaks"]
    assert breaks["price_rise_cny_per_kwh"] > 0
    assert breaks["delay_breaks"] in ("stock_full", "stock_empty", "stock_end", "saving")
    assert 1 <= breaks["delay_h"] < 24
    (drop,) = breaks["drops"]
    # It may stop: the tank takes all that it leaves for a day.
    assert (drop["user"], drop["share"]) == ("cl2-vcm", None)
