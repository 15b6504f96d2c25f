"""Book data over HTTP: entered by form and by file, confirmed, row, corrected and restated."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from tests.support.small_book import PARK, keeping
from tests.support.small_park import rows_of
from twin import quality as q

pytest_plugins = ["tests.support.small_park"]

ZONE = ZoneInfo("Asia/Shanghai")
NOW = round(datetime(2024, 11, 15, tzinfo=ZONE).timestamp()) * 1_000_000
HEAD = "tag,period,value,uom,evidence,note,reason\n"
OCTOBER = {"from": "2024-10-01T00:00:00+08:00", "to": "2024-11-01T00:00:00+08:00"}
SPREAD = q.UNCERTAIN | q.SPREAD


@pytest.fixture
async def book(database):
    async with keeping(database, PARK, NOW) as keeper:
        yield keeper


async def test_monthly_revenue_is_entered_by_file_confirmed_shown_and_restated(book, db):
    text = HEAD + "acme/REVENUE,2024-09,1100,万元,,,\nacme/REVENUE,2024-10,1234.5,万元,ledger,,\n"
    assert await book.file(text) is None
    october, september = await book.list(tag="acme/REVENUE")
    assert (october["period"], october["value"], october["status"]) == ("2024-10", 1234.5, "draft")
    assert (october["start"], october["end"]) == tuple(OCTOBER.values())
    assert (october["evidence"], september["evidence"][:7]) == ("ledger", "sha256:")
    assert (await book.history("acme/REVENUE"))["value"] == []
    assert (await book.latest("acme/REVENUE"))["value"] is None
    ids = [october["id"], september["id"]]
    assert await book.post("/confirm", json={"by": "bob", "ids": ids}) is None
    await book.shows("acme/REVENUE", 1234.5)
    row = await book.latest("acme/REVENUE")
    assert (row["time"], row["uom"], row["quality"]) == (OCTOBER["from"], "万元", q.MANUAL)
    history = await book.history("acme/REVENUE")
    assert (history["resolution"], history["value"]) == ("raw", [1100.0, 1234.5])
    body = {"by": "ann", "value": 1243.5, "reason": "invoice 4711 was missing", "confirm": True}
    assert await book.post(f"/{october['id']}/correct", json=body) is None
    await book.shows("acme/REVENUE", 1243.5)
    assert (await book.history("acme/REVENUE"))["value"] == [1100.0, 1243.5]
    new, old = await book.list(f"/{october['id']}")
    assert (new["version"], new["value"], new["stands"], new["reason"]) == (
        2, 1243.5, True, "invoice 4711 was missing",
    )  # fmt: skip
    assert (old["version"], old["value"], old["stands"], old["confirmed_by"]) == (
        1, 1234.5, False, "bob",
    )  # fmt: skip
    assert await db.fetchval("SELECT count(*) FROM restatement") == 1


async def test_list_has_the_newest_the_standing_or_all_versions_a_page_at_a_time(book):
    await book.file(HEAD + "acme/LAND,2024,15,,,,\nother/WASTE,2024-11-14,3,t,,,\n", "true")
    body = {"by": "ann", "tag": "acme/LAND", "period": "2024", "value": 16, "reason": "bought one"}
    assert await book.post(json=body) is None
    figures = [(row["tag"], row["value"], row["status"]) for row in await book.list()]
    assert figures == [("other/WASTE", 3.0, "confirmed"), ("acme/LAND", 16.0, "draft")]
    standing = [row["value"] for row in await book.list(versions="standing")]
    assert standing == [3.0, 15.0]
    assert len(await book.list(versions="all")) == 3
    assert [row["tag"] for row in await book.list(scope="acmepark/other")] == ["other/WASTE"]
    page = (await book.client.get("/api/v1/book", params={"limit": 1})).json()
    assert page["next"] == "1"
    page = (await book.client.get("/api/v1/book", params={"limit": 1, "cursor": 1})).json()
    assert (page["items"][0]["tag"], page["next"]) == ("acme/LAND", None)


async def test_energy_per_tonne_of_a_month_follows_from_the_books_and_is_spread_in_its_days(book):
    text = HEAD + "acme/MADE,2024-10,310,t,,,\nacme/POWER-BILL,2024-10,744000,kWh,,,\n"
    assert await book.file(text, "true") is None
    path = "acmepark/acme/energy"
    rows = (await rows_of(book.client, path, window="month", **OCTOBER))["items"]
    (month,) = [row for row in rows if row["product"] == "caustic"]
    assert (month["mass_t"], month["energy_kwh"]) == (310.0, 744_000.0)
    assert (month["kwh_per_t"], month["completeness"], month["quality"]) == (2400.0, 1.0, q.MANUAL)
    rows = (await rows_of(book.client, path, window="day", **OCTOBER))["items"]
    days = [row for row in rows if row["product"] == "caustic"]
    assert len(days) == 31
    assert {(d["mass_t"], d["kwh_per_t"], d["quality"]) for d in days} == {(10.0, 2400.0, SPREAD)}


async def test_deviation_from_the_meter_is_shown_and_judged(book, db):
    await db.execute(
        "INSERT INTO day (time, tag_id, amount, covered_s, n, quality)"
        " SELECT date '2024-10-01' + n * interval '1 day' - interval '8 hours', tag_id,"
        " 3.6e6 * 1000, 86400, 24, 0"
        " FROM tag, generate_series(0, 30) n WHERE tag = 'JQ-1'"
    )
    await book.file(HEAD + "acme/POWER-BILL,2024-10,31000,kWh,,,\n")
    (row,) = await book.list(tag="acme/POWER-BILL")
    assert (row["meter"], row["metered"], row["metered_share"]) == ("acme/JQ-1", 31_000.0, 1.0)
    assert (row["deviation"], row["comparison"]) == (0.0, "within")
    body = {"by": "ann", "value": 34, "uom": "MWh", "reason": "another bill"}
    assert await book.post(f"/{row['id']}/correct", json=body) is None
    (row,) = await book.list(tag="acme/POWER-BILL")
    assert (row["value"], row["entered"], row["entered_uom"]) == (34_000.0, 34.0, "MWh")
    assert (row["deviation"], row["comparison"]) == (pytest.approx(3 / 31), "beyond")


async def test_date_is_entered_and_shown_as_a_date(book):
    body = {"by": "ann", "tag": "acme/PERMIT-ENDS", "period": "2024", "value": "2027-03-01"}
    assert await book.post(json=body | {"confirm": True}) is None
    (row,) = await book.list()
    assert (row["date"], row["uom"], row["value"]) == ("2027-03-01", "day", 20_878.0)


async def test_file_with_problems_is_refused_whole_with_row_column_and_mend(book):
    text = HEAD + "acme/LAND,2024,15,,,,\nacme/REVENU,2024-10,1,,,,\nacme/LAND,2023,15,kg,,,\n"
    status, sentence, errors = await book.refused("/csv", content=text.encode(), params={"by": "a"})
    assert status == 422
    assert "row 3, tag: the park has no tag 'acme/REVENU', did you mean 'acme/REVENUE'?" in sentence
    assert [(each["parameter"], each["detail"][:10]) for each in errors] == [
        ("tag", "row 3, tag"), ("uom", "row 4, uom"),
    ]  # fmt: skip
    assert await book.list(versions="all") == []


@pytest.mark.parametrize(
    ("path", "body", "status", "sentence"),
    [
        ("", {"tag": "acme/LAND", "period": "2024-10", "value": 1}, 422, "write it like 2026"),
        ("", {"tag": "acme/LAND", "period": "2024", "value": -1}, 422, "is below low of its tag"),
        (
            "",
            {"tag": "acme/FT-1", "period": "2024", "value": 1},
            422,
            "park.toml needs its [[book]]",
        ),
        ("", {"tag": "acme/LAND", "period": "2024"}, 422, "value"),
        ("/7/correct", {"value": 1, "reason": "x"}, 404, "there is no value of the books '7'"),
        ("/7/correct", {"value": 1, "reason": ""}, 422, "reason"),
        ("/confirm", {"ids": [7]}, 404, "there is no value of the books '7'"),
        ("/confirm", {"ids": []}, 422, "ids"),
    ],
)
async def test_wrong_order_is_refused_with_a_sentence(book, path, body, status, sentence):
    result = await book.refused(path, json={"by": "ann", **body})
    assert result[0] == status
    assert sentence in result[1]


async def test_file_that_is_no_text_is_refused(book):
    result = await book.refused("/csv", content=b"PK\x03\x04\xff", params={"by": "ann"})
    assert result[:2] == (422, "it is no text in UTF-8, UTF-16 or GB 18030")


async def test_value_is_confirmed_once_and_in_its_newest_version(book):
    for reason in ("", "typing"):
        body = {"by": "ann", "tag": "acme/LAND", "period": "2024", "value": 15 + len(reason),
                "reason": reason}  # fmt: skip
        assert await book.post(json=body) is None
    new, old = [row["id"] for row in await book.list(versions="all")]
    status, sentence, _ = await book.refused("/confirm", json={"by": "bob", "ids": [old]})
    assert (status, sentence) == (
        409,
        f"value {old} was corrected since: confirm the newest version",
    )
    assert await book.post("/confirm", json={"by": "bob", "ids": [new]}) is None
    status, sentence, _ = await book.refused("/confirm", json={"by": "bob", "ids": [new]})
    assert (status, sentence) == (409, f"value {new} is confirmed already")
