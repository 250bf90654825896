"""Where corrections are kept: one file for all of a user's probes, replaced whole."""

from __future__ import annotations

import fcntl
import json
import secrets
from contextlib import contextmanager
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import platformdirs

from sojourn.errors import UsageError
from sojourn.forecast.correction import Correction, is_believable, with_correction
from sojourn.localpath import read_file

if TYPE_CHECKING:
    from collections.abc import Iterator

CORRECTIONS_SCHEMA = "sojourn.corrections/1"
_TYPES: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "bool": (bool,),
    "float | None": (float, int, type(None)),
}


def default_corrections_path() -> Path:
    """Return the file with all corrections of this user."""
    return Path(platformdirs.user_state_dir("sojourn")) / "corrections.json"


def load_corrections(path: Path) -> tuple[Correction, ...]:
    """Return what was kept; nothing if nothing was.

    Raises:
        UsageError: the file cannot be read, or is none of sojourn's.
    """
    try:
        document = json.loads(read_file(path))
        if document["schema"] != CORRECTIONS_SCHEMA:
            raise _refusal(path, f"its schema is {document['schema']!r}")
        return tuple(_correction(row) for row in document["corrections"])
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise _refusal(path, error.strerror or str(error)) from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _refusal(path, f"it is damaged ({error})") from error


def keep_correction(path: Path, correction: Correction) -> None:
    """Add a correction, or replace the one of the same job and accelerator.

    Raises:
        UsageError: the file cannot be read or written; it stays as it was.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _alone(path):
            corrections = with_correction(load_corrections(path), correction)
            _write(path, [asdict(one) for one in corrections])
    except OSError as error:
        raise _refusal(path, error.strerror or str(error)) from error


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Let no other probe write between reading and writing."""
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    document = {"schema": CORRECTIONS_SCHEMA, "corrections": rows}
    try:
        beside.write_text(json.dumps(document, indent=1) + "\n", "utf-8")
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _correction(row: dict[str, Any]) -> Correction:
    for field in fields(Correction):
        if field.name in row and not isinstance(row[field.name], _TYPES[str(field.type)]):
            raise ValueError(f"{field.name} is {row[field.name]!r}")
    ratios = [row.get("memory_ratio"), row.get("step_ratio")]
    if any(ratio is not None and not is_believable(ratio) for ratio in ratios):
        raise ValueError(f"ratios of {ratios}")
    return Correction(**row)


def _refusal(path: Path, why: str) -> UsageError:
    return UsageError(
        f"What probes measured cannot be used: {path}: {why}.",
        remedy=f"Mend it, or move it away (mv {path} {path}.old) and probe again.",
    )
