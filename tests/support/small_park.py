"""A small park in a real database and the API over it: helpers and fixtures of the API's tests.

PYTEST_DONT_REWRITE: tests import it before pytest loads its fixtures.
"""

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import httpx
import numpy as np
import pytest
from pydantic import TypeAdapter

from api.app import create_app
from api.encode import JSON
from api.settings import ApiSettings
from twin.accounts.network import Network, compile_network
from twin.loading import parse_park
from twin.model.park import Tag

PARK_TOML = """
[park]
id = "demo"
kind = "park"
name = {zh = "示例园区", en = "Demo park"}
timezone = "Asia/Shanghai"
shifts = ["00:00", "08:00", "16:00"]
gap = "5 min"

[[scope]]
id = "demo/acme"
kind = "enterprise"
name = {zh = "示例企业", en = "Acme"}
[[scope]]
id = "demo/acme/caustic"
kind = "plant"
name = {zh = "烧碱", en = "Caustic"}
[[scope]]
id = "demo/acme/caustic/cells"
kind = "unit"
name = {zh = "电解", en = "Cells"}
[[scope]]
id = "demo/acme/caustic/store"
kind = "unit"
name = {zh = "液氯", en = "Liquid chlorine"}
[[scope]]
id = "demo/acme/vcm"
kind = "plant"
name = {zh = "氯乙烯", en = "VCM"}
[[scope]]
id = "demo/idle"
kind = "enterprise"
name = {zh = "停产企业", en = "Idle"}

[[electrolyser]]
id = "E-1"
scope = "demo/acme/caustic/cells"
kind = "membrane"
cells = 100
current = "acme/II-1"
current_efficiency = 0.96
capacity = "80 kt/year"

[[stream]]
id = "cl2-vcm"
from = "demo/acme/caustic/cells"
to = "demo/acme/vcm"
medium = "chlorine"
mode = "pipe"
flow = "acme/FT-1"
[[stream]]
id = "cl2-store"
from = "demo/acme/caustic/cells"
to = "demo/acme/caustic/store"
medium = "liquid_chlorine"
mode = "internal"
[[stream]]
id = "cl2-market"
from = "demo/acme/caustic/store"
to = "market"
medium = "liquid_chlorine"
mode = "road"
flow = "acme/FT-3"
[[stream]]
id = "h2-vent"
from = "demo/acme/caustic/cells"
to = "atmosphere"
medium = "hydrogen"
mode = "vent"
flow = "acme/FT-4"

[[tank]]
id = "V-1"
scope = "demo/acme/caustic/store"
medium = "liquid_chlorine"
level = "acme/LT-1"
shape = "horizontal_cylinder"
diameter = "3 m"
length = "16 m"
density = "1425 kg/m^3"
fill_limit = 0.8

[[meter]]
scope = "demo/acme/caustic"
carrier = "electricity"
tag = "acme/JQ-1"
[[meter]]
scope = "demo/acme/caustic"
carrier = "steam"
tag = "acme/FT-5"

[[product]]
id = "caustic"
scope = "demo/acme/caustic"
tag = "acme/FT-6"

[[byproduct]]
id = "hydrogen"
scope = "demo/acme/caustic/cells"
medium = "hydrogen"
stream = "h2-vent"
[[sink]]
id = "h2-vcm"
scope = "demo/acme/vcm"
medium = "hydrogen"
capacity = "20 kg/h"
value = "6000 CNY/t"
name = {zh = "氯乙烯用氢", en = "Hydrogen for VCM"}
note = "illustrative"
[[sink]]
id = "h2-idle"
scope = "demo/idle"
medium = "hydrogen"
capacity = "inf t/h"
[[link]]
id = "h2-pipe"
from = "demo/acme/caustic/cells"
to = "demo/acme/vcm"
medium = "hydrogen"
mode = "pipe"
capacity = "1 t/h"
distance = "2 km"
[[link]]
id = "h2-road"
from = "demo/acme/caustic/cells"
to = "demo/idle"
medium = "hydrogen"
mode = "road"
capacity = "10 kg/h"
distance = "30 km"

[[outlet]]
id = "boiler-stack"
scope = "demo/acme/caustic"
kind = "stack"
pollutants = { SO2 = "acme/AT-901" }
flow = "acme/FT-901"
oxygen = "acme/AT-902"
oxygen_reference = 0.06
running = "acme/XS-901"
permit = { SO2 = "35 mg/m^3" }
annual = { SO2 = "1 t" }
source = "permit of the demo"

[[target]]
id = "kwh"
scope = "demo/acme/caustic"
value = 2500
uom = "kWh/t"
year = 2025
kpi = "electricity_intensity"
product = "caustic"
sense = "at_most"
source = "a policy"
verified = true
[[target]]
id = "books"
scope = "demo"
value = 80
uom = "%"
"""


TAGS_CSV = """tag,scope,quantity,uom,kind,low,high,sigma,description
II-1,demo/acme/caustic/cells,current,kA,gauge,0,30,0.2 %,电流 / current
FT-1,demo/acme/vcm,mass_flow,t/h,gauge,0,100,1 %,chlorine to VCM
FT-3,demo/acme/caustic/store,mass_flow,t/h,gauge,0,100,1 %,chlorine sold
FT-4,demo/acme/caustic,normal_volume_flow,Nm3/h,gauge,0,9000,1 %,hydrogen vented
LT-1,demo/acme/caustic/store,level,m,gauge,0,3,0.01,level of V-1
JQ-1,demo/acme/caustic,energy,kWh,counter,0,,0.2 %,electricity
FT-5,demo/acme/caustic,mass_flow,t/h,gauge,0,20,1 %,steam
FT-6,demo/acme/caustic,mass_flow,t/h,gauge,0,100,1 %,caustic as 100 %
TT-1,demo/acme/caustic,temperature,degC,gauge,-20,200,0.5,a temperature
AT-901,demo/acme/caustic,concentration,mg/m^3,gauge,0,200,1 %,SO2 of the stack
AT-902,demo/acme/caustic,fraction,%,gauge,0,25,0.1,oxygen of the stack
FT-901,demo/acme/caustic,normal_volume_flow,m^3/h,gauge,0,72000,1 %,dry gas of the stack
XS-901,demo/acme/caustic,state,,state,,,,boiler running
XS-1,demo/idle,state,,state,,,,running
"""


S = 1_000_000


HOUR = 3600 * S


# 10:30:20 in the park; the minutes up to 10:30 are there.
NOW = round(datetime.fromisoformat("2025-06-02T10:30:20+08:00").timestamp()) * S


BEGIN = round(datetime.fromisoformat("2025-06-02T08:00:00+08:00").timestamp()) * S


END = NOW // (60 * S) * 60 * S


HEALTH = {
    "samples": "counter",
    "rejected.bad_json": "counter",
    "lag": "gauge",
    "connected": "state",
}


MEAN = {
    "II-1": 16e3, "FT-1": 5.0, "FT-3": 1.0, "FT-4": 0.1, "FT-5": 0.5, "FT-6": 6.0, "TT-1": 353.15,
    "AT-901": 28e-6, "AT-902": 0.08, "FT-901": 10.0, "XS-901": 1.0,
}  # fmt: skip


JOULE_PER_MINUTE = 7.5e8


@dataclass(frozen=True)
class SmallPark:
    """A park model, compiled, and the steady values of its tags in SI."""

    files: dict
    network: Network
    mean: dict


def make_park(toml=PARK_TOML, tags="", mean=None):
    """Return the small park with another park.toml, more tags, and their means."""
    files = {"park.toml": toml, "tags.csv": TAGS_CSV + tags}
    return SmallPark(files, compile_network(parse_park(files)), MEAN | (mean or {}))


def with_park(*args, **kwargs):
    """Return the mark of a test whose API serves another park, see `make_park`."""
    return pytest.mark.parametrize("small", [make_park(*args, **kwargs)], indirect=True, ids=[""])


PARK = make_park()
FILES, NETWORK = PARK.files, PARK.network


def stamp(time_us):
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(time_us))


def level(time_us):
    """Return a level [m] that rises 10 cm an hour."""
    return 1.2 + 0.1 * (time_us - BEGIN) / HOUR


def health_tag(name, kind):
    return Tag(
        tag=f"ingest.{name}", owner="demo", scope="demo", quantity="count", uom="", kind=kind,
        scale=1.0, shift=0.0, source="derived",
    )  # fmt: skip


async def add_tags(db, tags):
    return {
        tag.address: await db.fetchval(
            """INSERT INTO tag (enterprise, tag, scope, quantity, uom, kind, source, scale, shift,
               low, high, description) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12)
               RETURNING tag_id""",
            tag.owner, tag.tag, tag.scope, tag.quantity, tag.uom, tag.kind, tag.source, tag.scale,
            tag.shift, *(None if np.isnan(x) else x for x in (tag.low, tag.high)), tag.description,
        )
        for tag in tags
    }  # fmt: skip


async def add_minutes(db, tag_id, times, amount, value, covered_s=60.0, quality=32):
    await db.executemany(
        "INSERT INTO minute (time, tag_id, n, amount, covered_s, min, max, last, quality)"
        " VALUES ($1, $2, 60, $3, $4, $5, $5, $5, $6)",
        [
            (stamp(t), tag_id, amount(t), covered_s, value(t), quality)
            for t in np.atleast_1d(times).tolist()
        ],
    )


async def roll_up(db):
    for table in ("hour", "day"):
        await db.execute(
            f"""DELETE FROM {table}; INSERT INTO {table}
            (time, tag_id, n, amount, covered_s, min, max, last, quality)
            SELECT date_trunc('{table}', time, 'Asia/Shanghai'), tag_id, sum(n), sum(amount),
                   sum(covered_s), min(min), max(max), max(last), max(quality)
            FROM minute GROUP BY 1, 2"""
        )


async def add_samples(db, tag_id, times, values, quality=32):
    await db.executemany(
        "INSERT INTO sample (time, tag_id, value, quality, received) VALUES ($1, $2, $3, $4, $1)",
        [(stamp(t), tag_id, v, quality) for t, v in zip(times, values, strict=True)],
    )


async def add_cycle(db, cycle_us, rows, *, notify=True):
    """Commit a cycle as ingest does: rows of (tag_id, time_us, value, quality)."""
    columns = list(zip(*rows, strict=True)) or [(), (), (), ()]
    data = [
        np.array(column, code).tobytes()
        for column, code in zip(columns, ("<i4", "<i8", "<f8", "u1"), strict=True)
    ]
    async with db.transaction():
        await db.execute(
            "INSERT INTO cycle (cycle_us, tag_id, time, value, quality) VALUES ($1,$2,$3,$4,$5)",
            cycle_us, *data,
        )  # fmt: skip
        if notify:
            await db.execute(f"NOTIFY park_cycle, '{cycle_us}'")


@pytest.fixture
def small(request):
    """The park in the database: the small one, or that of the mark `with_park`."""
    return getattr(request, "param", PARK)


@pytest.fixture
async def ids(db, small):
    """Tag ids by address, in a database with the model, two and a half hours and one cycle."""
    await db.execute(
        "INSERT INTO model (digest, files, applied) VALUES ($1, $2, $3)",
        "1", json.dumps(small.files), stamp(BEGIN),
    )  # fmt: skip
    health = [health_tag(name, kind) for name, kind in HEALTH.items()]
    result = await add_tags(db, [*small.network.tags, *health])
    minutes = np.arange(BEGIN, END, 60 * S)
    for name, mean in small.mean.items():
        await add_minutes(
            db, result[f"acme/{name}"], minutes, lambda _, m=mean: m * 60, lambda _, m=mean: m
        )
        await add_samples(db, result[f"acme/{name}"], [END], [mean])
    await add_minutes(db, result["acme/LT-1"], minutes, lambda t: level(t) * 60, level)
    await add_minutes(db, result["acme/JQ-1"], minutes, lambda _: JOULE_PER_MINUTE, lambda _: 1e12)
    await add_samples(db, result["acme/LT-1"], [END], [1.5])
    for name, value in {
        "samples": 1234,
        "rejected.bad_json": 5,
        "lag": 0.25,
        "connected": 1,
    }.items():
        await add_samples(db, result[f"demo/ingest.{name}"], [END], [value])
    await roll_up(db)
    await add_cycle(db, NOW - 300_000, [])
    return result


class Held:
    """An app whose JSON answers are held to the types that its routes document."""

    def __init__(self, app):
        self._app = app
        self._scope = None

    async def __call__(self, scope, receive, send):
        self._scope = scope
        await self._app(scope, receive, send)

    async def check(self, response):
        """Assert that an answer has exactly the fields and types of its route."""
        kind = getattr(self._scope.get("route"), "response_model", None)
        if kind and response.is_success and response.headers["content-type"] == JSON:
            await response.aread()
            answer = response.json()
            assert TypeAdapter(kind).validate_python(answer) == answer


@asynccontextmanager
async def serving(url, now=NOW, **settings):
    """Run the app without a server; yields a client and the app's context.

    Every JSON answer is held to the type the API documents for it.
    """
    app = create_app(ApiSettings(database_url=url, **settings), lambda: now)
    async with app.router.lifespan_context(app):
        context = app.state.context
        for _ in range(100):
            if context.feed.loaded:
                break
            await asyncio.sleep(0.02)
        held = Held(app)
        transport = httpx.ASGITransport(held, raise_app_exceptions=False)
        async with httpx.AsyncClient(
            transport=transport,
            base_url="http://api",
            event_hooks={"response": [held.check]},
        ) as client:
            yield client, context


@pytest.fixture
async def api(database, ids):
    async with serving(database) as (client, _):
        yield client


async def rows_of(api, path, **query):
    answer = await api.get(f"/api/v1/scopes/{path}", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()
