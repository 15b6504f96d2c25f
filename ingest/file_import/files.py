"""Files in columns: header, then batches of rows; memory does not grow with the file."""

from __future__ import annotations

import codecs
import csv
import hashlib
import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from twin.errors import ParkError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from ingest.file_import.mapping import Form

BLOCK_BYTES = 1 << 20
BATCH_ROWS = 65_536
# Enough of a file to tell its encoding and to find the header.
HEAD_BYTES = 1 << 20
DELIMITERS = ",;\t|"
MARKS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


@dataclass(slots=True)
class Source:
    """One file, its form and the `share` of it that has been read."""

    path: Path
    names: list[str]
    encoding: str = ""  # empty: Parquet
    delimiter: str = ","
    header_lines: int = 0
    share: float = 0.0
    # Rows that have more or fewer cells than the header: they cannot be told apart.
    misshapen: list[str] = field(default_factory=list)

    @property
    def place(self) -> str:
        """Where the header stands, for messages."""
        return f"{self.path}:{self.header_lines}" if self.encoding else str(self.path)


def digest(path: Path) -> str:
    """Return the digest of the content of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def open_source(path: Path, form: Form) -> Source:
    """Return a file with its header read; raises ParkError."""
    try:
        if path.suffix.lower() in (".parquet", ".pq"):
            return Source(path, list(pa.parquet.ParquetFile(path).schema_arrow.names))
        with _stream(path)[1] as stream:
            head = stream.read(HEAD_BYTES)
    except (OSError, pa.ArrowInvalid) as error:
        raise ParkError(f"{path}: {error}", hint="name a CSV or Parquet file") from error
    encoding = form.encoding or _encoding(head)
    text = codecs.getincrementaldecoder(encoding)("replace").decode(head).removeprefix("\ufeff")
    lines = io.StringIO(text, newline="")
    for _ in range(form.skip_rows):
        lines.readline()
    start = lines.tell()
    delimiter = form.delimiter or _delimiter(lines.readline())
    lines.seek(start)
    reader = csv.reader(lines, delimiter=delimiter)
    names = next(reader, [])
    return Source(
        path,
        [name.strip() for name in names],
        encoding,
        delimiter,
        form.skip_rows + reader.line_num,
    )


def _stream(path: Path) -> tuple[Any, Any]:
    """Return the raw file, and the bytes in it; what ends with .gz is unpacked."""
    raw = pa.OSFile(str(path))
    return raw, pa.CompressedInputStream(raw, "gzip") if path.suffix == ".gz" else raw


def _encoding(head: bytes) -> str:
    """Return the encoding of a text: what is not UTF-8 is taken for GB 18030, GBK's superset."""
    for mark, encoding in MARKS.items():
        if head.startswith(mark):
            return encoding
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return "gb18030"
    return "utf-8"


def _delimiter(header: str) -> str:
    """Return the mark that stands most often in a header."""
    return max(DELIMITERS, key=header.count)


def batches(source: Source, columns: Sequence[str], skip: int) -> Iterator[pa.RecordBatch]:
    """Yield the rows after the first `skip`, only these columns; raises ParkError."""
    read = _csv_batches if source.encoding else _parquet_batches
    try:
        for batch in read(source, columns):
            remaining = batch.slice(min(skip, batch.num_rows))
            skip -= batch.num_rows - remaining.num_rows
            if remaining.num_rows:
                yield remaining
    except (OSError, pa.ArrowInvalid, UnicodeDecodeError) as error:
        raise ParkError(
            f"{source.path}: {error}",
            hint=f"read as {source.encoding or 'Parquet'}; `encoding` of the map says otherwise",
        ) from error


def _csv_batches(source: Source, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Yield batches of texts; an empty cell is null."""
    raw, stream = _stream(source.path)
    size = max(source.path.stat().st_size, 1)
    # Numbers in the place of names: a file may have twice the same, or blanks around them.
    wanted = [str(source.names.index(column)) for column in columns]

    def skip_row(row: Any) -> str:
        source.misshapen.append(str(row.text)[:200])
        return "skip"

    with raw, stream:
        reader = pa.csv.open_csv(
            stream,
            read_options=pa.csv.ReadOptions(
                block_size=BLOCK_BYTES,
                encoding=source.encoding,
                skip_rows=source.header_lines,
                column_names=[str(at) for at in range(len(source.names))],
            ),
            parse_options=pa.csv.ParseOptions(
                delimiter=source.delimiter, invalid_row_handler=skip_row
            ),
            convert_options=pa.csv.ConvertOptions(
                include_columns=wanted,
                column_types=dict.fromkeys(wanted, pa.string()),
                strings_can_be_null=True,
                null_values=[""],
            ),
        )
        for batch in reader:
            source.share = min(raw.tell() / size, 1.0)
            yield batch.rename_columns(list(columns))


def _parquet_batches(source: Source, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Yield batches of whatever types the file has."""
    with pa.parquet.ParquetFile(source.path) as file:
        read = 0
        for batch in file.iter_batches(BATCH_ROWS, columns=list(columns)):
            read += batch.num_rows
            source.share = read / max(file.metadata.num_rows, 1)
            yield batch.select(list(columns))
