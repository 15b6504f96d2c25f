"""Tables in text files: encoding, delimiter, header, and blocks of rows as columns of texts."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa
import pyarrow.csv

from twin.errors import ParkError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ingest.file_import.mapping import Form

BLOCK_BYTES = 1 << 20
LINE_BYTES = 16 << 20
SAMPLE_ROWS = 50
# What separates columns, the less likely to stand in a cell the earlier.
DELIMITERS = "\t;|,"
MARKS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
SEP = re.compile(r"sep=(.)\r?\n", re.IGNORECASE)
# In GB 2312 both bytes of a character are high; in Western text, most high bytes stand alone.
HIGH = re.compile(rb"[\x81-\xfe]([\xa1-\xfe]?)")


class TextHead(NamedTuple):
    """What the beginning of a text file says about all of it."""

    encoding: str
    delimiter: str
    names: list[str]
    lines: int  # above the first row
    body: int  # bytes above the first row, as UTF-8


def encoding_of(head: bytes, declared: str = "") -> str:
    """Return the encoding of a text: detected, or as declared."""
    if declared and not declared.startswith("utf-16"):
        return declared
    for mark, encoding in MARKS.items():
        if head.startswith(mark):
            return encoding
    zeros = head[0::2].count(0), head[1::2].count(0)
    if declared == "utf-16" or (declared == "" and max(zeros) > len(head) / 8):
        return "utf-16-be" if zeros[0] > zeros[1] else "utf-16-le"
    if declared:
        return declared
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        pairs = Counter(bool(trail) for trail in HIGH.findall(head))
        return "gb18030" if pairs[True] >= pairs[False] else "cp1252"
    return "utf-8"


def text_of(head: bytes, encoding: str) -> str:
    """Return the text of the beginning of a file."""
    return codecs.getincrementaldecoder(encoding)("replace").decode(head).removeprefix("\ufeff")


def read_head(head: bytes, form: Form) -> TextHead:
    """Return what the beginning of a file says; raises ParkError without a message of the file."""
    encoding = encoding_of(head, form.encoding)
    text = text_of(head, encoding)
    lines = io.StringIO(text, newline="")
    sep = SEP.match(text)
    for _ in range(form.skip_rows + (sep is not None)):
        lines.readline()
    start = lines.tell()
    sample = "".join(lines.readline() for _ in range(SAMPLE_ROWS))
    delimiter = form.delimiter or (sep[1] if sep else delimiter_of(sample))
    lines.seek(start)
    reader = csv.reader(lines, delimiter=delimiter)
    try:
        names = list(islice(reader, form.header))
        for _ in range(form.skip_below):
            lines.readline()
        body, number = lines.tell(), text.count("\n", 0, lines.tell())
        rows = [row for row in islice(reader, SAMPLE_ROWS) if row]
    except csv.Error as error:
        raise ParkError(str(error), hint="is it a table of texts?") from None
    header = fitted(join_names(names), rows)
    return TextHead(encoding, delimiter, header, number, len(text[:body].encode()))


def delimiter_of(text: str) -> str:
    """Return the mark that divides the header and the rows of a text most evenly."""

    def evenness(delimiter: str) -> tuple[bool, float, int]:
        try:
            widths = [len(r) for r in csv.reader(io.StringIO(text), delimiter=delimiter) if r]
        except csv.Error:
            widths = []
        if not widths:
            return False, 0.0, 0
        width, count = Counter(widths).most_common(1)[0]
        return width > 1 and abs(widths[0] - width) <= 1, round(count / len(widths), 1), width

    best = max(DELIMITERS, key=evenness)
    return best if evenness(best)[2] > 1 else max(reversed(DELIMITERS), key=text.count)


def join_names(rows: Sequence[Sequence[str | None]]) -> list[str]:
    """Return the names of a header of some rows, joined; above the last, blanks repeat the left."""
    width = max(map(len, rows), default=0)
    names = [""] * width
    for nth, row in enumerate(rows):
        cells = [(cell or "").strip() for cell in (*row, *[""] * (width - len(row)))]
        if nth < len(rows) - 1:
            for at in range(1, width):
                cells[at] = cells[at] or cells[at - 1]
        names = [f"{name} {cell}".strip() for name, cell in zip(names, cells, strict=True)]
    return names


def fitted(names: list[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    """Return a header with as many columns as its rows have, as far as that costs no name."""
    if not rows:
        return names
    if not names:
        return [str(at) for at in range(1, max(map(len, rows)) + 1)]
    width = Counter(map(len, rows)).most_common(1)[0][0]
    while len(names) > width and not names[-1]:
        names = names[:-1]
    wide = [row for row in rows if len(row) == width]
    surplus = any(cell for row in wide for cell in row[len(names) :])
    return names if surplus else names + [""] * (width - len(names))


def blocks(stream: Any, encoding: str, body: int) -> Iterator[bytes]:
    """Yield the rows of a text below the header in blocks of whole lines, as UTF-8."""
    decoder = None if encoding == "utf-8" else codecs.getincrementaldecoder(encoding)()
    pending, remaining, first = b"", b"", True
    while data := stream.read(BLOCK_BYTES):
        if decoder:
            data = decoder.decode(data).encode()
        if first:
            body += len(codecs.BOM_UTF8) * data.startswith(codecs.BOM_UTF8)
            first = False
        skipped = min(body, len(data))
        body -= skipped
        data = remaining + data[skipped:]
        cut = (data.rfind(b"\n") + 1) or (data.rfind(b"\r", 0, -1) + 1)
        if pending:
            yield pending
        pending, remaining = data[:cut], data[cut:]
        if len(remaining) > LINE_BYTES:
            raise ParkError(
                f"a line is longer than {LINE_BYTES >> 20} MiB", hint="is it a table of texts?"
            )
    if decoder:
        remaining += decoder.decode(b"", final=True).encode()
    yield pending + remaining


def table_of(
    block: bytes, delimiter: str, width: int, columns: Sequence[int], misshapen: list[str]
) -> pa.RecordBatch | None:
    """Return columns of a block of rows as texts, empty cells null; None without rows."""
    if not block.strip():
        return None
    uneven: list[Any] = []

    def stop(row: Any) -> str:
        uneven.append(row)
        return "error"

    wanted = [str(at) for at in columns]
    read = pa.csv.ReadOptions(
        block_size=len(block) + 1, column_names=[str(at) for at in range(width)]
    )
    convert = pa.csv.ConvertOptions(
        include_columns=wanted,
        column_types=dict.fromkeys(wanted, pa.string()),
        strings_can_be_null=True,
        null_values=[""],
    )
    parse = pa.csv.ParseOptions(delimiter=delimiter, invalid_row_handler=stop)
    try:
        table = pa.csv.read_csv(pa.py_buffer(block), read, parse, convert)
    except pa.ArrowInvalid:
        if not uneven:
            raise
        return _uneven(block, delimiter, width, columns, misshapen)
    return next(iter(table.combine_chunks().to_batches()), None)


def _uneven(
    block: bytes, delimiter: str, width: int, columns: Sequence[int], misshapen: list[str]
) -> pa.RecordBatch | None:
    """Return the same of rows of different length.

    The cells that are there count; a row with more of them than the header has is kept out.
    """
    rows = []
    for row in csv.reader(io.StringIO(block.decode(), newline=""), delimiter=delimiter):
        if len(row) > width and any(map(str.strip, row[width:])):
            misshapen.append(delimiter.join(row)[:200])
        elif row:
            rows.append(row + [""] * (width - len(row)))
    if not rows:
        return None
    cells = list(zip(*rows, strict=False))
    arrays = [pa.array([cell or None for cell in cells[at]], pa.string()) for at in columns]
    return pa.record_batch(arrays, names=[str(at) for at in columns])
