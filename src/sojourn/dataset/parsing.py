"""Read a manifest and trust nothing in it: what comes out of here is safe to act on."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NoReturn

from sojourn.columns import parse_layout, parse_placement
from sojourn.dataset.links import leads_outside
from sojourn.dataset.manifest import (
    SCHEMA_NAME,
    SCHEMA_VERSION,
    Frame,
    Manifest,
    Member,
    Part,
    Segment,
    Shard,
    Table,
    document_digest,
    path_order,
    revision_of,
    shard_key,
)
from sojourn.errors import IntegrityError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sojourn.columns import Layout

# A reader holds a few decoded frames in memory; this bounds what a manifest can make it hold.
MAX_FRAME_BYTES = 256 << 20
_MAX_MODE = 0o777
# Linux follows no link to a longer target: PATH_MAX of limits.h, less the zero byte at its end.
_MAX_TARGET_BYTES = 4095
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_REVISION = re.compile(r"[0-9a-f]{16}")
_MODE = re.compile(r"[0-7]{1,4}")
_SCHEMA = re.compile(re.escape(SCHEMA_NAME) + r"/([0-9]{1,9})")
_KINDS = ("file", "folder", "link")


def is_revision(text: str) -> bool:
    """Tell whether the text has the form of a revision."""
    return _REVISION.fullmatch(text) is not None


def parse_manifest(data: bytes, *, where: str) -> Manifest:
    """Read a manifest and check that it is whole and harmless.

    Args:
        data: The JSON document.
        where: Its address, for messages.

    Raises:
        DamagedManifestError: it is malformed or contradicts itself, or it names something outside
            of the folder.
        IntegrityError: it is of a newer schema.
    """
    try:
        document = json.loads(data)
    except ValueError as error:  # of JSON or of UTF-8
        raise _malformed(where, "it is not JSON") from error
    except RecursionError as error:
        raise _too_deep(where) from error
    _check_schema(document, where)
    try:
        _check_digest(document)
        manifest = _manifest(document)
        _check(manifest)
    except _MalformedError as error:
        raise _malformed(where, str(error)) from error
    except RecursionError as error:  # what can just be read may be too deep to be written
        raise _too_deep(where) from error
    return manifest


class DamagedManifestError(IntegrityError):
    """The manifest is not one that any sojourn wrote."""


class _MalformedError(Exception):
    """What is wrong, without saying where: `parse_manifest` adds that."""


def _malformed(where: str, why: str) -> DamagedManifestError:
    return DamagedManifestError(
        f"The manifest {where} cannot be used: {why}.",
        remedy="Name another revision, or leave out --revision for the newest.",
    )


def _too_deep(where: str) -> DamagedManifestError:
    return _malformed(where, "it is nested too deeply")


def _check_schema(document: Any, where: str) -> None:
    schema = document.get("schema") if isinstance(document, dict) else None
    match = _SCHEMA.fullmatch(schema) if isinstance(schema, str) else None
    if match is None or int(match[1]) < 1:
        raise _malformed(where, f"its schema is not {SCHEMA_NAME}/{SCHEMA_VERSION}")
    if int(match[1]) > SCHEMA_VERSION:
        raise IntegrityError(
            f"The manifest {where} has the schema {schema}, and this sojourn reads up to "
            f"{SCHEMA_NAME}/{SCHEMA_VERSION}.",
            remedy="Upgrade with `pip install --upgrade sojourn`.",
        )


def _check_digest(document: dict[str, Any]) -> None:
    # The first schema had none, and nothing that the revision does not cover.
    if "digest" in document:
        if document["digest"] != document_digest(document):
            _fail("it does not match its digest, so it was damaged or edited")
    elif document["schema"] != f"{SCHEMA_NAME}/1":
        _fail("it has no digest")


def _fail(why: str) -> NoReturn:
    raise _MalformedError(why)


def _text(document: dict[str, Any], key: str) -> str:
    value = document.get(key)
    if not isinstance(value, str):
        _fail(f"{key!r} is no text")
    return value


def _count(value: Any, what: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 63:
        _fail(f"{what} is no size")
    return value


def _records(document: dict[str, Any], key: str, *, optional: bool = False) -> list[dict[str, Any]]:
    value = document.get(key, [] if optional else None)
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        _fail(f"{key!r} is no list of records")
    return value


def _digest(document: dict[str, Any]) -> str:
    digest = _text(document, "digest")
    if not _DIGEST.fullmatch(digest):
        _fail(f"{digest[:80]!r} is no digest")
    return digest


def _manifest(document: dict[str, Any]) -> Manifest:
    parent = document.get("parent")
    return Manifest(
        revision=_text(document, "revision"),
        parent=None if parent is None else _text(document, "parent"),
        created=_text(document, "created"),
        message=_text(document, "message"),
        shards=tuple(map(_shard, _drained(_records(document, "shards")))),
        members=tuple(map(_member, _drained(_records(document, "members")))),
    )


def _drained(records: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield records from a list and let go of them: of a million, one of each is enough."""
    records.reverse()
    while records:
        yield records.pop()


def _shard(document: dict[str, Any]) -> Shard:
    frames = document.get("frames")
    if not isinstance(frames, list):
        _fail("'frames' is no list")
    return Shard(
        key=_text(document, "key"),
        size_bytes=_count(document.get("size_bytes"), "'size_bytes' of a shard"),
        digest=_digest(document),
        frames=tuple(_frame(item) for item in frames),
        segments=tuple(_segment(item) for item in _records(document, "segments", optional=True)),
    )


def _segment(document: dict[str, Any]) -> Segment:
    try:
        layout = parse_layout(document.get("layout"))
    except ValueError as error:
        _fail(str(error).rstrip("."))
    segment = Segment(
        offset=_count(document.get("offset"), "'offset' of a segment"),
        size_bytes=_count(document.get("size_bytes"), "'size_bytes' of a segment"),
        digest=_digest(document),
        layout=layout,
    )
    if not 0 < segment.size_bytes <= MAX_FRAME_BYTES:
        _fail(f"a segment is empty, or larger than {MAX_FRAME_BYTES} bytes")
    return segment


def _frame(document: Any) -> Frame:
    match document:
        case [size_bytes, raw_bytes]:
            frame = Frame(
                size_bytes=_count(size_bytes, "a frame's size"),
                raw_bytes=_count(raw_bytes, "a frame's raw size"),
            )
        case _:
            _fail("a frame is no pair of sizes")
    if not 0 < frame.raw_bytes <= MAX_FRAME_BYTES or not 0 < frame.size_bytes <= MAX_FRAME_BYTES:
        _fail(f"a frame is empty, or larger than {MAX_FRAME_BYTES} bytes")
    return frame


def _member(document: dict[str, Any]) -> Member:
    kind = _text(document, "kind")
    mode = _text(document, "mode")
    if kind not in _KINDS:
        _fail(f"{kind[:80]!r} is no kind of member")
    if not _MODE.fullmatch(mode) or int(mode, 8) > _MAX_MODE:
        _fail(f"{mode[:80]!r} are no permission bits")
    is_file, is_table = kind == "file", "rows" in document or "columns" in document
    table = _table(document["table"]) if is_file and "table" in document else None
    return Member(
        path=_text(document, "path"),
        kind=kind,  # type: ignore[arg-type]  # checked against _KINDS
        mode=int(mode, 8),
        shard=_count(document.get("shard"), "'shard'"),
        size_bytes=_count(document.get("size_bytes"), "'size_bytes'") if is_file else 0,
        offset=_count(document.get("offset"), "'offset'") if is_file and table is None else 0,
        digest=_digest(document) if is_file else None,
        target=_text(document, "target") if kind == "link" else None,
        rows=_count(document.get("rows"), "'rows'") if is_table else None,
        columns=_count(document.get("columns"), "'columns'") if is_table else None,
        table=table,
    )


def _table(document: Any) -> Table:
    match document:
        case {"parts": [_, *_] as parts, "ends_with_newline": bool(ends_with_newline)}:
            found = tuple(_part(item) for item in parts)
        case _:
            _fail("'table' is no record of parts")
    return Table(parts=found, ends_with_newline=ends_with_newline)


def _part(document: Any) -> Part:
    match document:
        case [segment, text_bytes, place]:
            pass
        case _:
            _fail("a table's part is no list of segment, bytes and place")
    try:
        placement = parse_placement(place)
    except ValueError as error:
        _fail(str(error).rstrip("."))
    return Part(
        segment=_count(segment, "a part's segment"),
        placement=placement,
        text_bytes=_count(text_bytes, "a part's bytes of text"),
    )


def _check(manifest: Manifest) -> None:
    for shard in manifest.shards:
        _check_shard(shard)
    raw_bytes = [sum(frame.raw_bytes for frame in shard.frames) for shard in manifest.shards]
    for member in manifest.members:
        _check_path(member.path)
        if member.shard >= len(raw_bytes):
            _fail(f"{member.path!r} is in shard {member.shard}, and there is no such shard")
        if member.table is not None:
            _check_table(member, member.table, manifest.shards[member.shard])
        elif member.offset + member.size_bytes > raw_bytes[member.shard]:
            _fail(f"{member.path!r} reaches beyond the end of its shard")
    _check_tree(manifest.members)
    parent = manifest.parent
    if parent is not None and not is_revision(parent):
        _fail("'parent' is no revision")
    if manifest.revision != revision_of(manifest.members, parent=parent):
        _fail("its revision does not match its members, so it was damaged or edited")


def _check_shard(shard: Shard) -> None:
    if shard.key != shard_key(shard.digest):
        _fail(f"the shard {shard.key[:80]!r} is not named after its digest")
    if sum(frame.size_bytes for frame in shard.frames) != shard.size_bytes:
        _fail(f"the frames of {shard.key} do not fill it")
    raw_bytes = sum(frame.raw_bytes for frame in shard.frames)
    if any(segment.offset + segment.size_bytes > raw_bytes for segment in shard.segments):
        _fail(f"a segment of {shard.key} reaches beyond its end")


def _check_table(member: Member, table: Table, shard: Shard) -> None:
    if any(part.segment >= len(shard.segments) for part in table.parts):
        _fail(f"{member.path!r} is in a segment that its shard does not have")
    layouts = {shard.segments[part.segment].layout for part in table.parts}
    if len(layouts) != 1:
        _fail(f"{member.path!r} is in segments of several layouts")
    layout = layouts.pop()
    columns = len(layout.columns)
    for part in table.parts:
        if sum(count for count, _ in part.placement.starts) != columns:
            _fail(f"{member.path!r} does not have the columns of its segment")
    # Its text is made in memory, and only then measured.
    if any(part.text_bytes > MAX_FRAME_BYTES for part in table.parts):
        _fail(f"a part of {member.path!r} is larger than {MAX_FRAME_BYTES} bytes")
    # Every row but the last has at least its line end.
    row_bytes = _least_row_bytes(layout)
    if any(part.placement.rows * row_bytes > part.text_bytes + 1 for part in table.parts):
        _fail(f"{member.path!r} has more rows than its text has room for")
    if sum(part.placement.rows for part in table.parts) != member.rows:
        _fail(f"the parts of {member.path!r} do not make up its rows")
    if sum(part.text_bytes for part in table.parts) != member.size_bytes:
        _fail(f"the parts of {member.path!r} do not make up its size")


def _least_row_bytes(layout: Layout) -> int:
    """Return how many bytes each row has beside its values, its line end among them."""
    names = (column.name for column in layout.columns if layout.is_json)
    return len(layout.columns) + sum(len(name.encode()) for name in names)


def _check_path(path: str) -> None:
    parts = path.split("/")
    if "\0" in path or any(part in ("", ".", "..") for part in parts):
        _fail(f"{path[:200]!r} is not a path inside of the folder")
    if not _is_utf8(path):
        _fail(f"{path[:200]!r} is not a path in UTF-8")


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_tree(members: Iterable[Member]) -> None:
    kinds: dict[str, str] = {}
    for member in members:
        if member.path in kinds:
            _fail(f"{member.path!r} is there twice")
        kinds[member.path] = member.kind
    if list(kinds) != sorted(kinds, key=path_order):
        _fail("its members are not in order")
    links = {m.path: m.target for m in members if m.target is not None}
    for path in kinds:
        parent = path.rpartition("/")[0]
        # Every folder is a member itself, so a file or link in its place is seen here.
        if parent and kinds.get(parent) != "folder":
            _fail(f"{path!r} is in {parent!r}, which is no folder of the set")
    for path, target in links.items():
        if not _is_utf8(target) or len(target.encode()) > _MAX_TARGET_BYTES:
            _fail(f"the target of the link {path[:200]!r} is none")
    for path, target in links.items():
        if not target or "\0" in target or leads_outside(path, links):
            _fail(f"the link {path!r} leads outside of the folder")
