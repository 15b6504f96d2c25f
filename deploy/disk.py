"""Room on the disk of the data folder, some of it held back so that everything can end well."""

from __future__ import annotations

import contextlib
import os
import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

BALLAST_BYTES = 256 << 20
# Below the first somebody should look, below the second nothing new may be acknowledged.
LOW_BYTES = 2 << 30
FULL_BYTES = 128 << 20


class Disk:
    """The disk of the data folder and a ballast file on it, made of real blocks.

    On a full disk neither broker nor database can end well. So it never gets full: before, what
    fills it stops, and the ballast makes the room they need.
    """

    def __init__(self, folder: Path) -> None:
        self.ballast = folder / "ballast"
        self.full = False
        self.low = False

    @property
    def free(self) -> int:
        """Bytes that may still be written."""
        return shutil.disk_usage(self.ballast.parent).free

    def look(self) -> str:
        """Look at the room; return what to say when it has changed."""
        free, low, full = self.free, self.low, self.full
        # What was found full is not, once the ballast has room again.
        self.full = free < (FULL_BYTES + 2 * BALLAST_BYTES if full else FULL_BYTES)
        self.low = free < LOW_BYTES
        if self.full and not full:
            self.release()
            return f"the disk of {self.ballast.parent} is full: the broker takes nothing more"
        if full and not self.full:
            return "there is room on the disk again"
        if self.low and not low:
            return f"the disk of {self.ballast.parent} has {free / 1e6:,.0f} MB left"
        return ""

    def hold(self, size: int = BALLAST_BYTES) -> None:
        """Hold back so many bytes, unless the disk would be full then."""
        missing = size - (self.ballast.stat().st_size if self.ballast.exists() else 0)
        if missing > 0 and self.free - missing > FULL_BYTES:
            with contextlib.suppress(OSError), self.ballast.open("ab") as file:
                os.posix_fallocate(file.fileno(), 0, size)

    def release(self) -> None:
        """Give back what was held back."""
        self.ballast.unlink(missing_ok=True)
