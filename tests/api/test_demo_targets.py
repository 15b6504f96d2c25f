"""The targets of the demonstration park with its example book: a value, or the input it lacks."""

from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

import deploy
from tests.support.small_book import keeping
from twin.loading import load_park

pytest_plugins = ["tests.support.small_park"]
FOLDER = Path(deploy.__file__).parent / "parks" / "liaocheng"
NOW = round(datetime(2026, 1, 15, tzinfo=ZoneInfo("Asia/Shanghai")).timestamp()) * 1_000_000


@pytest.fixture
async def items(database):
    async with keeping(database, load_park(FOLDER), NOW) as book:
        content = (FOLDER / "book.csv").read_bytes()
        assert (
            await book.post("/csv", content=content, params={"by": "demo", "confirm": "true"})
            is None
        )
        answer = await book.client.get("/api/v1/targets")
        assert answer.status_code == 200, answer.text
        yield {item["id"]: item for item in answer.json()["items"]}


async def test_every_demand_has_a_value_or_names_the_input_it_lacks(items):
    assert len(items) == 39
    for item in items.values():
        assert item["kpi"]
        assert (item["value"] is None or item["goal"] is None) == (item["state"] == "no_data")
        assert bool(item["no_data"]) == (item["state"] == "no_data"), item["id"]
        assert item["source"]
    assert {name for name, item in items.items() if item["state"] == "not_met"} == {
        "al-revenue-2025", "al-processing-revenue-2025", "al-processors-50", "al-processors-20",
        "zero-gap-2022", "rail-share", "chem-enterprises-2025", "chem-revenue-2025",
        "zero-carbon-heat",
    }  # fmt: skip


async def test_books_of_the_demonstration_give_the_figures_of_its_example_year(items):
    value = {name: item["value"] for name, item in items.items()}
    assert value["chem-enterprises-2025"] == 113
    assert value["chem-revenue-2025"] == pytest.approx(912.4 * 365.25 / 365)
    assert value["park-revenue-2025"] == pytest.approx(100 * 741.9 / 912.4)
    assert [value[f"al-processors-{n}"] for n in (100, 50, 20)] == [1, 1, 3]
    # A year of a book is no trend by months.
    assert items["chem-revenue-2025"]["pace"] is None
    assert "longer periods" in items["chem-revenue-2025"]["outlook_reason"]
    heat = items["zero-carbon-heat"]
    assert (heat["start"][:10], heat["end"][:10]) == ("2025-01-01", "2026-01-01")
    assert heat["pace"]["points"] == 12
    assert [gap["uom"] for gap in heat["gap"]] == ["kWh", "tce"]
    (mine,) = heat["moved"]["moves"]
    assert mine["member"] == "luxi"
    assert mine["numerator"] + mine["denominator"] == pytest.approx(heat["moved"]["change"])


async def test_quota_whose_table_is_not_known_is_named(items):
    row = items["zero-carbon-products"]
    assert "quota_2 of caustic: the table of GB 21257-2024 is not known" in row["no_data"]
    assert not row["verified"]
