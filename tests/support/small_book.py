"""A small park with tags of the books: revenue, land, staff, a permit, a bill with its meter."""

from contextlib import asynccontextmanager

from ingest.commands import CommandQueue
from tests.support.data import data_park
from tests.support.small_park import outcome, serving
from tests.support.stored import cycling, turn
from tests.support.waiting import until
from twin.loading import parse_park

TOML = """
[[gap]]
tag = "acme/JQ-1"
gap = "1 h"

[[product]]
id = "caustic"
scope = "acmepark/acme"
tag = "acme/MADE"

[[meter]]
scope = "acmepark/acme"
carrier = "electricity"
tag = "acme/POWER-BILL"
product = "caustic"

[[book]]
tag = "acme/MADE"
period = "month"

[[book]]
tag = "acme/REVENUE"
period = "month"

[[book]]
tag = "acme/POWER-BILL"
period = "month"
compare = "acme/JQ-1"

[[book]]
tag = "acme/LAND"
period = "year"

[[book]]
tag = "acme/STAFF"
period = "quarter"

[[book]]
tag = "acme/PERMIT-ENDS"
period = "year"

[[book]]
tag = "acme/GRADE"
period = "instant"

[[book]]
tag = "other/WASTE"
period = "day"
"""
TAGS = """REVENUE,acmepark/acme,money,万元,amount,0,1000000,,sales without tax
MADE,acmepark/acme,mass,t,amount,0,,,caustic made by the books
POWER-BILL,acmepark/acme,energy,kWh,amount,0,,,electricity of the bill
LAND,acmepark/acme,area,亩,gauge,0,10000,,land
STAFF,acmepark/acme,count,人,gauge,0,100000,,mean number of staff
PERMIT-ENDS,acmepark/acme,date,day,gauge,,,,end of the discharge permit
GRADE,acmepark/acme,fraction,%,gauge,0,100,,purity of the product
WASTE,acmepark/other,mass,t,amount,0,,,solid waste
"""
_ACME = data_park("acme")
FILES = {"park.toml": _ACME["park.toml"] + TOML, "tags.csv": _ACME["tags.csv"] + TAGS}
PARK = parse_park(FILES)


def cells(tag, period, value, **more):
    """Return the cells of one row, as people write them."""
    return {"tag": tag, "period": period, "value": str(value), **more}


class Book:
    """The API over a park with a book, and an ingest that obeys it."""

    def __init__(self, client, context, obey):
        self.client, self.context, self._obey = client, context, obey

    async def post(self, path="", **options):
        """Send an order and have it carried out; return its error."""
        sent = await self.client.post(f"/api/v1/book{path}", **options)
        await self._obey()
        return await outcome(self.client, sent)

    async def refused(self, path="", **options):
        """Send an order that is refused; return status, sentence and errors."""
        sent = await self.client.post(f"/api/v1/book{path}", **options)
        problem = sent.json()
        return sent.status_code, problem["detail"], problem.get("errors", [])

    async def file(self, text, confirm="false"):
        query = {"by": "ann", "confirm": confirm}
        return await self.post("/csv", content=text.encode(), params=query)

    async def list(self, path="", **query):
        answer = await self.client.get(f"/api/v1/book{path}", params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()["items"]

    async def latest(self, tag):
        (row,) = (await self.client.get("/api/v1/latest", params={"tag": tag})).json()["items"]
        return row

    async def history(self, tag):
        query = {"tag": tag, "from": "2024-01-01T00:00:00+08:00", "to": "2025-01-01T00:00:00+08:00"}
        return (await self.client.get("/api/v1/history", params=query)).json()

    async def shows(self, tag, value):
        """Wait until the newest value of a tag is this one."""
        await until(lambda: self._value(tag) == value)

    def _value(self, tag):
        feed = self.context.feed
        at = feed.catalogue.index[tag]
        return feed.image.value[at] / feed.catalogue.scale[at]


@asynccontextmanager
async def keeping(database, park, now, **settings):
    """Serve a park with a book; yields the book."""
    async with (
        cycling(database, park, now) as cycle,
        serving(database, now, **settings) as (client, context),
    ):
        commands = CommandQueue(cycle._store, cycle._park, cycle.topics, cycle._settings)
        now_us = now

        async def obey():
            nonlocal now_us
            now_us += 3_000_000
            await turn(cycle, commands, now_us)

        await obey()
        yield Book(client, context, obey)
