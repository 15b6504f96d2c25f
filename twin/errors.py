"""Errors an operator can mend.

::

    ParkError(message, hint)
    ├─ ModelError      the park model is wrong; .problems lists all of them; only at load
    │  └─ UomError     unknown unit of measure, wrong dimension, or not affine
    ├─ SettingsError   the environment or the command line is wrong
    ├─ OccupiedError   another program has what this one needs for itself
    └─ StoreError      the database refused; .retryable says whether the cycle may try again
       ├─ ArchiveError  a file of the archive cannot be read or written
       ├─ ContentError  what was given may be too much for a database that is well otherwise
       └─ SchemaError   the schema in the database is not the one we were built for

Bad data is not here: it is `twin.quality`. A programmer's error is an `assert`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class ParkError(Exception):
    """An error that a person can mend.

    `hint` says how, `problems` has one line for each of several faults, and `retryable` says
    whether the same work may succeed at another try.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        problems: Sequence[str] = (),
        retryable: bool = False,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.problems = tuple(problems)
        self.retryable = retryable


class ModelError(ParkError):
    """The park model is wrong; `problems` names file and line of each fault."""


class UomError(ModelError):
    """A unit of measure is unknown, of the wrong dimension, or not affine."""


class SettingsError(ParkError):
    """The environment or the command line is wrong."""


class OccupiedError(ParkError):
    """Another program has what this one needs for itself."""


class StoreError(ParkError):
    """The database refused."""


class ArchiveError(StoreError):
    """A file of the archive cannot be read or written."""


class ContentError(StoreError):
    """What the database was given may be too much for it, though it is well otherwise."""


class SchemaError(StoreError):
    """The schema in the database is not the one this program was built for."""
