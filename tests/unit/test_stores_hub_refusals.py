import pytest

from sojourn.errors import (
    AccessDeniedError,
    ConflictError,
    ObjectNotFoundError,
    StoreError,
    StoreUnavailableError,
)
from sojourn.stores.hub_refusals import Answer, hub_refusal, unreachable
from sojourn.stores.waits import asked_wait_s


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, StoreError),
        (401, AccessDeniedError),
        (402, StoreError),
        (403, AccessDeniedError),
        (404, ObjectNotFoundError),
        (408, StoreUnavailableError),
        (409, ConflictError),
        (410, ObjectNotFoundError),
        (412, ConflictError),
        (413, StoreError),
        (429, StoreUnavailableError),
        (500, StoreUnavailableError),
        (504, StoreUnavailableError),
    ],
)
def test_an_answer_becomes_the_error_it_stands_for(status: int, kind: type[StoreError]) -> None:
    error = hub_refusal(Answer(status=status, headers={}), doing="read hf://datasets/me/x/k")
    assert type(error) is kind
    assert error.message.startswith("Could not read hf://datasets/me/x/k: ")
    assert error.remedy


def test_what_the_hub_says_is_one_short_line_without_credentials() -> None:
    says = "https://user:hush@host is\x1b full" + "x" * 1000 + "\nand more"
    error = hub_refusal(Answer(status=400, headers={}, reason=says), doing="write k")
    assert "hush" not in str(error)
    assert "\n" not in error.message
    assert error.message.isprintable()
    assert len(error.message) < 350


def test_a_hub_that_is_busy_and_speaks_of_quotas_may_be_asked_again() -> None:
    answer = Answer(status=429, headers={"retry-after": "3"}, reason="quota exceeded")
    error = hub_refusal(answer, doing="read k")
    assert isinstance(error, StoreUnavailableError)
    assert error.wait_s == 3


def test_no_answer_at_all_may_be_asked_for_again() -> None:
    assert unreachable("", doing="read k").retryable
    assert "connection broke" in unreachable("", doing="read k").message


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({}, None),
        ({"Retry-After": "120"}, 120),
        ({"retry-after": " 7 "}, 7),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-5"}, None),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, None),
        (
            {
                "Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT",
                "Date": "Wed, 21 Oct 2015 07:27:00 GMT",
            },
            60,
        ),
        (
            {
                "Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT",
                "Date": "Wed, 21 Oct 2015 07:29:00 GMT",
            },
            0,
        ),
        ({"RateLimit": '"api";r=0;t=55'}, 55),
        ({"RateLimit": '"api";r=499;t=55', "Retry-After": "2"}, 2),
    ],
)
def test_a_server_says_how_long_to_wait(headers: dict[str, str], wait_s: float | None) -> None:
    assert asked_wait_s(headers) == wait_s
