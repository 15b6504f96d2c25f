"""Words of reports: whatever a report shows has its Chinese."""

import ast
import tomllib
from pathlib import Path
from typing import Annotated

import pytest
from typing_extensions import TypedDict

from api import reports
from api.answers import formula
from api.app import create_app
from api.reports.contents import questions
from api.reports.document import NOTHING, same
from api.reports.formulas import CHINESE, wording_of
from api.reports.layout import lines_of
from api.reports.period import parse_span
from api.reports.replies import formula_at
from api.reports.wording import plain_text, remark_text, uom_text
from api.settings import ApiSettings
from twin.baseline.model import Baseline

# What stands beside a figure, and is none itself.
MARKS = {"half_width", "completeness"}
FOLDER = Path(reports.__file__).parent
SPAN = parse_span("2025-06", "Asia/Shanghai", [])
FIGURE = {
    "number": 1, "value": 2.0, "half_width": None, "uom": "t", "start": "", "end": "",
    "completeness": 1.0, "quality": 0, "values": None, "missing": [], "reason": "", "address": "",
}  # fmt: skip


class Row(TypedDict):
    mass_t: Annotated[float | None, formula("sum")]
    parts: Annotated[list[float], formula("each")]
    note: str


class Answer(TypedDict):
    items: list[Row] | None


ROW = Baseline(id="power", scope="demo", carrier="electricity")


def fields_of_reports():
    """Return the names of fields that modules of reports take figures of."""
    names = set()
    for file in FOLDER.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("field", "Field"):
                names |= {each.value for each in node.args[:1] if isinstance(each, ast.Constant)}
            if isinstance(node, ast.Dict):
                names |= {key.value for key in node.keys if isinstance(key, ast.Constant)}
    return names - MARKS


@pytest.fixture(scope="module")
def formulas():
    """Return the formulas of the fields of that name in the answers that reports are made of."""
    document = create_app(ApiSettings(), lambda: 0).openapi()
    schemas, names = document["components"]["schemas"], fields_of_reports()
    addresses = [
        address
        for kind, path in (("park", "demo"), ("enterprise", "demo"), ("industry", "demo/caustic"),
                           ("shift", "demo"))
        for address in questions(kind, path, SPAN, [], [ROW]).values()
    ]  # fmt: skip
    paths = {
        address.partition("?")[0].replace("/demo/", "/{path}/").replace("/power", "/{baseline}")
        for address in addresses
    }
    known, result = set(), set()
    waiting = [document["paths"][path]["get"]["responses"]["200"] for path in paths]
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):
            waiting += node
        elif isinstance(node, dict):
            reference = node.get("$ref", "").rpartition("/")[2]
            if reference and reference not in known:
                known.add(reference)
                waiting.append(schemas[reference])
            for name in names & node.get("properties", {}).keys():
                result |= set(formulas_in(node["properties"][name]))
            waiting += node.values()
    return result


def formulas_in(schema):
    """Yield the formulas of a field: of itself, of an alternative, or of its items."""
    for each in (schema, *schema.get("anyOf", ()), schema.get("items", {})):
        if "x-formula" in each:
            yield each["x-formula"]


def test_each_formula_that_a_report_may_show_has_its_chinese(formulas):
    assert len(formulas) > 80
    assert not [each for each in sorted(formulas) if wording_of(each)["zh"] == each]


def test_no_formula_stands_in_the_table_that_no_report_shows(formulas):
    table = tomllib.loads(CHINESE.read_text(encoding="utf-8"))
    assert not table.keys() - formulas


def test_units_of_books_are_english_in_an_english_report():
    assert [uom_text("万元/亩", language) for language in ("zh", "en")] == ["万元/亩", "10⁴ CNY/mu"]


def test_tags_that_lack_stand_once_in_a_run_of_lines():
    lacking = {"missing": ["a/FI-1"], "completeness": 0.5}
    first, other, whole = (
        {"label": same("x"), "remark": NOTHING, "sums": 0, "figure": {**FIGURE, **more}}
        for more in (lacking, {"missing": ["a/FI-2"], "completeness": 0.5}, {})
    )
    lines = lines_of([first, first, other, whole], "zh")
    assert [line.cells[-1] for line in lines] == ["缺：a/FI-1", "", "缺：a/FI-2", ""]


def test_more_tags_than_a_page_has_room_for_are_told_of_in_each_language():
    figure = {**FIGURE, "completeness": 0.5, "missing": ["a/FI-1", "a/FI-2", "a/FI-3"]}
    remarks = [remark_text(figure, NOTHING, language) for language in ("zh", "en")]
    assert remarks == ["缺：a/FI-1、a/FI-2 等", "gaps: a/FI-1, a/FI-2 …"]


def test_a_limit_is_written_with_all_its_digits():
    assert [plain_text(value) for value in (12800, 0.0034, 1234567.5, -2)] == [
        "12,800", "0.0034", "1,234,567.5", "−2",
    ]  # fmt: skip


def test_a_formula_is_found_through_lists_alternatives_and_notes():
    assert formula_at(Answer, "/items/0/mass_t") == "sum"
    assert formula_at(Answer, "/items/0/parts/1") == "each"
    assert formula_at(Answer, "/items/0/note") is None
    assert formula_at(Answer, "/nothing/0/mass_t") is None
