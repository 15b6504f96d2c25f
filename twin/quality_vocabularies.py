"""The qualities of other systems, by named vocabularies, in our own code (`twin.quality`).

A number means nothing without the vocabulary it is from: 192 is good in OPC DA, 0 is bad there and
good in OPC UA. So `words`, the vocabulary where none is declared, has no numbers.

========== =====================================================================================
words      good, uncertain, bad, and what people write for them, in English and Chinese
ours       the numbers 0 to 255 of `twin.quality`, and the words
opc        OPC DA [1]_: two bits of severity, four of substatus, two of limits (not read); the
           high byte is the vendor's (not read). 192 to 255 good, 64 to 127 uncertain, 0 to 63 bad
opcua      OPC UA [2]_ [3]_: severity in the top two of 32 bits, subcode in the next fourteen, the
           low sixteen not read; as a number (signed, too), hexadecimal text (also in
           brackets behind others: ``OK (0x0)``), symbol, or ``{"Code": ..., "Symbol": ...}``
validity   1 or 100 valid, 0 invalid
percent    share of good values: 100 good, 0 bad, between them uncertain
bool       true good, false bad
========== =====================================================================================

Numbers may be texts (``"192"``), as in the cells of a file.

References
----------
.. [1] OPC Data Access Custom Interface Specification 3.00, section 6.8: OPC quality flags.
.. [2] OPC UA Part 4: Services, section 7.39: StatusCode.
.. [3] OPC UA Part 8: Data Access, section 6.3; the numbers are those of ``StatusCode.csv`` of the
   OPC Foundation's UA-Nodeset.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from twin import quality as q

if TYPE_CHECKING:
    from collections.abc import Callable


class Meaning(NamedTuple):
    """What a sent quality means: our code, and its words."""

    quality: int
    words: str


GOOD, UNCERTAIN, BAD = (Meaning(code, word) for word, code in q.WORDS.items())
SEVERITIES = {0: BAD, 1: UNCERTAIN, 3: GOOD}  # of OPC DA, by the top two bits
UA_SEVERITIES = {0: GOOD, 1: UNCERTAIN, 2: BAD}
SYNONYMS = {
    GOOD: "good ok valid normal 良好 好 正常 有效",
    UNCERTAIN: "uncertain questionable suspect doubtful 不确定 可疑 存疑",
    BAD: "bad invalid error fault faulty 坏 坏值 无效 故障 异常",
}
WORDS = {word: meaning for meaning, text in SYNONYMS.items() for word in text.split()}
YES = dict.fromkeys(("true", "yes", "t", "y", "1"), GOOD)
NO = dict.fromkeys(("false", "no", "f", "n", "0"), BAD)
TRUTHS = YES | NO
NUMBER = re.compile(r"[-+]?\d+(\.0*)?\Z")
HEXADECIMAL = re.compile(r"(?:.*\()?(0[xX][0-9a-fA-F]{1,8})\)?\Z")
SYMBOL = re.compile(r"[A-Za-z_]+")
WORD_OF_SYMBOL = re.compile(r"[A-Z][a-z]*")
MEMORY, LONGEST = 4096, 100

_FAULT, _CUT_OFF, _OLD = q.BAD | q.FAULT, q.BAD | q.NOT_CONNECTED, q.UNCERTAIN | q.STALE
_BEYOND, _PARTIAL = q.UNCERTAIN | q.OUT_OF_RANGE, q.UNCERTAIN | q.INCOMPLETE
# Severity and substatus without the limit bits.
OPC = {
    0: Meaning(q.BAD, "bad, non-specific"),
    4: Meaning(_FAULT, "bad, configuration error"),
    8: Meaning(_CUT_OFF, "bad, not connected"),
    12: Meaning(_FAULT, "bad, device failure"),
    16: Meaning(_FAULT, "bad, sensor failure"),
    20: Meaning(q.BAD | q.STALE, "bad, last known value"),
    24: Meaning(_CUT_OFF, "bad, communication failure"),
    28: Meaning(q.BAD | q.OUT_OF_SERVICE, "bad, out of service"),
    32: Meaning(_CUT_OFF, "bad, waiting for initial data"),
    64: Meaning(q.UNCERTAIN, "uncertain, non-specific"),
    68: Meaning(_OLD, "uncertain, last usable value"),
    80: Meaning(q.UNCERTAIN | q.CALIBRATION, "uncertain, sensor not accurate"),
    84: Meaning(_BEYOND, "uncertain, engineering units exceeded"),
    88: Meaning(_PARTIAL, "uncertain, sub-normal"),
    192: Meaning(q.GOOD, "good, non-specific"),
    216: Meaning(q.GOOD | q.MANUAL, "good, local override"),
}
# How servers write the same in words, as far as that differs.
OPC_WORDS = {
    **{re.sub(r"\W", "", each.words): each for each in OPC.values()},
    "badconfigerror": OPC[4], "badcommfailure": OPC[24], "baddevicefail": OPC[12],
    "badsensorfail": OPC[16], "badlastknown": OPC[20], "uncertainlastusable": OPC[68],
    "uncertainsensorcal": OPC[80], "uncertainegusexceeded": OPC[84],
}  # fmt: skip
# The codes that values carry, by the upper sixteen bits; of others the severity alone counts.
UA = {
    0x8001: ("BadUnexpectedError", _FAULT),
    0x8002: ("BadInternalError", _FAULT),
    0x8004: ("BadResourceUnavailable", _FAULT),
    0x8005: ("BadCommunicationError", _CUT_OFF),
    0x800A: ("BadTimeout", _CUT_OFF),
    0x800C: ("BadShutdown", q.BAD | q.OUT_OF_SERVICE),
    0x800D: ("BadServerNotConnected", _CUT_OFF),
    0x800E: ("BadServerHalted", q.BAD | q.OUT_OF_SERVICE),
    0x8031: ("BadNoCommunication", _CUT_OFF),
    0x8032: ("BadWaitingForInitialData", _CUT_OFF),
    0x803C: ("BadOutOfRange", q.BAD | q.OUT_OF_RANGE),
    0x8085: ("BadRequestTimeout", _CUT_OFF),
    0x8086: ("BadSecureChannelClosed", _CUT_OFF),
    0x8089: ("BadConfigurationError", _FAULT),
    0x808A: ("BadNotConnected", _CUT_OFF),
    0x808B: ("BadDeviceFailure", _FAULT),
    0x808C: ("BadSensorFailure", _FAULT),
    0x808D: ("BadOutOfService", q.BAD | q.OUT_OF_SERVICE),
    0x809B: ("BadNoData", q.BAD | q.NOT_A_NUMBER),
    0x809D: ("BadDataLost", q.BAD | q.INCOMPLETE),
    0x809E: ("BadDataUnavailable", q.BAD | q.INCOMPLETE),
    0x80AC: ("BadConnectionRejected", _CUT_OFF),
    0x80AD: ("BadDisconnect", _CUT_OFF),
    0x80AE: ("BadConnectionClosed", _CUT_OFF),
    0x80F0: ("BadNoValue", q.BAD | q.NOT_A_NUMBER),
    0x408F: ("UncertainNoCommunicationLastUsableValue", _OLD),
    0x4090: ("UncertainLastUsableValue", _OLD),
    0x4091: ("UncertainSubstituteValue", q.UNCERTAIN | q.SUBSTITUTED),
    0x4092: ("UncertainInitialValue", q.UNCERTAIN | q.SUBSTITUTED),
    0x4093: ("UncertainSensorNotAccurate", q.UNCERTAIN | q.CALIBRATION),
    0x4094: ("UncertainEngineeringUnitsExceeded", _BEYOND),
    0x4095: ("UncertainSubNormal", _PARTIAL),
    0x40A4: ("UncertainDataSubNormal", _PARTIAL),
    0x40F2: ("UncertainOverRange", _BEYOND),
    0x40F3: ("UncertainUnderRange", _BEYOND),
    0x4208: ("UncertainTransducerInManual", q.UNCERTAIN | q.MANUAL),
    0x4209: ("UncertainSimulatedValue", q.UNCERTAIN | q.SIMULATED),
    0x420A: ("UncertainSensorCalibration", q.UNCERTAIN | q.CALIBRATION),
    0x420F: ("UncertainConfigurationError", q.UNCERTAIN | q.FAULT),
    0x0096: ("GoodLocalOverride", q.GOOD | q.MANUAL),
    0x00DC: ("GoodEdited", q.GOOD | q.MANUAL),
}
REASONS = {
    q.OUT_OF_RANGE: "out of range", q.STALE: "stale", q.SUBSTITUTED: "substituted",
    q.NOT_CONNECTED: "not connected", q.NOT_A_NUMBER: "not a number", q.FAULT: "fault",
    q.MAINTENANCE: "maintenance", q.CALIBRATION: "calibration", q.INCOMPLETE: "incomplete",
    q.MANUAL: "manual", q.RESET: "counter was reset", q.OUT_OF_SERVICE: "out of service",
    q.RATE_OF_CHANGE: "changes too fast", q.STUCK: "stuck", q.UNIT_ERROR: "suspected unit error",
    q.CLOCK_SKEW: "clock of its gateway is wrong", q.INCONSISTENT: "the balances contradict it",
    q.SPREAD: "spread over a long time", q.FALSE_READING: "a reading between was false",
    q.REPLACED: "first reading of a new meter",
}  # fmt: skip


def in_words(code: int) -> str:
    """Return one of our own codes in words, like ``bad, not connected``."""
    severity = "bad" if code >= q.BAD else "uncertain" if code >= q.UNCERTAIN else "good"
    reason = REASONS.get(code & (q.SIMULATED - 1))
    simulated = "simulated" if code & q.SIMULATED else None
    return ", ".join(filter(None, (severity, reason, simulated)))


def _words(sent: object) -> Meaning | None:
    return WORDS.get(sent.casefold()) if isinstance(sent, str) else None


def _ours(sent: object) -> Meaning | None:
    number = _whole(sent)
    if number is None:
        return _words(sent)
    return Meaning(number, in_words(number)) if 0 <= number < 256 else None


def _opc(sent: object) -> Meaning | None:
    number = _whole(sent)
    if number is None:
        text = re.sub(r"\W", "", sent.casefold()) if isinstance(sent, str) else ""
        return OPC_WORDS.get(text) or _severity_of(text)
    if not 0 <= number <= 0xFFFF:
        return None
    return OPC.get(number & 0b1111_1100) or SEVERITIES.get(number >> 6 & 0b11)


def _opcua(sent: object) -> Meaning | None:
    number = _whole(sent)
    if number is None:
        symbol = SYMBOL.match(sent) if isinstance(sent, str) else None
        name = symbol[0].replace("_", "").casefold() if symbol else ""
        return UA_WORDS.get(name) or _severity_of(name)
    if not -(1 << 31) <= number < 1 << 32:
        return None
    code = number >> 16 & 0xFFFF
    return UA_MEANINGS.get(code) or UA_SEVERITIES.get(code >> 14)


def _validity(sent: object) -> Meaning | None:
    number = _whole(sent)
    if number is None:
        return _bool(sent) or _words(sent)
    return {1: GOOD, 100: GOOD, 0: BAD}.get(number)


def _percent(sent: object) -> Meaning | None:
    try:
        share = float(sent.rstrip("% ")) if isinstance(sent, str) else sent
    except ValueError:
        return None
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 100:
        return None
    if 0 < share < 100:
        return Meaning(_PARTIAL, f"uncertain, {share:g} % good")
    return GOOD if share else BAD


def _bool(sent: object) -> Meaning | None:
    if isinstance(sent, bool):
        return GOOD if sent else BAD
    number = _whole(sent)
    return TRUTHS.get(str(sent).casefold() if number is None else str(number))


def _whole(sent: object) -> int | None:
    """Return a whole number, also of a text; None for anything else."""
    if isinstance(sent, bool):
        return None
    if isinstance(sent, str):
        code = HEXADECIMAL.match(sent)
        if code:
            return int(code[1], 16)
        return int(sent.partition(".")[0]) if NUMBER.match(sent) else None
    return int(sent) if isinstance(sent, int | float) and sent % 1 == 0 else None


def _severity_of(name: str) -> Meaning | None:
    """Return the severity that a symbol begins with."""
    return next((each for each in (GOOD, UNCERTAIN, BAD) if name.startswith(each.words)), None)


def _spelt(symbol: str) -> str:
    """Return a symbol in words: ``BadSensorFailure`` as ``bad, sensor failure``."""
    severity, *words = WORD_OF_SYMBOL.findall(symbol)
    return f"{severity.lower()}, {' '.join(words).lower()}"


UA_MEANINGS = {code: Meaning(ours, _spelt(name)) for code, (name, ours) in UA.items()}
UA_WORDS = {name.casefold(): UA_MEANINGS[code] for code, (name, _) in UA.items()}
VOCABULARIES: dict[str, Callable[[object], Meaning | None]] = {
    "words": _words,
    "ours": _ours,
    "opc": _opc,
    "opcua": _opcua,
    "validity": _validity,
    "percent": _percent,
    "bool": _bool,
}


def quality_of(vocabulary: str, sent: Any) -> int | None:
    """Return our code of a quality as it was sent; None when the vocabulary does not have it."""
    meaning = _meaning(vocabulary, sent)
    return None if meaning is None else meaning.quality


def explain(vocabulary: str, sent: Any) -> str:
    """Return a quality in words: ``opc 24 = bad, communication failure``; or why it is none."""
    meaning = _meaning(vocabulary, sent)
    if meaning is not None:
        return f"{vocabulary} {sent!s:.80} = {meaning.words}"
    if vocabulary == "words" and (isinstance(sent, bool) or _whole(_stripped(sent)) is not None):
        others = ", ".join(name for name in VOCABULARIES if name != "words")
        return f"{sent!r:.80} means nothing without its vocabulary: qualities = one of {others}"
    return f"{sent!r:.80} is not a quality of the vocabulary {vocabulary}"


def _meaning(vocabulary: str, sent: Any) -> Meaning | None:
    """Return what a quality means; texts and numbers that came before are remembered."""
    if isinstance(sent, dict):
        # Absent, the code is 0 (OPC UA Part 6, section 5.4.2.12).
        sent = sent.get("Code", sent.get("code", sent.get("Symbol", sent.get("symbol", 0))))
    if isinstance(sent, str):
        return _remembered(vocabulary, sent) if len(sent) <= LONGEST else None
    return _remembered(vocabulary, sent) if isinstance(sent, int | float) else None


@lru_cache(MEMORY, typed=True)
def _remembered(vocabulary: str, sent: object) -> Meaning | None:
    return VOCABULARIES[vocabulary](_stripped(sent))


def _stripped(sent: object) -> object:
    return sent.strip() if isinstance(sent, str) else sent
