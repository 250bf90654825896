"""Parse and format bytes and durations. Values are kept in bytes and seconds; these are for eyes.

`parse_` takes what a person types, `format_` gives what a person reads. IEC prefixes are shown.
"""

from __future__ import annotations

import math
import re

from sojourn.errors import UsageError

KIB = 1 << 10
MIB = 1 << 20
GIB = 1 << 30
TIB = 1 << 40

_BYTES_PER_UNIT = {
    "": 1,
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "tb": 10**12,
    "kib": KIB,
    "mib": MIB,
    "gib": GIB,
    "tib": TIB,
}
_SECONDS_PER_UNIT = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
_NUMBER_AND_UNIT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]*)\s*")
_DURATION = re.compile(r"(?:\s*\d+(?:\.\d+)?\s*(?:s|min|m|h|d))+\s*")
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(s|min|m|h|d)")

_SECONDS_PER_MINUTE = 60
_SECONDS_PER_HOUR = 3600
_SECONDS_PER_DAY = 86400
_TEN = 10


def parse_bytes(text: str) -> int:
    """Read a size such as `512`, `10 MB` (decimal) or `1.5GiB` (binary).

    Returns:
        The size in bytes.

    Raises:
        UsageError: the text is no size.
    """
    match = _NUMBER_AND_UNIT.fullmatch(text)
    factor = _BYTES_PER_UNIT.get(match[2].lower()) if match else None
    # A number of 309 digits is infinite to a float.
    if match is None or factor is None or math.isinf(float(match[1]) * factor):
        raise UsageError(
            f"{text!r} is not a size.", remedy="Write a number and a unit: 512MB or 1.5GiB."
        )
    return round(float(match[1]) * factor)


def parse_duration(text: str) -> float:
    """Read a duration such as `90s`, `10m`, `6h` or `1h30m`.

    Returns:
        The duration in seconds.

    Raises:
        UsageError: the text is no duration, or is zero.
    """
    seconds = 0.0
    if _DURATION.fullmatch(text):
        parts = _DURATION_PART.findall(text)
        seconds = sum(float(number) * _SECONDS_PER_UNIT[unit] for number, unit in parts)
    if seconds <= 0 or math.isinf(seconds):
        raise UsageError(
            f"{text!r} is not a duration.", remedy="Write a number and a unit: 90s, 10m, 6h, 1h30m."
        )
    return seconds


def format_bytes(size_bytes: float) -> str:
    """Show a size with an IEC prefix and three digits or so: `34.2 GiB`, `512 B`."""
    for unit, factor in (("TiB", TIB), ("GiB", GIB), ("MiB", MIB), ("KiB", KIB)):
        if abs(size_bytes) >= factor:
            number = size_bytes / factor
            return f"{number:.1f} {unit}" if number < 100 * _TEN else f"{number:.0f} {unit}"
    return f"{size_bytes:.0f} B"


def format_duration(duration_s: float) -> str:
    """Show a duration with its two largest units: `1.2 s`, `3 m 20 s`, `5 h 10 m`, `2 d 3 h`."""
    whole = round(duration_s)
    if whole < _SECONDS_PER_MINUTE:
        return f"{duration_s:.1f} s" if duration_s < _TEN else f"{whole} s"
    if whole < _SECONDS_PER_HOUR:
        return f"{whole // 60} m {whole % 60} s"
    if whole < _SECONDS_PER_DAY:
        return f"{whole // 3600} h {whole % 3600 // 60} m"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def format_brief_duration(duration_s: float) -> str:
    """Show a duration as `format_duration` does, and what is under a second in milliseconds."""
    if duration_s <= 0 or duration_s >= 1:
        return format_duration(duration_s)
    milliseconds = duration_s * 1000
    return f"{milliseconds:.1f} ms" if milliseconds < _TEN else f"{milliseconds:.0f} ms"


def format_units(units: float) -> str:
    """Show compute units with three digits or so: `0`, `0.004`, `3.10`, `31.0`, `310`."""
    if units == 0:
        return "0"
    size = abs(units)
    if size < 1 / _TEN:
        return f"{units:.2g}"
    if size < _TEN:
        return f"{units:.2f}"
    return f"{units:.1f}" if size < _TEN * _TEN else f"{units:.0f}"


def format_count(count: int, name: str) -> str:
    """Write a number of things: "1 step", "2 steps"."""
    return f"{count} {name}{'' if count == 1 else 's'}"


def format_rate(bytes_per_s: float) -> str:
    """Show a transfer rate: `38.1 MiB/s`."""
    return f"{format_bytes(bytes_per_s)}/s"
