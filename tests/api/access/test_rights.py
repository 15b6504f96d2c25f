"""The matrix of requests, rights and scopes: no route without a rule, no rule without a route."""

import pytest
from fastapi import APIRouter
from typing_extensions import TypedDict

from api import alarms
from api.access.rights import PUBLIC, RULES, RequestRule, rule_of
from api.answers import Page
from api.app import create_app
from api.context import AppContext
from api.encode import AnswerRoute
from api.settings import ApiSettings
from deploy import documentation
from tests.api.access.test_access import BY
from tests.support.accounts import come_in, guarded
from tests.support.neighbour import fill_with_neighbour

pytest_plugins = ["tests.support.small_park"]


class Figure(TypedDict):
    value: float


async def give_order(context: AppContext) -> Page[Figure]:
    return {"items": [], "next": None}


async def tell_all() -> Page[Figure]:
    return {"items": [], "next": None}


@pytest.fixture
def add_route(monkeypatch):
    """Return what adds a route to a subject of the API."""

    def add(method, endpoint):
        router = APIRouter(route_class=AnswerRoute)
        router.add_api_route("/api/v1/new-thing", endpoint, methods=[method])
        monkeypatch.setattr(alarms.router, "routes", [*alarms.router.routes, *router.routes])

    return add


def test_an_order_without_a_rule_fails_wherever_rules_are_read(add_route):
    documentation.rights_page()
    add_route("POST", give_order)
    with pytest.raises(KeyError):
        documentation.rights_page()


def test_an_answer_that_nothing_bounds_fails_wherever_rules_are_read(add_route):
    add_route("GET", give_order)
    assert "| `GET /api/v1/new-thing` | read | levels |" in documentation.rights_page()
    add_route("GET", tell_all)
    with pytest.raises(TypeError, match="needs a rule"):
        documentation.rights_page()


async def test_an_order_without_a_rule_is_given_by_nobody(database, ids, add_route):
    add_route("POST", give_order)
    async with guarded(database) as (api, accounts, _):
        await come_in(api, accounts, "root", "administrator")
        assert (await api.post("/api/v1/new-thing")).status_code == 500


def test_every_rule_has_a_route_and_every_order_a_rule():
    document = create_app(ApiSettings(database_url=""), lambda: 0).openapi()
    routes = {f"{way.upper()} {path}" for path, ways in document["paths"].items() for way in ways}
    plain = {rule.replace(":path", "").replace(":int", "") for rule in RULES}
    assert (PUBLIC | plain) - routes == set()
    assert {route for route in routes if not route.startswith("GET")} - PUBLIC - plain == set()
    # What is about a path has one.
    assert all("{path:path}" in name for name, rule in RULES.items() if rule.about == "path")


def test_looking_needs_the_right_to_read():
    assert rule_of("HEAD", "/api/v1/park") == rule_of("GET", "/api/v1/park")
    assert rule_of("GET", "/api/v1/park") == RequestRule("read", "question")
    assert rule_of("GET", "/livez") is None


# An order about what is the neighbour's, of each rule of scope and each thing that is named.
OF_THE_NEIGHBOUR = {
    "/api/v1/alarms/n-flow/ack": BY,
    "/api/v1/alarms/n-flow/shelve": BY | {"minutes": 5, "reason": "r"},
    "/api/v1/alarms/n-flow/unshelve": BY,
    "/api/v1/book": BY | {"tag": "other/B-1", "period": "2025-05", "value": 1, "uom": "t"},
    "/api/v1/book/csv?by=ann": b"tag,period,value\nother/B-1,2025-05,1\n",
    "/api/v1/book/1/correct": BY | {"value": 1, "reason": "r"},
    "/api/v1/book/confirm": BY | {"ids": [1]},
    "/api/v1/reports/enterprise/demo/other": BY | {"period": "2025-05"},
    "/api/v1/reports/1/notes": BY | {"note": "n"},
    "/api/v1/registers/replace": BY
    | {"tag": "other/JQ-1", "time": "2025-06-02T09:00:00+08:00", "last": 2, "first": 1},
    "/api/v1/registers/falls/1/dismiss": BY,
    "/api/v1/unit-errors/1/dismiss": BY,
    "/api/v1/unit-errors/1/rescale": BY,
    "/api/v1/quarantine/other/NZ-1/adopt": BY
    | {"scope": "demo/other", "quantity": "mass_flow", "uom": "t/h"},
    "/api/v1/quarantine/other/NZ-1/release": BY | {"reason": "past"},
    "/api/v1/rejects/replay": BY,
    "/api/v1/contacts/1/propose": BY | {"scope": "demo/acme"},
    "/api/v1/contacts/1/adopt": BY | {"scope": "demo/acme"},
    "/api/v1/simulation": {"scenario": "normal"},
    "/api/v1/scopes/demo/other/caustic/baselines/n-power/fit": BY,
    "/api/v1/scopes/demo/other/caustic/baselines/n-power/adjust": BY
    | {"start": "2025-05-01T00:00:00+08:00", "end": "2025-05-02T00:00:00+08:00",
       "amount_mwh": 1, "reason": "r"},
}  # fmt: skip
READINGS = {"GET /api/v1/audit", "GET /api/v1/audit/verification"}
DELETED = ("/api/v1/quarantine/other/NZ-1", "/api/v1/rejects", "/api/v1/contacts/1")


async def test_no_order_about_a_neighbour_is_taken_whatever_it_names(database, db):
    await fill_with_neighbour(db, 1.0)
    async with guarded(database) as (api, accounts, _):
        await come_in(api, accounts, "eve", "engineer", "demo/acme")
        before = await db.fetchval("SELECT count(*) FROM command")
        for path, body in OF_THE_NEIGHBOUR.items():
            csv = {"content": body, "headers": {"content-type": "text/csv"}}
            answer = await api.post(path, **(csv if isinstance(body, bytes) else {"json": body}))
            assert (answer.status_code, "not for accounts" in answer.text) == (403, True), path
        for path in DELETED:
            assert (await api.delete(path)).status_code == 403
        assert await db.fetchval("SELECT count(*) FROM command") == before
        orders = {name for name, rule in RULES.items() if rule.about in ("park", "path", "named")}
        assert len(OF_THE_NEIGHBOUR) + len(DELETED) == len(orders - READINGS)
