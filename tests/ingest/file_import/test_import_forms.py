"""What files look like: encodings, marks, times, words; and what is said when they do not fit."""

import csv
import gzip
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from ingest.file_import import chunks
from ingest.file_import.__main__ import check, main
from ingest.file_import.cells import numbers
from ingest.file_import.clocks import Clock, times
from ingest.file_import.form_guesses import guess_forms
from ingest.file_import.mapping import Form
from ingest.file_import.time_forms import NO_TIME
from tests.support.data import data_text
from tests.support.small_history import (
    END_MS,
    HOUR_MS,
    STEEL,
    WIDE,
    empty,
    rows_of,
    run_import,
    steel,
    text_of,
    with_meter,
)
from tests.support.stored import T0, everything, samples
from twin import quality as q
from twin.errors import ModelError

LONG = data_text("import/long.toml")
CHINESE = data_text("import/long.csv")


async def test_long_form_in_gbk_with_words_and_commas(database, db, park, write):
    file = write("历史.csv", CHINESE.encode("gbk"))
    (counts,) = await run_import(database, park, [file], write("map.toml", LONG), T0 + 10**9)
    assert counts == {
        "rows": 13, "new": 6, "bad_time": 1, "wrong_type": 1, "bad_quality": 1, "unknown_tag": 2,
        "future": 1,
    }  # fmt: skip
    at = (1_759_996_800 - T0 // 1000) * 1000  # 16:00 in Shanghai
    flow = await samples(db)
    assert [(t - at, code) for t, _, code in flow] == [
        (0, q.GOOD), (1000, q.BAD | q.NOT_A_NUMBER), (2000, q.BAD)
    ]  # fmt: skip
    assert flow[0][1] == pytest.approx(5.4)
    assert [(t - at, v) for t, v, _ in await samples(db, "XS-1")] == [(0, 1.0)]
    assert [(t - at, v, c) for t, v, c in await samples(db, "TT-1")] == [
        (0, 500, q.UNCERTAIN | q.OUT_OF_RANGE), (8 * HOUR_MS, 20, q.GOOD)
    ]  # fmt: skip
    held = {r["reason"]: r for r in await db.fetch("SELECT * FROM quarantine")}
    assert (held["unknown_tag"]["tag"], held["unknown_tag"]["count"]) == ("TT-9", 2)
    assert held["unknown_tag"]["enterprise"] == "acme"
    assert held["unknown_tag"]["topic"] == "import/历史.csv"
    assert (held["future"]["tag"], held["future"]["last_value"]) == ("FT-1", 20)


async def test_parquet_and_csv_say_the_same(database, db, park, tmp_path, write, monkeypatch):
    rows = rows_of(2)
    columns = list(zip(*rows, strict=True))
    table = pa.table(
        {
            "t": pa.array([t * 1000 for t in columns[0]], pa.timestamp("us", "UTC")),
            "FT-1": pa.array(columns[1], pa.float64()),
            "JQ-1": pa.array(columns[2], pa.float64()),
            "XS-1": pa.array([None if v is None else bool(v) for v in columns[3]], pa.bool_()),
            "other": pa.array(["x"] * len(rows)),
        }
    )
    pyarrow.parquet.write_table(table, tmp_path / "history.parquet")
    map_path = write("map.toml", WIDE)
    await run_import(database, park, [write("history.csv", text_of(rows))], map_path, END_MS)
    expected = await everything(db)
    await empty(db)
    monkeypatch.setattr(chunks, "CHUNK_SAMPLES", 300)
    await run_import(database, park, [tmp_path / "history.parquet"], map_path, END_MS)
    assert await everything(db) == expected


@pytest.mark.parametrize(
    "column",
    [pa.array([[1.0], [2.0]]), pa.array([1, 2], pa.timestamp("s")), pa.array([b"--", b"x"])],
    ids=["lists", "times", "bytes"],
)
def test_column_of_a_type_that_holds_no_numbers_is_named(park, tmp_path, write, column):
    file = tmp_path / "history.parquet"
    pyarrow.parquet.write_table(pa.table({"t": pa.array([T0, T0 + 1]), "F": column}), file)
    map_path = write("map.toml", 'time="t"\nformat="ms"\n[columns]\nF="acme/FT-1"\n')
    with pytest.raises(ModelError) as caught:
        check(park, [file], map_path)
    (problem,) = caught.value.problems
    assert "column 'F'" in problem
    assert "is not a number" in problem


WRONG = """
fromat = "iso"
time = "Zeit"
stamp = "end"
timezone = "Mars/Olympus"
[columns]
"Usage" = {tag = "acme/JT-1", uom = "t", as = "interval"}
"FT-1" = "acme/FT-11"
"XS-1" = {tag = "acme/XS-1", as = "interval", uom = "h"}
"TT-1" = {tag = "acme/TT-1", uom = "bar"}
"TT-2" = "acme/TT-1"
"""


def test_all_problems_of_map_and_header_are_named_at_once(park_folder, write):
    park = with_meter(park_folder)
    file = write("history.csv", "zeit,Usage,FT-1,XS-1,TT-1,TT-1\n2025-01-01,1,1,1,1,1\n")
    with pytest.raises(ModelError) as caught:
        check(park, [file], write("map.toml", WRONG))
    problems = [problem.removeprefix(f"{file.parent}/") for problem in caught.value.problems]
    assert len(problems) == 11
    for path, words in [
        ("map.toml:2:", "did you mean 'format'"),
        ("map.toml:4:", 'interval = "15 min"'),
        ("map.toml:5:", "not an IANA time zone"),
        ("map.toml:7:", 'interval = "15 min"'),
        ("map.toml:8:", "did you mean"),
        ("map.toml:9:", "a state of state"),
        ("map.toml:10:", "'bar' is not a unit of temperature"),
        ("map.toml:11:", "taken by 'TT-1'"),
        ("history.csv:1:", "no column 'Zeit', did you mean 'zeit'?"),
        ("history.csv:1:", "no column 'TT-2'"),
        ("history.csv:1:", "column 'TT-1' is there twice"),
    ]:
        assert any(p.startswith(path) and words in p for p in problems), (path, problems)


def test_interval_longer_than_the_gap_is_a_problem_with_its_mend(park_folder, write):
    park = with_meter(park_folder, "")
    with pytest.raises(ModelError) as caught:
        check(park, [write("steel.csv", steel(1)[0])], write("map.toml", STEEL))
    (problem,) = caught.value.problems
    assert '[[gap]] tag = "acme/JT-1" gap = "15 min"' in problem


@pytest.mark.parametrize(
    ("text", "mend"),
    [
        ("t,FT-1\n13/02/2025 00:15,1\n", 'write format = "%d/%m/%Y %H:%M"'),
        ("t;FT-1\n2025-02-01;1,5\n2025-02-02;2,5\n", 'write decimal = ","'),
        ('t,FT-1\n2025-02-01,"1,234.5"\n', 'write thousands = ","'),
        ("t,FT-1\n2025-02-01,on\n", "name its words"),
        ("t,FT-1\n", "no rows"),
    ],
)
def test_first_rows_that_do_not_fit_are_named_with_the_mend(park, write, text, mend):
    map_path = write("map.toml", 'time = "t"\n[columns]\nFT-1 = "acme/FT-1"\n')
    with pytest.raises(ModelError) as caught:
        check(park, [write("history.csv", text)], map_path)
    (problem,) = caught.value.problems
    assert mend in problem


def test_dry_run_shows_the_first_rows_without_a_database(park_folder, write, capsys):
    with_meter(park_folder)
    file, map_path = write("steel.csv", steel(1)[0]), write("map.toml", STEEL)
    words = [str(file), "--map", str(map_path), "--park", str(park_folder), "--dry-run"]
    assert main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    first = next(csv.DictReader(steel(1)[0].removeprefix("\ufeff").splitlines()))
    power = f"{float(first['Usage_kWh']) * 4:.9g}"
    assert lines[1].split() == [
        "2018-01-01", "00:00:00+08:00", "acme/JT-1", power, "kW", "quality", "0,", "good"
    ]  # fmt: skip


def read(texts, form="iso", zone="Asia/Shanghai", **more):
    """Return times as texts in UTC, None where there is none."""
    result = times([pa.array(texts)], Clock(("t",), form, ZoneInfo(zone), **more))
    return [None if t == NO_TIME else str(np.datetime64(int(t) // 10**6, "s")) for t in result]


@pytest.mark.parametrize(
    ("text", "form", "expected"),
    [
        ("2018-01-01 00:15", "iso", "2017-12-31T16:15:00"),
        ("2018-01-01T00:15:00.1234567", "iso", "2017-12-31T16:15:00"),
        ("2018-01-01T00:15:00Z", "iso", "2018-01-01T00:15:00"),
        ("2018-01-01 00:15:00+09:00", "iso", "2017-12-31T15:15:00"),
        ("2018-01-01 24:00", "iso", "2018-01-01T16:00:00"),
        (" 2018-01-01 00:15 ", "iso", "2017-12-31T16:15:00"),
        ("2018-01-01", "iso", "2017-12-31T16:00:00"),
        ("1/2/2018 0:15", "%d/%m/%Y %H:%M", "2018-01-31T16:15:00"),
        ("31/02/2018 00:15", "%d/%m/%Y %H:%M", None),
        ("29/02/2024 24:00", "%d/%m/%Y %H:%M", "2024-02-29T16:00:00"),
        ("2018年1月1日 00:15", "%Y年%m月%d日 %H:%M", "2017-12-31T16:15:00"),
        ("01.01.2018 00:15:07.25", "%d.%m.%Y %H:%M:%S.%f", "2017-12-31T16:15:07"),
        ("1514736900", "s", "2017-12-31T16:15:00"),
        ("1514736900000", "ms", "2017-12-31T16:15:00"),
        ("1514736900000000123", "ns", "2017-12-31T16:15:00"),
        ("43101.010416666664", "excel", "2017-12-31T16:15:00"),
        ("1e300", "s", None),
        ("-5", "s", None),
        ("1918-01-01", "iso", None),
        ("yesterday", "iso", None),
    ],
)
def test_time_is_read_in_the_form_of_the_map(text, form, expected):
    assert read([text], form) == [expected]
    # One that cannot be read takes no other with it.
    assert read([text, "x", None, text], form) == [expected, None, None, expected]


def test_times_of_the_nights_when_clocks_are_set_are_none():
    berlin = ["2024-03-31 01:59", "2024-03-31 02:30", "2024-10-27 02:30", "2024-10-27 03:00"]
    assert read(berlin, zone="Europe/Berlin") == [
        "2024-03-31T00:59:00", None, None, "2024-10-27T02:00:00"
    ]  # fmt: skip


def test_day_and_month_that_could_be_either_are_both_suggested():
    assert guess_forms([pa.array(["01/02/2018 00:15", "03/04/2018 0:15"])]) == [
        "%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M"
    ]  # fmt: skip
    assert guess_forms([pa.array(["13/02/2018 00:15"])]) == ["%d/%m/%Y %H:%M"]


def test_cell_that_is_no_number_is_wrong_alone():
    form = Form(null=("--",), words={"运行": 1.0})
    texts = ["1", "2,5", "x", "--", "", None, " 3 ", "运行", "TRUE", "nan"]
    value, given, wrong = numbers(pa.array(texts), form)
    np.testing.assert_equal(value[~wrong], [1, np.nan, np.nan, np.nan, 3, 1, 1, np.nan])
    assert given.tolist() == [True] * 4 + [False] * 2 + [True] * 4
    assert np.flatnonzero(wrong).tolist() == [1, 2]


def test_point_in_a_file_with_decimal_commas_is_wrong():
    value, _, wrong = numbers(pa.array(["1.234", "2,5"]), Form(decimal=","))
    assert wrong.tolist() == [True, False]
    assert value[1] == 2.5
    value, _, _ = numbers(pa.array(["1.234,5", "-2,5"]), Form(decimal=",", thousands="."))
    assert value.tolist() == [1234.5, -2.5]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_encoding_and_delimiter_are_found_out(
    park, write, capsys, park_folder, encoding, delimiter
):
    lines = ["时间,流量,备注", "2025-01-01 08:00,36.4,正常", '2025-01-01 08:01,36.5,"a"']
    text = "\n".join(line.replace(",", delimiter) for line in lines)
    file = write("历史.csv", text.encode(encoding))
    map_path = write("map.toml", 'time = "时间"\n[columns]\n"流量" = "acme/FT-1"\n')
    assert main([str(file), "--map", str(map_path), "--park", str(park_folder), "--dry-run"]) == 0
    reported = capsys.readouterr().out
    assert "2025-01-01 08:00:00+08:00  acme/FT-1  36.4 t/h  quality 0" in reported
    assert "2025-01-01 08:01:00+08:00  acme/FT-1  36.5 t/h" in reported


async def test_rows_of_another_shape_are_counted_and_the_others_stored(database, db, park, write):
    text = f"t,FT-1\n{T0},1\n{T0 + 1000},1,5\n{T0 + 2000}\n\n{T0 + 3000},1e200\n{T0 + 4000},2\n"
    file = write("history.csv.gz", gzip.compress(text.encode()))
    map_path = write("map.toml", 'time="t"\nformat="ms"\n[columns]\nFT-1="acme/FT-1"\n')
    (counts,) = await run_import(database, park, [file], map_path)
    assert counts == {"rows": 4, "new": 2, "bad_shape": 1, "not_finite": 1}
    assert [value for _, value, _ in await samples(db)] == [1, 2]
