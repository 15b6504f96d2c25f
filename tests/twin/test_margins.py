"""Margins by hand: times, rooms, shares, emissions and years of permits; what they do not know."""

from datetime import datetime

import numpy as np
import pytest

from twin.accounts.network import compile_network
from twin.loading import parse_park
from twin.margins import KINDS, Live, YearSums, compile_margins, margin_values
from twin.quality import BAD, NO_DATA, SIMULATED

TOML = """
[park]
id = "r"
kind = "park"
name = { zh = "园", en = "Park" }
timezone = "Asia/Shanghai"
[[scope]]
id = "r/e"
kind = "enterprise"
name = { zh = "企", en = "Firm" }
[[scope]]
id = "r/e/soda"
kind = "plant"
name = { zh = "碱", en = "Soda" }
[[scope]]
id = "r/e/store"
kind = "plant"
name = { zh = "库", en = "Store" }
[[electrolyser]]
id = "E-1"
scope = "r/e/soda"
kind = "membrane"
cells = 160
current = "e/II"
current_efficiency = 0.96
[[stream]]
id = "liquefied"
from = "r/e/soda"
to = "r/e/store"
medium = "liquid_chlorine"
mode = "pipe"
flow = "e/F-IN"
[[stream]]
id = "used"
from = "r/e/store"
to = "r/e/soda"
medium = "liquid_chlorine"
mode = "pipe"
flow = "e/F-USED"
[[stream]]
id = "sold"
from = "r/e/store"
to = "market"
medium = "liquid_chlorine"
mode = "road"
flow = "e/F-SOLD"
[[tank]]
id = "V"
scope = "r/e/store"
medium = "liquid_chlorine"
mass = "e/M-CL2"
[[tank]]
id = "N"
scope = "r/e/soda"
medium = "caustic_32"
mass = "e/M-NAOH"
[[absorber]]
id = "absorber"
scope = "r/e/soda"
chlorine = "e/F-TAIL"
tank = "N"
[[hazard]]
id = "store"
scope = "r/e/store"
persons = 10
[hazard.substances]
chlorine = "160 t"
[[outlet]]
id = "stack"
scope = "r/e/soda"
kind = "stack"
pollutants = { SO2 = "e/A-SO2" }
flow = "e/F-GAS"
running = "e/Y"
permit = { SO2 = "35 mg/m^3" }
[[permit]]
id = "so2"
scope = "r/e"
pollutant = "SO2"
amount = "30 t"
[[permit_period]]
id = "july"
permit = "so2"
since = 2025-07-01
until = 2025-08-01
factor = "60 %"
[[campaign]]
id = "stop"
scope = "r/e"
load = 0
since = 2025-12-22
until = 2026-02-01
[[campaign]]
id = "elsewhere"
scope = "r/e/store"
load = 0
since = 2025-10-01
until = 2025-11-01
[[outlet]]
id = "vent"
scope = "r/e/soda"
kind = "stack"
pollutants = {}
flow = "e/F-GAS"
[[analysis]]
id = "vent-voc"
outlet = "vent"
pollutant = "VOC"
concentration = "e/A-VOC"
holds = "31 day"
[[permit]]
id = "voc"
scope = "r/e"
pollutant = "VOC"
amount = "1 t"
[[target]]
id = "k1"
scope = "r"
kpi = "local_share_of_liquid"
uom = "%"
value = 85
sense = "at_least"
[[target]]
id = "k2"
scope = "r"
kpi = "local_share_of_chlorine"
uom = "%"
value = 85
sense = "at_least"
"""
TAGS = """tag,scope,quantity,uom,kind,low,high,sigma,description
II,r/e/soda,current,kA,gauge,,,1 %,
F-IN,r/e/soda,mass_flow,t/h,gauge,,,1 %,
F-USED,r/e/store,mass_flow,t/h,gauge,,,1 %,
F-SOLD,r/e/store,mass_flow,t/h,gauge,,,1 %,
F-TAIL,r/e/soda,mass_flow,t/h,gauge,,,1 %,
M-CL2,r/e/store,mass,t,gauge,0,200,1 %,
M-NAOH,r/e/soda,mass,t,gauge,0,500,1 %,
A-SO2,r/e/soda,concentration,mg/m^3,gauge,0,200,1 %,
A-VOC,r/e/soda,concentration,mg/m^3,gauge,0,200,1 %,
F-GAS,r/e/soda,normal_volume_flow,m^3/h,gauge,0,200000,1 %,
Y,r/e/soda,state,,state,,,,
"""
NETWORK = compile_network(parse_park({"park.toml": TOML, "tags.csv": TAGS}))
MARGINS = compile_margins(NETWORK)
# In the units of the tags.
USUAL = {
    "II": 16, "F-IN": 1.5, "F-USED": 0.6, "F-SOLD": 0.4, "F-TAIL": 0.5, "M-CL2": 120,
    "M-NAOH": 100, "A-SO2": 28, "A-VOC": 1, "F-GAS": 100_000, "Y": 1,
}  # fmt: skip
# 16 kA through 160 cells at 96 %: kg/s of chlorine.
MADE = 16e3 * 160 * 0.96 * 70.906e-3 / (2 * 96485.33212)
NAOH_PER_CL2 = 2 * 39.99711 / 70.906
# 2025 has 365 days; 100 days are known of.
NOW_US = round(datetime.fromisoformat("2025-07-01T00:00:00+08:00").timestamp()) * 1_000_000
YEAR = YearSums(np.array([7000.0]), np.array([100 * 86_400.0]))


def told(changes=None, year=YEAR, quality=SIMULATED, now_us=NOW_US):
    """Return values and quality by kind, of the usual values and some others."""
    value, mark = np.full(len(NETWORK.tags), np.nan), np.full(len(NETWORK.tags), quality, np.uint8)
    for name, number in (USUAL | (changes or {})).items():
        at = NETWORK.index[f"e/{name}"]
        value[at] = number * NETWORK.tags[at].scale
        mark[at] = NO_DATA if np.isnan(number) else quality
    values, marks = margin_values(MARGINS, Live(value, value), mark, year, now_us)
    kinds = [item.kind for item in MARGINS.items]
    return dict(zip(kinds, values.tolist(), strict=True)), dict(zip(kinds, marks, strict=True))


def test_every_kind_of_margin_is_that_by_hand():
    values, marks = told()
    assert values == pytest.approx({
        # 80 t of room, and 1.5 come while 1.0 t/h go.
        "time_to_full": 80 / 0.5 * 3600,
        "headroom": 80 / 200,
        # 32 t of caustic soda in 100 t of its liquor, for 0.5 t/h.
        "absorber_time": 32 / (0.5 * NAOH_PER_CL2) * 3600,
        # Both weighted alike: 120 of 160 t.
        "hazard": 120 / 160,
        "local_share_of_liquid": 0.6 / 1.0,
        "local_share_of_chlorine": 1 - 0.4 / 3.6 / MADE,
        "emission": 28 / 35,
        # 28 mg/m3 in 100,000 m3/h are 2.8 kg/h.
        "permit_rate": 2.8 / 3600,
        # 70 kg a day, in 31 days of July no more than 60 % of an even use, none in ten of December.
        "permit_forecast": (70 * (365 - 31 - 10) + 31 * 0.6 * 30_000 / 365) / 30_000,
        "period_rate": 2.8 * 24 / (0.6 * 30_000 / 365),
    }, rel=1e-6)  # fmt: skip
    assert values.keys() == KINDS.keys()
    assert set(marks.values()) == {SIMULATED}


def test_times_end_at_a_horizon_and_a_full_tank_has_none():
    values, _ = told({"F-IN": 0.5, "F-TAIL": 0})
    assert values["time_to_full"] == values["absorber_time"] == 720 * 3600
    assert told({"M-CL2": 200})[0]["time_to_full"] == 0
    assert told({"M-NAOH": 0})[0]["absorber_time"] == 0


def test_a_margin_of_what_is_not_known_is_not_known_and_says_so():
    values, marks = told({"F-SOLD": np.nan, "M-CL2": np.nan, "A-SO2": np.nan})
    unknown = {kind for kind, value in values.items() if np.isnan(value)}
    assert unknown == {
        "time_to_full", "headroom", "hazard", "local_share_of_liquid", "local_share_of_chlorine",
        "emission", "permit_rate", "period_rate",
    }  # fmt: skip
    assert all(marks[kind] >= BAD for kind in unknown)


def test_a_stack_that_stands_still_sends_out_nothing():
    values, _ = told({"Y": 0, "F-GAS": 100, "A-SO2": 100})
    assert values["emission"] == values["permit_rate"] == values["period_rate"] == 0


def test_a_year_of_which_too_little_is_known_is_not_forecast():
    short = YearSums(np.array([1.0]), np.array([600.0]))
    assert np.isnan(told(year=short)[0]["permit_forecast"])


def test_a_special_period_that_is_over_has_no_rate_and_curbs_nothing():
    values, _ = told(now_us=NOW_US + 31 * 86_400 * 1_000_000)
    assert np.isnan(values["period_rate"])
    assert values["permit_forecast"] == pytest.approx(70 * (365 - 10) / 30_000)


def test_permit_with_a_source_that_people_analyse_has_no_margin():
    permits = {item.permit.id for item in MARGINS.items if item.permit}
    assert permits == {"so2"}
