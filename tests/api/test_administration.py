"""Versions of the model and what they changed, sizes of tables, over HTTP."""

from datetime import UTC, datetime

from tests.support.small_park import FILES, NOW, serving
from tests.support.stored import cycling
from twin.loading import parse_park
from twin.revision import compare_models

pytest_plugins = ["tests.support.small_park"]

FORWARD = """
[[notify]]
id = "room"
kind = "webhook"
address = "https://chat.example/secret-of-the-room"
"""


def with_rows(text):
    return FILES | {"park.toml": FILES["park.toml"] + text}


async def test_versions_say_what_they_changed_and_tell_no_cell(database, ids, db):
    for text in ("", FORWARD, FORWARD.replace("chat", "talk")):
        async with cycling(database, parse_park(with_rows(text)), NOW) as cycle:
            await cycle.run([], NOW)
    async with serving(database) as (api, _):
        versions = (await api.get("/api/v1/model/versions")).json()["items"]
        newest, middle, first = [row["version"] for row in versions][:3]
        assert [row["in_use"] for row in versions][:2] == [True, False]
        changed = (await api.get(f"/api/v1/model/versions/{newest}")).json()
        added = (await api.get(f"/api/v1/model/versions/{middle}")).json()
        missing = await api.get(f"/api/v1/model/versions/{2**61}")
    assert (changed["before"], changed["count"]) == (middle, 1)
    assert changed["items"] == [
        {"table": "notify", "row": "room", "change": "changed", "cells": ["address"]}
    ]
    assert (added["before"], added["items"][0]["change"]) == (first, "added")
    assert "secret" not in str(changed)
    assert missing.status_code == 404


def test_rows_are_known_again_by_what_makes_them_one():
    tags = FILES["tags.csv"].splitlines()
    one = tags[1].split(",")
    moved = "\n".join([tags[0], *tags[2:], ",".join([*one[:-1], "another text"])])
    changes = compare_models(FILES, FILES | {"tags.csv": moved})
    assert [(each.table, each.change, each.cells) for each in changes] == [
        ("tag", "changed", ("description",))
    ]
    assert compare_models(FILES, FILES) == []


async def test_storage_lists_tables_with_their_size_and_age(database, ids, db):
    for days in (2, 4, 6, 8, 10):
        await db.execute(
            "INSERT INTO sample (time, tag_id, value, quality, received)"
            " VALUES ($1::timestamptz - make_interval(days => $2), 1, 1, 0, now())",
            datetime.fromtimestamp(NOW / 1e6, UTC),
            days,
        )
    async with cycling(database, parse_park(FILES), NOW) as cycle:
        await cycle.run([], NOW)
    await db.execute(
        "INSERT INTO archive_file (kind, start, stop, path, rows, bytes, written) SELECT 'sample',"
        " day, day + interval '1 day', day::text, 1000, 4000, now()"
        " FROM generate_series('2025-05-01Z'::timestamptz, '2025-05-08Z', '1 day') AS day"
    )
    async with serving(database) as (api, _):
        storage = (await api.get("/api/v1/storage")).json()
    tables = {row["name"]: row for row in storage["items"]}
    assert storage["database_bytes"] > tables["sample"]["bytes"] > 0
    assert {"minute", "alarm_event", "model"} <= set(tables)
    days = (NOW / 1e6 - datetime.fromisoformat(tables["sample"]["oldest"]).timestamp()) / 86_400
    assert 10 <= days <= 11
    assert tables["sample"]["bytes_a_day"] == round(tables["sample"]["bytes"] / days)
    archived = tables["archive.sample"]
    assert (archived["bytes"], archived["rows"]) == (32_000, 8_000)
    assert archived["oldest"] == "2025-05-01T08:00:00+08:00"
    assert (tables["model"]["oldest"], tables["model"]["bytes_a_day"]) == (None, None)
