"""Adopting a tag: one more row of ``tags.csv``, if the model is valid with it."""

from __future__ import annotations

import csv
import io
import os
from typing import TYPE_CHECKING

from twin.errors import ModelError, ParkError
from twin.loading import TAG_COLUMNS, load_park, parse_park

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def adopt(folder: Path, enterprise: str, cells: Mapping[str, str]) -> None:
    """Append a tag of an enterprise to the park model in a folder.

    One that is there already stays as it is. Raises ParkError when the model would be wrong with
    it, or the folder cannot be written.
    """
    park = load_park(folder)
    address = f"{enterprise}/{cells['tag']}"
    if address in {tag.address for tag in park.tags}:
        return
    files = park.files
    text = files["tags.csv"]
    line = io.StringIO(newline="")
    csv.writer(line, lineterminator="\n").writerow([cells.get(name, "") for name in TAG_COLUMNS])
    text += ("" if text.endswith("\n") else "\n") + line.getvalue()
    try:
        park = parse_park(files | {"tags.csv": text})
    except ModelError as error:
        problems = "; ".join(error.problems)
        raise ParkError(f"the model would be wrong with it: {problems}") from error
    if address not in {tag.address for tag in park.tags}:
        raise ParkError(f"scope {cells['scope']} is not one of enterprise {enterprise}")
    try:
        _replace(folder / "tags.csv", text)
    except OSError as error:
        raise ParkError(
            f"tags.csv cannot be written ({error}); add this line to it yourself:"
            f" {line.getvalue().strip()}"
        ) from error


def _replace(path: Path, text: str) -> None:
    """Write a file so that it is there whole, whatever happens meanwhile."""
    draft = path.with_name(f".{path.name}.new")
    with draft.open("w", encoding="utf-8", newline="") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.chmod(path.stat().st_mode)
    draft.replace(path)
