"""Units of measure: pint strings at the edges, compiled once to an affine map into coherent SI."""

from __future__ import annotations

import math
import re
from functools import lru_cache

import pint

from twin.errors import UomError

# The quantity fixes the SI unit of a tag. Normal volumes are their own quantities, because a cubic
# metre at 0 °C and 101,325 Pa is an amount of gas and a plain cubic metre is not. A date counts
# from the beginning of 1970, wherever the park is.
QUANTITIES = {
    "mass_flow": "kg/s",
    "volume_flow": "m^3/s",
    "normal_volume_flow": "m^3/s",
    "mass": "kg",
    "volume": "m^3",
    "normal_volume": "m^3",
    "level": "m",
    "length": "m",
    "area": "m^2",
    "power": "W",
    "energy": "J",
    "apparent_power": "VA",
    "reactive_power": "var",
    "reactive_energy": "var*s",
    "power_factor": "",
    "current": "A",
    "voltage": "V",
    "temperature": "K",
    "pressure": "Pa",
    "concentration": "kg/m^3",
    "density": "kg/m^3",
    "fraction": "",
    "ph": "",
    "state": "",
    "count": "",
    "speed": "m/s",
    "rate": "1/s",
    "intensity": "J/kg",
    "energy_density": "J/m^3",
    "heat_capacity": "J/(kg*K)",
    "time": "s",
    "molar_mass": "kg/mol",
    "molar_volume": "m^3/mol",
    "charge": "C/mol",
    "emission_factor": "kg/J",
    "current_density": "A/m^2",
    "area_resistance": "V*m^2/A",
    "date": "s",
    "money": "CNY",
    "mass_price": "CNY/kg",
    "energy_price": "CNY/J",
    "volume_price": "CNY/m^3",
    "demand_price": "CNY/W",
    "capacity_price": "CNY/VA",
    "transport_price": "CNY/(kg*m)",
}
UOM_CHARACTERS = 40
# A unit of measure may come from outside: pint would compute 9**9**9 for ever.
WILD_POWER = re.compile(r"(\*\*|\^)(?!\s*-?[1-4](?![\d.*^]))")
# A normal cubic metre as people write it; pint reads Nm^3 as a cubed number metre of yarn.
NORMAL_VOLUME = re.compile(r"Nm\s*(?:\*\*|\^)?\s*(?:3(?!\d)|³)")
_REGISTRY: pint.UnitRegistry[float] = pint.UnitRegistry(
    autoconvert_offset_to_baseunit=True, cache_folder=None, on_redefinition="ignore"
)
_REGISTRY.define("Nm3 = m^3")
# Apparent and reactive power are no watts: each has a dimension of its own.
_REGISTRY.define("VA = [apparent_power]")
_REGISTRY.define("var = [reactive_power] = _ = VAr = VAR = Var")
_REGISTRY.define("varh = var * hour = _ = VArh = VARh = Varh")
# The calorie of coal is that of the steam tables; pint's own is the thermochemical one, 4.184 J.
_REGISTRY.define("calorie = 4.1868 * joule = cal")
_REGISTRY.define("kgce = 29307.6 * kJ")  # 7000 kcal, GB/T 2589
_REGISTRY.define("tce = 1000 * kgce")
_REGISTRY.define("kgoe = 41.868 * MJ")
_REGISTRY.define("kt = 1e6 * kg")
_REGISTRY.define("CNY = [currency] = _ = 元 = yuan")
# Units of books and statistics.
_REGISTRY.define("wan_yuan = 1e4 * CNY = _ = 万元")
_REGISTRY.define("yi_yuan = 1e8 * CNY = _ = 亿元")
_REGISTRY.define("mu = 2000 / 3 * m^2 = _ = 亩")
_REGISTRY.define("person = [] = _ = 人 = persons")
_REGISTRY.define("吨 = t")
_REGISTRY.define("万吨 = 1e4 * t")
_REGISTRY.define("千瓦时 = kWh")
_REGISTRY.define("万千瓦时 = 1e4 * kWh")
_REGISTRY.define("立方米 = m^3")
_REGISTRY.define("万立方米 = 1e4 * m^3")
_REGISTRY.define("平方米 = m^2")
_REGISTRY.define("公顷 = hectare")


@lru_cache(maxsize=4096)
def compile_uom(uom: str, quantity: str) -> tuple[float, float]:
    """Return (scale, shift) with ``si = value * scale + shift``.

    Parameters
    ----------
    uom
        unit of measure as pint writes it, like ``t/h``
    quantity
        one of `QUANTITIES`, which fixes the SI unit

    Returns
    -------
    scale, shift : float [SI]

    Raises
    ------
    UomError
        The quantity is not in the vocabulary, the unit of measure is unknown, has another dimension
        than the quantity, or is not affine (dB, for example).
    """
    if quantity not in QUANTITIES:
        raise UomError(
            f"quantity {quantity!r} is not in the vocabulary",
            hint="use one of " + ", ".join(QUANTITIES),
        )
    if len(uom) > UOM_CHARACTERS or WILD_POWER.search(uom):
        raise UomError(
            f"unit of measure {uom[:UOM_CHARACTERS]!r} is too long or has a wild power",
            hint="write it as pint does: t/h, kWh, m^3, %",
        )
    try:
        unit = _REGISTRY.parse_units(NORMAL_VOLUME.sub("Nm3", uom))
        zero, one, ten = (
            float(_REGISTRY.Quantity(v, unit).to(QUANTITIES[quantity]).magnitude)
            for v in (0.0, 1.0, 10.0)
        )
    except pint.DimensionalityError as error:
        raise UomError(
            f"{uom!r} is not a unit of {quantity}",
            hint=f"a {quantity} is given in units like {QUANTITIES[quantity] or '1 or %'}",
        ) from error
    except Exception as error:
        raise UomError(
            f"unit of measure {uom!r} is unknown", hint="write it as pint does: t/h, kWh, degC, %"
        ) from error
    scale = one - zero
    if not math.isclose(ten - zero, 10 * scale, rel_tol=1e-9) or scale == 0:
        raise UomError(f"{uom!r} is not an affine unit of measure", hint="use a linear unit")
    return scale, zero


def quantity_of(uom: str, quantity: str) -> str:
    """Return the quantity that a unit of measure makes of a stated one.

    Parameters
    ----------
    uom
        unit of measure as people write it
    quantity
        one of `QUANTITIES`, as it was stated

    Returns
    -------
    str
        ``normal_volume_flow`` of a ``volume_flow`` in Nm³/h, and the same of a volume: what is
        given in normal cubic metres is an amount of gas; any other quantity as it is
    """
    normal = f"normal_{quantity}"
    return normal if normal in QUANTITIES and NORMAL_VOLUME.search(uom) else quantity


@lru_cache(maxsize=4096)
def parse_quantity(text: str, quantity: str, *, difference: bool = False) -> float:
    """Return the SI magnitude of a text like ``1425 kg/m^3``.

    Parameters
    ----------
    text
        a number, a blank, a unit of measure
    quantity
        one of `QUANTITIES`
    difference
        whether it is one of two values: ``2 degC`` are 2 K then

    Returns
    -------
    float [SI]

    Raises
    ------
    UomError
        The text is no number with a unit, or the unit is not one of the quantity.
    """
    value, uom = _parts(text, quantity)
    scale, shift = compile_uom(uom, quantity)
    return value * scale if difference else value * scale + shift


def parse_rate(text: str, quantity: str) -> float:
    """Return the SI magnitude of a change in time: ``2 degC/min`` are 1/30 K/s.

    Parameters
    ----------
    text
        a number, a blank, a unit of measure of the quantity, ``/`` and one of time
    quantity
        one of `QUANTITIES`

    Returns
    -------
    float [SI/s]

    Raises
    ------
    UomError
        The text is no number with such a unit.
    """
    value, uom = _parts(text, quantity)
    change, _, time = (part.strip() for part in uom.rpartition("/"))
    try:
        return value * compile_uom(change, quantity)[0] / compile_uom(time, "time")[0]
    except UomError as error:
        raise UomError(
            f"{text!r} is not a change of {quantity} in time",
            hint=f"write it like '2 {QUANTITIES.get(quantity) or '%'}/min'",
        ) from error


def _parts(text: str, quantity: str) -> tuple[float, str]:
    """Return number and unit of measure of a text; raises `UomError`."""
    number, _, uom = str(text).strip().partition(" ")
    try:
        return float(number), uom.strip()
    except ValueError as error:
        raise UomError(
            f"{text!r} is not a number with a unit of measure",
            hint=f"write it like '3.2 {QUANTITIES.get(quantity) or '%'}'",
        ) from error


def from_si(value: float, uom: str, quantity: str) -> float:
    """Return a SI magnitude in a unit of measure.

    Parameters
    ----------
    value : float [SI]
    uom
        unit of measure as pint writes it
    quantity
        one of `QUANTITIES`

    Returns
    -------
    float [uom]

    Raises
    ------
    UomError
        The unit is unknown or not one of the quantity.
    """
    scale, shift = compile_uom(uom, quantity)
    return (value - shift) / scale
