"""The files of the archive: their columns, and rows of some tags out of them.

A file has the rows of a park of one day (samples) or month (minutes), by UTC, sorted by tag and
time. A row group ends with a tag where it can, so that a reader finds a tag by the statistics.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from twin.arrays import BOOL, DAY_US, I64
from twin.errors import ArchiveError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

Columns = dict[str, NDArray[Any]]

# A group of rows: reading one costs some ms, describing one costs about a KiB.
GROUP_ROWS = 131_072
LEVEL = 3  # of zstd: higher ones take much longer for a tenth less
MS = pa.timestamp("ms", tz="UTC")
US = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """What is archived: a table of the database and the columns of its files."""

    table: str
    columns: dict[str, pa.DataType]  # by their names; time apart
    nullable: tuple[str, ...] = ()  # columns in which NaN stands for no value

    @property
    def names(self) -> tuple[str, ...]:
        """The columns of a row as this module gives and takes it; times in µs."""
        return ("tag_id", "time_us", *self.columns)

    def period(self, time_us: int) -> tuple[int, int]:
        """Return begin and end [µs] of the file in which a time lies."""
        if self.table == "sample":
            start_us = time_us // DAY_US * DAY_US
            return start_us, start_us + DAY_US
        month = np.datetime64(time_us, "us").astype("datetime64[M]")
        ends = np.array([month, month + 1]).astype("datetime64[us]").astype(np.int64)
        return int(ends[0]), int(ends[1])

    def path(self, start_us: int) -> str:
        """Return the path of the file that begins at a time, in the folder of the archive."""
        date = str(np.datetime64(start_us, "us").astype("datetime64[D]"))
        name = date if self.table == "sample" else date[:7]
        return f"{self.table}/{date[:4]}/{name}.parquet"

    def schema(self, time: pa.DataType) -> pa.Schema:
        """Return the schema of a file whose times have a resolution."""
        # Without a word about pandas, so that all readers see the same.
        return pa.schema(
            [
                pa.field("tag_id", pa.int32(), nullable=False),
                pa.field("tag", pa.dictionary(pa.int32(), pa.string()), nullable=False),
                pa.field("time", time, nullable=False),
                *(
                    pa.field(name, kind, nullable=name in self.nullable)
                    for name, kind in self.columns.items()
                ),
            ],
            metadata={"parktwin": f"{self.table}: SI units, times in UTC; docs/archive.md"},
        )


SAMPLE = Kind("sample", {"value": pa.float64(), "quality": pa.uint8(), "received": MS})
MINUTE = Kind(
    "minute",
    {
        "amount": pa.float64(), "covered_s": pa.float64(), "min": pa.float64(),
        "max": pa.float64(), "last": pa.float64(), "n": pa.int32(), "quality": pa.uint8(),
    },
    nullable=("min", "max", "last"),
)  # fmt: skip
KINDS = {kind.table: kind for kind in (SAMPLE, MINUTE)}


def no_rows(kind: Kind) -> Columns:
    """Return columns without a row."""
    return {name: np.zeros(0, _dtype(kind, name)) for name in kind.names}


def _dtype(kind: Kind, name: str) -> np.dtype[Any]:
    if name in ("tag_id", "time_us", "received"):
        return np.dtype(np.int64)
    dtype: np.dtype[Any] = np.dtype(kind.columns[name].to_pandas_dtype())
    return dtype


def concatenate(kind: Kind, parts: Sequence[Columns]) -> Columns:
    """Return rows one after the other."""
    parts = parts or [no_rows(kind)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


class FileWriter:
    """A file of the archive while it is written, beside where it will be.

    Rows come sorted by tag and time. Nobody sees the file before `publish`.
    """

    def __init__(self, folder: Path, kind: Kind, start_us: int, *, whole_ms: bool) -> None:
        """With `whole_ms` no time of the file has a part of a millisecond."""
        self.kind = kind
        self.path = kind.path(start_us)
        self._target = folder / self.path
        self._partial = self._target.with_suffix(".partial")
        self._time = MS if whole_ms else US
        self._schema = kind.schema(self._time)
        self._pending: list[Columns] = []
        self._pending_rows = self.rows = 0
        self._digest = Digest(kind)
        self._names: dict[int, str] = {}
        self._target.parent.mkdir(parents=True, exist_ok=True)
        self._file = pq.ParquetWriter(
            self._partial,
            self._schema,
            compression="zstd",
            compression_level=LEVEL,
            use_dictionary=["tag"],
            column_encoding=self._encodings(),
            write_page_index=True,
            store_schema=False,
        )

    def _encodings(self) -> dict[str, str]:
        """Return how each column is written, but the dictionary of the tags."""
        result = {"tag_id": "DELTA_BINARY_PACKED", "time": "DELTA_BINARY_PACKED"}
        for name, kind in self.kind.columns.items():
            is_real = pa.types.is_floating(kind)
            result[name] = "BYTE_STREAM_SPLIT" if is_real else "DELTA_BINARY_PACKED"
        return result

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        try:
            # On a disk that is full this fails as well.
            self._file.close()
        finally:
            self._partial.unlink(missing_ok=True)

    def add(self, rows: Columns, names: Mapping[int, str]) -> None:
        """Add rows of whole tags, whose addresses `names` has by their numbers."""
        self._names.update(names)
        self._digest.add(rows)
        self._pending.append(rows)
        self._pending_rows += len(rows["tag_id"])
        if self._pending_rows >= GROUP_ROWS:
            self._flush()

    def _flush(self) -> None:
        rows = concatenate(self.kind, self._pending)
        self._pending, self._pending_rows = [], 0
        if len(rows["tag_id"]):
            self._file.write_table(self._table(rows), row_group_size=GROUP_ROWS)
            self.rows += len(rows["tag_id"])
        self._names.clear()

    def _table(self, rows: Columns) -> pa.Table:
        ids, at = np.unique(rows["tag_id"], return_inverse=True)
        addresses = pa.array([self._names[number] for number in ids.tolist()], pa.string())
        tags = pa.DictionaryArray.from_arrays(pa.array(at, pa.int32()), addresses)
        columns = [pa.array(rows["tag_id"], pa.int32()), tags]
        columns.append(pa.array(rows["time_us"], US).cast(self._time))
        for name, kind in self.kind.columns.items():
            if name == "received":
                columns.append(pa.array(rows[name] // 1000, pa.int64()).cast(MS))
            else:
                columns.append(pa.array(rows[name], kind, from_pandas=name in self.kind.nullable))
        return pa.table(columns, schema=self._schema)

    def finish(self) -> tuple[str, int]:
        """Bring the file to the disk, read it back and return its SHA-256 and size [bytes].

        Raises ArchiveError when what is read is not what was written.
        """
        self._flush()
        self._file.close()
        with self._partial.open("rb") as opened:
            os.fsync(opened.fileno())
            sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
            size = opened.tell()
        read = Digest(self.kind)
        with pq.ParquetFile(self._partial) as file:
            for group in range(file.num_row_groups):
                read.add(_rows(self.kind, file.read_row_group(group, use_threads=False)))
        if read.hexdigest() != self._digest.hexdigest():
            raise ArchiveError(
                f"{self._partial} does not read as it was written",
                hint="is the disk of PARKTWIN_ARCHIVE sound? nothing was removed from the database",
            )
        return sha256, size

    def publish(self) -> None:
        """Let the file be where readers look for it, in the stead of a former one."""
        self._partial.rename(self._target)
        folder = os.open(self._target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


class Digest:
    """A hash over the rows of a file, column by column and whatever their groups."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self._columns = {name: hashlib.blake2b(digest_size=16) for name in kind.names}
        self.rows = 0

    def add(self, rows: Columns) -> None:
        """Add rows; of the time of receipt whole milliseconds count, and every NaN is the same."""
        self.rows += len(rows["tag_id"])
        for name, column in self._columns.items():
            values = rows[name] // 1000 * 1000 if name == "received" else rows[name]
            if values.dtype.kind == "f":
                values = np.where(np.isnan(values), np.nan, values)
            column.update(values.astype(_dtype(self._kind, name)).tobytes())

    def hexdigest(self) -> str:
        """Return the hash of all rows."""
        return f"{self.rows}:" + "".join(each.hexdigest() for each in self._columns.values())


def _rows(kind: Kind, table: pa.Table) -> Columns:
    """Return the columns of a table of a file, as far as it has them."""
    result = {}
    for name in kind.names:
        stored = "time" if name == "time_us" else name
        if stored not in table.column_names:
            continue
        column = table.column(stored)
        if pa.types.is_timestamp(column.type):
            column = column.cast(US).cast(pa.int64())
        elif name in kind.nullable:
            column = column.fill_null(np.nan)
        result[name] = column.to_numpy().astype(_dtype(kind, name), copy=False)
    return result


def read(
    path: Path,
    kind: Kind,
    wanted: I64 | None,
    span_us: tuple[int, int],
    names: Sequence[str] = (),
    keep: Callable[[Columns], BOOL] | None = None,
) -> Columns:
    """Return rows of a file of some tags in a span of time, sorted by tag and time.

    Parameters
    ----------
    path
        the file
    kind
        what it holds
    wanted : (T,) int64
        numbers of the tags in the database; None = all
    span_us
        begin and end, exclusive [µs]
    names
        columns besides tag_id and time_us; none = all
    keep
        which rows to return of those; None = all

    Raises
    ------
    ArchiveError
        the file is not there, or is none
    """
    names = names or tuple(kind.columns)
    stored = ["tag_id", "time", *names]
    tags = None if wanted is None else np.unique(wanted)
    parts = []
    try:
        # Opened by us: what is read is one file, even when another one takes its place meanwhile.
        with path.open("rb") as opened, pq.ParquetFile(opened, pre_buffer=False) as file:
            for group in _groups(file.metadata, tags):
                table = file.read_row_group(group, stored, use_threads=False)
                rows = _rows(kind, table)
                inside = (rows["time_us"] >= span_us[0]) & (rows["time_us"] < span_us[1])
                if tags is not None:
                    inside &= np.isin(rows["tag_id"], tags)
                rows = {name: column[inside] for name, column in rows.items()}
                if keep is not None:
                    some = keep(rows)
                    rows = {name: column[some] for name, column in rows.items()}
                parts.append(rows)
    except (OSError, pa.ArrowException) as error:
        raise ArchiveError(
            f"{path} cannot be read: {error}",
            hint="PARKTWIN_ARCHIVE names the folder; bring the file back from a backup",
        ) from error
    if parts:
        return concatenate(kind, parts)
    return {name: column for name, column in no_rows(kind).items()
            if name in ("tag_id", "time_us", *names)}  # fmt: skip


def _groups(metadata: Any, tags: I64 | None) -> list[int]:
    """Return the groups of rows that may have rows of tags, sorted numbers or None for all."""
    if tags is None:
        return list(range(metadata.num_row_groups))
    groups = []
    for group in range(metadata.num_row_groups):
        known = metadata.row_group(group).column(0).statistics
        first = np.searchsorted(tags, known.min)
        if first < len(tags) and tags[first] <= known.max:
            groups.append(group)
    return groups
