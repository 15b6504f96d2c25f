"""Energy baselines over HTTP: fitted, judged, compared, adjusted, and kept in versions."""

import asyncio

import numpy as np
import pytest

from api.baselines import __main__ as fitting
from ingest.cli import baseline
from tests.support.small_baseline import (
    BEGIN,
    CHANGED,
    DAY,
    IDLE,
    LESS,
    PER_K,
    PER_T,
    fill,
    keeping_baselines,
    order,
)
from tests.support.small_park import rows_of, stamp

PLANT = "acmepark/acme/caustic"
ONE = f"{PLANT}/baselines/caustic-power"


def moment(day):
    return stamp(BEGIN + day * DAY).isoformat()


async def run(plant, *words, program=baseline):
    """Run `parktwin baseline` while ingest obeys; return its exit status."""
    command = asyncio.create_task(asyncio.to_thread(program.main, list(words)))
    while not command.done():
        await plant._obey()
        await asyncio.sleep(0.02)
    return await command


@pytest.fixture
async def plant(database, db):
    async with keeping_baselines(database) as book:
        await fill(db)
        yield book


async def test_model_is_fitted_judged_and_shows_what_was_saved_and_since_when(plant, db):
    (row,) = (await rows_of(plant.client, f"{PLANT}/baselines"))["items"]
    assert (row["accepted"], row["versions"]) == (None, [])
    assert "no model has been fitted" in row["reason"]
    assert await order(plant, f"{ONE}/fit", reason="first one") is None
    (row,) = (await rows_of(plant.client, f"{PLANT}/baselines"))["items"]
    assert (row["accepted"], row["reason"], len(row["rules"])) == (True, "", 5)
    assert all(rule["standard"] and not rule["verified"] for rule in row["rules"])
    variables = {each["variable"]: each for each in row["variables"]}
    for name, true, uom in (
        ("caustic", PER_T, "t"), ("acme/TT-1", PER_K, "degC"), ("constant", IDLE, ""),
    ):  # fmt: skip
        each = variables[name]
        assert abs(each["mwh_per_uom"] - true) < 1.5 * each["mwh_per_uom_ci"], name
        assert (each["kept"], each["uom"]) == (True, uom)
    assert not variables["acme/XS-1"]["kept"]
    assert variables["acme/XS-1"]["reason"] == "is the same in the whole base period"
    (version,) = row["versions"]
    assert (version["points"], version["left_out"], version["reason"]) == (70, 0, "first one")
    assert (version["fitted_by"], len(version["digest"])) == ("ann", 64)
    answer = await rows_of(
        plant.client, ONE, **{"from": moment(CHANGED), "to": moment(CHANGED + 40)}
    )
    total = answer["total"]
    assert (total["verdict"], total["reason"], answer["accepted"]) == ("saved", "", True)
    assert total["counted"] + total["outside"] == 40
    assert abs(total["saved_mwh"] - LESS * total["counted"]) < 1.5 * total["saved_ci_mwh"]
    assert total["enpi"] == pytest.approx(0.95, abs=0.01)
    counted = [item for item in answer["items"] if item["counted"]]
    assert counted[-1]["cusum_mwh"] == pytest.approx(-total["saved_mwh"], rel=1e-9)
    assert sum(item["actual_mwh"] for item in counted) == pytest.approx(total["actual_mwh"])

    query = {"from": moment(75), "to": moment(150), "window": "month"}
    answer = await rows_of(plant.client, ONE, **query)
    (change,) = answer["changes"]
    earliest, start, latest = (
        np.datetime64(change[name][:10]) for name in ("earliest", "start", "latest")
    )
    true = np.datetime64("2024-06-18") + CHANGED
    assert earliest <= true <= latest
    assert latest - earliest < 8
    assert abs(start - true) <= 2
    assert change["change_mwh"] == pytest.approx(-LESS, abs=change["change_ci_mwh"])
    assert [row["start"][:7] for row in answer["items"]] == ["2024-09", "2024-10", "2024-11"]
    assert sum(row["counted"] + row["outside"] for row in answer["items"]) == 75


async def test_new_fit_is_a_new_version_the_old_one_stays_and_both_are_adjusted(
    plant, db, database, monkeypatch, capsys
):
    monkeypatch.setenv("PARKTWIN_DATABASE_URL", database)
    await order(plant, f"{ONE}/fit")
    before = await db.fetchrow("SELECT model, digest FROM baseline")
    period = {"start": moment(20), "end": moment(90)}
    assert await order(plant, f"{ONE}/fit", reason="another period", **period) is None
    (row,) = (await rows_of(plant.client, f"{PLANT}/baselines"))["items"]
    assert [v["version"] for v in row["versions"]] == [2, 1]
    assert [v["reason"] for v in row["versions"]] == ["another period", ""]
    after = await db.fetchrow("SELECT model, digest FROM baseline WHERE version = 1")
    assert after == before
    query = {"from": moment(120), "to": moment(130)}
    newest = await rows_of(plant.client, ONE, **query)
    first = await rows_of(plant.client, ONE, **query, version=1)
    assert (newest["version"], first["version"]) == (2, 1)
    assert newest["total"]["expected_mwh"] != first["total"]["expected_mwh"]
    missing = await plant.client.get(f"/api/v1/scopes/{ONE}", params={"version": 3})
    assert missing.status_code == 404

    # An adjustment has a reason, an author and a period, and is taken back by another.
    query = {"from": moment(80), "to": moment(90)}
    plain = await rows_of(plant.client, ONE, **query)
    body = {"start": moment(85), "end": moment(95), "amount_mwh": 100, "reason": "fire drill"}
    assert await order(plant, f"{ONE}/adjust", **body) is None
    adjusted = await rows_of(plant.client, ONE, **query)
    # Half of its ten days lie in the range.
    assert adjusted["total"]["saved_mwh"] - plain["total"]["saved_mwh"] == pytest.approx(50)
    (row,) = adjusted["adjustments"]
    assert (row["amount_mwh"], row["reason"], row["recorded_by"]) == (100, "fire drill", "ann")
    assert adjusted["items"][-1]["adjustment_mwh"] == pytest.approx(10)
    words = "adjust", "caustic-power", body["start"], body["end"], "0", "--by", "bob"
    assert await run(plant, *words, "--reason", "no drill") == 0
    again = await rows_of(plant.client, ONE, **query)
    assert again["total"] == plain["total"]
    assert again["adjustments"][0]["version"] == 2
    capsys.readouterr()
    assert await run(plant, "show", "caustic-power") == 0
    newest, first, *adjusted = capsys.readouterr().out.splitlines()
    assert "version 2" in newest
    assert "70 windows" in first
    assert [("does not stand" in line) for line in adjusted] == [False, True]
    assert await run(plant, "list") == 0
    assert capsys.readouterr().out.count("\n") == 1


async def test_order_that_cannot_be_carried_out_says_why_and_poor_days_are_left_out(plant, db):
    async def refused(path, **body):
        answer = await plant.client.post(f"/api/v1/scopes/{path}", json={"by": "ann", **body})
        return answer.status_code, answer.json()["detail"]

    assert (await refused(f"{PLANT}/baselines/none/fit"))[0] == 404
    status, detail = await refused("acmepark/acme/baselines/never-metered/fit")
    assert (status, "no meter of steam" in detail) == (409, True)
    status, detail = await refused(f"{ONE}/fit", start=moment(0), end=moment(2))
    assert (status, "are too few" in detail) == (422, True)
    body = {"start": moment(9), "end": moment(3), "amount_mwh": 1, "reason": "x"}
    assert (await refused(f"{ONE}/adjust", **body))[0] == 422
    body = {"start": moment(3), "end": moment(9), "amount_mwh": 1, "reason": ""}
    assert (await refused(f"{ONE}/adjust", **body))[0] == 422
    assert (await refused(f"{ONE}/fit", start=moment(9), end=moment(3)))[0] == 422
    shorter = await plant.client.get(f"/api/v1/scopes/{ONE}", params={"window": "hour"})
    assert shorter.status_code == 404
    await db.execute(
        "UPDATE day SET covered_s = 70000 WHERE time >= $1 AND time < $2 AND tag_id ="
        " (SELECT tag_id FROM tag WHERE tag = 'FT-1')", stamp(BEGIN), stamp(BEGIN + 9 * DAY),
    )  # fmt: skip
    assert await order(plant, f"{ONE}/fit") is None
    (row,) = (await rows_of(plant.client, f"{PLANT}/baselines"))["items"]
    version = row["versions"][0]
    assert (version["points"], version["left_out"]) == (61, 9)


async def test_the_command_line_fits_a_model_and_says_what_it_is_worth(
    plant, database, monkeypatch, capsys
):
    monkeypatch.setenv("PARKTWIN_DATABASE_URL", database)
    assert await run(plant, "caustic-power", "--by", "ann", program=fitting) == 0
    head, *variables, verdict = capsys.readouterr().out.splitlines()
    assert head.startswith("caustic-power version 1: 2024-06-18T00:00:00+08:00 to 2024-08-27")
    assert "70 windows" in head
    slope = next(line for line in variables if line.startswith("  caustic: "))
    assert float(slope.split()[1]) == pytest.approx(2.4, abs=0.1)
    assert verdict == "accepted"
    (row,) = (await rows_of(plant.client, f"{PLANT}/baselines"))["items"]
    assert row["versions"][0]["fitted_by"] == "ann"
    assert await run(plant, "never", "--by", "ann", program=fitting) == 2
    assert "there is no baseline 'never'" in capsys.readouterr().err
