"""The shape of the project, held by reading the source tree: imports, sizes, words, dead files."""

import ast
import gc
import os
import re
import tomllib
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("twin", "ingest", "api", "simulators", "deploy")
GROUND = (
    "twin.arrays", "twin.errors", "twin.quality", "twin.uom", "twin.reference", "twin.faraday",
    "twin.quality_vocabularies", "twin.stoichiometry", "twin.water",
)  # fmt: skip
SERIES = (*GROUND, "twin.model", "twin.series")
BALANCES = (*SERIES, "twin.accounts", "twin.reconciliation")
ROUTING = ("ingest.wire", "ingest.routing", "ingest.settings", "ingest.counters")
STORING = (*ROUTING, "ingest.store")
READING = ("twin", "deploy.archive", "deploy.database", "deploy.logs", "deploy.watchdog")
ANSWERING = (
    *READING, "api.access.accounts", "api.access.audit", "api.access.guard", "api.access.limits",
    "api.access.oidc", "api.access.rights", "api.access.seal", "api.access.totp", "api.answers",
    "api.disclosure", "api.encode", "api.middleware", "api.order_keys", "api.parameters",
    "api.problems", "api.queries", "api.settings", "api.store", "api.table",
)  # fmt: skip
ASKING = (*ANSWERING, "api.live", "api.context")
SUBJECTS = (
    "api.administration", "api.alarms", "api.balance", "api.book", "api.byproducts",
    "api.chlorine", "api.contacts", "api.emissions", "api.energy",
    "api.health", "api.heat", "api.history", "api.latest", "api.loops", "api.maturity",
    "api.meters", "api.notifications", "api.park", "api.quarantine", "api.registers",
    "api.resources",
    "api.restatements", "api.scenarios", "api.tariffs", "api.unit_errors",
)  # fmt: skip
SUMMING = (
    *ASKING, "api.calculation", "api.commands", "api.windows", "api.sums", "api.joint",
    "api.component_balance", "api.reconciled",
)  # fmt: skip
# What a room may import of ours, besides itself. A room is a package of a package, or a module that
# stands beside those. deploy starts everything and may see it all.
MAY_IMPORT = {
    **dict.fromkeys(GROUND, GROUND),
    "twin.model": GROUND,
    "twin.disclosure": (*GROUND, "twin.model"),
    "twin.maturity": (*GROUND, "twin.model"),
    "twin.series": (*GROUND, "twin.model"),
    "twin.accounts": SERIES,
    "twin.step": (*SERIES, "twin.accounts"),
    "twin.replay": (*SERIES, "twin.accounts", "twin.step"),
    "twin.reconciliation": (*SERIES, "twin.accounts"),
    "twin.alarms": (*SERIES, "twin.accounts", "twin.targets"),
    "twin.targets": (*GROUND, "twin.model"),
    "twin.validation": BALANCES,
    "twin.chlorine": (*BALANCES, "twin.targets"),
    "twin.energy": BALANCES,
    "twin.emissions": (*BALANCES, "twin.book", "twin.targets"),
    "twin.byproducts": (*BALANCES, "twin.targets", "twin.disclosure"),
    "twin.margins": (
        *BALANCES, "twin.alarms", "twin.chlorine", "twin.emissions", "twin.targets",
    ),
    "twin.scenario": (*BALANCES, "twin.chlorine"),
    "twin.baseline": (*SERIES, "twin.accounts"),
    "twin.planning": (*BALANCES, "twin.chlorine", "twin.energy", "twin.scenario"),
    "twin.book": SERIES,
    "twin.evaluation": (*BALANCES, "twin.emissions"),
    "twin.program": ("twin.errors",),
    "twin.loading": (
        *BALANCES, "twin.alarms", "twin.validation", "twin.chlorine", "twin.emissions",
        "twin.baseline", "twin.book", "twin.byproducts", "twin.disclosure", "twin.energy",
        "twin.evaluation", "twin.maturity", "twin.planning", "twin.targets",
    ),
    "twin.revision": (*GROUND, "twin.model", "twin.loading"),
    "twin.adoption": (*GROUND, "twin.model", "twin.loading"),
    "twin.__main__": ("twin",),
    "deploy.database": GROUND,
    "deploy.archive": (*GROUND, "deploy.database"),
    "deploy.watchdog": (),
    "deploy.logs": (*GROUND, "deploy.database"),
    "deploy.private_files": (),
    # Topics and hashes as text: api exports what deploy gives to the broker and ingest says.
    "deploy.access_lists": (*GROUND, "twin.model"),
    "deploy.demonstration": (),
    "ingest.settings": READING,
    "ingest.counters": READING,
    "ingest.store": (*READING, *ROUTING),
    "ingest.wire": ("twin",),
    "ingest.routing": (*READING, *ROUTING),
    "ingest.spool": (*READING, *STORING),
    "ingest.transport": (*READING, *ROUTING, "ingest.spool"),
    "ingest.cycle": (*READING, *STORING),
    "ingest.archiving": (*READING, *STORING),
    "ingest.forwarding": (*READING, *STORING, "ingest.beside"),
    "ingest.notification": (*READING, *STORING, "ingest.beside"),
    "ingest.beside": (),
    "ingest.gateway_access": (
        *READING, *STORING, "deploy.access_lists", "deploy.private_files",
    ),
    "ingest.model_folder": READING,
    "ingest.contacts": (*READING, *STORING),
    "ingest.bookkeeping": (*READING, *STORING),
    "ingest.baselines": (*READING, *STORING),
    "ingest.filing": (*READING, *STORING),
    "ingest.commands": (
        *READING, *STORING, "ingest.baselines", "ingest.bookkeeping", "ingest.filing",
        "ingest.model_folder",
    ),
    "ingest.cli.book": (*READING, *STORING, "ingest.cli", "ingest.file_import"),
    "ingest.cli": (
        *READING, *STORING, "ingest.archiving", "ingest.cycle", "ingest.commands",
    ),
    "ingest.file_import": (*READING, *STORING, "ingest.cycle", "ingest.cli"),
    "ingest.__main__": (*READING, "ingest"),
    **dict.fromkeys(ANSWERING[len(READING):], ANSWERING),
    # It reads who asks, and the names and scopes of tags.
    "api.access": (*ASKING, "twin.program"),
    "api.access.rights": READING,
    "api.access.audit": READING,
    "api.access.seal": READING,
    "api.access.totp": (),
    "api.access.oidc": (
        *READING, "api.access.accounts", "api.access.rights", "api.access.seal", "api.settings",
    ),
    "api.access.accounts": (
        *READING, "api.access.audit", "api.access.rights", "api.access.seal", "api.access.totp",
    ),
    "api.access.guard": ANSWERING,
    "api.access.gateways": (*READING, "api", "deploy.access_lists", "deploy.private_files"),
    "api.connections": ("api.middleware", "api.settings"),
    "api.disclosure": (*ANSWERING, "api.context"),
    "api.live": ANSWERING,
    "api.context": (*ANSWERING, "api.live"),
    "api.calculation": ASKING,
    "api.calculation.__main__": (*READING, "api"),
    "api.commands": ASKING,
    "api.windows": ASKING,
    "api.sums": (*ASKING, "api.windows"),
    "api.joint": (*ASKING, "api.windows", "api.sums"),
    "api.component_balance": (*ASKING, "api.windows", "api.sums", "api.joint"),
    "api.reconciled": (
        *ASKING, "api.windows", "api.sums", "api.joint", "api.component_balance",
    ),
    **dict.fromkeys(SUBJECTS, SUMMING),
    "api.simulation": (*SUMMING, "deploy.demonstration"),
    # A payload on trial goes the way of all others: codecs and routing, which have no I/O.
    "api.gateways": (*SUMMING, "ingest.wire", "ingest.routing", "ingest.settings"),
    "api.explanation": SUMMING,
    "api.retrofits": (*SUMMING, "api.energy"),
    "api.load_plan": (*SUMMING, "api.consumption", "api.scenarios"),
    "api.industry": (*SUMMING, "api.energy"),
    "api.targets": (
        *SUMMING, "api.chlorine", "api.emissions", "api.loops", "api.totals",
    ),
    "api.totals": (*SUMMING, "api.emissions"),
    "api.baselines": (*SUMMING, "api.consumption", "api.energy"),
    "api.baselines.__main__": (*READING, "api"),
    "api.evaluation": (*SUMMING, "api.emissions"),
    "api.consumption": (*SUMMING, "api.meters", "api.emissions"),
    "api.reports": (*SUMMING, "api.explanation", "api.industry", "api.restatements"),
    "api.reports.__main__": (*READING, "api"),
    "api.monitoring": (
        *SUMMING, "api.book", "api.consumption", "api.energy", "api.reports",
    ),
    "api.monitoring.__main__": (*READING, "api"),
    "api.health": (*SUMMING, "api.registers", "api.unit_errors"),
    "api.metrics": (*SUMMING, "api.health"),
    "api": (*READING, "api", "deploy.demonstration"),
    "simulators.process": ("twin",),
    "simulators.scenarios": ("twin", "simulators.process"),
    "simulators.instruments": ("twin", "simulators.process", "simulators.scenarios"),
    "simulators.gateways": (
        *READING, "ingest.wire", "simulators.process", "simulators.scenarios",
        "simulators.instruments",
    ),
    "simulators.demonstration": (
        "twin", "deploy.demonstration", "simulators.scenarios", "simulators.instruments",
    ),
    "simulators.load": ("twin", "ingest.wire", "simulators.process"),
    "simulators": (*READING, "deploy.demonstration", "simulators"),
    "deploy": PACKAGES,
}  # fmt: skip
LIBRARIES = {
    "argon2": {"api.access.accounts"},
    "authlib": {"api.access.oidc"},
    "cryptography": {"api.access.seal", "api.metrics"},
    "joserfc": {"api.access.oidc"},
    "prometheus_client": {"api.metrics", "api.middleware"},
    "pyotp": {"api.access.totp"},
    "segno": {"api.access.totp"},
    "structlog": {"deploy.logs"},
    "asyncpg": {
        "deploy.database.errors",
        "ingest.store.store",
        "api.store",
        "api.access.accounts",
    },
    "holidays": {"twin.energy.calendar"},
    "aiomqtt": {
        "ingest.transport.discovery",
        "ingest.transport.subscriber",
        "simulators.gateways.publisher",
    },
    "aiosmtplib": {"ingest.notification.delivery"},
    "paho": {
        "ingest.transport.discovery",
        "ingest.transport.subscriber",
        "simulators.gateways.publisher",
    },
    "pint": {"twin.uom"},
    "pyarrow": {
        "api.history",
        "deploy.archive.layout",
        "ingest.file_import.cells",
        "ingest.file_import.chunks",
        "ingest.file_import.files",
        "ingest.file_import.form_guesses",
        "ingest.file_import.nem12",
        "ingest.file_import.suggestion",
        "ingest.file_import.table_guesses",
        "ingest.file_import.text_files",
        "ingest.file_import.time_forms",
    },
    "python_calamine": {"ingest.file_import.sheets"},
    "docx": {"api.reports.docx"},
    "typst": {"api.reports.pdf"},
    "xlsxwriter": {"api.monitoring.files", "api.reports.xlsx"},
    "seuif97": {"twin.water"},
    "scipy": {
        "twin.accounts.demand",
        "twin.baseline.regression",
        "twin.byproducts.allocation",
        "twin.byproducts.blending",
        "twin.planning.solver",
        "twin.reconciliation.balances",
        "twin.reconciliation.bounds",
        "twin.reconciliation.chi_square",
        "twin.reconciliation.fronts",
        "twin.reconciliation.least_squares",
        "twin.reconciliation.linear",
        "twin.reconciliation.observability",
        "twin.reconciliation.sparse",
        "twin.series.gaps",
        "twin.targets.trend",
    },
}
# Who else may ask for the time of day, and why. Programs' entries (`__main__`) may.
CLOCKS = {
    "deploy.cli": "the simulated past ends at the start",
    "deploy.watchdog": "the age of a file is its time against now",
    "ingest.cli.archive": "what is due now is archived",
    "ingest.cli.gateway": "a payload on trial arrives now",
    "ingest.cycle.cycle": "the lag lies between the arrival of a message and its commit",
    "ingest.forwarding.forwarder": "what is due follows the clock, and a QN is a time",
    "ingest.notification.notifier": "who is told is told of now, and what is old is not told",
    "ingest.transport.discovery": "a message is received when it arrives",
    "ingest.transport.hj212_listener": "the received time of a packet is the moment it arrives",
    "ingest.transport.subscriber": "a message is received when it arrives; STATE says since when",
}
CLOCK_CALLS = {"time", "time_ns", "now", "utcnow", "today"}
FUNCTION_LINES = 70
# Names that say nothing of what they stand for: say result, context, path, location, query, sent,
# reported, displayed, remaining.
BANNED = {
    "found", "here", "place", "places", "asked", "said", "told", "shown", "deed", "left", "rest",
}  # fmt: skip
# What no program leads to yet, and why it stays. Nothing else of the packages may have tests as its
# only users.
KEPT: dict[str, str] = {}
MADE = {
    ".git", ".venv", ".hypothesis", ".mypy_cache", ".pytest_cache", ".ruff_cache", "__pycache__",
    "node_modules", "dist", "build", "parktwin-data",
}  # fmt: skip
TEXTS = {
    ".py", ".pyi", ".toml", ".md", ".txt", ".csv", ".sql", ".yaml", ".yml", ".json", ".conf", ".ts",
    ".vue", ".css", ".html", ".sh", ".cfg", ".ini", ".js", "",
}  # fmt: skip


@cache
def committed():
    """Return every file of the project but what the tools make."""
    paths = []
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if not made(name)]
        paths += [Path(folder) / name for name in names if not made(name)]
    return sorted(paths)


def made(name):
    """Return whether tools make a file or folder of this name."""
    return name in MADE or name == ".env" or name.endswith((".egg-info", ".tsbuildinfo"))


@cache
def texts():
    """Return the committed texts by their path in the project."""
    return {
        path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
        for path in committed()
        if path.suffix in TEXTS
    }


def name_of(path):
    """Return the module's name of a Python file."""
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


@cache
def trees():
    """Return the syntax tree of every Python file by its path, parsed once for all tests."""
    parsed = {path: ast.parse(text, path) for path, text in python_files().items()}
    # The garbage collector would look at a million nodes again and again.
    gc.freeze()
    return parsed


@cache
def nodes(path):
    """Return all nodes of the syntax tree of a Python file."""
    return list(ast.walk(trees()[path]))


@cache
def modules():
    """Return the syntax tree of every module of the packages by its name."""
    return {name_of(path): tree for path, tree in trees().items() if path.split("/")[0] in PACKAGES}


@cache
def imports(name, *, runtime=False):
    """Return the modules a module imports; at run time, those for type checkers are not."""
    result = set()
    skipped = set()
    for node in ast.walk(modules()[name]):
        if runtime and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            skipped.update(id(inner) for inner in ast.walk(node))
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            result |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: imports are absolute"
            full = {f"{node.module}.{alias.name}" for alias in node.names}
            result |= {f if f in modules() else node.module for f in full}
    return result


def within(name, packages):
    return any(name == package or name.startswith(package + ".") for package in packages)


def room_of(name):
    """Return the room of a module: the longest name in the table that it lies within."""
    return max((room for room in MAY_IMPORT if within(name, [room])), key=len, default="")


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_room_imports_only_what_it_may(room):
    members = [name for name in modules() if room_of(name) == room]
    wrong = [
        f"{name} imports {other}"
        for name in members
        for other in imports(name)
        if other.split(".")[0] in (*PACKAGES, "tests")
        and not within(other, (room, *MAY_IMPORT[room]))
    ]
    assert wrong == []


def test_every_module_has_a_room():
    assert [n for n in modules() if not room_of(n) and n not in {"twin", "ingest"}] == []


@pytest.mark.parametrize("library", LIBRARIES)
def test_library_is_imported_in_few_modules(library):
    through = {n for n in modules() if library in {i.split(".")[0] for i in imports(n)}}
    assert through <= LIBRARIES[library]


def test_imports_make_no_circle():
    """Walk the imports at run time depth first: a module met again on the way is a circle."""
    done = set()

    def walk(name, way):
        if name in way:
            return [" -> ".join([*way[way.index(name) :], name])]
        if name in done:
            return []
        result = [c for other in sorted(imports(name, runtime=True) & set(modules()))
                 for c in walk(other, [*way, name])]  # fmt: skip
        done.add(name)
        return result

    assert [circle for name in sorted(modules()) for circle in walk(name, [])] == []


def test_imports_stand_at_the_top():
    inner = [
        f"{name}:{node.lineno}"
        for name, tree in modules().items()
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    assert inner == []


def test_time_of_day_is_asked_for_at_the_entries_only():
    asking = {}
    for name, tree in modules().items():
        for node in ast.walk(tree):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            owner = ast.unparse(node.func.value)
            if node.func.attr in CLOCK_CALLS and owner.split(".")[-1] in (
                "time",
                "datetime",
                "date",
            ):
                asking.setdefault(name, []).append(f"{ast.unparse(node)}, line {node.lineno}")
    entries = {name for name in asking if name.endswith(".__main__")}
    others = {name: calls for name, calls in asking.items() if name not in entries}
    assert {name: calls for name, calls in others.items() if name not in CLOCKS} == {}
    assert set(CLOCKS) <= set(others), "the list is longer than it need be"


def test_clock_is_not_taken_out_of_its_module():
    taken = [
        f"{name}: from {node.module} import {alias.name}"
        for name, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "time"
        for alias in node.names
        if alias.name in CLOCK_CALLS
    ]
    assert taken == []


def python_files():
    return {path: text for path, text in texts().items() if path.endswith(".py")}


def lines_of(function):
    """Return the lines of a function without its docstring."""
    count = function.end_lineno - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function) is not None:
        count -= first.end_lineno - first.lineno + 1
    return count


def test_functions_are_short():
    long = {
        f"{path}: {node.name}": count
        for path in trees()
        for node in nodes(path)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (count := lines_of(node)) > FUNCTION_LINES
    }
    assert long == {}


def test_names_of_tests_are_sentences():
    short = [
        f"{path}: {node.name}"
        for path in trees()
        if path.startswith("tests/")
        for node in nodes(path)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and node.name.count("_") < 3
    ]
    assert short == []


def test_every_test_asserts_something():
    """An assertion, an expected exception or failure, in the test or a helper it calls."""
    idle = []
    for path in trees():
        if not path.startswith("tests/"):
            continue
        functions = {n.name: n for n in nodes(path)
                     if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)}  # fmt: skip
        asserting = {
            name for name, node in functions.items()
            if any(isinstance(n, ast.Assert) for n in ast.walk(node))
            or re.search(r"pytest\.(raises|fail)|np\.testing|expect\(", ast.unparse(node))
        }  # fmt: skip
        for name, node in functions.items():
            calls = {n.func.id for n in ast.walk(node)
                     if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}  # fmt: skip
            if name.startswith("test_") and name not in asserting and not calls & asserting:
                idle.append(f"{path}: {name}")
    assert idle == []


def test_every_module_is_used_or_is_a_program():
    scripts = tomllib.loads(texts()["pyproject.toml"])["project"]["scripts"]
    programs = {target.partition(":")[0] for target in scripts.values()}
    used = set(programs)
    for path in trees():
        for node in nodes(path):
            if isinstance(node, ast.Import):
                used |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                used |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    # `python -m deploy.packages` in the Makefile is a use as well.
    used |= set(re.findall(r"-m ([\w.]+)", texts()["Makefile"]))
    helpers = {name_of(path) for path in python_files() if path.startswith("tests/support/")}
    dead = [name for name in modules()
            if not name.endswith("__main__") and name not in used
            and not any(other.startswith(name + ".") for other in modules())]  # fmt: skip
    dead += [name for name in helpers
             if name not in used]  # fmt: skip
    assert dead == []


MARKS = ("TO" + "DO", "FIX" + "ME", "XX" + "X")
PLACES = ("/wo" + "rk/", "/ro" + "ot/")
REGISTRIES = (
    "deb." + "debian.org",
    "pypi." + "org",
    "registry." + "npmjs.org",
    "files." + "pythonhosted.org",
)


def lines_with(pattern, skip=()):
    """Return the lines of the committed texts in which a pattern is found."""
    return [
        f"{path}:{number}: {line.strip():.100}"
        for path, text in texts().items()
        if not path.endswith(tuple(skip))
        for number, line in enumerate(text.splitlines(), start=1)
        if re.search(pattern, line)
    ]


def test_nothing_is_left_to_do():
    marks = "|".join(MARKS)
    assert lines_with(rf"\b({marks})\b", skip=["package-lock.json"]) == []


def test_no_path_of_a_machine_is_committed():
    pattern = "|".join(rf"(?<![\w./-]){re.escape(path)}" for path in PLACES)
    assert lines_with(pattern) == []


def test_no_host_of_a_package_registry_is_committed():
    assert lines_with("|".join(re.escape(host) for host in REGISTRIES)) == []


def test_lock_files_carry_no_download_addresses():
    locks = [path for path in texts() if path.endswith(("package-lock.json", "constraints.txt"))]
    assert len(locks) >= 2
    assert [path for path in locks if '"resolved"' in texts()[path] or "://" in texts()[path]] == []


def test_every_dependency_is_pinned():
    loose = [
        line
        for line in texts()["constraints.txt"].splitlines()
        if line.strip() and not line.startswith("#") and not re.match(r"[\w.\[\]-]+==[\w.]+", line)
    ]
    assert loose == []
    project = tomllib.loads(texts()["pyproject.toml"])["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    names = {re.match(r"[\w.-]+", line)[0].lower() for line in wanted}
    pinned = {
        match[0].lower().replace("_", "-")
        for match in re.finditer(r"(?m)^\w[\w.-]*", texts()["constraints.txt"])
    }
    assert names - pinned == set()


def references(node, aliases, siblings):
    """Return the (module, name) pairs a piece of code refers to."""
    pairs = set()
    for inner in ast.walk(node):
        if isinstance(inner, ast.Name):
            pairs.add(aliases.get(inner.id, siblings.get(inner.id)))
        elif isinstance(inner, ast.Attribute):
            module, name = aliases.get(ast.unparse(inner.value), ("", ""))
            pairs.add((f"{module}.{name}".strip("."), inner.attr))
    return pairs - {None}


def aliases_of(tree):
    """Return the (module, name) pair that each imported name of a module stands for."""
    aliases = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            aliases |= {a.asname or a.name: (a.name, "") for a in node.names}
        elif isinstance(node, ast.ImportFrom):
            aliases |= {a.asname or a.name: (node.module, a.name) for a in node.names}
    return aliases


@cache
def reached(kept):
    """Return the (module, name) pairs of all definitions, and of those running code leads to.

    Roots are what a module does when it is imported, decorated functions, the programs, and `kept`.
    """
    definitions, edges = set(), {}
    roots = {tuple(name.rsplit(".", 1)) for name in kept}
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    for module, tree in modules().items():
        siblings = {n.name: (module, n.name) for n in tree.body if isinstance(n, kinds)}
        aliases = aliases_of(tree)
        edges |= {(module, name): {pair} for name, pair in aliases.items()}
        for node in tree.body:
            if not isinstance(node, kinds):
                if not isinstance(node, ast.Import | ast.ImportFrom):
                    roots |= references(node, aliases, siblings)
                continue
            definitions.add((module, node.name))
            edges[module, node.name] = references(node, aliases, siblings)
            called = [d for d in node.decorator_list if isinstance(d, ast.Call)]
            if called and not isinstance(node, ast.ClassDef):
                roots.add((module, node.name))
    scripts = tomllib.loads(texts()["pyproject.toml"])["project"]["scripts"]
    roots |= {tuple(target.split(":")) for target in scripts.values()}
    met = set()
    while roots:
        met |= roots
        roots = {pair for root in roots for pair in edges.get(root, ())} - met
    return definitions, met


def test_every_public_definition_has_a_user_besides_the_tests():
    def unused(kept):
        definitions, met = reached(kept)
        return {".".join(pair) for pair in definitions - met if not pair[1].startswith("_")}

    assert sorted(unused(tuple(KEPT))) == []
    assert sorted(set(KEPT) - unused(())) == [], "KEPT is longer than it need be"


def bound_names(path):
    """Yield (line, name) of everything a file binds: variables, parameters, imports as names."""
    for node in nodes(path):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg


def test_names_of_variables_say_what_they_stand_for():
    poor = {}
    for path in trees():
        wrong = [f"{n}: {name}" for n, name in bound_names(path) if name in BANNED]
        if wrong:
            poor[path] = wrong
    assert poor == {}


def test_a_class_name_has_one_meaning():
    homes = {}
    for module, tree in modules().items():
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes.setdefault(node.name, []).append(module)
    shared = {name: where for name, where in homes.items() if len(where) > 1}
    assert shared == {}
