"""Workbooks of spreadsheet programs as they come."""

import zipfile
from datetime import datetime, timedelta

import pytest

from tests.support.imported import problems, read_file, utc_times, values
from tests.support.workbook import write_workbook

WIDE = 'time = "t"\ntimezone = "Etc/UTC"\n{}\n[columns]\n"kW" = "acme/FT-1"\n'
BEGIN = datetime(2023, 1, 5)  # noqa: DTZ001
TIMES = [BEGIN + timedelta(minutes=15 * n) for n in range(3)]
SERIALS = [44931 + n / 96 for n in range(3)]


@pytest.mark.parametrize(
    ("cells", "form"),
    [
        (TIMES, "iso"),
        (TIMES, "%d/%m/%Y %H:%M"),  # what the sheet displays
        (TIMES, "excel"),
        (SERIALS, "excel"),
        (SERIALS, "iso"),  # dates that lost their format
        ([TIMES[0], SERIALS[1], "05/01/2023 00:30"], "%d/%m/%Y %H:%M"),
        (["05/01/2023", "05/01/2023 00:15", "05/01/2023 00:30"], "%d/%m/%Y %H:%M"),
    ],
)
def test_dates_of_a_sheet_are_read_as_dates_serial_numbers_or_texts(
    park, tmp_path, write, cells, form
):
    rows = [["t", "kW"], *([cell, n + 0.5] for n, cell in enumerate(cells))]
    path = write_workbook(tmp_path / "a.xlsx", {"Sheet1": rows})
    map_path = write("map.toml", WIDE.format(f'format = "{form}"'))
    assert utc_times(park, path, map_path) == ["01-05 00:00", "01-05 00:15", "01-05 00:30"]
    assert values(park, path, map_path) == [0.5, 1.5, 2.5]


def test_one_sheet_of_several_is_read(park, tmp_path, write):
    table = [["t", "kW"], [BEGIN, 7]]
    path = write_workbook(tmp_path / "a.xlsx", {"Notes": [["by hand"]], "数据": table})
    assert values(park, path, write("map.toml", WIDE.format('sheet = "数据"'))) == [7]
    assert "no column 't'" in problems(park, path, write("map.toml", WIDE.format("")))
    problem = problems(park, path, write("map.toml", WIDE.format('sheet = "Note"')))
    assert "no sheet 'Note', did you mean 'Notes'?; it has 'Notes', '数据'" in problem


def test_a_merged_title_and_header_are_read(park, tmp_path, write):
    rows = [
        ["Report of January", None, None, None], [],
        ["Time", "Line 1", None, "Line 2"], [None, "kW", "T", "kW"],
        [BEGIN, 1, "20 °C", 3], [None] * 4, [TIMES[1], "2,5", None, 4],
    ]  # fmt: skip
    path = write_workbook(
        tmp_path / "a.xlsx", {"S": rows}, merged=["A1:D1", "A3:A4", "B3:C3", "D3:D3"]
    )
    text = 'time = "Time"\nskip_rows = 2\nheader = 2\ndecimal = ","\n[columns]\n'
    map_path = write("map.toml", f'{text}"Line 1 kW" = "acme/FT-1"\n"Line 1 T" = "acme/TT-1"\n')
    rows, refused = read_file(park, path, map_path)
    assert refused == {}
    assert [(tag, round(value, 9)) for _, tag, value, _ in rows] == [
        ("FT-1", 1), ("TT-1", 20), ("FT-1", 2.5)
    ]  # fmt: skip


def test_a_table_that_begins_below_and_right_of_the_corner_is_read(park, tmp_path, write):
    rows = [[], [], [None, "t", "kW"], [None, BEGIN, 1], [None, TIMES[1], 2]]
    path = write_workbook(tmp_path / "a.xlsx", {"S": rows})
    assert values(park, path, write("map.toml", WIDE.format("skip_rows = 2"))) == [1, 2]


def test_a_workbook_in_a_zip_and_by_another_name_is_read(park, tmp_path, write):
    path = write_workbook(tmp_path / "a.dat", {"S": [["t", "kW"], [BEGIN, 1]]})
    map_path = write("map.toml", WIDE.format(""))
    assert values(park, path, map_path) == [1]
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        packed.write(path, "b.xlsx")
    assert values(park, tmp_path / "a.zip", map_path) == [1]


def test_a_workbook_that_is_too_large_unpacked_is_refused(park, tmp_path, write, monkeypatch):
    path = write_workbook(tmp_path / "a.xlsx", {"S": [["t", "kW"], [BEGIN, 1]]})
    monkeypatch.setattr("ingest.file_import.sheets.WORKBOOK_BYTES", 1000)
    problem = problems(park, path, write("map.toml", WIDE.format("")))
    assert "larger than" in problem
    assert "save the sheet as CSV" in problem
