"""Workbooks (.xlsx, .xlsm, .xlsb, .xls, .ods): the rows of a sheet as texts.

python-calamine reads all five, in native code and without other packages; openpyxl reads the first
two only.
"""

from __future__ import annotations

import io
import zipfile
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from python_calamine import CalamineError, CalamineWorkbook, PasswordError

from twin.errors import ParkError
from twin.model.rows import guess

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ingest.file_import.mapping import Form

# A workbook is unpacked and read as a whole.
WORKBOOK_BYTES = 1 << 30


class Sheet(NamedTuple):
    """The rows of a sheet, and the names of all sheets of its workbook."""

    names: list[str]
    height: int
    rows: Iterator[list[str | None]]


def read_sheet(content: bytes, form: Form) -> Sheet:
    """Return a sheet with its rows as texts, dates in ISO form; raises ParkError.

    Numbers are written with the decimal mark of the map, as in a text file.
    """
    _require_size(content)
    try:
        workbook = CalamineWorkbook.from_filelike(io.BytesIO(content))
        names = workbook.sheet_names
        name = form.sheet or (names[0] if names else "")
        if name not in names:
            listing = ", ".join(map(repr, names[:12]))
            raise ParkError(
                f"no sheet {name!r}{guess(name, names)}; it has {listing}",
                hint='name one in the map: sheet = "…"',
            )
        sheet = workbook.get_sheet_by_name(name)
    except PasswordError:
        raise ParkError(
            "the workbook has a password", hint="save it without one, or as CSV"
        ) from None
    except CalamineError as error:
        raise ParkError(
            f"not a workbook that can be read ({error})",
            hint="save it again as .xlsx or CSV from a spreadsheet program",
        ) from None
    # The rows begin at the top of the sheet, but at the first column that is not empty.
    before: list[str | None] = [None] * (sheet.start[1] if sheet.start else 0)
    rows = sheet.iter_rows() if sheet.start else ()
    texts = (before + [_text(cell, form.decimal) for cell in row] for row in rows)
    return Sheet(names, sheet.end[0] + 1 if sheet.end else 0, texts)


def _require_size(content: bytes) -> None:
    """Raise ParkError for a workbook that is too large once it is unpacked."""
    size = len(content)
    if zipfile.is_zipfile(io.BytesIO(content)):
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            size = sum(member.file_size for member in packed.infolist())
    if size > WORKBOOK_BYTES:
        raise ParkError(
            f"the workbook is larger than {WORKBOOK_BYTES >> 20} MiB, unpacked",
            hint="save the sheet as CSV",
        )


def _text(cell: Any, decimal: str) -> str | None:
    """Return a cell as the text a CSV file would have in its place."""
    if isinstance(cell, str):
        return cell.strip() or None
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, int | float):
        text = str(int(cell)) if cell == int(cell) and abs(cell) < 1e15 else repr(float(cell))
        return text.replace(".", decimal)
    if isinstance(cell, datetime):
        return cell.isoformat(sep=" ")
    if isinstance(cell, date | time):
        return cell.isoformat()
    assert isinstance(cell, timedelta)
    seconds = round(cell.total_seconds())
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
