"""The rules of the core, held by reading its source: pure, documented, without literal factors."""

import ast
import re

from tests.project.test_tidy import imports, modules, within

# Numerical modules without a formula of others, and why; all others name their sources.
NO_SOURCE = {
    "twin.accounts.accounts": "factors come from Faraday's law and the reference tables",
    "twin.accounts.network": "a sum is defined by its entries",
    "twin.arrays": "no physics",
    "twin.book.comparison": "its limits are rows of a table that name their source",
    "twin.book.entries": "no physics",
    "twin.book.model": "no physics",
    "twin.chlorine.tank_farms": "applies the formulas of `headroom` to a model",
    "twin.evaluation.model": "no physics",
    "twin.program": "no physics",
    "twin.reference": "each row of a table names its source",
    "twin.replay": "the calculation of `twin.step`, cycle by cycle",
    "twin.scenario.dispatch": "the rules are those of a scenario",
    "twin.series.counters": "no physics",
    "twin.series.minutes": "amounts are defined by the traits of a series",
    "twin.series.coverage": "a rule of ours",
    "twin.series.windows": "the calendar",
    "twin.step": "signs times accounts; the slope is a least-squares line",
    "twin.targets.model": "no physics",
    "twin.uom": "conversion is that of pint",
}


def test_core_needs_numpy_scipy_and_one_library_behind_each_door_only():
    others = {
        other.split(".")[0]
        for name in modules()
        if within(name, ["twin"]) and name not in {"twin.uom", "twin.water", "twin.energy.calendar"}
        for other in imports(name)
    }
    known = {"argparse", "collections", "contextlib", "contextvars", "csv", "dataclasses",
             "datetime", "difflib", "functools", "hashlib", "importlib", "ipaddress",
             "itertools", "math", "pathlib", "re", "sys", "tomllib", "typing", "weakref",
             "zoneinfo", "__future__", "numpy", "scipy", "twin"}  # fmt: skip
    assert others <= known


def test_core_has_no_clock_and_does_no_input_or_output():
    used = {
        f"{name} imports {other}"
        for name in modules()
        if within(name, ["twin"])
        for other in imports(name)
        if other.split(".")[0] in {"time", "socket", "asyncio", "random", "subprocess", "os", "io"}
    }
    assert used == set()


def public_functions(body, path):
    """Yield the public functions of a module or class, and those of its public classes."""
    for node in body:
        named = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        if not named or node.name.startswith("_"):
            continue
        yield f"{path}.{node.name}", node
        if isinstance(node, ast.ClassDef):
            yield from public_functions(node.body, f"{path}.{node.name}")


def test_everything_public_in_the_core_says_what_it_is():
    silent = [
        path
        for name, tree in modules().items()
        if within(name, ["twin"])
        for path, node in [(name, tree), *public_functions(tree.body, name)]
        if not ast.get_docstring(node)
    ]
    assert silent == []


def takes_numbers(node):
    """Return whether a function works on numbers: an argument or its result is one or an array."""
    hints = [a.annotation for a in [*node.args.args, *node.args.kwonlyargs]] + [node.returns]
    return any(re.search(r"\b([FIU]\d+|BOOL|INTP|float)\b", ast.unparse(h)) for h in hints if h)


def lacks(name, tree, node):
    """Return what the docstring of a numerical function does not say."""
    text = ast.get_docstring(node) or ""
    sources = text + (ast.get_docstring(tree) or "")
    raises = any(isinstance(n, ast.Raise) for n in ast.walk(node))
    says = {
        "Parameters": not node.args.args or "Parameters\n---" in text,
        "Returns": "Returns\n---" in text,
        "units": "float" not in text or re.search(r"\bfloat(64)? +\[[^\]]+\]|SI", text),
        "what it raises": not raises or "Raises" in text,
        "its source": name in NO_SOURCE or "References\n" in sources,
    }
    return [what for what, stated in says.items() if not stated]


def test_numerical_functions_of_the_core_state_shapes_units_errors_and_source():
    """The contract of a formula: what goes in and comes out, in what unit, by whose authority."""
    poor = {
        f"{name}.{node.name}": missing
        for name, tree in modules().items()
        if within(name, ["twin"])
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
        if takes_numbers(node) and (missing := lacks(name, tree, node))
    }
    assert poor == {}


def test_no_module_is_excused_from_sources_without_need():
    needed = {
        name
        for name, tree in modules().items()
        if "References\n" not in (ast.get_docstring(tree) or "")
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
        if takes_numbers(node) and "References\n" not in (ast.get_docstring(node) or "")
    }
    assert needed >= NO_SOURCE.keys()


def names_of(tree):
    """Return the names that a module assigns outside of functions and classes."""
    return {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in ast.walk(node)
        if isinstance(target, ast.Name) and isinstance(target.ctx, ast.Store)
    }


def test_types_of_arrays_and_units_of_time_are_defined_once():
    shared = names_of(modules()["twin.arrays"])
    assert shared >= {"F64", "MINUTE_US", "NEVER"}
    again = {name: names_of(tree) & shared for name, tree in modules().items()}
    again.pop("twin.arrays")
    assert {name: names for name, names in again.items() if names} == {}


def test_no_factor_is_a_literal_in_the_core():
    """Factors, limits and constants are data with provenance; half, a millionth and 60 are not."""
    literals = [
        f"{name}:{node.lineno}: {node.value}"
        for name, tree in modules().items()
        if within(name, ["twin"])
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, float)
        and len(f"{node.value:.12e}".partition("e")[0].replace(".", "").strip("0-")) > 2
    ]
    assert literals == []
