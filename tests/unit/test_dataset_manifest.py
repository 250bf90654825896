import json
import tracemalloc
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sojourn.columns import Column, Layout, Placement, Style
from sojourn.dataset.manifest import (
    Frame,
    Manifest,
    Member,
    Part,
    Segment,
    Shard,
    Table,
    digest_of,
    document_digest,
    dump_manifest,
    path_order,
    revision_of,
    shard_key,
)
from sojourn.dataset.parsing import parse_manifest
from sojourn.errors import IntegrityError

_RAW_BYTES = 100_000


def _shard(seed: bytes = b"shard") -> Shard:
    digest = digest_of(seed)
    frames = (Frame(size_bytes=10, raw_bytes=_RAW_BYTES // 2),) * 2
    return Shard(key=shard_key(digest), size_bytes=20, digest=digest, frames=frames)


def _file(path: str, **changes: Any) -> Member:
    values: dict[str, Any] = {
        "path": path,
        "kind": "file",
        "mode": 0o644,
        "shard": 0,
        "size_bytes": 5,
        "offset": 512,
        "digest": digest_of(path.encode("utf-8", "replace")),
    }
    return Member(**(values | changes))


def _folder(path: str) -> Member:
    return Member(path=path, kind="folder", mode=0o755, shard=0)


def _link(path: str, target: str) -> Member:
    return Member(path=path, kind="link", mode=0o777, shard=0, target=target)


def _manifest(*members: Member, parent: str | None = None) -> Manifest:
    return Manifest(
        revision=revision_of(members, parent=parent),
        parent=parent,
        created="2026-01-02T03:04:05Z",
        message="a message",
        shards=(_shard(),),
        members=members,
    )


def _document(*members: Member) -> dict[str, Any]:
    return dict(json.loads(dump_manifest(_manifest(*members))))


def _parse(document: Any) -> Manifest:
    """Read a document whose digest somebody made fit what it says now."""
    if isinstance(document, dict) and "digest" in document:
        document = document | {"digest": document_digest(document)}
    return parse_manifest(json.dumps(document).encode(), where="s/sojourn.json")


_names = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=8
).filter(lambda name: name not in (".", ".."))


@given(
    names=st.lists(_names, unique=True, max_size=6),
    below=st.lists(_names, unique=True, max_size=6),
    rows=st.none() | st.integers(0, 1 << 40),
    mode=st.integers(0, 0o777),
)
def test_what_is_written_is_read(
    names: list[str], below: list[str], rows: int | None, mode: int
) -> None:
    columns = None if rows is None else 3
    members = [_file(name, rows=rows, columns=columns, mode=mode) for name in names]
    members += [_folder("dir" * 4), *(_file(f"{'dir' * 4}/{name}") for name in below)]
    members.sort(key=lambda member: path_order(member.path))
    manifest = _manifest(*members, parent="0123456789abcdef")
    assert parse_manifest(dump_manifest(manifest), where="here") == manifest


def test_a_manifest_without_members_is_one() -> None:
    assert _parse(_document()).members == ()


def test_keys_that_are_not_known_are_passed_over() -> None:
    document = _document(_file("a"))
    document["extra"] = document["members"][0]["extra"] = {"x": 1}
    assert _parse(document).members == (_file("a"),)


@pytest.mark.parametrize("key", ["message", "created", "parent", "shards", "members"])
def test_what_was_edited_is_noticed(key: str) -> None:
    document = _document(_file("a", rows=3, columns=2))
    if key == "members":
        document["members"][0]["rows"] = 4
    elif key == "shards":
        document["shards"][0]["segments"] = []
    else:
        document[key] = "0123456789abcdef"
    with pytest.raises(IntegrityError, match="does not match its digest"):
        parse_manifest(json.dumps(document).encode(), where="here")


def test_one_without_a_digest_is_read_if_it_is_of_the_first_schema_only() -> None:
    document = _document(_file("a"))
    del document["digest"]
    with pytest.raises(IntegrityError, match="has no digest"):
        _parse(document)
    assert _parse(document | {"schema": "sojourn.manifest/1"}).members == (_file("a"),)


def test_a_newer_schema_says_to_upgrade() -> None:
    with pytest.raises(IntegrityError, match=r"sojourn.manifest/3.*pip install --upgrade"):
        _parse({"schema": "sojourn.manifest/4"})


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"{", b"\xff\xfe", b"[]", b"null", b"{}", b"[" * 100_000),
        *(
            b'{"schema": 1}',
            b'{"schema": "sojourn.manifest/1"}',
            b'{"schema": "sojourn.manifest/0"}',
        ),
    ],
)
def test_what_is_no_manifest_is_refused(data: bytes) -> None:
    with pytest.raises(IntegrityError, match=r"The manifest s/sojourn\.json cannot be used"):
        parse_manifest(data, where="s/sojourn.json")


@pytest.mark.parametrize(
    "path", ["../up", "/abs", "a/../../up", "", ".", "..", "a//b", "a/", "./a", "nul\0", "\ud800"]
)
def test_a_path_out_of_the_folder_is_refused(path: str) -> None:
    document = _document(_file("x"))
    document["members"][0]["path"] = path
    with pytest.raises(IntegrityError, match="not a path"):
        _parse(document)


@pytest.mark.parametrize(
    "members",
    [
        (_link("a", ".."),),
        (_link("a", "/etc/passwd"),),
        (_link("a", ""),),
        (_link("a", "."), _link("b", "a/../..")),
        (_link("a", "."), _link("b", "a/..")),
    ],
)
def test_a_link_out_of_the_folder_is_refused(members: tuple[Member, ...]) -> None:
    with pytest.raises(IntegrityError, match="leads outside"):
        _parse(_document(*members))


@pytest.mark.parametrize(
    "members",
    [(_link("a", "b"), _file("a/x")), (_file("a"), _file("a/x")), (_file("a/x"),)],
)
def test_nothing_is_below_what_is_no_folder(members: tuple[Member, ...]) -> None:
    with pytest.raises(IntegrityError, match="no folder of the set"):
        _parse(_document(*members))


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ((_file("a"), _file("a")), "there twice"),
        ((_file("b"), _file("a")), "not in order"),
        ((_file("a", offset=_RAW_BYTES),), "beyond the end"),
        ((_file("a", size_bytes=_RAW_BYTES),), "beyond the end"),
        ((_file("a", shard=1),), "no such shard"),
    ],
)
def test_members_that_cannot_be_are_refused(members: tuple[Member, ...], why: str) -> None:
    with pytest.raises(IntegrityError, match=why):
        _parse(_document(*members))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("path", 1),
        ("kind", "device"),
        ("kind", None),
        ("mode", "4755"),
        ("mode", 420),
        ("mode", "rw-"),
        ("shard", -1),
        ("shard", True),
        ("size_bytes", -1),
        ("size_bytes", 1.5),
        ("size_bytes", 1 << 80),
        ("offset", None),
        ("digest", "md5:00"),
        ("digest", None),
        ("rows", -1),
    ],
)
def test_a_malformed_member_is_refused(key: str, value: object) -> None:
    document = _document(_file("a"))
    document["members"][0][key] = value
    with pytest.raises(IntegrityError):
        _parse(document)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("key", "shards/../../x"),
        ("key", "elsewhere.tar.zst"),
        ("size_bytes", 21),
        ("digest", "sha256:" + "0" * 64),
        ("frames", None),
        ("frames", [[10]]),
        ("frames", [["10", 5]]),
        ("frames", [[20, 0]]),
        ("frames", [[20, 1 << 40]]),
    ],
)
def test_a_malformed_shard_is_refused(key: str, value: object) -> None:
    document = _document(_file("a"))
    document["shards"][0][key] = value
    with pytest.raises(IntegrityError):
        _parse(document)


@pytest.mark.parametrize("key", ["schema", "revision", "created", "message", "shards", "members"])
def test_a_missing_key_is_refused(key: str) -> None:
    document = _document(_file("a"))
    del document[key]
    with pytest.raises(IntegrityError):
        _parse(document)


def test_a_member_that_was_edited_does_not_match_the_revision() -> None:
    document = _document(_file("a"))
    document["members"][0]["digest"] = digest_of(b"other")
    with pytest.raises(IntegrityError, match="damaged or edited"):
        _parse(document)


def test_a_revision_depends_on_contents_and_parent_alone() -> None:
    one = (_file("a"),)
    assert revision_of(one, parent=None) != revision_of((_file("a", mode=0o755),), parent=None)
    assert revision_of(one, parent=None) != revision_of(one, parent="0123456789abcdef")
    elsewhere = (_file("a", shard=3, offset=77, rows=1, columns=2),)
    assert revision_of(one, parent=None) == revision_of(elsewhere, parent=None)


def test_a_link_that_is_no_text_is_refused() -> None:
    document = _document(_link("l", "a"))
    document["members"][0]["target"] = "\ud800"
    with pytest.raises(IntegrityError, match="target of the link 'l'"):
        _parse(document)


def test_a_link_longer_than_any_is_refused_at_once() -> None:
    # Walked part by part, this one takes a quarter of an hour.
    with pytest.raises(IntegrityError, match="target of the link 'l'"):
        _parse(_document(_link("l", "a/" * 1_000_000 + "b")))


def test_what_is_nested_as_deeply_as_can_be_read_is_refused() -> None:
    for depth in range(900, 1100):
        nested = "[" * depth + "]" * depth
        data = f'{{"schema": "sojourn.manifest/3", "digest": "x", "x": {nested}}}'.encode()
        with pytest.raises(IntegrityError, match=r"nested too deeply|does not match its digest"):
            parse_manifest(data, where="s/sojourn.json")


def _table_document(*, rows: int, text_bytes: int, name: str = "a") -> dict[str, Any]:
    layout = Layout(
        delimiter=", ",
        newline="\n",
        columns=(Column(name=name, kind="boolean", missing="null"),),
        style=Style(colon=": "),
    )
    segment = Segment(offset=0, size_bytes=100, digest=digest_of(b"segment"), layout=layout)
    part = Part(segment=0, placement=Placement(rows=rows, starts=((1, 0),)), text_bytes=text_bytes)
    table = Table(parts=(part,), ends_with_newline=True)
    member = _file("t.jsonl", size_bytes=text_bytes, offset=0, rows=rows, columns=1, table=table)
    manifest = replace(_manifest(member), shards=(replace(_shard(), segments=(segment,)),))
    return dict(json.loads(dump_manifest(manifest)))


def test_a_table_that_has_room_for_its_rows_is_read() -> None:
    assert _parse(_table_document(rows=1000, text_bytes=15_000)).files[0].rows == 1000


@pytest.mark.parametrize(
    ("rows", "text_bytes", "name"),
    [(1 << 28, 1 << 40, "a"), (1 << 20, 1 << 24, "long" * 25_000)],
)
def test_a_table_whose_text_would_fill_the_memory_is_refused(
    rows: int, text_bytes: int, name: str
) -> None:
    with pytest.raises(IntegrityError, match=r"larger than|more rows than"):
        _parse(_table_document(rows=rows, text_bytes=text_bytes, name=name))


def test_writing_many_members_takes_little_memory_beside_the_text() -> None:
    manifest = _manifest(*(_file(f"{number:06}") for number in range(5000)))
    tracemalloc.start()
    try:
        text_bytes = len(dump_manifest(manifest))
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak_bytes < 2 * text_bytes


@given(
    document=st.dictionaries(
        st.text(max_size=3),
        st.recursive(
            st.none() | st.integers() | st.text(max_size=3),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.text(max_size=2), inner, max_size=3)
            ),
        ),
        max_size=4,
    ),
    items=st.integers(0, 600),
)
def test_a_digest_is_that_of_the_whole_canonical_text(document: dict[str, Any], items: int) -> None:
    document = document | {"members": [{"b": n, "a": 1} for n in range(items)], "digest": "none"}
    rest = {key: value for key, value in document.items() if key != "digest"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"))
    assert document_digest(document) == digest_of(text.encode())
