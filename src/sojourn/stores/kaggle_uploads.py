"""Uploads to Kaggle that were begun or ended and are in no version yet, noted on this disk.

A push that was interrupted finds here what it sent: by key, size and digest, so that nothing is
taken for something else. A file for each, so that two pushes at once do not meet. The tokens are
nobody's password, but make files of an account, so the files are for their owner only.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# The kaggle CLI 2.2.4 takes uploads for dead after this (RESUMABLE_UPLOAD_EXPIRY_SECONDS).
_EXPIRY_S = 6 * 24 * 3600.0
_READ_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownUpload:
    """An upload: what of, where to, when it was noted, and whether all of it is there."""

    identity: str
    token: str = field(repr=False)
    url: str = field(repr=False)
    noted_at: float
    complete: bool


class UploadJournal:
    """The uploads for one data set. May be used from several threads at once.

    Args:
        folder: Where they are noted; it is made.
        now: Seconds since 1970.
    """

    def __init__(self, folder: Path, *, now: Callable[[], float]) -> None:
        self._folder = folder
        self._now = now

    def find(self, identity: str) -> KnownUpload | None:
        """Return the upload of this content, if it is known and young enough."""
        try:
            known = KnownUpload(**json.loads(self._path(identity).read_text("utf-8")))
        except (OSError, ValueError, TypeError):
            # What cannot be read is sent again; no more is lost by it.
            return None
        if known.identity != identity or known.noted_at < self._now() - _EXPIRY_S:
            return None
        return known

    def note(self, identity: str, *, token: str, url: str, complete: bool) -> None:
        """Remember an upload."""
        upload = KnownUpload(
            identity=identity, token=token, url=url, noted_at=self._now(), complete=complete
        )
        # A disk that takes no notes is no reason to send nothing.
        with suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            # Made for its owner only, before anything is in it.
            descriptor, name = tempfile.mkstemp(dir=self._folder)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(asdict(upload), file)
            Path(name).replace(self._path(identity))

    def forget(self, identities: Iterable[str]) -> None:
        """Forget uploads, and what is too old."""
        with suppress(OSError):
            for identity in identities:
                self._path(identity).unlink(missing_ok=True)
            oldest = self._now() - _EXPIRY_S
            for path in list(self._folder.iterdir()):
                if path.stat().st_mtime < oldest:
                    path.unlink(missing_ok=True)

    def _path(self, identity: str) -> Path:
        return self._folder / f"{hashlib.sha256(identity.encode()).hexdigest()}.json"


def identity_of(key: str, body: BinaryIO, size_bytes: int) -> str:
    """Return what a content is known by: its key, size and SHA-256. Reads it from its start."""
    digest = hashlib.sha256()
    body.seek(0)
    while data := body.read(_READ_BYTES):
        digest.update(data)
    return f"{key} {size_bytes} {digest.hexdigest()}"
