"""Rows of book data: what is read, and what is refused with row, column and mend."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from tests.support.small_book import PARK, cells
from twin.book.entries import (
    ROWS_MAX,
    BookRow,
    Version,
    compare_with_book,
    date_of,
    decode,
    read_entries,
    read_table,
    with_evidence,
)
from twin.book.periods import parse_period

ZONE = ZoneInfo("Asia/Shanghai")
NOW = round(datetime(2026, 11, 15, tzinfo=ZONE).timestamp() * 1e6)
HEAD = "tag,period,value,uom,evidence,note,reason\n"


def read(*rows):
    return read_entries([BookRow(n, row) for n, row in enumerate(rows, 2)], PARK, NOW)


def entry(*args, **more):
    (result,), problems = read(cells(*args, **more))
    assert problems == []
    return result


@pytest.mark.parametrize(
    ("tag", "period", "value", "uom", "si"),
    [
        ("acme/REVENUE", "2026-10", "1234.5", "", 12_345_000.0),
        ("acme/REVENUE", "2026-10", "1,234.5", "万元", 12_345_000.0),
        ("acme/REVENUE", "2026-10", "１２３４．５", "", 12_345_000.0),
        ("acme/REVENUE", "2026年10月", "0.12345", "亿元", 12_345_000.0),
        ("acme/REVENUE", "2026-10", "12345000", "CNY", 12_345_000.0),
        ("acme/LAND", "2026", "15", "亩", 10_000.0),
        ("acme/LAND", "2026", "1", "hm²", 10_000.0),
        ("acme/LAND", "2026", "1", "公顷", 10_000.0),
        ("acme/STAFF", "2026-Q4", "812", "persons", 812.0),
        ("acme/GRADE", "2026-11-01T08:00", "99.2", "%", 0.992),
        ("other/WASTE", "2026-11-14", "3.5", "吨", 3_500.0),
        ("acme/PERMIT-ENDS", "2026", "2027-03-01", "", 1_803_859_200.0),
    ],
)
def test_value_is_read_in_its_unit_of_measure(tag, period, value, uom, si):
    assert entry(tag, period, value, uom=uom).value == pytest.approx(si, rel=1e-12)


def test_date_is_kept_as_a_date_wherever_the_park_is():
    assert date_of(entry("acme/PERMIT-ENDS", "2026", "2027-03-01").value) == "2027-03-01"
    assert date_of(entry("acme/PERMIT-ENDS", "2025", "1969-12-31").value) == "1969-12-31"


@pytest.mark.parametrize(
    ("args", "wrong"),
    [
        (
            ("acme/REVENU", "2026-10", 1),
            "tag: the park has no tag 'acme/REVENU', did you mean 'acme/REVENUE'?",
        ),
        (
            ("acme/FT-1", "2026-10", 1),
            "tag: 'acme/FT-1' is no tag of the books: park.toml needs its [[book]]",
        ),
        (
            ("acme/REVENUE", "2026", 1),
            "period: '2026' is a year, and the tag has one value a month: write it like 2026-10",
        ),
        (
            ("acme/REVENUE", "2026-11", 1),
            "period: '2026-11' is not over yet, and its amount is not known before",
        ),
        (("acme/LAND", "2027", 1), "period: '2027' has not begun yet"),
        (
            ("acme/REVENUE", "2026-10", "12 万元"),
            "value: '12 万元' is no number: write it like 1234.5; the unit goes into uom",
        ),
        (
            ("acme/REVENUE", "2026-10", "1,23"),
            "value: '1,23' is no number: write it like 1234.5; the unit goes into uom",
        ),
        (
            ("acme/REVENUE", "2026-10", "nan"),
            "value: 'nan' is no number: write it like 1234.5; the unit goes into uom",
        ),
        (("acme/REVENUE", "2026-10", ""), "value: is empty"),
        (
            ("acme/REVENUE", "2026-10", 1, "t"),
            "uom: 't' is not a unit of money (a money is given in units like CNY)",
        ),
        (("acme/REVENUE", "2026-10", -1), "value: -1 万元 is below low of its tag, 0 万元"),
        (
            ("acme/GRADE", "2026-11-01T08:00", 101),
            "value: 101 % is above high of its tag, 100 %",
        ),
        (
            ("acme/PERMIT-ENDS", "2026", "1.3.2027"),
            "value: '1.3.2027' is no date: write it like 2027-03-01",
        ),
        (
            ("acme/REVENUE", "2026-10", 1, "x" * 401),
            "uom: longer than 400 characters, or with a NUL",
        ),
    ],
)
def test_wrong_row_is_named_with_its_column_and_the_mend(args, wrong):
    _, problems = read(cells(*args[:3], uom="".join(args[3:])))
    assert str(problems[0]) == f"row 2, {wrong}"


def test_every_problem_of_every_row_is_reported_at_once():
    _, problems = read(
        cells("", "", ""),
        cells("acme/LAND", "2026", 1),
        cells("acme/LAND", "2026", 2),
        cells("acme/STAFF", "2026-Q9", "many", uom="kg"),
    )
    assert [(each.row, each.column) for each in problems] == [
        (2, "tag"), (2, "period"), (2, "value"), (4, "period"), (5, "period"), (5, "uom"),
    ]  # fmt: skip


def test_more_rows_than_a_file_may_have_are_refused():
    _, (refused,) = read_entries([BookRow(2, {})] * (ROWS_MAX + 1), PARK, NOW)
    assert "1000 are the limit of one file" in refused.text


def test_table_is_read_in_english_and_chinese_with_any_delimiter():
    english, none = read_table(HEAD + "acme/LAND,2026,15,亩,,,\n\n# a remark\n")
    assert none == []
    chinese, none = read_table("点位;期间;数值;单位\nacme/LAND;2026;15;亩\n")
    assert none == []
    for (row,) in (english, chinese):
        assert row.number == 2
        assert {name: row.cells[name] for name in ("tag", "period", "value", "uom")} == {
            "tag": "acme/LAND", "period": "2026", "value": "15", "uom": "亩",
        }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("", "row 1: there is nothing in it: the columns are tag,period,value,uom,"),
        ("tag,period,valu\n", "row 1, valu: is no column, did you mean 'value'?"),
        ("tag,period,valu\n", "row 1, value: the column is missing"),
        ("tag,tag,period,value\n", "row 1, tag: the column stands twice"),
        ("tag,period,value\na,b,c,d\n", "row 2: it has more than 3 cells"),
    ],
)
def test_shape_of_a_table_that_is_wrong_is_told(text, wrong):
    assert any(str(each).startswith(wrong) for each in read_table(text)[1])


def test_text_of_a_file_is_read_in_the_encodings_of_spreadsheets():
    text = HEAD + "acme/LAND,2026,15,亩,土地证,,\n"
    for encoding in ("utf-8", "utf-8-sig", "gb18030", "utf-16"):
        (row,), _ = read_table(decode(text.encode(encoding)))
        assert row.cells["uom"] == "亩"
    with pytest.raises(ValueError, match="no text in UTF-8"):
        decode(b"PK\x03\x04\xff")


def test_digest_of_the_file_is_the_evidence_of_rows_without_one():
    rows = [BookRow(2, {"evidence": ""}), BookRow(3, {"evidence": "invoice 7"})]
    first, second = with_evidence(rows, b"")
    assert first.cells["evidence"] == (
        "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    )
    assert second.cells["evidence"] == "invoice 7"


def known(one, value=None, number=7, *, confirmed=True):
    return Version(number, one.tag.address, one.period, 1, value or one.value, confirmed)


def test_value_that_is_in_the_book_is_not_entered_twice():
    one = entry("acme/REVENUE", "2026-10", "0.12345", uom="亿元")
    again = known(entry("acme/REVENUE", "2026-10", "1234.5"))
    assert compare_with_book([one], [again], ZONE) == ([], [])


def test_another_value_needs_a_reason_and_is_a_correction_then():
    old = known(entry("acme/REVENUE", "2026-10", "1234.5"))
    _, (refused,) = compare_with_book([entry("acme/REVENUE", "2026-10", "1300")], [old], ZONE)
    assert str(refused) == (
        "row 2, value: 1234.5 万元 is in the book (confirmed, id 7): a correction needs a reason"
    )
    corrected = entry("acme/REVENUE", "2026-10", "1300", reason="invoice 4711 was missing")
    assert compare_with_book([corrected], [old], ZONE) == ([corrected], [])


def test_reason_without_a_value_to_correct_is_refused():
    new = entry("acme/REVENUE", "2026-10", "1300", reason="late")
    _, (refused,) = compare_with_book([new], [], ZONE)
    assert "no value of this period to correct" in refused.text


def test_period_that_overlaps_one_in_the_book_is_refused():
    """The park model said months once, and says quarters now."""
    quarter = entry("acme/STAFF", "2026-Q4", 812)
    month = parse_period("2026-10", "month", ZONE)
    old = Version(3, "acme/STAFF", month, 1, 800.0, confirmed=True)
    _, (refused,) = compare_with_book([quarter], [old], ZONE)
    assert str(refused) == "row 2, period: it overlaps 2026-10, which is in the book"
