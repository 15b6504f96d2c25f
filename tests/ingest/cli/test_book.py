"""`parktwin book`, with a cycle that obeys it."""

import asyncio
import io
import zipfile
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from ingest.cli import book
from ingest.commands import CommandQueue
from tests.support.small_book import PARK
from tests.support.stored import cycling, turn

ZONE = ZoneInfo("Asia/Shanghai")
NOW = round(datetime(2024, 11, 15, tzinfo=ZONE).timestamp()) * 1_000_000
DIGEST = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"


def workbook(rows):
    """Return an XLSX file of one sheet; numbers above 40,000 are shown as dates."""
    lines = []
    for n, row in enumerate(rows, 1):
        lines.append(f'<row r="{n}">')
        for letter, cell in zip("ABCD", row, strict=True):
            if isinstance(cell, str):
                lines.append(f'<c r="{letter}{n}" t="inlineStr"><is><t>{cell}</t></is></c>')
            elif cell is not None:
                style = ' s="1"' if cell > 40_000 else ""
                lines.append(f'<c r="{letter}{n}"{style}><v>{cell}</v></c>')
        lines.append("</row>")
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types"><Default Extension="rels"'
        f' ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{kind}.sheet.main+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="r1"'
        f' Type="{office}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{office}"><sheets>'
        f'<sheet name="a" sheetId="1" r:id="r1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}/relationships">'
        f'<Relationship Id="r1" Type="{office}/worksheet" Target="worksheets/a.xml"/>'
        f'<Relationship Id="r2" Type="{office}/styles" Target="styles.xml"/></Relationships>',
        "xl/styles.xml": f'<styleSheet xmlns="{main}"><cellXfs count="2"><xf numFmtId="0"/>'
        f'<xf numFmtId="14"/></cellXfs></styleSheet>',
        "xl/worksheets/a.xml": f'<worksheet xmlns="{main}"><sheetData>{"".join(lines)}'
        f"</sheetData></worksheet>",
    }
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as packed:
        for name, text in parts.items():
            packed.writestr(name, text)
    return file.getvalue()


@pytest.fixture
async def run(database, monkeypatch, capsys):
    """Run the command while cycles go on; returns its exit status, output and errors."""
    monkeypatch.setenv("PARKTWIN_DATABASE_URL", database)
    async with cycling(database, PARK, NOW) as cycle:
        commands = CommandQueue(cycle._store, cycle._park, cycle.topics, cycle._settings)
        nth = 0

        async def work(*words):
            nonlocal nth
            command = asyncio.create_task(asyncio.to_thread(book.main, list(words)))
            while not command.done():
                nth += 1
                await turn(cycle, commands, NOW + nth * 3_000_000)
                await asyncio.sleep(0.02)
            return (await command, *capsys.readouterr())

        yield work


async def test_value_is_entered_listed_confirmed_and_corrected(run, tmp_path):
    paper = tmp_path / "october.pdf"
    paper.write_bytes(b"test")
    assert (await run("list"))[:2] == (0, "there is nothing in the book\n")
    words = ["enter", "acme/REVENUE", "2024-10", "1234.5", "--uom", "万元", "--by", "ann"]
    status, out, _ = await run(*words, "--evidence", str(paper), "--note", "preliminary")
    assert (status, out) == (0, "1 new, 0 in the book already\ndone\n")
    assert (await run(*words))[1] == "0 new, 1 in the book already\n"
    _, out, _ = await run("list")
    number, line = out.split(maxsplit=1)
    assert line == (
        "acme/REVENUE  2024-10  1234.5 万元  version 1  draft  (does not stand)  by ann\n"
    )
    assert (await run("list", "--standing"))[1] == "there is nothing in the book\n"
    assert (await run("confirm", number, "--by", "bob"))[0] == 0
    assert "version 1  confirmed  by ann" in (await run("list", "--standing"))[1]
    words = ["correct", number, "1243.5", "--reason", "invoice 4711", "--by", "ann", "--confirm"]
    assert (await run(*words))[0] == 0
    _, out, _ = await run("show", number)
    assert "1243.5 万元  version 2  confirmed  by ann\n" in out
    assert "1234.5 万元  version 1  confirmed  (does not stand)  by ann\n" in out
    assert f"    evidence: october.pdf {DIGEST}\n    note: preliminary\n" in out
    assert "    reason: invoice 4711\n" in out
    assert (await run("list"))[1].count("\n") == 1
    assert (await run("list", "--all", "--scope", "acmepark/acme"))[1].count("\n") == 2
    assert (await run("list", "--tag", "acme/LAND"))[1] == "there is nothing in the book\n"


async def test_file_is_imported_whole_or_not_at_all(run, tmp_path):
    file = tmp_path / "book.csv"
    head = "tag,period,value,uom\n"
    file.write_text(head + "acme/LAND,2024,15,亩\nacme/LAND,2023,x,亩\nacme/LND,2024,1,t\n")
    status, _, err = await run("import", str(file), "--by", "ann")
    assert status == 2
    assert "2 problems: nothing was stored" in err
    assert "row 3, value: 'x' is no number" in err
    assert "row 4, tag: the park has no tag 'acme/LND', did you mean 'acme/LAND'?" in err
    assert (await run("list"))[1] == "there is nothing in the book\n"
    file.write_text(head + "acme/LAND,2024,15,亩\nacme/LAND,2023,1,公顷\n")
    status, out, _ = await run("import", str(file), "--by", "ann", "--dry-run")
    assert (status, out) == (
        0,
        "2 new, 0 in the book already\nacme/LAND  2024  15 亩\nacme/LAND  2023  1 公顷\n",
    )
    assert (await run("list"))[1] == "there is nothing in the book\n"
    assert (await run("import", str(file), "--by", "ann", "--confirm"))[0] == 0
    assert (await run("list", "--standing"))[1].count("\n") == 2
    assert "evidence: sha256:" in (await run("show", "1"))[1]
    missing = await run("import", str(tmp_path / "none.csv"), "--by", "ann")
    assert missing[0] == 2
    assert "No such file" in missing[2]


async def test_first_sheet_of_a_workbook_is_imported_dates_and_numbers_as_they_are(run, tmp_path):
    cells = ["点位", "期间", "数值", "单位"], ["acme/REVENUE", 45_566, 1234.5, "万元"]
    more = ["acme/LAND", 2024, 15, "亩"], ["acme/STAFF", "2024-Q4", 812, None]
    file = tmp_path / "book.xlsx"
    file.write_bytes(workbook([*cells, *more]))
    status, out, err = await run("import", str(file), "--by", "ann", "--dry-run")
    assert (status, err) == (0, "")
    assert out.splitlines()[1:] == [
        "acme/REVENUE  2024-10  1234.5 万元",
        "acme/LAND  2024  15 亩",
        "acme/STAFF  2024-Q4  812 人",
    ]
    file.write_bytes(b"no workbook")
    assert (await run("import", str(file), "--by", "ann"))[0] == 2


async def test_command_that_cannot_be_carried_out_says_why(run):
    status, _, err = await run("confirm", "7", "--by", "ann")
    assert status == 2
    assert "there is no value 7" in err
    assert (await run("show", "7"))[0] == 2
    status, _, err = await run("enter", "acme/LAND", "2024-10", "1", "--by", "ann")
    assert status == 2
    assert "is a month, and the tag has one value a year: write it like 2026" in err
