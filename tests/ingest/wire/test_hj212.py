"""HJ 212: the checksum that is not Modbus, framing across reads, data, flags, answers."""

import math
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


def framed(segment):
    return b"##%04d%s%04X\r\n" % (len(segment), segment, hj212.crc(segment))


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


@pytest.mark.parametrize("end", [b"", b"\n", b"\r", b"\r\n", b"\n\r", b"\r\r\n", b"  "])
def test_packet_with_any_line_end_or_none_is_read(end):
    raw = PACKETS[0][:-2] + end
    framer = hj212.Framer()
    # The checksum ends it: nobody waits for a line end that never comes.
    assert framer.feed(raw) == [one(PACKETS[0])]
    assert framer.waiting.strip() == b""
    assert framer.feed(PACKETS[1]) == [one(PACKETS[1])]
    assert packets(raw + PACKETS[1]) == [one(PACKETS[0]), one(PACKETS[1])]


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


@pytest.mark.parametrize("text", ["", "-", "--", "NaN", "nan", "null", " ", "N/A", "/"])
def test_item_without_a_number_is_bad_so_that_the_last_one_does_not_hold(text):
    decoded, _ = read(data("2011", f"DataTime=20251122083000;a-Rtd={text},a-Flag=N;b-Rtd=2"))
    assert decoded.names == ["a-Rtd", "b-Rtd"]
    assert math.isnan(decoded.values[0])
    assert (decoded.values[1], decoded.quality) == (2.0, {0: q.BAD | q.NOT_A_NUMBER})
    assert decoded.refused == []


@pytest.mark.parametrize("text", ["x", "12.3mg", "1e999", "1e200", "inf", "12,5", "<0.5"])
def test_item_that_cannot_be_read_is_bad_and_told(text):
    decoded, _ = read(data("2011", f"DataTime=20251122083000;a-Rtd={text};b-Rtd=2,b-EFlag=A01"))
    assert (decoded.names, decoded.values[1:]) == (["a-Rtd", "b-Rtd"], [2.0])
    assert decoded.quality == {0: q.BAD | q.NOT_A_NUMBER}
    assert [(reason, text in detail) for reason, detail in decoded.refused] == [
        ("wrong_type", True)
    ]


def test_flag_of_an_item_without_a_number_is_its_reason():
    decoded, _ = read(data("2011", "DataTime=20251122083000;a-Rtd=,a-Flag=D;b-Rtd=--,b-Flag=B"))
    assert decoded.quality == {0: q.BAD | q.FAULT, 1: q.BAD | q.NOT_A_NUMBER}


def test_empty_sample_time_costs_nothing_and_the_others_have_their_own():
    cp = ("DataTime=20251122083000;a01013-SampleTime=,a01013-Rtd=0.000,a01013-Flag=D;"
          "a21026-SampleTime=20251122082900,a21026-Rtd=28.1,a21026-Flag=N")  # fmt: skip
    decoded, times = read(data("2011", cp))
    assert (decoded.names, decoded.values) == (["a01013-Rtd", "a21026-Rtd"], [0.0, 28.1])
    assert times == [us(2025, 11, 22, 8, 30), us(2025, 11, 22, 8, 29)]
    assert (decoded.quality, decoded.refused) == ({0: q.BAD | q.FAULT}, [])


def test_sample_time_that_cannot_be_read_costs_its_own_item():
    cp = (
        "DataTime=20251122083000;a-SampleTime=20251322083000,a-Rtd=1;b-SampleTime=noon,b-Rtd=2;"
        "c-SampleTime=2025-11-22 08:29:00,c-Rtd=3;d-SampleTime=00000000000000,d-Rtd=4"
    )
    decoded, times = read(data("2011", cp))
    assert decoded.names == ["c-Rtd", "d-Rtd"]
    assert times == [us(2025, 11, 22, 8, 29), us(2025, 11, 22, 8, 30)]
    assert [detail.partition(":")[0] for _, detail in decoded.refused] == ["a", "b"]
    assert {reason for reason, _ in decoded.refused} == {"bad_time"}


def test_items_with_a_time_of_their_own_need_no_data_time():
    decoded, times = read(data("2011", "DataTime=;a-SampleTime=20251122082900,a-Rtd=1;b-Rtd=2"))
    assert (decoded.names, times) == (["a-Rtd"], [us(2025, 11, 22, 8, 29)])
    assert decoded.refused == [("bad_time", "b: there is no DataTime")]


@pytest.mark.parametrize(
    "cp",
    ["a21026-Rtd=0.0;a21026-Flag=D;a34013-Rtd=3.1;a34013-Flag=N",
     "a21026-Flag=D,a21026-Rtd=0.0;a34013-Flag=N,a34013-Rtd=3.1",
     "a21026-Flag=D;a21026-Rtd=0.0;a34013-Flag=N;a34013-Rtd=3.1",
     "a21026-Rtd=0.0,a34013-Rtd=3.1,a21026-Flag=D,a34013-Flag=N",
     "a21026-Rtd=0.0;a34013-Rtd=3.1;a21026-Flag=D",
     "a21026-Rtd=0.0,a21026-flag=d;a34013-RTD=3.1,a34013-Flag=",
     " a21026-Rtd = 0.0 , a21026-Flag = D1 ; a34013-Rtd= 3.1;",
     "a21026-Rtd=0.0,\r\na21026-Flag=D;\r\na34013-Rtd=3.1,\r\na34013-Flag=N\r\n"],
)  # fmt: skip
def test_flag_is_that_of_its_code_wherever_it_stands(cp):
    decoded, _ = read(data("2011", f"DataTime=20251122083000;{cp}"))
    assert decoded.names == ["a21026-Rtd", "a34013-Rtd"]
    assert (decoded.values, decoded.quality) == ([0.0, 3.1], {0: q.BAD | q.FAULT})


def test_blanks_and_codes_of_letters_are_read_as_in_the_example_of_the_standard():
    raw = framed(
        b"QN=20160801085000001; ST=22;CN=2011 ;PW=123456;MN=010000A8900016F000169DC0;"
        b"Flag=5;CP=&& DataTime=20160801084000; LA-Rtd=50.1;SB1-RS=1;B01-Rtd=3.5; &&"
    )
    decoded, times = read(one(raw))
    assert decoded.names == ["LA-Rtd", "SB1-RS", "B01-Rtd"]
    assert decoded.values == [50.1, 1.0, 3.5]
    assert set(times) == {us(2016, 8, 1, 8, 40)}


def test_each_data_time_is_that_of_what_follows_it():
    cp = "a-Rtd=0;DataTime=20251122083000;a-Rtd=1,a-Flag=N;DataTime=20251122083100;a-Rtd=2"
    decoded, times = read(data("2011", cp))
    assert decoded.values == [0.0, 1.0, 2.0]
    assert times == [us(2025, 11, 22, 8, 30), us(2025, 11, 22, 8, 30), us(2025, 11, 22, 8, 31)]


def test_data_time_may_stand_in_the_item_of_a_value():
    decoded, times = read(data("2011", "DataTime=20251122083000,a-Rtd=1,a-Flag=N,b-Rtd=2"))
    assert (decoded.names, set(times)) == (["a-Rtd", "b-Rtd"], {us(2025, 11, 22, 8, 30)})


def test_corrected_amounts_have_the_unit_of_an_amount():
    decoded, _ = read(data("2061", "DataTime=20251122080000;a21002-Cou=1,a21002-ZsCou=2"))
    assert decoded.names == ["2061.a21002-Cou", "2061.a21002-ZsCou"]
    assert decoded.uom == {0: "kg", 1: "kg"}


@pytest.mark.parametrize("cell", ["b-Rtd", "b-Rtd,b-Flag=N", "b-Rtd,b-Flag"])
def test_item_without_an_equals_sign_has_no_number(cell):
    decoded, times = read(data("2011", f"DataTime=20251122083000;{cell};a-Rtd=1"))
    assert (decoded.names, decoded.values[1:]) == (["b-Rtd", "a-Rtd"], [1.0])
    assert (decoded.quality[0] & 0xC0, set(times)) == (q.BAD, {us(2025, 11, 22, 8, 30)})


def test_what_is_no_item_costs_only_itself():
    decoded, _ = read(data("2011", "DataTime=20251122083000;hello;;a-Rtd=1"))
    assert (decoded.values, [reason for reason, _ in decoded.refused]) == ([1.0], ["bad_shape"])


def test_marks_of_a_chinese_keyboard_are_those_of_the_protocol():
    decoded, _ = read(data("2011", "DataTime＝20251122083000；a-Rtd=1，a-Flag=D"))
    assert (decoded.values, decoded.quality) == ([1.0], {0: q.BAD | q.FAULT})


def test_time_without_seconds_is_read():
    assert read(data("2011", "DataTime=202511220830;a-Rtd=1"))[1] == [us(2025, 11, 22, 8, 30)]


def test_text_without_an_end_costs_only_its_own_item():
    decoded, _ = read(data("2011", "datatime=20251122083000;SB1-Info=//on;a-Rtd=1;b-Info=/x/"))
    assert (decoded.names, decoded.values) == (["a-Rtd"], [1.0])


def test_states_of_devices_are_read_without_the_name_of_their_field():
    """As caoyiliang/HJ212 sends them."""
    decoded, _ = read(data("2021", "DataTime=20251122083000;SB1=1;SB2-RS=2"))
    assert (decoded.names, decoded.values) == (["SB1-RS", "SB2-RS"], [1.0, 2.0])


@pytest.mark.parametrize(
    ("flag", "severity"),
    [("3", q.GOOD), ("1", q.GOOD), ("0", q.BAD), ("2", q.BAD), ("P", q.BAD), ("Md", q.BAD)],
)
def test_flags_of_the_2005_edition_and_of_two_characters_are_known(flag, severity):
    decoded, _ = read(data("2011", f"DataTime=20251122083000;107-Rtd=0.045,107-Flag={flag}"))
    assert decoded.quality.get(0, q.GOOD) & 0xC0 == severity


def test_corrected_values_may_have_a_flag_of_their_own():
    decoded, _ = read(
        data("2061", "DataTime=20251122080000;02-Avg=1,02-Flag=N;02-ZsAvg=2,02-ZsFlag=D")
    )
    assert (decoded.values, decoded.quality) == ([1.0, 2.0], {1: q.BAD | q.FAULT})


TEXT = "QN=20251122083005123;ST=31;CN=2011;PW=123456;MN=" + MN + (
    ";Flag=5;CP=&&DataTime=20251122083000;a21026-Rtd=28.1,a21026-Flag=N;"
    "SB1-Info=//清洗；a21026-Rtd=0;a, b=1&&//;a34013-Rtd=3.1&&"
)  # fmt: skip


@pytest.mark.parametrize("encoding", ["utf-8", "gbk"])
@pytest.mark.parametrize("counted", ["utf-8", "gbk", "characters"])
def test_numbers_beside_a_chinese_text_are_read(encoding, counted):
    segment = TEXT.encode(encoding)
    size = len(TEXT if counted == "characters" else TEXT.encode(counted))
    raw = b"##%04d%s%04X\r\n" % (size, segment, hj212.crc(segment))
    decoded, _ = read(one(raw))
    assert (decoded.names, decoded.values) == (["a21026-Rtd", "a34013-Rtd"], [28.1, 3.1])
    whole = one(raw)
    for cut in range(len(raw)):
        assert packets(raw[:cut], raw[cut:] + PACKETS[0]) == [whole, one(PACKETS[0])]
    bytewise = packets(*((raw + PACKETS[0])[i : i + 1] for i in range(len(raw + PACKETS[0]))))
    assert bytewise == [whole, one(PACKETS[0])]
    assert packets(raw[:-2]) == [whole]
    wrong = one(raw.replace(b"28.1", b"28.2"))
    assert (wrong.reason, wrong.packet.mn) == ("bad_crc", MN)


def test_long_packet_that_comes_byte_by_byte_is_read_once(monkeypatch):
    segment = TEXT.replace("清洗", "清洗" * 4000).encode()
    raw = b"##%04d%s%04X\r\n" % (len(segment.decode()), segment, hj212.crc(segment))
    summed, looks = [], []
    crc, sizes = hj212.crc, hj212._sizes
    monkeypatch.setattr(
        hj212, "crc", lambda part, *more: summed.append(len(part)) or crc(part, *more)
    )
    monkeypatch.setattr(hj212, "_sizes", lambda *more: looks.append(1) or sizes(*more))
    (packet,) = packets(*(raw[i : i + 1] for i in range(len(raw))))
    assert (packet.mn, sum(summed)) == (MN, len(segment))
    assert len(looks) < 100


@pytest.mark.parametrize("between", ["中", "", "a&&", "&&1234"])
def test_heads_that_promise_much_are_passed_without_summing_it(monkeypatch, between):
    summed = []
    crc = hj212.crc
    monkeypatch.setattr(hj212, "crc", lambda part, *more: summed.append(part) or crc(part, *more))
    stream = f"##9999{between}".encode() * 3000
    assert packets(stream + PACKETS[0])[-1] == one(PACKETS[0])
    assert sum(map(len, summed)) < len(stream)


@pytest.mark.parametrize("size", [b"0", b"00", b" ", b""])
def test_length_with_any_zeros_or_blanks_in_front_is_read(size):
    raw = PACKETS[4]
    assert packets(b"##" + size + b"87" + raw[6:]) == [one(raw)]


def test_checksum_without_its_zeros_is_read():
    segments = (b"QN=%d;ST=31;CN=2011;MN=A;Flag=4;CP=&&a-Rtd=1&&" % (20251122083005123 + n)
                for n in range(2000))  # fmt: skip
    segment = next(each for each in segments if hj212.crc(each) < 0x100)
    raw = b"##%d%s%x\r\n" % (len(segment), segment, hj212.crc(segment))
    assert packets(raw + PACKETS[0]) == [one(framed(segment)), one(PACKETS[0])]


def test_checksum_of_the_2025_edition_is_the_same():
    """The example of Annex A.1 of HJ 212-2025."""
    raw = (b"##0087QN=20240601085857223;ST=32;CN=1011;PW=123456;MN=010000A8900016F000169DC0;"
           b"Flag=9;CP=&&&&2200\r\n")  # fmt: skip
    packet = one(raw)
    assert (packet.edition, hj212.encode(packet)) == (2025, raw)


@pytest.mark.parametrize(
    ("head", "flag"),
    [(b"ST=32;CN=2011;PW=123456;MN=A1", 0), (b"QN=20251122083005;ST=32;CN=2011;MN=A1;Flag=1", 1),
     (b"ST=32;CN=2011;QN=;MN=A1;Flag=", 0), (b"QN=202511220830051;CN=2011;MN=A1;Flag=4", 4),
     (b"QN=20251122083005123;CN=2011;MN=A1;Flag=4;PNUM=;PNO=", 4),
     (b"QN=20251122083005123;CN=2011;MN=A1;Flag=4;PNUM=1;PNO=0", 4),
     (b"QN=20251122083005123;CN=2011;MN=A1;Flag=4;PNUM=0;PNO=0", 4)],
)  # fmt: skip
def test_keys_that_loggers_leave_out_or_empty_are_not_missed(head, flag):
    packet = one(framed(head + b";CP=&&DataTime=20251122083000;011-Rtd=231.0,011-Flag=N&&"))
    assert (packet.mn, packet.flag, packet.pnum, hj212.problem_of(packet, "A1")) == (
        "A1", flag, 1, "",
    )  # fmt: skip
    assert read(packet)[0].values == [231.0]
    if packet.wants_answer:
        reply = one(hj212.answer(packet))
        assert (reply.cn, reply.qn, reply.mn) == ("9014", packet.qn, "A1")


def test_flag_behind_the_parameters_is_read():
    """As xiaoyao9184/hj-t212-parser writes them."""
    raw = framed(b"QN=20251122083005123;ST=32;CN=2011;PW=1;MN=A1;"
                 b"CP=&&DataTime=20251122083000;SB1-Info=//a&&b//;a-Rtd=1&&;Flag=5")  # fmt: skip
    assert (one(raw).flag, read(one(raw))[0].values) == (5, [1.0])


def test_packet_that_wants_an_answer_and_has_no_number_is_answered_without_one():
    packet = one(framed(b"ST=32;CN=2011;PW=1;MN=A1;Flag=1;CP=&&DataTime=20251122083000;a-Rtd=1&&"))
    assert b"QN" not in hj212.answer(packet)
    assert one(hj212.answer(packet)).cn == "9014"


def test_marks_that_are_missing_around_the_parameters_are_not_missed():
    cp = b"DataTime=20251122083000;a-Rtd=1"
    for text in (b"&&%s&&", b"&&%s", b"%s", b"&& %s; &&", b"&&%s;\r\n&&"):
        raw = framed(b"QN=20251122083005123;ST=31;CN=2011;MN=A1;Flag=4;CP=" + text % cp)
        assert read(one(raw))[0].values == [1.0]


@pytest.mark.parametrize(
    ("cn", "reply"),
    [("2081", "9014"), ("3019", "9014"), ("3020", "9014"), ("3015", "9014"), ("1011", "9014"),
     ("2062", "9014"), ("9015", "9013"), ("1013", "9013"), ("1001", "9013")],
)  # fmt: skip
def test_what_a_logger_tells_of_itself_is_answered_and_holds_no_values(cn, reply):
    packet = data(cn, "DataTime=20251122083000;RestartTime=20251122082000;PolId=a1,i1-Info=3")
    assert hj212.problem_of(packet) == ""
    assert read(packet)[0].names == []
    assert one(hj212.answer(packet)).cn == reply


def test_answers_are_not_answered():
    assert not any(data(cn, "QnRtn=1").wants_answer for cn in ("9011", "9012", "9013", "9014"))


def test_furnace_temperature_of_five_minutes_is_a_series_of_its_own():
    decoded, _ = read(data("2111", "DataTime=20251122083000;a01901-Avg=850.5"))
    assert (decoded.names, decoded.values) == (["2111.a01901-Avg"], [850.5])


@pytest.mark.parametrize("cp", ["{0x6F,0x5A,0x11}", "o=Z\x11;x", "o=Z\x11"])
def test_parameters_that_are_encrypted_are_refused(cp):
    with pytest.raises(WireError) as caught:
        read(data("2011", cp))
    assert caught.value.reason == "bad_shape"


def decoded(payload, series=None):
    return hj212.decode_payload(ZONE, {}, MN, "", payload, series=series)


def test_damaged_packet_costs_only_itself():
    raw = PACKETS[1]
    result = decoded(raw.replace(b"1.8", b"1.9") + PACKETS[2] + b"\r\nhello")
    assert {name[:5] for name in result.names} == {"2061."}
    assert [reason for reason, _ in result.refused] == ["bad_crc", "bad_frame"]
    with pytest.raises(WireError) as caught:
        decoded(raw.replace(b"1.8", b"1.9"))
    assert caught.value.reason == "bad_crc"


def test_payload_of_nothing_but_faults_is_told_in_a_few_words():
    result = decoded(PACKETS[1] + b"##0000" * 40_000)
    assert (result.values, len(result.refused)) == ([1.8, 6.2, 3.5], 102)
    assert "39899 more" in result.refused[100][1]


def part(number, cp, *, qn="20251122083005123", pnum=3):
    return hj212.encode(hj212.Packet(qn, "31", "2051", "", MN, 7, cp, pnum, number))


FIRST, *OTHERS = ("DataTime=20251122083000;a-Avg=1", "b-Avg=2", "c-Avg=3")


@pytest.mark.parametrize("own", [True, False], ids=["QN of its own", "same QN"])
@pytest.mark.parametrize("stamped", [True, False], ids=["DataTime in all", "in the first"])
@pytest.mark.parametrize("several", [True, False], ids=["messages", "one payload"])
@pytest.mark.parametrize("numbers", [(1, 2, 3), (0, 1, 2)])
def test_parts_have_the_time_of_their_message(own, stamped, several, numbers):
    cps = [FIRST, *(f"{'DataTime=20251122083000;' if stamped else ''}{cp}" for cp in OTHERS)]
    parts = [part(number, cp, qn=f"20251122083005{123 + number * own}")
             for number, cp in zip(numbers, cps, strict=True)]  # fmt: skip
    series = {}
    results = [decoded(each, series) for each in (parts if several else [b"".join(parts)])]
    assert [name for result in results for name in result.names] == [
        "2051.a-Avg", "2051.b-Avg", "2051.c-Avg",
    ]  # fmt: skip
    times = {time_us for result in results for _, time_us in result.runs}
    assert times == {us(2025, 11, 22, 8, 30)}


def test_part_of_another_message_has_no_time_by_mistake():
    series = {}
    decoded(part(1, FIRST), series)
    # The first part of the next message is lost.
    for number in (1, 3):
        with pytest.raises(WireError) as caught:
            decoded(part(number, "b-Avg=2", qn="20251122093005123"), series)
        assert caught.value.reason == "bad_time"
    # Sent again, because its answer was lost.
    for _ in range(2):
        assert decoded(part(2, "b-Avg=2"), series).values == [2.0]


def test_parts_in_any_order_are_joined_in_one_payload():
    result = decoded(part(3, OTHERS[1]) + part(1, FIRST) + part(2, OTHERS[0]))
    assert result.values == [1.0, 2.0, 3.0]


def test_messages_with_one_number_do_not_replace_each_other():
    both = [hj212.encode(data("2011", f"DataTime=202511220830{second};a-Rtd={second}"))
            for second in (10, 20)]  # fmt: skip
    assert decoded(b"".join(both)).values == [10.0, 20.0]


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
