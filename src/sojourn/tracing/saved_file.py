"""Traces in a file: written whole or not at all, read back without torch."""

from __future__ import annotations

import gzip
import io
import os
import secrets
import stat
import zlib
from typing import TYPE_CHECKING

from sojourn.errors import TraceError, UsageError
from sojourn.forecast.changes import Variant
from sojourn.forecast.saved import (
    BEFORE_AMPERE,
    SINCE_AMPERE,
    dump_traces,
    load_traces,
    told_capability,
)
from sojourn.localpath import check_reachable, read_file
from sojourn.units import GIB, format_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sojourn.forecast.saved import SavedTraces
    from sojourn.forecast.scaling import Traced
    from sojourn.forecast.trace import Trace
    from sojourn.tracing.tracer import Tracer

_ENDINGS = (".json", ".json.gz")
# Most of the size goes at once; higher levels take several times as long for a few per cent.
_LEVEL = 6
# Of text. An event takes some 60 bytes, and a script that runs on for a minute makes a million.
_MOST_BYTES = 1 * GIB


def is_trace_file(path: Path) -> bool:
    """Whether a target is a file of saved traces, by the ending of its name."""
    return path.name.endswith(_ENDINGS)


def check_trace_file(path: Path) -> None:
    """Raise if no traces can be saved there, as far as that can be told beforehand.

    Raises:
        UsageError: the name does not end so that it can be planned again, or the folder of the file
            is not there or may not be written to.
    """
    if not is_trace_file(path):
        raise UsageError(
            f"{path.name!r} would not be known as saved traces again.",
            remedy="Let the name end in .json or .json.gz.",
        )
    folder = check_reachable(path).parent
    if not folder.is_dir():
        raise _refusal(path, "its folder is not there")
    if path.is_dir():
        raise _refusal(path, "it is a folder")
    if not os.access(folder, os.W_OK):
        raise _refusal(path, "its folder may not be written to")


class Recording:
    """Passes on what a tracer traces, and keeps it to be saved."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._asked: dict[Variant, Trace | None] = {}

    def trace_for(self, compute_capability: str) -> Traced:
        """Trace the script for such a card; see `Tracer.trace_for`."""
        return self._tracer.trace_for(compute_capability)

    def retrace(self, variants: Sequence[Variant]) -> tuple[Trace | None, ...]:
        """Trace the changed script; see `Tracer.retrace`."""
        found = self._tracer.retrace(variants)
        self._asked |= zip(variants, found, strict=True)
        return found

    def save(self, path: Path, target: str, *, data_bytes: int | None, job: str = "") -> None:
        """Save all that was traced, and what cards of either side of Ampere need.

        Args:
            path: Where to.
            target: The script, as it is shown.
            data_bytes: What the job has to bring along, if that is known.
            job: What tells it from others, "" where nothing does.

        Raises:
            UsageError: the file cannot be written.
            TraceError: the script could not be traced for the other cards.
        """
        first = self._tracer.trace_for(SINCE_AMPERE)
        asked = first.trace.asked_capability
        main = {SINCE_AMPERE: first}
        if asked:
            main[BEFORE_AMPERE] = self._tracer.trace_for(BEFORE_AMPERE)
        varied = {
            Variant(
                compute_capability=told_capability(
                    variant.compute_capability, asked_capability=asked
                ),
                changes=variant.changes,
            ): trace
            for variant, trace in self._asked.items()
        }
        _write(path, dump_traces(target, main, varied, data_bytes=data_bytes, job=job).encode())


def load_trace_file(path: Path, *, most_bytes: int = _MOST_BYTES) -> SavedTraces:
    """Read traces that `Recording.save` wrote.

    Args:
        path: The file.
        most_bytes: A text of more is not read; a small file may unpack to more than any machine
            holds.

    Raises:
        UsageError: there is no such file, or it cannot be read.
        TraceError: what it holds are no saved traces, or they are not whole.
    """
    if not check_reachable(path).exists():
        raise UsageError(
            f"There is no file {str(path)!r}.",
            remedy="Give a script, a notebook, or traces saved with --save-trace.",
        )
    try:
        is_too_large = path.stat().st_size > most_bytes
        raw = b"" if is_too_large else read_file(path)
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {error.strerror}.", remedy="Make it a file that you may read."
        ) from error
    try:
        if path.name.endswith(".gz"):
            with gzip.GzipFile(fileobj=io.BytesIO(raw)) as packed:
                raw = packed.read(most_bytes + 1)
        text = raw.decode()
    except (EOFError, OSError, zlib.error, UnicodeDecodeError) as error:
        raise TraceError(
            f"{path.name} holds no saved traces, or was cut short ({error}).",
            remedy="Save them again: sojourn plan SCRIPT --save-trace FILE.",
        ) from error
    if is_too_large or len(raw) > most_bytes:
        raise TraceError(
            f"{path.name} holds more than {format_bytes(most_bytes)}, which no saved traces do.",
            remedy="Give traces that were saved with --save-trace.",
        )
    return load_traces(text)


def _write(path: Path, text: bytes) -> None:
    # The time of the day has no place in it: the same traces give the same file.
    content = gzip.compress(text, _LEVEL, mtime=0) if path.name.endswith(".gz") else text
    target = path.resolve()
    beside = target.with_name(f".{target.name[:64]}.{secrets.token_hex(4)}")
    try:
        beside.write_bytes(content)
        if target.exists():
            beside.chmod(stat.S_IMODE(target.stat().st_mode))
        beside.replace(target)
    except OSError as error:
        raise _refusal(path, error.strerror or str(error)) from error
    finally:
        beside.unlink(missing_ok=True)


def _refusal(path: Path, why: str) -> UsageError:
    return UsageError(
        f"The traces could not be saved to {path}: {why}.",
        remedy="Give --save-trace a file in a folder that exists, may be written to and has room.",
    )
