"""Alarm rules: limits, deadbands, delays and ids of park models, and what is wrong with them."""

import numpy as np
import pytest

from tests.support.small_region import NETWORK, PARK_TOML, TAGS_CSV, problems_of
from twin.accounts.network import compile_network
from twin.alarms.rules import PRIORITIES, compile_rules, park_alarms
from twin.loading import parse_park
from twin.uom import parse_quantity

CSV = (
    TAGS_CSV
    + "TT-1,r,temperature,degC,gauge,-20,180,0.5,a temperature\n"
    + "PT-1,r,pressure,kPa,gauge,,,,a pressure without a range\n"
    + "AT-1,r,fraction,%,gauge,0,5,0.05,hydrogen in chlorine\n"
)
RESIDUAL = "alpha/caustic.chlorine.mass_flow.residual"


def row(**cells):
    cells = {"tag": "alpha/FT-1", "limit": "90 t/h", "direction": "high"} | cells
    texts = {k: str(v).lower() if isinstance(v, bool) else f'"{v}"' for k, v in cells.items()}
    return "[[alarm]]\n" + "".join(f"{key} = {text}\n" for key, text in texts.items())


def load(*rows):
    park = parse_park({"park.toml": PARK_TOML + "".join(rows), "tags.csv": CSV})
    return park_alarms(park, compile_network(park).tags)


def only(**cells):
    (alarm,) = load(row(**cells))
    return alarm


def test_a_row_becomes_a_rule_in_si():
    alarm = only(deadband="3.6 t/h", on_delay="1 min", off_delay="2 s", priority="high", id="A-1")
    assert (alarm.id, alarm.tag, alarm.scope) == ("A-1", "alpha/FT-1", "r/east/alpha/vcm")
    assert (alarm.limit, alarm.deadband) == (pytest.approx(25.0), pytest.approx(1.0))
    assert (alarm.on_delay_s, alarm.off_delay_s, alarm.priority) == (60.0, 2.0, "high")


def test_deadband_and_delays_come_from_the_kind_of_quantity():
    flow = only()
    assert flow.deadband == pytest.approx(0.05 * 100 / 3.6)
    assert (flow.on_delay_s, flow.off_delay_s) == (15.0, 15.0)
    level = only(tag="alpha/LT-2", limit="2.5 m")
    assert (level.deadband, level.on_delay_s) == (pytest.approx(0.15), 60.0)
    hot = only(tag="r/TT-1", limit="80 degC")
    assert (hot.limit, hot.deadband) == (pytest.approx(353.15), pytest.approx(2.0))
    share = only(tag="r/AT-1", limit="4 %")
    assert (share.limit, share.deadband, share.on_delay_s) == (pytest.approx(0.04), 0.0, 0.0)
    assert share.priority == PRIORITIES[-1]


def test_a_default_deadband_without_a_range_is_none():
    assert only(tag="r/PT-1", limit="190 kPa").deadband == 0.0
    assert only(tag=RESIDUAL, limit="3 t/h").deadband == 0.0


def test_a_deadband_is_a_difference_or_a_share_of_the_range():
    assert only(tag="r/TT-1", limit="80 degC", deadband="2 degC").deadband == pytest.approx(2.0)
    assert only(tag="r/TT-1", limit="80 degC", deadband="2 K").deadband == pytest.approx(2.0)
    assert only(deadband="10 %").deadband == pytest.approx(10 / 3.6)
    assert only(tag="r/AT-1", limit="4 %", deadband="10 %").deadband == pytest.approx(0.005)
    assert only(tag="r/AT-1", limit="4 %", deadband="0.002").deadband == pytest.approx(0.002)
    assert parse_quantity("36 degF", "temperature", difference=True) == pytest.approx(20.0)


def test_an_alarm_may_stand_on_a_derived_tag():
    alarm = only(tag=RESIDUAL, limit="3.6 t/h", direction="low")
    rules = compile_rules([alarm], NETWORK.tags)
    assert rules.tag.tolist() == [NETWORK.index[RESIDUAL]]
    assert (rules.sign.tolist(), rules.limit.tolist()) == ([-1.0], [pytest.approx(1.0)])


def test_alarms_without_an_id_are_counted_from_the_normal_value():
    result = load(
        row(limit="95 t/h"), row(limit="90 t/h"), row(limit="1 t/h", direction="low"),
        row(limit="2 t/h", direction="low"), row(limit="99 t/h", id="own"),
    )  # fmt: skip
    assert [a.id for a in result] == [
        "alpha/FT-1.high2", "alpha/FT-1.high", "alpha/FT-1.low2", "alpha/FT-1.low", "own",
    ]  # fmt: skip


def test_gas_detectors_and_what_the_model_says_may_never_be_shelved():
    assert only().shelvable
    assert not only(shelvable=False).shelvable
    detector = {"source": "GB/T 50493-2019, two occupational exposure limits"}
    assert not only(**detector).shelvable
    assert not only(**detector, shelvable=True).shelvable


def test_rules_are_columns_over_the_tags():
    result = load(row(), row(tag="alpha/LT-2", limit="1 m", direction="low", priority="critical"))
    rules = compile_rules(result, NETWORK.tags)
    assert rules.alarms == result
    assert rules.on_delay_us.tolist() == [15_000_000, 60_000_000]
    assert rules.gap_us.tolist() == [300_000_000] * 2
    assert rules.priority.tolist() == [3, 0]
    nothing = compile_rules((), NETWORK.tags)
    assert nothing.tag.dtype == np.int64
    assert len(nothing.limit) == 0


WRONG = {
    "unknown tag": ({"tag": "alpha/FT-99"}, "tag: there is no tag 'alpha/FT-99'"),
    "no such derived": ({"tag": "alpha/gold.mass_flow.residual"}, "tag: there is no tag"),
    "uom of the limit": ({"limit": "90 kW"}, "limit: 'kW' is not a unit of mass_flow"),
    "no limit": ({"limit": "nan t/h"}, "limit: 'nan t/h' is not a limit"),
    "uom of the deadband": ({"deadband": "1 kW"}, "deadband: 'kW' is not a unit of mass_flow"),
    "below zero": ({"deadband": "-1 t/h"}, "deadband: '-1 t/h' is not a width"),
    "no number": ({"deadband": "some"}, "deadband: 'some' is not a number"),
    "no range": (
        {"tag": "r/PT-1", "limit": "1 kPa", "deadband": "2 %"},
        "deadband: '2 %' of a range, but 'r/PT-1' has no low and high",
    ),
    "delay": ({"on_delay": "-1 s"}, "on_delay: a delay is not negative"),
    "counter": ({"tag": "alpha/JQ-1", "limit": "1 kWh"}, "tag: 'alpha/JQ-1' is a counter"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_alarm_is_said_with_its_line(case):
    cells, message = WRONG[case]
    toml = PARK_TOML + row(**cells)
    (problem,) = problems_of(toml, CSV)
    path, _, text = problem.partition(": [[alarm]] ")
    assert text.startswith(f"{cells.get('tag', 'alpha/FT-1')}: {message}")
    line = toml.splitlines()[int(path.removeprefix("park.toml:")) - 1]
    assert line.startswith(message.partition(":")[0])


def test_all_wrong_alarms_are_said_with_what_else_is_wrong():
    toml = PARK_TOML + "".join(row(**cells) for cells, _ in WRONG.values()) + "[[moon]]\n"
    problems = problems_of(toml, CSV)
    # Whether that derived tag exists can be said only of a model that is right otherwise.
    assert len([p for p in problems if "[[alarm]]" in p]) == len(WRONG) - 1


def test_two_alarms_of_one_name_are_a_problem():
    (problem,) = problems_of(PARK_TOML + row() + row(id="alpha/FT-1.high", limit="9 t/h"), CSV)
    assert "alarm 'alpha/FT-1.high' is there already" in problem
