"""The resource catalogue over HTTP: availability, matches, allocation, the exchange ledger."""

import numpy as np
import pytest

from tests.support.data import data_text
from tests.support.small_park import (
    BEGIN,
    HOUR,
    NOW,
    PARK_TOML,
    change_minutes,
    make_park,
    roll_up,
    rows_of,
    serving,
)

pytest_plugins = ["tests.support.small_park"]
KG_S = 1 / 3.6  # of a t/h
TAGS = """FT-20,demo/acme/vcm,mass_flow,t/h,gauge,0,20,1 %,acid made
FT-21,demo/acme/vcm,mass_flow,t/h,gauge,0,20,1 %,acid used
FT-22,demo/acme/vcm,mass_flow,kg/h,gauge,0,100,1 %,hydrogen received
"""
VENTED = 0.1 * 0.08994 * 3.6  # t/h
CATALOGUE = data_text("demo/catalogue.toml")
HYDROGEN_RECEIVED = 0.95 * VENTED
MEAN = {"FT-20": 6.0 * KG_S, "FT-21": 1.0 * KG_S, "FT-22": HYDROGEN_RECEIVED * KG_S}
QUERY = {
    "window": "hour",
    "from": "2025-06-02T08:00:00+08:00",
    "to": "2025-06-02T09:00:00+08:00",
}
JUNE = {"from": "2025-06-01T00:00:00+08:00", "to": "2025-06-02T10:30:00+08:00"}


def with_more(toml="", old="", new=""):
    text = (CATALOGUE + toml).replace(old, new) if old else CATALOGUE + toml
    return make_park(PARK_TOML.partition("[[byproduct]]")[0] + text, TAGS, MEAN)


@pytest.fixture
def small(request):
    return getattr(request, "param", with_more())


def by(rows, key):
    return {row[key]: row for row in rows}


async def test_what_meters_show_less_what_is_used_is_available_and_else_what_is_stated(api):
    result = await rows_of(api, "demo/catalogue", **QUERY)
    rows = by(result["items"], "resource")
    hydrogen, acid, pure, slag = (rows[k] for k in ("hydrogen", "acid", "pure-acid", "slag"))
    assert hydrogen["available_t_h"] == pytest.approx(VENTED)
    assert (hydrogen["basis"], hydrogen["completeness"]) == ("measured", 1.0)
    assert acid["available_t_h"] == pytest.approx(6.0 - 1.0)
    # 1 % of each flow, what averages out in an hour aside: more than a tenth, less than the whole.
    whole = 1.96 * 0.01 * np.hypot(6.0, 1.0)
    assert 0.1 * whole < acid["available_ci_t_h"] < whole
    assert (slag["basis"], slag["available_t_h"]) == ("stated", 10.0)
    assert (slag["available_ci_t_h"], slag["completeness"], slag["quality"]) == (None, None, 64)
    # Private: that it is there is known, how much is not. June is half a month of it.
    assert (pure["withheld"], pure["available_t_h"], pure["stated_t_h"]) == (True, None, None)


async def test_resources_and_needs_are_told_as_their_owners_state_them(api):
    result = await rows_of(api, "demo/catalogue", **QUERY)
    resources, needs = by(result["resources"], "id"), by(result["needs"], "id")
    hydrogen = resources["hydrogen"]
    assert (hydrogen["enterprise"], hydrogen["design_t_h"]) == ("acme", 0.06)
    assert hydrogen["composition"][0] == {
        "component": "hydrogen", "min": 0.98, "typical": 0.99, "max": 0.999,
    }  # fmt: skip
    assert hydrogen["measured"] == ["h2-vent"]
    assert resources["acid"]["waste_code"] == "HW34 261-057-34"
    assert (resources["pure-acid"]["price_cny_t"], resources["pure-acid"]["withheld"]) == (
        None,
        True,
    )
    assert needs["cement"]["impurities"] == [{"component": "chloride", "max": 0.005}]
    assert (needs["cement"]["distance_max_km"], needs["dye-works"]["distance_max_km"]) == (60, None)
    assert needs["cement"]["scope"] == "market"
    below = await rows_of(api, "demo/acme/vcm/catalogue", **QUERY)
    assert set(by(below["resources"], "id")) == {"acid", "slag"}
    assert (await rows_of(api, "demo/acme/caustic/store/catalogue"))["items"] == []


async def test_sum_that_would_give_a_private_quantity_away_is_withheld(database, ids):
    async with serving(database) as (api, _):
        result = await rows_of(api, "demo/catalogue", **QUERY)
        totals = by(result["totals"], "category")
        assert (totals["by_product"]["available_t_h"], totals["by_product"]["withheld"]) == (
            None, "few_members",
        )  # fmt: skip
        assert totals["waste"]["available_t_h"] == pytest.approx(5 + 10)
    async with serving(database, viewer_level="private") as (api, _):
        result = await rows_of(api, "demo/catalogue", **QUERY)
        assert result["viewer"] == "private"
        assert by(result["items"], "resource")["pure-acid"]["available_t_h"] == pytest.approx(1.5)
        totals = by(result["totals"], "category")
        assert totals["by_product"]["available_t_h"] == pytest.approx(1.5 + VENTED)
    async with serving(database, viewer_level="public") as (api, _):
        result = await rows_of(api, "demo/catalogue", **QUERY)
        rows = by(result["items"], "resource")
        assert rows["hydrogen"]["available_t_h"] == pytest.approx(VENTED)
        assert rows["acid"]["available_t_h"] is None


PLAIN = make_park()
WITHOUT_NEEDS = make_park(
    PARK_TOML.partition("[[byproduct]]")[0] + CATALOGUE.partition("[[need]]")[0], TAGS, MEAN
)


@pytest.mark.parametrize("small", [PLAIN, WITHOUT_NEEDS], indirect=True, ids=["plain", "no needs"])
async def test_park_without_resources_or_needs_has_empty_answers(api, small):
    for subject in ("catalogue/matches", "catalogue/ledger"):
        assert (await rows_of(api, f"demo/{subject}"))["items"] == []
    result = await rows_of(api, "demo/catalogue", **QUERY)
    assert (len(result["items"]), result["needs"]) == (0 if small is PLAIN else 4, [])
    (row,) = (await rows_of(api, "demo/catalogue/allocation", **QUERY))["items"]
    assert (row["feasible"], row["flows"], row["needs"]) == (True, [], [])
    assert len(row["resources"]) == len(result["items"])
    unknown = await api.get("/api/v1/scopes/nowhere/catalogue")
    assert unknown.status_code == 404


async def test_half_an_hour_of_a_meter_stands_for_the_hour_and_less_does_not(api, db, ids):
    await change_minutes(db, ids["acme/FT-20"], "", BEGIN + HOUR // 2, BEGIN + HOUR)
    await roll_up(db)
    row = by((await rows_of(api, "demo/catalogue", **QUERY))["items"], "resource")["acid"]
    assert row["available_t_h"] == pytest.approx(5.0)
    assert (row["basis"], row["completeness"]) == ("measured", 0.5)
    assert row["missing"] == ["acme/FT-20"]
    await change_minutes(db, ids["acme/FT-20"], "", BEGIN + HOUR // 4, BEGIN + HOUR)
    await roll_up(db)
    row = by((await rows_of(api, "demo/catalogue", **QUERY))["items"], "resource")["acid"]
    assert (row["basis"], row["available_t_h"]) == ("stated", 4.0)
    assert "25%" in row["reason"]


SOUND = {
    "II-1": 160e3, "FT-1": 2.06, "FT-1301": 3.38, "FT-1304": 0.5, "FT-1203": 0.2,
    "FT-1303": 0.1, "LT-1301": 0.05, "LT-1401": 2.0, "FT-4": 1.86,
}  # fmt: skip
LIQUEFIED = make_park(
    PARK_TOML.partition("[[byproduct]]")[0].replace(
        'mode = "internal"', 'mode = "internal"\nflow = "acme/FT-1301"'
    )
    + CATALOGUE
    + data_text("demo/chlorine.toml"),
    TAGS + data_text("demo/chlorine.csv"),
    MEAN | SOUND,
)


@pytest.mark.parametrize("small", [LIQUEFIED], indirect=True, ids=[""])
async def test_availability_is_that_of_the_closed_balances_where_they_check_the_meters(api):
    row = by((await rows_of(api, "demo/catalogue", **QUERY))["items"], "resource")["hydrogen"]
    metered = await rows_of(api, "demo/catalogue", values="measured", **QUERY)
    other = by(metered["items"], "resource")["hydrogen"]
    assert (row["basis"], other["basis"]) == ("reconciled", "measured")
    # Faraday's law makes as much as is vented, but for a per cent.
    assert row["available_t_h"] == pytest.approx(other["available_t_h"], rel=0.01)
    assert row["available_t_h"] != other["available_t_h"]
    assert 0 < row["available_ci_t_h"] < other["available_ci_t_h"]
    uses = (await rows_of(api, "demo/catalogue/allocation", **QUERY))["items"][0]["resources"]
    assert by(uses, "resource")["hydrogen"]["basis"] == "reconciled"


async def test_every_reason_against_a_match_is_told_in_both_languages(api):
    result = await rows_of(api, "demo/catalogue/matches")
    assert result["day"] == "2025-06-02"
    rows = {(row["resource"], row["need"]): row for row in result["items"]}
    assert len(rows) == 16
    acid = rows["acid", "steel-pickling"]
    assert (acid["verdict"], [r["code"] for r in acid["reasons"]]) == ("mixture", ["purity"])
    assert acid["reasons"][0]["zh"] == "sulphuric_acid 最低含量 0.7，要求不低于 0.8"
    assert acid["reasons"][0]["en"] == (
        "it has at least 0.7 of sulphuric_acid, and 0.8 is asked for"
    )
    (mode,) = acid["modes"]
    # 12.15 km as the crow flies, 1.3 times that by road; 15 CNY/t and 0.5 CNY/t/km.
    assert mode["distance_km"] == pytest.approx(15.8, abs=0.1)
    assert mode["cost_cny_t"] == pytest.approx(15 + 0.5 * mode["distance_km"])
    pure = rows["pure-acid", "steel-pickling"]
    assert (pure["verdict"], pure["reasons"]) == ("fits", [])
    assert rows["hydrogen", "hydrogenation"]["verdict"] == "fits"
    dye = rows["acid", "dye-works"]
    assert dye["verdict"] == "no"
    assert [(r["code"], r["subject"]) for r in dye["reasons"]] == [
        ("status", "waste"), ("licence", "HW34 261-057-34"), ("approval", "transport_permit"),
    ]  # fmt: skip
    slag = rows["slag", "cement"]
    assert (slag["verdict"], slag["reasons"][0]["code"]) == ("mixture", "impurity")
    assert {r["code"] for r in rows["hydrogen", "cement"]["reasons"]} >= {
        "component", "impurity_unknown", "phase",
    }  # fmt: skip
    assert result["items"][0]["verdict"] == "fits"


async def test_one_resource_or_need_is_asked_for_by_its_id(api):
    result = await rows_of(api, "demo/catalogue/matches", resource="acid", need="cement")
    assert [(r["resource"], r["need"]) for r in result["items"]] == [("acid", "cement")]
    answer = await api.get("/api/v1/scopes/demo/catalogue/matches", params={"need": "cemnt"})
    assert answer.status_code == 404
    assert "cement" in answer.json()["hint"]


async def test_mixture_is_allocated_with_money_carbon_and_prices(database, ids):
    async with serving(database, viewer_level="private") as (api, _):
        result = await rows_of(api, "demo/catalogue/allocation", **QUERY)
        (row,) = result["items"]
        assert (row["feasible"], row["withheld"], row["shortfalls"]) == (True, "", [])
        needs, uses = by(row["needs"], "need"), by(row["resources"], "resource")
        # 1.5 t/h of 92 % carry 1.8 of 70 % to a mixture of 80 %: 1.5 * 0.12 = 1.8 * 0.1.
        assert needs["steel-pickling"]["taken_t_h"] == pytest.approx(3.3)
        assert uses["acid"]["placed_t_h"] == pytest.approx(1.8)
        assert uses["pure-acid"]["placed_t_h"] == pytest.approx(1.5)
        assert uses["hydrogen"]["placed_t_h"] == pytest.approx(VENTED)
        assert needs["cement"]["taken_t_h"] == 0
        (price,) = row["qualities"]
        assert (price["need"], price["component"], price["code"]) == (
            "steel-pickling", "sulphuric_acid", "purity",
        )  # fmt: skip
        freight = {flow["resource"]: flow for flow in row["flows"]}
        # What 70 % gain in the mixture, for each 0.1 of excess, times a hundredth of 3.3 t/h.
        assert price["price_cny_h"] == pytest.approx(freight["acid"]["gain_cny_t"] / 0.1 * 0.033)
        assert freight["hydrogen"]["gain_cny_t"] == pytest.approx(9000 - 1000 - 0.1 * 3)
        # 2e6 CNY by what an hour of a year of 365.25 days gains.
        pipe = freight["hydrogen"]
        assert pipe["gain_cny"] == pytest.approx(VENTED * pipe["gain_cny_t"])
        assert pipe["payback_years"] == pytest.approx(2e6 / (pipe["gain_cny"] * 8766))
        assert (pipe["basis"], pipe["completeness"]) == ("measured", 1.0)
        assert freight["acid"]["payback_years"] is None
        assert freight["pure-acid"]["basis"] == "stated"
        gain = sum(flow["flow_t_h"] * flow["gain_cny_t"] for flow in row["flows"])
        assert row["gain_cny_h"] == pytest.approx(gain)
        # By what is usual: 75 and 92 % of acid, 99 % of hydrogen.
        assert row["avoided_co2_t"] == pytest.approx(
            (1.8 * 0.75 + 1.5 * 0.92) * 0.1 + VENTED * 0.99 * 13.9
        )
        assert row["avoided_tce"] == pytest.approx(
            (1.8 * 0.75 + 1.5 * 0.92) * 0.02 + VENTED * 0.99 * 5
        )
        assert row["placed_t"] == pytest.approx(3.3 + VENTED)
        assert all(not factor["verified"] for factor in result["factors"])
        dearer = await rows_of(api, "demo/catalogue/allocation", carbon_price=100, **QUERY)
        gained = dearer["items"][0]["gain_cny_h"] - row["gain_cny_h"]
        assert gained == pytest.approx(100 * row["avoided_co2_t"])


async def test_allocation_does_not_give_a_private_quantity_away(api):
    (row,) = (await rows_of(api, "demo/catalogue/allocation", **QUERY))["items"]
    uses, needs = by(row["resources"], "resource"), by(row["needs"], "need")
    pure = uses["pure-acid"]
    assert (pure["available_t_h"], pure["placed_t_h"], pure["price_cny_t"]) == (None, None, None)
    steel = needs["steel-pickling"]
    assert (steel["taken_t_h"], steel["withheld"]) == (None, "linked")
    # What the other gives to this user would tell it, with what the user takes.
    acid = uses["acid"]
    assert (acid["available_t_h"], acid["placed_t_h"]) == (pytest.approx(5), None)
    assert row["withheld"] == "few_members"
    assert needs["hydrogenation"]["taken_t_h"] == pytest.approx(VENTED)
    assert (row["placed_t_h"], row["gain_cny_h"], row["available_t_h"]) == (None, None, None)
    assert row["qualities"][0]["price_cny_h"] is None
    flow = next(flow for flow in row["flows"] if flow["resource"] == "pure-acid")
    assert (flow["withheld"], flow["flow_t_h"], flow["gain_cny_t"]) == (True, None, None)
    assert (flow["gain_cny"], flow["payback_years"]) == (None, None)


FIRM = with_more(old='max = "5 t/h"\n', new='max = "5 t/h"\nmin = "4 t/h"\nfirm = true\n')


@pytest.mark.parametrize("small", [FIRM], indirect=True, ids=[""])
async def test_minimum_that_cannot_be_met_is_told_with_what_stands_against_it(database, ids):
    async with serving(database, viewer_level="private") as (api, _):
        (row,) = (await rows_of(api, "demo/catalogue/allocation", **QUERY))["items"]
    assert (row["feasible"], row["placed_t_h"], row["flows"]) == (False, None, [])
    assert row["shortfalls"] == [
        {"need": "steel-pickling", "shortfall_t_h": pytest.approx(0.7, abs=1e-5)}
    ]
    assert [(c["kind"], c["id"], c["component"]) for c in row["contradictions"]] == [
        ("availability", "pure-acid", ""), ("purity", "steel-pickling", "sulphuric_acid"),
    ]  # fmt: skip
    assert row["contradictions"][0]["zh"] == "pure-acid 的可供量不足"


SECRET = with_more(old='confidentiality = "public"', new='confidentiality = "private"')


@pytest.mark.parametrize("small", [SECRET], indirect=True, ids=[""])
async def test_ledger_of_a_private_resource_has_its_shares_and_no_amounts(api):
    (row,) = (await rows_of(api, "demo/catalogue/ledger", **JUNE))["items"]
    assert row["withheld"] is True
    amounts = [row[name] for name in row if name.endswith("_t")]
    assert amounts == [None] * len(amounts)
    assert row["sent_completeness"] == pytest.approx(2.5 / 34.5, rel=1e-3)
    (terms,) = (await rows_of(api, "demo/catalogue/ledger", **JUNE))["transfers"]
    assert (terms["amount_t"], terms["tolerance"]) == (None, 0.1)


TOO_SMALL = with_more(old='max = "5 t/h"\n', new='max = "5 t/h"\nmin = "4 t/h"\n')


@pytest.mark.parametrize("small", [TOO_SMALL], indirect=True, ids=[""])
async def test_quantity_that_is_withheld_speaks_against_no_match(database, ids):
    for viewer, codes in (("park", []), ("private", ["quantity"])):
        async with serving(database, viewer_level=viewer) as (api, _):
            query = {"resource": "pure-acid", "need": "steel-pickling"}
            (row,) = (await rows_of(api, "demo/catalogue/matches", **query))["items"]
        assert [reason["code"] for reason in row["reasons"]] == codes


async def test_deliveries_are_held_against_the_agreement_and_meters_that_disagree_are_named(api):
    result = await rows_of(api, "demo/catalogue/ledger", **JUNE)
    (row,), (terms,) = result["items"], result["transfers"]
    assert (terms["id"], terms["amount_t"], terms["contract"]) == ("h2-contract", 20, "H2-2025-01")
    assert terms["from"] == "2025-06-01"
    hours = 2.5
    assert row["sent_t"] == pytest.approx(VENTED * hours)
    assert row["received_t"] == pytest.approx(HYDROGEN_RECEIVED * hours)
    assert row["sent_completeness"] == pytest.approx(hours / 34.5, rel=1e-3)
    assert row["verdict"] == "undecided"
    assert "7%" in row["reason"]


async def test_month_with_data_is_judged_and_a_dispute_has_both_values(database, ids, db):
    # The hours with data become the first ones of June.
    await db.execute("UPDATE minute SET time = time - interval '32 hours'")
    await roll_up(db)
    async with serving(database, now=NOW - 32 * HOUR) as (api, _):
        june = {"from": "2025-06-01T00:00:00+08:00", "to": "2025-06-01T02:30:00+08:00"}
        (row,) = (await rows_of(api, "demo/catalogue/ledger", **june))["items"]
    assert row["agreed_t"] == pytest.approx(20 * 2.5 / 720)
    assert row["disputed"] is True
    assert row["difference_t"] == pytest.approx(0.05 * VENTED * 2.5)
    assert 0 < row["difference_ci_t"] < row["difference_t"]
    assert (row["sent_t"], row["received_t"]) == (
        pytest.approx(VENTED * 2.5), pytest.approx(HYDROGEN_RECEIVED * 2.5),
    )  # fmt: skip
    assert row["settled_by"] == "received"
    assert row["share"] == pytest.approx(HYDROGEN_RECEIVED * 720 / 20)
    assert row["verdict"] == "undecided"
