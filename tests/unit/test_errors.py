from __future__ import annotations

import pickle
import re

import pytest

import sojourn.errors
from sojourn.errors import (
    AccessDeniedError,
    CatalogError,
    ConflictError,
    IntegrityError,
    MissingPackageError,
    NoSuchFileError,
    NothingFitsError,
    ObjectNotFoundError,
    ReadOnlyError,
    RunError,
    SojournError,
    StoreError,
    StoreUnavailableError,
    TraceError,
    TraceTimeoutError,
    UsageError,
)


def every_error() -> list[type[SojournError]]:
    return [
        value
        for value in vars(sojourn.errors).values()
        if isinstance(value, type) and issubclass(value, SojournError)
    ]


@pytest.mark.parametrize(
    ("error", "exit_code"),
    [
        (UsageError, 2),
        (MissingPackageError, 2),
        (NoSuchFileError, 2),
        (ReadOnlyError, 2),
        (CatalogError, 3),
        (TraceError, 4),
        (TraceTimeoutError, 4),
        (StoreError, 5),
        (ObjectNotFoundError, 5),
        (AccessDeniedError, 5),
        (ConflictError, 5),
        (StoreUnavailableError, 5),
        (IntegrityError, 6),
        (RunError, 7),
        (NothingFitsError, 8),
    ],
)
def test_exit_status_is_what_scripts_rely_on(error: type[SojournError], exit_code: int) -> None:
    assert error.exit_code == exit_code


def test_each_error_has_a_code_of_its_own() -> None:
    codes = [error.code for error in every_error()]

    assert len(set(codes)) == len(codes)


def test_docstring_draws_the_whole_tree() -> None:
    drawn = set(re.findall(r"\w+Error\b", sojourn.errors.__doc__ or ""))

    assert {error.__name__ for error in every_error()} <= drawn


def test_error_reads_as_what_happened_and_the_remedy() -> None:
    error = StoreError("The bucket is gone.", remedy="Make it again.")

    assert str(error) == "The bucket is gone. Make it again."


def test_error_without_remedy_ends_after_the_message() -> None:
    assert str(StoreError("The bucket is gone.", remedy="")) == "The bucket is gone."


def test_only_an_unavailable_store_is_worth_another_try() -> None:
    assert [error for error in every_error() if error.retryable] == [StoreUnavailableError]


@pytest.mark.parametrize(
    ("error", "built_in"),
    [
        (NoSuchFileError, FileNotFoundError),
        (ReadOnlyError, PermissionError),
        (ObjectNotFoundError, FileNotFoundError),
        (AccessDeniedError, PermissionError),
        (StoreUnavailableError, ConnectionError),
    ],
)
def test_leaf_is_caught_as_the_built_in_that_people_expect(
    error: type[SojournError], built_in: type[Exception]
) -> None:
    with pytest.raises(built_in) as caught:
        raise error("No.", remedy="Mend it.")

    assert isinstance(caught.value, SojournError)
    assert str(caught.value) == "No. Mend it."


@pytest.mark.parametrize("error", every_error())
def test_an_error_survives_the_way_from_another_process(error: type[SojournError]) -> None:
    back = pickle.loads(pickle.dumps(error("No.", remedy="Mend it.")))

    assert type(back) is error
    assert str(back) == "No. Mend it."


def test_a_wait_that_a_store_asked_for_survives_the_way_between_processes() -> None:
    error = StoreUnavailableError("Too many requests.", remedy="Wait.", wait_s=37.0)
    back = pickle.loads(pickle.dumps(error))
    assert (back.wait_s, str(back)) == (37.0, str(error))
