"""Table ``[[book]]`` of a park model, and how its tags behave."""

import numpy as np
import pytest

from tests.support.small_book import FILES, PARK
from twin.book.comparison import compare
from twin.book.model import book_tags, compared_tag
from twin.errors import ModelError
from twin.loading import parse_park
from twin.series.image import no_image
from twin.series.samples import Samples
from twin.series.traits import traits_of


def problems(toml="", tags=""):
    files = {"park.toml": FILES["park.toml"] + toml, "tags.csv": FILES["tags.csv"] + tags}
    with pytest.raises(ModelError) as caught:
        parse_park(files)
    return [text.split(": ", 1)[1] for text in caught.value.problems]


def book(tag, period="month", compared=""):
    more = f'compare = "{compared}"\n' if compared else ""
    return f'[[book]]\ntag = "{tag}"\nperiod = "{period}"\n{more}'


def test_tags_of_the_books_are_manual_and_all_others_measured():
    manual = {tag.address for tag in PARK.tags if tag.source == "manual"}
    assert manual == {"acme/REVENUE", "acme/MADE", "acme/POWER-BILL", "acme/LAND", "acme/STAFF",
                      "acme/PERMIT-ENDS", "acme/GRADE", "other/WASTE"}  # fmt: skip


X = "X,acmepark/acme,mass,t,amount,,,,x\n"


@pytest.mark.parametrize(
    ("toml", "tags", "wrong"),
    [
        (book("acme/JQ-1"), "", "it is a counter; the books have amounts and gauges"),
        (book("acme/X", "instant"), X, "an amount is one of a period, not of an instant"),
        ("", X, "an amount comes from the books: park.toml needs its [[book]]"),
        (
            book("acme/X", compared="acme/JQ-1"),
            X,
            "'acme/JQ-1' is a counter of energy, which adds up to no mass",
        ),
        (
            book("acme/X", compared="acme/FT-7"),
            X,
            "there is no tag or stream 'acme/FT-7', did you mean 'acme/FT-1'?",
        ),
        (book("acme/FT-1", compared="acme/JQ-1"), "", "only an amount is compared with a meter"),
        (book("acme/REVENUE"), "", "'acme/REVENUE': line 41 has it already"),
        (
            book("acme/FT-1", "week"),
            "",
            "period: 'week' is not a value here, use one of day, month, quarter, year, instant",
        ),
    ],
)
def test_row_that_does_not_fit_its_tag_is_a_problem_of_the_model(toml, tags, wrong):
    assert any(wrong in text for text in problems(toml, tags))


def test_amount_of_a_flow_is_compared_with_the_stream_that_measures_it():
    stream = """
[[stream]]
id = "caustic-out"
from = "acmepark/acme/caustic"
to = "market"
medium = "caustic_32"
mode = "road"
flow = "acme/FT-1"
"""
    toml = FILES["park.toml"] + stream + book("acme/X", compared="caustic-out")
    park = parse_park({"park.toml": toml, "tags.csv": FILES["tags.csv"] + X})
    assert compared_tag(park, book_tags(park)["acme/X"]) == "acme/FT-1"


def test_amount_of_a_month_shows_no_rate_live():
    tags = [tag for tag in PARK.tags if tag.address in ("acme/REVENUE", "acme/LAND")]
    traits, image = traits_of(tags), no_image(2)
    for nth, value in enumerate((5.0, 7.0)):
        samples = Samples(np.arange(2), np.full(2, nth * 10**9), np.full(2, value),
                          np.zeros(2, np.uint8), np.zeros(2, np.int64))  # fmt: skip
        image.update(samples, traits)
    assert np.isnan(image.rate[0])
    assert image.rate[1] == 7.0
    assert image.value.tolist() == [7.0, 7.0]


@pytest.mark.parametrize(
    ("metered", "covered", "deviation", "verdict"),
    [
        (100.0, 1.0, 0.05, "within"),
        (99.9, 1.0, 0.05105105, "beyond"),
        (120.0, 1.0, -0.125, "beyond"),
        (120.0, 0.89, -0.125, "undecided"),
        (float("nan"), 0.0, float("nan"), "undecided"),
        (0.0, 1.0, float("nan"), "undecided"),
    ],
)
def test_deviation_from_the_meter_is_judged_where_it_covers_enough(
    metered, covered, deviation, verdict
):
    result = compare(105.0, metered, covered * 3600.0, 3600.0)
    assert result.deviation == pytest.approx(deviation, nan_ok=True)
    assert (result.share, result.verdict) == (covered, verdict)
