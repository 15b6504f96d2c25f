"""Alarms of the demo and of the reference: everybody is told why, what follows and what to do."""

import pytest

from ingest.counters import own_tags
from tests.support.demo_park import PARK
from twin.accounts.network import compile_network
from twin.alarms.rules import PRIORITIES, TEXTS, park_alarms

NETWORK = compile_network(PARK)
ALARMS = park_alarms(PARK, (*NETWORK.tags, *own_tags(NETWORK)))


def test_every_alarm_says_cause_consequence_and_response_in_both_languages():
    lacking = [
        (alarm.id, text, language)
        for alarm in ALARMS
        for text in TEXTS
        for language in ("zh", "en")
        if not alarm.texts.get(text, {}).get(language, "").strip()
    ]
    assert lacking == []


# What an operator has to hear of: the name of a tag has the word, or the part of one.
@pytest.mark.parametrize(
    "word",
    [
        "margin.time_to_full", "margin.headroom", "margin.absorber_time", "margin.hazard",
        "margin.emission", "margin.local_share_of_liquid", "margin.local_share_of_chlorine",
        "margin.permit_forecast", "demand_forecast", "silent_gateways", "late_share",
    ],
)  # fmt: skip
def test_what_matters_has_an_alarm_that_is_told_before(word):
    mine = [alarm for alarm in ALARMS if word in alarm.tag]
    assert mine
    assert {alarm.priority for alarm in mine} <= set(PRIORITIES)
    assert len({alarm.id for alarm in ALARMS}) == len(ALARMS)
