"""How a figure was calculated: its inputs, their effects, factors, samples."""

from urllib.parse import urlencode

import pytest

from tests.support.small_park import serving

pytest_plugins = ["tests.support.small_park"]

HOURS = {"from": "2025-06-02T08:00:00+08:00", "to": "2025-06-02T10:00:00+08:00"}


def address(path, pointer, **query):
    return f"/api/v1/{path}?{urlencode(query)}#{pointer}"


async def explain(api, figure, status=200):
    answer = await api.get("/api/v1/explain", params={"figure": figure})
    assert answer.status_code == status, answer.text
    return answer.json()


async def place_of(api, path, product, **query):
    """Return which row of an energy answer is the first of a product."""
    rows = (await api.get(f"/api/v1/{path}", params=query)).json()["items"]
    return next(n for n, row in enumerate(rows) if row["product"] == product)


async def test_energy_per_tonne_follows_from_its_meters_and_the_factor_of_electricity(api):
    path = "scopes/demo/acme/energy"
    n = await place_of(api, path, "caustic", **HOURS)
    answer = await explain(api, address(path, f"/items/{n}/kgce_per_t", **HOURS))
    (item,) = answer["items"]
    row = (await api.get(f"/api/v1/{path}", params=HOURS)).json()["items"][n]
    assert (item["value"], item["half_width"]) == (row["kgce_per_t"], row["kgce_per_t_ci"])
    assert (item["unit"], item["minutes"], item["completeness"]) == ("kgce/t", 60.0, 1.0)
    assert (item["start"], item["end"]) == (row["start"], row["end"])
    inputs = {each["tag"]: each for each in item["inputs"]}
    assert set(inputs) == {"acme/JQ-1", "acme/FT-5", "acme/FT-6"}
    # A ratio: energies add up to one, and its mass is the denominator.
    effect = {tag: each["effect"] for tag, each in inputs.items()}
    assert effect["acme/FT-6"] == pytest.approx(-1, abs=1e-4)
    assert effect["acme/JQ-1"] + effect["acme/FT-5"] == pytest.approx(1, abs=1e-4)
    kwh = row["energy_kwh"] * 0.1229 / row["energy_kgce"]
    assert effect["acme/JQ-1"] == pytest.approx(kwh, abs=1e-4)
    assert sum(each["interval_share"] for each in inputs.values()) == pytest.approx(1, abs=0.02)
    assert inputs["acme/FT-6"]["value"] == pytest.approx(21.6)
    assert inputs["acme/FT-6"]["minutes"] == 60.0
    factors = {each["name"]: each for each in item["factors"]}
    assert factors["energy.electricity"]["source"] == "GB/T 2589-2020"
    assert "acme/JQ-1" in factors["energy.electricity"]["tags"]


async def test_a_row_is_explained_at_once_and_each_figure_has_its_own_inputs(api):
    path = "scopes/demo/acme/energy"
    n = await place_of(api, path, "caustic", **HOURS)
    answer = await explain(api, address(path, f"/items/{n}", **HOURS))
    tags = {
        i["figure"].rpartition("/")[2]: {e["tag"] for e in i["inputs"]} for i in answer["items"]
    }
    assert tags["mass_t"] == {"acme/FT-6"}
    assert tags["kwh_per_t"] == {"acme/FT-6", "acme/JQ-1"}
    assert tags["energy_kgce"] == {"acme/FT-5", "acme/JQ-1"}


async def test_factors_are_told_also_when_what_is_made_of_them_is_remembered(api):
    path = "scopes/demo/acme/balance"
    figure = address(path, "/items/0/streams/0/measured_sigma_t", window="hour", **HOURS)
    factors = []
    for _ in range(2):
        (item,) = (await explain(api, figure))["items"]
        factors.append({each["name"] for each in item["factors"]})
    assert factors[0] == factors[1]
    assert any(name.startswith("uncertainty.") for name in factors[0])


async def test_a_derived_value_is_explained_by_what_it_was_calculated_of(api):
    answer = await explain(
        api, address("latest", "/items/0/value", tag="acme/chlorine.mass_flow.residual")
    )
    assert {"acme/II-1", "acme/FT-1"} <= {each["tag"] for each in answer["items"][0]["inputs"]}
    one = await explain(api, address("latest", "/items/0/value", tag="acme/FT-6"))
    (only,) = one["items"][0]["inputs"]
    samples = (await api.get(only["samples"])).json()
    assert (samples["resolution"], samples["value"]) == ("raw", [one["items"][0]["value"]])


async def test_a_figure_of_a_question_with_a_body_is_explained_too(api):
    body = {"hours": 2, "step_s": 600, "actions": [{"scope": "demo/acme/vcm", "load": 0.5}]}
    figure = {"figure": "/api/v1/scenarios#/variants/0/stocks/0/headroom_t/3", "body": body}
    answer = await api.post("/api/v1/explain", json=figure)
    assert answer.status_code == 200, answer.text
    (item,) = answer.json()["items"]
    assert item["formula"].endswith("limit - inventory")
    assert "acme/LT-1" in {each["tag"] for each in item["inputs"]}


@pytest.mark.parametrize(
    ("figure", "status"),
    [
        ("https://example.org/#/a", 422),
        ("/api/v1/explain?figure=x#/a", 422),
        ("/api/v1/latest#/items/99999", 422),
        ("/api/v1/scopes/demo/nobody/energy#/items/0/mass_t", 422),
        ("/livez#/ok", 422),
    ],
    ids=["elsewhere", "itself", "nowhere", "unknown", "outside"],
)
async def test_what_is_no_figure_is_refused(api, figure, status):
    await explain(api, figure, status)


async def test_a_search_without_time_says_what_it_left_open(database, ids):
    async with serving(database, explanation_s=1e-9) as (api, _):
        answer = await explain(api, address("scopes/demo/acme/energy", "/items/0/mass_t", **HOURS))
    item = answer["items"][0]
    assert item["inputs"] == []
    assert "acme/FT-6" in item["open"]
