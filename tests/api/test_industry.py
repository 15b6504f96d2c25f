"""The enterprises that make a product as quartiles: by hand, and what gives a member away."""

import numpy as np
import pytest

from api.reports.document import figures_of
from tests.support.small_park import (
    BEGIN,
    END,
    PARK_TOML,
    S,
    add_minutes,
    roll_up,
    rows_of,
    serving,
    with_park,
)

pytest_plugins = ["tests.support.small_park"]
HOUR_9 = {"window": "hour", "from": "2025-06-02T09:00:00+08:00", "to": "2025-06-02T10:00:00+08:00"}
OTHER = """
[[scope]]
id = "demo/{0}"
kind = "enterprise"
name = {{zh = "{0}", en = "{0}"}}
[[meter]]
scope = "demo/{0}"
carrier = "electricity"
tag = "{0}/P-1"
product = "soda"
"""
PRODUCT = """
[[product]]
id = "{1}"
scope = "demo/{0}"
tag = "{0}/{2}"
"""
TAGS = """FT-1,demo/{0},mass_flow,t/h,gauge,0,100,1 %,soda
FT-2,demo/{0},mass_flow,t/h,gauge,0,100,1 %,acid
P-1,demo/{0},power,MW,gauge,0,100,0.2 %,power
"""
NAMES = ("e1", "e2", "e3", "e4", "e5")
# Five make soda, kg/s; four make acid, nearly all of it is that of e4; two make salt.
SODA = {"e1": 2.0, "e2": 3.0, "e3": 4.0, "e4": 5.0, "e5": 6.0}
ACID = {"e1": 1.0, "e2": 1.0, "e3": 1.0, "e4": 100.0, "e5": 1.0}
KWH_PER_T = {"e1": 2400.0, "e2": 2000.0, "e3": 2200.0, "e4": 2500.0, "e5": 2100.0}
MADE = [
    *((name, "soda", "FT-1") for name in NAMES),
    *((name, "acid", "FT-2") for name in NAMES[:4]),
    *((name, "salt", "FT-1") for name in NAMES[:2]),
    *((name, "lye", "FT-1") for name in NAMES[:4]),
]
TOML = PARK_TOML + "".join(OTHER.format(name) for name in NAMES)
TOML += "".join(PRODUCT.format(*row) for row in MADE)
WITH_INDUSTRY = with_park(TOML, "".join(map(TAGS.format, NAMES)))
KWH_PER_T_SI = 3600.0  # J/kg


@pytest.fixture
async def filled(db, ids):
    minutes = np.arange(BEGIN, END, 60 * S)
    for name in NAMES:
        power = SODA[name] * KWH_PER_T[name] * KWH_PER_T_SI
        for tag, mean in {"FT-1": SODA[name], "FT-2": ACID[name], "P-1": power}.items():
            await add_minutes(
                db, ids[f"{name}/{tag}"], minutes, lambda _, m=mean: m * 60, lambda _, m=mean: m
            )
    await roll_up(db)


async def industry(api, product, path="demo"):
    answer = await rows_of(api, f"{path}/industry", product=product, **HOUR_9)
    return {row["indicator"]: row for row in answer["items"]}


@WITH_INDUSTRY
async def test_quartiles_of_five_are_the_members_in_their_order(database, filled):
    async with serving(database) as (api, _):
        rows = await industry(api, "soda")
        own = (await rows_of(api, "demo/e4/energy", **HOUR_9))["items"]
    power = rows["kwh_per_t"]
    names = ("minimum", "lower_quartile", "median", "upper_quartile", "maximum")
    assert [power[name] for name in names] == pytest.approx([2000, 2100, 2200, 2400, 2500])
    # 2·2400 + 3·2000 + 4·2200 + 5·2500 + 6·2100 = 44700 of 20 parts.
    assert power["whole"] == pytest.approx(44700 / 20)
    (greatest,) = [row for row in own if row["product"] == "soda"]
    assert power["maximum_ci"] == pytest.approx(greatest["kwh_per_t_ci"])
    assert (power["members"], power["known"], power["reason"]) == (5, 5, "")
    assert power["completeness"] == pytest.approx(1)
    assert rows["mass_t"]["median"] == pytest.approx(4 * 3.6)
    assert rows["mass_t"]["whole"] == pytest.approx(20 * 3.6)
    assert rows["mass_t"]["median_ci"] is None


@WITH_INDUSTRY
async def test_what_gives_a_member_away_is_withheld_from_the_operator_too(database, filled):
    figures = ("minimum", "lower_quartile", "median", "upper_quartile", "maximum", "whole")
    async with serving(database) as (api, _):
        acid, salt, lye = [await industry(api, name) for name in ("acid", "salt", "lye")]
        other = await api.get("/api/v1/scopes/demo/industry", params={"product": "sode"})
    assert (other.status_code, "soda" in other.json()["hint"]) == (404, True)
    assert acid["mass_t"]["undisclosed"] == "one_dominates"
    assert salt["mass_t"]["undisclosed"] == "few_members"
    for row in (acid["mass_t"], salt["mass_t"]):
        assert [row[name] for name in figures] == [None] * len(figures)
        assert row["reason"].startswith("withheld: ")
    # Of four the median alone: between 3 and 4 kg/s.
    row = lye["mass_t"]
    assert row["median"] == pytest.approx(3.5 * 3.6)
    assert [row[name] for name in figures if name != "median"] == [None] * 5
    assert "fewer than five" in row["reason"]


@WITH_INDUSTRY
async def test_a_member_sees_the_median_of_the_four_others_and_himself(database, filled):
    async with serving(database, viewer_level="public", viewer_scopes="demo/e1") as (api, _):
        row = (await industry(api, "soda"))["kwh_per_t"]
    # Less his own there are four: the extremes of so few are not told.
    assert (row["median"], row["maximum"]) == (pytest.approx(2200), None)


@WITH_INDUSTRY
async def test_report_of_an_industry_names_nobody_and_has_its_quartiles(database, filled):
    query = {"period": "2025-06-02", "lang": "en"}
    settings = {"now": END + 86_400 * S, "value_completeness": 0.05}
    async with serving(database, **settings) as (api, _):
        document = (await api.get("/api/v1/reports/industry/demo/soda", params=query)).json()
        page = await api.get(
            "/api/v1/reports/industry/demo/soda", params=query | {"format": "html"}
        )
        none = await api.get("/api/v1/reports/industry/demo/acids", params=query)
        own = await api.get("/api/v1/reports/industry/demo/acme/soda", params=query)
    assert [none.status_code, own.status_code] == [404, 422]
    assert document["title"]["zh"] == "行业评估报告（一业一策）"
    figures = {
        figure["address"].partition("#")[2].rpartition("/")[2]: figure["value"]
        for line, figure in figures_of(document)
        if figure["uom"] == "kWh/t"
    }
    assert figures["minimum"] == pytest.approx(2000)
    assert figures["whole"] == pytest.approx(44700 / 20)
    assert not [name for name in NAMES if f"demo/{name}" in page.text or f"{name}/" in page.text]
