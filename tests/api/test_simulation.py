"""Orders for a demonstration: files of a folder; a twin of real plants has none.

That an ordered scenario raises its alarms is tested with the pages of the console.
"""

from deploy.demonstration import order, read_order, read_played

pytest_plugins = ["tests.support.small_park"]


async def test_a_twin_of_real_plants_has_nothing_to_switch(api):
    for answer in (
        await api.get("/api/v1/simulation"),
        await api.post("/api/v1/simulation", json={"scenario": "normal"}),
    ):
        assert (answer.status_code, "no simulator" in answer.text) == (404, True)


def test_half_a_file_says_nothing(tmp_path):
    assert read_order(tmp_path) == ("", 0)
    for name in ("state.json", "order.json"):
        (tmp_path / name).write_text('{"scenario": ')
    assert (read_played(tmp_path), read_order(tmp_path)) == (None, ("", 0))
    order(tmp_path, "leak", 7)
    assert read_order(tmp_path) == ("leak", 7)
