"""What Kaggle answers: records of what it says, and errors for what it refuses."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from sojourn.errors import AccessDeniedError, ObjectNotFoundError, StoreError
from sojourn.printable import printable, shortened
from sojourn.stores.kaggle_busy import BusyError, retry_after_s

AGAIN = "Run it again in a while; https://www.kaggle.com says whether Kaggle itself is down."
_CREDENTIALS = "Set KAGGLE_API_TOKEN to a token from https://www.kaggle.com/settings."
_LONGEST_REASON = 240


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteDataset:
    """What Kaggle says about a data set.

    Attributes:
        version: The number of its current version.
        title: Its heading.
        is_private: Only its owner, and those who are named, may read it.
        size_bytes: Of the current version; None if Kaggle does not say.
        versions: The numbers of all versions that are there; None if Kaggle does not say.
    """

    version: int
    title: str
    is_private: bool
    size_bytes: int | None
    versions: frozenset[int] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteFile:
    """A file of a version."""

    name: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """Where a file can be fetched for a while.

    Attributes:
        url: A signed address: as good as a credential while it lasts.
        is_zipped: What comes is a zip archive that holds the file.
    """

    url: str = field(repr=False)
    is_zipped: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """Where a file is sent to, and what it is called when a version is made of it."""

    url: str = field(repr=False)
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What answers about one data set mean.

    Attributes:
        page: The data set's page.
        credentials_from: Where the credentials that were used are from; None if there were none.
    """

    page: str
    credentials_from: str | None

    def refusal(self, response: Any, text: str) -> StoreError:
        """Return the error for an answer with a status of failure, and a text with it."""
        status = response.status_code
        if status == HTTPStatus.UNAUTHORIZED:
            known = self.credentials_from
            why = f"does not accept the credentials from {known}" if known else "wants credentials"
            return AccessDeniedError(f"Kaggle {why}.", remedy=_CREDENTIALS)
        if status == HTTPStatus.FORBIDDEN:
            return AccessDeniedError(
                f"Kaggle denies access to {self.page}: it is private, or not there.",
                remedy="Check the address, or ask its owner to share it with you."
                if self.credentials_from
                else _CREDENTIALS,
            )
        if status == HTTPStatus.NOT_FOUND:
            return ObjectNotFoundError(
                f"Kaggle has no such data set or file below {self.page}.",
                remedy="Check the address.",
            )
        if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return BusyError(
                f"Kaggle is busy (it answered {status}).",
                remedy=AGAIN,
                after_s=retry_after_s(response.headers.get("Retry-After")),
            )
        return self.refused("answer", text)

    def refused(self, doing: str, reason: str) -> StoreError:
        """Return the error for something that Kaggle did not do, and why."""
        remedy = f"Look at {self.page}; what was sent is not sent again."
        if re.search(r"quota|exceed|limit", reason, re.IGNORECASE):
            remedy = (
                "Delete private data sets that you do not need on https://www.kaggle.com/work, or "
                "push with --public; what was sent is not sent again."
            )
        told = shortened(printable(reason).strip(), _LONGEST_REASON)
        return StoreError(f"Kaggle did not {doing}: {told}", remedy=remedy)
