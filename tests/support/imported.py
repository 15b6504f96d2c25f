"""What an import makes of a file, without a database."""

from datetime import UTC, datetime, timedelta

from ingest.file_import.__main__ import check
from ingest.file_import.chunks import Pace, Refusals, chunks
from ingest.settings import IngestSettings
from twin.errors import ModelError

NOW_US = 2_000_000_000_000_000


def read_file(park, file, map_path, *, samples=None):
    """Return (UTC time, tag, value in the tag's uom, quality) by time, and what was refused.

    `samples` is the size of the chunks.
    """
    job = check(park, [file], map_path)
    rows, refusals = [], Refusals()
    for source in job.sources:
        reader = job.reader(source, IngestSettings(database_url="none"), NOW_US)
        pace = Pace()
        pace.samples = samples or pace.samples
        for chunk in chunks(source, reader, 0, pace, refusals):
            s = chunk.samples.samples
            columns = (s.time_us, s.tag, s.value, s.quality)
            for time_us, at, si, quality in zip(*(c.tolist() for c in columns), strict=True):
                tag = park.tags[at]
                value = round((si - tag.shift) / tag.scale, 9)
                rows.append((time_us, tag.tag, value, quality))
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    rows = [
        (f"{epoch + timedelta(microseconds=t):%Y-%m-%d %H:%M:%S}", *more)
        for t, *more in sorted(rows)
    ]
    return rows, dict(refusals.counts)


def values(park, file, map_path):
    """Return the values of a file of which everything is read, by time and tag."""
    rows, refused = read_file(park, file, map_path)
    assert refused == {}
    return [value for _, _, value, _ in rows]


def utc_times(park, file, map_path):
    """Return the times of a file of which everything is read, day and minute."""
    rows, refused = read_file(park, file, map_path)
    assert refused == {}
    return [time[5:16] for time, *_ in rows]


def problems(park, file, map_path):
    """Return what is said of a file that does not fit its map."""
    try:
        check(park, [file], map_path)
    except ModelError as error:
        return "\n".join(error.problems)
    return ""
