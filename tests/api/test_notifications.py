"""Who is told of alarms, over HTTP: rows of the model with what ingest wrote of them."""

from datetime import UTC, datetime

from tests.support.small_park import FILES, NOW, serving
from tests.support.stored import cycling
from twin.loading import parse_park

pytest_plugins = ["tests.support.small_park"]

ROWS = """
[[notify]]
id = "night"
kind = "mail"
address = "night@park.example"
from = "22:00"
to = "06:00"
[[notify]]
id = "room"
kind = "webhook"
address = "https://chat.example/hook?token=4711"
language = "en"
priorities = ["critical"]
"""


async def test_rows_of_the_model_come_with_what_was_sent_and_why_not(database, ids, db):
    files = FILES | {"park.toml": FILES["park.toml"] + ROWS}
    async with cycling(database, parse_park(files), NOW) as cycle:
        await cycle.run([], NOW)
    await db.execute(
        "INSERT INTO notify (id, seen, owed, sent, failed, dropped, problem, last)"
        " VALUES ('night', 9, '{7,9}', 3, 1, 2, 'no answer in time', $1)",
        datetime(2025, 6, 2, 3, tzinfo=UTC),
    )
    async with serving(database) as (api, _):
        night, room = (await api.get("/api/v1/notifications")).json()["items"]
        csv = await api.get("/api/v1/notifications?format=csv")
    assert (night["start"], night["end"], night["priorities"]) == (
        "22:00",
        "06:00",
        ["critical", "high"],
    )
    assert (night["owed"], night["sent"], night["dropped"]) == (2, 3, 2)
    assert (night["problem"], night["last"]) == ("no answer in time", "2025-06-02T11:00:00+08:00")
    assert room["address"] == ["https://chat.example/hook?…"]
    assert (room["kind"], room["end"], room["sent"], room["last"]) == ("webhook", "24:00", 0, None)
    assert csv.text.splitlines()[0].lstrip("\ufeff").startswith("id,kind")
