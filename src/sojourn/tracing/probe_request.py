"""What the parent asks of the process that probes, and what that answers, as JSON files."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from sojourn.errors import TraceError
from sojourn.forecast.correction import Measured
from sojourn.localpath import read_file

if TYPE_CHECKING:
    from pathlib import Path

# With what the process ends whose time is up before the script has taken a step.
TIME_IS_UP_STATUS = 124


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeRequest:
    """One script to take real steps of.

    `script` lies in `folder`, the scratch copy of its own; `writable` takes what it writes
    elsewhere; `rules` are (REMOTE, LOCAL) pairs. `answer` is the file to write the answer to,
    `progress` one to which a byte is added for each step. After `timeout_s` seconds the process
    answers with what it has.
    """

    target: str
    script: str
    folder: str
    writable: str
    answer: str
    progress: str
    arguments: tuple[str, ...]
    rules: tuple[tuple[str, str], ...]
    steps: int
    timeout_s: float

    def write(self, path: Path) -> None:
        """Write the request where the child will read it."""
        path.write_text(json.dumps(asdict(self)), "utf-8")


def read_probe_request(path: Path) -> ProbeRequest:
    """Read what `ProbeRequest.write` wrote."""
    fields: dict[str, Any] = json.loads(path.read_text("utf-8"))
    fields["arguments"] = tuple(fields["arguments"])
    fields["rules"] = tuple((remote, local) for remote, local in fields["rules"])
    return ProbeRequest(**fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeAnswer:
    """What came of it: figures, or a message and its remedy."""

    measured: Measured | None = None
    message: str = ""
    remedy: str = ""

    def write(self, path: Path) -> None:
        """Write the answer in one step, so that the parent never reads half of it."""
        temporary = path.with_suffix(".part")
        temporary.write_text(json.dumps(asdict(self)), "utf-8")
        temporary.replace(path)


def read_probe_answer(path: Path) -> ProbeAnswer | None:
    """Read the child's answer; None if it left none.

    Raises:
        TraceError: what lies there is no answer: the script has put it there.
    """
    try:
        document: dict[str, Any] = json.loads(read_file(path, follow_links=False))
        measured = document.pop("measured")
        return ProbeAnswer(**document, measured=Measured(**measured) if measured else None)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise TraceError(
            "The script wrote over what was measured of it.",
            remedy="Let it write below its own folder, not above it, while it is probed.",
        ) from error
