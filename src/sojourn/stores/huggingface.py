"""Data sets on the Hugging Face Hub as a store: `hf://datasets/OWNER/NAME`.

A repository there is a git repository with large files beside it, so what readers see is a commit,
and a hub takes few of them. What is put goes to the hub's storage at once, and into the repository
with the next `publish`: a push of up to a hundred shards is one commit.

Not for models and spaces, and never for another branch than main.
"""

from __future__ import annotations

import threading
from itertools import islice
from typing import TYPE_CHECKING, Any

from sojourn.errors import ObjectNotFoundError, StoreError, StoreUnavailableError
from sojourn.stores.base import (
    Capabilities,
    StoredObject,
    body_size_bytes,
    check_key,
    check_prefix,
    needs_write,
)
from sojourn.stores.hub_api import SILENCE_S, HubRepository, open_hub_repo, telling
from sojourn.units import MIB, format_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sojourn.progress import Progress
    from sojourn.stores.base import Body, Swap
    from sojourn.stores.hub_api import Addition

# https://huggingface.co/docs/hub/storage-limits, seen 2026-11: no file above 500 GB, no folder
# with more than 10,000 files, and 50 to 100 files in a commit, for it has to be done in 60 s.
_MAX_OBJECT_BYTES = 500 * 10**9
_MAX_FOLDER_ENTRIES = 10_000
_MAX_FILES_IN_COMMIT = 100
# One less, for the object that is swapped with them.
_FULL = _MAX_FILES_IN_COMMIT - 1
# https://huggingface.co/docs/hub/repositories-getting-started, seen 2026-11: a push with a larger
# file that is not kept beside the repository is rejected.
_MAX_SMALL_FILE_BYTES = 10 * MIB
# Up to here, files wait in memory for the commit, which then asks once how to send all of them.
_MAX_WAITING_BYTES = 256 * 1024

# The hub makes it with each repository: which files are large. It is no object of ours.
_HIDDEN_KEYS = frozenset({".gitattributes"})
# How often a commit is tried anew on top of what others committed meanwhile.
_ATTEMPTS_TO_COMMIT = 8


def open_huggingface(
    owner: str,
    name: str,
    *,
    environment: Mapping[str, str],
    silence_s: float = SILENCE_S,
) -> HuggingFaceStore:
    """Return the store in a data set repository of the hub; made, private, when first written to.

    Args:
        owner: A user or an organization.
        name: Of the data set.
        environment: Where HF_ENDPOINT is looked up, the address of another hub. huggingface_hub
            finds the token itself: HF_TOKEN, Colab's secret of that name, `hf auth login`.
        silence_s: After how many seconds without a byte a server that is read from is given up.

    Raises:
        StoreError: owner or name cannot be one.
        AccessDeniedError: what is found as a token cannot be one.
        MissingPackageError: huggingface_hub is not installed.
    """
    return HuggingFaceStore(
        open_hub_repo(owner, name, environment=environment, silence_s=silence_s)
    )


class HuggingFaceStore:
    """A data set repository, at the head of its main branch."""

    def __init__(self, hub: HubRepository) -> None:
        self._hub = hub
        self.url = hub.url
        self.capabilities = Capabilities(
            max_object_bytes=_MAX_OBJECT_BYTES, max_folder_entries=_MAX_FOLDER_ENTRIES
        )
        self._lock = threading.Lock()
        self._committing = threading.Lock()
        # What was put since the last commit; None: deleted.
        self._staged: dict[str, Addition | None] = {}
        self._folders: dict[str, set[str]] = {}
        self._is_made = False

    def get(self, key: str) -> bytes:
        """Return the whole object."""
        check_key(key)
        with telling(f"read {self.url}/{key}"):
            return self._hub.fetch(key)

    def get_range(self, key: str, *, offset: int, size_bytes: int) -> bytes:
        """Return a part of the object, fewer bytes where it ends sooner."""
        check_key(key)
        with telling(f"read {self.url}/{key}"):
            if size_bytes == 0:
                self._hub.size_bytes(key)
                return b""
            return self._hub.fetch_part(key, offset=offset, size_bytes=size_bytes)

    def put(self, key: str, body: Body) -> None:
        """Send the object; it is in the repository with the next `publish`, or hundredth `put`."""
        with telling(f"write {self.url}/{key}"):
            operation = self._sent(key, body)
            with self._lock:
                self._staged[key] = operation
                is_full = len(self._staged) >= _FULL
            if is_full:
                self._commit_full()

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """Yield the objects below the prefix."""
        check_prefix(prefix)
        for entry in self._hub.entries(prefix.rstrip("/"), recursive=True):
            size_bytes = getattr(entry, "size", None)
            if size_bytes is not None and entry.path not in _HIDDEN_KEYS:
                large = getattr(entry, "lfs", None)
                yield StoredObject(
                    key=entry.path,
                    size_bytes=size_bytes,
                    digest=f"sha256:{large.sha256}" if large else None,
                    version=entry.blob_id,
                )

    def find(self, key: str) -> int | None:
        """Return the object's size in bytes, or None."""
        check_key(key)
        try:
            with telling(f"look up {self.url}/{key}"):
                return self._hub.size_bytes(key)
        except ObjectNotFoundError:
            return None

    def delete(self, key: str) -> None:
        """Leave the object out of the repository from the next `publish` on."""
        check_key(key)
        with self._lock:
            self._staged[key] = None

    def publish(self, swap: Swap | None = None, *, message: str, progress: Progress) -> None:
        """Commit what was put and deleted, and with it the swapped object if nobody changed it."""
        del message, progress  # commits are called after what is in them
        doing = f"write {self.url}/{swap.key}" if swap else f"write to {self.url}"
        # Whoever finds nothing staged has waited for the commit that has it.
        with telling(doing), self._committing:
            with self._lock:
                staged, self._staged = self._staged, {}
            self._commit(staged, swap)

    def room_bytes(self) -> int | None:
        """Return None: the hub does not say."""
        return None

    def _sent(self, key: str, body: Body) -> Addition:
        """Send a file to the hub's storage unless it is small; return what commits it."""
        check_key(key)
        size_bytes = body_size_bytes(body)
        self._check_size(key, size_bytes)
        self._make()
        self._check_room(key)
        is_small = size_bytes <= _MAX_SMALL_FILE_BYTES
        operation = self._hub.addition(key, body, in_memory=is_small)
        if size_bytes > _MAX_WAITING_BYTES and not self._hub.send(operation) and not is_small:
            raise StoreError(
                f"{self.url} would keep {key} as a small file, which may have up to "
                f"{format_bytes(_MAX_SMALL_FILE_BYTES)}.",
                remedy="Remove what its .gitattributes says about such files.",
            )
        return operation

    def _check_size(self, key: str, size_bytes: int) -> None:
        if size_bytes > _MAX_OBJECT_BYTES:
            raise StoreError(
                f"The hub takes files of up to {format_bytes(_MAX_OBJECT_BYTES)}, and {key} has "
                f"{format_bytes(size_bytes)}.",
                remedy="Split the file.",
            )

    def _check_room(self, key: str) -> None:
        """Check that the folder takes one more file, and count it."""
        folder, _, name = key.rpartition("/")
        with self._lock:
            if folder not in self._folders:
                below = self._hub.entries(folder, recursive=False)
                self._folders[folder] = {entry.path.rpartition("/")[2] for entry in below}
            names = self._folders[folder]
            if name not in names and len(names) >= _MAX_FOLDER_ENTRIES:
                raise StoreError(
                    f"{self.url}/{folder} holds {len(names)} files, and the hub takes no more "
                    "in a folder.",
                    remedy="Push to a data set of another name.",
                )
            names.add(name)

    def _make(self) -> None:
        with self._lock:
            if not self._is_made:
                self._hub.make()
                self._is_made = True

    def _commit_full(self) -> None:
        with self._committing:
            with self._lock:
                if len(self._staged) < _FULL:
                    return  # another thread was quicker
                full = dict(islice(self._staged.items(), _FULL))
                self._staged = {k: v for k, v in self._staged.items() if k not in full}
            self._commit(full)

    def _commit(self, staged: dict[str, Addition | None], swap: Swap | None = None) -> None:
        """Commit what was staged, and keep it for the next time if that fails.

        Raises:
            ConflictError: what is swapped holds something else than is expected.
            StoreUnavailableError: others commit without a pause.
        """
        try:
            self._commit_on_top(staged, swap)
        except BaseException:
            with self._lock:
                # What was staged meanwhile is newer.
                self._staged = staged | self._staged
            raise

    def _commit_on_top(self, staged: dict[str, Addition | None], swap: Swap | None) -> None:
        """Commit, on top of what others committed meanwhile."""
        replacing = self._sent(swap.key, swap.body) if swap else None
        for _ in range(_ATTEMPTS_TO_COMMIT):
            parent, operations = None, self._operations(staged)
            if swap is not None:
                parent = self._hub.head()
                held = self._held(swap.key, parent)
                if needs_write(swap, held=held, url=self.url):
                    operations = (*operations, replacing)
            if not operations or self._hub.commit(operations, parent=parent):
                return
        raise StoreUnavailableError(
            f"Others commit to {self.url} all the time.", remedy="Push again when they are done."
        )

    def _operations(self, staged: dict[str, Addition | None]) -> tuple[Any, ...]:
        """Return what commits this: nothing for what is deleted and is not there."""
        added = [operation for operation in staged.values() if operation is not None]
        deleted = [key for key, operation in staged.items() if operation is None]
        found = [self._hub.removal(key) for key in deleted if self.find(key) is not None]
        return (*added, *found)

    def _held(self, key: str, commit: str) -> bytes | None:
        try:
            with telling(f"read {self.url}/{key}"):
                return self._hub.fetch(key, revision=commit)
        except ObjectNotFoundError:
            return None
