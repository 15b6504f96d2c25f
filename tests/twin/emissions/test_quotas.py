"""The ledger of reductions by hand: approved, drawn, spent in advance, twofold replacement."""

from datetime import date

import numpy as np
import pytest

from tests.support.small_totals import WITH_QUOTAS
from twin.emissions.quotas import QuotaLedger, ratio_of
from twin.errors import ModelError
from twin.loading import parse_park

PARK = parse_park(WITH_QUOTAS)
TODAY = date(2024, 5, 1)
# Declared 5 t, 4.5 t verified, 4 t approved; 2.5 t for the plant, 1 t spent in advance.
AMOUNTS = {"e/B-D": 5.0, "e/B-V": 4.5, "e/B-A": 4.0, "e/B-ADV": 1.5, "e/B-1": 2.5}


def ledger(today=TODAY, **amounts):
    """Return the ledger of some amounts in tonnes, by the end of their tags."""
    tonnes = AMOUNTS | {f"e/B-{name}": value for name, value in amounts.items()}
    return QuotaLedger(PARK, {k: v * 1e3 for k, v in tonnes.items() if v is not None}, today)


def cover(book, project="plant", pollutant="VOC"):
    return book.cover(book.projects[project], pollutant)


def test_a_project_is_covered_twofold_by_draws_and_an_advance_until_it_is_due():
    # 2 t x 2 = 4 t = 2.5 t drawn + 1.5 t in advance.
    book = ledger()
    (row,) = book.reductions.values()
    balance = book.reduction(row)
    assert (balance.status, balance.approved, balance.drawn, balance.available) == (
        "approved", 4e3, 2.5e3, 1.5e3,
    )  # fmt: skip
    result = cover(book)
    assert (result.needed, result.drawn, result.advanced, result.missing) == (4e3, 2.5e3, 1.5e3, 0)
    assert (result.state, result.problems) == ("in_advance", ())
    late = ledger(today=date(2024, 7, 1))
    result = cover(late)
    assert (result.state, result.missing) == ("not_covered", 1.5e3)
    assert result.problems == (
        "ahead was to be repaid by 2024-06-30: 1.5 t are not",
        "4 t are needed (2 : 1), 2.5 t are drawn and 0 t spent in advance: 1.5 t are missing",
    )


def test_an_advance_is_repaid_by_draws_and_what_is_repaid_counts_for_ever():
    late = ledger(today=date(2024, 7, 1), **{"2": 1.0})
    (row,) = late.advances.values()
    balance = late.advance(row)
    assert (balance.granted, balance.repaid, balance.outstanding) == (1.5e3, 1e3, 500.0)
    assert balance.is_overdue
    assert cover(late).missing == 500.0
    paid = ledger(today=date(2024, 7, 1), **{"2": 1.5})
    assert not paid.advance(row).is_overdue
    assert (cover(paid).state, paid.reduction(paid.reductions["scrubber"]).available) == (
        "covered", 0.0,
    )  # fmt: skip


def test_nothing_is_drawn_from_what_is_not_approved_or_drawn_twice():
    book = ledger(A=None)
    balance = book.reduction(book.reductions["scrubber"])
    assert balance.status == "verified"
    assert np.isnan(balance.available)
    assert "it is verified, not approved: nothing may be drawn from it" in balance.problems
    assert cover(book).drawn == 0.0
    assert "scrubber of for-plant is not approved, or overdrawn" in cover(book).problems
    over = ledger(**{"2": 2.0})
    balance = over.reduction(over.reductions["scrubber"])
    assert balance.available == -500.0
    assert "more is drawn than approved: 4.5 t" in balance.problems
    assert cover(over).drawn == 0.0
    nothing = QuotaLedger(PARK, {}, TODAY)
    balance = nothing.reduction(nothing.reductions["scrubber"])
    assert balance.problems[0] == "nothing of it is in the books: e/B-D"


def test_a_reduction_is_for_its_own_enterprise_first():
    book = ledger(ADV=1.0, **{"3": 0.5})
    balance = book.reduction(book.reductions["scrubber"])
    assert balance.problems[-1] == (
        "for-other is for another enterprise, and plant of its own is not covered"
    )
    assert cover(book, "other").state == "covered"  # 0.5 t x 1
    covered = ledger(**{"3": 0.5})
    assert not any("another" in each for each in
                   covered.reduction(covered.reductions["scrubber"]).problems)  # fmt: skip


def test_a_ratio_is_that_of_area_condition_and_day_and_none_is_made_up():
    book = ledger()
    plant, other = book.projects["plant"], book.projects["other"]
    assert (ratio_of(plant, "VOC").value, ratio_of(other, "VOC").value) == (2.0, 1.0)
    assert ratio_of(plant, "VOC").row["verified"] is False
    result = cover(book, "other", "X")
    assert (result.state, result.problems) == (
        "no_data", ("no ratio is known for X in CN-SD, within_standard",),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('advance = "ahead"\namount', "amount", "is for a project or for an advance: name one"),
        ('reduction = "scrubber"', 'reduction = "scruber"', "did you mean 'scrubber'?"),
        ('project = "other"', 'project = "third"', "there is no project 'third'"),
        ('project = "plant"\npollutant = "VOC"', 'project = "plant"\npollutant = "Y"',
         "plant adds no Y"),
        ('adds = { VOC = "0.5 t", X = "1 t" }', 'adds = { X = "1 t" }', "other has no VOC"),
        ('declaration = "e/B-D"', 'declaration = "e/B-DD"', "there is no tag"),
        ("after_until = 2024-04-01", "after_until = 2024-02-10", "do not follow each other"),
        ("after_until = 2024-04-01", "", "outlets need before_since to after_until"),
        ('outlets = ["stack"]', 'outlets = ["stak"]', "p/e has no outlet 'stak'"),
        ('tag = "e/B-A"\nperiod = "instant"', 'tag = "e/B-A"\nperiod = "year"',
         "is no [[book]] of period instant"),
    ],
    ids=["for", "reduction", "project", "advance", "pollutant", "tag", "days", "no days", "outlet",
         "period"],
)  # fmt: skip
def test_rows_of_the_ledger_that_do_not_fit_are_refused(old, new, problem):
    with pytest.raises(ModelError) as error:
        parse_park({**WITH_QUOTAS, "park.toml": WITH_QUOTAS["park.toml"].replace(old, new)})
    assert problem in "\n".join(error.value.problems)
