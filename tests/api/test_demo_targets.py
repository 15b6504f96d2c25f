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
async def client(database):
    async with keeping(database, load_park(FOLDER), NOW) as book:
        content = (FOLDER / "book.csv").read_bytes()
        assert (
            await book.post("/csv", content=content, params={"by": "demo", "confirm": "true"})
            is None
        )
        yield book.client


@pytest.fixture
async def items(client):
    answer = await client.get("/api/v1/targets")
    assert answer.status_code == 200, answer.text
    return {item["id"]: item for item in answer.json()["items"]}


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
        "tyre-revenue-2025",
    }  # fmt: skip


async def test_books_of_the_demonstration_give_the_figures_of_its_example_year(items):
    value = {name: item["value"] for name, item in items.items()}
    assert value["chem-enterprises-2025"] == 113
    assert value["chem-revenue-2025"] == pytest.approx(912.4 * 365.25 / 365)
    assert value["park-revenue-2025"] == pytest.approx(100 * 741.9 / 912.4)
    assert [value[f"al-processors-{n}"] for n in (100, 50, 20)] == [1, 1, 3]
    # 45 % special tyres instead of 30 % in 2018.
    assert value["tyre-special-2025"] == pytest.approx(50)
    assert "B-SMART-MODELS" in items["smart-models"]["reason"] + items["smart-models"]["no_data"][0]
    # A year of a book is no trend by months.
    assert items["chem-revenue-2025"]["pace"] is None
    assert "longer periods" in items["chem-revenue-2025"]["outlook_reason"]
    waste = items["zero-carbon-waste"]
    assert (waste["start"][:10], waste["end"][:10]) == ("2025-01-01", "2026-01-01")
    # Slag, ash and gypsum of the year: 91 % of what came is used.
    assert waste["value"] == pytest.approx(91, abs=2)
    assert waste["pace"]["points"] == 12
    (mine,) = waste["moved"]["moves"]
    assert mine["member"] == "luxi"
    assert mine["numerator"] + mine["denominator"] == pytest.approx(waste["moved"]["change"])
    # Other loops have meters and no books: without a value they name their meters.
    for name, meter in (("water", "luxi/FI-8009"), ("heat", "luxi/JI-6204")):
        row = items[f"zero-carbon-{name}"]
        assert (row["value"], row["state"]) == (None, "no_data")
        assert meter in row["no_data"]


async def test_quota_whose_table_is_not_known_is_named(items):
    row = items["zero-carbon-products"]
    assert "quota_2 of caustic: the table of GB 21257-2024 is not known" in row["no_data"]
    assert not row["verified"]


async def test_parks_stand_side_by_side_against_the_benchmark_park(client):
    answer = await client.get("/api/v1/scopes/liaocheng/benchmark")
    assert answer.status_code == 200, answer.text
    result = answer.json()
    assert result["benchmark"] == "liaocheng/gaoxin"
    rows = {row["id"]: row["parks"] for row in result["items"]}
    for parks in rows.values():
        assert [each["scope"] for each in parks] == [
            "liaocheng/gaoxin", "liaocheng/chiping", "liaocheng/shenxian",
        ]  # fmt: skip
        assert all((each["value"] is None) == bool(each["no_data"]) for each in parks)
    # The books of 2025 by park: tax over land, exact, so that all three have a rank.
    lines = (FOLDER / "book.csv").read_text(encoding="utf-8").splitlines()
    cells = [line.split(",") for line in lines if not line.startswith("#")]

    def total(tag):
        return sum(float(value) for name, period, value, *_ in cells[1:] if name == tag
                   and period.startswith("2025"))  # fmt: skip

    tax = [total(f"{firm}/B-TAX") / total(f"{firm}/B-LAND") * 365.25 / 365
           for firm in ("luxi", "xinfa", "huaxiang")]  # fmt: skip
    parks = rows["tax-land"]
    assert [each["value"] for each in parks] == pytest.approx(tax)
    order = sorted(tax, reverse=True)
    assert [each["rank"] for each in parks] == [order.index(each) + 1 for each in tax]
    assert [each["gap"] for each in parks] == pytest.approx([each - tax[0] for each in tax])
    assert parks[0]["compared"] is None
    assert [each["compared"] for each in parks[1:]] == [
        "better" if each > tax[0] else "worse" for each in tax[1:]
    ]
    # Nothing was measured: the park says so, and is not ranked.
    assert rows["al-kwh"][0]["no_data"] == ["electricity of aluminium", "mass of aluminium"]
    assert {each["rank"] for each in rows["k1"]} == {None}


async def test_books_tell_of_loops_and_interlocks_of_the_demonstration(client):
    answer = await client.get("/api/v1/scopes/liaocheng/maturity")
    assert answer.status_code == 200, answer.text
    luxi, xinfa, _ = answer.json()["items"]
    assert luxi["control_share"] == pytest.approx(1178 / 1240)
    assert xinfa["interlock_share"] == pytest.approx(195 / 198)
    # Nothing is measured in this test.
    assert (luxi["level"], luxi["reason"]) == (0, "availability")
    assert {each["carrier"] for each in luxi["meters"]} == {"electricity", "steam"}
