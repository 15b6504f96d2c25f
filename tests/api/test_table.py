"""Tables of answers leave as CSV, whatever is inside of their records."""

import csv
import io

from api.table import render
from tests.support.small_park import serving

pytest_plugins = ["tests.support.small_park"]


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_records_inside_of_records_are_columns_and_lists_of_them_are_rows():
    records = [
        {"name": {"zh": "某", "en": "a, b"}, "ok": True, "parts": [{"t": 1.5}, {"t": None}]},
        {"name": {"zh": "=1+1", "en": "-"}, "ok": False, "parts": []},
    ]
    assert render(records).splitlines() == [
        "name.zh,name.en,ok,parts.t,parts",
        '某,"a, b",true,1.5,',
        '某,"a, b",true,,',
        "'=1+1,'-,false,,",
    ]
    assert render([]) == "\n"


async def test_a_list_is_to_be_had_as_a_file_by_link_and_by_header(database, ids):
    async with serving(database) as (api, _):
        items = (await api.get("/api/v1/latest")).json()["items"]
        link = await api.get("/api/v1/latest?format=csv")
        header = await api.get("/api/v1/latest", headers={"Accept": "text/csv"})
        assert link.text == header.text
        assert link.headers["content-disposition"] == 'attachment; filename="latest.csv"'
        assert [row["tag"] for row in rows_of(link.text)] == [item["tag"] for item in items]
        assert [row["value"] for row in rows_of(link.text)] == [
            "" if item["value"] is None else str(item["value"]) for item in items
        ]


async def test_an_answer_of_several_tables_says_which_there_are(database, ids):
    async with serving(database) as (api, _):
        refused = await api.get("/api/v1/park?format=csv")
        assert refused.status_code == 422
        assert "scopes" in refused.json()["detail"]
        scopes = await api.get("/api/v1/park?format=csv&table=scopes")
        whole = (await api.get("/api/v1/park")).json()["scopes"]
        assert [row["id"] for row in rows_of(scopes.text)] == [scope["id"] for scope in whole]
        assert (await api.get("/api/v1/park?format=xml")).status_code == 422
        wish = {"Accept": "text/html, */*;q=0.8"}
        assert (await api.get("/api/v1/park", headers=wish)).json()["scopes"] == whole


async def test_a_balance_is_a_table_with_rows_for_each_window(database, ids):
    path = "/api/v1/scopes/demo/acme/balance"
    async with serving(database) as (api, _):
        whole = (await api.get(path)).json()["items"]
        rows = rows_of((await api.get(f"{path}?format=csv")).text)
        assert {row["start"] for row in rows} == {item["start"] for item in whole}


async def test_several_tags_of_a_history_are_a_list_and_one_table(database, ids):
    query = {"tag": ["acme/FT-1", "acme/FT-3"], "from": "2025-06-02T08:00:00+08:00"}
    async with serving(database, history_tags_max=2) as (api, _):
        several = (await api.get("/api/v1/history", params=query)).json()["items"]
        single = [
            (await api.get("/api/v1/history", params={**query, "tag": tag})).json()
            for tag in query["tag"]
        ]
        assert several == single
        table = rows_of((await api.get("/api/v1/history", params={**query, "format": "csv"})).text)
        counts = {tag: sum(row["tag"] == tag for row in table) for tag in query["tag"]}
        assert counts == {each["tag"]: len(each["time"]) for each in single}
        refused = await api.get("/api/v1/history", params={**query, "tag": ["a/b"] * 3})
        assert refused.status_code == 422
        assert (await api.get("/api/v1/tags?cursor=garbage")).status_code == 422
