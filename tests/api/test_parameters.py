"""What a request may carry: beyond the bounds it is refused by the name of the parameter."""

import orjson
import pytest

pytest_plugins = ["tests.support.small_park"]

TEXT = {"Content-Type": "application/json"}
COMMAND = '{"by": "me"%s}'
WHAT_IF = '{"actions": [{"scope": "demo/acme/vcm", "load": 0}]%s}'
ADOPT = '{"by": "me", "scope": "demo/acme", "quantity": "mass", "uom": "t"%s}'
HUGE = "9" * 30
MOST_AND_LEAST = ("maximum", "minimum")
REFUSED = [
    ("GET", f"/api/v1/commands/{HUGE}", "", 422, "command"),
    ("GET", "/api/v1/commands/" + "9" * 5000, "", 422, "command"),
    ("GET", f"/api/v1/rejects?cursor={HUGE}", "", 422, "cursor"),
    ("GET", f"/api/v1/rejects?limit={HUGE}", "", 422, "limit"),
    ("GET", "/api/v1/rejects?reason=%00", "", 422, "reason"),
    ("GET", "/api/v1/quarantine?reason=a%00b", "", 422, "reason"),
    ("GET", f"/api/v1/history?tag=acme/TT-1&points={HUGE}", "", 422, "points"),
    ("GET", f"/api/v1/alarms/journal?cursor={HUGE}.1", "", 422, "cursor"),
    ("GET", f"/api/v1/alarms/journal?cursor=1.{HUGE}", "", 422, "cursor"),
    ("GET", f"/api/v1/scopes/demo/detections?cursor={HUGE}", "", 422, "cursor"),
    ("GET", "/api/v1/scopes/a%00b/energy", "", 422, "path"),
    ("GET", "/api/v1/scopes/" + "a" * 500 + "/energy", "", 422, "path"),
    ("GET", "/api/v1/history?tag=" + "a" * 500, "", 422, "tag"),
    ("GET", "/api/v1/latest?" + "tag=acme/TT-1&" * 300, "", 422, "tag"),
    ("GET", "/api/v1/live?" + "tag=acme/TT-1&" * 300, "", 422, "tag"),
    ("DELETE", f"/api/v1/rejects?id={HUGE}", "", 422, "id"),
    ("DELETE", "/api/v1/rejects?" + "id=1&" * 2000, "", 422, "id"),
    ("DELETE", "/api/v1/rejects?by=%00", "", 422, "by"),
    ("DELETE", "/api/v1/quarantine/acme/x%00", "", 422, "tag"),
    ("DELETE", "/api/v1/quarantine/a%00/x", "", 422, "enterprise"),
    ("POST", "/api/v1/rejects/replay", COMMAND % f', "ids": [{HUGE}]', 422, "ids"),
    ("POST", "/api/v1/rejects/replay", COMMAND % ', "ids": [-1]', 422, "ids"),
    ("POST", "/api/v1/rejects/replay", COMMAND % r', "reason": "\u0000"', 422, "reason"),
    ("POST", "/api/v1/alarms/x/ack", r'{"by": "a\u0000"}', 422, "by"),
    ("POST", "/api/v1/alarms/x/ack", r'{"by": "\ud800"}', 422, "by"),
    ("POST", "/api/v1/alarms/x/shelve", COMMAND % r', "minutes": 1, "reason": "\u0000"', 422,
     "reason"),
    ("POST", "/api/v1/alarms/x/shelve", COMMAND % ', "minutes": 1e400, "reason": "r"', 422,
     "minutes"),
    ("POST", "/api/v1/alarms/x/shelve", COMMAND % ', "minutes": NaN, "reason": "r"', 422,
     "minutes"),
    ("POST", "/api/v1/unit-errors/1/rescale", COMMAND % ', "factor": NaN', 422, "factor"),
    ("POST", "/api/v1/unit-errors/1/rescale", COMMAND % (', "factor": 1' + "0" * 400), 422,
     "factor"),
    ("POST", "/api/v1/unit-errors/1/dismiss", COMMAND % r', "reason": "\u0000"', 422, "reason"),
    ("POST", "/api/v1/quarantine/acme/x/adopt", ADOPT % ', "low": -Infinity', 422, "low"),
    ("POST", "/api/v1/quarantine/acme/x/adopt", ADOPT % r', "description": "\u0000"', 422,
     "description"),
    ("POST", "/api/v1/scenarios", WHAT_IF % ', "step_s": 5e-324', 422, "step_s"),
    ("POST", "/api/v1/scenarios", WHAT_IF % ', "hours": 5e-324', 422, "hours"),
    ("POST", "/api/v1/scenarios", WHAT_IF % ', "hours": Infinity', 422, "hours"),
    ("POST", "/api/v1/scenarios", WHAT_IF % ', "response_s": 1e308', 422, "response_s"),
    ("POST", "/api/v1/scenarios", WHAT_IF % r', "\ud800": 1', 422, "body"),
    ("POST", "/api/v1/scenarios", WHAT_IF % (', "hours": ' + "9" * 5000), 400, None),
    ("POST", "/api/v1/scenarios", "[" * 20_000, 400, None),
]  # fmt: skip


@pytest.fixture
async def answers(api):
    """Ask once for everything of the table."""
    return [
        await api.request(method, path, content=body, headers=TEXT if body else None)
        for method, path, body, *_ in REFUSED
    ]


async def test_what_cannot_be_counted_or_stored_is_refused_by_name(answers):
    for answer, (method, path, body, status, parameter) in zip(answers, REFUSED, strict=True):
        case = f"{method} {path:.80} {body:.80}"
        assert answer.status_code == status, f"{case}: {answer.text}"
        assert answer.headers["content-type"] == "application/problem+json", case
        problem = orjson.loads(answer.content)
        if parameter:
            assert [each["parameter"] for each in problem["errors"]] == [parameter], case


def leaves(schema, schemas):
    """Yield the schemas of all values inside a schema."""
    schema = schemas[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    parts = [*schema.get("anyOf", ()), *schema.get("properties", {}).values()]
    parts += [schema["items"]] if "items" in schema else []
    for part in parts:
        yield from leaves(part, schemas)
    yield schema


def is_bounded(schema):
    """Return whether a schema has bounds of its kind."""
    most, least = (schema.keys() & {name, f"exclusive{name.title()}"} for name in MOST_AND_LEAST)
    return {
        "integer": "enum" in schema or (most and least),
        "number": most and least,
        "array": "maxItems" in schema,
        "string": schema.keys() & {"enum", "const", "format", "maxLength", "pattern"},
    }.get(schema.get("type"), True)


async def test_every_number_and_text_of_a_request_has_bounds_in_the_openapi_document(api):
    document = (await api.get("/openapi.json")).json()
    unbounded = []
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            carried = [each["schema"] for each in operation.get("parameters", ())]
            bodies = operation.get("requestBody", {"content": {}})["content"].values()
            for schema in [*carried, *(body["schema"] for body in bodies)]:
                parts = leaves(schema, document["components"]["schemas"])
                unbounded += [(method, path, part) for part in parts if not is_bounded(part)]
    assert unbounded == []
