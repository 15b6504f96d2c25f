"""The score: one table, of any park."""

import re

import numpy as np

from simulators.load import park_files
from simulators.scenarios.script import scenario_names
from simulators.scoring import score, trials
from simulators.scoring.figures import StatedFigure
from simulators.scoring.score import coverage
from tests.support import small_supply


def test_the_score_tries_every_scenario_there_is():
    assert set(trials.TRIALS) == set(scenario_names())


def stated(inside):
    return StatedFigure("x", 1.0, 0.1, 1.0 if inside else 2.0, 1.0, float("nan"))


def test_the_score_is_one_table_that_says_what_is_not_met(capsys):
    rows = [
        [("leak", trials.TrialFigure("node detected after", 4.0, "min", "<= 15", met=True))],
        [("leak", trials.TrialFigure("node detected after", np.nan, "min", "<= 15", met=False))],
    ]
    noticed = [[trials.BiasTrial("a", 0.02, 120.0, detected=True, suspects=2)],
               [trials.BiasTrial("a", 0.02, float("nan"), detected=False, suspects=0)]]  # fmt: skip
    held = [[stated(n % 20 > 0)] for n in range(400)]
    lines = [
        *score.trial_lines(rows), *score.bias_lines(noticed), *score.week_lines([0, 1, 1]),
        *score.week_lines([3, 1]), *score.coverage_lines(coverage(held)),
    ]  # fmt: skip
    assert [line.met for line in lines if line.met is not None] == [
        False, False, True, False, True, True,
    ]  # fmt: skip
    score.print_lines(lines)
    printed = capsys.readouterr().out
    assert "detected 1/2 within 2 min" in printed
    assert "95.0% (92.4%..96.7%) of 400" in printed
    assert "3 of 6 goals met" in printed


def test_the_score_shares_its_work_and_says_how_far_it_is(capsys):
    size = score.ScoreSize(trials=0, biases=0, weeks=0, parks=2, days=1, lossy=1)
    met = score.score("deploy/parks/liaocheng", size)
    printed = capsys.readouterr()
    assert "4 of 4 done" in printed.err
    assert "all, over a day" in printed.out
    assert "all, 10 % of samples lost" in printed.out
    assert "ratios, outages of hours" in printed.out
    assert "time to full after a trip" in printed.out
    # Nothing was tried, so nothing can have been named.
    assert not met


def test_the_score_of_another_park_tries_what_fits_and_says_what_it_leaves_out(tmp_path, capsys):
    for name, text in small_supply.FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    size = score.ScoreSize(trials=1, biases=1, weeks=0, parks=1, days=0, lossy=0)
    score.score(str(tmp_path), size)
    printed = capsys.readouterr()
    left_out = set(scenario_names()) - {"normal"}
    for name in left_out | {"time to full after a trip"}:
        assert re.search(rf"(?m)^{name}  +left out ", printed.out), name
        assert f"{name}: left out: " in printed.err
    assert re.search(r"left out +meter-bias\.toml:\d+: .*xinfa/FI-1203", printed.out)
    assert re.search(r"(?m)^normal +meters detected +0 1/d +0 +yes$", printed.out)
    assert re.search(r"(?m)^a bias of 4% +main ", printed.out)
    assert re.search(r"(?m)^all +interval holds the truth +\S+% ", printed.out)


def test_the_score_of_a_park_without_streams_promises_nothing(tmp_path, capsys):
    for name, text in park_files(3).items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert score.score(
        str(tmp_path), score.ScoreSize(trials=1, biases=1, weeks=1, parks=1, days=1, lossy=1)
    )
    assert re.search(r"checkable streams detected +0 of 0 ", capsys.readouterr().out)
