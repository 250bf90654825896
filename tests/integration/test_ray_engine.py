"""A push packed by a Ray cluster of two nodes, from and to a real S3 server on this machine."""

import os
import random
import threading
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import psutil
import pytest

import sojourn
from sojourn.dataset.push import push_source
from sojourn.dataset.ray_engine import RayEngine
from sojourn.dataset.shards import Sizes
from sojourn.dataset.source import StoreSource
from sojourn.errors import UsageError
from sojourn.progress import NoProgress
from sojourn.stores.base import Store
from sojourn.stores.url import open_store
from sojourn.testing.s3 import S3Server

pytestmark = pytest.mark.s3

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
MIB = 1 << 20
SIZES = Sizes(min_shard_bytes=MIB, mean_shard_bytes=2 * MIB, max_shard_bytes=4 * MIB)
NODE_CPUS = 1
NODE_BYTES = 1 << 30


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    # Keeps Ray to the loopback interface; it reads this as it is imported.
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    utils: Any = pytest.importorskip("ray.cluster_utils")
    cluster = utils.Cluster(initialize_head=False)
    for _ in range(2):
        cluster.add_node(
            num_cpus=NODE_CPUS,
            memory=NODE_BYTES,
            object_store_memory=100 * MIB,
            wait=True,
        )
    yield cluster
    cluster.shutdown()


@pytest.fixture
def prefix(cluster: Any, s3_server: S3Server, s3_environment: pytest.MonkeyPatch) -> str:
    s3_environment.setenv("RAY_ADDRESS", cluster.address)
    return f"s3://{s3_server.bucket}/ray/{uuid.uuid4().hex}"


def _fill(store: Store, megabytes: int) -> None:
    rng = random.Random(5)
    for number in range(megabytes * 2):
        store.put(f"images/{number % 7}/{number:04}.jpg", rng.randbytes(MIB // 2))
    for number in range(40):
        rows = "".join(
            f"{row},{(row + 3 * number) * 7919 % 100_003 / 1000:.3f}\n" for row in range(2_000)
        )
        store.put(f"tables/T_{number:03}.csv", f"time,level\n{rows}".encode())


def _push(source: str, target: str, *, with_ray: bool) -> sojourn.dataset.push.PushReport:
    def ray_engine(source: Any, _sender: Any, advance: Any) -> RayEngine:
        return RayEngine(source, target, advance=advance)

    return push_source(
        StoreSource(open_store(source)),
        open_store(target),
        message="",
        now=NOW,
        progress=NoProgress(),
        sizes=SIZES,
        make_engine=ray_engine if with_ray else None,
    )


def _objects(url: str) -> dict[str, bytes]:
    store = open_store(url)
    return {entry.key: store.get(entry.key) for entry in store.list()}


def test_two_nodes_make_the_objects_that_one_machine_makes(prefix: str) -> None:
    _fill(open_store(f"{prefix}/raw"), megabytes=12)
    alone = _push(f"{prefix}/raw", f"{prefix}/alone", with_ray=False)
    together = _push(f"{prefix}/raw", f"{prefix}/together", with_ray=True)
    assert _objects(f"{prefix}/alone") == _objects(f"{prefix}/together")
    assert together.shards_sent == alone.shards_sent > 3
    again = _push(f"{prefix}/raw", f"{prefix}/together", with_ray=True)
    assert again.unchanged
    assert again.sent_bytes == 0


def test_a_cluster_leaves_out_what_one_machine_leaves_out(prefix: str) -> None:
    raw = open_store(f"{prefix}/raw")
    for key in ("a.csv", "images/1.jpg", "images/raw/2.jpg", ".git/HEAD"):
        raw.put(key, key.encode() * 1000)
    left_out = ["**/raw", ".git"]
    pushed = [
        sojourn.push(f"{prefix}/raw", f"{prefix}/{engine}", engine=engine, exclude=left_out)
        for engine in ("threads", "ray")
    ]
    assert pushed[0].revision == pushed[1].revision
    assert sojourn.open(f"{prefix}/ray").files() == ["a.csv", "images/1.jpg"]


def test_a_worker_that_is_killed_half_way_changes_nothing(prefix: str) -> None:
    _fill(open_store(f"{prefix}/raw"), megabytes=24)
    killed: list[int] = []
    ended = threading.Event()

    def kill_one() -> None:
        while not killed and not ended.is_set():
            for worker in _workers():
                worker.kill()
                killed.append(worker.pid)
                return
            time.sleep(0.01)

    killer = threading.Thread(target=kill_one)
    killer.start()
    try:
        _push(f"{prefix}/raw", f"{prefix}/together", with_ray=True)
    finally:
        ended.set()
        killer.join()
    assert killed
    _push(f"{prefix}/raw", f"{prefix}/alone", with_ray=False)
    assert _objects(f"{prefix}/alone") == _objects(f"{prefix}/together")


def _workers() -> list[psutil.Process]:
    """Return the processes of this test's cluster that pack right now."""
    found = []
    for process in psutil.Process(os.getpid()).children(recursive=True):
        try:
            title = " ".join(process.cmdline())
        except psutil.Error:
            continue
        if title.startswith("ray::pack_remotely"):
            found.append(process)
    return found


def test_a_folder_of_this_machine_is_not_for_a_cluster(prefix: str) -> None:
    with pytest.raises(UsageError, match="which a cluster's workers do not see"):
        sojourn.push("/etc", f"{prefix}/x", engine="ray")
