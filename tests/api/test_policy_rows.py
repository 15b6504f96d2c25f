"""Each row of the two policies on the demonstration park: a figure with state, or what it lacks.

Only the books are filled here, so most figures name their meters; that a row has an answer, with
value, interval, state and a reason where it has none, is what is held.
"""

from tests.api.test_demo_targets import client  # noqa: F401 - a fixture

pytest_plugins = ["tests.support.small_park"]
DAY = {"window": "day", "from": "2026-01-13T00:00:00+08:00", "to": "2026-01-14T00:00:00+08:00"}
MONTHS = {"from": "2025-12-01T00:00:00+08:00", "to": "2026-01-01T00:00:00+08:00"}
REGION, NONE = "scopes/liaocheng", {}
# Row of the policies: what answers it; targets by id, other answers by a list that is not empty.
TARGETS = {
    "S1 caustic intensity": ["caustic-energy-luxi", "caustic-energy-xinfa"],
    "S2 local conversion": ["chlorine-local-liquid-2022", "chlorine-local-all-2022"],
    "S3 chlor-alkali balance": ["chlor-alkali-balance-2022", "chlorine-closure"],
    "S4 retrofit": ["zero-gap-2022"],
    "S5 aluminium": ["al-kwh-2025", "al-capacity", "al-deep-processing-2022"],
    "S6 fertiliser": ["clean-gasification-2022", "fixed-bed-exit-2022"],
    "S7 exits": ["steel-exit-2025", "refining-transfer-2022", "coke-exit-2020"],
    "S8 tyres": ["tyre-output-2025", "tyre-special-2025", "tyre-revenue-2025"],
    "S9 park revenue": ["park-revenue-2025", "chem-revenue-2025", "chem-enterprises-2025"],
    "S11 road to rail": ["rail-share"],
    "S13 carbon and green power": ["zero-carbon-core", "zero-carbon-clean"],
    "S20 heat and water": ["zero-carbon-heat", "zero-carbon-water"],
}
ROUTES = {
    "S4 plan of the electrolysers": ("retrofit", NONE, "items"),
    "S10 catalogue": ("catalogue", DAY, "items"),
    "S10 matches": ("catalogue/matches", NONE, "items"),
    "S10 exchange": ("catalogue/ledger", MONTHS, "items"),
    "S11 chlorine between parks": ("chlorine", DAY, "items"),
    "S12 loops": ("loops", DAY, "items"),
    "S13 use of carbon dioxide": ("byproducts", DAY, "items"),
    "S14 totals": ("totals", {"year": 2025}, "permits"),
    "S14 ledger": ("totals/ledger", NONE, "rules"),
    "S15 differential prices": ("tariffs", DAY, "items"),
    "S16 evaluation": ("evaluation", {"year": 2025}, "items"),
    "S18 benchmark": ("benchmark", NONE, "items"),
    "S19 chlorine hazard": ("chlorine", DAY, "hazards"),
    "S21 maturity": ("maturity", NONE, "items"),
}


async def test_every_row_of_the_policies_has_an_answer(client):  # noqa: F811 - the fixture
    answer = await client.get("/api/v1/targets", params={"trend": "none"})
    targets = {row["id"]: row for row in answer.json()["items"]}
    for row, ids in TARGETS.items():
        for id_ in ids:
            figure = targets[id_]
            assert figure["clause"] or figure["source"], row
            assert figure["state"] in ("met", "not_met", "undecided", "no_data")
            if figure["state"] == "no_data":
                assert figure["no_data"], (row, id_)
            else:
                assert figure["value"] is not None, (row, id_)
                assert figure["half_width"] is None or figure["half_width"] > 0
    for row, (route, query, items) in ROUTES.items():
        answer = await client.get(f"/api/v1/{REGION}/{route}", params=query)
        assert answer.status_code == 200, (row, answer.text)
        assert answer.json()[items], row
    catalogue = (await client.get(f"/api/v1/{REGION}/catalogue", params=DAY)).json()
    # S22: steel, building materials and textiles may take what is left over.
    industries = {need["industry"] for need in catalogue["needs"]}
    assert {"steel", "building_materials", "textiles"} <= industries
    matches = (await client.get(f"/api/v1/{REGION}/catalogue/matches")).json()["items"]
    fitting = {row["need"] for row in matches if row["verdict"] != "no"}
    of = {need["id"]: need["industry"] for need in catalogue["needs"]}
    assert {"steel", "building_materials", "textiles"} <= {of[need] for need in fitting}
