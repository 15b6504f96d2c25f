"""Small parks that together have every figure of the API, and the questions that show them.

PYTEST_DONT_REWRITE: tests import it by name.
"""

from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

import numpy as np

from ingest.filing import Filing
from ingest.store import Store
from tests.api import test_evaluation as evaluation
from tests.api import test_load_plan as load_plan
from tests.api import test_target_books as target_books
from tests.api import test_totals as totals
from tests.support import small_baseline, small_evaluation, small_totals
from tests.support.data import data_text
from tests.support.small_book import keeping
from tests.support.small_loops import loops_park
from tests.support.small_park import (
    BEGIN,
    END,
    HOUR,
    JOULE_PER_MINUTE,
    NOW,
    PARK_TOML,
    S,
    add_cycle,
    add_minutes,
    add_samples,
    add_tags,
    change_minutes,
    fill,
    health_tag,
    level,
    make_park,
    roll_up,
    serving,
    stamp,
)
from tests.support.waiting import until
from twin.loading import parse_park

# A walk may take as long as it takes, and explains whole answers.
PATIENT = {"explanation_s": 300, "calculation_s": 600, "explained_figures_max": 5000}
DAY = 24 * HOUR
SCOPE = "/api/v1/scopes/{path}/"


def hours(first, last, day="2025-06-02", **more):
    """Return the query of a range between two hours of a day."""
    return {"from": f"{day}T{first:02}:00:00+08:00", "to": f"{day}T{last:02}:00:00+08:00", **more}


def days(first, last, **more):
    """Return the query of a range between two days."""
    return {"from": f"{first}T00:00:00+08:00", "to": f"{last}T00:00:00+08:00", **more}


@dataclass(frozen=True)
class WalkedPark:
    """A park that can be served, and what is asked of it.

    questions: a route to (path, query) each, or to (path, query, pointer) of a part of the answer.
    """

    serve: object
    questions: dict


async def add_minute_samples(db, ids, small):
    """Store a sample of every minute of the tags of a park, and one of each derived tag."""
    times = np.arange(BEGIN, END, 60 * S)
    values = {name: np.full(len(times), mean) for name, mean in small.mean.items()}
    values |= {
        "LT-1": np.array([level(t) for t in times]),
        "JQ-1": np.arange(len(times)) * JOULE_PER_MINUTE,
    }
    for name, column in values.items():
        await add_samples(db, ids[f"acme/{name}"], times.tolist(), column.tolist())
    for tag in small.network.tags:
        if tag.source == "derived" and tag.tag not in values:
            await add_samples(db, ids[tag.address], [END], [1.0])
    await add_cycle(db, END, [])


@asynccontextmanager
async def serving_small(small, more, database, db, **settings):
    """Serve a park with minutes and samples of two and a half hours, and what `more` adds."""
    ids = await fill(db, small)
    await more(db, ids)
    await add_minute_samples(db, ids, small)
    async with serving(database, **PATIENT, **settings) as (api, _):
        yield api


async def nothing(db, ids): ...


async def add_samples_of_sums(db):
    """Store a sample at the start of each hour or day that the database has sums of alone."""
    await db.execute(
        "INSERT INTO sample (time, tag_id, value, quality, received)"
        " SELECT DISTINCT ON (tag_id, time) time, tag_id, coalesce(last, amount), quality, time"
        " FROM (SELECT time, tag_id, last, amount, quality FROM hour"
        " UNION ALL SELECT time, tag_id, last, amount, quality FROM day) sums"
        " JOIN tag USING (tag_id) WHERE source = 'measured' ON CONFLICT DO NOTHING"
    )


# Works with two electrolysers, one of which got new cells two months ago, a tank farm with its
# absorber, purchase and generation of power, a smelter, boilers, and a stack with a data logger.
VOLTAGE = """voltage = "acme/EI-1"
area = "2.7 m^2"
oxygen = "acme/AI-O2"
temperature = "acme/TI-1"
coated = 2024-06-02
recoating_cost = "2e6 CNY"
energy_price = "0.5 CNY/kWh"
capacity = "80 kt/year\""""
LOGGED = """permit = { SO2 = "35 mg/m^3" }
reported = { SO2 = "acme/AR-901" }
reported_mass = { SO2 = "acme/M-901" }"""
FLOW = 'flow = "acme/FT-1"'
EFFECTIVE = "caustic.cells.E-1.current.effective"
WORKS = make_park(
    PARK_TOML.replace('capacity = "80 kt/year"', VOLTAGE, 1)
    .replace('permit = { SO2 = "35 mg/m^3" }', LOGGED)
    .replace('mode = "internal"', 'mode = "internal"\nflow = "acme/FT-1301"')
    .replace(FLOW, FLOW + '\nfraction = "acme/AT-77"')
    + data_text("walk/works.toml"),
    data_text("walk/works.csv"),
    {"II-1": 16e3, "EI-1": 320.0, "II-2": 14e3, "EI-2": 500.0, "JI-8": 30e6, "XI-8": 40e6,
     "JI-9": 20e6, "JI-7": 5e6, "JI-6": 25e6, "WI-1": 1 / 3.6, "PI-1": 13.31e6, "XS-902": 1.0,
     "FT-50": 10.0, "FT-51": 9.75, "PT-50": 1.5e6, "WT-50": 5 / 3.6, "FT-1301": 0.3,
     "FT-1304": 0.1, "FT-1203": 0.2, "FT-1303": 0.002, "LT-1301": 0.05, "LT-1401": 2.0,
     "AI-O2": 0.0363, "TI-1": 363.15, EFFECTIVE: 16e3 * 0.93, "AT-77": 0.98, "FT-60": 0.05,
     "FT-61": 0.001, "FT-62": 3.0, "FT-63": 0.005, "FT-64": 0.003, "LT-65": 5.0, "FT-1": 0.82,
     "FT-3": 0.1, "FT-4": 0.37, "AR-901": 28e-6, "M-901": 1.0},
)  # fmt: skip
CELLS = {"EI-1": (100, "II-1"), "EI-2": (160, "II-2")}
# K of the cells before and after their change [V m²/kA], and their current densities [kA/m²].
BEFORE, AFTER = (0.17, 6.0), (0.11, 5.0)


async def add_cell_days(db, ids):
    """Store two months of the cells on each side of the change of E-1, which age meanwhile."""
    midnight = BEGIN - 8 * HOUR
    for voltage, (cells, current) in CELLS.items():
        for first, (k, density) in ((121, BEFORE), (60, AFTER if cells == 100 else BEFORE)):
            for n in range(60):
                volts = (2.42 + k * density + 1e-4 * n) * cells
                means = {current: density * 1000 * 2.7, voltage: volts, "TI-1": 363.15,
                         "AI-O2": 0.03 + 1e-5 * n}  # fmt: skip
                means = means if cells == 100 else {k: means[k] for k in (current, voltage)}
                await db.executemany(
                    "INSERT INTO day (time, tag_id, n, amount, covered_s, min, max, last, quality)"
                    " VALUES ($1, $2, 1440, $3, 86400, $4, $4, $4, 32)",
                    [(stamp(midnight - (first - n) * DAY), ids[f"acme/{tag}"], mean * 86400, mean)
                     for tag, mean in means.items()],
                )  # fmt: skip


async def add_findings(db, ids):
    """Store what was noticed: detections, held-back tests, alarms, a correction, idle time."""
    bias = (1 / 3.6, 0.25 / 3.6 / 3600)
    await db.executemany(
        "INSERT INTO detection (time, since, component, streams, leaks, bias, test, shape, rate)"
        " VALUES ($1, $2, $3, $4, '{}', $5, 6.5, 'drift', $6)",
        [(stamp(END - HOUR), stamp(END - HOUR - 240 * S), "chlorine", ["cl2-vcm"], *bias),
         (stamp(END - HOUR), stamp(END - HOUR - 240 * S), "electricity", ["incomer"], 1e6, 10.0)],
    )  # fmt: skip
    await db.execute(
        "INSERT INTO held_back VALUES ('chlorine', $1, $2, 7, '{cl2-vcm}', 8.5)",
        stamp(END - HOUR), stamp(END - HOUR + 600 * S),
    )  # fmt: skip
    await db.execute(
        "INSERT INTO correction VALUES ($1, $2, 4.5, 32, $2, $3)",
        ids["acme/FT-1"], stamp(END - HOUR), stamp(END),
    )  # fmt: skip
    await db.execute(
        "INSERT INTO alarm (alarm, tag_id, priority, limit_value, state, since)"
        " VALUES ('flow', $1, 'high', 5, 'normal', $2)", ids["acme/FT-1"], stamp(BEGIN),
    )  # fmt: skip
    await db.execute(
        "INSERT INTO alarm_event (time, recorded, alarm, before, after, quality)"
        " VALUES ($1, $1, 'flow', 'normal', 'unacknowledged', 0)", stamp(END - HOUR),
    )  # fmt: skip
    health = {"health": 0.75, "timeliness": 0.5, "duplicate_share": 0.125, "reject_share": 0.1,
              "skew": -70.0, "silent_gateways": 1.0}  # fmt: skip
    tags = [replace(health_tag(name, "gauge"), owner="acme", scope="demo/acme") for name in health]
    at = await add_tags(db, tags)
    for name, value in health.items():
        await add_samples(db, at[f"acme/ingest.{name}"], [NOW - 5 * S], [value])
    row = (stamp(NOW - HOUR), stamp(NOW), 10, 100, 1, 2, 3, 0, 2.0, 0.5, -70.0, False, True, False)
    await db.execute(
        "INSERT INTO gateway VALUES ('acme', 'gw1', 'park/v1/demo/acme/gw1',"
        f" {', '.join(f'${n}' for n in range(1, 15))})", *row,
    )  # fmt: skip
    # The stack has no reading of half an hour.
    await change_minutes(db, ids["acme/AT-901"], "", BEGIN, BEGIN + HOUR // 2)
    await roll_up(db)
    await add_cell_days(db, ids)
    await add_hours_before(db, ids)


async def add_hours_before(db, ids):
    """Store four days of the stack and of the plant, which stands in the first hour of each."""
    power, flow = JOULE_PER_MINUTE / 60, WORKS.mean["FT-6"]
    stack = {name: WORKS.mean[name] for name in ("AT-901", "AT-902", "FT-901", "XS-901")}
    times = BEGIN - HOUR * np.arange(104, 0, -1)
    for n, time in enumerate(times.tolist()):
        values = stack | {"JQ-1": power * (1 + 0.01 * (n // 24)), "FT-6": flow * (n % 24 > 0)}
        await db.executemany(
            "INSERT INTO hour (time, tag_id, n, amount, covered_s, min, max, last, quality)"
            " VALUES ($1, $2, 3600, $3, 3600, $4, $4, $4, 32)",
            [(stamp(time), ids[f"acme/{tag}"], value * 3600, value)
             for tag, value in values.items()],
        )  # fmt: skip
    for tag in (*stack, "JQ-1", "FT-6"):
        await add_samples(db, ids[f"acme/{tag}"], times.tolist(), [WORKS.mean.get(tag, 0.0)] * 104)


ACME, IDLE, CAUSTIC = "scopes/demo/acme", "scopes/demo/idle", "scopes/demo/acme/caustic"
EIGHT, NINE = hours(8, 9, window="hour"), hours(9, 10, window="hour")
WHOLE_DAY = days("2025-06-02", "2025-06-03")
COMPARED = {f"{which}_{end}": time
            for which, two in (("first", days("2025-05-29", "2025-05-31")),
                               ("second", days("2025-05-31", "2025-06-02")))
            for end, time in two.items()}  # fmt: skip
OF_WORKS = {
    "/api/v1/latest": [
        ("latest", {"tag": "acme/FT-1"}),
        ("latest", {"tag": "acme/FT-1", "at": NINE["from"]}),
        ("latest", {"tag": "acme/chlorine.mass_flow.residual"}),
    ],
    "/api/v1/history": [
        ("history", hours(9, 10, tag="acme/FT-1", points=10)),
        ("history", hours(9, 10, tag=["acme/FT-1", "acme/FT-3"], points=10)),
    ],
    f"{SCOPE}meters": [(f"{ACME}/meters", NINE)],
    f"{SCOPE}emissions": [
        (f"{ACME}/emissions", NINE),
        (f"{ACME}/emissions", EIGHT, "/items"),
        # Nothing is substituted before that.
        (f"{ACME}/emissions", hours(7, 8, window="hour"), "/permits"),
    ],
    f"{SCOPE}emissions/products": [(f"{CAUSTIC}/emissions/products", NINE)],
    "/api/v1/alarms/summary": [("alarms/summary", hours(9, 10))],
    f"{SCOPE}energy": [(f"{CAUSTIC}/energy", NINE)],
    f"{SCOPE}electrolysers": [(f"{ACME}/electrolysers", NINE)],
    f"{SCOPE}electrolysers/ageing": [
        (f"{ACME}/electrolysers/ageing", {"from": "2025-04-03T00:00:00+08:00"})
    ],
    f"{SCOPE}consumption": [
        (f"{ACME}/consumption", NINE),
        (f"{ACME}/consumption",
         days("2025-06-01", "2025-07-01", window="month", carrier="electricity")),
    ],
    f"{SCOPE}demand": [(f"{ACME}/demand", hours(9, 10))],
    f"{SCOPE}load-curve": [(f"{ACME}/load-curve", hours(9, 10))],
    f"{SCOPE}power-factor": [(f"{ACME}/power-factor", NINE)],
    f"{SCOPE}standby": [(f"{CAUSTIC}/standby", days("2025-06-01", "2025-06-02"))],
    f"{SCOPE}comparison": [(f"{CAUSTIC}/comparison", COMPARED)],
    f"{SCOPE}online-monitoring": [(f"{ACME}/online-monitoring", WHOLE_DAY)],
    f"{SCOPE}retrofit": [
        (f"{ACME}/retrofit", {}, "/share"),
        (f"{ACME}/retrofit", {}, "/forecast"),
        (f"{ACME}/retrofit", {"electrolyser": "E-1"}, "/items"),
        (f"{ACME}/retrofit", {"electrolyser": "old"}, "/items"),
    ],
    f"{SCOPE}tariffs": [(f"{IDLE}/tariffs", NINE)],
    f"{SCOPE}heat": [(f"{ACME}/heat", NINE)],
    f"{SCOPE}chlorine": [(f"{ACME}/chlorine", NINE)],
    f"{SCOPE}detections": [("scopes/demo/detections", {})],
    f"{SCOPE}byproducts": [(f"{ACME}/byproducts", NINE)],
    f"{SCOPE}symbiosis": [("scopes/demo/symbiosis", NINE)],
    f"{SCOPE}maturity": [("scopes/demo/maturity", hours(8, 10))],
    "/api/v1/scenarios": [("scenarios", {})],
    f"{SCOPE}restatements": [("scopes/demo/restatements", hours(8, 10))],
    "/api/v1/health/data": [("health/data", {})],
}  # fmt: skip

# Works with a tank of liquor that is nearly full.
PLAN = make_park(
    load_plan.TOML.replace('mode = "internal"', 'mode = "internal"\nflow = "acme/FT-1301"')
    + load_plan.SUPPLY + data_text("walk/plan.toml"),
    load_plan.EXTRA + data_text("walk/plan.csv"),
    {"FT-1": 0.4, "FT-3": 0.05, "EI-1": 320.0, "JI-8": 48e6, "FT-62": 1.9, "FT-1301": 0.164,
     "FT-1303": 0.002, "LT-1401": 5.9328},
)  # fmt: skip


async def fill_farm(db, ids):
    """Let the tank farm have room for the chlorine of three hours."""
    await add_samples(db, ids["acme/LT-1"], [NOW - S], [2.17])


DEARER = {"price": [0.3] * 12 + [0.9] * 12, "demand_price": 0}
OF_PLAN = {
    f"{SCOPE}load-plan": [
        (f"{ACME}/load-plan", DEARER | {"hours": 3}),
        # The tank of liquor would be full, and no plan fills that of chlorine as far meanwhile.
        *((f"{ACME}/load-plan", DEARER | {"hours": 4}, part)
          for part in ("/stocks/1/full_now_after_h", "/now_breaks", "/given_up")),
        (f"{ACME}/load-plan", DEARER | {"hours": 1, "demand_limit_mw": 10}, "/broken"),
    ],
}  # fmt: skip

# Two enterprises, to the second of which chlorine and electricity go that no meter shows.
GAPS = make_park(
    PARK_TOML.replace(FLOW, FLOW + '\nfraction = "acme/AT-77"') + data_text("walk/gaps.toml"),
    data_text("walk/gaps.csv"),
    {"AT-77": 0.98, "FT-1": 0.4, "FT-3": 0.1, "FT-60": 6.54 / 3.6, "FT-70": 1.5 / 3.6,
     "FT-71": 1 / 3.6, "FT-72": 1 / 3.6, "FT-73": 1.5 / 3.6, "JI-8": 30e6, "JI-6": 12.5e6,
     "JI-18": 10e6, "JI-16": 15e6},
)  # fmt: skip
OF_GAPS = {
    f"{SCOPE}balance": [
        ("scopes/demo/balance", NINE),
        ("scopes/demo/balance", NINE | {"component": "electricity"}),
    ],
}
OF_LOOPS = {f"{SCOPE}loops": [("scopes/demo/loops", NINE)]}

CATALOGUE = make_park(
    PARK_TOML.partition("[[byproduct]]")[0]
    + data_text("demo/catalogue.toml").replace(
        'max = "5 t/h"\n', 'max = "5 t/h"\nmin = "3 t/h"\nfirm = true\n'
    ),
    "FT-20,demo/acme/vcm,mass_flow,t/h,gauge,0,20,1 %,acid made\n"
    "FT-21,demo/acme/vcm,mass_flow,t/h,gauge,0,20,1 %,acid used\n"
    "FT-22,demo/acme/vcm,mass_flow,kg/h,gauge,0,100,1 %,hydrogen received\n",
    {"FT-20": 6 / 3.6, "FT-21": 1 / 3.6, "FT-22": 0.007},
)


async def lower_acid(db, ids):
    """Let less acid be made in an hour than its user must have."""
    await change_minutes(db, ids["acme/FT-20"], "amount = amount / 4", BEGIN, BEGIN + HOUR)
    await roll_up(db)


OF_CATALOGUE = {
    f"{SCOPE}catalogue": [("scopes/demo/catalogue", NINE)],
    f"{SCOPE}catalogue/matches": [("scopes/demo/catalogue/matches", {})],
    f"{SCOPE}catalogue/allocation": [
        ("scopes/demo/catalogue/allocation", NINE),
        ("scopes/demo/catalogue/allocation", EIGHT, "/items/0/shortfalls"),
    ],
    f"{SCOPE}catalogue/ledger": [
        ("scopes/demo/catalogue/ledger", days("2025-06-01", "2025-06-03"))
    ],
}


@asynccontextmanager
async def serving_plants(database, db):
    """Serve the park with two plants and a year of days, a fitted baseline and its forecast."""
    async with keeping(database, small_baseline.PARK, small_baseline.NOW, **PATIENT) as book:
        await small_baseline.fill(db)
        rng = np.random.default_rng(9)
        hour = np.arange(84 * 24)
        mwh = np.where(hour % 24 < 8, 20.0, 10.0) - 4.0 * (hour // 24 % 7 == 2)
        await small_baseline.fill_hours(db, mwh + np.repeat(rng.normal(0, 0.3, 252), 8))
        plant = "acmepark/acme/caustic/baselines/caustic-power"
        assert await small_baseline.order(book, f"{plant}/fit") is None
        await add_samples_of_sums(db)
        # What the running shift, and those to come, are forecast of is known up to now.
        (tag_id,) = await db.fetchrow("SELECT tag_id FROM tag WHERE tag = 'JQ-1'")
        newest_us = small_baseline.NOW - 60 * S
        await add_samples(db, tag_id, [newest_us], [1.0])
        await add_cycle(db, small_baseline.NOW + HOUR, [(tag_id, newest_us, 1.0, 0)])
        await until(lambda: book.context.feed.cycle_us > small_baseline.NOW + HOUR // 2)
        yield book.client


def plant_days(first, last, before=""):
    """Return the ends of a range of days of the two plants, with something before their names."""
    ends = {"from": first, "to": last}
    return {f"{before}{end}": stamp(small_baseline.BEGIN + day * DAY).isoformat()
            for end, day in ends.items()}  # fmt: skip


PLANT, CHANGED = "scopes/acmepark/acme/caustic", small_baseline.CHANGED
OF_PLANTS = {
    f"{SCOPE}baselines": [(f"{PLANT}/baselines", {})],
    f"{SCOPE}baselines/{{baseline}}": [
        (f"{PLANT}/baselines/caustic-power", plant_days(75, 150) | {"window": "month"})
    ],
    f"{SCOPE}forecast": [
        (f"{PLANT}/forecast", {"figure": "electricity", "horizon": "shift"})
    ],
    f"{SCOPE}bridge": [
        ("scopes/acmepark/bridge", plant_days(CHANGED, CHANGED + 40)
         | plant_days(CHANGED - 32, CHANGED, "base_"))
    ],
}  # fmt: skip


@asynccontextmanager
async def serving_totals(database, db):
    """Serve the park whose pollutant goes out by monitor, analysis and factor, with quotas."""
    files = small_totals.WITH_QUOTAS
    files = files | {"park.toml": files["park.toml"] + totals.PLANNED}
    ids = await small_totals.add_year(db, files)
    for tag, tonnes in {"D": 2.0, "V": 1.6, "A": 1.4, "ADV": 3.0, "1": 1.0, "2": 0.1}.items():
        await small_totals.enter(db, ids[f"e/B-{tag}"], "2024-04-01", tonnes)
    await add_samples_of_sums(db)
    async with serving(database, small_totals.NOW, **PATIENT) as (api, _):
        yield api


OF_TOTALS = {
    f"{SCOPE}totals": [("scopes/p/e/totals", {"year": 2024})],
    f"{SCOPE}totals/ledger": [("scopes/p/totals/ledger", {})],
}


@asynccontextmanager
async def serving_town(database, db):
    """Serve the park with a rule of evaluation, three enterprises and their books of a year."""
    async with keeping(database, small_evaluation.park(), evaluation.NOW, **PATIENT) as book:
        town = evaluation.Town(book.client, book._obey, db)
        await town.enter(evaluation.books())
        for name, (*_, tce) in evaluation.BOOKS.items():
            await town.meter(name, kwh=evaluation.KWH * tce / 2)
        await add_samples_of_sums(db)
        yield book.client


OF_TOWN = {f"{SCOPE}evaluation": [("scopes/acmepark/evaluation", {"year": 2024})]}


@asynccontextmanager
async def serving_books(database, db):
    """Serve the park with targets and the book of an autumn."""
    model = parse_park(target_books.MODEL)
    async with keeping(database, model, target_books.NOW, **PATIENT) as book:
        for table, seconds in (("hour", 3600), ("day", 86_400)):
            await db.execute(
                f"INSERT INTO {table} (time, tag_id, n, amount, covered_s, min, max, last, quality)"
                f" SELECT t, tag_id, 60, 1e6 * {seconds}, {seconds}, 0, 0, 0, 0 FROM tag,"
                " generate_series('2024-10-01T00:00+08'::timestamptz, '2024-10-31T23:00+08',"
                f" interval '{seconds} s') t WHERE enterprise || '/' || tag = 'acme/JQ-1'"
            )
        await add_samples_of_sums(db)
        rows = target_books.ROWS + "acme/POWER-BILL,2024-10,745000,kWh\n"
        assert await book.file(rows, confirm="true") is None
        yield book.client


OF_BOOKS = {
    "/api/v1/targets": [("targets", target_books.AUTUMN)],
    "/api/v1/book": [("book", {"tag": "acme/POWER-BILL"})],
    "/api/v1/book/{value}": [("book/21", {})],
}

# Two parks of a region, with six enterprises that make soda, five of them in one.
FIRMS = {f"e{n}": "west" if n == 6 else "east" for n in range(1, 7)}
FIRM_TOML = """
[[scope]]
id = "r/{park}/{name}"
kind = "enterprise"
name = {{zh = "示例", en = "Demo"}}
[[product]]
id = "soda"
scope = "r/{park}/{name}"
tag = "{name}/FT-1"
[[meter]]
scope = "r/{park}/{name}"
carrier = "electricity"
tag = "{name}/P-1"
product = "soda"
"""
FIRM_CSV = """FT-1,r/{park}/{name},mass_flow,t/h,gauge,0,100,1 %,soda
P-1,r/{park}/{name},power,MW,gauge,0,100,0.2 %,power
"""
REGION_FILES = {
    "park.toml": data_text("walk/region.toml")
    + "".join(FIRM_TOML.format(name=name, park=park) for name, park in FIRMS.items()),
    "tags.csv": "tag,scope,quantity,uom,kind,low,high,sigma,description\n"
    + "".join(FIRM_CSV.format(name=name, park=park) for name, park in FIRMS.items()),
}


@asynccontextmanager
async def serving_region(database, db):
    """Serve two parks with the enterprises of one product."""
    async with keeping(database, parse_park(REGION_FILES), NOW, **PATIENT) as book:
        times = np.arange(BEGIN, END, 60 * S)
        rows = await db.fetch("SELECT tag_id, tag, enterprise FROM tag WHERE source = 'measured'")
        for row in rows:
            made = 1.0 + int(row["enterprise"][1:])
            mean = made if row["tag"] == "FT-1" else made * (8.0 + 0.1 * made) * 1e6
            await add_minutes(db, row["tag_id"], times, lambda _, m=mean: m * 60,
                              lambda _, m=mean: m)  # fmt: skip
            await add_samples(db, row["tag_id"], times.tolist(), [mean] * len(times))
        await roll_up(db)
        yield book.client


OF_REGION = {
    f"{SCOPE}benchmark": [("scopes/r/benchmark", hours(9, 10))],
    f"{SCOPE}industry": [("scopes/r/east/industry", NINE | {"product": "soda"})],
}

MORNING = round(datetime.fromisoformat("2025-06-03T06:00:00+08:00").timestamp()) * S
SHIFT = "shift/demo/acme"


@asynccontextmanager
async def serving_reports(database, db):
    """Serve the small park the next morning, with a kept report of which a figure has changed."""
    park = make_park()
    ids = await fill(db, park)
    await add_minute_samples(db, ids, park)
    store = Store(database)
    await store.open()
    async with serving(database, MORNING, value_completeness=0.05, **PATIENT) as (api, _):
        order = {"by": "ann", "period": "2025-06-02/2"}
        sent = await api.post(f"/api/v1/reports/{SHIFT}", json=order)
        assert sent.status_code == 202, sent.text
        async with store.transaction():
            row = await store.commands.next()
            await Filing(store).keep(row, MORNING)
            await store.commands.answer([row.number], [None], MORNING)
        await store.close()
        await change_minutes(db, ids["acme/FT-3"], "amount = amount * 2", BEGIN, BEGIN + 60 * S)
        await roll_up(db)
        yield api


OF_REPORTS = {
    "/api/v1/reports/{kind}/{path}": [(f"reports/{SHIFT}", {"period": "2025-06-02/2"})],
    "/api/v1/reports/{report}": [("reports/1", {})],
    "/api/v1/reports/{report}/verification": [("reports/1/verification", {})],
}
PARKS = {
    "works": WalkedPark(partial(serving_small, WORKS, add_findings), OF_WORKS),
    "plan": WalkedPark(partial(serving_small, PLAN, fill_farm), OF_PLAN),
    "gaps": WalkedPark(partial(serving_small, GAPS, nothing), OF_GAPS),
    # What goes to the landfill elsewhere is stored here.
    "loops": WalkedPark(
        partial(serving_small, loops_park("landfill =", "store ="), nothing), OF_LOOPS
    ),
    "catalogue": WalkedPark(
        partial(
            serving_small, CATALOGUE, lower_acid, viewer_level="private", value_completeness=0.05
        ),
        OF_CATALOGUE,
    ),
    "plants": WalkedPark(serving_plants, OF_PLANTS),
    "totals": WalkedPark(serving_totals, OF_TOTALS),
    "town": WalkedPark(serving_town, OF_TOWN),
    "books": WalkedPark(serving_books, OF_BOOKS),
    "region": WalkedPark(serving_region, OF_REGION),
    "reports": WalkedPark(serving_reports, OF_REPORTS),
}
