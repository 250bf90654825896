"""Records of the Kaggle server of the tests: blobs, versions, data sets, and refusals."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


class Refused(Exception):  # noqa: N818 - an answer
    """A call that is answered with an HTTP status and a message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass(slots=True, kw_only=True)
class Blob:
    """A file that is, or was, uploaded."""

    token: str
    name: str
    owner: str
    size_bytes: int
    path: Path
    kept_bytes: int = 0
    expired: bool = False

    @property
    def is_complete(self) -> bool:
        """Whether all of it came."""
        return self.kept_bytes == self.size_bytes


@dataclass(slots=True, kw_only=True)
class Version:
    """One version of a data set: its files by path."""

    files: dict[str, Path]
    notes: str
    polls_until_ready: int
    deleted: bool = False

    @property
    def size_bytes(self) -> int:
        """Bytes in all files."""
        return sum(path.stat().st_size for path in self.files.values())


@dataclass(slots=True, kw_only=True)
class Dataset:
    """A data set."""

    owner: str
    slug: str
    title: str
    license: str
    private: bool
    description: str
    versions: list[Version] = field(default_factory=list)
    collaborators: list[dict[str, Any]] = field(default_factory=list)
    failed: bool = False
