"""Zips as they should not be: a clear error, and nothing written outside."""

import io
import random
import struct
import zipfile
import zlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sojourn.dataset.dataset import Dataset
from sojourn.dataset.foreign_listing import find_foreign
from sojourn.dataset.zip_directory import guess_encoding, read_zip_directory
from sojourn.errors import IntegrityError, SojournError, StoreError
from sojourn.stores.objects import open_memory
from sojourn.testing.faults import FaultyStore

MIB = 1 << 20
FILES = {"a.csv": b"x,y\n1,2\n" * 50, "b/c.bin": random.Random(3).randbytes(700), "b/empty": b""}


def made(*members: tuple[str | zipfile.ZipInfo, bytes], how: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", how) as archive:
        for name, data in members:
            archive.writestr(name, data, compress_type=how)
    return out.getvalue()


WHOLE = made(*FILES.items())


def opened(data: bytes) -> Dataset:
    store = open_memory()
    store.put("set.zip", data)
    found = find_foreign(store)
    assert found is not None
    return Dataset(found, store)


def patched(data: bytes, name: str, *, at: int, value: bytes, local_at: int | None = None) -> bytes:
    """Change a field of a member in the directory, and in its own header."""
    changed = bytearray(data)
    raw = name.encode()
    entry = data.index(b"PK\x01\x02")
    while data[entry + 46 : entry + 46 + len(raw)] != raw:
        entry = data.index(b"PK\x01\x02", entry + 4)
    changed[entry + at : entry + at + len(value)] = value
    if local_at is not None:
        header = struct.unpack_from("<I", data, entry + 42)[0]
        changed[header + local_at : header + local_at + len(value)] = value
    return bytes(changed)


def without_utf8_mark(data: bytes, names: dict[str, bytes]) -> bytes:
    """Write names in another encoding, of the same length in bytes, as tools do that say nothing.

    Args:
        data: A zip with ASCII names.
        names: What stands for each of them.
    """
    for name, raw in names.items():
        assert len(name) == len(raw)
        data = data.replace(name.encode(), raw)
    return data


@pytest.mark.parametrize(
    "name",
    [
        "../outside",
        "/absolute",
        "a/../../outside",
        "a//b",
        "a/./b",
        "..",
        "C:/windows",
        "C:\\windows",
        "\\\\host\\share",
        "..\\outside",
        "nul\0byte",
    ],
)
def test_names_that_lead_outside_are_refused(name: str) -> None:
    info = zipfile.ZipInfo("placeholder")
    info.filename = info.orig_filename = name
    data = made(("fine", b"x"), (info, b"x"))
    with pytest.raises(IntegrityError, match=r"set\.zip cannot be used") as refused:
        opened(data)
    assert refused.value.exit_code == 6


def test_a_name_longer_than_any_file_has_is_refused_at_once() -> None:
    # With each of its folders written out it takes a GiB.
    with pytest.raises(IntegrityError, match="longer than 4096 bytes"):
        opened(made(("a/" * 30_000 + "b", b"x")))


def test_names_from_windows_with_backslashes_are_paths() -> None:
    info = zipfile.ZipInfo("placeholder")
    info.filename = info.orig_filename = "train\\A.csv"
    info.create_system = 0
    assert opened(made((info, b"x"))).read_bytes("train/A.csv") == b"x"


def test_a_dot_before_a_name_is_left_out() -> None:
    assert opened(made(("./a/b", b"x"))).files() == ["a/b"]


def test_two_members_of_one_name_are_refused() -> None:
    data = made(("a1", b"first"), ("a2", b"second")).replace(b"a2", b"a1")
    with pytest.raises(IntegrityError, match="'a1' is in it twice"):
        opened(data)
    with pytest.raises(IntegrityError, match="is in it twice"):
        opened(made(("./a", b"1"), ("a", b"2")))


def test_a_member_with_a_password_is_refused() -> None:
    data = patched(WHOLE, "a.csv", at=8, value=b"\x01\x00", local_at=6)
    with pytest.raises(StoreError, match=r"'a\.csv' in the zip .* needs a password") as refused:
        opened(data)
    assert refused.value.exit_code == 5


@pytest.mark.parametrize(("method", "name"), [(9, "deflate64"), (12, "bzip2"), (77, "method 77")])
def test_other_methods_are_refused_by_name(method: int, name: str) -> None:
    data = patched(WHOLE, "a.csv", at=10, value=struct.pack("<H", method), local_at=8)
    with pytest.raises(StoreError, match=f"packed with {name}"):
        opened(data)


def test_a_bomb_is_not_unpacked_beyond_what_it_claims(tmp_path: Path) -> None:
    """It says 1,000 bytes, and holds 64 MiB."""
    data = made(("bomb", bytes(64 * MIB)))
    dataset = opened(patched(data, "bomb", at=24, value=struct.pack("<I", 1000), local_at=22))
    for read in (lambda: dataset.read_bytes("bomb"), lambda: dataset.extract(tmp_path)):
        with pytest.raises(IntegrityError, match="more than it claims"):
            read()
    assert list(tmp_path.iterdir()) == []


def test_a_claim_that_no_packing_can_keep_is_refused() -> None:
    data = patched(WHOLE, "a.csv", at=24, value=struct.pack("<I", 4_000_000_000), local_at=22)
    with pytest.raises(IntegrityError, match=r"claims to be 3\.73 GiB|claims to be"):
        opened(data)


def test_a_member_that_unpacks_to_less_is_refused() -> None:
    size = len(FILES["a.csv"])
    data = patched(WHOLE, "a.csv", at=24, value=struct.pack("<I", size + 1), local_at=22)
    with pytest.raises(IntegrityError, match="ends too early"):
        opened(data).read_bytes("a.csv")


def test_members_that_share_bytes_are_refused() -> None:
    """As in https://www.bamsoftware.com/hacks/zipbomb/: many members, one kernel."""
    data = patched(WHOLE, "b/c.bin", at=42, value=struct.pack("<I", 0))
    with pytest.raises(IntegrityError, match="lies across another"):
        opened(data)


def test_a_directory_that_points_elsewhere_is_noticed() -> None:
    data = made(("aa", b"1" * 100), ("bb", b"2" * 100), how=zipfile.ZIP_STORED)
    entry_aa = data.index(b"PK\x01\x02")
    entry_bb = data.index(b"PK\x01\x02", entry_aa + 4)
    changed = bytearray(data)
    changed[entry_aa + 42 : entry_aa + 46] = data[entry_bb + 42 : entry_bb + 46]
    changed[entry_bb + 42 : entry_bb + 46] = data[entry_aa + 42 : entry_aa + 46]
    with pytest.raises(IntegrityError, match="does not match where"):
        opened(bytes(changed)).read_bytes("aa")


@pytest.mark.parametrize("kept", [0, 10, 100, len(WHOLE) // 2, len(WHOLE) - 1])
def test_a_zip_that_was_cut_short_is_refused(kept: int) -> None:
    with pytest.raises(IntegrityError, match="it is no zip, or cut short"):
        opened(WHOLE[:kept])


def test_a_directory_too_large_for_memory_is_not_read() -> None:
    """Its end says that 300 MiB before it are the directory; so large the object is said to be."""
    end = bytearray(WHOLE[-22:])
    end[12:16] = struct.pack("<I", 300 * MIB)
    end[16:20] = struct.pack("<I", 0)

    class Large(FaultyStore):
        def get_range(self, key: str, *, offset: int, size_bytes: int) -> bytes:
            assert (key, offset > 0) == ("set.zip", True)
            assert size_bytes < MIB
            return (bytes(size_bytes - 23) + bytes(end))[: size_bytes - 1]

    store = open_memory()
    store.put("set.zip", b"x")
    with pytest.raises(StoreError, match=r"at most 256\.0 MiB are read"):
        read_zip_directory(Large(store), "set.zip", 300 * MIB + 22)


def test_what_stands_before_a_zip_does_not_matter() -> None:
    dataset = opened(b"#!/bin/sh\nself-extracting\n" + WHOLE)
    assert {name: dataset.read_bytes(name) for name in dataset.files()} == FILES


def test_a_comment_after_a_zip_does_not_matter() -> None:
    out = io.BytesIO(WHOLE)
    with zipfile.ZipFile(out, "a") as archive:
        archive.comment = b"c" * 65_535
    assert opened(out.getvalue()).read_bytes("a.csv") == FILES["a.csv"]


def test_zip64_is_read() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in FILES.items():
            with archive.open(name, "w", force_zip64=True) as file:
                file.write(data)
        archive.filelist[0].extra = b""
    many = made(*((f"{i}", b"%d" % i) for i in range(66_000)), how=zipfile.ZIP_STORED)
    assert b"PK\x06\x06" in many  # more than 65,535 members take zip64's end
    assert opened(out.getvalue()).read_bytes("b/c.bin") == FILES["b/c.bin"]
    assert opened(many).read_bytes("65999") == b"65999"


def test_a_zip_written_as_a_stream_is_read() -> None:
    """Sizes stand behind the members' contents then (data descriptors)."""

    class Unseekable(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def seek(self, *_: object) -> int:
            raise io.UnsupportedOperation

        def tell(self) -> int:
            raise io.UnsupportedOperation

    out = Unseekable()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in FILES.items():
            archive.writestr(name, data)
    dataset = opened(out.getvalue())
    assert {name: dataset.read_bytes(name) for name in dataset.files()} == FILES


@pytest.mark.parametrize(
    ("placeholder", "raw", "name"),
    [
        ("01234567.csv", "누수자료".encode("cp949") + b".csv", "누수자료.csv"),
        ("0123456789AB.csv", "누수자료".encode() + b".csv", "누수자료.csv"),
        ("0123.txt", b"caf\x82.txt", "café.txt"),
        ("012345.txt", b"M\x81ller.txt", "Müller.txt"),
    ],
)
def test_names_without_a_mark_are_read_in_the_writing_that_fits(
    placeholder: str, raw: bytes, name: str
) -> None:
    data = without_utf8_mark(made((placeholder, b"x")), {placeholder: raw})
    assert opened(data).read_bytes(name) == b"x"


def test_the_name_in_utf8_beside_the_other_goes_first() -> None:
    info = zipfile.ZipInfo("0123.txt")
    field = b"\1" + struct.pack("<I", zlib.crc32(b"0123.txt")) + "자료.txt".encode()
    info.extra = struct.pack("<HH", 0x7075, len(field)) + field
    assert opened(made((info, b"x"))).read_bytes("자료.txt") == b"x"


@given(st.lists(st.text(st.characters(min_codepoint=0xAC00, max_codepoint=0xD7A3), min_size=2)))
def test_utf8_names_are_told_from_others(names: list[str]) -> None:
    raw = [name.encode() for name in names]
    assert guess_encoding(raw) == ("utf-8" if raw else "cp437")


@given(st.lists(st.binary()))
def test_an_encoding_reads_all_names(raw: list[bytes]) -> None:
    encoding = guess_encoding(raw)
    for name in raw:
        name.decode(encoding)


_NAMES = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/\\:\0"), min_size=1
).filter(lambda name: name not in (".", ".."))


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=60)
@given(
    st.dictionaries(
        st.lists(_NAMES, min_size=1, max_size=3).map("/".join),
        st.tuples(st.binary(max_size=2_000), st.booleans()),
        min_size=1,
        max_size=8,
    )
)
def test_what_zipfile_writes_is_read_back(files: dict[str, tuple[bytes, bool]]) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, (data, is_stored) in files.items():
            how = zipfile.ZIP_STORED if is_stored else zipfile.ZIP_DEFLATED
            archive.writestr(name, data, compress_type=how)
    folders = {name[:at] for name in files for at, c in enumerate(name) if c == "/"}
    if folders & set(files):
        with pytest.raises(IntegrityError, match="is a file"):
            opened(out.getvalue())
        return
    dataset = opened(out.getvalue())
    assert {name: dataset.read_bytes(name) for name in dataset.files()} == {
        name: data for name, (data, _) in files.items()
    }


@settings(deadline=None, max_examples=400)
@given(st.data())
def test_damage_anywhere_is_an_error_or_does_not_matter(data: st.DataObject) -> None:
    """No byte of a zip can be changed so that other contents come out, or anything but an error."""
    spoilt = bytearray(WHOLE)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(WHOLE) - 1))
        spoilt[at] ^= 1 << data.draw(st.integers(0, 7))
    try:
        dataset = opened(bytes(spoilt))
        found = {name: dataset.read_bytes(name) for name in dataset.files()}
    except SojournError:
        return
    contents = sorted(FILES.values())
    assert sorted(found.values()) == contents or set(found.values()) <= set(contents)


def test_nothing_is_written_outside_of_the_folder(tmp_path: Path) -> None:
    """A link that is there already is replaced, not followed."""
    (tmp_path / "outside").mkdir()
    target = tmp_path / "out"
    target.mkdir()
    (target / "b").symlink_to(tmp_path / "outside")
    opened(WHOLE).extract(target)
    assert list((tmp_path / "outside").iterdir()) == []
    assert (target / "b" / "c.bin").read_bytes() == FILES["b/c.bin"]
