"""Times as programs and people in the field write them."""

from itertools import pairwise

import pytest

from tests.support.imported import problems, read_file, utc_times

BERLIN, SYDNEY = "Europe/Berlin", "Australia/Sydney"


def wide(form="iso", zone="Etc/UTC", more=""):
    """Return the map of a table with one column."""
    return (
        f'time = "t"\nformat = {form!r}\ntimezone = "{zone}"\n{more}\n[columns]\nkW = "acme/FT-1"\n'
    )


def table(times, delimiter=","):
    rows = [f"{time}{delimiter}{nth}" for nth, time in enumerate(times)]
    return "\n".join([f"t{delimiter}kW", *rows]) + "\n"


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("2023-01-05 08:00:00+08:00", "%Y-%m-%d %H:%M:%S%z"),
        ("2023-01-05 08:00:00 +0800", "%Y-%m-%d %H:%M:%S %z"),
        ("2023-01-05 00:00:00Z", "%Y-%m-%d %H:%M:%S%z"),
        ("05/01/2023 02:00 UTC+2", "%d/%m/%Y %H:%M %z"),
        ("04.01.2023 17:00:00.250 GMT-07:00", "%d.%m.%Y %H:%M:%S.%f %z"),
        ("2023-01-05T08:00:00+08:00", "iso"),
        ("2023-01-05T08:00:00+08", "iso"),
        ("20230105T080000+0800", "%Y%m%dT%H%M%S%z"),
    ],
)
def test_an_offset_in_the_time_is_used_once(park, write, text, form):
    map_path = write("map.toml", wide(form, "Asia/Tokyo"))
    assert utc_times(park, write("a.csv", table([text])), map_path) == ["01-05 00:00"]


def test_an_offset_in_some_times_only_leaves_the_zone_to_the_others(park, write):
    file = write("a.csv", table(["2023-01-05 08:00+08:00", "2023-01-05 09:15"]))
    map_path = write("map.toml", wide("%Y-%m-%d %H:%M%z", "Asia/Tokyo"))
    # The form asks for an offset; what is ISO is read all the same.
    assert utc_times(park, file, map_path) == ["01-05 00:00", "01-05 00:15"]


@pytest.mark.parametrize(
    ("times", "form"),
    [
        (["04/01/2023 23:45", "05/01/2023", "05/01/2023 00:15"], "%d/%m/%Y %H:%M"),
        (["2023年1月4日 23:45", "2023年1月5日", "2023年1月5日 0:15"], "%Y年%m月%d日 %H:%M"),
        (["2023-01-04T23:45", "2023-01-05", "2023-01-05T00:15"], "%Y-%m-%dT%H:%M"),
        (["2023-01-04 23:45", "2023-01-05", "2023-01-05 00:15"], "iso"),
        (["1/4/2023 11:45 PM", "1/5/2023", "1/5/2023 12:15 AM"], "%m/%d/%Y %I:%M %p"),
        (["04/01/2023 23:45:00", "05/01/2023", "05/01/2023 00:15"], "%d/%m/%Y %H:%M:%S"),
    ],
)
def test_midnight_as_a_date_only_is_midnight(park, write, times, form):
    file, map_path = write("a.csv", table(times)), write("map.toml", wide(form))
    assert utc_times(park, file, map_path) == ["01-04 23:45", "01-05 00:00", "01-05 00:15"]


@pytest.mark.parametrize(
    ("text", "form", "expected"),
    [
        ("1/5/2023 12:00:00.000 AM", "%m/%d/%Y %I:%M:%S.%f %p", "01-05 00:00"),
        ("1/5/2023 12:30:00.250 PM", "%m/%d/%Y %I:%M:%S %p", "01-05 12:30"),
        ("1/5/2023 1:15 p.m.", "%m/%d/%Y %I:%M %p", "01-05 13:15"),
        ("1/5/2023 1:15:00\u202fPM", "%m/%d/%Y %I:%M:%S %p", "01-05 13:15"),
        ("1/5/2023 13:15:00 PM", "%m/%d/%Y %H:%M:%S %p", "01-05 13:15"),
        ("2023/1/5 下午 1:15:00", "%Y/%m/%d %p %I:%M:%S", "01-05 13:15"),
        ("2023/1/5 上午12:15:00", "%Y/%m/%d %p %I:%M:%S", "01-05 00:15"),
        ("2023年1月5日 凌晨1:15", "%Y年%m月%d日 %p%I:%M", "01-05 01:15"),
        ("2023/1/5 오후 1:15:00", "%Y/%m/%d %p %I:%M:%S", "01-05 13:15"),
        ("2023/1/5 中午 11:59:00", "%Y/%m/%d %p %I:%M:%S", "01-05 11:59"),
        ("2023/1/5 中午 12:01:00", "%Y/%m/%d %p %I:%M:%S", "01-05 12:01"),
    ],
)
def test_hours_up_to_twelve_are_read_with_their_half_of_the_day(park, write, text, form, expected):
    file, map_path = write("a.csv", table([text])), write("map.toml", wide(form))
    assert utc_times(park, file, map_path) == [expected]


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("2023-01-05T00:15:00,123", "iso"),
        ("05.01.2023 00:15:00,123", "%d.%m.%Y %H:%M:%S"),
        ("05.01.2023 00:15:00,123", "%d.%m.%Y %H:%M:%S,%f"),
        ("05.01.2023 00:15:00.123", "%d.%m.%Y %H:%M:%S,%f"),
        ("05.01.2023 00:15:00:123", "%d.%m.%Y %H:%M:%S:%f"),
        ("05.01.2023 00:15:00", "%d.%m.%Y %H:%M:%S.%f"),
        ("2023-01-05T00:15:00,123+00:00", "iso"),
        ("２０２３－０１－０５　００：１５", "iso"),
        ("2023-01-05\u00a000:15", "%Y-%m-%d %H:%M"),
        ("05-Jan-2023 00:15", "%d-%b-%Y %H:%M"),
        ("05-JAN-23 00:15:00", "%d-%b-%y %H:%M:%S"),
        ("Thu, 05 January 2023 00:15", "%a, %d %B %Y %H:%M"),
        ("2023/005 00:15", "%Y/%j %H:%M"),
        ("2023-01-04 24:15", "iso"),
        ("44931.0104166667", "excel"),
        ("44931,0104166667", "excel"),
        ("1672877700,5", "s"),
    ],
)
def test_marks_of_other_countries_in_times_are_read(park, write, text, form):
    file, map_path = write("a.csv", table([text], ";")), write("map.toml", wide(form))
    if "24:15" in text:
        assert "is not of the format" in problems(park, file, map_path)
    else:
        assert utc_times(park, file, map_path) == ["01-05 00:15"]


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("05.01.2023 00:00 - 05.01.2023 00:15", "%d.%m.%Y %H:%M"),
        ("05.01.2023 00:00 - 00:15", "%d.%m.%Y %H:%M"),
        ("05.01.2023 00:00-00:15", "%d.%m.%Y %H:%M"),
        ("05.01.2023 00:00 – 00:15", "%d.%m.%Y %H:%M"),
        ("05.01.2023 00:00 - 00:15", "%d.%m.%Y %H:%M - %H:%M"),
        ("05.01.2023 00:00 - 05.01.2023 00:15", "%d.%m.%Y %H:%M - %d.%m.%Y %H:%M"),
        ("2023-01-05 00:00~00:15", "iso"),
        ("2023年1月5日 0:00至0:15", "%Y年%m月%d日 %H:%M"),
        ("2023-01-05T00:00:00Z/2023-01-05T00:15:00Z", "iso"),
        ("2023-01-05 00:00 to 2023-01-05 00:15", "iso"),
    ],
)
def test_a_range_is_read_by_its_start_or_its_end(park, write, text, form):
    file = write("a.csv", table([text]))
    assert utc_times(park, file, write("map.toml", wide(form))) == ["01-05 00:00"]
    # An end of 5 min intervals, so that its start is not the one of the range.
    end = 'stamp = "end"\ninterval = "5 min"'
    assert utc_times(park, file, write("map.toml", wide(form, more=end))) == ["01-05 00:10"]


def test_a_range_over_midnight_ends_on_the_next_day(park, write):
    file = write("a.csv", table(["04.01.2023 23:45 - 00:00"]))
    more = 'stamp = "end"\ninterval = "15 min"'
    map_path = write("map.toml", wide("%d.%m.%Y %H:%M", more=more))
    assert utc_times(park, file, map_path) == ["01-04 23:45"]


def test_date_and_range_in_two_columns_are_joined(park, write):
    file = write("a.csv", "d,h,kW\n05.01.2023,00:15 - 00:30,1\n")
    map_path = write("map.toml", wide("%d.%m.%Y %H:%M").replace('"t"', '["d", "h"]'))
    assert utc_times(park, file, map_path) == ["01-05 00:15"]


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ("%d/%m/%d %H:%M", "%d twice"),
        ("%d/%m/%Y %d", "%d twice"),
        ("%Y-%m-%d %H:%M - %d", "written like its start"),
        ("%d/%m %H:%M", "no year"),
        ("%Y-%m-%d %I:%M", "without %p"),
        ("%Y-%m-%d %Q", "%Q"),
        ("yyyy-MM-dd HH:mm:ss", "did you mean '%Y-%m-%d %H:%M:%S'"),
        ("%Y-%m-%d %f", "without seconds"),
        ("rubbish", "is not a form of times"),
    ],
)
def test_a_format_that_cannot_be_read_is_named_with_the_mend(park, write, form, words):
    file, map_path = write("a.csv", table(["2023-01-05"])), write("map.toml", wide(form))
    problem = problems(park, file, map_path)
    assert words in problem
    assert "map.toml:2: format" in problem


def night(day, before, twice, after, minutes):
    """Return the local times of a night in which the clocks show an hour twice."""

    def hour(at):
        return [f"{day} {at:02d}:{minute:02d}" for minute in range(0, 60, minutes)]

    return [*hour(before), *hour(twice), *hour(twice), *hour(after)]


@pytest.mark.parametrize("minutes", [15, 30, 60, 5])
@pytest.mark.parametrize("up", [True, False])
@pytest.mark.parametrize(
    ("zone", "day", "first"), [(BERLIN, "2025-10-26", "23:00"), (SYDNEY, "2025-04-06", "14:00")]
)
def test_the_repeated_hour_of_autumn_is_read_by_order(park, write, minutes, up, zone, day, first):
    times = night(day, 1, 2, 3, minutes)
    file = write("a.csv", table(times if up else times[::-1]))
    rows, refused = read_file(park, file, write("map.toml", wide(zone=zone)))
    assert refused == {}
    assert [value for _, _, value, _ in rows] == list(range(len(times)))[:: 1 if up else -1]
    stamps = [int(time[11:13]) * 60 + int(time[14:16]) for time, *_ in rows]
    assert rows[0][0][11:16] == first
    steps = {(b - a) % 1440 for a, b in pairwise(stamps)}
    assert steps == {minutes}


def test_the_repeated_hour_of_each_tag_is_read_by_its_own_order(park, write):
    times = night("2025-10-26", 1, 2, 3, 15)
    by_tag = [(time, tag) for tag in ("FT-1", "TT-1") for time in times]
    by_time = [(time, tag) for time in times for tag in ("FT-1", "TT-1")]
    map_path = write(
        "map.toml",
        f'time="t"\ntimezone="{BERLIN}"\ntag="tag"\nvalue="v"\nenterprise="acme"\n',
    )
    for rows in (by_tag, by_time):
        file = write("a.csv", "t,tag,v\n" + "".join(f"{t},{tag},1\n" for t, tag in rows))
        read, refused = read_file(park, file, map_path, samples=3)
        assert refused == {}
        assert len({row[:2] for row in read}) == len(rows)


@pytest.mark.parametrize(
    ("times", "lost"),
    [
        (["01:45", "02:00", "02:15", "02:30", "02:45", "03:00"], 4),  # once: which one?
        (["01:45", "02:00", "02:15", "02:15", "02:30", "03:00"], 4),  # a row twice
        (["01:45", "02:30", "02:00", "02:15", "02:00", "03:00"], 4),  # in no order
        (["03:00", "02:00", "01:45", "02:00", "03:15", "01:30"], 2),
    ],
)
def test_the_repeated_hour_without_an_order_is_refused(park, write, times, lost):
    map_path = write("map.toml", wide(zone=BERLIN))
    night = [f"2025-10-26 {time}" for time in times]
    day = [f"2025-10-27 {hour:02d}:00" for hour in range(10)]
    _, refused = read_file(park, write("a.csv", table(night + day)), map_path)
    assert refused == {("bad_time", ""): lost}
    if lost == 4:
        assert "show twice or never" in problems(park, write("a.csv", table(night)), map_path)


@pytest.mark.parametrize("first", ["02:00", "02:15"])
def test_ends_of_intervals_of_the_repeated_hour_are_read_as_either_program_writes_them(
    park, write, monkeypatch, first
):
    monkeypatch.setattr("ingest.file_import.text_files.BLOCK_BYTES", 30)
    hour = ["02:00", "02:15", "02:30", "02:45", "03:00"]
    twice = hour[:-1] * 2 if first == "02:00" else hour[1:] * 2
    ends = ["01:30", "01:45", *(["02:00"] if first == "02:15" else []), *twice, "03:00", "03:15"]
    ends = ends if first == "02:00" else [*ends[:-2], "03:15"]
    file = write("a.csv", table([f"2025-10-26 {end}" for end in ends]))
    more = 'stamp = "end"\ninterval = "15 min"'
    times = utc_times(park, file, write("map.toml", wide(zone=BERLIN, more=more)))
    assert times[0] == "10-25 23:15"
    minutes = [int(t[6:8]) * 60 + int(t[9:11]) for t in times]
    assert {(b - a) % 1440 for a, b in pairwise(minutes)} == {15}


@pytest.mark.parametrize("samples", [1, 3, 7])
def test_the_repeated_hour_is_read_across_blocks_and_chunks(park, write, monkeypatch, samples):
    monkeypatch.setattr("ingest.file_import.text_files.BLOCK_BYTES", 80)
    times = night("2025-10-26", 1, 2, 3, 5)
    file = write("a.csv", table(times))
    rows, refused = read_file(park, file, write("map.toml", wide(zone=BERLIN)), samples=samples)
    assert refused == {}
    assert [value for _, _, value, _ in rows] == list(range(len(times)))
