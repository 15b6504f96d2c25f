"""Energy per tonne and in total, on both bases, and what each electrolyser takes."""

from datetime import date

import numpy as np
import pytest

from tests.support.small_park import (
    BEGIN,
    HOUR,
    NETWORK,
    PARK_TOML,
    change_minutes,
    roll_up,
    rows_of,
    stamp,
    with_park,
)
from twin import faraday
from twin import quality as q
from twin.reconciliation.uncertainty import left_of_mean, random_share, tag_uncertainty

pytest_plugins = ["tests.support.small_park"]

TWO_HOURS = {"from": "2025-06-02T08:00:00+08:00", "to": "2025-06-02T10:00:00+08:00"}


async def product_rows(api, product, path="demo/acme", **query):
    """Return the energy rows of one product."""
    result = await rows_of(api, f"{path}/energy", **query)
    return [row for row in result["items"] if row["product"] == product]


@pytest.mark.parametrize(
    ("window", "rows"), [("minute", 151), ("hour", 3), ("shift", 1), ("day", 1)]
)
async def test_energy_is_the_ratio_of_the_sums_of_its_samples(api, db, window, rows):
    query = {"window": window, "from": "2025-06-02T08:00:00+08:00"}
    result = await rows_of(api, "demo/acme/energy", **query)
    result["items"] = [row for row in result["items"] if row["product"] == "caustic"]
    assert len(result["items"]) == rows
    sums = "SELECT enterprise || '/' || tag, sum(amount) FROM minute JOIN tag USING (tag_id)"
    sums = dict(await db.fetch(f"{sums} GROUP BY 1"))
    total = {
        key: sum(row[key] for row in result["items"] if row[key] is not None)
        for key in ("mass_t", "energy_kwh", "energy_kgce")
    }
    steam_t = sums["acme/FT-5"] / 1000
    kwh = sums["acme/JQ-1"] / 3.6e6
    assert total["mass_t"] == pytest.approx(sums["acme/FT-6"] / 1000, rel=1e-9)
    assert total["energy_kwh"] == pytest.approx(kwh, rel=1e-9)
    assert total["energy_kgce"] == pytest.approx(0.1229 * kwh + 128.6 * steam_t, rel=1e-9)
    row = result["items"][0]
    assert row["product"] == "caustic"
    if window == "day":
        # The database begins at eight: a quarter of the day until now is no value.
        assert row["completeness"] == pytest.approx(2.5 / 10.5)
        assert (row["kwh_per_t"], row["kgce_per_t"], row["position"]) == (None, None, "undecided")
    else:
        assert row["kwh_per_t"] == pytest.approx(row["energy_kwh"] / row["mass_t"], rel=1e-9)
        assert row["kgce_per_t"] == pytest.approx(row["energy_kgce"] / row["mass_t"], rel=1e-9)
    assert result["references"][0]["benchmark"] == 315
    assert result["references"][0]["verified"] is False


async def test_a_ratio_has_the_interval_its_meters_leave(api):
    sigma = {}
    for name in ("JQ-1", "FT-6"):
        tag = next(tag for tag in NETWORK.tags if tag.tag == name)
        remaining = left_of_mean(*random_share(tag), 3600.0)
        sigma[name] = tag_uncertainty(tag)[1] * np.sqrt(remaining)
    first, second = await product_rows(api, "caustic", **TWO_HOURS)
    for row in (first, second):
        width = 1.959964 * np.hypot(sigma["JQ-1"], sigma["FT-6"]) * row["kwh_per_t"]
        assert row["kwh_per_t_ci"] == pytest.approx(width, rel=1e-6)
        assert 0 < row["kgce_per_t_ci"] < 0.1 * row["kgce_per_t"]
    total = (await product_rows(api, "total", **TWO_HOURS))[0]
    assert (total["kwh_per_t"], total["kwh_per_t_ci"]) == (None, None)


async def test_completeness_counts_only_the_time_that_has_passed(api):
    query = {"from": "2025-06-02T09:00:00+08:00", "to": "2025-06-02T12:00:00+08:00"}
    full, running, future = await product_rows(api, "caustic", **query)
    assert (full["completeness"], full["quality"]) == (1.0, 32)
    assert (running["completeness"], running["quality"]) == (1.0, 32)
    assert running["end"] == "2025-06-02T11:00:00+08:00"
    assert future["completeness"] is None
    assert future["mass_t"] is None


async def test_missing_data_is_null_and_no_production_is_not_infinity(api, db, ids):
    product, steam = ids["acme/FT-6"], ids["acme/FT-5"]
    await change_minutes(db, product, "amount = 0")
    await change_minutes(db, steam, "", BEGIN + HOUR)
    await change_minutes(db, product, "", BEGIN + 1.5 * HOUR)
    await roll_up(db)
    first, second = await product_rows(api, "caustic", **TWO_HOURS)
    assert (first["mass_t"], first["kwh_per_t"], first["kgce_per_t"]) == (0.0, None, None)
    assert (first["kwh_per_t_ci"], first["kgce_per_t_ci"]) == (None, None)
    assert first["energy_kwh"] > 0
    assert (first["completeness"], first["quality"]) == (1.0, 32)
    # No steam at all: the comprehensive energy is not known, however much electricity there is.
    assert second["energy_kgce"] is None
    assert second["energy_kwh"] > 0
    assert (second["completeness"], second["kwh_per_t_completeness"]) == (0.0, 0.5)
    assert second["missing"] == ["acme/FT-5", "acme/FT-6"]
    assert second["quality"] == q.NO_DATA | 32


async def test_a_hole_makes_the_sum_uncertain(api, db, ids):
    hole = "covered_s = 0, amount = 0, quality = 164"
    await change_minutes(db, ids["acme/FT-6"], hole, end=BEGIN + 1)
    query = TWO_HOURS | {"window": "minute", "to": "2025-06-02T08:02:00+08:00"}
    hole, whole = await product_rows(api, "caustic", **query)
    assert hole["mass_t"] is None
    assert hole["quality"] == q.NO_DATA | 32
    assert whole["quality"] == 32
    await db.execute("UPDATE hour SET covered_s = 3540 WHERE tag_id = $1", ids["acme/FT-6"])
    row = (await product_rows(api, "caustic", **query | {"window": "hour"}))[0]
    assert row["completeness"] == pytest.approx(59 / 60)
    assert row["missing"] == ["acme/FT-6"]
    await db.execute("UPDATE hour SET covered_s = 1800 WHERE tag_id = $1", ids["acme/FT-6"])
    row = (await product_rows(api, "caustic", **query | {"window": "hour"}))[0]
    assert row["quality"] == q.UNCERTAIN | q.INCOMPLETE | 32


async def test_total_is_all_energy_of_a_scope_and_has_no_mass(api):
    for path in ("demo", "demo/acme", "demo/acme/caustic"):
        (total, _), (caustic, _) = [
            await product_rows(api, product, path, **TWO_HOURS) for product in ("total", "caustic")
        ]
        assert total["energy_kgce"] == pytest.approx(caustic["energy_kgce"])
        assert total["energy_kwh"] == pytest.approx(caustic["energy_kwh"])
        assert (total["mass_t"], total["kgce_per_t"], total["position"]) == (None, None, None)
        # The product's meter is no part of the total.
        assert (total["completeness"], total["quality"]) == (1.0, 32)
    assert await product_rows(api, "total", "demo/idle", **TWO_HOURS) == []


async def test_equal_value_replaces_the_factor_of_all_electricity(api):
    result = {
        basis: await rows_of(api, "demo/acme/energy", basis=basis, **TWO_HOURS)
        for basis in ("equivalent", "equal")
    }
    for basis, answer in result.items():
        assert answer["basis"] == basis
    (heat,), (coal,) = (answer["electricity"] for answer in result.values())
    assert (heat["year"], heat["kgce_per_kwh"], heat["verified"]) == (None, 0.1229, False)
    assert (coal["year"], coal["kgce_per_kwh"], coal["verified"]) == (2025, 0.3, False)
    assert coal["note"]
    for row, other in zip(*(answer["items"] for answer in result.values()), strict=True):
        assert row["energy_kwh"] == other["energy_kwh"]
        added = row["energy_kwh"] * (0.3 - 0.1229)
        assert other["energy_kgce"] == pytest.approx(row["energy_kgce"] + added)
    assert (await rows_of(api, "demo/acme/energy", **TWO_HOURS))["basis"] == "equivalent"
    answer = await api.get("/api/v1/scopes/demo/acme/energy?basis=both")
    assert answer.status_code == 422


async def test_equal_value_is_that_of_the_year_of_each_window(api):
    query = {"window": "month", "from": "2024-12-01T00:00:00+08:00", "basis": "equal"}
    result = await rows_of(api, "demo/acme/energy", **query, to="2025-02-01T00:00:00+08:00")
    assert [factor["year"] for factor in result["electricity"]] == [2024, 2025]


@pytest.mark.parametrize(
    ("kgce_per_t", "where"),
    [(308.0, "better_than_benchmark"), (333.0, "between"), (358.0, "worse_than_baseline")],
)
async def test_position_is_against_the_benchmark_of_the_product(api, db, ids, kgce_per_t, where):
    # 21.6 t and 1.8 t of steam an hour; the rest is electricity.
    kwh = (kgce_per_t * 21.6 - 1.8 * 128.6) / 0.1229
    await change_minutes(db, ids["acme/JQ-1"], f"amount = {kwh / 60 * 3.6e6!r}")
    await roll_up(db)
    rows = await product_rows(api, "caustic", **TWO_HOURS)
    assert [row["kgce_per_t"] for row in rows] == pytest.approx([kgce_per_t] * 2)
    assert [row["position"] for row in rows] == [where] * 2
    # A benchmark by heat says nothing about electricity as it was made.
    equal = await product_rows(api, "caustic", **TWO_HOURS, basis="equal")
    assert [row["position"] for row in equal] == [None] * 2


async def test_flagged_input_never_gives_a_good_figure(api, db, ids):
    # In maintenance, but usable: the figure is there, and uncertain.
    flagged = q.UNCERTAIN | q.MAINTENANCE | q.SIMULATED
    await change_minutes(db, ids["acme/FT-5"], f"quality = {flagged}", end=BEGIN + 1)
    # No production at all in the second hour.
    await change_minutes(db, ids["acme/FT-6"], "amount = 0", BEGIN + HOUR)
    await roll_up(db)
    first, second = await product_rows(api, "caustic", **TWO_HOURS)
    assert first["kgce_per_t"] > 0
    assert first["quality"] == flagged
    assert (second["kgce_per_t"], second["kwh_per_t"]) == (None, None)
    assert second["position"] == "unknown"


GRADED = PARK_TOML.replace('tag = "acme/FT-6"', 'tag = "acme/FT-6"\ngrade = 0.5', 1)


@with_park(GRADED)
async def test_caustic_soda_of_50_percent_is_held_against_its_own_benchmark(api, db, ids):
    # 400 kgce/t is worse than the baseline of liquor of 30 % and better than this benchmark.
    kwh = (400 * 21.6 - 1.8 * 128.6) / 0.1229
    await change_minutes(db, ids["acme/JQ-1"], f"amount = {kwh / 60 * 3.6e6!r}")
    await roll_up(db)
    answer = await rows_of(api, "demo/acme/energy", **TWO_HOURS)
    rows = [row for row in answer["items"] if row["product"] == "caustic"]
    assert [row["position"] for row in rows] == ["better_than_benchmark"] * 2
    first = answer["references"][0]
    assert (first["benchmark"], first["grade"], first["applies"]) == (420, 0.45, True)
    assert [reference["applies"] for reference in answer["references"]] == [True, False, False]


# --- electrolysers ------------------------------------------------------------


AREA, CELLS, EFFICIENCY = 2.7, 100, 0.96
VOLT = 305.0
# Half widths as shares, of a meter good to 0.2 % over an hour, and of what cells make by it.
OF_A_METER = 1.959963984540054 * 0.002 * np.sqrt(left_of_mean(0.2, 60.0, 3600.0))
OF_WHAT_IS_MADE = np.hypot(OF_A_METER, 1.959963984540054 * np.hypot(0.01, 0.002))
METER = """
[[meter]]
scope = "demo/acme/caustic/cells"
carrier = "electricity"
tag = "acme/JI-2"
basis = "DC"
"""


CELLS_TOML = PARK_TOML.replace(
    'current = "acme/II-1"',
    f'current = "acme/II-1"\nvoltage = "acme/EI-1"\narea = "{AREA} m^2"',
)
CELL_TAGS = """EI-1,demo/acme/caustic/cells,voltage,V,gauge,0,600,0.2 %,voltage
JI-2,demo/acme/caustic/cells,power,MW,gauge,0,60,0.2 %,direct current
"""
CELL_MEAN = {"EI-1": VOLT, "JI-2": 1.01 * VOLT * 16e3}
# A voltage, the area of the cells and a spare power tag; and with a direct-current meter.
WITH_CELLS = with_park(CELLS_TOML, CELL_TAGS, CELL_MEAN)
METERED = with_park(CELLS_TOML + METER, CELL_TAGS, CELL_MEAN)


async def electrolyser_rows(api, path="demo/acme", **query):
    return await rows_of(api, f"{path}/electrolysers", **{**TWO_HOURS, **query})


def per_tonne(volt):
    energy = faraday.specific_energy(np.array(volt / CELLS), np.array(EFFICIENCY), faraday.NAOH)
    return pytest.approx(energy / 3.6e3, rel=1e-9)


@WITH_CELLS
async def test_electrolyser_shows_voltage_density_energy_and_k(api):
    for path in ("demo", "demo/acme/caustic/cells"):
        result = await electrolyser_rows(api, path)
        assert len(result["items"]) == 2
        row = result["items"][0]
        assert (row["electrolyser"], row["kind"]) == ("E-1", "membrane")
        assert row["cell_voltage_v"] == pytest.approx(3.05)
        assert row["current_density_ka_m2"] == pytest.approx(16 / AREA)
        assert row["dc_kwh_per_t"] == per_tonne(VOLT)
        assert row["method"] == "minute_means"
        assert row["k_v_m2_ka"] == pytest.approx((3.05 - 2.42) / (16 / AREA))
        made = 16e3 * CELLS * EFFICIENCY * faraday.mass_per_charge(faraday.NAOH)
        assert row["product_t"] == pytest.approx(made * 3.6)
        assert row["cell_voltage_ci_v"] == pytest.approx(OF_A_METER * 3.05)
        assert row["current_density_ci_ka_m2"] == pytest.approx(OF_A_METER * 16 / AREA)
        assert row["product_ci_t"] == pytest.approx(OF_WHAT_IS_MADE * made * 3.6)
        assert row["dc_kwh_per_t_ci"] == pytest.approx(OF_WHAT_IS_MADE * row["dc_kwh_per_t"])
        # The voltage above that of no current is a fifth of the voltage.
        k_part = OF_A_METER * np.hypot(3.05 / (3.05 - 2.42), 1)
        assert row["k_ci_v_m2_ka"] == pytest.approx(k_part * row["k_v_m2_ka"])
        assert (row["completeness"], row["quality"]) == (1.0, 32)
    (reference,) = result["zero_current_voltage"]
    assert (reference["kind"], reference["v"], reference["verified"]) == ("membrane", 2.42, False)
    assert (await electrolyser_rows(api, "demo/idle"))["items"] == []


@WITH_CELLS
async def test_energy_is_the_integral_of_the_product_and_not_the_product_of_means(api, db, ids):
    """Half the hour at 16 kA and 305 V, half at 8 kA and 275 V, then standing still."""
    for tag, value in (("II-1", 8e3), ("EI-1", 275.0)):
        half = BEGIN + HOUR // 2, BEGIN + HOUR
        await change_minutes(db, ids[f"acme/{tag}"], f"amount = {value * 60}", *half)
        await change_minutes(db, ids[f"acme/{tag}"], "amount = 0", half[1])
    await roll_up(db)
    running, standing = (await electrolyser_rows(api))["items"]
    charge_weighted = (16 * 305 + 8 * 275) / 24
    assert running["cell_voltage_v"] == pytest.approx(charge_weighted / CELLS)
    assert running["dc_kwh_per_t"] == per_tonne(charge_weighted)
    density = (16**2 + 8**2) / 24 / AREA
    assert running["current_density_ka_m2"] == pytest.approx(density)
    assert running["k_v_m2_ka"] == pytest.approx((charge_weighted / CELLS - 2.42) / density)
    assert standing["product_t"] == 0
    keys = (
        "cell_voltage_v", "current_density_ka_m2", "dc_kwh_per_t", "k_v_m2_ka",
        "cell_voltage_ci_v", "current_density_ci_ka_m2", "dc_kwh_per_t_ci", "k_ci_v_m2_ka",
    )  # fmt: skip
    assert [standing[key] for key in keys] == [None] * 8


@METERED
async def test_meter_of_its_own_wins_over_the_product_of_means(api):
    row = (await electrolyser_rows(api))["items"][0]
    assert row["method"] == "dc_meter"
    assert row["dc_kwh_per_t"] == per_tonne(1.01 * VOLT)
    part = np.hypot(OF_WHAT_IS_MADE, OF_A_METER)
    assert row["dc_kwh_per_t_ci"] == pytest.approx(part * row["dc_kwh_per_t"])
    assert row["cell_voltage_v"] == pytest.approx(3.05)


@WITH_CELLS
async def test_minute_without_a_voltage_is_left_out_of_energy_and_makes_it_uncertain(api, db, ids):
    await change_minutes(db, ids["acme/EI-1"], "", BEGIN, BEGIN + HOUR // 2)
    await change_minutes(db, ids["acme/EI-1"], "", BEGIN + HOUR)
    await roll_up(db)
    first, second = (await electrolyser_rows(api))["items"]
    assert first["dc_kwh_per_t"] == per_tonne(VOLT)
    assert (first["completeness"], first["quality"]) == (0.5, q.UNCERTAIN | q.INCOMPLETE | 32)
    assert first["missing"] == ["acme/EI-1"]
    assert (second["dc_kwh_per_t"], second["k_v_m2_ka"]) == (None, None)
    assert second["product_t"] > 0
    assert second["quality"] >= q.BAD


@METERED
async def test_energy_by_its_own_meter_is_that_of_the_minutes_with_current_and_meter(api, db, ids):
    await change_minutes(db, ids["acme/JI-2"], "", BEGIN, BEGIN + HOUR // 3)
    await change_minutes(db, ids["acme/JI-2"], "", BEGIN + HOUR, BEGIN + HOUR * 7 // 4)
    await roll_up(db)
    first, second = (await electrolyser_rows(api))["items"]
    assert first["dc_kwh_per_t"] == per_tonne(1.01 * VOLT)
    assert (first["completeness"], first["missing"]) == (pytest.approx(2 / 3), ["acme/JI-2"])
    assert second["dc_kwh_per_t"] is None
    assert second["product_t"] == pytest.approx(first["product_t"])


async def test_electrolyser_without_a_voltage_still_has_a_current(api):
    row = (await electrolyser_rows(api))["items"][0]
    assert row["product_t"] > 0
    keys = ("method", "dc_kwh_per_t", "cell_voltage_v", "current_density_ka_m2", "k_v_m2_ka")
    assert [row[key] for key in keys] == [None] * 5
    assert (row["completeness"], row["quality"]) == (1.0, 32)


# --- current efficiency -------------------------------------------------------

SEEN = 0.93  # by the oxygen in the chlorine, where the model says 0.96
EFFECTIVE = "caustic.cells.E-1.current.effective"
ANALYSED_TOML = CELLS_TOML.replace(
    'voltage = "acme/EI-1"',
    'voltage = "acme/EI-1"\noxygen = "acme/AI-O2"\ntemperature = "acme/TI-1"\n'
    'coated = 2024-06-02\nrecoating_cost = "2e6 CNY"\nenergy_price = "0.5 CNY/kWh"',
)
ANALYSED_TAGS = (
    CELL_TAGS
    + """AI-O2,demo/acme/caustic/cells,fraction,%,gauge,0,6,0.05,oxygen
TI-1,demo/acme/caustic/cells,temperature,degC,gauge,80,92,0.3,cells
"""
)
ANALYSED_MEAN = CELL_MEAN | {
    "AI-O2": (1 - SEEN) / (1 + SEEN), "TI-1": 363.15, EFFECTIVE: 16e3 * SEEN,
}  # fmt: skip
WITH_ANALYSIS = with_park(ANALYSED_TOML, ANALYSED_TAGS, ANALYSED_MEAN)


@WITH_ANALYSIS
async def test_a_fall_of_the_efficiency_is_named_and_less_chlorine_is_made(api):
    row = (await electrolyser_rows(api))["items"][0]
    for name in ("current_efficiency", "current_efficiency_analysis"):
        assert row[name] == pytest.approx(SEEN, rel=1e-9)
    by_oxygen = 2 * SEEN**2 / (1 - (1 - SEEN) / (1 + SEEN)) ** 2 * 0.0005
    sigma = np.hypot(by_oxygen, 0.003)
    assert row["current_efficiency_ci"] == pytest.approx(1.959963984540054 * sigma, rel=1e-3)
    # Chlorine leaves the cells by a stream without a meter, and caustic soda by none.
    assert row["current_efficiency_meters"] is None
    assert row["efficiency_consistent"] is None
    assert (row["current_efficiency_model"], row["efficiency_verdict"]) == (0.96, "below")
    charge = 16e3 * CELLS * 3600
    below = charge * 0.03 * faraday.mass_per_charge(faraday.CL2) / 1000
    assert row["chlorine_below_model_t"] == pytest.approx(below)
    assert row["product_t"] == pytest.approx(
        charge * SEEN * faraday.mass_per_charge(faraday.NAOH) / 1000
    )
    assert row["dc_kwh_per_t"] == pytest.approx(
        faraday.specific_energy(np.array(VOLT / CELLS), np.array(SEEN), faraday.NAOH) / 3.6e3
    )
    balance = await rows_of(api, "demo/acme/chlorine", **TWO_HOURS)
    made = charge * SEEN * faraday.mass_per_charge(faraday.CL2) / 1000
    assert balance["items"][0]["production_t"] == pytest.approx(made)


@WITH_ANALYSIS
async def test_sums_of_the_past_follow_the_analysis_also_where_nothing_was_derived(api, db, ids):
    for table in ("sample", "minute", "hour", "day"):
        await db.execute(f"DELETE FROM {table} WHERE tag_id = $1", ids[f"acme/{EFFECTIVE}"])
    row = (await electrolyser_rows(api))["items"][0]
    charge = 16e3 * CELLS * 3600
    made = charge * SEEN * faraday.mass_per_charge(faraday.NAOH) / 1000
    assert row["product_t"] == pytest.approx(made)
    assert (row["completeness"], row["quality"]) == (1.0, 32)


@WITH_CELLS
async def test_electrolyser_without_analysis_and_meters_has_an_undecided_efficiency(api):
    row = (await electrolyser_rows(api))["items"][0]
    assert row["current_efficiency"] is None
    assert row["current_efficiency_model"] == 0.96
    assert (row["efficiency_verdict"], row["chlorine_below_model_t"]) == ("undecided", None)


METERED_TOML = (
    ANALYSED_TOML
    + """
[[scope]]
id = "demo/acme/caustic/liquor"
kind = "unit"
name = {zh = "碱液", en = "Liquor"}
[[stream]]
id = "naoh"
from = "demo/acme/caustic/cells"
to = "demo/acme/caustic/liquor"
medium = "caustic_32"
mode = "pipe"
flow = "acme/FI-32"
"""
)
LIQUOR = 16e3 * CELLS * SEEN * faraday.mass_per_charge(faraday.NAOH) / 0.32
HYDROGEN = 16e3 * CELLS * faraday.mass_per_charge(faraday.H2) / 0.08994
WITH_METERS = with_park(
    METERED_TOML,
    ANALYSED_TAGS + "FI-32,demo/acme/caustic/cells,mass_flow,t/h,gauge,0,100,0.5 %,liquor\n",
    ANALYSED_MEAN | {"FI-32": LIQUOR, "FT-4": HYDROGEN},
)


@WITH_METERS
async def test_meters_tell_the_efficiency_also_of_an_hour_in_which_one_was_silent(api, db, ids):
    whole, _ = (await electrolyser_rows(api))["items"]
    assert whole["current_efficiency_meters"] == pytest.approx(SEEN, rel=1e-6)
    assert (whole["efficiency_consistent"], whole["efficiency_verdict"]) == (True, "below")
    assert whole["current_efficiency_ci"] < whole["current_efficiency_meters_ci"]
    # Three quarters of an hour without the meter of the liquor are no loss of efficiency.
    await change_minutes(db, ids["acme/FI-32"], "", BEGIN, BEGIN + HOUR // 4)
    await change_minutes(db, ids["acme/FI-32"], "", BEGIN + HOUR, BEGIN + HOUR * 7 // 4)
    await roll_up(db)
    quarter, most = (await electrolyser_rows(api))["items"]
    assert quarter["current_efficiency_meters"] == pytest.approx(SEEN, rel=1e-6)
    assert quarter["efficiency_verdict"] == "below"
    assert most["current_efficiency_meters"] is None
    assert most["current_efficiency"] == pytest.approx(SEEN, rel=1e-6)


AGED_DAYS = 60


@WITH_ANALYSIS
async def test_ageing_forecasts_the_date_at_which_new_coatings_pay(api, db, ids):
    """Sixty days in which the efficiency falls by 2 % and the voltage rises by 60 mV a year."""
    day = 24 * HOUR
    first = BEGIN - 8 * HOUR - AGED_DAYS * day
    for n in range(AGED_DAYS):
        year = (n + 0.5) / 365.25
        seen, volt = 0.95 - 0.02 * year, VOLT + 0.06 * CELLS * year
        means = {"II-1": 16e3, "EI-1": volt, "TI-1": 363.15,
                 "AI-O2": (1 - seen) / (1 + seen)}  # fmt: skip
        for name, mean in means.items():
            await db.execute(
                "INSERT INTO day (time, tag_id, n, amount, covered_s, min, max, last, quality)"
                " VALUES ($1, $2, 1440, $3, 86400, $4, $4, $4, 32)",
                stamp(first + n * day), ids[f"acme/{name}"], mean * 86400, mean,
            )  # fmt: skip
    result = await rows_of(api, "demo/acme/electrolysers/ageing")
    (row,) = result["items"]
    assert (row["electrolyser"], row["days"]) == ("E-1", AGED_DAYS)
    assert row["corrected_for"] == ["temperature"]
    assert row["efficiency_per_year"] == pytest.approx(-0.02, rel=1e-3)
    assert row["k_per_year_v_m2_ka"] == pytest.approx(0.06 / (16 / AREA), rel=1e-3)
    volts, seen = np.array([3.05, 3.05 + 0.06]), np.array([0.95, 0.93])
    year = np.diff(faraday.specific_energy(volts, seen, faraday.NAOH))[0] / 3.6e3
    assert row["dc_kwh_per_t_per_year"] == pytest.approx(year, rel=0.02)
    tonnes = 16e3 * CELLS * 0.948 * faraday.mass_per_charge(faraday.NAOH) * 365.25 * 86.4
    days = np.sqrt(2 * 2e6 / (row["dc_kwh_per_t_per_year"] * tonnes * 0.5)) * 365.25
    due = date.fromisoformat(row["recoat_on"])
    assert abs((due - date(2024, 6, 2)).days - days) <= 2
    assert row["recoat_from"] <= row["recoat_on"] <= row["recoat_until"]
    assert (row["coated"], row["reason"]) == ("2024-06-02", None)
    assert (row["recoating_cost_cny"], row["energy_price_cny_per_kwh"]) == (2e6, 0.5)


@WITH_ANALYSIS
async def test_a_few_hours_say_nothing_of_ageing_and_the_answer_says_why(api):
    (row,) = (await rows_of(api, "demo/acme/electrolysers/ageing"))["items"]
    assert (row["recoat_on"], row["reason"]) == (None, "too_few_days")
    assert row["efficiency_per_year"] is None
