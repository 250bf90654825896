import pickle
from collections import Counter
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

import sojourn
from sojourn.dataset.dataset import Dataset
from sojourn.dataset.push import push_folder
from sojourn.dataset.repository import load_manifest
from sojourn.dataset.shards import Sizes
from sojourn.dataset.torch_data import FrameShuffle, TorchMembers
from sojourn.errors import UsageError
from sojourn.progress import NoProgress
from sojourn.stores.url import open_store
from sojourn.testing.faults import FaultyStore

pytestmark = [
    pytest.mark.torch,
    # What Python from 3.12 on says of every fork of a process with threads; and torch, where there
    # are fewer processors than workers.
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded"),
    pytest.mark.filterwarnings("ignore:This DataLoader will create"),
]

SIZES = Sizes(
    min_shard_bytes=40_000, mean_shard_bytes=80_000, max_shard_bytes=160_000, frame_bytes=16_000
)
FILES = 240


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("torch") / "data"
    rng = np.random.default_rng(1)
    for number in range(FILES):
        path = folder / "train" / f"class{number % 3}" / f"{number:03}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(number.to_bytes(2, "big") + rng.bytes(900))
    (folder / "train" / "class1" / "large.bin").write_bytes(rng.bytes(40_000))
    (folder / "pictures" / "one").mkdir(parents=True)
    Image.fromarray(np.full((4, 6), 200, np.uint8)).save(folder / "pictures" / "one" / "g.png")
    store = open_store(folder.parent / "store")
    now = datetime(2026, 1, 2, tzinfo=UTC)
    push_folder(folder, store, message="", now=now, progress=NoProgress(), sizes=SIZES)
    return folder.parent / "store"


def number_in(data: bytes) -> int:
    return int.from_bytes(data[:2], "big")


def stem_of(name: str) -> str:
    return name.rpartition("/")[2]


def pixels(image: Any) -> Any:
    return torch.from_numpy(np.array(image))


def _numbers(address: Path) -> TorchMembers:
    return sojourn.open(address).as_torch("train/*/[0-9]*", transform=number_in, decode=False)


def test_items_are_samples_and_labels_in_the_order_of_names(address: Path) -> None:
    data = _numbers(address)
    assert isinstance(data, torch.utils.data.Dataset)
    assert len(data) == FILES
    assert data.names == sorted(data.names)
    assert data.classes == ["class0", "class1", "class2"]
    assert data.class_to_idx == {"class0": 0, "class1": 1, "class2": 2}
    assert data[0] == (0, 0)
    assert data[81] == (4, 1)
    assert all(data[index][0] % 3 == data.label(index) for index in range(0, FILES, 7))


def test_pictures_are_decoded_to_rgb(address: Path) -> None:
    data = sojourn.open(address).as_torch("pictures/**", transform=pixels)
    sample, label = data[0]
    assert (tuple(sample.shape), int(sample.max()), label) == ((4, 6, 3), 200, 0)


def test_labels_may_come_from_the_name(address: Path) -> None:
    data = sojourn.open(address).as_torch("train/class0/**", labels=stem_of, decode=False)
    assert data[1][1] == "003.bin"


def test_a_glob_that_names_nothing_is_refused(address: Path) -> None:
    with pytest.raises(UsageError, match="names nothing"):
        sojourn.open(address).as_torch("none/**")


def test_it_can_be_pickled(address: Path) -> None:
    data = pickle.loads(pickle.dumps(_numbers(address)))
    assert isinstance(data, torch.utils.data.Dataset)
    assert data[81] == (4, 1)


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_workers_read_by_themselves_however_they_are_started(address: Path, start: str) -> None:
    data = _numbers(address)
    assert data[0][0] == 0  # the store and a frame are in use before there are workers
    order = FrameShuffle(data, frames_in_hand=2, batch_size=8, workers=2)
    loader: Any = DataLoader(
        data, batch_size=8, num_workers=2, sampler=order, multiprocessing_context=start, timeout=60
    )
    for _ in range(2):
        samples, labels = (torch.cat(parts).tolist() for parts in zip(*loader, strict=True))
        assert sorted(samples) == list(range(FILES))
        assert [sample % 3 for sample in samples] == labels


def _counted(address: Path, glob: str = "**/*.bin") -> tuple[Any, FaultyStore]:
    store = FaultyStore(open_store(address))
    return Dataset(load_manifest(store), store).as_torch(glob, decode=False), store


def _fetches(store: FaultyStore) -> int:
    return sum(verb == "get_range" for verb, _ in store.calls)


@pytest.mark.parametrize("frames_in_hand", [1, 2, 8])
def test_frames_are_fetched_once_in_an_order_that_is_random(
    address: Path, frames_in_hand: int
) -> None:
    data, store = _counted(address)
    order = list(FrameShuffle(data, seed=3, frames_in_hand=frames_in_hand))
    assert sorted(order) == list(range(FILES + 1))
    frames = {frame for index in order for frame in data.frames(index)}
    for index in order:
        data[index]
    assert _fetches(store) == len(frames)
    steps = [abs(after - before) for before, after in pairwise(order)]
    assert steps.count(1) < len(order) / (2 if frames_in_hand > 1 else 1)


def test_tables_that_are_kept_as_columns_are_fetched_once_too(tmp_path: Path) -> None:
    # A segment holds tables of one form, so there are more of them than are held.
    for number in range(90):
        rows = "".join(f"{row},{number * row % 97 / 4:.2f}\n" for row in range(1_500))
        path = tmp_path / "data" / f"class{number // 3:02}" / f"{number}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"row,level{number // 3}\n{rows}")
    sojourn.push(tmp_path / "data", tmp_path / "store")
    data, store = _counted(tmp_path / "store", "**/*.csv")
    frames = {frame for index in range(90) for frame in data.frames(index)}
    assert len(frames) == 30
    order = list(FrameShuffle(data, seed=3))
    assert sorted(order) == list(range(90))
    for index in order:
        data[index]
    assert _fetches(store) == len(frames)


def test_passes_differ_and_a_seed_gives_the_same_ones(address: Path) -> None:
    data, _ = _counted(address)
    order, again = FrameShuffle(data, seed=3), FrameShuffle(data, seed=3)
    first, second = list(order), list(order)
    assert first != second
    assert [list(again), list(again)] == [first, second]
    assert list(FrameShuffle(data, seed=4)) != first
    again.set_epoch(1)
    assert list(again) == second


def test_each_worker_has_frames_of_its_own(address: Path) -> None:
    data, _ = _counted(address, "train/*/[0-9]*")
    order = list(FrameShuffle(data, frames_in_hand=2, batch_size=8, workers=2))
    assert sorted(order) == list(range(FILES))
    batches = [order[at : at + 8] for at in range(0, FILES, 8)]
    readers: Counter[Any] = Counter()
    for worker in (0, 1):
        readers.update({f for batch in batches[worker::2] for i in batch for f in data.frames(i)})
    # Only what is left over when one of them is done is read by the other, too.
    shared = [frame for frame, count in readers.items() if count > 1]
    assert len(shared) <= 4 < len(readers)


def test_numbers_that_make_no_order_are_refused(address: Path) -> None:
    data, _ = _counted(address)
    wrong: list[dict[str, int]] = [{"frames_in_hand": 0}, {"batch_size": 0}, {"workers": -1}]
    for numbers in wrong:
        with pytest.raises(UsageError, match="no order"):
            FrameShuffle(data, **numbers)
