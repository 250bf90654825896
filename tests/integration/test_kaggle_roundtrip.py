"""The verbs of the command line against Kaggle's endpoints."""

import json
import os
import random
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

import sojourn
from sojourn.cli import root
from sojourn.cli._errors import run_guarded
from sojourn.dataset.push import PushReport, push_folder
from sojourn.dataset.readme import README
from sojourn.dataset.shards import Sizes
from sojourn.errors import StoreError
from sojourn.progress import NoProgress
from sojourn.stores.base import Body, Store
from sojourn.stores.retrying import Retrying
from sojourn.stores.url import open_bare_store, open_store
from sojourn.testing.kaggle_server import KaggleServer, KaggleTrouble
from sojourn.units import KIB, MIB

_URL = "kaggle://me/leaks-2024"
_FILE_BYTES = 256 * KIB
_SIZES = Sizes(
    min_shard_bytes=_FILE_BYTES,
    mean_shard_bytes=_FILE_BYTES,
    max_shard_bytes=_FILE_BYTES,
    frame_bytes=64 * KIB,
)


@pytest.fixture
def server(kaggle: KaggleServer) -> KaggleServer:
    kaggle.datasets.pending_polls = 0
    return kaggle


def _sojourn(*arguments: str | Path) -> int:
    return run_guarded(root, list(map(str, arguments)))


def _push(folder: Path) -> PushReport:
    """Push in shards of one file each."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    store = open_store(_URL)
    return push_folder(folder, store, message="", now=now, progress=NoProgress(), sizes=_SIZES)


def _difference(one: Path, other: Path) -> str:
    diff = ["diff", "-r", str(one), str(other)]
    return subprocess.run(diff, capture_output=True, text=True, check=False).stdout


@pytest.fixture
def forty(tmp_path: Path) -> Path:
    rng = random.Random(7)
    folder = tmp_path / "data"
    folder.mkdir()
    for number in range(40):
        (folder / f"{number:02}.bin").write_bytes(rng.randbytes(_FILE_BYTES))
    return folder


@pytest.fixture
def small(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    (folder / "train").mkdir(parents=True)
    rows = "".join(f"{n},{n}.5\n" for n in range(5000))
    (folder / "train" / "A.csv").write_text(f"a,b\n{rows}")
    (folder / "note.txt").write_text("a note")
    return folder


def test_of_40_shards_the_one_that_changed_is_sent_and_the_manifest(
    forty: Path, server: KaggleServer, tmp_path: Path
) -> None:
    report = _push(forty)
    assert report.shards_sent == 40
    assert server.received_bytes > 10 * MIB
    (forty / "07.bin").write_bytes(random.Random(8).randbytes(_FILE_BYTES))
    server.forget_traffic()
    report = _push(forty)
    assert (report.shards_sent, report.shards_reused) == (1, 39)
    dataset = server.datasets.get("me", "leaks-2024")
    assert dataset
    first, second = dataset.versions
    shards = [name for name in second.files if name.startswith("shards/")]
    assert len(shards) == 1
    shard_bytes = second.files[shards[0]].stat().st_size
    manifest_bytes = second.files["sojourn.json"].stat().st_size
    revision = next(name for name in second.files if name.startswith("revisions/"))
    others = {"sojourn.json", "README.md", revision, "sojourn-versions.json", "VERSIONS.md"}
    assert set(second.files) == {*shards, *others}
    # The shard, the manifest under its two names, the README, and less than 8 KiB: the index, and
    # what it says to those without sojourn.
    index_bytes = sum(
        second.files[name].stat().st_size for name in ("sojourn-versions.json", "VERSIONS.md")
    )
    sent_bytes = shard_bytes + 2 * manifest_bytes + len(README) + index_bytes
    assert server.received_bytes == sent_bytes
    assert index_bytes < 8 * KIB
    server.forget_traffic()
    assert _sojourn("pull", _URL, tmp_path / "out", "-q") == 0
    assert _difference(forty, tmp_path / "out") == ""
    assert server.served_bytes < first.size_bytes + 64 * KIB
    out = tmp_path / "one"
    server.forget_traffic()
    assert _sojourn("pull", _URL, out, "--include", "03.bin", "-q") == 0
    assert server.served_bytes < 2 * _FILE_BYTES


def test_a_push_of_the_same_sends_nothing(forty: Path, server: KaggleServer) -> None:
    _push(forty)
    server.forget_traffic()
    assert _push(forty).unchanged
    assert server.received_bytes == 0
    assert server.calls("CreateDatasetVersion") == []


def test_a_push_that_was_interrupted_sends_the_rest(forty: Path, server: KaggleServer) -> None:
    server.troubles = [KaggleTrouble(where="StartBlobUpload", after=25, status=400)]
    with pytest.raises(sojourn.SojournError):
        _push(forty)
    assert server.datasets.get("me", "leaks-2024") is None
    server.troubles = []
    sent_bytes = server.received_bytes
    server.forget_traffic()
    _push(forty)
    assert sent_bytes > 20 * _FILE_BYTES
    assert server.received_bytes + sent_bytes < 41 * _FILE_BYTES


def test_earlier_revisions_are_pulled_from_earlier_versions(
    small: Path, server: KaggleServer, tmp_path: Path
) -> None:
    assert server
    first = sojourn.push(small, _URL)
    (small / "note.txt").write_text("another note")
    sojourn.push(small, _URL)
    assert _sojourn("pull", _URL, tmp_path / "old", "--revision", first.revision, "-q") == 0
    assert (tmp_path / "old" / "note.txt").read_text() == "a note"
    assert _sojourn("verify", _URL, "-q") == 0


@pytest.mark.parametrize("into", ["stem", "name"])
def test_what_kaggle_unpacked_is_pulled_and_read_all_the_same(
    small: Path, server: KaggleServer, tmp_path: Path, into: str
) -> None:
    server.datasets.unpacks = frozenset({".tar.zst", ".zip", ".tar"})
    server.datasets.unpacks_into = into  # type: ignore[assignment]
    sojourn.push(small, _URL)
    (small / "more.txt").write_text("more")
    sojourn.push(small, _URL)
    dataset = server.datasets.get("me", "leaks-2024")
    assert dataset
    assert not any(name.endswith(".tar.zst") for name in dataset.versions[0].files)
    assert _sojourn("pull", _URL, tmp_path / "out", "-q") == 0
    assert _difference(small, tmp_path / "out") == ""
    assert sojourn.open(_URL).read_bytes("note.txt") == b"a note"
    assert _sojourn("verify", _URL, "-q") == 0


def test_shards_that_come_as_archives_are_pulled(
    small: Path, server: KaggleServer, tmp_path: Path
) -> None:
    sojourn.push(small, _URL)
    server.datasets.zips_files_from_bytes = 100
    assert _sojourn("pull", _URL, tmp_path / "out", "-q") == 0
    assert _difference(small, tmp_path / "out") == ""


def test_the_terms_are_told_once_and_the_page_is_as_asked(
    small: Path, server: KaggleServer, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--title", "Leaks of 2024", "--license", "CC0-1.0", "--public"]
    assert _sojourn("push", small, _URL, *options) == 0
    assert "research and personal use" in capsys.readouterr().err
    dataset = server.datasets.get("me", "leaks-2024")
    assert dataset
    assert (dataset.title, dataset.license, dataset.private) == ("Leaks of 2024", "CC0-1.0", False)
    (small / "note.txt").write_text("another")
    assert _sojourn("push", small, _URL) == 0
    assert "research" not in capsys.readouterr().err
    assert _sojourn("push", small, _URL, *options) == 2
    assert "is there already" in capsys.readouterr().err


@pytest.mark.parametrize("option", [["--title", "Leaks"], ["--license", "CC0-1.0"], ["--public"]])
def test_what_means_nothing_for_a_store_is_refused(
    small: Path, tmp_path: Path, option: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert _sojourn("push", small, tmp_path / "store", *option) == 2
    assert "has no page" in capsys.readouterr().err
    assert not (tmp_path / "store").exists()


def test_a_dry_run_sends_nothing(small: Path, server: KaggleServer) -> None:
    assert _sojourn("push", small, _URL, "--dry-run", "-q") == 0
    assert server.received_bytes == 0
    assert server.datasets.get("me", "leaks-2024") is None


def test_sharing_adds_a_reader_and_leaves_all_else(
    small: Path, server: KaggleServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.datasets.tokens["KGAT_friend"] = "friend"
    sojourn.push(small, _URL, title="Leaks of 2024", license="CC0-1.0")
    assert _sojourn("share", _URL, "--with", "friend", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document == {
        "schema": "sojourn.share/1",
        "store": _URL,
        "user": "friend",
        "page": "https://www.kaggle.com/datasets/me/leaks-2024/settings",
    }
    dataset = server.datasets.get("me", "leaks-2024")
    assert dataset
    assert (dataset.title, dataset.license, dataset.private) == ("Leaks of 2024", "CC0-1.0", True)
    assert "sojourn pull" in dataset.description
    os.environ["KAGGLE_API_TOKEN"] = "KGAT_friend"
    assert sojourn.open(_URL).read_bytes("note.txt") == b"a note"


def test_sharing_with_nobody_known_names_the_page(
    small: Path, server: KaggleServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert server
    sojourn.push(small, _URL)
    assert _sojourn("share", _URL, "--with", "nobody-there") == 5
    told = capsys.readouterr().err
    assert "no user nobody-there" in told
    assert "https://www.kaggle.com/datasets/me/leaks-2024/settings" in told
    assert _sojourn("share", tmp_path, "--with", "friend") == 2


@pytest.mark.parametrize("unpacks", [frozenset(), frozenset({".zip", ".tar"})])
def test_the_live_doctor_says_what_is_unpacked_and_leaves_nothing(
    server: KaggleServer, unpacks: frozenset[str], capsys: pytest.CaptureFixture[str]
) -> None:
    server.datasets.unpacks = unpacks
    server.datasets.add("me", "leaks-2024", {"k": b"x"})
    assert _sojourn("doctor", "--live", _URL, "--json") == 0
    document = json.loads(capsys.readouterr().out)
    found = {check["name"]: check["detail"] for check in document["checks"]}
    assert found["archives .tar.zst (what a push sends)"] == "kept as they are sent"
    zipped = "unpacked into probe/zipped/" if unpacks else "kept as they are sent"
    assert found["archives .zip"] == zipped
    assert found["earlier versions"] == "can be read by number"
    assert found["parts of files"] == "right; with an MD5"
    assert found["the trial's data set"] == "was deleted"
    assert list(server.datasets.all_names()) == [("me", "leaks-2024")]


def test_the_live_doctor_names_what_it_could_not_delete(
    server: KaggleServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.troubles = [KaggleTrouble(where="DeleteDataset", status=400)]
    assert _sojourn("doctor", "--live", _URL) == 5
    (name,) = server.datasets.all_names()
    assert name[1].startswith("sojourn-probe-")
    assert f"https://www.kaggle.com/datasets/me/{name[1]}/settings" in capsys.readouterr().out


def test_the_live_doctor_is_for_stores_that_can_be_tried(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _sojourn("doctor", "--live", tmp_path) == 2
    assert "nothing to try out" in capsys.readouterr().out
    assert _sojourn("doctor", "--live") == 2


@pytest.mark.parametrize("verb", [["push"], ["pull"], ["ls"], ["verify"], ["share"], ["doctor"]])
def test_no_verb_shows_a_secret(
    *,
    small: Path,
    server: KaggleServer,
    tmp_path: Path,
    verb: list[str],
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    canary = "KGAT_canary1234"
    server.datasets.tokens[canary] = "me"
    monkeypatch.setenv("KAGGLE_API_TOKEN", canary)
    sojourn.push(small, _URL)
    rest: dict[str, list[str | Path]] = {
        "push": [small, _URL],
        "pull": [_URL, tmp_path / "out"],
        "share": [_URL, "--with", "me"],
    }
    arguments = [*verb, *rest.get(verb[0], [_URL]), "-v"]
    (small / "note.txt").write_text("another")
    _sojourn(*arguments)
    # What may work later is tried again, which takes a while: once is enough.
    for status in (400, 401, 403, *([500] if verb == ["pull"] else [])):
        (small / "note.txt").write_text(f"{status}")
        server.troubles = [KaggleTrouble(where="/v1/", status=status)]
        assert _sojourn(*arguments) != 0
    server.troubles = [KaggleTrouble(where="storage|upload", status=418)]
    _sojourn(*arguments)
    shown = capfd.readouterr()
    written = b"".join(
        path.read_bytes()
        for place in (Path(os.environ["HOME"]), tmp_path / "out", small)
        for path in place.rglob("*")
        if path.is_file()
    )
    assert canary not in shown.out + shown.err
    assert canary.encode() not in written
    assert "Signature" not in shown.out + shown.err


def test_when_earlier_versions_were_deleted_verify_says_so_and_a_push_mends_it(
    forty: Path, server: KaggleServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _push(forty)
    (forty / "07.bin").write_bytes(b"another")
    _push(forty)
    dataset = server.datasets.get("me", "leaks-2024")
    assert dataset
    dataset.versions[0].deleted = True
    assert _sojourn("verify", _URL) == 6
    assert "missing" in capsys.readouterr().out
    assert _sojourn("pull", _URL, tmp_path / "out") == 6
    assert _push(forty).shards_sent == 39
    assert _sojourn("verify", _URL, "-q") == 0
    assert _sojourn("pull", _URL, tmp_path / "out", "-q") == 0
    assert _difference(forty, tmp_path / "out") == ""


def test_a_cluster_cannot_push_to_what_one_process_publishes(
    small: Path, server: KaggleServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _sojourn("push", small, _URL, "--engine", "ray") == 2
    assert "a cluster's workers are many" in capsys.readouterr().err
    assert server.requests == []


class Meanwhile(Retrying):
    """A store to which somebody else pushes while the first shard is sent."""

    def __init__(self, store: Store, folder: Path) -> None:
        super().__init__(store)
        self._folder: Path | None = folder

    def put(self, key: str, body: Body) -> None:
        folder, self._folder = self._folder, None
        if folder is not None:
            sojourn.push(folder, _URL)
        super().put(key, body)


def test_the_later_of_two_pushes_at_once_is_refused_and_the_set_stays_whole(
    small: Path, server: KaggleServer, tmp_path: Path
) -> None:
    sojourn.push(small, _URL)
    other = tmp_path / "other"
    shutil.copytree(small, other)
    (other / "note.txt").write_text("theirs")
    (small / "note.txt").write_text("ours")
    now = datetime(2026, 1, 1, tzinfo=UTC)
    store = Meanwhile(open_bare_store(_URL), other)
    with pytest.raises(StoreError, match="Somebody else pushed"):
        push_folder(small, store, message="", now=now, progress=NoProgress())
    sojourn.pull(_URL, tmp_path / "out")
    assert _difference(other, tmp_path / "out") == ""
    assert _sojourn("verify", _URL, "-q") == 0
    sojourn.push(small, _URL)
    dataset = server.datasets.get("me", "leaks-2024")
    assert dataset
    assert len(dataset.versions) == 3
    sojourn.pull(_URL, tmp_path / "out")
    assert _difference(small, tmp_path / "out") == ""
