"""Requests of the OpenAPI document by every role: none gets or does more than role and scope say.

The requests are made once and asked by all; `make fuzz` makes more of them.
"""

import os
import tomllib
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import cache

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode

from api.access.guard import SESSION
from api.access.rights import RIGHTS, rule_of
from api.app import create_app
from api.settings import ApiSettings
from tests.attacks.test_http import FILE
from tests.support.neighbour import MARK, fill_with_neighbour
from tests.support.small_park import serving

EXAMPLES = int(os.environ.get("HTTP_EXAMPLES", "3"))
ACCOUNTS = {
    "viewer": "demo/acme", "operator": "demo/acme", "engineer": "demo/acme",
    "administrator": "", "auditor": "",
}  # fmt: skip
# Names of the neighbour beside those of the park, numbers of its rows, and times with data.
NAMES = {
    "scopes": ["demo", "demo/acme", "demo/other", "demo/other/caustic"],
    "tags": ["acme/FT-1", "other/FT-1", "other/JQ-1", "other/B-1"],
    "alarms": ["flow", "n-flow", "other/TT-1"],
    "enterprises": ["acme", "other"],
    "names": [f"NZ-{MARK}", "FT-1"],
    "numbers": [1, 2],
    "begins": ["2025-06-02T08:00:00+08:00", "2025-06-02T09:00:00+08:00"],
    "ends": ["2025-06-02T10:00:00+08:00", "2025-06-02T10:30:00+08:00"],
    "words": ["chlorine", "caustic", "hydrogen", "total"],
    "baselines": ["power", "n-power"],
}
# Besides those of the file that others have as well.
PARAMETERS = {
    **dict.fromkeys(("path.command", "path.contact", "path.error", "path.fall"), "numbers"),
    **dict.fromkeys(("path.report", "path.value", "path.version", "path.token"), "numbers"),
    **dict.fromkeys(("query.from", "query.first_from", "query.base_from"), "begins"),
    **dict.fromkeys(("query.to", "query.first_to", "query.base_to"), "ends"),
    **dict.fromkeys(("query.product", "query.component"), "words"),
    "path.baseline": "baselines",
    "body.tag": "tags",
}
# They end a session, or lock an account of the test.
LEFT_OUT = ("POST /api/v1/logout",)


@dataclass(frozen=True, slots=True)
class Question:
    """A request of the document, as it is sent."""

    operation: str  # method and path of the document
    method: str
    url: str
    headers: dict
    body: bytes | str | None


@cache
def document():
    """Return the routes of the API by method and path of the document, and its operations."""
    app = create_app(ApiSettings(database_url=""), lambda: 0)
    routes = {
        f"{method} {route.path_format}": route.path
        for route in app.routes
        for method in getattr(route, "methods", None) or ()
        if hasattr(route, "path_format")
    }
    words = tomllib.loads(FILE.read_text())
    words["dictionaries"] = {name: {"values": values} for name, values in NAMES.items()}
    for name, dictionary in PARAMETERS.items():
        words["parameters"][name] = {"dictionary": dictionary}
    for choice in words["parameters"].values():
        choice["probability"] = 0.9
    config = schemathesis.Config.from_dict(words)
    schema = schemathesis.openapi.from_dict(app.openapi(), config=config)
    return routes, [result.ok() for result in schema.get_all_operations()]


@cache
def questions():
    """Return requests of every operation, most of them as the document allows."""
    made = []

    def add(case):
        kwargs = case.as_transport_kwargs(base_url="http://localhost")
        kwargs.pop("cookies", None)
        ready = requests.Request(**kwargs).prepare()
        headers = {"content-type": ready.headers.get("content-type", "application/json")}
        operation = f"{case.method} {case.operation.path}"
        made.append(Question(operation, case.method, ready.url, headers, ready.body))

    for operation in document()[1]:
        if f"{operation.method.upper()} {operation.path}" in LEFT_OUT:
            continue
        for mode, count in ((GenerationMode.POSITIVE, EXAMPLES), (GenerationMode.NEGATIVE, 1)):
            examples = settings(
                max_examples=count, phases=[Phase.generate], derandomize=True, database=None,
                deadline=None, suppress_health_check=list(HealthCheck),
            )  # fmt: skip
            # A request without parameters cannot be wrong.
            with suppress(Unsatisfiable):
                examples(given(case=operation.as_strategy(generation_mode=mode))(add))()
    return made


@asynccontextmanager
async def serving_roles(database, db, factor=1.0):
    """Serve the park with its neighbour; yields the client and the session of each role."""
    await fill_with_neighbour(db, factor)
    async with serving(database, access="accounts") as (api, _):
        accounts = api._transport.app._app.state.guard.accounts
        sessions = {"nobody": ""}
        for role, scope in ACCOUNTS.items():
            await accounts.add(f"the-{role}", role, scope, "test")
            sessions[role] = await accounts.issue("session", f"the-{role}", timedelta(hours=9))
        yield api, sessions


async def ask(api, session, question):
    """Return the answer, and whether the request came to its route."""
    method = "HEAD" if question.operation == "GET /api/v1/live" else question.method
    answer = await api.request(
        method, question.url, content=question.body,
        headers=question.headers | {"cookie": f"{SESSION}={session}"},
    )  # fmt: skip
    route = api._transport.app._scope.get("route")
    path = getattr(route, "path_format", "")
    return answer, path == question.operation.partition(" ")[2]


async def state(db):
    """Return what orders change."""
    columns = {"account": "name, role, scope, password, locked", "command": "*", "book": "*",
               "report": "*", "model": "*"}  # fmt: skip
    return [await db.fetch(f"SELECT {names} FROM {table} ORDER BY 1")
            for table, names in columns.items()]  # fmt: skip


@pytest.mark.parametrize("role", ["nobody", *ACCOUNTS])
async def test_a_role_does_what_it_has_a_right_to_and_nothing_else(database, db, role):
    routes, _ = document()
    rights = RIGHTS.get(role, frozenset())
    async with serving_roles(database, db) as (api, sessions):
        before = await state(db)
        wrong, good = [], 0
        for question in questions():
            answer, has_come = await ask(api, sessions[role], question)
            status = answer.status_code
            rule = rule_of(question.method, routes[question.operation])
            if rule is None or rule.right in rights:
                is_wrong = status >= 500
            else:
                refusal = 401 if role == "nobody" else 403
                # Elsewhere there may be nothing, or another order.
                is_wrong = status != refusal and (has_come or status not in (404, 405))
            if is_wrong:
                wrong.append((status, question, answer.text))
            good += status < 400
        assert wrong == []
        cookie = {"cookie": f"{SESSION}={sessions[role]}"}
        me = (await api.get("/api/v1/me", headers=cookie)).json()
        assert me["role"] == (None if role == "nobody" else role)
        assert good > (0 if role == "nobody" else len(questions()) // 4)
        if not rights - {"read", "audit"}:
            assert await state(db) == before
        # The neighbour has its own people.
        orders = await db.fetch("SELECT body::text FROM command WHERE id > 1")
        if ACCOUNTS.get(role):
            assert [body for (body,) in orders if "other" in body or "n-" in body] == []
        assert bool(orders) == bool(rights & {"operate"})


async def answers_of(database, db, factor):
    """Return what an engineer of acme gets, beside a neighbour whose figures have a factor."""
    async with serving_roles(database, db, factor) as (api, sessions):
        answers = [await ask(api, sessions["engineer"], question) for question in questions()]
    return [(answer.status_code, answer.text) for answer, _ in answers]


async def test_nothing_that_a_neighbour_keeps_to_itself_is_in_any_answer(database, db):
    one = await answers_of(database, db, 0.91)
    await emptied(db)
    two = await answers_of(database, db, 0.83)
    differing, marked = [], []
    for question, first, second in zip(questions(), one, two, strict=True):
        # The secret of a token is a new one each time.
        if first != second and question.operation != "POST /api/v1/tokens":
            differing.append((question, first, second))
        if MARK in first[1] and MARK not in f"{question.url} {question.body}":
            marked.append((question, first))
    assert differing == []
    assert marked == []
    assert sum(status == 200 for status, _ in one) > len(one) // 4


async def emptied(db):
    """Empty all tables, and let their numbers begin anew."""
    names = await db.fetch(
        "SELECT relname FROM pg_class WHERE relnamespace = 'park'::regnamespace AND relkind = 'r'"
        " AND relname <> 'migration'"
    )
    tables = ", ".join(name for (name,) in names)
    await db.execute(f"TRUNCATE {tables} RESTART IDENTITY CASCADE")
