import io
import random
import zipfile
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sojourn.errors import IntegrityError, StoreError
from sojourn.stores.zipped import RemoteZip
from sojourn.units import MIB


class Remote:
    """Bytes somewhere else: counts how often and how much is fetched."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.fetches: list[int] = []

    def fetch(self, offset: int, size_bytes: int) -> bytes:
        self.fetches.append(size_bytes)
        return self.data[offset : offset + size_bytes]

    def open(self) -> RemoteZip:
        return RemoteZip(self.fetch, size_bytes=len(self.data), name="x.zip")


def packed(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Remote:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        archive.mkdir("folder")
        for name, data in files.items():
            archive.writestr(name, data)
    return Remote(out.getvalue())


@given(
    files=st.dictionaries(st.text("ab/한", min_size=1), st.binary(max_size=200), max_size=5),
    method=st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]),
    offset=st.integers(0, 250),
    size_bytes=st.integers(0, 250),
)
@settings(max_examples=50)
def test_any_part_of_any_file_comes_as_it_is(
    files: dict[str, bytes], method: int, offset: int, size_bytes: int
) -> None:
    files = {name.strip("/"): data for name, data in files.items() if name.strip("/")}
    archive = packed(files, method).open()
    assert archive.sizes() == {name: len(data) for name, data in files.items()}
    for name, data in files.items():
        got = archive.read(name, offset=offset, size_bytes=size_bytes)
        assert got == data[offset : offset + size_bytes]


def test_a_small_file_takes_one_request_and_nothing_of_the_others() -> None:
    noise = random.Random(1).randbytes(2 * MIB)
    remote = packed({"large": noise, "small": b"s" * 1000})
    archive = remote.open()
    remote.fetches.clear()
    assert archive.read("small", offset=0, size_bytes=1000) == b"s" * 1000
    assert len(remote.fetches) == 1
    assert remote.fetches[0] < 2000


def test_a_large_file_is_unpacked_once_for_all_its_parts() -> None:
    data = random.Random(2).randbytes(1 << 20) * 10
    remote = packed({"large": data})
    archive = remote.open()
    remote.fetches.clear()
    with ThreadPoolExecutor(4) as pool:
        parts = list(
            pool.map(lambda n: archive.read("large", offset=n * MIB, size_bytes=MIB), range(10))
        )
    assert b"".join(parts) == data
    assert sum(remote.fetches) < len(remote.data) + 1000


def test_what_does_not_match_its_checksum_is_not_handed_out() -> None:
    data = random.Random(3).randbytes(500).hex().encode()
    remote = packed({"a": data})
    good = remote.data
    # Past the header and the first bits, which say only whether another block follows.
    start, size_at = good.index(b"PK", 30) + 33, good.rindex(b"PK\x01\x02") + 24
    for at in (*range(start, start + 500, 7), size_at):
        remote.data = good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :]
        with pytest.raises(IntegrityError, match=r"x\.zip is damaged"):
            remote.open().read("a", offset=0, size_bytes=len(data))


@pytest.mark.parametrize("data", [b"", b"no archive at all", b"PK\x03\x04" + bytes(100)])
def test_what_is_no_archive_is_said_to_be_none(data: bytes) -> None:
    with pytest.raises(IntegrityError, match="list of files"):
        Remote(data).open()


def test_a_way_of_packing_that_is_not_known_is_refused() -> None:
    remote = packed({"a": b"abc" * 100}, zipfile.ZIP_BZIP2)
    with pytest.raises(StoreError, match="packed in a way"):
        remote.open().read("a", offset=0, size_bytes=3)
