"""What stands in tests/data: whole parks, and texts that tests add to them or read."""

from pathlib import Path

DATA = Path(__file__).parents[1] / "data"


def data_text(path):
    return (DATA / path).read_text(encoding="utf-8")


def data_park(name):
    """Return the two files of a park."""
    return {file: data_text(f"{name}/{file}") for file in ("park.toml", "tags.csv")}


def written(folder, files):
    """Write the files of a park into a new folder and return it."""
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder
