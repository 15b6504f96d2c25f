"""What readers of a lower level get: their own, sums that give nobody away, and why no more."""

import numpy as np
import orjson
import pytest
from fastapi import Request

from api.disclosure import disclose
from api.latest import live
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
HOUR_9 = {"from": "2025-06-02T09:00:00+08:00", "to": "2025-06-02T10:00:00+08:00"}
OTHER = """
[[scope]]
id = "demo/{0}"
kind = "enterprise"
name = {{zh = "{0}", en = "{0}"}}
[[product]]
id = "caustic"
scope = "demo/{0}"
tag = "{0}/FT-1"
[[product]]
id = "acid"
scope = "demo/{0}"
tag = "{0}/FT-2"
[[meter]]
scope = "demo/{0}"
carrier = "electricity"
tag = "{0}/P-1"
product = "caustic"
"""
TAGS = """FT-1,demo/{0},mass_flow,t/h,gauge,0,100,1 %,caustic
FT-2,demo/{0},mass_flow,t/h,gauge,0,100,1 %,acid
P-1,demo/{0},power,MW,gauge,0,100,0.2 %,power
"""
TARGETS = """
[[product]]
id = "soda"
scope = "demo/e2"
tag = "e2/FT-1"
[[target]]
id = "all"
scope = "demo"
value = 2500
uom = "kWh/t"
kpi = "electricity_intensity"
product = "caustic"
sense = "at_most"
[[target]]
id = "of-e2"
scope = "demo/e2"
value = 2500
uom = "kWh/t"
kpi = "electricity_intensity"
product = "caustic"
sense = "at_most"
"""
NAMES = ("e2", "e3", "e4")
TOML = PARK_TOML + "".join(map(OTHER.format, NAMES)) + TARGETS
WITH_OTHERS = with_park(TOML, "".join(map(TAGS.format, NAMES)))
# Caustic soda is made by four in like amounts; nearly all of the acid is that of e4.
CAUSTIC, ACID = {"e2": 3.0, "e3": 4.0, "e4": 5.0}, {"e2": 1.0, "e3": 1.0, "e4": 100.0}


@pytest.fixture
async def others(db, ids):
    """The park with three more enterprises."""
    minutes = np.arange(BEGIN, END, 60 * S)
    for name in NAMES:
        means = {"FT-1": CAUSTIC[name], "FT-2": ACID[name], "P-1": CAUSTIC[name] * 8e6}
        for tag, mean in means.items():
            await add_minutes(
                db, ids[f"{name}/{tag}"], minutes, lambda _, m=mean: m * 60, lambda _, m=mean: m
            )
    await roll_up(db)


def by_product(answer):
    return {row["product"]: row for row in answer["items"]}


FIGURES = ("mass_t", "energy_kwh", "energy_kgce", "kwh_per_t", "kgce_per_t", "completeness")


@WITH_OTHERS
async def test_operator_sees_every_figure(database, others):
    async with serving(database) as (api, _):
        rows = by_product(await rows_of(api, "demo/energy", **HOUR_9))
    assert rows["caustic"]["mass_t"] == pytest.approx((6 + 3 + 4 + 5) * 3.6)
    assert {row["undisclosed"] for row in rows.values()} == {""}


@WITH_OTHERS
async def test_enterprise_sees_its_own_and_sums_that_give_no_other_away(database, others):
    async with serving(database, viewer_level="public", viewer_scopes="demo/acme") as (api, _):
        own = by_product(await rows_of(api, "demo/acme/energy", **HOUR_9))
        plant = by_product(await rows_of(api, "demo/acme/caustic/energy", **HOUR_9))
        other = by_product(await rows_of(api, "demo/e2/energy", **HOUR_9))
        park = by_product(await rows_of(api, "demo/energy", **HOUR_9))
    assert own["caustic"]["mass_t"] == plant["caustic"]["mass_t"] == pytest.approx(6 * 3.6)
    assert other["caustic"]["undisclosed"] == "above_your_level"
    assert [other["caustic"][name] for name in FIGURES] == [None] * len(FIGURES)
    assert other["caustic"]["missing"] == []
    # Three others make caustic soda, none of them 80 % of it.
    assert park["caustic"]["mass_t"] == pytest.approx((6 + 3 + 4 + 5) * 3.6)
    assert park["caustic"]["undisclosed"] == ""
    # Acid is that of e4, soda that of e2 alone, and the sum of all would tell them.
    assert park["acid"]["undisclosed"] == "one_dominates"
    assert park["soda"]["undisclosed"] == "few_members"
    assert park["total"]["undisclosed"] == "linked"
    for name in ("acid", "soda", "total"):
        assert [park[name][each] for each in FIGURES] == [None] * len(FIGURES)


@WITH_OTHERS
async def test_targets_are_withheld_where_they_tell_of_another(database, others):
    async with serving(database, viewer_level="public", viewer_scopes="demo/acme") as (api, _):
        answer = await api.get("/api/v1/targets", params={"trend": "none", **HOUR_9})
        row = {each["id"]: each for each in answer.json()["items"]}
    kept = row["kwh"]
    assert kept["scope"].startswith("demo/acme")
    assert kept["value"] is not None
    lost = row["of-e2"]
    assert (lost["value"], lost["state"], lost["verdict"]) == (None, "no_data", None)
    assert lost["reason"] == "above_your_level"
    assert [part["numerator_share"] for part in lost["parts"]] == [None]
    everybody = row["all"]
    assert everybody["value"] is not None
    mine = [part for part in everybody["parts"] if part["numerator_share"] is not None]
    assert [part["member"] for part in mine] == ["acme"]
    async with serving(database, viewer_level="public", viewer_scopes="demo/e2") as (api, _):
        answer = await api.get("/api/v1/targets", params={"trend": "none", **HOUR_9})
        row = {each["id"]: each for each in answer.json()["items"]}
    assert row["of-e2"]["value"] is not None
    assert row["kwh"]["value"] is None


@WITH_OTHERS
async def test_raw_data_of_others_are_refused_and_null(database, others):
    async with serving(database, viewer_level="park", viewer_scopes="demo/acme") as (api, _):
        query = {"tag": ["acme/FT-6", "e2/FT-1"]}
        mine, other = (await api.get("/api/v1/latest", params=query)).json()["items"]
        assert (mine["value"] is None, other["value"]) == (False, None)
        history = await api.get("/api/v1/history", params={"tag": "acme/FT-6", **HOUR_9})
        assert history.status_code == 200
        history = await api.get("/api/v1/history", params={"tag": "e2/FT-1", **HOUR_9})
        assert (history.status_code, "not disclosed" in history.json()["detail"]) == (403, True)
        other = await api.get("/api/v1/live", params={"tag": "e2/FT-1"})
        assert other.status_code == 403
        assert (await api.get("/metrics")).status_code == 403
        # How many alarms there are of all would tell of theirs.
        for scope, status in (("demo/acme", 200), ("demo", 403), ("", 403)):
            answer = await api.get("/api/v1/alarms/summary", params={"scope": scope})
            assert answer.status_code == status, scope
        park = (await api.get("/api/v1/park")).json()
        streams = park["streams"]
        assert {each["flow"] for each in streams if each["flow"]} == {
            "acme/FT-1",
            "acme/FT-3",
            "acme/FT-4",
        }
        # Where a scope stands is no figure, nor is there more than one page.
        assert [each["id"] for each in park["scopes"] if each["parent"] is None] == ["demo"]
        assert park["shifts"]
        own = [each["id"] for each in park["scopes"] if each["disclosed"]]
        assert own[0] == "demo/acme"
        assert all(each.startswith("demo/acme") for each in own)
        assert park["model"]["version"] == 1
        assert (await api.get("/api/v1/tags", params={"limit": 2})).json()["next"]
        assert (await api.get("/livez")).status_code == 200


@WITH_OTHERS
async def test_live_feed_has_values_and_alarms_of_ones_own(database, others):
    async with serving(database, viewer_level="park", viewer_scopes="demo/acme") as (api, context):
        request = Request({"type": "http", "app": api._transport.app._app, "client": None})
        question = {"context": context, "request": request, "tag": None}
        answer = await disclose(live, question)
        event = await anext(answer.body_iterator)
        image = orjson.loads(event.partition(b"data: ")[2])
        assert image["values"]
        assert {tag.partition("/")[0] for tag in image["values"]} == {"acme"}
        assert {row["tag"].partition("/")[0] for row in image["alarms"]} <= {"acme"}


SAID = (
    TOML
    + """
[[disclosure]]
scope = "demo/e2"
level = "park"
"""
)


@with_park(SAID, "".join(map(TAGS.format, NAMES)))
async def test_enterprise_may_let_the_members_of_the_park_see_its_figures(database, others):
    for level, seen in (("park", True), ("public", False)):
        async with serving(database, viewer_level=level) as (api, _):
            rows = by_product(await rows_of(api, "demo/e2/energy", **HOUR_9))
        assert (rows["caustic"]["mass_t"] is not None) is seen
