"""A small TCP proxy that delays, stalls or cuts what passes between a client and a server.

SIGSTOP on a server loses nothing, for the kernel buffers (pitfall G4); a partition needs a
box between the two:

- `delay_s`: every chunk waits that long, in each direction.
- `stall()`: a black hole. Sockets stay open, nothing passes, new connections are accepted and
  then hear nothing; what was sent meanwhile passes at `heal()`.
- `stall(replies=False)` holds back only what the client sends, `stall(requests=False)` only the
  answers: the command *is* carried out and its reply does not come.
- `lose_next_reply()`: the next answer is swallowed and its connection reset, once: the command
  *is* carried out, and a client that tries again, on a connection that works, does it twice.
- `cut()`: resets every connection and refuses new ones until `heal()`.
- `drop_connections()`: resets those of now; new ones pass.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from types import TracebackType

_CHUNK = 65536


class Proxy:
    """Listens on a free port of `listen` and passes everything to (`host`, `port`)."""

    def __init__(self, host: str, port: int, listen: str = "127.0.0.1") -> None:
        self.target = (host, port)
        self.delay_s = 0.0
        self.accepted = 0
        self._requests_flow = threading.Event()
        self._replies_flow = threading.Event()
        self._refusing = False
        self._losing = False
        self._closed = False
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server((listen, 0))
        self.host, self.port = listen, int(self._listener.getsockname()[1])
        self.heal()
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self, db: int = 0, scheme: str = "redis") -> str:
        return f"{scheme}://{self.host}:{self.port}/{db}"

    def stall(self, *, requests: bool = True, replies: bool = True) -> None:
        """Hold back the bytes of the directions named."""
        if requests:
            self._requests_flow.clear()
        if replies:
            self._replies_flow.clear()

    def lose_next_reply(self) -> None:
        """Swallow the next bytes from the server, and reset the connection they are for."""
        self._losing = True

    def cut(self) -> None:
        """Reset all connections, and each new one, until `heal()`."""
        self._refusing = True
        self.drop_connections()

    def heal(self) -> None:
        """Let everything pass again, beginning with what a stall held back."""
        self._refusing = False
        self._requests_flow.set()
        self._replies_flow.set()

    def drop_connections(self) -> None:
        with self._lock:
            doomed, self._open = self._open, set()
        for each in doomed:
            _reset(each)

    def close(self) -> None:
        self._closed = True
        self._listener.close()
        self.drop_connections()
        self.heal()  # so that the pumping threads see that they are done

    def __enter__(self) -> Proxy:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            if self._refusing:
                _reset(client)
                continue
            try:
                server = socket.create_connection(self.target, timeout=5)
            except OSError:
                _reset(client)
                continue
            server.settimeout(None)
            for each in (client, server):  # or what comes in two chunks waits for an ACK: 40 ms
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._open |= {client, server}
            self._pump(client, server, self._requests_flow)
            self._pump(server, client, self._replies_flow)

    def _pump(self, source: socket.socket, sink: socket.socket, flow: threading.Event) -> None:
        def run() -> None:
            with contextlib.suppress(OSError):
                while chunk := source.recv(_CHUNK):
                    if self._losing and flow is self._replies_flow:
                        self._losing = False
                        raise ConnectionResetError
                    if self.delay_s:
                        time.sleep(self.delay_s)
                    flow.wait()
                    sink.sendall(chunk)
                flow.wait()  # a partition hides the end of a connection too
                sink.shutdown(socket.SHUT_WR)
                return
            with self._lock:
                self._open -= {source, sink}
            _reset(source)
            _reset(sink)

        threading.Thread(target=run, daemon=True).start()


def _reset(connection: socket.socket) -> None:
    """Close with a RST: the peer learns at once, and no port is left in TIME_WAIT."""
    with contextlib.suppress(OSError):
        linger = struct.pack("ii", 1, 0)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RD)  # wakes a thread blocked in recv
    connection.close()
