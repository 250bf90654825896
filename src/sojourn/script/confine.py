"""The kernel's own word that this process, and all that it starts, writes below given folders only.

Mapped paths and copy-on-write rest on Python's own functions; code below Python (`torch.jit.save`,
a program that the script starts) does not ask them. Linux's Landlock needs no privileges. Where the
kernel has none, nothing is confined, and the caller is told.

Source: Linux, Documentation/userspace-api/landlock.rst; include/uapi/linux/landlock.h.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

# System call numbers, the same on x86-64 and on 64-bit Arm.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_CREATE_RULESET_VERSION = 1
_RULE_PATH_BENEATH = 1
_PR_SET_NO_NEW_PRIVS = 38
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36

# LANDLOCK_ACCESS_FS_*: WRITE_FILE, REMOVE_DIR, REMOVE_FILE, MAKE_CHAR … MAKE_SYM; then what later
# versions of the interface added: REFER (2), TRUNCATE (3).
_WRITING = 1 << 1 | 0b1_1111_1111 << 4
_REFER, _REFER_SINCE = 1 << 13, 2
_TRUNCATE, _TRUNCATE_SINCE = 1 << 14, 3
_OF_FILES = 1 << 1 | _TRUNCATE

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - not to be written to, but to be kept from it
# Patterns below /dev: what swallows, gives or shows, and what a real card is asked through.
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts", "nvidia*")


class _RulesetAttributes(ctypes.Structure):
    _fields_ = (("handled_access_fs", ctypes.c_uint64),)


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32))


def writable_devices(*, guarded: Sequence[Path]) -> list[Path]:
    """Return what of `/dev` a script may write to.

    Semaphores and shared memory lie in `/dev/shm`, with no folder of their own. It is left out
    where somebody's files lie there: `guarded` are the folders that must stay as they are.
    """
    devices = [path for pattern in _DEVICES for path in sorted(Path("/dev").glob(pattern))]
    shared = SHARED_MEMORY.resolve()
    if any(folder.resolve().is_relative_to(shared) for folder in guarded):
        return devices
    return [*devices, shared] if shared.is_dir() else devices


def confine_writes(places: Sequence[Path]) -> bool:
    """Let this thread, and what it starts from now on, write to these files and folders alone.

    It cannot be undone. To be called before other threads are started.

    Returns:
        Whether the kernel could do it.
    """
    if not sys.platform.startswith("linux"):
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(_CREATE_RULESET, None, 0, _CREATE_RULESET_VERSION)
    if version < 1:
        return False
    rights = _WRITING
    rights |= _REFER if version >= _REFER_SINCE else 0
    rights |= _TRUNCATE if version >= _TRUNCATE_SINCE else 0
    attributes = _RulesetAttributes(handled_access_fs=rights)
    size = ctypes.sizeof(attributes)
    ruleset = libc.syscall(_CREATE_RULESET, ctypes.byref(attributes), size, 0)
    if ruleset < 0:
        return False
    try:
        for place in places:
            if not _allow(libc, ruleset, place, rights):
                return False
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        return bool(libc.syscall(_RESTRICT_SELF, ruleset, 0) == 0)
    finally:
        os.close(ruleset)


def _allow(libc: ctypes.CDLL, ruleset: int, place: Path, rights: int) -> bool:
    descriptor = os.open(place, os.O_PATH | os.O_CLOEXEC)
    try:
        # A file has no rights that are about what lies in it.
        rights &= -1 if place.is_dir() else _OF_FILES
        rule = _PathBeneath(allowed_access=rights, parent_fd=descriptor)
        added = libc.syscall(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, ctypes.byref(rule), 0)
        return bool(added == 0)
    finally:
        os.close(descriptor)


def end_with_parent(signal_number: int) -> None:
    """Ask Linux to send this process a signal when the one that started it ends, however it does.

    Source: prctl(2), PR_SET_PDEATHSIG.
    """
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal_number, 0, 0, 0)


def adopt_orphans() -> None:
    """Ask Linux to make this process the parent of whatever its children leave behind.

    Source: prctl(2), PR_SET_CHILD_SUBREAPER.
    """
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
