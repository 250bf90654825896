"""The child's entry: runs the user's script as `__main__`, on this machine as if on Colab.

    python -m sojourn.runtimes.launcher LIFELINE WORK SCRIPT [ARGS…]

LIFELINE is a descriptor that reads end-of-file once nobody looks after the job any more. `/content`
and the like are WORK; files there that are only links are replaced by copies before they are
written, so that a job never changes the folder that it came from.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from sojourn.runtimes.base import STOP_GRACE_S
from sojourn.script.colab import install_colab
from sojourn.script.main_module import make_main
from sojourn.script.paths import PathMap, default_rules
from sojourn.script.source import read_source

if TYPE_CHECKING:
    from sojourn.script.source import ScriptSource

_EVERYTHING = (Path("/"),)
_PACKAGE = str(Path(__file__).parents[1]) + os.sep


def main(arguments: list[str]) -> None:
    """Run the job; the process ends with the script's own exit status."""
    lifeline, work, script, *args = arguments
    _end_with(int(lifeline))
    source = read_source(Path(work) / script)
    for line in source.skipped:
        sys.stderr.write(f"sojourn: left out: {line}\n")
    notes = _Notes()
    install_colab(notes, os.environ, show=_show)
    PathMap(default_rules(Path(work)), Path(work), free=_EVERYTHING).install()
    os.chdir(work)
    sys.argv = [script, *args]
    sys.path.insert(0, str(source.path.parent))
    run_as_main(source)


def run_as_main(source: ScriptSource) -> None:
    """Execute the script as `__main__`; what it raises is told in its author's line numbers."""
    launcher = sys.modules["__main__"]  # kept: a module that nobody holds loses its globals
    try:
        exec(source.compiled(), vars(make_main(source.filename)))  # noqa: S102 - this is what was asked for
    except Exception as error:  # noqa: BLE001 - whatever the script raises is its own affair
        sys.stdout.flush()
        sys.stderr.write("".join(told(error, source)))
        sys.exit(1)
    finally:
        del launcher


def told(error: BaseException, source: ScriptSource) -> list[str]:
    """Return the traceback's lines, with labels such as `baseline.ipynb[3]` for files."""
    whole = traceback.TracebackException.from_exception(error)
    pending = [whole]
    while pending:
        told_so_far = pending.pop()
        frames = [_relabelled(frame, source) for frame in told_so_far.stack if not _is_ours(frame)]
        told_so_far.stack = traceback.StackSummary.from_list(frames)
        further = (told_so_far.__cause__, told_so_far.__context__)
        pending.extend(one for one in further if one is not None)
    return list(whole.format())


def _relabelled(frame: traceback.FrameSummary, source: ScriptSource) -> traceback.FrameSummary:
    if frame.filename != source.filename or frame.lineno is None:
        return frame
    name, _, line = source.label(frame.lineno).rpartition(":")
    text = source.code.split("\n")[frame.lineno - 1].strip()
    return traceback.FrameSummary(name, int(line), frame.name, line=text)


def _is_ours(frame: traceback.FrameSummary) -> bool:
    return frame.filename.startswith(_PACKAGE)


def _show(shown: object) -> None:
    sys.stdout.write(f"{shown}\n")


class _Notes(list[str]):
    """Says each note in the job's output at once: a job may end without warning."""

    def append(self, line: str, /) -> None:
        super().append(line)
        sys.stderr.write(f"sojourn: {line}\n")


def _end_with(lifeline: int) -> None:
    """End this process group when the other end of the pipe is gone."""

    def watch() -> None:
        os.read(lifeline, 1)
        os.killpg(os.getpgrp(), signal.SIGTERM)
        time.sleep(STOP_GRACE_S)
        os.killpg(os.getpgrp(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True, name="lifeline").start()


if __name__ == "__main__":
    main(sys.argv[1:])
