"""A table of an answer as CSV: a row a record, a column a field, for a spreadsheet or a script.

Every answer that has a list of records is to be had so, by `?format=csv` or `Accept: text/csv`.
"""

from __future__ import annotations

import csv
import io
import re
import typing
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import orjson
from fastapi import Request, Response
from typing_extensions import is_typeddict

from api.problems import Problem, invalid

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

JSON = "application/json"
CSV = "text/csv"
FORMATS = ("json", "csv")
# Excel takes a file with Chinese that lacks it for one of the local code page.
MARK = "\ufeff"
# A spreadsheet would take a text that starts so for a formula.
FORMULA = ("=", "+", "-", "@", "\t", "\r")
# What the OpenAPI document says of a route that has tables.
CONTENT: dict[str, Any] = {CSV: {"schema": {"type": "string"}}}
TABLE_LENGTH = 40  # of the name of a table
PARAMETERS = [
    {
        "name": "format",
        "in": "query",
        "required": False,
        "schema": {"enum": list(FORMATS), "default": "json"},
        "description": "csv: a table of the answer, a row a record",
    },
    {
        "name": "table",
        "in": "query",
        "required": False,
        "schema": {"type": "string", "maxLength": TABLE_LENGTH},
        "description": "which list of records, of an answer with several; of csv only",
    },
]


def preferred(accept: str, ours: dict[str, str]) -> str | None:
    """Return what a client prefers of our media types by its names; None when we have none."""
    wishes: list[tuple[float, str]] = []
    for part in accept.split(",") if accept.strip() else ["*/*"]:
        name, _, parameters = part.strip().partition(";")
        weight = parameters.strip().removeprefix("q=")
        wishes.append((float(weight) if weight.replace(".", "", 1).isdigit() else 1.0, name))
    # The sort is stable: of equal wishes the first one named wins.
    for _, name in sorted((each for each in wishes if each[0] > 0), key=lambda wish: -wish[0]):
        if name.strip().lower() in ours:
            return ours[name.strip().lower()]
    return None


def has_table(kind: Any) -> bool:
    """Tell whether an answer of a type has a list of records."""
    kind = typing.get_origin(kind) or kind
    if not is_typeddict(kind):
        return False
    hints = typing.get_type_hints(kind)
    return "items" in hints or any(_is_records(hint) for hint in hints.values())


def _is_records(hint: Any) -> bool:
    return typing.get_origin(hint) is list and any(map(is_typeddict, typing.get_args(hint)))


def wants_csv(request: Request) -> bool:
    """Tell whether a request asks for a table; raises Problem 422 for a wrong format or name."""
    if len(request.query_params.get("table", "")) > TABLE_LENGTH:
        raise invalid("table", f"longer than {TABLE_LENGTH} characters")
    wanted = request.query_params.get("format")
    if wanted is not None:
        if wanted not in FORMATS:
            raise invalid("format", f"{wanted!r} is none of {', '.join(FORMATS)}")
        return wanted == CSV.removeprefix("text/")
    ours = {"": JSON, JSON: JSON, "*/*": JSON, "application/*": JSON, CSV: CSV}
    return preferred(request.headers.get("accept", ""), ours) == CSV


def as_table(request: Request, answer: Response) -> Response:
    """Return a table of a JSON answer as CSV; raises Problem 406 for one without a table."""
    if answer.media_type != JSON or answer.status_code >= 400:
        return answer
    content = orjson.loads(bytes(answer.body))
    lists = {
        name: rows
        for name, rows in (content.items() if isinstance(content, dict) else ())
        if isinstance(rows, list) and all(isinstance(row, dict) for row in rows)
    }
    name = request.query_params.get("table") or ("items" if "items" in lists else "")
    if not name and len(lists) == 1:
        (name,) = lists
    if not lists:
        raise Problem(406, "this answer has no table", hint="leave format=csv out, or accept JSON")
    if name not in lists:
        raise invalid("table", f"{name!r} is none of {', '.join(lists)}")
    headers = {"Content-Disposition": attachment(f"{_file_name(request, name)}.csv")}
    return Response(render(lists[name]), media_type=CSV, headers=headers)


def _file_name(request: Request, table: str) -> str:
    parts = request.scope["path"].removeprefix("/api/v1/").removeprefix("scopes/").split("/")
    parts += [table] if table != "items" else []
    return "-".join(parts)


def attachment(name: str) -> str:
    """Return the header of a file with a name: whatever it has in it ends neither text nor line."""
    plain = re.sub(r"[^\w.-]", "_", name, flags=re.ASCII)
    whole = "" if plain == name else f"; filename*=UTF-8''{quote(name, safe='')}"
    return f'attachment; filename="{plain}"{whole}'


def render(records: list[dict[str, Any]]) -> str:
    """Return records as CSV: a record inside a record has columns of its own.

    A list of records makes a row for each of them; a second one stays JSON.
    """
    rows = [row for record in records for row in _rows(record)]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    return write_csv(columns, ([row.get(name) for name in columns] for row in rows))


def write_csv(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return a head and rows of values as CSV; no text of it is a formula to a spreadsheet."""
    content = io.StringIO()
    writer = csv.writer(content, lineterminator="\n")
    writer.writerow(head)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return content.getvalue()


def _rows(record: dict[str, Any]) -> Iterator[dict[str, Any]]:
    flat = dict(_flat(record))
    within = next((name for name, value in flat.items() if _has_records(value)), None)
    if within is None:
        yield flat
        return
    members = flat.pop(within)
    for member in members:
        yield flat | {f"{within}.{name}": value for name, value in _flat(member)}


def _flat(record: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in record.items():
        if isinstance(value, dict):
            yield from ((f"{name}.{inner}", one) for inner, one in _flat(value))
        else:
            yield name, value


def _has_records(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


def _cell(value: Any) -> Any:
    if isinstance(value, list):
        texts = all(isinstance(one, str) for one in value)
        value = " ".join(value) if texts else orjson.dumps(value).decode()
    if isinstance(value, bool):
        return str(value).lower()
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value
