"""Buckets of S3, Google Cloud Storage and Azure Blob Storage as stores.

Looks up where each is and checks what obstore would take amiss; `objects` does the work.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from sojourn.errors import AccessDeniedError
from sojourn.stores.endpoints import check_endpoint
from sojourn.stores.objects import SILENCE_S, Bucket, open_at

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sojourn.stores.objects import ObjectStore, Service

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html, as of 2026-01: objects of up to
# 50 TB; S3-compatible servers take 5 TB.
_S3_MAX_OBJECT_BYTES = 5 * 10**12
# https://cloud.google.com/storage/quotas, seen 2026-11: 5 TB (newer copies of it: 5 TiB).
_GS_MAX_OBJECT_BYTES = 5 * 10**12
# https://learn.microsoft.com/azure/storage/blobs/scalability-targets, as of 2026-05: 50,000 blocks
# of up to 4,000 MiB.
_AZ_MAX_OBJECT_BYTES = 50_000 * 4_000 << 20

_AWS_CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
_GOOGLE_CREDENTIALS = ("GOOGLE_BEARER_TOKEN",)
_AZURE_CREDENTIALS = (
    "AZURE_STORAGE_ACCOUNT_NAME",
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_SAS_TOKEN",
    "AZURE_STORAGE_TOKEN",
    "AZURE_CLIENT_SECRET",
)


def open_bucket(
    service: Service,
    name: str,
    prefix: str,
    *,
    environment: Mapping[str, str],
    silence_s: float = SILENCE_S,
) -> ObjectStore:
    """Return the store in a bucket, or a container of Azure's, below a prefix that may be empty.

    Args:
        service: "s3", "gs" or "az".
        name: The bucket's, or container's.
        prefix: Without slashes at its ends.
        environment: Where the address of the server is looked up, and where what cannot be a
            credential is refused. obstore reads the credentials itself, from the variables of the
            process, from what `gcloud auth application-default login` or `az login` left, or from
            the machine's or container's role.
        silence_s: After how many seconds without a byte a server that is read from is given up.

    Raises:
        StoreError: the address, or a credential, cannot be one.
        AccessDeniedError: no account is named, where the service has several.
    """
    find = {"s3": _find_s3, "gs": _find_gs, "az": _find_az}[service]
    return open_at(find(name, prefix, environment), silence_s=silence_s)


def _find_s3(name: str, prefix: str, environment: Mapping[str, str]) -> Bucket:
    endpoint = environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL", "")
    if endpoint:
        check_endpoint(endpoint, variable="AWS_ENDPOINT_URL")
    _check_printable(environment, _AWS_CREDENTIALS)
    return Bucket(
        service="s3",
        name=name,
        prefix=prefix,
        max_object_bytes=_S3_MAX_OBJECT_BYTES,
        # Only an endpoint that is itself given as http:// is spoken to in the clear.
        allow_http=endpoint.startswith("http://"),
    )


def _find_gs(name: str, prefix: str, environment: Mapping[str, str]) -> Bucket:
    # An emulator is asked without credentials.
    emulator = environment.get("STORAGE_EMULATOR_HOST", "")
    if emulator and "://" not in emulator:
        emulator = f"http://{emulator}"  # as Google's own libraries take it
    if emulator:
        check_endpoint(emulator, variable="STORAGE_EMULATOR_HOST")
    _check_printable(environment, _GOOGLE_CREDENTIALS)
    return Bucket(
        service="gs",
        name=name,
        prefix=prefix,
        max_object_bytes=_GS_MAX_OBJECT_BYTES,
        allow_http=emulator.startswith("http://"),
        config={"service_account_key": _nobodys_key(emulator)} if emulator else {},
    )


def _find_az(name: str, prefix: str, environment: Mapping[str, str]) -> Bucket:
    emulated = environment.get("AZURE_STORAGE_USE_EMULATOR", "").lower() in ("1", "true")
    endpoint = environment.get("AZURE_STORAGE_ENDPOINT", "")
    if endpoint:
        check_endpoint(endpoint, variable="AZURE_STORAGE_ENDPOINT")
    _check_printable(environment, _AZURE_CREDENTIALS)
    if not emulated and not environment.get("AZURE_STORAGE_ACCOUNT_NAME"):
        raise AccessDeniedError(
            f"az://{name} does not say whose container that is.",
            remedy="Set AZURE_STORAGE_ACCOUNT_NAME to the storage account, and "
            "AZURE_STORAGE_ACCOUNT_KEY to a key of it unless `az login` was run.",
        )
    return Bucket(
        service="az",
        name=name,
        prefix=prefix,
        max_object_bytes=_AZ_MAX_OBJECT_BYTES,
        allow_http=emulated or endpoint.startswith("http://"),
    )


def _nobodys_key(emulator: str) -> str:
    """Return the key of a service account that asks an emulator and needs no token to do so.

    `skip_signature` would not do: writes ask the machine's own account for a token all the same.
    """
    return json.dumps(
        {
            "gcs_base_url": emulator,
            "disable_oauth": True,
            "client_email": "",
            "private_key": "",
            "private_key_id": "",
        }
    )


def _check_printable(environment: Mapping[str, str], names: Sequence[str]) -> None:
    """Check that credentials can stand in a request's headers; obstore would end the process."""
    for name in names:
        if not environment.get(name, "").isprintable():
            raise AccessDeniedError(
                f"{name} holds a line break or another control character.",
                remedy="Set it again, without what surrounds the value.",
            )
