"""What is installed of the project holds all that the programs need."""

import os
import subprocess
import sys
import zipfile

import pytest

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
