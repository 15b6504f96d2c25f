"""Findings in words: made of figures, and silent where these decide nothing."""

import pytest

from api.baselines.findings import Effect, ageing_findings, effect_findings
from tests.support.small_baseline import PARK


def row(slope, width, cell="E-3"):
    return {
        "electrolyser": cell,
        "k_per_year_v_m2_ka": 0.004,
        "dc_kwh_per_t_per_year": slope,
        "dc_kwh_per_t_per_year_ci": width,
    }


def test_ageing_of_an_electrolyser_is_told_in_megawatt_hours_a_month():
    rows = [row(30.0, 9.0), row(30.0, 31.0, "E-4"), row(None, None, "E-5")]
    scopes, made = {"E-3": "acmepark/acme"}, {"E-3": 220.0, "E-4": 220.0}
    (finding,) = ageing_findings(rows, scopes, made, 0.5)
    # 15 kWh/t on 220 t a day, in a month of 30.44 days.
    assert finding["value"] == pytest.approx(15 * 220 * 365.25 / 12 / 1000)
    assert finding["ci"] == pytest.approx(finding["value"] * 0.3)
    assert "rose by 15 kWh/t since the period before: +100 MWh a month (±30)" in finding["en"]
    assert "直流电耗较基期上升 15 kWh/t，每月 +100 MWh（±30）" in finding["zh"]


def test_effect_is_told_from_a_thousandth_on_where_its_interval_excludes_0():
    effects = [
        Effect("acmepark/acme", "caustic", "volume", 5.0, 1.0, 1000.0),
        Effect("acmepark/acme", "caustic", "mix", 0.5, 0.1, 1000.0),
        Effect("acmepark/acme", "caustic", "intensity", 5.0, 6.0, 1000.0),
        Effect("acmepark/acme", "caustic", "started_or_stopped", 30.0, 1.0, 0.0),
    ]
    start, volume = effect_findings(PARK, "electricity", "MWh/day", effects)
    assert volume["en"].startswith(
        "Acme (caustic): the volume made raised its electricity by 5 MWh"
    )
    assert "(+0.5%, ±1)" in volume["en"]
    assert "示例企业（caustic）：开停车使电耗增加 30 MWh/日（新开，±1）" in start["zh"]


def test_large_and_small_figures_are_told_without_an_exponent():
    effects = [Effect("acmepark/acme", "caustic", "price", -8243.6, 1187.0, 100_000.0)]
    (cost,) = effect_findings(PARK, "electricity_cost", "CNY/day", effects)
    assert "lowered its cost of electricity by 8,240 CNY/day (-8.2%, ±1,200)" in cost["en"]
    assert "使电费减少 8,240 元/日（-8.2%，±1,200）" in cost["zh"]
    (aged,) = ageing_findings([row(0.0123, 0.001)], {"E-3": "acmepark/acme"}, {"E-3": 220.0}, 0.5)
    assert "rose by 0.00615 kWh/t" in aged["en"]
    assert "+0.0412 MWh a month (±0.0033)" in aged["en"]
