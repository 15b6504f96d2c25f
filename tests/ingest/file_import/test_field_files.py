"""Files as programs and people in the field write them: shapes, marks, units, qualities."""

import gzip
import io
import zipfile

import pyarrow as pa
import pyarrow.parquet
import pytest

from ingest.file_import.__main__ import main
from tests.support.imported import problems, read_file, utc_times, values
from twin import quality as q

WIDE = 'time = "t"\ntimezone = "Etc/UTC"\n{}\n[columns]\n"{}" = "acme/FT-1"\n'
LONG = 'time="t"\ntimezone="Etc/UTC"\ntag="tag"\nvalue="v"\nenterprise="acme"\n'


def wide(more="", column="kW"):
    return WIDE.format(more, column)


@pytest.mark.parametrize(
    "text",
    [
        "t,kW,\n2023-01-01 00:00,1\n2023-01-01 00:15,2\n",
        "t;kW\n2023-01-01 00:00;1;\n2023-01-01 00:15;2;\n",
        "t;kW;\n2023-01-01 00:00;1;\n2023-01-01 00:15;2;\n",
        "t\tkW\t\t\n2023-01-01 00:00\t1\n2023-01-01 00:15\t2\t\n",
        "t,kW\n2023-01-01 00:00,1,,\n2023-01-01 00:15,2\n",
        't,kW\n"2023-01-01 00:00",1,""\n2023-01-01 00:15,2, \n',
        "sep=;\nt;kW\n2023-01-01 00:00;1\n2023-01-01 00:15;2\n",
        "t,kW\r2023-01-01 00:00,1\r2023-01-01 00:15,2\r",
    ],
)
def test_a_delimiter_more_at_the_end_of_header_or_rows_is_read(park, write, text):
    file, map_path = write("a.csv", text), write("map.toml", wide())
    assert values(park, file, map_path) == [1, 2]


def test_rows_with_more_cells_than_the_header_are_named(park, write):
    file = write("a.csv", "t,kW\n2023-01-01 00:00,1,5\n2023-01-01 00:15,2,5\n")
    problem = problems(park, file, write("map.toml", wide()))
    assert "this does not fit: '2023-01-01 00:00,1,5'" in problem


def test_rows_that_lack_their_last_cells_keep_their_others(park, write):
    text = "t,kW,T\n2023-01-01 00:00,1,20\n2023-01-01 00:15,2\n2023-01-01 00:30\n,,\n"
    map_path = write("map.toml", wide() + '"T" = "acme/TT-1"\n')
    rows, refused = read_file(park, write("a.csv", text), map_path)
    assert [(tag, value) for _, tag, value, _ in rows] == [("FT-1", 1), ("TT-1", 20), ("FT-1", 2)]
    assert refused == {}


def test_short_rows_do_not_move_where_an_import_goes_on(park, write, monkeypatch):
    monkeypatch.setattr("ingest.file_import.text_files.BLOCK_BYTES", 100)
    lines = [f"2023-01-01 {n // 60:02d}:{n % 60:02d},{n}" + ",9" * (n % 3 > 0) for n in range(90)]
    file = write("a.csv", "t,kW,x\n" + "\n".join(lines))
    assert values(park, file, write("map.toml", wide())) == list(range(90))


def test_a_file_without_header_is_read_by_the_numbers_of_its_columns(park, write):
    file = write("a.csv", "2023-01-01 00:00,x,1\n2023-01-01 00:15,x,2\n")
    map_path = write("map.toml", wide("header = false", "3").replace('"t"', '"1"'))
    assert values(park, file, map_path) == [1, 2]
    more = problems(park, file, write("map.toml", wide("header = false", "4")))
    assert "no column '4'" in more
    assert "it has '1', '2', '3'" in more


def test_a_header_of_two_rows_is_joined_and_a_row_of_units_left_out(park, write):
    text = (
        "Report,,,\nTime,Line 1,,Line 2\n,kW,T,kW\n,t/h,degC,t/h\n2023-01-01 00:00,1,20,3\n"
        "2023-01-01 00:15,2,21,4\n"
    )
    more = "skip_rows = 1\nheader = 2\nskip_below = 1"
    map_path = write("map.toml", wide(more, "Line 1 kW").replace('"t"', '"Time"'))
    assert values(park, write("a.csv", text), map_path) == [1, 2]


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["1.5", "\u22120.5", "2.5"], [1.5, -0.5, 2.5]),
        (["1.5", "\u20130.5", "-2.5"], [1.5, -0.5, -2.5]),
        (["１．５", "－０．５", "＋２"], [1.5, -0.5, 2]),
        (["1.5 t/h", "0.5t/h", "2500 kg/h"], [1.5, 0.5, 2.5]),
        (["1.5", "0.5 t/h", "500 kg/h"], [1.5, 0.5, 0.5]),
    ],
)
def test_signs_and_units_in_cells_are_read(park, write, cells, expected):
    rows = "\n".join(f"2023-01-01 00:{n:02d},{cell}" for n, cell in enumerate(cells))
    file, map_path = write("a.csv", "t,kW\n" + rows), write("map.toml", wide())
    assert values(park, file, map_path) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("cells", "more", "expected"),
    [
        (["1,5", "\u22120,5"], 'decimal = ","', [1.5, -0.5]),
        (["1\u202f234,5 kg/h", "1\u00a0000 kg/h"], 'decimal = ","\nthousands = " "', [1.2345, 1]),
        (["1’234.5 kg/h", "1'000 kg/h"], 'thousands = "\'"', [1.2345, 1]),
    ],
)
def test_decimal_comma_and_typeset_thousands_are_read(park, write, cells, more, expected):
    rows = "\n".join(f"2023-01-01 00:{n:02d};{cell}" for n, cell in enumerate(cells))
    file, map_path = write("a.csv", "t;kW\n" + rows), write("map.toml", wide(more))
    assert values(park, file, map_path) == pytest.approx(expected)


def test_temperatures_with_their_unit_are_read(park, write):
    text = "t;T\n2023-01-01 00:00;20 °C\n2023-01-01 00:15;21℃\n2023-01-01 00:30;295.15 K\n"
    map_path = write("map.toml", 'time="t"\n[columns]\nT="acme/TT-1"\n')
    assert values(park, write("a.csv", text), map_path) == pytest.approx([20, 21, 22])


def test_a_unit_that_is_not_of_the_tag_is_refused_with_its_row(park, write):
    text = "t,kW\n2023-01-01 00:00,1 t/h\n2023-01-01 00:15,85%\n2023-01-01 00:30,2 furlongs\n"
    map_path = write("map.toml", wide())
    rows, refused = read_file(park, write("a.csv", text), map_path)
    assert [value for _, _, value, _ in rows] == [1]
    assert refused == {("wrong_uom", "kW"): 2}


def test_a_column_of_units_counts_in_the_long_form(park, write):
    text = "t,tag,v,u\n2023-01-01 00:00,FT-1,1,t/h\n2023-01-01 00:15,FT-1,1000,kg/h\n"
    text += "2023-01-01 00:30,FT-1,3,\n2023-01-01 00:45,TT-1,293.15,K\n"
    rows, refused = read_file(park, write("a.csv", text), write("map.toml", LONG + 'uom = "u"\n'))
    assert [value for _, _, value, _ in rows] == pytest.approx([1, 1, 3, 20])
    assert refused == {}


@pytest.mark.parametrize(
    ("vocabulary", "sent", "expected"),
    [
        ("opc", "192", q.GOOD),
        ("opc", "216", q.GOOD | q.MANUAL),
        ("opc", "24", q.BAD | q.NOT_CONNECTED),
        ("opc", "0", q.BAD),
        ("validity", "1", q.GOOD),
        ("validity", "0", q.BAD),
        ("percent", "100", q.GOOD),
        ("bool", "TRUE", q.GOOD),
        ("opcua", "0x80000000", q.BAD),
        ("ours", "64", q.UNCERTAIN),
    ],
)
def test_qualities_are_read_by_their_vocabulary(park, write, vocabulary, sent, expected):
    more = f'quality = "q"\nqualities = "{vocabulary}"\n'
    file = write("a.csv", f"t,tag,v,q\n2023-01-01 00:00,FT-1,1,{sent}\n")
    (row,), refused = read_file(park, file, write("map.toml", LONG + more))
    assert (row[3], refused) == (expected, {})
    file = write("b.csv", f"t,kW,q,T,q\n2023-01-01 00:00,1,{sent},20,\n")
    wide_map = wide(more) + 'T = "acme/TT-1"\n'
    rows, refused = read_file(park, file, write("map.toml", wide_map))
    assert [row[3] for row in rows] == [expected, q.GOOD]
    assert refused == {}


def test_a_number_as_quality_without_a_vocabulary_is_refused_with_the_mend(
    park, park_folder, write, capsys
):
    file = write("a.csv", "t,tag,v,q\n2023-01-01 00:00,FT-1,1,192\n2023-01-01 00:15,FT-1,1,0\n")
    map_path = write("map.toml", LONG + 'quality = "q"\n')
    rows, refused = read_file(park, file, map_path)
    assert (rows, refused) == ([], {("bad_quality", ""): 2})
    words = [str(file), "--map", str(map_path), "--park", str(park_folder), "--dry-run"]
    assert main(words) == 0
    assert "means nothing without its vocabulary: qualities = one of" in capsys.readouterr().out
    write("map.toml", LONG + 'quality = "q"\nqualities = "opc"\n')
    assert main(words) == 0
    reported = capsys.readouterr().out
    assert "1 t/h  quality 0, good" in reported
    assert "1 t/h  quality 128, bad" in reported


DAY = 'time = "d"\ntimezone = "{}"\nformat = "%Y-%m-%d"\ninterval = "{}"\n'


@pytest.mark.parametrize(("count", "minutes"), [(96, 15), (48, 30), (24, 60)])
def test_a_day_in_a_row_is_read_by_the_columns_of_its_intervals(park, write, count, minutes):
    header = ["d", "name", *(f"p{n}" for n in range(1, count + 1)), "sum"]
    day = ["2023-01-01", "M1", *map(str, range(count)), "0"]
    file = write("a.csv", ",".join(header) + "\n" + ",".join(day) + "\n")
    form = DAY.format("Etc/UTC", f"{minutes} min")
    one = form + f'[day]\nfirst="p1"\nlast="p{count}"\ntag="acme/FT-1"\nuom="kg/h"\n'
    rows, refused = read_file(park, file, write("map.toml", one))
    assert refused == {}
    assert [round(1000 * value, 6) for _, _, value, _ in rows] == list(range(count))
    assert [row[0][11:16] for row in rows[:2]] == [
        "00:00",
        f"{minutes // 60:02d}:{minutes % 60:02d}",
    ]
    many = form + f'tag="name"\n[day]\nfirst="p1"\nlast="p{count}"\n[tags]\nM1="acme/FT-1"\n'
    rows, refused = read_file(park, file, write("map.toml", many))
    assert [value for _, _, value, _ in rows] == list(range(count))
    wrong = one.replace('first="p1"', 'first="p2"')
    assert f"{count - 1} columns" in problems(park, file, write("map.toml", wrong))


def test_the_night_of_a_day_in_a_row_that_the_clock_does_not_show_is_refused(park, write):
    header = ",".join(["d", *(f"{n:02d}:00" for n in range(24))])
    cells = ["1"] * 24
    file = write("a.csv", f"{header}\n2025-03-30,{','.join(cells)}\n2025-03-31,{','.join(cells)}\n")
    more = '[day]\nfirst = "00:00"\nlast = "23:00"\ntag = "acme/FT-1"\n'
    map_path = write("map.toml", DAY.format("Europe/Berlin", "1 h") + more)
    rows, refused = read_file(park, file, map_path)
    assert len(rows) == 47
    assert refused == {("bad_time", "02:00"): 1}


NEM12 = """100,NEM12,200301011534,MDP1,Retailer1
200,NEM1201009,E1B1,1,E1,N1,01009,kWh,30,20030501
300,20030201,{},A,,,20030202120025,20030202142516
300,20030202,{},V,,,20030202120025,20030202142516
400,1,10,A,,,
400,11,48,S14,32,,
200,NEM1201009,E1B1,2,B1,,01009,kWh,15,
300,20030201,{},N,,,20030202120025,
900
"""


def test_records_of_an_australian_meter_are_read(park, write):
    half, quarter = ",".join(["0.5"] * 48), ",".join(["0"] * 96)
    file = write("a.csv", NEM12.format(half, half, quarter))
    names = '"NEM1201009 E1" = "acme/FT-1"\n"NEM1201009 B1" = {tag = "acme/FT-1"}\n'
    map_path = write("map.toml", f'form = "nem12"\n[tags]\n{names}')
    assert "taken by" in problems(park, file, map_path)
    map_path = write("map.toml", 'form = "nem12"\n[tags]\n"NEM1201009 E1" = "acme/FT-1"\n')
    _, refused = read_file(park, file, map_path)
    # Its kilowatts are no flow of mass; the other register is of no tag.
    assert refused == {
        ("wrong_uom", ""): 96, ("unknown_tag (quarantine)", "/NEM1201009 B1"): 96
    }  # fmt: skip


def test_energy_of_an_australian_meter_becomes_power_with_its_quality(
    park_folder, write, with_power
):
    half, quarter = ",".join(["0.5"] * 48), ",".join(["0"] * 96)
    file = write("a.csv", NEM12.format(half, half, quarter))
    map_path = write("map.toml", 'form = "nem12"\n[tags]\n"NEM1201009 E1" = "acme/JT-1"\n')
    rows, _ = read_file(with_power, file, map_path)
    assert len(rows) == 96
    assert {value for _, _, value, _ in rows} == {1.0}  # 0.5 kWh in half an hour
    assert rows[0][0] == "2003-01-31 14:00:00"  # midnight at UTC+10
    assert [row[3] for row in rows[48:]] == [q.GOOD] * 10 + [q.UNCERTAIN | q.SUBSTITUTED] * 38


@pytest.fixture
def with_power(park_folder):
    from tests.support.small_history import with_meter  # noqa: PLC0415

    return with_meter(park_folder)


def test_records_that_do_not_fit_their_meter_are_counted(with_power, write):
    half = ",".join(["0.5"] * 48)
    lines = [
        "100,NEM12,200301011534,MDP1,Retailer1", "200,N1,E1,1,E1,N1,1,kWh,30,",
        f"300,20030201,{half},A,,,,", f"300,20030202,{half},V,,,,",
        f"300,20030203,0.5,{half},A,,,,", "300,20030204,1,2,A", "400,1,x,A,,", "hello", "900",
    ]  # fmt: skip
    map_path = write("map.toml", 'form = "nem12"\n[tags]\n"N1 E1" = "acme/JT-1"\n')
    rows, refused = read_file(with_power, write("a.csv", "\n".join(lines)), map_path)
    assert [row[3] for row in rows] == [q.GOOD] * 48 + [q.UNCERTAIN] * 48
    assert refused == {("bad_shape", ""): 4}
    assert "no days of records" in problems(with_power, write("b.csv", "a,b\n1,2\n"), map_path)


def test_times_and_values_side_by_side_are_read_each_with_its_own_time(park, write):
    text = (
        "Timestamp,kW,Timestamp,T\n01/02/2023 00:00,1,01/02/2023 00:05,20\n"
        "01/02/2023 00:15,2,01/02/2023 00:10,21\n,,01/02/2023 00:15,22\n"
    )
    form = 'time = "Timestamp"\ntimezone = "Etc/UTC"\nformat = "%d/%m/%Y %H:%M"\n'
    map_path = write("map.toml", f'{form}[columns]\nkW = "acme/FT-1"\nT = "acme/TT-1"\n')
    rows, refused = read_file(park, write("a.csv", text), map_path)
    assert refused == {}
    assert [(row[0][11:16], row[1], round(row[2], 6)) for row in rows] == [
        ("00:00", "FT-1", 1), ("00:05", "TT-1", 20), ("00:10", "TT-1", 21),
        ("00:15", "FT-1", 2), ("00:15", "TT-1", 22),
    ]  # fmt: skip


def test_columns_side_by_side_may_name_their_times_or_have_no_names(park, write):
    text = "A time,A,,T\n2023-01-01 00:00,1,2023-01-01 00:05,20\n"
    entries = 'A = {tag = "acme/FT-1"}\nT = {tag = "acme/TT-1", time = "3"}\n'
    map_path = write("map.toml", f'time = "A time"\ntimezone = "Etc/UTC"\n[columns]\n{entries}')
    assert utc_times(park, write("a.csv", text), map_path) == ["01-01 00:00", "01-01 00:05"]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-16", "gb18030", "cp1252"])
@pytest.mark.parametrize("declared", [True, False])
def test_encodings_with_and_without_a_mark_are_read(park, write, encoding, declared):
    name = "T [°C]" if encoding == "cp1252" else "流量"
    text = f"t;{name}\n2023-01-01 00:00;1\n2023-01-01 00:15;2\n"
    file = write("a.csv", text.encode(encoding))
    known = encoding if not encoding.startswith("utf-16") else "utf-16"
    more = f'encoding = "{known}"' if declared else ""
    assert values(park, file, write("map.toml", wide(more, name))) == [1, 2]


def test_a_zip_of_tables_is_read_and_what_is_none_is_named(
    park, park_folder, write, tmp_path, capsys
):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("x/1.csv", "t,kW\n2023-01-01 00:00,1\n")
        packed.writestr("2.csv.gz", gzip.compress(b"t,kW\n2023-01-01 00:15,2\n"))
        packed.writestr("readme.pdf", b"%PDF")
    map_path = write("map.toml", wide())
    assert values(park, path, map_path) == [1, 2]
    command = [str(path), "--map", str(map_path), "--park", str(park_folder), "--dry-run"]
    assert main(command) == 0
    reported = capsys.readouterr().out
    assert "readme.pdf is not read" in reported
    assert "a.zip/x/1.csv: utf-8, 1 rows" in reported


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.pdf", b"%PDF-1.7", "a PDF"),
        ("a.rar", b"Rar!\x1a\x07\x01\x00", "RAR"),
        ("a.xls", b"<html><table><tr><td>1</td></tr></table></html>", "HTML"),
        ("a.xls", b"\xef\xbb\xbf<?xml version='1.0'?><Workbook/>", "HTML or XML"),
        ("a.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, "not a workbook"),
        ("a.csv", b"", "empty"),
        ("a.csv", b"\x00\x01\x02\xff" * 500, "no text"),
        ("a.csv", b"SQLite format 3\0" + b"\0" * 100, "SQLite"),
        ("a.csv.gz", b"\x1f\x8b\x08\x00garbage", "a.csv.gz"),
        ("a.zip", b"PK\x05\x06" + b"\0" * 18, "0 tables"),
        ("a.zip", b"PK\x03\x04garbage", "not a workbook"),
        ("a.parquet", b"PAR1garbage", "a.parquet"),
        ("a.json", b'{"ts": 1}', "JSON"),
        ("a.7z", b"7z\xbc\xaf\x27\x1c", "7-Zip"),
    ],
)
def test_a_file_that_is_no_table_is_named_in_a_sentence(park, write, name, content, words):
    file = write(name, content)
    problem = problems(park, file, write("map.toml", wide()))
    assert words in problem
    assert str(file) in problem


def test_a_folder_in_place_of_a_file_is_named(park, tmp_path, write):
    assert "Is a directory" in problems(park, tmp_path, write("map.toml", wide()))


def test_a_broken_workbook_is_named_in_a_sentence(park, tmp_path, write):
    path = tmp_path / "a.xlsx"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("[Content_Types].xml", "<x/>")
        packed.writestr("xl/worksheets/sheet1.xml", "<x/>")
    problem = problems(park, path, write("map.toml", wide()))
    assert "not a workbook that can be read" in problem
    assert "save it again as .xlsx or CSV" in problem


def test_a_zip_with_a_password_is_named(park, tmp_path, write):
    path, buffer = tmp_path / "a.zip", io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        packed.writestr("a.csv", "t,kW\n2023-01-01,1\n")
    content = bytearray(buffer.getvalue())
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    assert "password" in problems(park, path, write("map.toml", wide()))


def test_parquet_is_known_by_its_content(park, tmp_path, write):
    table = pa.table({"t": pa.array([0], pa.timestamp("us")), "kW": [1.0]})
    pyarrow.parquet.write_table(table, tmp_path / "a.dat")
    assert values(park, tmp_path / "a.dat", write("map.toml", wide())) == [1]
