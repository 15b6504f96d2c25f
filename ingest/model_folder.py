"""The folder of the park model: looked at for changes, and changed whole.

What stands there is the truth. A model that is wrong is never taken: the one that runs goes on.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from typing import TYPE_CHECKING

from twin.adoption import extended
from twin.errors import ModelError, ParkError
from twin.loading import FILES, STRAPPING, load_park

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from twin.model.park import Park


class ModelFolder:
    """A folder that is looked at each `watch_s` [s]; never when that is 0."""

    def __init__(self, folder: Path, watch_s: float) -> None:
        self._folder = folder
        self._watch_s = watch_s
        self._due_s = 0.0
        self._read = self._seen = _stamp(folder)

    async def look(self, now_s: float) -> bool:
        """Return whether the files have changed and stood still since the last look [s]."""
        if not self._watch_s or now_s < self._due_s:
            return False
        self._due_s = now_s + self._watch_s
        before, self._seen = self._seen, await asyncio.to_thread(_stamp, self._folder)
        return self._seen == before != self._read

    async def read(self) -> Park:
        """Return the model that stands there; raises ModelError with all its problems."""
        self._read = self._seen = _stamp(self._folder)
        return await read_model(self._folder)


async def read_model(folder: Path) -> Park:
    """Return the model of a folder; raises ModelError with all its problems."""
    try:
        # Others go on while a large model is checked.
        return await asyncio.to_thread(load_park, folder)
    except OSError as error:
        problem = f"{error.filename}: {error.strerror}"
        raise ModelError("the park model cannot be read", problems=[problem]) from error


def append(folder: Path, park: Park, rows: Mapping[str, str]) -> Park:
    """Write lines to the ends of the files of a park model; return the model of then.

    The files before stay as ``park.toml.1`` and ``tags.csv.1``. Raises ParkError when the model
    would be wrong, or the folder cannot be written: the sentence has the lines then.
    """
    extension = extended(park, rows)
    names = [name for name in FILES if extension.files[name] != park.files[name]]
    try:
        drafts = [(folder / name, _draft(folder / name, park, rows[name])) for name in names]
        for path, draft in drafts:
            shutil.copy2(path, path.with_name(f"{path.name}.1"))
            draft.replace(path)
    except OSError as error:
        lines = "; ".join(f"{name}: {rows[name].strip()}" for name in names)
        raise ParkError(
            f"{folder} cannot be written ({error}); add these lines yourself: {lines}"
        ) from error
    return extension


def _draft(path: Path, park: Park, lines: str) -> Path:
    """Write a file with lines at its end beside it, whole and on the disk.

    What stands in it stays to the byte, and the lines end as those do. Raises ParkError when it is
    not what the model was read from.
    """
    content = path.read_bytes()
    if content.decode("utf-8-sig").splitlines() != park.files[path.name].splitlines():
        raise ParkError(f"{path.name} has changed meanwhile", hint="try again", retryable=True)
    end = b"\r\n" if b"\r\n" in content else b"\n"
    gap = b"" if content.endswith(b"\n") else end
    draft = path.with_name(f".{path.name}.new")
    with draft.open("wb") as file:
        file.write(content + gap + lines.encode().replace(b"\n", end))
        file.flush()
        os.fsync(file.fileno())
    draft.chmod(path.stat().st_mode)
    return draft


def _stamp(folder: Path) -> tuple[tuple[int, int], ...]:
    """Return when each file of a model was written, and its size; zeros for one that is missing."""
    stamps = []
    for name in (*FILES, STRAPPING):
        try:
            state = (folder / name).stat()
        except OSError:
            stamps.append((0, 0))
        else:
            stamps.append((state.st_mtime_ns, state.st_size))
    return tuple(stamps)
