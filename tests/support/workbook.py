"""Workbooks in the fewest parts that a spreadsheet program writes."""

import zipfile
from datetime import datetime
from xml.sax.saxutils import escape

TYPES = """<?xml version="1.0" encoding="UTF-8"?>
<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">
<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>
<Default Extension="xml" ContentType="application/xml"/>
<Override PartName="/xl/workbook.xml" ContentType=
"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/></Types>"""
RELATIONS = (
    '<?xml version="1.0"?><Relationships'
    ' xmlns="http://schemas.openxmlformats.org/package/2006/relationships">{}</Relationships>'
)
RELATION = (
    '<Relationship Id="rId{}" Type="http://schemas.openxmlformats.org/officeDocument/2006/'
    'relationships/{}" Target="{}"/>'
)
MAIN = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
# Cell format 1 is the built-in date and time, 22.
STYLES = (
    f'<styleSheet {MAIN}><cellXfs count="2"><xf numFmtId="0"/>'
    '<xf numFmtId="22" applyNumberFormat="1"/></cellXfs></styleSheet>'
)


def write_workbook(path, sheets, merged=()):
    """Write sheets, each a list of rows of texts, numbers, datetimes or None."""
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("[Content_Types].xml", TYPES)
        book = RELATION.format(1, "officeDocument", "xl/workbook.xml")
        packed.writestr("_rels/.rels", RELATIONS.format(book))
        names = "".join(
            f'<sheet name="{escape(name)}" sheetId="{n}" r:id="rId{n}"/>'
            for n, name in enumerate(sheets, start=1)
        )
        relations = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
        packed.writestr(
            "xl/workbook.xml",
            f'<workbook {MAIN} xmlns:r="{relations}"><sheets>{names}</sheets></workbook>',
        )
        parts = [
            RELATION.format(n, "worksheet", f"worksheets/sheet{n}.xml")
            for n in range(1, len(sheets) + 1)
        ]
        parts.append(RELATION.format(len(sheets) + 1, "styles", "styles.xml"))
        packed.writestr("xl/_rels/workbook.xml.rels", RELATIONS.format("".join(parts)))
        packed.writestr("xl/styles.xml", STYLES)
        for n, rows in enumerate(sheets.values(), start=1):
            packed.writestr(f"xl/worksheets/sheet{n}.xml", _sheet(rows, merged))
    return path


def _sheet(rows, merged):
    lines = []
    for n, row in enumerate(rows, start=1):
        cells = "".join(_cell(f"{chr(65 + at)}{n}", cell) for at, cell in enumerate(row))
        lines.append(f'<row r="{n}">{cells}</row>')
    ranges = "".join(f'<mergeCell ref="{each}"/>' for each in merged)
    ranges = f"<mergeCells>{ranges}</mergeCells>" if merged else ""
    return f"<worksheet {MAIN}><sheetData>{''.join(lines)}</sheetData>{ranges}</worksheet>"


def _cell(name, value):
    if value is None:
        return ""
    if isinstance(value, str):
        return f'<c r="{name}" t="inlineStr"><is><t>{escape(value)}</t></is></c>'
    if isinstance(value, datetime):
        serial = (value - datetime(1899, 12, 30)).total_seconds() / 86400  # noqa: DTZ001
        return f'<c r="{name}" s="1"><v>{serial!r}</v></c>'
    return f'<c r="{name}"><v>{value!r}</v></c>'
