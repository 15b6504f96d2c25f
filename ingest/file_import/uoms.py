"""Units of measure as people write them into headers and cells."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from twin.errors import UomError
from twin.uom import compile_uom

# What pint does not read, as pint writes it.
ALIASES = {
    "℃": "degC", "°C": "degC", "deg C": "degC", "Deg C": "degC", "°F": "degF", "摄氏度": "degC",
    "KW": "kW", "kw": "kW", "Kw": "kW", "KWH": "kWh", "kwh": "kWh", "KWh": "kWh", "kWH": "kWh",
    "Kwh": "kWh", "MWH": "MWh", "GWH": "GWh", "千瓦时": "kWh", "千瓦": "kW", "兆瓦": "MW",
    "度": "kWh", "KVA": "kVA", "kVar": "kvar", "KVAR": "kvar", "kVArh": "kvarh", "KVARH": "kvarh",
    "MPA": "MPa", "Mpa": "MPa", "mpa": "MPa", "KPA": "kPa", "KPa": "kPa", "Kpa": "kPa",
    "kpa": "kPa", "兆帕": "MPa", "千帕": "kPa", "KA": "kA", "KV": "kV", "HZ": "Hz", "hz": "Hz",
    "吨": "t", "公斤": "kg", "千克": "kg", "立方米": "m^3", "立方": "m^3",
    "小时": "h", "时": "h", "分钟": "min", "秒": "s", "安": "A", "伏": "V", "米": "m",
    "百分比": "%", "KG": "kg", "T": "t", "H": "h",
}  # fmt: skip
POWER = re.compile(r"(?<![A-Za-z])([cdkm]?m)\s*\^?([23])(?!\d)")
WORD = re.compile(r"[^/*·()\s\d^]+(?: C\b)?")


@lru_cache(maxsize=4096)
def spelled(uom: str) -> tuple[str, ...]:
    """Return the ways pint may read a unit of measure, the one as it is written first."""
    plain = unicodedata.normalize("NFKC", uom).strip(" .").replace("μ", "µ")
    known = WORD.sub(lambda word: ALIASES.get(word[0], word[0]), ALIASES.get(plain, plain))
    return tuple(dict.fromkeys((uom, *(POWER.sub(r"\1^\2", text) for text in (plain, known)))))


def compile_written(uom: str, quantity: str) -> tuple[float, float]:
    """Return (scale, shift) of a unit of measure as people write it; raises UomError."""
    return compile_uom(_fitting(uom, quantity), quantity)


def pint_spelling(uom: str, quantity: str) -> str | None:
    """Return a unit of measure as pint reads it; None when it is no unit of the quantity."""
    try:
        text = _fitting(uom, quantity)
        compile_uom(text, quantity)
    except UomError:
        return None
    return text


@lru_cache(maxsize=4096)
def _fitting(uom: str, quantity: str) -> str:
    """Return the first spelling that pint reads, or the text as it is."""
    for text in spelled(uom):
        try:
            compile_uom(text, quantity)
        except UomError:
            continue
        return text
    return uom
