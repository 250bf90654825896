"""Checkpoints of a traced script: what was saved is there again, in outline, wherever it went."""

from __future__ import annotations

import argparse
import io
import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from sojourn.tracing.checkpoints import Checkpoints

pytestmark = pytest.mark.torch
torch = pytest.importorskip("torch")


@pytest.fixture
def checkpoints() -> Checkpoints:
    from sojourn.tracing.checkpoints import Checkpoints

    return Checkpoints()


def test_a_whole_model_is_a_model_again_with_what_it_shares(
    checkpoints: Checkpoints, tmp_path: Path
) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.BatchNorm1d(3))
    model.append(model[0])
    checkpoints.save(model, tmp_path / "model.pt")
    assert (tmp_path / "model.pt").stat().st_size < 100

    loaded = checkpoints.load(tmp_path / "model.pt", None)
    assert type(loaded) is torch.nn.Sequential
    assert loaded[0].weight is loaded[2].weight
    assert loaded[0].weight is not model[0].weight
    assert [(p.shape, p.requires_grad) for p in loaded.parameters()] == [
        (p.shape, p.requires_grad) for p in model.parameters()
    ]
    assert loaded(torch.ones(2, 3)).shape == (2, 3)


def test_what_is_no_tensor_is_as_it_was(checkpoints: Checkpoints, tmp_path: Path) -> None:
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.ones(2))])
    optimizer.param_groups[0]["params"][0].grad = torch.ones(2)
    optimizer.step()
    value = {
        "args": argparse.Namespace(lr=0.1, path=tmp_path),
        "optimizer": optimizer.state_dict(),
        "dtype": torch.float16,
        "size": torch.Size([3]),
    }
    checkpoints.save(value, tmp_path / "all.pt")
    loaded = checkpoints.load(tmp_path / "all.pt", None)
    assert loaded["args"] == value["args"]
    assert (loaded["dtype"], loaded["size"]) == (torch.float16, torch.Size([3]))
    optimizer.load_state_dict(loaded["optimizer"])


def test_it_is_found_where_its_file_was_moved_and_copied_to(
    checkpoints: Checkpoints, tmp_path: Path
) -> None:
    checkpoints.save({"epoch": 1}, tmp_path / "tmp.pt")
    (tmp_path / "tmp.pt").replace(tmp_path / "last.pt")
    shutil.copy(tmp_path / "last.pt", tmp_path / "best.pt")
    checkpoints.save({"epoch": 2}, str(tmp_path / "last.pt"))
    assert checkpoints.load(tmp_path / "best.pt", None) == {"epoch": 1}
    assert checkpoints.load(os.fspath(tmp_path / "last.pt"), None) == {"epoch": 2}
    assert not checkpoints.has(tmp_path / "tmp.pt")


def test_it_goes_through_open_files_and_memory(checkpoints: Checkpoints, tmp_path: Path) -> None:
    memory = io.BytesIO()
    checkpoints.save([1], memory)
    assert not checkpoints.has(memory)
    memory.seek(0)
    assert checkpoints.has(memory)
    assert checkpoints.load(memory, None) == [1]
    (tmp_path / "copy.pt").write_bytes(memory.getvalue())
    with (tmp_path / "copy.pt").open("rb") as file:
        assert checkpoints.load(file, None) == [1]
    foreign = io.BytesIO(b"PK\3\4 and so on, a file that was there before the script began")
    assert not checkpoints.has(foreign)
    assert foreign.tell() == 0


@pytest.mark.parametrize(
    ("map_location", "place"),
    [
        (None, "meta"),
        ("cpu", "cpu"),
        ({"meta": "cpu"}, "cpu"),
        ({"cuda:0": "cpu"}, "meta"),
        (lambda storage, _location: storage, "cpu"),
        (lambda _storage, _location: None, "meta"),
    ],
)
def test_tensors_go_where_they_shall(
    checkpoints: Checkpoints, tmp_path: Path, map_location: Any, place: str
) -> None:
    checkpoints.save(torch.ones(2, device="meta"), tmp_path / "x.pt")
    assert checkpoints.load(tmp_path / "x.pt", map_location).device.type == place


def test_what_cannot_be_saved_is_not_there(checkpoints: Checkpoints, tmp_path: Path) -> None:
    checkpoints.save(lambda: None, tmp_path / "x.pt")
    checkpoints.save([1], tmp_path / "nowhere" / "x.pt")
    assert not checkpoints.has(tmp_path / "x.pt")
    assert not checkpoints.has(tmp_path / "nowhere" / "x.pt")
    # A mark that somebody else wrote.
    (tmp_path / "x.pt").write_bytes(b"sojourn: checkpoint 000000000099\n")
    assert not checkpoints.has(tmp_path / "x.pt")
