"""The table the benchmarks print, and the park they run on."""

import shutil

import pytest

from tests.support.data import DATA

ROWS = []


@pytest.fixture
def report():
    """Add one line to the table: what, measured, what it is compared with, the figure to reach."""

    def add(what, measured, compared="", goal=""):
        ROWS.append((what, measured, compared, goal))

    return add


def pytest_terminal_summary(terminalreporter):
    """Print the table."""
    if ROWS:
        widths = [max(len(row[i]) for row in ROWS) for i in range(4)]
        terminalreporter.section("benchmarks")
        for row in ROWS:
            line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            terminalreporter.write_line(line.rstrip())


@pytest.fixture
def bench_park(tmp_path):
    """A park of 10,000 flow tags of one enterprise."""
    folder = shutil.copytree(DATA / "tiny", tmp_path / "park")
    rows = [f"FT-{i:05d},tiny/acme,mass_flow,t/h,gauge,0,1000,1 %,a flow\n" for i in range(10_000)]
    with (folder / "tags.csv").open("a", encoding="utf-8") as file:
        file.writelines(rows)
    return folder
