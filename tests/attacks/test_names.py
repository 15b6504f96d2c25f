"""Names that want to be more: a path, a header, SQL. They are data, or refused, and on record."""

import asyncio
from urllib.parse import quote

import pytest

from api.table import attachment
from tests.api.live.test_feed import listening
from tests.support.accounts import come_in, guarded
from tests.support.data import data_text
from tests.support.small_park import with_park

pytest_plugins = ["tests.support.small_park"]
# Ways out of the folder of the console, as they may stand in a request.
WAYS_OUT = (
    "/../../../../etc/passwd", "/..%2f..%2f..%2f..%2fetc%2fpasswd", "/%2e%2e/%2e%2e/etc/passwd",
    "/assets/../../../../../../etc/passwd", "/assets/..%5c..%5cetc%5cpasswd", "//etc/passwd",
    "/assets//etc/passwd", "/assets/%2fetc%2fpasswd", "/%252e%252e%252fetc%252fpasswd",
    "/assets/%00", "/....//....//etc/passwd", "/api/v1/../../etc/passwd",
    "/api/v1/reports/park/..%2f..%2f..%2fetc%2fpasswd?period=2025", "/package.json",
    "/.env", "/../package.json", "/..%2fsrc%2fmain.ts",
)  # fmt: skip
PAGE = b"<!doctype html"


async def ask_raw(port, path):
    """Return status and answer to a request whose path no client has put in order."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    return int(answer[9:12]), answer.partition(b"\r\n\r\n")[2]


async def test_no_path_leads_out_of_the_folder_of_the_console(database, ids):
    async with listening(database) as (url, _):
        port = int(url.rpartition(":")[2])
        assert (await ask_raw(port, "/overview"))[1].lower().startswith(PAGE)
        for path in WAYS_OUT:
            status, body = await ask_raw(port, path)
            assert b"root:" not in body, path
            assert b'"dependencies"' not in body, path
            # Of what names no file there is the page, which is everybody's.
            assert status in (400, 404, 422) or body.lower().startswith(PAGE), (path, status, body)


HOSTILE = (
    "x\r\nSet-Cookie: a=b",
    'a"; filename="b.exe',
    "漢字",
    "a/../../b",
    "a\x00b",
    "%0d%0a",
    "",
)


@pytest.mark.parametrize("name", HOSTILE)
def test_the_name_of_a_file_stays_within_its_header(name):
    header = attachment(f"{name}.csv")
    assert header.isascii()
    assert header.isprintable()
    plain = header.partition('filename="')[2].partition('"')[0]
    assert set(plain) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")
    assert header.count('"') == 2


# What no model takes for a tag, and what one takes that somebody wrote so.
TEXTS = ["FT';DROP TABLE sample;--", 'FT" OR 1=1', "FT'||pg_sleep(9)||'", "FT\r\nX: y"]
TAGS = ["=cmd|calc", "FT%0d%0aX:y", "FT;DELETE--", "FT)OR(1=1", "<img>"]
ROWS = "".join(f"{tag},demo/acme,mass_flow,t/h,gauge,0,100,1 %,hostile\n" for tag in TAGS)
HOSTILE_PARK = with_park(data_text("demo/park.toml"), ROWS)


@HOSTILE_PARK
async def test_tags_with_hostile_names_are_tags_like_others(database, db, ids):
    async with guarded(database) as (api, accounts, _):
        await come_in(api, accounts, "ann", "engineer")
        for tag in TAGS:
            address = f"acme/{tag}"
            answer = await api.get("/api/v1/latest", params={"tag": address})
            assert answer.json()["items"][0]["tag"] == address
            for form in ("csv", "arrow"):
                query = {"tag": address, "format": form}
                answer = await api.get("/api/v1/history", params=query)
                assert answer.status_code == 200
                assert "x" not in answer.headers
            answer = await api.get("/api/v1/tags", params={"q": tag, "format": "csv"})
            # A spreadsheet takes none for a formula.
            assert all(not line.startswith(("=", '"=')) for line in answer.text.splitlines())
            order = await api.delete(f"/api/v1/quarantine/acme/{quote(tag, safe='')}")
            assert order.status_code == 404
        # What was refused is on record, with who did it.
        sql = "SELECT subject, outcome FROM audit WHERE account = 'ann' ORDER BY number"
        rows = [(row["subject"], row["outcome"]) for row in await accounts.rows(sql)]
        assert [row[1] for row in rows if "/quarantine/" in row[0]] == ["404"] * len(TAGS)


async def test_orders_with_hostile_texts_are_stored_as_they_are(database, db, ids):
    async with guarded(database) as (api, accounts, _):
        await come_in(api, accounts, "eve", "engineer")
        for text in TEXTS:
            answer = await api.post("/api/v1/rejects/replay", json={"by": text, "reason": text})
            assert answer.status_code == 202, answer.text
            assert "x" not in answer.headers
        rows = await db.fetch("SELECT body->>'reason' AS reason FROM command ORDER BY id")
        assert [row["reason"] for row in rows] == TEXTS
