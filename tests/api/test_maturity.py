"""Digital maturity over HTTP: meters, loops in automatic control, data, level and next measures."""

import pytest

from tests.support.small_park import (
    BEGIN,
    HOUR,
    PARK_TOML,
    change_minutes,
    roll_up,
    rows_of,
    with_park,
)

pytest_plugins = ["tests.support.small_park"]
HOUR_8 = {"from": "2025-06-02T08:00:00+08:00", "to": "2025-06-02T10:00:00+08:00"}
TOML = (
    PARK_TOML
    + """
[[metering]]
scope = "demo/acme"
carrier = "electricity"
users = "plant"
required = 2
installed = 2
[[automation]]
id = "boiler"
scope = "demo/acme"
kind = "control"
tags = "acme/XS-901"
[[calibration]]
tag = "acme/FT-1"
due = 2025-06-01
[[calibration]]
tag = "acme/FT-3"
due = 2025-06-02
"""
)


@with_park(TOML)
async def test_row_of_an_enterprise_has_its_figures_level_and_next_measures(api, db, ids):
    # The boiler stood for the second of two hours; FT-3 was doubtful in the first.
    await change_minutes(db, ids["acme/XS-901"], "amount = 0", BEGIN + HOUR)
    await change_minutes(db, ids["acme/FT-3"], "quality = 67", BEGIN, BEGIN + HOUR)
    await change_minutes(db, ids["acme/FT-4"], "")
    await roll_up(db)
    answer = await rows_of(api, "demo/maturity", **HOUR_8)
    acme, idle = answer["items"]
    (meters,) = acme["meters"]
    # One plant of two has a meter of electricity, and both are installed by the list.
    assert (meters["installed_share"], meters["connected_share"]) == (1.0, 0.5)
    assert (meters["least_share"], meters["met"]) == (1.0, False)
    assert (acme["control_share"], acme["control_completeness"]) == (0.5, 1.0)
    assert acme["interlock_share"] is None
    assert acme["silent"] == ["acme/FT-4"]
    # 13 tags of 2 hours, 12 of them with data; one tag-hour of 24 is substituted.
    assert (acme["tags"], acme["availability"]) == (13, pytest.approx(12 / 13))
    assert acme["doubtful"] == ["acme/FT-3"]
    assert acme["doubtful_share"] == acme["substituted_share"] == pytest.approx(1 / 24)
    assert acme["overdue"] == ["acme/FT-1"]
    # The data are good enough for level 2; of the boundary no list of meters is known.
    assert (acme["level"], acme["reason"]) == (2, "meters of enterprise: not_known")
    assert "[[metering]] of enterprise" in acme["no_data"]
    kinds = {each["kind"]: each for each in acme["next"]}
    assert kinds["meter"]["subjects"] == ["demo/acme/vcm"]
    assert kinds["meter"]["effect"] == kinds["control"]["effect"] == 0.5
    assert kinds["control"]["subjects"] == ["acme/XS-901"]
    assert kinds["calibration"]["subjects"] == ["acme/FT-1"]
    effects = [each["effect"] for each in acme["next"]]
    assert effects == sorted(effects, reverse=True)
    # Nothing ever came of the other one.
    assert (idle["level"], idle["reason"]) == (0, "availability")
    assert "idle/XS-1: never came" in idle["no_data"]
    assert all(not share["verified"] for share in answer["meter_shares"])
