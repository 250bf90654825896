"""A data set for torch's DataLoader, and an order to read it in. All of torch that this room knows.

What is fetched is a frame, which holds many small files. In an order that is drawn from all files
nearly each one costs a frame; `FrameShuffle` draws within a few frames at a time.
"""

from __future__ import annotations

import random
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Any

from sojourn.dataset.formats import package
from sojourn.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch.utils.data import Dataset as TorchDataset

    from sojourn.dataset.dataset import Dataset
    from sojourn.dataset.frames import FrameId

    _Base = TorchDataset[tuple[Any, Any]]
else:
    _Base = object  # torch's comes in where the class is made, once torch is asked for

_FRAMES_IN_HAND = 8


def torch_members(
    dataset: Dataset,
    names: Sequence[str],
    *,
    transform: Callable[[Any], Any] | None,
    labels: Callable[[str], Any] | None,
    decode: bool,
) -> TorchMembers:
    """Return files as a `torch.utils.data.Dataset`; see `Dataset.as_torch`.

    Raises:
        MissingPackageError: torch is not installed.
    """
    made: TorchMembers = _torch_class()(
        dataset, sorted(names), transform=transform, labels=labels, decode=decode
    )
    return made


class TorchMembers(_Base):
    """Files of a data set by index, in the order of their names: pairs of sample and label.

    Attributes:
        names: The files.
        classes: The folders that files are in, in order: what a label of None's choice indexes.
    """

    def __init__(
        self,
        dataset: Dataset,
        names: Sequence[str],
        *,
        transform: Callable[[Any], Any] | None,
        labels: Callable[[str], Any] | None,
        decode: bool,
    ) -> None:
        self.dataset = dataset
        self.names = list(names)
        self.classes = sorted({_folder(name) for name in self.names})
        self._transform = transform
        self._labels = labels
        self._decode = decode
        self._indexes = {folder: index for index, folder in enumerate(self.classes)}

    @property
    def class_to_idx(self) -> dict[str, int]:
        """The index of each class, under the name that torchvision's data sets have for it."""
        return dict(self._indexes)

    def label(self, index: int) -> Any:
        """Return the label of a file; reads nothing."""
        name = self.names[index]
        return self._labels(name) if self._labels else self._indexes[_folder(name)]

    def frames(self, index: int) -> tuple[FrameId, ...]:
        """Return the frames that a file's bytes are in; none if it has no bytes of its own."""
        return self.dataset.frames_of(self.names[index])

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        name = self.names[index]
        sample = self.dataset.load(name) if self._decode else self.dataset.read_bytes(name)
        if hasattr(sample, "convert") and hasattr(sample, "getbands"):
            sample = sample.convert("RGB")  # a picture, as torchvision's ImageFolder has them
        return self._transform(sample) if self._transform else sample, self.label(index)

    def __reduce__(self) -> tuple[Any, ...]:
        # The class is made where torch is; so it is looked up there, not by its name.
        arguments = self.dataset, self.names, self._transform, self._labels, self._decode
        return _rebuilt, arguments

    def __repr__(self) -> str:
        return f"<{len(self)} files in {len(self.classes)} folders of {self.dataset!r}>"


class FrameShuffle:
    """An order for a DataLoader that is random, and reads each frame once.

        files = sojourn.open(address).as_torch("train/**", transform=transform)
        order = FrameShuffle(files, batch_size=64, workers=2)
        loader = DataLoader(files, batch_size=64, num_workers=2, sampler=order)

    The frames are put in random order; those of a few frames at a time are mixed, and the data set
    holds that many decoded. Files that are neighbours stay near each other, within
    `frames_in_hand` frames; each pass has another order.

    A loader gives batches to its workers in turn. `batch_size` and `workers`, the same as the
    loader's, see to it that each worker gets files of frames of its own; without them every worker
    fetches every frame. A file that spans more than `frames_in_hand` frames pushes others out.

    Args:
        data: What `Dataset.as_torch` returned.
        seed: Of the order; passes draw from it one after the other.
        frames_in_hand: How many frames are mixed and held, in each process; 8 MiB each as they
            are written by default.
        batch_size: In files, the loader's.
        workers: How many the loader has.

    Raises:
        UsageError: one of the numbers is below what it can be.
    """

    def __init__(
        self,
        data: TorchMembers,
        *,
        seed: int = 0,
        frames_in_hand: int = _FRAMES_IN_HAND,
        batch_size: int = 1,
        workers: int = 0,
    ) -> None:
        if min(frames_in_hand, batch_size) < 1 or workers < 0:
            raise UsageError(
                f"frames_in_hand={frames_in_hand}, batch_size={batch_size} and workers={workers} "
                "are no order.",
                remedy="Give at least 1 for the first two, and at least 0 workers.",
            )
        data.dataset.hold_frames(frames_in_hand)
        self._groups = _groups([data.frames(index) for index in range(len(data))])
        self._count = len(data)
        self._seed = seed
        self._frames_in_hand = frames_in_hand
        self._batch_size = batch_size
        self._workers = max(1, workers)
        self._pass = 0

    def set_epoch(self, epoch: int) -> None:
        """Have the next pass be that of this number, from 0 on: the same one each time."""
        self._pass = epoch

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[int]:
        # Not for secrets: the same seed and pass give the same order.
        rng = random.Random(f"{self._seed} {self._pass}")  # noqa: S311
        self._pass += 1
        groups = list(self._groups)
        rng.shuffle(groups)
        streams = [self._mixed(part, rng) for part in _dealt(groups, self._workers)]
        rest: list[int] = []
        while streams:
            # When a stream has ended, the others' batches go to its worker as well.
            for stream in list(streams):
                batch = list(islice(stream, self._batch_size))
                if len(batch) == self._batch_size:
                    yield from batch
                else:
                    rest += batch
                    streams.remove(stream)
        yield from rest

    def _mixed(self, groups: list[_Group], rng: random.Random) -> Iterator[int]:
        window: list[int] = []
        frames = 0
        for group in groups:
            if window and frames + group.frames > self._frames_in_hand:
                rng.shuffle(window)
                yield from window
                window, frames = [], 0
            window += group.indexes
            frames += group.frames
        rng.shuffle(window)
        yield from window


class _Group:
    """Files that share frames: those of one frame, or of several that a large file ties together.

    Attributes:
        indexes: The files.
        frames: How many frames hold them.
    """

    __slots__ = ("frames", "indexes")

    def __init__(self, indexes: list[int], frames: int) -> None:
        self.indexes = indexes
        self.frames = frames


def _groups(frames_of: Sequence[tuple[FrameId, ...]]) -> list[_Group]:
    """Return files grouped by the frames that they are in, in the frames' order."""
    in_order = sorted((frames, index) for index, frames in enumerate(frames_of) if frames)
    groups: list[_Group] = []
    last: FrameId | None = None
    for frames, index in in_order:
        if last is None or frames[0] > last:
            groups.append(_Group([], 0))
            last = None
        groups[-1].indexes.append(index)
        groups[-1].frames += sum(1 for frame in frames if last is None or frame > last)
        last = frames[-1] if last is None else max(last, frames[-1])
    without = [index for index, frames in enumerate(frames_of) if not frames]
    return groups + ([_Group(without, 0)] if without else [])


def _dealt(groups: list[_Group], parts: int) -> list[list[_Group]]:
    """Return the groups in so many parts, each next one to the part with the fewest files."""
    dealt: list[list[_Group]] = [[] for _ in range(parts)]
    files = [0] * parts
    for group in groups:
        part = files.index(min(files))
        dealt[part].append(group)
        files[part] += len(group.indexes)
    return dealt


@cache
def _torch_class() -> type[TorchMembers]:
    package("torch", install="'sojourn[torch]'")
    import torch.utils.data

    bases = (TorchMembers, torch.utils.data.Dataset)
    return type("TorchMembers", bases, {"__doc__": TorchMembers.__doc__})


def _rebuilt(
    dataset: Dataset,
    names: list[str],
    transform: Callable[[Any], Any] | None,
    labels: Callable[[str], Any] | None,
    decode: bool,  # noqa: FBT001 - pickle gives arguments by place
) -> TorchMembers:
    return torch_members(dataset, names, transform=transform, labels=labels, decode=decode)


def _folder(name: str) -> str:
    """Return the name of the folder that a file is in; "" at the top."""
    return name.rpartition("/")[0].rpartition("/")[2]
