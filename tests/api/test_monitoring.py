"""Items of the online energy monitoring over HTTP and in files, by hand."""

import csv
import io

import numpy as np
import pytest
from python_calamine import CalamineWorkbook

from api.reports.table import MARK
from tests.support.small_park import (
    BEGIN,
    HOUR,
    JOULE_PER_MINUTE,
    PARK_TOML,
    S,
    add_minutes,
    roll_up,
    rows_of,
    with_park,
)

pytest_plugins = ["tests.support.small_park"]
DAY = {"from": "2025-06-02T00:00:00+08:00", "to": "2025-06-03T00:00:00+08:00"}
USER = """
[[key_user]]
scope = "demo/acme"
credit_code = "91371500MA3C000000"
output_value = "acme/B-OUT"
[[book]]
tag = "acme/B-OUT"
period = "day"
[[calibration]]
tag = "acme/JQ-1"
due = 2025-05-31
"""
TAGS = "B-OUT,demo/acme,money,万元,amount,0,1e9,,output value\n"
REPORTING = with_park(PARK_TOML + USER, tags=TAGS)


async def fill_night(db, ids):
    """Give the meters minutes from midnight on, as they have from eight o'clock on."""
    night = np.arange(BEGIN - 8 * HOUR, BEGIN, 60 * S)
    for tag, amount in (("JQ-1", JOULE_PER_MINUTE), ("FT-5", 0.5 * 60), ("FT-6", 6.0 * 60)):
        await add_minutes(db, ids[f"acme/{tag}"], night, lambda _, a=amount: a, lambda _: 1.0)
    await roll_up(db)


def by_item(answer, scope="demo/acme"):
    return {
        (row["item"], row["carrier"] or row["product"]): row
        for row in answer["items"] if row["scope"] == scope
    }  # fmt: skip


@REPORTING
async def test_items_of_a_day_are_those_a_person_computes(api, db, ids):
    await fill_night(db, ids)
    answer = await rows_of(api, "demo/online-monitoring", **DAY)
    rows = by_item(answer)
    # 630 minutes of 750 MJ are 131 250 kWh; 6 kg/s make 226.8 t, with 18.9 t of steam.
    assert rows["carrier", "electricity"]["value"] == pytest.approx(131_250)
    assert rows["output", "caustic"]["value"] == pytest.approx(226.8)
    power = rows["carrier_coal_equivalent", "electricity"]["value"]
    assert power == pytest.approx(131_250 * 0.1229)
    steam = rows["carrier_coal_equivalent", "steam"]["value"]
    total = rows["comprehensive_energy", ""]
    assert total["value"] == pytest.approx(power + steam)
    assert rows["energy_per_tonne", "caustic"]["value"] == pytest.approx(total["value"] / 226.8)
    per_tonne = rows["electricity_per_tonne", "electricity"]
    assert per_tonne["value"] == pytest.approx(131_250 / 226.8)
    assert per_tonne["tags"] == ["acme/JQ-1", "acme/FT-6"]
    assert (total["complete"], total["final"], total["method"]) == (True, False, "metered")
    assert all(item["origin"] == "own" for item in answer["catalogue"])


@REPORTING
async def test_what_is_not_known_has_its_row_and_its_reason(api):
    answer = await rows_of(api, "demo/online-monitoring", **DAY)
    rows = by_item(answer)
    assert rows["carrier", "electricity"]["complete"] is False
    assert rows["output_value", ""]["value"] is None
    assert rows["output_value", ""]["reason"] == "no data: acme/B-OUT"
    assert rows["value_added", ""]["reason"] == (
        "no data: [[key_user]] of demo/acme names no tag of it"
    )
    idle = by_item(answer, "demo/idle")
    assert idle["comprehensive_energy", ""]["reason"] == "no data: no meter of energy of demo/idle"
    assert all(row["reason"] for row in answer["items"] if row["value"] is None)


@REPORTING
async def test_the_statement_says_how_far_the_data_keep_the_rules(api, db, ids):
    poor = await rows_of(api, "demo/acme/online-monitoring", **DAY)
    verdicts = {check["rule"]: check for check in poor["statement"]}
    assert verdicts["completeness"]["verdict"] == "not_met"
    assert verdicts["deviation"]["verdict"] == "undecided"
    assert (verdicts["calibration"]["verdict"], verdicts["calibration"]["tags"]) == (
        "not_met", ["acme/JQ-1"],
    )  # fmt: skip
    await fill_night(db, ids)
    rich = await rows_of(api, "demo/acme/online-monitoring", **DAY)
    share = {check["rule"]: check["figure"] for check in rich["statement"]}["completeness"]
    # Nine rows are due, and the output value of the book has none.
    assert share == pytest.approx(8 / 9)


@REPORTING
async def test_files_have_every_row_and_the_statement(api):
    answer = await rows_of(api, "demo/online-monitoring", **DAY)
    count = len(answer["items"]) + len(answer["statement"])
    for language in ("zh", "en"):
        query = {**DAY, "lang": language}
        path = "/api/v1/scopes/demo/online-monitoring/file"
        text = (await api.get(path, params=query | {"format": "csv"})).content.decode()
        assert text.startswith(MARK)
        table = list(csv.reader(io.StringIO(text.removeprefix(MARK))))
        assert {len(row) for row in table} == {20}
        assert len(table) == 1 + count
        content = (await api.get(path, params=query | {"format": "xlsx"})).content
        book = CalamineWorkbook.from_filelike(io.BytesIO(content))
        sheets = [book.get_sheet_by_name(name).to_python() for name in book.sheet_names]
        assert sum(len(rows) - 1 for rows in sheets) == count


@REPORTING
async def test_a_part_of_an_enterprise_is_told_whom_to_ask_for(api):
    answer = await api.get("/api/v1/scopes/demo/acme/caustic/online-monitoring")
    assert answer.status_code == 422
    assert "ask for demo/acme" in answer.text
