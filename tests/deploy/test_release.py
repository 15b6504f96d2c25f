"""A release: notes cut from the changelog, digests that sha256sum checks, sources that build."""

import subprocess
import sys
import tarfile

import pytest

from deploy import release
from twin.errors import ParkError
from twin.program import own_version

CHANGELOG = """# Changelog

## [Unreleased]

### Added

- what is to come

## [0.2.0] - 2027-01-01

### Fixed

- a fault ([why](docs/limits.md))

## [0.1.0] - 2026-12-01

- the first
"""


def test_notes_are_the_section_of_the_version():
    assert release.notes_of(CHANGELOG, "0.2.0") == (
        "# parktwin 0.2.0\n\n### Fixed\n\n- a fault ([why](docs/limits.md))\n"
    )
    assert release.notes_of(CHANGELOG, "0.1.0").endswith("- the first\n")
    assert release.notes_of(CHANGELOG, "0.3.0") == (
        "# parktwin 0.3.0, not released yet\n\n### Added\n\n- what is to come\n"
    )
    with pytest.raises(ParkError, match=r"says nothing of 0\.3\.0"):
        release.notes_of("# Changelog\n\n## [0.2.0]\n\n- old\n", "0.3.0")


def test_a_release_of_this_tree_has_notes_and_digests_that_fit(tmp_path, pytestconfig):
    root = pytestconfig.rootpath
    build = [sys.executable, "-m", "hatchling", "build", "--target", "sdist", "-d", str(tmp_path)]
    subprocess.run(build, check=True, capture_output=True, cwd=root)
    (sources,) = tmp_path.glob("*.tar.gz")
    assert release.main([str(tmp_path), "--changelog", str(root / "CHANGELOG.md")]) == 0
    assert (
        (tmp_path / "NOTES.md")
        .read_text(encoding="utf-8")
        .startswith(f"# parktwin {own_version()}")
    )
    check = ["sha256sum", "--check", "--strict", "SHA256SUMS"]
    done = subprocess.run(check, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert sorted(done.stdout.splitlines()) == ["NOTES.md: OK", f"{sources.name}: OK"]
    with tarfile.open(sources) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    # A wheel can be built of it, without Node.js.
    assert {"pyproject.toml", "api/console/dist/index.html", "deploy/helm/parktwin/Chart.yaml",
            "deploy/systemd/parktwin-api.service", "tests/conftest.py"} <= names  # fmt: skip
    assert not [name for name in names if "node_modules" in name or name.startswith(".venv")]
