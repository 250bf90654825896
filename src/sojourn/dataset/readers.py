"""From a file to what its ending says that it is: a picture, a film, sound, text, and so on.

The packages that decode are imported when a file asks for them, and here only; that of tables is
`formats`, and that of archives `archives`.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from tokenize import TokenError
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol
from zipfile import BadZipFile

from sojourn.dataset.archives import ARCHIVE_ENDINGS, is_archive, open_archive
from sojourn.dataset.damage import naming
from sojourn.dataset.formats import TABLE_ENDINGS, package
from sojourn.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sojourn.dataset.formats import Library

_MEDIA = "'sojourn[media]'"


class Place(Protocol):
    """Where files are: a data set, or an archive in one."""

    def read_bytes(self, name: str) -> bytes:
        """Return a file's bytes."""
        ...

    def open(self, name: str) -> BinaryIO:
        """Return a file to read bytes from."""
        ...

    def read(self, name: str, as_: Library = ..., **arguments: Any) -> Any:
        """Return a file as a table."""
        ...


def load_file(place: Place, name: str, arguments: Mapping[str, Any]) -> Any:
    """Return a file as what its ending says that it is.

    Raises:
        UsageError: the ending says nothing, there is no such file, or it cannot be decoded.
        MissingPackageError: the package that decodes it is not installed.
        IntegrityError: the store holds something else than was pushed.
    """
    if is_archive(name):
        return open_archive(name, place.open(name), **arguments)
    ending = _ending(name)
    if ending in TABLE_ENDINGS:
        return place.read(name, **arguments)
    loader = _LOADERS.get(ending)
    if loader is None:
        known = ", ".join(sorted({*_LOADERS, *TABLE_ENDINGS, *ARCHIVE_ENDINGS}))
        raise UsageError(
            f"{name!r} cannot be decoded: its name ends in none of {known}.",
            remedy="Take its bytes with `read_bytes(name)`, or `open(name)` it.",
        )
    return loader(place, name, dict(arguments))


@dataclass(frozen=True, slots=True, kw_only=True)
class Video:
    """A film, decoded as far as it is looked at, and fetched as far as it is decoded.

    Iterating gives its frames as RGB, from the first on each time: numpy arrays of uint8, of the
    shape (height, width, 3).

    Attributes:
        name: The file.
        width: Of a frame, in pixels.
        height: Of a frame, in pixels.
        rate_per_s: Frames per second on average; None if the file does not say.
        duration_s: How long it is, in seconds; None if the file does not say.
        frame_count: How many frames it claims to have; None if it does not say.
    """

    name: str
    width: int
    height: int
    rate_per_s: float | None
    duration_s: float | None
    frame_count: int | None
    _open: Callable[[], BinaryIO]

    def __iter__(self) -> Iterator[Any]:
        return (frame.to_ndarray(format="rgb24") for frame in self.frames())

    def frames(self) -> Iterator[Any]:
        """Yield each frame as PyAV's `VideoFrame`, which knows its time and converts itself.

        Raises:
            UsageError: the file is damaged.
        """
        av = package("av", install=_MEDIA)
        with self._open() as file, naming(self.name, av.FFmpegError), av.open(file) as container:
            yield from container.decode(video=0)


def _video(place: Place, name: str, arguments: dict[str, Any]) -> Video:
    av = package("av", install=_MEDIA)
    with (
        place.open(name) as file,
        naming(name, av.FFmpegError),
        av.open(file, **arguments) as container,
    ):
        if not container.streams.video:
            raise ValueError("it has no pictures in it")
        stream = container.streams.video[0]
        return Video(
            name=name,
            width=stream.codec_context.width,
            height=stream.codec_context.height,
            rate_per_s=float(stream.average_rate) if stream.average_rate else None,
            duration_s=container.duration / av.time_base if container.duration else None,
            frame_count=stream.frames or None,
            _open=lambda: place.open(name),
        )


def _image(place: Place, name: str, arguments: dict[str, Any]) -> Any:
    image_module = package("PIL.Image", install=_MEDIA)
    data = place.read_bytes(name)
    with naming(name, image_module.DecompressionBombError):
        image = image_module.open(io.BytesIO(data), **arguments)
        image.load()
        return image


def _sound(place: Place, name: str, arguments: dict[str, Any]) -> tuple[Any, int]:
    soundfile = package("soundfile", install=_MEDIA)
    data = place.read_bytes(name)
    with naming(name, soundfile.SoundFileError):
        samples, rate_per_s = soundfile.read(io.BytesIO(data), **arguments)
        return samples, int(rate_per_s)


def _pdf(place: Place, name: str, arguments: dict[str, Any]) -> Any:
    pypdf = package("pypdf", install=_MEDIA)
    data = place.read_bytes(name)
    with naming(name, pypdf.errors.PyPdfError):
        reader = pypdf.PdfReader(io.BytesIO(data), **arguments)
        if not reader.is_encrypted:
            len(reader.pages)  # reads the tree of pages, where a damaged file shows
        return reader


def _text(place: Place, name: str, arguments: dict[str, Any]) -> str:
    encoding = arguments.pop("encoding", "utf-8-sig")  # a mark at the start is no letter
    data = place.read_bytes(name)
    try:
        return data.decode(encoding, **arguments)
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{name!r} cannot be read as text: {error}.",
            remedy='Name its encoding: `load(name, encoding="cp949")`, if it is from Korean '
            "Windows; or take its bytes with `read_bytes(name)`.",
        ) from None


def _json(place: Place, name: str, arguments: dict[str, Any]) -> Any:
    text = _text(place, name, {k: arguments.pop(k) for k in ("encoding",) if k in arguments})
    with naming(name):
        return json.loads(text, **arguments)


def _array(place: Place, name: str, arguments: dict[str, Any]) -> Any:
    """Return an array, or a dict of those of an .npz. Objects, which run code, are refused."""
    numpy = package("numpy", install="numpy")
    data = place.read_bytes(name)
    with naming(name, BadZipFile, TokenError, MemoryError):  # a damaged header claims any size
        loaded = numpy.load(io.BytesIO(data), **(arguments | {"allow_pickle": False}))
        return loaded if isinstance(loaded, numpy.ndarray) else dict(loaded)


def _ending(name: str) -> str:
    return name[name.rfind(".") :].lower() if "." in name else ""


_LOADERS: dict[str, Callable[[Place, str, dict[str, Any]], Any]] = {
    **dict.fromkeys((".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp"), _image),
    **dict.fromkeys((".mp4", ".avi", ".mov", ".mkv"), _video),
    **dict.fromkeys((".mp3", ".wav", ".flac", ".ogg"), _sound),
    **dict.fromkeys((".txt", ".md", ".log"), _text),
    **dict.fromkeys((".npy", ".npz"), _array),
    ".pdf": _pdf,
    ".json": _json,
}
