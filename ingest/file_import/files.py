"""Files in columns: header, then batches of rows; memory does not grow with a file of text."""

from __future__ import annotations

import codecs
import csv
import hashlib
import io
import re
import zipfile
import zlib
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet

from ingest.file_import.nem12 import NAMES, days
from ingest.file_import.sheets import WORKBOOK_BYTES, read_sheet
from ingest.file_import.text_files import (
    SAMPLE_ROWS,
    blocks,
    encoding_of,
    fitted,
    join_names,
    read_head,
    table_of,
    text_of,
)
from twin.errors import ParkError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from ingest.file_import.mapping import Form

BATCH_ROWS = 65_536
# Enough of a file to tell its encoding and to find the header.
HEAD_BYTES = 1 << 20
MEMBERS = 1000
CSV, PARQUET, SHEET, RECORDS = "CSV", "Parquet", "a workbook", "NEM12"
TABLES = (".csv", ".txt", ".tsv", ".dat", ".asc", ".log", ".xlsx", ".xlsm", ".xls", ".ods")
# Of what begins so, no table is read; what is it, and what makes a table of it.
OTHERS = {
    b"%PDF": ("a PDF", "export the table as CSV or .xlsx where it was made"),
    b"Rar!": ("a RAR archive", "unpack it, or pack it as .zip"),
    b"7z\xbc\xaf": ("a 7-Zip archive", "unpack it, or pack it as .zip"),
    b"\xfd7zXZ": ("an .xz file", "unpack it, or pack it as .gz"),
    b"BZh": ("a .bz2 file", "unpack it, or pack it as .gz"),
    b"\x28\xb5\x2f\xfd": ("a .zst file", "unpack it, or pack it as .gz"),
    b"SQLite format 3": ("a database of SQLite", "export the table as CSV"),
    b"\x00\x01\x00\x00Standard": ("a database of Access", "export the table as CSV"),
    b"{\\rtf": ("a text document", "save the table as CSV or .xlsx"),
    b"\x89HDF": ("an HDF5 file", "export the table as CSV or Parquet"),
    b"MATFILE": ("a file of Matlab", "export the table as CSV"),
    b'{"': ("JSON", "send it by a gateway, or write a row for each value as CSV"),
    b"[{": ("JSON", "send it by a gateway, or write a row for each value as CSV"),
}
MARKUP = re.compile(
    rb"<(!doctype|html|head|meta|body|table|style|script|div|\?xml)\b", re.IGNORECASE
)
CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f]")
UNREADABLE = (OSError, EOFError, zipfile.BadZipFile, zlib.error, pa.ArrowException, UnicodeError)


@dataclass(slots=True)
class Source:
    """One file, or one member of a .zip, its form and the `share` of it that has been read."""

    path: Path
    names: list[str]
    kind: str = CSV
    member: str = ""
    encoding: str = ""
    delimiter: str = ","
    header_lines: int = 0
    body: int = 0  # bytes above the first row, as UTF-8
    form: Form | None = None
    sheets: list[str] = field(default_factory=list)  # of the workbook
    height: int = 0  # rows of the sheet
    share: float = 0.0
    # Rows that have more cells than the header: they cannot be told apart.
    misshapen: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The name of the file, and of the member in it."""
        return "/".join(filter(None, (self.path.name, self.member)))

    @property
    def label(self) -> str:
        """The path, for messages."""
        return "/".join(filter(None, (str(self.path), self.member)))

    @property
    def place(self) -> str:
        """Where the header stands, for messages."""
        return f"{self.label}:{max(self.header_lines, 1)}" if self.kind == CSV else self.label


def digest(source: Source) -> str:
    """Return the digest of the content of a file, and of which member it is."""
    with source.path.open("rb") as file:
        whole = hashlib.file_digest(file, "sha256").hexdigest()
    return f"{whole}/{source.member}" if source.member else whole


def open_sources(path: Path, form: Form) -> tuple[list[Source], list[str]]:
    """Return a file with its header read, or the members of a .zip, and what is not read of it.

    Raises ParkError.
    """
    try:
        with path.open("rb") as file:
            start = file.read(64)
        if start.startswith(b"PK") and zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as packed:
                names = [one.filename for one in packed.infolist() if not one.is_dir()]
            if not any(name in names for name in ("[Content_Types].xml", "mimetype")):
                return _open_members(path, names, form)
        return [_open(path, "", start, form)], []
    except UNREADABLE as error:
        raise ParkError(f"{path}: {error}", hint="name a CSV, Parquet or .xlsx file") from error


def _open_members(path: Path, names: list[str], form: Form) -> tuple[list[Source], list[str]]:
    """Return the tables in a .zip, and the names of what is none."""
    tables = [
        name for name in names
        if name.lower().removesuffix(".gz").endswith(TABLES) and "__MACOSX" not in name
    ]  # fmt: skip
    if not tables or len(tables) > MEMBERS:
        raise ParkError(
            f"{path}: {len(tables)} tables in {len(names)} files",
            hint=f"a .zip has 1 to {MEMBERS} files that end with {', '.join(TABLES)}",
        )
    sources = []
    for name in tables:
        try:
            with zipfile.ZipFile(path) as packed, packed.open(name) as stream:
                start = stream.read(64)
        except RuntimeError:
            raise ParkError(f"{path}: {name} has a password", hint="unpack it") from None
        except NotImplementedError as error:
            raise ParkError(f"{path}: {name}: {error}", hint="unpack it") from None
        sources.append(_open(path, name, start, form))
    return sources, [name for name in names if name not in tables]


def _open(path: Path, member: str, start: bytes, form: Form) -> Source:
    """Return one table with its header read; raises ParkError."""
    source = Source(path, [], member=member, form=form)
    if start.startswith(b"PAR1") and not member:
        names = list(pa.parquet.ParquetFile(path).schema_arrow.names)
        return Source(path, names, PARQUET, form=form)
    try:
        if start.startswith((b"PK", b"\xd0\xcf\x11\xe0")):
            source.kind = SHEET
            source.names = _sheet_header(source, form)
            return source
        head = head_of(source)
        _require_text(head, form)
        if form.records:
            source.kind, source.names = RECORDS, list(NAMES)
            source.encoding = encoding_of(head, form.encoding)
            return source
        first = read_head(head, form)
    except ParkError as error:
        raise ParkError(f"{source.label}: {error.message}", hint=error.hint) from error
    source.encoding, source.delimiter, source.names = first[:3]
    source.header_lines, source.body = first[3:]
    return source


def _require_text(head: bytes, form: Form) -> None:
    """Raise ParkError, without the name of the file, for what is not a table of texts."""
    if not head.strip():
        raise ParkError("the file is empty", hint="nothing can be read of it")
    plain = head.lstrip(codecs.BOM_UTF8 + b" \t\r\n")
    for mark, (what, hint) in OTHERS.items():
        if plain.startswith(mark) and not form.skip_rows:
            raise ParkError(f"this is {what}, and no table can be read of it", hint=hint)
    if MARKUP.match(plain):
        raise ParkError(
            "this is HTML or XML, whatever its name says",
            hint="open it in a spreadsheet program and save it as .xlsx or CSV",
        )
    encoding = encoding_of(head, form.encoding)
    if len(CONTROL.findall(text_of(head, encoding))) > len(head) / 100:
        raise ParkError("this is no text", hint="CSV, Parquet, .xlsx, .zip and .gz are read")


@contextmanager
def _stream(source: Source) -> Iterator[Any]:
    """Yield the bytes of a file or member; what is packed with gzip is unpacked."""
    if source.member:
        with zipfile.ZipFile(source.path) as packed, packed.open(source.member) as stream:
            size = max(packed.getinfo(source.member).file_size, 1)
            gzip = source.member.lower().endswith(".gz")
            unpacked = pa.CompressedInputStream(pa.PythonFile(stream), "gzip") if gzip else stream
            yield _Counted(unpacked, lambda: stream.tell() / size, source)
        return
    size = max(source.path.stat().st_size, 1)
    with pa.OSFile(str(source.path)) as raw:
        gzip = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        stream = pa.CompressedInputStream(raw, "gzip") if gzip else raw
        yield _Counted(stream, lambda: raw.tell() / size, source)


@dataclass(frozen=True, slots=True)
class _Counted:
    """A stream that notes which share of its file has been read."""

    stream: Any
    share: Any
    source: Source

    def read(self, size: int) -> bytes:
        data = self.stream.read(size)
        self.source.share = min(self.share(), 1.0)
        return bytes(data)


def head_of(source: Source) -> bytes:
    """Return the beginning of a text file."""
    with _stream(source) as stream:
        return bytes(stream.read(HEAD_BYTES))


def sheet_rows(source: Source, form: Form) -> Iterator[list[str | None]]:
    """Return the rows of a sheet from its header on."""
    with _packed(source) as stream:
        content = stream.read(WORKBOOK_BYTES)
    source.sheets, source.height, rows = read_sheet(content, form)
    return islice(rows, form.skip_rows, None)


@contextmanager
def _packed(source: Source) -> Iterator[Any]:
    if source.member:
        with zipfile.ZipFile(source.path) as packed, packed.open(source.member) as stream:
            yield stream
    else:
        with source.path.open("rb") as stream:
            yield stream


def _sheet_header(source: Source, form: Form) -> list[str]:
    """Return the names of the columns of a sheet."""
    rows = sheet_rows(source, form)
    names = join_names(list(islice(rows, form.header)))
    below = [
        row for row in islice(rows, form.skip_below, form.skip_below + SAMPLE_ROWS) if any(row)
    ]
    return fitted(names, below)


def batches(source: Source, columns: Sequence[int]) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a file, only these columns, each named by its number.

    Raises ParkError.
    """
    read = {CSV: _csv, PARQUET: _parquet, SHEET: _sheet, RECORDS: _records}[source.kind]
    try:
        for batch in read(source, columns):
            if batch.num_rows:
                yield batch
    except ParkError as error:
        raise ParkError(f"{source.label}: {error.message}", hint=error.hint) from error
    except (*UNREADABLE, csv.Error) as error:
        raise ParkError(
            f"{source.label}: {error}",
            hint=f"read as {source.encoding or source.kind}; `encoding` of the map says otherwise",
        ) from error


def _csv(source: Source, columns: Sequence[int]) -> Iterator[pa.RecordBatch]:
    """Yield batches of texts; an empty cell is null."""
    width = len(source.names)
    with _stream(source) as stream:
        for block in blocks(stream, source.encoding, source.body):
            batch = table_of(block, source.delimiter, width, columns, source.misshapen)
            if batch is not None:
                yield batch


def _sheet(source: Source, columns: Sequence[int]) -> Iterator[pa.RecordBatch]:
    """Yield batches of texts, without the rows that are blank."""
    assert source.form is not None
    rows = sheet_rows(source, source.form)
    rows = islice(rows, source.form.header + source.form.skip_below, None)
    names = [str(at) for at in columns]
    read = 0
    while part := list(islice(rows, BATCH_ROWS)):
        read += len(part)
        source.share = min(read / source.height, 1.0)
        kept = [row for row in part if any(row)]
        cells = [[row[at] if at < len(row) else None for row in kept] for at in columns]
        yield pa.record_batch([pa.array(each, pa.string()) for each in cells], names=names)


def _records(source: Source, columns: Sequence[int]) -> Iterator[pa.RecordBatch]:
    """Yield the intervals of records as rows."""
    with _stream(source) as stream:
        text = (
            line
            for block in blocks(stream, source.encoding, 0)
            for line in io.StringIO(block.decode(), newline="")
        )
        each = days(text, source.misshapen)
        while part := list(islice(each, 256)):
            whole = pa.Table.from_batches(part).combine_chunks().to_batches()[0]
            yield whole.select(list(columns)).rename_columns([str(at) for at in columns])


def _parquet(source: Source, columns: Sequence[int]) -> Iterator[pa.RecordBatch]:
    """Yield batches of whatever types the file has."""
    with pa.parquet.ParquetFile(source.path) as file:
        names = [source.names[at] for at in columns]
        read = 0
        for batch in file.iter_batches(BATCH_ROWS, columns=names):
            read += batch.num_rows
            source.share = read / max(file.metadata.num_rows, 1)
            yield batch.select(names).rename_columns([str(at) for at in columns])
