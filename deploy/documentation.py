"""`make docs`: write the pages of docs/ that follow from the code, or check them."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi.routing import APIRoute

from api.access.rights import RIGHTS, ROLES, RULES, rule_of
from api.app import SUBJECTS, create_app
from api.disclosure import reach_of
from api.order_keys import PARAMETER as ORDER_KEY
from api.settings import ApiSettings
from api.table import PARAMETERS
from deploy.logs import LogSettings
from deploy.settings import UpSettings
from ingest.settings import IngestSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic_settings import BaseSettings

DOCS = Path(__file__).resolve().parent.parent / "docs"
MADE = "Written by `make docs` from {source}; changes here are lost.\n"
SETTINGS_HEAD = """Each setting is an environment variable; addresses that are not set are read from
`parktwin-data/connection.env` below the working folder, which `parktwin up` writes. It hands all
settings on to the programs it starts; `deploy/compose.yaml` names the few that only the containers
have.
"""
HTTP_HEAD = """Times are RFC 3339 with an offset (in a URL, `+` is written `%2B`). A failure is
`application/problem+json` (RFC 9457), with a `hint` where there is one. `window` is minute, hour,
shift, day, month, quarter or year on the clock of the park; without `from` and `to` an answer
covers the last 24 hours. `format=csv` (or `Accept: text/csv`) gives the records of an answer as a
table, `table` says which of several. An order with a header `Idempotency-Key` that is sent again is
done once and answered alike. A row carries `completeness`, the share of the time with
usable data, `quality`, and the tags that are `missing` ([the policy](missing-data.md)). Missing
data give null, never zero and never infinity.
"""
RIGHTS_HEAD = """With `PARKTWIN_ACCESS=accounts` a request needs a right, and the role of its
account has it or not ([accounts](access.md)). The scope of the account narrows it:

| scope | an account with a scope |
|---|---|
| park | is refused: the request is about the whole park |
| path | asks about its scope and all below it, as the path names it |
| named | asks about what is of its scope: the tag, alarm, report, sender that is named |
| accounts | asks about accounts of its scope and below, and gives no role beyond its own |
| own | asks about what is its own |
| levels | is told of others what their [level](disclosure.md) allows, record by record |
| tags | is told of tags whose level allows it, and refused others |
| none | is told what everybody is |

HEAD is as GET.
"""
SIMULATOR = """
## parktwin simulate

`PARKTWIN_PARK` and `PARKTWIN_MQTT_URL` as above, and

| setting | default | meaning |
|---|---|---|
| `PARKTWIN_HISTORY_H` | 0 | hours of the past to publish first; `--history` of `parktwin up` |
| `PARKTWIN_SCENARIO` | normal | what happens; `--scenario` of `parktwin up` |
| `PARKTWIN_EVENTS` | scripted | live: the first event comes a minute after the past |
| `PARKTWIN_HJ212_PORT` | 0 | port of the HJ 212 listener, with `--format hj212-tcp` |
"""


def main(argv: list[str] | None = None) -> int:
    """Write the pages and return 0; with ``--check`` return 1 when a page is not current."""
    parser = argparse.ArgumentParser(
        prog="python -m deploy.documentation", description=__doc__, epilog="example:\n  make docs"
    )
    parser.add_argument("--check", action="store_true", help="write nothing, name stale pages")
    check = parser.parse_args(argv).check
    pages = {"settings.md": settings_page(), "http.md": http_page(), "rights.md": rights_page()}
    stale = [name for name, text in pages.items() if _read(DOCS / name) != text]
    for name in stale:
        if check:
            print(f"docs/{name} is not current: run make docs", file=sys.stderr)
        else:
            (DOCS / name).write_text(pages[name], encoding="utf-8")
            print(f"docs/{name} written")
    return int(check and bool(stale))


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def settings_page() -> str:
    """Return the page of all settings: environment variable, default and meaning."""
    lines = ["# Settings\n", MADE.format(source="the settings classes"), SETTINGS_HEAD]
    for title, settings in (
        ("parktwin up", UpSettings), ("parktwin ingest", IngestSettings),
        ("parktwin api", ApiSettings), ("The log of parktwin ingest and parktwin api", LogSettings),
    ):  # fmt: skip
        lines += [f"## {title}\n", "| setting | default | meaning |", "|---|---|---|"]
        lines += [*_settings_rows(settings), ""]
    return "\n".join(lines).rstrip() + "\n" + SIMULATOR


def rights_page() -> str:
    """Return the page of what each role may ask: a route with its right and scope, by role."""
    lines = ["# Rights\n", MADE.format(source="api/access/rights.py"), RIGHTS_HEAD]
    lines += ["| request | right | scope | " + " | ".join(ROLES) + " |"]
    lines += ["|---|---|---|" + "---|" * len(ROLES)]
    for method, path, route in sorted(_routes(), key=lambda each: each[1::-1]):
        rule = rule_of(method, path)
        right = rule.right if rule else None
        marks = " | ".join("yes" if right is None or right in RIGHTS[r] else "" for r in ROLES)
        cells = f"`{method} {path}` | {right or 'none'} | {scope_of(method, path, route)}"
        lines.append(f"| {cells} | {marks} |")
    return "\n".join(lines) + "\n"


def scope_of(method: str, path: str, route: APIRoute) -> str:
    """Return the rule of scope of a route; raises KeyError and TypeError where there is none."""
    rule = rule_of(method, path)
    if rule is None:
        return "none"
    if f"{method} {path}" in RULES and rule.about != "question":
        return rule.about
    return reach_of(route.endpoint)


def _routes() -> Iterator[tuple[str, str, APIRoute]]:
    """Yield method, path and route of all requests."""
    routers = [("", module.router) for module in SUBJECTS]
    while routers:
        above, router = routers.pop()
        for route in router.routes:
            if isinstance(route, APIRoute):
                for method in sorted(route.methods or ()):
                    yield method, above + route.path, route
            else:
                routers.append((router.prefix, route.original_router))


def _settings_rows(settings: type[BaseSettings]) -> Iterator[str]:
    for name, field in settings.model_fields.items():
        # A path of this machine is no default of anybody else's.
        default = "the demonstration park" if isinstance(field.default, Path) else field.default
        yield f"| `PARKTWIN_{name.upper()}` | {default} | {field.description} |"


def http_page() -> str:
    """Return the page of all HTTP endpoints, from the OpenAPI document of the api."""
    paths = create_app(ApiSettings(), lambda: 0).openapi()["paths"]
    source = "`/openapi.json`, which describes every field of every answer"
    lines = ["# HTTP interface\n", MADE.format(source=source), HTTP_HEAD]
    for path, methods in paths.items():
        for method, operation in methods.items():
            lines += _endpoint(f"{method.upper()} {path}", operation)
    return "\n".join(lines).rstrip() + "\n"


def _endpoint(title: str, operation: dict[str, Any]) -> Iterator[str]:
    yield f"## {title}\n"
    text = operation.get("description", operation["summary"]).strip().removeprefix("Return ")
    yield f"{text[0].upper()}{text[1:]}\n"
    parameters = [
        each for each in operation.get("parameters", ()) if each not in (*PARAMETERS, ORDER_KEY)
    ]
    if parameters:
        yield "| parameter | type | default | meaning |"
        yield "|---|---|---|---|"
        yield from (_parameter_row(each) for each in parameters)
        yield ""


def _parameter_row(parameter: dict[str, Any]) -> str:
    schema = parameter["schema"]
    default = "required" if parameter.get("required") else schema.get("default", "")
    meaning = " ".join(parameter.get("description", "").split())
    return f"| `{parameter['name']}` | {_type_of(schema)} | {default} | {meaning} |"


def _type_of(schema: dict[str, Any]) -> str:
    """Return the type of a parameter in words."""
    if "anyOf" in schema:
        return " or ".join(_type_of(each) for each in schema["anyOf"] if each != {"type": "null"})
    if "enum" in schema:
        return ", ".join(map(str, schema["enum"]))
    if schema.get("type") == "array":
        return f"{_type_of(schema['items'])}, repeatable"
    return str(schema.get("format") or schema.get("const") or schema.get("type", ""))


if __name__ == "__main__":
    sys.exit(main())
