"""Reports over HTTP: figures by their addresses, files in four formats, what one sample changes."""

import asyncio
import csv
import io
import zipfile
from datetime import UTC, datetime
from functools import partial
from xml.etree import ElementTree as ET

import pytest

from api import desk as desk_module
from api.reports import __main__ as program
from api.reports import pdf
from api.reports.document import digest_of, figures_of
from api.reports.routes import RENDER
from deploy import packages
from ingest.filing import Filing
from ingest.store import Store
from tests.support import small_totals
from tests.support.small_park import (
    BEGIN,
    HOUR,
    PARK_TOML,
    change_minutes,
    make_park,
    outcome,
    roll_up,
    serving,
    stamp,
    with_park,
)
from twin.errors import ModelError, ParkError

pytest_plugins = ["tests.support.small_park"]

# The next morning: the day is over.
NOW = round(datetime.fromisoformat("2025-06-03T06:00:00+08:00").timestamp()) * 1_000_000
DAY = "2025-06-02"
WORD = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
SHEET = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
# The minutes of acme reach from 08:00 to 10:30.
COVERED_S = 9000


@pytest.fixture(scope="session")
def chinese_font():
    """A font that PDF and Word reports need."""
    packages.ensure(packages.CHINESE_FONT)


@pytest.fixture
async def desk(database, ids, chinese_font):
    async with serving(database, NOW, value_completeness=0.05) as (client, _):
        yield client


async def report(client, kind="park", path="demo", period=DAY, **query):
    answer = await client.get(f"/api/v1/reports/{kind}/{path}", params={"period": period, **query})
    assert answer.status_code == 200, answer.text
    return answer


@pytest.fixture
async def ingest(database):
    """What carries out the next order about reports as ingest does, and returns its error."""
    store = Store(database)
    await store.open()
    filing = Filing(store)

    async def carry_out():
        async with store.transaction():
            row, error = await store.commands.next(), None
            try:
                await {"report.keep": filing.keep, "report.note": filing.note}[row.kind](row, NOW)
            except ParkError as refused:
                error = str(refused)
            await store.commands.answer([row.number], [error], NOW)

    yield carry_out
    await store.close()


@pytest.fixture
def clerk(desk, ingest):
    """What sends an order about reports, lets ingest carry it out, and returns its error."""

    async def order(path, **body):
        answer = await desk.post(f"/api/v1/reports/{path}", json={"by": "ann", **body})
        if answer.status_code != 202:
            return answer.json()["detail"]
        await ingest()
        return await outcome(desk, answer)

    return order


async def document_of(client, *args, **kwargs):
    return (await report(client, *args, **kwargs)).json()


def lines_of_csv(document, language):
    """Return the lines of the CSV of a report; the last one is its stamp."""
    text = RENDER["csv"](document, language).decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text)))


def values_of(document):
    """Return the figures of a report by the pointers of their addresses, and their answers."""
    return {figure["address"]: figure for _, figure in figures_of(document)}


def named(document, field):
    """Return the one figure of a field of the chlorine balance."""
    (figure,) = [
        each
        for address, each in values_of(document).items()
        if "/chlorine?" in address and address.endswith(f"/{field}")
    ]
    return figure


def resolve(body, pointer):
    for part in pointer.split("/")[1:]:
        body = body[int(part) if isinstance(body, list) else part]
    return body


async def test_figures_are_those_of_the_answers_their_addresses_name(desk):
    document = await document_of(desk)
    figures = values_of(document)
    assert len(figures) > 30
    assert [figure["number"] for figure in figures.values()] == list(range(1, len(figures) + 1))
    urls = {address.partition("#")[0] for address in figures}
    answers = {url: (await desk.get(url)).json() for url in urls}
    for address, figure in figures.items():
        url, _, pointer = address.partition("#")
        answered = resolve(answers[url], pointer)
        if answered is None:
            assert figure["value"] is None
        else:
            scale = {"%": (1, 100), "tce": (1e-3,), "MWh": (1e-3, 1)}.get(figure["uom"], (1,))
            assert any(figure["value"] == pytest.approx(answered * each) for each in scale)
    # Faraday's law: 16 kA through 100 cells at 96 %, 35.453 g of chlorine for 96,485 C.
    made_t = 16e3 * 100 * 0.96 * COVERED_S / 96485.33212 * 35.453e-6
    assert named(document, "production_t")["value"] == pytest.approx(made_t, rel=1e-4)
    assert named(document, "export_t")["value"] == pytest.approx(1.0 * COVERED_S / 1000)
    assert named(document, "export_t")["completeness"] == pytest.approx(COVERED_S / 86400)
    assert document["closed"]


@pytest.mark.parametrize("language", ["zh", "en"])
async def test_each_value_has_its_unit_period_and_quality(desk, language):
    document = await document_of(desk)
    lines = lines_of_csv(document, language)
    known = [line for line in lines[:-1] if line["value"]]
    assert len(known) > 30
    for line in known:
        assert line["uom"], line
        assert line["start"] < line["end"], line
        assert line["quality"] not in ("", "–"), line
    recorded = {line["indicator"] for line in known if line["quality"] in ("据记录", "on record")}
    assert {"zh": "报警次数", "en": "Annunciations"}[language] in recorded


async def test_appendix_has_the_formula_of_each_kind_of_figure_once(desk):
    document = await document_of(desk)
    (block,) = [
        each
        for each in document["sections"][-1]["blocks"]
        if each["title"]["en"] == "How figures are calculated"
    ]
    lines = {row[1]["en"]: row[2]["en"] for row in block["rows"]}
    assert len(lines) == len(block["rows"])
    assert lines["energy/kwh_per_t"].startswith("electricity / mass")
    given = {key for key, text in lines.items() if text.startswith("stated, recorded")}
    assert given == {"emissions/permit_t", "summary/annunciations"}
    kinds = {f"{a.partition('?')[0].rpartition('/')[2]}/{a.rpartition('/')[2]}"
             for a in values_of(document)}  # fmt: skip
    assert kinds == lines.keys()


async def test_files_have_the_same_bytes_again_and_the_digest_of_the_content(desk):
    document = await document_of(desk)
    assert document["digest"] == digest_of(document)
    for render in RENDER.values():
        assert render(document, "zh") == render(document, "zh")
    page = await report(desk, format="html", lang="en")
    assert page.content == RENDER["html"](document, "en", "http://localhost")
    assert document["digest"] in page.text
    assert (await report(desk, format="pdf")).content[:5] == b"%PDF-"
    lines = lines_of_csv(document, "en")
    (made,) = [row for row in lines if (row["address"] or "").endswith("/0/production_t")
               and "window=day" in row["address"]]  # fmt: skip
    figure = named(document, "production_t")
    assert float(made["value"]) == pytest.approx(figure["value"])
    assert (made["uom"], made["quality"]) == ("t", "bad, simulated")
    assert lines[-1]["section"].endswith(document["digest"])


async def test_word_document_has_headings_tables_and_links_to_explanations(desk):
    content = (await report(desk, format="docx")).content
    with zipfile.ZipFile(io.BytesIO(content)) as package:
        text = ET.fromstring(package.read("word/document.xml"))  # noqa: S314
        relations = package.read("word/_rels/document.xml.rels").decode()
    styles = [node.get(f"{WORD}val") for node in text.iter(f"{WORD}pStyle")]
    assert styles.count("Heading1") == 12
    assert "ReportCell" in styles
    assert "/api/v1/explain?figure=%2Fapi%2Fv1%2Fscopes%2Fdemo%2Fchlorine" in relations
    assert "一、范围、期间与数据质量" in [node.text for node in text.iter(f"{WORD}t")]


async def test_workbook_has_numbers_and_a_formula_for_what_adds_up(desk):
    content = (await report(desk, format="xlsx", lang="en")).content
    with zipfile.ZipFile(io.BytesIO(content)) as package:
        sheets = [n for n in package.namelist() if n.startswith("xl/worksheets/sheet")]
        cells = [
            cell
            for name in sheets
            for cell in ET.fromstring(package.read(name)).iter(f"{SHEET}c")  # noqa: S314
        ]
    sums = {
        cell.find(f"{SHEET}f").text: float(cell.find(f"{SHEET}v").text)
        for cell in cells
        if cell.find(f"{SHEET}f") is not None
    }
    made_t = named(await document_of(desk), "production_t")["value"]
    # Its hours add up to the day.
    assert any(text.startswith("SUM(") and value == pytest.approx(made_t, rel=1e-3)
               for text, value in sums.items())  # fmt: skip


async def test_one_changed_amount_changes_what_rests_on_it_and_the_digest(desk, db, ids):
    before = await document_of(desk)
    await change_minutes(db, ids["acme/FT-3"], "amount = amount * 2", BEGIN, BEGIN + HOUR // 60)
    await roll_up(db)
    after = await document_of(desk)
    assert before["digest"] != after["digest"]
    old, new = values_of(before), values_of(after)
    assert old.keys() == new.keys()
    changed = {
        address.rpartition("/")[2]
        for address in old
        if {**old[address], "number": 0} != {**new[address], "number": 0}
    }
    assert {"export_t", "unaccounted_t"} <= changed
    untouched = {"production_t", "mass_t", "energy_kwh", "kgce_per_t", "scope1_t", "make_t"}
    assert not changed & untouched
    assert named(after, "export_t")["value"] == pytest.approx(1.0 * (COVERED_S + 60) / 1000)


@pytest.mark.parametrize(
    ("kind", "path", "period", "status"),
    [
        ("park", "demo/none", DAY, 404),
        ("enterprise", "demo", DAY, 422),
        ("park", "demo", "yesterday", 422),
        ("park", "demo", f"{DAY}/4", 422),
        ("shift", "demo", DAY, 422),
        ("poem", "demo", DAY, 422),
    ],
)
async def test_a_report_of_what_there_is_not_is_refused(desk, kind, path, period, status):
    answer = await desk.get(f"/api/v1/reports/{kind}/{path}", params={"period": period})
    assert answer.status_code == status


async def test_a_kept_report_is_reviewed_signed_and_stays_as_it_was(desk, clerk, db):
    assert await clerk("park/demo", period=DAY) is None
    # Once more it says the same: no version is added.
    assert await clerk("park/demo", period=DAY) is None
    (row,) = (await desk.get("/api/v1/reports")).json()["items"]
    assert (row["version"], row["state"], row["kept_by"]) == (1, "draft", "ann")
    assert await db.fetchval("SELECT body ? 'content' FROM command LIMIT 1") is False
    number = row["id"]
    assert "can become reviewed" in await clerk(f"{number}/notes", state="signed")
    assert await clerk(f"{number}/notes", note="the export of June is missing") is None
    assert await clerk(f"{number}/notes", state="reviewed") is None
    assert await clerk(f"{number}/notes", state="signed", note="agreed") is None
    assert "nothing else" in await clerk(f"{number}/notes", state="draft")
    answer = (await desk.get(f"/api/v1/reports/{number}")).json()
    assert answer["report"]["state"] == "signed"
    assert [note["state"] for note in answer["notes"]] == ["", "reviewed", "signed"]
    page = await desk.get(f"/api/v1/reports/{number}", params={"format": "html"})
    assert answer["document"]["digest"] in page.text


async def test_verification_names_the_figures_that_differ_and_the_restatement(desk, clerk, db, ids):
    assert await clerk("park/demo", period=DAY) is None
    number = (await desk.get("/api/v1/reports")).json()["items"][0]["id"]
    address = f"/api/v1/reports/{number}/verification"
    assert (await desk.get(address)).json()["same"]
    await change_minutes(db, ids["acme/FT-3"], "amount = amount * 2", BEGIN, BEGIN + HOUR // 60)
    await roll_up(db)
    await db.execute(
        "INSERT INTO restatement (created, tag_id, start, stop) VALUES ($1, $2, $3, $4)",
        stamp(NOW + 1), ids["acme/FT-3"], stamp(BEGIN), stamp(BEGIN + HOUR // 60),
    )  # fmt: skip
    verified = (await desk.get(address)).json()
    assert not verified["same"]
    changed = {each["address"].rpartition("/")[2]: each for each in verified["changed"]}
    assert (changed["export_t"]["before"], changed["export_t"]["after"]) == pytest.approx(
        (COVERED_S / 1000, (COVERED_S + 60) / 1000)
    )
    assert [each["tag"] for each in verified["restated"]] == ["acme/FT-3"]
    # The next report of the period says so, and is another version.
    again = await document_of(desk)
    assert [each["tag"] for each in again["restated"]] == ["acme/FT-3"]
    assert "acme/FT-3" in (await report(desk, format="html")).text
    assert await clerk("park/demo", period=DAY) is None
    rows = (await desk.get("/api/v1/reports", params={"kind": "park"})).json()["items"]
    assert [(row["version"], row["newest"]) for row in rows] == [(2, True), (1, False)]
    assert "newer version" in await clerk(f"{number}/notes", state="reviewed")


async def test_drafts_beyond_the_limit_are_dropped_and_an_open_period_is_not_kept(desk, clerk):
    for day in ("2025-05-30", "2025-05-31", "2025-06-01"):
        assert await clerk("enterprise/demo/acme", period=day, keep=2) is None
    rows = (await desk.get("/api/v1/reports", params={"scope": "demo"})).json()["items"]
    assert [row["period"] for row in rows] == ["2025-06-01", "2025-05-31"]
    assert "not over" in await clerk("park/demo", period="2025-06-03")


async def test_log_of_a_shift_has_stocks_alarms_orders_and_corrections(desk, db, ids):
    time = stamp(BEGIN + HOUR)
    await db.execute(
        "INSERT INTO correction VALUES ($1, $2, 4.5, 32, $2, $3)",
        ids["acme/FT-1"],
        time,
        stamp(NOW),
    )
    await db.execute(
        "INSERT INTO sample (time, tag_id, value, quality, received) VALUES ($1, $2, 5, 32, $1)",
        time, ids["acme/FT-1"],
    )  # fmt: skip
    await db.execute(
        "INSERT INTO command (kind, body, created) VALUES ('reject.drop', '{\"by\": \"bob\"}', $1)",
        time,
    )
    log = await document_of(desk, "shift", "demo", f"{DAY}/2")
    assert (log["start"], log["end"]) == (f"{DAY}T08:00:00+08:00", f"{DAY}T16:00:00+08:00")
    blocks = {block["title"]["en"]: block for part in log["sections"] for block in part["blocks"]}
    (order,) = blocks["Orders"]["rows"]
    assert [cell["en"] for cell in order[1:3]] == ["reject.drop", "bob"]
    (sample,) = blocks["Corrected samples"]["rows"]
    assert [cell["en"] for cell in sample[:1]] == ["acme/FT-1"]
    assert [cell["en"].split()[0] for cell in sample[2:4]] != ["–", "–"]
    made_t = 16e3 * 100 * 0.96 * COVERED_S / 96485.33212 * 35.453e-6
    assert named(log, "production_t")["value"] == pytest.approx(made_t, rel=1e-4)
    assert log["digest"] == (await document_of(desk, "shift", "demo", f"{DAY}/2"))["digest"]
    assert "值班日志" in (await report(desk, "shift", "demo", f"{DAY}/2", format="html")).text


async def test_use_of_a_permit_by_month_is_the_same_whenever_it_is_asked_for(database, db):
    await small_totals.add_year(db)
    documents = []
    for later in (HOUR, 20 * 24 * HOUR):
        async with serving(database, small_totals.NOW + later) as (client, _):
            documents.append(await document_of(client, "enterprise", "p/e", "2024-04"))
    assert documents[0]["digest"] == documents[1]["digest"]
    figures = values_of(documents[0])
    april = {
        address.rpartition("/months/")[2]: figure["value"]
        for address, figure in figures.items()
        if "/totals?" in address and "/permits/" in address and "/months/" in address
    }
    used_t = 0.744 + 0.7656 + 0.6696 + 0.72
    assert 0.72 in april.values()
    assert any(value == pytest.approx(used_t) for value in april.values())
    assert april.keys() == {
        f"{key}/3" for key in ("emitted_t", "substituted_t", "used_t", "allowance_t", "remaining_t")
    }


TARIFF = """
[[tariff]]
id = "grid"
scope = "demo/acme"
from = 2025-01-01
to = 2025-12-31
price = "0.6 CNY/kWh"
demand_price = "40 CNY/kW"
contracted = "46 MW"
source = "illustrative"
"""


RETROFIT = """
[[retrofit]]
id = "new-gap"
electrolyser = "E-1"
planned = 2027-06-30
saving = "120 kWh/t"
cost = "14e6 CNY"
evidence = "offer A"
"""


@with_park(PARK_TOML + RETROFIT)
async def test_retrofits_stand_in_the_measures_as_they_are_stated(desk):
    document = await document_of(desk)
    (block,) = [each for part in document["sections"] for each in part["blocks"]
                if each["title"]["en"].startswith("Zero-gap retrofits")]  # fmt: skip
    (row,) = block["rows"]
    assert [cell["en"] for cell in row] == [
        "E-1", "2027-06-30", "–", "120 kWh/t", "14,000,000 CNY", "offer A",
    ]  # fmt: skip


@with_park(PARK_TOML + TARIFF)
async def test_cost_and_demand_of_a_month_are_those_of_their_answers(database, ids):
    july = NOW + 30 * 24 * HOUR
    async with serving(database, july, value_completeness=0.001) as (client, _):
        document = await document_of(client, "enterprise", "demo/acme", "2025-06")
    blocks = {block["title"]["en"]: block for part in document["sections"]
              for block in part["blocks"]}  # fmt: skip
    entries = {line["label"]["en"]: line["figure"]
               for line in blocks["Consumption and cost by carrier"]["lines"]}  # fmt: skip
    # 12.5 MW for two hours and a half.
    assert entries["Cost"] is not None
    costs = [line["figure"]["value"] for line in blocks["Consumption and cost by carrier"]["lines"]
             if line["label"]["en"] == "Cost"]  # fmt: skip
    assert costs[0] == pytest.approx(12_500 * 2.5 * 0.6)
    (demand, contracted, headroom) = [
        line["figure"]["value"]
        for line in blocks["Largest demand against the contract"]["lines"]
        if line["figure"]
    ]
    assert (demand, contracted, headroom) == pytest.approx((12_500, 46_000, 33_500))


DUE = """
[[report]]
kind = "industry"
scope = "demo"
product = "caustic"
every = "year"
formats = ["csv", "json"]
[[report]]
kind = "enterprise"
scope = "demo/acme"
every = "year"
language = "en"
formats = ["html"]
"""


@with_park(PARK_TOML + DUE)
async def test_due_reports_are_written_and_kept_once(
    database, ids, ingest, db, tmp_path, monkeypatch, capsys
):
    year = datetime.now(tz=UTC).year - 1
    monkeypatch.setenv("PARKTWIN_DATABASE_URL", database)
    monkeypatch.setattr(desk_module, "WAIT_S", 0.2)
    run = partial(asyncio.to_thread, program.main, ["due", "--out", str(tmp_path), "--by", "cron"])
    assert await run() == 0
    files = {file.name: file.read_text() for file in tmp_path.iterdir()}
    assert set(files) == {
        f"industry-demo-caustic-{year}-zh.csv",
        f"industry-demo-caustic-{year}-zh.json",
        f"enterprise-demo-acme-{year}-en.html",
    }
    assert "Assessment of an enterprise" in files[f"enterprise-demo-acme-{year}-en.html"]
    for _ in range(2):
        await ingest()
    rows = await db.fetch("SELECT kind, scope, period, digest, kept_by FROM report ORDER BY id")
    about = [tuple(row[key] for key in ("kind", "scope", "period", "kept_by")) for row in rows]
    assert about == [("industry", "demo/caustic", str(year), "cron"),
                     ("enterprise", "demo/acme", str(year), "cron")]  # fmt: skip
    assert rows[0]["digest"] in files[f"industry-demo-caustic-{year}-zh.json"]
    capsys.readouterr()
    assert await run() == 0
    assert capsys.readouterr().out == ""
    # Of a time of which nothing is known no report is made by itself.
    await db.execute("DELETE FROM report")
    await db.execute("DELETE FROM hour")
    assert await run() == 0
    assert capsys.readouterr().out == ""
    async with serving(database, NOW) as (client, _):
        due = (await client.get("/api/v1/reports/due")).json()["items"]
    # At the time of this park it is another year, of which nothing is kept.
    assert [(row["scope"], row["period"], row["kept"]) for row in due] == [
        ("demo/caustic", "2024", None), ("demo/acme", "2024", None)]  # fmt: skip


@pytest.mark.parametrize("kind", ["industry", "park"])
def test_a_scheduled_report_has_a_product_when_it_is_of_an_industry(kind):
    product = "" if kind == "industry" else 'product = "caustic"'
    row = f'[[report]]\nkind = "{kind}"\nscope = "demo"\nevery = "year"\n{product}\n'
    with pytest.raises(ModelError) as error:
        make_park(PARK_TOML + row)
    assert "product" in str(error.value.problems[0])


async def test_without_a_chinese_font_the_answer_says_what_to_install(desk, monkeypatch):
    monkeypatch.setattr(pdf, "FONTS", ())
    pdf._fonts.cache_clear()
    answer = await desk.get("/api/v1/reports/park/demo", params={"period": DAY, "format": "pdf"})
    assert answer.status_code == 503
    assert "fonts-noto-cjk" in answer.json()["hint"]
    pdf._fonts.cache_clear()
