"""A small park in a real database and the API over it: helpers and fixtures of the API's tests.

PYTEST_DONT_REWRITE: tests import it before pytest loads its fixtures.
"""

import json
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import httpx
import numpy as np
import pytest
from pydantic import TypeAdapter

from api.app import create_app
from api.settings import ApiSettings
from api.table import JSON
from ingest.counters import GAUGES
from tests.support.data import data_text
from tests.support.waiting import until
from twin.accounts.network import Network, compile_network
from twin.loading import parse_park
from twin.model.park import Tag

PARK_TOML = data_text("demo/park.toml")
TAGS_CSV = data_text("demo/tags.csv")
S = 1_000_000
HOUR = 3600 * S
# 10:30:20 in the park; the minutes up to 10:30 are there.
NOW = round(datetime.fromisoformat("2025-06-02T10:30:20+08:00").timestamp()) * S
BEGIN = round(datetime.fromisoformat("2025-06-02T08:00:00+08:00").timestamp()) * S
END = NOW // (60 * S) * 60 * S
HEALTH = {"samples": "counter", "rejected.bad_json": "counter", "lag": "gauge",
          "connected": "state"}  # fmt: skip
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
        tag=f"ingest.{name}", owner="demo", scope="demo",
        quantity=GAUGES.get(name, ("count", ""))[0], uom="", kind=kind,
        scale=1.0, shift=0.0, source="derived",
    )  # fmt: skip


async def add_tags(db, tags):
    return {
        tag.address: await db.fetchval(
            """INSERT INTO tag (enterprise, tag, scope, quantity, uom, kind, source, scale, shift,
               low, high, description, level)
               VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,'enterprise')
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


async def change_minutes(db, tag_id, change, begin=BEGIN, end=NOW):
    """Set columns of the minutes of a tag, or delete them."""
    verb = f"UPDATE minute SET {change}" if change else "DELETE FROM minute"
    await db.execute(
        f"{verb} WHERE tag_id = $1 AND time >= $2 AND time < $3", tag_id, stamp(begin), stamp(end)
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
    await db.execute(
        "INSERT INTO newest VALUES ($1, $2) ON CONFLICT (tag_id) DO UPDATE"
        " SET day = greatest(newest.day, excluded.day)",
        tag_id, stamp(max(times)).date(),
    )  # fmt: skip


async def add_cycle(db, cycle_us, rows, *, notify=True, late=None):
    """Commit a cycle as ingest does: (tag_id, time_us, value, quality) each; ids of late tags."""
    columns = list(zip(*rows, strict=True)) or [(), (), (), ()]
    data = [
        np.array(column, code).tobytes()
        for column, code in zip(columns, ("<i4", "<i8", "<f8", "u1"), strict=True)
    ]
    async with db.transaction():
        await db.execute(
            "INSERT INTO cycle (cycle_us, tag_id, time, value, quality, late)"
            " VALUES ($1,$2,$3,$4,$5,$6)",
            cycle_us, *data, None if late is None else np.array(late, "<i4").tobytes(),
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
    return await fill(db, small)


async def fill(db, small):
    """Store a model, two and a half hours of its tags, and one cycle; return the ids of tags."""
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
    for name, value in zip(HEALTH, (1234, 5, 0.25, 1), strict=True):
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
async def serving(url, now=NOW, *, inline=True, **settings):
    """Run the app without a server; yields a client and the app's context.

    Every JSON answer is held to the type the API documents for it. Calculations are made where they
    are asked for unless `inline` is False.
    """
    app = create_app(ApiSettings(database_url=url, **settings), lambda: now, inline=inline)
    async with app.router.lifespan_context(app):
        context = app.state.context
        await until(lambda: context.feed.loaded)
        held = Held(app)
        transport = httpx.ASGITransport(held, raise_app_exceptions=False)
        hooks = {"response": [held.check]}
        async with httpx.AsyncClient(
            transport=transport, base_url="http://localhost", event_hooks=hooks
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


async def outcome(api, answer):
    """Return the error of a command that ingest has taken."""
    assert answer.status_code == 202, answer.text
    command = (await api.get(answer.headers["Location"])).json()
    assert command["done"]
    return command["error"]
