"""The bridge over HTTP: exact, by plant and cause, with findings in words where they are sure."""

from datetime import timedelta

import numpy as np
import pytest

from tests.support.small_baseline import (
    BEGIN,
    CHANGED,
    DAY,
    FILES,
    LESS,
    NOW,
    ZONE,
    add_days,
    fill,
    keeping_baselines,
    order,
    truth,
)
from tests.support.small_book import keeping
from tests.support.small_park import rows_of, stamp
from twin.loading import parse_park

PLANT = "acmepark/acme/caustic"
FIT = f"{PLANT}/baselines/caustic-power/fit"


def moment(day):
    return stamp(BEGIN + day * DAY).isoformat()


PERIODS = {
    "base_from": moment(CHANGED - 32), "base_to": moment(CHANGED),
    "from": moment(CHANGED), "to": moment(CHANGED + 40),
}  # fmt: skip


async def test_change_is_divided_by_plant_and_cause_and_told_in_words(database, db):
    _, kelvin, energy, _, more = truth()
    before, after = slice(CHANGED - 32, CHANGED), slice(CHANGED, CHANGED + 40)
    async with keeping_baselines(database) as book:
        empty = await rows_of(book.client, "acmepark/bridge", **PERIODS)
        assert (empty["change"], empty["parts"], empty["findings"]) == (None, [], [])
        assert "too little" in empty["reason"]
        assert [member["change"] for member in empty["members"]] == [None, None]
        await fill(db)
        answer = await rows_of(book.client, "acmepark/bridge", **PERIODS)
        assert (answer["uom"], answer["reason"], answer["completeness"]) == ("MWh/day", "", 1.0)
        both = energy + more
        assert answer["before"] == pytest.approx(both[before].mean())
        assert answer["change"] == pytest.approx(both[after].mean() - both[before].mean())
        assert answer["residual"] == pytest.approx(0, abs=1e-9)
        parts = {part["effect"]: part for part in answer["parts"]}
        assert sum(part["value"] for part in answer["parts"]) == pytest.approx(answer["change"])
        assert parts["other"]["value"] == pytest.approx(0, abs=1e-9)
        assert (parts["load"]["value"], parts["conditions"]["value"]) == (0, 0)
        assert answer["members"][0]["scope"] == PLANT
        assert "no accepted baseline" in answer["members"][0]["reason"]
        # The model takes load and temperature out of the intensity: what was saved remains.
        assert await order(book, FIT) is None
        answer = await rows_of(book.client, "acmepark/bridge", **PERIODS)
        plant = answer["members"][0]
        assert (plant["baseline"], plant["reason"]) == ("caustic-power", "")
        effect = {each["effect"]: each for each in plant["effects"]}
        assert effect["intensity"]["value"] == pytest.approx(-LESS, abs=2.5)
        assert effect["intensity"]["ci"] < LESS / 2
        warmer = kelvin[after].mean() - kelvin[before].mean()
        assert effect["conditions"]["value"] == pytest.approx(1.5 * warmer, abs=1.5)
        assert sum(each["value"] for each in plant["effects"]) == pytest.approx(plant["change"])
        findings = [f for f in answer["findings"] if f["subject"] == "intensity"]
        assert [f["scope"] for f in findings] == [PLANT]
        assert (
            "Caustic (caustic): its energy per tonne lowered its electricity by"
            in findings[0]["en"]
        )
        assert "烧碱（caustic）：单耗使电耗减少" in findings[0]["zh"]
        assert all(abs(f["value"]) > f["ci"] for f in answer["findings"])
        bad = await book.client.get(
            "/api/v1/scopes/acmepark/bridge", params=PERIODS | {"base_to": moment(0)}
        )
        assert bad.status_code == 422


TARIFFS = """
[[tariff]]
id = "old"
scope = "acmepark"
from = 2024-01-01
to = {last}
price = "0.50 CNY/kWh"
[[tariff]]
id = "new"
scope = "acmepark"
from = {first}
to = 2024-12-31
price = "0.60 CNY/kWh"
[[meter]]
id = "incomer"
scope = "acmepark"
carrier = "electricity"
tag = "acmepark/JQ-0"
role = "incomer"
"""


async def test_a_dearer_tariff_is_the_price_of_a_cost(database, db):
    day = stamp(BEGIN + CHANGED * DAY).astimezone(ZONE).date()
    files = FILES | {
        "park.toml": FILES["park.toml"] + TARIFFS.format(last=day - timedelta(days=1), first=day),
        "tags.csv": FILES["tags.csv"] + "JQ-0,acmepark,energy,kWh,counter,,,,incomer\n",
    }
    question = PERIODS | {"measure": "electricity_cost"}
    before, after = slice(CHANGED - 32, CHANGED), slice(CHANGED, CHANGED + 40)
    _, _, energy, _, more = truth()
    async with keeping(database, parse_park(files), NOW) as book:
        await fill(db)
        await add_days(db, **{"acmepark/JQ-0": ((energy + more) * 3.6e9, energy)})
        await db.execute(
            "INSERT INTO hour (time, tag_id, n, amount, covered_s, min, max, last, quality)"
            " SELECT d.time + h * interval '1 h', tag_id, n, amount / 24, 3600, min, max, last, 0"
            " FROM day d, generate_series(0, 23) h"
        )
        answer = await rows_of(book.client, "acmepark/bridge", **question)
    assert (answer["uom"], answer["reason"], answer["price_reason"]) == ("CNY/day", "", "")
    use = [(energy + more)[each].mean() for each in (before, after)]
    assert answer["before"] == pytest.approx(500 * use[0])
    assert answer["change"] == pytest.approx(600 * use[1] - 500 * use[0])
    parts = {part["effect"]: part["value"] for part in answer["parts"]}
    assert sum(parts.values()) == pytest.approx(answer["change"])
    # Of each plant: logarithmic mean of its costs times ln(0.60 / 0.50).
    price = 0.0
    for each in (energy, more):
        first, last = 500 * each[before].mean(), 600 * each[after].mean()
        price += (last - first) / np.log(last / first) * np.log(1.2)
    assert parts["price"] == pytest.approx(price)
    assert answer["residual"] == pytest.approx(0, abs=1e-6)


async def test_without_a_tariff_there_is_no_bridge_of_costs(database, db):
    async with keeping_baselines(database) as book:
        await fill(db)
        answer = await rows_of(
            book.client, "acmepark/bridge", **PERIODS, measure="electricity_cost"
        )
    assert (answer["change"], answer["parts"], answer["reason"]) == (None, [], "no tariff holds")
