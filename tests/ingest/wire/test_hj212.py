"""HJ 212: the checksum that is not Modbus, framing across reads, data, flags, answers."""

from contextlib import suppress
from datetime import datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.wire import WireError, hj212
from twin import quality as q

ZONE = ZoneInfo("Asia/Shanghai")
# The first is printed in HJ 212-2017; the others agree with it.
PACKETS = [
    b"##0101QN=20160801085857223;ST=32;CN=1062;PW=100000;MN=010000A8900016F000169DC0;Flag=5;CP=&&RtdInterval=30&&1C80\r\n",
    b"##0201QN=20251122083005123;ST=31;CN=2011;PW=123456;MN=010000A8900016F000169DC0;Flag=5;CP=&&DataTime=20251122083000;a21022-Rtd=1.800,a21022-Flag=N;a21024-Rtd=6.200,a21024-Flag=N;a00000-Rtd=3.5,a00000-Flag=N&&7A80\r\n",
    b"##0352QN=20251122090000001;ST=31;CN=2061;PW=123456;MN=010000A8900016F000169DC0;Flag=5;CP=&&DataTime=20251122080000;a00000-Cou=12600.0,a00000-Min=3.2,a00000-Avg=3.5,a00000-Max=3.9,a00000-Flag=N;a21022-Cou=0.023,a21022-Min=1.500,a21022-Avg=1.800,a21022-Max=2.400,a21022-Flag=N;a21024-Cou=0.078,a21024-Min=5.000,a21024-Avg=6.200,a21024-Max=7.900,a21024-Flag=N&&09C0\r\n",
    b"##0271QN=20251122090000001;ST=31;CN=2061;PW=123456;MN=010000A8900016F000169DC0;Flag=5;CP=&&DataTime=20251122080000;a19001-Avg=8.0,a19001-Flag=N;a21026-Cou=5.20,a21026-Avg=28.00,a21026-ZsAvg=32.31,a21026-Flag=N;a21002-Cou=7.43,a21002-Avg=40.00,a21002-ZsAvg=46.15,a21002-Flag=C&&9FC1\r\n",
    b"##0087QN=20251122083005123;ST=91;CN=9014;PW=123456;MN=010000A8900016F000169DC0;Flag=4;CP=&&&&FF01\r\n",
]  # fmt: skip
MN = "010000A8900016F000169DC0"


def packets(*chunks):
    framer = hj212.Framer()
    return [result for chunk in chunks for result in framer.feed(chunk)]


def one(packet):
    (result,) = packets(packet)
    return result


def data(cn, cp, flag=5):
    return hj212.Packet("20251122083005123", "31", cn, "123456", MN, flag, cp)


def read(packet, **uoms):
    decoded = hj212.decode(packet, ZONE, uoms)
    times = [time_us for count, time_us in decoded.runs for _ in range(count)]
    return decoded, times


def us(*clock):
    return round(datetime(*clock, tzinfo=ZONE).timestamp() * 1e6)


def modbus(segment):
    register = 0xFFFF
    for byte in segment:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0xA001 if register & 1 else 0)
    return register


def test_checksum_is_that_of_the_standard():
    assert hj212.crc(b"123456789") == 0x2F80
    assert hj212.crc(b"") == 0xFFFF
    assert [f"{hj212.crc(p[6:-6]):04X}".encode() for p in PACKETS] == [p[-6:-2] for p in PACKETS]
    assert modbus(b"123456789") == 0x4B37


@pytest.mark.parametrize("raw", PACKETS)
def test_packet_is_read_and_written_to_the_same_bytes(raw):
    packet = one(raw)
    assert isinstance(packet, hj212.Packet)
    assert hj212.encode(packet) == raw


@pytest.mark.parametrize("raw", PACKETS)
def test_packet_may_be_cut_anywhere(raw):
    whole = one(raw)
    for cut in range(len(raw)):
        assert packets(raw[:cut], raw[cut:]) == [whole]
    assert packets(*(raw[i : i + 1] for i in range(len(raw)))) == [whole]


def test_two_packets_in_one_read_and_three_reads_for_one():
    first, second = PACKETS[:2]
    assert packets(first + second) == [one(first), one(second)]
    assert packets(second[:40], second[40:90], second[90:]) == [one(second)]


def test_garbage_before_a_packet_is_a_fault_and_the_packet_stands():
    result = packets(b"hello" + PACKETS[0])
    assert [type(f).__name__ for f in result] == ["Fault", "Packet"]
    assert packets(b"\r\n\r\n" + PACKETS[0]) == [one(PACKETS[0])]


def test_head_that_is_cut_in_two_behind_a_false_one_begins_a_packet():
    framer = hj212.Framer()
    (fault,) = framer.feed(b"##wxyz#")
    assert fault.reason == "bad_frame"
    assert framer.feed(PACKETS[0][1:]) == [one(PACKETS[0])]


def test_lower_case_checksum_is_accepted():
    raw = PACKETS[1]
    assert one(raw[:-6] + raw[-6:].lower()) == one(raw)


@pytest.mark.parametrize("length", [b"0011", b"0350", b"9999"])
def test_wrong_length_costs_only_its_own_packet(length):
    broken = b"##" + length + PACKETS[0][6:]
    result = packets(broken + PACKETS[1])
    assert isinstance(result[0], hj212.Fault)
    assert result[-1] == one(PACKETS[1])


def test_missing_line_end_waits_and_does_not_crash():
    framer = hj212.Framer()
    raw = PACKETS[0]
    assert framer.feed(raw[:-2]) == []
    assert framer.feed(raw[-2:-1]) == []
    assert framer.feed(raw[-1:]) == [one(raw)]
    # Some loggers leave it out: the next head ends the packet as well.
    assert packets(raw[:-2] + PACKETS[1]) == [one(raw), one(PACKETS[1])]


def test_one_flipped_character_is_answered_with_code_9():
    raw = PACKETS[1].replace(b"1.800", b"1.801")
    fault = one(raw)
    assert (fault.reason, fault.packet.mn) == ("bad_crc", MN)
    reply = one(hj212.answer(fault.packet, fault.reason))
    assert (reply.cn, reply.cp, reply.qn) == ("9011", "QnRtn=9", fault.packet.qn)


def test_checksum_of_modbus_is_refused():
    raw = PACKETS[0]
    wrong = raw[:-6] + b"%04X\r\n" % modbus(raw[6:-6])
    assert wrong[-6:-2] == b"0759"
    assert one(wrong).reason == "bad_crc"


def test_empty_parameters_are_parameters():
    packet = one(PACKETS[4])
    assert (packet.cn, packet.cp, packet.wants_answer) == ("9014", "", False)


@pytest.mark.parametrize(
    ("flag", "edition", "numbered", "answer"),
    [(0, 2005, False, False), (4, 2017, False, False), (5, 2017, False, True),
     (7, 2017, True, True), (8, 2025, False, False), (9, 2025, False, True), (12, 0, False, False)],
)  # fmt: skip
def test_flag_says_edition_numbering_and_answer(flag, edition, numbered, answer):
    packet = data("2011", "", flag)
    assert (packet.edition, packet.wants_answer) == (edition, answer)
    assert (b"PNUM=" in hj212.encode(packet)) == numbered


def test_real_time_data_are_of_their_instant():
    decoded, times = read(one(PACKETS[1]))
    assert decoded.names == ["a21022-Rtd", "a21024-Rtd", "a00000-Rtd"]
    assert decoded.values == [1.8, 6.2, 3.5]
    assert set(times) == {us(2025, 11, 22, 8, 30)}
    assert decoded.uom == {0: "mg/m^3", 1: "mg/m^3", 2: "m^3/s"}


def test_hour_data_stand_at_the_start_of_their_hour():
    """CN=2061 with DataTime 20251122080000 is [08:00, 09:00) at +08:00."""
    decoded, times = read(one(PACKETS[2]))
    assert set(times) == {us(2025, 11, 22, 8)}
    values = dict(zip(decoded.names, decoded.values, strict=True))
    assert values["2061.a00000-Cou"] == pytest.approx(values["2061.a00000-Avg"] * 3600)
    mass_kg = values["2061.a21022-Avg"] * values["2061.a00000-Cou"] * 1e-6
    assert values["2061.a21022-Cou"] == pytest.approx(mass_kg, abs=5e-4)
    units = {decoded.names[at]: uom for at, uom in decoded.uom.items()}
    assert (units["2061.a00000-Cou"], units["2061.a21022-Cou"]) == ("m^3", "kg")


def test_flags_become_quality():
    decoded, _ = read(one(PACKETS[3]))
    grades = {decoded.names[at]: code for at, code in decoded.quality.items()}
    assert set(grades) == {"2061.a21002-Cou", "2061.a21002-Avg", "2061.a21002-ZsAvg"}
    assert set(grades.values()) == {q.BAD | q.CALIBRATION}
    severity = {}
    for letter in "NFMSDCTB":
        decoded, _ = read(
            data("2011", f"DataTime=20251122083000;a21026-Rtd=1,a21026-Flag={letter}")
        )
        severity[letter] = decoded.quality.get(0, 0) & 0xC0
    assert severity["N"] == 0
    assert all(severity[letter] >= q.UNCERTAIN for letter in "FMSDCTB")


def test_logger_with_units_of_its_own_is_believed():
    packet = data("2011", "DataTime=20251122083000;a21001-Rtd=2.5,a21001-Flag=N")
    assert read(packet)[0].uom == {0: "ng/m^3"}
    assert read(packet, a21001="mg/m^3")[0].uom == {0: "mg/m^3"}


def test_split_packets_are_joined_in_their_order():
    parts = {
        2: hj212.Packet("20251122083005123", "31", "2011", "1", MN, 7, "b1-Rtd=2", 2, 2),
        1: hj212.Packet("20251122083005123", "31", "2011", "1", MN, 7,
                        "DataTime=20251122083000;b0-Rtd=1", 2, 1),
    }  # fmt: skip
    assert hj212.join({2: parts[2]}) is None
    assert read(hj212.join(parts))[0].names == ["b0-Rtd", "b1-Rtd"]


def test_acknowledgement_of_data_is_9014_to_the_same_request():
    packet = one(PACKETS[1])
    reply = one(hj212.answer(packet))
    assert (reply.cn, reply.st, reply.qn, reply.mn, reply.flag) == ("9014", "91", packet.qn, MN, 4)


@pytest.mark.parametrize(
    ("cp", "reason"),
    [("DataTime=2025;a-Rtd=1", "bad_time"), ("a-Rtd=1", "bad_time"),
     ("DataTime=20251322083000;a-Rtd=1", "bad_time"),
     ("DataTime=19691122083000;a-Rtd=1", "bad_time"),
     ("DataTime=22021122083000;a-Rtd=1", "bad_time"),
     ("DataTime=２０２５1122083000;a-Rtd=1", "bad_time")],
)  # fmt: skip
def test_data_without_time_are_rejected(cp, reason):
    with pytest.raises(WireError) as caught:
        read(data("2011", cp))
    assert caught.value.reason == reason


def test_value_that_is_none_is_refused_alone():
    decoded, _ = read(data("2011", "DataTime=20251122083000;a-Rtd=x;b-Rtd=2;c-Rtd=-;d-EFlag=A01"))
    assert (decoded.names, [r for r, _ in decoded.refused]) == (["b-Rtd"], ["wrong_type"] * 2)


@settings(deadline=None, max_examples=200)
@given(st.lists(st.sampled_from([*PACKETS, b"##", b"#", b"0101", b"\r\n", b"x&&"]), max_size=8),
       st.lists(st.integers(0, 400), max_size=6))  # fmt: skip
def test_any_cut_of_any_stream_gives_the_same_packets(pieces, cuts):
    stream = b"".join(pieces)
    edges = [0, *sorted(min(c, len(stream)) for c in cuts), len(stream)]

    def good(result):
        return [f for f in result if isinstance(f, hj212.Packet)]

    chunks = [stream[a:b] for a, b in pairwise(edges)]
    assert good(packets(*chunks)) == good(packets(stream))


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=300))
def test_any_bytes_give_packets_or_faults(noise):
    result = packets(b"##0101" + noise, PACKETS[0])
    assert all(isinstance(f, hj212.Packet) or f.reason for f in result)
    for packet in (f for f in result if isinstance(f, hj212.Packet)):
        with suppress(WireError):
            hj212.decode(packet, ZONE, {})
