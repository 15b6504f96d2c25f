"""A month of a small region whose figures follow from simple constants: all arithmetic is here.

June 2025 has 30 days, 720 hours. Everything is constant from 1 January to 30 June; the books of a
year before have two thirds of the tax. Two parks: a with acme (caustic soda), b with beta
(aluminium). Meters are good to a millionth, so that nothing is undecided.
"""

import json
import math
import re
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.support.small_park import S, add_cycle, add_samples, add_tags, rows_of, serving, stamp
from twin.accounts.network import compile_network
from twin.loading import parse_park
from twin.targets.model import KPIS

DAY = 86_400 * S
JUNE = {"from": "2025-06-01T00:00:00+08:00", "to": "2025-07-01T00:00:00+08:00"}


def at(day):
    return round(datetime.fromisoformat(f"{day}T00:00:00+08:00").timestamp()) * S


BEGIN, NOW = at("2025-01-01"), at("2025-07-01") + 600 * S
HEAD = """
[park]
id = "r"
kind = "region"
name = { zh = "区", en = "Region" }
timezone = "Asia/Shanghai"
"""
SCOPES = {
    "r/a": "park", "r/b": "park", "r/a/acme": "enterprise", "r/b/beta": "enterprise",
    "r/a/acme/soda": "plant", "r/a/acme/soda/cells": "unit", "r/a/acme/soda/store": "unit",
    "r/a/acme/vcm": "plant", "r/b/beta/pots": "plant",
}  # fmt: skip
SCOPE = '[[scope]]\nid = "{0}"\nkind = "{1}"\nname = {{ zh = "{0}", en = "{0}" }}\n'
PLANTS = """
[[electrolyser]]
id = "E-1"
scope = "r/a/acme/soda/cells"
kind = "membrane"
cells = 160
current = "acme/II-1"
voltage = "acme/EI-1"
current_efficiency = 0.96
area = "2.7 m^2"
capacity = "30 kt/year"
[[electrolyser]]
id = "E-2"
scope = "r/a/acme/soda/cells"
kind = "membrane"
cells = 160
current = "acme/II-2"
current_efficiency = 0.96
zero_gap = true
area = "2.7 m^2"
capacity = "10 kt/year"
[[retrofit]]
id = "E-1-zero-gap"
electrolyser = "E-1"
planned = 2026-01-01
saving = "100 kWh/t"
[[stream]]
id = "gas"
from = "r/a/acme/soda/cells"
to = "r/a/acme/vcm"
medium = "chlorine"
mode = "pipe"
flow = "acme/F-GAS"
[[stream]]
id = "liquefied"
from = "r/a/acme/soda/cells"
to = "r/a/acme/soda/store"
medium = "liquid_chlorine"
mode = "internal"
[[stream]]
id = "evaporated"
from = "r/a/acme/soda/store"
to = "r/a/acme/vcm"
medium = "liquid_chlorine"
mode = "pipe"
flow = "acme/F-EVAPORATED"
[[stream]]
id = "sold"
from = "r/a/acme/soda/store"
to = "market"
medium = "liquid_chlorine"
mode = "road"
flow = "acme/F-SOLD"
[[tank]]
id = "V-1"
scope = "r/a/acme/soda/store"
medium = "liquid_chlorine"
mass = "acme/M-1"
shape = "vertical_cylinder"
diameter = "4 m"
length = "10 m"
density = "1.4 t/m^3"
fill_limit = 0.8
[[hazard]]
id = "store"
scope = "r/a/acme/soda/store"
persons = 60
[hazard.substances]
chlorine = "200 t"
[[outlet]]
id = "drain"
scope = "r/b/beta/pots"
kind = "drain"
pollutants = { COD = "beta/AI-COD" }
flow = "beta/F-DRAIN"
[[permit]]
id = "beta-cod"
scope = "r/b/beta"
pollutant = "COD"
amount = "50 t"
[[permit_period]]
id = "december"
permit = "beta-cod"
since = 2025-12-01
until = 2026-01-01
factor = "80 %"
[[freight]]
id = "by-road"
scope = "r/a/acme"
mode = "road"
distance = "500 km"
tag = "acme/B-WASTE"
[[freight]]
id = "by-rail"
scope = "r/a/acme"
mode = "rail"
distance = "800 km"
tag = "acme/B-USED"
[[freight]]
id = "by-pipe"
scope = "r/a/acme"
mode = "pipe"
distance = "450 km"
tag = "acme/F-GAS"
[[freight]]
id = "near"
scope = "r/b/beta"
mode = "road"
distance = "399 km"
tag = "beta/B-WASTE"
[[meter]]
scope = "r/a/acme/soda"
carrier = "electricity"
tag = "acme/P"
product = "caustic"
[[meter]]
scope = "r/b/beta/pots"
carrier = "electricity"
tag = "beta/P"
product = "aluminium"
[[product]]
id = "caustic"
scope = "r/a/acme/soda"
tag = "acme/F-NAOH"
[[product]]
id = "aluminium"
scope = "r/b/beta/pots"
tag = "beta/F-AL"
[[green_power]]
id = "green"
scope = "r/a/acme"
kind = "contract"
from = 2025-01-01
to = 2025-12-31
share = 0.5
[[asset]]
id = "old"
scope = "r/a/acme"
kind = "gasifier"
capacity = "10 kt/year"
[[asset]]
id = "new"
scope = "r/a/acme"
kind = "gasifier"
capacity = "30 kt/year"
has = ["clean"]
[[resource]]
id = "acid"
scope = "r/a/acme/vcm"
name = { zh = "废酸", en = "Spent acid" }
category = "waste"
phase = "liquid"
typical = "1 t/h"
status = "product"
disposition = "treat"
disposal_cost = "600 CNY/t"
modes = ["road"]
measured = "acme/F-ACID"
[resource.composition]
sulphuric_acid = "77 %"
[resource.destinations]
use = "acme/F-SENT"
treat = "acme/F-TREATED"
[[need]]
id = "pickling"
scope = "r/b/beta/pots"
name = { zh = "酸洗", en = "Pickling" }
component = "sulphuric_acid"
industry = "metals"
purity = "70 %"
max = "1 t/h"
price = "100 CNY/t"
phases = ["liquid"]
modes = ["road"]
[[haul]]
id = "acid-road"
from = "acid"
to = "pickling"
mode = "road"
distance = "50 km"
cost = "50 CNY/t"
investment = "11395800 CNY"
[[transfer]]
id = "acid-to-beta"
resource = "acid"
need = "pickling"
amount = "500 t"
from = 2025-01-01
sent = "acme/F-SENT"
received = "beta/F-RECEIVED"
[[evaluation]]
id = "rule"
scope = "r"
year = 2025
by = "score"
[[evaluation_indicator]]
evaluation = "rule"
id = "tax-land"
over = "B-TAX"
under = "B-LAND"
uom = "万元/亩"
weight = 1
benchmark = 40
cap = 1.5
[[evaluation_class]]
evaluation = "rule"
id = "A"
least = 120
electricity = "0 CNY/kWh"
[[evaluation_class]]
evaluation = "rule"
id = "B"
least = 80
electricity = "0.05 CNY/kWh"
[[evaluation_class]]
evaluation = "rule"
id = "C"
[[benchmark_park]]
scope = "r"
park = "r/b"
[[metering]]
scope = "r/a/acme"
carrier = "electricity"
users = "plant"
required = 4
installed = 3
[[automation]]
id = "control"
scope = "r/a/acme"
kind = "control"
tags = "acme/N-AUTO"
total = 10
[[automation]]
id = "interlock"
scope = "r/a/acme"
kind = "interlock"
tags = "acme/N-LOCKS"
total = 5
[[park_indicator]]
id = "tax-land"
name = { zh = "亩均税收", en = "Tax per land" }
uom = "万元/亩"
kpi = "ratio"
sense = "at_least"
part = "B-TAX"
whole = "B-LAND"
[[park_indicator]]
id = "waste"
name = { zh = "废物利用率", en = "Waste used" }
uom = "%"
kpi = "ratio"
sense = "at_least"
part = "B-USED"
whole = "B-WASTE"
loop = "solid_waste"
[[park_indicator]]
id = "caustic"
name = { zh = "吨碱电耗", en = "Electricity per caustic soda" }
uom = "kWh/t"
kpi = "electricity_intensity"
product = "caustic"
sense = "at_most"
"""
TARGET = (
    '[[target]]\nid = "{0}"\nscope = "r"\nkpi = "{1}"\nuom = "{2}"\nvalue = {3}\nsense = "{4}"\n'
)
# Of each target: figure, unit, goal, side and what else it needs; then its value and state.
TAX, LAND = '["acme/B-TAX", "beta/B-TAX"]', '["acme/B-LAND", "beta/B-LAND"]'
# 16 kA through 160 cells at 96 %: 70.906 and 39.997 g/mol over 2 and 1 times 96485.33 C/mol.
CL2 = 16e3 * 160 * 0.96 * 70.906 / (2 * 96485.33212) * 3600 / 1e6  # 3.2510 t/h
NAOH_VOLT = 96485.33212 / 39.99711 / 3.6 / 0.96  # 698.0 kWh per tonne and volt
YEAR_D = 365.25
# 4 m wide, 10 m long, 1.4 t/m3, of it 80 %: 140.7 t.
FULL = math.pi / 4 * 4**2 * 10 * 1.4 * 0.8
TARGETS = {
    # 9 MW over 3.6 t/h; electricity is 0.1229 kgce/kWh by its heat.
    "kwh": ("electricity_intensity", "kWh/t", 2400, "at_most", 'product = "caustic"',
            2500.0, "not_met"),
    "kgce": ("energy_intensity", "kgce/t", 310, "at_most", 'product = "caustic"',
             2500 * 0.1229, "met"),
    # 0.4 of 1.2 t/h that leave the store; 0.8 t/h are sold of 3.2 made, by the closed balance: the
    # meters are better than the current efficiency.
    "k1": ("local_share_of_liquid", "%", 85, "at_least", "", 100 * 0.4 / 1.2, "not_met"),
    "k2": ("local_share_of_chlorine", "%", 70, "at_least", "", 100 * (1 - 0.8 / 3.2), "met"),
    # 2.4 t/h find a user, 3.6 t/h of caustic soda bring 70.906 / (2 · 39.997) of it.
    "balance": ("chlor_alkali_balance", "%", 100, "at_least", "",
                100 * 2.4 / (3.6 * 70.906 / (2 * 39.99711)), "not_met"),
    # The current efficiency is not that well known. Made less 2.0 + 0.4 used and 0.8 sold.
    "closure": ("unaccounted_share", "%", 1, "at_most", "",
                100 * (CL2 - 3.2) / CL2, "undecided"),
    "zero-gap": ("zero_gap_share", "%", 100, "at_least", "", 100 * 10 / 40, "not_met"),
    "capacity": ("capacity", "kt/year", 50, "at_most", 'product = "caustic"', 40.0, "met"),
    "clean-gas": ("asset_share", "%", 100, "at_least", 'asset = "gasifier"\nhas = "clean"',
                  100 * 30 / 40, "not_met"),
    "gasifiers": ("asset_capacity", "kt/year", 40, "at_most", 'asset = "gasifier"', 40.0, "met"),
    # 2 of 5 and 2 of 3 t a day.
    "waste": ("ratio", "%", 40, "at_least",
              'part = ["acme/B-USED", "beta/B-USED"]\nwhole = ["acme/B-WASTE", "beta/B-WASTE"]',
              100 * (2 + 2) / (5 + 3), "met"),
    # 10 and 30 万元 a day over 100 and 150 亩, as an amount of a year.
    "tax-land": ("ratio", "万元/亩", 60, "at_least", f"part = {TAX}\nwhole = {LAND}",
                 40 * YEAR_D / 250, "not_met"),
    "tax": ("amount", "万元/year", 14000, "at_least", f"part = {TAX}", 40 * YEAR_D, "met"),
    # 3652.5 and 10957.5 万元 a year.
    "payers": ("count", "家", 2, "at_least", f'part = {TAX}\nabove = "5000 万元"', 1.0, "not_met"),
    # 20 万元 a day in 2024, 30 now.
    "rise": ("rise", "%", 50, "at_least",
             'part = "beta/B-TAX"\nwhole = "beta/B-LAND"\nbase_year = 2024', 50.0, "met"),
    # 142.9 MW are bought at 0.5306 t/MWh of 2023, the newest; a tonne of aluminium uses 0.42 t of
    # anode, 97.6 % carbon, and gives off 0.034 kg CF4 and 0.0034 kg C2F6, 6500 and 9200 as bad.
    "carbon": ("carbon_per_energy", "t/tce", 0.2, "at_most", "",
               (0.5306 + 10 * (0.42 * 0.976 * 44 / 12 + 0.221 + 0.03128) / 142.9) / 0.1229,
               "not_met"),
    # Half of the 9 MW of acme, of 9 + 133.9 MW.
    "clean": ("clean_energy_share", "%", 90, "at_least", "", 100 * 4.5 / 142.9, "not_met"),
    "data": ("data_availability", "%", 90, "at_least", "", 100.0, "met"),
    # 307 kgce/t of caustic soda are below 315, 13390 kWh/t of aluminium above 13000.
    "level": ("products_at_level", "%", 100, "at_least", 'level = "benchmark"', 100 / 2, "not_met"),
    # 2.4 t/h are used, of what the cells make.
    "loop": ("loop_rate", "%", 90, "at_least", 'loop = "chlorine"', 100 * 2.4 / CL2, "not_met"),
    # 100 t in a tank of 40 pi m3 that may be filled to 80 %.
    "room": ("chlorine_tank_room", "%", 40, "at_least", "", 100 * (FULL - 100) / FULL, "not_met"),
    # 100 t of 5 t, four times as dangerous; 60 persons nearby count 1.5.
    "hazard": ("hazard_equivalent", "1", 100, "at_most", "", 1.5 * 4 * 100 / 5, "not_met"),
    # 2 t a day over 800 km of rail and 48 t over 450 km of pipe, 5 t over 500 km of road; 399 km
    # are not far.
    "freight": ("off_road_share", "%", 95, "at_least", "",
                100 * (2 * 800 + 48 * 450) / (2 * 800 + 48 * 450 + 5 * 500), "not_met"),
    # 50 g/m3 times 100 m3/h.
    "pace": ("permit_pace", "%", 100, "at_most", 'permit = "beta-cod"',
             100 * 5e-3 * 24 * YEAR_D / 50, "met"),
}  # fmt: skip
TAGS = """tag,scope,quantity,uom,kind,low,high,sigma,description
II-1,r/a/acme/soda/cells,current,kA,gauge,,,0.0001 %,
II-2,r/a/acme/soda/cells,current,kA,gauge,,,0.0001 %,
EI-1,r/a/acme/soda/cells,voltage,V,gauge,,,0.0001 %,
F-GAS,r/a/acme/vcm,mass_flow,t/h,gauge,,,0.0001 %,
F-EVAPORATED,r/a/acme/vcm,mass_flow,t/h,gauge,,,0.0001 %,
F-SOLD,r/a/acme/soda/store,mass_flow,t/h,gauge,,,0.0001 %,
M-1,r/a/acme/soda/store,mass,t,gauge,,,0.0001 %,
F-NAOH,r/a/acme/soda,mass_flow,t/h,gauge,,,0.0001 %,
F-ACID,r/a/acme/vcm,mass_flow,t/h,gauge,,,0.0001 %,
F-SENT,r/a/acme/vcm,mass_flow,t/h,gauge,,,0.0001 %,
F-TREATED,r/a/acme/vcm,mass_flow,t/h,gauge,,,0.0001 %,
N-AUTO,r/a/acme,count,1,gauge,,,,
N-LOCKS,r/a/acme,count,1,gauge,,,,
P,r/a/acme/soda,power,MW,gauge,,,0.0001 %,
F-AL,r/b/beta/pots,mass_flow,t/h,gauge,,,0.0001 %,
F-RECEIVED,r/b/beta/pots,mass_flow,t/h,gauge,,,0.0001 %,
P,r/b/beta/pots,power,MW,gauge,,,0.0001 %,
F-DRAIN,r/b/beta/pots,volume_flow,m^3/h,gauge,0,200,0.0001 %,
AI-COD,r/b/beta/pots,concentration,mg/L,gauge,0,100,0.0001 %,
"""
BOOKS = """B-TAX,{0},money,万元,amount,,,,
B-LAND,{0},area,亩,gauge,,,,
B-WASTE,{0},mass,t,amount,,,,
B-USED,{0},mass,t,amount,,,,
"""
BOOK = '[[book]]\ntag = "{0}/{1}"\nperiod = "month"\n'
FIRMS = {"acme": "r/a/acme", "beta": "r/b/beta"}
FILES = {
    "park.toml": HEAD
    + "".join(SCOPE.format(*each) for each in SCOPES.items())
    + PLANTS
    + "".join(TARGET.format(id_, *row[:4]) + row[4] + "\n" for id_, row in TARGETS.items())
    + "".join(
        BOOK.format(firm, tag) for firm in FIRMS for tag in ("B-TAX", "B-LAND", "B-WASTE", "B-USED")
    ),
    "tags.csv": TAGS + "".join(BOOKS.format(scope) for scope in FIRMS.values()),
}
# What each tag has in a day, in its unit times hours, or as an amount.
H = 24.0
DAILY = {
    "acme/II-1": 16 * H, "acme/II-2": 0.0, "acme/EI-1": 3.2 * 160 * H,
    "acme/F-GAS": 2.0 * H, "acme/F-EVAPORATED": 0.4 * H, "acme/F-SOLD": 0.8 * H,
    "acme/M-1": 100 * H, "acme/F-NAOH": 3.6 * H, "acme/P": 9 * H, "acme/F-ACID": 1.2 * H,
    "acme/F-SENT": 0.7 * H, "acme/F-TREATED": 0.5 * H, "acme/N-AUTO": 8 * H, "acme/N-LOCKS": 4 * H,
    "beta/F-DRAIN": 100 * H, "beta/AI-COD": 50 * H,
    "beta/F-AL": 10 * H, "beta/P": 133.9 * H, "beta/F-RECEIVED": 0.7 * H,
    "acme/B-TAX": 10.0, "beta/B-TAX": 30.0, "acme/B-LAND": 100 * H, "beta/B-LAND": 150 * H,
    "acme/B-WASTE": 5.0, "beta/B-WASTE": 3.0, "acme/B-USED": 2.0, "beta/B-USED": 2.0,
}  # fmt: skip


SECONDS = {"day": 86_400, "hour": 3600, "minute": 60}


async def add_rows(db, network, ids, first, stop, daily, table="day"):
    """Fill days, or hours, with what each tag has in a day."""
    tags, seconds = {tag.address: tag for tag in network.tags}, SECONDS[table]
    for name, amount in daily.items():
        tag = tags[name]
        held = tag.kind == "gauge"
        si = amount * tag.scale * (3600 if held else 1) * seconds / 86_400
        await db.execute(
            f"INSERT INTO {table} (time, tag_id, n, amount, covered_s, min, max, last, quality)"
            " SELECT t, $1, 60, $2, $3, $4, $4, $4, 0 FROM generate_series($5::timestamptz,"
            " $6::timestamptz - $7::interval, $7::interval) t",
            ids[name], si, float(seconds), si / seconds if held else si,
            stamp(first), stamp(stop), timedelta(seconds=seconds),
        )  # fmt: skip


@pytest.fixture
async def api(database, db):
    network = compile_network(parse_park(FILES))
    await db.execute(
        "INSERT INTO model (digest, files, applied) VALUES ($1, $2, $3)",
        "1", json.dumps(FILES), stamp(BEGIN),
    )  # fmt: skip
    ids = await add_tags(db, network.tags)
    june, july = at("2025-06-01"), at("2025-07-01")
    await add_rows(db, network, ids, BEGIN, july, DAILY)
    await add_rows(db, network, ids, BEGIN, july, DAILY, "hour")
    # Stocks are looked up in minutes, at both ends.
    for edge in (june, july):
        stock = {"acme/M-1": DAILY["acme/M-1"]}
        await add_rows(db, network, ids, edge - 300 * S, edge + 300 * S, stock, "minute")
    before = {"beta/B-TAX": 20.0, "beta/B-LAND": 150 * H}
    await add_rows(db, network, ids, at("2024-01-01"), BEGIN, before)
    await add_samples(db, ids["acme/M-1"], [NOW - 10 * S], [100e3], quality=0)
    await add_cycle(db, NOW - 300_000, [])
    async with serving(database, NOW) as (client, _):
        yield client


# Nearly nothing: what a meter that is good to a millionth leaves of the interval of 1.
EXACT = 1e-5
# Answers whose figures are worked out here, and those of them that a month without want has none
# of: an infeasible allocation, trends, entries of the ledger of reductions. Others hold these.
ROUTES = (
    "scopes/{path}/catalogue", "scopes/{path}/catalogue/allocation",
    "scopes/{path}/catalogue/matches", "scopes/{path}/catalogue/ledger",
    "scopes/{path}/evaluation", "scopes/{path}/tariffs", "scopes/{path}/benchmark",
    "scopes/{path}/retrofit", "scopes/{path}/loops", "scopes/{path}/maturity",
    "scopes/{path}/totals", "scopes/{path}/totals/ledger", "targets",
)  # fmt: skip
ELSEWHERE = {
    "QualityPrice": "tests/api/test_resources.py",
    "Shortfall": "tests/api/test_resources.py",
    "Change": "tests/api/test_target_books.py",
    "Move": "tests/api/test_target_books.py",
    "Outlook": "tests/api/test_target_books.py",
    "TargetPace": "tests/api/test_target_books.py",
    "AdvanceRow": "tests/api/test_totals.py",
    "CoverRow": "tests/api/test_totals.py",
    "MeteredEffect": "tests/api/test_totals.py",
    "QuotaEntry": "tests/api/test_totals.py",
    "ReductionRow": "tests/api/test_totals.py",
}


class ByHand:
    """Compares the figures of rows with those by hand: all that have a formula, or it fails."""

    def __init__(self, document):
        self.document, self.compared = document, set()

    def figures(self, name):
        fields = self.document["components"]["schemas"][name].get("properties", {})
        return {field for field, each in fields.items() if "x-formula" in json.dumps(each)}

    def reached(self):
        """Return the types with figures that the routes answer with."""
        schemas, names = self.document["components"]["schemas"], set()
        waiting = [self.document["paths"][f"/api/v1/{r}"]["get"]["responses"] for r in ROUTES]
        while waiting:
            text = json.dumps(waiting.pop())
            more = set(re.findall('#/components/schemas/([^"]+)', text)) - names
            names |= more
            waiting += [schemas[name] for name in more]
        return {name for name in names if self.figures(name)}

    def compare(self, name, row, **by_hand):
        """Compare a row; an interval (of 95 %) that is not given is nearly nothing."""
        figures = self.figures(name)
        open_ = {field for field in figures - by_hand.keys() if is_width(field)}
        assert figures == by_hand.keys() | open_, name
        values = {field: row[field] for field in by_hand}
        assert values == {
            field: value if value is None else pytest.approx(value, rel=EXACT, abs=1e-9)
            for field, value in by_hand.items()
        }, name
        largest = max([1.0, *(abs(each) for each in by_hand.values() if each)])
        for field in open_:
            assert (row[field] or 0.0) <= EXACT * largest, (name, field)
        self.compared.add(name)


def is_width(field):
    """Tell whether a field is half the width of an interval."""
    return "_ci" in field or "half_width" in field


async def test_every_figure_of_a_month_is_that_by_hand(api):
    answer = await api.get("/api/v1/targets", params={"trend": "none", **JUNE})
    assert answer.status_code == 200, answer.text
    rows = {row["id"]: row for row in answer.json()["items"]}
    values = {id_: row["value"] for id_, row in rows.items()}
    assert values == {id_: pytest.approx(row[-2], rel=2e-5) for id_, row in TARGETS.items()}
    states = {id_: row["state"] for id_, row in rows.items()}
    assert states == {id_: row[-1] for id_, row in TARGETS.items()}
    hand = ByHand((await api.get("/openapi.json")).json())
    check_target(hand, rows["kwh"])
    await check_catalogue(hand, api)
    await check_ledger_and_evaluation(hand, api)
    await check_tariffs_and_benchmark(hand, api)
    await check_retrofit(hand, api)
    await check_loops(hand, api)
    await check_maturity(hand, api)
    await check_totals(hand, api)
    assert hand.reached() == hand.compared | ELSEWHERE.keys()


def test_every_kind_of_figure_of_a_target_is_worked_out_here():
    # What is held elsewhere is held by a test that is there.
    assert all(Path(name).is_file() for name in ELSEWHERE.values())
    assert {row[0] for row in TARGETS.values()} == set(KPIS)


def check_target(hand, row):
    # 100 kWh/t above 2400, of 2592 t.
    hand.compare("TargetRow", row, limit=2400, value=2500, shortfall=100, completeness=1)
    (gap, *_) = row["gap"]
    hand.compare("GapAmount", gap, value=100 * 3.6 * 720)
    assert (gap["uom"], gap["factor"]) == ("kWh", "")
    (part,) = row["parts"]
    hand.compare("Contribution", part, numerator_share=1, denominator_share=1)


async def check_catalogue(hand, api):
    query = {"window": "month", **JUNE}
    result = await rows_of(api, "r/catalogue", **query)
    (there,), (total,) = result["items"], result["totals"]
    hand.compare("AvailabilityRow", there, available_t_h=1.2, completeness=1)
    assert there["basis"] == "measured"
    hand.compare("CategoryTotal", total, available_t_h=1.2)
    (match,) = (await rows_of(api, "r/catalogue/matches"))["items"]
    hand.compare("MatchMode", match["modes"][0], cost_cny_t=50)
    (row,) = (await rows_of(api, "r/catalogue/allocation", **query))["items"]
    # Of 1.2 t/h 1 is taken, 720 t in June: 100 paid + 600 of disposal - 50 of transport, over 50
    # km. Nothing says what the acid replaces.
    gain = 100 + 600 - 50
    hand.compare(
        "AllocationRow", row, available_t_h=1.2, placed_t_h=1, placed_t=720, gain_cny_h=gain,
        gain_cny=720 * gain, freight_cny_h=50, work_t_km=720 * 50, avoided_tce=0, avoided_co2_t=0,
        completeness=1,
    )  # fmt: skip
    # More acid would find no user; another tonne of need would earn all of the gain.
    hand.compare("ResourceUse", row["resources"][0], available_t_h=1.2, placed_t_h=1, price_cny_t=0)
    hand.compare(
        "NeedSupply", row["needs"][0], taken_t_h=1, price_cny_t=gain, firm_price_cny_t=0
    )  # fmt: skip
    # Two years of 8766 h pay for the way.
    hand.compare(
        "ResourceFlow", row["flows"][0], flow_t_h=1, gain_cny_t=gain, gain_cny=720 * gain,
        payback_years=11_395_800 / (gain * 8766), price_cny_t=0, completeness=1,
    )  # fmt: skip


async def check_ledger_and_evaluation(hand, api):
    (row,) = (await rows_of(api, "r/catalogue/ledger", **JUNE))["items"]
    # 0.7 t/h are 504 t, of 500 t agreed to 5 %.
    hand.compare(
        "LedgerRow", row, agreed_t=500, sent_t=504, received_t=504, difference_t=0, share=504 / 500,
        completeness=1, sent_completeness=1, received_completeness=1,
    )  # fmt: skip
    assert row["verdict"] == "met"
    (rule,) = (await rows_of(api, "r/evaluation", year=2025))["items"]
    beta, acme = rule["enterprises"]
    # At the pace of half a year: 3650 / 100 and 10950 / 150 万元/亩 over 40, at most 1.5. Nine
    # minutes of July are not there yet.
    half = 181 * 1440 / (181 * 1440 + 9)
    for row, value, score in ((acme, 36.5, 100 * 36.5 / 40), (beta, 73.0, 100 * 1.5)):
        hand.compare("EnterpriseClass", row, score=score, score_min=score, score_max=score)
        hand.compare(
            "IndicatorFigure", row["indicators"][0], value=value, benchmark=40, points=score,
            completeness=half,
        )  # fmt: skip
    assert (acme["class"], beta["class"]) == ("B", "A")
    assert acme["electricity_cny_per_kwh"] == pytest.approx(0.05)


async def check_tariffs_and_benchmark(hand, api):
    (row,) = (await rows_of(api, "r/b/tariffs", window="month", **JUNE))["items"]
    # 13390 kWh/t are 90 above the line of 2025, 13300: in the fifth step of 20, at 0.01 each.
    cost = 133.9e3 * 8760 * 0.05
    hand.compare(
        "TariffRow", row, kwh_per_t=133.9e3 / 10, tier=5, tier_min=5, tier_max=5,
        surcharge_cny_per_kwh=0.05, surcharge_min_cny_per_kwh=0.05, surcharge_max_cny_per_kwh=0.05,
        electricity_kwh=133.9e3 * 720, cny_per_year=cost, cny_per_year_min=cost,
        cny_per_year_max=cost, completeness=1,
    )  # fmt: skip
    result = await rows_of(api, "r/benchmark", **JUNE)
    rows = {each["id"]: each["parks"] for each in result["items"]}
    a, b = rows["tax-land"]
    # 10 and 30 万元 a day over 100 and 150 亩.
    tax = 10 * YEAR_D / 100, 30 * YEAR_D / 150
    hand.compare("ParkFigure", a, value=tax[0], gap=tax[0] - tax[1], completeness=1)
    hand.compare("ParkFigure", b, value=tax[1], gap=0, completeness=1)
    assert (a["compared"], a["rank"], b["rank"]) == ("worse", 2, 1)
    # Park a has meters of its acid, b has books.
    a, b = rows["waste"]
    assert [a["value"], b["value"]] == pytest.approx([100 * 0.7 / 1.2, 100 * 2 / 3])
    assert [a["made_of"], b["made_of"]] == ["meters", "books"]
    a, b = rows["caustic"]
    assert (a["value"], a["rank"], a["rank_max"]) == (pytest.approx(2500), None, 2)
    assert b["no_data"] == ["electricity of caustic", "mass of caustic"]


async def check_retrofit(hand, api):
    result = await rows_of(api, "r/retrofit")
    first, second = result["items"]
    hand.compare("RetrofitAnswer", result, share=10 / 40)
    hand.compare("ShareStep", result["forecast"][0], share=40 / 40)
    # 3.2 V at 16 / 2.7 kA/m2: K = 0.78 V / 5.9259 above 2.42 V; new cells have 0.10 to 0.14. Where
    # their line begins is known to 0.025 V.
    at = 16 / 2.7
    hand.compare(
        "RetrofitRow", first, share=30 / 40, saving_of_drop_kwh_t=None, current_density_ka_m2=at,
        k_v_m2_ka=0.78 / at, current_efficiency=0.96, measured_kwh_t=None,
        possible_most_kwh_t=(0.78 - 0.10 * at) * NAOH_VOLT,
        possible_least_kwh_t=(0.78 - 0.14 * at) * NAOH_VOLT,
        possible_ci_kwh_t=0.025 * NAOH_VOLT,
    )  # fmt: skip
    assert (first["verdict"], second["state"]) == ("plausible", "zero_gap")


async def check_loops(hand, api):
    items = (await rows_of(api, "r/loops", window="month", **JUNE))["items"]
    rows = {row["id"]: row for row in items}
    nothing = {f"{term}{end}": None for term in ("imported", "vented", "made", "used", "sent_out",
               "stored") for end in ("", "_completeness")}  # fmt: skip
    # Of 1.2 t/h of acid 0.7 are used and 0.5 treated.
    hand.compare(
        "LoopRow", rows["solid_waste"], **nothing | {
            "made": 1.2 * 720, "used": 0.7 * 720, "sent_out": 0.5 * 720, "unaccounted": 0,
            "made_completeness": 1, "used_completeness": 1, "sent_out_completeness": 1,
            "reused": 0.7 * 720, "available": 1.2 * 720, "rate": 0.7 / 1.2, "rate_completeness": 1,
            "completeness": 1,
        },
    )  # fmt: skip
    for row, amount in zip(rows["solid_waste"]["destinations"], (0.7, 0.5), strict=True):
        hand.compare("Destination", row, amount=amount * 720)
    # The closed balance of 2.0 + 0.4 used and 0.8 sold; the cells as they are for the rate.
    chlorine = rows["chlorine"]
    terms = {"made": 3.2, "used": 2.4, "sent_out": 0.8, "available": CL2}
    for name, flow in terms.items():
        assert chlorine[name] == pytest.approx(720 * flow, rel=EXACT)


async def check_maturity(hand, api):
    result = await rows_of(api, "r/maturity", **JUNE)
    acme = next(row for row in result["items"] if row["scope"] == "r/a/acme")
    # 8 of 10 loops and 4 of 5 interlocks.
    hand.compare(
        "MaturityRow", acme, control_share=8 / 10, control_completeness=1, interlock_share=4 / 5,
        interlock_completeness=1, availability=1, doubtful_share=0, substituted_share=0,
    )  # fmt: skip
    # One meter of a plant is in the model, of 4 that are to be; 3 are installed.
    hand.compare("MeterRate", acme["meters"][0], installed_share=3 / 4, connected_share=1 / 4)
    effects = {row["kind"]: row for row in acme["next"]}
    assert effects.keys() == {"meter", "control", "interlock"}
    for kind, effect in (("meter", 1 - 1 / 4), ("control", 2 / 10), ("interlock", 1 / 5)):
        hand.compare("NextMeasure", effects[kind], effect=effect)


async def check_totals(hand, api):
    answer = await rows_of(api, "r/totals", year=2025)
    (permit,), (whole, *_) = answer["permits"], answer["scopes"]
    # 50 g/m3 times 100 m3/h are 0.12 t a day for 181 days; nine minutes of July are estimated. The
    # 43.8 t of the year stay below 50, which would last 238.3 days more.
    booked, nine = 0.12 * 181, 0.12 * 9 / 1440
    half = 181 / (181 + 9 / 1440)
    # A day of December may have 80 % of an even share of the permit.
    a_day = 0.8 * 50 / 365
    curbed = 31 * (0.12 - a_day)
    days = (50 - booked - nine + curbed) / 0.12
    # The permit is of the only source of the park.
    for kind, row in (("PermitTotal", permit), ("TotalRow", whole)):
        hand.compare(
            kind, row, permit_t=50, emitted_t=booked, substituted_share=0, share=booked / 50,
            allowance_t=50 * (181 + 9 / 1440) / 365, estimated_t=nine, curbed_t=curbed,
            forecast_t=0.12 * 365 - curbed, rate_t_per_day=0.12, days_to_exhaustion=days,
            days_to_exhaustion_first=days, days_to_exhaustion_last=days, completeness=half,
        )  # fmt: skip
    (december,) = permit["periods"]
    hand.compare(
        "PeriodRow", december, limit_t=31 * a_day, limit_t_per_day=a_day, emitted_t=None,
        forecast_t=31 * 0.12, completeness=None,
    )  # fmt: skip
    measured, substituted = permit["methods"]
    hand.compare("MethodShare", measured, emitted_t=booked, share=1)
    hand.compare("MethodShare", substituted, emitted_t=0, share=0)
    (source,) = permit["sources"]
    hand.compare("SourceRow", source, emitted_t=booked, completeness=half)
    months = permit["months"]
    april = {name: column[3] for name, column in months.items()}
    # The fourth month ends after 120 days.
    hand.compare(
        "MonthColumns", april, emitted_t=0.12 * 30, substituted_t=0, used_t=0.12 * 120,
        remaining_t=50 - 0.12 * 120, allowance_t=50 * 120 / 365, completeness=1, known=1,
    )  # fmt: skip
