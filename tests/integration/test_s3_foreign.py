"""Data sets that others put into a bucket: loose objects, a zip, and what becomes of them."""

import io
import zipfile
from pathlib import Path

import boto3
import pytest

import sojourn
from sojourn.api import verify
from sojourn.testing.s3 import S3Server

pytestmark = pytest.mark.s3

FILES = {
    "train/A.csv": b"x,y\n" + b"1,2\n" * 5_000,
    "train/B.csv": b"x,y\n3,4\n",
    "누수.txt": "자료".encode(),
}


def _zip() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in FILES.items():
            archive.writestr(name, data)
    return made.getvalue()


def _contents(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


@pytest.mark.usefixtures("s3_environment")
@pytest.mark.parametrize("kind", ["loose", "zip", "object"])
def test_it_is_read_pulled_and_packed_anew(s3_server: S3Server, tmp_path: Path, kind: str) -> None:
    client = boto3.client(
        "s3",
        endpoint_url=s3_server.environment["AWS_ENDPOINT_URL"],
        aws_access_key_id=s3_server.environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=s3_server.environment["AWS_SECRET_ACCESS_KEY"],
        region_name="us-east-1",
    )
    bucket = s3_server.bucket
    objects = FILES if kind == "loose" else {"set.zip": _zip()}
    for key, data in objects.items():
        client.put_object(Bucket=bucket, Key=f"foreign-{kind}/{key}", Body=data)
    address = f"s3://{bucket}/foreign-{kind}" + ("/set.zip" if kind == "object" else "")

    dataset = sojourn.open(address)
    assert dataset.files() == ["train/A.csv", "train/B.csv", "누수.txt"]
    assert dataset.read("train/B.csv").to_dict("list") == {"x": [3], "y": [4]}
    first = sojourn.pull(address, tmp_path / "out")
    assert first.files_fetched == len(FILES)
    assert _contents(tmp_path / "out") == FILES
    assert sojourn.pull(address, tmp_path / "out").files_fetched == 0

    target = f"s3://{bucket}/packed-{kind}"
    sojourn.push(address, target)
    assert sojourn.push(address, target).unchanged
    assert verify(target).problems == ()
    assert verify(target, tmp_path / "out").problems == ()
