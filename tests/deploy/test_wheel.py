"""What is installed of the project holds all that the programs need."""

import ast
import importlib.metadata
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PACKAGES = ("twin", "ingest", "api", "simulators", "deploy")

CONSOLE = """
from pathlib import Path
import api.app, deploy.cli
from api.settings import ApiSettings
assert not Path(api.app.__file__).is_relative_to(r"{root}"), api.app.__file__
app = api.app.create_app(ApiSettings(), lambda: 0)
print([route.name for route in app.routes].count("console"))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder with the unpacked wheel, and how to run Python with it outside of the project."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "-d", str(folder)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")

    def run(*words):
        command = [sys.executable, "-P", *words]
        environment = os.environ | {"PYTHONPATH": str(folder / "site")}
        return subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )

    return folder / "site", run


def required(name, known):
    """Collect the names of a distribution and of all that it requires."""
    name = canonicalize_name(name)
    if name in known:
        return
    known.add(name)
    for line in importlib.metadata.requires(name) or ():
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            required(requirement.name, known)


def test_all_that_the_programs_import_is_installed_with_the_wheel(pytestconfig):
    known = set()
    required("parktwin", known)
    owners = importlib.metadata.packages_distributions()
    imported = {
        name.split(".")[0]
        for file in sources(pytestconfig.rootpath)
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        for name in names_of(node)
    } - {*sys.stdlib_module_names, *PACKAGES}
    assert {"numpy", "structlog", "prometheus_client"} <= imported
    owner = {name: {canonicalize_name(each) for each in owners[name]} for name in imported}
    assert {name for name in imported if not owner[name] & known} == set()


def sources(root):
    """Yield the modules of our packages, and not what the console has of others."""
    for package in PACKAGES:
        for folder, folders, names in os.walk(root / package):
            folders[:] = [name for name in folders if name != "node_modules"]
            yield from (Path(folder, name) for name in names if name.endswith(".py"))


def names_of(node):
    """Return the modules that an import names."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module] if isinstance(node, ast.ImportFrom) else []


def test_a_wheel_has_console_schema_example_park_and_words(installed, pytestconfig):
    site, run = installed
    assert list((site / "api/console/dist/assets").glob("OverviewPage-*.js"))
    assert not (site / "api/console/src").exists()
    schema = pytestconfig.rootpath / "deploy/database/schema"
    assert {path.name for path in (site / "deploy/database/schema").glob("*.sql")} == {
        path.name for path in schema.glob("*.sql")
    }
    done = run("-m", "deploy.cli", "--version")
    assert done.stdout.startswith("parktwin "), done.stderr
    park = site / "deploy" / "parks" / "liaocheng"
    assert "valid" in run("-m", "twin", str(park)).stdout
    done = run("-c", CONSOLE.format(root=pytestconfig.rootpath))
    assert done.stdout.strip() == "1", done.stderr
    assert "examples:" in run("-m", "api.reports", "--help").stdout
