"""The API as a whole: problems, OpenAPI, console, command line."""

import asyncio
import json
import socket
import sys

import httpx
import pytest

from api.__main__ import main
from api.app import create_app
from api.settings import ApiSettings
from deploy.local import free_port
from tests.support.small_park import NOW, serving

pytest_plugins = ["tests.support.small_park"]


ASSET, NO_ASSET = "/assets/index-1.js", "/assets/index-2.js"
PROBLEMS = [
    ("/api/v1/nothing", {}, 404, "there is nothing at", "openapi"),
    ("/api/v1/latest?tag=acme/FT-11", {}, 404, "no tag 'acme/FT-11'", "acme/FT-1"),
    ("/api/v1/history?tag=TT-1", {}, 404, "no tag 'TT-1'", "acme/TT-1"),
    ("/api/v1/live?tag=acme/zzzzzzzzz", {}, 404, "no tag", "/api/v1/tags lists them"),
    ("/api/v1/scopes/demo/acmee/energy", {}, 404, "no scope 'demo/acmee'", "demo/acme"),
    ("/api/v1/tags?scope=nowhere", {}, 404, "no scope 'nowhere'", "/api/v1/park lists them"),
    ("/api/v1/history", {}, 422, "tag: Field required", ""),
    ("/api/v1/history?tag=acme/TT-1&points=3", {}, 422, "points:", ""),
    ("/api/v1/history?tag=acme/TT-1&points=10001", {}, 422, "10,000 are the limit", ""),
    ("/api/v1/history?tag=acme/TT-1&from=2025-06-01T00:00:00", {}, 422, "has no offset", ""),
    ("/api/v1/history?tag=acme/TT-1&from=yesterday", {}, 422, "is not a time like", ""),
    ("/api/v1/history?tag=acme/TT-1&from=2025-06-01T00:00:00+08:00", {}, 422, "%2B", ""),
    ("/api/v1/history?tag=acme/TT-1&from=0001-01-01T00:00:00Z", {}, 422, "year 1 ", ""),
    (
        "/api/v1/history?tag=acme/TT-1&from=1990-01-01T00:00:00Z",
        {},
        422,
        "7,320 are the limit",
        "shorter",
    ),
    ("/api/v1/history?tag=acme/TT-1&from=2030-01-01T00:00:00Z", {}, 422, "not before", "now"),
    ("/api/v1/history?tag=acme/TT-1", {"Accept": "image/png"}, 406, "image/png", "text/csv"),
    ("/api/v1/scopes/demo/energy?window=week", {}, 422, "window:", ""),
    (
        "/api/v1/scopes/demo/energy?window=minute&from=2025-01-01T00:00:00Z",
        {},
        422,
        "1,500 are the limit",
        "longer",
    ),
    ("/api/v1/tags?limit=5000", {}, 422, "1,000 are the limit", ""),
    ("/api/v1/tags?limit=0", {}, 422, "limit:", ""),
]


@pytest.fixture
async def problems(api):
    """Ask once for every failure of the table."""
    return [await api.get(path, headers=headers) for path, headers, *_ in PROBLEMS]


async def test_every_failure_is_a_problem_with_a_hint(problems):
    for answer, (path, _, status, detail, hint) in zip(problems, PROBLEMS, strict=True):
        body = answer.json()
        assert (answer.status_code, body["status"]) == (status, status), path
        assert answer.headers["content-type"] == "application/problem+json"
        assert {"type", "title", "status", "detail", "instance"} <= body.keys()
        assert body["instance"] == path.partition("?")[0]
        assert detail in body["detail"], path
        assert hint in body.get("hint", ""), path
        if status == 422:
            assert body["errors"][0]["in"] == "query"
            assert f"{body['errors'][0]['parameter']}: " in body["detail"]


async def test_a_wrong_method_and_a_crash_are_problems_too(database, ids):
    async with serving(database) as (api, context):
        answer = await api.post("/api/v1/park")
        assert (answer.status_code, answer.json()["status"]) == (405, 405)
        assert "GET" in answer.headers["allow"]
        context.feed.image = None
        answer = await api.get("/api/v1/latest")
        assert (answer.status_code, answer.json()["title"]) == (500, "Internal Server Error")


async def test_a_database_that_is_away_is_a_503_that_says_when_to_come_back():
    url = f"postgresql://park@127.0.0.1:{free_port()}/park"
    app = create_app(ApiSettings(database_url=url), lambda: NOW)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as api:
            assert (await api.get("/livez")).status_code == 200
            for path in ("/readyz", "/api/v1/park", "/api/v1/latest", "/api/v1/live"):
                answer = await api.get(path)
                assert (answer.status_code, answer.headers["retry-after"]) == (503, "2"), path
            assert (await api.get("/readyz")).json()["checks"]["database"] is False


async def test_openapi_names_every_route(api):
    document = (await api.get("/openapi.json")).json()
    assert document["openapi"].startswith("3.1")
    assert {
        "/api/v1/park", "/api/v1/tags", "/api/v1/latest", "/api/v1/history", "/api/v1/live",
        "/api/v1/scopes/{path}/energy", "/api/v1/scopes/{path}/electrolysers",
        "/api/v1/scopes/{path}/electrolysers/ageing", "/api/v1/scopes/{path}/retrofit",
        "/api/v1/scopes/{path}/benchmark", "/api/v1/scopes/{path}/maturity",
        "/api/v1/scopes/{path}/industry",
        "/api/v1/scopes/{path}/chlorine",
        "/api/v1/scopes/{path}/byproducts", "/api/v1/scopes/{path}/loops",
        "/api/v1/scopes/{path}/symbiosis",
        "/api/v1/scopes/{path}/catalogue", "/api/v1/scopes/{path}/catalogue/matches",
        "/api/v1/scopes/{path}/catalogue/allocation", "/api/v1/scopes/{path}/catalogue/ledger",
        "/api/v1/scopes/{path}/balance", "/api/v1/scopes/{path}/detections",
        "/api/v1/scopes/{path}/emissions", "/api/v1/scopes/{path}/emissions/products",
        "/api/v1/scopes/{path}/totals", "/api/v1/scopes/{path}/totals/ledger",
        "/api/v1/scopes/{path}/heat", "/api/v1/scopes/{path}/meters",
        "/api/v1/scopes/{path}/load-plan",
        "/api/v1/scopes/{path}/evaluation", "/api/v1/scopes/{path}/tariffs",
        "/api/v1/scopes/{path}/baselines", "/api/v1/scopes/{path}/baselines/{baseline}",
        "/api/v1/scopes/{path}/baselines/{baseline}/fit",
        "/api/v1/scopes/{path}/baselines/{baseline}/adjust", "/api/v1/scopes/{path}/forecast",
        "/api/v1/scopes/{path}/consumption", "/api/v1/scopes/{path}/comparison",
        "/api/v1/scopes/{path}/demand", "/api/v1/scopes/{path}/load-curve",
        "/api/v1/scopes/{path}/power-factor", "/api/v1/scopes/{path}/standby",
        "/api/v1/scopes/{path}/bridge",
        "/api/v1/scopes/{path}/online-monitoring",
        "/api/v1/scopes/{path}/online-monitoring/file",
        "/api/v1/registers/falls", "/api/v1/registers/falls/{fall}/dismiss",
        "/api/v1/registers/replace",
        "/api/v1/book", "/api/v1/book/{value}", "/api/v1/book/{value}/correct",
        "/api/v1/book/csv", "/api/v1/book/confirm",
        "/api/v1/me", "/api/v1/login", "/api/v1/logout", "/api/v1/password", "/api/v1/tokens",
        "/api/v1/tokens/{token}", "/api/v1/accounts", "/api/v1/accounts/{name}",
        "/api/v1/second-factor", "/api/v1/second-factor/confirm", "/api/v1/second-factor/end",
        "/api/v1/accounts/{name}/reset-factor", "/api/v1/oidc/begin", "/api/v1/oidc/callback",
        "/api/v1/accounts/{name}/invite", "/api/v1/audit", "/api/v1/audit/verification",
        "/api/v1/alarms", "/api/v1/alarms/journal", "/api/v1/alarms/summary",
        "/api/v1/alarms/{alarm}/ack", "/api/v1/alarms/{alarm}/shelve",
        "/api/v1/alarms/{alarm}/unshelve", "/api/v1/commands", "/api/v1/commands/{command}",
        "/api/v1/quarantine", "/api/v1/quarantine/{enterprise}/{tag}",
        "/api/v1/quarantine/{enterprise}/{tag}/adopt",
        "/api/v1/quarantine/{enterprise}/{tag}/release", "/api/v1/rejects",
        "/api/v1/rejects/replay",
        "/api/v1/contacts", "/api/v1/contacts/{contact}", "/api/v1/contacts/{contact}/propose",
        "/api/v1/contacts/{contact}/adopt", "/api/v1/gateways/try",
        "/api/v1/reports", "/api/v1/reports/due", "/api/v1/reports/{kind}/{path}",
        "/api/v1/reports/{report}",
        "/api/v1/reports/{report}/notes", "/api/v1/reports/{report}/verification",
        "/api/v1/scopes/{path}/restatements",
        "/api/v1/explain",
        "/api/v1/scenarios", "/api/v1/targets", "/api/v1/health/data",
        "/api/v1/unit-errors/{error}/dismiss", "/api/v1/unit-errors/{error}/rescale",
        "/api/v1/notifications", "/api/v1/model/versions", "/api/v1/model/versions/{version}",
        "/api/v1/storage", "/api/v1/simulation",
        "/livez", "/readyz", "/metrics",
    } == set(document["paths"])  # fmt: skip
    for path in document["paths"].values():
        for operation in path.values():
            content = operation["responses"]["default"]["content"]
            assert list(content) == ["application/problem+json"]
            assert operation["description"]
    schemas = document["components"]["schemas"]
    assert [name for name, schema in schemas.items() if not schema.get("description")] == []


def test_openapi_is_printed_without_a_database(capsys):
    assert main(["--openapi"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["components"]["schemas"]["Problem"]["required"][0] == "type"


async def test_the_console_is_served_when_it_is_built(tmp_path):
    settings = ApiSettings(database_url="postgresql://nowhere")
    (tmp_path / "index.html").write_text("<title>console</title>")
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "index-1.js").write_text("")
    for folder, text in ((tmp_path, "<title>console"), (tmp_path / "none", "npm run build")):
        app = create_app(settings, lambda: NOW, console=folder)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as api:
            assert text in (await api.get("/")).text
            assert (await api.get("/no.js")).headers["content-type"] == "application/problem+json"
            assert (await api.get("/api/v1/none")).status_code == 404
            page = await api.get("/alarms?scope=acme")
            assert (page.text == text + "</title>") == (folder == tmp_path)
            kept = {p: (await api.get(p)).headers["cache-control"] for p in ("/", ASSET, NO_ASSET)}
            assert kept["/"] == kept[NO_ASSET] == "no-store"
            assert ("immutable" in kept[ASSET]) == (folder == tmp_path)


def test_wrong_settings_and_a_taken_port_say_what_to_do(monkeypatch, capsys):
    monkeypatch.setenv("PARKTWIN_POOL_SIZE", "0")
    monkeypatch.setenv("PARKTWIN_HTTP_PORT", "0")
    assert main([]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("parktwin api: PARKTWIN_HTTP_PORT: ")
    assert "; PARKTWIN_POOL_SIZE: " in line
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    text = capsys.readouterr().out
    assert all(f"PARKTWIN_{name.upper()}" in text for name in ApiSettings.model_fields)


async def test_a_taken_port_is_one_line_with_a_hint():
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = str(door.getsockname()[1])
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "api", "--port", port,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        _, err = await process.communicate()
    assert process.returncode == 1
    assert b"choose another port with --port" in err
