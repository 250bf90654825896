"""A data set as the source of a push: its files, from store to store, none of them on the disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sojourn.dataset.digests import Digester
from sojourn.dataset.listing import Entry
from sojourn.dataset.manifest import DIGEST_PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sojourn.dataset.dataset import Dataset
    from sojourn.dataset.manifest import Member


class DatasetSource:
    """The members of a data set, whether it was pushed with Sojourn or not.

    Args:
        dataset: What is sent.
    """

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._members = {member.path: member for member in dataset.manifest.members}

    @property
    def name(self) -> str:
        """The data set's address."""
        return self._dataset.url

    def entries(self) -> tuple[Entry, ...]:
        """Return the members, as a folder would list them."""
        return tuple(
            Entry(
                path=member.path,
                kind=member.kind,
                mode=member.mode,
                size_bytes=member.size_bytes,
                modified_ns=0,
                target=member.target,
            )
            for member in self._members.values()
        )

    def chunks(self, entry: Entry) -> Iterator[bytes]:
        """Yield a file's bytes, and make sure in the end that they are what was pushed."""
        if entry.kind == "file":
            yield from self._dataset.chunks(self._members[entry.path])

    def digest(self, path: str) -> str:
        """Return the digest of a file's bytes; what has one in its manifest is not fetched."""
        member = self._members[path]
        if member.digest is not None and member.digest.startswith(DIGEST_PREFIX):
            return member.digest
        return self._made(member)

    def _made(self, member: Member) -> str:
        digester = Digester(DIGEST_PREFIX)
        for data in self._dataset.chunks(member):
            digester.update(data)
        return digester.digest() or ""
