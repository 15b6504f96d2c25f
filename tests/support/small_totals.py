"""A small park in 2024, a leap year, whose only pollutant goes out by monitor, analysis and factor.

PYTEST_DONT_REWRITE: tests import it before pytest loads its fixtures.
"""

import json
from datetime import datetime

from tests.support.small_park import add_samples, add_tags, stamp
from twin.accounts.network import compile_network
from twin.loading import parse_park

TOML = """
[park]
id = "p"
kind = "park"
name = {zh = "园区", en = "Park"}
timezone = "Asia/Shanghai"

[[scope]]
id = "p/e"
kind = "enterprise"
name = {zh = "企业", en = "Enterprise"}

[[scope]]
id = "p/f"
kind = "enterprise"
name = {zh = "另一企业", en = "Other"}

[[outlet]]
id = "stack"
scope = "p/e"
kind = "stack"
pollutants = { VOC = "e/AI-1" }
flow = "e/FI-1"
annual = { VOC = "10 t" }
source = "annual permit of the stack"

[[outlet]]
id = "vent"
scope = "p/e"
kind = "stack"
pollutants = {}
flow = "e/FI-2"

[[analysis]]
id = "vent-voc"
outlet = "vent"
pollutant = "VOC"
concentration = "e/LAB-2"
holds = "31 day"

[[emission_factor]]
id = "tanks"
scope = "p/e"
pollutant = "VOC"
activity = "e/WI-3"
factor = "0.5 kg/t"
sigma = "20 %"
source = "a handbook"

[[permit]]
id = "e-voc"
scope = "p/e"
pollutant = "VOC"
amount = "60 t"
number = "91371500MA"
since = 2023-01-01
until = 2028-01-01
source = "pollutant permit"
verified = true
"""
TAGS = """tag,scope,quantity,uom,kind,low,high,sigma,description
AI-1,p/e,concentration,mg/m^3,gauge,0,200,1 %,VOC of the stack
FI-1,p/e,normal_volume_flow,m^3/h,gauge,0,100000,1 %,gas of the stack
FI-2,p/e,normal_volume_flow,m^3/h,gauge,0,1000,1 %,gas of the vent
LAB-2,p/e,concentration,mg/m^3,gauge,0,100000,2 %,VOC of the vent by analysis
WI-3,p/e,mass_flow,t/h,gauge,0,100,1 %,throughput of the tank farm
"""
FILES = {"park.toml": TOML, "tags.csv": TAGS}
MG, PER_H, T_PER_H = 1e-6, 1 / 3600, 1 / 3.6
# The rate of the stack by the month [kg/h], at 50,000 m³/h.
STACK = {1: 1.0, 2: 1.1, 3: 0.9, 4: 1.0}
# Analyses of the vent [mg/m³] on the fifth of each month, at 100 m³/h.
ANALYSES = {1: 10_000.0, 2: 12_000.0, 3: 8_000.0, 4: 10_000.0}


def at(text):
    """Return a time on the clock of the park [µs]."""
    return round(datetime.fromisoformat(f"{text}T00:00:00+08:00").timestamp()) * 1_000_000


NOW = at("2024-05-01") + 60_000_000


async def add_hours(db, tag_id, begin, end, value):
    """Write full hours and days of a gauge from one time to another."""
    for table, step in (("hour", "1 hour"), ("day", "1 day")):
        await db.execute(
            f"""INSERT INTO {table} (time, tag_id, n, amount, covered_s, min, max, last, quality)
            SELECT t, $1, 3600, $2 * s, s, $2, $2, $2, 0 FROM
            (SELECT generate_series($3::timestamptz, $4, '{step}') t,
                    extract(epoch FROM interval '{step}')::float8 s) g WHERE t < $4""",
            tag_id, value, stamp(begin), stamp(end),
        )  # fmt: skip


async def add_year(db, files=None):
    """Write model, tags and four months of data; return the ids of the tags."""
    files = files or FILES
    network = compile_network(parse_park(files))
    await db.execute(
        "INSERT INTO model (digest, files, applied) VALUES ('1', $1, $2)",
        json.dumps(files), stamp(at("2024-01-01")),
    )  # fmt: skip
    ids = await add_tags(db, network.tags)
    begin, end = at("2024-01-01"), at("2024-05-01")
    await add_hours(db, ids["e/FI-1"], begin, end, 50_000 * PER_H)
    await add_hours(db, ids["e/FI-2"], begin, end, 100 * PER_H)
    await add_hours(db, ids["e/WI-3"], begin, end, 10 * T_PER_H)
    for month, rate in STACK.items():
        edges = at(f"2024-{month:02}-01"), at(f"2024-{month + 1:02}-01")
        await add_hours(db, ids["e/AI-1"], *edges, rate / 50_000)
    times = [at(f"2024-{month:02}-05") for month in ANALYSES]
    await add_samples(db, ids["e/LAB-2"], times, [v * MG for v in ANALYSES.values()], quality=0)
    return ids


QUOTAS = """
[[reduction]]
id = "scrubber"
scope = "p/e"
pollutant = "VOC"
outlets = ["stack"]
before_since = 2024-02-01
before_until = 2024-03-01
after_since = 2024-03-01
after_until = 2024-04-01
declaration = "e/B-D"
verification = "e/B-V"
approval = "e/B-A"
source = "the enterprise"

[[project]]
id = "plant"
scope = "p/e"
adds = { VOC = "2 t" }
area = "CN-SD"
condition = "above_standard"
applied = 2024-03-01

[[project]]
id = "other"
scope = "p/f"
adds = { VOC = "0.5 t", X = "1 t" }
area = "CN-SD"
condition = "within_standard"
applied = 2024-03-01

[[advance]]
id = "ahead"
project = "plant"
pollutant = "VOC"
amount = "e/B-ADV"
due = 2024-06-30

[[draw]]
id = "for-plant"
reduction = "scrubber"
project = "plant"
amount = "e/B-1"

[[draw]]
id = "back"
reduction = "scrubber"
advance = "ahead"
amount = "e/B-2"

[[draw]]
id = "for-other"
reduction = "scrubber"
project = "other"
amount = "e/B-3"
"""
BOOKED = ("B-D", "B-V", "B-A", "B-ADV", "B-1", "B-2", "B-3")
WITH_QUOTAS = {
    "park.toml": TOML
    + QUOTAS
    + "".join(f'\n[[book]]\ntag = "e/{tag}"\nperiod = "instant"\n' for tag in BOOKED),
    "tags.csv": TAGS + "".join(f"{tag},p/e,mass,t,gauge,0,1000,,quota\n" for tag in BOOKED),
}


async def enter(db, tag_id, day, tonnes, version=1, *, confirmed=True, evidence="sha256:ab"):
    """Write a version of an entry of the books of a day."""
    time = stamp(at(day))
    await db.execute(
        """INSERT INTO book (tag_id, start, stop, version, value, entered, uom, evidence, recorded,
           recorded_by, confirmed, confirmed_by, command)
           VALUES ($1, $2, $2, $3, $4::float8 * 1000, $4, 't', $5, $2, 'ann', $6, $7, 1)""",
        tag_id, time, version, float(tonnes), evidence,
        time if confirmed else None, "bob" if confirmed else None,
    )  # fmt: skip
