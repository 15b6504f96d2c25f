"""Texts of tests/parks: whole parks, and what tests add to them."""

from pathlib import Path

PARKS = Path(__file__).parents[1] / "parks"


def park_text(path):
    return (PARKS / path).read_text(encoding="utf-8")


def park_files(name):
    """Return the two files of a park."""
    return {file: park_text(f"{name}/{file}") for file in ("park.toml", "tags.csv")}
