"""What an object store answers when it refuses, and which of our errors that is.

One table, read top down: the first row whose pattern is found in the answer decides. It knows
texts, not libraries, so that it can be tested with texts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from sojourn.errors import (
    AccessDeniedError,
    ObjectNotFoundError,
    StoreError,
    StoreUnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

_CREDENTIALS = "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to a key that may use this bucket."
_GOOGLE = (
    "Run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS to the "
    "file with the key of a service account that may use this bucket."
)
_AZURE = (
    "Set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY to an account and its key, or "
    "run `az login` and set AZURE_USE_AZURE_CLI=true."
)
_RIGHTS = "Ask the owner of the store for the right to read, list and write under this address."
_REGION = "Set AWS_REGION to the region that the bucket is in."
_AGAIN = "Check the network and the address (of S3: AWS_ENDPOINT_URL), then run it again."
_SPACE = "Free some space there, or name another folder."

# What a resolver says of a name that nobody has (not of one that it cannot look up just now), and
# what Rust's and requests' errors say of a port of this machine at which nothing listens.
NO_SERVER = re.compile(
    r"name or service not known|nodename nor servname|no such host is known"
    r"|(127\.\d+\.\d+\.\d+|\[::1\]):\d+,\s+Os \{\s+code: \d+,\s+kind: ConnectionRefused",
    re.IGNORECASE,
)
_USERINFO = re.compile(r"(?<=//)[^/@\s]*@")
_ANSWER_CODE = re.compile(r"<Code>(\w+)</Code>")
_LONGEST_REASON = 240


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    pattern: str
    error: Callable[..., StoreError]
    why: str
    remedy: str


def _row(pattern: str, error: Callable[..., StoreError], why: str, remedy: str) -> _Row:
    return _Row(pattern=pattern, error=error, why=why, remedy=remedy)


# Codes of S3: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
# Of Azure: https://learn.microsoft.com/rest/api/storageservices/common-rest-api-error-codes
_TABLE = (
    _row(
        r"<Code>NoSuchBucket<",
        StoreError,
        "there is no such bucket",
        "Create the bucket, or correct its name.",
    ),
    _row(
        r"<Code>InvalidBucketName<",
        StoreError,
        "that is no valid name for a bucket",
        "Bucket names are 3 to 63 lower-case letters, digits, dots and hyphens.",
    ),
    _row(
        r"<Code>ContainerNotFound<",
        StoreError,
        "there is no such container",
        "Create the container, or correct its name.",
    ),
    _row(
        r"<Code>(AuthenticationFailed|AuthorizationFailure|InvalidAuthenticationInfo"
        r"|NoAuthenticationInformation)<",
        AccessDeniedError,
        "it does not accept the credentials",
        _AZURE,
    ),
    _row(
        r"computeMetadata|metadata\.google|Generic GCS error: .*(token|credential)",
        AccessDeniedError,
        "no credentials were found",
        _GOOGLE,
    ),
    _row(
        r"metadata/identity|Generic MicrosoftAzure error: .*(token|credential)",
        AccessDeniedError,
        "no credentials were found",
        _AZURE,
    ),
    _row(
        r"<Code>(SignatureDoesNotMatch|InvalidAccessKeyId|InvalidToken|ExpiredToken)<",
        AccessDeniedError,
        "it does not accept the credentials",
        _CREDENTIALS,
    ),
    _row(
        r"<Code>RequestTimeTooSkewed<",
        AccessDeniedError,
        "this machine's clock differs too much from the store's",
        "Set the clock, then run the command again.",
    ),
    _row(
        r"<Code>(PermanentRedirect|AuthorizationHeaderMalformed)<|status code: 301",
        StoreError,
        "the bucket is in another region",
        _REGION,
    ),
    _row(
        r"latest/api/token|meta-data/iam|169\.254\.1[67]\d\.\d+|CredentialsNotLoaded",
        AccessDeniedError,
        "no credentials were found",
        _CREDENTIALS,
    ),
    _row(
        r"<Code>(SlowDown|ServiceUnavailable|InternalError|RequestTimeout)<",
        StoreUnavailableError,
        "it is busy",
        _AGAIN,
    ),
    _row(r"status code: 40[13]", AccessDeniedError, "it denies access", _RIGHTS),
    _row(
        r"status code: (404|410)",
        ObjectNotFoundError,
        "there is no such object",
        "Check the address.",
    ),
    _row(r"status code: (408|429|5\d\d)", StoreUnavailableError, "it is busy", _AGAIN),
    _row(
        r"Range request not supported",
        StoreError,
        "the server gives whole files only, no parts of them",
        "Serve it with nginx, Caddy or an object store: `python -m http.server` is not enough.",
    ),
    _row(
        r"Content-Length Header missing",
        StoreError,
        "the server does not say how long it is",
        "If it is a folder: a web server lists nothing, so name a file or a zip in it. Else let it "
        "send the files as they are, neither packed on the way nor in chunks.",
    ),
    _row(
        NO_SERVER.pattern,
        partial(StoreUnavailableError, is_absent=True),
        "it cannot be reached",
        _AGAIN,
    ),
    _row(
        # "Generic HTTP error" is only the name of the store that says what follows.
        r"error sending request|(?<!Generic )HTTP error|timed out|error decoding response body"
        r"|connection",
        StoreUnavailableError,
        "it cannot be reached",
        _AGAIN,
    ),
    _row(
        r"Encountered illegal character sequence",
        StoreError,
        "a name there has a character in it that is no part of a name, such as a tab or a line end",
        "Rename that file; `find . -name '*[[:cntrl:]]*'` in its folder shows which.",
    ),
    _row(
        r"(os error |\[errno )(1|13|30)\b",
        AccessDeniedError,
        "this user may not do that there",
        "Give this user the right to it, or name another folder.",
    ),
    _row(
        r"(os error |\[errno )107\b",
        StoreError,
        "what is mounted there has lost its connection",
        'Mount it again; Drive in Colab: `drive.mount("/content/drive", force_remount=True)`.',
    ),
    _row(r"(os error |\[errno )(28|122)\b", StoreError, "the disk is full", _SPACE),
    _row(
        r"(os error |\[errno )(17|20|21)\b",
        StoreError,
        "a file is where a folder is needed, or the reverse",
        "Name an empty or a new folder.",
    ),
)


def refusal(answer: str, *, doing: str) -> StoreError:
    """Return the error that an answer stands for.

    Args:
        answer: What the object store or its library said. Never shown whole: it is long, and may
            hold what was in an address.
        doing: What was tried, on what: "read s3://bucket/leaks/sojourn.json".
    """
    for row in _TABLE:
        if re.search(row.pattern, answer, re.IGNORECASE):
            return row.error(f"Could not {doing}: {row.why}.", remedy=row.remedy)
    return StoreError(f"Could not {doing}: {_reason(answer)}.", remedy=_AGAIN)


def without_userinfo(text: str) -> str:
    """Return the text with what stands before an @ in any address in it taken out."""
    return _USERINFO.sub("", text)


def _reason(answer: str) -> str:
    code = _ANSWER_CODE.search(answer)
    if code:
        return f"it answered {code[1]}"
    first_line = answer.strip().partition("\n")[0]
    return without_userinfo(first_line)[:_LONGEST_REASON].rstrip(". ") or "no reason was given"
