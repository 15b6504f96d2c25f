"""Evaluation over HTTP: the scores of a year by books, meters and outlets, computed by hand."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from ingest.commands import CommandQueue
from tests.support.demo_park import FOLDER, PARK
from tests.support.small_evaluation import park
from tests.support.small_park import outcome, rows_of, serving
from tests.support.stored import cycling, turn
from twin import quality as q

pytest_plugins = ["tests.support.small_park"]

ZONE = ZoneInfo("Asia/Shanghai")
NOW = round(datetime(2026, 2, 1, tzinfo=ZONE).timestamp()) * 1_000_000
DAYS = 366
# A day of acme: with 0.1229 kgce/kWh two tonnes of coal equivalent.
KWH = 2000 / 0.1229
# tax, sales [万元], land [亩], energy [tce a day]; acme and other pay 2 万元 for each tce.
BOOKS = {
    "acme": (1464, 30_500, 61, 2),
    "other": (732, 12_200, 61, 1),
    "third": (366, 24_400, 122, 2),
}


def books(year=2024, months=12, names=tuple(BOOKS)):
    """Return the file of the books of a year, taxes of its first months."""
    lines = ["tag,period,value"]
    for name in names:
        tax, sales, land, _ = BOOKS[name]
        lines += [f"{name}/B-TAX,{year}-{month:02},{tax / 12}" for month in range(1, months + 1)]
        lines += [f"{name}/B-SALES,{year},{sales}", f"{name}/B-LAND,{year},{land}"]
    return "\n".join(lines) + "\n"


class Town:
    """The API over the park, with an ingest that enters books."""

    def __init__(self, client, obey, db):
        self.client, self._obey, self._db = client, obey, db

    async def enter(self, text):
        query = {"by": "ann", "confirm": "true"}
        sent = await self.client.post("/api/v1/book/csv", content=text.encode(), params=query)
        await self._obey()
        assert await outcome(self.client, sent) is None

    async def meter(self, name="acme", tag="JQ-1", days=DAYS, kwh=KWH, begin="2024-01-01"):
        """Store the days of the meter of an enterprise."""
        await self._db.execute(
            "INSERT INTO day (time, tag_id, amount, covered_s, n, quality)"
            f" SELECT timestamptz '{begin} 00:00+8' + n * interval '1 day', tag_id, $1,"
            " 86400, 24, 0 FROM tag, generate_series(0, $2 - 1) n"
            " WHERE tag = $3 AND enterprise = $4",
            3.6e6 * kwh, days, tag, name,
        )  # fmt: skip

    async def hours(self, tag, mean, count=DAYS * 24):
        """Store the hours of a monitor of acme."""
        await self._db.execute(
            "INSERT INTO hour"
            " (time, tag_id, amount, covered_s, n, quality, measured, measured_mean)"
            " SELECT timestamptz '2024-01-01 00:00+8' + n * interval '1 hour', tag_id,"
            " $1::float8 * 3600, 3600, 60, 0, 60, $1 FROM tag, generate_series(0, $2 - 1) n"
            " WHERE tag = $3 AND enterprise = 'acme'",
            mean, count, tag,
        )  # fmt: skip

    async def evaluation(self, scope="acmepark", year=2024):
        """Return the one rule of a scope with its enterprises by name."""
        answer = await rows_of(self.client, f"{scope}/evaluation", year=year)
        (rule,) = answer["items"]
        return rule, {row["scope"].rpartition("/")[2]: row for row in rule["enterprises"]}


@pytest.fixture
def model(request):
    return getattr(request, "param", None) or park()


@pytest.fixture
async def town(database, db, model):
    async with (
        cycling(database, model, NOW) as cycle,
        serving(database, NOW) as (client, _),
    ):
        commands = CommandQueue(cycle._store, cycle._park, cycle.topics, cycle._settings)
        now_us = NOW

        async def obey():
            nonlocal now_us
            now_us += 3_000_000
            await turn(cycle, commands, now_us)

        await obey()
        yield Town(client, obey, db)


def by(**rule):
    """Return the mark of a test in a park with another rule."""
    return pytest.mark.parametrize("model", [park(**rule)], indirect=True, ids=[""])


async def test_scores_ranks_and_classes_are_those_computed_by_hand(town):
    await town.enter(books())
    for name, (*_, tce) in BOOKS.items():
        await town.meter(name, kwh=KWH * tce / 2)
    rule, rows = await town.evaluation()
    scores = {
        # 45 + 43.75 + 13.333
        "acme": 45 * (1464 / 61) / 24 + 35 * (30_500 / 61) / 400 + 20 * (1464 / 732) / 3,
        # 22.5 + 17.5 + 13.333, and the bonus
        "other": 45 * (732 / 61) / 24 + 35 * (12_200 / 61) / 400 + 20 * (732 / 366) / 3 + 3,
        # 5.625 + 17.5 + 3.333
        "third": 45 * (366 / 122) / 24 + 35 * (24_400 / 122) / 400 + 20 * (366 / 732) / 3,
    }
    assert {name: row["score"] for name, row in rows.items()} == pytest.approx(scores)
    assert [row["rank"] for row in rule["enterprises"]] == [1, 2, 3]
    # Of three: 0.5/3 = 0.17 is A, 1.5/3 is B, 2.5/3 = 0.83 is C.
    assert [row["class"] for row in rule["enterprises"]] == ["A", "B", "C"]
    assert (rows["third"]["electricity_cny_per_kwh"], rows["third"]["water_cny_per_m3"]) == (
        0.05,
        0.5,
    )
    assert (rows["other"]["bonus"], rows["other"]["electricity_cny_per_kwh"]) == (3.0, None)
    tax, sales, green = rows["acme"]["indicators"]
    assert (tax["value"], tax["uom"], tax["half_width"]) == (pytest.approx(24), "万元/亩", 0)
    assert (sales["value"], sales["points"]) == pytest.approx((500, 43.75))
    assert (tax["completeness"], tax["missing"], tax["quality"]) == (1.0, [], q.MANUAL)
    # The meter states no accuracy: the usual one is 0.5 %.
    assert green["value"] == pytest.approx(2, rel=1e-9)
    assert green["half_width"] == pytest.approx(2 * 1.96 * 0.005, rel=1e-3)
    wide = 20 * green["half_width"] / 3
    ends = rows["acme"]["score_min"], rows["acme"]["score_max"]
    assert ends == pytest.approx((scores["acme"] - wide, scores["acme"] + wide))
    assert (rule["verified"], rule["clause"], rule["since"]) == (False, "3", 2024)
    assert [row["until"] for row in rule["classes"]] == [0.2, 0.6, 0.95, 1.0]


async def test_missing_input_is_named_and_never_a_zero(town):
    await town.enter(books(months=4))
    await town.meter("acme")
    await town.meter("third")
    _, rows = await town.evaluation()
    tax, sales, green = rows["acme"]["indicators"]
    # Four months of twelve, 121 of 366 days.
    assert (tax["value"], tax["points"]) == (None, None)
    assert tax["completeness"] == pytest.approx(121 / 366)
    assert tax["reason"].startswith("no data: acme/B-TAX: 33% of the time")
    assert sales["value"] == pytest.approx(500)
    assert green["missing"] == ["acme/B-TAX"]
    assert "other/JQ-1" in rows["other"]["indicators"][2]["reason"]
    assert (rows["acme"]["score"], rows["acme"]["class"], rows["acme"]["rank"]) == (
        None,
        None,
        None,
    )
    # The last of three lies at 2.5/3, in C.
    assert rows["acme"]["possible"] == ["A", "B", "C"]
    assert "no data: acme/B-TAX" in rows["acme"]["reason"]


async def test_interval_that_crosses_a_limit_leaves_the_class_undecided_between_two(town):
    # Sales such that acme and other differ by less than the interval of their meters.
    await town.enter(books(names=("acme", "third")))
    await town.meter("acme")
    await town.meter("third")
    # other: 45 + 3 + 40/3 and sales for 40.749: 0.001 points below acme.
    sales = 40.749 / 35 * 400 * 61
    text = f"other/B-SALES,2024,{sales}\nother/B-LAND,2024,61\n"
    months = "".join(f"other/B-TAX,2024-{month:02},122\n" for month in range(1, 13))
    await town.enter("tag,period,value\n" + text + months)
    await town.meter("other")
    _, rows = await town.evaluation()
    assert rows["acme"]["score"] - rows["other"]["score"] == pytest.approx(0.001)
    for name, rank in (("acme", 1), ("other", 2)):
        row = rows[name]
        assert (row["class"], row["possible"], row["rank"]) == (None, ["A", "B"], rank)
        assert "reach over the limit of a class" in row["reason"]
    assert rows["third"]["class"] == "C"


@by(by="score")
async def test_limits_of_the_score_decide_where_the_rule_says_so(town):
    await town.enter(books())
    for name, (*_, tce) in BOOKS.items():
        await town.meter(name, kwh=KWH * tce / 2)
    rule, rows = await town.evaluation("acmepark/other")
    assert list(rows) == ["other"]
    # 56.3 lies between 40 and 60.
    assert (rows["other"]["class"], rows["other"]["rank"]) == ("C", 2)
    assert [row["least"] for row in rule["classes"]] == [80, 60, 40, None]


@by(
    more="""
[[evaluation_enterprise]]
evaluation = "example"
scope = "acmepark/acme"
year = 2024
vetoes = ["an accident"]
[[evaluation_enterprise]]
evaluation = "example"
scope = "acmepark/third"
year = 2024
not_rated = "younger than two years"
"""
)
async def test_veto_is_class_d_and_who_is_not_rated_is_class_t(town):
    await town.enter(books())
    for name, (*_, tce) in BOOKS.items():
        await town.meter(name, kwh=KWH * tce / 2)
    _, rows = await town.evaluation()
    assert (rows["acme"]["class"], rows["acme"]["vetoes"]) == ("D", ["an accident"])
    assert rows["acme"]["score"] > 100
    assert (rows["acme"]["electricity_cny_per_kwh"], rows["acme"]["water_cny_per_m3"]) == (0.1, 1)
    assert (rows["third"]["class"], rows["third"]["rank"]) == ("T", None)
    assert (rows["third"]["electricity_cny_per_kwh"], rows["third"]["reason"]) == (None, "")
    # The better of two: 0.5/2 is B.
    assert (rows["other"]["class"], rows["other"]["rank"]) == ("B", 1)


@by(benchmark="times_mean = 2")
async def test_benchmark_may_be_twice_the_mean_of_last_year(town):
    await town.enter(books())
    await town.enter(books(2023, names=("acme", "other")))
    for name, (*_, tce) in BOOKS.items():
        await town.meter(name, kwh=KWH * tce / 2)
    # In 2023 acme paid 1464 for 365 * 4 tce, other 732 for 365 * 1 tce.
    await town.meter("acme", days=365, kwh=KWH * 2, begin="2023-01-01")
    await town.meter("other", days=365, kwh=KWH / 2, begin="2023-01-01")
    _, rows = await town.evaluation()
    green = rows["acme"]["indicators"][2]
    benchmark = 2 * (1464 / 1460 + 732 / 365) / 2
    assert green["benchmark"] == pytest.approx(benchmark)
    assert 0 < green["benchmark_half_width"] < 0.005 * benchmark
    assert green["points"] == pytest.approx(20 * 2 / benchmark)
    # Of a year before the first there is no mean.
    _, rows = await town.evaluation(year=2025)
    assert "no data" in rows["acme"]["indicators"][2]["reason"]


@by(green="pollutants", uom="元/kg", benchmark="benchmark = 500")
async def test_tax_per_pollutant_is_that_of_the_hours_in_which_all_is_known(town):
    await town.enter(books())
    # 36,000 m3/h with 20 mg/m3 SO2 and 40 mg/m3 NOx: 0.72 kg/h and twice 1.44 kg/h.
    await town.hours("FT-2", 10.0)
    await town.hours("AT-1", 20e-6)
    await town.hours("AT-2", 40e-6, count=DAYS * 20)
    _, rows = await town.evaluation()
    figure = rows["acme"]["indicators"][2]
    # Months of tax have 29, 30 or 31 days; the hours that all cover end with those of NOx.
    days = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    hours, paid = DAYS * 20, 0.0
    for length in days:
        used = min(hours, length * 24)
        paid, hours = paid + 1464e4 / 12 * used / (length * 24), hours - used
    assert figure["value"] == pytest.approx(paid / (DAYS * 20 * (0.72 + 2.88)))
    assert figure["completeness"] == pytest.approx(20 / 24)
    assert figure["missing"] == ["acme/AT-2"]
    # Meters of 1 % each, and what the missing sixth may have been.
    assert 0.01 < figure["half_width"] / figure["value"] < 0.05
    reason = rows["other"]["indicators"][2]["reason"]
    assert reason == "no data: pollutants: no outlet of the enterprise measures SO2, NOx"


async def test_scope_without_a_rule_has_no_evaluation(town):
    answer = await rows_of(town.client, "acmepark/evaluation", year=2023)
    assert (answer["items"], answer["complete"]) == ([], True)
    assert (answer["start"], answer["end"]) == (
        "2023-01-01T00:00:00+08:00",
        "2024-01-01T00:00:00+08:00",
    )
    answer = await town.client.get("/api/v1/scopes/nowhere/evaluation")
    assert answer.status_code == 404


@pytest.mark.parametrize("model", [PARK], indirect=True, ids=[""])
async def test_example_of_the_demonstration_park_classes_its_enterprises_by_its_books(town):
    await town.enter((FOLDER / "book.csv").read_text(encoding="utf-8"))
    rule, rows = await town.evaluation("liaocheng", year=2025)
    assert (rule["id"], rule["verified"]) == ("example-by-books", False)
    assert {name: row["class"] for name, row in rows.items()} == {
        "luxi": "A", "huaxiang": "B", "xinfa": "C",
    }  # fmt: skip
    cells = [line.split(",") for line in (FOLDER / "book.csv").read_text("utf-8").splitlines()]
    research, sales = (
        sum(float(row[2]) for row in cells if row[0] == f"luxi/{tag}")
        for tag in ("B-RND", "B-REVENUE")
    )
    figure = rows["luxi"]["indicators"][3]
    assert (figure["value"], figure["uom"]) == (pytest.approx(100 * research / sales), "%")
    assert figure["points"] == pytest.approx(20 * figure["value"] / 1.5)
    # The rule since 2026 is by the meters, and nothing is entered for 2026 or measured yet.
    rule, rows = await town.evaluation("liaocheng", year=2026)
    assert rule["id"] == "example-by-meters"
    assert "no data: luxi/B-TAX, luxi/B-LAND: 0% of the time" in rows["luxi"]["reason"]
    assert [row["score"] for row in rows.values()] == [None] * 3
    _, rows = await town.evaluation("liaocheng", year=2198)
    assert [row["class"] for row in rows.values()] == [None] * 3
