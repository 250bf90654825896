"""What a notebook's cell holds beyond Python, made plain: `!shell`, `%magic`, `%%cell magic`, `x?`.

A cell that is Python already stays as it is, to the letter. Otherwise the parser is asked which
line it stumbles on, and only that line is rewritten, so that a `!` inside a string stays. Every
line keeps its number and its indentation.
"""

from __future__ import annotations

import ast
import re
import shlex
import warnings
from dataclasses import dataclass

_CELL_MAGIC = re.compile(r"%%\s*(\w+)[ \t]*(.*)")
_KEEPS_CODE = {"time", "timeit", "capture", "prun", "python", "python3", "memit", "wandb", "py"}
_WRITES_FILE = {"writefile", "file"}
_SPECIAL = re.compile(r"\s*[!%?]")
_ASSIGNED = re.compile(r"(\s*[A-Za-z_][\w.,\[\]'\" ]*=\s*)([!%])(?!=)")
_HELP = re.compile(r"\s*[\w.]+\s*\?{1,2}\s*;?\s*$")
# Colab runs these without their `%` or `!` when no variable has the name.
_BARE = re.compile(r"\s*(?:pip|pip3|conda|cd|ls|mkdir|cat|cp|mv|rm|pwd)\s+\S")
_TIMED = re.compile(r"(\s*)%(?:time|timeit|prun|memit)\s+(?:-\w+\s+\d*\s*)*(.*)")
_SHELL_SYNTAX = set("|&;<>$`*?{}()")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A cell as Python lines, and what of it was left out: (line in the cell, its text)."""

    lines: list[str]
    skipped: list[tuple[int, str]]


def plain_cell(text: str) -> Cell:
    """Rewrite one code cell; what is still not Python afterwards is left for the compiler."""
    lines = text.split("\n")
    first = next((number for number, line in enumerate(lines) if line.strip()), 0)
    magic = _CELL_MAGIC.match(lines[first].lstrip())
    if magic is None:
        return _plain_lines(lines, [])
    name, rest = magic[1], magic[2].strip()
    note = (first + 1, lines[first].strip())
    if name in _WRITES_FILE:
        body = lines[first + 1 :]
        written = _writing_code(rest, "\n".join(body))
        return Cell(lines=[*lines[:first], written, *([""] * len(body))], skipped=[])
    if name in _KEEPS_CODE:
        lines[first] = ""
        return _plain_lines(lines, [])
    return Cell(lines=[""] * len(lines), skipped=[note])


def _plain_lines(lines: list[str], skipped: list[tuple[int, str]]) -> Cell:
    while (stumble := _first_error(lines)) is not None:
        index = min(stumble, len(lines)) - 1
        if index < 0 or not _is_special(lines[index], bare_too=True):
            # The parser can point elsewhere, say at a bracket left open in a shell line.
            index = next((i for i, line in enumerate(lines) if _is_special(line)), -1)
        if index < 0:
            break
        _rewrite(lines, index, skipped)
    return Cell(lines=lines, skipped=sorted(skipped))


def _first_error(lines: list[str]) -> int | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse("\n".join(lines))
    except SyntaxError as error:
        return error.lineno or 1
    except ValueError:
        return None
    return None


def _is_special(line: str, *, bare_too: bool = False) -> bool:
    if _SPECIAL.match(line) or _ASSIGNED.match(line) or _HELP.match(line):
        return True
    return bare_too and _BARE.match(line) is not None


def _rewrite(lines: list[str], index: int, skipped: list[tuple[int, str]]) -> None:
    """Replace the special line at `index`, and the lines it goes on to after a backslash."""
    command = lines[index]
    last = index
    while lines[last].rstrip().endswith("\\") and last + 1 < len(lines):
        last += 1
        command = command.rstrip()[:-1] + " " + lines[last].strip()
        lines[last] = ""
    # A shell line can swallow a backslash at the end of the cell as well.
    replacement, is_left_out = _python_for(command.rstrip().rstrip("\\"))
    if is_left_out:
        skipped.append((index + 1, command.strip()))
    lines[index] = replacement


def _python_for(command: str) -> tuple[str, bool]:
    """Return the Python for a special line, and whether what it did is thereby left out."""
    if timed := _TIMED.match(command):
        return (timed[1] + (timed[2] or "pass"), False)
    if assigned := _ASSIGNED.match(command):
        return (assigned[1] + ("[]" if assigned[2] == "!" else "None"), True)
    indent = command[: len(command) - len(command.lstrip())]
    body = command.strip().lstrip("!%").strip()
    name, _, rest = body.partition(" ")
    is_magic = not command.lstrip().startswith("!")
    for known, translate in (("cd", _cd_code), ("env", _env_code), ("set_env", _env_code)):
        if is_magic and name == known and (code := translate(rest.strip())):
            return (indent + code, False)
    if name == "mkdir" and (code := _mkdir_code(rest)):
        return (indent + code, False)
    return (f"{indent}pass", True)


def _cd_code(folder: str) -> str | None:
    folder = folder.strip("'\"")
    if not folder or set(folder) & _SHELL_SYNTAX:
        return None
    # As in a notebook, a folder that is not there is no error.
    return (
        f"__import__('os').chdir({folder!r}) if __import__('os').path.isdir({folder!r}) else None"
    )


def _env_code(setting: str) -> str | None:
    name, separator, value = setting.partition("=")
    if not separator:
        name, separator, value = setting.partition(" ")
    if not separator or not name.strip().isidentifier() or "$" in value or "{" in value:
        return None
    return f"__import__('os').environ[{name.strip()!r}] = {value.strip()!r}"


def _mkdir_code(arguments: str) -> str | None:
    if set(arguments) & _SHELL_SYNTAX:
        return None
    try:
        words = shlex.split(arguments)
    except ValueError:
        return None
    folders = [word for word in words if word not in ("-p", "--parents")]
    if not folders or any(folder.startswith("-") for folder in folders):
        return None
    return f"[__import__('os').makedirs(_folder, exist_ok=True) for _folder in {folders!r}]"


def _writing_code(arguments: str, text: str) -> str:
    """Return one line that writes a file, as `%%writefile [-a] NAME` does."""
    words = arguments.split()
    mode = "a" if "-a" in words or "--append" in words else "w"
    name = " ".join(word for word in words if word not in ("-a", "--append")).strip("'\"")
    if text and not text.endswith("\n"):
        text += "\n"
    # A module that is written and then imported within one clock tick would not be found.
    return (
        f"with open({name!r}, {mode!r}, encoding='utf-8') as _written: "
        f"_written.write({text!r}); __import__('importlib').invalidate_caches()"
    )
