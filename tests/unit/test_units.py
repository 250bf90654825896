from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sojourn.errors import UsageError
from sojourn.units import (
    GIB,
    KIB,
    MIB,
    TIB,
    format_brief_duration,
    format_bytes,
    format_count,
    format_duration,
    format_rate,
    format_units,
    parse_bytes,
    parse_duration,
)


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("0", 0),
        ("512", 512),
        ("512B", 512),
        ("10 MB", 10_000_000),
        ("10mb", 10_000_000),
        ("1KiB", KIB),
        ("1.5GiB", GIB + GIB // 2),
        ("  2 TiB ", 2 * TIB),
        ("0.5kB", 500),
    ],
)
def test_size_is_read_in_decimal_and_binary_units(text: str, size_bytes: int) -> None:
    assert parse_bytes(text) == size_bytes


@pytest.mark.parametrize(
    "text", ["", "GiB", "-1", "1 2", "1e3", "1.GB", "10 miles", "1GiBs", "nan", "inf", "9" * 400]
)
def test_what_is_no_size_is_refused_with_its_text(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_bytes(text)

    assert repr(text) in caught.value.message
    assert "1.5GiB" in caught.value.remedy


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("10m", 600),
        ("10min", 600),
        ("6h", 21600),
        ("2d", 172800),
        ("1h30m", 5400),
        ("1 h 30 m", 5400),
        ("0.5h", 1800),
    ],
)
def test_duration_is_read_with_one_unit_or_several(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "10", "s", "-1s", "0s", "1h-30m", "1 hour", "1:30", "nans", "9" * 400 + "s"]
)
def test_what_is_no_duration_is_refused_with_its_text(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_duration(text)

    assert repr(text) in caught.value.message
    assert "1h30m" in caught.value.remedy


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (KIB, "1.0 KiB"),
        (1.5 * MIB, "1.5 MiB"),
        (15_637_413_888, "14.6 GiB"),
        (1000 * GIB, "1000 GiB"),
        (3 * TIB, "3.0 TiB"),
        (-2 * MIB, "-2.0 MiB"),
    ],
)
def test_size_is_shown_with_a_binary_prefix(size_bytes: float, text: str) -> None:
    assert format_bytes(size_bytes) == text


@pytest.mark.parametrize(
    ("duration_s", "text"),
    [
        (0, "0.0 s"),
        (1.25, "1.2 s"),
        (59.4, "59 s"),
        (59.7, "1 m 0 s"),
        (200, "3 m 20 s"),
        (3599.6, "1 h 0 m"),
        (18_600, "5 h 10 m"),
        (183_600, "2 d 3 h"),
    ],
)
def test_duration_is_shown_with_its_two_largest_units(duration_s: float, text: str) -> None:
    assert format_duration(duration_s) == text


def test_rate_is_shown_per_second() -> None:
    assert format_rate(38.1 * MIB) == "38.1 MiB/s"


@settings(deadline=None)
@given(st.integers(min_value=0, max_value=2**60))
def test_size_that_is_shown_reads_back_within_its_digits(size_bytes: int) -> None:
    assert parse_bytes(format_bytes(size_bytes)) == pytest.approx(size_bytes, rel=0.05)


@settings(deadline=None)
@given(st.integers(min_value=0, max_value=2**60))
def test_size_in_plain_bytes_reads_back_to_a_float(size_bytes: int) -> None:
    assert parse_bytes(str(size_bytes)) == int(float(size_bytes))


@settings(deadline=None)
@given(st.floats(min_value=1, max_value=3e7))
def test_duration_that_is_shown_reads_back_within_its_smaller_unit(duration_s: float) -> None:
    shown = format_duration(duration_s)

    smaller_unit_s = {"s": 1, "m": 60, "h": 3600}[shown[-1]]
    assert parse_duration(shown) == pytest.approx(duration_s, abs=smaller_unit_s)


@settings(deadline=None)
@given(st.text(max_size=20))
def test_any_text_is_read_or_refused(text: str) -> None:
    for parse in (parse_bytes, parse_duration):
        try:
            value = parse(text)
        except UsageError:
            continue
        assert value >= 0


def test_a_count_agrees_with_its_noun() -> None:
    assert [format_count(n, "step") for n in (0, 1, 2)] == ["0 steps", "1 step", "2 steps"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0.0 s"), (0.00042, "0.4 ms"), (0.018, "18 ms"), (1.2, "1.2 s"), (200.0, "3 m 20 s")],
)
def test_durations_under_a_second_are_shown_in_milliseconds(seconds: float, text: str) -> None:
    assert format_brief_duration(seconds) == text


@pytest.mark.parametrize(
    ("units", "text"),
    [(0.0, "0"), (0.0042, "0.0042"), (0.58, "0.58"), (3.1, "3.10"), (31.04, "31.0"), (310, "310")],
)
def test_units_are_shown_with_three_digits_or_so(units: float, text: str) -> None:
    assert format_units(units) == text
