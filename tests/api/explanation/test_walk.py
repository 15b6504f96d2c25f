"""Every figure of every answer leads down to raw samples, book versions or rows with a source.

The routes and their figures are those of the OpenAPI document: a new one is walked, or stated here.
"""

import math
import re
from urllib.parse import urlencode

import pytest

from api.app import create_app
from api.explanation.figures import UNITS
from api.settings import ApiSettings
from tests.support.walked_parks import PARKS, SCOPE

ROUTES = {route: name for name, park in PARKS.items() for route in park.questions}
# Routes with figures that are not walked, with the reason.
UNWALKED = {
    "/api/v1/explain": "the effects it states are what a walk is about",
}
# Answers whose rows are asked for one by one, which takes fewer runs than all of them at once.
BY_ROW = (f"{SCOPE}loops", "/api/v1/targets")
OF_REPORTS = [route for route in ROUTES if "/reports/" in route]


SIGNS = str.maketrans("−×·", "-**")
# A name in a formula: words between signs of arithmetic.
NAMED = r"(?<=[-−+*/·(])\s*\b([a-z0-9 _]+?)\b\s*(?=[-−+*/·),;:])"


class Document:
    """The OpenAPI document, and the figures of its answers: pointers with * for what is counted."""

    def __init__(self, document):
        self._schemas = document["components"]["schemas"]
        self._paths = document["paths"]

    def routes(self):
        """Return the routes whose answers have figures, with the schemas of these."""
        schemas = {
            route: self.schema(route) for route, ways in self._paths.items() if "get" in ways
        }
        return {route: schema for route, schema in schemas.items() if set(self.figures(schema))}

    def schema(self, route):
        content = self._paths[route]["get"]["responses"].get("200", {}).get("content", {})
        return content.get("application/json", {}).get("schema", {})

    def figures(self, schema, seen=frozenset()):
        """Yield the figures of a schema."""
        name = schema.get("$ref", "")
        if name in seen:
            return
        for kind in self._kinds(schema):
            if "x-formula" in kind:
                yield ""
            parts = [("*", kind.get("items")), ("*", kind.get("additionalProperties"))]
            for key, part in [*kind.get("properties", {}).items(), *parts]:
                if isinstance(part, dict):
                    yield from (f"/{key}{end}" for end in self.figures(part, seen | {name} - {""}))

    def figure(self, schema, pointer):
        """Return the figure of a schema that a pointer into an answer leads to."""
        parts, result, last = [schema], "", ""
        for token in pointer.split("/")[1:]:
            kinds = [kind for part in parts for kind in self._kinds(part)]
            named = [k["properties"][token] for k in kinds if token in k.get("properties", {})]
            counted = [k.get(each) for k in kinds for each in ("items", "additionalProperties")]
            parts = named or [part for part in counted if isinstance(part, dict)]
            result += f"/{token}" if named else "/*"
            if any("x-formula" in kind for part in parts for kind in self._kinds(part)):
                last = result
        return last

    def _kinds(self, schema):
        if "$ref" in schema:
            schema = self._schemas[schema["$ref"].rpartition("/")[2]]
        yield schema
        for name in ("anyOf", "oneOf", "allOf"):
            for each in schema.get(name, ()):
                yield from self._kinds(each)


DOCUMENT = Document(create_app(ApiSettings(database_url=""), lambda: 0).openapi())


class Walk:
    """Walks explanations down; each address is asked once."""

    def __init__(self, api):
        self._api = api
        self._answers = {}
        self.wrong = []

    async def get(self, address):
        if address not in self._answers:
            answer = await self._api.get(address)
            assert answer.status_code == 200, (address, answer.text)
            self._answers[address] = answer.json()
        return self._answers[address]

    async def explain(self, figure):
        """Return the explanations of the figures at an address, each of which is checked."""
        answer = await self.get(f"/api/v1/explain?{urlencode({'figure': figure})}")
        for item in answer["items"]:
            await self._check(item, f"{figure.partition('#')[0]}#{item['figure']}")
        for row in rows_of(answer["items"]):
            self.wrong += unnamed(row) + miscalculated(row)
        return answer["items"]

    async def _check(self, item, figure):
        """Note a figure that does not lead to samples, book versions or rows with a source."""
        if not item["formula"] or item["open"]:
            self.wrong.append((figure, item["formula"], item["open"]))
        for each in item["inputs"]:
            if each["explain"]:
                (inner,) = (await self.get(each["explain"]))["items"]
                await self._check(inner, each["explain"])
            elif each["book"]:
                if not (await self.get(each["book"]))["items"]:
                    self.wrong.append((figure, each["tag"], "no book value"))
            elif not (await self.get(each["samples"]))["time"]:
                self.wrong.append((figure, each["tag"], "no sample"))
        stated = [each for each in item["factors"] if each["source"]]
        if not (item["inputs"] or stated or item["records"] or item["model"]):
            self.wrong.append((figure, "nothing"))


def rows_of(items):
    """Return the explanations of each row of an answer, by the names of the figures."""
    rows = {}
    for item in items:
        row, _, name = re.sub(r"/\d+$", "", item["figure"]).rpartition("/")
        rows.setdefault((row, item["start"]), {}).setdefault(name, item)
    return rows.values()


def unnamed(row):
    """Return the figures whose formula names another one of their row, whose inputs they lack.

    That is a name without its unit, beside a sign of arithmetic.
    """
    wrong, stems = [], {stem_of(name): item for name, item in row.items()}
    for item in row.values():
        own = {each["tag"] for each in item["inputs"]}
        if any(each["kind"] == "derived" for each in item["inputs"]):
            # Its own inputs stand behind it.
            continue
        for stem in re.findall(NAMED, f"({item['formula'].lower()})"):
            other = stems.get(stem.replace(" ", "_"), item)
            # What no input moves, as a flow at its stated limit, has those of its whole row.
            tags = {each["tag"] for each in other["inputs"] if each["effect"] is not None}
            if other is not item and tags and not own & tags:
                wrong.append((item["figure"], item["formula"], other["figure"]))
    return wrong


def miscalculated(row):
    """Return the figures that are not what their formula makes of others of their row.

    Looked at are formulas of such figures and signs of arithmetic alone; a factor of ten is a unit.
    """
    wrong, figures = [], {stem_of(name): item["value"] for name, item in row.items()}
    for item in row.values():
        values = {stem_of(name): value for name, value in item["given"].items()} | figures
        formula = re.split("[;:]", item["formula"].lower())[0].translate(SIGNS)
        formula = re.sub(r"(?<=\w) (?=\w)", "_", formula)
        names = set(re.findall(r"[^-+*/() ]+", formula))
        if len(names) < 2 or not all(isinstance(values.get(n), int | float) for n in names):
            continue
        made = eval(formula, {}, values)  # noqa: S307 - a formula of our own
        if not alike(item["value"], made):
            wrong.append((item["figure"], formula, item["value"], made))
    return wrong


def alike(one, other):
    """Tell whether two values are the same but for rounding and a power of ten."""
    if min(abs(one), abs(other)) < 1e-9:
        return abs(one - other) < 1e-9
    power = math.log10(abs(one / other))
    return one * other > 0 and power == pytest.approx(round(power), abs=1e-9)


def stem_of(name):
    """Return the name of a figure without its unit."""
    ends = [unit for unit in UNITS if name.endswith(f"_{unit}")]
    return name.removesuffix(f"_{max(ends, key=len)}") if ends else name


def test_a_figure_has_the_value_that_its_formula_makes_of_its_row():
    given = {"hours": 2}
    row = {
        "used_kwh": {"figure": "/0/used_kwh", "formula": "sum", "value": 3000.0, "given": given},
        "mean_mw": {
            "figure": "/0/mean_mw",
            "formula": "used / hours",
            "value": 1.5,
            "given": given,
        },
    }
    assert miscalculated(row) == []
    row["mean_mw"]["value"] = 2.0
    assert miscalculated(row) == [("/0/mean_mw", "used / hours", 2.0, 1500.0)]


def test_every_route_with_figures_is_walked_or_has_a_reason():
    assert {*DOCUMENT.routes()} == {*ROUTES, *UNWALKED}


@pytest.mark.parametrize("name", PARKS)
async def test_every_figure_leads_to_its_samples(database, db, name):
    unreached = {}
    async with PARKS[name].serve(database, db) as api:
        walk = Walk(api)
        for route, questions in PARKS[name].questions.items():
            schema, walked = DOCUMENT.schema(route), set()
            for path, query, *part in questions:
                address = f"/api/v1/{path}?{urlencode(query, doseq=True)}"
                for pointer in part or await pointers(walk, route, address):
                    items = await walk.explain(f"{address}#{pointer}")
                    own = [pointer] if route in OF_REPORTS else [each["figure"] for each in items]
                    walked |= {DOCUMENT.figure(schema, each) for each in own}
            if missing := {*DOCUMENT.figures(schema)} - walked:
                unreached[route] = missing
    assert (walk.wrong, unreached) == ([], {})


async def pointers(walk, route, address):
    """Return the pointers by which the figures of an answer are asked for."""
    answer = await walk.get(address)
    if route in BY_ROW:
        return [f"/items/{n}" for n in range(len(answer["items"]))]
    if route not in OF_REPORTS:
        return [""]
    # The figures of a report are those of answers that have routes of their own: one of each kind.
    schema, kinds = DOCUMENT.schema(route), {}
    for pointer, figure in quotes(answer):
        assert route_of(figure) in {*ROUTES, *UNWALKED}, figure
        kinds.setdefault(DOCUMENT.figure(schema, pointer), pointer)
    return [pointer for kind, pointer in kinds.items() if kind]


def quotes(node, path="", answer=""):
    """Yield the pointers to the figures of a report, with the addresses they are quoted from."""
    if isinstance(node, dict):
        answer = node.get("address", answer)
        # What has no value leads to samples that are not there.
        children = () if node.get("value", 0) is None else node.items()
    else:
        children = enumerate(node)
    for key, child in children:
        if isinstance(child, dict | list):
            yield from quotes(child, f"{path}/{key}", answer)
        elif isinstance(child, int | float) and answer and not isinstance(child, bool):
            yield f"{path}/{key}", answer


def route_of(path):
    """Return the route of an address."""
    path = re.split("[?#]", path)[0]
    fits = [r for r in ROUTES if re.fullmatch(re.sub(r"{path}", ".+", r), path)]
    return max(fits, key=len, default=None)
