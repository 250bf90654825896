"""Packing on a Ray cluster: each task packs one group of a store's objects and sends its shard.

A task reads from the source and writes to the store by their addresses, so nothing but names goes
through the driver. It may be run again at any time: the same group makes the same shard, and one
that is stored is not sent again. The only file that imports ray.
"""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor
from importlib import import_module
from typing import TYPE_CHECKING, Any, Self

from sojourn.dataset.engine import Group, PackedGroup, pack_group
from sojourn.dataset.sending import Sender
from sojourn.dataset.source import StoreSource
from sojourn.errors import MissingPackageError, SojournError, StoreError, UsageError
from sojourn.progress import NoProgress
from sojourn.stores.url import open_store

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from sojourn.dataset.source import Source

# Tasks that wait or run at once, for each processor of the cluster.
_TASKS_PER_CPU = 2
# A worker that is killed, or a node that is lost, is no fault of the task's.
_TRIES_AGAIN = 5
# One task packs with two threads within half a GB: frames and files of 3 x (8 + 8) MiB, packed and
# not, and the libraries.
_CPUS_PER_TASK = 1
_MEMORY_BYTES = 512 << 20
_THREADS = 2
# How workers reach the stores. Values are handed to the cluster's workers and shown nowhere.
_PASSED_ON = ("AWS_", "GOOGLE_", "AZURE_", "HF_")


class RayEngine:
    """Packs groups on the Ray cluster that RAY_ADDRESS names, or on a local one.

    Args:
        source: Where the objects are; its name is their address.
        store: The address of the store that shards go to.
        advance: Takes how many bytes of files were dealt with, and how many files.

    Raises:
        MissingPackageError: ray is not installed.
        UsageError: the source is no store that workers can reach.
    """

    def __init__(self, source: Source, store: str, *, advance: Callable[[int, int], None]) -> None:
        self._ray = _import_ray()
        for what, address in (("source", source.name), ("destination", store)):
            if "://" not in address or address.startswith("file:"):
                raise UsageError(
                    f"The {what} {address} is a folder of this machine, which a cluster's workers "
                    "do not see.",
                    remedy="Use s3:// addresses for both with --engine ray.",
                )
        self._source = source.name
        self._store = store
        self._advance = advance
        self._under_way: dict[Any, tuple[Group, Future[PackedGroup]]] = {}
        self._began = False
        self.sent_shards = 0
        self.sent_bytes = 0

    def pack(self, group: Group) -> Future[PackedGroup]:
        """Hand a group to the cluster; wait while it has enough to do."""
        while len(self._under_way) >= self._most_under_way():
            self._take_one()
        done: Future[PackedGroup] = Future()
        task = self._task.remote(group, self._source, self._store)
        self._under_way[task] = (group, done)
        return done

    def __enter__(self) -> Self:
        ray = self._ray
        if not ray.is_initialized():
            _join_cluster(ray, os.environ.get("RAY_ADDRESS", ""))
            self._began = True
        options = {"num_cpus": _CPUS_PER_TASK, "memory": _MEMORY_BYTES, "max_retries": _TRIES_AGAIN}
        self._task = ray.remote(**options)(pack_remotely)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                while self._under_way:
                    self._take_one()
            for task in self._under_way:
                self._ray.cancel(task, force=True)
        finally:
            if self._began:
                self._ray.shutdown()

    def _most_under_way(self) -> int:
        cpus = self._ray.cluster_resources().get("CPU", 1)
        return max(1, int(cpus) * _TASKS_PER_CPU)

    def _take_one(self) -> None:
        """Wait for a task to end, and take what it packed.

        Raises:
            SojournError: it could not pack.
        """
        (task, *_), _ = self._ray.wait(list(self._under_way), num_returns=1)
        group, done = self._under_way.pop(task)
        try:
            packed, sent_shards, sent_bytes = self._ray.get(task)
        except self._ray.exceptions.RayTaskError as error:
            raise _own_error(error) from error
        except self._ray.exceptions.RayError as error:
            raise StoreError(
                f"The cluster could not pack a shard: {str(error).splitlines()[0]}",
                remedy="Look at the cluster (`ray status`), and push again; what was sent is not "
                "sent again.",
            ) from error
        self.sent_shards += sent_shards
        self.sent_bytes += sent_bytes
        files = [entry for entry in group.entries if entry.kind == "file"]
        self._advance(sum(entry.size_bytes for entry in files), len(files))
        done.set_result(packed)


def _join_cluster(ray: Any, address: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name.startswith(_PASSED_ON)}
    ray.init(
        address=address or None,
        log_to_driver=False,
        logging_level="ERROR",
        runtime_env={"env_vars": environment},
    )


def pack_remotely(group: Group, source: str, store: str) -> tuple[PackedGroup, int, int]:
    """Pack a group and send its shard, in a worker.

    Args:
        group: What is packed.
        source: The address of its objects.
        store: The address of where the shard goes.

    Returns:
        The shard and its members, how many shards were sent (one or none), and how many bytes.
    """
    opened = open_store(store)
    sender = Sender(opened)
    with ThreadPoolExecutor(_THREADS, "pack") as pool, sender:
        packed = pack_group(
            group,
            StoreSource(open_store(source)),
            sender,
            pool=pool,
            ahead=_THREADS + 1,
            advance=lambda *_: None,
        )
    if sender.sent_shards:
        # What this store object was sent, the process that publishes the manifest does not know of.
        opened.publish(message=f"shard {packed.shard.key}", progress=NoProgress())
    return packed, sender.sent_shards, sender.sent_bytes


def _own_error(error: Any) -> SojournError:
    """Return what a task raised: an error of ours, or one that wraps another's."""
    cause = error.cause
    if isinstance(cause, SojournError):
        return cause
    return StoreError(
        f"A worker of the cluster failed: {type(cause).__name__}: {cause}",
        remedy="See that the workers have the same version of sojourn and reach both stores, and "
        "push again.",
    )


def _import_ray() -> Any:
    try:
        return import_module("ray")
    except ImportError as error:
        raise MissingPackageError(
            "--engine ray needs ray, which is not installed.",
            remedy="Run `pip install 'sojourn[ray]'`.",
        ) from error
