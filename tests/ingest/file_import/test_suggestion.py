"""`parktwin import --suggest`: first maps of files as they come, and how sure they are."""

import time
import zipfile
from datetime import datetime, timedelta

import pyarrow as pa
import pyarrow.parquet
import pytest

from ingest.file_import.__main__ import main
from ingest.file_import.suggestion import suggest_map
from tests.ingest.file_import.test_field_files import NEM12
from tests.support.imported import read_file
from tests.support.small_history import with_meter
from tests.support.workbook import write_workbook
from twin.loading import load_park

BEGIN = datetime(2023, 1, 5)  # noqa: DTZ001
STAMPS = [BEGIN + timedelta(minutes=15 * n) for n in range(200)]


def table(form="%Y-%m-%d %H:%M", header="t,FT-1,TT-1", row="{t},{v},20", stamps=STAMPS):
    lines = [row.format(t=stamp.strftime(form), v=n % 50) for n, stamp in enumerate(stamps)]
    return "\n".join([header, *lines]) + "\n"


def suggest(park_folder, file, capsys):
    """Return the suggested map of a file, and what a dry run by it says; None: it fails."""
    capsys.readouterr()
    map_path = file.parent / f"map-{time.monotonic_ns()}.toml"
    park = ["--park", str(park_folder)]
    assert main([str(file), "--suggest", "--map", str(map_path), *park]) == 0
    status = main([str(file), "--map", str(map_path), "--dry-run", *park])
    reported = capsys.readouterr()
    return map_path.read_text(), reported.out if status == 0 else None


SHAPES = {
    "iso": table(),
    "day first, by the steps": table("%d/%m/%Y %H:%M"),
    "month first, by the day": table("%m/%d/%Y %H:%M", stamps=STAMPS * 8),
    "points and seconds": table("%d.%m.%Y %H:%M:%S"),
    "half days": table("%Y/%m/%d %p %I:%M:%S"),
    "year in Chinese": table("%Y年%m月%d日 %H:%M"),
    "name of the month": table("%d-%b-%Y %H:%M"),
    "offset": table("%Y-%m-%d %H:%M:%S+08:00"),
    "offset behind a day-first date": table("%d/%m/%Y %H:%M +0800"),
    "epoch": "t,FT-1,TT-1\n" + "".join(f"{1672848000 + 900 * n},{n % 50},20\n" for n in range(200)),
    "comma before the fraction": table("%d.%m.%Y %H:%M:%S,250", "t;FT-1;TT-1", "{t};{v};20"),
    "decimal comma": table(header="t;FT-1;TT-1", row="{t};{v},5;\u22120,5"),
    "delimiter more": table(row="{t},{v},20,"),
    "delimiter more in the header": table(header="t,FT-1,TT-1,"),
    "units in the header": table(header="Time,FT-1 [kg/h],TT-1 (°C)"),
    "units below the header": table(header="Time,FT-1,TT-1\n,t/h,degC"),
    "units in the cells": table(row="{t},{v} kg/h,20 °C"),
    "lines above the header": table(header="Report of the park\nby hand\n\nt,FT-1,TT-1"),
    "header of two rows": table(header="t,acme,\n,FT-1,TT-1"),
    "date and time of day": table("%Y-%m-%d,%H:%M", header="date,time,FT-1,TT-1"),
    "range": table("%d.%m.%Y %H:%M - 23:59"),
    "short rows": table(row="{t},{v}"),
    "side by side": table("%Y-%m-%d %H:%M", "Timestamp,FT-1,Timestamp,TT-1", "{t},{v},{t},20"),
    "side by side with names of their own": table(
        "%Y-%m-%d %H:%M", "FT-1 time,FT-1,TT-1 time,TT-1", "{t},{v},{t},20"
    ),
    "logger with four rows of header": table(
        header='"TOA5","station"\n"TIMESTAMP","FT-1","TT-1"\n"TS","t/h","Deg C"\n"","Avg","Smp"',
        row='"{t}",{v},20',
    ),
    "tags over pairs of columns": table(
        header="FT-1,,TT-1,\nTimestamp,Value,Timestamp,Value", row="{t},{v},{t},20"
    ),
    "tags between times without a name": table(
        "%d-%b-%y %H:%M:%S", header=",acme/FT-1,,acme/TT-1", row="{t},{v},{t},20"
    ),
    "serial numbers without a name": ",FT-1,,TT-1\n"
    + "".join(f"{44931 + n / 96:.10f},{n % 50},{44931 + n / 96:.10f},20\n" for n in range(200)),
    "qualities of OPC in columns of their own": table(
        header="t,FT-1,FT-1 status,TT-1,TT-1.Quality", row="{t},{v},192,20,192"
    ),
    "points before a year": table("%d.%m.%Y %H:%M", stamps=STAMPS[:40]),
    "start and end": table("%Y-%m-%d %H:%M", header="from,to,FT-1,TT-1", row="{t},{t},{v},20"),
    "long": table(header="time,tag,value", row="{t},FT-1,{v}\n{t},acme/TT-1,20"),
    "long with qualities and units": table(
        header="time,tag,value,unit,quality", row="{t},FT-1,{v},t/h,192\n{t},acme/TT-1,20,degC,192"
    ),
    "long in Chinese": table(header="时间;点名;值", row="{t};FT-1;{v}\n{t};acme/TT-1;20"),
    "excel": "t;FT-1;TT-1\n"
    + "".join(f"{44931 + n / 96:.10f};{n % 50};20\n".replace(".", ",") for n in range(200)),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_the_suggested_map_of_a_shape_is_good_for_a_dry_run(park_folder, write, capsys, shape):
    file = write("a.csv", SHAPES[shape])
    text, reported = suggest(park_folder, file, capsys)
    assert reported is not None, text
    first = {"decimal comma": "0.5"}.get(shape, "0")
    fraction = ".250000" if "fraction" in shape else ""
    assert f"2023-01-05 00:00:00{fraction}+08:00  acme/FT-1  {first} t/h" in reported, text
    if shape != "short rows":
        assert "acme/TT-1" in reported
    assert "skipped" not in reported


def test_the_suggested_map_reads_every_row(park_folder, park, write, capsys):
    for shape in ("day first, by the steps", "side by side", "long", "decimal comma"):
        file = write("a.csv", SHAPES[shape])
        text, _ = suggest(park_folder, file, capsys)
        rows, refused = read_file(park, file, write("map.toml", text))
        assert (len(rows), refused) == (400, {})


def test_day_and_month_that_nothing_tells_apart_are_left_to_a_person(park_folder, write, capsys):
    file = write("a.csv", table("%d/%m/%Y %H:%M", stamps=STAMPS[:90]))
    text, reported = suggest(park_folder, file, capsys)
    assert reported is None
    assert "To decide: the form of the time" in text
    assert '# format = "%d/%m/%Y %H:%M"  # 05/01/2023 00:00 is 2023-01-05T00:00' in text
    assert '# format = "%m/%d/%Y %H:%M"  # 05/01/2023 00:00 is 2023-05-01T00:00' in text
    assert "\nformat = " not in text


def test_a_date_of_the_future_decides_between_day_and_month(park, write):
    stamps = [datetime(2023, 1, 12) + timedelta(minutes=n) for n in range(9)]  # noqa: DTZ001
    file = write("a.csv", table("%d/%m/%Y %H:%M", stamps=stamps))
    day_us = 86_400_000_000
    january_us, later_us = 19_370 * day_us, 20_000 * day_us
    text = suggest_map(park, file, january_us)
    assert 'format = "%d/%m/%Y %H:%M"  # likely: read otherwise (%m/%d/%Y %H:%M), times' in text
    assert "To decide: the form of the time" in suggest_map(park, file, later_us)


def test_rows_that_are_no_data_do_not_hide_the_form_of_the_others(park_folder, write, capsys):
    for form, header, sum_row in (
        ("%d/%m/%Y %H:%M", "t,FT-1,TT-1", "Sum of all,99,99"),
        ("%d/%m/%Y,%H:%M", "date,time,FT-1,TT-1", "Sum of all,,99,99"),
    ):
        text = table(form, header, stamps=STAMPS * 5) + f"n.a.,,\n{sum_row}\n"
        suggested, reported = suggest(park_folder, write("a.csv", text), capsys)
        assert 'format = "%d/%m/%Y %H:%M"' in suggested
        assert reported is not None


def test_a_comma_that_may_be_of_thousands_is_left_to_a_person(park_folder, write, capsys):
    file = write("a.csv", table(header="t;FT-1;TT-1", row="{t};1,234;20"))
    text, _ = suggest(park_folder, file, capsys)
    assert "To decide: the comma of numbers" in text
    assert "# thousands" in text


def test_names_with_line_ends_do_not_break_the_map(park_folder, write, capsys):
    header = 't,FT-1,"a\n[x]\x7f","TT-1\nmean"'
    file = write("a.csv", table(header=header, row="{t},{v},no,20"))
    text, reported = suggest(park_folder, file, capsys)
    assert reported is not None, text
    assert '"TT-1\\nmean" = "acme/TT-1"' in text
    assert "acme/TT-1  20 degC" in reported


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "gb18030", "cp1252"])
def test_the_encoding_is_stated_with_how_sure_it_is(park_folder, write, capsys, encoding):
    name = "TT-1 [°C]" if encoding == "cp1252" else "TT-1 流量"
    file = write("a.csv", table(header=f"t,FT-1,{name}").encode(encoding))
    text, reported = suggest(park_folder, file, capsys)
    assert reported is not None, text
    assert "acme/TT-1" in reported
    sure = "likely" if encoding in ("gb18030", "cp1252") else "sure"
    assert f"# {sure}: " in text[text.index("encoding") :].splitlines()[0]


def test_amounts_of_intervals_are_told_with_what_they_need(park_folder, write, capsys):
    with_meter(park_folder, "")
    ends = [stamp + timedelta(minutes=15) for stamp in STAMPS[:192]]
    file = write("a.csv", table(header="t,JT-1 [kWh],TT-1", stamps=ends))
    text, reported = suggest(park_folder, file, capsys)
    assert reported is not None, text
    assert '[[gap]] tag = "acme/JT-1" gap = "15 min"' in text
    with (park_folder / "park.toml").open("a") as park:
        park.write('\n[[gap]]\ntag = "acme/JT-1"\ngap = "15 min"\n')
    text, reported = suggest(park_folder, file, capsys)
    assert '"JT-1 [kWh]" = { tag = "acme/JT-1", uom = "kWh", as = "interval" }' in text
    assert 'stamp = "end"  # likely' in text
    assert "2023-01-05 00:15:00+08:00  acme/JT-1  4 kW" in reported


def test_a_midnight_that_ends_its_day_is_told(park_folder, write, capsys):
    lines = [
        f"{day:02d}/01/2023 {n * 15 // 60 % 24:02d}:{n * 15 % 60:02d},1,20"
        for day in range(1, 20)
        for n in range(1, 97)
    ]
    text, reported = suggest(
        park_folder, write("a.csv", "\n".join(["t,FT-1,TT-1", *lines])), capsys
    )
    assert reported is not None, text
    assert 'midnight = "end"  # sure' in text


@pytest.mark.parametrize("count", [96, 48, 24])
@pytest.mark.parametrize("named", [True, False])
def test_a_day_in_a_row_is_recognised(park_folder, write, capsys, count, named):
    head = ["日期", *(["点名"] if named else []), *(f"{n}" for n in range(1, count + 1)), "合计"]
    rows = [
        [f"2023-01-{day:02d}", *(["FT-1"] if named else []), *["1"] * count, "99"]
        for day in range(1, 6)
    ]
    file = write("FT-1.csv", "\n".join(map(",".join, [head, *rows])))
    text, reported = suggest(park_folder, file, capsys)
    assert f'first = "1"\nlast = "{count}"' in text
    assert "a row for each day" in text
    assert reported is not None, text
    assert reported.count("acme/FT-1  1 t/h") == 20
    if not named:
        assert '\ntag = "acme/FT-1"  # likely: by the name of the file' in text
        file = write("x.csv", file.read_text())
        text, reported = suggest(park_folder, file, capsys)
        assert reported is None
        assert "To decide: which tag the values are of" in text


def test_nem12_is_recognised(park_folder, write, capsys):
    half, quarter = ",".join(["0.5"] * 48), ",".join(["0"] * 96)
    file = write("a.csv", NEM12.format(half, half, quarter))
    text, reported = suggest(park_folder, file, capsys)
    assert reported is not None, text
    assert 'form = "nem12"' in text
    assert '# "NEM1201009 E1" = "…"' in text


def test_a_workbook_a_zip_and_a_parquet_file_get_maps(park_folder, park, tmp_path, capsys):
    rows = [
        ["Time", "FT-1", "TT-1 [K]"],
        *([stamp, n % 50, 293.15] for n, stamp in enumerate(STAMPS)),
    ]
    sheets = {"Notes": [["by hand"]], "S": [["Report"], [], *rows]}
    files = [write_workbook(tmp_path / "a.xlsx", sheets)]
    assert 'sheet = "S"  # the first with a table; also: Notes' in suggest_map(park, files[0], 0)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        packed.writestr("b.csv", table(header="Time,FT-1,TT-1 [K]"))
    columns = [pa.array(column) for column in zip(*rows[1:], strict=True)]
    pyarrow.parquet.write_table(pa.table(columns, names=rows[0]), tmp_path / "a.parquet")
    for file in (*files, tmp_path / "a.zip", tmp_path / "a.parquet"):
        text, reported = suggest(park_folder, file, capsys)
        assert reported is not None, text
        assert "2023-01-05 00:15:00+08:00  acme/FT-1  1 t/h" in reported
        assert 'uom = "K"' in text


def test_tags_are_matched_by_description_and_ties_are_named(park_folder, write, capsys):
    for folder in ("other",):
        with (park_folder / "tags.csv").open("a") as tags:
            tags.write(f"FT-1,acmepark/{folder},mass_flow,t/h,gauge,0,100,1 %,\n")
    load_park(park_folder)
    file = write("a.csv", table(header="t,FT-1,a temperature"))
    text, _ = suggest(park_folder, file, capsys)
    # The temperature is of acme, so the flow of that enterprise is the likelier one.
    assert '"a temperature" = "acme/TT-1"  # score 0.95' in text
    assert '"FT-1" = "acme/FT-1"  # score 1.00; else other/FT-1 1.00' in text
    file = write("b.csv", table(header="t,FT-1,x"))
    text, _ = suggest(park_folder, file, capsys)
    assert "To decide: which tag 'FT-1' is" in text
    assert '# "FT-1" = ' in text
    assert '# "x" = "…"  # no tag of the park is like it' in text


def test_a_file_without_a_table_gets_a_sentence_and_no_map(park_folder, write, capsys):
    map_path = park_folder / "new.toml"
    words = ["--suggest", "--map", str(map_path), "--park", str(park_folder)]
    assert main([str(write("a.csv", "hello\nworld\n")), *words]) == 2
    assert "has a time and a number" in capsys.readouterr().err
    assert main([str(write("a.pdf", b"%PDF")), *words]) == 2
    assert not map_path.exists()
    map_path.write_text("mine")
    assert main([str(write("b.csv", table())), *words]) == 2
    assert map_path.read_text() == "mine"
    assert main([str(write("b.csv", table())), "--suggest", "--park", str(park_folder)]) == 0
    assert "[columns]" in capsys.readouterr().out
