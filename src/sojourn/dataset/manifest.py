"""The manifest: which members a data set has, in which shards they are, and where in them.

Glossary: a *member* is a file, folder or link of the pushed folder. A *shard* is one object in the
store: a tar archive, compressed in independent *frames*. *Raw* means before compression: a
member's `offset` counts bytes of its shard's tar archive. A *segment* is an Arrow file in that
archive with the columns of many tables; a table that is kept there has *parts* instead of an
offset, and its text is written anew from them. A *digest* is `sha256:` and 64 hex digits. A
*revision* is 16 hex digits, made of the members and of the revision before.

This module holds the records and writes them; `parsing` reads and checks them.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from sojourn.columns import format_layout, format_placement, is_first_form

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sojourn.columns import Layout, Placement

SCHEMA_NAME = "sojourn.manifest"
SCHEMA_VERSION = 3
# What says nothing that readers of this schema do not know is written in it.
_SCHEMA_WITHOUT_STYLES = 2
MANIFEST_KEY = "sojourn.json"
README_KEY = "README.md"
SHARDS_PREFIX = "shards/"
REVISIONS_PREFIX = "revisions/"

# Where a shard's archive holds its segments.
SEGMENTS_FOLDER = ".sojourn-tables"
_SEGMENT_DIGITS = 16

# How a revision is made of its members. This has not changed since the first schema.
_REVISION_SCHEMA = f"{SCHEMA_NAME}/1"
REVISION_DIGITS = 16
# So many items are hashed at once: few take little memory, and many take no longer than all.
_CANONICAL_ITEMS = 256
# What the digest of a manifest is made of.
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True)
DIGEST_PREFIX = "sha256:"

Kind: TypeAlias = Literal["file", "folder", "link"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """A part of a shard that is decoded alone: its size in the store, and decoded."""

    size_bytes: int
    raw_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """Columns of tables of one layout: an Arrow file in a shard's archive.

    Attributes:
        offset: Where the file begins in the archive.
        size_bytes: Of the file.
        digest: Of the file's bytes.
        layout: What the columns are, and how their text is written.
    """

    offset: int
    size_bytes: int
    digest: str
    layout: Layout


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """One object in the store. Its frames follow one another and fill it."""

    key: str
    size_bytes: int
    digest: str
    frames: tuple[Frame, ...]
    segments: tuple[Segment, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Rows of a table, and the text that they make.

    Attributes:
        segment: Index of the segment in the member's shard.
        placement: Where the rows are in the segment's columns.
        text_bytes: Of their text, with the header in the first part of a table.
    """

    segment: int
    placement: Placement
    text_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A member that is kept as columns: its parts in order, and whether a line end ends it."""

    parts: tuple[Part, ...]
    ends_with_newline: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A file, folder or link.

    Attributes:
        path: Relative to the folder, with slashes.
        kind: What it is.
        mode: Permission bits, 0 to 0o777.
        shard: Index of the shard that holds it.
        size_bytes: Of a file; 0 for others.
        offset: Where a file's bytes begin in the shard's tar archive; 0 if it is kept as columns.
        digest: Of a file's bytes, or what stands for it (`digests`); None for others, and where
            whoever made the data set gives none.
        target: Where a link points, relative to the folder that it is in; None for others.
        rows: Of a table, without its header; None if unknown or no table.
        columns: Of a table; None if unknown or no table.
        table: Where its columns are; None if its bytes are in the archive.
    """

    path: str
    kind: Kind
    mode: int
    shard: int
    size_bytes: int = 0
    offset: int = 0
    digest: str | None = None
    target: str | None = None
    rows: int | None = None
    columns: int | None = None
    table: Table | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """One revision of a data set. Members are in the order of their paths' components."""

    revision: str
    parent: str | None
    created: str
    message: str
    shards: tuple[Shard, ...]
    members: tuple[Member, ...]

    @property
    def files(self) -> tuple[Member, ...]:
        """The members that are files."""
        return tuple(member for member in self.members if member.kind == "file")

    @property
    def raw_bytes(self) -> int:
        """Bytes in all files."""
        return sum(member.size_bytes for member in self.members)

    @property
    def stored_bytes(self) -> int:
        """Bytes in all shards."""
        return sum(shard.size_bytes for shard in self.shards)

    def repair(self, url: str) -> str:
        """Return what to do about an object at an address that is damaged."""
        return repair_shards(url)


def repair_shards(url: str) -> str:
    """Return what to do about a shard at an address that is damaged."""
    return (
        "Delete that object and push the folder again; "
        f"`sojourn verify {url}` lists all that is wrong."
    )


def digest_of(data: bytes | memoryview) -> str:
    """Return the digest of some bytes."""
    return DIGEST_PREFIX + hashlib.sha256(data).hexdigest()


def path_order(path: str) -> list[str]:
    """Return what paths are sorted by: a folder comes right before what is in it."""
    return path.split("/")


def contents_of(members: Iterable[Member]) -> bytes:
    """Return what a revision says about its members' contents, and nothing on how it is stored."""
    return "".join(
        f"{m.path}\0{m.kind}\0{m.mode:o}\0{m.size_bytes}\0{m.digest or ''}\0{m.target or ''}\0"
        for m in members
    ).encode()


def revision_of(members: Iterable[Member], *, parent: str | None) -> str:
    """Return the revision that these members make when they follow `parent`."""
    hashed = hashlib.sha256(f"{_REVISION_SCHEMA}\0{parent or ''}\0".encode())
    following = iter(members)
    while piece := tuple(islice(following, _CANONICAL_ITEMS)):
        hashed.update(contents_of(piece))
    return hashed.hexdigest()[:REVISION_DIGITS]


def revision_key(revision: str) -> str:
    """Return the key under which a revision's manifest is kept."""
    return f"{REVISIONS_PREFIX}{revision}.json"


def segment_name(digest: str) -> str:
    """Return what the file of a segment with this digest is called in a shard's archive."""
    return f"{digest.removeprefix(DIGEST_PREFIX)[:_SEGMENT_DIGITS]}.arrow"


def shard_key(digest: str) -> str:
    """Return the key of the shard with this digest."""
    return f"{SHARDS_PREFIX}{digest.removeprefix(DIGEST_PREFIX)}.tar.zst"


def dump_manifest(manifest: Manifest) -> bytes:
    """Write a manifest as JSON, one shard or member a line, so that plain tools can read it."""
    head = {
        "schema": f"{SCHEMA_NAME}/{_schema_version(manifest)}",
        "revision": manifest.revision,
        "parent": manifest.parent,
        "created": manifest.created,
        "message": manifest.message,
    }
    # Documents of members are made as they are needed: of a million, they would fill the memory.
    digest = document_digest(
        head
        | {
            "shards": map(_shard_document, manifest.shards),
            "members": map(_member_document, manifest.members),
        }
    )
    written = io.BytesIO()
    written.writelines(f"{line}\n".encode() for line in _head_lines(head))
    for key, documents in (
        ("shards", map(_shard_document, manifest.shards)),
        ("members", map(_member_document, manifest.members)),
    ):
        written.write(f"{_json(key)}: [\n".encode())
        for at, document in enumerate(documents):
            written.write(b",\n" if at else b"")
            written.write(_json(document).encode())
        written.write(b"\n],\n")
    written.write(f'"digest": {_json(digest)}\n}}\n'.encode())
    return written.getvalue()


def _head_lines(head: Mapping[str, Any]) -> Iterator[str]:
    yield "{"
    for key, value in head.items():
        yield f"{_json(key)}: {_json(value)},"


def _schema_version(manifest: Manifest) -> int:
    segments = (segment for shard in manifest.shards for segment in shard.segments)
    is_old = all(is_first_form(layout) for layout in {segment.layout for segment in segments})
    return _SCHEMA_WITHOUT_STYLES if is_old else SCHEMA_VERSION


def document_digest(document: Mapping[str, Any]) -> str:
    """Return the digest of all that a manifest says, but for the digest itself.

    It covers how things are kept, which the revision does not.
    """
    hashed = hashlib.sha256()
    for text in _canonical(document):
        hashed.update(text.encode())
    return DIGEST_PREFIX + hashed.hexdigest()


def _canonical(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield a document's canonical text in pieces; lists in it may be iterators, too."""
    before = "{"
    for key in sorted(document.keys() - {"digest"}):
        value = document[key]
        yield f"{before}{_CANONICAL.encode(key)}:"
        if isinstance(value, (list, Iterator)):
            yield from _canonical_list(iter(value))
        else:
            yield _CANONICAL.encode(value)
        before = ","
    yield "}" if before == "," else "{}"


def _canonical_list(items: Iterator[Any]) -> Iterator[str]:
    before = "["
    while piece := list(islice(items, _CANONICAL_ITEMS)):
        yield before + _CANONICAL.encode(piece)[1:-1]
        before = ","
    yield "]" if before == "," else "[]"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _shard_document(shard: Shard) -> dict[str, Any]:
    document: dict[str, Any] = {
        "key": shard.key,
        "size_bytes": shard.size_bytes,
        "digest": shard.digest,
        "frames": [[frame.size_bytes, frame.raw_bytes] for frame in shard.frames],
    }
    if shard.segments:
        document["segments"] = [
            {
                "offset": segment.offset,
                "size_bytes": segment.size_bytes,
                "digest": segment.digest,
                "layout": format_layout(segment.layout),
            }
            for segment in shard.segments
        ]
    return document


def _member_document(member: Member) -> dict[str, Any]:
    document: dict[str, Any] = {
        "path": member.path,
        "kind": member.kind,
        "mode": f"{member.mode:04o}",
        "shard": member.shard,
    }
    if member.kind == "file":
        if member.table is None:
            document["offset"] = member.offset
        document |= {"size_bytes": member.size_bytes, "digest": member.digest}
    if member.target is not None:
        document["target"] = member.target
    if member.rows is not None and member.columns is not None:
        document |= {"rows": member.rows, "columns": member.columns}
    if member.table is not None:
        document["table"] = {
            "parts": [_part_document(part) for part in member.table.parts],
            "ends_with_newline": member.table.ends_with_newline,
        }
    return document


def _part_document(part: Part) -> list[Any]:
    return [part.segment, part.text_bytes, format_placement(part.placement)]
