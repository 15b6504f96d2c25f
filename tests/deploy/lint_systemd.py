"""The units by systemd's own check, and how much of the machine they leave to a program."""

import re
import shutil
from pathlib import Path

import pytest

from deploy.packages import run

FOLDER = Path(__file__).resolve().parents[2] / "deploy" / "systemd"
# Exposure by `systemd-analyze security`, from 0 to 10; the units stay below.
EXPOSURE = {
    "parktwin-ingest.service": 2.0,
    "parktwin-api.service": 2.0,
    "parktwin-reports.service": 2.0,
    "parktwin-audit.service": 2.0,
    "parktwin.service": 5.0,
}


@pytest.fixture
def root(tmp_path):
    """A file system with the units, their account and an executable in the place they name."""
    shutil.copytree(FOLDER, tmp_path / "etc/systemd/system")
    for name in ("usr/lib/systemd/system", "usr/local/bin", "etc/parktwin"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "usr/local/bin/parktwin").write_text("#!/bin/sh\n")
    (tmp_path / "usr/local/bin/parktwin").chmod(0o755)
    return tmp_path


def analyze(root, verb, *words):
    done = run(["systemd-analyze", verb, f"--root={root}", *words])
    return done.returncode, done.stdout + done.stderr


def lint_units_are_understood(root):
    units = sorted(path.name for path in FOLDER.iterdir() if path.suffix in {".service", ".timer"})
    assert set(EXPOSURE) == {name for name in units if name.endswith(".service")}
    status, words = analyze(root, "verify", "--man=no", "--recursive-errors=no", *units)
    assert (status, words) == (0, "")


@pytest.mark.parametrize("unit", EXPOSURE)
def lint_exposure_is_low(root, unit):
    status, words = analyze(root, "security", "--offline=true", unit)
    assert status == 0, words
    exposure = re.search(r"Overall exposure level for .*: ([\d.]+)", words)
    assert exposure is not None, words
    assert float(exposure[1]) <= EXPOSURE[unit], words
