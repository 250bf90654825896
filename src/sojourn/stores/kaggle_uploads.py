"""Uploads to Kaggle that were begun or ended and are in no version yet, kept on this disk.

A push that was interrupted finds here what it sent: by key, size and digest, so that nothing is
taken for something else. The tokens are nobody's password, but make files of an account, so the
file is for its owner only.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import threading
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_SCHEMA = "sojourn.kaggle-uploads/1"
# The kaggle CLI 2.2.4 takes uploads for dead after this (RESUMABLE_UPLOAD_EXPIRY_SECONDS).
_EXPIRY_S = 6 * 24 * 3600.0
_READ_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownUpload:
    """An upload: what of, where to, and whether all of it is there."""

    token: str = field(repr=False)
    url: str = field(repr=False)
    begun_at: float
    complete: bool


class UploadJournal:
    """The uploads for one data set. May be used from several threads at once.

    Args:
        path: The file that they are kept in.
        now: Seconds since 1970.
    """

    def __init__(self, path: Path, *, now: Callable[[], float]) -> None:
        self._path = path
        self._now = now
        self._lock = threading.Lock()

    def find(self, identity: str) -> KnownUpload | None:
        """Return the upload of this content, if it is known and young enough."""
        with self._lock:
            known = self._read().get(identity)
        if known is None or known.begun_at < self._now() - _EXPIRY_S:
            return None
        return known

    def note(self, identity: str, *, token: str, url: str, complete: bool) -> None:
        """Remember an upload."""
        upload = KnownUpload(token=token, url=url, begun_at=self._now(), complete=complete)
        with self._lock:
            self._write({**self._read(), identity: upload})

    def forget(self, identities: Iterable[str]) -> None:
        """Forget uploads, and those that are too old."""
        gone = set(identities)
        oldest = self._now() - _EXPIRY_S
        with self._lock:
            known = self._read()
            kept = {
                name: upload
                for name, upload in known.items()
                if name not in gone and upload.begun_at >= oldest
            }
            if kept != known:
                self._write(kept)

    def _read(self) -> dict[str, KnownUpload]:
        try:
            document = json.loads(self._path.read_text("utf-8"))
            if document["schema"] != _SCHEMA:
                return {}
            return {name: KnownUpload(**one) for name, one in document["uploads"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            # What cannot be read is sent again; no more is lost by it.
            return {}

    def _write(self, uploads: dict[str, KnownUpload]) -> None:
        document = {
            "schema": _SCHEMA,
            "uploads": {name: asdict(upload) for name, upload in uploads.items()},
        }
        # A disk that takes no notes is no reason to send nothing.
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            # Made for its owner only, before anything is in it.
            descriptor, name = tempfile.mkstemp(dir=self._path.parent)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(document, file)
            Path(name).replace(self._path)


def identity_of(key: str, body: BinaryIO, size_bytes: int) -> str:
    """Return what a content is known by: its key, size and SHA-256. Reads it from its start."""
    digest = hashlib.sha256()
    body.seek(0)
    while data := body.read(_READ_BYTES):
        digest.update(data)
    return f"{key} {size_bytes} {digest.hexdigest()}"
