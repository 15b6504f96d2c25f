"""From what a stack's analysers and meters show to concentrations and masses that count.

Gas volumes are dry and in the reference state (0 °C, 101,325 Pa). What is compared with a limit is
corrected to a reference oxygen; what is booked as a mass never is.

References
----------
.. [1] HJ 212-2017, Annex D: computation of flue-gas data, after HJ/T 75-2007 and HJ/T 76-2007.
.. [2] HJ 75-2017, Specifications for continuous emissions monitoring of SO2, NOx and particulate
   matter in the flue gas emitted from stationary sources, annex on computation.
"""

from __future__ import annotations

import numpy as np

from twin.arrays import F64
from twin.reference import load as load_reference
from twin.uom import compile_uom, parse_quantity


def _constant(name: str, key: str, quantity: str) -> float:
    """Return a constant of the standards."""
    return parse_quantity(load_reference("cems")[name][key], quantity)


def _expansion(temperature: F64, pressure: F64, state: str) -> F64:
    """Return the volume of a gas over its volume in the reference state; NaN for no pressure."""
    states = load_reference("cems")["state"]
    if state not in states:
        raise ValueError(f"there is no reference state {state!r}, use one of {', '.join(states)}")
    zero = parse_quantity(states[state]["temperature"], "temperature")
    normal = parse_quantity(states[state]["pressure"], "pressure")
    celsius = temperature - compile_uom("degC", "temperature")[1]
    pressed = np.where(np.asarray(pressure) > 0, pressure, np.nan)
    return np.asarray((zero + celsius) / zero * normal / pressed)


def _dryness(moisture: F64) -> F64:
    """Return the dry share of a wet gas; NaN where the moisture is not a share."""
    share = np.asarray(moisture)
    return np.where((share >= 0) & (share < 1), 1 - share, np.nan)


def at_standard_state(
    concentration: F64, temperature: F64, pressure: F64, state: str = "hj"
) -> F64:
    """Return concentrations in the reference state.

    Parameters
    ----------
    concentration : (...) float64 [kg/m^3]   mass per volume of gas as it is in the stack
    temperature : (...) float64 [K]          of the gas
    pressure : (...) float64 [Pa]            of the gas, absolute: atmosphere plus static pressure
    state                                    ``hj`` takes 0 °C as 273 K, ``exact`` as 273.15 K

    Returns
    -------
    (...) float64 [kg/m^3]                   as wet or as dry as what came in

    Raises
    ------
    ValueError
        There is no such reference state.

    Notes
    -----
    C_sn = C_s · 101325 / (B_a + P_s) · (273 + t_s) / 273 [1]_.
    """
    return np.asarray(concentration * _expansion(temperature, pressure, state))


def dry(concentration: F64, moisture: F64) -> F64:
    """Return concentrations in dry gas.

    Parameters
    ----------
    concentration : (...) float64 [kg/m^3]   mass per volume of wet gas; or a share [1] of it
    moisture : (...) float64 [1]             volume share of water vapour; not in 0..1 = not known

    Returns
    -------
    (...) float64 [kg/m^3]                   or [1]

    Notes
    -----
    C_dry = C_wet / (1 - X_sw) [1]_.
    """
    return np.asarray(concentration / _dryness(moisture))


def mass_concentration(share: F64, molar_mass: F64 | float) -> F64:
    """Return mass concentrations of gases given by volume.

    Parameters
    ----------
    share : (...) float64 [1]              volume share; 1 ppm = 1e-6
    molar_mass : (...) float64 [kg/mol]

    Returns
    -------
    (...) float64 [kg/m^3]                 in the reference state

    Notes
    -----
    C_Q = M / 22.4 · C_V [1]_.
    """
    return np.asarray(share * molar_mass / _constant("molar_volume", "value", "molar_volume"))


def nitrogen_oxides(monoxide: F64, dioxide: F64) -> F64:
    """Return nitrogen oxides counted as nitrogen dioxide.

    Parameters
    ----------
    monoxide, dioxide : (...) float64 [kg/m^3]   mass concentrations of NO and NO2

    Returns
    -------
    (...) float64 [kg/m^3]

    Notes
    -----
    C_NOx = C_NO · 46 / 30 + C_NO2 [1]_; of shares ``mass_concentration(NO + NO2, 46 g/mol)``.
    """
    ratio = _constant("nitrogen_oxides", "dioxide", "molar_mass") / _constant(
        "nitrogen_oxides", "monoxide", "molar_mass"
    )
    return np.asarray(monoxide * ratio + dioxide)


def oxygen_corrected(concentration: F64, oxygen: F64, reference: F64 | float) -> F64:
    """Return concentrations at the reference oxygen, what a limit is compared with.

    Parameters
    ----------
    concentration : (...) float64 [kg/m^3]   dry, in the reference state
    oxygen : (...) float64 [1]               volume share in dry gas
    reference : (...) float64 [1]            reference oxygen; NaN = the standard prescribes none

    Returns
    -------
    (...) float64 [kg/m^3]
        where none is prescribed that of the measurement; NaN where something is not known, and from
        an oxygen of 19 % on, because the denominator goes to zero there

    Notes
    -----
    C_zs = C · (21 - O2_ref) / (21 - O2) [1]_.
    """
    conc, content, wanted = np.broadcast_arrays(
        *(np.asarray(a, dtype=np.float64) for a in (concentration, oxygen, reference))
    )
    air = _constant("air", "oxygen", "fraction")
    thin = content >= _constant("oxygen_guard", "oxygen", "fraction")
    # Where the air is thin the denominator may be zero; its place is taken by NaN.
    ratio = (air - wanted) / np.where(thin, np.nan, air - content)
    return np.where(np.isnan(wanted), conc, conc * ratio)


def standard_dry_flow(
    flow: F64, temperature: F64, pressure: F64, moisture: F64 | float, state: str = "hj"
) -> F64:
    """Return the flow of dry gas in the reference state.

    Parameters
    ----------
    flow : (...) float64 [m^3/s]        of wet gas as it is in the stack
    temperature : (...) float64 [K]
    pressure : (...) float64 [Pa]       absolute: atmosphere plus static pressure
    moisture : (...) float64 [1]        volume share of water vapour
    state                               ``hj`` takes 0 °C as 273 K, ``exact`` as 273.15 K

    Returns
    -------
    (...) float64 [m^3/s]

    Raises
    ------
    ValueError
        There is no such reference state.

    Notes
    -----
    Q_sn = Q_s · 273 / (273 + t_s) · (B_a + P_s) / 101325 · (1 - X_sw) [1]_.
    """
    dryness = _dryness(np.asarray(moisture, dtype=np.float64))
    return np.asarray(flow / _expansion(temperature, pressure, state) * dryness)


def mass_emitted(concentration: F64, flow: F64, duration: F64 | float) -> F64:
    """Return the mass that went out in an interval of time, an hour at most.

    Parameters
    ----------
    concentration : (...) float64 [kg/m^3]   mean as measured: dry, in the reference state,
                                             never corrected to a reference oxygen
    flow : (...) float64 [m^3/s]             mean of the same gas; of water for waste water
    duration : (...) float64 [s]

    Returns
    -------
    (...) float64 [kg]

    Notes
    -----
    G_h = C · Q_sn [1]_ [2]_. A product of means of longer intervals is not the mean of products.
    """
    return np.asarray(concentration * flow * duration)
