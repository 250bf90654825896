"""A wire to a server on this machine that counts what goes over it, and breaks on order.

It knows nothing of what it carries, but for the answers that it is told to give by itself. A
signature holds over it, for the client signs the wire's own address.
"""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

_HOST = "127.0.0.1"
_PIECE_BYTES = 1 << 16
_END_OF_HEAD = b"\r\n\r\n"


@dataclass(slots=True, kw_only=True)
class Wire:
    """A wire that is up.

    Attributes:
        url: Its address, instead of the server's.
        up_bytes: What clients sent so far, heads of requests included.
        down_bytes: What the server sent so far.
        wait_s: So long each piece is on its way to the client, in seconds.
        answers: Given to the next connections, one each, instead of what the server says.
        drops: So many of the next connections end when the server has sent `drop_after_bytes`.
        drop_after_bytes: See `drops`.
        connections: How many there were so far.
    """

    url: str = ""
    up_bytes: int = 0
    down_bytes: int = 0
    wait_s: float = 0.0
    answers: list[bytes] = field(default_factory=list)
    drops: int = 0
    drop_after_bytes: int = 0
    connections: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock, init=False)


@contextmanager
def wire_to(url: str) -> Iterator[Wire]:
    """Lay a wire to a server until the end of the `with`."""
    target = urlsplit(url)
    with socket.create_server((_HOST, 0), backlog=64) as listener:
        port = listener.getsockname()[1]
        wire = Wire(url=target._replace(netloc=f"{_HOST}:{port}").geturl())
        server = (target.hostname or _HOST, target.port or 80)
        thread = threading.Thread(target=_accept, args=(listener, wire, server), daemon=True)
        thread.start()
        try:
            yield wire
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def _accept(listener: socket.socket, wire: Wire, server: tuple[str, int]) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_carry, args=(client, wire, server), daemon=True).start()


def _carry(client: socket.socket, wire: Wire, server: tuple[str, int]) -> None:
    with wire.lock:
        wire.connections += 1
        answer = wire.answers.pop(0) if wire.answers else None
        drop_after = None
        if answer is None and wire.drops > 0:
            wire.drops -= 1
            drop_after = wire.drop_after_bytes
    with client, suppress(OSError):
        if answer is not None:
            _answer(client, answer)
            return
        with socket.create_connection(server) as upstream:
            up = threading.Thread(target=_send_up, args=(client, upstream, wire), daemon=True)
            up.start()
            _send_down(upstream, client, wire, drop_after)
            client.shutdown(socket.SHUT_RDWR)
            up.join()


def _answer(client: socket.socket, answer: bytes) -> None:
    head = b""
    while _END_OF_HEAD not in head and (piece := client.recv(_PIECE_BYTES)):
        head += piece
    client.sendall(answer)
    client.shutdown(socket.SHUT_WR)
    while client.recv(_PIECE_BYTES):
        pass


def _send_up(client: socket.socket, server: socket.socket, wire: Wire) -> None:
    with suppress(OSError):
        while piece := client.recv(_PIECE_BYTES):
            with wire.lock:
                wire.up_bytes += len(piece)
            server.sendall(piece)
    with suppress(OSError):
        server.shutdown(socket.SHUT_WR)


def _send_down(
    server: socket.socket, client: socket.socket, wire: Wire, drop_after: int | None
) -> None:
    sent_bytes = 0
    while piece := server.recv(_PIECE_BYTES):
        if wire.wait_s:
            threading.Event().wait(wire.wait_s)
        if drop_after is not None:
            piece = piece[: drop_after - sent_bytes]
        with wire.lock:
            wire.down_bytes += len(piece)
        client.sendall(piece)
        sent_bytes += len(piece)
        if drop_after is not None and sent_bytes >= drop_after:
            return
