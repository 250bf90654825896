"""What the parent asks of the tracing child, and what the child answers, as JSON files."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from sojourn.errors import TraceError
from sojourn.forecast.changes import NO_CHANGES, Changes, load_changes
from sojourn.localpath import read_file

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFunction:
    """What to call in a file instead of running it: a step, and what makes its batch ("": none)."""

    function: str
    batch: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One script to trace.

    `script` lies in `folder`, the scratch copy of `original`; `writable` takes whatever the script
    writes elsewhere; `rules` are (REMOTE, LOCAL) pairs, the first that matches counts. `batch_size`
    of None leaves the script's own; `changes` are those around the script, and their batch size
    stands in `batch_size` too. `answer` is the file to write the answer to, `output` the one for
    what the script prints. With a `step`, the script is imported and that is called. `fetches_more`
    measures what batches cost on a few that are fetched once the trace is there. `typed_in` is the
    folder in which the plan was asked for; "" if there is none any more.
    """

    target: str
    script: str
    original: str
    folder: str
    writable: str
    answer: str
    output: str
    arguments: tuple[str, ...]
    rules: tuple[tuple[str, str], ...]
    batch_size: int | None
    steps: int
    compute_capability: str
    changes: Changes = NO_CHANGES
    step: StepFunction | None = None
    fetches_more: bool = False
    typed_in: str = ""


def write_requests(path: Path, requests: Sequence[Request], *, workers: int) -> None:
    """Write requests where the child will read them; `workers` of them are answered at a time."""
    document = {"workers": workers, "requests": [asdict(request) for request in requests]}
    path.write_text(json.dumps(document), "utf-8")


def read_requests(path: Path) -> tuple[tuple[Request, ...], int]:
    """Read what `write_requests` wrote: the requests, and how many to answer at a time."""
    document: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return tuple(_load_request(row) for row in document["requests"]), document["workers"]


def _load_request(fields: dict[str, Any]) -> Request:
    fields["arguments"] = tuple(fields["arguments"])
    fields["rules"] = tuple((remote, local) for remote, local in fields["rules"])
    fields["changes"] = load_changes(fields["changes"])
    fields["step"] = StepFunction(**fields["step"]) if fields["step"] else None
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
    """Read the child's answer; None if it left none.

    Raises:
        TraceError: what lies there is no answer: the script has put it there.
    """
    try:
        document = json.loads(read_file(path, follow_links=False))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise _no_answer() from error
    if not _is_answer(document):
        raise _no_answer()
    return Answer(**document)


def _is_answer(document: object) -> bool:
    fields = {"trace", "message", "remedy"}
    if not isinstance(document, dict) or not document.keys() <= fields:
        return False
    texts = [value for name, value in document.items() if name != "trace" or value is not None]
    says_anything = document.get("trace") is not None or bool(document.get("message"))
    return says_anything and all(isinstance(text, str) for text in texts)


def _no_answer() -> TraceError:
    return TraceError(
        "The script wrote over what tracing had to say of it.",
        remedy="Let it write below its own folder, not above it, while planning.",
    )
