"""Files of the archive: their size, what comes back, and that others read them as documented."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.dataset
import pyarrow.parquet
import pytest

from deploy.archive.layout import GROUP_ROWS, KINDS, MINUTE, SAMPLE, FileWriter, read
from simulators.instruments import make_sensors, observe
from simulators.process.process import make_process
from twin.arrays import DAY_US
from twin.errors import ArchiveError
from twin.loading import load_park

S = 1_000_000
BEGIN = 1_763_769_600 * S // DAY_US * DAY_US
ROOT = Path(__file__).parents[2]
SPAN = BEGIN, BEGIN + DAY_US


def write(folder, kind, rows, *, whole_ms=True):
    """Write a file and return its bytes a row."""
    names = {tag_id: f"acme/T-{tag_id}" for tag_id in np.unique(rows["tag_id"]).tolist()}
    with FileWriter(folder, kind, BEGIN, whole_ms=whole_ms) as writer:
        writer.add(rows, names)
        _, size = writer.finish()
        writer.publish()
    return size / len(rows["tag_id"])


def samples(value, rng):
    """Return samples of tags, (T, n), each second, with some jitter, that arrive a little later."""
    count = value.shape[1]
    time_us = BEGIN + np.arange(count) * S + rng.integers(0, 400, value.shape) * 1000
    received = time_us + 300_000 + rng.exponential(50_000, value.shape).astype(np.int64)
    return {
        "tag_id": np.repeat(np.arange(len(value)), count),
        "time_us": time_us.ravel(),
        "value": value.ravel(),
        "quality": np.full(value.size, 32, np.uint8),
        "received": received.ravel(),
    }


def test_a_sample_of_the_demonstration_takes_eight_bytes_at_most(tmp_path):
    demo = load_park(ROOT / "deploy" / "parks" / "liaocheng")
    park = replace(demo, tags=tuple(tag for tag in demo.tags if tag.source == "measured"))
    times = BEGIN + np.arange(1800) * S
    seen = observe(make_sensors(make_process(park, 1), 1), times)
    scale, shift = (
        np.array([getattr(tag, name) for tag in park.tags]) for name in ("scale", "shift")
    )
    size = write(tmp_path, SAMPLE, samples((seen * scale + shift).T, np.random.default_rng(1)))
    assert size <= 8.0
    print(f"{size:.2f} bytes a sample of the demonstration")


def test_a_sample_of_white_noise_takes_twelve_bytes_at_most(tmp_path):
    rng = np.random.default_rng(1)
    rows = samples(rng.normal(size=(50, 7200)), rng)
    size = write(tmp_path, SAMPLE, rows)
    assert size <= 12.0
    print(f"{size:.2f} bytes a sample of white noise")
    tags = np.array([7, 31])
    back = read(tmp_path / SAMPLE.path(BEGIN), SAMPLE, tags, SPAN)
    wanted = np.isin(rows["tag_id"], tags)
    assert pyarrow.parquet.ParquetFile(tmp_path / SAMPLE.path(BEGIN)).num_row_groups > 1
    assert len(back["value"]) < GROUP_ROWS
    for name in ("tag_id", "time_us", "value", "quality"):
        np.testing.assert_array_equal(back[name], rows[name][wanted])
    np.testing.assert_array_equal(back["received"], rows["received"][wanted] // 1000 * 1000)


def minutes():
    count = 100
    rows = {name: np.arange(2.0 * count) for name in MINUTE.columns}
    rows |= {"tag_id": np.repeat([3, 4], count), "n": np.ones(2 * count, np.int64)}
    rows["time_us"] = BEGIN + np.tile(np.arange(count), 2) * 60 * S
    rows["quality"] = np.zeros(2 * count, np.uint8)
    rows["last"][::7] = np.nan
    return rows


@pytest.mark.parametrize("whole_ms", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_rows_come_back_to_the_last_bit(tmp_path, kind, whole_ms):
    rng = np.random.default_rng(2)
    rows = samples(rng.normal(size=(3, 50)), rng) if kind == "sample" else minutes()
    if not whole_ms:
        rows["time_us"] = rows["time_us"] + np.arange(len(rows["time_us"])) % 7
    if kind == "sample":
        rows["value"][::9] = np.nan
        rows["received"] = rows["received"] // 1000 * 1000
    write(tmp_path, KINDS[kind], rows, whole_ms=whole_ms)
    path = tmp_path / KINDS[kind].path(BEGIN)
    back = read(path, KINDS[kind], None, SPAN)
    for name in KINDS[kind].names:
        np.testing.assert_array_equal(back[name], rows[name], err_msg=name)
    assert not list(tmp_path.rglob("*.partial"))


def test_a_file_that_the_disk_garbled_is_not_published(tmp_path):
    rng = np.random.default_rng(2)
    with FileWriter(tmp_path, SAMPLE, BEGIN, whole_ms=True) as writer:
        writer.add(samples(rng.normal(size=(1, 50)), rng), {0: "acme/T-0"})
        writer._digest.add(samples(rng.normal(size=(1, 1)), rng))
        with pytest.raises(ArchiveError, match="does not read as it was written"):
            writer.finish()
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_others_read_the_files_as_the_documentation_says(tmp_path, monkeypatch):
    rng = np.random.default_rng(2)
    rows = samples(rng.normal(size=(9, 50)), rng)
    write(tmp_path / "archive", SAMPLE, rows)
    text = (ROOT / "docs" / "archive.md").read_text(encoding="utf-8")
    example = text.split("```python\n")[1].split("```")[0]
    monkeypatch.chdir(tmp_path)
    scope = {}
    exec(example, scope)  # noqa: S102 - what the documentation tells people to run
    np.testing.assert_array_equal(scope["table"]["value"], rows["value"][rows["tag_id"] == 7])
    schema = pyarrow.parquet.read_schema(tmp_path / "archive" / SAMPLE.path(BEGIN))
    names = [*schema.names, *MINUTE.schema(schema.field("time").type).names]
    table = text.split("| column |")[1].split("\n\n")[0]
    assert [name for name in names if f"`{name}`" not in table] == []
