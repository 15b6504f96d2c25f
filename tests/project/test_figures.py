"""Every figure of an answer says how it is calculated: an explanation shows it."""

import pytest

from api.app import create_app
from api.settings import ApiSettings

HOW = (
    "write `name: Annotated[Number, formula('sum of … / …')]` with `formula` of api/answers.py, or"
    " `name: Given[Number]` for what is stated by the model, a table or a person, or recorded as"
    " it came; completeness is `Completeness`, half a width `HalfWidth`, quality `Uint8`. Integers"
    " are ids, counts, years and codes, and need neither."
)
# An order to ingest, a health check and a problem have no figures.
NO_ANSWERS = {"Accepted", "Alive", "Ready", "Problem"}


@pytest.fixture(scope="module")
def document():
    return create_app(ApiSettings(), lambda: 0, inline=True).openapi()


def answers(document):
    """Return the names of the schemas that answers of the API lead to."""
    schemas, names = document["components"]["schemas"], set()
    waiting = [
        content["schema"]
        for path in document["paths"].values()
        for operation in path.values()
        for status, answer in operation["responses"].items()
        if status == "200"
        for media, content in answer.get("content", {}).items()
        if media == "application/json"
    ]
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):
            waiting += node
        elif isinstance(node, dict):
            name = str(node.get("$ref", "")).rpartition("/")[2]
            if name and name not in names:
                names.add(name)
                waiting.append(schemas[name])
            waiting += [each for each in node.values() if isinstance(each, dict | list)]
    return sorted(names - NO_ANSWERS)


def is_number(schema):
    """Return whether a value of a schema, or of its parts, is a number that is no integer."""
    if schema.get("type") == "number":
        return True
    parts = [*schema.get("anyOf", []), schema.get("items", {}), schema.get("additionalProperties")]
    return any(is_number(part) for part in parts if part and isinstance(part, dict))


def says(schema):
    """Return whether a schema, or a part of it, has a formula or is marked as given."""
    if {"x-formula", "x-given"} & schema.keys():
        return True
    parts = [*schema.get("anyOf", []), schema.get("items", {}), schema.get("additionalProperties")]
    return any(says(part) for part in parts if part and isinstance(part, dict))


def test_every_number_of_an_answer_has_a_formula_or_is_given(document):
    silent = [
        f"{name}.{field}"
        for name in answers(document)
        for field, schema in document["components"]["schemas"][name].get("properties", {}).items()
        if is_number(schema) and not says(schema)
    ]
    assert silent == [], f"{', '.join(silent)}: {HOW}"
