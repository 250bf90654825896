"""Data sets on the hub that others made: read, pulled and packed anew, by the real client."""

from pathlib import Path

import sojourn
from sojourn.testing.hub_records import HubFile, HubServer

FILES = {"train/A.csv": b"x,y\n" + b"1,2\n" * 40_000, "notes.txt": "자료".encode()}


def test_loose_files_are_read_pulled_and_packed_anew(hub: HubServer, tmp_path: Path) -> None:
    repo = hub.make_repo("other/set", private=False)
    repo.commit({n: HubFile(data=d, is_large=False) for n, d in FILES.items()} | repo.files)
    address = "hf://datasets/other/set"
    ds = sojourn.open(address)
    assert ds.read("train/A.csv").shape == (40_000, 2)
    sojourn.pull(address, tmp_path / "out")
    for name, data in FILES.items():
        assert (tmp_path / "out" / name).read_bytes() == data
    assert sojourn.pull(address, tmp_path / "out").files_fetched == 0
    sojourn.push(address, tmp_path / "store")
    assert sojourn.open(tmp_path / "store").read_bytes("notes.txt") == FILES["notes.txt"]
