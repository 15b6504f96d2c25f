"""Qualities of other systems in our own code, and in words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin import quality as q
from twin.quality_vocabularies import VOCABULARIES, explain, in_words, quality_of

CUT_OFF = q.BAD | q.NOT_CONNECTED


@pytest.mark.parametrize(
    ("vocabulary", "sent", "code", "words"),
    [
        ("opc", 192, 0, "good, non-specific"),
        ("opc", "192", 0, "good, non-specific"),
        ("opc", 192.0, 0, "good, non-specific"),
        ("opc", 195, 0, "good, non-specific"),
        ("opc", 216, q.MANUAL, "good, local override"),
        ("opc", 24, CUT_OFF, "bad, communication failure"),
        ("opc", 0, q.BAD, "bad, non-specific"),
        ("opc", 20, q.BAD | q.STALE, "bad, last known value"),
        ("opc", 28, q.BAD | q.OUT_OF_SERVICE, "bad, out of service"),
        ("opc", 64, q.UNCERTAIN, "uncertain, non-specific"),
        ("opc", 85, q.UNCERTAIN | q.OUT_OF_RANGE, "uncertain, engineering units exceeded"),
        ("opc", 0x1200 | 192, 0, "good, non-specific"),
        ("opc", "GOOD", 0, "good"),
        ("opc", "Bad, Comm Failure", CUT_OFF, "bad, communication failure"),
        ("opc", "Uncertain", q.UNCERTAIN, "uncertain"),
        ("opcua", 0, 0, "good"),
        ("opcua", 0x0400, 0, "good"),
        ("opcua", 0x80310000, CUT_OFF, "bad, no communication"),
        ("opcua", 0x80310000 - (1 << 32), CUT_OFF, "bad, no communication"),
        ("opcua", "0x808C0000", q.BAD | q.FAULT, "bad, sensor failure"),
        ("opcua", "OK (0x0)", 0, "good"),
        ("opcua", "BadSensorFailure", q.BAD | q.FAULT, "bad, sensor failure"),
        ("opcua", "Bad_NoCommunication", CUT_OFF, "bad, no communication"),
        ("opcua", "BadWhatever", q.BAD, "bad"),
        ("opcua", 0x40900000, q.UNCERTAIN | q.STALE, "uncertain, last usable value"),
        ("opcua", 0x40FE0000, q.UNCERTAIN, "uncertain"),
        ("opcua", {"Code": 0x808D0000, "Symbol": "BadOutOfService"}, q.BAD | q.OUT_OF_SERVICE,
         "bad, out of service"),
        ("opcua", {}, 0, "good"),
        ("validity", 1, 0, "good"),
        ("validity", "0", q.BAD, "bad"),
        ("validity", 100, 0, "good"),
        ("validity", False, q.BAD, "bad"),
        ("percent", "100 %", 0, "good"),
        ("percent", 97.5, q.UNCERTAIN | q.INCOMPLETE, "uncertain, 97.5 % good"),
        ("percent", 0, q.BAD, "bad"),
        ("bool", True, 0, "good"),
        ("bool", "FALSE", q.BAD, "bad"),
        ("words", " Good ", 0, "good"),
        ("words", "可疑", q.UNCERTAIN, "uncertain"),
        ("ours", CUT_OFF, CUT_OFF, "bad, not connected"),
        ("ours", "bad", q.BAD, "bad"),
    ],
)  # fmt: skip
def test_quality_of_another_system_is_read_and_said_in_words(vocabulary, sent, code, words):
    assert quality_of(vocabulary, sent) == code
    assert explain(vocabulary, sent).endswith(f" = {words}")


@pytest.mark.parametrize(
    ("vocabulary", "sent"),
    [("words", 0), ("words", 192), ("words", "192"), ("words", True), ("words", None),
     ("words", "fine"), ("words", ["good"]), ("opc", 130), ("opc", 65536), ("opc", -1),
     ("opc", 192.5), ("opc", float("nan")), ("opc", True), ("opcua", 0xC0000000),
     ("opcua", 1 << 32), ("validity", 2), ("percent", 101), ("percent", "nan"), ("bool", 2),
     ("ours", 256), ("ours", True), ("ours", "x" * 1_000_000)],
)  # fmt: skip
def test_what_a_vocabulary_does_not_have_is_no_quality(vocabulary, sent):
    assert quality_of(vocabulary, sent) is None
    assert "=" not in explain(vocabulary, sent).partition("qualities =")[0]


def test_number_without_a_vocabulary_is_refused_with_the_mend():
    assert explain("words", 192) == (
        "192 means nothing without its vocabulary:"
        " qualities = one of ours, opc, opcua, validity, percent, bool"
    )


def test_truth_values_and_numbers_are_told_apart_however_they_came_before():
    for sent, expected in ((1, 128), (True, None), (1.0, 128), (True, None)):
        assert quality_of("opc", sent) == expected


@given(st.sampled_from(sorted(VOCABULARIES)), st.none() | st.booleans() | st.integers()
       | st.floats() | st.text() | st.dictionaries(st.text(), st.integers()))  # fmt: skip
def test_any_quality_is_a_code_of_ours_or_none(vocabulary, sent):
    code = quality_of(vocabulary, sent)
    assert code is None or in_words(code)
    assert code is None or 0 <= code < 256
    assert explain(vocabulary, sent)
