"""No network and no commands while a script is traced: what it would have reached is noted.

Only Python's own sockets and processes are stopped. A library that talks to the network in C, and
who takes sockets from `_socket`, does so past this: the kernel's Landlock can refuse ports, but not
other machines alone, and processes that train together meet at a port of this one.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping
    from types import FrameType

OFFLINE_ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "WANDB_MODE": "disabled",
    "NEPTUNE_MODE": "debug",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "MPLBACKEND": "Agg",
}

# A proxy on this machine would carry past the gate what is meant for others.
_PROXIES = tuple(
    variant
    for name in ("http_proxy", "https_proxy", "ftp_proxy", "all_proxy")
    for variant in (name, name.upper())
)
_INTERNET = (socket.AF_INET, socket.AF_INET6)
_HOME = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}
_PASSED_THROUGH = {"subprocess", "os", "contextlib"}


def block_network(notes: list[str], environ: MutableMapping[str, str]) -> Callable[[], None]:
    """Refuse connections to anything but this machine; return what allows them again.

    Args:
        notes: Gets a line for each host that was asked for.
        environ: Where libraries are told that they are offline, usually the child's `os.environ`.
    """
    before = {name: environ.get(name) for name in (*OFFLINE_ENVIRONMENT, *_PROXIES)}
    environ.update(OFFLINE_ENVIRONMENT)
    for name in _PROXIES:
        environ.pop(name, None)
    undo: list[Callable[[], None]] = [lambda: _restore_environment(environ, before)]

    gate = _Gate(notes)
    _replace(socket.socket, "connect", gate.connect, undo)
    _replace(socket.socket, "connect_ex", gate.connect, undo)
    _replace(socket.socket, "bind", gate.bind, undo)
    _replace(socket.socket, "sendto", gate.send, undo)
    _replace(socket.socket, "sendmsg", gate.send_message, undo)
    for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex", "gethostbyaddr"):
        _replace(socket, name, gate.look_up, undo)
    return _all_of(undo)


class _Gate:
    """Lets through what stays on this machine."""

    def __init__(self, notes: list[str]) -> None:
        self._notes = notes

    def connect(self, original: Any) -> Any:
        def connect(sock: socket.socket, address: Any) -> Any:
            self._check(sock, address)
            return original(sock, address)

        return connect

    def bind(self, original: Any) -> Any:
        def bind(sock: socket.socket, address: Any) -> Any:
            home = _HOME.get(sock.family)
            if home is not None and not (address[0] and _is_loopback(address[0])):
                # Who listens to every network is heard on this machine alone.
                address = (home, *address[1:])
            return original(sock, address)

        return bind

    def send(self, original: Any) -> Any:
        def sendto(sock: socket.socket, data: Any, *rest: Any) -> Any:
            self._check(sock, rest[-1])
            return original(sock, data, *rest)

        return sendto

    def send_message(self, original: Any) -> Any:
        def sendmsg(sock: socket.socket, buffers: Any, *rest: Any) -> Any:
            address = rest[2] if len(rest) > 2 else None  # noqa: PLR2004 - its fourth argument
            if address is not None:
                self._check(sock, address)
            return original(sock, buffers, *rest)

        return sendmsg

    def look_up(self, original: Any) -> Any:
        def look_up(host: Any, *args: Any, **kwargs: Any) -> Any:
            if host and host == socket.gethostname():
                # Asking for one's own name may ask others.
                host = "localhost"
            if host and not _is_loopback(host):
                self._note(host)
                raise socket.gaierror(socket.EAI_AGAIN, f"offline while tracing: {host}")
            return original(host, *args, **kwargs)

        return look_up

    def _check(self, sock: socket.socket, address: Any) -> None:
        if sock.family in _INTERNET and not _is_loopback(address[0]):
            self._note(address[0])
            raise OSError(errno.ENETUNREACH, f"offline while tracing: {address[0]}")

    def _note(self, host: object) -> None:
        line = f"offline while tracing: {host} was not reached"
        if line not in self._notes:
            self._notes.append(line)


def skip_commands(
    notes: list[str], is_user_frame: Callable[[FrameType], bool]
) -> Callable[[], None]:
    """Do not run what the user's own lines start with `os.system` and `subprocess`.

    Each ends at once with status 0 and no output. What libraries start is left alone.
    """
    undo: list[Callable[[], None]] = []

    def guard_system(original: Any) -> Any:
        def system(command: Any) -> int:
            if is_user_frame(_calling_frame()):
                notes.append(f"not run: {command}")
                return 0
            status: int = original(command)
            return status

        return system

    def guard_popen(original: Any) -> Any:
        def start(self: Any, args: Any, *rest: Any, **kwargs: Any) -> None:
            if not is_user_frame(_calling_frame()):
                return original(self, args, *rest, **kwargs)  # type: ignore[no-any-return]
            is_line = isinstance(args, (str, bytes, os.PathLike))
            notes.append(f"not run: {os.fsdecode(args if is_line else ' '.join(map(str, args)))}")
            for name in ("shell", "executable", "cwd", "preexec_fn", "env"):
                kwargs.pop(name, None)
            return original(self, ["true"], *rest, **kwargs)  # type: ignore[no-any-return]

        return start

    _replace(os, "system", guard_system, undo)
    _replace(subprocess.Popen, "__init__", guard_popen, undo)
    return _all_of(undo)


def _calling_frame() -> FrameType:
    """Return the frame that asked, past this file's and the standard library's own."""
    frame = sys._getframe(1)  # noqa: SLF001
    while frame.f_back is not None and (
        frame.f_code.co_filename == __file__ or frame.f_globals.get("__name__") in _PASSED_THROUGH
    ):
        frame = frame.f_back
    return frame


def _is_loopback(host: Any) -> bool:
    text = os.fsdecode(host) if isinstance(host, bytes) else str(host)
    if text in ("localhost", ""):
        return True
    try:
        return ipaddress.ip_address(text.partition("%")[0]).is_loopback
    except ValueError:
        return False


def _replace(
    holder: Any, name: str, guard: Callable[[Any], Any], undo: list[Callable[[], None]]
) -> None:
    inherited = name not in vars(holder)
    original = getattr(holder, name)
    setattr(holder, name, guard(original))
    undo.append(lambda: delattr(holder, name) if inherited else setattr(holder, name, original))


def _restore_environment(environ: MutableMapping[str, str], before: dict[str, str | None]) -> None:
    for name, value in before.items():
        if value is None:
            environ.pop(name, None)
        else:
            environ[name] = value


def _all_of(undo: list[Callable[[], None]]) -> Callable[[], None]:
    def restore() -> None:
        while undo:
            undo.pop()()

    return restore
