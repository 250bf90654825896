import pytest

from sojourn.errors import (
    AccessDeniedError,
    ObjectNotFoundError,
    StoreError,
    StoreUnavailableError,
)
from sojourn.stores.refusals import refusal, without_userinfo


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ("404 Not Found: <Error><Code>NoSuchBucket</Code>", StoreError),
        ("status code: 403 Forbidden: <Code>SignatureDoesNotMatch</Code>", AccessDeniedError),
        ("status code: 403 Forbidden: ", AccessDeniedError),
        ("status code: 404 Not Found: ", ObjectNotFoundError),
        ("status code: 503: <Code>SlowDown</Code>", StoreUnavailableError),
        ("status code: 500 Internal", StoreUnavailableError),
        ("status code: 301 Moved", StoreError),
        ("HTTP error: error sending request", StoreUnavailableError),
        ("Generic HTTP error: HTTP error: request or response body error", StoreUnavailableError),
        ("Generic HTTP error: Error performing GET: status code: 416", StoreError),
        ("status code: 410 Gone", ObjectNotFoundError),
        ("Range request not supported by k", StoreError),
        ("Generic HTTP error: Content-Length Header missing from response", StoreError),
        ("Error performing PUT http://169.254.169.254/latest/api/token", AccessDeniedError),
        ("Unable to open file /x: Permission denied (os error 13)", AccessDeniedError),
        ("No space left on device (os error 28)", StoreError),
        ("[Errno 13] Permission denied: '/mnt/x'", AccessDeniedError),
        ("Generic GCS error: Error performing token request: GET", AccessDeniedError),
        ("GET http://metadata/computeMetadata/v1/instance", AccessDeniedError),
        ("status code: 404: <Code>ContainerNotFound</Code>", StoreError),
        ("status code: 403: <Code>AuthenticationFailed</Code>", AccessDeniedError),
        ("GET http://169.254.169.254/metadata/identity/oauth2/token", AccessDeniedError),
        ("Transport endpoint is not connected (os error 107)", StoreError),
        ("something new", StoreError),
    ],
)
def test_an_answer_becomes_the_error_it_stands_for(answer: str, kind: type[StoreError]) -> None:
    error = refusal(answer, doing="read s3://b/k")
    assert type(error) is kind
    assert error.message.startswith("Could not read s3://b/k: ")
    assert error.remedy


def test_an_unknown_code_is_told_and_the_answer_is_not() -> None:
    answer = "status code: 400: <Error><Code>OddThing</Code><Detail>hush</Detail></Error>"
    error = refusal(answer, doing="read it")
    assert "OddThing" in str(error)
    assert "hush" not in str(error)


def test_userinfo_is_taken_out_of_addresses() -> None:
    assert without_userinfo("at http://user:hush@host/p") == "at http://host/p"
    assert "hush" not in str(refusal("odd http://user:hush@host/p", doing="read it"))


@pytest.mark.parametrize("number", [1, 13, 17, 20, 21, 28, 30, 122])
@pytest.mark.parametrize("form", ["said so (os error {})", "[Errno {}] said so: '/mnt/x'"])
def test_what_the_disk_refuses_has_nothing_to_do_with_the_network(number: int, form: str) -> None:
    assert "network" not in refusal(form.format(number), doing="write /mnt/x/k").remedy


def test_a_name_that_cannot_be_listed_has_nothing_to_do_with_the_network() -> None:
    answer = (
        'Encountered object with invalid path: Error parsing Path "/a\tb": Encountered illegal '
    )
    error = refusal(f'{answer}character sequence "\t"', doing="list /mnt/x/")
    assert "such as a tab" in error.message
    assert error.remedy.startswith("Rename that file")


def test_a_folder_on_a_web_server_is_said_to_be_one() -> None:
    error = refusal("Content-Length Header missing from response", doing="look up https://h/p")
    assert "name a file or a zip in it" in error.remedy


@pytest.mark.parametrize(
    ("answer", "names"),
    [
        ("Generic GCS error: Error performing token request", "gcloud auth"),
        ("403: <Code>AuthenticationFailed</Code>", "AZURE_STORAGE_ACCOUNT_KEY"),
        ("Unable to load: CredentialsNotLoaded", "AWS_ACCESS_KEY_ID"),
    ],
)
def test_who_is_denied_is_told_the_variables_of_that_service(answer: str, names: str) -> None:
    assert names in refusal(answer, doing="read").remedy


_REFUSED = 'ConnectError("tcp connect error", {}:9, Os {{ code: 111, kind: ConnectionRefused }})'
_UNKNOWN = "dns error: failed to lookup address information: {}"


@pytest.mark.parametrize(
    ("answer", "is_absent"),
    [
        (_REFUSED.format("127.0.0.1"), True),
        (_REFUSED.format("[::1]"), True),
        (_REFUSED.format("192.0.2.1"), False),
        (_UNKNOWN.format("Name or service not known"), True),
        (_UNKNOWN.format("Temporary failure in name resolution"), False),
        ("operation timed out", False),
    ],
)
def test_nobody_is_where_no_host_has_the_name_or_this_machine_refuses(
    answer: str, *, is_absent: bool
) -> None:
    error = refusal(f"HTTP error: error sending request: {answer}", doing="read it")
    assert isinstance(error, StoreUnavailableError)
    assert error.is_absent == is_absent
    assert "it cannot be reached" in error.message
