import io
import json
import subprocess
import sys
import tarfile
import wave
import zipfile
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from PIL import Image

from sojourn.dataset.archives import Archive
from sojourn.dataset.dataset import Dataset
from sojourn.dataset.push import push_folder
from sojourn.dataset.readers import Video
from sojourn.dataset.repository import load_manifest
from sojourn.errors import MissingPackageError, NoSuchFileError, UsageError
from sojourn.progress import NoProgress
from sojourn.stores.objects import open_memory

PIXELS = np.zeros((24, 32, 3), np.uint8)
PIXELS[:, 16:] = 200
SAMPLES = np.sin(np.arange(4_000) / 20).astype(np.float32)

Make = Callable[[dict[str, bytes]], Dataset]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def dataset_of(files: dict[str, bytes]) -> Dataset:
        folder = tmp_path / "data"
        for name, data in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        store = open_memory()
        now = datetime(2026, 1, 2, tzinfo=UTC)
        push_folder(folder, store, message="", now=now, progress=NoProgress())
        return Dataset(load_manifest(store), store)

    return dataset_of


def _image(kind: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, kind)
    return file.getvalue()


def _video(container: str, codec: str) -> bytes:
    av = pytest.importorskip("av", reason="films are decoded with PyAV")
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream = output.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = 32, 24, "yuv420p"
        for number in range(7):
            picture = np.full((24, 32, 3), number * 30, np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return file.getvalue()


def _sound(kind: str) -> bytes:
    soundfile = pytest.importorskip("soundfile", reason="sound is decoded with soundfile")
    file = io.BytesIO()
    soundfile.write(file, SAMPLES, 8_000, format=kind)
    return file.getvalue()


def _pdf() -> bytes:
    pypdf = pytest.importorskip("pypdf", reason="PDF is read with pypdf")
    writer = pypdf.PdfWriter()
    writer.add_blank_page(width=72, height=144)
    file = io.BytesIO()
    writer.write(file)
    return file.getvalue()


def _excel() -> bytes:
    """An .xlsx of two sheets, as small as they come; no package that writes them is needed."""
    pytest.importorskip("python_calamine", reason="Excel is read with python-calamine")
    head = '<?xml version="1.0" encoding="UTF-8"?>'
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"

    def sheet(*rows: tuple[str, str]) -> str:
        cells = "".join(
            "<row>"
            + "".join(
                f"<c><v>{cell}</v></c>"
                if cell.isdigit()
                else f'<c t="inlineStr"><is><t>{cell}</t></is></c>'
                for cell in row
            )
            + "</row>"
            for row in rows
        )
        return f'{head}<worksheet xmlns="{main}"><sheetData>{cells}</sheetData></worksheet>'

    names = "".join(
        f'<sheet name="{name}" sheetId="{number}" r:id="r{number}"/>'
        for number, name in ((1, "하나"), (2, "둘"))
    )
    relations = "".join(
        f'<Relationship Id="r{number}" Type="{office}/worksheet" Target="worksheets/{number}.xml"/>'
        for number in (1, 2)
    )
    parts = {
        "[Content_Types].xml": f'{head}<Types xmlns="{package}/content-types"/>',
        "_rels/.rels": f'{head}<Relationships xmlns="{package}/relationships"><Relationship '
        f'Id="r1" Type="{office}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'{head}<workbook xmlns="{main}" xmlns:r="{office}">'
        f"<sheets>{names}</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": f'{head}<Relationships xmlns="{package}/relationships">'
        f"{relations}</Relationships>",
        "xl/worksheets/1.xml": sheet(("a", "b"), ("1", "x"), ("2", "y")),
        "xl/worksheets/2.xml": sheet(("c", "d"), ("3", "4")),
    }
    return _zip({name: text.encode() for name, text in parts.items()})


def _zip(files: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return file.getvalue()


def _tar(files: dict[str, bytes], mode: str = "w:gz") -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as archive:  # type: ignore[call-overload]
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return file.getvalue()


def _npy(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.png", "png"),
        ("a.JPG", "jpeg"),
        ("a.jpeg", "jpeg"),
        ("a.gif", "gif"),
        ("a.bmp", "bmp"),
        ("a.webp", "webp"),
    ],
)
def test_a_picture_is_decoded(make: Make, name: str, kind: str) -> None:
    image = make({name: _image(kind)}).load(name)
    assert isinstance(image, Image.Image)
    found = np.asarray(image.convert("RGB")).astype(int)
    assert np.abs(found - PIXELS).max() < 40


@pytest.mark.parametrize(
    ("name", "container", "codec"),
    [
        ("a.mp4", "mp4", "mpeg4"),
        ("a.avi", "avi", "mpeg4"),
        ("a.mov", "mov", "mpeg4"),
        ("a.mkv", "matroska", "mpeg4"),
    ],
)
def test_a_film_gives_its_frames(make: Make, name: str, container: str, codec: str) -> None:
    video = make({name: _video(container, codec)}).load(name)
    assert isinstance(video, Video)
    assert (video.width, video.height, video.rate_per_s) == (32, 24, 10)
    assert video.duration_s == pytest.approx(0.7, abs=0.1)
    for _ in range(2):  # from the start each time
        frames = list(video)
        assert [frame.shape for frame in frames] == [(24, 32, 3)] * 7
        brightness = [int(frame.mean()) for frame in frames]
        assert brightness == pytest.approx([30 * number for number in range(7)], abs=12)
    assert float(next(video.frames()).time) == 0


@pytest.mark.parametrize(
    ("name", "kind"), [("a.wav", "WAV"), ("a.flac", "FLAC"), ("a.ogg", "OGG"), ("a.mp3", "MP3")]
)
def test_sound_gives_samples_and_their_rate(make: Make, name: str, kind: str) -> None:
    samples, rate = make({name: _sound(kind)}).load(name, dtype="float32")
    assert (samples.dtype, rate) == (np.float32, 8_000)
    assert abs(len(samples) - 4_000) < 2_500
    assert np.abs(samples).max() == pytest.approx(1, abs=0.2)


def test_sound_of_two_channels_has_two_columns(make: Make) -> None:
    pytest.importorskip("soundfile", reason="sound is decoded with soundfile")
    file = io.BytesIO()
    with wave.open(file, "wb") as output:
        output.setnchannels(2)
        output.setsampwidth(2)
        output.setframerate(8_000)
        output.writeframes(bytes(400))
    samples, _ = make({"a.wav": file.getvalue()}).load("a.wav")
    assert samples.shape == (100, 2)


def test_a_pdf_is_opened(make: Make) -> None:
    reader = make({"a.pdf": _pdf()}).load("a.pdf")
    assert [float(page.mediabox.height) for page in reader.pages] == [144]


def test_excel_is_a_table(make: Make) -> None:
    dataset = make({"a.xlsx": _excel()})
    assert dataset.read("a.xlsx").to_dict("list") == {"a": [1, 2], "b": ["x", "y"]}
    assert dataset.load("a.xlsx").equals(dataset.read("a.xlsx"))
    assert dataset.read("a.xlsx", sheet_name="둘").to_dict("list") == {"c": [3], "d": [4]}
    assert list(dataset.read("a.xlsx", sheet_name=None)) == ["하나", "둘"]
    assert dataset.read("a.xlsx", "arrow").column_names == ["a", "b"]
    assert isinstance(dataset.read("a.xlsx", "polars"), pl.DataFrame)
    assert [name for name, _ in dataset.read_many("*.xlsx")] == ["a.xlsx"]
    with pytest.raises(UsageError, match=r"'a\.xlsx' cannot be read: .*nowhere"):
        dataset.read("a.xlsx", sheet_name="nowhere")


def test_text_and_json_are_what_they_say(make: Make) -> None:
    dataset = make(
        {
            "a.txt": "\ufeff하나".encode(),
            "b.md": b"# b",
            "c.log": "둘".encode("cp949"),
            "d.json": json.dumps({"a": [1, None]}).encode(),
        }
    )
    assert dataset.load("a.txt") == "하나"
    assert dataset.load("b.md") == "# b"
    assert dataset.load("c.log", encoding="cp949") == "둘"
    assert dataset.load("d.json") == {"a": [1, None]}
    with pytest.raises(UsageError, match=r"'c\.log' .*as text") as caught:
        dataset.load("c.log")
    assert 'encoding="cp949"' in caught.value.remedy


def test_arrays_are_loaded_and_objects_are_not(make: Make) -> None:
    file = io.BytesIO()
    np.savez(file, a=np.arange(3), b=np.eye(2))
    objects = _npy(np.array([{"runs": "code"}], dtype=object))
    dataset = make({"a.npy": _npy(np.arange(5)), "b.npz": file.getvalue(), "c.npy": objects})
    assert dataset.load("a.npy").tolist() == [0, 1, 2, 3, 4]
    assert {name: array.shape for name, array in dataset.load("b.npz").items()} == {
        "a": (3,),
        "b": (2, 2),
    }
    with pytest.raises(UsageError, match=r"'c\.npy' cannot be read: Object arrays"):
        dataset.load("c.npy", allow_pickle=True)


def test_tables_are_read_as_tables(make: Make) -> None:
    dataset = make({"a.csv": b"x\n1\n", "b.jsonl": b'{"x": 1}\n'})
    assert isinstance(dataset.load("a.csv"), pd.DataFrame)
    assert dataset.load("b.jsonl", as_="arrow").num_rows == 1


INNER = {"in/b.csv": b"x\n1\n", "c.png": b"", "d.txt": b"words"}


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.zip", _zip(INNER | {"c.png": _image("png")})),
        ("a.tar", _tar(INNER | {"c.png": _image("png")}, "w:")),
        ("a.tar.gz", _tar(INNER | {"c.png": _image("png")})),
        ("a.tgz", _tar(INNER | {"c.png": _image("png")})),
        ("a.tar.xz", _tar(INNER | {"c.png": _image("png")}, "w:xz")),
    ],
)
def test_an_archive_is_looked_into(make: Make, name: str, data: bytes) -> None:
    dataset = make({name: data})
    archive = dataset.load(name)
    assert isinstance(archive, Archive)
    assert archive.files() == ["c.png", "d.txt", "in/b.csv"]
    assert archive.files("**/*.csv") == ["in/b.csv"]
    assert (len(archive), "d.txt" in archive, next(iter(archive))) == (3, True, "c.png")
    assert archive.size_bytes("d.txt") == 5
    assert archive.read_bytes("in/b.csv") == INNER["in/b.csv"]
    assert archive.load("c.png").size == (32, 24)
    assert archive.read("in/b.csv")["x"].tolist() == [1]
    assert archive.open("d.txt").read() == b"words"
    with pytest.raises(NoSuchFileError) as refused:
        dataset.read_bytes(f"{name}!zzzzzzzz")
    assert f"`load('{name}').files()`" in refused.value.remedy
    assert dataset.read_bytes(f"{name}!in/b.csv") == INNER["in/b.csv"]
    assert dataset.read(f"{name}!in/b.csv")["x"].tolist() == [1]
    assert dataset.load(f"{name}!c.png").size == (32, 24)
    with dataset.open(f"{name}!d.txt", "r") as file:
        assert file.read() == "words"
    with pytest.raises(NoSuchFileError, match=r"'in/c\.csv'"):
        dataset.read_bytes(f"{name}!in/c.csv")


def test_an_archive_in_an_archive_is_looked_into(make: Make) -> None:
    dataset = make({"a.zip": _zip({"b.tar.gz": _tar({"c.txt": b"deep"})}), "a!b.zip!c": b"name"})
    assert dataset.read_bytes("a.zip!b.tar.gz!c.txt") == b"deep"
    assert dataset.load("a.zip").load("b.tar.gz").files() == ["c.txt"]
    assert dataset.read_bytes("a!b.zip!c") == b"name"
    with pytest.raises(NoSuchFileError):
        dataset.read_bytes("nothing.zip!c")


def test_names_from_korean_windows_can_be_read(make: Make) -> None:
    garbled = "높음.txt".encode("cp949").decode("cp437")
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        info = zipfile.ZipInfo("x" * len(garbled.encode("cp437")))
        archive.writestr(info, b"x")
    data = file.getvalue().replace(b"x" * len(garbled), "높음.txt".encode("cp949"))
    dataset = make({"a.zip": data})
    assert dataset.load("a.zip", metadata_encoding="cp949").files() == ["높음.txt"]


def test_an_ending_that_says_nothing_names_another_way(make: Make) -> None:
    dataset = make({"a.xyz": b"", "noending": b""})
    for name in ("a.xyz", "noending"):
        with pytest.raises(UsageError, match=r"read_bytes\(name\)"):
            dataset.load(name)
    with pytest.raises(NoSuchFileError):
        dataset.load("b.png")


def _samples() -> dict[str, Callable[[], bytes]]:
    return {
        "a.png": lambda: _image("png"),
        "a.jpg": lambda: _image("jpeg"),
        "a.gif": lambda: _image("gif"),
        "a.bmp": lambda: _image("bmp"),
        "a.webp": lambda: _image("webp"),
        "a.mp4": lambda: _video("mp4", "mpeg4"),
        "a.mkv": lambda: _video("matroska", "mpeg4"),
        "a.wav": lambda: _sound("WAV"),
        "a.flac": lambda: _sound("FLAC"),
        "a.ogg": lambda: _sound("OGG"),
        "a.pdf": _pdf,
        "a.xlsx": _excel,
        "a.npy": lambda: _npy(np.arange(9)),
        "a.zip": lambda: _zip(INNER),
        "a.tar.gz": lambda: _tar(INNER),
        "a.json": lambda: b'{"a": 1}',
    }


def _look_through(dataset: Dataset, name: str) -> None:
    found = dataset.load(name)
    if isinstance(found, Archive):
        for inner in found:
            found.read_bytes(inner)
    if isinstance(found, Video):
        list(found)


@pytest.mark.parametrize("name", _samples())
def test_what_is_no_such_file_is_named(make: Make, name: str) -> None:
    _samples()[name]()  # skipped where the package is missing
    dataset = make({name: b"nothing of the kind", f"empty/{name}": b""})
    for wrong in (name, f"empty/{name}"):
        with pytest.raises(UsageError, match=rf"'{wrong}' cannot be (read|decoded): \S") as caught:
            _look_through(dataset, wrong)
        assert "\n" not in str(caught.value)
        assert caught.value.remedy
        assert caught.value.__suppress_context__ or name == "a.xlsx"


@pytest.mark.parametrize("name", _samples())
@pytest.mark.filterwarnings("ignore")  # some packages warn of damage, and go on
def test_damage_anywhere_gives_a_file_or_an_error_of_ours(make: Make, name: str) -> None:
    sound = _samples()[name]()
    rng = np.random.default_rng(1)
    files = {}
    for number in range(40):
        spoilt = bytearray(sound)
        for at in rng.integers(0, len(sound), 1 + number % 8):
            spoilt[at] = int(rng.integers(0, 256))
        files[f"{number}/{name}"] = bytes(spoilt[: len(sound) - (number % 3) * len(sound) // 4])
    dataset = make(files)
    for spoilt_name in files:
        with suppress(UsageError):
            _look_through(dataset, spoilt_name)


def test_a_package_that_is_missing_says_how_to_get_it() -> None:
    code = (
        "import sys\n"
        "for name in ('av', 'soundfile', 'pypdf', 'python_calamine', 'PIL'):\n"
        "    sys.modules[name] = None\n"
        "from sojourn.dataset.formats import package\n"
        "try:\n"
        "    package(sys.argv[1], install=\"'sojourn[media]'\")\n"
        "except Exception as error:\n"
        "    print(type(error).__name__, error)\n"
    )
    for name in ("av", "soundfile", "pypdf", "python_calamine", "PIL.Image"):
        shown = subprocess.run(
            [sys.executable, "-c", code, name], capture_output=True, check=True, text=True
        ).stdout
        assert shown.startswith(MissingPackageError.__name__)
        assert name in shown
        assert "pip install 'sojourn[media]'" in shown
