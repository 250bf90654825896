"""Every error that Sojourn raises on purpose: what happened, why, and the remedy.

    SojournError
    ├── UsageError           2   the command or call was wrong
    │   ├── MissingPackageError      an optional package is not installed
    │   ├── NoSuchFileError          a data set has no such file (also a FileNotFoundError)
    │   └── ReadOnlyError            what is only read was to be written (also a PermissionError)
    ├── CatalogError         3   the tables of accelerators and runtime types
    ├── TraceError           4   the script could not be traced
    │   └── TraceTimeoutError        it took longer than it was given
    ├── StoreError           5   a store refused, or could not be reached
    │   ├── ObjectNotFoundError      no such object (also a FileNotFoundError)
    │   ├── AccessDeniedError        credentials are missing, wrong or too weak
    │   ├── ConflictError            somebody else changed the same objects meanwhile
    │   └── StoreUnavailableError    the store may answer later (retryable)
    ├── IntegrityError       6   data or manifest do not verify
    ├── RunError             7   budget, deadline, runtime lost, job failed
    └── NothingFitsError     8   no runtime type carries the job

The number is the exit status of the command line. An error that is none of these is a bug.
"""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar


class SojournError(Exception):
    """What happened and why; `remedy` says what to do, with the exact command where there is one.

    Args:
        message: What happened, with the value, and why if known. One or two sentences.
        remedy: What the reader can do about it.
    """

    exit_code: ClassVar[int] = 1
    code: ClassVar[str] = "error"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, remedy: str) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".strip()

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions are rebuilt from `args`, which lack the remedy: a pool's worker would hang.
        return partial(type(self), self.message, remedy=self.remedy), ()


class UsageError(SojournError):
    """The command or call cannot be meant as it stands."""

    exit_code = 2
    code = "usage"


class MissingPackageError(UsageError):
    """Something asked for needs a package that is not installed."""

    code = "missing_package"


class NoSuchFileError(UsageError, FileNotFoundError):
    """A data set, or an archive in it, has no file of that name."""

    code = "no_such_file"


class ReadOnlyError(UsageError, PermissionError):
    """Something that is only read was to be written to."""

    code = "read_only"


class CatalogError(SojournError):
    """A catalog file is malformed, or names something that it does not hold."""

    exit_code = 3
    code = "catalog"


class TraceError(SojournError):
    """The script could not be traced."""

    exit_code = 4
    code = "trace"


class TraceTimeoutError(TraceError):
    """The script did not reach its optimizer steps in the time given."""

    code = "trace_timeout"


class StoreError(SojournError):
    """A store refused, or what it holds is not what is needed."""

    exit_code = 5
    code = "store"


class ObjectNotFoundError(StoreError, FileNotFoundError):
    """The store holds no such object."""

    code = "not_found"


class AccessDeniedError(StoreError, PermissionError):
    """Credentials are missing, wrong, or not enough."""

    code = "access_denied"


class ConflictError(StoreError):
    """Somebody else changed what was to be changed, after it was looked at."""

    code = "conflict"


class StoreUnavailableError(StoreError, ConnectionError):
    """The store did not answer, or asked to be left alone for a while.

    Args:
        message: What happened, and why if known.
        remedy: What the reader can do about it.
        wait_s: For how many seconds the store asked to be left alone; None if it did not say.
        is_absent: Nobody is at its address: no host has that name, or nothing listens at that port
            of this machine. Trying again helps only where a server is just being started.
    """

    code = "unavailable"
    retryable = True

    def __init__(
        self, message: str, *, remedy: str, wait_s: float | None = None, is_absent: bool = False
    ) -> None:
        super().__init__(message, remedy=remedy)
        self.wait_s = wait_s
        self.is_absent = is_absent

    def __reduce__(self) -> tuple[Any, ...]:
        build = partial(type(self), self.message, remedy=self.remedy)
        return partial(build, wait_s=self.wait_s, is_absent=self.is_absent), ()


class IntegrityError(SojournError):
    """Data or a manifest do not match their digests."""

    exit_code = 6
    code = "integrity"


class RunError(SojournError):
    """A run ended before its job was done."""

    exit_code = 7
    code = "run"


class NothingFitsError(SojournError):
    """No runtime type that may be used carries the job."""

    exit_code = 8
    code = "nothing_fits"
