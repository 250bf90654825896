"""What packages raise of a file that is damaged, turned into an error that names the file."""

from __future__ import annotations

import struct
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sojourn.errors import SojournError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

# What decoders stumble over in bytes that make no sense, besides what is of their own making.
_STUMBLES: tuple[type[Exception], ...] = (
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    EOFError,
    OSError,
    SyntaxError,
    RuntimeError,
    struct.error,
    zlib.error,
)


@contextmanager
def naming(name: str, *of_package: type[Exception]) -> Iterator[None]:
    """Name the file that cannot be read, and hide how a package came to say so.

    Args:
        name: The file.
        *of_package: Errors of the package's own making.

    Raises:
        UsageError: the package raised something. What Sojourn itself raises stays as it is.
    """
    errors = (*_STUMBLES, *of_package)
    try:
        yield
    except SojournError:
        raise
    except errors as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise UsageError(
            f"{name!r} cannot be read: {reason.rstrip('.')}.",
            remedy="Check that it opens where it was pushed from, and push it again; "
            "`read_bytes(name)` returns it as it is.",
        ) from None
