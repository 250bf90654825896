"""What was pushed, pulled, listed or checked, as text and as JSON documents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.text import Text

from sojourn.dataset.digests import can_be_made
from sojourn.units import format_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

    from sojourn.dataset.manifest import Manifest, Member
    from sojourn.dataset.pull import PullReport
    from sojourn.dataset.push import PushReport
    from sojourn.dataset.verifying import Problem, VerifyReport

_MOST_PROBLEMS_SHOWN = 50
_TIMES = "\N{MULTIPLICATION SIGN}"


def push_document(report: PushReport, *, dry_run: bool) -> dict[str, Any]:
    """Return what a push did as a JSON document."""
    return {
        "schema": "sojourn.push/1",
        "store": report.url,
        "dry_run": dry_run,
        "revision": report.revision,
        "parent": report.parent,
        "unchanged": report.unchanged,
        "members": report.members,
        "files": report.files,
        "bytes": report.raw_bytes,
        "stored_bytes": report.stored_bytes,
        "sent_bytes": report.sent_bytes,
        "shards": {"sent": report.shards_sent, "reused": report.shards_reused},
        "tables": {"all": report.tables, "as_columns": report.tables_as_columns},
    }


def push_text(report: PushReport, *, dry_run: bool) -> RenderableType:
    """Return what a push did, in a line or two."""
    held = f"{_files(report.files)}, {format_bytes(report.raw_bytes)}"
    revision = Text.assemble("revision ", (report.revision, "bold"))
    if report.unchanged and report.sent_bytes == 0:
        return Text.assemble(f"{report.url} holds this already: {held}; nothing sent; ", revision)
    if report.tables:
        held += f", {report.tables_as_columns} of {report.tables} tables as columns"
    verb = "Would send" if dry_run else "Sent"
    reused = f", {report.shards_reused} there already" if report.shards_reused else ""
    return Text.assemble(
        f"{verb} {format_bytes(report.sent_bytes)} to {report.url}: "
        f"{_shards(report.shards_sent)}{reused}; {held}; ",
        revision,
    )


def share_document(*, store: str, user: str, page: str) -> dict[str, Any]:
    """Return whom a data set was shared with as a JSON document."""
    return {"schema": "sojourn.share/1", "store": store, "user": user, "page": page}


def share_text(*, store: str, user: str, page: str) -> Text:
    """Return whom a data set was shared with, in a line."""
    return Text(f"{user} may read {store}; {page} shows who else may.")


# Files that a line of text names.
_MOST_NAMED = 5


def pull_document(report: PullReport) -> dict[str, Any]:
    """Return what a pull did as a JSON document."""
    return {
        "schema": "sojourn.pull/1",
        "store": report.url,
        "folder": str(report.folder),
        "revision": report.revision or None,
        "files": report.files,
        "bytes": report.raw_bytes,
        "files_fetched": report.files_fetched,
        "fetched_bytes": report.fetched_bytes,
        "other_files": report.other_files,
        "overwritten": list(report.overwritten),
    }


def pull_text(report: PullReport) -> RenderableType:
    """Return what a pull did, in a line or two."""
    kept = report.files - report.files_fetched
    there = f", {kept} there already" if kept else ""
    lines = [
        Text.assemble(
            f"{report.folder} holds {_files(report.files)}, {format_bytes(report.raw_bytes)}"
            f" ({format_bytes(report.fetched_bytes)} fetched{there}); ",
            *_revision(report.revision),
        )
    ]
    if report.overwritten:
        names = _names(report.overwritten, len(report.overwritten))
        lines.append(Text(f"Overwritten, as they were not what a pull had put there: {names}."))
    if report.other_files:
        were = "was" if report.other_files == 1 else "were"
        others = f"{_files(report.other_files)} that the data set does not hold"
        names = _names(report.first_others, report.other_files)
        lines.append(Text(f"{others} {were} left alone: {names}."))
    return Group(*lines)


def _names(names: Sequence[str], count: int) -> str:
    """Return the first of so many names, and how many more there are."""
    shown = names[:_MOST_NAMED]
    more = count - len(shown)
    return ", ".join(map(shown_name, shown)) + (f" and {more} more" if more > 0 else "")


def ls_document(manifest: Manifest, members: Sequence[Member], *, url: str) -> dict[str, Any]:
    """Return members of a data set as a JSON document."""
    return {
        "schema": "sojourn.ls/1",
        "store": url,
        "revision": manifest.revision or None,
        "parent": manifest.parent,
        "created": manifest.created or None,
        "message": manifest.message,
        "files": sum(member.kind == "file" for member in members),
        "bytes": sum(member.size_bytes for member in members),
        "stored_bytes": manifest.stored_bytes,
        "members": [
            {
                "path": member.path,
                "kind": member.kind,
                "mode": f"{member.mode:04o}",
                "bytes": member.size_bytes if member.kind == "file" else None,
                "digest": member.digest if can_be_made(member.digest) else None,
                "target": member.target,
                "rows": member.rows,
                "columns": member.columns,
                "as_columns": member.table is not None if member.kind == "file" else None,
            }
            for member in members
        ],
    }


def ls_text(manifest: Manifest, members: Sequence[Member], *, url: str) -> RenderableType:
    """Return members of a data set, one a line, with their sum below."""
    rows = [("size", f"rows {_TIMES} columns", "name"), *map(_cells, members)]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    # Lines and not a table: there may be very many, and names may be very long.
    lines = [f"{row[0]:>{widths[0]}}  {row[1]:>{widths[1]}}  {row[2]}" for row in rows]
    files = [member for member in members if member.kind == "file"]
    total = f"{_files(len(files))}, {format_bytes(sum(m.size_bytes for m in files))}; {url}"
    message = f": {shown_name(manifest.message)}" if manifest.message else ""
    return Text.assemble(
        (lines[0] + "\n", "bold"),
        "".join(f"{line}\n" for line in lines[1:]),
        f"{total}, ",
        *_revision(manifest.revision),
        f" of {manifest.created}{message}" if manifest.created else "",
    )


def verify_document(report: VerifyReport) -> dict[str, Any]:
    """Return what a check found as a JSON document."""
    return {
        "schema": "sojourn.verify/1",
        "store": report.url,
        "folder": None if report.folder is None else str(report.folder),
        "revision": report.revision or None,
        "ok": not report.problems,
        "files": report.checked_files,
        "bytes": report.checked_bytes,
        "problems": [{"name": p.name, "problem": p.problem} for p in report.problems],
    }


def verify_text(report: VerifyReport) -> RenderableType:
    """Return what a check found: one line, or one a problem."""
    if not report.problems:
        what = report.folder or report.url
        match = "matches" if report.checked_files == 1 else "match"
        return Text(
            f"{what}: {_files(report.checked_files)} {match} "
            f"{f'revision {report.revision}' if report.revision else report.url} "
            f"({format_bytes(report.checked_bytes)} read)."
        )
    shown = report.problems[:_MOST_PROBLEMS_SHOWN]
    lines = [Text(shown_name(_told(p))) for p in shown]
    if len(report.problems) > len(shown):
        lines.append(Text(f"… and {len(report.problems) - len(shown)} more; --json lists all."))
    return Group(*lines)


def _told(problem: Problem) -> str:
    # What was said of a damaged object names it already.
    names_it = problem.problem.startswith(f"The object {problem.name} ")
    return problem.problem if names_it else f"{problem.name}: {problem.problem}"


def shown_name(name: str) -> str:
    """Return a name on one line: what cannot be printed is written as Python would."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)


def _cells(member: Member) -> tuple[str, str, str]:
    name = shown_name(member.path)
    if member.kind == "folder":
        return "", "", f"{name}/"
    if member.kind == "link":
        return "", "", f"{name} -> {shown_name(member.target or '')}"
    shape = f"{member.rows} {_TIMES} {member.columns}" if member.rows is not None else ""
    return format_bytes(member.size_bytes), shape, name


def _revision(revision: str) -> tuple[tuple[str, str], ...]:
    """Return the parts of a text, each with its style."""
    if not revision:
        return (("not pushed with Sojourn, so without revisions", ""),)
    return (("revision ", ""), (revision, "bold"))


def _files(count: int) -> str:
    return f"{count} file{'' if count == 1 else 's'}"


def _shards(count: int) -> str:
    return f"{count} shard{'' if count == 1 else 's'}"
