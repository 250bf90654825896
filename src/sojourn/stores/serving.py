"""The helper process of `forking`: reads from a store for a process that cannot do it itself."""

from __future__ import annotations

import pickle
from functools import cache, partial
from typing import IO, TYPE_CHECKING, Any

from sojourn.errors import SojournError
from sojourn.stores.url import open_store

if TYPE_CHECKING:
    from collections.abc import Callable

    from sojourn.stores.base import Store


def serve(requests: IO[bytes], answers: IO[bytes]) -> None:
    """Answer requests until there are no more.

    Args:
        requests: The store's address, then for each request its verb, key and named arguments.
        answers: Gets what the verb returns, or the error that it raises.
    """
    url = _next(requests)
    opened = cache(open_store)
    while (request := _next(requests)) is not None:
        pickle.dump(_answer(partial(opened, url), *request), answers)
        answers.flush()


def _next(requests: IO[bytes]) -> Any:
    try:
        return pickle.load(requests)  # noqa: S301 - from the process that started this one
    except EOFError:
        return None


def _answer(store: Callable[[], Store], verb: str, key: str, arguments: dict[str, int]) -> Any:
    try:
        answer = getattr(store(), verb)(key, **arguments)
        return list(answer) if verb == "list" else answer
    except SojournError as error:
        return error
