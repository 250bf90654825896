"""What the parent asks of the tracing child, and what the child answers, as JSON files."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One script to trace.

    `script` lies in `folder`, the scratch copy; `writable` takes whatever the script writes
    elsewhere; `rules` are (REMOTE, LOCAL) pairs, the first that matches counts. `batch_size` of
    None leaves the script's own. `answer` is the file to write the answer to.
    """

    target: str
    script: str
    folder: str
    writable: str
    answer: str
    arguments: tuple[str, ...]
    rules: tuple[tuple[str, str], ...]
    batch_size: int | None
    steps: int
    compute_capability: str

    def write(self, path: Path) -> None:
        """Write the request where the child will read it."""
        path.write_text(json.dumps(asdict(self)), "utf-8")


def read_request(path: Path) -> Request:
    """Read what `Request.write` wrote."""
    fields: dict[str, Any] = json.loads(path.read_text("utf-8"))
    fields["arguments"] = tuple(fields["arguments"])
    fields["rules"] = tuple((remote, local) for remote, local in fields["rules"])
    return Request(**fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of it: a trace (as `dump_trace` writes it), or a message and its remedy."""

    trace: str | None = None
    message: str = ""
    remedy: str = ""

    def write(self, path: Path) -> None:
        """Write the answer in one step, so that the parent never reads half of it."""
        temporary = path.with_suffix(".part")
        temporary.write_text(json.dumps(asdict(self)), "utf-8")
        temporary.replace(path)


def read_answer(path: Path) -> Answer | None:
    """Read the child's answer; None if it left none."""
    if not path.exists():
        return None
    return Answer(**json.loads(path.read_text("utf-8")))
