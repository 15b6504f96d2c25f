"""Units of measure: affine maps into SI, and what is said about the others."""

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin.errors import UomError
from twin.reference import load
from twin.uom import QUANTITIES, compile_uom, from_si, parse_quantity


@pytest.mark.parametrize(
    ("uom", "quantity", "scale", "shift"),
    [
        # The calorie of GB/T 2589 is that of the steam tables.
        ("kcal/kg", "intensity", 4186.8, 0),
        ("Gcal", "energy", 4.1868e9, 0),
        ("t/h", "mass_flow", 1 / 3.6, 0),
        ("kg/s", "mass_flow", 1, 0),
        ("kt/year", "mass_flow", 1e6 / (365.25 * 86_400), 0),
        ("kWh", "energy", 3.6e6, 0),
        ("MW", "power", 1e6, 0),
        ("kA", "current", 1e3, 0),
        ("degC", "temperature", 1, 273.15),
        ("degF", "temperature", 5 / 9, 459.67 * 5 / 9),
        ("K", "temperature", 1, 0),
        ("%", "fraction", 0.01, 0),
        ("", "state", 1, 0),
        ("mg/m^3", "concentration", 1e-6, 0),
        ("Nm3/h", "normal_volume_flow", 1 / 3600, 0),
        ("Nm^3/h", "normal_volume_flow", 1 / 3600, 0),
        ("Nm³/h", "normal_volume_flow", 1 / 3600, 0),
        ("Nm³/h", "volume_flow", 1 / 3600, 0),
        ("Nm**3", "normal_volume", 1, 0),
        ("kNm^3/h", "normal_volume_flow", 1 / 3.6, 0),
        ("kPa", "pressure", 1e3, 0),
        ("kvar", "reactive_power", 1e3, 0),
        ("kVAr", "reactive_power", 1e3, 0),
        ("Mvarh", "reactive_energy", 3.6e9, 0),
        ("kVArh", "reactive_energy", 3.6e6, 0),
        ("kVA", "apparent_power", 1e3, 0),
        ("", "power_factor", 1, 0),
        ("kgce/t", "intensity", 29_307.6, 0),
        ("tce", "energy", 29_307.6e6, 0),
        ("kgce/kWh", "fraction", 29_307.6 / 3600, 0),
    ],
)
def test_unit_compiles_to_scale_and_shift(uom, quantity, scale, shift):
    assert compile_uom(uom, quantity) == pytest.approx((scale, shift), rel=1e-12, abs=1e-9)


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_si_unit_of_every_quantity_changes_nothing(quantity):
    assert compile_uom(QUANTITIES[quantity], quantity) == (1.0, 0.0)


@pytest.mark.parametrize(
    ("uom", "quantity", "message", "hint"),
    [
        ("t/h", "masflow", "quantity 'masflow' is not in the vocabulary", "mass_flow"),
        ("t/hour_", "mass_flow", "unit of measure 't/hour_' is unknown", "as pint does"),
        ("(kg", "mass", "unit of measure '(kg' is unknown", "as pint does"),
        ("10 t/h", "mass_flow", "unit of measure '10 t/h' is unknown", "as pint does"),
        ("kW", "mass_flow", "'kW' is not a unit of mass_flow", "kg/s"),
        ("m", "fraction", "'m' is not a unit of fraction", "1 or %"),
        ("", "mass", "'' is not a unit of mass", "kg"),
        ("N*m^3", "normal_volume", "'N*m^3' is not a unit of normal_volume", "m^3"),
        ("kW", "reactive_power", "'kW' is not a unit of reactive_power", "var"),
        ("kvar", "power", "'kvar' is not a unit of power", "W"),
        ("kWh", "reactive_energy", "'kWh' is not a unit of reactive_energy", "var*s"),
        ("kVA", "power", "'kVA' is not a unit of power", "W"),
    ],
)
def test_wrong_unit_is_refused_with_a_hint(uom, quantity, message, hint):
    with pytest.raises(UomError) as caught:
        compile_uom(uom, quantity)
    assert str(caught.value) == message
    assert hint in caught.value.hint


def test_logarithmic_unit_is_refused():
    with pytest.raises(UomError) as caught:
        compile_uom("dB", "fraction")
    assert "dB" in str(caught.value)
    assert caught.value.hint


@settings(deadline=None)
@given(st.text(max_size=8))
def test_any_text_is_a_unit_or_a_uom_error(text):
    # Powers of numbers have a test of their own.
    text = text.replace("*", "").replace("^", "")
    try:
        scale, _ = compile_uom(text, "mass")
    except UomError:
        return
    assert scale != 0


def test_unit_from_a_gateway_cannot_keep_the_program_busy():
    program = (
        "from twin.errors import UomError\n"
        "from twin.uom import compile_uom\n"
        "try: compile_uom('kg*9**9**9', 'mass')\n"
        "except UomError: print('refused')\n"
    )
    try:
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, timeout=20, check=False
        )
    except subprocess.TimeoutExpired:
        pytest.fail("9**9**9 in a unit of measure is computed, digit by digit")
    assert done.stdout.decode().strip() == "refused", done.stderr.decode()


@pytest.mark.parametrize(
    ("text", "quantity", "si"),
    [("1425 kg/m^3", "density", 1425), ("3.2 m", "length", 3.2), (" 13.5 kA ", "current", 13_500),
     ("5 min", "time", 300), ("-10 degC", "temperature", 263.15), ("1e3 kg", "mass", 1000),
     ("0.5", "fraction", 0.5), ("35 mg/m^3", "concentration", 35e-6)],
)  # fmt: skip
def test_text_with_a_unit_is_a_si_magnitude(text, quantity, si):
    assert parse_quantity(text, quantity) == pytest.approx(si)


@pytest.mark.parametrize("text", ["", "m", "three m", "3,2 m", "3.2m"])
def test_text_without_a_number_and_a_unit_is_refused(text):
    with pytest.raises(UomError) as caught:
        parse_quantity(text, "length")
    assert str(caught.value) == f"{text!r} is not a number with a unit of measure"
    assert caught.value.hint == "write it like '3.2 m'"


@settings(deadline=None)
@given(st.floats(-1e6, 1e6), st.sampled_from([("t/h", "mass_flow"), ("degF", "temperature")]))
def test_value_comes_back_in_the_unit_it_was_sent_in(value, kind):
    scale, shift = compile_uom(*kind)
    assert from_si(value * scale + shift, *kind) == pytest.approx(value, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(
    ("carrier", "quantity", "amount", "kgce"),
    [
        ("electricity", "fraction", ("1 GWh", "energy"), 122_900),
        ("heat", "fraction", ("1000 GJ", "energy"), 34_120),
        ("heat", "fraction", ("3763 MJ", "energy"), 128.39),
        ("steam", "intensity", ("1 t", "mass"), 128.6),
        ("coal", "intensity", ("1 t", "mass"), 714.3),
    ],
)
def test_energy_carriers_convert_to_coal_equivalent(carrier, quantity, amount, kgce):
    energy = parse_quantity(load("energy")[carrier]["factor"], quantity) * parse_quantity(*amount)
    assert from_si(energy, "kgce", "energy") == pytest.approx(kgce, rel=1e-4)
