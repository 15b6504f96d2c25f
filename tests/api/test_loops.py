"""Loops over HTTP: salt, water, condensate, waste and waste heat that close by hand."""

import pytest

from tests.support.small_loops import loops_park
from tests.support.small_park import change_minutes, roll_up, rows_of

pytest_plugins = ["tests.support.small_park"]
HOUR = {
    "window": "hour", "from": "2025-06-02T08:00:00+08:00", "to": "2025-06-02T09:00:00+08:00",
}  # fmt: skip
with_loops = pytest.mark.parametrize("small", [loops_park()], indirect=True, ids=[""])
# 100 cells, 16 kA, 96 %: NaCl converted in an hour, 58.443 g/mol.
CONVERTED = 100 * 16e3 * 0.96 * 3600 * 58.44276e-6 / 96485.33212


async def loops_of(api, path="demo", **more):
    answer = await rows_of(api, f"{path}/loops", **(HOUR | more))
    return {row["id"]: row for row in answer["items"]}, answer


def near(row, **values):
    for name, value in values.items():
        assert row[name] == (None if value is None else pytest.approx(value, rel=1e-5, abs=1e-6)), (
            name
        )


@with_loops
async def test_loops_of_an_hour_are_those_by_hand(api):
    rows, answer = await loops_of(api)
    salt = rows["sodium_chloride"]
    # In 3.45 t at 98.5 %, purge 0.2 t at 18.6 %, sludge 0.05 t at 12 %.
    near(
        salt, imported=3.45 * 0.985, used=CONVERTED, sent_out=0.2 * 0.186 + 0.05 * 0.12, made=None,
        unaccounted=3.45 * 0.985 - CONVERTED - 0.0432, rate=CONVERTED / (3.45 * 0.985),
    )  # fmt: skip
    assert (salt["kind"], salt["uom"], salt["completeness"]) == ("salt", "t", 1.0)
    assert 0 < salt["unaccounted_ci"] < 0.3
    water = rows["water"]
    # Fresh 100; used by boilers 30 + 1.2, VCM 10; the vapour has no meter: it is unaccounted.
    near(
        water, imported=100, made=1.2, used=41.2, sent_out=5, vented=None, unaccounted=55,
        reused=20 + 1.2 + 0.995 * 400, available=519.2, rate=419.2 / 519.2,
    )  # fmt: skip
    assert (water["unmetered"], water["no_data"], water["reason"]) == (["evaporation"], [], "")
    assert 0 < water["rate_ci"] < 0.01
    near(rows["condensate"], made=1.8, used=1.2, unaccounted=0.6, rate=2 / 3)
    # Hot water of 10 t/h, 4.2 kJ/kg/K and 30 K above 60 °C; 0.14 MW of it are recovered.
    near(rows["waste_heat.low"], made=1.26, used=0.504, unaccounted=0.756, rate=0.4)
    near(rows["waste_heat.medium"], made=1.3 * 1.05 * 240 * 1e-3, used=0, rate=0)
    near(rows["waste_heat"], made=1.5876, rate=0.504 / 1.5876, cut_off_c=60)
    assert answer["cut_offs"][0]["verified"] is False
    slag = rows["solid_waste.SW03"]
    near(slag, made=2, used=1.5, sent_out=0.4, unaccounted=0.1, rate=0.75)
    assert [(each["to"], each["amount"]) for each in slag["destinations"]] == [
        ("use", pytest.approx(1.5)), ("landfill", pytest.approx(0.4)),
    ]  # fmt: skip
    assert {row["id"] for row in answer["formulas"]} == {row["basis"] for row in answer["items"]}
    assert (await loops_of(api, id="water"))[0] == {"water": water}
    assert (await api.get("/api/v1/scopes/demo/loops", params={"id": "wine"})).status_code == 404


@with_loops
async def test_every_loop_closes_but_for_what_is_unaccounted(api):
    for path in ("demo", "demo/acme", "demo/acme/utilities", "demo/acme/caustic"):
        rows, _ = await loops_of(api, path, values="measured")
        assert rows
        for row in rows.values():
            terms = [row[name] or 0 for name in ("made", "imported")]
            terms += [-(row[name] or 0) for name in ("used", "sent_out", "vented", "stored")]
            if row["unaccounted"] is not None:
                assert sum(terms) == pytest.approx(row["unaccounted"], abs=1e-9), row["id"]


@with_loops
async def test_what_has_no_meter_in_the_model_is_null_and_named(api):
    rows, _ = await loops_of(api)
    oil = rows["hazardous_waste.HW08 900-249-08"]
    near(oil, made=None, used=None, rate=None, unaccounted=None)
    assert oil["no_data"] == ["measured of oil", "destinations of oil"]
    assert oil["hazardous"]
    assert "measured of oil" in oil["reason"]


@pytest.mark.parametrize(
    "small",
    [loops_park('mode = "pipe"\nflow = "acme/F-reclaimed"', 'mode = "pipe"')],
    indirect=True,
    ids=[""],
)
async def test_a_stream_without_a_meter_leaves_the_rate_unknown(api):
    rows, _ = await loops_of(api)
    near(rows["water"], imported=100, rate=None, reused=None)
    assert rows["water"]["no_data"] == ["reclaimed"]


@with_loops
async def test_a_silent_meter_is_named_and_the_figures_are_of_the_time_that_is_covered(
    api, db, ids
):
    await change_minutes(db, ids["acme/F-circulating"], "", end=0)
    await change_minutes(db, ids["acme/F-intake"], "")
    await change_minutes(db, ids["acme/TT-30"], "")
    await roll_up(db)
    rows, _ = await loops_of(api)
    near(rows["water"], imported=None, unaccounted=None, rate=None, used=41.2)
    assert rows["water"]["missing"][0] == "acme/F-intake"
    assert rows["water"]["reason"].startswith("not known: 0%")
    # The stated 85 °C count, and no longer as good data.
    near(rows["waste_heat.low"], made=10 * 4.2 * 25 * 1e-3)
    assert rows["waste_heat.low"]["quality"] >= 64
